// A card's four states: loading, ready, empty, error.

import { byId, make } from "./dom.js";

export class Panel {
  #card;
  #message = null;
  #slow = 0;

  constructor(id) {
    this.#card = byId(id);
    this.#card.dataset.state = "loading";
    this.#card.setAttribute("aria-busy", "true");
  }

  /** Waiting for something new: the skeleton comes only when it takes a while. */
  loading() {
    clearTimeout(this.#slow);
    this.#slow = setTimeout(() => this.#set("loading"), 250);
  }

  ready() {
    this.#set("ready");
  }

  /** Nothing to show; `action` is `{text, run}`. */
  empty(title, hint, action) {
    this.#set("empty", title, hint, action);
  }

  error(title, hint, action) {
    this.#set("error", title, hint, action);
  }

  #set(state, title, hint, action) {
    clearTimeout(this.#slow);
    this.#card.dataset.state = state;
    this.#card.setAttribute("aria-busy", String(state === "loading"));
    this.#message?.remove();
    this.#message = null;
    if (!title) return;
    const button = action && make("button", { type: "button", class: "button small" }, action.text);
    button?.addEventListener("click", action.run);
    this.#message = make("div", { class: "chart-message" }, make("strong", {}, title), hint && make("span", {}, hint), button);
    this.#card.querySelector(".card-body").append(this.#message);
  }
}
