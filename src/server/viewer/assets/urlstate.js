// The page's state in its address, so that a link shows somebody else the same lines. A token never gets there.

import { fromBase64, toBase64Url } from "./base64.js";
import { levelName, levelRange } from "./levels.js";
import { EVERYTHING } from "./selection.js";
import { nanosOf, parseTime } from "./time.js";

export const TAIL_DEFAULT = 5_000;
const TAIL_MAX = 100_000;

/** Reads `{selection, tail, at, utc}`; what is malformed is left out, because a link may be old or cut. */
export function readAddress(search = location.search) {
  const parameters = new URLSearchParams(search);
  const text = (name) => parameters.get(name) ?? "";
  const time = (name) => (Number.isNaN(parseTime(text(name))) ? "" : text(name));
  const selection = {
    ...EVERYTHING,
    level: levelRange(text("level")) ? levelName(text("level")) : "",
    sources: parameters.getAll("source"),
    paths: parameters.getAll("path"),
    q: text("q"),
    since: time("since"),
    until: time("until"),
    where: parameters.getAll("where").filter((pair) => pair.includes("=")),
  };
  const tail = Number.parseInt(text("tail"), 10);
  return {
    selection,
    tail: tail >= 1 ? Math.min(tail, TAIL_MAX) : TAIL_DEFAULT,
    at: readPoint(text("at"), text("t")),
    utc: text("tz") === "" ? null : text("tz") === "utc",
  };
}

function readPoint(cursor, time) {
  if (cursor === "") return null;
  try {
    return { cursor: fromBase64(cursor), nanos: nanosOf(time), time };
  } catch {
    return null;
  }
}

/** The address of a state; `at` is `{cursor, time}` or null. */
export function writeAddress({ selection, tail, at, utc }) {
  const parameters = new URLSearchParams();
  for (const source of selection.sources) parameters.append("source", source);
  for (const path of selection.paths) parameters.append("path", path);
  for (const name of ["level", "q", "since", "until"]) if (selection[name]) parameters.set(name, selection[name]);
  for (const pair of selection.where) parameters.append("where", pair);
  if (tail !== TAIL_DEFAULT) parameters.set("tail", tail);
  if (utc !== null) parameters.set("tz", utc ? "utc" : "local");
  if (at) {
    parameters.set("at", toBase64Url(at.cursor));
    if (at.time) parameters.set("t", at.time);
  }
  const query = parameters.toString();
  return `${location.pathname}${query ? `?${query}` : ""}`;
}
