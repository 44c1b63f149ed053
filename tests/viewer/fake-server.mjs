// A stand-in for `logtap serve DIR/*.log`, for working on the viewer without the daemon and for its tests: the viewer's
// assets with the real headers, gRPC-Web (StreamBatches, GetLogs), JSON pages, server-sent events, long polls, sources.
// It keeps every line in memory and knows few formats; a cursor is a line count, so it survives a restart.
//
//   node fake-server.mjs DIR [--listen 127.0.0.1:8080] [--token SECRET]

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync, watch } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ASSETS = fileURLToPath(new URL("../../src/server/viewer/assets/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};
const LEVELS = { trace: 1, debug: 5, info: 9, notice: 10, warn: 13, error: 17, critical: 18, alert: 19, fatal: 21 };
const NAMES = { 0: "UNSPECIFIED", 1: "TRACE", 5: "DEBUG", 9: "INFO", 10: "NOTICE", 13: "WARN", 17: "ERROR", 18: "CRITICAL", 19: "ALERT", 21: "FATAL" };
const CODES = { INVALID_ARGUMENT: [3, 400], NOT_FOUND: [5, 404], UNAUTHENTICATED: [16, 401], UNIMPLEMENTED: [12, 404], UNAVAILABLE: [14, 503] };

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// ---- files and lines ----

/** One followed file: its lines, and who waits for more of them. */
class Log {
  constructor(path) {
    this.path = path;
    this.source = basename(path).replace(/\.log$/, "").replaceAll(/[^A-Za-z0-9._-]/g, "-");
    this.id = createHash("sha256").update(path).digest().readUInt32LE(0);
    this.lines = [];
    this.offset = 0;
    this.rest = Buffer.alloc(0);
    this.time = 0n;
  }

  /** Reads what was appended; a file that shrank starts over. */
  read() {
    let size;
    try {
      size = statSync(this.path).size;
    } catch {
      return false;
    }
    if (size < this.offset) Object.assign(this, { offset: 0, rest: Buffer.alloc(0), lines: [] });
    if (size === this.offset) return false;
    const bytes = Buffer.alloc(size - this.offset);
    const file = openSync(this.path, "r");
    const read = readSync(file, bytes, 0, bytes.length, this.offset);
    closeSync(file);
    this.offset += read;
    const data = Buffer.concat([this.rest, bytes.subarray(0, read)]);
    let from = 0;
    for (let newline = data.indexOf(10); newline >= 0; newline = data.indexOf(10, from)) {
      this.lines.push(this.parse(data.subarray(from, newline)));
      from = newline + 1;
    }
    this.rest = Buffer.from(data.subarray(from));
    return true;
  }

  parse(bytes) {
    const crlf = bytes.at(-1) === 13;
    const line = crlf ? bytes.subarray(0, -1) : bytes;
    const message = line.toString("utf8");
    const valid = Buffer.from(message).equals(line);
    const nanos = timeOf(message);
    if (nanos !== null) this.time = nanos;
    const flags = (crlf ? 64 : 0) | (valid ? 0 : 4) | (nanos === null ? 8 : 0);
    return { log: this, index: this.lines.length, message, severity: severityOf(message), nanos: nanos ?? (this.time || BigInt(Math.floor(statSync(this.path).mtimeMs)) * 1_000_000n), flags, raw: valid ? null : line };
  }
}

function severityOf(message) {
  if (/^\s/.test(message)) return 0;
  const access = /" (\d)\d\d \d+/.exec(message);
  if (access) return access[1] === "5" ? 17 : access[1] === "4" ? 13 : 9;
  const word = /(?:"level":"|level=|\b)(trace|debug|info|notice|warn|warning|error|err|critical|crit|alert|fatal|panic|emerg)\b/i.exec(message.slice(0, 120).replace(/\u001b\[[\d;]*m/g, " "))?.[1].toLowerCase();
  if (word === undefined && /\] (LOG|DETAIL): /.test(message)) return 9;
  return { warning: 13, err: 17, crit: 18, panic: 21, emerg: 21 }[word] ?? LEVELS[word] ?? 0;
}

function timeOf(message) {
  const iso = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?/.exec(message.slice(0, 80));
  if (iso) {
    const seconds = Date.parse(`${iso[0].slice(0, 19).replace(" ", "T")}${iso[2] ?? "Z"}`);
    return BigInt(seconds) * 1_000_000n + BigInt((iso[1] ?? "").padEnd(9, "0"));
  }
  const clf = /\[(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\]/.exec(message);
  return clf ? BigInt(Date.parse(`${clf[1]} ${clf[2]} ${clf[3]} ${clf[4]} ${clf[5]}`)) * 1_000_000n : null;
}

/** The directory: its logs, looked at when it changes and ten times a second besides. */
class Catalogue {
  constructor(directory) {
    this.directory = directory;
    this.logs = new Map();
    this.waiting = new Set();
    this.scan();
    watch(directory, () => this.scan());
    setInterval(() => this.scan(), 100).unref();
  }

  scan() {
    let changed = false;
    for (const name of readdirSync(this.directory).sort()) {
      if (!name.endsWith(".log")) continue;
      const path = join(this.directory, name);
      if (!this.logs.has(path)) this.logs.set(path, new Log(path));
      changed = this.logs.get(path).read() || changed;
    }
    if (!changed) return;
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves when lines came, `ms` have passed or `signal` aborts. */
  changed(ms, signal) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.waiting.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  }
}

// ---- cursors ----

function sealed(body) {
  return Buffer.concat([body, createHash("sha256").update(body).digest().subarray(0, 4)]);
}

/** 32 bytes: kind, line count, file. */
function entryCursor(log, count) {
  const body = Buffer.alloc(28);
  body[0] = 1;
  body.writeUInt32LE(count, 1);
  body.writeUInt32LE(log.id, 5);
  return sealed(body);
}

/** Kind, then line count and file of each log. */
function wholeCursor(positions) {
  const body = Buffer.alloc(1 + 8 * positions.size);
  body[0] = 2;
  let at = 1;
  for (const [log, count] of positions) {
    body.writeUInt32LE(count, at);
    body.writeUInt32LE(log.id, at + 4);
    at += 8;
  }
  return sealed(body);
}

/** Line counts by file number. */
function readCursor(cursor, name) {
  const body = cursor.subarray(0, -4);
  if (cursor.length < 9 || !sealed(body).equals(cursor)) throw new Refused("INVALID_ARGUMENT", `${name}: a damaged cursor`);
  if (body[0] === 1) return { whole: false, counts: new Map([[body.readUInt32LE(5), body.readUInt32LE(1)]]) };
  const counts = new Map();
  for (let at = 1; at + 8 <= body.length; at += 8) counts.set(body.readUInt32LE(at + 4), body.readUInt32LE(at));
  return { whole: true, counts };
}

// ---- selections ----

/** A request turned into ranges of lines: where each log starts and ends, and what matches. */
class Selection {
  constructor(catalogue, request, follow) {
    this.catalogue = catalogue;
    this.request = request;
    this.follow = follow;
    this.matches = matcherOf(request);
    this.resume = (request.resume ?? []).map((cursor, i) => readCursor(cursor, `resume[${i}]`));
    this.end = request.end?.length ? readCursor(request.end, "end") : null;
    this.sent = 0;
    for (const source of request.sources ?? []) {
      if (![...catalogue.logs.values()].some((log) => log.source === source)) throw new Refused("NOT_FOUND", `no source matches ${source}`);
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
      (log) => (sources.length === 0 || sources.includes(log.source)) && (globs.length === 0 || globs.some(({ path, name }) => (name ? basename(log.path) : log.path) === path)),
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
      for (let i = this.heads.get(log) - 1; i >= from && found < tail; i -= 1) if (this.matches(log.lines[i])) (found += 1), last.push(log.lines[i]);
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
      while (this.at.get(log) < heads.get(log) && !this.matches(log.lines[this.at.get(log)])) this.at.set(log, this.at.get(log) + 1);
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
    if (this.request.until !== undefined && this.historyDone && this.request.until < BigInt(Date.now()) * 1_000_000n) return true;
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
  if (min === undefined || max === undefined) throw new Refused("INVALID_ARGUMENT", `level: unknown, one of ${Object.keys(LEVELS).join(", ")}`);
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

/** Fields of JSON and logfmt lines. */
function fieldsOf(message) {
  const fields = {};
  if (message.startsWith("{")) {
    try {
      const flatten = (object, prefix) => {
        for (const [key, value] of Object.entries(object)) {
          if (value && typeof value === "object") flatten(value, `${prefix}${key}.`);
          else fields[prefix + key] = String(value);
        }
      };
      flatten(JSON.parse(message), "");
    } catch {
      return {};
    }
    return fields;
  }
  for (const [, key, quoted, bare] of message.matchAll(/\b([a-z_.]+)=(?:"([^"]*)"|(\S+))/gi)) fields[key] = quoted ?? bare;
  return fields;
}

// ---- protobuf ----

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

function field(number, value) {
  if (typeof value === "number" || typeof value === "bigint") return value ? Buffer.concat([varint(number * 8), varint(value)]) : Buffer.alloc(0);
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

function encodeEntry(line, withCursor, withFields) {
  const parts = [field(1, line.message), field(2, line.nanos), field(3, line.severity), field(4, line.log.source), field(5, line.log.path)];
  if (withCursor) parts.push(field(6, entryCursor(line.log, line.index + 1)));
  if (withFields) for (const [key, value] of Object.entries(fieldsOf(line.message))) parts.push(field(7, Buffer.concat([field(1, key), field(2, value)])));
  if (line.raw) parts.push(field(8, line.raw));
  parts.push(field(9, line.flags));
  return Buffer.concat(parts);
}

function* fieldsIn(bytes) {
  let at = 0;
  const number = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(number());
    if ((tag & 7) === 0) yield [tag >> 3, number()];
    else {
      const length = Number(number());
      yield [tag >> 3, bytes.subarray(at, (at += length))];
    }
  }
}

function decodeRequest(bytes) {
  const request = { sources: [], paths: [], resume: [], include: [], exclude: [], where: {} };
  const repeated = { 2: "sources", 3: "paths", 8: "include", 9: "exclude" };
  const time = (value) => {
    const parts = Object.fromEntries(fieldsIn(value));
    return (parts[1] ?? 0n) * 1_000_000_000n + (parts[2] ?? 0n);
  };
  for (const [number, value] of fieldsIn(bytes)) {
    if (repeated[number]) request[repeated[number]].push(value.toString());
    else if (number === 1) request.level = value.toString();
    else if (number === 4) request.tail = Number(value);
    else if (number === 5) request.since = time(value);
    else if (number === 6) request.until = time(value);
    else if (number === 7) request.resume.push(value);
    else if (number === 10) request.limit = Number(value);
    else if (number === 11) request.with_fields = Boolean(value);
    else if (number === 12) {
      const pair = Object.fromEntries(fieldsIn(value));
      request.where[String(pair[1])] = String(pair[2] ?? "");
    } else if (number === 15) request.end = value;
    else throw new Refused("UNIMPLEMENTED", `field ${number} is not served`);
  }
  return request;
}

// ---- wires ----

const CAUGHT_UP = field(2, field(1, Buffer.alloc(0)));
const BATCH_BYTES = 64 * 1024;

/** Lines into messages of StreamBatches: cursors of entries only on the last one of each file. */
function* batches(selection, lines) {
  let run = [];
  let size = 0;
  const flush = () => {
    const last = new Set();
    const encoded = [];
    for (let i = run.length - 1; i >= 0; i -= 1) {
      encoded.push(field(1, encodeEntry(run[i], !last.has(run[i].log), selection.request.with_fields)));
      last.add(run[i].log);
    }
    encoded.reverse().push(field(3, selection.cursor));
    run = [];
    size = 0;
    return Buffer.concat(encoded);
  };
  for (const line of lines) {
    run.push(line);
    size += line.message.length + 90;
    if (size >= BATCH_BYTES) yield flush();
  }
  if (run.length > 0) yield flush();
}

function frame(bytes, flag = 0) {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Writes, and waits for room when the client reads slowly. */
async function send(response, bytes) {
  if (response.write(bytes) || response.destroyed) return;
  await new Promise((resolve) => {
    response.once("drain", resolve);
    response.once("close", resolve);
  });
}

async function grpcWeb(catalogue, method, body, response, signal) {
  const message = body.subarray(5);
  const outer = method === "StreamBatches" ? Object.fromEntries(fieldsIn(message)) : { 1: message, 2: 1n };
  const follow = !outer[2];
  const selection = new Selection(catalogue, decodeRequest(outer[1] ?? Buffer.alloc(0)), follow);
  response.writeHead(200, { ...HEADERS, "content-type": "application/grpc-web+proto", "cache-control": "no-store", "x-accel-buffering": "no" });
  if (method === "GetLogs") for (const line of selection.history()) await send(response, frame(encodeEntry(line, true, selection.request.with_fields)));
  else {
    await send(response, frame(Buffer.concat([field(3, selection.cursor), field(4, selection.start)])));
    for (const batch of batches(selection, selection.history())) await send(response, frame(batch));
    if (follow && !selection.isDone) await followBatches(catalogue, selection, response, signal);
  }
  response.end(frame(Buffer.from("grpc-status: 0\r\n"), 0x80));
}

async function followBatches(catalogue, selection, response, signal) {
  for (const batch of batches(selection, selection.arrived())) await send(response, frame(batch));
  await send(response, frame(Buffer.concat([CAUGHT_UP, field(3, selection.cursor)])));
  while (!signal.aborted && !selection.isDone) {
    await catalogue.changed(15_000, signal);
    let any = false;
    for (const batch of batches(selection, selection.arrived())) {
      any = true;
      await send(response, frame(batch));
    }
    if (!any) await send(response, frame(Buffer.concat([field(2, field(4, Buffer.alloc(0))), field(3, selection.cursor)])));
  }
}

function entryJson(line, withFields) {
  const seconds = new Date(Number(line.nanos / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return {
    message: line.message,
    timestamp: String(line.nanos),
    time: `${seconds}.${String(line.nanos % 1_000_000_000n).padStart(9, "0")}Z`,
    ...(line.severity ? { severity: `SEVERITY_${NAMES[line.severity]}` } : { severity: "SEVERITY_UNSPECIFIED" }),
    source: line.log.source,
    path: line.log.path,
    cursor: entryCursor(line.log, line.index + 1).toString("base64"),
    ...(withFields ? { fields: fieldsOf(line.message) } : {}),
    ...(line.raw ? { raw: line.raw.toString("base64") } : {}),
    ...(line.flags ? { flags: line.flags } : {}),
  };
}

function requestFromJson(json) {
  const base64 = (text) => Buffer.from(String(text).replaceAll("-", "+").replaceAll("_", "/"), "base64");
  const nanos = (text) => {
    const relative = /^(\d+)([smhd])$/.exec(text);
    if (relative) return BigInt(Date.now() - relative[1] * { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 }[relative[2]]) * 1_000_000n;
    return timeOf(text);
  };
  const request = { ...json, resume: [json.resume ?? [], json.cursor ?? []].flat().map(base64) };
  if (json.end) request.end = base64(json.end);
  for (const name of ["since", "until"]) if (json[name]) request[name] = nanos(json[name]);
  for (const name of ["tail", "limit"]) if (json[name] !== undefined) request[name] = Number(json[name]);
  for (const name of ["sources", "paths", "include", "exclude"]) if (json[name] !== undefined) request[name] = [json[name]].flat();
  return request;
}

async function logsJson(catalogue, json, accept, response, signal) {
  const { wait, follow, ...fields } = json;
  const request = requestFromJson(fields);
  if (accept.startsWith("text/event-stream")) return events(catalogue, request, response, signal);
  const selection = new Selection(catalogue, { ...request, limit: request.limit || 1000 }, wait !== undefined);
  let lines = [...selection.history()];
  const until = Date.now() + Number.parseFloat(wait ?? "0") * 1000;
  while (lines.length === 0 && Date.now() < until && !signal.aborted) {
    await catalogue.changed(until - Date.now(), signal);
    lines = [...selection.arrived()];
  }
  const page = { entries: lines.map((line) => entryJson(line, request.with_fields)), events: [], cursor: selection.cursor.toString("base64"), start: selection.start.toString("base64") };
  response.writeHead(200, { ...HEADERS, "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(page));
}

async function events(catalogue, request, response, signal) {
  const selection = new Selection(catalogue, request, true);
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" });
  response.write(":\n\n");
  const write = async (lines) => {
    for (const line of lines) await send(response, `event: entry\nid: ${selection.cursor.toString("base64")}\ndata: ${JSON.stringify(entryJson(line, request.with_fields))}\n\n`);
  };
  await write(selection.history());
  await write(selection.arrived());
  await send(response, `event: caught_up\nid: ${selection.cursor.toString("base64")}\ndata: {}\n\n`);
  while (!signal.aborted) {
    await catalogue.changed(15_000, signal);
    await write(selection.arrived());
    response.write(":\n\n");
  }
}

function sourcesJson(catalogue) {
  const sources = [...catalogue.logs.values()].map((log) => {
    const stat = statSync(log.path);
    return {
      name: log.source,
      paths: [log.path],
      files: [{ path: log.path, log: log.path, sizeBytes: String(stat.size), modifyTime: stat.mtime.toISOString(), watchMode: "WATCH_MODE_EVENTS", format: log.lines[0]?.message.startsWith("{") ? "json" : "text", parsedPpm: 990_000 }],
    };
  });
  return { sources: sources.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

// ---- the server ----

/** Answers that are under way. */
const streams = new Set();

async function handle(catalogue, token, request, response) {
  const url = new URL(request.url, "http://fake");
  const abort = new AbortController();
  response.on("close", () => abort.abort());
  if (url.pathname === "/healthz") return response.end("ok\n");
  if (url.pathname === "/metrics") return response.end(`logtap_streams{transport="all"} ${streams.size}\n`);
  if (!url.pathname.startsWith("/api/") && !url.pathname.startsWith("/logtap.")) return asset(url.pathname, request, response);
  if (token && request.headers.authorization !== `Bearer ${token}`) throw new Refused("UNAUTHENTICATED", "a bearer token is needed");
  const body = Buffer.concat(await request.toArray());
  streams.add(response);
  response.on("close", () => streams.delete(response));
  if (url.pathname.startsWith("/logtap.v1.LogService/")) return grpcWeb(catalogue, basename(url.pathname), body, response, abort.signal);
  if (url.pathname === "/api/v1/sources") {
    response.writeHead(200, { ...HEADERS, "content-type": "application/json", "cache-control": "no-store" });
    return response.end(JSON.stringify(sourcesJson(catalogue)));
  }
  if (url.pathname !== "/api/v1/logs") throw new Refused("NOT_FOUND", "no such path");
  const json = request.method === "POST" ? JSON.parse(body.toString() || "{}") : Object.fromEntries(url.searchParams);
  return logsJson(catalogue, json, request.headers.accept ?? "", response, abort.signal);
}

function asset(path, request, response) {
  const name = path === "/" ? "index.html" : path.startsWith("/assets/") ? basename(path) : "";
  const file = join(ASSETS, name);
  if (name === "" || !existsSync(file)) throw new Refused("NOT_FOUND", "no such path");
  const bytes = readFileSync(file);
  const etag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`;
  const headers = { ...HEADERS, "content-type": TYPES[extname(file)], etag, "cache-control": "no-cache" };
  if (request.headers["if-none-match"] === etag) response.writeHead(304, headers).end();
  else response.writeHead(200, headers).end(bytes);
}

function refuse(error, request, response) {
  if (response.headersSent) return response.destroy();
  const status = error instanceof Refused ? error.status : "INVALID_ARGUMENT";
  const [grpc, http] = CODES[status];
  if (request.url.startsWith("/logtap.")) return response.writeHead(200, { ...HEADERS, "content-type": "application/grpc-web+proto", "grpc-status": grpc, "grpc-message": encodeURIComponent(error.message) }).end();
  return response.writeHead(http, { ...HEADERS, "content-type": "application/json" }).end(JSON.stringify({ error: { code: http, status, message: error.message, details: [] } }));
}

function main(argv) {
  const option = (name, fallback) => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : fallback);
  const [host, port] = option("--listen", "127.0.0.1:8080").split(":");
  const token = option("--token", "");
  const catalogue = new Catalogue(resolve(argv[0]));
  const server = createServer((request, response) => {
    handle(catalogue, token, request, response).catch((error) => refuse(error, request, response));
  });
  server.listen(Number(port), host, () => console.log(`listening address=${host}:${server.address().port}`));
}

main(process.argv.slice(2));
