//! What a user calls a host, and the ways to it.

use std::{fmt, net::IpAddr, path::PathBuf};

use crate::limits::CLIENT_HOSTS_MAX;

/// Port of a daemon that a host without one means.
pub const PORT: u16 = 50051;
/// The socket of the daemon on this machine.
pub const LOCAL_SOCKET: &str = "/run/logtap/logtap.sock";

/// A daemon to read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the user calls it; unique among the targets of a command.
    pub name: String,
    /// The ways to it, tried in order with every connection; never empty.
    pub routes: Vec<Route>,
    /// What it is shown.
    pub credentials: Credentials,
}

impl Target {
    /// The daemon on this machine: its socket, passed over when absent or refused, then its port.
    pub fn local(credentials: Credentials) -> Self {
        let port = Route::Tcp { host: "127.0.0.1".to_owned(), port: PORT, security: Security::Loopback };
        let routes = vec![Route::Unix(PathBuf::from(LOCAL_SOCKET)), port];
        Self { name: "localhost".to_owned(), routes, credentials }
    }
}

/// One way to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// The port.
        port: u16,
        /// How what is said stays between the two ends.
        security: Security,
    },
}

/// How a TCP route is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// By TLS.
    Tls,
    /// By staying on this machine.
    Loopback,
    /// Not at all, as `http://` asked for: no token goes this way.
    Clear,
}

/// What a client shows a daemon; files are read anew with every connection, so that they may be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The bearer token.
    pub token: Option<Token>,
    /// Certificates of the authorities to trust, PEM; those of the operating system when `None`.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Where a token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The first line of a file.
    File(PathBuf),
    /// The environment.
    Value(String),
}

impl fmt::Debug for Token {
    /// Never shows the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(…)"),
        }
    }
}

/// Why a text names no host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Nothing is left where a host or a path should be.
    Empty(String),
    /// The port is no number from 1 to 65535.
    Port(String),
    /// The text has something after the host and port.
    Trailing(String),
    /// A character that no host name has.
    Character(String),
    /// A group that the profile does not define.
    NoGroup(String),
    /// More hosts than one command may read.
    TooMany(usize),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(text) => write!(f, "`{text}` names no host: use HOST[:PORT], https://…, unix:/path or @group"),
            Self::Port(text) => write!(f, "the port of `{text}` is no number from 1 to 65535"),
            Self::Trailing(text) => write!(f, "`{text}` has more than a host and a port"),
            Self::Character(text) => write!(f, "`{text}` has a character that no host name has"),
            Self::NoGroup(name) => write!(f, "no group `@{name}` in the profile"),
            Self::TooMany(count) => write!(f, "{count} hosts, more than {CLIENT_HOSTS_MAX}"),
        }
    }
}

impl std::error::Error for TargetError {}

impl Route {
    /// Reads `HOST[:PORT]`, `http://…`, `https://…` or `unix:/path`. A URL without a port has the port of its scheme.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(TargetError::Empty(text.to_owned()))
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest.strip_suffix('/').unwrap_or(rest)),
            None => (None, text),
        };
        let default_port = match scheme {
            None => PORT,
            Some("http") => 80,
            Some("https") => 443,
            Some(_) => return Err(TargetError::Empty(text.to_owned())),
        };
        let (host, port) = host_and_port(text, rest, default_port)?;
        let security = match scheme {
            Some("http") => Security::Clear,
            None if is_loopback(&host) => Security::Loopback,
            _ => Security::Tls,
        };
        Ok(Self::Tcp { host, port, security })
    }

    /// Whether the other end is this machine, so that compressing would only cost.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => is_loopback(host),
        }
    }

    /// Whether a token may go this way.
    pub const fn keeps_secrets(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { security, .. } => matches!(security, Security::Tls | Security::Loopback),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// Splits `rest` of the user's `text` into a host without brackets and a port.
fn host_and_port(text: &str, rest: &str, default_port: u16) -> Result<(String, u16), TargetError> {
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or_else(|| TargetError::Trailing(text.to_owned()))?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(TargetError::Trailing(text.to_owned())),
        }
    } else if rest.parse::<IpAddr>().is_ok() {
        (rest, None)
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    if host.is_empty() {
        return Err(TargetError::Empty(text.to_owned()));
    }
    if host.contains(['/', '?', '#', '@']) {
        return Err(TargetError::Trailing(text.to_owned()));
    }
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.parse::<IpAddr>().is_err() && !host.chars().all(name) {
        return Err(TargetError::Character(text.to_owned()));
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| TargetError::Port(text.to_owned()))?,
    };
    Ok((host.to_owned(), port))
}

