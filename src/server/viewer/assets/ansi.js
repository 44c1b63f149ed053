// Terminal colours in log lines are shown as colours; every other control character is shown as a symbol, so that a
// line can neither act on the page nor hide what it says.

/** `plain` is the text without escape sequences, `runs` are styled ranges of it: `{start, end, classes, color, background}`. */
export function parseAnsi(text) {
  if (!UNSAFE.test(text)) return { plain: text, runs: [] };
  const runs = [];
  let plain = "";
  let style = NORMAL;
  let at = 0;
  for (const sequence of text.matchAll(SEQUENCE)) {
    plain = addRun(runs, plain, text.slice(at, sequence.index), style);
    if (sequence[1] !== undefined) style = applied(style, sequence[1]);
    at = sequence.index + sequence[0].length;
  }
  return { plain: addRun(runs, plain, text.slice(at), style), runs };
}

// The C0 controls but tab and newline, DEL and the C1 controls, and the characters that turn the direction of text.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const UNSAFE_ALL = new RegExp(UNSAFE.source, "g");
// CSI sequences (group 1: the parameters of SGR) and OSC sequences, which set titles and links.
const SEQUENCE = /\u001b\[([\d;:]*)m|\u001b\[[\d;:?<=>!]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
const NORMAL = Object.freeze({
  classes: "",
  color: "",
  background: "",
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
  strike: false,
});

function addRun(runs, plain, piece, style) {
  const clean = piece.replace(UNSAFE_ALL, symbolOf);
  if (clean !== "" && style !== NORMAL)
    runs.push({
      start: plain.length,
      end: plain.length + clean.length,
      classes: classesOf(style),
      color: style.color,
      background: style.background,
    });
  return plain + clean;
}

/** Unicode has pictures of the C0 controls; the others are written by number. */
function symbolOf(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** The style after one SGR sequence. */
function applied(before, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  let style = { ...before };
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) style = { ...NORMAL };
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 9) style.strike = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code === 29) style.strike = false;
    else if (code >= 30 && code <= 37) style.color = `c${code - 30}`;
    else if (code >= 90 && code <= 97) style.color = `c${code - 82}`;
    else if (code === 39) style.color = "";
    else if (code >= 40 && code <= 47) style.background = `c${code - 40}`;
    else if (code >= 100 && code <= 107) style.background = `c${code - 92}`;
    else if (code === 49) style.background = "";
    else if (code === 38 || code === 48) {
      const extended = extendedColor(codes, i + 1);
      style[code === 38 ? "color" : "background"] = extended.color;
      i += extended.used;
    }
  }
  const isNormal = Object.keys(NORMAL).every((key) => style[key] === NORMAL[key]);
  return isNormal ? NORMAL : style;
}

/** `5;n` out of 256 colours or `2;r;g;b`. */
function extendedColor(codes, at) {
  if (codes[at] === 2)
    return {
      color: `rgb(${codes
        .slice(at + 1, at + 4)
        .map((value) => value & 255)
        .join(" ")})`,
      used: 4,
    };
  if (codes[at] !== 5) return { color: "", used: 1 };
  const index = codes[at + 1] & 255;
  if (index < 16) return { color: `c${index}`, used: 2 };
  if (index >= 232)
    return {
      color: `rgb(${Array(3)
        .fill(8 + (index - 232) * 10)
        .join(" ")})`,
      used: 2,
    };
  const level = (part) => (part === 0 ? 0 : 55 + part * 40);
  const cube = index - 16;
  return {
    color: `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`,
    used: 2,
  };
}

function classesOf(style) {
  return ["bold", "dim", "italic", "underline", "inverse", "strike"]
    .filter((name) => style[name])
    .map((name) => `a-${name}`)
    .join(" ");
}

/** A time, and a level word after it, at the beginning of a line: columns of the list say the same. */
const PREFIX =
  /^\[?(?:\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d(?:[.,]\d+)?)\]?[ \t]*(?:\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|CRIT(?:ICAL)?|ALERT|FATAL|EMERG|trace|debug|info|notice|warn(?:ing)?|error|fatal)\]?:?(?=\s|$)[ \t]*)?/;

/** Client, user and time of an access log's line: what was asked for comes after it. */
const ACCESS = /^\S+ \S+ \S+ \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] /;

/** The text with that beginning dimmed, so that the eye falls on what is new; without it if `cut`. */
export function withoutPrefix({ plain, runs }, cut) {
  const length = (PREFIX.exec(plain) ?? ACCESS.exec(plain))?.[0].length ?? 0;
  if (length === 0) return { plain, runs };
  if (cut && length < plain.length) {
    const moved = runs.map((run) => ({ ...run, start: Math.max(0, run.start - length), end: run.end - length }));
    return { plain: plain.slice(length), runs: moved.filter(({ end }) => end > 0) };
  }
  return {
    plain,
    runs: runs.length > 0 ? runs : [{ start: 0, end: length, classes: "a-dim", color: "", background: "" }],
  };
}

/**
 * Puts the range `[from, to)` of a parsed text into an element: styled runs as spans, highlighted ranges as marks.
 * Everything becomes text nodes.
 */
export function renderText(element, { plain, runs }, marks, from = 0, to = plain.length) {
  element.textContent = "";
  if (runs.length === 0 && marks.length === 0) {
    element.textContent = plain.slice(from, to);
    return;
  }
  const edges = new Set([from, to]);
  for (const { start, end } of runs) edges.add(start).add(end);
  for (const [start, end] of marks) edges.add(start).add(end);
  const cuts = [...edges].filter((edge) => edge >= from && edge <= to).sort((a, b) => a - b);
  let [run, mark] = [0, 0];
  for (let i = 0; i + 1 < cuts.length; i += 1) {
    const [start, end] = [cuts[i], cuts[i + 1]];
    while (run < runs.length && runs[run].end <= start) run += 1;
    while (mark < marks.length && marks[mark][1] <= start) mark += 1;
    const style = run < runs.length && runs[run].start <= start ? runs[run] : null;
    const marked = mark < marks.length && marks[mark][0] <= start;
    element.append(piece(plain.slice(start, end), style, marked));
  }
}

function piece(text, style, marked) {
  if (!style && !marked) return document.createTextNode(text);
  const span = document.createElement(marked ? "mark" : "span");
  span.textContent = text;
  if (style) {
    const named = [
      style.color && /^c\d/.test(style.color) ? `fg-${style.color}` : "",
      style.background && /^c\d/.test(style.background) ? `bg-${style.background}` : "",
    ];
    span.className = [style.classes, ...named].filter(Boolean).join(" ");
    if (style.color && !named[0]) span.style.color = style.color;
    if (style.background && !named[1]) span.style.backgroundColor = style.background;
  }
  return span;
}
