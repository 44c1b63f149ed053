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
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The best ratio: a block of one repeated byte, four bytes for 128 KiB.
pub(super) const EXPANSION_MAX: u64 = 32 << 10;

/// Whether `magic` begins a frame, with data or to be skipped.
pub(super) const fn is_frame(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) == u32::from_le_bytes(MAGIC) || is_skippable(magic)
}

/// Whether `magic` begins a frame that holds no data.
pub(super) const fn is_skippable(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) & !0xf == 0x184d_2a50
}

/// A decoder's place in the structure of the file.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// Whether a frame has begun and not ended.
    place: Place,
}

enum Place {
    Between,
    Inside,
}

impl Zstd {
    /// A decoder between frames.
    pub(super) fn new() -> Result<Self, Fault> {
        let mut context = DCtx::try_create().ok_or_else(out_of_memory)?;
        context.set_parameter(DParameter::WindowLogMax(ARCHIVE_ZSTD_WINDOW_LOG_MAX)).map_err(fault)?;
        Ok(Self { context, place: Place::Between })
    }

    /// Decodes up to `want` bytes into `window`, not past the end of a frame.
    ///
    /// After [`Fault::Truncated`] and [`Fault::Io`] the step can be tried again.
    pub(super) fn step(&mut self, input: &mut Input, window: &mut Window, want: u64) -> Result<Step, Fault> {
        match self.place {
            Place::Between => match input.peek()? {
                Some(magic) if is_frame(magic) => {
                    self.place = Place::Inside;
                    Ok(Step::Output)
                }
                Some(_) => Err(Fault::Damaged("not a frame")),
                None if input.buffered().is_empty() && input.at() > 0 => Ok(Step::End),
                None => Err(Fault::Truncated),
            },
            Place::Inside => self.decode(input, window, want),
        }
    }

    fn decode(&mut self, input: &mut Input, window: &mut Window, want: u64) -> Result<Step, Fault> {
        let Room { bytes, at, .. } = window.room(want);
        let mut output = OutBuffer::around_pos(bytes, at);
        let mut compressed = InBuffer::around(input.buffered());
        let rest = self.context.decompress_stream(&mut output, &mut compressed).map_err(fault)?;
        let (consumed, made) = (compressed.pos(), output.pos() - at);
        input.consume(consumed);
        window.advance(made);
        if rest == 0 {
            self.place = Place::Between;
            return Ok(Step::Boundary);
        }
        // Asking for more only when nothing moved lets the context flush what it holds.
        if consumed == 0 && made == 0 && input.more()? == 0 {
            return Err(Fault::Truncated);
        }
        Ok(Step::Output)
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.context.sizeof()
    }
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

/// Whether a file of `size` bytes consists of whole frames, by the lengths in their headers: nothing is decoded, and of
/// what lies between the headers nothing is read but what comes with them.
pub(super) fn is_whole(input: &mut Input, size: u64) -> io::Result<bool> {
    while input.at() < size {
        let Some(magic) = input.peek()? else { return Ok(false) };
        if !is_frame(magic) {
            return Ok(false);
        }
        input.consume(magic.len());
        let whole = if is_skippable(magic) {
            let Some(length) = input.peek()? else { return Ok(false) };
            input.skip(4 + u64::from(u32::from_le_bytes(length)));
            true
        } else {
            skip_blocks(input)?
        };
        if !whole {
            return Ok(false);
        }
    }
    Ok(input.at() == size)
}

/// Goes from behind a frame's magic number to its end; false when the file ends before, or the headers mean nothing.
fn skip_blocks(input: &mut Input) -> io::Result<bool> {
    let Some([descriptor]) = input.peek()? else { return Ok(false) };
    let single_segment = descriptor & 0x20 != 0;
    let checksum = descriptor & 4 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => u64::from(single_segment),
        flag => 1 << flag,
    };
    input.skip(1 + u64::from(!single_segment) + dictionary + content_size);
    loop {
        let Some([b0, b1, b2]) = input.peek()? else { return Ok(false) };
        let header = u32::from_le_bytes([b0, b1, b2, 0]);
        let stored = match header >> 1 & 3 {
            1 => 1,
            0 | 2 => u64::from(header >> 3),
            _ => return Ok(false),
        };
        input.skip(3 + stored);
        if header & 1 != 0 {
            input.skip(if checksum { 4 } else { 0 });
            return Ok(true);
        }
    }
}
