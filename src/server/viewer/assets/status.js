// The state of the stream in words: the status line, the pill over the list, the edges of the list, and what stands
// there when there is nothing to show.

import { byId, bytesText, grouped, plural, setText } from "./dom.js";
import { CallError } from "./errors.js";
import { EDGE, LIVE } from "./session.js";

const WORDS = {
  [LIVE.OFF]: ["past", "In the past"],
  [LIVE.CONNECTING]: ["busy", "Connecting…"],
  [LIVE.LOADING]: ["busy", "Loading…"],
  [LIVE.LIVE]: ["live", "Live"],
  [LIVE.RETRYING]: ["broken", "Connection lost, trying again…"],
  [LIVE.FAILED]: ["broken", "Stopped"],
  [LIVE.ENDED]: ["past", "Complete"],
};

export class Status {
  constructor({ session, store, view, list, transport }) {
    Object.assign(this, { session, store, view, list, transport });
    this.rate = 0;
    this.counted = { at: performance.now(), lines: 0 };
    // The newest row when the reader stopped following, and how many have come since.
    this.pausedAt = null;
    this.fresh = 0;
    this.epoch = null;
    this.attached = true;
  }

  /** Remembers where the reader stopped following. */
  followed(following) {
    this.pausedAt = following ? null : this.store.tail - 1;
    this.fresh = 0;
  }

  /** Lines that came since, also those that were only counted because the window was full. */
  countFresh() {
    const { session, store, view } = this;
    if (this.epoch !== store.epoch || session.filling || (session.attached && !this.attached)) {
      this.pausedAt = store.tail - 1;
      this.fresh = 0;
    }
    this.epoch = store.epoch;
    this.attached = session.attached;
    if (session.attached) this.fresh = this.pausedAt === null ? 0 : view.newerThan(this.pausedAt);
    return session.attached ? this.fresh : this.fresh + session.uncounted;
  }

  update(selection) {
    this.showState();
    this.showPill();
    this.showEdges(selection);
    this.showEmpty(selection);
  }

  showState() {
    const { session, list } = this;
    let [tone, words] = WORDS[session.live];
    if (session.live === LIVE.LIVE && !list.following)
      [tone, words] = session.attached ? ["paused", "Paused"] : ["past", "In the past"];
    if (session.live === LIVE.RETRYING && session.error instanceof CallError)
      words = `${session.error.message}; trying again…`;
    if (session.live === LIVE.FAILED) words = session.error.message;
    if (session.progress?.total)
      words = `Searched ${bytesText(session.progress.scanned)} of ${bytesText(session.progress.total)}`;
    byId("status-dot").className = tone;
    setText(byId("status-text"), words);
    byId("status-text").title = session.error?.message ?? "";
    byId("retry").hidden = session.live !== LIVE.FAILED;
    setText(
      byId("rate"),
      session.live === LIVE.LIVE && this.rate >= 0.5 ? `${plural(Math.round(this.rate), "line")}/s` : "",
    );
    setText(byId("wire"), this.transport.label);
  }

  /** Lines a second, smoothed over about two seconds; called a few times a second. */
  measureRate(now) {
    const seconds = (now - this.counted.at) / 1000;
    if (seconds < 0.25) return;
    const rate = (this.session.arrived - this.counted.lines) / seconds;
    this.rate = this.session.live === LIVE.LIVE ? this.rate + (rate - this.rate) * Math.min(1, seconds / 2) : 0;
    this.counted = { at: now, lines: this.session.arrived };
  }

  showPill() {
    const { session, list, view } = this;
    const pill = byId("pill");
    pill.hidden = (list.following && session.attached) || (view.length === 0 && session.attached);
    if (pill.hidden) return;
    const fresh = this.countFresh();
    setText(pill, fresh > 0 ? `↓ ${plural(fresh, "new line")}` : "↓ Latest");
  }

  showEdges() {
    const { session, list } = this;
    const older = {
      [EDGE.MORE]: "",
      [EDGE.LOADING]: "Loading older lines…",
      [EDGE.DONE]: "The beginning",
      [EDGE.FAILED]: `Older lines did not load: ${session.edgeError?.message}`,
    };
    const newer = {
      [EDGE.MORE]: "",
      [EDGE.LOADING]: "Loading newer lines…",
      [EDGE.DONE]: "",
      [EDGE.FAILED]: `Newer lines did not load: ${session.edgeError?.message}`,
    };
    // While loaded rows are still searched, more of them may turn up above.
    const isKnown = this.view.length > 0 && (session.older !== EDGE.DONE || this.view.complete);
    setText(list.above, isKnown ? older[session.older] : "");
    setText(list.below, newer[session.newer]);
  }

  showEmpty(selection) {
    const { session, view } = this;
    const box = byId("empty");
    box.hidden = view.length > 0;
    if (!box.hidden) {
      const [title, text, action] = this.emptyWords(selection);
      setText(byId("empty-title"), title);
      setText(byId("empty-text"), text);
      byId("empty-action").hidden = !action;
      setText(byId("empty-action"), action ?? "");
      box.className = session.live === LIVE.FAILED || session.live === LIVE.RETRYING ? "broken" : session.live;
    }
  }

  emptyWords(selection) {
    const { session, view } = this;
    const filtered = selection.level || selection.q || selection.where.length > 0 || selection.since || selection.until;
    if (session.live === LIVE.RETRYING)
      return [
        "No connection",
        `${session.error.message}. It is tried again until it works; nothing will be missed.`,
        null,
      ];
    if (session.live === LIVE.FAILED)
      return ["The stream has stopped", session.error.message, filtered ? "Clear filters" : "Try again"];
    if (session.live === LIVE.CONNECTING) return ["Connecting…", "", null];
    if (session.live === LIVE.LOADING || session.older === EDGE.LOADING || !view.complete)
      return ["Searching…", "Older lines are searched; matches appear as they are found.", null];
    if (filtered) return ["Nothing matches", "New lines that match will appear here.", "Clear filters"];
    return ["Quiet", "No lines yet. The first one will appear here the moment it is written.", null];
  }
}
