// No line lost or repeated, whatever happens to the connection; nothing left behind at the server.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { allRows, closed, eventually, launch, lines, open, seen, state, withHost } from "./harness.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe("staying exact", () => {
  test("restarted_server_is_resumed_without_loss_or_repeat", () =>
    withHost({ app: lines(0, 200), web: lines(0, 100) }, async (host) => {
      const page = await open(browser, host.url);
      await state(page, "Live");
      let next = 200;
      for (let round = 0; round < 3; round += 1) {
        host.append("app", lines(next, next + 20));
        await seen(page, `line ${String(next + 19).padStart(7, "0")}`);
        await host.kill();
        host.append("app", lines(next + 20, next + 50));
        await state(page, "Connection lost, trying again…");
        await host.start();
        host.append("app", lines(next + 50, next + 60));
        await seen(page, `line ${String(next + 59).padStart(7, "0")}`, 20_000);
        next += 60;
      }
      const rows = await allRows(page);
      const numbers = rows.filter(({ notice }) => !notice).map(({ text }) => Number(/line (\d+)/.exec(text)[1]));
      const wanted = [...Array.from({ length: 100 }, (_, i) => i), ...Array.from({ length: next }, (_, i) => i)].sort(
        (a, b) => a - b,
      );
      assert.deepEqual(
        numbers.sort((a, b) => a - b),
        wanted,
      );
      assert.equal(rows.filter(({ notice, text }) => notice && text.startsWith("Connection lost")).length, 3);
      await closed(page);
    }));

  for (const [label, blocked] of [
    ["SSE", ["grpc"]],
    ["long poll", ["grpc", "sse"]],
  ]) {
    test(`blocked_${blocked.join("_and_")}_falls_back_to_${label.replace(" ", "_")}`, () =>
      withHost({ app: lines(0, 400) }, async (host) => {
        const page = await open(browser, `${host.url}?tail=300`, {
          before: async (each) => {
            await each.route("**/logtap.v1.LogService/**", (route) => route.abort());
            if (blocked.includes("sse"))
              await each.route("**/api/v1/logs", (route) =>
                route.request().headers().accept === "text/event-stream" ? route.abort() : route.fallback(),
              );
          },
        });
        await page.waitForFunction((wanted) => document.querySelector("#wire").textContent === wanted, label, {
          timeout: 20_000,
        });
        await seen(page, "line 0000399");
        await state(page, "Live");
        for (let number = 400; number < 430; number += 10) {
          host.append("app", lines(number, number + 10));
          await seen(page, `line ${String(number + 9).padStart(7, "0")}`);
        }
        const numbers = async () =>
          (await allRows(page)).filter(({ notice }) => !notice).map(({ text }) => Number(/line (\d+)/.exec(text)[1]));
        await eventually(async () => (await numbers()).length === 430, 10_000, "older lines to be loaded");
        assert.deepEqual(
          await numbers(),
          Array.from({ length: 430 }, (_, i) => i),
        );
        await page.keyboard.press("e");
        await page.waitForFunction(() => {
          const rows = [...document.querySelectorAll(".row:not([hidden]):not(.notice)")];
          return rows.length === 9 && rows.every((row) => row.classList.contains("l-error"));
        });
        await closed(page);
      }));
  }

  test("closed_tab_frees_its_subscription_within_2_s", () =>
    withHost({ app: lines(0, 100) }, async (host) => {
      const streams = async () => {
        const text = await (await fetch(`${host.url}metrics`)).text();
        return [...text.matchAll(/^logtap_streams(?:\{[^}]*\})? (\d+)/gm)].reduce(
          (sum, [, count]) => sum + Number(count),
          0,
        );
      };
      const page = await open(browser, host.url);
      await state(page, "Live");
      assert.equal(await streams(), 1);
      await closed(page);
      await eventually(async () => (await streams()) === 0, 2_000, "the subscription to end");
    }));
});
