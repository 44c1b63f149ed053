//! Members of a gzip file (RFC 1952), each a header, a deflate stream (RFC 1951), a checksum and a length.
//!
//! The inflater is miniz_oxide's: its state is a value of 10 KiB that can be copied, and between two blocks it comes
//! down to fewer than eight bits. Either, with the 32 KiB before it, lets decoding go on in the middle of a member.

use crc32fast::Hasher;
use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        BlockBoundaryState, DecompressorOxide, decompress,
        inflate_flags::{
            TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        },
    },
};

use super::{
    decoder::{Fault, Step},
    input::Input,
    pack::Packed,
    window::{Room, Window},
};
use crate::limits::ARCHIVE_HEADER_BYTES_MAX;

/// The farthest that deflate refers back.
const DEFLATE_HISTORY_BYTES: usize = 32 << 10;
/// What every member begins with: the magic number and the only method there is.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Deflate's best: 258 bytes for two bits.
pub(super) const EXPANSION_MAX: u64 = 1032;
/// The shortest member: a header of 10 bytes, an empty block, a trailer of 8.
const MEMBER_BYTES_MIN: u64 = 20;

/// False when a gzip file of `size` bytes that ends with `tail` cannot be whole: the last thing in it would be a length.
pub(super) fn may_be_whole(size: u64, tail: [u8; 4]) -> bool {
    MEMBER_BYTES_MIN <= size && u64::from(u32::from_le_bytes(tail)) <= size.saturating_mul(EXPANSION_MAX)
}

/// Bits of a header's flags.
mod header_flag {
    pub(super) const CRC: u8 = 2;
    pub(super) const EXTRA: u8 = 4;
    pub(super) const NAME: u8 = 8;
    pub(super) const COMMENT: u8 = 16;
    pub(super) const RESERVED: u8 = 0xe0;
}

/// A decoder's place in the structure of the file.
pub(super) enum Gzip {
    /// Before a member, or at the end.
    Between,
    /// In a member's deflate stream.
    Inside(Member),
    /// Before the trailer of this member.
    Trailer(Member),
}

/// A member that is being decoded.
pub(super) struct Member {
    inflate: Box<DecompressorOxide>,
    /// Over the member's bytes so far.
    crc: Hasher,
    /// The uncompressed offset of its first byte.
    start: u64,
}

/// What brings a decoder back into the middle of a member, beside its two positions.
pub(super) struct Resume {
    inflate: Inflate,
    crc: u32,
    start: u64,
    history: Packed,
}

/// The inflater's state.
enum Inflate {
    /// Between two blocks.
    Boundary(BlockBoundaryState),
    /// Inside a block that was too long to wait for its end.
    Inside(Box<DecompressorOxide>),
}

impl Gzip {
    /// A decoder where `resume` was taken, and the history that it needs.
    pub(super) fn resume(resume: &Resume, end: u64) -> Result<(Self, Window), Fault> {
        let inflate = match &resume.inflate {
            Inflate::Boundary(state) => Box::new(DecompressorOxide::from_block_boundary_state(state)),
            Inflate::Inside(inflate) => inflate.clone(),
        };
        let crc = Hasher::new_with_initial_len(resume.crc, end - resume.start);
        let window = Window::ending_at(end, &resume.history.unpack()?);
        Ok((Self::Inside(Member { inflate, crc, start: resume.start }), window))
    }

    /// What is needed to come back to where the decoder stands; `None` between members, where nothing is.
    /// `at_boundary` tells that the last step ended with [`Step::Boundary`].
    pub(super) fn checkpoint(&self, window: &Window, at_boundary: bool) -> Option<Resume> {
        let (Self::Inside(member) | Self::Trailer(member)) = self else { return None };
        let boundary = if at_boundary { member.inflate.block_boundary_state() } else { None };
        let inflate = boundary.map_or_else(|| Inflate::Inside(member.inflate.clone()), Inflate::Boundary);
        let history = Packed::new(window.last(DEFLATE_HISTORY_BYTES));
        Some(Resume { inflate, crc: member.crc.clone().finalize(), start: member.start, history })
    }

    /// Whether the decoder is in a member's deflate stream, whose state can be copied.
    pub(super) const fn inside(&self) -> bool {
        matches!(self, Self::Inside(_))
    }

    /// Decodes up to `want` bytes into `window`; with `stop`, not past the end of a block.
    ///
    /// After [`Fault::Truncated`] the step can be tried again.
    pub(super) fn step(
        &mut self,
        input: &mut Input,
        window: &mut Window,
        want: u64,
        stop: bool,
    ) -> Result<Step, Fault> {
        match self {
            Self::Between => {
                let at = input.at();
                match open_member(input) {
                    Ok(true) => {
                        *self = Self::Inside(Member::starting_at(window.end()));
                        Ok(Step::Output)
                    }
                    Ok(false) => Ok(Step::End),
                    Err(fault) => {
                        input.seek(at);
                        Err(fault)
                    }
                }
            }
            Self::Inside(member) => match member.inflate(input, window, want, stop)? {
                Inflated::Output => Ok(Step::Output),
                Inflated::Boundary => Ok(Step::Boundary),
                Inflated::Done => {
                    if let Self::Inside(member) = std::mem::replace(self, Self::Between) {
                        *self = Self::Trailer(member);
                    }
                    Ok(Step::Output)
                }
            },
            Self::Trailer(member) => {
                let trailer: [u8; 8] = input.peek()?.ok_or(Fault::Truncated)?;
                let [c0, c1, c2, c3, l0, l1, l2, l3] = trailer;
                if u32::from_le_bytes([c0, c1, c2, c3]) != member.crc.clone().finalize() {
                    return Err(Fault::Damaged("the checksum differs"));
                }
                // The trailer has the length modulo 2^32.
                if u32::from_le_bytes([l0, l1, l2, l3]) != (window.end() - member.start) as u32 {
                    return Err(Fault::Damaged("the length differs"));
                }
                input.consume(trailer.len());
                *self = Self::Between;
                Ok(Step::Boundary)
            }
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Between => 0,
            Self::Inside(_) | Self::Trailer(_) => size_of::<DecompressorOxide>(),
        }
    }
}

