//! Listening, connections and their ends: everything of the server that knows a socket.
//!
//! [`serve`] accepts on all [`Listeners`], speaks HTTP/2 and HTTP/1 on every one of them, and hands each request with
//! its [`ConnectionInfo`] to one service. It returns when every connection has ended. What is open stands in
//! [`Connections`], which can close one connection by its id.
//!
//! - A peer that is slow is kept; a peer that is gone is not. So there is no `TCP_USER_TIMEOUT` and no HTTP/2 ping,
//!   both of which end a connection whose reader merely stopped. A sweep asks the kernel instead when the peer's kernel
//!   last answered.
//! - A peer that says nothing is closed after a deadline: for TLS, for the first bytes, for HTTP/1 headers.
//! - Connections are bounded. A newcomer that finds no place takes that of the oldest one that has not said anything
//!   yet, or of the one that has been idle longest; where all are at work its first request is refused, or it is closed
//!   at once when many are refused already, so that its client hears it instead of waiting in the kernel's queue.
//! - Every task belongs to a connection and every connection to [`serve`]: nothing outlives it.
//!
//! This room never looks into a request and never authorises one.

mod accept;
mod connection;
mod listen;
mod opening;
mod peer;
pub(crate) mod private_file;
mod protocol;
mod registry;
mod rewound;
mod socket;
mod sweep;
mod sys;
mod tls;
mod transport;

use std::time::Duration;

pub use accept::{Serving, serve};
pub use connection::HttpService;
pub use listen::{Address, Listen, ListenError, Listeners};
pub use peer::{ConnectionId, ConnectionInfo, NoPlace, Peer, TlsInfo};
pub use private_file::FileError;
pub use registry::{CloseReason, ConnectionSummary, Connections, Ending, Phase, Totals};
pub use sys::raise_descriptor_limit;
pub use tls::{ClientCertificates, Reloaded, Tls, TlsError, TlsSettings};

use crate::limits;

/// The bounds that [`serve`] keeps. `Default` takes them from [`limits`].
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address beyond loopback.
    pub connections_per_address: usize,
    /// HTTP/2 streams on one connection.
    pub streams: u32,
    /// Time for the TLS handshake, for the first bytes and for HTTP/1 headers, each.
    pub handshake: Duration,
    /// How long a connection may take nothing although there is something to send.
    pub stall: Duration,
    /// How long the peer's kernel may be silent.
    pub peer_silence: Duration,
    /// How often connections are looked at for the last two.
    pub sweep: Duration,
    /// How long connections have to end once [`serve`] was told to stop.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS_MAX,
            streams: limits::STREAMS_PER_CONNECTION_MAX,
            handshake: limits::HANDSHAKE_MAX,
            stall: limits::STALL_MAX_DEFAULT,
            peer_silence: limits::PEER_SILENCE_MAX,
            sweep: limits::SWEEP_EVERY,
            drain: limits::DRAIN_MAX,
        }
    }
}
