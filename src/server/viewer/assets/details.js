// Everything about one entry: its text in full, its times, fields, JSON, and the lines around it.

import { parseAnsi, renderText, withoutPrefix } from "./ansi.js";
import { FLAG } from "./chunk.js";
import { copyText, h, plural } from "./dom.js";
import { jsonOf, jsonTree } from "./jsontree.js";
import { severityOf } from "./levels.js";
import { highlights } from "./search.js";
import { rfc3339 } from "./time.js";

const CONTEXT_LINES = 10;
/** Characters of one entry that are shown; `copy` has all of them. */
const TEXT_MAX = 200_000;

const FLAG_WORDS = [
  [FLAG.TRUNCATED, "cut at the line limit"],
  [FLAG.JOINED, "several lines joined"],
  [FLAG.INVALID_UTF8, "not valid UTF-8"],
  [FLAG.TIME_NOT_FROM_LINE, "time not from the line"],
  [FLAG.UNTERMINATED, "no line end yet"],
  [FLAG.CONTEXT, "context"],
  [FLAG.CRLF, "ends with CR LF"],
  [FLAG.AFTER_GAP, "lines are missing before it"],
  [FLAG.PROVISIONAL, "may be continued"],
];

export class Details {
  /**
   * `resolve(row, signal)` asks the server for cursor and fields, `continuation(entry, signal)` for the lines that
   * continue it, `context(entry, count, signal)` for the lines around; `link(entry)` is the address of an entry,
   * `onWhere(pair)` filters by a field, `onContext(entry)` shows the file there.
   */
  constructor({ root, body, store, ...calls }) {
    Object.assign(this, { root, body, store, ...calls });
    this.abort = new AbortController();
    this.entry = null;
    this.trace = [];
  }

  get isOpen() {
    return !this.root.hidden;
  }

  /** Shows a row; what only the server knows follows when it answers. */
  show(row, clock, terms) {
    this.abort.abort();
    this.abort = new AbortController();
    this.clock = clock;
    this.terms = terms;
    this.root.hidden = false;
    this.entry = this.store.entry(row);
    this.trace = [];
    this.resolved = this.complete(row, this.abort.signal);
    this.render();
    this.body.scrollTop = 0;
  }

  close() {
    this.abort.abort();
    this.root.hidden = true;
    this.entry = null;
  }

  async complete(row, signal) {
    try {
      const entry = await this.resolve(row, signal);
      if (signal.aborted) return null;
      this.entry = entry;
      this.renderFields();
      if (entry.cursor) this.completeTrace(entry, signal);
      return entry;
    } catch (error) {
      if (!signal.aborted) this.announce(`Fields are not available: ${error.message}`);
      return null;
    }
  }

  /** The rest of a stack trace belongs to its first line, also where the list shows that one alone. */
  async completeTrace(entry, signal) {
    try {
      const trace = await this.continuation(entry, signal);
      if (signal.aborted || trace.length === 0) return;
      this.trace = trace;
      this.renderMessage();
    } catch {
      // The lines around can still be asked for, and then it is said what is wrong.
    }
  }

  /** The entry's text with the lines that continue it. */
  get whole() {
    return [this.entry.message, ...this.trace].join("\n");
  }

  render() {
    const { entry, clock } = this;
    const severity = severityOf(entry.severity);
    const flags = FLAG_WORDS.filter(([bit]) => entry.flags & bit).map(([, words]) => words);
    const facts = [
      ["Time", clock.full(entry.nanos)],
      ["Level", severity.word || "none"],
      ["Source", entry.source],
      ["File", entry.path],
      ...(flags.length > 0 ? [["Notes", flags.join(", ")]] : []),
    ];
    this.message = h("pre", { className: `message l-${severity.css}`, tabIndex: 0, "aria-label": "Message" });
    const json = jsonOf(this.renderMessage());
    this.fields = h("div", { className: "fields" });
    this.around = h("div", { className: "around" });
    this.body.replaceChildren(
      h(
        "dl",
        { className: "facts" },
        ...facts.flatMap(([name, value]) => [
          h("dt", { textContent: name }),
          h("dd", { textContent: value, className: name === "Level" ? `l-${severity.css} level-word` : "" }),
        ]),
      ),
      this.message,
      ...(json ? [h("h3", { textContent: "JSON" }), h("div", { className: "json" }, jsonTree(json))] : []),
      this.fields,
      h("h3", { textContent: "Around this line" }),
      this.contextButtons(),
      this.around,
    );
    this.renderFields();
  }

