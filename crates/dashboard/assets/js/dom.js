// Making elements. Texts become text nodes, never markup: titles are written by strangers.

/** The element with the id. */
export const byId = (id) => document.getElementById(id);

/**
 * An element with properties and children. `class` and `data-..`/`aria-..` become attributes, the
 * rest properties; strings among the children become text nodes.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Sets the text only when it differs, so that selections and screen readers are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
