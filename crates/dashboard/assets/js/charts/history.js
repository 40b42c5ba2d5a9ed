// The price history.

import { byId, say } from "../dom.js";
import * as format from "../format.js";
import { colour, lineColour } from "../theme.js";
import { axis, Chart, plain, stepOf, tooltip } from "./chart.js";
import { showLegend } from "./legend.js";
import { Colours, extent, pairs, pointAt } from "./lines.js";

const TOOLTIP_LINES = 12;

export class HistoryChart {
  #chart = new Chart(byId("history-chart"));
  #colours = new Colours();
  #hidden = new Set();
  /** `{from, to}` in milliseconds while zoomed in; `to` null while it follows what comes. */
  #zoom = null;
  #data = null;

  constructor() {
    this.#chart.chart.on("datazoom", () => this.#zoomed());
    byId("zoom-out").addEventListener("click", () => this.reset());
  }

  /** The pixels there are for points. */
  get width() {
    return this.#chart.element.clientWidth || 800;
  }

  /** Something else is shown: nothing is hidden and the whole range is seen. */
  reset() {
    this.#hidden.clear();
    this.#zoom = null;
    byId("zoom-out").hidden = true;
    this.#chart.chart.dispatchAction({ type: "dataZoom", start: 0, end: 100 });
  }

  /** Draws lines and the alerts on them, and keeps the zoom. */
  show(history, alerts, now = Date.now()) {
    // By their ids, not by their age: otherwise keys would change places with each update.
    const lines = [...history.lines].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) || a.series - b.series);
    this.#colours.assign(lines.map((line) => line.series));
    this.#data = { lines, bucket: history.bucket, alerts, now, drawn: new Map(lines.map((line) => [line.series, pairs(line, history.bucket)])) };
    say(byId("history-hint"), hint(history));
    this.#draw();
  }

  #draw() {
    const { lines, alerts } = this.#data;
    showLegend(byId("history-legend"), lines, this.#colours, this.#hidden, (series, alone) => this.#toggle(series, alone));
    const [low, high] = extent(lines);
    const unit = lines[0]?.unit ?? "";
    const words = `Price history: ${lines.length} lines from ${format.price(low, unit)} to ${format.price(high, unit)}, ${alerts.length} alerts.`;
    this.#chart.draw(() => this.#option(), words);
  }

  #toggle(series, alone) {
    if (alone) {
      for (const line of this.#data.lines) this.#hidden.add(line.series);
      this.#hidden.delete(series);
    } else if (!this.#hidden.delete(series)) {
      this.#hidden.add(series);
    }
    this.#draw();
  }

  #zoomed() {
    const [zoom] = this.#chart.chart.getOption().dataZoom;
    const whole = zoom.start <= 0.01 && zoom.end >= 99.99;
    this.#zoom = whole ? null : { from: zoom.startValue, to: zoom.end >= 99.5 ? null : zoom.endValue };
    byId("zoom-out").hidden = whole;
  }

  #option() {
    const { lines, bucket, drawn, now } = this.#data;
    const visible = lines.filter((line) => !this.#hidden.has(line.series));
    const [low, high] = extent(visible);
    const schedule = visible.some((line) => line.schedule);
    const times = [...drawn.values()].flatMap((data) => (data.length ? [data[0][0], data[data.length - 1][0]] : []));
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const step = stepOf(low, high);
    const zoom = this.#zoom ? { startValue: this.#zoom.from, endValue: this.#zoom.to ?? last } : { start: 0, end: 100 };
    const narrow = this.width < 560;
    return {
      grid: { left: 8, right: narrow ? 10 : 16, top: 34, bottom: 58, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
      tooltip: tooltip({
        trigger: "axis",
        axisPointer: { type: "line", lineStyle: { color: colour("--line-strong") } },
        formatter: (parameters) => this.#tip(parameters, visible, bucket),
      }),
      xAxis: axis({
        type: "time",
        min: first,
        max: last > first ? last : first + 60_000,
        splitNumber: narrow ? 4 : 8,
        splitLine: { show: false },
        axisLine: { onZero: false, lineStyle: { color: colour("--line-strong") } },
        axisLabel: { formatter: (at) => timeLabel(at), margin: 12, alignMinLabel: "left", alignMaxLabel: "right" },
      }),
      yAxis: axis({
        type: "value",
        // Listings differ by little, so the axis shows where they are; slots are read from zero.
        scale: !schedule,
        name: plain(visible[0]?.unit ?? "", 20),
        nameGap: 14,
        nameTextStyle: { color: colour("--soft"), align: "left", fontSize: 12, padding: [0, 0, 0, -4] },
        axisLine: { show: false },
        axisLabel: { formatter: (value) => format.axisPrice(value, step) },
      }),
      dataZoom: [
        { type: "inside", filterMode: "none", minValueSpan: 60_000, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, preventDefaultMouseMove: false, ...zoom },
        { type: "slider", filterMode: "none", minValueSpan: 60_000, height: 22, bottom: 8, left: 14, right: 18, showDetail: false, brushSelect: false, showDataShadow: true, ...sliderColours(), ...zoom },
      ],
      series: [...visible.map((line, at) => this.#series(line, drawn.get(line.series), at === 0, low, schedule && now >= first && now <= last ? { at: now, left: now - first < 0.1 * (last - first) } : null, visible.length)), this.#markers(visible)],
    };
  }

  #series(line, data, firstOne, low, now, many) {
    const ink = lineColour(this.#colours.of(line.series));
    const seen = data.filter(([, price]) => price !== null).length;
    return {
      id: `line-${line.series}`,
      type: "line",
      name: plain(line.name),
      data,
      step: line.schedule ? "end" : false,
      connectNulls: false,
      showSymbol: seen < 3,
      symbolSize: 5,
      // A line of slots is flat between them; sampling would cut its corners.
      lineStyle: { width: many > 6 ? 1.6 : 2, color: ink },
      itemStyle: { color: ink },
      emphasis: { disabled: true },
      ...(many === 1 ? { areaStyle: { color: ink, opacity: 0.12, origin: line.schedule ? 0 : "start" } } : {}),
      ...(firstOne ? { markLine: marks(low, now) } : {}),
    };
  }

  #markers(visible) {
    const shown = new Map(visible.map((line) => [line.series, line]));
    const data = this.#data.alerts
      .filter((alert) => shown.has(alert.series))
      .map((alert) => ({
        value: [Date.parse(alert.slot?.start ?? alert.observed_at), Number(alert.price)],
        symbolRotate: (alert.side ? alert.side === "below" : Number(alert.percent ?? -1) <= 0) ? 180 : 0,
        itemStyle: { color: alert.transition === "resolved" ? colour("--soft") : Number(alert.percent ?? -1) <= 0 ? colour("--down") : colour("--up") },
      }));
    return { id: "alerts", type: "scatter", data, symbol: "triangle", symbolSize: [11, 9], z: 5, itemStyle: { borderColor: colour("--surface"), borderWidth: 1 }, emphasis: { disabled: true }, tooltip: { show: false } };
  }

  #tip(parameters, visible, bucket) {
    const at = Number(parameters[0]?.axisValue ?? parameters[0]?.value?.[0]);
    if (!at) return "";
    const found = visible.map((line) => ({ line, point: pointAt(line, at, bucket) })).filter(({ point }) => point);
    found.sort((a, b) => b.point.price - a.point.price);
    const rows = found.slice(0, TOOLTIP_LINES).map(({ line, point }) => {
      const range = point.low < point.high && bucket ? ` {soft|${format.price(point.low, line.unit)} – ${format.price(point.high, line.unit)}}` : "";
      const name = visible.length > 1 ? `  ${plain(line.name, 38)}` : "";
      return `{value|${plain(format.price(point.price, line.unit))}}${name}${range}`;
    });
    const reach = Math.max(bucket, 1000);
    const near = this.#data.alerts.filter((alert) => Math.abs(Date.parse(alert.slot?.start ?? alert.observed_at) - at) <= reach && visible.some((line) => line.series === alert.series));
    const told = near.slice(0, 3).map((alert) => `⚑ ${plain(alert.summary, 70)}`);
    return [`{time|${format.weekday(at)}, ${bucket >= 60_000 || visible[0]?.schedule ? format.minute(at) : format.second(at)}}`, ...rows, ...told].join("\n");
  }
}

