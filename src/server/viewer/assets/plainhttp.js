// The same stream over plain HTTP, for where gRPC-Web does not get through: pages of JSON for what is past, then server-
// sent events or long polls for what comes. `EventSource` cannot send a token, so events are read by fetch.

import { fromBase64 } from "./base64.js";
import { JsonChunk } from "./chunk.js";
import { Watch } from "./deadline.js";
import { CallError, Disconnected, WireBlocked } from "./errors.js";
import { batchFromJson, eventFromJson, requestToJson } from "./messages.js";

const PAGE_ENTRIES_MAX = 10_000;
/** The server comments every 15 s, so an event stream that says nothing for longer is buffered somewhere. */
const FIRST_BYTE_MS = 18_000;
const SILENCE_MS = 50_000;
const POLL_SECONDS = 25;
const ANSWER_MS = 4_000;

/** What the files hold, page by page; ends when `request.limit`, `tail` or the selection is reached. */
export async function* pages(request, { token, signal }) {
  let left = request.limit || request.tail || Infinity;
  let next = request;
  for (;;) {
    const body = requestToJson({ ...next, limit: Math.min(left, PAGE_ENTRIES_MAX) });
    const batch = batchFromJson(await postJson("api/v1/logs", body, { token, signal }));
    const count = batch.chunk?.count ?? 0;
    yield batch;
    left -= count;
    if (left <= 0 || count === 0 || !batch.cursor) return;
    next = { ...request, tail: undefined, since: undefined, resume: [batch.cursor] };
  }
}

/** The past by pages, then events as they come. */
export async function* followEvents(request, options) {
  yield* thenLive(request, options, liveEvents);
}

/** The past by pages, then one poll after the other. */
export async function* followPolls(request, options) {
  yield* thenLive(request, options, livePolls);
}

async function* thenLive(request, options, live) {
  let resume = request.resume ?? [];
  if (resume.length === 0) {
    for await (const batch of pages(request, options)) {
      yield batch;
      if (batch.cursor) resume = [batch.cursor];
    }
  }
  yield* live({ ...request, tail: undefined, since: undefined, resume }, options);
}

/** What a live wire says once it is connected: what comes from here on is new. */
const CAUGHT_UP = Object.freeze({
  chunk: null,
  events: [{ kind: "caughtUp" }],
  cursor: null,
  start: null,
  delta: false,
});

async function* livePolls(request, { token, signal }) {
  let resume = request.resume;
  // The first answer is wanted at once: it tells that the server is there.
  let wait = 0;
  for (;;) {
    const watch = new Watch(signal, (ms) => new Disconnected(`no answer for ${ms / 1000} s`));
    watch.alive(POLL_SECONDS * 1000 + 15_000);
    try {
      const body = { ...requestToJson({ ...request, resume, limit: PAGE_ENTRIES_MAX }), wait: `${wait}s` };
      const batch = batchFromJson(await postJson("api/v1/logs", body, { token, signal: watch.signal }));
      if (batch.cursor) resume = [batch.cursor];
      yield { ...batch, start: null };
      if (wait === 0) yield CAUGHT_UP;
      wait = POLL_SECONDS;
    } finally {
      watch.end();
    }
  }
}

async function* liveEvents(request, { token, signal }) {
  let heard = false;
  const watch = new Watch(signal, (ms) =>
    heard ? new Disconnected(`silent for ${ms / 1000} s`) : new WireBlocked("server-sent events are held back"),
  );
  watch.alive(FIRST_BYTE_MS);
  try {
    const response = await postAccepting("api/v1/logs", requestToJson(request), "text/event-stream", {
      token,
      signal: watch.signal,
    });
    if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream"))
      throw new WireBlocked("events were answered with something else");
    yield CAUGHT_UP;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Disconnected("the events broke off");
      heard = true;
      watch.alive(SILENCE_MS);
      yield* parser.batches(value);
    }
  } catch (error) {
    if (watch.signal.aborted) throw watch.signal.reason;
    if (error instanceof TypeError) throw new Disconnected(error.message);
    throw error;
  } finally {
    watch.end();
  }
}

