//! The configuration: TOML files, environment and arguments in, values that cannot be wrong out.
//!
//! [`Inputs::load`] reads everything once and either answers with a [`Loaded`] configuration or with **all** its
//! [`Problems`], each with the line, a caret and what to write instead. There is one table of keys ([`keys`]), from
//! which reading, `logtap check`, the JSON schema and the manual page are made, so that they cannot disagree.
//!
//! This room reads configuration files and nothing else: it opens no log, binds no address, loads no certificate, and
//! compiles regular expressions only to know that they are valid.

mod arguments;
mod document;
pub mod keys;
mod load;
mod node;
mod problems;
mod schema;
mod stamp;
mod values;

use std::{collections::BTreeMap, fmt, net::IpAddr, ops::Deref, path::PathBuf, time::Duration};

pub use load::{DEFAULT_DIRECTORY, Effective, Inputs, Loaded, Origin};
pub use problems::{Problem, Problems};
pub use schema::json_schema;
pub use stamp::Stamp;

/// A whole configuration. Every field has been checked, alone and against the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where and how to serve.
    pub server: Server,
    /// Certificates; absent: clear text.
    pub tls: Option<Tls>,
    /// Who may read; absent: who reaches an address may.
    pub auth: Option<Auth>,
    /// At least one, each name once. A file that two of them match belongs to the first.
    pub sources: Vec<Source>,
}

impl Config {
    /// The names of the keys in which `next` differs and that only take effect when the daemon starts anew.
    #[must_use]
    pub fn needs_restart(&self, next: &Self) -> Vec<&'static str> {
        let (old, new) = (&self.server, &next.server);
        let changes = [
            ("server.listen", old.listen != new.listen),
            ("server.cache", old.cache != new.cache),
            ("tls", self.tls.is_some() != next.tls.is_some()),
        ];
        changes.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
    }
}

/// `[server]`: where and how to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// At least one address, none twice. When one of them is beyond loopback there is TLS and authorisation, or
    /// `insecure` is true.
    pub listen: Vec<Listen>,
    /// Further names by which browsers may address this server, in lower case, without a port.
    pub hosts: Vec<String>,
    /// Concurrent streams, at least 1.
    pub max_streams: u32,
    /// Concurrent streams of one client, at least 1.
    pub max_streams_per_client: u32,
    /// How long a connection may stop reading, at least a second.
    pub max_stall: Duration,
    /// Budget of the cache, in bytes; 0 caches nothing.
    pub cache: u64,
    /// Whether to serve beyond loopback although everybody there may read everything on the way.
    pub insecure: bool,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listen {
    /// `host:port` as it was given; an IPv6 address is in brackets, the port may be 0.
    Tcp(String),
    /// An absolute path, written `unix:/path`.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine can reach the address. A name other than `localhost` is taken to be beyond it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']');
                match host.parse::<IpAddr>() {
                    Ok(ip) => ip.to_canonical().is_loopback(),
                    Err(_) => host.eq_ignore_ascii_case("localhost"),
                }
            }
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[tls]`: certificates, by absolute path; whether they are good is seen when they are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate and its intermediates, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Authorities whose client certificates are accepted, PEM.
    pub client_ca: Option<PathBuf>,
}

/// `[auth]`: who may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The file of names and what each of them may see; an absolute path.
    pub tokens_file: PathBuf,
}

/// `[[source]]`: a name for some files and for how to read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What entries, requests and metrics call it.
    pub name: SourceName,
    /// Valid globs, absolute, at least one, none twice.
    pub paths: Vec<String>,
    /// Valid globs over live paths; one without `/` is matched against the file name.
    pub exclude: Vec<String>,
    /// How a record is read.
    pub format: Format,
    /// Which lines are one record.
    pub multiline: Multiline,
    /// Longest line kept, in bytes, from 1 to [`limits::LINE_BYTES_MAX`](crate::limits::LINE_BYTES_MAX).
    pub max_line: usize,
    /// The zone of times that name none.
    pub timezone: Timezone,
    /// Whether rotated siblings are this log's past.
    pub archives: bool,
    /// Added to the fields of every entry.
    pub labels: BTreeMap<String, String>,
}

impl Source {
    /// A source of these globs, everything else as it is by default.
    fn of_paths(name: SourceName, paths: Vec<String>) -> Self {
        Self {
            name,
            paths,
            exclude: Vec::new(),
            format: Format::Auto,
            multiline: Multiline::Off,
            max_line: crate::limits::LINE_BYTES_DEFAULT,
            timezone: Timezone::Local,
            archives: true,
            labels: BTreeMap::new(),
        }
    }
}

/// The name of a source: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(String);

impl Deref for SourceName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the records of a source are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Recognised by content.
    #[default]
    Auto,
    /// Not read at all: no severity, no time, no fields.
    Raw,
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 3164 or RFC 5424.
    Syslog,
    /// The Container Runtime Interface's lines, as Kubernetes writes them.
    Cri,
    /// Docker's json-file.
    Docker,
    /// Kubernetes' and glog's header.
    Klog,
    /// Common and combined access logs.
    Clf,
    /// A regular expression over bytes that compiles and has a group named `time`, `level` or `message`.
    Regex(String),
}

/// Which lines belong to one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Multiline {
    /// Each line is one.
    #[default]
    Off,
    /// A line that begins with white space continues the one before.
    Indent,
    /// A line that this regular expression, which compiles, does not match continues the one before.
    Start(String),
}

/// The zone of times that name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Timezone {
    /// The system's.
    #[default]
    Local,
    /// Coordinated universal time.
    Utc,
    /// Seconds east of it, less than a day.
    Fixed(i32),
    /// A name that the system's time zone database has.
    Named(String),
}
