//! Frames of a zstd file (RFC 8878). A frame can be decoded from its beginning only.

use std::io;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_ErrorCode};

use super::{
    decoder::{Fault, Step},
    input::Input,
    window::{Room, Window},
};
use crate::limits::ARCHIVE_ZSTD_WINDOW_LOG_MAX;

/// What a frame with data begins with.
const MAGIC: u32 = 0xfd2f_b528;
/// The best ratio: a block of one repeated byte, four bytes for 128 KiB.
pub(super) const EXPANSION_MAX: u64 = 32 << 10;

/// Whether `magic` begins a frame, with data or to be skipped.
pub(super) const fn is_frame(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) == MAGIC || is_skippable(magic)
}

const fn is_skippable(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) & !0xf == 0x184d_2a50
}

/// A decoder's place in the structure of the file.
///
/// The context gets one part of a frame at a time, and all that a part yields is taken before it gets the next one: on an
/// error it gives nothing of what it has just made, so that parts before the damage would be lost with it.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// Whether the context has given all that it made.
    drained: bool,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// Before a frame, or at the end.
    Between,
    /// In a part of a frame that ends at this position in the file.
    Inside { end: u64, next: Next },
}

/// What follows a part of a frame.
#[derive(Clone, Copy)]
enum Next {
    /// A block; `checksum` tells whether a checksum follows the last one.
    Block { checksum: bool },
    /// The checksum.
    Checksum,
    /// Another frame.
    Frame,
}

impl Zstd {
    /// A decoder between frames.
    pub(super) fn new() -> Result<Self, Fault> {
        let mut context = DCtx::try_create().ok_or_else(out_of_memory)?;
        context.set_parameter(DParameter::WindowLogMax(ARCHIVE_ZSTD_WINDOW_LOG_MAX)).map_err(fault)?;
        Ok(Self { context, drained: true, place: Place::Between })
    }

    /// Decodes up to `want` bytes into `window`, not past the end of a frame.
    ///
    /// After [`Fault::Truncated`] the step can be tried again.
    pub(super) fn step(&mut self, input: &mut Input, window: &mut Window, want: u64) -> Result<Step, Fault> {
        match self.place {
            Place::Between => match input.peek()? {
                Some(magic) if is_frame(magic) => {
                    let (length, next) = frame_header(input)?.ok_or(Fault::Truncated)?;
                    self.place = Place::Inside { end: input.at().saturating_add(length), next };
                    Ok(Step::Output)
                }
                Some(_) => Err(Fault::Damaged("not a frame")),
                None if input.buffered().is_empty() && input.at() > 0 => Ok(Step::End),
                None => Err(Fault::Truncated),
            },
            Place::Inside { end, next } => self.decode(input, window, want, end, next),
        }
    }

    fn decode(
        &mut self,
        input: &mut Input,
        window: &mut Window,
        want: u64,
        end: u64,
        next: Next,
    ) -> Result<Step, Fault> {
        let left = usize::try_from(end - input.at()).unwrap_or(usize::MAX);
        let buffered = input.buffered();
        let compressed = &buffered[..buffered.len().min(left)];
        // A context that is called in vain too often takes that for an error.
        if compressed.is_empty() && self.drained {
            return self.provide(input, end, next);
        }
        let Room { bytes, at, .. } = window.room(want);
        let room = bytes.len() - at;
        let mut output = OutBuffer::around_pos(bytes, at);
        let mut compressed = InBuffer::around(compressed);
        let rest = self.context.decompress_stream(&mut output, &mut compressed).map_err(fault)?;
        let (consumed, made) = (compressed.pos(), output.pos() - at);
        input.consume(consumed);
        window.advance(made);
        self.drained = made < room;
        if rest == 0 {
            self.place = Place::Between;
            return Ok(Step::Boundary);
        }
        Ok(Step::Output)
    }

    /// Sees to it that there is something to decode: of this part, or else the next one.
    fn provide(&mut self, input: &mut Input, end: u64, next: Next) -> Result<Step, Fault> {
        if input.at() < end {
            return if input.more()? == 0 { Err(Fault::Truncated) } else { Ok(Step::Output) };
        }
        if matches!(next, Next::Frame) {
            return Err(Fault::Damaged("a frame without end"));
        }
        let (length, next) = part(input, next)?.ok_or(Fault::Truncated)?;
        self.place = Place::Inside { end: end.saturating_add(length), next };
        Ok(Step::Output)
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.context.sizeof()
    }
}

/// Whether a file of `size` bytes consists of whole frames, by the lengths in their headers: nothing is decoded, and of
/// what lies between the headers nothing is read but what comes with them.
pub(super) fn is_whole(input: &mut Input, size: u64) -> io::Result<bool> {
    while input.at() < size {
        let Some((length, mut next)) = frame_header(input)? else { return Ok(false) };
        input.skip(length);
        while matches!(next, Next::Block { .. } | Next::Checksum) {
            let Some((length, after)) = part(input, next)? else { return Ok(false) };
            input.skip(length);
            next = after;
        }
    }
    Ok(input.at() == size)
}

/// The length of the frame header at `input` (with the data of a frame to be skipped) and what follows it; `None` when the
/// file ends in it, or it is none.
fn frame_header(input: &mut Input) -> io::Result<Option<(u64, Next)>> {
    let Some(magic) = input.peek()?.filter(|magic| is_frame(*magic)) else { return Ok(None) };
    if is_skippable(magic) {
        let Some([.., l0, l1, l2, l3]) = input.peek::<8>()? else { return Ok(None) };
        return Ok(Some((8 + u64::from(u32::from_le_bytes([l0, l1, l2, l3])), Next::Frame)));
    }
    let Some([.., descriptor]) = input.peek::<5>()? else { return Ok(None) };
    let single_segment = descriptor & 0x20 != 0;
    let checksum = descriptor & 4 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => u64::from(single_segment),
        flag => 1 << flag,
    };
    Ok(Some((5 + u64::from(!single_segment) + dictionary + content_size, Next::Block { checksum })))
}

/// The length of the part `next` at `input`, and what follows it; `None` when the file ends in it.
fn part(input: &mut Input, next: Next) -> io::Result<Option<(u64, Next)>> {
    let checksum = match next {
        Next::Block { checksum } => checksum,
        Next::Checksum => return Ok(Some((4, Next::Frame))),
        Next::Frame => return Ok(Some((0, Next::Frame))),
    };
    let Some([b0, b1, b2]) = input.peek()? else { return Ok(None) };
    let header = u32::from_le_bytes([b0, b1, b2, 0]);
    let stored = match header >> 1 & 3 {
        // One byte, repeated.
        1 => 1,
        _ => u64::from(header >> 3),
    };
    let next = match (header & 1 != 0, checksum) {
        (false, _) => Next::Block { checksum },
        (true, true) => Next::Checksum,
        (true, false) => Next::Frame,
    };
    Ok(Some((3 + stored, next)))
}

fn out_of_memory() -> Fault {
    Fault::Io(io::ErrorKind::OutOfMemory.into())
}

/// zstd returns its error codes negated.
fn fault(code: usize) -> Fault {
    match code.wrapping_neg() {
        number if number == ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as usize => Fault::WindowTooLarge,
        number if number == ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize => out_of_memory(),
        _ => Fault::Damaged(zstd_safe::get_error_name(code)),
    }
}
