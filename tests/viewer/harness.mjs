// What the tests share: a directory of logs, the daemon over it, and a real browser in front.
//
// The daemon is LOGTAP_BIN, or what `cargo build` has made last; Chromium is LOGTAP_CHROMIUM, or /usr/bin/chromium.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const DAEMON = process.env.LOGTAP_BIN ?? fileURLToPath(new URL("../../target/debug/logtap", import.meta.url));
const START_MS = 15_000;

/** A directory of logs with a daemon over it. */
export class Host {
  constructor(directory = mkdtempSync(join(tmpdir(), "logtap-viewer-"))) {
    this.directory = directory;
    this.process = null;
  }

  /** Appends text or bytes to a log. */
  append(name, text) {
    appendFileSync(this.path(name), text);
  }

  path(name) {
    return join(this.directory, `${name}.log`);
  }

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Starts the daemon, the second time on the same port; each log is a source of its own unless `sources` says how. */
  async start({ token = "", sources = "", server = "" } = {}) {
    this.port ??= await freePort();
    const config = join(this.directory, "logtap.toml");
    const listen = `[server]\nlisten = ["127.0.0.1:${this.port}"]\n${server}\n`;
    writeFileSync(config, listen + (token ? this.auth(token) : "") + (sources || this.sources()));
    this.process = spawn(DAEMON, ["serve", "-c", config], { stdio: ["ignore", "pipe", "pipe"] });
    this.output = "";
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on("data", (data) => (this.output += data));
    this.ended = new Promise((resolve) => this.process.once("exit", resolve));
    await eventually(
      async () => (await fetch(`${this.url}healthz`)).ok,
      START_MS,
      () => `the daemon to answer; it said:\n${this.output}`,
    );
  }

  sources() {
    const names = readdirSync(this.directory).filter((name) => name.endsWith(".log"));
    return names.map((name) => source(name.replace(/\.log$/, ""), join(this.directory, name))).join("");
  }

  /** A token as the only way in. */
  auth(token) {
    const tokens = join(this.directory, "tokens");
    writeFileSync(tokens, `tester:${createHash("sha256").update(token).digest("hex")}\n`, { mode: 0o600 });
    return `[auth]\ntokens_file = "${tokens}"\n`;
  }

