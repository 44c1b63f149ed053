// Runs before the first paint, so that a chosen theme does not flash the other one; the rest of it is in theme.js. And
// says so when the rest of the scripts does not arrive: an empty page would tell nothing.
try {
  const theme = localStorage.getItem("logtap-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage can be switched off; then the system's theme it is.
}

addEventListener(
  "error",
  async ({ target }) => {
    if (target.tagName !== "SCRIPT") return;
    while (document.readyState === "loading") await new Promise((resolve) => setTimeout(resolve, 20));
    document.getElementById("empty").hidden = false;
    document.getElementById("empty-title").textContent = "The viewer did not load";
    document.getElementById("empty-text").textContent =
      "The server or something before it refused its scripts. A proxy has to pass the Host header on as it came.";
  },
  true,
);
