//! Opens one connection to a host, by the first of its routes that answers.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use http::Uri;
use rustls::CertificateError;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue, errors::InvalidMetadataValue},
    transport::{Channel, Endpoint},
};

use super::{
    dial::{Dialer, Trouble, is_objection, tls_error},
    target::{Credentials, Route, Security, Target, Token},
};
use crate::limits::{
    ANSWER_MAX, CLIENT_FILE_BYTES_MAX, CLIENT_FRAME_BYTES, CLIENT_PING_EVERY, CLIENT_WINDOW_BYTES_MAX,
    CLIENT_WINDOW_BYTES_MIN, CLIENT_WINDOWS_BYTES,
};

/// An open connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// Carries the calls.
    pub channel: Channel,
    /// The `authorization` of each call, if one may be shown on this route.
    pub authorization: Option<MetadataValue<Ascii>>,
    /// Whether compressing saves more than it costs: the other end is not this machine.
    pub compress: bool,
    trouble: Trouble,
}

impl Link {
    /// What the other end has against the client's certificate, or its lack, when it closed the connection for that.
    pub fn objection(&self) -> Option<String> {
        self.trouble.objection()
    }

    /// What `call` comes to, cut short when the connection ends: a call that meets that end may be forgotten by it, and
    /// would wait for ever.
    ///
    /// # Errors
    /// Those of the call.
    pub(super) async fn unless_over<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        tokio::select! {
            biased;
            answer = call => answer,
            () = self.trouble.over() => Err(Status::unavailable("the connection was closed")),
        }
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Nobody answers, or not as a daemon would.
    Unreachable(tonic::transport::Error),
    /// The host took longer than [`ANSWER_MAX`].
    TimedOut,
    /// The host has no name that could be connected to.
    Name(String),
    /// A file that the connection needs cannot be read.
    File(PathBuf, io::Error),
    /// A file is longer than [`CLIENT_FILE_BYTES_MAX`].
    TooLong(PathBuf),
    /// A file does not hold what it should, in PEM.
    Pem(PathBuf, &'static str),
    /// The operating system has no authorities to trust.
    NoRoots,
    /// A token has a character that no header may have.
    Token(InvalidMetadataValue),
    /// The certificate and the key do not do for TLS.
    Tls(rustls::Error),
}

impl ConnectError {
    /// Whether the same attempt may succeed soon. It won't when certificates are what is wrong.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Unreachable(error) => match tls_error(error) {
                Some(rustls::Error::InvalidCertificate(_)) => false,
                Some(error) => !is_objection(error),
                None => true,
            },
            Self::Name(_)
            | Self::File(..)
            | Self::TooLong(_)
            | Self::Pem(..)
            | Self::NoRoots
            | Self::Token(_)
            | Self::Tls(_) => false,
        }
    }

    /// Whether it is the other end that does not take the client's certificate, or its lack.
    pub fn is_objection(&self) -> bool {
        matches!(self, Self::Unreachable(error) if tls_error(error).is_some_and(is_objection))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => match tls_error(error) {
                Some(rustls::Error::InvalidMessage(_)) => {
                    f.write_str("it does not speak TLS (http://HOST:PORT reads without, and without a token)")
                }
                Some(error) if is_of_unknown_origin(error) => f.write_str(
                    "TLS: invalid peer certificate: nobody trusted here vouches for it; --ca names who does",
                ),
                Some(error) => write!(f, "TLS: {error}"),
                None => f.write_str(&innermost(error)),
            },
            Self::TimedOut => write!(f, "no answer within {} s", ANSWER_MAX.as_secs()),
            Self::Name(name) => write!(f, "`{name}` is no name of a host"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::TooLong(path) => write!(f, "{}: longer than {CLIENT_FILE_BYTES_MAX} bytes", path.display()),
            Self::Pem(path, what) => write!(f, "{}: no {what} in it", path.display()),
            Self::NoRoots => f.write_str("this machine trusts no authority: install ca-certificates, or name one"),
            Self::Token(_) => f.write_str("the token has a character that no header may have"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Whether a certificate is refused for who made it. One that is an authority's own says so in a word of the library's.
fn is_of_unknown_origin(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.to_string().contains("CaUsedAsEndEntity")
        }
        _ => false,
    }
}

/// The last cause of `error`: the outer ones say no more than "transport error".
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The HTTP/2 window of a host when so many are read at the same time, in bytes.
pub fn window(hosts: usize) -> u32 {
    let window = u32::try_from(hosts).map_or(0, |hosts| CLIENT_WINDOWS_BYTES / hosts.max(1));
    window.clamp(CLIENT_WINDOW_BYTES_MIN, CLIENT_WINDOW_BYTES_MAX)
}

/// Connects to `target`, and lets it send `window` bytes ahead.
///
/// # Errors
/// The error of the last route.
pub async fn connect(target: &Target, window: u32) -> Result<Link, ConnectError> {
    let mut result = Err(ConnectError::TimedOut);
    for route in &target.routes {
        result = connect_by(route, &target.credentials, window).await;
        match &result {
            Ok(_) => break,
            Err(error) if error.may_pass() => {}
            Err(_) => break,
        }
    }
    result
}

/// Connects by `route`.
async fn connect_by(route: &Route, credentials: &Credentials, window: u32) -> Result<Link, ConnectError> {
    let endpoint = Endpoint::from(origin(route)?)
        .user_agent(concat!("logtap/", env!("CARGO_PKG_VERSION")))
        .map_err(ConnectError::Unreachable)?
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .max_frame_size(CLIENT_FRAME_BYTES)
        .http2_keep_alive_interval(CLIENT_PING_EVERY)
        .keep_alive_timeout(CLIENT_PING_EVERY);
    let authorization = match &credentials.token {
        Some(token) if route.keeps_secrets() => Some(authorization(token)?),
        _ => None,
    };
    let trouble = Trouble::default();
    let dialer = Dialer::new(route, credentials, &trouble)?;
    let connecting = endpoint.connect_with_connector(tower::service_fn(move |_: Uri| dialer.clone().dial()));
    let channel = match tokio::time::timeout(ANSWER_MAX, connecting).await {
        Ok(connected) => connected.map_err(ConnectError::Unreachable)?,
        Err(_) => return Err(ConnectError::TimedOut),
    };
    Ok(Link { channel, authorization, compress: !route.is_local(), trouble })
}

/// What requests by `route` call the other end.
fn origin(route: &Route) -> Result<Uri, ConnectError> {
    let origin = match route {
        Route::Unix(_) => "http://localhost".to_owned(),
        Route::Tcp { security: Security::Tls, .. } => format!("https://{route}"),
        Route::Tcp { .. } => format!("http://{route}"),
    };
    origin.parse().map_err(|_| ConnectError::Name(route.to_string()))
}

/// The header that shows `token`.
fn authorization(token: &Token) -> Result<MetadataValue<Ascii>, ConnectError> {
    let value = match token {
        Token::Value(value) => value.clone(),
        Token::File(path) => String::from_utf8_lossy(&read(path)?).lines().next().unwrap_or_default().to_owned(),
    };
    let mut header: MetadataValue<Ascii> = format!("Bearer {}", value.trim()).parse().map_err(ConnectError::Token)?;
    header.set_sensitive(true);
    Ok(header)
}

/// All of the file at `path`, within bounds.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let error = |error| ConnectError::File(path.to_owned(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(error)?;
    file.take(CLIENT_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > CLIENT_FILE_BYTES_MAX {
        return Err(ConnectError::TooLong(path.to_owned()));
    }
    Ok(bytes)
}
