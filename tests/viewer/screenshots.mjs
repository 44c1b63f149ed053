// Makes the pictures of docs/: `node screenshots.mjs [DIRECTORY]`.

import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { linesAt, random, writeDemo } from "./demo-logs.mjs";
import { Host, launch, open, seen, state } from "./harness.mjs";

const OUT = process.argv[2] ?? fileURLToPath(new URL("../../docs/", import.meta.url));

/** Writes a few lines a second, so that the page is alive when it is photographed. */
function keepWriting(host) {
  const next = random(99);
  const timer = setInterval(() => {
    for (const [file, line] of linesAt(Date.now(), next, false)) host.append(file.replace(/\.log$/, ""), `${line}\n`);
  }, 90);
  return () => clearInterval(timer);
}

const PICTURES = [
  {
    name: "viewer-dark.png",
    shape: { width: 1440, height: 860, scheme: "dark" },
    address: "?tail=26000",
    act: async (page) => {
      await state(page, "Live");
      // Sources tell their activity by the second listing.
      await page.waitForSelector("#tree .activity.active");
    },
  },
  {
    name: "viewer-errors.png",
    shape: { width: 1440, height: 860, scheme: "dark" },
    address: "?tail=26000",
    act: async (page) => {
      await state(page, "Live");
      await page.click("#errors");
      await page.waitForFunction(() =>
        [...document.querySelectorAll(".row:not([hidden])")].every((row) => /l-(error|fatal)/.test(row.className)),
      );
      await page.locator(".row:not([hidden])", { hasText: "could not be saved" }).last().click();
      await page.keyboard.press("Enter");
      await page.keyboard.press("x");
      await page.waitForSelector(".context-lines li.current");
      await page.waitForSelector("#toast", { state: "hidden" });
    },
  },
  {
    name: "viewer-light.png",
    shape: { width: 1440, height: 860, scheme: "light" },
    address: "?tail=26000&q=payment",
    act: async (page) => {
      await seen(page, "payment captured");
      await page.fill("#search", "payment captured");
      await state(page, "Live");
      await page.locator(".row:not([hidden])").nth(12).click();
      await page.keyboard.press("Enter");
      await page.waitForSelector("#details th");
    },
  },
  {
    name: "viewer-narrow.png",
    shape: { width: 400, height: 860, scheme: "dark" },
    address: "?tail=26000",
    act: (page) => state(page, "Live"),
  },
];

const host = new Host(join(tmpdir(), "shop"));
const browser = await launch();
try {
  writeDemo(host.directory, { count: 24_000, until: Date.now(), step: 140 });
  await host.start();
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
