// A selection: what the reader wants to see, as the URL and the controls tell it, and what follows from it.

import { levelRange } from "./levels.js";
import { origins } from "./origins.js";
import { isNarrower, parseSearch, patternsOf, predicateOf } from "./search.js";
import { parseTime, timestampOf } from "./time.js";

/** Everything. */
export const EVERYTHING = Object.freeze({ level: "", sources: [], paths: [], q: "", since: "", until: "", where: [] });

/** The selection's part of a LogRequest. Relative times count back from `now`. */
export function requestOf(selection, now = Date.now()) {
  const request = {
    level: selection.level,
    sources: selection.sources,
    paths: selection.paths.map(escapeGlob),
    ...patternsOf(parseSearch(selection.q)),
  };
  if (selection.where.length > 0) request.where = selection.where.map((pair) => splitPair(pair));
  for (const name of ["since", "until"])
    if (selection[name]) request[name] = timestampOf(parseTime(selection[name], now));
  return request;
}

/** Whether all that `next` selects was selected by `before` too, so that loaded rows can answer for it. */
export function narrows(next, before) {
  if (next.since !== before.since || next.until !== before.until || next.where.join("\n") !== before.where.join("\n"))
    return false;
  const terms = parseSearch(next.q);
  return (
    within(next.sources, before.sources) &&
    within(next.paths, before.paths) &&
    levelWithin(next.level, before.level) &&
    predicateOf(terms) !== null &&
    isNarrower(terms, parseSearch(before.q))
  );
}

function within(next, before) {
  return before.length === 0 || (next.length > 0 && next.every((each) => before.includes(each)));
}

function levelWithin(next, before) {
  const [inner, outer] = [levelRange(next), levelRange(before)];
  if (!outer) return true;
  return Boolean(inner) && inner.min >= outer.min && inner.max <= outer.max;
}

/**
 * The selection over loaded rows: `row(store, at)` decides by the numbers, `text` (null: nothing to look for) by the
 * text, which costs more and comes second.
 */
export function localFilter(selection) {
  const range = levelRange(selection.level);
  const terms = parseSearch(selection.q);
  const { sources, paths } = selection;
  const wanted = new Map();
  const originMatches = (number) => {
    if (!wanted.has(number)) {
      const { source, path } = origins[number];
      wanted.set(
        number,
        (sources.length === 0 || sources.includes(source)) && (paths.length === 0 || paths.includes(path)),
      );
    }
    return wanted.get(number);
  };
  const anyOrigin = sources.length === 0 && paths.length === 0;
  return {
    all: !range && anyOrigin && terms.length === 0,
    row: (store, at) =>
      (!range || (store.severity[at] >= range.min && store.severity[at] <= range.max && store.severity[at] !== 0)) &&
      (anyOrigin || originMatches(store.origin[at])),
    text: terms.length > 0 ? predicateOf(terms) : null,
    terms,
  };
}

/** A path as a glob that matches nothing but itself. */
export function escapeGlob(path) {
  return path.replace(/[[\]*?{}]/g, (character) => `[${character}]`);
}

function splitPair(pair) {
  const equals = pair.indexOf("=");
  return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
}
