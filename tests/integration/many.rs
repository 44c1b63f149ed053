//! Many subscribers: what one line costs, and that none of them harms another.

use std::time::Duration;

use logtap::proto::v1;
use rustix::process::Signal;

use crate::support::{
    Logs,
    client::{self, Live, messages},
    daemon::Daemon,
    eventually,
    subscriber::Subscriber,
    within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_read_once_and_encoded_once_for_a_hundred() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "before\n")]);
    let mut client = client::v1(&daemon).await;
    let mut hundred = Vec::new();
    for _ in 0..100 {
        hundred.push(Live::open_on(&mut client, v1::LogRequest::default()).await);
    }
    assert_eq!(daemon.streams(), 100);
    for line in ["first", "second", "third"] {
        let counters = || ["logtap_reads_total", "logtap_encodes_total{shape=\"v1\"}"].map(|name| daemon.metric(name));
        let before = counters();
        logs.append("app.log", format!("{line}\n"));
        for live in &mut hundred {
            assert_eq!(live.take(1).await, [line]);
        }
        let after = counters();
        assert_eq!([after[0] - before[0], after[1] - before[1]], [1, 1], "{line}: reads and encodings");
    }
    assert_eq!(daemon.metric("logtap_entries_sent_total{transport=\"grpc\"}"), 300);
    drop((hundred, client));
    within(Duration::from_secs(2), "the gauge to fall", || daemon.streams() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_subscriber_holds_up_nobody_and_reads_on_later() {
    let logs = Logs::new();
    let lines: Vec<String> = (0..200_000).map(|n| format!("2026-11-24T00:00:00Z INFO line {n}")).collect();
    let content = lines.join("\n") + "\n";
    let daemon = Daemon::serve([logs.write("app.log", &content)]);
    let mut stopped = Subscriber::start(&daemon, lines.len() + 1);
    stopped.signal(Signal::STOP);

    let mut live = Live::open(&daemon, v1::LogRequest::default()).await;
    logs.append("app.log", "live\n");
    assert_eq!(live.take(1).await, ["live"]);
    let all = messages(&daemon, v1::LogRequest::default()).await;
    assert_eq!((all.len(), all.last().map(String::as_str)), (lines.len() + 1, Some("live")));
    assert_eq!(daemon.streams(), 2, "the stopped one is not thrown out");
    assert!(daemon.metric("logtap_stream_lag_bytes") > 0);

    stopped.signal(Signal::CONT);
    let crc = stopped.hears("crc");
    assert_eq!(crc, format!("{:08x}", crc32fast::hash((content + "live\n").as_bytes())), "it has lost nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_clients_leave_nothing_behind() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "line\n".repeat(100_000))]);
    let subscribers: Vec<_> = (0..4).map(|_| Subscriber::start(&daemon, usize::MAX)).collect();
    eventually("all to be counted", || daemon.streams() == 4);
    // One of them is killed in its sleep.
    subscribers[0].signal(Signal::STOP);
    for subscriber in &subscribers {
        subscriber.signal(Signal::KILL);
    }
    within(Duration::from_secs(2), "every gauge to be 0", || {
        daemon.streams() == 0 && daemon.metric("logtap_stream_lag_bytes") == 0
    });
}
