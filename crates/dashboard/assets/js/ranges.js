// The time ranges.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const midnight = (now, days) => {
  const at = new Date(now);
  at.setHours(0, 0, 0, 0);
  at.setDate(at.getDate() + days); // by the calendar: a day may have 23 or 25 hours
  return at;
};

/** Every range: name, label, long label, `only` for one shape of prices, and what it spans. */
export const ranges = [
  { id: "1h", label: "1 h", title: "Last hour", only: "quote", back: HOUR },
  { id: "6h", label: "6 h", title: "Last 6 hours", only: "quote", back: 6 * HOUR },
  { id: "2d", label: "Today + tomorrow", brief: "2 days", title: "Today and tomorrow", only: "schedule" },
  { id: "future", label: "Ahead", title: "From now on", only: "schedule" },
  { id: "24h", label: "24 h", title: "Last 24 hours", back: DAY },
  { id: "7d", label: "7 d", title: "Last 7 days", back: 7 * DAY },
  { id: "30d", label: "30 d", title: "Last 30 days", back: 30 * DAY },
  { id: "all", label: "All", title: "Everything" },
  { id: "custom", label: "Custom", title: "From … to …" },
];

/** The ranges that make sense for a monitor. */
export const rangesFor = (schedule) => ranges.filter((range) => !range.only || range.only === (schedule ? "schedule" : "quote"));

/** `{from, to}` as dates or null. Ranges that look back stay open to what lies ahead. */
export function span(state, now = Date.now()) {
  const range = ranges.find((one) => one.id === state.range);
  switch (state.range) {
    case "custom":
      return { from: state.from, to: state.to };
    case "2d":
      return { from: midnight(now, 0), to: midnight(now, 2) };
    case "future":
      return { from: new Date(Math.floor(now / HOUR) * HOUR), to: null };
    default:
      return { from: range?.back ? new Date(now - range.back) : null, to: null };
  }
}

/** The range to begin with: the shortest usual one that holds something. */
export function firstRange(facet, now = Date.now()) {
  if (!facet?.to) return facet?.schedule ? "2d" : "24h";
  const last = Date.parse(facet.to);
  const usual = facet.schedule ? ["2d", "7d", "30d"] : ["24h", "7d", "30d"];
  const holds = (id) => {
    const { from, to } = span({ range: id }, now);
    return last > from && (!to || Date.parse(facet.from ?? facet.to) < to);
  };
  return usual.find(holds) ?? "all";
}