/** Server-sent events into batches: the entries of one read are one batch, cut where something else happened. */
class EventParser {
  constructor() {
    this.rest = "";
    this.event = { name: "", data: [], id: null };
  }

  *batches(text) {
    const lines = (this.rest + text).split(/\r\n|\r|\n/);
    this.rest = lines.pop();
    let batch = emptyBatch();
    for (const line of lines) {
      if (line !== "") this.field(line);
      else if (this.event.data.length > 0 || this.event.id !== null) {
        const { name, data, id } = this.event;
        this.event = { name: "", data: [], id: null };
        const json = parseData(data.join("\n"));
        if (name === "error")
          throw new CallError(json?.error?.status ?? json?.status ?? "UNKNOWN", json?.error?.message ?? json?.message);
        const entries =
          json === null ? [] : (json.entries ?? (json.message !== undefined && name !== "error" ? [json] : null));
        if (entries === null && batch.entries.length > 0) {
          yield finished(batch);
          batch = emptyBatch();
        }
        if (entries === null) batch.events.push(eventFromJson(json, name));
        else for (const entry of entries) this.addEntry(batch, entry);
        if (json?.start) batch.start = fromBase64(json.start);
        if (id) {
          batch.cursor = fromBase64(id);
          batch.entryCursors.clear();
        }
      }
    }
    if (batch.entries.length > 0 || batch.events.length > 0 || batch.cursor) yield finished(batch);
  }

  /** Between two sparse ids the entries' own cursors tell where each file stands. */
  addEntry(batch, entry) {
    batch.entries.push(entry);
    if (entry.cursor) batch.entryCursors.set(`${entry.source}\0${entry.path}`, entry.cursor);
  }

  field(line) {
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.event.name = value;
    else if (name === "data") this.event.data.push(value);
    else if (name === "id") this.event.id = value;
  }
}

function parseData(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    throw new CallError("INTERNAL", "an event is not JSON");
  }
}

function emptyBatch() {
  return { entries: [], events: [], cursor: null, start: null, delta: false, entryCursors: new Map() };
}

function finished({ entries, entryCursors, ...batch }) {
  return {
    ...batch,
    chunk: entries.length > 0 ? new JsonChunk(entries) : null,
    entryCursors: new Map([...entryCursors].map(([file, cursor]) => [file, fromBase64(cursor)])),
  };
}

/** Sources and their files: all pages of `/api/v1/sources` together. */
export async function listSources({ token, signal }) {
  const sources = new Map();
  let page = "";
  do {
    const response = await request(`api/v1/sources${page ? `?page_token=${encodeURIComponent(page)}` : ""}`, {
      token,
      signal,
    });
    const json = await response.json();
    for (const source of json.sources ?? []) {
      const known = sources.get(source.name);
      if (known) known.files.push(...(source.files ?? []));
      else sources.set(source.name, { name: source.name, paths: source.paths ?? [], files: [...(source.files ?? [])] });
    }
    page = json.nextPageToken ?? "";
  } while (page !== "");
  return [...sources.values()];
}

/** Whether the server answers at all, within a few seconds. */
export async function answers(signal) {
  try {
    return (
      await fetch("healthz", { signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]), cache: "no-store" })
    ).ok;
  } catch {
    return false;
  }
}

async function postJson(url, body, options) {
  const response = await postAccepting(url, body, "application/json", options);
  try {
    return await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    throw new Disconnected(error.message);
  }
}

function postAccepting(url, body, accept, options) {
  return request(url, {
    ...options,
    method: "POST",
    body: JSON.stringify(body),
    headers: { accept, "content-type": "application/json" },
  });
}

async function request(url, { token, signal, headers = {}, ...init }) {
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(url, { ...init, headers, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new Disconnected(error.message);
  }
  if (response.ok) return response;
  throw response.status === 502 || response.status === 504
    ? new Disconnected(`HTTP ${response.status}`)
    : await CallError.ofHttp(response);
}
