// What is on screen: columns, text that stays text, folds, search, accessibility.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { allRows, closed, launch, line, lines, open, seen, withHost } from "./harness.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds that is serious or critical. */
async function seriousProblems(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`)]);
}

describe("showing", () => {
  test("last_lines_are_on_screen_with_time_level_source_and_text", () =>
    withHost({ app: lines(0, 300, 10) }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0000299");
      const row = page.locator(".row:not([hidden])", { hasText: "line 0000290" });
      assert.equal(await row.locator(".level").textContent(), "ERROR");
      assert.equal(await row.locator(".source").textContent(), "app");
      assert.match(await row.locator(".time").textContent(), /\d\d:\d\d:\d\d\.290$/);
      assert.equal((await allRows(page)).length, 300);
      await page.waitForFunction(() => document.querySelector("#loaded").textContent === "of 300 loaded");
      const chips = await page.locator(".chip:not([hidden])").allTextContents();
      assert.deepEqual(chips, ["Trace0", "Debug0", "Info270", "Notice0", "Warn0", "Error30", "Fatal0"]);
      assert.equal(await page.getAttribute("#chips", "aria-label"), "Levels, counted over the loaded lines");
      await closed(page);
    }));

  test("markup_and_escape_sequences_are_text", () =>
    withHost({ app: lines(0, 3) }, async (host) => {
      host.append(
        "app",
        `${line(3, "INFO", '<img src=x onerror="document.title=1"><script>document.title=2</script>').trim()}\n`,
      );
      host.append(
        "app",
        line(4, "WARN", "\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u001b[2J bell\u0007 \u202eback"),
      );
      host.append("app", line(5, "INFO", '{"<b>":"<i>"}'));
      const page = await open(browser, host.url);
      await seen(page, "line 0000005");
      const text = await page.locator(".row:not([hidden]) .text", { hasText: "line 0000003" }).textContent();
      assert.ok(text.includes('<img src=x onerror="document.title=1"><script>document.title=2</script>'), text);
      const colored = page.locator(".row:not([hidden]) .text", { hasText: "line 0000004" });
      assert.equal(await colored.locator(".fg-c1").textContent(), "red");
      const clean = await colored.textContent();
      assert.ok(clean.endsWith("red   bell\u2407 \\u202eback"), JSON.stringify(clean));
      await page.keyboard.press("End");
      await page.keyboard.press("k");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#details .json-key");
      assert.equal(await page.locator("#list img, #list script, #list b, #details i").count(), 0);
      assert.equal(await page.title(), "logtap");
      await closed(page);
    }));

  test("stack_traces_are_folded_and_unfold", () =>
    withHost(
      {
        app: `${line(0)}${line(1, "ERROR", "boom")}java.lang.IllegalStateException: boom\n    at a.B.c(B.java:1)\n    at a.B.d(B.java:2)\nCaused by: java.io.IOException: disk\n    ... 3 more\n${line(2)}`,
      },
      async (host) => {
        const page = await open(browser, host.url);
        await seen(page, "line 0000002");
        assert.equal((await allRows(page)).length, 3);
        const fold = page.locator(".row:not([hidden]) .fold", { hasText: "+5 lines" });
        await fold.click();
        await seen(page, "... 3 more");
        assert.equal((await allRows(page)).length, 8);
        await closed(page);
      },
    ));

  test("details_of_an_error_have_its_whole_trace_whatever_the_filter", () => {
    const trace = "java.lang.IllegalStateException: boom\n    at a.B.c(B.java:1)\nCaused by: java.io.IOException: disk";
    return withHost({ app: `${line(0)}${line(1, "ERROR", "boom")}${trace}\n${line(2)}` }, async (host) => {
      const page = await open(browser, `${host.url}?level=error`);
      await seen(page, "line 0000001");
      await page.keyboard.press("k");
      await page.keyboard.press("Enter");
      const message = page.locator("#details .message");
      await page.waitForFunction(() => document.querySelector("#details .message").textContent.includes("disk"));
      assert.equal(await message.textContent(), `${line(1, "ERROR", "boom")}${trace}`);
      await page.keyboard.press("c");
      await page.waitForFunction(() => document.querySelector("#announcer").textContent === "Line copied");
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${line(1, "ERROR", "boom")}${trace}`);
      await closed(page);
    });
  });

  test("lines_are_shown_without_what_the_columns_say_or_as_written", () =>
    withHost(
      { app: line(7), web: '{"time":"2026-01-01T00:00:00Z","level":"warn","msg":"hello","user":7}\n' },
      async (host) => {
        const page = await open(browser, host.url);
        await seen(page, "line 0000007");
        const texts = () => page.locator(".row:not([hidden]) .text").allTextContents();
        assert.deepEqual(await texts(), ["hello  user=7", "line 0000007 something happened"]);
        await page.keyboard.press("w");
        await seen(page, '"msg":"hello"');
        assert.equal((await texts())[1], line(7).trim());
        await page.reload();
        await seen(page, '"msg":"hello"');
        await page.keyboard.press("w");
        await seen(page, "hello  user=7");
        await closed(page);
      },
    ));

  test("search_filters_and_highlights_words_regular_expressions_and_exclusions", () =>
    withHost(
      {
        app: `${line(0, "INFO", "alpha beta")}${line(1, "INFO", "Alpha gamma")}${line(2, "INFO", "delta 404")}${line(3, "INFO", "delta 500")}`,
      },
      async (host) => {
        const page = await open(browser, host.url);
        await seen(page, "line 0000003");
        const found = async (query, numbers) => {
          await page.fill("#search", query);
          await page.waitForFunction(
            (wanted) =>
              document.querySelector("#status-text").textContent === "Live" &&
              [...document.querySelectorAll(".row:not([hidden]) .text")]
                .map((row) => Number(/line (\d+)/.exec(row.textContent)[1]))
                .join() === wanted,
            numbers.join(),
          );
        };
        await found("alpha", [0, 1]);
        assert.equal(await page.locator(".row:not([hidden]) mark").first().textContent(), "alpha");
        await found("Alpha", [1]);
        await found("alpha -gamma", [0]);
        await found("/delta [45]0/", [2, 3]);
        await found('"delta 5"', [3]);
        await found("", [0, 1, 2, 3]);
        await closed(page);
      },
    ));

  test("a_few_lines_of_long_ago_leave_the_histogram_to_the_others", () => {
    const old = ["2024-02-03T00:00:00Z INFO long ago\n", "2025-02-03T00:00:00Z INFO not so long ago\n"];
    const minutes = Array.from({ length: 600 }, (_, i) => line(i * 1_000));
    return withHost({ app: [...old, ...minutes].join("") }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0599000");
      await page.waitForFunction(() => /^\d+ s a bar$/.test(document.querySelector("#histogram-label").textContent));
      await page.focus("#histogram-canvas");
      await page.keyboard.press("Home");
      await page.waitForFunction(() =>
        / and earlier · \d+ lines$/.test(document.querySelector("#histogram-tip").textContent),
      );
      await page.keyboard.press("Enter");
      await page.waitForSelector('.row[aria-selected="true"]');
      assert.match(await page.locator('.row[aria-selected="true"] .text').textContent(), /long ago/);
      await closed(page);
    });
  });

  test("axe_finds_nothing_serious_in_either_theme_or_on_a_narrow_screen", () =>
    withHost(
      {
        app: lines(0, 200, 9) + line(200, "WARN", "\u001b[33myellow\u001b[0m \u001b[44mon blue\u001b[0m"),
        web: '{"level":"info","time":"2026-01-01T00:00:00Z","msg":"hello","user":{"id":7}}\n',
      },
      async (host) => {
        for (const shape of [{ scheme: "dark" }, { scheme: "light" }, { scheme: "light", width: 390, height: 800 }]) {
          const page = await open(browser, host.url, shape);
          await seen(page, "line 0000200");
          await page.keyboard.press("k");
          await page.keyboard.press("Enter");
          await page.waitForSelector("#details .facts");
          for (const step of ["details", "help"]) {
            if (step === "help") await page.keyboard.press("?");
            assert.deepEqual(await seriousProblems(page), [], `${JSON.stringify(shape)} ${step}`);
          }
          await closed(page);
        }
      },
    ));

  test("axe_finds_nothing_serious_with_nothing_to_show", () =>
    withHost({ app: lines(0, 20) }, async (host) => {
      const page = await open(browser, `${host.url}?q=nowhere`);
      await page.waitForFunction(() => document.querySelector("#empty-title").textContent === "Nothing matches");
      assert.deepEqual(await seriousProblems(page), []);
      await page.click("#empty-action");
      await seen(page, "line 0000019");
      await closed(page);
    }));

  test("the_live_list_is_no_live_region", () =>
    withHost({ app: lines(0, 50) }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0000049");
      const said = page.evaluate(
        () =>
          new Promise((resolve) => {
            let changes = 0;
            new MutationObserver((records) => (changes += records.length)).observe(
              document.querySelector("#announcer"),
              { childList: true, characterData: true, subtree: true },
            );
            setTimeout(() => resolve(changes), 1_500);
          }),
      );
      for (let number = 50; number < 350; number += 1) host.append("app", line(number));
      await seen(page, "line 0000349");
      assert.ok((await said) <= 2, `${await said} announcements`);
      assert.equal(await page.locator("#list[aria-live], #list [aria-live]").count(), 0);
      await closed(page);
    }));
});
