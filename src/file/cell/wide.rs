//! Cells of files in UTF-16: the same cells, with the text beside the bytes.

use std::{io, ops::Range};

use super::{Carry, Cell, CellError, CutEnd, Plan, Record, index, read_exactly};
use crate::{
    entry::{Offset, cursor::TailHash, flag},
    file::{
        ReadAt,
        encoding::{Encoding, WIDE_UNIT_BYTES},
    },
    limits::{CURSOR_TAIL_BYTES, GRID_BYTES, LOOK_BACK_BYTES, WIDE_RECORD_BYTES_MAX},
    parse,
};

/// The records of a cell as text, one after the other.
#[derive(Debug)]
pub(super) struct Wide {
    text: String,
    /// Where each record's text lies.
    ranges: Vec<Range<usize>>,
}

impl Wide {
    /// The text of the record at `index`.
    pub(super) fn text_of(&self, index: usize) -> &str {
        &self.text[self.ranges[index].clone()]
    }

    /// Bytes of memory that it holds.
    pub(super) fn weight(&self) -> usize {
        self.text.capacity() + self.ranges.capacity() * size_of::<Range<usize>>()
    }
}

impl Cell {
    /// Reads the cell at `plan.start` of a file in UTF-16.
    pub(super) fn read_wide(
        reader: &(impl ReadAt + ?Sized),
        plan: &Plan<'_>,
        encoding: Encoding,
    ) -> Result<Self, CellError> {
        let before = plan.start.0.min(CURSOR_TAIL_BYTES);
        let base = Offset(plan.start.0 - before);
        let mut cell = Self::empty(plan, base);
        let grid = Offset((plan.start.0 / GRID_BYTES + 1) * GRID_BYTES);
        let last = Offset(grid.min(plan.head).0 - WIDE_UNIT_BYTES as u64);
        cell.bytes = read_exactly(reader, base, last.since(base) as usize)?;
        cell.start_tail = TailHash::of(&cell.bytes[..before as usize]);
        let begin = encoding.last_line_end(&cell.bytes[before as usize..]).unwrap_or(0) + before as usize;
        let kept_max = begin + WIDE_RECORD_BYTES_MAX.min(plan.line_max) + 2 * WIDE_UNIT_BYTES;
        cell.complete_wide(reader, plan, encoding, kept_max)?;
        cell.split_wide(before as usize, plan, encoding);
        cell.open = cell.end == plan.head && cell.end < grid;
        cell.carry = cell.look_back_wide(reader, encoding).map_err(|error| CellError::Io(base, error))?;
        Ok(cell)
    }

    /// Reads the unterminated record in `[plan.start, plan.head)` of a file in UTF-16 as the only one of a cell.
    pub(super) fn read_wide_piece(
        reader: &(impl ReadAt + ?Sized),
        plan: &Plan<'_>,
        encoding: Encoding,
    ) -> Result<Self, CellError> {
        let before = plan.start.0.min(CURSOR_TAIL_BYTES);
        let base = Offset(plan.start.0 - before);
        let mut cell = Self::empty(plan, base);
        let limit = WIDE_RECORD_BYTES_MAX.min(plan.line_max);
        let len = plan.head.since(plan.start).min(limit as u64 + 1) as usize;
        cell.bytes = read_exactly(reader, base, before as usize + len)?;
        cell.start_tail = TailHash::of(&cell.bytes[..before as usize]);
        let mut wide = Wide { text: String::new(), ranges: Vec::new() };
        let line = &cell.bytes[before as usize..];
        let record = wide_record(&mut wide, encoding, line, before as usize, limit, plan.start);
        cell.records.push(Record { flags: record.flags | flag::UNTERMINATED, ..record });
        cell.wide = Some(Box::new(wide));
        cell.end = plan.head;
        if plan.head.since(base) > cell.bytes.len() as u64 {
            let from = Offset(plan.head.0.saturating_sub(CURSOR_TAIL_BYTES));
            let tail = TailHash::of(&read_exactly(reader, from, plan.head.since(from) as usize)?);
            cell.cut = Some(CutEnd { tail, crlf: false });
        }
        cell.carry = cell.look_back_wide(reader, encoding).map_err(|error| CellError::Io(base, error))?;
        Ok(cell)
    }

