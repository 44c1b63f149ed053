// The keyboard: one table that both acts and is the help.

import { byId, h } from "./dom.js";

const TYPING = new Set(["INPUT", "TEXTAREA", "SELECT"]);

/** Groups of `[keys, words, action]`; an action is a name of the commands that `listen` is given. */
const GROUPS = [
  [
    "Move",
    [
      [["j", "ArrowDown"], "next line", "next"],
      [["k", "ArrowUp"], "previous line", "previous"],
      [["PageDown"], "a screen down", "pageDown"],
      [["PageUp"], "a screen up", "pageUp"],
      [["n"], "next error", "nextError"],
      [["N"], "previous error", "previousError"],
      [["g", "Home"], "oldest loaded line", "oldest"],
      [["G", "End"], "newest line, and follow", "newest"],
      [["Space"], "pause or follow", "follow"],
    ],
  ],
  [
    "Find",
    [
      [["/"], "search", "search"],
      [["e"], "show errors", "errors"],
      [["1–7"], "this level and above", null],
      [["0"], "all levels", "allLevels"],
      [["s"], "sources", "sources"],
    ],
  ],
  [
    "Look",
    [
      [["Enter"], "details", "open"],
      [["ArrowRight", "ArrowLeft"], "unfold or fold", "unfold"],
      [["x"], "lines around", "context"],
      [["c"], "copy line", "copyLine"],
      [["l"], "copy link", "copyLink"],
      [["z"], "fold stack traces or not", "folding"],
      [["w"], "lines as written, or brief", "written"],
      [["t"], "local time or UTC", "utc"],
      [["d"], "dark or light", "theme"],
      [["Escape"], "close, clear", "escape"],
      [["?"], "this help", "help"],
    ],
  ],
];

const SYNTAX = [
  ["timeout", "lines with this text; case counts once there is a capital"],
  ['"no space left"', "an exact phrase"],
  ["/5\\d\\d/", "a regular expression; /…/i ignores case"],
  ["-healthz", 'leave lines out; also -"…" and -/…/'],
];

const NAMES = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowRight: "→",
  ArrowLeft: "←",
  PageDown: "PgDn",
  PageUp: "PgUp",
  Escape: "Esc",
};

/** Acts on keys outside of fields and dialogs. */
export function listen(commands) {
  const actions = new Map();
  for (const [, keys] of GROUPS)
    for (const [names, , action] of keys) for (const name of names) if (action) actions.set(name, action);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = TYPING.has(event.target.tagName) && event.target.type !== "checkbox";
    if (document.querySelector("dialog[open]") || (typing && event.key !== "Escape")) return;
    // Buttons keep the keys that press them.
    if (["BUTTON", "SUMMARY"].includes(event.target.tagName) && (event.key === "Enter" || event.key === " ")) return;
    if (event.target.type === "checkbox" && event.key === " ") return;
    const key = event.key === " " ? "Space" : event.key;
    if (/^[1-7]$/.test(key)) commands.level(Number(key) - 1);
    else if (actions.has(key)) commands[actions.get(key)](event);
    else return;
    event.preventDefault();
  });
}

/** Fills the help dialog. */
export function fillHelp() {
  const key = (name) => h("kbd", { textContent: NAMES[name] ?? name });
  const groups = GROUPS.map(([title, keys]) =>
    h(
      "section",
      {},
      h("h3", { textContent: title }),
      h(
        "dl",
        {},
        ...keys.flatMap(([names, words]) => [h("dt", {}, ...names.map(key)), h("dd", { textContent: words })]),
      ),
    ),
  );
  const syntax = h(
    "section",
    { className: "wide" },
    h("h3", { textContent: "Search" }),
    h(
      "dl",
      {},
      ...SYNTAX.flatMap(([example, words]) => [
        h("dt", {}, h("code", { textContent: example })),
        h("dd", { textContent: words }),
      ]),
    ),
  );
  byId("help-body").replaceChildren(...groups, syntax);
}
