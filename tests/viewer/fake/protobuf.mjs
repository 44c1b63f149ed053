// The messages of the protocol that the fake server speaks, by hand.

import { entryCursor, Refused } from "./cursors.mjs";
import { fieldsOf } from "./logs.mjs";

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

export function field(number, value) {
  if (typeof value === "number" || typeof value === "bigint")
    return value ? Buffer.concat([varint(number * 8), varint(value)]) : Buffer.alloc(0);
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function encodeEntry(line, withCursor, withFields) {
  const parts = [
    field(1, line.message),
    field(2, line.nanos),
    field(3, line.severity),
    field(4, line.log.source),
    field(5, line.log.path),
  ];
  if (withCursor) parts.push(field(6, entryCursor(line.log, line.index + 1)));
  if (withFields)
    for (const [key, value] of Object.entries(fieldsOf(line.message)))
      parts.push(field(7, Buffer.concat([field(1, key), field(2, value)])));
  if (line.raw) parts.push(field(8, line.raw));
  parts.push(field(9, line.flags));
  return Buffer.concat(parts);
}

export function* fieldsIn(bytes) {
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

export function decodeRequest(bytes) {
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
