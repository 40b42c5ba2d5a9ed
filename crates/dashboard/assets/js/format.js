// Numbers, prices and times for people, in the viewer's language and time zone.

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const formatters = new Map();
function numberFormat(options) {
  const key = JSON.stringify(options);
  if (!formatters.has(key)) formatters.set(key, new Intl.NumberFormat(undefined, options));
  return formatters.get(key);
}
const digits = (count) => ({ minimumFractionDigits: count, maximumFractionDigits: count });

const isCurrency = (unit) => /^[A-Z]{3}$/.test(unit);

function currencyFormat(unit, count) {
  try {
    return numberFormat({ style: "currency", currency: unit, currencyDisplay: "narrowSymbol", ...digits(count) });
  } catch {
    return null; // three letters that are no currency
  }
}

/** How many digits a calculated price deserves: cents for money, about four figures for the rest. */
function worth(value, unit) {
  if (isCurrency(unit)) return 2;
  const size = Math.abs(value);
  return size >= 1000 ? 1 : size >= 10 ? 2 : 3;
}

/** `{number, unit}` of a calculated price; the unit is empty where the number already has it. */
export function priceParts(value, unit, count = worth(value, unit)) {
  const currency = isCurrency(unit) ? currencyFormat(unit, count) : null;
  if (currency) return { number: currency.format(value), unit: "" };
  return { number: numberFormat(digits(count)).format(value), unit };
}

/** A calculated price with its unit. */
export function price(value, unit, count) {
  const parts = priceParts(value, unit, count);
  return parts.unit ? `${parts.number} ${parts.unit}` : parts.number;
}

/** An exact price, decimal text: every digit stays. */
export function exact(text, unit) {
  if (!/^-?\d+(\.\d+)?$/.test(text)) return unit ? `${text} ${unit}` : text;
  const count = Math.min(text.split(".")[1]?.length ?? 0, 20);
  // Given as text, so that no digit is lost on the way through a binary number.
  const currency = isCurrency(unit) ? currencyFormat(unit, Math.max(count, 0)) : null;
  if (currency) return currency.format(text);
  return `${numberFormat(digits(count)).format(text)}${unit ? ` ${unit}` : ""}`;
}

/** A price on an axis: as short as its steps allow. */
export function axisPrice(value, step) {
  const count = step >= 1 || step === 0 ? 0 : Math.min(6, Math.ceil(-Math.log10(step)));
  return numberFormat({ ...digits(count), notation: Math.abs(value) >= 1e6 ? "compact" : "standard" }).format(value);
}

/** A count. */
export const count = (value) => numberFormat({ maximumFractionDigits: 0 }).format(value);

/** A percentage from decimal text such as `-30.0`, with an arrow for those who see no colours. */
export function percent(text) {
  const value = Number(text);
  const size = numberFormat(digits(1)).format(Math.abs(value));
  return `${value < 0 ? "▼" : value > 0 ? "▲" : ""} ${size} %`.trim();
}

const times = {
  minute: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }),
  second: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
  year: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" }),
  weekday: new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" }),
  full: new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" }),
};

/** Hour and minute. */
export const minute = (at) => times.minute.format(at);
/** With seconds. */
export const second = (at) => times.second.format(at);
/** Day and month, with the year where it is not this one. */
export const day = (at) => (new Date(at).getFullYear() === new Date().getFullYear() ? times.day : times.year).format(at);
/** Weekday, day and month. */
export const weekday = (at) => times.weekday.format(at);
/** Everything, for titles. */
export const full = (at) => times.full.format(at);
/** Day and minute. */
export const moment = (at) => `${day(at)}, ${minute(at)}`;

/** How long ago, roughly. */
export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

const monday = Date.UTC(2024, 0, 1);
const dayName = new Intl.DateTimeFormat(undefined, { weekday: "short", timeZone: "UTC" });
/** Names of the days, Monday first. */
export const weekdays = Array.from({ length: 7 }, (_, at) => dayName.format(monday + at * 86_400_000));

/** A monitor's id as people call it: the namespace `default` goes without saying. */
export const monitorName = (id) => id.replace(/^default\./, "");

/** The address if a link may lead there, else null. */
export function link(address) {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
