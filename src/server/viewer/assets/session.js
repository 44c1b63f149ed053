// The window of the logs that is loaded, and how it moves: live at its newer end, page by page at its older end, or,
// after a jump into the past, page by page at both. One live stream at most, one page at a time; whatever they bring
// goes into the store in order.

import { sameBytes } from "./base64.js";
import { sleep, yieldToBrowser } from "./dom.js";
import { CallError, WireBlocked, WireChanged } from "./errors.js";
import { noticeOfEvent } from "./notices.js";
import { Position } from "./position.js";
import { localFilter, narrows, requestOf } from "./selection.js";
import { ROWS_MAX } from "./store.js";
import { timestampOfNanos } from "./time.js";

const PAGE_ROWS = 2_000;
/** Work done between two turns of the event loop: input and painting never wait for longer than about this. */
const SLICE_MS = 8;
const EDGE_RETRY_MS = 2_000;
const BACKOFF_MS = [100, 250, 500, 1_000, 2_000, 4_000, 8_000];

/** States of the newer end. */
export const LIVE = {
  OFF: "off",
  CONNECTING: "connecting",
  LOADING: "loading",
  LIVE: "live",
  RETRYING: "retrying",
  FAILED: "failed",
  ENDED: "ended",
};

/** States of an end that is loaded page by page. */
export const EDGE = { MORE: "more", LOADING: "loading", DONE: "done", FAILED: "failed" };

/**
 * `events` are calls to the page: `changed()` after every step, `needToken(wrong)` when the server wants one,
 * `refused(why)` when it does not take the search, `anchored(row)` when a jump has found its row, `detaching()` before the
 * newest rows go from under a reader who looks at older ones, `renumbered()` when row numbers changed their meaning;
 * `isFollowing()` asks whether the reader is at the newest row.
 */
export class Session {
  constructor({ store, transport, events }) {
    Object.assign(this, { store, transport, events });
    this.position = new Position();
    this.abort = new AbortController();
    this.live = LIVE.OFF;
    // Whether what comes is still what the files held at the start: rows, but no news.
    this.filling = false;
    this.older = EDGE.DONE;
    this.newer = EDGE.DONE;
    this.error = null;
    this.edgeError = null;
    this.arrived = 0;
    this.uncounted = 0;
    this.progress = null;
  }

  /** Whether the newest loaded row is the newest there is. */
  get attached() {
    return this.newer === EDGE.DONE;
  }

  /** Starts anew: with the newest `tail` entries and the live stream, or around `at` (`{cursor, nanos}`). */
  start(selection, { tail, at = null }) {
    this.reset(selection);
    this.tail = tail;
    this.fresh = true;
    this.filling = at === null;
    if (at) this.run(this.jump(at));
    else this.run(this.stream({ tail }));
  }

  /** Goes on with a selection that selects less: what is loaded stays, what comes is less. */
  narrow(selection) {
    const following = this.live !== LIVE.OFF && this.attached;
    const { position, fresh, newer } = this;
    this.reset(selection);
    this.position = position;
    this.fresh = fresh;
    this.newer = newer;
    this.older = this.startCursor() ? EDGE.MORE : EDGE.DONE;
    // From here on rows are selected by less: a row is found again by counting from this mark, not from one before it.
    if (this.attached && position.isWhole) this.store.mark(position.whole, selection);
    if (!position.known) this.run(this.stream({ tail: this.tail }));
    else if (following) this.run(this.stream({}));
    else if (newer === EDGE.LOADING) this.newer = EDGE.MORE;
  }

  /** Whether `selection` can be shown by narrowing, or must be asked for. */
  canNarrow(selection) {
    return !this.fresh && this.selection !== undefined && narrows(selection, this.selection);
  }

  /** Tries again after a failure, from where the stream stood. */
  retry() {
    const { position, fresh, older, newer } = this;
    this.reset(this.selection);
    Object.assign(this, {
      position,
      fresh,
      newer,
      older: older === EDGE.LOADING || older === EDGE.FAILED ? EDGE.MORE : older,
    });
    this.run(this.stream({ tail: this.tail }));
  }

  reset(selection) {
    this.abort.abort(new DOMException("replaced", "AbortError"));
    this.abort = new AbortController();
    this.selection = selection;
    this.request = requestOf(selection);
    this.position = new Position();
    this.live = LIVE.OFF;
    this.older = EDGE.DONE;
    this.newer = EDGE.DONE;
    this.error = null;
    this.progress = null;
    this.uncounted = 0;
    this.compacted = false;
  }

