// The parts of the viewer that need no browser: values in, values out.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { random } from "./demo-logs.mjs";

const ASSETS = "../../src/server/viewer/assets";
const { parseAnsi, withoutPrefix } = await import(`${ASSETS}/ansi.js`);
const { fromBase64, sameBytes, toBase64, toBase64Url } = await import(`${ASSETS}/base64.js`);
const { FLAG, JsonChunk, ProtoChunk } = await import(`${ASSETS}/chunk.js`);
const { levelName, levelRange } = await import(`${ASSETS}/levels.js`);
const { decodeStreamBatches, encodeLogRequest, eventFromJson, requestToJson } = await import(`${ASSETS}/messages.js`);
const { Position } = await import(`${ASSETS}/position.js`);
const { Reader, Writer } = await import(`${ASSETS}/protobuf.js`);
const { highlights, isNarrower, parseSearch, patternsOf, predicateOf } = await import(`${ASSETS}/search.js`);
const { EVERYTHING, escapeGlob, localFilter, narrows } = await import(`${ASSETS}/selection.js`);
const { EDGE, Session } = await import(`${ASSETS}/session.js`);
const { Status } = await import(`${ASSETS}/status.js`);
const { KIND, Store } = await import(`${ASSETS}/store.js`);
const { Clock, nanosOf, parseTime, rfc3339, timestampOf } = await import(`${ASSETS}/time.js`);
const { View } = await import(`${ASSETS}/view.js`);

const bytes = (...values) => Uint8Array.from(values);

