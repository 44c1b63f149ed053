// The point up to which the stream has been read, from which it goes on after a break without losing or repeating a line.

/** Cursors to resume with: the last whole one, then what moved since. */
export class Position {
  constructor() {
    this.clear();
  }

  clear() {
    this.whole = null;
    this.deltas = [];
    this.entries = new Map();
  }

  /** Moves past a batch. Returns the whole-stream cursor after it, or null when only an older one is known. */
  advance(batch) {
    if (batch.cursor && !batch.delta) {
      this.whole = batch.cursor;
      this.deltas = [];
      this.entries.clear();
    } else if (batch.cursor) this.deltas.push(batch.cursor);
    for (const [file, cursor] of batch.entryCursors ?? []) this.entries.set(file, cursor);
    return this.isWhole ? this.whole : null;
  }

  /** Goes to a whole-stream cursor. */
  set(cursor) {
    this.clear();
    this.whole = cursor;
  }

  get known() {
    return this.whole !== null || this.entries.size > 0;
  }

  /** Whether one cursor tells it all. */
  get isWhole() {
    return this.whole !== null && this.deltas.length === 0 && this.entries.size === 0;
  }

  /** The value of `resume`. */
  get resume() {
    return [...(this.whole ? [this.whole] : []), ...this.deltas, ...this.entries.values()];
  }
}
