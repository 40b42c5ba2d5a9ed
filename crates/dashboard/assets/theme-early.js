// Before anything is drawn, so that a chosen theme never flashes in the other one.
try {
  const theme = localStorage.getItem("pricemonitor-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
