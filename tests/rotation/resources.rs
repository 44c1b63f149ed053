//! What the daemon holds does not grow with the number of rotations.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    follower::{Follower, address_of},
    is_long,
    support::{Logs, daemon::Daemon, eventually},
};

/// Files that a process has open, and inotify watches that it has.
fn held(daemon: &Daemon) -> (usize, usize) {
    let dir = format!("/proc/{}", daemon.pid());
    let open = fs::read_dir(format!("{dir}/fd")).expect("it runs").flatten();
    let files = open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.is_absolute())).count();
    let infos = fs::read_dir(format!("{dir}/fdinfo")).expect("it runs").flatten();
    let texts = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let watches = texts.map(|text| text.lines().filter(|line| line.starts_with("inotify")).count()).sum();
    (files, watches)
}

/// A log, a daemon that watches it, and who has its first line.
async fn followed() -> (Logs, Daemon, Follower) {
    let logs = Logs::new();
    let path = logs.write("app.log", "");
    let daemon = Daemon::serve([&path]);
    let follower = Follower::connected(&address_of(&daemon)).await;
    logs.append("app.log", "first\n");
    follower.has(1).await;
    (logs, daemon, follower)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptors_and_watches_are_flat_over_a_thousand_rotations() {
    let rotations = if is_long() { 10_000 } else { 1_000 };
    let (logs, daemon, follower) = followed().await;
    let before = held(&daemon);
    for number in 0..rotations {
        // Three are kept.
        let _ = fs::remove_file(logs.path("app.log.3"));
        for old in [2, 1] {
            let _ = fs::rename(logs.path(&format!("app.log.{old}")), logs.path(&format!("app.log.{}", old + 1)));
        }
        logs.rename("app.log", "app.log.1");
        logs.append("app.log", format!("{number}\n"));
        // What nobody has seen before it is deleted, nobody can have.
        follower.has(2 + number).await;
    }
    let got = follower.got();
    let expected: Vec<String> =
        std::iter::once("first".to_owned()).chain((0..rotations).map(|n| n.to_string())).collect();
    assert!(got.messages() == expected, "every line once, and in order");
    assert_eq!(got.gaps, []);
    // The few files that there are, and those deleted last; not one for each rotation.
    eventually("what was deleted to be let go of", || held(&daemon).0 <= before.0 + 64);
    println!("files and watches: {before:?} before, {:?} after", held(&daemon));
    assert_eq!(held(&daemon).1, before.1, "watches");
}

/// Leaves a daemon without a descriptor to open anything with, or gives them back.
fn limit_descriptors(daemon: &Daemon, current: Option<u64>) {
    let pid = Pid::from_raw(daemon.pid().try_into().expect("it is a pid")).expect("it is not zero");
    prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum: current.max(Some(1024)) }).expect("it is ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_compressed_while_nothing_could_be_opened_comes_from_there() {
    let (logs, daemon, follower) = followed().await;
    let path = logs.path("app.log");

    limit_descriptors(&daemon, Some(3));
    logs.rename("app.log", "app.log.1");
    logs.append("app.log", "second\nthird\n");
    eventually("it to be seen", || daemon.log().contains("directories cannot be listed for now"));
    // What was rotated first is gone, so that nothing but its content tells that the next one is not the same compressed.
    fs::remove_file(logs.path("app.log.1")).expect("it is there");
    logs.gzip("packed", fs::read(&path).expect("it is there"));
    fs::remove_file(&path).expect("it is there");
    logs.rename("packed", "app.log.1.gz");
    logs.append("app.log", "fourth\n");
    limit_descriptors(&daemon, Some(1024));
    logs.append("app.log", "fifth\n");
    follower.has(5).await;
    let got = follower.got();
    assert_eq!(got.messages(), ["first", "second", "third", "fourth", "fifth"]);
    assert_eq!(got.gaps, []);
}
