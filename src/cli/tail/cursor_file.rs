//! The file that remembers between runs where each host's stream was.
//!
//! JSON: `{"version":1,"hosts":{"web1":["BASE64",…]}}`, the cursors in the order in which they are sent back. Hosts that
//! a run does not read stay as they are.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{client::Position, limits::CLIENT_FILE_BYTES_MAX};

/// The version of the format.
const VERSION: u32 = 1;

/// Positions by host, and where they are kept.
#[derive(Debug)]
pub struct CursorFile {
    path: PathBuf,
    positions: BTreeMap<String, Position>,
    /// Whether the file was there.
    found: bool,
}

/// Why a cursor file cannot be used.
#[derive(Debug)]
pub enum CursorFileError {
    /// It cannot be read.
    Read(PathBuf, io::Error),
    /// It cannot be written.
    Write(PathBuf, io::Error),
    /// It is something else.
    Format(PathBuf, String),
}

impl fmt::Display for CursorFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cursor file {}: {error}", path.display()),
            Self::Write(path, error) => write!(f, "cursor file {} cannot be written: {error}", path.display()),
            Self::Format(path, why) => write!(f, "{} is no cursor file of logtap: {why}", path.display()),
        }
    }
}

impl std::error::Error for CursorFileError {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    hosts: BTreeMap<String, Vec<String>>,
}

impl CursorFile {
    /// Reads the file at `path`; when there is none, every position is a beginning.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn open(path: &Path) -> Result<Self, CursorFileError> {
        // A link stays a link: it is what it points to that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let absent = || Self { path: path.clone(), positions: BTreeMap::new(), found: false };
        let text = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() > CLIENT_FILE_BYTES_MAX => {
                return Err(CursorFileError::Format(path, format!("longer than {CLIENT_FILE_BYTES_MAX} bytes")));
            }
            Ok(_) => fs::read_to_string(&path).map_err(|error| CursorFileError::Read(path.clone(), error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(absent()),
            Err(error) => return Err(CursorFileError::Read(path, error)),
        };
        // What `mktemp` made is as good as none.
        if text.is_empty() {
            return Ok(absent());
        }
        let positions = parse(&text).map_err(|why| CursorFileError::Format(path.clone(), why))?;
        Ok(Self { path, positions, found: true })
    }

    /// Whether there was one to go on from.
    pub const fn was_found(&self) -> bool {
        self.found
    }

    /// The position of `host`.
    pub fn position(&self, host: &str) -> Position {
        self.positions.get(host).cloned().unwrap_or_default()
    }

    /// Writes the positions of `hosts`, so that a crash at any moment leaves either the old file or the new one.
    ///
    /// # Errors
    /// The new file cannot be written or put in its place; the old one is left then.
    pub fn save<'a>(&mut self, hosts: impl Iterator<Item = (&'a str, &'a Position)>) -> Result<(), CursorFileError> {
        for (host, position) in hosts.filter(|(_, position)| !position.is_beginning()) {
            self.positions.insert(host.to_owned(), position.clone());
        }
        let encode = |position: &Position| position.cursors().iter().map(|cursor| STANDARD.encode(cursor)).collect();
        let hosts = self.positions.iter().map(|(host, position)| (host.clone(), encode(position))).collect();
        let content = Content { version: VERSION, hosts };
        let mut text = serde_json::to_vec(&content).expect("text and numbers have a JSON form");
        text.push(b'\n');
        self.replace(&text).map_err(|error| CursorFileError::Write(self.path.clone(), error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(format!(".{}", process::id()));
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = directory.join(name);
        let written = write_durably(&temporary, text).and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // The error that counts is the one before.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        File::open(directory)?.sync_all()
    }
}

fn write_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn parse(text: &str) -> Result<BTreeMap<String, Position>, String> {
    let content: Content = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if content.version != VERSION {
        return Err(format!("version {}, not {VERSION}", content.version));
    }
    let mut positions = BTreeMap::new();
    for (host, cursors) in content.hosts {
        let cursors: Result<Vec<Bytes>, _> =
            cursors.iter().map(|cursor| STANDARD.decode(cursor).map(Bytes::from)).collect();
        let cursors = cursors.map_err(|error| format!("a cursor of host `{host}`: {error}"))?;
        positions.insert(host, Position::new(cursors));
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(cursors: &[&'static [u8]]) -> Position {
        Position::new(cursors.iter().map(|cursor| Bytes::from_static(cursor)).collect())
    }

    #[test]
    fn positions_survive_and_hosts_that_are_not_read_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cursors");
        let mut file = CursorFile::open(&path).expect("absent");
        assert!(!file.was_found() && file.position("a").is_beginning());
        let (a, b) = (position(&[b"\0\xff", b"2"]), position(&[b"3"]));
        file.save([("a", &a), ("b", &b), ("c", &Position::default())].into_iter()).expect("saved");
        let mut file = CursorFile::open(&path).expect("there");
        assert!(file.was_found());
        assert_eq!((file.position("a"), file.position("b")), (a.clone(), b));
        assert!(file.position("c").is_beginning());
        let b = position(&[b"4"]);
        file.save([("b", &b)].into_iter()).expect("saved");
        let file = CursorFile::open(&path).expect("there");
        assert_eq!((file.position("a"), file.position("b")), (a, b));
        let left: Vec<_> = fs::read_dir(directory.path()).expect("listed").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().expect("a directory");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let mut file = CursorFile::open(&link).expect("empty");
        assert!(!file.was_found());
        file.save([("a", &position(&[b"1"]))].into_iter()).expect("saved");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert!(CursorFile::open(&real).expect("there").was_found());
    }

    #[test]
    fn what_is_something_else_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cursors");
        for text in ["text", "{}", r#"{"version":2,"hosts":{}}"#, r#"{"version":1,"hosts":{"a":["?"]}}"#, "\n"] {
            fs::write(&path, text).expect("written");
            let error = CursorFile::open(&path).expect_err(text);
            assert!(error.to_string().contains("is no cursor file of logtap"), "{error}");
        }
        let error = CursorFile::open(directory.path()).expect_err("a directory");
        assert!(matches!(error, CursorFileError::Read(..)), "{error}");
    }
}
