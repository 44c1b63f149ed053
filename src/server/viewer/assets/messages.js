// The messages of logtap.v1.LogService that the viewer speaks. A request is a plain object with the proto's field names
// (cursors as bytes, times as `{seconds, nanos}`); what comes back is a batch:
// `{chunk, events, cursor, start, delta}`, the same from every transport.

import { fromBase64, toBase64 } from "./base64.js";
import { JsonChunk, ProtoChunk } from "./chunk.js";
import { Reader, Writer } from "./protobuf.js";

/** Names of Event's kinds by field number, as ProtoJSON writes them. */
const EVENTS = { 1: "caughtUp", 2: "gap", 3: "fileChange", 4: "heartbeat", 5: "progress" };
const GAP_REASONS = ["", "truncated", "deleted", "resume lost"];
const FILE_CHANGES = ["", "added", "rotated", "truncated", "removed"];

/** Encodes LogRequest. */
export function encodeLogRequest(request) {
  const writer = new Writer();
  writer.string(1, request.level);
  for (const source of request.sources ?? []) writer.string(2, source);
  for (const path of request.paths ?? []) writer.string(3, path);
  if (request.tail !== undefined) writer.number(4, request.tail, true);
  if (request.since) writer.data(5, encodeTime(request.since));
  if (request.until) writer.data(6, encodeTime(request.until));
  for (const cursor of request.resume ?? []) writer.data(7, cursor);
  for (const pattern of request.include ?? []) writer.string(8, pattern);
  for (const pattern of request.exclude ?? []) writer.string(9, pattern);
  writer.number(10, request.limit);
  writer.number(11, request.with_fields ? 1 : 0);
  for (const [key, value] of request.where ?? [])
    writer.data(12, new Writer().string(1, key).string(2, value).finish());
  if (request.end) writer.data(15, request.end);
  return writer.finish();
}

/** Encodes StreamBatchesRequest. */
export function encodeStreamBatches(request, follow) {
  return new Writer()
    .data(1, encodeLogRequest(request))
    .number(2, follow ? 0 : 1)
    .finish();
}

function encodeTime({ seconds, nanos }) {
  return new Writer().number(1, seconds).number(2, nanos).finish();
}

/** Decodes StreamBatchesResponse; the bytes are kept by the chunk. */
export function decodeStreamBatches(bytes) {
  const batch = { chunk: null, events: [], cursor: null, start: null, delta: false };
  const ranges = [];
  const reader = new Reader(bytes);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) {
      const end = reader.span();
      ranges.push(reader.pos, end);
      reader.pos = end;
    } else if (field === 2) batch.events.push(decodeEvent(reader.message()));
    else if (field === 3) batch.cursor = reader.copy();
    else if (field === 4) batch.start = reader.copy();
    else if (field === 5) batch.delta = reader.varint() !== 0;
    else reader.skip();
  }
  if (ranges.length > 0) batch.chunk = new ProtoChunk(bytes, Uint32Array.from(ranges));
  return batch;
}

/** A message that is one LogEntry, as GetLogs sends them. */
export function decodeLogEntry(bytes) {
  return new ProtoChunk(bytes, Uint32Array.of(0, bytes.length)).entry(0);
}

function decodeEvent(reader) {
  let event = { kind: "unknown" };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    const kind = EVENTS[field];
    if (kind) event = decodeKind(kind, reader.message());
    else reader.skip();
  }
  return event;
}

function decodeKind(kind, reader) {
  const event = { kind };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (kind === "gap" && field === 3) event.reason = GAP_REASONS[reader.varint()] ?? "";
    else if (kind === "gap" && field === 4) event.bytes = reader.varint();
    else if (kind === "fileChange" && field === 3) event.change = FILE_CHANGES[reader.varint()] ?? "";
    else if ((kind === "gap" || kind === "fileChange") && field === 1) event.source = reader.string();
    else if ((kind === "gap" || kind === "fileChange") && field === 2) event.path = reader.string();
    else if (kind === "progress" && field === 1) event.scanned = reader.varint();
    else if (kind === "progress" && field === 2) event.total = reader.varint();
    else reader.skip();
  }
  return event;
}

/** An event of the JSON wire: ProtoJSON's `{"gap": {...}}`, or the inner object when the name came beside it. */
export function eventFromJson(json, name) {
  const wrapped = Object.values(EVENTS).find((kind) => json && typeof json === "object" && json[kind] !== undefined);
  const kind = wrapped ?? String(name ?? "unknown").replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  const body = (wrapped ? json[wrapped] : json) ?? {};
  const event = { kind, source: body.source, path: body.path };
  if (kind === "gap") {
    event.reason = enumWord(body.reason, "GAP_REASON_", GAP_REASONS);
    if (body.bytes !== undefined) event.bytes = Number(body.bytes);
  } else if (kind === "fileChange") event.change = enumWord(body.kind, "FILE_CHANGE_KIND_", FILE_CHANGES);
  else if (kind === "progress")
    Object.assign(event, { scanned: Number(body.scannedBytes ?? 0), total: Number(body.totalBytes ?? 0) });
  return event;
}

function enumWord(value, prefix, words) {
  if (typeof value === "number") return words[value] ?? "";
  return String(value ?? "")
    .replace(prefix, "")
    .replaceAll("_", " ")
    .toLowerCase();
}

/** A page of the JSON wire as a batch. */
export function batchFromJson(page) {
  const entries = page.entries ?? [];
  return {
    chunk: entries.length > 0 ? new JsonChunk(entries) : null,
    events: (page.events ?? []).map((event) => eventFromJson(event)),
    cursor: page.cursor ? fromBase64(page.cursor) : null,
    start: page.start ? fromBase64(page.start) : null,
    delta: false,
  };
}

/** The request as the JSON body of `POST /api/v1/logs`. */
export function requestToJson(request) {
  const json = {};
  for (const name of ["level", "sources", "paths", "include", "exclude", "tail", "limit", "with_fields"]) {
    const value = request[name];
    if (value !== undefined && value !== "" && value !== 0 && value !== false && value.length !== 0) json[name] = value;
  }
  if (request.tail === 0) json.tail = 0;
  if (request.where?.length) json.where = Object.fromEntries(request.where);
  if (request.resume?.length) json.resume = request.resume.map(toBase64);
  if (request.end) json.end = toBase64(request.end);
  for (const name of ["since", "until"]) if (request[name]) json[name] = timeToRfc3339(request[name]);
  return json;
}

function timeToRfc3339({ seconds, nanos }) {
  return new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, `.${String(nanos).padStart(9, "0")}Z`);
}
