//! Opens the bytes of a connection: TCP, TLS over it, or a Unix socket.
//!
//! TLS is spoken here and not by the channel, so that what the other end says against a certificate is heard: with
//! TLS 1.3 that comes after the handshake, when the channel only sees a connection that closes.

use std::{
    io,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    AlertDescription, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::Notify,
};
use tokio_rustls::TlsConnector;
use tower::Service as _;

use super::{
    connect::{ConnectError, read},
    target::{Credentials, Route, Security},
    trust::Named,
};
use crate::limits::ANSWER_MAX;

/// The bytes of a connection.
pub(super) type Wire = TokioIo<Box<dyn Bytes>>;

/// What a connection reads and writes by.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// Opens connections by one route.
#[derive(Clone)]
pub(super) struct Dialer {
    way: Way,
    trouble: Trouble,
}

/// How to open one.
#[derive(Clone)]
enum Way {
    /// To a Unix socket.
    Unix(PathBuf),
    /// To a port, in clear text.
    Clear(Uri),
    /// To a port, by TLS.
    Tls {
        /// The port.
        uri: Uri,
        /// Roots, identity, protocols.
        config: Arc<ClientConfig>,
        /// Whom the other end must prove to be.
        name: ServerName<'static>,
    },
}

/// How a connection ended, once it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_over: bool,
    /// What TLS broke on after the handshake, if it did.
    error: Option<rustls::Error>,
}

impl Trouble {
    fn note_end(&self, error: Option<&io::Error>) {
        let mut state = self.state();
        state.is_over = true;
        if let Some(error) = error.and_then(|error| tls_error(error)) {
            state.error = Some(error.clone());
        }
        drop(state);
        self.0.wake.notify_waiters();
    }

    /// What the other end has against the client's certificate, or its lack.
    pub(super) fn objection(&self) -> Option<String> {
        let state = self.state();
        state.error.as_ref().filter(|error| is_objection(error)).map(ToString::to_string)
    }

    /// Waits until nothing more can come.
    pub(super) async fn over(&self) {
        loop {
            let mut noted = pin!(self.0.wake.notified());
            // From here on nothing is missed.
            noted.as_mut().enable();
            if self.state().is_over {
                return;
            }
            noted.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialer {
    /// A dialer for `route` that shows `credentials`; how the connection ends goes to `trouble`.
    pub(super) fn new(route: &Route, credentials: &Credentials, trouble: &Trouble) -> Result<Self, ConnectError> {
        let (host, security) = match route {
            Route::Unix(path) => return Ok(Self { way: Way::Unix(path.clone()), trouble: trouble.clone() }),
            Route::Tcp { host, security, .. } => (host, security),
        };
        // Hosts are checked when they are read; a bracketed address or a name makes a URI.
        let uri: Uri = format!("http://{route}").parse().map_err(|_| ConnectError::Name(host.clone()))?;
        let way = match security {
            Security::Clear | Security::Loopback => Way::Clear(uri),
            Security::Tls => Way::Tls {
                uri,
                config: Arc::new(config(credentials)?),
                name: ServerName::try_from(host.clone()).map_err(|_| ConnectError::Name(host.clone()))?,
            },
        };
        Ok(Self { way, trouble: trouble.clone() })
    }

    /// Opens a connection.
    pub(super) async fn dial(self) -> io::Result<Wire> {
        let trouble = self.trouble;
        let bytes: Box<dyn Bytes> = match self.way {
            Way::Unix(path) => Box::new(Watched { stream: UnixStream::connect(path).await?, trouble }),
            Way::Clear(uri) => Box::new(Watched { stream: tcp(uri).await?, trouble }),
            Way::Tls { uri, config, name } => {
                let stream = TlsConnector::from(config).connect(name, tcp(uri).await?).await?;
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(io::Error::other("it speaks TLS, but not HTTP/2"));
                }
                Box::new(Watched { stream, trouble })
            }
        };
        Ok(TokioIo::new(bytes))
    }
}

/// Connects to the first address of a name that answers, IPv6 and IPv4 in a race.
async fn tcp(uri: Uri) -> io::Result<TcpStream> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(ANSWER_MAX));
    Ok(connector.call(uri).await.map_err(io::Error::other)?.into_inner())
}

/// What TLS is told. Every file is looked at here, so that one that does not do is named.
fn config(credentials: &Credentials) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(ConnectError::Tls)?;
    let builder = match &credentials.ca {
        None => builder.with_root_certificates(roots_of_system()?),
        Some(path) => {
            let (named, roots) = named_roots(path)?;
            let verifier = Named::new(named, roots, provider).map_err(ConnectError::Tls)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = match &credentials.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key_bytes = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|_| ConnectError::Pem(key.clone(), "private key"))?;
            builder.with_client_auth_cert(certificates(certificate)?, key_bytes).map_err(ConnectError::Tls)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The authorities that the operating system trusts, of which some never do.
fn roots_of_system() -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ConnectError::NoRoots);
    }
    Ok(roots)
}

/// The certificates in the file at `path`, all of which must do, and the same as authorities.
fn named_roots(path: &Path) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), ConnectError> {
    let mut roots = RootCertStore::empty();
    let named = certificates(path)?;
    for certificate in &named {
        let added = roots.add(certificate.clone());
        added.map_err(|_| ConnectError::Pem(path.to_owned(), "usable authority"))?;
    }
    Ok((named, roots))
}

/// The certificates in the file at `path`, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let certificates = certificates.map_err(|_| ConnectError::Pem(path.to_owned(), "readable certificate"))?;
    if certificates.is_empty() {
        return Err(ConnectError::Pem(path.to_owned(), "certificate"));
    }
    Ok(certificates)
}

/// Whether the other end says, by TLS, that the client's certificate does not do.
pub(super) const fn is_objection(error: &rustls::Error) -> bool {
    let rustls::Error::AlertReceived(alert) = error else { return false };
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// The error of TLS among the causes of `error`.
pub(super) fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(error);
        }
        // What an I/O error wraps is not among its sources, only what that wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// A stream that tells how it ended.
struct Watched<S> {
    stream: S,
    trouble: Trouble,
}

impl<S> Watched<S> {
    fn watch<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.trouble.note_end(Some(error));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(result, Poll::Ready(Ok(()))) && room > 0 && buf.remaining() == room {
            self.trouble.note_end(None);
        }
        self.watch(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
