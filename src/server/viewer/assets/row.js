// One row of the list: level bar, time, level word, source, text. Elements are made once and filled again and again.

import { FLAG } from "./chunk.js";
import { withoutPrefix, parseAnsi, renderText } from "./ansi.js";
import { grouped, h, setText } from "./dom.js";
import { severityOf } from "./levels.js";
import { origins } from "./origins.js";
import { highlights } from "./search.js";
import { KIND } from "./store.js";

/** Characters of a line that a row holds; the rest of it is in the expanded row and in the details. */
const ROW_CHARACTERS = 700;

/** The text of a row as lines of the screen, at most `columns` wide. */
export function screenLines(text, columns) {
  const parsed = parseAnsi(text);
  const lines = [];
  let from = 0;
  for (const line of parsed.plain.split("\n")) {
    const end = from + line.length;
    for (let at = from; at === from || at < end; at += columns) lines.push([at, Math.min(at + columns, end)]);
    from = end + 1;
  }
  return { parsed, lines };
}

/**
 * A line as a row shows it: a JSON object as its message and then `key=value`, dimmed; others without what the columns
 * show already. Expanded rows and the details have all of it, and so has every row when lines are shown as written:
 * then that part is only dimmed.
 */
function brief(text, written) {
  if (written) return withoutPrefix(parseAnsi(text), false);
  const json = text.startsWith("{") && text.endsWith("}") ? briefJson(text) : null;
  return json ?? withoutPrefix(parseAnsi(text), true);
}

const MESSAGE_KEYS = ["message", "msg", "@m", "short_message", "event", "body"];
/** What columns show already. */
const COLUMN_KEYS = new Set(["time", "timestamp", "ts", "@timestamp", "@t", "level", "severity", "lvl", "@l", "v"]);

function briefJson(text) {
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const key = MESSAGE_KEYS.find((each) => typeof json[each] === "string" && json[each] !== "");
  if (key === undefined) return null;
  const rest = Object.entries(json).filter(([name]) => name !== key && !COLUMN_KEYS.has(name));
  const message = parseAnsi(json[key]);
  const words = rest
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("  ");
  const plain = parseAnsi(words).plain;
  const start = message.plain.length;
  const dim = { start, end: start + plain.length + 2, classes: "a-dim", color: "", background: "" };
  return { plain: `${message.plain}  ${plain}`.trimEnd(), runs: [...message.runs, dim] };
}

/** A reusable row element. */
export class Row {
  constructor(number) {
    this.time = h("span", { className: "time" });
    this.level = h("span", { className: "level" });
    this.source = h("span", { className: "source" });
    this.text = h("span", { className: "text" });
    this.fold = h("span", { className: "fold", hidden: true });
    this.element = h(
      "div",
      { className: "row", role: "option", id: `row-${number}` },
      this.time,
      this.level,
      this.source,
      this.text,
      this.fold,
    );
    // What the element shows now.
    this.signature = "";
    this.row = null;
    this.index = null;
    this.length = null;
    this.chosen = null;
  }

  /** Fills the row with line `line` of a stored row; `context` has what all rows of a rendering share. */
  fill(row, line, index, context) {
    const { store, view } = context;
    const folded = view.folds.get(row) ?? 0;
    const expanded = view.expanded.has(row);
    const signature = `${store.epoch}.${row}.${line}.${folded}.${expanded}.${context.look}`;
    if (signature !== this.signature) {
      this.signature = signature;
      this.row = row;
      if (store.isNotice(row)) this.fillNotice(store.noticeOf(row), context);
      else this.fillLine(row, line, folded, expanded, context);
    }
    this.place(index, context);
  }

  /** Writes only what changed: every write of an attribute makes the browser look at its styles again. */
  place(index, { selected, length, rowHeight, top }) {
    const { element } = this;
    if (this.index !== index) {
      this.index = index;
      element.style.transform = `translateY(${top + index * rowHeight}px)`;
      element.ariaPosInSet = String(index + 1);
    }
    if (this.length !== length) {
      this.length = length;
      element.ariaSetSize = String(length);
    }
    const chosen = this.row === selected;
    if (this.chosen !== chosen) {
      this.chosen = chosen;
      element.ariaSelected = String(chosen);
    }
  }

  fillNotice(notice, { clock, dated }) {
    this.element.className = `row notice notice-${notice.tone}`;
    setText(this.time, `${dated ? `${clock.day(notice.time)} ` : ""}${clock.short(notice.time)}`);
    setText(this.level, "");
    setText(this.source, "");
    setText(this.text, notice.text);
    this.fold.hidden = true;
  }

  fillLine(row, line, folded, expanded, context) {
    const { store, clock, view } = context;
    const at = store.at(row);
    const severity = severityOf(store.severity[at]);
    const origin = origins[store.origin[at]];
    const flags = store.flags(row);
    const continued = line > 0 || store.kind[at] === KIND.CONTINUATION;
    this.element.className = `row l-${severity.css}${continued ? " continued" : ""}${flags & FLAG.CONTEXT ? " context" : ""}`;
    this.time.textContent =
      line > 0
        ? ""
        : context.dated
          ? `${clock.day(store.time[at])} ${context.narrow ? clock.short(store.time[at]) : clock.time(store.time[at])}`
          : context.narrow
            ? clock.short(store.time[at])
            : clock.time(store.time[at]);
    this.time.classList.toggle("derived", (flags & FLAG.TIME_NOT_FROM_LINE) !== 0);
    setText(this.level, line > 0 ? "" : severity.word);
    setText(this.source, line > 0 ? "" : origin.name);
    this.source.style.setProperty("--hue", origin.hue);
    this.fillText(row, line, folded, expanded, view, context);
  }

  fillText(row, line, folded, expanded, view, { store, columns, written }) {
    const text = store.text(row);
    if (expanded) {
      const { parsed, lines } = screenLines(text, columns);
      renderText(this.text, parsed, highlights(view.filter.terms, parsed.plain), ...(lines[line] ?? [0, 0]));
      this.badge(line === 0, folded, true, lines.length - 1);
      return;
    }
    const newline = text.indexOf("\n");
    const first = newline < 0 ? text : text.slice(0, newline);
    const parsed = brief(first.length > ROW_CHARACTERS ? `${first.slice(0, ROW_CHARACTERS)}…` : first, written);
    renderText(this.text, parsed, highlights(view.filter.terms, parsed.plain));
    const inner = newline < 0 ? 0 : text.split("\n").length - 1;
    this.badge(true, folded, false, inner);
  }

  /** How many lines are folded here, as something to click. */
  badge(shown, folded, expanded, inner) {
    const count = folded + inner;
    this.fold.hidden = !shown || count === 0;
    if (!this.fold.hidden)
      setText(this.fold, expanded ? "fold" : `+${grouped(count)} ${count === 1 ? "line" : "lines"}`);
  }
}
