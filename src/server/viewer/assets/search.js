// The search field: words that must occur, `/regular expressions/`, `"exact phrases"`, each with `-` before it to keep
// lines out. One grammar becomes the server's patterns (so that history is searched there), a predicate over loaded
// rows (so that the screen answers at once), and the ranges to highlight.

const TERM = /(-?)(?:"([^"]*)"?|\/((?:\\.|[^/\\])+)\/(i?)(?=\s|$)|(\S+))/g;

/** Parses the field. Text ignores case until it has an upper-case letter; a regular expression does with `/…/i`. */
export function parseSearch(query) {
  const terms = [];
  for (const [, minus, phrase, regex, insensitive, word] of query.matchAll(TERM)) {
    const negative = minus === "-";
    if (regex !== undefined)
      terms.push({ negative, pattern: regex.replaceAll("\\/", "/"), ignoreCase: insensitive === "i" });
    else {
      const text = phrase ?? word;
      if (text !== "") terms.push({ negative, pattern: escapeRegex(text), ignoreCase: text === text.toLowerCase() });
    }
  }
  return terms.map((term) => ({ ...term, local: localRegex(term) }));
}

/** The patterns as LogRequest wants them. */
export function patternsOf(terms) {
  const write = (term) => (term.ignoreCase ? `(?i)${term.pattern}` : term.pattern);
  return {
    include: terms.filter((term) => !term.negative).map(write),
    exclude: terms.filter((term) => term.negative).map(write),
  };
}

/** A predicate over text; null when a pattern is beyond this browser's regular expressions and only the server can tell. */
export function predicateOf(terms) {
  if (terms.some((term) => term.local === null)) return null;
  return (text) => terms.every((term) => term.local.test(text) !== term.negative);
}

/** Ranges `[start, end)` of `text` to highlight, in order and disjoint; at most 200, for the sake of long lines. */
export function highlights(terms, text) {
  const ranges = [];
  for (const term of terms) {
    if (term.negative || term.local === null) continue;
    const every = new RegExp(term.local.source, `${term.local.flags}g`);
    for (const found of text.matchAll(every)) {
      if (found[0] !== "") ranges.push([found.index, found.index + found[0].length]);
      if (ranges.length >= 200) break;
    }
  }
  ranges.sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last && range[0] <= last[1]) last[1] = Math.max(last[1], range[1]);
    else merged.push(range);
  }
  return merged;
}

/** Whether every term of `before` is still there, so that what matched less then cannot match now. */
export function isNarrower(terms, before) {
  const keys = new Set(terms.map(termKey));
  return before.every(
    (term) => keys.has(termKey(term)) || (!term.negative && terms.some((each) => extendsTerm(each, term))),
  );
}

/** A longer word contains the shorter one, wherever it is found: typing on narrows. */
function extendsTerm(term, shorter) {
  const plain = /^[\w ]*$/;
  if (term.negative || !plain.test(term.pattern) || !plain.test(shorter.pattern)) return false;
  if (shorter.ignoreCase) return term.pattern.toLowerCase().includes(shorter.pattern.toLowerCase());
  return !term.ignoreCase && term.pattern.includes(shorter.pattern);
}

function termKey(term) {
  return `${term.negative ? "-" : "+"}${term.ignoreCase ? "i" : "s"}${term.pattern}`;
}

/** Escapes what both the server's and the browser's regular expressions would read as syntax. */
function escapeRegex(text) {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
}

function localRegex({ pattern, ignoreCase }) {
  for (const flags of ["u", ""]) {
    try {
      return new RegExp(pattern, flags + (ignoreCase ? "i" : ""));
    } catch {
      // Try without the stricter Unicode mode, then leave it to the server.
    }
  }
  return null;
}
