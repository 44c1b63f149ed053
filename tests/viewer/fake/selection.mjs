// What a request selects of the fake server's logs, and in which order.

import { basename } from "node:path";
import { readCursor, Refused, wholeCursor } from "./cursors.mjs";
import { fieldsOf, LEVELS } from "./logs.mjs";

/** A request turned into ranges of lines: where each log starts and ends, and what matches. */
export class Selection {
  constructor(catalogue, request, follow) {
    this.catalogue = catalogue;
    this.request = request;
    this.follow = follow;
    this.matches = matcherOf(request);
    this.resume = (request.resume ?? []).map((cursor, i) => readCursor(cursor, `resume[${i}]`));
    this.end = request.end?.length ? readCursor(request.end, "end") : null;
    this.sent = 0;
    for (const source of request.sources ?? []) {
      if (![...catalogue.logs.values()].some((log) => log.source === source))
        throw new Refused("NOT_FOUND", `no source matches ${source}`);
    }
    this.at = new Map();
    for (const log of this.logs()) this.at.set(log, this.startOf(log));
    this.heads = new Map(this.logs().map((log) => [log, this.endOf(log)]));
    if (request.tail !== undefined && this.resume.length === 0) this.takeTail(request.tail);
    this.start = wholeCursor(this.at);
  }

  logs() {
    const { sources = [], paths = [] } = this.request;
    const globs = paths.map((glob) => ({ path: glob.replaceAll(/\[(.)\]/g, "$1"), name: !glob.includes("/") }));
    return [...this.catalogue.logs.values()].filter(
      (log) =>
        (sources.length === 0 || sources.includes(log.source)) &&
        (globs.length === 0 || globs.some(({ path, name }) => (name ? basename(log.path) : log.path) === path)),
    );
  }

  startOf(log) {
    let count;
    for (const { whole, counts } of this.resume) if (counts.has(log.id) || whole) count = counts.get(log.id) ?? 0;
    if (count !== undefined) return Math.min(count, log.lines.length);
    const { since } = this.request;
    if (since !== undefined) {
      const index = log.lines.findIndex(({ nanos }) => nanos >= since);
      return index < 0 ? log.lines.length : index;
    }
    return this.follow && this.request.tail === undefined ? log.lines.length : 0;
  }

  endOf(log) {
    return Math.min(log.lines.length, this.end?.counts.get(log.id) ?? log.lines.length);
  }

  /** Moves the starts so that the last `tail` matches remain. */
  takeTail(tail) {
    const last = [];
    for (const [log, from] of this.at) {
      let found = 0;
      for (let i = this.heads.get(log) - 1; i >= from && found < tail; i -= 1)
        if (this.matches(log.lines[i])) ((found += 1), last.push(log.lines[i]));
    }
    last.sort(byTime);
    const kept = last.slice(Math.max(0, last.length - tail));
    for (const log of this.at.keys()) this.at.set(log, this.heads.get(log));
    for (const { log, index } of kept) this.at.set(log, Math.min(this.at.get(log), index));
  }

  /** History in order of time, each log in its own order; moves the starts along. */
  *history() {
    const heads = new Map(this.heads);
    const next = (log) => {
      while (this.at.get(log) < heads.get(log) && !this.matches(log.lines[this.at.get(log)]))
        this.at.set(log, this.at.get(log) + 1);
      return this.at.get(log) < heads.get(log) ? log.lines[this.at.get(log)] : null;
    };
    const logs = [...this.at.keys()];
    while (!this.isDone) {
      let first = null;
      for (const log of logs) {
        const line = next(log);
        if (line && (!first || byTime(line, first) < 0)) first = line;
      }
      if (!first) break;
      this.at.set(first.log, first.index + 1);
      this.sent += 1;
      yield first;
    }
    this.historyDone = true;
  }

  /** What came since, in order of arrival. */
  *arrived() {
    for (const log of this.logs()) {
      const from = this.at.get(log) ?? 0;
      for (let i = from; i < log.lines.length && !this.isDone; i += 1) {
        this.at.set(log, i + 1);
        if (!this.matches(log.lines[i])) continue;
        this.sent += 1;
        yield log.lines[i];
      }
      if (!this.at.has(log)) this.at.set(log, log.lines.length);
    }
  }

  get isDone() {
    // What was to come before a time that has passed is in the files.
    if (this.request.until !== undefined && this.historyDone && this.request.until < BigInt(Date.now()) * 1_000_000n)
      return true;
    return Boolean(this.request.limit) && this.sent >= this.request.limit;
  }

  get cursor() {
    return wholeCursor(this.at);
  }
}

function byTime(a, b) {
  if (a.nanos !== b.nanos) return a.nanos < b.nanos ? -1 : 1;
  return a.log === b.log ? a.index - b.index : a.log.id - b.log.id;
}

function matcherOf(request) {
  const [from, to] = (request.level ?? "").split("..");
  const min = from ? LEVELS[from] : 0;
  const max = to ? LEVELS[to] : 255;
  if (min === undefined || max === undefined)
    throw new Refused("INVALID_ARGUMENT", `level: unknown, one of ${Object.keys(LEVELS).join(", ")}`);
  const compile = (pattern) => {
    try {
      return new RegExp(pattern.replace(/^\(\?i\)/, ""), pattern.startsWith("(?i)") ? "i" : "");
    } catch (error) {
      throw new Refused("INVALID_ARGUMENT", `include: ${error.message}`);
    }
  };
  const include = (request.include ?? []).map(compile);
  const exclude = (request.exclude ?? []).map(compile);
  const where = Object.entries(request.where ?? {});
  return (line) =>
    (min === 0 || (line.severity >= min && line.severity <= max && line.severity > 0)) &&
    include.every((regex) => regex.test(line.message)) &&
    !exclude.some((regex) => regex.test(line.message)) &&
    (request.until === undefined || line.nanos < request.until) &&
    where.every(([key, value]) => fieldsOf(line.message)[key] === value);
}
