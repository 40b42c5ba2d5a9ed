// The page: what is asked when, and where the answers go.

import { forgetAlerts, showAlerts } from "./alerts.js";
import { address, ApiError, ask } from "./api.js";
import { DistributionChart } from "./charts/distribution.js";
import { HistoryChart } from "./charts/history.js";
import { HoursChart } from "./charts/hours.js";
import { byId, say } from "./dom.js";
import { Filters } from "./filters.js";
import * as format from "./format.js";
import { Live } from "./live.js";
import { showBanner, showNotices } from "./notices.js";
import { Panel } from "./panel.js";
import { span } from "./ranges.js";
import { filter, read } from "./state.js";
import { startTheme } from "./theme.js";
import { showTiles, startTiles } from "./tiles.js";

/** Updates come no faster than a reader can follow. */
const BREATH = 1000;
/** A page that nobody looks at stops listening after a while. */
const REST = 10_000;
/** Alerts marked on the chart; the table shows the first of them. */
const MARKS = 200;
const LINES = 12;
const ALERTS = matchMedia("(max-width: 760px)").matches ? 8 : 20;

startTheme();
startTiles();
say(byId("zone"), `Times in ${format.zone}`);

const state = read();
const panels = { history: new Panel("history"), distribution: new Panel("distribution"), hours: new Panel("hours"), alerts: new Panel("alerts") };
const charts = { history: new HistoryChart(), distribution: new DistributionChart(), hours: new HoursChart() };
const filters = new Filters(state, () => refresh(true));

let asking = null;
let dirty = false;
let last = 0;
let timer = 0;
let updated = null;
let limit = ALERTS;
let notices = [];

/** Asks for everything shown. `anew`: something else is to be shown, so old answers do not fit. */
async function refresh(anew = false) {
  if (asking && !anew) {
    dirty = true;
    return;
  }
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  dirty = false;
  last = Date.now();
  clearTimeout(timer);
  if (anew) {
    charts.history.reset();
    forgetAlerts();
    limit = ALERTS;
    for (const panel of Object.values(panels)) panel.loading();
  }
  try {
    await everything(mine.signal);
    updated = Date.now();
    tick();
    showBanner(null);
  } catch (error) {
    if (mine.signal.aborted) return;
    failed(error);
  } finally {
    if (asking === mine) {
      asking = null;
      if (dirty) soon();
    }
  }
}

/** Asks again, but not at once again. */
function soon() {
  if (live.paused) return; // the end of the pause asks anyway
  if (document.hidden || asking) {
    dirty = true;
    return;
  }
  clearTimeout(timer);
  timer = setTimeout(() => refresh(), Math.max(0, last + BREATH - Date.now()));
}

async function everything(signal) {
  filters.update(await ask("facets", {}, signal));
  const facet = filters.facet;
  const about = filter(state, span(state));
  byId("download").href = address("prices.csv", about);
  showNotices(notices, state.monitor);
  if (!facet && !state.monitor) return nothingYet();
  const points = Math.max(200, Math.min(1500, charts.history.width));
  const [statistics, history, bars, hours, alerts] = await Promise.all([
    ask("statistics", about, signal),
    ask("history", { ...about, lines: LINES, points }, signal),
    ask("distribution", { ...about, bars: charts.history.width < 560 ? 16 : 28 }, signal),
    ask("hours", { ...about, zone: format.zone }, signal),
    ask("alerts", { ...about, limit: Math.max(limit, MARKS) }, signal),
  ]);
  signal.throwIfAborted();
  const schedule = facet?.schedule ?? false;
  showTiles(statistics, schedule);
  const some = statistics.observations > 0;
  panel("history", some && history.lines.length > 0, () => charts.history.show(history, alerts));
  panel("distribution", some && bars.length > 0, () => charts.distribution.show(bars, statistics.unit));
  panel("hours", some && hours.length > 0, () => charts.hours.show(hours, statistics.unit));
  const listed = alerts.slice(0, limit);
  showAlerts(listed);
  if (listed.length) panels.alerts.ready();
  else panels.alerts.empty("No alerts in this range", "What fires a rule shows up here at once.");
  const more = statistics.alerts > listed.length;
  say(byId("alerts-hint"), more ? `${format.count(listed.length)} of ${format.count(statistics.alerts)}, newest first` : "");
  byId("more-alerts").hidden = !(more && listed.length >= limit && limit < 1000);
}

