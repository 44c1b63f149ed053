//! Who may read what.
//!
//! A caller is known by a token, by the common name of a client certificate or by the user id of a local process. The
//! tokens file gives each of them a name and the sources that it may read. The file holds no secrets that could be
//! used: of a token only its hash is written down.
//!
//! | configured | who is let in |
//! |---|---|
//! | nothing | everybody, to everything |
//! | client certificates alone | TLS clients with a valid certificate, named by it; Unix sockets, which their mode guards |
//! | tokens alone | whoever presents a token, or has a user id, that the file lists |
//! | both | the same, and clients with a valid certificate: any, as long as the file lists no common name, else those |
//!
//! A credential that is presented and not accepted is refused, even if the connection has another one that would be.
//!
//! This room knows no request but its headers, and what it says is for the caller of [`Auth`] to enforce.

mod rules;
mod tokens;

use std::{
    error::Error,
    fmt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use http::HeaderMap;

use self::{rules::Rules, tokens::Tokens};
pub use self::{
    rules::{Caller, Unauthenticated},
    tokens::LineError,
};
use super::net::{
    ConnectionInfo, FileError, Reloaded,
    private_file::{self, Secrecy},
};
use crate::limits;

/// What callers need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// The file with the tokens, if there is one; refused when the world may read it.
    pub tokens_file: Option<PathBuf>,
    /// Whether client certificates are verified, so that a valid one says who is there.
    pub client_certificates: bool,
}

/// The rules in force.
#[derive(Debug)]
pub struct Auth {
    rules: ArcSwap<Rules>,
    /// What `rules` come from. Held during a reload, so that two of them follow each other.
    origin: Mutex<Origin>,
}

#[derive(Debug)]
struct Origin {
    settings: AuthSettings,
    /// What the file held when it was last read.
    bytes: Option<Vec<u8>>,
}

/// Why the tokens file cannot be used. It never quotes the file: what stands in the wrong place may be a secret.
#[derive(Debug)]
pub enum AuthError {
    /// It is not to be read.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Some of its lines are wrong.
    Lines {
        /// The file.
        path: PathBuf,
        /// All of them, one at least.
        lines: Vec<LineError>,
    },
}

impl Auth {
    /// Reads the tokens file, if there is one.
    pub fn load(settings: AuthSettings) -> Result<Self, AuthError> {
        let bytes = read(&settings)?;
        let rules = rules(&settings, bytes.as_deref(), 0)?;
        Ok(Self { rules: ArcSwap::from_pointee(rules), origin: Mutex::new(Origin { settings, bytes }) })
    }

    /// Reads the tokens file again. On an error the rules stay as they were. After a change every caller that was let
    /// in before is to be asked about again, by [`Auth::still_valid`].
    pub fn reload(&self) -> Result<Reloaded, AuthError> {
        let mut origin = self.origin();
        let bytes = read(&origin.settings)?;
        if bytes == origin.bytes {
            return Ok(Reloaded::Unchanged);
        }
        let generation = self.rules.load().generation() + 1;
        self.rules.store(rules(&origin.settings, bytes.as_deref(), generation)?.into());
        origin.bytes = bytes;
        Ok(Reloaded::Changed)
    }

    /// Goes on as `other`, which was loaded under other settings. Callers are to be asked about again after that, as
    /// after a changed file.
    pub fn become_like(&self, other: Self) -> Result<(), AuthError> {
        let mut origin = self.origin();
        let other = other.origin.into_inner().unwrap_or_else(PoisonError::into_inner);
        let generation = self.rules.load().generation() + 1;
        self.rules.store(rules(&other.settings, other.bytes.as_deref(), generation)?.into());
        *origin = other;
        Ok(())
    }

    fn origin(&self) -> MutexGuard<'_, Origin> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.rules.load().is_open()
    }

    /// Finds out who makes a request with these headers on this connection.
    pub fn authenticate(&self, headers: &HeaderMap, connection: &ConnectionInfo) -> Result<Caller, Unauthenticated> {
        self.rules.load().authenticate(headers, connection.peer, connection.tls.as_ref())
    }

    /// Whether the caller would still be let in, under the same name and to the same sources.
    pub fn still_valid(&self, caller: &Caller) -> bool {
        self.rules.load().still_valid(caller)
    }
}