describe("wire", () => {
  test("numbers_of_every_size_survive_protobuf", () => {
    for (const value of [0, 1, 127, 128, 300, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
      const reader = new Reader(new Writer().number(5, value, true).finish());
      assert.equal(reader.next(), 5);
      assert.equal(reader.varint(), value);
      assert.equal(reader.next(), 0);
    }
    const negative = new Reader(bytes(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1));
    negative.next();
    assert.equal(negative.int64(), -1n);
  });

  test("a_message_cut_anywhere_is_an_error_or_a_shorter_message_never_more", () => {
    const whole = encodeLogRequest({
      level: "error",
      sources: ["a", "b"],
      tail: 7,
      include: ["x{2}"],
      where: [["k", "v"]],
      end: bytes(1, 2, 3),
    });
    for (let length = 0; length < whole.length; length += 1) {
      const reader = new Reader(whole.slice(0, length));
      try {
        for (let field = reader.next(); field !== 0; field = reader.next()) reader.skip();
        assert.ok(reader.pos <= length);
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }
  });

  test("an_entry_is_read_in_full_and_in_numbers_alike", () => {
    const nanos = 1_795_491_348_311_222_333n;
    const stamp = [];
    for (let rest = nanos; ; rest >>= 7n) {
      stamp.push(Number(rest & 127n) | (rest >= 128n ? 128 : 0));
      if (rest < 128n) break;
    }
    const entry = new Writer().string(1, "größe 10").finish();
    const rest = new Writer()
      .number(3, 17)
      .string(4, "app")
      .string(5, "/var/log/app.log")
      .data(6, bytes(9, 9))
      .data(7, new Writer().string(1, "k").string(2, "v").finish())
      .number(9, 8)
      .finish();
    const message = new Writer()
      .data(1, bytes(...entry, 16, ...stamp, ...rest))
      .data(3, bytes(7))
      .data(4, bytes(6))
      .number(5, 1)
      .finish();
    const batch = decodeStreamBatches(message);
    assert.deepEqual([batch.cursor, batch.start, batch.delta], [bytes(7), bytes(6), true]);
    assert.equal(batch.chunk.count, 1);
    assert.equal(batch.chunk.text(0), "größe 10");
    assert.equal(batch.chunk.severity[0], 17);
    assert.equal(batch.chunk.time[0], 1_795_491_348_311.222);
    assert.deepEqual(batch.chunk.entry(0), {
      message: "größe 10",
      nanos,
      severity: 17,
      source: "app",
      path: "/var/log/app.log",
      cursor: bytes(9, 9),
      fields: [["k", "v"]],
      raw: null,
      flags: 8,
    });
  });

  test("json_entries_and_events_read_like_the_binary_ones", () => {
    const chunk = new JsonChunk([
      {
        message: "m",
        timestamp: "1795491348311222333",
        severity: "SEVERITY_WARN",
        source: "s",
        path: "/p",
        cursor: "AQI=",
        flags: 8,
      },
    ]);
    assert.equal(chunk.severity[0], 13);
    assert.deepEqual(chunk.entry(0).cursor, bytes(1, 2));
    assert.equal(chunk.entry(0).nanos, 1_795_491_348_311_222_333n);
    assert.deepEqual(eventFromJson({ gap: { path: "/p", reason: "GAP_REASON_RESUME_LOST", bytes: "12" } }), {
      kind: "gap",
      source: undefined,
      path: "/p",
      reason: "resume lost",
      bytes: 12,
    });
    assert.equal(eventFromJson({}, "caught_up").kind, "caughtUp");
    assert.equal(eventFromJson({ path: "/p", kind: "FILE_CHANGE_KIND_ROTATED" }, "file_change").change, "rotated");
  });

  test("cursors_survive_both_alphabets", () => {
    const cursor = bytes(...Array.from({ length: 256 }, (_, i) => i));
    for (const text of [toBase64(cursor), toBase64Url(cursor), toBase64(cursor).replaceAll("+", " ")])
      assert.ok(sameBytes(fromBase64(text), cursor));
    assert.doesNotMatch(toBase64Url(cursor), /[+/=]/);
  });

  test("a_request_as_json_says_only_what_was_asked", () => {
    assert.deepEqual(
      requestToJson({ level: "", sources: [], tail: 0, resume: [bytes(1)], since: { seconds: 0, nanos: 5 } }),
      { tail: 0, resume: ["AQ=="], since: "1970-01-01T00:00:00.000000005Z" },
    );
  });

  test("position_resumes_with_the_whole_cursor_and_what_moved_since", () => {
    const position = new Position();
    assert.equal(position.known, false);
    position.advance({ cursor: bytes(1), delta: false });
    position.advance({ cursor: bytes(2), delta: true });
    position.advance({ cursor: null, entryCursors: new Map([["f", bytes(3)]]) });
    assert.deepEqual(position.resume, [bytes(1), bytes(2), bytes(3)]);
    assert.deepEqual(position.advance({ cursor: bytes(4), delta: false }), bytes(4));
    assert.deepEqual(position.resume, [bytes(4)]);
  });
});

describe("session", () => {
  const chunkOf = (...messages) =>
    new JsonChunk(
      messages.map((message) => ({ message, timestamp: "1", severity: "SEVERITY_INFO", source: "s", path: "/s" })),
    );
  /** Waits for the stream of a session to end; an error in it shows as itself. */
  const ended = async (session) => {
    while (session.live !== "ended") {
      await new Promise((resolve) => setImmediate(resolve));
      if (session.error) throw session.error;
    }
  };
  const batch = (parts) => ({ chunk: null, events: [], cursor: null, start: null, delta: false, ...parts });

  test("a_search_that_tells_how_far_it_is_before_it_knows_where_it_starts_leaves_older_lines_to_be_loaded", async () => {
    const store = new Store();
    store.append(chunkOf("of the selection before"));
    const searching = batch({ events: [{ kind: "progress", scanned: 1, total: 2 }] });
    const shown = [];
    const transport = {
      token: () => "",
      async *follow() {
        yield searching;
        shown.push(store.text(store.head));
        yield batch({ chunk: chunkOf("found"), start: bytes(1), cursor: bytes(2) });
      },
    };
    const events = { changed: () => {}, isFollowing: () => true };
    const session = new Session({ store, transport, events });
    session.start(EVERYTHING, { tail: 1 });
    await ended(session);
    assert.deepEqual(shown, ["of the selection before"]);
    assert.equal(store.text(store.head), "found");
    assert.deepEqual(session.startCursor(), bytes(1));
    assert.equal(session.older, EDGE.MORE);
  });

  test("lines_that_the_files_held_are_not_counted_as_new_however_early_the_reader_stops_following", async () => {
    const store = new Store();
    const view = new View(store, () => []);
    const counted = [];
    const count = () => {
      view.sync(1_000);
      counted.push(status.countFresh());
    };
    const transport = {
      token: () => "",
      async *follow() {
        yield batch({ chunk: chunkOf("old 1"), start: bytes(1), cursor: bytes(2) });
        status.followed(false);
        count();
        yield batch({ chunk: chunkOf("old 2", "old 3"), cursor: bytes(3) });
        count();
        yield batch({ events: [{ kind: "caughtUp" }], cursor: bytes(3) });
        yield batch({ chunk: chunkOf("new 1", "new 2"), cursor: bytes(4) });
        count();
      },
    };
    const events = { changed: () => {}, isFollowing: () => false };
    const session = new Session({ store, transport, events });
    const status = new Status({ session, store, view });
    session.start(EVERYTHING, { tail: 3 });
    await ended(session);
    assert.deepEqual(counted, [0, 0, 2]);
  });
});

describe("search", () => {
  test("words_phrases_regular_expressions_and_exclusions_become_patterns", () => {
    assert.deepEqual(patternsOf(parseSearch('foo a.b Bar "two words" /x\\/y\\d+/ /q/i -no -"not this" -/z/')), {
      include: ["(?i)foo", "(?i)a\\.b", "Bar", "(?i)two words", "x/y\\d+", "(?i)q"],
      exclude: ["(?i)no", "(?i)not this", "z"],
    });
    assert.deepEqual(parseSearch("   "), []);
    assert.deepEqual(patternsOf(parseSearch("/usr/bin")).include, ["(?i)/usr/bin"]);
  });

  test("the_predicate_agrees_with_the_patterns", () => {
    const matches = predicateOf(parseSearch("time -Out /5\\d\\d/"));
    assert.equal(matches("TIME 503"), true);
    assert.equal(matches("timeOut 503"), false);
    assert.equal(matches("time 404"), false);
    assert.equal(predicateOf(parseSearch("/(?<=/")), null);
  });

  test("highlights_are_in_order_and_disjoint", () => {
    assert.deepEqual(highlights(parseSearch("ab bc x"), "abc abx"), [
      [0, 3],
      [4, 7],
    ]);
  });

  test("typing_on_narrows_and_deleting_does_not", () => {
    const narrower = (next, before) => isNarrower(parseSearch(next), parseSearch(before));
    assert.ok(narrower("time", "tim"));
    assert.ok(narrower("Time", "tim"));
    assert.ok(!narrower("tim", "time"));
    assert.ok(!narrower("time", "Time"));
    assert.ok(!narrower("-time", "-tim"));
    assert.ok(narrower("-tim x", "-tim"));
    assert.ok(!narrower("a.c", "/a.c/"));
  });

  test("selections_narrow_by_level_source_and_text_only_inwards", () => {
    const errors = { ...EVERYTHING, level: "error" };
    assert.ok(narrows(errors, EVERYTHING));
    assert.ok(!narrows(EVERYTHING, errors));
    assert.ok(narrows({ ...errors, level: "error..error", sources: ["a"] }, { ...errors, sources: ["a", "b"] }));
    assert.ok(!narrows({ ...EVERYTHING, sources: ["a", "c"] }, { ...EVERYTHING, sources: ["a", "b"] }));
    assert.ok(!narrows({ ...EVERYTHING, where: ["k=v"] }, EVERYTHING));
    assert.ok(!narrows({ ...EVERYTHING, since: "5m" }, EVERYTHING));
    assert.ok(!narrows({ ...EVERYTHING, q: "/(?<=/" }, EVERYTHING));
  });

  test("levels_read_like_the_servers", () => {
    assert.deepEqual(levelRange("warn"), { min: 13, max: 255 });
    assert.deepEqual(levelRange("warn..error"), { min: 13, max: 17 });
    assert.deepEqual(levelRange("WARNING..3"), { min: 13, max: 17 });
    assert.deepEqual([levelName("Err"), levelName("7..crit"), levelName("")], ["error", "debug..critical", ""]);
    assert.equal(levelRange(""), null);
    for (const bad of ["loud", "error..warn", "warn..", "..error"]) assert.equal(levelRange(bad), undefined, bad);
  });

  test("a_path_as_a_glob_matches_itself", () => {
    assert.equal(escapeGlob("/var/log/a[1]*{x}?.log"), "/var/log/a[[]1[]][*][{]x[}][?].log");
  });
});

describe("text", () => {
  test("colours_become_runs_and_controls_become_symbols", () => {
    const { plain, runs } = parseAnsi(
      "a\u001b[1;31mb\u001b[0mc\u001b[38;5;208md\u001b[39m\u001b]8;;http://x\u0007e\u0000\u009b\u202e",
    );
    assert.equal(plain, "abcde\u2400\\u009b\\u202e");
    assert.deepEqual(runs, [
      { start: 1, end: 2, classes: "a-bold", color: "c1", background: "" },
      { start: 3, end: 4, classes: "", color: "rgb(255 135 0)", background: "" },
    ]);
  });

  test("nothing_that_is_left_can_act", () => {
    const next = random(11);
    const alphabet = [
      "\u001b",
      "[",
      "]",
      "3",
      "1",
      ";",
      "m",
      "\u0007",
      "\u202e",
      "x",
      "<b>",
      "\u009b",
      "\u0000",
      "?",
      "K",
    ];
    for (let i = 0; i < 20_000; i += 1) {
      const text = Array.from(
        { length: 1 + Math.floor(next() * 20) },
        () => alphabet[Math.floor(next() * alphabet.length)],
      ).join("");
      const { plain, runs } = parseAnsi(text);
      assert.doesNotMatch(plain, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/, JSON.stringify(text));
      for (const { start, end } of runs) assert.ok(start < end && end <= plain.length, JSON.stringify(text));
    }
  });

  test("times_and_levels_at_the_beginning_are_dimmed_or_cut", () => {
    for (const [line, rest] of [
      ["2026-11-24T03:35:29.111Z ERROR [x] boom", "[x] boom"],
      ["2026-11-24 03:35:29,111 +0100 boom", "boom"],
      ["Nov  4 03:35:29 host sshd: hi", "host sshd: hi"],
      ["[2026-11-24 03:35:29] [warn] hi", "hi"],
      ['1.2.3.4 - - [24/Nov/2026:03:35:29 +0000] "GET / HTTP/1.1" 200 5', '"GET / HTTP/1.1" 200 5'],
      ["informal start", "informal start"],
      ["ERRORS happen", "ERRORS happen"],
    ]) {
      assert.equal(withoutPrefix(parseAnsi(line), true).plain, rest);
      assert.equal(withoutPrefix(parseAnsi(line), false).plain, line);
    }
  });

  test("times_are_exact", () => {
    assert.equal(nanosOf("2026-11-24T03:35:29.123456789Z"), 1_795_491_329_123_456_789n);
    assert.equal(rfc3339(1_795_491_329_123_456_789n), "2026-11-24T03:35:29.123456789Z");
    assert.equal(nanosOf("2026-11-24T04:35:29+01:00"), nanosOf("2026-11-24T03:35:29Z"));
    assert.equal(nanosOf("yesterday"), null);
    assert.equal(parseTime("15m", 1_000_000_000), 1_000_000_000 - 900_000);
    assert.deepEqual(timestampOf(-1), { seconds: -1, nanos: 999_000_000 });
    assert.equal(new Clock(true).full(1_795_491_329_123_456_789n), "2026-11-24 03:35:29.123456789 UTC");
    assert.equal(new Clock(true).time(1_795_491_329_123.4), "03:35:29.123");
  });
});

describe("rows", () => {
  const chunkOf = (messages, flags = 0, severity = "SEVERITY_INFO") =>
    new JsonChunk(messages.map((message) => ({ message, timestamp: "1", severity, source: "s", path: "/s", flags })));
  const viewOf = (store) => new View(store, (row) => store.text(row).split("\n"));
  const shown = (store, view) => Array.from({ length: view.length }, (_, i) => store.text(view.row(i)));

  test("appends_prepends_and_trims_keep_store_and_view_equal_to_a_plain_array", () => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const next = random(seed);
      const store = new Store();
      const view = viewOf(store);
      const model = [];
      let [oldest, newest] = [0, 0];
      let word = "";
      view.setFilter(localFilter(EVERYTHING));
      for (let step = 0; step < 60; step += 1) {
        const action = next();
        const count = 1 + Math.floor(next() * 40);
        if (action < 0.45) {
          const added = Array.from({ length: count }, () => `n${newest++}`);
          store.append(chunkOf(added));
          store.mark(bytes(step), "f");
          model.push(...added);
        } else if (action < 0.7) {
          const added = Array.from({ length: count }, () => `o${oldest++}`).reverse();
          store.prepend([chunkOf(added.slice(0, count >> 1)), chunkOf(added.slice(count >> 1))]);
          store.marksBefore([{ after: store.head, cursor: bytes(200), filter: "f" }]);
          model.unshift(...added);
        } else if (action < 0.8 && store.trimTail(Math.floor(store.rows * next()))) model.length = store.rows;
        else if (action < 0.9) {
          word = ["", "1", "n", "o2"][Math.floor(next() * 4)];
          view.setFilter(localFilter({ ...EVERYTHING, q: word }));
        } else if (word !== "") {
          store.compact((row) => store.text(row).includes(word), "g");
          model.splice(0, model.length, ...model.filter((text) => text.includes(word)));
        }
        while (view.sync(1) || !view.complete);
        assert.deepEqual(
          Array.from({ length: store.rows }, (_, i) => store.text(store.head + i)),
          model,
          `seed ${seed} step ${step}`,
        );
        assert.deepEqual(
          shown(store, view),
          model.filter((text) => text.includes(word)),
          `seed ${seed} step ${step} search ${word}`,
        );
        assert.equal(store.lines, model.length);
        assert.equal(store.counts[9], model.length);
        for (let i = 1; i < store.marks.length; i += 1)
          assert.ok(store.marks[i - 1].after <= store.marks[i].after, `seed ${seed} step ${step}`);
      }
    }
  });

  test("a_full_ring_is_cut_at_marks_and_never_loses_a_newer_row", () => {
    const store = new Store();
    store.mark(bytes(0), "f", 0);
    let written = 0;
    for (let batch = 1; batch <= 900; batch += 1) {
      store.append(chunkOf(Array.from({ length: 400 }, () => `${written++}`)));
      store.mark(bytes(batch & 255, batch >> 8), "f");
      if (store.full && store.rows > 104_000) {
        const cursor = store.trimHead();
        assert.ok(cursor);
        assert.equal(store.marks[0].after, store.head);
        assert.ok(store.rows <= 100_000 && store.rows > 99_000);
      }
      assert.equal(store.text(store.tail - 1), String(written - 1));
    }
    assert.equal(store.text(store.head), String(store.head));
  });

  test("long_lines_fill_the_ring_by_bytes", () => {
    const store = new Store();
    store.mark(bytes(0), "f", 0);
    for (let i = 0; i < 300; i += 1) {
      store.append(chunkOf(["x".repeat(400_000)]));
      store.mark(bytes(i & 255, 1), `f${i}`);
      if (store.full) store.trimHead();
    }
    assert.ok(store.bytes <= 96 * 1024 * 1024, `${store.bytes}`);
    assert.ok(store.rows > 50);
  });

  test("traces_fold_under_their_line_and_only_under_it", () => {
    const store = new Store();
    const view = viewOf(store);
    store.append(chunkOf(["boom"]));
    store.append(chunkOf(["java.lang.X: y"], FLAG.TIME_NOT_FROM_LINE, "SEVERITY_UNSPECIFIED"));
    store.append(chunkOf(["\tat a.b", "  at c.d"], FLAG.TIME_NOT_FROM_LINE, "SEVERITY_UNSPECIFIED"));
    store.append(chunkOf(["next"]));
    while (view.sync(5));
    assert.deepEqual(shown(store, view), ["boom", "next"]);
    assert.equal(view.folds.get(0), 3);
    view.toggle(0);
    assert.deepEqual(shown(store, view), ["boom", "java.lang.X: y", "\tat a.b", "  at c.d", "next"]);
    view.setFolding(false);
    assert.equal(view.length, 5);
  });

  test("lines_of_a_file_without_times_are_no_trace", () => {
    const store = new Store();
    const view = viewOf(store);
    store.append(chunkOf(["one", "two", "three"], FLAG.TIME_NOT_FROM_LINE, "SEVERITY_UNSPECIFIED"));
    while (view.sync(5));
    assert.deepEqual(shown(store, view), ["one", "two", "three"]);
    assert.equal(store.kind[0], KIND.UNTIMED);
  });

  test("a_row_is_found_again_from_the_mark_before_it", () => {
    const store = new Store();
    store.mark(bytes(1), "wide", 0);
    store.append(chunkOf(["a", "b"]));
    store.mark(bytes(2), "wide");
    store.mark(bytes(2), "narrow");
    store.append(chunkOf(["c"]));
    assert.equal(store.markBefore(1).filter, "wide");
    assert.deepEqual(store.markBefore(2), { after: 2, cursor: bytes(2), filter: "narrow" });
  });

  test("a_new_filter_over_100000_rows_takes_milliseconds", () => {
    const store = new Store();
    const view = viewOf(store);
    for (let i = 0; i < 100; i += 1)
      store.append(
        chunkOf(
          Array.from({ length: 1_000 }, (_, j) => `row ${i} ${j}`),
          0,
          i % 10 === 0 ? "SEVERITY_ERROR" : "SEVERITY_INFO",
        ),
      );
    while (view.sync(50));
    view.setFilter(localFilter({ ...EVERYTHING, level: "error" }));
    const started = process.cpuUsage();
    view.sync(1_000);
    const { user } = process.cpuUsage(started);
    assert.equal(view.length, 10_000);
    assert.ok(user < 50_000, `${user} µs`);
  });
});
