// Average prices by hour and weekday: a heat map, on narrow screens one bar an hour.

import { byId, say } from "../dom.js";
import * as format from "../format.js";
import { colour } from "../theme.js";
import { axis, Chart, plain, stepOf, tooltip } from "./chart.js";

const HOURS = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));
const narrow = matchMedia("(max-width: 620px)");

export class HoursChart {
  #chart = new Chart(byId("hours-chart"));
  #last = null;
  #flat = null;

  constructor() {
    narrow.addEventListener("change", () => {
      if (this.#last) this.show(...this.#last);
    });
  }

  show(cells, unit) {
    this.#last = [cells, unit];
    const hours = byHour(cells);
    // A map of one or two days would be mostly holes.
    const flat = narrow.matches || new Set(cells.map((cell) => cell.weekday)).size < 3;
    if (flat !== this.#flat) this.#chart.chart.clear();
    this.#flat = flat;
    const cheapest = hours.filter((hour) => hour.count).reduce((best, hour) => (best && best.average <= hour.average ? best : hour), null);
    const words = cheapest ? `Average price by hour: lowest at ${HOURS[cheapest.hour]} h with ${format.price(cheapest.average, unit)}.` : "No prices.";
    say(byId("hours-title"), flat ? "Hours of the day" : "Hours of the week");
    say(byId("hours-hint"), cheapest && hours.filter((hour) => hour.count).length > 3 ? `Average price, lowest around ${HOURS[cheapest.hour]}:00` : "Average price");
    this.#chart.draw(() => (flat ? bars(hours, unit) : heat(cells, unit)), words);
  }
}

/** The days of the week together, each observation with the same weight. */
function byHour(cells) {
  const hours = HOURS.map((_, hour) => ({ hour, sum: 0, count: 0, average: 0 }));
  for (const { hour, average, count } of cells) {
    hours[hour].sum += average * count;
    hours[hour].count += count;
  }
  for (const hour of hours) hour.average = hour.count ? hour.sum / hour.count : 0;
  return hours;
}

function heat(cells, unit) {
  const prices = cells.map((cell) => cell.average);
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const label = (value) => plain(format.price(value, unit));
  return {
    grid: { left: 8, right: 12, top: 10, bottom: 44, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: tooltip({
      trigger: "item",
      formatter: ({ value }) => (value ? `{time|${format.weekdays[value[1]]}, ${HOURS[value[0]]}:00–${HOURS[value[0]]}:59}\n{value|${label(value[2])}}  {soft|${format.count(value[3])} ${value[3] === 1 ? "price" : "prices"}}` : ""),
    }),
    xAxis: axis({ type: "category", data: HOURS, splitLine: { show: false }, axisLine: { show: false }, axisLabel: { interval: 2 } }),
    yAxis: axis({ type: "category", data: format.weekdays, inverse: true, splitLine: { show: false }, axisLine: { show: false } }),
    visualMap: {
      type: "continuous",
      min: low,
      max: high > low ? high : low + 1,
      dimension: 2,
      orient: "horizontal",
      left: "center",
      bottom: 0,
      itemWidth: 10,
      itemHeight: 120,
      calculable: false,
      hoverLink: false,
      text: [label(high), label(low)],
      textStyle: { color: colour("--soft"), fontSize: 12 },
      inRange: { color: [colour("--heat-low"), colour("--heat-mid"), colour("--heat-high")] },
    },
    series: [
      {
        id: "heat",
        type: "heatmap",
        data: cells.map(({ weekday, hour, average, count }) => [hour, weekday - 1, average, count]),
        itemStyle: { borderColor: colour("--surface"), borderWidth: 2, borderRadius: 4 },
        emphasis: { itemStyle: { borderColor: colour("--text"), borderWidth: 1 } },
      },
    ],
  };
}

function bars(hours, unit) {
  const seen = hours.filter((hour) => hour.count).map((hour) => hour.average);
  const [low, high] = [Math.min(0, ...seen), Math.max(...seen, 0)];
  const cheapest = Math.min(...seen);
  const step = stepOf(low, high);
  // Bars begin at zero, where they say nothing when prices differ by little: then points do.
  const close = cheapest > 0.6 * high;
  return {
    visualMap: { show: false },
    grid: { left: 6, right: 8, top: 30, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: tooltip({
      trigger: "axis",
      axisPointer: { type: "none" },
      formatter: ([parameter]) => {
        const hour = hours[parameter?.dataIndex];
        return hour?.count ? `{time|${HOURS[hour.hour]}:00–${HOURS[hour.hour]}:59}\n{value|${plain(format.price(hour.average, unit))}}` : "";
      },
    }),
    xAxis: axis({ type: "category", data: HOURS, splitLine: { show: false }, axisLine: { onZero: false, lineStyle: { color: colour("--line-strong") } }, axisLabel: { interval: 3 } }),
    yAxis: axis({ type: "value", name: plain(unit, 20), scale: close, nameTextStyle: { color: colour("--soft"), align: "left", fontSize: 12 }, splitNumber: 4, axisLine: { show: false }, axisLabel: { formatter: (value) => format.axisPrice(value, close ? stepOf(cheapest, high, 4) : step) } }),
    series: [
      {
        id: close ? "points" : "hours",
        type: close ? "line" : "bar",
        symbol: "circle",
        symbolSize: 9,
        showSymbol: true,
        showAllSymbol: true,
        lineStyle: { color: colour("--accent"), opacity: 0.35, width: 2 },
        barCategoryGap: "18%",
        data: hours.map((hour) => (hour.count ? { value: hour.average, itemStyle: { color: colour(hour.average === cheapest ? "--down" : "--accent") } } : null)),
        itemStyle: { borderRadius: 3 },
      },
    ],
  };
}
