// Scrolling, jumping, choosing, filtering, keys.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { allRows, closed, launch, line, lines, open, seen, state, toTheBeginning, withHost } from "./harness.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe("moving", () => {
  test("following_pauses_when_scrolled_away_and_counts_new_lines", () =>
    withHost({ app: lines(0, 500) }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0000499");
      await page.locator("#list").hover();
      await page.mouse.wheel(0, -600);
      await state(page, "Paused");
      const top = await page.locator(".row:not([hidden]) .text").allTextContents();
      host.append("app", lines(500, 537));
      await page.waitForFunction(() => document.querySelector("#pill").textContent === "↓ 37 new lines");
      assert.deepEqual(await page.locator(".row:not([hidden]) .text").allTextContents(), top);
      await page.click("#pill");
      await seen(page, "line 0000536");
      await state(page, "Live");
      assert.ok(await page.locator("#pill").isHidden());
      await closed(page);
    }));

  test("rows_under_the_readers_eyes_stay_while_more_lines_come_than_are_kept", { timeout: 120_000 }, () =>
    withHost({ app: lines(0, 2_000) }, async (host) => {
      const page = await open(browser, `${host.url}?tail=2000`);
      await seen(page, "line 0001999");
      await page.locator("#list").hover();
      await page.mouse.wheel(0, -2_000);
      await state(page, "Paused");
      const top = await page.locator(".row:not([hidden]) .text").allTextContents();
      for (let number = 2_000; number < 182_000; number += 20_000) host.append("app", lines(number, number + 20_000));
      await page.waitForFunction(
        () => document.querySelector("#pill").textContent === "↓ 180,000 new lines",
        undefined,
        { timeout: 60_000 },
      );
      await state(page, "In the past");
      assert.deepEqual(await page.locator(".row:not([hidden]) .text").allTextContents(), top);
      const loaded = Number((await page.textContent("#loaded")).replace(/\D/g, ""));
      assert.ok(loaded < 131_072, `${loaded}`);
      // Scrolling on from there reads what was only counted, line after line, up to the live end.
      await page.waitForFunction(
        () => {
          const list = document.querySelector("#list");
          list.scrollTop = list.scrollHeight;
          return [...document.querySelectorAll(".row:not([hidden]) .text")].some((row) =>
            row.textContent.includes("line 0181999"),
          );
        },
        null,
        { polling: 50, timeout: 60_000 },
      );
      await page.keyboard.press("End");
      await state(page, "Live");
      const numbers = (await page.locator(".row:not([hidden]) .text").allTextContents())
        .map((text) => Number(/line (\d+)/.exec(text)[1]))
        .sort((a, b) => a - b);
      assert.deepEqual(
        numbers,
        Array.from({ length: numbers.length }, (_, i) => 182_000 - numbers.length + i),
      );
      await closed(page);
    }),
  );

  test("a_full_window_keeps_what_the_filter_shows", { timeout: 60_000 }, () =>
    withHost({ app: lines(0, 110_000) }, async (host) => {
      const page = await open(browser, `${host.url}?tail=100000`);
      await page.waitForFunction(() => document.querySelector("#loaded").textContent.includes("100,000"), null, {
        timeout: 60_000,
      });
      await page.keyboard.press("e");
      await page.waitForFunction(() => document.querySelector(".row:not([hidden])").classList.contains("l-error"));
      host.append("app", lines(110_000, 116_000, 1));
      await seen(page, "line 0115999");
      const errors = await page.evaluate(() => Number(document.querySelector(".row:not([hidden])").ariaSetSize));
      assert.equal(errors, 2_000 + 6_000);
      await page.waitForFunction(() => document.querySelector("#loaded").textContent === "of 8,000 loaded");
      await toTheBeginning(page);
      await seen(page, "line 0000000");
      assert.equal(await page.locator(".row:not([hidden])").first().getAttribute("aria-setsize"), "8200");
      await closed(page);
    }),
  );

  test("keys_move_choose_and_help", () =>
    withHost({ app: lines(0, 500, 100) }, async (host) => {
      const page = await open(browser, host.url);
      await state(page, "Live");
      const press = async (key, chosen) => {
        await page.keyboard.press(key);
        await page.waitForFunction(
          (wanted) =>
            Number(
              /line (\d+)/.exec(
                document.querySelector('.row:not([hidden])[aria-selected="true"] .text')?.textContent,
              )?.[1],
            ) === wanted,
          chosen,
        );
      };
      await press("k", 499);
      await press("k", 498);
      await press("N", 400);
      await press("N", 300);
      await press("n", 400);
      await press("g", 0);
      await press("j", 1);
      await page.keyboard.press("c");
      await page.waitForFunction(() => document.querySelector("#announcer").textContent === "Line copied");
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), line(1).trim());
      await page.keyboard.press("Escape");
      assert.ok(await page.locator("#details").isHidden());
      await page.keyboard.press("G");
      await state(page, "Live");
      await page.keyboard.press("5");
      await page.waitForURL(/level=warn/);
      await page.keyboard.press("0");
      await page.waitForURL((url) => !url.searchParams.has("level"));
      const local = await page.textContent("#utc");
      await page.keyboard.press("t");
      assert.notEqual(await page.textContent("#utc"), local);
      const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const dark = await background();
      await page.keyboard.press("d");
      assert.notEqual(await background(), dark);
      await page.reload();
      await state(page, "Live");
      assert.notEqual(await background(), dark);
      await page.keyboard.press("?");
      await page.waitForSelector("#help-dialog[open] kbd");
      await page.keyboard.press("Escape");
      await page.keyboard.press("/");
      await page.keyboard.type("it failed");
      await page.waitForURL(/q=it\+failed/);
      await page.goBack();
      await page.waitForURL((url) => !url.searchParams.has("q"));
      await closed(page);
    }));

  test("everything_is_reached_and_worked_without_a_mouse", () =>
    withHost({ app: lines(0, 300), web: lines(0, 50) }, async (host) => {
      const page = await open(browser, host.url);
      await state(page, "Live");
      await page.waitForSelector("#tree input");
      const reached = new Set();
      for (let press = 0; press < 40; press += 1) {
        await page.keyboard.press("Tab");
        reached.add(
          await page.evaluate(() => {
            const { id, className, dataset } = document.activeElement;
            return id || dataset.key || className.split(" ")[0];
          }),
        );
      }
      const wanted = ["sources-button", "search", "errors", "range", "utc", "theme", "help", "chip", "s:app", "t:app"];
      for (const name of [...wanted, "s:web", "histogram-canvas", "list"]) assert.ok(reached.has(name), name);
      await page.focus("#histogram-canvas");
      await page.keyboard.press("Home");
      await page.keyboard.press("Enter");
      await page.waitForSelector('.row[aria-selected="true"]');
      await page.focus('[data-key="s:web"]');
      await page.keyboard.press("Space");
      await page.waitForURL(/source=web/);
      await page.waitForFunction(() => document.querySelector("#list .row:not([hidden])").ariaSetSize === "50");
      await closed(page);
    }));

  test("the_histogram_goes_to_a_time_and_selects_a_span", () =>
    withHost({ app: Array.from({ length: 1_000 }, (_, i) => line(i * 1_000)).join("") }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0999000");
      await page.waitForFunction(() => document.querySelector("#histogram-label").textContent !== "");
      const box = await page.locator("#histogram-canvas").boundingBox();
      await page.mouse.click(box.x + box.width / 2, box.y + 20);
      await page.waitForSelector('.row[aria-selected="true"]');
      const middle = Number(/line (\d+)/.exec(await page.locator('.row[aria-selected="true"] .text').textContent())[1]);
      assert.ok(middle > 400_000 && middle < 600_000, `${middle}`);
      await page.mouse.move(box.x + box.width * 0.25, box.y + 20);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.4, box.y + 20, { steps: 5 });
      await page.mouse.up();
      await page.waitForURL(/since=.*until=/);
      await state(page, "Complete");
      const rows = await allRows(page);
      assert.ok(rows.length > 100 && rows.length < 220, `${rows.length}`);
      await closed(page);
    }));

  test("scrolling_up_loads_older_lines_to_the_beginning_without_moving_the_screen", () =>
    withHost({ app: lines(0, 9_000), web: lines(0, 3_000) }, async (host) => {
      const page = await open(browser, `${host.url}?tail=1000`);
      await seen(page, "line 0008999");
      await toTheBeginning(page);
      await seen(page, "line 0000000");
      assert.equal(await page.locator(".row:not([hidden])").first().getAttribute("aria-setsize"), "12000");
      await closed(page);
    }));

  test("a_link_to_a_line_shows_that_line_among_its_neighbours", () =>
    withHost({ app: lines(0, 8_000), web: lines(0, 500) }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0007999");
      await page.fill("#search", "0004321");
      await seen(page, "line 0004321");
      await page.locator(".row:not([hidden])", { hasText: "line 0004321" }).click();
      await page.keyboard.press("l");
      await page.waitForFunction(() => document.querySelector("#announcer").textContent === "Link copied");
      const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
      link.searchParams.delete("q");
      await closed(page);
      const other = await open(browser, link.href);
      await seen(other, "line 0004320");
      await seen(other, "line 0004322");
      await other.waitForSelector('.row[aria-selected="true"]');
      assert.match(await other.locator('.row[aria-selected="true"] .text').textContent(), /line 0004321/);
      await other.click("#pill");
      await seen(other, "line 0007999");
      await state(other, "Live");
      await closed(other);
    }));

  test("widening_the_filter_keeps_the_chosen_line", () =>
    withHost({ app: lines(0, 20_000, 100) }, async (host) => {
      const page = await open(browser, `${host.url}?level=error&tail=50`);
      await seen(page, "line 0019900");
      // The older errors follow by themselves: then rows stand where they are.
      await page.waitForFunction(() => document.querySelector("#list .row:not([hidden])").ariaSetSize === "200");
      await page.locator(".row:not([hidden])", { hasText: "line 0018000" }).click();
      await page.click("#errors");
      await seen(page, "line 0017999");
      assert.match(await page.locator('.row[aria-selected="true"] .text').textContent(), /line 0018000/);
      await seen(page, "line 0018001");
      await closed(page);
    }));

  test("details_have_fields_and_the_lines_around_whatever_the_filter", () => {
    const records = Array.from(
      { length: 60 },
      (_, i) =>
        `${JSON.stringify({ time: new Date(Date.UTC(2026, 0, 1) + i).toISOString(), level: i === 30 ? "error" : "info", msg: `record ${i}`, user: { id: i } })}\n`,
    );
    return withHost({ app: records.join("") }, async (host) => {
      const page = await open(browser, `${host.url}?level=error`);
      await seen(page, "record 30");
      await page.keyboard.press("k");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#details th >> text=user.id");
      await page.keyboard.press("x");
      await page.waitForSelector(".context-lines li.current");
      const around = await page.locator(".context-lines .text").allTextContents();
      assert.deepEqual(
        around.map((text) => JSON.parse(text).msg),
        Array.from({ length: 21 }, (_, i) => `record ${20 + i}`),
      );
      await page.locator("#details tr", { hasText: "user.id" }).locator("button").click();
      await page.waitForURL(/where=user\.id%3D30/);
      await seen(page, "record 30");
      await closed(page);
    });
  });

  test("one_source_is_shown_when_ticked", () =>
    withHost({ app: lines(0, 50), web: lines(1_000, 1_050) }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0001049");
      await page.locator("#tree label", { hasText: "app" }).first().locator("input").check();
      await page.waitForFunction(() => document.querySelector("#list .row:not([hidden])").ariaSetSize === "50");
      assert.match(page.url(), /\?source=app$/);
      host.append("web", lines(1_050, 1_051));
      host.append("app", lines(50, 51));
      await seen(page, "line 0000050");
      assert.equal((await allRows(page)).length, 51);
      await page.click("#all-sources");
      await seen(page, "line 0001050");
      await closed(page);
    }));
});
