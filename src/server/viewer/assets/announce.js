// What a screen reader is told. Never the lines themselves: a busy log would not let it finish a sentence. It hears
// what the reader did, and now and then how much has come.

import { byId, plural } from "./dom.js";

const SUMMARY_MS = 20_000;

let last = 0;
let lines = 0;
let errors = 0;

/** Says one thing, politely. It is shown for a moment too, for those who see. */
export function announce(text) {
  byId("announcer").textContent = text;
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => {
    toast.hidden = true;
  }, 2_500);
}

/** Counts lines that came, and sums them up at most every 20 seconds. */
export function announceArrivals(newLines, newErrors, now) {
  lines += newLines;
  errors += newErrors;
  if (lines === 0 || now - last < SUMMARY_MS) return;
  byId("announcer").textContent = `${plural(lines, "new line")}${errors > 0 ? `, ${plural(errors, "error")}` : ""}`;
  last = now;
  lines = 0;
  errors = 0;
}
