// From the server's lines to what is drawn: steps for slots, gaps where nothing was seen.

const MINUTE = 60_000;

const middle = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** `[time, price]` pairs of a line, with nulls at gaps and slots drawn to their end. */
export function pairs(line, bucket) {
  const points = line.points.map((point) => [Date.parse(point.at), point.price]);
  if (points.length === 0) return points;
  const steps = points.slice(1).map(([at], index) => at - points[index][0]).filter((step) => step > 0);
  const usual = bucket || (steps.length ? middle(steps) : line.schedule ? 60 * MINUTE : MINUTE);
  // Slots follow each other without a break; listings are seen when they are seen.
  const gap = line.schedule ? Math.max(usual * 1.5, bucket ? 0 : 90 * MINUTE) : Math.max(usual * 30, 15 * MINUTE);
  const drawn = [];
  points.forEach((point, index) => {
    const before = points[index - 1];
    if (before && point[0] - before[0] > gap) {
      if (line.schedule) drawn.push([before[0] + usual, before[1]]);
      drawn.push([before[0] + usual, null]);
    }
    drawn.push(point);
  });
  if (line.schedule) {
    const last = points[points.length - 1];
    const span = bucket || (steps.length ? steps[steps.length - 1] : 60 * MINUTE);
    drawn.push([last[0] + Math.min(span, usual * 1.5), last[1]]);
  }
  return drawn;
}

/** The point of a line that holds at an instant, or null. */
export function pointAt(line, at, bucket) {
  const points = line.points;
  let [low, high] = [0, points.length];
  while (low < high) {
    const half = (low + high) >> 1;
    if (Date.parse(points[half].at) <= at) low = half + 1;
    else high = half;
  }
  const found = points[low - 1];
  if (!found) return null;
  const age = at - Date.parse(found.at);
  const next = points[low] ? Date.parse(points[low].at) - Date.parse(found.at) : Infinity;
  const holds = line.schedule ? Math.max(bucket, 90 * MINUTE) : Math.max(bucket, 30 * MINUTE);
  return age <= Math.min(next, holds) || (next !== Infinity && age <= next && next <= holds * 4) ? found : null;
}

/** Lowest and highest price of lines. */
export function extent(lines) {
  let [low, high] = [Infinity, -Infinity];
  for (const line of lines) {
    for (const { price } of line.points) {
      if (price < low) low = price;
      if (price > high) high = price;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

/** Gives each series a colour that stays its own while it is shown. */
export class Colours {
  #taken = new Map();

  /** The index of the series' colour. */
  of(series) {
    return this.#taken.get(series) ?? 0;
  }

  /** Frees the colours of series that left, gives free ones to those that came. */
  assign(all) {
    for (const series of this.#taken.keys()) if (!all.includes(series)) this.#taken.delete(series);
    const used = new Set(this.#taken.values());
    let next = 0;
    for (const series of all) {
      if (this.#taken.has(series)) continue;
      while (used.has(next)) next += 1;
      this.#taken.set(series, next);
      used.add(next);
    }
  }
}
