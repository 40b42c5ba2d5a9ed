// The figures on top.

import { byId, make, say } from "./dom.js";
import * as format from "./format.js";

const TILES = [
  { kind: "listings", name: (schedule) => (schedule ? "Slots" : "Listings") },
  { kind: "average", name: () => "Average" },
  { kind: "lowest", name: () => "Lowest" },
  { kind: "highest", name: () => "Highest" },
  { kind: "changes", name: () => "Changes" },
  { kind: "alerts", name: () => "Alerts" },
];

const parts = new Map();

/** Builds the tiles as skeletons. */
export function startTiles() {
  for (const { kind, name } of TILES) {
    const bone = () => make("span", { class: "bone" });
    const [label, figure, sub] = [make("p", { class: "name" }, name(false)), make("p", { class: "figure" }, bone()), make("p", { class: "sub" }, bone())];
    parts.set(kind, { label, figure, sub });
    byId("tiles").append(make("div", { class: "tile", "data-kind": kind }, label, figure, sub));
  }
}

function show(kind, number, unit, sub) {
  const { figure, sub: below } = parts.get(kind);
  const text = unit ? `${number} ${unit}` : number;
  if (figure.dataset.text !== text) {
    figure.dataset.text = text;
    figure.replaceChildren(make("span", {}, number), ...(unit ? [" ", make("span", { class: "unit" }, unit)] : []));
  }
  say(below, sub);
}

/** Shows figures; `null` shows that there are none. */
export function showTiles(statistics, schedule) {
  byId("tiles").setAttribute("aria-busy", "false");
  for (const { kind, name } of TILES) say(parts.get(kind).label, name(schedule));
  if (!statistics) {
    for (const { kind } of TILES) show(kind, "–", "", "");
    return;
  }
  const { unit, average, lowest, highest } = statistics;
  const money = (kind, value, sub) => {
    if (value === null) return show(kind, "–", "", "");
    const { number, unit: rest } = format.priceParts(value, unit);
    show(kind, number, rest, sub);
  };
  const away = (value) => {
    if (!average || value === null || average <= 0) return "";
    const share = (100 * (value - average)) / average;
    return `${share < 0 ? "−" : "+"}${Math.abs(share).toFixed(0)} % of average`;
  };
  const plural = (value, one, many) => `${format.count(value)} ${value === 1 ? one : many}`;
  show("listings", format.count(statistics.listings), "", plural(statistics.observations, "price seen", "prices seen"));
  money("average", average, "over the range");
  money("lowest", lowest, away(lowest));
  money("highest", highest, away(highest));
  const rate = statistics.observations ? (100 * statistics.changes) / statistics.observations : 0;
  show("changes", format.count(statistics.changes), "", statistics.observations ? `${rate.toFixed(rate < 10 ? 1 : 0)} % of prices seen` : "");
  show("alerts", format.count(statistics.alerts), "", "in the range");
}
