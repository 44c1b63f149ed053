// Makes the pictures of docs/: `node screenshots.mjs [DIRECTORY]`.

import { utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { linesAt, random, writeDemo } from "./demo-logs.mjs";
import { Host, launch, lines, open, seen, source, state } from "./harness.mjs";

const OUT = process.argv[2] ?? fileURLToPath(new URL("../../docs/", import.meta.url));

/** Writes a few lines a second, so that the page is alive when it is photographed. */
function keepWriting(host) {
  const next = random(99);
  const timer = setInterval(() => {
    for (const [file, line] of linesAt(Date.now(), next, false)) host.append(file.replace(/\.log$/, ""), `${line}\n`);
  }, 90);
  return () => clearInterval(timer);
}

/** Each log as a source, nginx with its two and what was rotated of one. */
function writeArchive(host) {
  const path = join(host.directory, "nginx/access.log.1.gz");
  writeFileSync(path, gzipSync(lines(0, 40_000)));
  const yesterday = new Date(Date.now() - 8.64e7);
  utimesSync(path, yesterday, yesterday);
}

function sourcesOf(host) {
  const single = ["orders", "payments", "postgres", "worker"].map((name) => source(name, host.path(name)));
  return source("nginx", join(host.directory, "nginx/*.log")) + single.join("");
}

/** Clicks on a row in the middle of the screen, or below it, that has a text. */
async function choose(page, text) {
  const { x, y } = await page.evaluate((wanted) => {
    const list = document.querySelector("#list").getBoundingClientRect();
    const rows = [...document.querySelectorAll(".row:not([hidden])")].filter((row) => row.textContent.includes(wanted));
    const places = rows.map((row) => row.getBoundingClientRect()).sort((a, b) => a.top - b.top);
    return places.find(({ top }) => top > list.top + list.height / 2);
  }, text);
  await page.mouse.click(x + 300, y + 8);
}

const PICTURES = [
  {
    name: "viewer-dark.png",
    shape: { width: 1440, height: 860, scheme: "dark" },
    address: "?tail=25000",
    act: async (page) => {
      await state(page, "Live");
      // Sources tell their activity by the second listing.
      await page.waitForSelector("#tree .activity.active");
    },
  },
  {
    name: "viewer-errors.png",
    shape: { width: 1440, height: 860, scheme: "dark" },
    address: "?tail=25000",
    act: async (page) => {
      await state(page, "Live");
      await page.click("#errors");
      await page.waitForFunction(() =>
        [...document.querySelectorAll(".row:not([hidden])")].every((row) => /l-(error|fatal)/.test(row.className)),
      );
      await choose(page, "could not be saved");
      await page.keyboard.press("Enter");
      await page.keyboard.press("x");
      await page.waitForSelector(".context-lines li.current");
      await page.waitForSelector("#toast", { state: "hidden" });
    },
  },
  {
    name: "viewer-light.png",
    shape: { width: 1440, height: 860, scheme: "light" },
    address: "?tail=25000",
    act: async (page) => {
      await state(page, "Live");
      await page.fill("#search", "payment captured");
      await page.waitForFunction(() =>
        [...document.querySelectorAll(".row:not([hidden])")].every((row) => row.querySelector("mark")),
      );
      await seen(page, "payment captured");
      await choose(page, "payment captured");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#details th");
    },
  },
  {
    name: "viewer-narrow.png",
    shape: { width: 400, height: 860, scheme: "dark" },
    address: "?tail=25000",
    act: (page) => state(page, "Live"),
  },
];

const host = new Host(join(tmpdir(), "shop"));
const browser = await launch();
try {
  writeDemo(host.directory, { count: 24_000, until: Date.now(), step: 140 });
  writeArchive(host);
  await host.start({ sources: sourcesOf(host) });
  const stop = keepWriting(host);
  for (const { name, shape, address, act } of PICTURES) {
    const page = await open(browser, host.url + address, shape);
    await act(page);
    await page.mouse.move(1, 1);
    await page.screenshot({ path: join(OUT, name) });
    console.log(name, page.problems);
    await page.context().close();
  }
  stop();
} finally {
  await browser.close();
  await host.close();
}
