//! What a client runs into, and how everybody hears of it.

use std::{
    io::Read as _,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use logtap::proto::v1;
use rustix::process::Signal;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{
    Logs,
    client::{self, Live, get},
    daemon::Daemon,
    eventually,
};

/// A daemon whose configuration begins with `server`, for one file.
fn served(logs: &Logs, server: &str) -> Daemon {
    let file = logs.write("a.log", "one\ntwo\n");
    let source = format!("[[source]]\nname = \"a\"\npaths = [\"{}\"]\n", file.display());
    let config = logs.write("logtap.toml", format!("{server}\n{source}"));
    Daemon::serve([std::ffi::OsStr::new("-c"), config.as_os_str()])
}

/// Waits until the daemon has logged something.
#[track_caller]
fn says(daemon: &Daemon, what: &str) {
    eventually(what, || daemon.log().contains(what));
}

fn reached(daemon: &Daemon, limit: &str) -> u64 {
    daemon.metric(&format!("logtap_limit_reached_total{{limit=\"{limit}\"}}"))
}

/// That it is for now, and when to come back.
fn assert_exhausted(status: &Status, said: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains(said), "{status:?}");
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| delay >= Duration::from_secs(1)), "{retry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_bounded_and_a_place_is_free_when_one_ends() {
    let logs = Logs::new();
    let daemon = served(&logs, "[server]\nmax_streams = 2\nmax_streams_per_client = 1");
    // Local clients without a name are bounded by the number of all streams alone.
    let (first, _second) =
        (Live::open(&daemon, v1::LogRequest::default()).await, Live::open(&daemon, v1::LogRequest::default()).await);
    let refused = get(&daemon, v1::LogRequest::default()).await.status;
    assert_exhausted(&refused, "2 streams are open, which is max_streams");
    let page = daemon.get("/api/v1/logs");
    assert!(page.starts_with("HTTP/1.1 429") && page.to_lowercase().contains("retry-after: 5"), "{page}");
    assert_eq!(reached(&daemon, "streams"), 2);
    says(&daemon, "refused a stream: 2 streams are open, which is max_streams");
    drop(first);
    eventually("the place", || daemon.streams() == 1);
    assert_eq!(get(&daemon, v1::LogRequest::default()).await.messages(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_one_client_are_bounded() {
    let logs = Logs::new();
    let hash = |token: &str| {
        use sha2::Digest as _;
        sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let tokens = logs.write("tokens", format!("one:{}\ntwo:{}\n", hash("first"), hash("second")));
    std::fs::set_permissions(&tokens, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let daemon = served(&logs, "[server]\nmax_streams_per_client = 1\n[auth]\ntokens_file = \"tokens\"");
    let mut client = client::v1(&daemon).await;
    let with = |token: &str| {
        let mut request = tonic::Request::new(v1::LogRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        request
    };
    let _open = Live::open_on(&mut client, with("first")).await;
    let refused = client.stream_logs(with("first")).await.expect_err("one is open");
    assert_exhausted(&refused, "1 streams are open for this client, which is max_streams_per_client");
    let _other = Live::open_on(&mut client, with("second")).await;
    says(&daemon, "which is max_streams_per_client");
    assert!(!daemon.log().contains("first"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_bounded() {
    let logs = Logs::new();
    let daemon = served(&logs, "");
    let request = v1::LogRequest { sources: vec!["x".repeat(5 << 20)], ..Default::default() };
    let status = get(&daemon, request).await.status;
    assert_eq!((status.code(), reached(&daemon, "request_bytes")), (Code::ResourceExhausted, 1), "{status:?}");
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{status:?}");
    assert_eq!(status.get_details_error_info().map(|info| info.reason), Some("REQUEST_TOO_LARGE".to_owned()));
    says(&daemon, "limit=\"request_bytes\"");
}

#[test]
fn who_says_nothing_is_sent_away_in_time() {
    let logs = Logs::new();
    let daemon = served(&logs, "");
    let began = Instant::now();
    let half_said = b"GET / HTTP/1.1\r\nHost: a\r\n";
    let mut connections = [&b""[..], b"PRI * HT", half_said].map(|said| {
        let mut stream = TcpStream::connect(&daemon.address).expect("it listens");
        std::io::Write::write_all(&mut stream, said).expect("it takes them");
        stream
    });
    for stream in &mut connections {
        // Closed, with or without a word.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let took = began.elapsed();
    assert!(Duration::from_secs(4) < took && took < Duration::from_secs(15), "{took:?}");
    eventually("the metric", || reached(&daemon, "handshake") >= 2);
    says(&daemon, "closed a connection that did not say what it wanted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_metric_is_there_by_its_name() {
    let logs = Logs::new();
    let daemon = served(&logs, "");
    let mut live = Live::open(&daemon, v1::LogRequest { tail: Some(1), ..Default::default() }).await;
    live.next().await;
    for line in 0..10 {
        logs.append("a.log", format!("{line}\n"));
        assert_eq!(live.take(1).await, [line.to_string()]);
    }
    let text = daemon.get("/metrics");
    for name in [
        "logtap_streams{transport=\"grpc\"} 1",
        "logtap_stream_lag_bytes 0",
        "logtap_entries_sent_total{transport=\"grpc\"} 11",
        "logtap_bytes_read_total{source=\"a\"}",
        "logtap_chunk_cache_bytes",
        "logtap_chunk_cache_hits_total",
        "logtap_chunk_cache_misses_total",
        "logtap_reads_total",
        "logtap_encodes_total{shape=\"v1\"}",
        "logtap_files{source=\"a\"} 1",
        "logtap_open_files 1",
        "logtap_held_deleted_bytes 0",
        "logtap_file_events_total{kind=\"modified\"}",
        "logtap_delivery_seconds_count 10",
        "logtap_delivery_seconds_bucket{le=\"",
        "logtap_config_last_reload_successful 1",
        "logtap_build_info{version=",
        "logtap_gaps_total{reason=\"truncated\"} 0",
        "logtap_read_errors_total{source=\"a\"} 0",
        "logtap_limit_reached_total{limit=\"streams\"} 0",
        "logtap_connections 2",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
    let named = text.lines().filter(|line| line.starts_with("logtap_streams"));
    assert_eq!(named.count(), 1, "no other name begins so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_names_every_subscription_with_its_lag() {
    let logs = Logs::new();
    let daemon = served(&logs, "");
    let mut requested = tonic::Request::new(v1::LogRequest::default());
    requested.metadata_mut().insert("x-request-id", "the-one".parse().expect("a header"));
    let _live = Live::open_on(&mut client::v1(&daemon).await, requested).await;
    daemon.signal(Signal::USR1);
    eventually("the report", || daemon.log().contains("request_id=\"the-one\""));
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("the-one")).expect("it is there");
    for part in ["method=\"/logtap.v1.LogService/StreamLogs\"", "client=local", "files=1", "lag_bytes=0", "peer=127."] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(log.contains("report streams=1"), "{log}");
}

#[test]
fn who_shows_to_all_what_others_may_not_read_is_warned() {
    let logs = Logs::new();
    let private = logs.write("private.log", "");
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    let public = logs.write("public.log", "");
    std::fs::set_permissions(&public, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let daemon = Daemon::serve([&private, &public]);
    eventually("the warning", || daemon.log().contains("whoever can connect may read what others may not"));
    let log = daemon.log();
    let warned: Vec<_> = log.lines().filter(|line| line.contains("may read what others may not")).collect();
    assert!(warned.len() == 1 && warned[0].contains("source=\"private\""), "{log}");
}
