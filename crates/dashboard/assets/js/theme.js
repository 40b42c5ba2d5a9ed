// Dark and light, and the colours that charts draw with.

import { byId } from "./dom.js";

const KEY = "pricemonitor-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const listeners = new Set();

/** Whether the page is dark now. */
export const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

/** Calls back when the theme changes. */
export const onTheme = (listener) => listeners.add(listener);

const probe = document.createElement("i");
/** A custom property's colour as it is drawn now. */
export function colour(name) {
  if (!probe.isConnected) {
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** Colours of lines: told apart by people with every kind of colour vision as well as twelve can be. */
const LINES = {
  light: ["#2f5fde", "#d4580c", "#0d8a63", "#b8338a", "#7a4fd0", "#0e86a8", "#a67c00", "#c23a3a", "#5f7a1e", "#8a5a44", "#4f6b95", "#666f7d"],
  dark: ["#86a8ff", "#ff9a57", "#45cfa0", "#f281c6", "#b99aff", "#4fc9e8", "#e8c14a", "#ff8a85", "#b2d159", "#d3a48c", "#9db8de", "#a9b3c1"],
};
export const lineColour = (index) => {
  const colours = isDark() ? LINES.dark : LINES.light;
  return colours[index % colours.length];
};

function show() {
  const button = byId("theme");
  button.dataset.dark = isDark();
  button.setAttribute("aria-label", isDark() ? "Switch to the light theme" : "Switch to the dark theme");
  button.title = button.getAttribute("aria-label");
  for (const listener of listeners) listener();
}

/** Wires the button and follows the system until somebody chooses. */
export function startTheme() {
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {
      // Not kept then.
    }
    show();
  });
  system.addEventListener("change", show);
  show();
}
