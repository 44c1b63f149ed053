//! Segments: entries encoded once, in one shape and through one filter, for whoever reads on from an offset.
//!
//! A segment is an allocation of its own of at most [`SEGMENT_BYTES`] (or fewer, where its subscriber wants smaller batches,
//! or one entry), so a subscriber that has stopped
//! reading pins no more than the segments it was handed. Where a segment ends depends on where it starts, the filter
//! and the cell's end alone; readers of one cell that came from different starts soon share their segments.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{
    seek::Span,
    select::{Selected, fields_of},
};
use crate::{
    entry::{
        Nanos, Offset,
        cursor::{EntryCursor, HeadHash, TailHash},
        encode::{self, EntryView, FilePart, Shape},
        flag,
    },
    file::Cell,
    limits::{CURSOR_BYTES, SEGMENT_BYTES},
    parse,
    watch::LogFile,
};

/// Encoded entries that follow each other in a file.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where reading began.
    pub start: Offset,
    /// Where reading goes on.
    pub end: Offset,
    /// Hash of the bytes before `start`: whoever reads on checks that it is still the same file.
    pub start_tail: TailHash,
    /// Hash of the bytes before `end`.
    pub end_tail: TailHash,
    /// The entries in their shape, one after the other.
    pub bytes: Bytes,
    /// How many they are.
    pub entries: u32,
    /// How many of them match; the others stand near one that does.
    pub matches: u32,
    /// Bytes of their messages.
    pub message_bytes: u64,
    /// CRC-32 over each message and a newline; its length is `message_bytes + entries`.
    pub crc: crc32fast::Hasher,
    /// Index in `bytes` at which the last entry begins.
    pub last_at: usize,
    /// The cursor after the last entry; zeros when there is none.
    pub last_cursor: [u8; CURSOR_BYTES],
    /// The earliest and the latest time in it; none when it has no entry.
    pub times: Option<(Nanos, Nanos)>,
    /// Whether records were left out for their time.
    pub left_out: bool,
    /// Whether it ended because the cell did, and the cell because the head did: later there may be more.
    pub open: bool,
    /// When it was made.
    pub made: Instant,
}

impl Segment {
    /// Bytes of memory that it holds.
    pub fn weight(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// Whether all its entries are of times that `span` contains.
    pub fn lies_in(&self, span: Span) -> bool {
        self.times.is_none_or(|(earliest, latest)| span.contains(earliest) && span.contains(latest))
    }
}

/// What bounds a segment besides its size.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Records that end after this are left out.
    pub until: Offset,
    /// Records of other times are left out.
    pub span: Span,
    /// Entries at most.
    pub entries: u64,
    /// Bytes of encoded entries at most, but for one entry that has more by itself.
    pub bytes: usize,
    /// Flags that the first entry gets on top of its own.
    pub first_flags: u32,
    /// The cursor of an unterminated record of a file that may go on points before it.
    pub piece_goes_on: bool,
}

impl Bounds {
    /// None: the bounds under which segments are shared.
    pub const NONE: Self = Self {
        until: Offset(u64::MAX),
        span: Span::ALL,
        entries: u64::MAX,
        bytes: SEGMENT_BYTES,
        first_flags: 0,
        piece_goes_on: false,
    };
}

/// What of a cell goes into a segment.
#[derive(Clone, Debug)]
pub enum Picks {
    /// What a filter selects.
    Matches(Selected),
    /// These, by their indices; then reading goes on at the record given last.
    These(Vec<Pick>, usize),
}

/// A record that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its index in the cell.
    pub index: usize,
    /// Whether it does not match, but stands near one that does.
    pub is_context: bool,
}

impl Picks {
    fn next_from(&self, from: usize, cell: &Cell) -> Option<Pick> {
        match self {
            Self::Matches(selected) => {
                selected.next_from(from, cell.len()).map(|index| Pick { index, is_context: false })
            }
            Self::These(picks, _) => picks.get(picks.partition_point(|pick| pick.index < from)).copied(),
        }
    }

