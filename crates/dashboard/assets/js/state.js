// What is shown, kept in the address: a link shows the same to somebody else.

import { ranges } from "./ranges.js";

const instant = (text) => {
  const at = text ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : new Date(at);
};

/** Reads the address. What it does not say is null; `range` null means "the best for the monitor". */
export function read(search = location.search) {
  const given = new URLSearchParams(search);
  const [from, to] = [instant(given.get("from")), instant(given.get("to"))];
  const named = given.get("range");
  const range = ranges.some((one) => one.id === named) ? named : from || to ? "custom" : null;
  return {
    monitor: given.get("monitor") || null,
    event: given.get("event") || null,
    section: given.get("section") || null,
    range,
    from: range === "custom" ? from : null,
    to: range === "custom" ? to : null,
  };
}

/** Writes the address, without a step in the history. */
export function write(state) {
  const out = new URLSearchParams();
  for (const name of ["monitor", "event", "section", "range"]) if (state[name]) out.set(name, state[name]);
  if (state.range === "custom") {
    if (state.from) out.set("from", state.from.toISOString());
    if (state.to) out.set("to", state.to.toISOString());
  }
  const text = out.toString();
  const address = text ? `${location.pathname}?${text}` : location.pathname;
  if (address !== location.pathname + location.search) history.replaceState(null, "", address);
}

/** The members that make a question's filter. */
export function filter(state, { from, to }) {
  return {
    monitor: state.monitor,
    event: state.event,
    section: state.section,
    from: from?.toISOString(),
    to: to?.toISOString(),
  };
}
