// How many of the shown rows fall into which stretch of time, stacked by severity. A click, or the arrow keys, goes to
// the first row of a stretch; dragging selects a span of time.

import { grouped, h, setText } from "./dom.js";

const LAYERS = ["none", "debug", "info", "warn", "error", "fatal"];
const LAYER_OF = new Uint8Array(256).fill(0);
for (let severity = 1; severity < 256; severity += 1)
  LAYER_OF[severity] = severity >= 18 ? 5 : severity >= 17 ? 4 : severity >= 13 ? 3 : severity >= 9 ? 2 : 1;

/** Width of a bar at least, in pixels. */
const BAR = 6;
/** Height of the strip of times below the bars, and room for one of them. */
const SCALE = 14;
const TICK_ROOM = 110;
/** This share of the rows does not decide over the span that is shown. */
const FEW = 0.03;
/** Widths of a bar that people can name, in milliseconds. */
const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 1.2e5, 3e5, 6e5, 9e5, 1.8e6, 3.6e6, 7.2e6,
  1.08e7, 2.16e7, 4.32e7, 8.64e7,
];

export class Histogram {
  /** `onJump(row)` goes to a row, `onRange(from, to)` selects a span of milliseconds. */
  constructor({ root, canvas, label, tip, store, view, onJump, onRange }) {
    Object.assign(this, { root, canvas, label, tip, store, view, onJump, onRange });
    this.bars = [];
    this.cursor = -1;
    this.drag = null;
    this.colors = null;
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerleave", () => this.point(-1));
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointerup", (event) => this.released(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.point(-1));
    new ResizeObserver(() => this.resize()).observe(root);
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context = this.canvas.getContext("2d");
    this.context.scale(ratio, ratio);
    this.update(this.clock);
  }

  /** Colours come from the style sheet; asked for again when the theme changes. */
  recolor() {
    this.colors = null;
    this.update(this.clock);
  }

  /** Counts the shown rows anew and draws them. */
  update(clock) {
    this.clock = clock;
    if (!this.context || !clock || this.width === 0) return;
    this.count();
    this.draw();
  }

  count() {
    const { store, view } = this;
    let [from, to] = [Infinity, -Infinity];
    const length = view.length;
    for (let i = 0; i < length; i += 1) {
      const at = store.at(view.row(i));
      if (store.kind[at] === 2) continue;
      const time = store.time[at];
      if (time < from) from = time;
      if (time > to) to = time;
    }
    this.bars = [];
    if (from > to) return;
    // A few lines of long ago would leave all others one bar: they share the first one.
    const early = store.time[store.at(view.row(Math.floor(length * FEW)))];
    this.clipped = early < to && early - from > 3 * (to - early);
    if (this.clipped) from = early;
    const most = Math.max(10, Math.floor(this.width / BAR));
    const step =
      STEPS.find((each) => (to - from) / each < most - 1) ?? Math.ceil((to - from) / (most - 1) / 8.64e7) * 8.64e7;
    this.step = step;
    // As many bars as the time takes, so that they fill the width; a few lines of one moment do not become one wide bar.
    const last = Math.floor(to / step) + 1;
    const count = Math.max(Math.ceil(most / 3), last - Math.floor(from / step));
    this.from = (last - count) * step;
    this.bars = Array.from({ length: count }, () => ({ total: 0, layers: new Uint32Array(LAYERS.length), row: null }));
    for (let i = 0; i < length; i += 1) {
      const row = view.row(i);
      const at = store.at(row);
      if (store.kind[at] === 2 || view.line(i) > 0) continue;
      const bar = this.bars[Math.min(count - 1, Math.max(0, Math.floor((store.time[at] - this.from) / step)))];
      bar.total += 1;
      bar.layers[LAYER_OF[store.severity[at]]] += 1;
      bar.row ??= row;
    }
  }

  draw() {
    const { context, bars } = this;
    this.colors ??= this.readColors();
    context.clearRect(0, 0, this.width, this.height);
    const highest = bars.reduce((max, bar) => Math.max(max, bar.total), 0);
    const width = this.width / Math.max(1, bars.length);
    bars.forEach((bar, index) => {
      if (bar.total > 0) this.drawBar(bar, index * width, width, highest);
    });
    if (bars.length > 0) this.drawTimes(width);
    if (this.drag) this.drawSpan(...this.span());
    else if (this.cursor >= 0) this.drawSpan(this.cursor * width, (this.cursor + 1) * width);
    const visible = bars.length > 0;
    setText(this.label, visible ? this.scaleText() : "");
    this.canvas.ariaValueMax = String(Math.max(0, bars.length - 1));
  }

  /** Errors get two pixels at least: one among ten thousand is what the reader looks for. */
  drawBar(bar, x, width, highest) {
    const room = this.height - SCALE - 6;
    // A square root keeps the quiet hours visible beside a burst.
    const full = Math.max(2, Math.sqrt(bar.total / highest) * room);
    let y = this.height - SCALE;
    for (let layer = LAYERS.length - 1; layer >= 0; layer -= 1) {
      if (bar.layers[layer] === 0) continue;
      const height = Math.max(layer >= 3 ? 2 : 0.5, (bar.layers[layer] / bar.total) * full);
      this.context.fillStyle = this.colors[layer];
      this.context.fillRect(x, Math.max(0, y - height), Math.max(1, width - 1), height);
      y -= height;
    }
  }

