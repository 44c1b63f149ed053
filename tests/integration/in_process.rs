//! What the server holds of its streams, looked at from inside.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use logtap::{
    limits::{CACHE_BYTES_DEFAULT, SCANS_MAX},
    proto::v1,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{
    Logs,
    client::{Live, file_of, read_all},
    eventually,
    served::Served,
};

const KIB: u64 = 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_leave_leave_nothing_behind() {
    let logs = Logs::new();
    let served = Served::start(&logs.write("app.log", "before\n"), CACHE_BYTES_DEFAULT as usize).await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(Live::open_on(&mut served.client().await, v1::LogRequest::default()).await);
    }
    logs.append("app.log", "line\n");
    for reader in &mut readers {
        assert_eq!(reader.take(1).await, ["line"]);
    }
    assert_eq!((served.streams.list().len(), served.feed.catalogue.interests().len()), (20, 1), "one set for all");
    drop(readers);
    eventually("streams and what they wait for to be gone", || {
        served.streams.list().is_empty() && served.feed.catalogue.interests().is_empty()
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_cache_at_all_readers_at_the_same_time_get_the_file() {
    let logs = Logs::new();
    let content: String = (0..1_500).map(|n| format!("line {n} of the file\n")).collect();
    let served = Served::start(&logs.write("app.log", &content), 0).await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = served.client().await;
        readers.spawn(async move { read_all(client.get_logs(v1::LogRequest::default())).await });
    }
    while let Some(answer) = readers.join_next().await {
        let answer = answer.expect("it ends");
        answer.check_trailers();
        assert!(file_of(&answer.entries) == content.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_is_handed_little_more_than_its_window() {
    let logs = Logs::new();
    let content = "a line of a usual length, of which there are a great many here\n".repeat(50_000);
    let served = Served::start(&logs.write("app.log", &content), CACHE_BYTES_DEFAULT as usize).await;
    let request = v1::LogRequest { tail: Some(u64::MAX), ..Default::default() };
    let mut live = Live::open_on(&mut served.client().await, request).await;
    live.take(1).await;
    let stream = served.streams.list().pop().expect("it is open");
    // HTTP has had a piece for a while and does not ask for another.
    eventually("the stream to stall", || stream.stalled(Instant::now()) > Duration::from_millis(300));
    let sent = stream.progress().expect("it runs").message_bytes.load(Ordering::Relaxed);
    assert!(sent < 256 * KIB, "{sent} bytes of messages were handed on");
    assert!(stream.lag() > content.len() as u64 - 256 * KIB);
    assert_eq!(live.take(1000).await.len(), 1000, "it goes on when it is read again");
}

/// A runtime with one thread for what waits for a disk, and that one waits: no request finds its place in files.
#[test]
fn requests_that_look_for_their_place_are_bounded() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let logs = Logs::new();
        let served = Served::start(&logs.write("app.log", "before\n"), CACHE_BYTES_DEFAULT as usize).await;
        let (hang, go_on) = std::sync::mpsc::channel::<()>();
        let hanging = tokio::task::spawn_blocking(move || go_on.recv());
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..=SCANS_MAX {
            let mut client = served.client().await;
            calls.spawn(async move { read_all(client.get_logs(v1::LogRequest::default())).await });
        }
        let refused = calls.join_next().await.expect("there are some").expect("no panic").status;
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert!(refused.message().contains("looking for their place"), "{refused:?}");
        assert!(refused.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{refused:?}");
        let metrics = served.feed.telemetry.render();
        assert!(metrics.contains("logtap_limit_reached_total{limit=\"scans\"} 1\n"), "{metrics}");
        assert!(hang.send(()).is_ok());
        assert!(hanging.await.expect("no panic").is_ok());
        while let Some(answer) = calls.join_next().await {
            assert_eq!(answer.expect("no panic").messages(), ["before"]);
        }
    });
}
