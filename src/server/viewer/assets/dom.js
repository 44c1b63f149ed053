// Small helpers around the DOM. Text only ever enters a page as text: nothing here, or anywhere else in the viewer,
// parses markup out of a string, so that a log line can never become part of the page.

/** Makes an element; `props` are properties, `data-*`, `aria-*` and `role` are attributes, children are nodes or text. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Finds the element that index.html promises under this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Sets text only when it differs, because even an equal assignment makes the browser lay out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Gives the event loop a turn, so that input and painting come between two slices of work. */
export function yieldToBrowser() {
  if (globalThis.scheduler?.yield) return scheduler.yield();
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve();
    channel.port2.postMessage(0);
  });
}

/** Waits `ms`, or rejects as soon as `signal` aborts. */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Copies text; the second way is for plain HTTP beyond localhost, where browsers hide the clipboard interface. */
export async function copyText(text) {
  if (navigator.clipboard && globalThis.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused by the browser's settings: the older way below may still be allowed.
    }
  }
  const area = h("textarea", { value: text, className: "offscreen", "aria-hidden": "true" });
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  const focused = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus?.();
  return done;
}

const GROUPED = new Intl.NumberFormat("en-US");

/** A count with thousands separators. */
export function grouped(count) {
  return GROUPED.format(count);
}

/** `1 line`, `2 lines`. */
export function plural(count, word) {
  return `${grouped(count)} ${word}${count === 1 ? "" : "s"}`;
}

/** Bytes for people, in the binary units that `ls -h` uses. */
export function bytesText(bytes) {
  const units = ["B", "K", "M", "G", "T", "P"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
