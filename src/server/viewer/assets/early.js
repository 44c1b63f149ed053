// Runs before the first paint, so that a chosen theme does not flash the other one. The rest of it is in theme.js.
try {
  const theme = localStorage.getItem("logtap-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage can be switched off; then the system's theme it is.
}
