// Cursors of the fake server: line counts, sealed so that a damaged one is noticed.

import { createHash } from "node:crypto";

/** An answer that is an error. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function sealed(body) {
  return Buffer.concat([body, createHash("sha256").update(body).digest().subarray(0, 4)]);
}

/** 32 bytes: kind, line count, file. */
export function entryCursor(log, count) {
  const body = Buffer.alloc(28);
  body[0] = 1;
  body.writeUInt32LE(count, 1);
  body.writeUInt32LE(log.id, 5);
  return sealed(body);
}

/** Kind, then line count and file of each log. */
export function wholeCursor(positions) {
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
export function readCursor(cursor, name) {
  const body = cursor.subarray(0, -4);
  if (cursor.length < 9 || !sealed(body).equals(cursor))
    throw new Refused("INVALID_ARGUMENT", `${name}: a damaged cursor`);
  if (body[0] === 1) return { whole: false, counts: new Map([[body.readUInt32LE(5), body.readUInt32LE(1)]]) };
  const counts = new Map();
  for (let at = 1; at + 8 <= body.length; at += 8) counts.set(body.readUInt32LE(at + 4), body.readUInt32LE(at));
  return { whole: true, counts };
}
