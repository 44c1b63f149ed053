// Protobuf's wire format, as much of it as the viewer's few messages need: varints and length-delimited fields are
// read and written, the other wire types are skipped. https://protobuf.dev/programming-guides/encoding/

const UTF8 = new TextDecoder();
const ENCODER = new TextEncoder();

/** Decodes UTF-8. */
export function utf8(bytes) {
  return UTF8.decode(bytes);
}

/**
 * Reads a message in place. `next()` moves to the next field and tells its number, 0 at the end; then exactly one of
 * the value methods, or `skip()`, must follow. Throws RangeError on bytes that end in the middle of a field.
 */
export class Reader {
  constructor(bytes, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
    this.wire = 0;
  }

  next() {
    if (this.pos >= this.end) return 0;
    const tag = this.varint();
    this.wire = tag & 7;
    return Math.floor(tag / 8);
  }

  /** An unsigned number; past 2^53 it is rounded, which is enough for everything but exact nanoseconds. */
  varint() {
    const bytes = this.bytes;
    let byte = bytes[this.pos++];
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 128;
    do {
      if (this.pos >= this.end) throw new RangeError("protobuf: a number is cut off");
      byte = bytes[this.pos++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    return value;
  }

  /** A signed 64-bit number, exactly. */
  int64() {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      if (this.pos >= this.end) throw new RangeError("protobuf: a number is cut off");
      const byte = this.bytes[this.pos++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
      shift += 7n;
    }
  }

  /** The end of a length-delimited value that starts at `pos`. */
  span() {
    const length = this.varint();
    const end = this.pos + length;
    if (end > this.end) throw new RangeError("protobuf: a field is cut off");
    return end;
  }

  /** A view of a length-delimited value. */
  view() {
    const end = this.span();
    const view = this.bytes.subarray(this.pos, end);
    this.pos = end;
    return view;
  }

  /** A copy of a length-delimited value, which does not keep the message alive. */
  copy() {
    return this.view().slice();
  }

  string() {
    return UTF8.decode(this.view());
  }

  /** A reader of an embedded message. */
  message() {
    const end = this.span();
    const reader = new Reader(this.bytes, this.pos, end);
    this.pos = end;
    return reader;
  }

  skip() {
    if (this.wire === 0) this.varint();
    else if (this.wire === 2) this.pos = this.span();
    else if (this.wire === 1) this.pos += 8;
    else if (this.wire === 5) this.pos += 4;
    else throw new RangeError(`protobuf: wire type ${this.wire}`);
    if (this.pos > this.end) throw new RangeError("protobuf: a field is cut off");
  }
}

/** Writes a message; default values are left out, as proto3 wants it. */
export class Writer {
  constructor() {
    this.bytes = [];
  }

  /** A number below 2^53, written even when 0 if `present` says so. */
  number(field, value, present = false) {
    if (!value && !present) return this;
    this.raw(field * 8);
    this.raw(value ?? 0);
    return this;
  }

  string(field, value) {
    return value ? this.data(field, ENCODER.encode(value)) : this;
  }

  /** Length-delimited bytes, written even when empty: an element of a repeated field or an embedded message. */
  data(field, bytes) {
    this.raw(field * 8 + 2);
    this.raw(bytes.length);
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  raw(value) {
    let rest = value;
    while (rest >= 128) {
      this.bytes.push((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.bytes.push(rest);
  }

  finish() {
    return Uint8Array.from(this.bytes);
  }
}
