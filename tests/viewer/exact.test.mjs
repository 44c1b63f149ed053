// No line lost or repeated, whatever happens to the connection; nothing left behind at the server.

import assert from "node:assert/strict";
import { renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { allRows, closed, eventually, launch, lines, open, seen, state, toTheBeginning, withHost } from "./harness.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Keeps wires from getting through. */
async function block(page, wires) {
  await page.route("**/logtap.v1.LogService/**", (route) => route.abort());
  if (wires.includes("sse"))
    await page.route("**/api/v1/logs", (route) =>
      route.request().headers().accept === "text/event-stream" ? route.abort() : route.fallback(),
    );
}

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
        await seen(page, `line ${String(next + 59).padStart(7, "0")}`);
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
    test(`over_${label.replace(" ", "_")}_too_a_restarted_daemon_is_resumed_and_a_closed_tab_frees_its_subscription`, () =>
      withHost({ app: lines(0, 200), web: lines(0, 100) }, async (host) => {
        const page = await open(browser, host.url, { before: (each) => block(each, blocked) });
        await state(page, "Live");
        assert.equal(await page.textContent("#wire"), label);
        host.append("app", lines(200, 220));
        await seen(page, "line 0000219");
        await host.kill();
        host.append("app", lines(220, 250));
        await state(page, "Connection lost, trying again…");
        await host.start();
        host.append("app", lines(250, 260));
        await seen(page, "line 0000259");
        const rows = (await allRows(page)).filter(({ notice }) => !notice);
        const numbers = rows.map(({ text }) => Number(/line (\d+)/.exec(text)[1])).sort((a, b) => a - b);
        const wanted = [...Array.from({ length: 100 }, (_, i) => i), ...Array.from({ length: 260 }, (_, i) => i)];
        assert.deepEqual(
          numbers,
          wanted.sort((a, b) => a - b),
        );
        await eventually(async () => (await host.metric("logtap_streams{")) === 1, 30_000, "the next poll");
        await closed(page);
        await eventually(async () => (await host.metric("logtap_streams{")) === 0, 2_000, "the subscription to end");
      }));

    test(`blocked_${blocked.join("_and_")}_falls_back_to_${label.replace(" ", "_")}`, () =>
      withHost({ app: lines(0, 400) }, async (host) => {
        const page = await open(browser, `${host.url}?tail=300`, {
          before: (each) => block(each, blocked),
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
        await eventually(async () => (await numbers()).length === 430, 30_000, "older lines to be loaded");
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

  test("a_long_search_is_waited_for_and_answers_that_are_held_back_make_it_fall_back", { timeout: 120_000 }, () =>
    withHost({ app: lines(0, 400) }, async (host) => {
      for (const [isHeld, label] of [
        [(count) => count === 1, "gRPC-Web"],
        [() => true, "SSE"],
      ]) {
        let count = 0;
        const held = [];
        const proxy = createServer((request, response) => {
          const { method, headers, url } = request;
          const onward = ask({ port: host.port, host: "127.0.0.1", method, path: url, headers }, (answer) => {
            response.writeHead(answer.statusCode, answer.headers);
            response.flushHeaders();
            if (url.endsWith("/StreamBatches") && isHeld((count += 1))) held.push(() => answer.pipe(response));
            else answer.pipe(response);
          });
          request.pipe(onward);
          response.on("close", () => onward.destroy());
          onward.on("error", () => response.destroy());
        });
        await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
        const page = await open(browser, `http://127.0.0.1:${proxy.address().port}/`);
        if (label === "gRPC-Web") {
          // It has been found out that answers get through.
          await eventually(() => count === 2, 30_000, "the second call");
          held[0]();
        }
        await seen(page, "line 0000399");
        await state(page, "Live");
        assert.equal(await page.textContent("#wire"), label);
        await closed(page);
        proxy.closeAllConnections();
        proxy.close();
      }
    }),
  );

  test("closed_tab_frees_its_subscription_within_2_s", () =>
    withHost({ app: lines(0, 100) }, async (host) => {
      const streams = () => host.metric("logtap_streams{");
      const page = await open(browser, host.url);
      await state(page, "Live");
      assert.equal(await streams(), 1);
      await closed(page);
      await eventually(async () => (await streams()) === 0, 2_000, "the subscription to end");
    }));

  test("rotated_and_truncated_files_are_said_and_lose_nothing_that_is_left", () =>
    withHost({ app: lines(0, 100) }, async (host) => {
      const page = await open(browser, host.url);
      await state(page, "Live");
      host.append("app", lines(100, 110));
      renameSync(host.path("app"), `${host.path("app")}.1`);
      host.append("app", lines(110, 120));
      await seen(page, "line 0000119");
      await seen(page, "Rotated: ");
      truncateSync(host.path("app"));
      await seen(page, "Truncated: ");
      host.append("app", lines(120, 130));
      await seen(page, "line 0000129");
      const rows = await allRows(page);
      const numbers = rows.filter(({ notice }) => !notice).map(({ text }) => Number(/line (\d+)/.exec(text)[1]));
      assert.deepEqual(
        numbers,
        Array.from({ length: 130 }, (_, i) => i),
      );
      await closed(page);
    }));

  test("what_a_restart_finds_gone_is_a_gap_in_the_list", () =>
    withHost({ app: lines(0, 200) }, async (host) => {
      const page = await open(browser, host.url);
      await state(page, "Live");
      await host.kill();
      rmSync(host.path("app"));
      host.append("app", lines(500, 510));
      await host.start();
      await seen(page, "line 0000509");
      await seen(page, "Gap: ");
      await closed(page);
    }));

  test("scrolling_up_goes_on_into_compressed_archives_and_a_link_leads_there", () =>
    withHost({ app: lines(9_000, 10_000) }, async (host) => {
      writeFileSync(`${host.path("app")}.2.gz`, gzipSync(lines(0, 5_000)));
      writeFileSync(`${host.path("app")}.1`, lines(5_000, 9_000));
      const [old, older] = [new Date(Date.now() - 3_600_000), new Date(Date.now() - 7_200_000)];
      utimesSync(`${host.path("app")}.1`, old, old);
      utimesSync(`${host.path("app")}.2.gz`, older, older);
      await host.kill();
      await host.start();
      const page = await open(browser, `${host.url}?tail=500`);
      await seen(page, "line 0009999");
      await toTheBeginning(page);
      await seen(page, "line 0000000");
      assert.equal(await page.locator(".row:not([hidden])").first().getAttribute("aria-setsize"), "10000");
      await page.fill("#search", "0002345");
      await seen(page, "line 0002345");
      await page.locator(".row:not([hidden])", { hasText: "line 0002345" }).click();
      await page.keyboard.press("l");
      await page.waitForFunction(() => document.querySelector("#announcer").textContent === "Link copied");
      const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
      link.searchParams.delete("q");
      await closed(page);
      const other = await open(browser, link.href);
      for (const near of [2_344, 2_345, 2_346]) await seen(other, `line ${String(near).padStart(7, "0")}`);
      assert.match(await other.locator('.row[aria-selected="true"] .text').textContent(), /line 0002345/);
      await closed(other);
    }));
});