    /// Where reading goes on when all of them have gone out.
    fn end(&self, cell: &Cell) -> usize {
        match self {
            Self::Matches(_) => cell.len(),
            Self::These(_, end) => *end,
        }
    }
}

/// Encodes `picks` of `cell`, from the record at or after `from`, in `shape`.
pub fn encode(
    file: &LogFile,
    cell: &Cell,
    from: Offset,
    picks: &Picks,
    shape: Shape,
    bounds: Bounds,
    now: Instant,
) -> Segment {
    let first = cell.index_at(from);
    let limit = picks.end(cell).min(cell.count_until(bounds.until));
    let mut writer = CellWriter::new(file, cell, Sheaf::new(shape, bounds.bytes));
    if matches!(picks, Picks::Matches(selected) if selected.is_dense(cell.len())) {
        cell.metas();
        writer.sheaf.expect(cell.end().since(from));
    }
    let mut at = first;
    let (mut full, mut left_out) = (false, false);
    while at < limit && writer.sheaf.entries < bounds.entries {
        let next = picks.next_from(at, cell).filter(|pick| pick.index < limit);
        let Some(pick) = next else {
            at = limit;
            break;
        };
        if bounds.span != Span::ALL && !bounds.span.contains(cell.meta(pick.index).time) {
            left_out = true;
        } else {
            let first_flags = if writer.sheaf.entries == 0 { bounds.first_flags } else { 0 };
            if !writer.put(pick, first_flags, bounds.piece_goes_on) {
                (full, at) = (true, pick.index);
                break;
            }
        }
        at = pick.index + 1;
    }
    let last_cursor = writer.last.map(|last| writer.cursor_after(last, bounds.piece_goes_on));
    let open = !full && at == cell.len() && cell.is_open();
    let stretch = Stretch {
        start: from,
        start_tail: cell.tail_before(first),
        end: cell.start_of(at),
        end_tail: cell.tail_before(at),
    };
    Segment { left_out, open, ..writer.sheaf.bind(stretch, last_cursor, now) }
}

/// A stretch of a file, with the hashes of the bytes before its ends.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Where it starts.
    pub start: Offset,
    /// Hash of the bytes before its start.
    pub start_tail: TailHash,
    /// Where it ends.
    pub end: Offset,
    /// Hash of the bytes before its end.
    pub end_tail: TailHash,
}

/// Entries one after the other, until a segment of them is bound.
pub struct Sheaf {
    shape: Shape,
    bytes_max: usize,
    out: Vec<u8>,
    crc: crc32fast::Hasher,
    /// How many there are.
    pub entries: u64,
    matches: u64,
    message_bytes: u64,
    last_at: usize,
    times: Option<(Nanos, Nanos)>,
}

impl Sheaf {
    /// None yet; no more than so many bytes will go into it, but for one entry that has more by itself.
    pub fn new(shape: Shape, bytes_max: usize) -> Self {
        let (out, crc) = (Vec::new(), crc32fast::Hasher::new());
        Self { shape, bytes_max, out, crc, entries: 0, matches: 0, message_bytes: 0, last_at: 0, times: None }
    }

    /// Makes room at once for the entries of about so many bytes of a file.
    pub fn expect(&mut self, bytes: u64) {
        // With the entry that makes it full, which goes into the next one.
        self.out.reserve(self.bytes_max.min(bytes as usize * 2) + self.bytes_max / 16);
    }

    /// Appends an entry, unless the segment would grow past its size by it; whether it did.
    pub fn put(&mut self, file: &FilePart, entry: &EntryView<'_>, is_context: bool) -> bool {
        if self.out.capacity() == 0 {
            self.out.reserve(self.bytes_max.min(entry.message.len() + 512));
        }
        let (before, crc) = (self.out.len(), self.crc.clone());
        let len = encode::put_entry(&mut self.out, &mut self.crc, self.shape, file, entry);
        if self.entries > 0 && self.out.len() > self.bytes_max {
            self.out.truncate(before);
            self.crc = crc;
            return false;
        }
        let (earliest, latest) = self.times.unwrap_or((entry.time, entry.time));
        self.times = Some((earliest.min(entry.time), latest.max(entry.time)));
        self.entries += 1;
        self.matches += u64::from(!is_context);
        self.message_bytes += len as u64;
        self.last_at = before;
        true
    }

