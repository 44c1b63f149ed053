// A stand-in for `logtap serve DIR/*.log`, for working on the viewer without the daemon and for its tests: the viewer's
// assets with the real headers, gRPC-Web (StreamBatches, GetLogs), JSON pages, server-sent events, long polls, sources.
// It keeps every line in memory and knows few formats; a cursor is a line count, so it survives a restart.
//
//   node fake-server.mjs DIR [--listen 127.0.0.1:8080] [--token SECRET]

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { entryCursor, Refused } from "./fake/cursors.mjs";
import { Catalogue, fieldsOf, timeOf } from "./fake/logs.mjs";
import { decodeRequest, encodeEntry, field, fieldsIn } from "./fake/protobuf.mjs";
import { Selection } from "./fake/selection.mjs";

const ASSETS = fileURLToPath(new URL("../../src/server/viewer/assets/", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};
const NAMES = {
  0: "UNSPECIFIED",
  1: "TRACE",
  5: "DEBUG",
  9: "INFO",
  10: "NOTICE",
  13: "WARN",
  17: "ERROR",
  18: "CRITICAL",
  19: "ALERT",
  21: "FATAL",
};
const CODES = {
  INVALID_ARGUMENT: [3, 400],
  NOT_FOUND: [5, 404],
  UNAUTHENTICATED: [16, 401],
  UNIMPLEMENTED: [12, 404],
  UNAVAILABLE: [14, 503],
};

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
  response.writeHead(200, {
    ...HEADERS,
    "content-type": "application/grpc-web+proto",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  if (method === "GetLogs")
    for (const line of selection.history())
      await send(response, frame(encodeEntry(line, true, selection.request.with_fields)));
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
    if (!any)
      await send(response, frame(Buffer.concat([field(2, field(4, Buffer.alloc(0))), field(3, selection.cursor)])));
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
    if (relative)
      return BigInt(Date.now() - relative[1] * { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 }[relative[2]]) * 1_000_000n;
    return timeOf(text);
  };
  const request = { ...json, resume: [json.resume ?? [], json.cursor ?? []].flat().map(base64) };
  if (json.end) request.end = base64(json.end);
  for (const name of ["since", "until"]) if (json[name]) request[name] = nanos(json[name]);
  for (const name of ["tail", "limit"]) if (json[name] !== undefined) request[name] = Number(json[name]);
  for (const name of ["sources", "paths", "include", "exclude"])
    if (json[name] !== undefined) request[name] = [json[name]].flat();
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
  const page = {
    entries: lines.map((line) => entryJson(line, request.with_fields)),
    events: [],
    cursor: selection.cursor.toString("base64"),
    start: selection.start.toString("base64"),
  };
  response.writeHead(200, { ...HEADERS, "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(page));
}

async function events(catalogue, request, response, signal) {
  const selection = new Selection(catalogue, request, true);
  response.writeHead(200, {
    ...HEADERS,
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  response.write(":\n\n");
  const write = async (lines) => {
    for (const line of lines)
      await send(
        response,
        `event: entry\nid: ${selection.cursor.toString("base64")}\ndata: ${JSON.stringify(entryJson(line, request.with_fields))}\n\n`,
      );
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
      files: [
        {
          path: log.path,
          log: log.path,
          sizeBytes: String(stat.size),
          modifyTime: stat.mtime.toISOString(),
          watchMode: "WATCH_MODE_EVENTS",
          format: log.lines[0]?.message.startsWith("{") ? "json" : "text",
          parsedPpm: 990_000,
        },
      ],
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
  if (!url.pathname.startsWith("/api/") && !url.pathname.startsWith("/logtap."))
    return asset(url.pathname, request, response);
  if (token && request.headers.authorization !== `Bearer ${token}`)
    throw new Refused("UNAUTHENTICATED", "a bearer token is needed");
  const body = Buffer.concat(await request.toArray());
  streams.add(response);
  response.on("close", () => streams.delete(response));
  if (url.pathname.startsWith("/logtap.v1.LogService/"))
    return grpcWeb(catalogue, basename(url.pathname), body, response, abort.signal);
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
  if (request.url.startsWith("/logtap."))
    return response
      .writeHead(200, {
        ...HEADERS,
        "content-type": "application/grpc-web+proto",
        "grpc-status": grpc,
        "grpc-message": encodeURIComponent(error.message),
      })
      .end();
  return response
    .writeHead(http, { ...HEADERS, "content-type": "application/json" })
    .end(JSON.stringify({ error: { code: http, status, message: error.message, details: [] } }));
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
