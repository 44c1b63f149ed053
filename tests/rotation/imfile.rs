//! What rsyslog's imfile is tested with: a rename while the daemon is down, a file that outgrows the part by which it is
//! known, truncation while it is down, wildcards over directories and links. The scenarios are theirs, told anew.

use std::{fs, os::unix::fs::symlink, sync::PoisonError};

use crate::{
    follower::{Address, Follower, address_of},
    support::{Logs, daemon::Daemon},
};

/// Another daemon, at which whoever has the address comes back.
fn again(address: &Address, arguments: &[std::path::PathBuf]) -> Daemon {
    let daemon = Daemon::serve(arguments);
    *address.lock().unwrap_or_else(PoisonError::into_inner) = daemon.address.clone();
    daemon
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renamed_while_the_daemon_was_down() {
    let logs = Logs::new();
    let paths = [logs.write("app.log", "")];
    let daemon = Daemon::serve(&paths);
    let address = address_of(&daemon);
    let follower = Follower::connected(&address).await;
    logs.append("app.log", "one\n");
    follower.has_exactly(&["one"]).await;
    drop(daemon);
    logs.append("app.log", "two\n");
    logs.rename("app.log", "app.log.1");
    logs.append("app.log", "three\n");
    logs.rename("app.log.1", "app.log.2");
    logs.rename("app.log", "app.log.1");
    let daemon = again(&address, &paths);
    // There is no live file yet, and nothing of its past is lost for that.
    follower.has_exactly(&["one", "two", "three"]).await;
    logs.append("app.log", "four\n");
    follower.has_exactly(&["one", "two", "three", "four"]).await;
    assert_eq!(follower.got().gaps, []);
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_grows_past_what_it_is_known_by() {
    let logs = Logs::new();
    let paths = [logs.write("app.log", "")];
    let mut daemon = Daemon::serve(&paths);
    let address = address_of(&daemon);
    let follower = Follower::connected(&address).await;
    let mut expected = Vec::new();
    // 1 KiB of beginning and 240 bytes before a place are what a cursor knows a file by.
    for size in [1_usize, 60, 64, 200, 240, 600, 1023, 1024, 1025, 4000, 70_000] {
        let line = format!("{} {}", expected.len(), ".".repeat(size));
        logs.append("app.log", format!("{line}\n"));
        expected.push(line);
        follower.has(expected.len()).await;
        drop(daemon);
        daemon = again(&address, &paths);
    }
    logs.append("app.log", "last\n");
    expected.push("last".to_owned());
    follower.has_exactly(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(follower.got().gaps, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_while_the_daemon_was_down() {
    let logs = Logs::new();
    let paths = [logs.write("app.log", "")];
    let daemon = Daemon::serve(&paths);
    let address = address_of(&daemon);
    let follower = Follower::connected(&address).await;
    logs.append("app.log", "before it was truncated\n");
    follower.has(1).await;
    drop(daemon);
    logs.append("app.log", "nobody has seen this\n");
    logs.write("app.log", "after\n");
    let daemon = again(&address, &paths);
    follower.has_exactly(&["before it was truncated", "after"]).await;
    let gaps = follower.got().gaps;
    assert_eq!(gaps.iter().map(|gap| (gap.reason, gap.bytes.unwrap_or(0))).collect::<Vec<_>>(), [(1, 0)]);
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_that_come_and_go_under_wildcards() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.path("*/*/app-*.log")]);
    let follower = Follower::connected(&address_of(&daemon)).await;
    let mut expected = 0;
    for round in 0..3 {
        for outer in ["a", "b"] {
            logs.make_dir(outer);
            for inner in ["c", "d"] {
                logs.make_dir(&format!("{outer}/{inner}"));
                logs.append(&format!("{outer}/{inner}/app-{round}.log"), format!("{round} {outer} {inner}\n"));
                logs.append(&format!("{outer}/{inner}/other.log"), "not this\n");
                expected += 1;
            }
        }
        follower.has(expected).await;
        for outer in ["a", "b"] {
            fs::remove_dir_all(logs.path(outer)).expect("it is there");
        }
    }
    let got = follower.got();
    got.check_unique();
    assert_eq!((got.entries.len(), got.gaps), (expected, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_to_files_elsewhere() {
    let logs = Logs::new();
    logs.make_dir("links");
    logs.make_dir("data");
    let daemon = Daemon::serve([logs.path("links/*.log")]);
    let follower = Follower::connected(&address_of(&daemon)).await;
    for number in 0..5 {
        logs.write(&format!("data/{number}"), format!("{number} first\n"));
        // A link to a link, as container runtimes make them.
        symlink(logs.path(&format!("data/{number}")), logs.path(&format!("data/link-{number}"))).expect("a link");
        symlink(logs.path(&format!("data/link-{number}")), logs.path(&format!("links/{number}.log"))).expect("a link");
    }
    follower.has(5).await;
    for number in 0..5 {
        logs.append(&format!("data/{number}"), format!("{number} second\n"));
    }
    follower.has(10).await;
    let got = follower.got();
    got.check_unique();
    assert!(got.entries.iter().all(|(path, message)| path.ends_with(&format!("/links/{}.log", &message[..1]))));
}