    /// Reads on to the first line's end, keeping no more than `kept_max` bytes.
    fn complete_wide(
        &mut self,
        reader: &(impl ReadAt + ?Sized),
        plan: &Plan<'_>,
        encoding: Encoding,
        kept_max: usize,
    ) -> Result<(), CellError> {
        let mut at = self.base.after(self.bytes.len() as u64);
        let mut window = self.bytes[self.bytes.len().saturating_sub(CURSOR_TAIL_BYTES as usize)..].to_vec();
        let (mut block, mut dropped) = (vec![0; 4096], false);
        loop {
            let want = plan.head.since(at).min(block.len() as u64) as usize;
            let got = reader.fill_at(&mut block[..want], at).map_err(|error| CellError::Io(at, error))?;
            if got < WIDE_UNIT_BYTES {
                return Err(CellError::Changed(at));
            }
            let end = encoding.first_line_end(&block[..got]);
            let part = &block[..end.unwrap_or(got & !1)];
            let room = kept_max.saturating_sub(self.bytes.len()).min(part.len());
            self.bytes.extend_from_slice(&part[..room]);
            dropped |= room < part.len();
            window.extend_from_slice(part);
            window.drain(..window.len().saturating_sub(CURSOR_TAIL_BYTES as usize));
            at = at.after(part.len() as u64);
            if end.is_some() {
                let line = &window[..window.len() - WIDE_UNIT_BYTES];
                let crlf = encoding.without_return(line).1;
                self.cut = dropped.then(|| CutEnd { tail: TailHash::of(&window), crlf });
                self.end = at;
                return Ok(());
            }
            block.resize(GRID_BYTES as usize, 0);
        }
    }

    /// Lists the records of the bytes from `from` on, with their text.
    fn split_wide(&mut self, from: usize, plan: &Plan<'_>, encoding: Encoding) {
        let limit = WIDE_RECORD_BYTES_MAX.min(plan.line_max);
        let mut wide = Wide { text: String::with_capacity(self.bytes.len() - from), ranges: Vec::new() };
        let mut at = from;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let end = encoding.first_line_end(rest);
            let line = &rest[..end.map_or(rest.len(), |end| end - WIDE_UNIT_BYTES)];
            let offset = self.base.after(at as u64);
            let mut record = wide_record(&mut wide, encoding, line, at, limit, offset);
            if let (None, Some(cut)) = (end, self.cut) {
                record.flags |= flag::TRUNCATED | if cut.crlf { flag::CRLF } else { 0 };
            }
            self.records.push(record);
            at += end.unwrap_or(rest.len());
        }
        self.wide = Some(Box::new(wide));
    }

    /// Finds the time that stands in for the first record's when it has none of its own.
    fn look_back_wide(&self, reader: &(impl ReadAt + ?Sized), encoding: Encoding) -> io::Result<Option<Carry>> {
        let Some(first) = self.records.first() else { return Ok(None) };
        let own = parse::parse(&self.rules, &self.context_at(self.start), self.bytes_of(first)).time;
        if self.start == Offset::ZERO || own.is_some() {
            return Ok(None);
        }
        let from = encoding.floor(Offset(self.start.0.saturating_sub(LOOK_BACK_BYTES + WIDE_UNIT_BYTES as u64)));
        let mut bytes = vec![0; self.start.since(from) as usize];
        let got = reader.fill_at(&mut bytes, from)?;
        bytes.truncate(got);
        let begin = if from == Offset::ZERO { 0 } else { encoding.first_line_end(&bytes).unwrap_or(got) };
        let (mut at, mut carry) = (begin, None);
        while let Some(end) = encoding.first_line_end(&bytes[at..]) {
            let offset = from.after(at as u64);
            let mut text = String::new();
            encoding.decode(without_mark(&bytes[at..at + end - WIDE_UNIT_BYTES], offset), &mut text);
            if let Some(time) = parse::parse(&self.rules, &self.context_at(offset), text.as_bytes()).time {
                carry = Some(Carry { from: offset, time });
            }
            at += end;
        }
        Ok(carry)
    }
}

