//! Why an archive cannot be read.

use std::{error::Error, fmt, io, path::Path, sync::Arc};

use super::Kind;
use crate::{entry::Offset, limits::ARCHIVE_ZSTD_WINDOW_LOG_MAX};

/// Why an archive cannot be read. What lies before `offset` (uncompressed) can be.
#[derive(Clone, Debug)]
pub enum ArchiveError {
    /// The file does not begin as its kind does.
    NotAnArchive {
        /// The file.
        path: Arc<Path>,
        /// What it was taken for.
        kind: Kind,
    },
    /// The bytes mean nothing, or a checksum differs.
    Damaged {
        /// The file.
        path: Arc<Path>,
        /// Up to here.
        offset: Offset,
        /// What was found.
        what: &'static str,
    },
    /// The file ends too early. One that is still being written does, so this is "not yet" as well.
    Truncated {
        /// The file.
        path: Arc<Path>,
        /// Up to here.
        offset: Offset,
    },
    /// A zstd frame was made with a larger window (`--long`, `--ultra`) than is granted.
    WindowTooLarge {
        /// The file.
        path: Arc<Path>,
        /// Up to here.
        offset: Offset,
    },
    /// The file cannot be read.
    Io {
        /// The file.
        path: Arc<Path>,
        /// Up to here.
        offset: Offset,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl ArchiveError {
    /// How many uncompressed bytes come before it.
    pub fn offset(&self) -> Offset {
        match self {
            Self::NotAnArchive { .. } => Offset::ZERO,
            Self::Damaged { offset, .. }
            | Self::Truncated { offset, .. }
            | Self::WindowTooLarge { offset, .. }
            | Self::Io { offset, .. } => *offset,
        }
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnArchive { path, kind } => write!(f, "{}: not a {kind} file", path.display()),
            Self::Damaged { path, offset, what } => {
                write!(f, "{}: damaged after {} uncompressed bytes: {what}", path.display(), offset.0)
            }
            Self::Truncated { path, offset } => {
                write!(f, "{}: ends too early, after {} uncompressed bytes", path.display(), offset.0)
            }
            Self::WindowTooLarge { path, offset } => write!(
                f,
                "{}: compressed with a window of more than {} MiB (zstd --long or --ultra) after {} uncompressed bytes",
                path.display(),
                (1_u64 << ARCHIVE_ZSTD_WINDOW_LOG_MAX) >> 20,
                offset.0,
            ),
            Self::Io { path, offset, source } => {
                write!(f, "{}: after {} uncompressed bytes: {source}", path.display(), offset.0)
            }
        }
    }
}

impl Error for ArchiveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotAnArchive { .. } | Self::Damaged { .. } | Self::Truncated { .. } | Self::WindowTooLarge { .. } => {
                None
            }
        }
    }
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        let kind = match &error {
            ArchiveError::Io { source, .. } => source.kind(),
            ArchiveError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            ArchiveError::NotAnArchive { .. } | ArchiveError::Damaged { .. } | ArchiveError::WindowTooLarge { .. } => {
                io::ErrorKind::InvalidData
            }
        };
        Self::new(kind, error)
    }
}
