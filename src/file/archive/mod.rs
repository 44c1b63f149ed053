//! Compressed logs, read by position: `pread` in uncompressed bytes over `.gz` and `.zst` files.
//!
//! Rotation compresses a log while somebody reads it; to a reader with an offset it is the same file in other clothes.
//! Decoding only goes forward, so two things make a read at an offset cheap:
//!
//! - **parked decoders**: a reader that goes on where it was takes up the decoder that it left, see [`Parking`];
//! - **checkpoints**, left behind by whoever decodes an archive for the first time: every 4 MiB, and the more apart the
//!   longer it is, a gzip member can be entered with the inflater's few bits and the 32 KiB before. Between members and
//!   between zstd frames nothing is needed. A zstd frame has no checkpoint inside: one would have to carry its window,
//!   megabytes, and tables that zstd does not give away. A read behind everybody's position starts at its frame again.
//!
//! Every checksum is verified by whoever passes it, also from checkpoints. The file may be anything: what is wrong with
//! it is an [`ArchiveError`], at the offset up to which it is right; memory is bounded whatever it says.
//!
//! Nothing here is remembered about a file that has changed since, and nothing here knows which log an archive belongs
//! to, nor when to open it.

mod decoder;
mod error;
mod gzip;
mod index;
mod input;
mod pack;
mod parking;
mod window;
mod zstd;

use std::{fmt, fs::File, io, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use self::{
    decoder::{Decoder, Fault, Outcome},
    index::{Ending, Index, Stamp},
    input::Input,
};
use crate::{
    entry::Offset,
    file::{Blocking, ReadAt as _},
    limits::{ARCHIVE_CHECKPOINT_BYTES, ARCHIVE_INPUT_BYTES},
};

/// Bytes read at once where only headers are wanted.
const LOOK_BYTES: usize = 512;

pub use self::{error::ArchiveError, parking::Parking};

/// How a log is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Kind {
    /// Bytes from the beginning of a file that [`Kind::of_magic`] looks at.
    pub const MAGIC_BYTES: usize = 4;

    /// What the name says: `.gz` and `.zst` are compressed.
    pub fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.as_encoded_bytes() {
            b"gz" => Some(Self::Gzip),
            b"zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first bytes of a file say.
    pub fn of_magic(head: &[u8]) -> Option<Self> {
        if head.starts_with(&gzip::MAGIC) {
            return Some(Self::Gzip);
        }
        head.first_chunk().is_some_and(|magic| zstd::is_frame(*magic)).then_some(Self::Zstd)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// What tests and measurements make smaller.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Uncompressed bytes between checkpoints, at first.
    pub checkpoint_bytes: u64,
    /// Compressed bytes read at once, at least 8.
    pub input_bytes: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { checkpoint_bytes: ARCHIVE_CHECKPOINT_BYTES, input_bytes: ARCHIVE_INPUT_BYTES }
    }
}

/// How far [`Archive::verify`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The archive is whole: it has this many uncompressed bytes, and every checksum holds.
    Whole(u64),
    /// Right up to here; call again.
    GoOn(Offset),
    /// Right up to here, where the file ends too early: it is being written, or was cut.
    NotYet(Offset),
}

/// One compressed file, for any number of threads at a time; reads at different places decode side by side.
pub struct Archive {
    file: Arc<File>,
    /// For messages.
    path: Arc<Path>,
    kind: Kind,
    sizes: Sizes,
    index: Index,
    parking: Arc<Parking>,
    /// Ours in `parking`.
    number: u64,
}

impl Archive {
    /// An archive over `file`, which must begin as `kind` does. `path` is for messages.
    ///
    /// # Errors
    /// [`ArchiveError::NotAnArchive`]; [`ArchiveError::Truncated`] when the file is too short to tell.
    pub fn open(file: Arc<File>, path: &Path, kind: Kind, parking: &Arc<Parking>) -> Result<Self, ArchiveError> {
        Self::open_with(file, path, kind, parking, Sizes::default())
    }