  /** The sum over all lines of a metric that begin like this. */
  async metric(name) {
    const text = await (await fetch(`${this.url}metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(name));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** Kills the daemon, without a chance to say goodbye. */
  async kill() {
    if (!this.process) return;
    this.process.kill("SIGKILL");
    await this.ended;
    this.process = null;
  }

  async close() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A source as the configuration has it. */
export function source(name, path) {
  return `[[source]]\nname = "${name}"\npaths = ["${path}"]\n`;
}

/** A port of the loopback interface that nobody listens on. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until a condition holds; what it throws meanwhile counts as not yet. */
export async function eventually(condition, ms, what) {
  const until = Date.now() + ms;
  let last = null;
  for (;;) {
    try {
      if (await condition()) return;
      last = null;
    } catch (error) {
      last = error;
    }
    if (Date.now() > until)
      throw new Error(`waited ${ms} ms for ${typeof what === "function" ? what() : what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A headless Chromium that talks to nobody but us. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.LOGTAP_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens a page that keeps what goes wrong in it: errors, refused content, requests to elsewhere. */
export async function open(browser, url, { width = 1280, height = 800, scheme = "dark", before } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error.stack ?? error)));
  page.on(
    "console",
    (message) =>
      /Content Security Policy|TrustedHTML|Trusted Type/.test(message.text()) && page.problems.push(message.text()),
  );
  page.on(
    "request",
    (request) =>
      !request.url().startsWith(new URL("/", url).href) &&
      !request.url().startsWith("data:") &&
      page.problems.push(`asked elsewhere: ${request.url()}`),
  );
  const wait = page.waitForFunction.bind(page);
  page.waitForFunction = (...parameters) => untilItHolds(page, wait, parameters);
  if (before) await before(page);
  await page.goto(url);
  return page;
}

/** Waits for the list to show a text. */
export function seen(page, text) {
  return page.waitForFunction(
    (wanted) =>
      [...document.querySelectorAll(".row:not([hidden]) .text")].some((row) => row.textContent.includes(wanted)),
    text,
  );
}

/** Waits for the state of the stream, as the status line says it. */
export function state(page, text) {
  return page.waitForFunction((wanted) => document.querySelector("#status-text").textContent === wanted, text);
}

/** Waits for a condition in the page, and tells what the page shows when it does not come. */
async function untilItHolds(page, wait, [condition, wanted, options]) {
  try {
    return await wait(condition, wanted, options);
  } catch (error) {
    const instead = await page.evaluate(whatIsShown);
    const what = `${condition} of ${JSON.stringify(wanted)}`;
    throw new Error(`${error.message} It was waited for ${what}; instead: ${instead}`, { cause: error });
  }
}

/** In the page: the state in its own words, and the first and the last rows on screen. */
function whatIsShown() {
  const texts = (selector) => [...document.querySelectorAll(selector)].map(({ textContent }) => textContent.trim());
  const rows = texts(".row:not([hidden]) .text");
  return JSON.stringify({
    state: texts("#status-text, #wire, #loaded, .edge, #pill:not([hidden]), #empty:not([hidden])"),
    rows: rows.length > 6 ? [...rows.slice(0, 3), "…", ...rows.slice(-3)] : rows,
  });
}

/** Texts of all rows in order, read by scrolling through the list from its first loaded row to its last. */
export function allRows(page) {
  return page.evaluate(async () => {
    const list = document.querySelector("#list");
    const rows = new Map();
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    list.dispatchEvent(new WheelEvent("wheel", { deltaY: -1 }));
    list.scrollTop = 0;
    for (;;) {
      await frame();
      for (const row of list.querySelectorAll(".row:not([hidden])"))
        rows.set(Number(row.ariaPosInSet), {
          text: row.querySelector(".text").textContent,
          notice: row.classList.contains("notice"),
        });
      const before = list.scrollTop;
      list.scrollTop += list.clientHeight - 60;
      if (list.scrollTop === before) break;
    }
    return [...rows].sort((a, b) => a[0] - b[0]).map(([, row]) => row);
  });
}

/** Scrolls up again and again until nothing older is left to load. */
export function toTheBeginning(page) {
  const scroll = () => {
    const list = document.querySelector("#list");
    list.dispatchEvent(new WheelEvent("wheel", { deltaY: -1 }));
    list.scrollTop = 0;
    return document.querySelector(".edge.above").textContent === "The beginning";
  };
  return page.waitForFunction(scroll, null, { polling: 50, timeout: 30_000 });
}

/** Runs with a host that has these logs, and closes it whatever happens. */
export async function withHost(files, body, options = {}) {
  const host = new Host();
  try {
    for (const [name, text] of Object.entries(files)) host.append(name, text);
    await host.start(options);
    await body(host);
  } finally {
    await host.close();
  }
}

/** Closes a page that must not have had problems. */
export async function closed(page) {
  assert.deepEqual(page.problems, []);
  await page.context().close();
}

/** A line of a test log: a time, a level, a number to count by. */
export function line(number, level = "INFO", text = "something happened") {
  return `${new Date(Date.UTC(2026, 0, 1) + number).toISOString()} ${level} line ${String(number).padStart(7, "0")} ${text}\n`;
}

/** Lines `[from, to)`, every `errorEvery`-th an error. */
export function lines(from, to, errorEvery = 50) {
  const out = [];
  for (let number = from; number < to; number += 1)
    out.push(number % errorEvery === 0 ? line(number, "ERROR", "it failed") : line(number));
  return out.join("");
}

/** The middle one. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
