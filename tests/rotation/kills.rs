//! The daemon is killed again and again, under writes and rotation: the union of what its client got is exact.

use std::sync::PoisonError;

use crate::{
    follower::{Follower, address_of},
    is_long,
    support::{Logs, daemon::Daemon},
    writer::Writer,
};

/// Renames the log as logrotate does with `rotate 1000`, by a number that only grows.
fn rotate(logs: &Logs, round: usize, writer: &Writer) {
    logs.rename("app.log", &format!("app.log-{}", 20_260_101 + round));
    writer.reopen();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_again_and_again_serves_every_line_once() {
    let logs = Logs::new();
    let path = logs.write("app.log", "");
    let mut daemon = Some(Daemon::serve([&path]));
    let address = address_of(daemon.as_ref().expect("it runs"));
    let follower = Follower::connected(&address).await;
    let writer = Writer::start(&path, 20_000);
    for round in 0..if is_long() { 100 } else { 8 } {
        let before = follower.got().entries.len();
        follower.has(before + 1).await;
        tokio::task::block_in_place(|| {
            writer.go_on_for(1_000);
            // Killed before, between and after the steps of a rotation.
            if round % 3 == 0 {
                daemon.take();
            }
            rotate(&logs, round % 28, &writer);
            writer.go_on_for(500);
            daemon.take();
            writer.go_on_for(500);
            let new = Daemon::serve([&path]);
            *address.lock().unwrap_or_else(PoisonError::into_inner) = new.address.clone();
            daemon = Some(new);
        });
    }
    let written = tokio::task::block_in_place(|| writer.end());
    follower.has(written).await;
    follower.got().check_all(written);
}
