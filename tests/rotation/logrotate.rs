//! The real logrotate under a writer that does not stop for it, with one subscriber that reads and one that stops and
//! goes on.

use std::{
    collections::HashSet,
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    follower::{Follower, address_of, line},
    is_long,
    support::{Logs, daemon::Daemon, eventually},
    writer::Writer,
};

const LINES_PER_SECOND: usize = 20_000;

fn rotate(logs: &Logs, directives: &str) {
    if directives.contains("dateformat") {
        // Names that tell the second are taken once a second.
        let second = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let now = second();
        eventually("the next second", || second() > now);
    }
    let config = logs.path("logrotate.conf");
    let log = logs.path("app.log");
    let text = format!("{} {{\n rotate 1000\n nomail\n {directives}\n}}\n", log.display());
    fs::write(&config, text).expect("it is written");
    let mut command = Command::new("logrotate");
    command.arg("--force").arg("--state").arg(logs.path("logrotate.state")).arg(&config);
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().expect("logrotate is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs it; the daemon, the fast subscriber and the one that stopped, and how many lines were written.
async fn run(logs: &Logs, directives: &str) -> (Daemon, [Follower; 2], usize) {
    let path = logs.write("app.log", "");
    let daemon = Daemon::serve([&path]);
    let address = address_of(&daemon);
    let (fast, stopped) = (Follower::connected(&address).await, Follower::connected(&address).await);
    let writer = Writer::start(&path, LINES_PER_SECOND);
    let rounds = if is_long() { 60 } else { 6 };
    for round in 0..rounds {
        tokio::task::block_in_place(|| {
            writer.go_on_for(LINES_PER_SECOND / 4);
            rotate(logs, directives);
            // As a program does that hears of it a little later.
            writer.go_on_for(200);
            writer.reopen();
        });
        match round % 4 {
            0 => stopped.stop(),
            3 => stopped.go_on(),
            _ => {}
        }
    }
    stopped.go_on();
    let written = tokio::task::block_in_place(|| writer.end());
    (daemon, [fast, stopped], written)
}

async fn renaming_loses_nothing(logs: &Logs, directives: &'static str) {
    let (_daemon, followers, written) = run(logs, directives).await;
    for follower in &followers {
        follower.has(written).await;
        follower.got().check_all(written);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create() {
    renaming_loses_nothing(&Logs::new(), "create 0644").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nocreate_and_dateext() {
    renaming_loses_nothing(&Logs::new(), "nocreate\n dateext\n dateformat -%Y%m%d-%s\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delaycompress() {
    renaming_loses_nothing(&Logs::new(), "create 0644\n compress\n delaycompress").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn olddir() {
    let logs = Logs::new();
    logs.make_dir("old");
    renaming_loses_nothing(&logs, "create 0644\n olddir old").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compress_at_once() {
    renaming_loses_nothing(&Logs::new(), "create 0644\n compress").await;
}

/// Between its copy and the truncation of the original logrotate leaves the writer a moment: what is written then is in
/// neither, and no subscriber can have it. All that the files hold comes, once, and what is missing is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copytruncate() {
    let logs = Logs::new();
    let (_daemon, followers, written) = run(&logs, "copytruncate").await;
    let last = line(written - 1);
    let left = lines_left(&logs);
    println!("{} of {written} lines are in the files", left.len());
    for follower in &followers {
        follower.until("the last line", |got| got.entries.last().is_some_and(|(_, message)| *message == last)).await;
        let got = follower.got();
        got.check_unique();
        let messages: HashSet<&str> = got.messages().into_iter().collect();
        let missing: Vec<_> = left.iter().filter(|line| !messages.contains(line.as_str())).collect();
        assert!(missing.is_empty(), "{} lines are in the files, but did not come: {:?} …", missing.len(), missing[0]);
        assert!(got.entries.len() == written || !got.gaps.is_empty(), "what is missing is not said to be");
    }
}

/// Every line that the log and its copies hold.
fn lines_left(logs: &Logs) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir(logs.path("")).expect("it is there").flatten() {
        if entry.file_name().to_string_lossy().starts_with("app.log") {
            let text = fs::read_to_string(entry.path()).expect("it is text");
            left.extend(text.lines().map(str::to_owned));
        }
    }
    left
}
