// What all charts share: a canvas that follows its box and the theme, and safe texts.

import { init } from "../../vendor/echarts.mjs";
import { colour, onTheme } from "../theme.js";

const FONT = getComputedStyle(document.documentElement).getPropertyValue("--font").trim();

/** A chart in a box. `describe` is what it says to those who do not see it. */
export class Chart {
  #redraw = () => {};
  #series = "";

  constructor(element) {
    this.element = element;
    this.chart = init(element, null, { renderer: "canvas" });
    new ResizeObserver(() => this.chart.resize()).observe(element);
    onTheme(() => this.#redraw());
  }

  /** Draws, and draws again when the theme changes. */
  draw(option, description) {
    this.#redraw = () => {
      const drawn = { animation: false, textStyle: { fontFamily: FONT }, ...option() };
      // An open tooltip remembers series by their places; with other series it must close first.
      const series = drawn.series.map((one) => one.id).join();
      if (series !== this.#series) this.chart.dispatchAction({ type: "hideTip" });
      this.#series = series;
      this.chart.setOption(drawn, { replaceMerge: ["series"] });
    };
    this.#redraw();
    this.element.setAttribute("aria-label", description);
  }
}

/** A stranger's text for a canvas: one line, not too long, and without the braces of rich text. */
export function plain(text, length = 60) {
  const line = text.replaceAll("{", "(").replaceAll("}", ")").replaceAll("|", "/").replace(/[\s\p{Cc}]+/gu, " ").trim();
  const letters = Array.from(line);
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : line;
}

/** A tooltip drawn on the canvas: no HTML anywhere. */
export function tooltip(more) {
  return {
    renderMode: "richText",
    confine: true,
    backgroundColor: colour("--surface"),
    borderColor: colour("--line-strong"),
    borderWidth: 1,
    padding: [10, 12],
    textStyle: {
      color: colour("--text"),
      fontSize: 13,
      lineHeight: 20,
      rich: {
        time: { color: colour("--soft"), fontSize: 12, lineHeight: 20 },
        value: { fontWeight: "bold" },
        soft: { color: colour("--soft") },
      },
    },
    ...more,
  };
}

/** An axis in the page's colours. */
export function axis(more) {
  return {
    axisLine: { lineStyle: { color: colour("--line-strong") } },
    axisTick: { show: false },
    axisLabel: { color: colour("--soft"), fontSize: 12, hideOverlap: true, ...more?.axisLabel },
    splitLine: { lineStyle: { color: colour("--grid") } },
    nameTextStyle: { color: colour("--soft"), fontSize: 12 },
    ...Object.fromEntries(Object.entries(more ?? {}).filter(([key]) => key !== "axisLabel")),
  };
}

/** Distance between an axis' labels. */
export function stepOf(low, high, parts = 5) {
  const rough = (high - low) / parts;
  return rough > 0 ? 10 ** Math.floor(Math.log10(rough)) : 1;
}
