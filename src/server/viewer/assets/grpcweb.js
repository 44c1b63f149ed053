// gRPC-Web over fetch, binary mode. Frames are one byte of flags, four of length, then a message, or with flag 0x80 the
// trailers as text. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md

import { Watch } from "./deadline.js";
import { CallError, Disconnected, WireBlocked } from "./errors.js";
import { decodeLogEntry, decodeStreamBatches, encodeLogRequest, encodeStreamBatches } from "./messages.js";
import { utf8 } from "./protobuf.js";

/** A first message comes at once, but for a long search: after this time it is found out whether it is held back. */
const FIRST_MESSAGE_MS = 6_000;
/** Heartbeats come every 15 s; three missed ones mean that the connection is dead. */
const SILENCE_MS = 50_000;
/** A message above this is not ours: the protocol's batches end at 1 MiB, or at one entry of 3.5 MiB. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;

/** StreamBatches: yields batches until the server ends the stream with OK. */
export async function* streamBatches(request, { follow, token, signal }) {
  for await (const bytes of call("StreamBatches", encodeStreamBatches(request, follow), { token, signal }))
    yield decodeStreamBatches(bytes);
}

/** GetLogs: yields entries, each with its cursor. */
export async function* getLogs(request, { token, signal }) {
  for await (const bytes of call("GetLogs", encodeLogRequest(request), { token, signal, firstMs: SILENCE_MS }))
    yield decodeLogEntry(bytes);
}

/** Whether answers get through: that of a stream with nothing to search for begins at once. */
async function getsThrough(token, signal) {
  const nothing = encodeStreamBatches({ tail: 0 }, true);
  try {
    for await (const bytes of call("StreamBatches", nothing, { token, signal, isProbe: true }))
      return bytes.length >= 0;
  } catch {
    // Whatever it was, nothing came through.
  }
  return false;
}

async function* call(method, message, { token, signal, firstMs = FIRST_MESSAGE_MS, isProbe = false }) {
  let heard = false;
  const watch = new Watch(signal, async (ms) => {
    if (heard) return new Disconnected(`silent for ${ms / 1000} s`);
    if (!isProbe && (await getsThrough(token, signal))) return null;
    return new WireBlocked("gRPC-Web answers are held back");
  });
  watch.alive(firstMs);
  try {
    const response = await post(method, message, token, watch.signal);
    const reader = response.body.getReader();
    const frames = new Frames();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      frames.push(value);
      for (let frame = frames.next(); frame; frame = frames.next()) {
        if (frame.trailers) {
          endOfCall(parseTrailers(utf8(frame.bytes)));
          // Nothing follows; reading that far lets the browser use the connection again.
          await reader.read();
          return;
        }
        heard = true;
        watch.alive(SILENCE_MS);
        yield frame.bytes;
      }
    }
    throw new Disconnected("the stream broke off");
  } catch (error) {
    throw known(error, watch.signal);
  } finally {
    watch.end();
  }
}

async function post(method, message, token, signal) {
  const headers = {
    "content-type": "application/grpc-web+proto",
    accept: "application/grpc-web+proto",
    "x-grpc-web": "1",
  };
  if (token) headers.authorization = `Bearer ${token}`;
  const body = new Uint8Array(5 + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, 5);
  const response = await fetch(`logtap.v1.LogService/${method}`, {
    method: "POST",
    headers,
    body,
    signal,
    cache: "no-store",
  });
  const status = response.headers.get("grpc-status");
  if (status && status !== "0")
    throw CallError.ofGrpc(Number(status), percentDecoded(response.headers.get("grpc-message")));
  if ((response.headers.get("content-type") ?? "").startsWith("application/grpc-web")) return response;
  const ours = (response.headers.get("content-type") ?? "").startsWith("application/json");
  if (response.status === 401 || (ours && response.status >= 400 && response.status !== 404))
    throw await CallError.ofHttp(response);
  if (response.status >= 500) throw new Disconnected(`HTTP ${response.status}`);
  throw new WireBlocked(`gRPC-Web was answered with HTTP ${response.status}`);
}

function endOfCall(trailers) {
  const code = Number(trailers.get("grpc-status") ?? 2);
  if (code !== 0) throw CallError.ofGrpc(code, percentDecoded(trailers.get("grpc-message")));
}

/** An error of ours stays as it is; what fetch throws when a connection breaks becomes Disconnected. */
function known(error, signal) {
  if (signal.aborted) return signal.reason;
  if (error instanceof CallError || error instanceof WireBlocked || error instanceof Disconnected) return error;
  if (error instanceof RangeError) return new CallError("INTERNAL", error.message);
  return new Disconnected(error?.message ?? String(error));
}

function parseTrailers(text) {
  const trailers = new Map();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return trailers;
}

function percentDecoded(text) {
  try {
    return decodeURIComponent(text ?? "");
  } catch {
    return text;
  }
}

/** Cuts what arrives into frames. Bytes of a frame are copied out, so that a row kept for long keeps nothing else alive. */
class Frames {
  constructor() {
    this.parts = [];
    this.size = 0;
  }

  push(bytes) {
    this.parts.push(bytes);
    this.size += bytes.length;
  }

  next() {
    if (this.size < 5) return null;
    const head = this.peek(5);
    const length = ((head[1] << 24) | (head[2] << 16) | (head[3] << 8) | head[4]) >>> 0;
    if (length > MESSAGE_BYTES_MAX) throw new RangeError(`a message of ${length} bytes`);
    if (this.size < 5 + length) return null;
    this.take(5);
    return { trailers: (head[0] & 0x80) !== 0, bytes: this.take(length) };
  }

  peek(count) {
    if (this.parts[0].length < count) this.parts = [joined(this.parts)];
    return this.parts[0];
  }

  take(count) {
    const out = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const part = this.parts[0];
      const used = Math.min(part.length, count - filled);
      out.set(used === part.length ? part : part.subarray(0, used), filled);
      filled += used;
      if (used === part.length) this.parts.shift();
      else this.parts[0] = part.subarray(used);
    }
    this.size -= count;
    return out;
  }
}

function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