fn read(settings: &AuthSettings) -> Result<Option<Vec<u8>>, AuthError> {
    let Some(path) = &settings.tokens_file else {
        return Ok(None);
    };
    private_file::read(path, Secrecy::Secret, limits::TOKENS_FILE_BYTES_MAX)
        .map(Some)
        .map_err(|source| AuthError::File { path: path.clone(), source })
}

fn rules(settings: &AuthSettings, bytes: Option<&[u8]>, generation: u64) -> Result<Rules, AuthError> {
    let tokens = bytes.map(Tokens::parse).transpose();
    let path = || settings.tokens_file.clone().unwrap_or_default();
    let tokens = tokens.map_err(|lines| AuthError::Lines { path: path(), lines })?;
    Ok(Rules::new(tokens, settings.client_certificates, generation))
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Lines { path, lines } => {
                for (nth, line) in lines.iter().enumerate() {
                    let separator = if nth == 0 { "" } else { "\n" };
                    write!(f, "{separator}{}:{line}", path.display())?;
                }
                Ok(())
            }
        }
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Lines { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
        path::Path,
        sync::Arc,
    };

    use super::*;
    use crate::server::net::{Address, ConnectionId, Peer};

    fn process(uid: u32) -> ConnectionInfo {
        let local = Address::Unix(Arc::from(Path::new("/run/test")));
        let peer = Peer::Unix { uid, pid: None };
        ConnectionInfo { id: ConnectionId::for_tests(0), peer, local, tls: None, no_place: None }
    }

    #[test]
    fn a_changed_file_counts_from_the_reload_on_and_a_bad_one_never() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tokens");
        let write = |text: &str, mode| {
            fs::write(&path, text).expect("it can be written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        };
        let settings = AuthSettings { tokens_file: Some(path.clone()), client_certificates: false };
        let missing = Auth::load(settings.clone()).expect_err("it is not there").to_string();
        assert_eq!(missing, format!("{}: No such file or directory (os error 2)", path.display()));

        write("one:uid=1\ntwo:uid=2", 0o640);
        let auth = Auth::load(settings.clone()).expect("the file is good");
        assert!(!auth.is_open());
        let one = auth.authenticate(&HeaderMap::new(), &process(1)).expect("it is listed");
        let two = auth.authenticate(&HeaderMap::new(), &process(2)).expect("it is listed");
        assert_eq!(auth.reload().expect("the file is good"), Reloaded::Unchanged);

        write("two:uid=2\nthree:uid=3", 0o640);
        assert!(auth.still_valid(&one) && auth.still_valid(&two), "nothing was read yet");
        assert_eq!(auth.reload().expect("the file is good"), Reloaded::Changed);
        assert_eq!([&one, &two].map(|caller| auth.still_valid(caller)), [false, true]);
        assert_eq!(auth.authenticate(&HeaderMap::new(), &process(1)).map(drop), Err(Unauthenticated::Missing));
        auth.authenticate(&HeaderMap::new(), &process(3)).expect("it is listed");

        write("two:uid=2\nthe s3cret", 0o640);
        let wrong = auth.reload().expect_err("its second line is wrong").to_string();
        assert_eq!(wrong, format!("{}:2: a name and a colon must come first", path.display()));
        write("two:uid=2", 0o644);
        let exposed = auth.reload().expect_err("anybody may read it").to_string();
        let expected = "its mode 0644 lets anybody read or change the secrets in it";
        assert_eq!(exposed, format!("{}: {expected}", path.display()));
        assert!(auth.still_valid(&two));
        auth.authenticate(&HeaderMap::new(), &process(3)).expect("the rules are as they were");

        write(&"#".repeat(limits::TOKENS_FILE_BYTES_MAX as usize), 0o600);
        assert_eq!(auth.reload().expect("it is not too large"), Reloaded::Changed);
        write(&"#".repeat(limits::TOKENS_FILE_BYTES_MAX as usize + 1), 0o600);
        let large = auth.reload().expect_err("it is too large").to_string();
        assert_eq!(large, format!("{}: larger than 1048576 bytes", path.display()));
    }

    #[test]
    fn without_a_file_and_certificates_everybody_is_let_in() {
        let auth = Auth::load(AuthSettings::default()).expect("there is nothing to read");
        assert!(auth.is_open());
        let caller = auth.authenticate(&HeaderMap::new(), &process(1)).expect("everybody is");
        assert!(caller.may_read_all() && caller.name().is_none() && auth.still_valid(&caller));
        assert_eq!(auth.reload().expect("there is nothing to read"), Reloaded::Unchanged);
    }
}