    /// The segment of those in a stretch; `last_cursor` points behind the last one.
    pub fn bind(self, stretch: Stretch, last_cursor: Option<[u8; CURSOR_BYTES]>, now: Instant) -> Segment {
        Segment {
            start: stretch.start,
            end: stretch.end,
            start_tail: stretch.start_tail,
            end_tail: stretch.end_tail,
            last_cursor: last_cursor.unwrap_or([0; CURSOR_BYTES]),
            times: self.times,
            left_out: false,
            open: false,
            entries: self.entries as u32,
            matches: self.matches as u32,
            message_bytes: self.message_bytes,
            crc: self.crc,
            last_at: self.last_at,
            bytes: exact(self.out),
            made: now,
        }
    }
}

/// Encodes record after record of a cell.
struct CellWriter<'a> {
    file: &'a LogFile,
    cell: &'a Cell,
    sheaf: Sheaf,
    last: Option<usize>,
    /// The hash of the file's beginning, once it is the same for all later cursors.
    head: Option<HeadHash>,
}

impl<'a> CellWriter<'a> {
    fn new(file: &'a LogFile, cell: &'a Cell, sheaf: Sheaf) -> Self {
        let head = Cell::head_hash_is_settled(cell.start()).then(|| cell.head_hash(cell.start()));
        Self { file, cell, sheaf, last: None, head }
    }

    /// Appends a record, unless the segment would grow past its size by it; whether it did.
    fn put(&mut self, Pick { index, is_context }: Pick, first_flags: u32, piece_goes_on: bool) -> bool {
        let record = &self.cell.records()[index];
        let meta = self.cell.meta(index);
        let more_flags = first_flags | if is_context { flag::CONTEXT } else { 0 };
        let (rules, text) = (self.cell.rules(), self.cell.bytes_of(record));
        let message = self.cell.with_context(index, |context| parse::message(rules, context, text));
        let time_flag = if meta.borrowed_time { flag::TIME_NOT_FROM_LINE } else { 0 };
        let fields = if self.sheaf.shape.wants_fields() {
            self.cell.with_context(index, |context| fields_of(rules, context, text))
        } else {
            Vec::new()
        };
        let cursor = match self.sheaf.shape {
            Shape::V1 { .. } => self.cursor_after(index, piece_goes_on),
            Shape::Compat | Shape::Batch { .. } => [0; CURSOR_BYTES],
        };
        let entry = EntryView {
            message: &message,
            raw: self.cell.raw_of(record),
            time: meta.time,
            severity: meta.severity,
            flags: record.flags | time_flag | more_flags,
            cursor: &cursor,
            fields: &fields,
        };
        let fits = self.sheaf.put(&self.file.log.part, &entry, is_context);
        if fits {
            self.last = Some(index);
        }
        fits
    }

    fn cursor_after(&self, index: usize, piece_goes_on: bool) -> [u8; CURSOR_BYTES] {
        let unterminated = self.cell.records()[index].flags & flag::UNTERMINATED != 0;
        let (offset, tail) = if unterminated && piece_goes_on {
            (self.cell.start_of(index), self.cell.start_tail())
        } else {
            (self.cell.end_of(index), self.cell.tail_after(index))
        };
        let cursor = EntryCursor {
            key: self.file.identity.key,
            lineage: self.file.log.lineage,
            offset,
            head: self.head.unwrap_or_else(|| self.cell.head_hash(offset)),
            tail,
            after_piece: unterminated && !piece_goes_on,
        };
        cursor.encode()
    }
}

/// The bytes in an allocation that is not much larger than they are: segments are kept, and counted by their length.
fn exact(mut bytes: Vec<u8>) -> Bytes {
    if bytes.capacity() > bytes.len() + bytes.len() / 8 {
        bytes.shrink_to_fit();
    }
    bytes.into()
}

/// A segment behind a pointer, as the cache keeps it.
pub type SharedSegment = Arc<Segment>;
