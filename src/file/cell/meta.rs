//! Severities and times of a cell's records, and the times that stand in for those that a record does not have.

use std::io;

use memchr::memchr;

use super::{Cell, record};
use crate::{
    entry::{Nanos, Offset, Severity},
    file::ReadAt,
    limits::LOOK_BACK_BYTES,
    parse::{self, Parsed},
};

/// Records before one without a time that are looked at singly: for more than these all are parsed.
const META_LOOK_BACK: usize = 16;

/// What parsing tells of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its own time, or the one that stands in for it.
    pub time: Nanos,
    /// Its severity.
    pub severity: Severity,
    /// Whether `time` stands in: [`flag::TIME_NOT_FROM_LINE`](crate::entry::flag::TIME_NOT_FROM_LINE).
    pub borrowed_time: bool,
}

/// The last timed record before an offset, within [`LOOK_BACK_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carry {
    pub(super) from: Offset,
    pub(super) time: Nanos,
}

impl Cell {
    /// Severity and time of every record, parsed the first time that anybody asks.
    pub fn metas(&self) -> &[Meta] {
        self.metas.get_or_init(|| self.parse())
    }

    /// Severity and time of the record at `index`, without looking at more of the others than that takes.
    pub fn meta(&self, index: usize) -> Meta {
        if let Some(metas) = self.metas.get() {
            return metas[index];
        }
        let parsed = self.parsed(index);
        if let Some(time) = parsed.time {
            return Meta { time, severity: parsed.severity, borrowed_time: false };
        }
        for before in (index.saturating_sub(META_LOOK_BACK)..index).rev() {
            if let Some(time) = self.parsed(before).time {
                let lent = Some(Carry { from: self.start_of(before), time });
                return self.borrowing(index, parsed.severity, lent);
            }
        }
        if index <= META_LOOK_BACK { self.borrowing(index, parsed.severity, self.carry) } else { self.metas()[index] }
    }

    /// The severity of the record at `index`.
    pub fn severity(&self, index: usize) -> Severity {
        self.metas.get().map_or_else(|| self.parsed(index).severity, |metas| metas[index].severity)
    }

    /// Finds the time that stands in for the first record's when it has none of its own.
    pub(super) fn look_back(&self, reader: &(impl ReadAt + ?Sized)) -> io::Result<Option<Carry>> {
        let Some(first) = self.records.first() else { return Ok(None) };
        if self.start == Offset::ZERO
            || self.with_context(0, |context| parse::parse(&self.rules, context, self.bytes_of(first))).time.is_some()
        {
            return Ok(None);
        }
        // One byte more, to see whether a record starts right at the bound.
        let from = Offset(self.start.0.saturating_sub(LOOK_BACK_BYTES + 1));
        let mut bytes = vec![0; self.start.since(from) as usize];
        let got = reader.fill_at(&mut bytes, from)?;
        bytes.truncate(got);
        let begin = if from == Offset::ZERO { 0 } else { memchr(b'\n', &bytes).map_or(got, |found| found + 1) };
        let mut end = got;
        while begin < end {
            // Only a cursor after an unterminated piece has anything but a newline before it.
            let text_end = if bytes[end - 1] == b'\n' { end - 1 } else { end };
            let line_start = memchr::memrchr(b'\n', &bytes[begin..text_end]).map_or(begin, |found| begin + found + 1);
            let offset = from.after(line_start as u64);
            let line = record(&bytes[line_start..text_end], line_start, usize::MAX);
            let text = &bytes[line_start..line_start + line.len as usize];
            let begins = !self.rules.joins_lines() || self.rules.starts_record(text);
            let time = || self.with_context_at(offset, |context| parse::parse(&self.rules, context, text)).time;
            if begins && let Some(time) = time() {
                return Ok(Some(Carry { from: offset, time }));
            }
            end = line_start;
        }
        Ok(None)
    }

    fn parse(&self) -> Box<[Meta]> {
        let mut carry = self.carry;
        let metas = (0..self.len()).map(|index| {
            let parsed = self.parsed(index);
            match parsed.time {
                Some(time) => {
                    carry = Some(Carry { from: self.start_of(index), time });
                    Meta { time, severity: parsed.severity, borrowed_time: false }
                }
                None => self.borrowing(index, parsed.severity, carry),
            }
        });
        metas.collect()
    }

    /// What the record at `index` tells by itself.
    fn parsed(&self, index: usize) -> Parsed {
        let bytes = self.bytes_of(&self.records[index]);
        self.with_context(index, |context| parse::parse(&self.rules, context, bytes))
    }

    /// What is known of a record without a time of its own, after a record that may lend it one.
    fn borrowing(&self, index: usize, severity: Severity, lent: Option<Carry>) -> Meta {
        let at = self.start_of(index);
        let near = lent.filter(|lent| at.since(lent.from) <= LOOK_BACK_BYTES);
        Meta { time: near.map_or(self.mtime, |lent| lent.time), severity, borrowed_time: true }
    }
}
