// What the list shows of the store: rows that match, traces folded under their first line, expanded rows as several
// lines. Kept up to date by small steps: appended rows are looked at once, and a new filter works from the newest row
// back in slices, so that the screen is right long before the last of 100,000 rows has been searched.

import { FLAG } from "./chunk.js";
import { KIND } from "./store.js";

const ITEMS_MAX = 1 << 18;
/** Rows looked at between two looks at the clock. */
const STRIDE = 256;
/** Lines of one expanded row; the rest is for the details pane. */
const EXPANDED_LINES_MAX = 500;

const MATCHES = 1;
const DIFFERS = 2;

export class View {
  /** `lines(row)` cuts an expanded row's text into lines of the screen. */
  constructor(store, lines) {
    this.store = store;
    this.lines = lines;
    this.filter = { all: true, row: () => true, text: null, terms: [] };
    this.folding = true;
    this.expanded = new Set();
    this.rowOf = new Int32Array(ITEMS_MAX);
    this.lineOf = new Uint16Array(ITEMS_MAX);
    this.epoch = -1;
    this.version = 0;
    this.reset();
  }

  reset() {
    if (this.epoch !== this.store.epoch) this.expanded.clear();
    this.epoch = this.store.epoch;
    this.seenHead = this.store.tail;
    this.seenTail = this.store.tail;
    this.empty();
  }

  empty() {
    this.start = 0;
    this.end = 0;
    // Lines folded under a row, by row.
    this.folds = new Map();
    this.chain = { head: null, next: null };
    this.version += 1;
  }

  get length() {
    return this.end - this.start;
  }

  /** Whether every loaded row has been looked at. */
  get complete() {
    return this.seenHead <= this.store.head;
  }

  row(index) {
    return this.rowOf[this.start + index];
  }

  line(index) {
    return this.lineOf[this.start + index];
  }

  setFilter(filter) {
    this.filter = filter;
    this.store.match.fill(0);
    this.reset();
  }

  setFolding(folding) {
    this.folding = folding;
    this.expanded.clear();
    this.rebuild();
  }

  /** Shows or hides what is folded under a row, and the rest of a long line. */
  toggle(row) {
    if (!this.expanded.delete(row)) this.expanded.add(row);
    this.rebuild();
  }

  /** Catches up with the store, for `budget` milliseconds at most. Returns whether anything changed. */
  sync(budget) {
    const { store } = this;
    const before = this.version;
    if (this.epoch !== store.epoch) this.reset();
    if (this.seenTail > store.tail) this.cutBack();
    this.cutFront();
    for (let row = this.seenTail; row < store.tail; row += 1) if (this.examine(row)) this.emit(row);
    if (this.seenTail !== store.tail) this.version += 1;
    this.seenTail = store.tail;
    this.searchBack(budget);
    return this.version !== before;
  }

  cutBack() {
    this.seenTail = this.store.tail;
    this.seenHead = Math.min(this.seenHead, this.seenTail);
    this.rebuild();
  }

  cutFront() {
    const { head } = this.store;
    const start = this.start;
    while (this.start < this.end && this.rowOf[this.start] < head) this.start += 1;
    if (this.start !== start) this.version += 1;
    for (const row of this.folds.keys()) {
      if (row >= head) break;
      this.folds.delete(row);
    }
    this.seenHead = Math.max(this.seenHead, head);
    this.seenTail = Math.max(this.seenTail, head);
  }

  searchBack(budget) {
    const { store } = this;
    if (this.seenHead <= store.head) return;
    const until = performance.now() + budget;
    let found = 0;
    while (this.seenHead > store.head) {
      const stop = Math.max(store.head, this.seenHead - STRIDE);
      while (this.seenHead > stop) {
        this.seenHead -= 1;
        if (this.examine(this.seenHead)) found += 1;
      }
      if (performance.now() > until) break;
    }
    if (found > 0) this.rebuild();
    else this.version += 1;
  }

  /** Whether a row matches; remembered, for the next rebuild. */
  examine(row) {
    const { store, filter } = this;
    const at = store.at(row);
    if (store.match[at] === 0) {
      const matches =
        store.kind[at] === KIND.NOTICE ||
        (filter.row(store, at) && (filter.text === null || filter.text(store.text(row))));
      store.match[at] = matches ? MATCHES : DIFFERS;
    }
    return store.match[at] === MATCHES;
  }

  rebuild() {
    this.empty();
    const { store } = this;
    for (let row = this.seenHead; row < this.seenTail; row += 1)
      if (store.match[store.at(row)] === MATCHES) this.emit(row);
  }

  /** Puts a matching row at the end of the list, or folds it under the line that it continues. */
  emit(row) {
    const kind = this.store.kind[this.store.at(row)];
    const head =
      this.folding && (kind === KIND.CONTINUATION || kind === KIND.UNTIMED) ? this.foldHead(row, kind) : null;
    if (head !== null) {
      this.folds.set(head, (this.folds.get(head) ?? 0) + 1);
      this.chain = { head, next: row + 1 };
      if (this.expanded.has(head)) this.push(row, 0);
      return;
    }
    this.chain = { head: row, next: row + 1 };
    const lines = this.expanded.has(row) ? Math.min(this.lines(row).length, EXPANDED_LINES_MAX) : 1;
    for (let line = 0; line < lines; line += 1) this.push(row, line);
  }

  /** The line that a continuation belongs to: the one just before it, of the same file. */
  foldHead(row, kind) {
    const { store, chain } = this;
    if (chain.head === null || chain.next !== row || !store.has(chain.head)) return null;
    const [at, head] = [store.at(row), store.at(chain.head)];
    if (store.kind[head] === KIND.NOTICE || store.origin[at] !== store.origin[head]) return null;
    const timed = (store.flags(chain.head) & FLAG.TIME_NOT_FROM_LINE) === 0;
    return kind === KIND.CONTINUATION || timed ? chain.head : null;
  }

  push(row, line) {
    if (this.end === ITEMS_MAX) {
      if (this.start === 0) return;
      this.rowOf.copyWithin(0, this.start, this.end);
      this.lineOf.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
    }
    this.rowOf[this.end] = row;
    this.lineOf[this.end] = line;
    this.end += 1;
  }

  /** The first index whose row is `row` or newer. */
  indexOf(row) {
    let [low, high] = [this.start, this.end];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.rowOf[middle] < row) low = middle + 1;
      else high = middle;
    }
    return low - this.start;
  }

  /** Items newer than `row`. */
  newerThan(row) {
    return this.length - this.indexOf(row + 1);
  }

  /** The next index from `index` in `direction` whose row passes `test`, or -1. */
  find(index, direction, test) {
    for (let i = index + direction; i >= 0 && i < this.length; i += direction) {
      if (this.line(i) === 0 && test(this.row(i))) return i;
    }
    return -1;
  }
}
