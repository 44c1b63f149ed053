//! What GNU tail's tests follow files through, for a daemon: F-vs-rename, inotify-rotate, inotify-rotate-resources,
//! inotify-race, symlink, truncate, big-4gb. The scenarios are theirs, told anew.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, symlink},
};

use crate::{
    follower::{Follower, address_of},
    support::{Logs, daemon::Daemon, eventually},
};

async fn followed(daemon: &Daemon) -> Follower {
    Follower::connected(&address_of(daemon)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_renamed_over_another_followed_one() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("a.log", ""), logs.write("b.log", "")]);
    let follower = followed(&daemon).await;
    logs.append("a.log", "x\n");
    follower.has_exactly(&["x"]).await;
    // a becomes b: the old b is gone, and nothing of a comes a second time.
    logs.rename("a.log", "b.log");
    logs.append("b.log", "y\n");
    follower.has_exactly(&["x", "y"]).await;
    logs.append("a.log", "z\n");
    follower.has_exactly(&["x", "y", "z"]).await;
    logs.append("b.log", "more y\n");
    follower.has_exactly(&["x", "y", "z", "more y"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_replaced_between_two_writes_many_times() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let follower = followed(&daemon).await;
    let mut expected = Vec::new();
    for round in 0..100 {
        // The line is written before anybody can have seen the file under its name.
        logs.write("new", format!("{round}\n"));
        logs.rename("app.log", &format!("app.log-{}", 20_260_101 + round % 28 + 100 * (round / 28)));
        logs.rename("new", "app.log");
        expected.push(round.to_string());
    }
    follower.has(expected.len()).await;
    let got = follower.got();
    got.check_unique();
    let is_there = |line: &String| got.messages().contains(&line.as_str());
    assert!(expected.iter().all(is_there) && got.entries.len() == expected.len(), "{:?}", got.messages());
    assert_eq!(got.gaps, []);
}

/// inotify-hash-abuse: files that take each other's names again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_files_that_change_places_again_and_again() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("1.log", ""), logs.write("2.log", "")]);
    let follower = followed(&daemon).await;
    let mut expected = Vec::new();
    for round in 0..50 {
        for name in ["1.log", "2.log"] {
            let line = format!("{name} {round}");
            logs.append(name, format!("{line}\n"));
            expected.push(line);
        }
        logs.rename("1.log", "other");
        logs.rename("2.log", "1.log");
        logs.rename("other", "2.log");
    }
    follower.has(expected.len()).await;
    let got = follower.got();
    got.check_unique();
    let mut messages = got.messages();
    messages.sort_unstable();
    expected.sort_unstable();
    assert_eq!(messages, expected);
    assert_eq!(got.gaps, []);
}

/// inotify-dir-recreate: the directory goes with the file and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_directory_is_removed_and_made_again() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.path("dir/app.log")]);
    let follower = followed(&daemon).await;
    for round in 0..10 {
        logs.make_dir("dir");
        logs.write("dir/app.log", format!("{round}\n"));
        follower.has(2 * round + 1).await;
        logs.append("dir/app.log", format!("{round} and on\n"));
        follower.has(2 * round + 2).await;
        fs::remove_dir_all(logs.path("dir")).expect("it is there");
    }
    let got = follower.got();
    got.check_unique();
    assert_eq!(got.gaps, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_leads_nowhere_then_to_a_file_and_then_elsewhere() {
    let logs = Logs::new();
    logs.make_dir("data");
    symlink(logs.path("data/1"), logs.path("app.log")).expect("a link");
    let daemon = Daemon::serve([logs.path("*.log")]);
    let follower = followed(&daemon).await;
    logs.append("data/1", "first\n");
    follower.has_exactly(&["first"]).await;
    logs.append("data/1", "more\n");
    follower.has_exactly(&["first", "more"]).await;
    logs.write("data/2", "second\n");
    symlink(logs.path("data/2"), logs.path("link")).expect("a link");
    logs.rename("link", "app.log");
    follower.has_exactly(&["first", "more", "second"]).await;
    // Through the link, and to where it led before.
    logs.append("app.log", "through\n");
    follower.has_exactly(&["first", "more", "second", "through"]).await;
    logs.append("data/1", "late\n");
    follower.has_exactly(&["first", "more", "second", "through", "late"]).await;
    fs::remove_file(logs.path("app.log")).expect("it is there");
    logs.write("app.log", "no link\n");
    follower.has_exactly(&["first", "more", "second", "through", "late", "no link"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_truncated_and_written_again() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "")]);
    let follower = followed(&daemon).await;
    logs.append("app.log", "one\ntwo\nthree\n");
    follower.has_exactly(&["one", "two", "three"]).await;
    // Shorter, longer, as long.
    for (round, text) in
        ["a\n", "a much longer line than there was\n", "a much longer line than there is.\n"].iter().enumerate()
    {
        let file = File::options().write(true).open(logs.path("app.log")).expect("it is there");
        file.set_len(0).expect("it can be truncated");
        file.write_all_at(text.as_bytes(), 0).expect("there is room");
        follower.has(4 + round).await;
        assert_eq!(follower.got().messages()[3 + round], text.trim_end());
    }
    assert_eq!(follower.got().gaps, [], "nothing was lost that was there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_more_than_four_gigabytes() {
    let logs = Logs::new();
    let path = logs.write("app.log", "");
    let file = File::options().write(true).open(&path).expect("it is there");
    file.set_len((1 << 32) + 8).expect("it may have holes");
    file.write_all_at(b"\nbefore\n", (1 << 32) + 8).expect("there is room");
    let daemon = Daemon::serve([&path]);
    let mut live = crate::support::client::Live::open(&daemon, logtap::proto::v1::LogRequest::default()).await;
    logs.append("app.log", "behind four gigabytes\n");
    let entry = live.next().await;
    assert_eq!(entry.message, "behind four gigabytes");
    // A cursor from there leads there.
    logs.append("app.log", "and on\n");
    let request = logtap::proto::v1::LogRequest { resume: vec![entry.cursor], ..Default::default() };
    assert_eq!(crate::support::client::messages(&daemon, request).await, ["and on"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_let_go_of() {
    let logs = Logs::new();
    let path = logs.write("app.log", "");
    let daemon = Daemon::serve([&path]);
    let follower = followed(&daemon).await;
    let deleted = || {
        let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs").flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|to| to.to_string_lossy().ends_with("(deleted)"))
            .count()
    };
    for round in 0..20 {
        logs.append("app.log", format!("{round}\n"));
        follower.has(round + 1).await;
        fs::remove_file(&path).expect("it is there");
    }
    eventually("deleted files to be closed", || deleted() == 0);
}
