// Looks single entries up again: a row's cursor and fields, and the lines around it in its file.

import { FLAG } from "./chunk.js";
import { EVERYTHING, requestOf } from "./selection.js";
import { KIND, kindOf } from "./store.js";

/** Lines of a stack trace that the details show at most. */
const TRACE_LINES = 200;

export class Lookup {
  constructor({ store, transport }) {
    this.store = store;
    this.transport = transport;
  }

  /**
   * The entry of a row as the server has it, with its cursor and fields. Inside a batch only a file's last entry has a
   * cursor, so the row is found again from the mark before it, by counting the rows of its file.
   */
  async resolve(row, signal) {
    const { store } = this;
    const entry = store.entry(row);
    const mark = store.markBefore(row);
    if (!mark) return entry;
    const number = store.origin[store.at(row)];
    let count = 0;
    for (let each = mark.after; each <= row; each += 1)
      if (!store.isNotice(each) && store.origin[store.at(each)] === number) count += 1;
    const filter = requestOf({ ...mark.filter, since: "", sources: [entry.source], paths: [entry.path] });
    const request = { ...filter, resume: [mark.cursor], limit: count, with_fields: true };
    let found = null;
    for await (const each of this.transport.entries(request, signal)) {
      count -= 1;
      if (count === 0) found = each;
    }
    // The file may have been rotated away or rewritten meanwhile: then what is loaded is all there is.
    return found && found.message === entry.message && found.nanos === entry.nanos ? found : entry;
  }

  /** The lines that continue an entry in its file, as those of a stack trace do, whatever the filter. */
  async continuation({ source, path, cursor, flags }, signal) {
    // A line that has no time of its own continues nothing: perhaps none of its file has one.
    const timed = (flags & FLAG.TIME_NOT_FROM_LINE) === 0;
    const file = requestOf({ ...EVERYTHING, sources: [source], paths: [path] });
    const lines = [];
    for await (const { chunk } of this.transport.page({ ...file, resume: [cursor], limit: TRACE_LINES }, signal)) {
      for (let i = 0; i < (chunk?.count ?? 0); i += 1) {
        const kind = kindOf(chunk, i);
        if (kind === KIND.LINE || (kind === KIND.UNTIMED && !timed)) return lines;
        lines.push(chunk.text(i));
      }
    }
    return lines;
  }

  /** `count` entries of a row's file before and after a cursor, whatever the filter. */
  async context({ source, path, cursor }, count, signal) {
    const file = requestOf({ ...EVERYTHING, sources: [source], paths: [path] });
    const [before, after] = await Promise.all([
      this.entriesOf({ ...file, end: cursor, tail: count + 1 }, signal),
      this.entriesOf({ ...file, resume: [cursor], limit: count }, signal),
    ]);
    return { before: before.slice(0, -1), after };
  }

  async entriesOf(request, signal) {
    const entries = [];
    for await (const { chunk } of this.transport.page(request, signal)) {
      for (let i = 0; i < (chunk?.count ?? 0); i += 1) entries.push(chunk.entry(i));
    }
    return entries;
  }
}
