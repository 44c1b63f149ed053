//! The streams that are open: how many there may be, how each of them is doing, and the end of those that nobody reads.
//!
//! A stream whose client has stopped reading is not polled any more, so it cannot see that its deadline has passed. A
//! sweep looks at all of them from outside and closes the connection under such a stream.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    auth::{Auth, Caller},
    net::{CloseReason, ConnectionInfo, Connections, Peer},
    reached::Reached,
};
use crate::{
    feed::subscription::Progress,
    limits::{DEADLINE_GRACE, STREAM_SWEEP_EVERY},
    sync::lock,
    telemetry::{Limit, Transport, TransportLabel},
};

/// The open streams.
#[derive(Debug)]
pub struct Streams {
    open: Mutex<BTreeMap<u64, Arc<Stream>>>,
    next: AtomicU64,
    limits: Mutex<StreamLimits>,
    reached: Arc<Reached>,
}

/// How many streams there may be, and how long one may go unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Of all clients.
    pub all: u32,
    /// Of one client.
    pub per_client: u32,
    /// How long a client may not read.
    pub stall: Duration,
}

/// One open stream.
#[derive(Debug)]
pub struct Stream {
    /// What its client calls it.
    pub request_id: String,
    /// The method or path.
    pub method: &'static str,
    /// The wire.
    pub transport: Transport,
    /// Who reads it.
    pub client: Client,
    /// The connection it is on.
    pub connection: Arc<ConnectionInfo>,
    /// When it began.
    pub since: Instant,
    /// When it has to end.
    pub deadline: Option<Instant>,
    /// Who asked for it.
    pub caller: Caller,
    withdrawn: AtomicBool,
    progress: Mutex<Option<Arc<Progress>>>,
    /// Milliseconds from `since` to when a piece was handed on that HTTP has not asked to follow yet, plus one; 0 while
    /// HTTP is asking.
    handed: AtomicU64,
}

/// Whom streams are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// By the name that it has shown.
    Named(String),
    /// By its address.
    Address(std::net::IpAddr),
    /// Local and without a name: bounded by the number of all streams alone.
    Local,
}

impl Client {
    /// Whom the streams of a caller are counted for.
    pub fn of(caller: &Caller, peer: &Peer) -> Self {
        if let Some(name) = caller.name() {
            return Self::Named(name.to_string());
        }
        match peer {
            Peer::Tcp(address) if !peer.is_local() => Self::Address(address.ip()),
            Peer::Tcp(_) | Peer::Unix { .. } => Self::Local,
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
            Self::Local => f.write_str("local"),
        }
    }
}

/// Why no further stream is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// So many are open in all.
    Streams(u32),
    /// So many are open for this client.
    Client(u32),
}

impl Full {
    fn limit(self) -> Limit {
        match self {
            Self::Streams(_) => Limit::Streams,
            Self::Client(_) => Limit::StreamsPerClient,
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streams(max) => write!(f, "{max} streams are open, which is max_streams"),
            Self::Client(max) => write!(f, "{max} streams are open for this client, which is max_streams_per_client"),
        }
    }
}

/// Keeps a stream among the open ones; dropping it ends that.
#[derive(Debug)]
pub struct Registered {
    streams: Arc<Streams>,
    number: u64,
    /// The stream.
    pub stream: Arc<Stream>,
}

impl Streams {
    /// None yet.
    pub fn new(limits: StreamLimits, reached: Arc<Reached>) -> Arc<Self> {
        let limits = Mutex::new(limits);
        Arc::new(Self { open: Mutex::default(), next: AtomicU64::new(0), limits, reached })
    }

    /// Where it is noted that somebody ran into a limit.
    pub fn reached(&self) -> &Arc<Reached> {
        &self.reached
    }

    /// The limits in force.
    pub fn limits(&self) -> StreamLimits {
        *lock(&self.limits)
    }

    /// Puts other limits in force; streams that are open stay.
    pub fn set_limits(&self, limits: StreamLimits) {
        *lock(&self.limits) = limits;
    }

    /// Takes a stream in.
    ///
    /// # Errors
    /// [`Full`] when there are too many.
    pub fn enter(self: &Arc<Self>, stream: Stream) -> Result<Registered, Full> {
        let entered = self.try_enter(stream);
        if let Err((full, peer)) = &entered {
            self.reached.note(full.limit(), peer, &format!("refused a stream: {full}"));
        }
        entered.map_err(|(full, _)| full)
    }

