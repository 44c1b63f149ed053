//! Lines that may be longer than what is kept of them.

use memchr::memchr;

use super::{CellError, CutEnd, SLACK_BYTES};
use crate::{
    entry::{Offset, cursor::TailHash},
    file::ReadAt,
    limits::{CURSOR_TAIL_BYTES, GRID_BYTES},
};

/// Reads the rest of a line that may be longer than what is kept of it.
pub(super) struct LongLine {
    /// Bytes that the buffer may hold at most.
    pub(super) kept_max: usize,
    /// The place up to which the line was read.
    pub(super) seen: Offset,
}

impl LongLine {
    /// Appends to `kept` up to the newline or the limit; then only looks for the newline.
    ///
    /// Returns what has to be remembered of the line's end when its bytes are not all kept.
    pub(super) fn read_to_newline(
        &mut self,
        reader: &(impl ReadAt + ?Sized),
        kept: &mut Vec<u8>,
        head: Offset,
    ) -> Result<Option<CutEnd>, CellError> {
        let mut block = vec![0; SLACK_BYTES as usize];
        let mut window: Vec<u8> = kept[kept.len().saturating_sub(CURSOR_TAIL_BYTES as usize)..].to_vec();
        let mut dropped = false;
        loop {
            let want = head.since(self.seen).min(block.len() as u64) as usize;
            let got = reader.fill_at(&mut block[..want], self.seen).map_err(|error| CellError::Io(self.seen, error))?;
            if got == 0 {
                return Err(CellError::Changed(self.seen));
            }
            let found = memchr(b'\n', &block[..got]);
            let part = &block[..found.map_or(got, |index| index + 1)];
            let room = self.kept_max.saturating_sub(kept.len()).min(part.len());
            kept.extend_from_slice(&part[..room]);
            dropped |= room < part.len();
            window.extend_from_slice(part);
            window.drain(..window.len().saturating_sub(CURSOR_TAIL_BYTES as usize));
            self.seen = self.seen.after(part.len() as u64);
            block.resize(GRID_BYTES as usize, 0);
            if found.is_some() {
                let crlf = window.ends_with(b"\r\n");
                return Ok(dropped.then(|| CutEnd { tail: TailHash::of(&window), crlf }));
            }
        }
    }
}

/// One line, read by itself.
pub(super) struct ReadLine {
    pub(super) text: Vec<u8>,
    /// Where the next one begins.
    pub(super) end: Offset,
    /// Whether it is longer than what was kept.
    pub(super) is_cut: bool,
}

pub(super) fn read_line(
    reader: &(impl ReadAt + ?Sized),
    at: Offset,
    head: Offset,
    line_max: usize,
) -> Result<ReadLine, CellError> {
    let mut text = Vec::new();
    let mut rest = LongLine { kept_max: line_max + 2, seen: at };
    let cut = rest.read_to_newline(reader, &mut text, head)?;
    if cut.is_none() {
        text.pop();
    }
    Ok(ReadLine { text, end: rest.seen, is_cut: cut.is_some() })
}
