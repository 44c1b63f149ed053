//! The connections that are open, and what became of the others.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Address, ConnectionId, Peer, socket::Socket};
use crate::{server::reached::Reached, telemetry::EndLabel};

/// The open connections. One value serves for the whole life of the daemon.
#[derive(Debug)]
pub struct Connections {
    open: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
    next: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_failures: AtomicU64,
    ended: [AtomicU64; Ending::COUNT],
    /// Set: how long a connection may take nothing, instead of what it was at first.
    stall: Mutex<Option<Duration>>,
    reached: Arc<Reached>,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not said yet what it speaks.
    Greeting,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Either side had no more to say.
    Finished,
    /// The link broke, or the peer broke the protocol.
    Broken,
    /// The peer did not say in time what it wanted.
    Silent,
    /// The TLS handshake failed, or TLS met plain text.
    Tls,
    /// We closed it.
    Closed(CloseReason),
}

/// Why we closed a connection under its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Nothing came from the peer's kernel for too long.
    PeerGone,
    /// It did not take what there was to send for too long.
    Stalled,
    /// A stream on it is past its deadline and cannot be told so, because it is not being read.
    DeadlinePassed,
    /// The time to drain is over, or there is no such time.
    Stopped,
    /// It had nothing to do, and another connection needed its place.
    MadeRoom,
}

/// One open connection as [`Connections::list`] shows it.
#[derive(Clone, Debug)]
pub struct ConnectionSummary {
    /// Its id.
    pub id: ConnectionId,
    /// The other end.
    pub peer: Peer,
    /// Our end.
    pub local: Address,
    /// What it is at.
    pub phase: Phase,
    /// HTTP/2 streams that are open on it.
    pub streams: usize,
    /// Time since it was accepted.
    pub age: Duration,
    /// How long its socket has taken nothing although there was something to send.
    pub blocked: Duration,
}

/// Counts since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Connections that are open now.
    pub open: usize,
    /// Connections that were accepted and served.
    pub accepted: u64,
    /// Connections that were not served because there was no place for them.
    pub refused: u64,
    /// Times that the system could not give us a connection.
    pub accept_failures: u64,
    /// Connections that ended, by [`Ending::name`].
    pub ended: Vec<(&'static str, u64)>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    pub(super) local: Address,
    pub(super) socket: Arc<Socket>,
    /// Its HTTP/2 streams, each a task of its own.
    pub(super) streams: TaskTracker,
    /// Cancelled: the connection and its streams end now.
    pub(super) close: CancellationToken,
    /// Cancelled: no new requests; the connection ends when those under way have ended.
    pub(super) wind_down: CancellationToken,
    since: Instant,
    reason: OnceLock<CloseReason>,
    phase: Mutex<Phase>,
    /// Sweeps in a row that found it without a stream.
    idle_sweeps: AtomicU32,
}

/// Keeps a connection in the registry; dropping it takes the connection out.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
}

