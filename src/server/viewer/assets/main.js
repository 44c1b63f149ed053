// The viewer's life: reads the address, wires the parts to each other, and draws at most once a frame.

import { announce, announceArrivals } from "./announce.js";
import { Controls } from "./controls.js";
import { Details } from "./details.js";
import { byId, setText } from "./dom.js";
import { Histogram } from "./histogram.js";
import { fillHelp, listen } from "./keys.js";
import { ERROR_MIN } from "./levels.js";
import { List } from "./list.js";
import { Lookup } from "./lookup.js";
import { EVERYTHING, localFilter, requestOf } from "./selection.js";
import { Session } from "./session.js";
import { REFRESH_MS, SourceTree } from "./sources.js";
import { Status } from "./status.js";
import { Store } from "./store.js";
import { isDark, onSystemTheme, recall, remember, toggleTheme } from "./theme.js";
import { Clock, rfc3339 } from "./time.js";
import { askForToken, token } from "./token.js";
import { Transport } from "./transport.js";
import { readAddress, writeAddress } from "./urlstate.js";
import { View } from "./view.js";

/** Time for searching loaded rows within one frame. */
const FRAME_SEARCH_MS = 10;
/** While lines flood in nobody reads them as they pass: twenty pictures a second leave the machine to other work. */
const FLOOD_LINES = 2_000;
const FLOOD_FRAME_MS = 50;
/** Counts, histogram and status are for people: a few times a second is enough. */
const SUMMARY_MS = 250;

const state = readAddress();
let clock = new Clock(state.utc ?? recall("logtap-utc") === "true");

const store = new Store();
const view = new View(store, (row) => list.linesOf(row));
const transport = new Transport({
  token,
  onFallback: (wire, why) => session.say("info", `${why}: continuing over ${wire.label}`),
});
const lookup = new Lookup({ store, transport });
const session = new Session({
  store,
  transport,
  events: {
    changed: schedule,
    needToken: (wrong) => askForToken(wrong, () => begin()),
    refused: (why) => controls.show(state.selection, why),
    isFollowing: () => list.following,
    anchored: (row) => anchored(row),
    detaching: () => {
      view.sync(0);
      status.countFresh();
    },
    renumbered: () => list.select(null),
  },
});
const list = new List({
  scroller: byId("list"),
  store,
  view,
  onReach: (end) => (end === "older" ? session.loadOlder() : session.loadNewer()),
  onSelect: (row) => selected(row),
  onOpen: (row) => openDetails(row),
  onFollow: (following) => {
    status.followed(following);
    schedule();
  },
  canFollow: () => session.attached,
  onChange: schedule,
});
const status = new Status({ session, store, view, list, transport });
const histogram = new Histogram({
  root: byId("histogram"),
  canvas: byId("histogram-canvas"),
  label: byId("histogram-label"),
  tip: byId("histogram-tip"),
  store,
  view,
  onJump: (row) => {
    list.select(row, false);
    list.center(view.indexOf(row));
  },
  onRange: (from, to) => change({ since: new Date(from).toISOString(), until: new Date(to).toISOString() }),
});
const controls = new Controls({ selection: () => state.selection, onChange: change, clock: () => clock });
const tree = new SourceTree({ root: byId("tree"), onPick: change });
const details = new Details({
  root: byId("details"),
  body: byId("details-body"),
  store,
  resolve: (row, signal) => lookup.resolve(row, signal),
  continuation: (entry, signal) => lookup.continuation(entry, signal),
  context: (entry, count, signal) => lookup.context(entry, count, signal),
  link: (at) => new URL(writeAddress({ ...state, at }), location.href).href,
  onWhere: (pair) => change({ where: [...new Set([...state.selection.where, pair])] }),
  onContext: (entry) =>
    go({ selection: { ...EVERYTHING, sources: [entry.source], paths: [entry.path] }, at: pointOf(entry) }),
  announce,
});

// ---- drawing ----

let scheduled = false;
let drawn = 0;
let summarized = 0;
let summaryTimer = 0;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  const wait = list.following && status.rate > FLOOD_LINES ? FLOOD_FRAME_MS - (performance.now() - drawn) : 0;
  if (wait > 4) setTimeout(() => requestAnimationFrame(draw), wait);
  else requestAnimationFrame(draw);
}

function draw(now) {
  scheduled = false;
  drawn = now;
  const changed = view.sync(FRAME_SEARCH_MS);
  if (changed || list.dirty) {
    list.dirty = false;
    list.render(clock, isDated(now));
  }
  list.reach();
  if (now - summarized >= SUMMARY_MS) summarize(now);
  else if (!summaryTimer) summaryTimer = setTimeout(() => summarize(performance.now()), SUMMARY_MS);
  status.update(state.selection);
  if (!view.complete || list.dirty) schedule();
}

