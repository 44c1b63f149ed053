//! Who is at the other end of a connection.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::Address;
use crate::telemetry::Limit;

/// Names a connection for as long as the process lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) u64);

/// The other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Its address; an IPv4 address that came in over an IPv6 socket is an IPv4 address here.
    Tcp(SocketAddr),
    /// The process that connected, as the kernel knows it.
    Unix {
        /// Effective user id at the time of `connect`.
        uid: u32,
        /// Process id in our namespace, where it has one.
        pid: Option<i32>,
    },
}

/// What every request of a connection carries in its extensions, as `Arc<ConnectionInfo>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The key for [`Connections::close`](super::Connections::close).
    pub id: ConnectionId,
    /// The other end.
    pub peer: Peer,
    /// Our end.
    pub local: Address,
    /// Set when the connection is encrypted.
    pub tls: Option<TlsInfo>,
    /// Set when there is no place for the connection: its request is to be refused.
    pub no_place: Option<NoPlace>,
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many as are served are open.
    Anywhere,
    /// As many as one address may have are open from the peer's.
    ForAddress,
}

impl NoPlace {
    /// The limit that the peer ran into.
    pub fn limit(self) -> Limit {
        match self {
            Self::Anywhere => Limit::Connections,
            Self::ForAddress => Limit::ConnectionsPerAddress,
        }
    }
}

/// What TLS tells of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// The common name in the client's certificate. It was signed by the configured authority and is valid; a
    /// certificate with none or several common names has no name here.
    pub client_name: Option<Arc<str>>,
    /// A valid client certificate was shown, named or not.
    pub client_certificate: bool,
}

#[cfg(any(test, fuzzing))]
impl ConnectionId {
    /// An id of no connection, for tests of what is asked with one.
    pub fn for_tests(id: u64) -> Self {
        Self(id)
    }
}

impl Peer {
    /// Its address, where it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix { .. } => None,
        }
    }

    /// Whether the peer runs on this machine: a Unix socket or a loopback address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid, pid: Some(pid) } => write!(f, "unix:uid={uid},pid={pid}"),
            Self::Unix { uid, pid: None } => write!(f, "unix:uid={uid}"),
        }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
