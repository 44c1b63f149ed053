//! The one timer that looks at all connections.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    ConnectionLimits,
    registry::{CloseReason, Connection, Connections},
};

/// Closes connections whose peer is gone or has taken nothing for too long, until `done` is cancelled.
pub(super) async fn sweep(connections: Arc<Connections>, mut limits: ConnectionLimits, done: CancellationToken) {
    let mut ticks = interval(limits.sweep);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while done.run_until_cancelled(ticks.tick()).await.is_some() {
        limits.stall = connections.stall().unwrap_or(limits.stall);
        for connection in connections.open() {
            connection.note_sweep();
            if let Some(reason) = verdict(&connection, &limits) {
                tracing::info!(id = %connection.id, peer = %connection.peer, ?reason, "closing a connection");
                connection.close(reason);
            }
        }
    }
}

fn verdict(connection: &Connection, limits: &ConnectionLimits) -> Option<CloseReason> {
    if connection.socket.peer_silence().is_some_and(|silence| silence > limits.peer_silence) {
        return Some(CloseReason::PeerGone);
    }
    (connection.socket.blocked_for() > limits.stall).then_some(CloseReason::Stalled)
}
