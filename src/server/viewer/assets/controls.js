// The controls above the list: level chips, search field, time range. They show the selection and ask for another.

import { byId, grouped, h, setText } from "./dom.js";
import { CHIPS, ERROR_MIN, levelRange, severityOf, SEVERITIES } from "./levels.js";
import { parseTime } from "./time.js";

const TYPING_MS = 160;
const RANGES = [
  ["", "Newest lines"],
  ["5m", "Last 5 minutes"],
  ["15m", "Last 15 minutes"],
  ["1h", "Last hour"],
  ["6h", "Last 6 hours"],
  ["24h", "Last 24 hours"],
  ["7d", "Last 7 days"],
];

export class Controls {
  /** `selection()` is the present one, `onChange(patch)` asks for another. */
  constructor({ selection, onChange, clock }) {
    Object.assign(this, { selection, onChange, clock });
    this.search = byId("search");
    this.chips = CHIPS.map((chip, index) => this.makeChip(chip, index));
    this.none = h(
      "span",
      { className: "chip plain" },
      h("span", { className: "chip-name", textContent: "No level" }),
      h("span", { className: "chip-count" }),
    );
    byId("chips").prepend(...this.chips.map(({ element }) => element), this.none);
    this.range = byId("range");
    this.range.append(...RANGES.map(([value, textContent]) => h("option", { value, textContent })));
    this.listen();
  }

  listen() {
    let timer = 0;
    const changed = () => {
      clearTimeout(timer);
      if (this.search.value !== this.selection().q) this.onChange({ q: this.search.value });
    };
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(changed, TYPING_MS);
    });
    this.search.addEventListener("change", changed);
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") changed();
    });
    this.range.addEventListener("change", () => this.onChange({ since: this.range.value, until: "" }));
    byId("errors").addEventListener("click", () => this.toggleErrors());
  }

  makeChip(chip, index) {
    const count = h("span", { className: "chip-count", textContent: "0" });
    const element = h(
      "button",
      {
        type: "button",
        className: `chip l-${chip.css}`,
        "aria-pressed": "false",
        title: `${chip.label} and above (${index + 1}); with Shift only ${chip.label.toLowerCase()}`,
      },
      h("span", { className: "chip-bar" }),
      h("span", { className: "chip-name", textContent: chip.label }),
      count,
    );
    element.addEventListener("click", (event) => this.chooseLevel(index, event.shiftKey));
    return { ...chip, element, count };
  }

  /** A level and above; that level alone with `only`; chosen twice it is all levels again. */
  chooseLevel(index, only = false) {
    const chip = CHIPS[index];
    const level = only ? `${chip.from}..${chip.to}` : chip.from;
    this.onChange({ level: this.selection().level === level ? "" : level });
  }

  toggleErrors() {
    this.onChange({ level: this.selection().level === "error" ? "" : "error" });
  }

  /** Shows a selection. */
  show(selection, problem) {
    if (document.activeElement !== this.search && this.search.value !== selection.q) this.search.value = selection.q;
    this.search.ariaInvalid = String(Boolean(problem));
    setText(byId("search-problem"), problem ?? "");
    const range = levelRange(selection.level);
    for (const { element, from } of this.chips) {
      const { number } = SEVERITIES.find(({ name }) => name === from);
      const inside = !range || (number >= range.min && number <= range.max);
      element.ariaPressed = String(Boolean(range) && inside);
      element.classList.toggle("off", !inside);
    }
    this.none.classList.toggle("off", Boolean(range));
    byId("errors").ariaPressed = String(selection.level === "error");
    this.showRange(selection);
    this.showFilters(selection);
  }

  showRange({ since, until }) {
    const known = until === "" && RANGES.some(([value]) => value === since);
    this.range.querySelector("[data-span]")?.remove();
    if (!known) {
      const words = [since, until].map((text) =>
        text ? `${this.clock().day(parseTime(text))} ${this.clock().short(parseTime(text))}` : "…",
      );
      this.range.append(h("option", { value: since, textContent: words.join(" – "), "data-span": "" }));
      this.range.selectedIndex = this.range.options.length - 1;
    } else this.range.value = since;
  }

  /** What is selected beyond levels and search, each with a button that takes it away. */
  showFilters(selection) {
    const chips = [];
    const add = (label, patch) => {
      const remove = h(
        "button",
        { type: "button", className: "filter-chip", "aria-label": `Remove the filter ${label}` },
        h("span", { textContent: label }),
        h("span", { className: "x", "aria-hidden": "true", textContent: "×" }),
      );
      remove.addEventListener("click", () => this.onChange(patch));
      chips.push(remove);
    };
    for (const pair of selection.where) add(pair, { where: selection.where.filter((each) => each !== pair) });
    if (selection.paths.length > 0)
      add(selection.paths.length === 1 ? selection.paths[0] : `${selection.paths.length} files`, {
        paths: [],
        sources: [],
      });
    else if (selection.sources.length > 0)
      add(selection.sources.length === 1 ? selection.sources[0] : `${selection.sources.length} sources`, {
        sources: [],
      });
    const root = byId("filters");
    root.replaceChildren(...chips);
    root.hidden = chips.length === 0;
  }

  /** Counts of the loaded rows. */
  count(store) {
    const counts = new Uint32Array(CHIPS.length);
    let errors = 0;
    for (let number = 1; number < 256; number += 1) {
      const count = store.counts[number];
      if (count === 0) continue;
      const chip = CHIPS.findIndex(({ css }) => css === severityOf(number).css);
      if (chip >= 0) counts[chip] += count;
      if (number >= ERROR_MIN) errors += count;
    }
    this.chips.forEach(({ element, count }, index) => {
      setText(count, shortCount(counts[index]));
      element.classList.toggle("zero", counts[index] === 0);
    });
    setText(this.none.lastChild, shortCount(store.counts[0]));
    this.none.hidden = store.counts[0] === 0;
    setText(byId("errors-count"), shortCount(errors));
    byId("errors-count").hidden = errors === 0;
    setText(byId("loaded"), store.lines === 0 ? "" : `of ${grouped(store.lines)} loaded`);
  }
}

/** A count that keeps its width: `9,999`, then `10.0k`. */
function shortCount(count) {
  return count < 10_000 ? grouped(count) : `${(count / 1000).toFixed(count < 100_000 ? 1 : 0)}k`;
}