function summarize(now) {
  clearTimeout(summaryTimer);
  summaryTimer = 0;
  summarized = now;
  status.measureRate(now);
  controls.count(store);
  histogram.update(clock);
  list.fitSources();
  arrivals(now);
  status.update(state.selection);
  // The rate falls back to nothing by itself once nothing comes.
  if (status.rate >= 0.5) summaryTimer = setTimeout(() => summarize(performance.now()), 2 * SUMMARY_MS);
}

/** Rows carry their date as soon as one of them is not of today. */
function isDated() {
  if (store.rows === 0) return false;
  const today = clock.dayNumber(Date.now());
  const first = clock.dayNumber(store.time[store.at(store.head)]);
  const dated = first !== today || clock.dayNumber(store.time[store.at(store.tail - 1)]) !== today;
  document.body.classList.toggle("dated", dated);
  return dated;
}

let announcedTail = 0;
let announcedEpoch = -1;

function arrivals(now) {
  if (announcedEpoch !== store.epoch || session.live !== "live") {
    announcedEpoch = store.epoch;
    announcedTail = store.tail;
  }
  let errors = 0;
  const from = Math.max(announcedTail, store.head);
  for (let row = from; row < store.tail; row += 1) if (store.severity[store.at(row)] >= ERROR_MIN) errors += 1;
  announceArrivals(store.tail - from, errors, now);
  announcedTail = store.tail;
}

// ---- the selection ----

/** Starts over with the present state. */
function begin() {
  list.setFollowing(!state.at);
  session.start(state.selection, { tail: state.tail, at: state.at });
  show();
  refreshSources();
}

/** Another selection: loaded rows answer at once, and the server is asked for what they cannot tell. */
async function change(patch) {
  const before = state.selection;
  state.selection = { ...before, ...patch };
  history[patch.q === undefined ? "pushState" : "replaceState"](null, "", writeAddress(state));
  show();
  if (session.canNarrow(state.selection)) {
    session.narrow(state.selection);
    return;
  }
  // Whoever has chosen a line and widens the selection wants to see what was around it.
  const wanted = state.selection;
  const point = list.selected !== null && !list.following ? await pointOfRow(list.selected) : null;
  if (state.selection === wanted) go({ selection: wanted, at: point }, "replaceState");
}

/** The point of a row in its file, if the selection shows it; otherwise nothing stands around it there. */
async function pointOfRow(row) {
  if (!store.has(row) || store.isNotice(row)) return null;
  const { since, until } = requestOf(state.selection);
  const at = store.at(row);
  const filter = localFilter(state.selection);
  const inside = filter.row(store, at) && (filter.text === null || filter.text(store.text(row)));
  const seconds = store.time[at] / 1000;
  if (!inside || (since && seconds < since.seconds) || (until && seconds > until.seconds)) return null;
  try {
    return pointOf(await lookup.resolve(row, AbortSignal.timeout(3_000)));
  } catch {
    return null;
  }
}

function pointOf(entry) {
  return entry.cursor ? { cursor: entry.cursor, nanos: entry.nanos, time: rfc3339(entry.nanos) } : null;
}

/** Goes to another state as a whole. */
function go({ selection, at = null }, how = "pushState") {
  state.selection = selection;
  state.at = at;
  history[how](null, "", writeAddress(state));
  begin();
}

function goLive() {
  if (session.attached) list.setFollowing(true);
  else go({ selection: state.selection });
}

/** Shows the selection on the loaded rows and in the controls. */
function show() {
  const filter = localFilter(state.selection);
  view.setFilter(filter);
  list.invalidate();
  const beyond = filter.terms.some((term) => term.local === null);
  controls.show(state.selection, beyond ? "Only the server can search for this" : "");
  tree.select(state.selection);
  byId("all-sources").hidden = state.selection.sources.length === 0 && state.selection.paths.length === 0;
  schedule();
}

function anchored(row) {
  view.sync(1_000);
  list.setFollowing(false);
  if (row === null) return;
  list.render(clock, isDated());
  list.select(row, false);
  list.center(view.indexOf(row));
}

// ---- rows ----

function selected(row) {
  if (row !== null && details.isOpen && !store.isNotice(row)) openDetails(row);
  schedule();
}

function openDetails(row) {
  if (row === null || !store.has(row) || store.isNotice(row)) return;
  if (list.selected !== row) list.selected = row;
  const opening = !details.isOpen;
  details.show(row, clock, view.filter.terms);
  if (opening) requestAnimationFrame(() => list.reveal(view.indexOf(row)));
  list.touch();
}

function closeDetails() {
  details.close();
  list.scroller.focus();
}

/** Runs with the chosen row, opening its details if need be. */
function withDetails(action) {
  if (list.selected === null || !store.has(list.selected)) {
    announce("Choose a line first");
    return;
  }
  if (!details.isOpen) openDetails(list.selected);
  action();
}

function jumpToError(direction) {
  const from = list.selected !== null && store.has(list.selected) ? view.indexOf(list.selected) : view.length;
  const index = view.find(from, direction, (row) => store.isError(row));
  if (index < 0) announce(direction > 0 ? "No later error is loaded" : "No earlier error is loaded");
  else list.select(view.row(index));
}

