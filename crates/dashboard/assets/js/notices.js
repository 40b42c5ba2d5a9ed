// Sources that fail, channels that are off; and whether the server is there at all.

import { byId, make } from "./dom.js";
import { monitorName } from "./format.js";

let shown = "";

/** Shows the notices of a monitor (and those of no monitor). */
export function showNotices(notices, monitor) {
  const ours = notices.filter((notice) => !notice.monitor || !monitor || notice.monitor === monitor);
  ours.sort((a, b) => Number(b.failing) - Number(a.failing));
  const text = JSON.stringify([ours, Boolean(monitor)]);
  if (text === shown) return;
  shown = text;
  const list = byId("notices");
  list.hidden = ours.length === 0;
  list.replaceChildren(
    ...ours.map((notice) =>
      make(
        "li",
        { "data-failing": String(notice.failing) },
        make("strong", {}, notice.failing ? "Failing" : "Note"),
        make("span", {}, !monitor && notice.monitor ? `${monitorName(notice.monitor)}: ${notice.text}` : notice.text),
      ),
    ),
  );
}

/** Shows that the server is gone, or (with null) that it is back. */
export function showBanner(text, retry) {
  const banner = byId("banner");
  banner.hidden = text === null;
  if (text === null) return banner.replaceChildren();
  const old = banner.querySelector("span");
  if (old) {
    if (old.textContent !== text) old.textContent = text;
    return;
  }
  const button = make("button", { type: "button", class: "button small" }, "Try now");
  button.addEventListener("click", retry);
  banner.replaceChildren(make("strong", {}, "The server does not answer."), make("span", {}, text), button);
}
