//! Cells: whole records from an offset to the next line of the grid, read once and split.
//!
//! A cell starts anywhere (at a record's start) and ends at the first record start at or past the next multiple of
//! [`GRID_BYTES`], or at the head. Readers that started anywhere therefore share all cells from the next grid line on.
//! A line longer than the limit is read to its newline, but only as many bytes are kept as the limit allows.

use std::{fmt, io, ops::Range, sync::Arc, sync::OnceLock};

use memchr::{memchr, memchr_iter};

use super::{
    Encoding, ReadAt, lines,
    marks::{Marks, Remembered},
};
use crate::{
    entry::{
        Nanos, Offset,
        cursor::{HeadHash, TailHash},
        flag,
    },
    limits::{CELL_MARKS_MAX, CONTEXT_BYTES, CURSOR_HEAD_BYTES, CURSOR_TAIL_BYTES, GRID_BYTES, RECORD_BYTES_MAX},
    parse::{Context, Rules},
};

mod long;
mod meta;
mod wide;

pub use self::meta::Meta;
use self::{
    long::{LongLine, read_line},
    meta::Carry,
    wide::Wide,
};

/// Read beyond the grid line at once, in the hope that the last record ends there.
const SLACK_BYTES: u64 = 4096;
/// A time without a year may be this much later than its file's modification time, for clocks that disagree.
const LATEST_SLACK_NANOS: i64 = 86_400 * 1_000_000_000;

/// One record in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Index of its first byte in [`Cell::bytes`].
    at: u32,
    /// Its bytes kept, without the terminator.
    len: u32,
    /// Sum of [`flag`]s that splitting tells.
    pub flags: u32,
}

/// The end of a record of which not all bytes are kept.
#[derive(Clone, Copy, Debug)]
struct CutEnd {
    /// Hash of the bytes before the end.
    tail: TailHash,
    /// Whether CR LF terminates it.
    crlf: bool,
}

/// What a cell is to be read from and by which rules.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Where the first record starts.
    pub start: Offset,
    /// End of the last whole record; nothing is read past it.
    pub head: Offset,
    /// The beginning of the file: at least `min(CONTEXT_BYTES, head)` bytes.
    pub beginning: Arc<[u8]>,
    /// How the source is parsed.
    pub rules: &'a Arc<Rules>,
    /// Bytes kept of one record.
    pub line_max: usize,
    /// The file's modification time.
    pub mtime: Nanos,
}

impl Plan<'_> {
    /// What the beginning of the file tells about records from [`CONTEXT_BYTES`] on: for all of them the same.
    pub fn settled_context(&self) -> Context {
        context(self.rules, &self.beginning, CONTEXT_BYTES, self.mtime)
    }
}

/// Whole records that follow each other in a file.
#[derive(Debug)]
pub struct Cell {
    start: Offset,
    end: Offset,
    /// Offset of the first byte of `bytes`; up to [`CURSOR_TAIL_BYTES`] before `start`.
    base: Offset,
    bytes: Vec<u8>,
    records: Vec<Record>,
    start_tail: TailHash,
    /// What is remembered of the last record's end where the record is longer than what is kept of it.
    cut: Option<CutEnd>,
    open: bool,
    /// The text of its records, where that is not what the file holds.
    wide: Option<Box<Wide>>,
    beginning: Arc<[u8]>,
    rules: Arc<Rules>,
    mtime: Nanos,
    carry: Option<Carry>,
    metas: OnceLock<Box<[Meta]>>,
    marks: Remembered,
    /// What the file's beginning tells about every record behind it.
    settled: OnceLock<Context>,
}

/// Why no cell could be read.
#[derive(Debug)]
pub enum CellError {
    /// The kernel, or the decoder of a compressed file, says so.
    Io(Offset, io::Error),
    /// The file does not hold whole records up to the head any more: it was truncated or rewritten.
    Changed(Offset),
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(offset, error) => write!(f, "reading at {}: {error}", offset.0),
            Self::Changed(offset) => write!(f, "the file changed behind {}", offset.0),
        }
    }
}

impl std::error::Error for CellError {}

impl Cell {
    /// Reads the cell at `plan.start`, which must lie before `plan.head`.
    ///
    /// # Errors
    /// [`CellError::Io`] with `WouldBlock` from a reader that must not wait; [`CellError::Changed`] when the promised
    /// bytes are not there.
    pub fn read(reader: &(impl ReadAt + ?Sized), plan: &Plan<'_>) -> Result<Self, CellError> {
        Self::read_within(reader, plan, GRID_BYTES)
    }

