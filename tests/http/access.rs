//! Tokens: one authorisation for every wire.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use logtap::proto::v1;
use prost::Message as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::*;

const ALL: &str = "Bearer the-token-that-reads-everything";
const SOME: &str = "Bearer the-token-that-reads-a";

/// A tokens file in which `SOME` may read the source `a` only, and `ALL`, if it is `there`, everything.
fn write_tokens(path: &Path, all_is_there: bool) {
    let line = |name: &str, header: &str, globs: &str| {
        let digest = Sha256::digest(header.trim_start_matches("Bearer "));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}:{hex}{globs}\n")
    };
    let all = if all_is_there { line("all", ALL, "") } else { String::new() };
    fs::write(path, all + &line("some", SOME, ":a")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
}

fn guarded() -> (tempfile::TempDir, Host) {
    let directory = tempfile::tempdir().expect("a directory");
    let tokens = directory.path().join("tokens");
    write_tokens(&tokens, true);
    let auth = format!("[auth]\ntokens_file = \"{}\"", tokens.display());
    let host = Host::start_with(&[("a", &lines(0..20)), ("b", &lines(100..120))], &auth);
    (directory, host)
}

#[tokio::test]
async fn nothing_is_read_without_a_token_and_nothing_else_with_one() {
    let (_directory, host) = guarded();
    let asks = [
        ("/api/v1/logs", "application/json"),
        ("/api/v1/logs?wait=1s&tail=1", "application/json"),
        ("/api/v1/logs", "text/event-stream"),
        ("/api/v1/logs", "application/x-ndjson"),
        ("/api/v1/sources", "application/json"),
        ("/metrics", "*/*"),
    ];
    for (path, accept) in asks {
        for wrong in [None, Some("Bearer of-bad-news"), Some("Basic dXNlcjpwYXNz"), Some("")] {
            let mut headers = vec![("accept", accept)];
            headers.extend(wrong.map(|header| ("authorization", header)));
            let refused = host.send("GET", path, &headers, b"").await;
            assert_eq!(refused.response.headers()["www-authenticate"], "Bearer", "{path}");
            let (code, body) = refused.into_json().await;
            assert_eq!((code.as_u16(), &body["error"]["status"]), (401, &json!("UNAUTHENTICATED")), "{path} {accept}");
        }
    }
    for path in ["/", "/assets/main.js", "/healthz", "/readyz"] {
        assert_eq!(host.send("GET", path, &[], b"").await.response.status(), 200, "{path}");
    }
    let get = async |path: &str, token: &str| {
        host.send("GET", path, &[("authorization", token)], b"").await.into_json().await
    };
    let (_, page) = get("/api/v1/logs", ALL).await;
    assert_eq!(messages(&page).len(), 40);
    let (_, page) = get("/api/v1/logs", SOME).await;
    assert_eq!(messages(&page), texts(0..20));
    let (_, page) = get("/api/v1/logs?paths=*", SOME).await;
    assert_eq!(messages(&page), texts(0..20));
    let (_, page) = get("/api/v1/sources", SOME).await;
    let names: Vec<_> = page["sources"].as_array().expect("a list").iter().map(|source| &source["name"]).collect();
    assert_eq!(names, ["a"]);
    // What one may not see and what does not exist answer alike.
    for path in ["/api/v1/logs?sources=", "/api/v1/sources?sources="] {
        let of = async |name: &str| {
            let (code, body) = get(&format!("{path}{name}"), SOME).await;
            (code.as_u16(), body.to_string().replace(name, "NAME"))
        };
        let hidden = of("b").await;
        assert_eq!((hidden.0, &hidden), (404, &of("q").await));
    }
    // Cursors of a file that one may not see open nothing either.
    let (_, page) = get("/api/v1/logs?sources=b&limit=1", ALL).await;
    let (_, mine) = get(&format!("/api/v1/logs?cursor={}", quoted(&cursor(&page))), SOME).await;
    assert!(messages(&mine).iter().all(|text| texts(0..20).contains(text)), "{mine}");
    let entry = page["entries"][0]["cursor"].as_str().expect("a cursor");
    for parameter in ["cursor", "resume", "end"] {
        let (code, body) = get(&format!("/api/v1/logs?{parameter}={}", quoted(entry)), SOME).await;
        assert_eq!((code.as_u16(), &body["error"]["status"]), (400, &json!("INVALID_ARGUMENT")), "{body}");
    }
    let web = |token: &'static str| {
        let message = v1::LogRequest::default().encode_to_vec();
        let body = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
        let headers = [("content-type", "application/grpc-web+proto"), ("authorization", token)];
        let host = &host;
        async move { host.send("POST", "/logtap.v1.LogService/GetLogs", &headers, &body).await.response }
    };
    assert_eq!(web("Bearer of-bad-news").await.headers()["grpc-status"], "16");
    assert_eq!(
        (web(SOME).await.headers()["logtap-files"].clone(), web(ALL).await.headers()["logtap-files"].clone()),
        {
            let count = |text: &str| http::HeaderValue::from_str(text).expect("a number");
            (count("1"), count("2"))
        }
    );
}

#[tokio::test]
async fn a_withdrawn_token_ends_what_it_had_opened() {
    let (directory, host) = guarded();
    let open = async |accept: &str, token: &str| {
        let headers = [("accept", accept), ("authorization", token)];
        host.send("GET", "/api/v1/logs?tail=1&follow=true&sources=a", &headers, b"").await
    };
    let mut events = open("text/event-stream", ALL).await;
    assert_eq!(events.event().await.0, "entry");
    assert_eq!(events.event().await.0, "caught_up");
    let mut objects = open("application/x-ndjson", ALL).await;
    assert_eq!(message(&objects.line().await), texts(19..20)[0]);
    assert_eq!(objects.line().await, json!({"caughtUp": {}}));
    let mut stays = open("text/event-stream", SOME).await;
    assert_eq!([stays.event().await.0, stays.event().await.0], ["entry", "caught_up"]);

    write_tokens(&directory.path().join("tokens"), false);
    let pid = host.process.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs").success());
    let (name, _, data) = events.event().await;
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!(401)), "{data}");
    assert!(!events.more().await);
    assert_eq!(objects.line().await["error"]["status"], "UNAUTHENTICATED");
    assert!(!objects.more().await);
    host.append("a", "later\n");
    assert_eq!(message(&stays.event().await.2), "later");
}
