//! From the first argument to the last signal.

use std::{fs, time::Duration};

use logtap::proto::v1;
use rustix::process::Signal;
use tonic::Code;

use crate::support::{
    Logs,
    client::{self, Live, check_trailers, messages},
    daemon::{Daemon, program},
    eventually,
    subscriber::Subscriber,
};

/// Streams have 8 s to end when the daemon goes down.
const DRAIN: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_it_ends_its_streams_and_itself() {
    let logs = Logs::new();
    let mut daemon = Daemon::serve([logs.write("app.log", "")]);
    let mut live = Live::open(&daemon, v1::LogRequest::default()).await;
    logs.append("app.log", "one\ntwo\n");
    assert_eq!(live.take(2).await, ["one", "two"]);
    daemon.signal(Signal::TERM);
    let status = live.end().await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    check_trailers(status.metadata(), &["one", "two"]);
    assert!(status.metadata().get_bin("logtap-cursor-bin").is_some());
    let (status, took) = daemon.ended();
    assert_eq!(status.code(), Some(0));
    assert!(took < DRAIN, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_twice_it_ends_at_once() {
    let logs = Logs::new();
    let mut daemon = Daemon::serve([logs.write("app.log", "a line of some length\n".repeat(500_000))]);
    // Nobody takes its trailers, so the drain would last as long as it may.
    let stopped = Subscriber::start(&daemon, usize::MAX);
    stopped.signal(Signal::STOP);
    daemon.signal(Signal::TERM);
    eventually("the drain", || daemon.log().contains("draining"));
    daemon.signal(Signal::INT);
    let (status, took) = daemon.ended();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < DRAIN / 2, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_reader_does_not_keep_it_from_ending() {
    let logs = Logs::new();
    let mut daemon = Daemon::serve([logs.write("app.log", "a line of some length\n".repeat(500_000))]);
    let stopped = Subscriber::start(&daemon, usize::MAX);
    stopped.signal(Signal::STOP);
    daemon.signal(Signal::TERM);
    let (status, took) = daemon.ended();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_daemon_goes_on_where_the_cursor_is() {
    let logs = Logs::new();
    let path = logs.write("app.log", "one\n");
    let mut daemon = Daemon::serve([&path]);
    let mut live = Live::open(&daemon, v1::LogRequest { tail: Some(1), ..Default::default() }).await;
    let cursor = live.next().await.cursor;
    daemon.signal(Signal::TERM);
    live.end().await;
    daemon.ended();
    logs.append("app.log", "two\nthree\n");
    let again = Daemon::serve([&path]);
    let request = v1::LogRequest { resume: vec![cursor], ..Default::default() };
    assert_eq!(messages(&again, request.clone()).await, ["two", "three"]);
    let mut live = Live::open(&again, request).await;
    assert_eq!(live.take(2).await, ["two", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_named_by_their_paths() {
    let logs = Logs::new();
    logs.make_dir("nginx");
    for name in ["app.log", "we ird.log", "syslog", "nginx/access.log", "nginx/error.log"] {
        logs.write(name, "");
    }
    let daemon = Daemon::serve(["app.log", "we ird.log", "syslog", "nginx/*.log"].map(|name| logs.path(name)));
    let list = client::v1(&daemon).await.list_sources(v1::ListSourcesRequest::default()).await.expect("it is served");
    let list = list.into_inner().sources;
    let mut named: Vec<_> = list.iter().map(|source| (source.name.as_str(), source.files.len())).collect();
    named.sort_unstable();
    assert_eq!(named, [("app", 1), ("nginx", 2), ("syslog", 1), ("we-ird", 1)]);
}

#[test]
fn a_bad_configuration_is_shown_where_it_is_wrong() {
    let logs = Logs::new();
    let config = logs.write("logtap.toml", "[server]\ncahce = \"1MiB\"\n[[source]]\nname = \"a\"\npaths = [\"/a\"]\n");
    let output = program().args(["serve", "-c"]).arg(&config).output().expect("it starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(78), "{said}");
    let place = format!("{}:2:1", config.display());
    for part in [place.as_str(), "cahce = \"1MiB\"", "^", "cache"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn it_says_when_it_is_healthy_and_ready() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    for path in ["/healthz", "/readyz"] {
        assert!(daemon.get(path).starts_with("HTTP/1.1 200"), "{path}: {}", daemon.get(path));
    }
    assert_eq!(daemon.metric("logtap_files{source=\"app\"}"), 1);
    assert_eq!(daemon.streams(), 0);
}

#[test]
fn nobody_subscribed_nothing_is_read() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "one\n")]);
    for _ in 0..10 {
        logs.append("app.log", "more\n");
    }
    eventually("the events to be seen", || daemon.metric("logtap_file_events_total{kind=\"modified\"}") > 0);
    assert_eq!(daemon.metric("logtap_reads_total"), 0);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs");
    let open = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    assert!(open.into_iter().all(|path| path != logs.path("app.log")), "nobody reads it, so it is not open");
}
