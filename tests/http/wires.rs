//! gRPC-Web, sources, the viewer's files, and who is turned away.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use logtap::proto::v1;
use prost::Message as _;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn grpc_web_brings_the_same_messages_with_the_trailers_at_the_end() {
    let host = Host::start(&[("a", &lines(0..30))]);
    let request = v1::LogRequest { level: "error".into(), ..v1::LogRequest::default() };
    let call = |method: &'static str, message: Vec<u8>| {
        let mut body = vec![0];
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(&message);
        let (host, path) = (&host, format!("/logtap.v1.LogService/{method}"));
        async move {
            let kind = [("content-type", "application/grpc-web+proto")];
            let Reading { response, _connection, .. } = host.send("POST", &path, &kind, &body).await;
            assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
            let headers = response.headers().clone();
            (headers, soon("the body", response.into_body().collect()).await.expect("a body").to_bytes())
        }
    };
    let (headers, body) = call("GetLogs", request.encode_to_vec()).await;
    assert_eq!(headers["logtap-files"], "1");
    let frames = frames(&body);
    let entries: Vec<_> =
        frames[..3].iter().map(|(_, bytes)| v1::LogEntry::decode(&bytes[..]).expect("an entry").message).collect();
    assert_eq!(entries, [0, 10, 20].map(|at| texts(at..at + 1)[0].clone()));
    let (flag, trailers) = &frames[3];
    let trailers = std::str::from_utf8(trailers).expect("text");
    assert_eq!((*flag, frames.len()), (0x80, 4));
    assert!(trailers.contains("grpc-status: 0\r\n") && trailers.contains("logtap-entries: 3\r\n"), "{trailers}");

    let bad = v1::LogRequest { level: "loud".into(), ..v1::LogRequest::default() };
    let (headers, body) = call("GetLogs", bad.encode_to_vec()).await;
    assert_eq!((&headers["grpc-status"], body.len()), (&"3".parse().expect("a value"), 0));

    // The same in base64, for clients that cannot read anything else.
    let kind = [("content-type", "application/grpc-web-text")];
    let encoded = STANDARD.encode([&[0, 0, 0, 0, request.encoded_len() as u8][..], &request.encode_to_vec()].concat());
    let mut text = host.send("POST", "/logtap.v1.LogService/GetLogs", &kind, encoded.as_bytes()).await;
    assert_eq!(text.response.headers()["content-type"], "application/grpc-web-text+proto");
    let text = text.all().await;
    // Each piece is padded for itself.
    let pieces = text.split_inclusive('=').fold(Vec::<String>::new(), |mut pieces, part| {
        match pieces.last_mut() {
            Some(last) if part == "=" || !last.ends_with('=') => last.push_str(part),
            _ => pieces.push(part.to_owned()),
        }
        pieces
    });
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| STANDARD.decode(piece).expect("base64")).collect();
    assert_eq!(self::frames(&bytes)[..3], frames[..3]);

    // A stream is counted for what it is, and goes with its connection.
    let batches = v1::StreamBatchesRequest { request: Some(v1::LogRequest::default()), ..Default::default() };
    let message = batches.encode_to_vec();
    let body = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let kind = [("content-type", "application/grpc-web")];
    let mut stream = host.send("POST", "/logtap.v1.LogService/StreamBatches", &kind, &body).await;
    let first = soon("the first batch", stream.response.body_mut().frame()).await;
    assert!(first.is_some());
    assert_eq!(host.metric("logtap_streams{transport=\"grpc-web\"}").await, 1);
    drop(stream);
    host.until_streams(0, Duration::from_secs(2)).await;

    let native = host.send("POST", "/logtap.v1.LogService/GetLogs", &[("content-type", "application/grpc")], b"").await;
    assert_eq!(native.response.status(), 505);
    for kind in ["text/plain", "application/json", "application/grpc-web+json"] {
        let refused = host.send("POST", "/logtap.v1.LogService/GetLogs", &[("content-type", kind)], &[0; 5]).await;
        assert_eq!(refused.response.status(), 415, "{kind}");
    }
}

/// The frames of a gRPC body: flag and content.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = body.split_at_checked(5) {
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        frames.push((header[0], rest[..len].to_vec()));
        body = &rest[len..];
    }
    frames
}

