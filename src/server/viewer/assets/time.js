// Times: parsed from the URL, written for rows and details, in local time or UTC.

const UNITS = { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7, w: 6.048e8 };

/** Milliseconds (with a fraction) of RFC 3339 or of a duration before `now` such as `15m`; NaN when it is neither. */
export function parseTime(text, now = Date.now()) {
  const relative = /^(\d+)([smhdw])$/.exec(text);
  if (relative) return now - Number(relative[1]) * UNITS[relative[2]];
  return Date.parse(text);
}

/** google.protobuf.Timestamp of milliseconds. */
export function timestampOf(ms) {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** google.protobuf.Timestamp of nanoseconds. */
export function timestampOfNanos(nanos) {
  const seconds = nanos / 1_000_000_000n;
  return { seconds: Number(seconds), nanos: Number(nanos - seconds * 1_000_000_000n) };
}

/** RFC 3339 in UTC with all nine digits. */
export function rfc3339(nanos) {
  const { seconds, nanos: rest } = timestampOfNanos(nanos);
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(rest).padStart(9, "0")}Z`;
}

/** Nanoseconds of RFC 3339, as exactly as it was written; null when it is none. */
export function nanosOf(text) {
  const match = /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  const seconds = match ? Date.parse(match[1].replace(" ", "T") + match[3]) : NaN;
  return Number.isNaN(seconds) ? null : BigInt(seconds) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Writes times in one zone. Plain arithmetic: Intl is a hundred times slower, and rows are written by the thousand. */
export class Clock {
  constructor(utc) {
    this.utc = utc;
  }

  /** The parts of a time in this clock's zone. */
  parts(ms) {
    return new Date(Math.floor(ms + this.shift(ms)));
  }

  /** How far this clock is ahead of UTC at a time, in milliseconds. */
  shift(ms) {
    return this.utc ? 0 : new Date(ms).getTimezoneOffset() * -60_000;
  }

  /** `15:04:05.678` */
  time(ms) {
    return this.parts(ms).toISOString().slice(11, 23);
  }

  /** `15:04:05` */
  short(ms) {
    return this.parts(ms).toISOString().slice(11, 19);
  }

  /** `Nov 24` */
  day(ms) {
    const date = this.parts(ms);
    return `${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2, "0")}`;
  }

  /** A number that is equal for times of one day. */
  dayNumber(ms) {
    return Math.floor((ms + this.shift(ms)) / 8.64e7);
  }

  /** `2026-11-24 15:04:05.678901234 +01:00` */
  full(nanos) {
    const ms = Number(nanos / 1_000_000n);
    const offset = this.utc ? 0 : -new Date(ms).getTimezoneOffset();
    const zone = this.utc
      ? "UTC"
      : `${offset < 0 ? "-" : "+"}${pad(Math.abs(offset) / 60)}:${pad(Math.abs(offset) % 60)}`;
    const fraction = String(((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n).padStart(9, "0");
    return `${this.parts(ms).toISOString().slice(0, 19).replace("T", " ")}.${fraction} ${zone}`;
  }
}

function pad(number) {
  return String(Math.floor(number)).padStart(2, "0");
}
