// The rows that are loaded: a ring of at most `ROWS_MAX` of them, newest at the tail. A row is named by a number that
// never changes while it is loaded; older rows that are loaded later get smaller numbers, below zero too.
//
// Marks are whole-stream cursors at rows. They are where the ring may be cut at either end so that what was cut can be
// asked for again, exactly: `end` a mark for the page before, `resume` a mark for what comes after.

import { FLAG } from "./chunk.js";
import { ERROR_MIN } from "./levels.js";

const CAPACITY = 1 << 17;
/** Rows kept while following; the ring has room beyond it for pages that are loaded meanwhile. */
export const ROWS_MAX = 100_000;
/** Bytes kept, so that a few thousand very long lines cannot fill the memory either. */
const BYTES_MAX = 96 * 1024 * 1024;
/** Marks closer than this replace each other. */
const MARK_SPACING = 256;

/** What a row is. UNTIMED: without time and level, so that it continues the line before it if that one has a time. */
export const KIND = { LINE: 0, CONTINUATION: 1, NOTICE: 2, UNTIMED: 3 };

/** How the lines of a stack trace begin that are not indented. */
const TRACE_START =
  /^(Caused by: |Suppressed: |Traceback \(most recent|During handling of the above|The above exception was|stack backtrace:|goroutine \d+ \[)/;

export class Store {
  constructor() {
    this.severity = new Uint8Array(CAPACITY);
    this.kind = new Uint8Array(CAPACITY);
    this.match = new Uint8Array(CAPACITY);
    this.time = new Float64Array(CAPACITY);
    this.origin = new Uint32Array(CAPACITY);
    this.size = new Uint32Array(CAPACITY);
    this.slot = new Uint32Array(CAPACITY);
    this.chunk = new Array(CAPACITY).fill(null);
    this.clear();
  }

  /** Forgets everything. `epoch` tells views that their row numbers mean nothing any more. */
  clear() {
    this.epoch = (this.epoch ?? 0) + 1;
    this.head = 0;
    this.tail = 0;
    this.bytes = 0;
    this.lines = 0;
    this.days = null;
    this.counts = new Uint32Array(256);
    this.chunk.fill(null);
    // `after`: the first row that the cursor has not passed. `filter`: what the rows up to the next mark were selected by.
    this.marks = [];
  }

  get rows() {
    return this.tail - this.head;
  }

  at(row) {
    return row & (CAPACITY - 1);
  }

  has(row) {
    return row >= this.head && row < this.tail;
  }

  /** Adds newer rows. */
  append(chunk) {
    for (let i = 0; i < chunk.count; i += 1) {
      this.put(this.tail, chunk, i);
      this.tail += 1;
    }
  }

  /** Adds older rows, the chunks in order of time. */
  prepend(chunks) {
    const count = chunks.reduce((sum, chunk) => sum + chunk.count, 0);
    let row = this.head - count;
    this.head = row;
    for (const chunk of chunks) {
      for (let i = 0; i < chunk.count; i += 1) {
        this.put(row, chunk, i);
        row += 1;
      }
    }
  }

  put(row, chunk, i) {
    const at = this.at(row);
    this.severity[at] = chunk.severity[i];
    this.kind[at] = kindOf(chunk, i);
    this.match[at] = 0;
    this.time[at] = chunk.time[i];
    this.origin[at] = chunk.origin[i];
    this.size[at] = chunk.size(i);
    this.slot[at] = i;
    this.chunk[at] = chunk;
    this.bytes += this.size[at];
    this.counts[chunk.severity[i]] += 1;
    this.lines += 1;
  }

  /** Adds a row that is no line: something that the stream or the connection has to say. */
  notice(notice) {
    const at = this.at(this.tail);
    this.severity[at] = 0;
    this.kind[at] = KIND.NOTICE;
    this.match[at] = 1;
    this.time[at] = notice.time;
    this.origin[at] = 0xffffffff;
    this.size[at] = 0;
    this.slot[at] = 0;
    this.chunk[at] = notice;
    this.tail += 1;
  }

  drop(row) {
    const at = this.at(row);
    this.chunk[at] = null;
    this.bytes -= this.size[at];
    if (this.kind[at] === KIND.NOTICE) return;
    this.counts[this.severity[at]] -= 1;
    this.lines -= 1;
  }

  /** Notes that `cursor` stands before row `after` (by default: after the newest row). */
  mark(cursor, filter, after = this.tail) {
    const last = this.marks.at(-1);
    const before = this.marks.at(-2);
    if (last && after < last.after) return;
    if (last && last.filter === filter && (last.after === after || (before && after - before.after < MARK_SPACING)))
      this.marks.pop();
    this.marks.push({ after, cursor, filter });
  }

  /** Marks of a page that was put before everything else, in order. */
  marksBefore(marks) {
    this.marks.unshift(...marks);
  }

  /** The mark nearest before a row: from its cursor on, the row can be found again by counting. */
  markBefore(row) {
    return this.marks.findLast((mark) => mark.after <= row) ?? null;
  }

  /** Whether rows must go before much more is added. */
  get full() {
    return this.rows > ROWS_MAX || this.bytes > BYTES_MAX;
  }

  /** How many rows the ring still takes without any being dropped. */
  get room() {
    return this.bytes > BYTES_MAX ? 0 : CAPACITY - this.rows - 1;
  }

  /** Drops the oldest rows until the ring is not full, and returns the cursor before the rest (null: not known). */
  trimHead() {
    let target = Math.max(this.head, this.tail - ROWS_MAX);
    for (let bytes = this.bytes, row = this.head; row < this.tail && bytes > BYTES_MAX; row += 1) {
      bytes -= this.size[this.at(row)];
      target = Math.max(target, row + 1);
    }
    const index = this.marks.findIndex((mark) => mark.after >= target);
    const cut = index >= 0 && this.marks[index].after <= this.tail ? this.marks[index].after : target;
    while (this.head < cut) this.drop(this.head++);
    this.marks = index >= 0 ? this.marks.slice(index) : [];
    return index >= 0 ? this.marks[0].cursor : null;
  }

  /** Drops the newest rows back to a mark that leaves at most `rows`, and returns its cursor; null when none fits. */
  trimTail(rows) {
    const index = this.marks.findLastIndex((mark) => mark.after <= this.head + rows && mark.after > this.head);
    if (index < 0) return null;
    while (this.tail > this.marks[index].after) this.drop(--this.tail);
    this.marks.length = index + 1;
    return this.marks[index].cursor;
  }

  /** Keeps only rows that `keep(row)` says; marks stay where they stood among the rest, now under `filter`. */
  compact(keep, filter) {
    let to = this.head;
    let mark = 0;
    for (let row = this.head; row < this.tail; row += 1) {
      while (mark < this.marks.length && this.marks[mark].after <= row) this.marks[mark++].after = to;
      if (keep(row)) this.move(row, to++);
      else this.drop(row);
    }
    while (mark < this.marks.length) this.marks[mark++].after = to;
    for (let row = to; row < this.tail; row += 1) this.chunk[this.at(row)] = null;
    this.tail = to;
    this.marks = this.marks.map((each) => ({ ...each, filter }));
    this.epoch += 1;
  }

  move(row, to) {
    const [from, at] = [this.at(row), this.at(to)];
    if (from === at) return;
    for (const column of [
      this.severity,
      this.kind,
      this.match,
      this.time,
      this.origin,
      this.size,
      this.slot,
      this.chunk,
    ])
      column[at] = column[from];
  }

  isNotice(row) {
    return this.kind[this.at(row)] === KIND.NOTICE;
  }

  /** The text of a line, or what a notice says. */
  text(row) {
    const at = this.at(row);
    return this.kind[at] === KIND.NOTICE ? this.chunk[at].text : this.chunk[at].text(this.slot[at]);
  }

  flags(row) {
    const at = this.at(row);
    return this.kind[at] === KIND.NOTICE ? 0 : this.chunk[at].flags[this.slot[at]];
  }

  noticeOf(row) {
    return this.chunk[this.at(row)];
  }

  entry(row) {
    const at = this.at(row);
    return this.chunk[at].entry(this.slot[at]);
  }

  isError(row) {
    return this.severity[this.at(row)] >= ERROR_MIN;
  }
}

/** Whether a line stands for itself or looks like the continuation of the one before it. */
export function kindOf(chunk, i) {
  const byte = chunk.firstByte(i);
  if (byte === 0x20 || byte === 0x09) return KIND.CONTINUATION;
  if ((chunk.flags[i] & FLAG.TIME_NOT_FROM_LINE) === 0) return KIND.LINE;
  if (TRACE_START.test(chunk.start(i, 40))) return KIND.CONTINUATION;
  return chunk.severity[i] === 0 ? KIND.UNTIMED : KIND.LINE;
}
