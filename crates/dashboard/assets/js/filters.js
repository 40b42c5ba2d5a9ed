// Monitor, event, section and time range.

import { byId, make } from "./dom.js";
import { monitorName } from "./format.js";
import { firstRange, rangesFor } from "./ranges.js";
import { write } from "./state.js";

const short = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

/** Puts the state and the facets into the controls, and what is chosen into the state. */
export class Filters {
  #state;
  #facets = { monitors: [] };
  #changed;
  #shown = "";

  constructor(state, changed) {
    this.#state = state;
    this.#changed = changed;
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("monitor").addEventListener("change", (event) => this.#choose({ monitor: event.target.value, event: null, section: null, range: null, from: null, to: null }));
    byId("event").addEventListener("change", (event) => this.#choose({ event: event.target.value || null, section: null }));
    byId("section").addEventListener("change", (event) => this.#choose({ section: event.target.value || null }));
    for (const end of ["from", "to"]) byId(end).addEventListener("change", () => this.#custom());
    this.#ranges(false); // so that nothing jumps when the answer is there
  }

  /** The chosen monitor's facet, or undefined. */
  get facet() {
    return this.#facets.monitors.find((one) => one.monitor === this.#state.monitor);
  }

  /** Shows everything there is of what is chosen. */
  everything() {
    this.#choose({ range: "all", from: null, to: null });
  }

  update(facets) {
    this.#facets = facets;
    if (!this.#state.monitor && facets.monitors.length) this.#state.monitor = facets.monitors[0].monitor;
    this.#state.range ??= facets.monitors.length ? firstRange(this.facet) : null;
    this.#show();
  }

  #choose(change) {
    Object.assign(this.#state, change);
    this.#state.range ??= firstRange(this.facet);
    write(this.#state);
    this.#show();
    this.#changed();
  }

  #custom() {
    const [from, to] = ["from", "to"].map((id) => (byId(id).value ? new Date(byId(id).value) : null));
    const wrong = from && to && to <= from;
    byId("to").setAttribute("aria-invalid", String(Boolean(wrong)));
    byId("to").setCustomValidity(wrong ? "The end lies before the start." : "");
    if (wrong) return byId("to").reportValidity();
    this.#choose({ range: "custom", from, to });
  }

  #show() {
    const facet = this.facet;
    const state = this.#state;
    // Only what differs is touched: an open list must not close under the reader's hand.
    const now = JSON.stringify([state, this.#facets.monitors.map((one) => one.monitor), facet?.events, facet?.schedule]);
    if (now === this.#shown) return;
    this.#shown = now;
    const monitors = this.#facets.monitors.map((one) => one.monitor);
    options(byId("monitor"), null, monitors, state.monitor, monitorName);
    byId("monitor-field").hidden = monitors.length < 2 && (!state.monitor || monitors.includes(state.monitor));
    const events = facet?.events ?? [];
    options(byId("event"), "All events", events.map((one) => one.event).filter(Boolean), state.event, short);
    byId("event-field").hidden = !state.event && events.filter((one) => one.event).length < 2;
    const of = events.filter((one) => !state.event || one.event === state.event);
    const sections = [...new Set(of.flatMap((one) => one.sections))].filter(Boolean).sort();
    options(byId("section"), "All sections", sections, state.section, short);
    byId("section-field").hidden = !state.section && sections.length < 1;
    this.#ranges(facet?.schedule ?? false);
  }

  #ranges(schedule) {
    const state = this.#state;
    const usual = rangesFor(schedule);
    const chips = usual.map((range) => {
      const input = make("input", { type: "radio", name: "range", value: range.id, checked: range.id === state.range, "aria-label": range.title, title: range.title });
      input.addEventListener("change", () => this.#range(range.id));
      return make("label", {}, input, make("span", { "data-brief": range.brief ?? range.label }, make("span", { class: "long" }, range.label)));
    });
    const box = byId("ranges");
    const same = [...box.querySelectorAll("input")].map((one) => one.value).join() === usual.map((one) => one.id).join();
    if (!same) box.replaceChildren(...chips);
    for (const input of box.querySelectorAll("input")) input.checked = input.value === state.range;
    byId("custom").hidden = state.range !== "custom";
    for (const end of ["from", "to"]) byId(end).value = state[end] ? local(state[end]) : "";
  }

  #range(id) {
    if (id !== "custom") return this.#choose({ range: id, from: null, to: null });
    const from = new Date(Date.now() - 86_400_000);
    from.setSeconds(0, 0);
    this.#choose({ range: "custom", from: this.#state.from ?? from, to: this.#state.to });
    byId("from").focus();
  }
}

/** A select's options; a chosen value that does not exist (any more) stays visible. */
function options(select, all, values, chosen, name) {
  const list = chosen && !values.includes(chosen) ? [...values, chosen] : values;
  const entries = list.map((value) => make("option", { value, title: value }, name(value)));
  if (all) entries.unshift(make("option", { value: "" }, all));
  select.replaceChildren(...entries);
  select.value = chosen ?? "";
  select.disabled = list.length === 0;
}

/** A date as `datetime-local` wants it. */
function local(at) {
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}
