// Tokens, refusals, headers, size.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { closed, launch, lines, open, seen, state, withHost } from "./harness.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe("access", () => {
  test("token_is_asked_for_kept_out_of_the_address_and_used", () =>
    withHost(
      { app: lines(0, 20) },
      async (host) => {
        const page = await open(browser, host.url);
        page.on("request", (request) => request.url().includes("s3cret") && page.problems.push(request.url()));
        await page.waitForSelector("#token-dialog[open]");
        await page.fill("#token-field", "wrong");
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => document.querySelector("#token-hint").textContent.includes("did not accept"));
        await page.fill("#token-field", "s3cret-token-of-the-test");
        await page.keyboard.press("Enter");
        await seen(page, "line 0000019");
        assert.equal(page.url(), host.url);
        await page.reload();
        await seen(page, "line 0000019");
        assert.ok(await page.evaluate(() => Object.values(sessionStorage).includes("s3cret-token-of-the-test")));
        assert.ok(await page.evaluate(() => !JSON.stringify([localStorage, document.cookie]).includes("s3cret")));
        await page.keyboard.press("k");
        await page.keyboard.press("l");
        await page.waitForFunction(() => document.querySelector("#announcer").textContent === "Link copied");
        assert.ok(!(await page.evaluate(() => navigator.clipboard.readText())).includes("s3cret"));
        await closed(page);
      },
      { token: "s3cret-token-of-the-test" },
    ));

  test("a_bad_regular_expression_is_said_and_the_page_goes_on", () =>
    withHost({ app: lines(0, 20) }, async (host) => {
      const page = await open(browser, host.url);
      await seen(page, "line 0000019");
      await page.fill("#search", "/line (/");
      await page.waitForFunction(() => document.querySelector("#status-dot").className === "broken");
      await page.fill("#search", "0000007");
      await seen(page, "line 0000007");
      await state(page, "Live");
      await closed(page);
    }));

  test("assets_are_small_and_carry_the_strict_headers", () =>
    withHost({ app: lines(0, 2) }, async (host) => {
      const page = await open(browser, "about:blank");
      const bodies = [];
      page.problems.length = 0;
      page.removeAllListeners("request");
      page.on(
        "response",
        (response) => /\/(assets\/[^/]+)?$/.test(new URL(response.url()).pathname) && bodies.push(response),
      );
      await page.goto(host.url);
      await seen(page, "line 0000001");
      let total = 0;
      for (const response of bodies) {
        const headers = response.headers();
        assert.match(
          headers["content-security-policy"],
          /default-src 'none'.*require-trusted-types-for 'script'/,
          response.url(),
        );
        assert.equal(headers["x-content-type-options"], "nosniff");
        assert.equal(headers["referrer-policy"], "no-referrer");
        assert.equal(headers["cross-origin-opener-policy"], "same-origin");
        assert.equal(headers["access-control-allow-origin"], undefined);
        assert.ok(headers.etag, response.url());
        total += gzipSync(await response.body(), { level: 9 }).length;
      }
      assert.ok(bodies.length > 20);
      console.log(`assets: ${bodies.length} files, ${(total / 1024).toFixed(1)} KiB gzipped`);
      assert.ok(total < 80_000, `${total} bytes`);
      await closed(page);
    }));
});
