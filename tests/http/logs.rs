//! Pages, long polls and streams of entries.

use std::{
    fs::{self},
    process::Command,
    time::{Duration, Instant},
};

use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn walking_by_cursor_gives_the_files_exactly() {
    let host = Host::start(&[("a", &lines(0..2500)), ("b", &lines(5000..5700))]);
    for limit in ["", "limit=7&", "limit=333&"] {
        let (mut read, mut query, mut pages) = (Vec::new(), String::from("&"), 0);
        // The whole walk in small steps would take long and show nothing more.
        while pages < 40 {
            let page = host.page(&format!("{limit}{query}")).await;
            let some = messages(&page);
            if some.is_empty() {
                break;
            }
            read.extend(some);
            query = format!("cursor={}", quoted(&cursor(&page)));
            pages += 1;
        }
        let all: Vec<_> = texts(0..2500).into_iter().chain(texts(5000..5700)).collect();
        match limit {
            "limit=7&" => assert_eq!(read, all[..280]),
            _ => assert_eq!(read, all, "{limit}"),
        }
    }
    let whole = host.page("limit=50000").await;
    assert_eq!(messages(&whole).len(), 3200);
    let entry = &whole["entries"][10];
    let expected = json!({
        "message": texts(10..11)[0], "timestamp": "1767225600000010000", "time": "2026-01-01T00:00:00.000010000Z",
        "severity": "SEVERITY_ERROR", "source": "a", "path": host.path("a"), "cursor": entry["cursor"],
    });
    assert_eq!(entry, &expected);
    // An entry's own cursor goes on just after it, in either alphabet, padded or not.
    let standard = entry["cursor"].as_str().expect("a cursor");
    let url = standard.replace('+', "-").replace('/', "_").replace('=', "");
    for text in [quoted(standard), url, standard.to_owned()] {
        let next = host.page(&format!("sources=a&limit=1&resume={text}")).await;
        assert_eq!(messages(&next), texts(11..12), "{text}");
    }
    // `start` is the point before the first entry.
    let again = host.page(&format!("limit=3&cursor={}", quoted(whole["start"].as_str().expect("a start")))).await;
    assert_eq!(messages(&again), texts(0..3));
}

#[tokio::test]
async fn a_page_has_1000_entries_unless_said_and_10000_at_most() {
    let host = Host::start(&[("a", &lines(0..10_050))]);
    for (limit, expected) in [
        ("", 1000),
        ("limit=0", 1000),
        ("limit=1", 1),
        ("limit=9999", 9999),
        ("limit=10000", 10_000),
        ("limit=10001", 10_000),
    ] {
        let page = host.page(limit).await;
        assert_eq!((messages(&page).len(), &page["events"]), (expected, &json!([])), "{limit}");
        let next = host.page(&format!("limit=2&cursor={}", quoted(&cursor(&page)))).await;
        assert_eq!(messages(&next), texts(expected..expected + 2), "{limit}");
    }
    let whole = "limit=18446744073709551615&tail=18446744073709551615";
    assert_eq!(messages(&host.page(whole).await).len(), 10_000);
}

#[tokio::test]
async fn a_page_ends_at_4_mib_and_the_next_goes_on() {
    let long = "x".repeat(700_000);
    let text: String = (0..12).map(|number| format!("{number} {long}\n")).collect();
    let host = Host::start(&[("a", &text)]);
    let (mut read, mut query, mut pages) = (String::new(), String::new(), Vec::new());
    loop {
        let page = host.page(&query).await;
        let some = messages(&page);
        if some.is_empty() {
            break;
        }
        pages.push(some.len());
        some.iter().for_each(|line| read.extend([line, "\n"]));
        query = format!("cursor={}", quoted(&cursor(&page)));
    }
    assert!(read == text);
    assert_eq!(pages, [5, 5, 2]);
}

