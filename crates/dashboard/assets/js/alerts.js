// The table of recent alerts.

import { byId, make, say } from "./dom.js";
import * as format from "./format.js";

const STATES = {
  pending: ["…", "waiting to be sent"],
  ok: ["✓", "sent"],
  stale: ["–", "too old, not sent"],
  refused: ["✕", "refused"],
  gone: ["✕", "the channel is gone"],
};

const rows = new Map();
let known = null;

/** Forgets which alerts were there: the next ones are not news. */
export function forgetAlerts() {
  known = null;
}

/** Shows the alerts and tells screen readers about new ones. */
export function showAlerts(alerts) {
  const body = byId("alert-rows");
  const fresh = known ? alerts.filter((alert) => !known.has(alert.id)) : [];
  const wanted = alerts.map((alert) => {
    const text = JSON.stringify(alert);
    let row = rows.get(alert.id);
    // A row that did not change stays the same element: focus and selection stay too.
    if (row?.text !== text) row = { text, element: build(alert) };
    rows.set(alert.id, row);
    row.element.classList.toggle("new", fresh.includes(alert));
    return row.element;
  });
  const ids = new Set(alerts.map((alert) => alert.id));
  for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
  const same = body.children.length === wanted.length && wanted.every((row, at) => body.children[at] === row);
  if (!same) body.replaceChildren(...wanted);
  known = ids;
  if (fresh.length) {
    const more = fresh.length > 1 ? ` And ${fresh.length - 1} more.` : "";
    say(byId("announcer"), `New alert: ${fresh[0].summary.slice(0, 200)}${more}`);
  }
}

function build(alert) {
  const at = Date.parse(alert.observed_at);
  const places = [alert.section, alert.item].filter((text) => text && text !== alert.event);
  const slot = alert.slot ? `for ${format.day(Date.parse(alert.slot.start))}, ${format.minute(Date.parse(alert.slot.start))}–${format.minute(Date.parse(alert.slot.end))}` : null;
  const severity = make("span", { class: "severity", "aria-hidden": "true" });
  return make(
    "tr",
    { "data-severity": alert.severity, "data-transition": alert.transition, "data-id": alert.id },
    make("td", { class: "when" }, make("time", { dateTime: alert.observed_at, title: format.full(at) }, format.second(at)), make("span", { class: "small" }, format.day(at))),
    make("td", { class: "what", title: alert.summary }, make("b", {}, alert.event || alert.item || alert.monitor), make("span", { class: "small" }, slot ?? places.join(" · "))),
    make("td", { class: "number price" }, ...change(alert)),
    make("td", { class: "number change" }, tag(alert)),
    make("td", { class: "rule" }, severity, alert.rule, alert.transition === "resolved" ? make("span", { class: "small" }, "resolved") : alert.severity === "info" ? null : make("span", { class: "small" }, alert.severity)),
    make("td", { class: "told" }, ...alert.deliveries.map(badge)),
    make("td", { class: "link" }, offer(alert)),
  );
}

function change(alert) {
  const price = make("b", {}, format.exact(alert.price, alert.unit));
  if (alert.reference === null) return [price];
  // A level is no price before: nothing moved from it.
  if (alert.side) return [price, make("span", { class: "was" }, ` ${alert.transition === "resolved" ? "no longer " : ""}${alert.side} ${format.exact(alert.reference, "")}`)];
  return [make("span", { class: "was" }, `${format.exact(alert.reference, "")} → `), price];
}

function tag(alert) {
  if (alert.percent === null) return null;
  const direction = Number(alert.percent) < 0 ? "down" : "up";
  return make("span", { class: `tag ${direction}` }, format.percent(alert.percent));
}

function badge({ channel, state, attempts, reason, maybe_sent }) {
  const [sign, known] = STATES[state] ?? ["?", state];
  // A crash or an answer that never came: whoever wonders about a second message finds it here.
  const words = maybe_sent ? `${known}, may have arrived ${state === "ok" ? "twice" : "all the same"}` : known;
  const tries = attempts > 1 ? `, ${attempts} attempts` : "";
  const title = `${channel}: ${words}${tries}${reason ? ` (${reason})` : ""}`;
  return make("span", { class: "badge", "data-state": state, title }, make("span", { "aria-hidden": "true" }, sign), make("span", { class: "name" }, channel), make("span", { class: "hidden" }, `: ${words}`));
}

function offer(alert) {
  const href = alert.url && format.link(alert.url);
  if (!href) return null;
  return make("a", { href, target: "_blank", rel: "noopener noreferrer", "aria-label": `Open the offer: ${alert.summary.slice(0, 120)}` }, "Open");
}
