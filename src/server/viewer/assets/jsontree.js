// JSON out of a log line as a tree that opens and closes. Values are text; nothing is looked up by a name from the line.

import { h, grouped } from "./dom.js";

const CHILDREN_MAX = 500;
const OPEN_DEPTH = 2;

/** The object or array that a line is, or that it ends with after some words; null when there is none. */
export function jsonOf(text) {
  const trimmed = text.trim();
  for (const start of [0, trimmed.indexOf("{"), trimmed.indexOf("[{")]) {
    if (start < 0 || !/^[[{]/.test(trimmed.slice(start, start + 1))) continue;
    try {
      const value = JSON.parse(trimmed.slice(start));
      if (value && typeof value === "object" && Object.keys(value).length > 0) return value;
    } catch {
      // Brackets that are no JSON are common in log lines: try the next place, or none.
    }
  }
  return null;
}

/** The tree of a value. */
export function jsonTree(value, key = null, depth = 0) {
  const label = key === null ? null : h("span", { className: "json-key", textContent: key });
  if (value === null || typeof value !== "object")
    return h(
      "div",
      { className: "json-leaf" },
      label,
      h("span", { className: `json-${value === null ? "null" : typeof value}`, textContent: JSON.stringify(value) }),
    );
  const entries = Array.isArray(value) ? value.map((each, index) => [String(index), each]) : Object.entries(value);
  const brief = Array.isArray(value) ? `[ ${grouped(entries.length)} ]` : `{ ${grouped(entries.length)} }`;
  const details = h(
    "details",
    { className: "json-node", open: depth < OPEN_DEPTH },
    h("summary", {}, label, h("span", { className: "json-brief", textContent: brief })),
  );
  const fill = () => {
    if (details.childElementCount > 1) return;
    const shown = entries.slice(0, CHILDREN_MAX).map(([name, each]) => jsonTree(each, name, depth + 1));
    const rest = entries.length - shown.length;
    details.append(
      h(
        "div",
        { className: "json-children" },
        ...shown,
        rest > 0 ? h("div", { className: "json-brief", textContent: `${grouped(rest)} more` }) : null,
      ),
    );
  };
  if (details.open) fill();
  else details.addEventListener("toggle", fill, { once: true });
  return details;
}
