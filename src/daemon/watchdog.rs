//! Tells the service manager that the daemon lives, as long as it does.
//!
//! That this task runs proves the runtime; it also asks for signs of life of those that find and publish what is new.
//! When they are missing it says nothing more, and the service manager starts the daemon anew.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::{limits::READINESS_MAX, watch::events::Hints};

/// Signs of life for one interval of the watchdog: one may be lost.
const BEATS: u32 = 3;

/// Feeds the watchdog until `stop`, if the service manager has one, while the watcher looks and `tasks` run.
pub async fn feed(hints: Arc<Hints>, tasks: [AbortHandle; 2], stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let mut beats = tokio::time::interval((interval / BEATS).max(Duration::from_millis(1)));
    let mut healthy = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beats.tick() => {}
        }
        let silence = hints.silence();
        let lives = silence <= READINESS_MAX && !tasks.iter().any(AbortHandle::is_finished);
        match (healthy, lives) {
            (true, false) => tracing::error!(?silence, "the watcher does not answer: the watchdog is not fed any more"),
            (false, true) => tracing::warn!("the watcher answers again"),
            (true, true) | (false, false) => {}
        }
        healthy = lives;
        if lives {
            super::notify(&[NotifyState::Watchdog]);
        }
    }
}
