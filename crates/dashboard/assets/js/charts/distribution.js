// How often which prices were seen.

import { byId } from "../dom.js";
import * as format from "../format.js";
import { colour } from "../theme.js";
import { axis, Chart, plain, tooltip } from "./chart.js";

export class DistributionChart {
  #chart = new Chart(byId("distribution-chart"));

  show(bars, unit) {
    const width = bars.length ? bars[0].to - bars[0].from : 1;
    const digits = width >= 1 || width <= 0 ? 0 : Math.min(6, Math.ceil(-Math.log10(width)));
    const most = bars.reduce((best, bar) => (bar.count > best.count ? bar : best), bars[0]);
    const words = most ? `Distribution of prices: most often between ${format.price(most.from, unit)} and ${format.price(most.to, unit)}.` : "No prices.";
    this.#chart.draw(() => option(bars, unit, digits), words);
  }
}

function option(bars, unit, digits) {
  const total = bars.reduce((sum, bar) => sum + bar.count, 0) || 1;
  return {
    grid: { left: 8, right: 14, top: 16, bottom: 22, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: tooltip({
      trigger: "axis",
      axisPointer: { type: "none" },
      formatter: ([parameter]) => {
        const bar = bars[parameter?.dataIndex];
        if (!bar) return "";
        const share = (100 * bar.count) / total;
        return `{time|${plain(format.price(bar.from, unit))} – ${plain(format.price(bar.to, unit))}}\n{value|${format.count(bar.count)}} times  {soft|${share.toFixed(share < 10 ? 1 : 0)} %}`;
      },
    }),
    xAxis: axis({
      type: "category",
      data: bars.map((bar) => bar.from),
      splitLine: { show: false },
      name: plain(unit, 20),
      nameLocation: "middle",
      nameGap: 24,
      axisLabel: { formatter: (from) => format.axisPrice(Number(from), digits ? 10 ** -digits : 1), margin: 8 },
    }),
    yAxis: axis({ type: "value", minInterval: 1, splitNumber: 4, axisLine: { show: false }, axisLabel: { formatter: (value) => format.axisPrice(value, 1) } }),
    series: [
      {
        id: "bars",
        type: "bar",
        barCategoryGap: "12%",
        data: bars.map((bar) => ({ value: bar.count, itemStyle: { color: colour(bar.to <= 0 ? "--down" : "--accent") } })),
        itemStyle: { borderRadius: [3, 3, 0, 0] },
        emphasis: { itemStyle: { opacity: 0.8 } },
      },
    ],
  };
}
