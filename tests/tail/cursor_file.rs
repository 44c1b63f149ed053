//! `--cursor-file`: runs that together read everything once.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use logtap::proto::v1::LogEntry;

use crate::{
    command::{Ended, logtap, run, start},
    fake::Fake,
};

fn cron(hosts: &str, file: &Path, flags: &str) -> Ended {
    let mut command = logtap(&format!("tail {hosts} -o raw --no-follow {flags}"));
    command.arg("--cursor-file").arg(file);
    run(command)
}

fn text(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

#[test]
fn a_cron_job_never_misses_or_repeats_a_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let mut fakes = [Fake::start(), Fake::start()];
    for fake in &fakes {
        fake.log("s", "/a");
        fake.log("s", "/b");
    }
    let hosts = format!("{} {}", fakes[0].host(), fakes[1].host());
    let mut written = 0;
    let mut came = Vec::new();
    for run in 0..8_u64 {
        // The first run starts with the last ten lines, and there are no more.
        let next = written + if run == 0 { 4 } else { run * 7 % 23 };
        for number in written..next {
            fakes[number as usize % 2].line(number as usize / 2 % 2, number as i64, &number.to_string());
        }
        written = next;
        if run == 4 {
            fakes[0].kill();
            fakes[0].restart();
        }
        let ended = cron(&hosts, &file, "");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        came.extend(text(&ended).lines().map(|line| line.parse::<u64>().expect("a number")));
    }
    came.sort_unstable();
    assert_eq!(came, (0..written).collect::<Vec<_>>());
    assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
}

#[test]
fn without_a_file_it_starts_as_without_and_with_one_it_reads_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    (0..30).for_each(|number| fake.line(log, number, &format!("{number}")));
    let first = cron(&fake.host(), &file, "");
    assert_eq!(text(&first), (20..30).map(|number| format!("{number}\n")).collect::<String>());
    (30..60).for_each(|number| fake.line(log, number, &format!("{number}")));
    let second = cron(&fake.host(), &file, "");
    assert_eq!(text(&second), (30..60).map(|number| format!("{number}\n")).collect::<String>());
    let tails: Vec<_> = fake.requests().iter().map(|request| request.request.as_ref().unwrap().tail).collect();
    assert_eq!(tails, [Some(10), None]);
}

#[test]
fn a_host_that_is_not_there_keeps_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let mut fakes = [Fake::start(), Fake::start()];
    for fake in &fakes {
        fake.log("s", "/s");
    }
    let hosts = format!("{} {}", fakes[0].host(), fakes[1].host());
    fakes[0].line(0, 1, "a1");
    fakes[1].line(0, 2, "b1");
    assert_eq!(text(&cron(&hosts, &file, "")), "a1\nb1\n");
    fakes[0].line(0, 3, "a2");
    fakes[1].line(0, 4, "b2");
    fakes[1].kill();
    let without = cron(&hosts, &file, "");
    assert_eq!((text(&without).as_str(), without.code), ("a2\n", Some(3)));
    fakes[1].restart();
    let with = cron(&hosts, &file, "");
    assert_eq!((text(&with).as_str(), with.code), ("b2\n", Some(0)));
}

#[test]
fn a_line_without_its_end_is_left_for_the_next_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    fake.line(log, 1, "whole");
    fake.entry(log, LogEntry { message: "ha".into(), timestamp: 2, flags: 16, ..LogEntry::default() });
    assert_eq!(text(&cron(&fake.host(), &file, "")), "whole\n");
    fake.replace_last(log, LogEntry { message: "half".into(), timestamp: 2, ..LogEntry::default() });
    assert_eq!(text(&cron(&fake.host(), &file, "")), "half\n");
    assert_eq!(text(&cron(&fake.host(), &file, "")), "");
}

#[test]
fn a_limit_over_several_hosts_ends_where_the_next_run_begins() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let fakes = [Fake::start(), Fake::start()];
    for fake in &fakes {
        fake.log("s", "/s");
    }
    for number in 0..10 {
        fakes[number % 2].line(0, number as i64, &number.to_string());
    }
    let hosts = format!("{} {}", fakes[0].host(), fakes[1].host());
    let mut came = String::new();
    for expected in ["0\n1\n2\n", "3\n4\n5\n", "6\n7\n8\n", "9\n"] {
        let ended = cron(&hosts, &file, "-n all --limit 3");
        assert_eq!(text(&ended), expected, "{}", ended.stderr);
        came.push_str(&text(&ended));
    }
    assert_eq!(came.lines().count(), 10);
}

#[test]
fn a_follower_that_is_stopped_goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    fake.line(log, 0, "0");
    let mut came = Vec::new();
    for number in 1..5 {
        let mut command = logtap(&format!("tail {} -o raw", fake.host()));
        command.arg("--cursor-file").arg(&file);
        let running = start(command);
        running.stdout.wait_for_lines(1);
        fake.line(log, number, &number.to_string());
        running.stdout.wait_for(&format!("{number}\n"));
        let ended = running.signal("-TERM");
        assert_eq!(ended.code, Some(143), "{}", ended.stderr);
        came.extend_from_slice(&ended.stdout);
        fake.line(log, number, &format!("{number}+"));
    }
    assert_eq!(String::from_utf8_lossy(&came), "0\n1\n1+\n2\n2+\n3\n3+\n4\n");
}

#[test]
fn a_follower_writes_its_place_down_while_it_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cursors");
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    fake.line(log, 0, "0");
    let mut command = logtap(&format!("tail {} -o raw", fake.host()));
    command.arg("--cursor-file").arg(&file);
    let running = start(command);
    running.stdout.wait_for_lines(1);
    while !file.exists() {
        std::thread::yield_now();
    }
    drop(running);
    fake.line(log, 1, "1");
    assert_eq!(text(&cron(&fake.host(), &file, "")), "1\n");
}

#[test]
fn what_is_no_cursor_file_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("important");
    fs::write(&file, "not cursors").expect("written");
    let fake = Fake::start();
    let ended = cron(&fake.host(), &file, "");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("is no cursor file of logtap"), "{}", ended.stderr);
    assert_eq!(fs::read(&file).expect("there"), b"not cursors");
}