impl Connections {
    /// An empty registry.
    pub fn new(reached: Arc<Reached>) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            next: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accept_failures: AtomicU64::new(0),
            ended: Default::default(),
            stall: Mutex::default(),
            reached,
        })
    }

    /// Where it is noted that somebody ran into a limit.
    pub(super) fn reached(&self) -> &Reached {
        &self.reached
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The open connections, oldest first.
    pub fn list(&self) -> Vec<ConnectionSummary> {
        let mut all: Vec<_> = self.open().iter().map(|connection| connection.summary()).collect();
        all.sort_by_key(|summary| summary.id);
        all
    }

    /// Counts since the start.
    pub fn totals(&self) -> Totals {
        let ended = Ending::ALL.iter().zip(&self.ended);
        Totals {
            open: self.count(),
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            accept_failures: self.accept_failures.load(Ordering::Relaxed),
            ended: ended.map(|(ending, count)| (ending.name(), count.load(Ordering::Relaxed))).collect(),
        }
    }

    /// Closes one connection and drops all that is on it, sent or not. For streams that cannot be ended in order
    /// because their connection is not being read. False when it is not open.
    pub fn close(&self, id: ConnectionId, reason: CloseReason) -> bool {
        let connection = self.lock().get(&id).cloned();
        connection.inspect(|connection| _ = connection.close(reason)).is_some()
    }

    /// Changes how long a connection may take nothing although there is something to send.
    pub fn set_stall(&self, stall: Duration) {
        *self.stall.lock().unwrap_or_else(PoisonError::into_inner) = Some(stall);
    }

    /// How long that is, where it was changed.
    pub(super) fn stall(&self) -> Option<Duration> {
        *self.stall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells one connection to take no new requests and to end after those under way (GOAWAY on HTTP/2). False when
    /// it is not open.
    pub fn wind_down(&self, id: ConnectionId) -> bool {
        self.lock().get(&id).inspect(|connection| connection.wind_down.cancel()).is_some()
    }

    /// Tells every open connection to end after the requests under way.
    pub fn wind_down_all(&self) {
        self.open().iter().for_each(|connection| connection.wind_down.cancel());
    }

    /// Closes every open connection at once.
    pub fn close_all(&self, reason: CloseReason) {
        self.open().iter().for_each(|connection| _ = connection.close(reason));
    }

    /// Takes in a connection. It winds down with `wind_down` and ends with `close`.
    pub(super) fn enter(
        self: &Arc<Self>,
        socket: Socket,
        peer: Peer,
        local: Address,
        wind_down: &CancellationToken,
        close: &CancellationToken,
    ) -> Registered {
        let connection = self.make(socket, peer, local, wind_down, close);
        self.lock().insert(connection.id, connection.clone());
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.reached.telemetry().connections_accepted.inc();
        self.reached.telemetry().connections.inc();
        Registered { registry: self.clone(), connection }
    }

    /// A connection that is not one of the open ones. It winds down with `wind_down` and ends with `close`.
    pub(super) fn make(
        &self,
        socket: Socket,
        peer: Peer,
        local: Address,
        wind_down: &CancellationToken,
        close: &CancellationToken,
    ) -> Arc<Connection> {
        Arc::new(Connection {
            id: ConnectionId(self.next.fetch_add(1, Ordering::Relaxed)),
            peer,
            local,
            socket: Arc::new(socket),
            streams: TaskTracker::new(),
            close: close.child_token(),
            wind_down: wind_down.child_token(),
            since: Instant::now(),
            reason: OnceLock::new(),
            phase: Mutex::new(Phase::Greeting),
            idle_sweeps: AtomicU32::new(0),
        })
    }

    /// Closes the connection that misses its place least: the oldest that has not said anything, else the HTTP/2
    /// connection that has been without a stream longest, seen by one sweep at least. False when all are at work.
    pub(super) fn make_room(&self) -> bool {
        self.make_room_among(self.open())
    }

    /// The same among the connections of one address.
    pub(super) fn make_room_of(&self, address: IpAddr) -> bool {
        let open = self.open().into_iter();
        self.make_room_among(open.filter(|connection| connection.peer.ip() == Some(address)).collect())
    }

    /// How many connections an address has.
    pub(super) fn count_of(&self, address: IpAddr) -> usize {
        self.lock().values().filter(|connection| connection.peer.ip() == Some(address)).count()
    }

    fn make_room_among(&self, open: Vec<Arc<Connection>>) -> bool {
        let mut silent: Vec<_> = open.iter().filter(|c| c.phase() == Phase::Greeting).collect();
        silent.sort_by_key(|c| c.id);
        let is_idle = |c: &&Arc<Connection>| c.idle_sweeps.load(Ordering::Relaxed) > 0 && c.streams.is_empty();
        let mut idle: Vec<_> = open.iter().filter(is_idle).collect();
        idle.sort_by_key(|c| std::cmp::Reverse(c.idle_sweeps.load(Ordering::Relaxed)));
        // The place of one that is being closed already goes to somebody else.
        silent.into_iter().chain(idle).any(|connection| connection.close(CloseReason::MadeRoom))
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_accept_failure(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_ended(&self, ending: Ending) {
        self.ended[ending.index()].fetch_add(1, Ordering::Relaxed);
        let how = EndLabel { how: ending.name() };
        self.reached.telemetry().connections_ended.get_or_create(&how).inc();
    }

    /// The open connections, in no order, so that nothing is done under the lock.
    pub(super) fn open(&self) -> Vec<Arc<Connection>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        // A panic elsewhere cannot leave a map half changed by one insertion or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Ends the connection now; whether it was not ending already. The first reason stands.
    pub(super) fn close(&self, reason: CloseReason) -> bool {
        let is_first = self.reason.set(reason).is_ok() && !self.close.is_cancelled();
        self.close.cancel();
        is_first
    }

    /// Why it was closed, once it was. Without a reason of its own it was closed together with all others.
    pub(super) fn close_reason(&self) -> CloseReason {
        self.reason.get().copied().unwrap_or(CloseReason::Stopped)
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter_phase(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Remembers that a sweep passed. HTTP/1 connections end by themselves when they have nothing to do.
    pub(super) fn note_sweep(&self) {
        if self.phase() == Phase::Http2 && self.streams.is_empty() {
            self.idle_sweeps.fetch_add(1, Ordering::Relaxed);
        } else {
            self.idle_sweeps.store(0, Ordering::Relaxed);
        }
    }

    fn summary(&self) -> ConnectionSummary {
        ConnectionSummary {
            id: self.id,
            peer: self.peer,
            local: self.local.clone(),
            phase: self.phase(),
            streams: self.streams.len(),
            age: self.since.elapsed(),
            blocked: self.socket.blocked_for(),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.connection.id);
        self.registry.reached.telemetry().connections.dec();
    }
}

impl Ending {
    const COUNT: usize = 9;
    const ALL: [Self; Self::COUNT] = [
        Self::Finished,
        Self::Broken,
        Self::Silent,
        Self::Tls,
        Self::Closed(CloseReason::PeerGone),
        Self::Closed(CloseReason::Stalled),
        Self::Closed(CloseReason::DeadlinePassed),
        Self::Closed(CloseReason::Stopped),
        Self::Closed(CloseReason::MadeRoom),
    ];

    /// A word for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::Tls => "tls",
            Self::Closed(CloseReason::PeerGone) => "peer_gone",
            Self::Closed(CloseReason::Stalled) => "stalled",
            Self::Closed(CloseReason::DeadlinePassed) => "deadline_passed",
            Self::Closed(CloseReason::Stopped) => "stopped",
            Self::Closed(CloseReason::MadeRoom) => "made_room",
        }
    }

    /// Its place in `ALL`.
    fn index(self) -> usize {
        match self {
            Self::Finished => 0,
            Self::Broken => 1,
            Self::Silent => 2,
            Self::Tls => 3,
            Self::Closed(CloseReason::PeerGone) => 4,
            Self::Closed(CloseReason::Stalled) => 5,
            Self::Closed(CloseReason::DeadlinePassed) => 6,
            Self::Closed(CloseReason::Stopped) => 7,
            Self::Closed(CloseReason::MadeRoom) => 8,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_counted_under_its_own_name() {
        let connections = Connections::new(Reached::new(Arc::default()));
        for (nth, ending) in (1..).zip(Ending::ALL) {
            (0..nth).for_each(|_| connections.count_ended(ending));
        }
        let expected: Vec<_> = Ending::ALL.iter().map(|ending| ending.name()).zip(1..).collect();
        assert_eq!(connections.totals().ended, expected);
    }
}
