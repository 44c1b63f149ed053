// Log files as the fake server has them: in memory, line by line, with a guess at time and severity.

import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readSync, statSync, watch } from "node:fs";
import { basename, join } from "node:path";

export const LEVELS = {
  trace: 1,
  debug: 5,
  info: 9,
  notice: 10,
  warn: 13,
  error: 17,
  critical: 18,
  alert: 19,
  fatal: 21,
};

/** One followed file: its lines, and who waits for more of them. */
class Log {
  constructor(path) {
    this.path = path;
    this.source = basename(path)
      .replace(/\.log$/, "")
      .replaceAll(/[^A-Za-z0-9._-]/g, "-");
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
    return {
      log: this,
      index: this.lines.length,
      message,
      severity: severityOf(message),
      nanos: nanos ?? (this.time || BigInt(Math.floor(statSync(this.path).mtimeMs)) * 1_000_000n),
      flags,
      raw: valid ? null : line,
    };
  }
}

function severityOf(message) {
  if (/^\s/.test(message)) return 0;
  const access = /" (\d)\d\d \d+/.exec(message);
  if (access) return access[1] === "5" ? 17 : access[1] === "4" ? 13 : 9;
  const word =
    /(?:"level":"|level=|\b)(trace|debug|info|notice|warn|warning|error|err|critical|crit|alert|fatal|panic|emerg)\b/i
      .exec(message.slice(0, 120).replace(/\u001b\[[\d;]*m/g, " "))?.[1]
      .toLowerCase();
  if (word === undefined && /\] (LOG|DETAIL): /.test(message)) return 9;
  return { warning: 13, err: 17, crit: 18, panic: 21, emerg: 21 }[word] ?? LEVELS[word] ?? 0;
}

export function timeOf(message) {
  const iso = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?/.exec(message.slice(0, 80));
  if (iso) {
    const seconds = Date.parse(`${iso[0].slice(0, 19).replace(" ", "T")}${iso[2] ?? "Z"}`);
    return BigInt(seconds) * 1_000_000n + BigInt((iso[1] ?? "").padEnd(9, "0"));
  }
  const clf = /\[(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\]/.exec(message);
  return clf ? BigInt(Date.parse(`${clf[1]} ${clf[2]} ${clf[3]} ${clf[4]} ${clf[5]}`)) * 1_000_000n : null;
}

/** The directory: its logs, looked at when it changes and ten times a second besides. */
export class Catalogue {
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

/** Fields of JSON and logfmt lines. */
export function fieldsOf(message) {
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
  for (const [, key, quoted, bare] of message.matchAll(/\b([a-z_.]+)=(?:"([^"]*)"|(\S+))/gi))
    fields[key] = quoted ?? bare;
  return fields;
}
