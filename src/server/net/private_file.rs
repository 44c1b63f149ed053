//! Small files that hold secrets, or belong beside them.

use std::{
    error::Error,
    fmt,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// The bits of a file's mode by which anybody may read or change it.
const WORLD: u32 = 0o006;

/// Whether a file may be everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Anybody may read and, if that is what its owner wants, change it.
    Public,
    /// Nobody but its owner and group.
    Secret,
}

/// Why a file is not read.
#[derive(Debug)]
pub enum FileError {
    /// The system does not let us.
    Read(io::Error),
    /// Anybody may read or change the secret in it.
    Exposed {
        /// Its mode.
        mode: u32,
    },
    /// It is larger than any file of its kind.
    TooLarge {
        /// Bytes that are read at most.
        max: u64,
    },
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read(path: &Path, secrecy: Secrecy, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::Read)?;
    // Asked of the open file, so that what is checked is what is read.
    let mode = file.metadata().map_err(FileError::Read)?.mode() & 0o7777;
    match secrecy {
        Secrecy::Secret if mode & WORLD != 0 => return Err(FileError::Exposed { mode }),
        Secrecy::Secret | Secrecy::Public => {}
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(FileError::Read)?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLarge { max });
    }
    Ok(bytes)
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(source) => source.fmt(f),
            Self::Exposed { mode } => write!(f, "its mode {mode:04o} lets anybody read or change the secrets in it"),
            Self::TooLarge { max } => write!(f, "larger than {max} bytes"),
        }
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(source) => Some(source),
            Self::Exposed { .. } | Self::TooLarge { .. } => None,
        }
    }
}
