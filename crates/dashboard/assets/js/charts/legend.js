// The lines' names as buttons: reachable by keyboard, and titles stay text.

import { make } from "../dom.js";
import * as format from "../format.js";
import { lineColour } from "../theme.js";

const SEPARATOR = " · ";
const keys = new Map();

/** Shows a key for each line; `toggle(series, alone)` is called when one is pressed. */
export function showLegend(box, lines, colours, hidden, toggle) {
  const skip = common(lines.map((line) => line.name.split(SEPARATOR)));
  const wanted = lines.map((line) => {
    const key = keys.get(line.series) ?? build(line, toggle);
    keys.set(line.series, key);
    const last = line.points[line.points.length - 1];
    key.element.style.setProperty("--ink", lineColour(colours.of(line.series)));
    key.element.setAttribute("aria-pressed", String(!hidden.has(line.series)));
    label(key, line.name, skip);
    key.element.title = line.name;
    // What a schedule costs at the end of its line is not what it costs now.
    key.price.textContent = last && !line.schedule ? format.price(last.price, line.unit) : "";
    return key.element;
  });
  const ids = new Set(lines.map((line) => line.series));
  for (const series of keys.keys()) if (!ids.has(series)) keys.delete(series);
  const same = box.children.length === wanted.length && wanted.every((key, at) => box.children[at] === key);
  if (!same) box.replaceChildren(...wanted);
  box.hidden = lines.length < 2;
}

/** How many leading parts all names share; at least one part is always left. */
function common(names) {
  if (names.length < 2) return 0;
  const shortest = Math.min(...names.map((parts) => parts.length)) - 1;
  let same = 0;
  while (same < shortest && names.every((parts) => parts[same] === names[0][same])) same += 1;
  return same;
}

/** A name in two spans: the first gives way where there is no room, the last tells lines apart. */
function label(key, name, skip) {
  const text = `${skip}${name}`;
  if (key.text === text) return;
  key.text = text;
  const parts = name.split(SEPARATOR).slice(skip);
  const tail = parts.length > 1 ? SEPARATOR + parts.slice(1).join(SEPARATOR) : "";
  key.label.replaceChildren(make("span", { class: "head", dir: "auto" }, parts[0]), make("span", { class: "tail" }, tail));
}

function build(line, toggle) {
  const label = make("span", { class: "label" });
  const price = make("span", { class: "price" });
  const element = make("button", { type: "button", class: "key" }, make("span", { class: "swatch", "aria-hidden": "true" }), label, price);
  element.addEventListener("click", (event) => toggle(line.series, event.altKey || event.shiftKey));
  element.addEventListener("dblclick", () => toggle(line.series, true));
  return { element, label, price, text: null };
}
