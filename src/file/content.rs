//! An open file of a log, as bytes at offsets, whether it is plain or compressed.

use std::{fs::File, io, num::NonZeroU64, path::Path, sync::Arc};

use super::{
    Blocking, Cached, ReadAt,
    archive::{Archive, Kind, Parking},
    identity,
};
use crate::entry::{Nanos, Offset};

/// An open file. Reading it may wait for a disk, and for a decoder.
#[derive(Debug)]
pub enum Content {
    /// What the file holds are the log's bytes.
    Plain(File),
    /// The log's bytes are what the file expands to.
    Compressed(Box<Archive>, Arc<File>),
}

impl Content {
    /// What `file` holds, compressed as `kind` says. `path` is for messages.
    ///
    /// # Errors
    /// What the kernel says; `InvalidData` when the file does not begin as its kind does, `UnexpectedEof` when it is too
    /// short to tell.
    pub fn new(file: File, path: &Path, kind: Option<Kind>, parking: &Arc<Parking>) -> io::Result<Self> {
        let Some(kind) = kind else { return Ok(Self::Plain(file)) };
        let file = Arc::new(file);
        let archive = Archive::open(file.clone(), path, kind, parking)?;
        Ok(Self::Compressed(Box::new(archive), file))
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Compressed(_, file) => file,
        }
    }

    /// A reader of it that does not wait; none where reading is work.
    pub fn cached(&self) -> Option<Cached<'_>> {
        match self {
            Self::Plain(file) => Some(Cached(file)),
            Self::Compressed(..) => None,
        }
    }

    /// Has the kernel read a stretch ahead, if its beginning is not in the page cache.
    pub fn prefetch(&self, from: Offset, len: u64) {
        let Self::Plain(file) = self else { return };
        let is_cold = Cached(file).read_at(&mut [0], from).is_err();
        if let (true, Some(len)) = (is_cold, NonZeroU64::new(len)) {
            // A hint: where it is not taken, reading waits a little longer.
            let _ = rustix::fs::fadvise(file, from.0, Some(len), rustix::fs::Advice::WillNeed);
        }
    }

    /// The decoder, if it is compressed.
    pub fn archive(&self) -> Option<&Archive> {
        match self {
            Self::Plain(_) => None,
            Self::Compressed(archive, _) => Some(archive),
        }
    }

    /// Size on the disk, modification time, and names that lead to it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn size_and_mtime(&self) -> io::Result<(Offset, Nanos, u64)> {
        identity::size_and_mtime(self.file())
    }
}

impl ReadAt for Content {
    fn read_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize> {
        match self {
            Self::Plain(file) => Blocking(file).read_at(buf, offset),
            Self::Compressed(archive, _) => ReadAt::read_at(&**archive, buf, offset),
        }
    }

    fn skip_hole(&self, offset: Offset) -> io::Result<Offset> {
        match self {
            Self::Plain(file) => Blocking(file).skip_hole(offset),
            Self::Compressed(..) => Ok(offset),
        }
    }
}
