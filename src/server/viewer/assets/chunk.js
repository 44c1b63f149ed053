// Entries as they came in one message. The numbers that lists and counts need are read at once into typed arrays; text
// stays in the message's bytes until somebody looks at it, so that 20,000 lines a second cost a scan and no strings.

import { fromBase64 } from "./base64.js";
import { severityNumber } from "./levels.js";
import { originNumber, origins } from "./origins.js";
import { Reader, utf8 } from "./protobuf.js";

/** Bits of LogEntry.flags. */
export const FLAG = {
  TRUNCATED: 1,
  JOINED: 2,
  INVALID_UTF8: 4,
  TIME_NOT_FROM_LINE: 8,
  UNTERMINATED: 16,
  CONTEXT: 32,
  CRLF: 64,
  AFTER_GAP: 128,
  PROVISIONAL: 256,
};

/** Entries of a protobuf message: `ranges` are the bounds of each encoded LogEntry in `bytes`. */
export class ProtoChunk {
  constructor(bytes, ranges) {
    const count = ranges.length / 2;
    this.bytes = bytes;
    this.ranges = ranges;
    this.count = count;
    this.severity = new Uint8Array(count);
    this.flags = new Uint16Array(count);
    this.time = new Float64Array(count);
    this.origin = new Uint32Array(count);
    this.textStart = new Uint32Array(count);
    this.textEnd = new Uint32Array(count);
    const last = { sourceAt: 0, sourceEnd: 0, pathAt: 0, pathEnd: 0, number: -1 };
    for (let i = 0; i < count; i += 1) this.index(i, last);
  }

  /** Reads the numbers of one entry. Entries mostly share their origin with the one before: bytes are compared first. */
  index(i, last) {
    const reader = new Reader(this.bytes, this.ranges[2 * i], this.ranges[2 * i + 1]);
    let [sourceAt, sourceEnd, pathAt, pathEnd] = [0, 0, 0, 0];
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) {
        this.textEnd[i] = reader.span();
        this.textStart[i] = reader.pos;
        reader.pos = this.textEnd[i];
      } else if (field === 2) this.time[i] = millisecondsOf(reader.varint());
      else if (field === 3) this.severity[i] = reader.varint();
      else if (field === 4) {
        sourceEnd = reader.span();
        sourceAt = reader.pos;
        reader.pos = sourceEnd;
      } else if (field === 5) {
        pathEnd = reader.span();
        pathAt = reader.pos;
        reader.pos = pathEnd;
      } else if (field === 9) this.flags[i] = reader.varint();
      else reader.skip();
    }
    if (
      last.number < 0 ||
      !this.same(sourceAt, sourceEnd, last.sourceAt, last.sourceEnd) ||
      !this.same(pathAt, pathEnd, last.pathAt, last.pathEnd)
    ) {
      last.number = originNumber(
        utf8(this.bytes.subarray(sourceAt, sourceEnd)),
        utf8(this.bytes.subarray(pathAt, pathEnd)),
      );
      Object.assign(last, { sourceAt, sourceEnd, pathAt, pathEnd });
    }
    this.origin[i] = last.number;
  }

  same(a, aEnd, b, bEnd) {
    if (aEnd - a !== bEnd - b) return false;
    for (let i = 0; i < aEnd - a; i += 1) if (this.bytes[a + i] !== this.bytes[b + i]) return false;
    return true;
  }

  text(i) {
    return utf8(this.bytes.subarray(this.textStart[i], this.textEnd[i]));
  }

  /** The beginning of the text, for a look at how it starts. */
  start(i, bytes) {
    return utf8(this.bytes.subarray(this.textStart[i], Math.min(this.textEnd[i], this.textStart[i] + bytes)));
  }

  firstByte(i) {
    return this.textStart[i] < this.textEnd[i] ? this.bytes[this.textStart[i]] : -1;
  }

  size(i) {
    return this.ranges[2 * i + 1] - this.ranges[2 * i];
  }

  /** Everything of one entry. */
  entry(i) {
    const entry = {
      message: "",
      nanos: 0n,
      severity: 0,
      source: "",
      path: "",
      cursor: null,
      fields: [],
      raw: null,
      flags: 0,
    };
    const reader = new Reader(this.bytes, this.ranges[2 * i], this.ranges[2 * i + 1]);
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) entry.message = reader.string();
      else if (field === 2) entry.nanos = reader.int64();
      else if (field === 3) entry.severity = reader.varint();
      else if (field === 4) entry.source = reader.string();
      else if (field === 5) entry.path = reader.string();
      else if (field === 6) entry.cursor = reader.copy();
      else if (field === 7) entry.fields.push(readPair(reader.message()));
      else if (field === 8) entry.raw = reader.copy();
      else if (field === 9) entry.flags = reader.varint();
      else reader.skip();
    }
    return entry;
  }
}

/** Nanoseconds, as a double has them, in milliseconds to the microsecond: the double is off by a few hundred nanoseconds. */
function millisecondsOf(nanos) {
  return Math.round(nanos / 1e3) / 1e3;
}

/** An element of a map<string, string>. */
function readPair(reader) {
  const pair = ["", ""];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1 || field === 2) pair[field - 1] = reader.string();
    else reader.skip();
  }
  return pair;
}

/** Entries of the JSON wire, with the same interface. */
export class JsonChunk {
  constructor(entries) {
    this.entries = entries;
    this.count = entries.length;
    this.severity = Uint8Array.from(entries, (entry) => severityNumber(entry.severity));
    this.flags = Uint16Array.from(entries, (entry) => entry.flags ?? 0);
    this.time = Float64Array.from(entries, (entry) => millisecondsOf(Number(entry.timestamp ?? 0)));
    this.origin = Uint32Array.from(entries, (entry) => originNumber(entry.source ?? "", entry.path ?? ""));
  }

  text(i) {
    return this.entries[i].message ?? "";
  }

  start(i, bytes) {
    return this.text(i).slice(0, bytes);
  }

  firstByte(i) {
    const text = this.text(i);
    return text === "" ? -1 : text.charCodeAt(0);
  }

  size(i) {
    return 96 + 2 * this.text(i).length;
  }

  entry(i) {
    const json = this.entries[i];
    return {
      message: json.message ?? "",
      nanos: BigInt(json.timestamp ?? 0),
      severity: this.severity[i],
      source: origins[this.origin[i]].source,
      path: origins[this.origin[i]].path,
      cursor: json.cursor ? fromBase64(json.cursor) : null,
      fields: Object.entries(json.fields ?? {}),
      raw: json.raw ? fromBase64(json.raw) : null,
      flags: this.flags[i],
    };
  }
}