#[tokio::test]
async fn parameters_select_and_what_is_wrong_is_named() {
    let host = Host::start(&[("a", &lines(0..100)), ("b", "{\"level\":\"info\",\"user\":\"eve\",\"msg\":\"x\"}\n")]);
    let errors = host.page("level=error&sources=a&tail=3").await;
    assert_eq!(messages(&errors), [70, 80, 90].map(|at| texts(at..at + 1)[0].clone()));
    let found = host.page("include=line+[67]7&exclude=line%2067").await;
    assert_eq!(messages(&found), texts(77..78));
    let fields = host.page("where=user=eve&with_fields=true").await;
    assert_eq!(fields["entries"][0]["fields"]["user"], "eve");
    assert_eq!(host.page("paths=nothing*").await["entries"], json!([]));

    for (query, code, status, said) in [
        ("colour=red", 400, "INVALID_ARGUMENT", "colour: there is no such parameter"),
        ("tail=x", 400, "INVALID_ARGUMENT", "tail: \"x\" is no number"),
        ("level=loud", 400, "INVALID_ARGUMENT", "level: no severity is called \"loud\""),
        ("include=(", 400, "INVALID_ARGUMENT", "include[0]: "),
        ("sources=nobody", 404, "NOT_FOUND", "sources[0]: "),
        ("cursor=AQID", 400, "INVALID_ARGUMENT", "resume[0]: "),
        ("follow=true", 400, "INVALID_ARGUMENT", "follow: a page ends"),
        ("wait=90s", 400, "INVALID_ARGUMENT", "wait: more than the 60 s allowed"),
    ] {
        let (answer, body) = host.get(&format!("/api/v1/logs?{query}")).await;
        let error = &body["error"];
        assert_eq!((answer.as_u16(), &error["code"], &error["status"]), (code, &json!(code), &json!(status)), "{body}");
        assert!(error["message"].as_str().expect("a message").starts_with(said), "{body}");
        assert!(error["details"].is_array(), "{body}");
    }
    let long = "A".repeat(4100);
    assert_eq!(host.get(&format!("/api/v1/logs?cursor={long}")).await.0, 413);
    let posted = host.send("POST", "/api/v1/logs", &[], br#"{"level": "error", "limit": 1, "sources": ["a"]}"#).await;
    let (code, page) = posted.into_json().await;
    assert_eq!((code.as_u16(), messages(&page)), (200, texts(0..1)));
    let body = format!("{{\"cursor\": {:?}, \"sources\": \"a\", \"limit\": 2}}", cursor(&page));
    let (_, page) = host.send("POST", "/api/v1/logs", &[], body.as_bytes()).await.into_json().await;
    assert_eq!(messages(&page), texts(1..3));
    let (code, body) = host.send("POST", "/api/v1/logs", &[], b"[1]").await.into_json().await;
    assert_eq!((code.as_u16(), &body["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    let refused = host.send("DELETE", "/api/v1/logs", &[], b"").await;
    assert_eq!(
        (refused.response.status().as_u16(), &refused.response.headers()["allow"]),
        (405, &"GET, HEAD, POST".parse().expect("a value"))
    );
}

#[tokio::test]
async fn a_long_poll_answers_at_the_first_entry_and_otherwise_waits_without_spinning() {
    let host = Host::start(&[("a", &lines(0..50))]);
    // It starts with what is new.
    let began = Instant::now();
    let quiet = host.page("wait=700ms").await;
    assert_eq!(quiet["entries"], json!([]));
    assert!(began.elapsed() >= Duration::from_millis(700));
    // Half a line is no entry: the poll waits on, and reads nothing over and over meanwhile.
    host.append("a", "half ");
    let reads = host.metric("logtap_reads_total").await + host.metric("logtap_chunk_cache_misses_total").await;
    let began = Instant::now();
    let still = host.page(&format!("wait=1s&cursor={}", quoted(&cursor(&quiet)))).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!((&still["entries"], cursor(&still)), (&json!([]), cursor(&quiet)));
    let after = host.metric("logtap_reads_total").await + host.metric("logtap_chunk_cache_misses_total").await;
    assert!(after - reads <= 4, "{} reads", after - reads);
    // Its other half makes it one.
    let query = format!("wait=60s&cursor={}", quoted(&cursor(&still)));
    let poll = host.page(&query);
    let write = async {
        host.until_streams(1, PATIENCE).await;
        host.append("a", "and half\n");
    };
    let (answer, ()) = tokio::join!(soon("the poll", poll), write);
    assert_eq!(messages(&answer), ["half and half"]);
    // What is behind already is answered at once, all of it.
    host.append("a", &lines(50..90));
    let began = Instant::now();
    let mut rest = Vec::new();
    let mut at = cursor(&answer);
    while rest.len() < 40 {
        let page = host.page(&format!("wait=30s&cursor={}", quoted(&at))).await;
        rest.extend(messages(&page));
        at = cursor(&page);
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(rest, texts(50..90));
    let whole = host.page("wait=30s&tail=18446744073709551615").await;
    assert_eq!(messages(&whole).len(), 91);
}

#[tokio::test]
async fn whoever_hangs_up_frees_the_subscription() {
    let host = Host::start(&[("a", &lines(0..50))]);
    let mut connection = host.connect().await;
    let request = Request::get("/api/v1/logs?wait=60s").header(header::HOST, &host.address);
    let poll = connection.send_request(request.body(Full::default()).expect("a request"));
    let poll = tokio::spawn(poll);
    host.until_streams(1, PATIENCE).await;
    poll.abort();
    drop(connection);
    host.until_streams(0, Duration::from_secs(2)).await;

    let mut events = host.events("tail=1", None).await;
    events.entry().await;
    host.until_streams(1, PATIENCE).await;
    drop(events);
    host.until_streams(0, Duration::from_secs(2)).await;
}

#[tokio::test]
async fn events_resume_exactly_after_any_of_them() {
    let host = Host::start(&[("a", &lines(0..40)), ("b", &lines(100..140))]);
    let mut events = host.events("tail=18446744073709551615", None).await;
    let (mut ids, mut all) = (Vec::new(), Vec::new());
    while all.len() < 80 {
        let (id, source, text) = events.entry().await;
        ids.push(id);
        all.push((source, text));
    }
    let (name, id, _) = events.event().await;
    assert_eq!((name.as_str(), id.is_some()), ("caught_up", true));
    host.append("b", "later\n");
    let (id, source, text) = events.entry().await;
    ids.push(id);
    all.push((source, text));
    let of_file = |of: &str| all.iter().filter(|(source, _)| source == of).map(|(_, text)| text.clone()).collect();
    let (read_a, read_b): (Vec<_>, Vec<_>) = (of_file("a"), of_file("b"));
    let later = std::iter::once("later".to_owned());
    assert_eq!((read_a, read_b), (texts(0..40), texts(100..140).into_iter().chain(later).collect()));
    drop(events);
    for at in [0, 1, 17, 39, 40, 41, 62, 79] {
        // The query is that of the first connection, as a browser would send it again.
        let mut events = host.events("tail=18446744073709551615", Some(&ids[at])).await;
        let mut rest = Vec::new();
        while rest.len() < all.len() - at - 1 {
            let (_, source, text) = events.entry().await;
            rest.push((source, text));
        }
        // Each file in its own order, both in whatever order they came.
        for of in ["a", "b"] {
            let of_file = |all: &[(String, String)]| {
                all.iter().filter(|(source, _)| source == of).map(|(_, text)| text.clone()).collect::<Vec<_>>()
            };
            assert_eq!(of_file(&rest), of_file(&all[at + 1..]), "{of} after {at}");
        }
        assert_eq!(events.event().await.0, "caught_up");
    }
}

#[tokio::test]
async fn events_end_by_name() {
    let host = Host::start(&[("a", &lines(0..40))]);
    let mut events = host.events("tail=5&limit=2", None).await;
    assert_eq!([events.entry().await.2, events.entry().await.2].to_vec(), texts(35..37));
    assert_eq!(events.event().await.0, "end");
    assert!(!events.more().await);
}

#[tokio::test]
async fn many_files_have_sparse_ids_that_resume_exactly() {
    let texts: Vec<(String, String)> = (0..200).map(|at| (format!("f{at:03}"), format!("first of {at}\n"))).collect();
    let logs: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let host = Host::start(&logs);
    let mut events = host.events("tail=18446744073709551615", None).await;
    let mut read = Vec::new();
    let id = loop {
        let (name, id, data) = events.event().await;
        match name.as_str() {
            "entry" => read.push((message(&data) + "\n", id)),
            "caught_up" => break id.expect("what is caught up with can be come back to"),
            name => panic!("{name}: {data}"),
        }
    };
    assert!(id.len() > 4096, "{}", id.len());
    assert!(read.iter().filter(|(_, id)| id.is_some()).count() < 10);
    let all: Vec<_> = read.into_iter().map(|(text, _)| text).collect();
    assert_eq!(all, texts.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>());
    drop(events);
    host.append("f077", "second\n");
    let mut events = host.events("", Some(&id)).await;
    assert_eq!(message(&events.event().await.2), "second");
    assert_eq!(events.event().await.0, "caught_up");
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_is_alive() {
    let host = Host::start(&[("a", &lines(0..3))]);
    let mut events = host.events("", None).await;
    assert_eq!(events.event().await.0, "caught_up");
    let began = Instant::now();
    events.more().await;
    assert!((Duration::from_secs(14)..PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
    let id =
        events.text.strip_prefix(":\nid: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("a comment").to_owned();
    host.append("a", "later\n");
    assert_eq!(host.events("", Some(&id)).await.entry().await.2, "later");
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_reason() {
    let mut host = Host::start(&[("a", &lines(0..3))]);
    let mut events = host.events("tail=1", None).await;
    events.entry().await;
    assert_eq!(events.event().await.0, "caught_up");
    let poll = host.send("GET", "/api/v1/logs?wait=60s", &[], b"");
    let stop = async {
        host.until_streams(2, PATIENCE).await;
        let pid = host.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    };
    let (poll, ()) = tokio::join!(poll, stop);
    assert_eq!(poll.response.headers()["retry-after"], "5");
    let (code, body) = poll.into_json().await;
    assert_eq!((code.as_u16(), &body["error"]["status"]), (503, &json!("UNAVAILABLE")));
    let (name, _, data) = events.event().await;
    assert_eq!((name.as_str(), &data["error"]["status"]), ("error", &json!("UNAVAILABLE")));
    assert!(!events.more().await);
    assert!(host.process.wait().expect("it is ours").success());
}

#[tokio::test]
async fn newline_delimited_json_ends_or_follows() {
    let host = Host::start(&[("a", &lines(0..30))]);
    let accept = [("accept", "application/x-ndjson")];
    let mut once = host.send("GET", "/api/v1/logs?level=error", &accept, b"").await;
    assert_eq!(once.response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(once.response.headers()["x-accel-buffering"], "no");
    let text = once.all().await;
    let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.iter().map(message).collect::<Vec<_>>(), [0, 10, 20].map(|at| texts(at..at + 1)[0].clone()));

    let mut follow = host.send("GET", "/api/v1/logs?follow=true&tail=1", &accept, b"").await;
    assert_eq!(message(&follow.line().await), texts(29..30)[0]);
    assert_eq!(follow.line().await, json!({"caughtUp": {}}));
    host.append("a", "new\n");
    assert_eq!(message(&follow.line().await), "new");
    let path = host.path("a");
    fs::write(&path, "").expect("it is truncated");
    let change = json!({"fileChange": {"source": "a", "path": path, "kind": "FILE_CHANGE_KIND_TRUNCATED"}});
    assert_eq!(follow.line().await, change);
}