    fn try_enter(self: &Arc<Self>, stream: Stream) -> Result<Registered, (Full, Peer)> {
        let limits = self.limits();
        let mut open = lock(&self.open);
        if open.len() >= limits.all as usize {
            return Err((Full::Streams(limits.all), stream.connection.peer));
        }
        let of_client = open.values().filter(|other| other.client == stream.client).count();
        if stream.client != Client::Local && of_client >= limits.per_client as usize {
            return Err((Full::Client(limits.per_client), stream.connection.peer));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(stream);
        open.insert(number, stream.clone());
        self.reached.telemetry().streams.get_or_create(&TransportLabel { transport: stream.transport }).inc();
        Ok(Registered { streams: self.clone(), number, stream })
    }

    /// The open streams, oldest first.
    pub fn list(&self) -> Vec<Arc<Stream>> {
        lock(&self.open).values().cloned().collect()
    }

    /// Ends the streams whose callers `auth` would not let in any more; they notice when they are woken.
    pub fn withdraw(&self, auth: &Auth) -> usize {
        let withdrawn = self.list().into_iter().filter(|stream| !auth.still_valid(&stream.caller));
        withdrawn.map(|stream| stream.withdrawn.store(true, Ordering::Release)).count()
    }

    /// Brings the largest lag into its gauge.
    pub fn measure(&self) {
        let lag = self.list().iter().map(|stream| stream.lag()).max().unwrap_or(0);
        self.reached.telemetry().stream_lag_bytes.set(lag as i64);
    }

    /// Closes the connections under streams that are past their deadline, or have not been read for too long, until
    /// `stop`.
    pub async fn sweep(self: Arc<Self>, connections: Arc<Connections>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(STREAM_SWEEP_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let (now, stall) = (Instant::now(), self.limits().stall);
            for stream in self.list() {
                let Some(reason) = stream.overdue(now, stall) else { continue };
                if connections.close(stream.connection.id, reason) {
                    let (id, peer) = (&stream.request_id, &stream.connection.peer);
                    tracing::info!(request_id = id, %peer, ?reason, "closed the connection of a stream nobody reads");
                }
            }
        }
    }
}

impl Stream {
    /// A stream that begins now.
    pub fn new(
        request_id: String,
        method: &'static str,
        transport: Transport,
        client: Client,
        connection: Arc<ConnectionInfo>,
        deadline: Option<Instant>,
        caller: Caller,
    ) -> Self {
        Self {
            request_id,
            method,
            transport,
            client,
            connection,
            since: Instant::now(),
            deadline,
            caller,
            withdrawn: AtomicBool::new(false),
            progress: Mutex::default(),
            handed: AtomicU64::new(0),
        }
    }

    /// Whether the credential that let its caller in is not accepted any more.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Says what it hands on, once that is known.
    pub fn set_progress(&self, progress: Arc<Progress>) {
        *lock(&self.progress) = Some(progress);
    }

    /// What it has handed on.
    pub fn progress(&self) -> Option<Arc<Progress>> {
        lock(&self.progress).clone()
    }

    /// Bytes between it and the heads.
    pub fn lag(&self) -> u64 {
        self.progress().map_or(0, |progress| progress.lag())
    }

    /// Number of its files.
    pub fn files(&self) -> usize {
        self.progress().map_or(0, |progress| progress.files())
    }

    /// Notes that HTTP asks for more.
    pub fn asked(&self) {
        self.handed.store(0, Ordering::Relaxed);
    }

    /// Notes that a piece was handed to HTTP.
    pub fn handed(&self, now: Instant) {
        self.handed.store(now.duration_since(self.since).as_millis() as u64 + 1, Ordering::Relaxed);
    }

    /// How long HTTP has not asked for more: its client does not read.
    pub fn stalled(&self, now: Instant) -> Duration {
        match self.handed.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            handed => now.duration_since(self.since).saturating_sub(Duration::from_millis(handed - 1)),
        }
    }

    fn overdue(&self, now: Instant, stall: Duration) -> Option<CloseReason> {
        if self.deadline.is_some_and(|deadline| now >= deadline + DEADLINE_GRACE) {
            return Some(CloseReason::DeadlinePassed);
        }
        (self.stalled(now) > stall).then_some(CloseReason::Stalled)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.streams.open).remove(&self.number);
        self.streams
            .reached
            .telemetry()
            .streams
            .get_or_create(&TransportLabel { transport: self.stream.transport })
            .dec();
    }
}
