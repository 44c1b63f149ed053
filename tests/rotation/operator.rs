//! As an operator would try it: a writer at full speed, a rotation every second, one subscriber that reads all, one that
//! sleeps and reads on, one that is killed and comes back. All three have every line once.

use std::time::{Duration, Instant};

use crate::{
    follower::{Follower, address_of},
    is_long,
    support::{Logs, daemon::Daemon},
    writer::Writer,
};

/// Long: 100,000 lines a second for 90 seconds, of which one subscriber sleeps 60. Short: a tenth of it for 5 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_have_every_line_once() {
    let (rate, seconds, sleeps) = if is_long() { (100_000, 90, 60) } else { (10_000, 5, 3) };
    let logs = Logs::new();
    let path = logs.write("app.log", "");
    let daemon = Daemon::serve([&path]);
    let address = address_of(&daemon);
    let followers =
        [Follower::connected(&address).await, Follower::connected(&address).await, Follower::connected(&address).await];
    let [_, sleeper, killed] = &followers;
    let writer = Writer::start(&path, rate);
    let began = Instant::now();
    for second in 0..seconds {
        tokio::time::sleep((Duration::from_secs(second + 1)).saturating_sub(began.elapsed())).await;
        tokio::task::block_in_place(|| {
            rotate(&logs, second);
            writer.reopen();
        });
        if second == 1 {
            sleeper.stop();
        }
        if second == 1 + sleeps {
            sleeper.go_on();
        }
        if second % 3 == 2 {
            killed.break_off();
        }
    }
    sleeper.go_on();
    let written = tokio::task::block_in_place(|| writer.end());
    println!("{written} lines in {:?}", began.elapsed());
    for follower in &followers {
        follower.has(written).await;
        follower.got().check_all(written);
    }
}

/// logrotate's numbers: `app.log.3` to `app.log.4` and so on, then the log itself.
fn rotate(logs: &Logs, rotations: u64) {
    for number in (1..=rotations).rev() {
        logs.rename(&format!("app.log.{number}"), &format!("app.log.{}", number + 1));
    }
    logs.rename("app.log", "app.log.1");
}
