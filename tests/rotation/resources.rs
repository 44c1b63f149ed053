//! What the daemon holds does not grow with the number of rotations.

use std::fs;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptors_and_watches_are_flat_over_a_thousand_rotations() {
    let rotations = if is_long() { 10_000 } else { 1_000 };
    let logs = Logs::new();
    let path = logs.write("app.log", "");
    let daemon = Daemon::serve([&path]);
    let follower = Follower::connected(&address_of(&daemon)).await;
    logs.append("app.log", "first\n");
    follower.has(1).await;
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