/// The record of one line, given without its newline; its text goes to `wide`.
fn wide_record(wide: &mut Wide, encoding: Encoding, line: &[u8], at: usize, limit: usize, offset: Offset) -> Record {
    let (text, returned) = encoding.without_return(line);
    let kept = if text.len() > limit { encoding.floor_char(&text[..limit]) } else { text };
    let mut flags = if returned { flag::CRLF } else { 0 };
    if kept.len() < text.len() {
        flags |= flag::TRUNCATED;
    }
    let from = wide.text.len();
    if encoding.decode(without_mark(kept, offset), &mut wide.text) {
        flags |= flag::INVALID_UTF8;
    }
    wide.ranges.push(from..wide.text.len());
    Record { at: index(at), len: index(kept.len()), flags }
}

/// The byte order mark at the beginning of a file is not part of its first line's text.
fn without_mark(line: &[u8], offset: Offset) -> &[u8] {
    if offset == Offset::ZERO { line.get(WIDE_UNIT_BYTES..).unwrap_or_default() } else { line }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{entry::Nanos, limits::CONTEXT_BYTES, parse::Rules};

    fn encoded(order: fn(u16) -> [u8; 2], text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    fn read(text: &[u8], start: u64) -> Cell {
        let rules = Arc::<Rules>::default();
        let encoding = Encoding::of(text);
        let head = encoding.last_line_end(text).expect("a line") as u64;
        let beginning = text[..text.len().min(CONTEXT_BYTES)].into();
        let plan = Plan {
            start: Offset(start),
            head: Offset(head),
            beginning,
            rules: &rules,
            line_max: 100_000,
            mtime: Nanos(1),
        };
        Cell::read(text, &plan).expect("memory never fails")
    }

    #[test]
    fn lines_are_decoded_and_their_bytes_are_kept() {
        for order in [u16::to_le_bytes, u16::to_be_bytes] as [fn(u16) -> [u8; 2]; 2] {
            let lines = ["2026-01-02T03:04:05Z ERROR grün", "日本 🦀", "", "half \u{a0a}"];
            let file = encoded(order, &format!("\u{feff}{}\r\n{}\n{}\n{}", lines[0], lines[1], lines[2], lines[3]));
            let cell = read(&file, 0);
            let texts: Vec<_> = cell.records().iter().map(|record| cell.bytes_of(record)).collect();
            assert_eq!(texts, lines[..3].iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
            let raw: Vec<_> = cell.records().iter().map(|record| cell.raw_of(record).expect("always")).collect();
            assert_eq!(raw[0], encoded(order, &format!("\u{feff}{}", lines[0])));
            assert_eq!(raw[1], encoded(order, lines[1]));
            assert_eq!(cell.records()[0].flags, flag::CRLF);
            assert_eq!(
                (cell.metas()[0].severity, cell.metas()[1].borrowed_time),
                (crate::entry::Severity::Error, true)
            );
            assert_eq!(cell.metas()[1].time, cell.metas()[0].time);
            assert_eq!(cell.end(), Offset(file.len() as u64 - 12));
            assert_eq!(read(&file, cell.start_of(1).0).metas()[0].time, cell.metas()[0].time);
        }
    }

    #[test]
    fn cells_from_anywhere_meet_at_the_grid_and_a_long_line_is_cut() {
        let long = "x".repeat(200_000);
        let text: String =
            (0..9_000).map(|n| if n == 8_000 { format!("{long}\n") } else { format!("line {n}\n") }).collect();
        let file = encoded(u16::to_le_bytes, &format!("\u{feff}{text}"));
        let first = read(&file, 0);
        assert!(GRID_BYTES <= first.end().0 && first.end().0 < GRID_BYTES + 30 && !first.is_open());
        assert_eq!(read(&file, first.start_of(77).0).end(), first.end());
        let (mut at, mut records) = (Offset::ZERO, 0);
        while at < Offset(file.len() as u64) {
            let cell = read(&file, at.0);
            assert_eq!(cell.tail_after(cell.len() - 1), TailHash::of(&file[..cell.end().0 as usize]));
            for record in cell.records() {
                let cut = record.flags & flag::TRUNCATED != 0;
                assert_eq!(cell.bytes_of(record).len() == 50_000, cut);
            }
            (at, records) = (cell.end(), records + cell.len());
        }
        assert_eq!(records, 9_000);
    }
}