    /// [`Archive::open`] with other sizes.
    ///
    /// # Errors
    /// The same.
    pub fn open_with(
        file: Arc<File>,
        path: &Path,
        kind: Kind,
        parking: &Arc<Parking>,
        sizes: Sizes,
    ) -> Result<Self, ArchiveError> {
        let path: Arc<Path> = path.into();
        let io = |source| ArchiveError::Io { path: Arc::clone(&path), offset: Offset::ZERO, source: Arc::new(source) };
        let stamp = stamp(&file).map_err(io)?;
        let mut magic = [0; Kind::MAGIC_BYTES];
        match Blocking(&file).fill_at(&mut magic, Offset::ZERO) {
            Ok(got) if got < magic.len() => return Err(ArchiveError::Truncated { path, offset: Offset::ZERO }),
            Ok(_) if Kind::of_magic(&magic) == Some(kind) => {}
            Ok(_) => return Err(ArchiveError::NotAnArchive { path, kind }),
            Err(error) => return Err(io(error)),
        }
        let index = Index::new(stamp, sizes.checkpoint_bytes);
        Ok(Self { file, path, kind, sizes, index, parking: Arc::clone(parking), number: parking.number() })
    }

    /// How the file is compressed.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Fills `buf` with the uncompressed bytes from `offset` on and returns how many there were: fewer than `buf` has room
    /// for only at the end, or before what cannot be read, which the next read then tells. 0 at the end and past it.
    ///
    /// # Errors
    /// Those of [`ArchiveError`] but for `NotAnArchive`, when `offset` cannot be reached. After `Truncated` and `Io` a later
    /// read may succeed, after the others only when the file has changed.
    pub fn read_at(&self, offset: Offset, buf: &mut [u8]) -> Result<usize, ArchiveError> {
        if buf.is_empty() {
            return Ok(0);
        }
        let stamp = stamp(&self.file).map_err(|error| self.error(offset.0, Fault::Io(error)))?;
        let epoch = self.index.epoch(stamp);
        match self.index.ending() {
            Ending::Whole(len) if len <= offset.0 => return Ok(0),
            Ending::Damaged(at, what) if at <= offset.0 => return Err(self.error(at, Fault::Damaged(what))),
            Ending::WindowTooLarge(at) if at <= offset.0 => return Err(self.error(at, Fault::WindowTooLarge)),
            Ending::Whole(_) | Ending::Damaged(..) | Ending::WindowTooLarge(_) | Ending::Unknown => {}
        }
        let mut decoder = self.decoder(offset.0, epoch)?;
        let (filled, outcome) = decoder.read(offset.0, buf, &self.index);
        let at = decoder.end();
        let fault = match outcome {
            Outcome::Full => None,
            Outcome::End => {
                self.index.end(Ending::Whole(at), epoch);
                None
            }
            Outcome::Fault(fault) => Some(fault),
        };
        match &fault {
            None | Some(Fault::Truncated) => self.parking.park(self.number, decoder),
            // It may be in the middle of something; the next read starts from a checkpoint.
            Some(Fault::Io(_)) => {}
            Some(Fault::Damaged(what)) => self.index.end(Ending::Damaged(at, what), epoch),
            Some(Fault::WindowTooLarge) => self.index.end(Ending::WindowTooLarge(at), epoch),
        }
        match fault {
            Some(fault) if filled == 0 => Err(self.error(at, fault)),
            Some(_) | None => Ok(filled),
        }
    }