    /// The same on a finer grid, whose distance divides [`GRID_BYTES`]: for those who look into very many files.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_within(reader: &(impl ReadAt + ?Sized), plan: &Plan<'_>, distance: u64) -> Result<Self, CellError> {
        let encoding = Encoding::of(&plan.beginning);
        if encoding.is_wide() {
            return Self::read_wide(reader, plan, encoding);
        }
        let before = plan.start.0.min(CURSOR_TAIL_BYTES);
        let grid = Offset((plan.start.0 / distance + 1) * distance);
        let base = Offset(plan.start.0 - before);
        let want = grid.after(SLACK_BYTES).min(plan.head).since(base) as usize;
        let mut cell = Self::empty(plan, base);
        cell.bytes = read_exactly(reader, base, want)?;
        cell.start_tail = TailHash::of(&cell.bytes[..before as usize]);
        if let Some(data) = cell.zeros_at(reader, plan.start, plan.head)? {
            // They belong to no line: the first record is the one behind them.
            let behind = Self::read(reader, &Plan { start: data, ..plan.clone() })?;
            return Ok(Self { start: plan.start, start_tail: cell.start_tail, ..behind });
        }
        if let Some(end) = cell.first_zeros(reader, plan)? {
            cell.bytes.truncate(end.since(base) as usize);
            cell.end = end;
            cell.split(before as usize, plan.line_max);
            cell.carry = cell.look_back(reader).map_err(|error| CellError::Io(base, error))?;
            return Ok(cell);
        }
        cell.complete_last_record(reader, plan, grid)?;
        if plan.rules.joins_lines() || plan.rules.joins_parts() {
            cell.complete_joined_record(reader, plan, grid)?;
        }
        cell.split(before as usize, plan.line_max);
        cell.flag_provisional(plan.head);
        cell.open = cell.end == plan.head && cell.end < grid;
        cell.carry = cell.look_back(reader).map_err(|error| CellError::Io(base, error))?;
        Ok(cell)
    }

    /// Reads the unterminated record in `[plan.start, plan.head)` as the only one of a cell.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_piece(reader: &(impl ReadAt + ?Sized), plan: &Plan<'_>) -> Result<Self, CellError> {
        let encoding = Encoding::of(&plan.beginning);
        if encoding.is_wide() {
            return Self::read_wide_piece(reader, plan, encoding);
        }
        let before = plan.start.0.min(CURSOR_TAIL_BYTES);
        let base = Offset(plan.start.0 - before);
        let len = plan.head.since(plan.start).min(plan.line_max as u64 + 1) as usize;
        let mut cell = Self::empty(plan, base);
        cell.bytes = read_exactly(reader, base, before as usize + len)?;
        cell.start_tail = TailHash::of(&cell.bytes[..before as usize]);
        let mut piece = record(&cell.bytes[before as usize..], before as usize, plan.line_max);
        // A carriage return is a terminator's part only before a newline.
        if piece.flags & flag::CRLF != 0 && piece.flags & flag::TRUNCATED == 0 {
            piece.len += 1;
        }
        piece.flags = piece.flags & !flag::CRLF | flag::UNTERMINATED;
        cell.records.push(piece);
        cell.end = plan.head;
        if plan.head.since(base) > cell.bytes.len() as u64 {
            let from = Offset(plan.head.0 - plan.head.0.min(CURSOR_TAIL_BYTES));
            let tail = TailHash::of(&read_exactly(reader, from, plan.head.since(from) as usize)?);
            cell.cut = Some(CutEnd { tail, crlf: false });
        }
        cell.carry = cell.look_back(reader).map_err(|error| CellError::Io(base, error))?;
        Ok(cell)
    }

    /// Where its first record starts.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Where the record after its last one starts.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Whether it ended at the head, short of the grid line: later readers may want a longer one.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The bytes that it was read from, from its beginning on; none where they are not kept.
    pub fn first_bytes(&self) -> &[u8] {
        if self.base == self.start { &self.bytes } else { &[] }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Index of the first record that starts at or after `offset`.
    pub fn index_at(&self, offset: Offset) -> usize {
        self.records.partition_point(|record| self.base.after(record.at.into()) < offset)
    }

    /// The bytes of a record, without terminator; of a file in UTF-16 those of its text.
    pub fn bytes_of(&self, record: &Record) -> &[u8] {
        match &self.wide {
            None => &self.bytes[record.at as usize..][..record.len as usize],
            Some(wide) => wide.text_of(self.records.partition_point(|before| before.at < record.at)).as_bytes(),
        }
    }

    /// The bytes of a record as the file holds them, where those of its text are others.
    pub fn raw_of(&self, record: &Record) -> Option<&[u8]> {
        self.wide.as_ref().map(|_| &self.bytes[record.at as usize..][..record.len as usize])
    }

    /// Whether it is of a file in UTF-16.
    pub fn is_wide(&self) -> bool {
        self.wide.is_some()
    }

    /// All that was read: the records with their terminators, and up to [`CURSOR_TAIL_BYTES`] before them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The place of a record in [`bytes`](Self::bytes), without terminator.
    pub fn range_of(&self, index: usize) -> Range<usize> {
        let record = &self.records[index];
        record.at as usize..(record.at + record.len) as usize
    }

    /// The record that has the byte of [`bytes`](Self::bytes) at `place`, with its terminator; the first one, for a byte
    /// before it.
    pub fn record_with(&self, place: usize) -> usize {
        self.records.partition_point(|record| record.at as usize <= place).saturating_sub(1)
    }

    /// Where the record at `index` starts.
    pub fn start_of(&self, index: usize) -> Offset {
        match self.records.get(index) {
            // What lies before its first record, zeros, is passed with it.
            Some(_) if index == 0 => self.start,
            Some(record) => self.base.after(record.at.into()),
            None => self.end,
        }
    }

    /// How many records end at or before `until`.
    pub fn count_until(&self, until: Offset) -> usize {
        let next = self.index_at(until);
        if self.start_of(next) > until { next.saturating_sub(1) } else { next }
    }

    /// Hash of the bytes before the record at `index`, or before the end.
    pub fn tail_before(&self, index: usize) -> TailHash {
        if index == 0 { self.start_tail } else { self.tail_after(index - 1) }
    }

    /// Where the record after the one at `index` starts.
    pub fn end_of(&self, index: usize) -> Offset {
        self.start_of(index + 1)
    }

    /// Hash of the bytes before its start.
    pub fn start_tail(&self) -> TailHash {
        self.start_tail
    }

    /// Hash of the bytes before the end of the record at `index`.
    pub fn tail_after(&self, index: usize) -> TailHash {
        match self.cut {
            Some(cut) if index + 1 == self.records.len() => cut.tail,
            _ => TailHash::of(&self.bytes[..self.end_of(index).since(self.base) as usize]),
        }
    }

    /// Hash of the file's beginning, for a cursor at `offset` in or at the end of this cell.
    pub fn head_hash(&self, offset: Offset) -> HeadHash {
        HeadHash::of(&self.beginning, offset)
    }

    /// Whether cursors from `offset` on all carry the same [`head_hash`](Self::head_hash).
    pub fn head_hash_is_settled(offset: Offset) -> bool {
        offset.0 >= CURSOR_HEAD_BYTES
    }

    /// How the file's source is parsed.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Hands on what the beginning of the file tells about the record at `index`.
    pub fn with_context<T>(&self, index: usize, then: impl FnOnce(&Context) -> T) -> T {
        self.with_context_at(self.start_of(index), then)
    }

    /// The same for a record that starts at `at`, in the cell or before it.
    fn with_context_at<T>(&self, at: Offset, then: impl FnOnce(&Context) -> T) -> T {
        // Up to the end of the context window each record sees a longer beginning; behind it all see the same.
        if at.0 < CONTEXT_BYTES as u64 {
            then(&self.context_at(at))
        } else {
            then(self.settled.get_or_init(|| self.context_at(at)))
        }
    }

    fn context_at(&self, offset: Offset) -> Context {
        context(&self.rules, &self.beginning, offset.0.min(CONTEXT_BYTES as u64) as usize, self.mtime)
    }

    /// Which records are wanted by somebody who is known by `number`; `make` finds out, unless that is remembered.
    pub fn marks(&self, number: u64, make: impl FnOnce() -> Marks) -> Arc<Marks> {
        self.marks.of(number, make)
    }

    /// Bytes of memory that it holds.
    pub fn weight(&self) -> usize {
        let text = self.wide.as_ref().map_or(0, |wide| wide.weight());
        // Eight sets of marks have a byte for each record.
        let each = size_of::<Record>() + size_of::<Meta>() + CELL_MARKS_MAX.div_ceil(8);
        text + self.bytes.capacity() + self.records.capacity() * each + size_of::<Self>()
    }

    fn empty(plan: &Plan<'_>, base: Offset) -> Self {
        Self {
            start: plan.start,
            end: plan.start,
            base,
            bytes: Vec::new(),
            records: Vec::new(),
            start_tail: TailHash::default(),
            cut: None,
            open: false,
            wide: None,
            beginning: plan.beginning.clone(),
            rules: plan.rules.clone(),
            mtime: plan.mtime,
            carry: None,
            metas: OnceLock::new(),
            marks: Remembered::default(),
            settled: OnceLock::new(),
        }
    }

    /// Where the run of zeros at `at`, a place in what was read, ends.
    fn zeros_at(&self, reader: &(impl ReadAt + ?Sized), at: Offset, head: Offset) -> Result<Option<Offset>, CellError> {
        if self.bytes.get(at.since(self.base) as usize) != Some(&0) {
            return Ok(None);
        }
        let end = lines::end_of_zeros(reader, at, head).map_err(|error| CellError::Io(at, error))?;
        Ok(end.filter(|end| *end < head))
    }

    /// The first line of what was read, but for the very first, that begins with a run of zeros: the cell ends there.
    fn first_zeros(&self, reader: &(impl ReadAt + ?Sized), plan: &Plan<'_>) -> Result<Option<Offset>, CellError> {
        let first = plan.start.since(self.base) as usize;
        let grid = (plan.start.0 / GRID_BYTES + 1) * GRID_BYTES;
        for zero in memchr_iter(0, &self.bytes[first..]) {
            let at = first + zero;
            let offset = self.base.after(at as u64);
            if offset.0 >= grid {
                break;
            }
            if at > first && self.bytes[at - 1] == b'\n' && self.zeros_at(reader, offset, plan.head)?.is_some() {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Reads on until the record that holds the last byte before the grid line is terminated.
    fn complete_last_record(
        &mut self,
        reader: &(impl ReadAt + ?Sized),
        plan: &Plan<'_>,
        grid: Offset,
    ) -> Result<(), CellError> {
        let last = grid.min(plan.head).since(self.base) as usize - 1;
        if let Some(found) = memchr(b'\n', &self.bytes[last..]) {
            self.bytes.truncate(last + found + 1);
            self.end = self.base.after(self.bytes.len() as u64);
            return Ok(());
        }
        let first = (plan.start.since(self.base)) as usize;
        let begin = memchr::memrchr(b'\n', &self.bytes[first..]).map_or(first, |found| first + found + 1);
        let mut rest = LongLine { kept_max: begin + plan.line_max + 2, seen: self.base.after(self.bytes.len() as u64) };
        self.cut = rest.read_to_newline(reader, &mut self.bytes, plan.head)?;
        self.end = rest.seen;
        Ok(())
    }

    /// Lists the records of the bytes from `from` on, which end with a newline unless the last record is a long one.
    fn split(&mut self, from: usize, line_max: usize) {
        let data = &self.bytes[from..];
        let rules = &self.rules;
        self.records.reserve(data.len() / 100 + 1);
        let (mut at, mut unfinished) = (0, None);
        for newline in memchr_iter(b'\n', data) {
            let line = without_return(&data[at..newline]);
            let goes_on = at > 0 && !rules.begins(unfinished, line);
            unfinished = rules.leaves_unfinished(line).then_some(line);
            match self.records.last_mut() {
                Some(last) if goes_on => extend(last, &data[last.at as usize - from..newline], line_max),
                _ => self.records.push(record(&data[at..newline], from + at, line_max)),
            }
            at = newline + 1;
        }
        if let Some(cut) = self.cut {
            let flags = flag::TRUNCATED | if cut.crlf { flag::CRLF } else { 0 };
            let len = floor_char(&data[at..][..line_max]);
            self.records.push(Record { at: index(from + at), len: index(len), flags });
        }
        self.bytes.shrink_to_fit();
    }

    /// Flags the last record when it ends at the head, and what is written next may belong to it.
    fn flag_provisional(&mut self, head: Offset) {
        let Some(last) = self.records.last().filter(|_| self.end == head && self.cut.is_none()) else { return };
        let text = self.bytes_of(last);
        let line = memchr::memrchr(b'\n', text).map_or(text, |found| &text[found + 1..]);
        if self.rules.may_go_on(line)
            && let Some(last) = self.records.last_mut()
        {
            last.flags |= flag::PROVISIONAL;
        }
    }

    /// Reads on behind the grid line while lines belong to the record that lies across it.
    fn complete_joined_record(
        &mut self,
        reader: &(impl ReadAt + ?Sized),
        plan: &Plan<'_>,
        grid: Offset,
    ) -> Result<(), CellError> {
        while self.cut.is_none() && grid <= self.end && self.end < plan.head {
            if lines::end_of_zeros(reader, self.end, plan.head)
                .map_err(|error| CellError::Io(self.end, error))?
                .is_some()
            {
                return Ok(());
            }
            let whole = self.bytes.len();
            let first = plan.start.since(self.base) as usize;
            let line_at =
                |end: usize| memchr::memrchr(b'\n', &self.bytes[first..end - 1]).map_or(first, |at| first + at + 1);
            let before = line_at(whole);
            let unfinished = without_return(&self.bytes[before..whole - 1]);
            // Whether the next line begins a record is all that is asked, so its first bytes may do.
            let next = read_line(reader, self.end, plan.head, plan.line_max)?;
            let unfinished = self.rules.leaves_unfinished(unfinished).then_some(unfinished);
            if self.rules.begins(unfinished, without_return(&next.text)) || self.is_forced_start(before) {
                return Ok(());
            }
            if next.is_cut {
                // An over-long line is a record of its own, whatever it says.
                return Ok(());
            }
            self.bytes.extend_from_slice(&next.text);
            self.bytes.push(b'\n');
            self.end = next.end;
        }
        Ok(())
    }

    /// Whether the line behind the bytes read so far begins a record although it does not look like one, so that a
    /// file without any line that does can be entered in its middle: the first line behind each mebibyte, when no
    /// line of the mebibyte before it begins one. `before` is where the last line lies.
    fn is_forced_start(&self, before: usize) -> bool {
        let last_line = self.base.after(before as u64);
        let crosses = last_line.0 / RECORD_BYTES_MAX < self.end.0 / RECORD_BYTES_MAX;
        let from = self.bytes.len().saturating_sub(RECORD_BYTES_MAX as usize).max(self.start.since(self.base) as usize);
        let mut lines = self.bytes[from..].split_inclusive(|byte| *byte == b'\n');
        crosses && !lines.any(|line| self.rules.starts_record(without_return(line.strip_suffix(b"\n").unwrap_or(line))))
    }
}

fn read_exactly(reader: &(impl ReadAt + ?Sized), at: Offset, len: usize) -> Result<Vec<u8>, CellError> {
    let mut bytes = vec![0; len];
    let got = reader.fill_at(&mut bytes, at).map_err(|error| CellError::Io(at, error))?;
    if got < len { Err(CellError::Changed(at.after(got as u64))) } else { Ok(bytes) }
}

/// The record of one line, given without its newline.
fn record(line: &[u8], at: usize, line_max: usize) -> Record {
    let (len, mut flags) = match line {
        [.., b'\r'] => (line.len() - 1, flag::CRLF),
        _ => (line.len(), 0),
    };
    let len = if len > line_max {
        flags |= flag::TRUNCATED;
        floor_char(&line[..line_max])
    } else {
        len
    };
    Record { at: index(at), len: index(len), flags }
}

/// What `len` bytes of a file's beginning tell about its records.
fn context(rules: &Rules, beginning: &[u8], len: usize, mtime: Nanos) -> Context {
    let known = len.min(beginning.len());
    Context::new(rules, &beginning[..known], Nanos(mtime.0.saturating_add(LATEST_SLACK_NANOS)))
}

/// A line without the carriage return that belongs to its terminator.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Adds a line to a record; `text` is all of its bytes from its first line on, without the last newline.
fn extend(last: &mut Record, text: &[u8], line_max: usize) {
    let joined = record(text, last.at as usize, line_max);
    // The terminators between its lines are part of the message; only that of the last line is told by flags.
    *last = Record { flags: joined.flags | flag::JOINED, ..joined };
}

/// A place in a cell's buffer, which holds one grid step and one record.
fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a cell's buffer is far below 4 GiB")
}

/// The length of `bytes` without an incomplete UTF-8 sequence at its end.
fn floor_char(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    match std::str::from_utf8(tail) {
        Err(error) if error.error_len().is_none() => bytes.len() - tail.len() + error.valid_up_to(),
        // The window may have begun in the middle of a character: look again from the next one.
        Err(_) => tail.iter().rposition(|byte| *byte >= 0xc0).map_or(bytes.len(), |last| {
            let from = bytes.len() - tail.len() + last;
            match std::str::from_utf8(&bytes[from..]) {
                Err(error) if error.error_len().is_none() => from,
                _ => bytes.len(),
            }
        }),
        Ok(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests;