  renderMessage() {
    const { whole } = this;
    // The lines of a trace are read down their beginnings.
    this.message.classList.toggle("lines", whole.includes("\n"));
    const parsed = parseAnsi(whole.length > TEXT_MAX ? `${whole.slice(0, TEXT_MAX)}…` : whole);
    renderText(this.message, parsed, highlights(this.terms, parsed.plain));
    return parsed.plain;
  }

  contextButtons() {
    const around = h("button", {
      type: "button",
      className: "quiet",
      textContent: `Show ${CONTEXT_LINES} before and after`,
    });
    around.addEventListener("click", () => this.showContext());
    const inPlace = h("button", { type: "button", className: "quiet", textContent: "Open in the file" });
    inPlace.addEventListener("click", async () => {
      const entry = await this.resolved;
      if (entry?.cursor) this.onContext(entry);
      else this.announce("This line cannot be found in its file any more");
    });
    return h("div", { className: "buttons" }, around, inPlace);
  }

  renderFields() {
    const { fields } = this.entry;
    if (fields.length === 0) {
      this.fields.replaceChildren();
      return;
    }
    const rows = [...fields]
      .sort((a, b) => (a[0] < b[0] ? -1 : 1))
      .map(([key, value]) => {
        const filter = h("button", {
          type: "button",
          className: "field-value",
          textContent: value === "" ? '""' : value,
          title: `Only lines where ${key} is this`,
        });
        filter.addEventListener("click", () => this.onWhere(`${key}=${value}`));
        return h("tr", {}, h("th", { scope: "row", textContent: key }), h("td", {}, filter));
      });
    this.fields.replaceChildren(h("h3", { textContent: "Fields" }), h("table", {}, h("tbody", {}, ...rows)));
  }

  /** Loads the lines of the same file around this one, whatever the list is filtered by. */
  async showContext() {
    const { signal } = this.abort;
    this.around.replaceChildren(h("p", { className: "hint", textContent: "Loading…" }));
    try {
      const entry = await this.resolved;
      if (!entry?.cursor) throw new Error("this line cannot be found in its file any more");
      const { before, after } = await this.context(entry, CONTEXT_LINES, signal);
      if (signal.aborted) return;
      const list = h(
        "ol",
        { className: "context-lines" },
        ...before.map((each) => this.contextLine(each)),
        this.contextLine(entry, true),
        ...after.map((each) => this.contextLine(each)),
      );
      this.around.replaceChildren(list);
      this.announce(`${plural(before.length, "line")} before and ${plural(after.length, "line")} after`);
    } catch (error) {
      if (!signal.aborted)
        this.around.replaceChildren(h("p", { className: "hint", textContent: `Not available: ${error.message}` }));
    }
  }

  contextLine(entry, current = false) {
    const text = h("span", { className: "text" });
    renderText(text, withoutPrefix(parseAnsi(entry.message.slice(0, 2_000)), true), []);
    const time = h("span", { className: "time", textContent: this.clock.short(Number(entry.nanos / 1_000_000n)) });
    return h("li", { className: `l-${severityOf(entry.severity).css}${current ? " current" : ""}` }, time, text);
  }

  async copyLine() {
    if (this.entry)
      this.announce((await copyText(this.whole)) ? "Line copied" : "The browser did not let the line be copied");
  }

  /** Copies the address of this entry. The cursor comes from the server when the row has none of its own. */
  async copyLink() {
    const entry = await this.resolved;
    if (!entry?.cursor) this.announce("This line cannot be linked to: it is not in its file any more");
    else
      this.announce(
        (await copyText(this.link({ cursor: entry.cursor, time: rfc3339(entry.nanos) })))
          ? "Link copied"
          : "The browser did not let the link be copied",
      );
  }
}
