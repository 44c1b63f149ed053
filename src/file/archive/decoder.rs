//! A decoder: one position in an archive, and the way on from there.

use std::{fs::File, io, sync::Arc};

use super::{
    Kind, Sizes,
    gzip::{self, Gzip},
    index::Index,
    input::Input,
    window::Window,
    zstd::Zstd,
};
use crate::limits::{ARCHIVE_BACK_BYTES_MAX, ARCHIVE_BACK_BYTES_MIN, ARCHIVE_BACK_SHARE, ARCHIVE_HISTORY_BYTES};

/// Reads one archive forward from a checkpoint. It can give again what its window still has.
pub(super) struct Decoder {
    input: Input,
    window: Window,
    codec: Codec,
    /// The state of the file that it reads, see [`Index::epoch`]: another one's bytes must not be mixed in.
    epoch: u64,
}

enum Codec {
    Gzip(Gzip),
    Zstd(Zstd),
}

/// A place where decoding can be taken up.
#[derive(Clone)]
pub(super) struct Checkpoint {
    /// The uncompressed offset.
    pub(super) offset: u64,
    /// The position in the file.
    pub(super) input: u64,
    /// What else is needed inside of a gzip member; between members and between frames nothing is.
    pub(super) resume: Option<Arc<gzip::Resume>>,
}

/// What a step of decoding came to.
pub(super) enum Step {
    /// It went on.
    Output,
    /// It ended where a checkpoint is cheap.
    Boundary,
    /// The archive ends here.
    End,
}

/// Why decoding cannot go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes mean nothing.
    Damaged(&'static str),
    /// The file ends too early; it may grow.
    Truncated,
    /// A zstd frame wants a larger window than is granted.
    WindowTooLarge,
    /// The file cannot be read, or memory is short.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How a read ended.
pub(super) enum Outcome {
    /// Where it was to end.
    Full,
    /// At the end of the archive, which is the decoder's position.
    End,
    /// At the decoder's position, for this reason.
    Fault(Fault),
}

impl Checkpoint {
    /// The beginning, which every archive has.
    pub(super) const START: Self = Self { offset: 0, input: 0, resume: None };

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.resume.as_ref().map_or(0, |resume| resume.memory())
    }
}

impl Decoder {
    /// A decoder at `from`, for `file` in the state `epoch`.
    pub(super) fn new(
        file: &Arc<File>,
        kind: Kind,
        sizes: Sizes,
        epoch: u64,
        from: &Checkpoint,
    ) -> Result<Self, Fault> {
        let input = Input::new(Arc::clone(file), from.input, sizes.input_bytes);
        let (codec, window) = match (kind, &from.resume) {
            (Kind::Gzip, Some(resume)) => {
                let (gzip, window) = Gzip::resume(resume, from.offset)?;
                (Codec::Gzip(gzip), window)
            }
            (Kind::Gzip, None) => (Codec::Gzip(Gzip::Between), Window::ending_at(from.offset, &[])),
            (Kind::Zstd, _) => (Codec::Zstd(Zstd::new()?), Window::ending_at(from.offset, &[])),
        };
        Ok(Self { input, window, codec, epoch })
    }

    /// The first offset that it can still give.
    pub(super) const fn start(&self) -> u64 {
        self.window.start()
    }

    /// The offset of the first byte that it has not decoded.
    pub(super) const fn end(&self) -> u64 {
        self.window.end()
    }

    /// The state of the file that it reads.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Fills `buf` with the bytes from `offset` (not before [`Decoder::start`]) on; returns how many there were, and why
    /// there were not more. Leaves checkpoints in `index` where they are due.
    pub(super) fn read(&mut self, offset: u64, buf: &mut [u8], index: &Index) -> (usize, Outcome) {
        let from = self.end();
        let outcome = self.approach(offset, buf.len(), index);
        let (filled, outcome) = match outcome {
            Outcome::Full => self.fill(offset, buf, index),
            Outcome::End | Outcome::Fault(_) => (0, outcome),
        };
        index.reach(self.end(), self.end() - from, self.epoch);
        (filled, outcome)
    }

    /// Goes to `offset`, keeping what it makes last on the way for reads before `offset`, with room for `len` more bytes.
    fn approach(&mut self, offset: u64, len: usize, index: &Index) -> Outcome {
        if offset.saturating_sub(self.end()) <= ARCHIVE_HISTORY_BYTES as u64 {
            return Outcome::Full;
        }
        let back = ((offset - self.end()) / ARCHIVE_BACK_SHARE).clamp(ARCHIVE_BACK_BYTES_MIN, ARCHIVE_BACK_BYTES_MAX);
        let near = offset.saturating_sub(back);
        if self.end() < near
            && let outcome @ (Outcome::End | Outcome::Fault(_)) = self.go_to(near, index, |_| {})
        {
            return outcome;
        }
        self.window.widen((offset - self.end()) as usize + len.min(ARCHIVE_BACK_BYTES_MIN as usize));
        Outcome::Full
    }

    fn fill(&mut self, offset: u64, buf: &mut [u8], index: &Index) -> (usize, Outcome) {
        let target = offset.saturating_add(buf.len() as u64);
        let mut filled = self.window.copy(offset, buf);
        let outcome = self.go_to(target, index, |window| {
            filled += window.copy(offset + filled as u64, &mut buf[filled..]);
        });
        (filled, outcome)
    }

    /// Decodes up to `target`, showing the window after each step.
    fn go_to(&mut self, target: u64, index: &Index, mut made: impl FnMut(&Window)) -> Outcome {
        let mut due = index.due(self.end());
        while self.end() < target {
            let step = self.step(target - self.end(), due <= self.end());
            // A step that failed may have made something before.
            made(&self.window);
            let at_boundary = match step {
                Ok(Step::Output) => false,
                Ok(Step::Boundary) => true,
                Ok(Step::End) => return Outcome::End,
                Err(fault) => return Outcome::Fault(fault),
            };
            if due <= self.end() && (at_boundary || index.overdue(due) <= self.end() && self.can_stop_anywhere()) {
                index.insert(self.checkpoint(at_boundary), self.epoch);
                due = index.due(self.end());
            }
        }
        Outcome::Full
    }

    fn step(&mut self, want: u64, stop: bool) -> Result<Step, Fault> {
        match &mut self.codec {
            Codec::Gzip(gzip) => gzip.step(&mut self.input, &mut self.window, want, stop),
            Codec::Zstd(zstd) => zstd.step(&mut self.input, &mut self.window, want),
        }
    }

    /// Whether a checkpoint can be made inside of a block.
    const fn can_stop_anywhere(&self) -> bool {
        match &self.codec {
            Codec::Gzip(gzip) => gzip.inside(),
            Codec::Zstd(_) => false,
        }
    }

    fn checkpoint(&self, at_boundary: bool) -> Checkpoint {
        let resume = match &self.codec {
            Codec::Gzip(gzip) => gzip.checkpoint(&self.window, at_boundary),
            Codec::Zstd(_) => None,
        };
        Checkpoint { offset: self.end(), input: self.input.at(), resume: resume.map(Arc::new) }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let codec = match &self.codec {
            Codec::Gzip(gzip) => gzip.memory(),
            Codec::Zstd(zstd) => zstd.memory(),
        };
        self.input.memory() + self.window.memory() + codec
    }
}
