// Lines that look like a small shop's: a proxy, an application with stack traces, a database, a worker with colours.
// Everything is a function of the seed and the time, so that a picture can be made again.

import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";

/** A small generator of numbers in [0, 1), the same for the same seed. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const PATHS = [
  "/",
  "/cart",
  "/api/v2/orders",
  "/api/v2/orders/48213",
  "/api/v2/search?q=oak+desk",
  "/static/app.93f1.js",
  "/checkout",
  "/healthz",
  "/api/v2/stock/771",
];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TRACE = [
  "java.sql.SQLTransientConnectionException: pool-orders: connection is not available, request timed out after 30000 ms",
  "    at com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)",
  "    at com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:181)",
  "    at shop.orders.OrderStore.save(OrderStore.java:88)",
  "    at shop.orders.Checkout.confirm(Checkout.java:142)",
  "Caused by: org.postgresql.util.PSQLException: sorry, too many clients already",
  "    at org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:693)",
  "    ... 11 more",
];

/** The lines of one moment, as `[file, line]`. */
export function linesAt(ms, next, trouble) {
  const iso = new Date(ms).toISOString();
  const pick = (values) => values[Math.floor(next() * values.length)];
  const number = (from, to) => Math.floor(from + next() * (to - from));
  const date = new Date(ms);
  const clf = `${String(date.getUTCDate()).padStart(2, "0")}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}:${iso.slice(11, 19)} +0000`;
  const kind = next();
  if (kind < 0.42) {
    const status =
      next() < (trouble ? 0.25 : 0.012)
        ? pick([502, 503, 500])
        : next() < 0.05
          ? pick([404, 403])
          : pick([200, 200, 200, 200, 304, 201]);
    const line = [
      [
        "nginx/access.log",
        `10.4.${number(0, 9)}.${number(2, 250)} - - [${clf}] "${pick(["GET", "GET", "GET", "POST"])} ${pick(PATHS)} HTTP/2.0" ${status} ${number(180, 48000)} "-" "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0" rt=${(next() * (trouble ? 9 : 0.3)).toFixed(3)}`,
      ],
    ];
    if (status === 502) line.push(["nginx/error.log", upstreamError(iso, number(1000, 9999))]);
    return line;
  }
  if (kind < 0.75) return orders(ms, iso, next, pick, number, trouble);
  if (kind < 0.88) {
    const spid = number(3000, 3040);
    if (trouble && next() < 0.4)
      return [
        ["postgres.log", `${iso.slice(0, 23).replace("T", " ")} UTC [${spid}] FATAL:  sorry, too many clients already`],
      ];
    return [
      [
        "postgres.log",
        `${iso.slice(0, 23).replace("T", " ")} UTC [${spid}] ${pick(["LOG:  checkpoint complete: wrote 812 buffers (5.0%)", "LOG:  duration: 3.412 ms  statement: SELECT id, total FROM orders WHERE customer = $1", "WARNING:  there is already a transaction in progress"])}`,
      ],
    ];
  }
  const [color, word] =
    next() < (trouble ? 0.3 : 0.04)
      ? ["31", "ERROR"]
      : next() < 0.12
        ? ["33", " WARN"]
        : next() < 0.4
          ? ["34", "DEBUG"]
          : ["32", " INFO"];
  const text = {
    ERROR: "job failed, will retry \u001b[2mattempt=3 queue=mail\u001b[0m",
    " WARN": "queue is growing \u001b[2mdepth=1840 oldest=42s\u001b[0m",
    DEBUG: "lease renewed \u001b[2mworker=w-07\u001b[0m",
    " INFO": "job done \u001b[2mkind=invoice took=182ms\u001b[0m",
  }[word];
  return [
    ["worker.log", `\u001b[2m${iso}\u001b[0m \u001b[${color}m${word}\u001b[0m \u001b[1mworker::pool\u001b[0m: ${text}`],
  ];
}

function upstreamError(iso, connection) {
  const time = iso.slice(0, 19).replaceAll("-", "/").replace("T", " ");
  return `${time} [error] 31#31: *${connection} connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://10.4.2.17:8080/"`;
}

function orders(ms, iso, next, pick, number, trouble) {
  if (next() < (trouble ? 0.22 : 0.006))
    return [
      [
        "orders.log",
        `${iso} ERROR [http-exec-${number(1, 24)}] s.o.Checkout - order ${number(48000, 49000)} could not be saved`,
      ],
      ...TRACE.map((line) => ["orders.log", line]),
    ];
  if (next() < 0.3) {
    const json = {
      time: iso,
      level: next() < 0.08 ? "warn" : "info",
      msg: pick(["order placed", "payment captured", "stock reserved"]),
      order: number(48000, 49000),
      customer: { id: number(100, 999), country: pick(["DE", "FR", "PL", "NO"]) },
      total: Number((next() * 400).toFixed(2)),
      trace: number(1e9, 9e9).toString(16),
    };
    return [["payments.log", JSON.stringify(json)]];
  }
  return [
    [
      "orders.log",
      `${iso} ${pick(["INFO ", "INFO ", "INFO ", "DEBUG", "DEBUG", "WARN "])} [http-exec-${number(1, 24)}] s.o.${pick(["Cart", "Checkout", "Stock", "Session"])} - ${pick(["reserved 2 of item 771 for order", "session refreshed for customer", "cart merged after login for customer", "price rules evaluated for order"])} ${number(48000, 49000)}`,
    ],
  ];
}

/** Writes `count` moments that end at `until`, about one every `step` milliseconds, busier and quieter, with some trouble. */
export function writeDemo(directory, { count, until, step, seed = 7 }) {
  mkdirSync(join(directory, "nginx"), { recursive: true });
  const next = random(seed);
  const files = new Map();
  const gaps = Array.from(
    { length: count },
    (_, i) => step / (1 + 0.45 * Math.sin(i / 1_300) + 0.25 * Math.sin(i / 290) + 0.2 * next()),
  );
  let ms = until - gaps.reduce((sum, gap) => sum + gap, 0);
  for (let i = 0; i < count; i += 1) {
    ms += gaps[i];
    const trouble = i > count * 0.66 && i < count * 0.74;
    for (const [file, line] of linesAt(ms, next, trouble)) files.set(file, `${files.get(file) ?? ""}${line}\n`);
  }
  for (const [file, text] of files) appendFileSync(join(directory, file), text);
}
