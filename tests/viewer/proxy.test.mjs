// Behind nginx as Debian has it, with its own default of buffering answers: streams still stream.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { closed, eventually, freePort, launch, line, lines, open, seen, state, withHost } from "./harness.mjs";

const NGINX = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"].find(existsSync) ?? "nginx";

/** Runs with an nginx in front of a host; `location` is added to what it does with every request. */
async function behindNginx(host, location, body) {
  const port = await freePort();
  const root = join(host.directory, "nginx");
  mkdirSync(root);
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${root}/${kind};`,
  );
  const config = join(root, "nginx.conf");
  const text = `daemon off; master_process off; pid ${root}/pid; error_log ${root}/error.log;
    events {}
    http { access_log off; ${places.join(" ")}
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${host.port}; ${location} } } }`;
  writeFileSync(config, text);
  const nginx = spawn(NGINX, ["-p", root, "-c", config], { stdio: "ignore" });
  const ended = new Promise((resolve) => nginx.once("exit", resolve));
  try {
    const url = `http://127.0.0.1:${port}/`;
    await eventually(async () => (await fetch(`${url}healthz`)).ok, 30_000, "nginx to answer");
    await body(url);
  } finally {
    nginx.kill("SIGTERM");
    await ended;
  }
}

/** Reads an answer until it holds a text. */
async function readUntil(reader, wanted) {
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    assert.ok(!done, `it ended: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
}

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

describe("behind nginx", () => {
  test("events_and_lines_of_json_stream_through_its_buffers", () =>
    withHost({ app: lines(0, 50) }, (host) =>
      behindNginx(host, "", async (url) => {
        for (const accept of ["text/event-stream", "application/x-ndjson"]) {
          const abort = new AbortController();
          const follow = accept === "application/x-ndjson" ? "&follow=true" : "";
          const response = await fetch(`${url}api/v1/logs?tail=1${follow}`, {
            headers: { accept },
            signal: abort.signal,
          });
          assert.equal(response.status, 200);
          const reader = response.body.getReader();
          for (let number = 50; number < 55; number += 1) {
            host.append("app", line(number, "INFO", accept));
            // Each one before the next is written: nothing waits for a buffer to fill.
            await readUntil(reader, `${String(number).padStart(7, "0")} ${accept}`);
          }
          abort.abort();
          await eventually(async () => (await host.metric("logtap_streams{")) === 0, 2_000, "the subscription to end");
        }
      }),
    ));

  for (const [how, location] of [
    ["http_1_0", "proxy_set_header Host $http_host;"],
    ["http_1_1", 'proxy_set_header Host $http_host; proxy_http_version 1.1; proxy_set_header Connection "";'],
  ])
    test(`the_viewer_is_live_over_grpc_web_and_${how}`, () =>
      withHost({ app: lines(0, 3_000) }, (host) =>
        behindNginx(host, location, async (url) => {
          const page = await open(browser, url);
          await state(page, "Live");
          assert.equal(await page.textContent("#wire"), "gRPC-Web");
          for (let number = 3_000; number < 3_005; number += 1) {
            host.append("app", line(number));
            await seen(page, `line ${String(number).padStart(7, "0")}`);
          }
          await closed(page);
          await eventually(async () => (await host.metric("logtap_streams{")) === 0, 2_000, "the subscription to end");
        }),
      ));

  test("a_proxy_that_hides_the_host_is_told_what_to_do", () =>
    withHost({ app: lines(0, 50) }, (host) =>
      behindNginx(host, "", async (url) => {
        const page = await open(browser, url);
        await page.waitForFunction(() => document.querySelector("#empty-text").textContent.includes("Host"));
        await closed(page);
      }),
    ));
});
