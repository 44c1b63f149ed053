// The tree of sources and their files: size, activity, how each is watched; ticking some shows only those.

import { bytesText, grouped, h } from "./dom.js";
import { hueOf } from "./origins.js";

/** How often the sizes are asked for while the tree is on screen. */
export const REFRESH_MS = 10_000;
/** A file counts as active for so long after it was written to. */
const ACTIVE_MS = 15_000;

export class SourceTree {
  /** `onPick({sources, paths})` tells what is ticked. */
  constructor({ root, onPick }) {
    this.root = root;
    this.onPick = onPick;
    this.sources = [];
    this.sizes = new Map();
    this.open = new Set();
    this.known = false;
    this.picked = { sources: [], paths: [] };
    this.root.addEventListener("change", (event) => this.ticked(event));
    this.root.addEventListener("click", (event) => this.clicked(event));
  }

  /** Takes a fresh listing. */
  update(sources, now) {
    const seconds = this.listedAt ? (now - this.listedAt) / 1000 : 0;
    const sizes = new Map();
    this.sources = sources.map((source) => ({ name: source.name, files: this.logsOf(source, sizes, seconds, now) }));
    this.sizes = sizes;
    this.listedAt = now;
    if (!this.known && sources.length <= 6)
      for (const source of this.sources) if (source.files.length > 1) this.open.add(source.name);
    this.known = true;
    this.render();
  }

  /** The logs of a source, each with the archives that are its past. */
  logsOf(source, sizes, seconds, now) {
    const logs = new Map();
    for (const file of source.files) {
      const path = file.log || file.path;
      const log = logs.get(path) ?? {
        path,
        size: 0,
        archives: 0,
        archived: 0,
        rate: 0,
        active: false,
        trouble: "",
        polled: false,
      };
      logs.set(path, log);
      const size = Number(file.sizeBytes ?? 0);
      if (file.archive) {
        log.archives += 1;
        log.archived += size;
        continue;
      }
      log.size += size;
      log.active ||= now - Date.parse(file.modifyTime ?? 0) < ACTIVE_MS;
      log.trouble ||= file.lastError || (file.watchMode === "WATCH_MODE_UNSPECIFIED" ? file.reason : "") || "";
      log.format ||= file.format || "";
      log.polled ||= file.watchMode === "WATCH_MODE_POLLING";
      log.reason ||= file.reason || "";
      sizes.set(file.path, size);
      const before = this.sizes.get(file.path);
      if (before !== undefined && seconds > 0) log.rate += Math.max(0, size - before) / seconds;
    }
    return [...logs.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** Ticks follow the selection, wherever it was changed. */
  select(picked) {
    this.picked = { sources: [...picked.sources], paths: [...picked.paths] };
    this.render();
  }

  isTicked(source, path) {
    const { sources, paths } = this.picked;
    const bySource = sources.length === 0 ? paths.length > 0 : sources.includes(source);
    if (path === undefined) return sources.includes(source) && paths.length === 0;
    return bySource && paths.includes(path);
  }

  render() {
    const focused = document.activeElement?.closest?.("#tree") ? document.activeElement.dataset.key : null;
    const top = this.root.scrollTop;
    this.root.replaceChildren(...this.sources.map((source) => this.sourceNode(source)));
    this.root.scrollTop = top;
    if (focused) this.root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  sourceNode(source) {
    const open = this.open.has(source.name);
    const size = source.files.reduce((sum, file) => sum + file.size, 0);
    const single = source.files.length === 1;
    const active = source.files.some((file) => file.active);
    const box = this.checkbox(`s:${source.name}`, this.isTicked(source.name), { source: source.name });
    const dot = h("span", {
      className: `activity${active ? " active" : ""}`,
      title: active ? "Written to in the last 15 seconds" : "Quiet",
    });
    dot.style.setProperty("--hue", hueOf(source.name));
    const twist = h("button", {
      type: "button",
      className: "twist",
      "aria-expanded": String(open),
      "aria-label": `${open ? "Hide" : "Show"} the files of ${source.name}`,
      "data-key": `t:${source.name}`,
      "data-twist": source.name,
    });
    const trouble = source.files.find((file) => file.trouble)?.trouble;
    const head = h(
      "div",
      { className: "source-line" },
      twist,
      h(
        "label",
        {},
        box,
        dot,
        h("span", { className: "name", textContent: source.name }),
        single ? null : h("span", { className: "count", textContent: grouped(source.files.length) }),
      ),
      trouble ? h("span", { className: "trouble", textContent: "!", title: trouble }) : null,
      h("span", { className: "size", textContent: bytesText(size) }),
    );
    const files = open ? h("ul", {}, ...source.files.map((file) => this.fileNode(source.name, file))) : null;
    return h("li", { className: "source-node" }, head, files);
  }

  fileNode(source, file) {
    const name = file.path.slice(file.path.lastIndexOf("/") + 1);
    const box = this.checkbox(`f:${file.path}`, this.isTicked(source, file.path), { source, path: file.path });
    const notes = [
      file.format,
      file.polled ? "polled" : "",
      file.archives > 0 ? `+${file.archives} archived, ${bytesText(file.archived)}` : "",
      file.rate >= 1 ? `${bytesText(file.rate)}/s` : "",
    ].filter(Boolean);
    return h(
      "li",
      {},
      h(
        "label",
        { title: [file.path, file.reason].filter(Boolean).join("\n") },
        box,
        h("span", { className: `name${file.active ? " active" : ""}`, textContent: name }),
        h("span", { className: "size", textContent: bytesText(file.size) }),
      ),
      notes.length > 0 ? h("span", { className: "notes", textContent: notes.join(" · ") }) : null,
      file.trouble ? h("span", { className: "trouble-text", textContent: file.trouble }) : null,
    );
  }

  checkbox(key, checked, data) {
    const box = h("input", { type: "checkbox", checked, "data-key": key });
    Object.assign(box.dataset, data);
    return box;
  }

  clicked(event) {
    const name = event.target.closest("[data-twist]")?.dataset.twist;
    if (name === undefined) return;
    if (!this.open.delete(name)) this.open.add(name);
    this.render();
  }

  /** Sources ticked as a whole are named; as soon as single files are, everything is told by file. */
  ticked(event) {
    const { source, path } = event.target.dataset;
    const on = event.target.checked;
    const files = new Set(this.picked.paths);
    const sources = new Set(this.picked.sources);
    if (path !== undefined) {
      if (files.size === 0) for (const name of sources) for (const each of this.pathsOf(name)) files.add(each);
      if (on) files.add(path);
      else files.delete(path);
      sources.clear();
      for (const each of this.sources) if (each.files.some((file) => files.has(file.path))) sources.add(each.name);
    } else {
      if (on) sources.add(source);
      else sources.delete(source);
      for (const each of this.pathsOf(source)) {
        if (on && files.size > 0) files.add(each);
        else files.delete(each);
      }
    }
    this.onPick({ sources: [...sources].sort(), paths: [...files].sort() });
  }

  pathsOf(source) {
    return this.sources.find((each) => each.name === source)?.files.map((file) => file.path) ?? [];
  }
}