function hint(history) {
  const shown = history.lines.length;
  const lines = history.matched > shown ? `${format.count(shown)} of ${format.count(history.matched)} series, the most recent` : shown > 1 ? `${format.count(shown)} series` : "";
  return [lines, history.bucket ? `averages of ${span(history.bucket)}` : ""].filter(Boolean).join(" · ");
}

function span(ms) {
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]];
  const [size, name] = units.find(([unit]) => ms >= unit) ?? [1, "ms"];
  return `${format.count(ms / size)} ${name}`;
}

function timeLabel(at) {
  const date = new Date(at);
  if (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0) return `{day|${format.day(at)}}`;
  return date.getSeconds() ? format.second(at) : format.minute(at);
}

function marks(low, now) {
  const line = (more) => ({ symbol: "none", ...more });
  const data = [];
  if (low < 0) data.push(line({ yAxis: 0, lineStyle: { color: colour("--soft"), type: "solid", width: 1 }, label: { show: false } }));
  if (now !== null) data.push(line({ xAxis: now.at, lineStyle: { color: colour("--accent"), type: "dashed", width: 1.2 }, label: { formatter: "now", color: colour("--accent"), position: "end", fontSize: 12, align: now.left ? "left" : "center", padding: now.left ? [0, 0, 0, 44] : 0 } }));
  return { silent: true, symbol: "none", animation: false, data };
}

function sliderColours() {
  return {
    borderColor: "transparent",
    backgroundColor: colour("--raised"),
    fillerColor: colour("--veil"),
    handleStyle: { color: colour("--surface"), borderColor: colour("--line-strong") },
    moveHandleStyle: { color: colour("--line-strong"), opacity: 0.5 },
    dataBackground: { lineStyle: { color: colour("--line-strong"), opacity: 0.8 }, areaStyle: { color: colour("--line-strong"), opacity: 0.25 } },
    selectedDataBackground: { lineStyle: { color: colour("--accent"), opacity: 0.7 }, areaStyle: { color: colour("--accent"), opacity: 0.15 } },
    emphasis: { handleStyle: { borderColor: colour("--accent") }, moveHandleStyle: { color: colour("--accent") } },
  };
}