/// Whether `host` is this machine by its name alone.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, security: Security) -> Result<Route, TargetError> {
        Ok(Route::Tcp { host: host.to_owned(), port, security })
    }

    #[test]
    fn every_form_of_a_host_is_read() {
        use Security::{Clear, Loopback, Tls};
        assert_eq!(Route::parse("web1"), tcp("web1", PORT, Tls));
        assert_eq!(Route::parse("web1:7"), tcp("web1", 7, Tls));
        assert_eq!(Route::parse("10.0.0.1:7"), tcp("10.0.0.1", 7, Tls));
        assert_eq!(Route::parse("localhost"), tcp("localhost", PORT, Loopback));
        assert_eq!(Route::parse("127.0.0.2:80"), tcp("127.0.0.2", 80, Loopback));
        assert_eq!(Route::parse("::1"), tcp("::1", PORT, Loopback));
        assert_eq!(Route::parse("[::1]:9"), tcp("::1", 9, Loopback));
        assert_eq!(Route::parse("[2001:db8::1]"), tcp("2001:db8::1", PORT, Tls));
        assert_eq!(Route::parse("https://logs.example.org/"), tcp("logs.example.org", 443, Tls));
        assert_eq!(Route::parse("https://127.0.0.1:50051"), tcp("127.0.0.1", 50051, Tls));
        assert_eq!(Route::parse("http://127.0.0.1:50051"), tcp("127.0.0.1", 50051, Clear));
        assert_eq!(Route::parse("http://web1"), tcp("web1", 80, Clear));
        assert_eq!(Route::parse("unix:/run/a.sock"), Ok(Route::Unix("/run/a.sock".into())));
        assert_eq!(Route::parse("unix:///run/a.sock"), Ok(Route::Unix("/run/a.sock".into())));
    }

    #[test]
    fn what_is_no_host_is_refused_by_reason() {
        let error = |text: &str| Route::parse(text).expect_err(text);
        for text in ["", "unix:", "https://", ":5", "ftp://web1"] {
            assert_eq!(error(text), TargetError::Empty(text.to_owned()));
        }
        for text in ["web1:", "web1:0", "web1:65536", "web1:http", "a:b:c"] {
            assert_eq!(error(text), TargetError::Port(text.to_owned()));
        }
        for text in ["https://web1/path", "[::1", "[::1]x", "http://user@web1"] {
            assert_eq!(error(text), TargetError::Trailing(text.to_owned()));
        }
        assert_eq!(error("we b"), TargetError::Character("we b".to_owned()));
    }

    #[test]
    fn a_token_goes_only_where_it_stays_secret() {
        let keeps = |text: &str| Route::parse(text).expect(text).keeps_secrets();
        assert!(keeps("web1") && keeps("127.0.0.1") && keeps("unix:/s") && keeps("https://127.0.0.1"));
        assert!(!keeps("http://web1") && !keeps("http://127.0.0.1:50051") && !keeps("http://localhost"));
    }

    #[test]
    fn a_token_is_never_printed() {
        assert!(!format!("{:?}", Token::Value("secret".to_owned())).contains("secret"));
    }
}