  /** Runs a task of this start; when another start has replaced it, its end is of no interest. */
  async run(task) {
    const { signal } = this.abort;
    try {
      await task;
    } catch (error) {
      if (signal.aborted) return;
      this.fail(error);
    }
  }

  fail(error) {
    this.error = error;
    this.live = LIVE.FAILED;
    if (error instanceof CallError && error.status === "UNAUTHENTICATED")
      this.events.needToken(Boolean(this.transport.token()));
    else if (error instanceof CallError && error.status === "INVALID_ARGUMENT" && this.selection.q)
      this.events.refused(error.message);
    else if (this.store.rows > 0 && !this.fresh) this.say("error", error.message);
    this.events.changed();
  }

  /** Puts a notice into the list, where it happened: at the newer end, if that end is loaded. */
  say(tone, text) {
    if (!this.attached || this.store.room < 1) return;
    this.store.notice({ tone, text, time: Date.now() });
    this.events.changed();
  }

  // ---- the newer end, live ----

  /** Reads the live stream for ever, connecting again with back-off from where it stood. */
  async stream({ tail }) {
    const { signal } = this.abort;
    let failures = 0;
    let lostAt = 0;
    for (;;) {
      this.live = lostAt ? LIVE.RETRYING : LIVE.CONNECTING;
      this.events.changed();
      try {
        const request = this.position.known
          ? { ...this.request, since: undefined, resume: this.position.resume }
          : { ...this.request, tail };
        for await (const batch of this.slices(this.transport.follow(request, signal))) {
          if (lostAt) this.reconnected(lostAt);
          lostAt = 0;
          failures = 0;
          this.take(batch);
        }
        this.live = LIVE.ENDED;
        this.events.changed();
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof WireChanged) continue;
        if (error instanceof WireBlocked || !this.retries(error)) throw error;
        if (!lostAt) lostAt = Date.now();
        this.error = error;
        this.live = LIVE.RETRYING;
        this.events.changed();
      }
      await this.pause(failures, signal);
      failures += 1;
    }
  }

  /** Whether to try again after an error; a cursor that the server does not take is given up, and said. */
  retries(error) {
    if (!(error instanceof CallError) || error.passing) return true;
    if (!this.position.known || (error.status !== "INVALID_ARGUMENT" && error.status !== "OUT_OF_RANGE")) return false;
    this.say("gap", `The stream cannot go on where it was: ${error.message}. Lines in between may be missing.`);
    this.position.clear();
    return true;
  }

  async pause(failures, signal) {
    const base = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    await sleep(base * (0.75 + Math.random() / 2), signal).catch(() => {});
  }

  reconnected(lostAt) {
    this.error = null;
    const seconds = (Date.now() - lostAt) / 1000;
    this.say("info", `Connection lost, back after ${seconds.toFixed(1)} s and resumed where it was`);
  }

  /** Passes batches on, giving the event loop a turn whenever a slice of time is used up. */
  async *slices(batches) {
    let until = performance.now() + SLICE_MS;
    for await (const batch of batches) {
      yield batch;
      if (performance.now() > until) {
        await yieldToBrowser();
        until = performance.now() + SLICE_MS;
      }
    }
  }

  /** One batch of the live stream. */
  take(batch) {
    this.beginWindow(batch);
    if (this.live === LIVE.CONNECTING || this.live === LIVE.RETRYING) this.live = LIVE.LOADING;
    for (const event of batch.events) this.happened(event);
    if (batch.chunk) {
      if (this.live === LIVE.LIVE) this.arrived += batch.chunk.count;
      this.add(batch.chunk);
    }
    const whole = this.position.advance(batch);
    if (whole && this.attached) this.store.mark(whole, this.selection);
    if (this.attached) this.makeRoom();
    this.events.changed();
  }

  /**
   * The first batch of a start replaces what was on screen until now. While the server still searches for where the
   * stream begins its batches only tell how far that has come: they have no start, and nothing is known of what lies above.
   */
  beginWindow({ start }) {
    if (!this.fresh || !start) return;
    this.fresh = false;
    this.store.clear();
    this.error = null;
    this.store.mark(start, this.selection, 0);
    this.older = EDGE.MORE;
  }

  add(chunk) {
    if (!this.attached) {
      this.uncounted += chunk.count;
      return;
    }
    // Never reached while marks come as they should; a ring must not overwrite itself all the same.
    if (this.store.room <= chunk.count) this.older = this.store.trimHead() ? EDGE.MORE : EDGE.DONE;
    this.store.append(chunk);
  }

  happened(event) {
    this.progress = event.kind === "progress" ? event : null;
    if (event.kind === "caughtUp" || event.kind === "heartbeat") {
      this.live = LIVE.LIVE;
      this.filling = false;
    }
    const notice = noticeOfEvent(event);
    if (notice) this.say(notice.tone, notice.text);
  }

  /**
   * Keeps the window bounded. At the newest row the oldest go. While the reader looks at older ones nothing may move
   * away under them: the window is cut loose from the live stream instead, which from then on is only counted.
   */
  makeRoom() {
    const { store } = this;
    if (!store.full) return;
    if (this.events.isFollowing()) {
      if (store.rows < ROWS_MAX + 4_096 && store.room > 0) return;
      this.compact();
      if (!store.full) return;
      this.older = store.trimHead() ? EDGE.MORE : EDGE.DONE;
    } else if (store.room < 16_384) this.detach();
  }

  detach() {
    // From here on lines are only counted; how many have come until now is told by the rows, of which some go.
    this.events.detaching();
    const cursor = this.store.trimTail(this.store.rows);
    if (!cursor) return;
    this.newer = EDGE.MORE;
    this.newerFrom = cursor;
  }

  // ---- pages ----

  startCursor() {
    const first = this.store.marks[0];
    return first && first.after === this.store.head ? first.cursor : null;
  }

  /** Loads a page of older rows, if there are any, none is being loaded, and the newest have come. */
  loadOlder() {
    const isFilling = this.live === LIVE.CONNECTING || this.live === LIVE.LOADING;
    if (this.older === EDGE.MORE && !isFilling) this.run(this.olderPage());
  }

  async olderPage() {
    const end = this.startCursor();
    if (!end) {
      this.older = EDGE.DONE;
      return;
    }
    this.older = EDGE.LOADING;
    this.events.changed();
    const { signal } = this.abort;
    try {
      const page = await this.collect({ ...this.request, end, tail: PAGE_ROWS }, signal);
      if (signal.aborted) return;
      this.roomForOlder(page.rows);
      this.putBefore(page);
      this.older = page.start && page.rows > 0 && !sameBytes(page.start, end) ? EDGE.MORE : EDGE.DONE;
    } catch (error) {
      if (signal.aborted) return;
      await this.edgeFailed("older", error, signal);
    } finally {
      if (!signal.aborted) this.events.changed();
    }
  }

  /** A page did not load: a passing failure is tried again after a while, one that would only repeat itself is said. */
  async edgeFailed(edge, error, signal) {
    if (error instanceof CallError && error.status === "UNAUTHENTICATED") throw error;
    this[edge] = EDGE.FAILED;
    this.edgeError = error;
    this.events.changed();
    if (error instanceof CallError && !error.passing) return;
    await sleep(EDGE_RETRY_MS, signal).catch(() => {});
    if (!signal.aborted) this[edge] = EDGE.MORE;
  }

  /** A page must fit without the ring's newer end being overwritten: rows that are not shown go first, then the newest. */
  roomForOlder(rows) {
    const { store } = this;
    if (store.room >= rows + 8_192) return;
    if (this.events.isFollowing()) this.compact();
    if (store.room >= rows + 8_192) return;
    const cursor = store.trimTail(ROWS_MAX - 2 * PAGE_ROWS);
    if (!cursor) return;
    this.newer = EDGE.MORE;
    this.newerFrom = cursor;
  }

  /** Drops loaded rows that the selection does not show; once, because after that only rows that it shows come. */
  compact() {
    const { store } = this;
    const filter = localFilter(this.selection);
    if (this.compacted || filter.all) return;
    this.compacted = true;
    const keep = (row) =>
      store.isNotice(row) ||
      (filter.row(store, store.at(row)) && (filter.text === null || filter.text(store.text(row))));
    store.compact(keep, this.selection);
    this.events.renumbered();
  }

  putBefore(page) {
    const { store } = this;
    store.prepend(page.chunks);
    store.marksBefore(
      page.marks.map(({ after, cursor }) => ({ after: store.head + after, cursor, filter: this.selection })),
    );
  }

  /** Reads a whole page. Its marks count rows from the page's beginning. */
  async collect(request, signal) {
    const page = { chunks: [], marks: [], rows: 0, start: null, cursor: null };
    const position = new Position();
    for await (const batch of this.slices(this.transport.page(request, signal))) {
      if (batch.start && page.start === null) {
        page.start = batch.start;
        page.marks.push({ after: 0, cursor: batch.start });
      }
      if (batch.chunk) {
        page.chunks.push(batch.chunk);
        page.rows += batch.chunk.count;
      }
      const whole = position.advance(batch);
      if (whole) page.cursor = whole;
      if (whole && page.rows > (page.marks.at(-1)?.after ?? 0)) page.marks.push({ after: page.rows, cursor: whole });
      this.progress = batch.events.find((event) => event.kind === "progress") ?? null;
      if (this.progress) this.events.changed();
    }
    // What comes after this page is marked already by the rows that are loaded.
    return page;
  }

  /** Loads a page of newer rows after a jump; at the end of what there is the window goes live. */
  loadNewer() {
    if (this.newer === EDGE.MORE) this.run(this.newerPage());
  }

  async newerPage() {
    this.newer = EDGE.LOADING;
    this.events.changed();
    const { signal } = this.abort;
    try {
      const page = await this.collect(
        { ...this.request, since: undefined, resume: [this.newerFrom], limit: PAGE_ROWS },
        signal,
      );
      if (signal.aborted) return;
      const first = this.store.tail;
      for (const chunk of page.chunks) this.store.append(chunk);
      for (const mark of page.marks.slice(1)) this.store.mark(mark.cursor, this.selection, first + mark.after);
      if (page.cursor) this.newerFrom = page.cursor;
      if (page.rows < PAGE_ROWS) this.attach();
      else this.newer = EDGE.MORE;
      if (this.store.full) this.older = this.store.trimHead() ? EDGE.MORE : EDGE.DONE;
    } catch (error) {
      if (signal.aborted) return;
      await this.edgeFailed("newer", error, signal);
    } finally {
      if (!signal.aborted) this.events.changed();
    }
  }

  /** The window reaches the newest row: from here the live stream goes on. */
  attach() {
    const { newerFrom, older } = this;
    const { selection } = this;
    this.reset(selection);
    this.older = older === EDGE.LOADING ? EDGE.MORE : older;
    this.position.set(newerFrom);
    this.run(this.stream({}));
  }

  /**
   * Loads the page that ends with the entry at a cursor. An entry's cursor speaks for its own log; the time that came
   * with it bounds the other files of the selection.
   */
  async jump({ cursor, nanos }) {
    this.live = LIVE.CONNECTING;
    this.events.changed();
    const { signal } = this.abort;
    const until = nanos === null ? this.request.until : earlier(this.request.until, timestampOfNanos(nanos + 1n));
    const page = await this.collect({ ...this.request, until, end: cursor, tail: 500 }, signal);
    if (signal.aborted) return;
    this.fresh = false;
    this.store.clear();
    this.store.tail = 0;
    for (const chunk of page.chunks) this.store.append(chunk);
    for (const mark of page.marks) this.store.mark(mark.cursor, this.selection, mark.after);
    this.older = page.start && page.rows > 0 ? EDGE.MORE : EDGE.DONE;
    this.live = LIVE.OFF;
    this.newerFrom = page.cursor ?? cursor;
    this.newer = EDGE.MORE;
    const row = this.anchorRow(cursor);
    const { selection } = this;
    // What follows the row is loaded before it is shown, or it could not stand in the middle of the screen.
    await this.newerPage();
    if (this.selection === selection) this.events.anchored(row);
  }

  /** The row that a cursor stands after: the last one of its file that carries it, else the newest. */
  anchorRow(cursor) {
    const { store } = this;
    for (let row = store.tail - 1; row >= store.head && row > store.tail - 2_000; row -= 1) {
      const own = store.isNotice(row) ? null : store.entry(row).cursor;
      if (own && sameBytes(own, cursor)) return row;
    }
    return store.rows > 0 ? store.tail - 1 : null;
  }
}

function earlier(a, b) {
  if (!a) return b;
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.nanos < b.nanos) ? a : b;
}
