// The virtual list: only the rows on screen exist as elements, whatever is loaded. It either follows the newest row, or
// stays with the row that the reader looks at, while rows come and go at both ends.

import { h } from "./dom.js";
import { origins } from "./origins.js";
import { Row, screenLines } from "./row.js";

/** Rows rendered beyond the screen, at either side. */
const OVERSCAN = 6;
/** Height of the strip above the first row and below the last, where the list says what lies beyond. */
const EDGE = 30;
/** So near to an end, in pixels, more is asked for. */
const NEAR = 1_200;
/** Width of the source column at most, in characters. */
const SOURCE_COLUMNS_MAX = 22;

export class List {
  /**
   * `onReach("older" | "newer")` asks for more, `onSelect(row)` and `onOpen(row)` tell what the reader chose,
   * `onFollow(following)` whether the newest row is held, `onChange()` wants a frame drawn; `canFollow()` asks whether
   * the newer end is live.
   */
  constructor({ scroller, store, view, onReach, onSelect, onOpen, onFollow, canFollow, onChange }) {
    Object.assign(this, { scroller, store, view, onReach, onSelect, onOpen, onFollow, canFollow, onChange });
    this.canvas = h("div", { className: "canvas", role: "presentation" });
    this.above = h("div", { className: "edge above" });
    this.below = h("div", { className: "edge below" });
    this.canvas.append(this.above, this.below);
    scroller.append(this.canvas);
    this.pool = [];
    this.following = true;
    this.selected = null;
    this.anchor = null;
    this.look = 0;
    this.settledTop = 0;
    // Whether rows say again what the columns say.
    this.written = false;
    this.listen();
    this.measure();
  }