impl Resume {
    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let inflate = match self.inflate {
            Inflate::Boundary(_) => 0,
            Inflate::Inside(_) => size_of::<DecompressorOxide>(),
        };
        size_of::<Self>() + inflate + self.history.memory()
    }
}

/// How far inflating came.
enum Inflated {
    /// Some of the input or the output is used up.
    Output,
    /// A block ended, another one follows.
    Boundary,
    /// The last block ended.
    Done,
}

impl Member {
    fn starting_at(start: u64) -> Self {
        Self { inflate: Box::default(), crc: Hasher::new(), start }
    }

    fn inflate(&mut self, input: &mut Input, window: &mut Window, want: u64, stop: bool) -> Result<Inflated, Fault> {
        let mut flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        if stop {
            flags |= TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        }
        let Room { bytes, at, base } = window.room(want);
        // The history begins with the member: a reference to what lies before it is damage.
        let first = self.start.saturating_sub(base) as usize;
        let (status, consumed, made) =
            decompress(&mut self.inflate, input.buffered(), &mut bytes[first..], at - first, flags);
        self.crc.update(&bytes[at..at + made]);
        input.consume(consumed);
        window.advance(made);
        match status {
            TINFLStatus::Done => Ok(Inflated::Done),
            TINFLStatus::HasMoreOutput => Ok(Inflated::Output),
            // Only a call that took input is sure to have given back the whole bytes it read ahead.
            TINFLStatus::BlockBoundary if consumed > 0 => Ok(Inflated::Boundary),
            TINFLStatus::BlockBoundary => Ok(Inflated::Output),
            TINFLStatus::NeedsMoreInput if input.more()? == 0 => Err(Fault::Truncated),
            TINFLStatus::NeedsMoreInput => Ok(Inflated::Output),
            TINFLStatus::Failed
            | TINFLStatus::FailedCannotMakeProgress
            | TINFLStatus::BadParam
            | TINFLStatus::Adler32Mismatch => Err(Fault::Damaged("not a deflate stream")),
            // The enumeration may grow.
            _ => Err(Fault::Damaged("an unknown state of the inflater")),
        }
    }
}

/// Reads the header of the next member; false when there is none.
fn open_member(input: &mut Input) -> Result<bool, Fault> {
    match input.peek::<1>()? {
        None if input.at() == 0 => return Err(Fault::Truncated),
        None => return Ok(false),
        Some([0]) if input.at() > 0 => return skip_padding(input).map(|()| false),
        Some(_) => {}
    }
    let mut header = Header { input, crc: Hasher::new(), read: 0 };
    for expected in MAGIC {
        if header.byte()? != expected {
            return Err(Fault::Damaged("neither a member nor padding"));
        }
    }
    let flags = header.byte()?;
    if flags & header_flag::RESERVED != 0 {
        return Err(Fault::Damaged("unknown flags in a header"));
    }
    // The time, the compressor's effort and the system.
    header.skip(6)?;
    if flags & header_flag::EXTRA != 0 {
        let length = u16::from_le_bytes([header.byte()?, header.byte()?]);
        header.skip(length)?;
    }
    for text in [header_flag::NAME, header_flag::COMMENT] {
        if flags & text != 0 {
            while header.byte()? != 0 {}
        }
    }
    if flags & header_flag::CRC != 0 {
        let expected = header.crc.clone().finalize() as u16;
        if u16::from_le_bytes([header.byte()?, header.byte()?]) != expected {
            return Err(Fault::Damaged("the checksum of a header differs"));
        }
    }
    Ok(true)
}

/// Zeros up to the end of the file are what tapes and block copies leave; `gzip` ignores them too.
fn skip_padding(input: &mut Input) -> Result<(), Fault> {
    let mut skipped = 0;
    loop {
        let buffered = input.buffered();
        if buffered.iter().any(|&byte| byte != 0) {
            return Err(Fault::Damaged("neither a member nor padding"));
        }
        let count = buffered.len();
        skipped += count as u64;
        if skipped > ARCHIVE_HEADER_BYTES_MAX {
            return Err(Fault::Damaged("too much padding"));
        }
        input.consume(count);
        if input.more()? == 0 {
            return Ok(());
        }
    }
}

/// A header that is being read, byte by byte: it is short.
struct Header<'a> {
    input: &'a mut Input,
    crc: Hasher,
    read: u64,
}

impl Header<'_> {
    fn byte(&mut self) -> Result<u8, Fault> {
        if self.read == ARCHIVE_HEADER_BYTES_MAX {
            return Err(Fault::Damaged("a header without end"));
        }
        let [byte] = self.input.peek()?.ok_or(Fault::Truncated)?;
        self.input.consume(1);
        self.crc.update(&[byte]);
        self.read += 1;
        Ok(byte)
    }

    fn skip(&mut self, count: u16) -> Result<(), Fault> {
        for _ in 0..count {
            self.byte()?;
        }
        Ok(())
    }
}
