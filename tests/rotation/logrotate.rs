//! The real logrotate under a writer that does not stop for it, with one subscriber that reads and one that stops and
//! goes on.

use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    follower::{Follower, Got, address_of},
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

/// Runs it; what the fast subscriber and the one that stopped have got, and how many lines were written.
async fn run(logs: &Logs, directives: &str) -> ([Got; 2], usize) {
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
    for follower in [&fast, &stopped] {
        follower.has(written).await;
    }
    ([fast.got(), stopped.got()], written)
}

async fn renaming_loses_nothing(directives: &'static str) {
    let logs = Logs::new();
    let (gots, written) = run(&logs, directives).await;
    gots.iter().for_each(|got| got.check_all(written));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create() {
    renaming_loses_nothing("create 0644").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nocreate_and_dateext() {
    renaming_loses_nothing("nocreate\n dateext\n dateformat -%Y%m%d-%s\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delaycompress() {
    renaming_loses_nothing("create 0644\n compress\n delaycompress").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn olddir() {
    let logs = Logs::new();
    logs.make_dir("old");
    let (gots, written) = run(&logs, "create 0644\n olddir old").await;
    gots.iter().for_each(|got| got.check_all(written));
}