// ---- sources ----

let refreshing = 0;

async function refreshSources() {
  clearTimeout(refreshing);
  refreshing = setTimeout(refreshSources, REFRESH_MS);
  if (document.hidden || byId("sidebar").hidden) return;
  try {
    const sources = await transport.sources(AbortSignal.timeout(REFRESH_MS));
    tree.update(sources, Date.now());
    setText(byId("tree-note"), sources.length === 0 ? "No sources" : "");
  } catch (error) {
    setText(byId("tree-note"), tree.known ? "" : `Not available: ${error.message}`);
  }
}

function toggleSidebar(open = byId("sidebar").hidden) {
  byId("sidebar").hidden = !open;
  byId("sources-button").ariaExpanded = String(open);
  if (open) refreshSources();
}

// ---- commands ----

/** Lines as they were written, or without what the columns say. */
function setWritten(written) {
  list.written = written;
  remember("logtap-written", String(written));
  announce(written ? "Lines are shown as written" : "Lines are shown without what the columns say");
  list.invalidate();
}

function setUtc(utc) {
  clock = new Clock(utc);
  state.utc = utc;
  remember("logtap-utc", String(utc));
  history.replaceState(null, "", writeAddress(state));
  showUtc();
  controls.show(state.selection);
  if (details.isOpen && list.selected !== null && store.has(list.selected)) openDetails(list.selected);
  list.invalidate();
  summarize(performance.now());
  schedule();
}

function showUtc() {
  setText(byId("utc"), clock.utc ? "UTC" : "Local");
}

function themeChanged() {
  byId("theme").ariaPressed = String(isDark());
  histogram.recolor();
}

function clearFilters() {
  go({ selection: { ...EVERYTHING, sources: state.selection.sources, paths: state.selection.paths } });
}

const commands = {
  next: () => list.step(1),
  previous: () => list.step(-1),
  pageDown: () => list.step(list.page()),
  pageUp: () => list.step(-list.page()),
  nextError: () => jumpToError(1),
  previousError: () => jumpToError(-1),
  oldest: () => view.length > 0 && list.select(view.row(0)),
  newest: goLive,
  follow: () => (list.following ? list.setFollowing(false) : goLive()),
  search: () => byId("search").select(),
  errors: () => controls.toggleErrors(),
  level: (index) => controls.chooseLevel(index),
  allLevels: () => change({ level: "" }),
  sources: () => toggleSidebar(),
  open: () => (list.selected === null ? list.step(0) : openDetails(list.selected)),
  unfold: ({ key }) => {
    if (
      list.selected === null ||
      !store.has(list.selected) ||
      view.expanded.has(list.selected) === (key === "ArrowRight")
    )
      return;
    view.toggle(list.selected);
    list.touch();
  },
  context: () => withDetails(() => details.showContext()),
  copyLine: () => withDetails(() => details.copyLine()),
  copyLink: () => withDetails(() => details.copyLink()),
  folding: () => {
    view.setFolding(!view.folding);
    announce(view.folding ? "Stack traces are folded" : "Stack traces are shown line by line");
    list.touch();
  },
  written: () => setWritten(!list.written),
  utc: () => setUtc(!clock.utc),
  theme: () => {
    toggleTheme();
    themeChanged();
  },
  help: () => byId("help-dialog").showModal(),
  escape: () => {
    if (document.activeElement === byId("search")) list.scroller.focus();
    else if (details.isOpen) closeDetails();
    else if (isNarrow() && !byId("sidebar").hidden) toggleSidebar(false);
    else if (state.selection.q) change({ q: "" });
    else list.select(null);
  },
};

function isNarrow() {
  return matchMedia("(max-width: 760px)").matches;
}

function listenToButtons() {
  const on = (id, action) => byId(id).addEventListener("click", action);
  on("utc", commands.utc);
  on("theme", commands.theme);
  on("help", commands.help);
  on("help-close", () => byId("help-dialog").close());
  on("pill", goLive);
  on("retry", () => (session.fresh ? begin() : session.retry()));
  on("empty-action", () => (byId("empty-action").textContent === "Clear filters" ? clearFilters() : begin()));
  on("copy-line", commands.copyLine);
  on("copy-link", commands.copyLink);
  on("details-close", closeDetails);
  on("sources-button", () => toggleSidebar());
  on("all-sources", () => change({ sources: [], paths: [] }));
  byId("help-dialog").addEventListener(
    "click",
    (event) => event.target === byId("help-dialog") && byId("help-dialog").close(),
  );
  list.scroller.addEventListener("scroll", schedule, { passive: true });
  addEventListener("popstate", () => {
    Object.assign(state, readAddress());
    begin();
  });
  document.addEventListener("visibilitychange", () => !document.hidden && refreshSources());
  onSystemTheme(themeChanged);
}

list.written = recall("logtap-written") === "true";
listenToButtons();
listen(commands);
fillHelp();
showUtc();
themeChanged();
toggleSidebar(!isNarrow());
begin();
