//! The TLS side of the listeners: a certificate that can be replaced while connections are open.
//!
//! The files are read and checked when the daemon starts and each time it is told that they may have changed. What is
//! wrong with them is said then, not at the first handshake, and a bad change leaves the old certificate in service.

mod certificate;
mod load;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::load::Files;
pub use self::load::TlsError;
use super::TlsInfo;
use crate::limits;

/// Where the certificate comes from, and which ones clients need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM: the server's certificate, then those that lead from it to an authority that clients know.
    pub certificate: PathBuf,
    /// PEM: its private key; refused when the world may read it.
    pub key: PathBuf,
    /// Whether clients show certificates.
    pub clients: ClientCertificates,
}

/// Whether clients show certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Ignored,
    /// They may, and then it must be signed by one of the authorities in this PEM file. A handshake with a bad
    /// certificate fails; whether none is enough is for the authorisation of each request to say.
    Optional(PathBuf),
    /// As `Optional`, but a handshake without one fails.
    Required(PathBuf),
}

/// The TLS configuration in service. New connections take it as it is when they begin; open ones keep theirs.
pub struct Tls {
    current: ArcSwap<ServerConfig>,
    /// What `current` was made of. Held during a reload, so that two of them follow each other.
    origin: Mutex<Origin>,
}

struct Origin {
    settings: TlsSettings,
    files: Files,
}

/// What a reload found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The files are as they were.
    Unchanged,
    /// New connections get what the files hold now.
    Changed,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("settings", &self.origin().settings).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads and checks the files. Warns of certificates that are not valid at this time.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let files = Files::read(&settings)?;
        let config = files.check(&settings, SystemTime::now())?;
        Ok(Self { current: ArcSwap::new(config), origin: Mutex::new(Origin { settings, files }) })
    }

    /// Reads the files again. On an error what was in service stays so.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let mut origin = self.origin();
        let now = Files::read(&origin.settings)?;
        if now == origin.files {
            return Ok(Reloaded::Unchanged);
        }
        self.current.store(now.check(&origin.settings, SystemTime::now())?);
        origin.files = now;
        Ok(Reloaded::Changed)
    }

    /// Goes on as `other`, which was loaded under other settings.
    pub fn become_like(&self, other: Self) {
        let mut origin = self.origin();
        self.current.store(other.current.into_inner());
        *origin = other.origin.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    fn origin(&self) -> MutexGuard<'_, Origin> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that are read, for whoever watches them.
    pub fn paths(&self) -> Vec<PathBuf> {
        let settings = self.origin().settings.clone();
        let ca = match settings.clients {
            ClientCertificates::Ignored => None,
            ClientCertificates::Optional(path) | ClientCertificates::Required(path) => Some(path),
        };
        [settings.certificate, settings.key].into_iter().chain(ca).collect()
    }

    /// Makes the handshake; it has no deadline of its own. When it fails the peer has been told why, but may not have
    /// heard it yet.
    pub(super) async fn accept<T>(&self, io: T) -> Result<(TlsStream<T>, TlsInfo), (io::Error, T)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        // What rustls holds in clear and encrypted is pinned by a reader that stopped.
        let bounded = |connection: &mut ServerConnection| connection.set_buffer_limit(Some(limits::TLS_BUFFER_BYTES));
        let stream = acceptor.accept_with(io, bounded).into_fallible().await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let info = TlsInfo {
            client_name: shown.and_then(|shown| certificate::common_name(shown)).map(Arc::from),
            client_certificate: shown.is_some(),
        };
        Ok((stream, info))
    }
}