  listen() {
    const { scroller } = this;
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    // Rows may come faster than scroll events do: the first sign of scrolling up must already stop the following.
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.release(), { passive: true });
    scroller.addEventListener("touchmove", () => this.release(), { passive: true });
    scroller.addEventListener("click", (event) => this.clicked(event));
    scroller.addEventListener("dblclick", (event) => this.rowAt(event) !== null && this.onOpen(this.rowAt(event)));
    new ResizeObserver(() => {
      this.measure();
      this.invalidate();
    }).observe(scroller);
  }

  /** Reads what the style sheet decided: height of a row, width of a character. */
  measure() {
    const style = getComputedStyle(this.scroller);
    this.rowHeight = parseFloat(style.getPropertyValue("--row")) || 20;
    this.height = this.scroller.clientHeight;
    this.narrow = this.scroller.clientWidth < 640;
    const probe = h("span", { className: "text probe", textContent: "0".repeat(100) });
    this.canvas.append(probe);
    this.character = probe.getBoundingClientRect().width / 100 || 8;
    probe.remove();
    const text = this.pool.find((row) => row.element.isConnected && row.text.offsetWidth > 0)?.text;
    const width = text ? this.scroller.clientWidth - text.offsetLeft - 70 : this.scroller.clientWidth * 0.6;
    this.columns = Math.max(20, Math.floor(width / this.character));
  }

  /** Makes the source column as wide as the names that have come, within reason. */
  fitSources() {
    if (this.fitted === origins.length) return;
    this.fitted = origins.length;
    const longest = origins.reduce((most, { name }) => Math.max(most, name.length), 6);
    this.scroller.style.setProperty("--source-width", `${Math.min(longest, SOURCE_COLUMNS_MAX)}ch`);
  }

  /** Something is to be drawn. */
  touch() {
    this.dirty = true;
    this.onChange();
  }

  /** All rows must be filled again: clock, theme, columns or search changed. */
  invalidate() {
    this.look += 1;
    this.touch();
  }

  linesOf(row) {
    return screenLines(this.store.text(row), this.columns).lines;
  }

  /**
   * Draws the rows that are on screen now. Everything that makes the browser lay out is read before anything is written,
   * and the scroll position is written last, so that a frame costs one layout.
   */
  render(clock, dated) {
    const { view, scroller } = this;
    if (this.epoch !== this.store.epoch) this.forget();
    const total = view.length * this.rowHeight + 2 * EDGE;
    const now = this.following ? this.settledTop : scroller.scrollTop;
    const top = this.wantedTop(now, total);
    const first = Math.max(0, Math.floor((top - EDGE) / this.rowHeight) - OVERSCAN);
    const last = Math.min(view.length, Math.ceil((top + this.height - EDGE) / this.rowHeight) + OVERSCAN);
    this.draw(first, last, clock, dated);
    this.resize(total);
    if (this.following || Math.abs(top - now) > 0.5) scroller.scrollTop = top;
    this.settledTop = top;
    if (!this.following) this.anchorAt(top);
  }

  /** Asks for more where an end of what is loaded comes near. */
  reach() {
    // Until all loaded rows have been looked at, what lies above may be loaded already.
    if (this.settledTop < NEAR && this.view.complete) this.onReach("older");
    if (this.settledTop + this.height > this.total - NEAR) this.onReach("newer");
  }

  resize(total) {
    if (this.total === total) return;
    this.total = total;
    this.canvas.style.height = `${total}px`;
    this.below.style.transform = `translateY(${total - EDGE}px)`;
  }

  /** The rows are others now: what was chosen or looked at among the old ones is gone. */
  forget() {
    this.epoch = this.store.epoch;
    this.selected = null;
    this.anchor = null;
  }

  /** Where the screen belongs: at the newest row, or with the row that the reader looked at. */
  wantedTop(now, total) {
    const { view } = this;
    const end = Math.max(0, total - this.height);
    if (this.following) return end;
    const top =
      this.anchor && view.length > 0 ? EDGE + view.indexOf(this.anchor.row) * this.rowHeight + this.anchor.offset : now;
    return Math.min(end, Math.max(0, top));
  }

  draw(first, last, clock, dated) {
    const context = {
      store: this.store,
      view: this.view,
      clock,
      dated,
      columns: this.columns,
      narrow: this.narrow,
      written: this.written,
      look: this.look,
      selected: this.selected,
      length: this.view.length,
      rowHeight: this.rowHeight,
      top: EDGE,
    };
    const wanted = Math.max(0, last - first);
    while (this.pool.length < wanted) {
      const row = new Row(this.pool.length);
      this.pool.push(row);
      this.canvas.append(row.element);
    }
    const used = new Set();
    let active = null;
    for (let index = first; index < last; index += 1) {
      const row = this.pool[index % this.pool.length];
      used.add(row);
      if (row.element.hidden) row.element.hidden = false;
      row.fill(this.view.row(index), this.view.line(index), index, context);
      if (row.row === this.selected && active === null) active = row.element.id;
    }
    for (const row of this.pool) if (!used.has(row)) row.element.hidden = true;
    // A list box must have options.
    const role = wanted > 0 ? "listbox" : "group";
    if (this.scroller.role !== role) this.scroller.role = role;
    if (active) this.scroller.setAttribute("aria-activedescendant", active);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  /** Remembers which row is at the top of the screen, and how far it is scrolled out. */
  anchorAt(scrollTop) {
    if (this.view.length === 0) return;
    const top = scrollTop - EDGE;
    const index = Math.min(this.view.length - 1, Math.max(0, Math.floor(top / this.rowHeight)));
    const row = this.view.row(index);
    this.anchor = { row, offset: top - this.view.indexOf(row) * this.rowHeight };
  }

  keepAnchor() {
    this.anchorAt(this.scroller.scrollTop);
  }

  scrolled() {
    if (Math.abs(this.scroller.scrollTop - this.settledTop) < 2) return;
    this.settledTop = this.scroller.scrollTop;
    const atEnd = this.scroller.scrollTop + this.height >= this.total - EDGE && this.canFollow();
    if (atEnd !== this.following) this.setFollowing(atEnd);
    if (!this.following) this.keepAnchor();
    this.touch();
  }

  release() {
    if (this.following && this.total > this.height) this.setFollowing(false);
  }

  setFollowing(following) {
    if (this.following === following) return;
    this.following = following;
    if (!following) this.keepAnchor();
    this.touch();
    this.onFollow(following);
  }

  rowAt(event) {
    const element = event.target.closest(".row");
    return element ? (this.pool.find((row) => row.element === element)?.row ?? null) : null;
  }

  clicked(event) {
    const row = this.rowAt(event);
    if (row === null) return;
    if (event.target.classList.contains("fold")) {
      this.setFollowing(false);
      this.keepAnchor();
      this.view.toggle(row);
      this.touch();
    } else if (String(getSelection()) === "") {
      // A row that somebody looks at must not run away.
      this.setFollowing(false);
      this.select(row, false);
    }
  }

  /** Chooses a row and, if asked, brings it onto the screen. */
  select(row, reveal = true) {
    this.selected = row;
    this.touch();
    if (row !== null && reveal) this.reveal(this.view.indexOf(row));
    this.onSelect(row);
  }

  /** Scrolls as little as needed for an item to be seen. */
  reveal(index) {
    const top = EDGE + index * this.rowHeight;
    const margin = 3 * this.rowHeight;
    let scroll = this.scroller.scrollTop;
    if (top < scroll + margin) scroll = top - margin;
    else if (top + this.rowHeight > scroll + this.height - margin) scroll = top + this.rowHeight - this.height + margin;
    else return;
    this.scrollTo(scroll, index >= this.view.length - 1);
  }

  /** Brings an item to the middle of the screen. */
  center(index) {
    this.scrollTo(EDGE + index * this.rowHeight - this.height / 2, false);
  }

  scrollTo(top, atEnd) {
    const follow = atEnd && this.canFollow();
    this.setFollowing(follow);
    if (follow) return;
    this.resize(this.view.length * this.rowHeight + 2 * EDGE);
    this.scroller.scrollTop = Math.max(0, top);
    this.settledTop = this.scroller.scrollTop;
    this.keepAnchor();
    this.touch();
  }

  /** Moves the selection by items; without one it starts at the last item on screen. */
  step(by) {
    const { view } = this;
    if (view.length === 0) return;
    this.scroller.focus({ preventScroll: true });
    const onScreen = Math.min(
      view.length - 1,
      Math.floor((this.scroller.scrollTop + this.height - EDGE) / this.rowHeight) - 1,
    );
    let index = this.selected === null || !this.store.has(this.selected) ? onScreen : view.indexOf(this.selected) + by;
    while (index > 0 && index < view.length - 1 && view.line(index) > 0) index += Math.sign(by);
    this.select(view.row(Math.min(view.length - 1, Math.max(0, index))));
  }

  page() {
    return Math.max(1, Math.floor(this.height / this.rowHeight) - 2);
  }
}