function panel(name, some, draw) {
  if (some) {
    // First the room, then the drawing: a hidden canvas would measure wrongly.
    panels[name].ready();
    draw();
    return;
  }
  const action = name === "history" && state.range !== "all" ? { text: "Show everything", run: () => filters.everything() } : undefined;
  panels[name].empty(name === "history" ? "No prices in this range" : "Nothing to show", name === "history" ? "Choose a longer time range, or fewer filters." : undefined, action);
}

function nothingYet() {
  showTiles(null, false);
  panels.history.empty("No prices yet", "The first ones appear here as soon as a source shows them.");
  panels.distribution.empty("No prices yet");
  panels.hours.empty("No prices yet");
  panels.alerts.empty("No alerts yet");
}

function failed(error) {
  const said = error instanceof ApiError ? error : new ApiError("Something in this page broke.", String(error));
  if (!(error instanceof ApiError)) console.error(error);
  if (said.offline) live.suspect();
  const again = { text: "Try again", run: () => refresh(true) };
  // What is already drawn stays; only what waits gets the message.
  for (const [name, one] of Object.entries(panels)) {
    if (updated === null || byId(name).dataset.state !== "ready" || !said.offline) one.error(said.message, said.remedy, name === "history" ? again : undefined);
  }
}

async function askNotices() {
  try {
    notices = await ask("notices");
    showNotices(notices, state.monitor);
  } catch {
    // The stream or the next refresh tells that the server is gone.
  }
}

const NAMES = { connecting: "Connecting", live: "Live", paused: "Paused", lost: "No connection" };
let countdown = 0;

const live = new Live({
  state(name, seconds) {
    byId("live").dataset.state = name;
    say(byId("live-text"), NAMES[name]);
    clearInterval(countdown);
    if (name !== "lost") return name === "connecting" ? undefined : showBanner(null);
    const until = Date.now() + seconds * 1000;
    const tell = () => {
      const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
      const kept = updated === null ? "" : `You see what came last, at ${format.second(updated)}. `;
      showBanner(`${kept}Trying again ${left ? `in ${left} s` : "now"}.`, () => live.now());
    };
    countdown = setInterval(tell, 1000);
    return tell();
  },
  open() {
    refresh();
    askNotices();
  },
  changed: soon,
  notices: askNotices,
});

function pause(paused) {
  live.pause(paused);
  clearTimeout(timer);
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").title = paused ? "Resume live updates (p)" : "Pause live updates (p)";
  say(byId("pause-text"), paused ? "Resume" : "Pause");
}

function tick() {
  say(byId("updated"), updated === null ? "" : `Updated ${format.ago(Date.now() - updated)}`);
}

byId("pause").addEventListener("click", () => pause(!live.paused));
byId("more-alerts").addEventListener("click", () => {
  limit = Math.min(1000, limit * 5);
  forgetAlerts();
  refresh();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea") && event.target.type !== "radio";
  if (event.key === "p" && !event.ctrlKey && !event.metaKey && !event.altKey && !typing) pause(!live.paused);
});
let resting = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(() => live.rest(true), REST);
  else live.rest(false);
  if (!document.hidden && dirty) soon();
});
addEventListener("pagehide", () => live.rest(true));
addEventListener("pageshow", () => live.rest(false));
setInterval(tick, 1000);

ask("about")
  .then(({ title, version }) => {
    say(byId("title"), title);
    document.title = title;
    say(byId("about"), `PriceMonitor ${version}`.trim());
  })
  .catch(() => {});
refresh(true);
live.start();