    /// A cheap look: false when [`Archive::verify`] is sure to find that the archive is not whole. For zstd true says that
    /// every frame and block is there, undamaged or not; for gzip, which has nothing to go by but the length of its last
    /// member, it says little.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn looks_whole(&self) -> Result<bool, ArchiveError> {
        let look = || {
            let size = self.file.metadata()?.size();
            match self.kind {
                Kind::Gzip => {
                    let mut tail = [0; 4];
                    let got = Blocking(&self.file).fill_at(&mut tail, Offset(size.saturating_sub(4)))?;
                    Ok(got == tail.len() && gzip::may_be_whole(size, tail))
                }
                Kind::Zstd => zstd::is_whole(&mut Input::new(Arc::clone(&self.file), 0, LOOK_BYTES), size),
            }
        };
        look().map_err(|error| self.error(0, Fault::Io(error)))
    }

    /// Goes through at most `bytes` more uncompressed bytes of what nobody has read yet, verifying all checksums, and tells
    /// whether the archive is whole. Calls go on where the ones before ended, reads leave less to do.
    ///
    /// # Errors
    /// As [`Archive::read_at`], except that ending too early is [`Verdict::NotYet`].
    pub fn verify(&self, bytes: u64) -> Result<Verdict, ArchiveError> {
        let reached = self.reached()?;
        // The byte at `target` is read too, so that even a budget of 0 comes on.
        let target = Offset(reached.0.saturating_add(bytes));
        let read = self.read_at(target, &mut [0]);
        match (read, self.index.ending()) {
            (_, Ending::Whole(len)) => Ok(Verdict::Whole(len)),
            (Ok(_), _) => Ok(Verdict::GoOn(Offset(self.index.reached()))),
            (Err(ArchiveError::Truncated { offset, .. }), _) => Ok(Verdict::NotYet(offset)),
            (Err(error), _) => Err(error),
        }
    }

    /// The uncompressed length, going through what is left of the archive; `None` when it ends too early.
    ///
    /// # Errors
    /// As [`Archive::verify`].
    pub fn measure(&self) -> Result<Option<u64>, ArchiveError> {
        match self.verify(u64::MAX)? {
            Verdict::Whole(len) => Ok(Some(len)),
            Verdict::NotYet(_) | Verdict::GoOn(_) => Ok(None),
        }
    }

    /// The uncompressed length, once somebody came to the end of the file as it is now.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn len(&self) -> Result<Option<u64>, ArchiveError> {
        self.reached()?;
        match self.index.ending() {
            Ending::Whole(len) => Ok(Some(len)),
            Ending::Unknown | Ending::Damaged(..) | Ending::WindowTooLarge(_) => Ok(None),
        }
    }

    /// What the uncompressed length cannot exceed, by the size of the file alone: far too much, but safe.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn len_max(&self) -> Result<u64, ArchiveError> {
        let stamp = stamp(&self.file).map_err(|error| self.error(0, Fault::Io(error)))?;
        let expansion = match self.kind {
            Kind::Gzip => gzip::EXPANSION_MAX,
            Kind::Zstd => zstd::EXPANSION_MAX,
        };
        Ok(stamp.size.saturating_mul(expansion))
    }

    /// Uncompressed bytes decoded so far, those decoded again counted again: the work that reading cost.
    pub fn decoded(&self) -> u64 {
        self.index.decoded()
    }

    /// Bytes of memory that the checkpoints hold. Parked decoders are counted by [`Parking::memory`].
    pub fn memory(&self) -> usize {
        self.index.memory()
    }

    /// Forgets the checkpoints. Readers that go on are not disturbed and leave new ones.
    pub fn drop_checkpoints(&self) {
        self.index.clear();
    }

    /// How far the file as it is now has been decoded.
    fn reached(&self) -> Result<Offset, ArchiveError> {
        let stamp = stamp(&self.file).map_err(|error| self.error(0, Fault::Io(error)))?;
        self.index.epoch(stamp);
        Ok(Offset(self.index.reached()))
    }

    /// The decoder that gives `offset` with the least work.
    fn decoder(&self, offset: u64, epoch: u64) -> Result<Decoder, ArchiveError> {
        let from = self.index.before(offset);
        match self.parking.take(self.number, epoch, from.offset, offset) {
            Some(decoder) => Ok(decoder),
            None => Decoder::new(&self.file, self.kind, self.sizes, epoch, &from)
                .map_err(|fault| self.error(from.offset, fault)),
        }
    }

    fn error(&self, offset: u64, fault: Fault) -> ArchiveError {
        let (path, offset) = (Arc::clone(&self.path), Offset(offset));
        match fault {
            Fault::Damaged(what) => ArchiveError::Damaged { path, offset, what },
            Fault::Truncated => ArchiveError::Truncated { path, offset },
            Fault::WindowTooLarge => ArchiveError::WindowTooLarge { path, offset },
            Fault::Io(source) => ArchiveError::Io { path, offset, source: Arc::new(source) },
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.parking.forget(self.number);
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("path", &self.path).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let metadata = file.metadata()?;
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Ok(Stamp { size: metadata.size(), modified })
}