#[tokio::test]
async fn sources_are_listed_page_by_page() {
    let host = Host::start(&[("a", &lines(0..3)), ("b", ""), ("c", "x\n")]);
    let (_, all) = host.get("/api/v1/sources").await;
    let names: Vec<_> = all["sources"].as_array().expect("a list").iter().map(|source| &source["name"]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let file = &all["sources"][0]["files"][0];
    assert_eq!((&file["path"], &file["sizeBytes"]), (&json!(host.path("a")), &json!(lines(0..3).len().to_string())));
    assert_eq!(file["watchMode"], "WATCH_MODE_EVENTS");
    let (_, one) = host.get("/api/v1/sources?page_size=1&sources=[ac]").await;
    let token = one["nextPageToken"].as_str().expect("there is more").replace('\n', "%0A").replace('/', "%2F");
    let (_, two) = host.get(&format!("/api/v1/sources?sources=[ac]&page_token={token}")).await;
    assert_eq!((&two["sources"][0]["name"], &two["nextPageToken"]), (&json!("c"), &Value::Null));
    assert_eq!(host.get("/api/v1/sources?sources=nobody").await.0, 404);
    assert_eq!(host.get("/api/v1/sources?colour=red").await.0, 400);
}

#[tokio::test]
async fn the_viewer_is_served_with_strict_headers_and_sent_once() {
    let host = Host::start(&[("a", "")]);
    let strict = |headers: &HeaderMap| {
        let policy = headers["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.ends_with("require-trusted-types-for 'script'"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert!(!headers.contains_key("access-control-allow-origin"));
    };
    for (path, kind) in [("/", "text/html; charset=utf-8"), ("/assets/main.js", "text/javascript; charset=utf-8")] {
        let mut first = host.send("GET", path, &[], b"").await;
        strict(first.response.headers());
        assert_eq!(
            (first.response.status().as_u16(), &first.response.headers()["content-type"]),
            (200, &kind.parse().expect("a value"))
        );
        let etag = first.response.headers()["etag"].to_str().expect("text").to_owned();
        assert!(!first.all().await.is_empty());
        let mut again = host.send("GET", path, &[("if-none-match", &etag)], b"").await;
        assert_eq!((again.response.status().as_u16(), again.all().await.as_str()), (304, ""));
    }
    for path in ["/api/v1/logs", "/api/v1/logs?tail=x", "/api/v1/sources", "/nothing", "/assets/nothing.js", "/metrics"]
    {
        let answer = host.send("GET", path, &[], b"").await;
        strict(answer.response.headers());
        assert_eq!(answer.response.headers()["cache-control"], "no-store", "{path}");
    }
    assert_eq!(host.get("/assets/..%2fmod.rs").await.0, 404);
}

#[tokio::test]
async fn names_that_are_not_ours_and_other_origins_are_refused() {
    let host = Host::start_with(&[("a", &lines(0..3))], "hosts = [\"logs.example.org\"]");
    let code =
        async |path: &str, headers: &[(&str, &str)]| host.send("GET", path, headers, b"").await.into_json().await;
    for path in ["/api/v1/logs", "/api/v1/sources"] {
        let (answer, body) = code(path, &[("host", "rebound.example:50051")]).await;
        assert_eq!((answer.as_u16(), &body["error"]["code"]), (421, &json!(421)), "{body}");
        assert_eq!(code(path, &[("host", "logs.example.org")]).await.0, 200);
        assert_eq!(code(path, &[("host", "localhost:1")]).await.0, 200);
        let (answer, body) = code(path, &[("origin", "http://other.example")]).await;
        assert_eq!((answer.as_u16(), &body["error"]["code"]), (403, &json!(403)), "{body}");
        let own = format!("http://{}", host.address);
        assert_eq!(code(path, &[("origin", &own)]).await.0, 200);
    }
    let kind = ("content-type", "application/grpc-web+proto");
    for (header, expected) in [(("host", "rebound.example"), 421), (("origin", "http://other.example"), 403)] {
        let refused = host.send("POST", "/logtap.v1.LogService/GetLogs", &[kind, header], &[0; 5]).await;
        assert_eq!(refused.response.status().as_u16(), expected);
    }
    assert_eq!(host.send("GET", "/", &[("host", "rebound.example")], b"").await.response.status(), 421);
    assert_eq!(host.send("GET", "/metrics", &[("host", "rebound.example")], b"").await.response.status(), 421);
}

#[tokio::test]
async fn too_many_streams_are_told_when_to_come_back() {
    let host = Host::start_with(&[("a", &lines(0..3))], "max_streams = 1");
    let mut first = host.events("tail=1", None).await;
    first.entry().await;
    let refused = host.send("GET", "/api/v1/logs", &[], b"").await;
    assert_eq!(refused.response.headers()["retry-after"], "5");
    let (code, body) = refused.into_json().await;
    assert_eq!((code.as_u16(), &body["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    drop(first);
    host.until_streams(0, Duration::from_secs(2)).await;
    host.page("").await;
}