  /** Round times below the bars, as many as there is room for. */
  drawTimes(width) {
    const { context, clock, step, bars } = this;
    const fits = (each) => each % step === 0 && (each / step) * width >= TICK_ROOM;
    const every = STEPS.find(fits) ?? Math.ceil(TICK_ROOM / width) * step;
    const shift = clock.shift(this.from);
    context.font = this.font;
    context.textBaseline = "bottom";
    const first = Math.ceil((this.from + shift) / every) * every - shift;
    for (let time = first; time < this.from + bars.length * step; time += every) {
      const x = Math.round(((time - this.from) / step) * width);
      context.fillStyle = this.colors.tick;
      context.fillRect(x, this.height - SCALE, 1, SCALE);
      context.fillStyle = this.colors.label;
      context.fillText(this.tickText(time, every), x + 4, this.height);
    }
  }

  /** A time as short as can be: seconds where they differ, the day where one begins. */
  tickText(time, every) {
    const { clock } = this;
    if (every >= 8.64e7 || (time + clock.shift(time)) % 8.64e7 === 0) return clock.day(time);
    return every < 1e3 ? clock.time(time) : clock.short(time).replace(/(:\d\d):00$/, "$1");
  }

  drawSpan(from, to) {
    this.context.fillStyle = this.colors.span;
    this.context.fillRect(Math.min(from, to), 0, Math.max(1, Math.abs(to - from)), this.height);
  }

  /** The style sheet's colours as a canvas understands them: computed, for this theme. */
  readColors() {
    const probe = h("span", { hidden: true });
    this.root.append(probe);
    const read = (name) => {
      probe.style.color = `var(--bar-${name})`;
      return getComputedStyle(probe).color;
    };
    const colors = LAYERS.map(read);
    for (const name of ["span", "tick", "label"]) colors[name] = read(name);
    this.font = `10px ${getComputedStyle(this.label).fontFamily}`;
    probe.remove();
    return colors;
  }

  scaleText() {
    return `${durationText(this.step)} a bar`;
  }

  indexAt(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left;
    return Math.min(this.bars.length - 1, Math.max(0, Math.floor((x / this.width) * this.bars.length)));
  }

  moved(event) {
    if (this.bars.length === 0) return;
    if (this.drag) this.drag.to = event.clientX;
    this.point(this.indexAt(event));
  }

  pressed(event) {
    if (event.button !== 0 || this.bars.length === 0) return;
    this.drag = { from: event.clientX, to: event.clientX };
    this.canvas.setPointerCapture(event.pointerId);
  }

  released(event) {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    if (Math.abs(drag.to - drag.from) < 8) this.jump(this.indexAt(event));
    else {
      const [a, b] = [drag.from, drag.to].sort((x, y) => x - y).map((clientX) => this.indexAt({ clientX }));
      this.onRange(this.from + a * this.step, this.from + (b + 1) * this.step);
    }
    this.draw();
  }

  span() {
    const left = this.canvas.getBoundingClientRect().left;
    return [this.drag.from - left, this.drag.to - left];
  }

  /** Shows what one bar holds. */
  point(index) {
    this.cursor = index;
    const bar = this.bars[index];
    this.tip.hidden = !bar;
    if (bar) {
      const text = this.textOf(index);
      setText(this.tip, text);
      this.canvas.ariaValueNow = String(index);
      this.canvas.ariaValueText = text;
      const x = ((index + 0.5) / this.bars.length) * this.width;
      this.tip.style.left = `${Math.min(this.width - this.tip.offsetWidth - 4, Math.max(4, x - this.tip.offsetWidth / 2))}px`;
    }
    this.draw();
  }

  textOf(index) {
    const bar = this.bars[index];
    const errors = bar.layers[4] + bar.layers[5];
    const start = this.from + index * this.step;
    const time = this.step < 1000 ? this.clock.time(start) : this.clock.short(start);
    const earlier = index === 0 && this.clipped ? " and earlier" : "";
    return `${this.clock.day(start)} ${time}${earlier} · ${grouped(bar.total)} ${bar.total === 1 ? "line" : "lines"}${errors ? ` · ${grouped(errors)} error${errors === 1 ? "" : "s"}` : ""}`;
  }

  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (by !== undefined && this.bars.length > 0) {
      event.preventDefault();
      event.stopPropagation();
      const from = this.cursor < 0 ? this.bars.length - 1 : this.cursor;
      this.point(Math.min(this.bars.length - 1, Math.max(0, from + by)));
    } else if (event.key === "Enter" && this.cursor >= 0) {
      event.preventDefault();
      event.stopPropagation();
      this.jump(this.cursor);
    }
  }

  jump(index) {
    const bar = this.bars.slice(index).find((each) => each.row !== null);
    if (bar) this.onJump(bar.row);
  }
}

/** A duration in the largest unit that divides it. */
export function durationText(ms) {
  for (const [unit, size] of [
    ["d", 8.64e7],
    ["h", 3.6e6],
    ["min", 6e4],
    ["s", 1e3],
  ])
    if (ms >= size) return `${Math.round((ms / size) * 10) / 10} ${unit}`;
  return `${ms} ms`;
}
