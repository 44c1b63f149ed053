//! Gathering what a search finds: segments made straight from the blocks that are searched, without cells, and ahead of
//! whoever reads them.
//!
//! A cell is for those who want most of its records. Of what a filter selects here and there only the selected records
//! are looked at: one line each, judged, parsed and encoded where it lies in the block. What is not as simple as that (a
//! record of several lines, one whose time lies further back, the beginning of the file) is left to the cell.

use std::{
    ops::Range,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Instant,
};

use memchr::{memchr, memrchr};

use super::{
    Feed, Item, Key, Kind, Place, SharedError, SharedFilter, WaitingItem,
    cache::{Answer, Cache, Joined, Landed, Lead},
    scan::{record_at, without_return},
    segment::{self, Bounds, Picks, Segment, SharedSegment, Sheaf, Stretch},
    select::{Selected, fields_of},
    shape_name,
};
use crate::{
    entry::{
        Offset,
        cursor::{EntryCursor, HeadHash, TailHash},
        encode::{EntryView, Shape},
        flag,
    },
    file::{Cell, CellError, Content, cell::Plan},
    limits::{CONTEXT_BYTES, CURSOR_BYTES, GATHER_AHEAD_MAX, GATHER_CACHE_MIN, LOOK_BACK_BYTES, SEGMENT_BYTES},
    parse::{self, Context, Parsed},
    telemetry::{ShapeLabel, SourceLabel, Telemetry},
    watch::LogFile,
};

/// What somebody wants to have gathered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// The form of the entries.
    pub shape: Shape,
    /// Whether the first ones are waited for, so that they go out before a segment is full.
    pub is_eager: bool,
}

/// Who is gathered for.
#[derive(Clone)]
pub(super) struct For {
    cache: Arc<Cache<Key, Item, SharedError>>,
    /// The key of a segment, but for where it starts.
    key: Key,
    shape: Shape,
    is_eager: bool,
    /// Where the search ends at the latest.
    limit: Offset,
    telemetry: Arc<Telemetry>,
}

/// The file that is searched, and how.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub file: &'a Arc<LogFile>,
    pub reader: &'a Content,
    pub plan: &'a Plan<'a>,
    pub filter: &'a SharedFilter,
    /// What the file's beginning tells about every record behind it.
    pub context: &'a Context,
}

/// Whole records in a row, and what lies before them.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// Up to [`CURSOR_TAIL_BYTES`] more than the records.
    pub bytes: &'a [u8],
    /// Where in `bytes` the first record begins.
    pub begin: usize,
    /// Where that is in the file.
    pub at: Offset,
}

/// What a record is that something was found in.
pub(super) enum Verdict {
    /// One that is not selected; the next one begins here.
    Passed(usize),
    /// One that is.
    Selected(Found),
    /// The search cannot tell by itself: one that begins here.
    Odd(usize),
}

/// A selected record of one line.
#[derive(Clone)]
pub(super) struct Found {
    /// Its bytes, without terminator.
    line: Range<usize>,
    /// Where the next one begins.
    pub end: usize,
    parsed: Parsed,
    flags: u32,
}

/// Segments being made one after the other, each of which somebody may wait for.
pub(super) struct Gatherer<'a> {
    ground: Ground<'a>,
    to: For,
    lead: Lead<Key, Item, SharedError>,
    start: Offset,
    start_tail: TailHash,
    sheaf: Sheaf,
    last: Option<(Offset, TailHash)>,
    head: HeadHash,
    /// Segments in a row that nobody waited for.
    ahead: usize,
    made: usize,
}

impl Feed {
    /// For whom a search gathers.
    pub(super) fn gather_for(
        &self,
        place: &Place<'_>,
        filter: &SharedFilter,
        wish: Wish,
        limit: Offset,
    ) -> Option<For> {
        let Wish { shape, is_eager } = wish;
        let key = place.key(place.at, Kind::Segment(shape, filter.number));
        let (cache, telemetry) = (self.cache.clone(), self.telemetry.clone());
        (cache.budget() >= GATHER_CACHE_MIN).then(|| For { cache, key, shape, is_eager, limit, telemetry })
    }

    /// What a search has gathered at a place, or is about to; nothing where none does.
    pub(super) fn poll_gathered(
        &self,
        context: &TaskContext<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &Place<'_>,
        filter: &SharedFilter,
        shape: Shape,
    ) -> Poll<Option<SharedSegment>> {
        if waiting.is_none() {
            match self.cache.join(&place.key(place.at, Kind::Segment(shape, filter.number))) {
                Some(Joined::Hit(Item::Segment(segment))) if !segment.open => {
                    self.telemetry.cache_hits.inc();
                    return Poll::Ready(Some(segment));
                }
                Some(Joined::Wait(flight)) => *waiting = Some(flight),
                Some(Joined::Hit(_)) | None => return Poll::Ready(None),
            }
        }
        let landed = waiting.as_mut().map_or(Poll::Ready(Landed::Abandoned), |flight| flight.poll(context));
        landed.map(|landed| {
            *waiting = None;
            match landed {
                Landed::Value(Item::Segment(segment)) if !segment.open && segment.start == place.at => Some(segment),
                // Whoever goes on finds out why there is none.
                Landed::Value(_) | Landed::Failed(_) | Landed::Abandoned => None,
            }
        })
    }
}

impl Ground<'_> {
    /// Judges the record that has the byte of `text` at `place`.
    pub fn judge(&self, text: Text<'_>, place: usize) -> Verdict {
        let Text { bytes, begin, at } = text;
        let rules = self.plan.rules;
        let records = &bytes[begin..];
        let start = begin + record_at(records, place - begin, rules);
        let line_start = memrchr(b'\n', &bytes[begin..place]).map_or(begin, |newline| begin + newline + 1);
        let Some(newline) = memchr(b'\n', &bytes[place..]) else { return Verdict::Odd(start) };
        let end = place + newline + 1;
        let line = without_return(&bytes[line_start..end - 1]);
        let offset = at.after((line_start - begin) as u64);
        let is_simple = start == line_start
            && offset.0 >= CONTEXT_BYTES as u64
            && !rules.joins_lines()
            && !rules.leaves_unfinished(line)
            && line.len() <= self.plan.line_max
            && line.first() != Some(&0)
            && at.after((end - begin) as u64) < self.plan.head;
        if !is_simple {
            return Verdict::Odd(start);
        }
        let mut parsed = None;
        let mut parse = || *parsed.get_or_insert_with(|| parse::parse(rules, self.context, line));
        let filter = &self.filter.filter;
        let selected = filter.matches(line, || parse().severity)
            && (filter.wanted_fields().is_empty() || filter.matches_fields(&fields_of(rules, self.context, line)));
        if !selected {
            return Verdict::Passed(end);
        }
        let flags = if line.len() < end - 1 - line_start { flag::CRLF } else { 0 };
        let found = Found { line: line_start..line_start + line.len(), end, parsed: parse(), flags };
        self.with_time(text, found).map_or(Verdict::Odd(start), Verdict::Selected)
    }

    /// Lends a record without a time that of the nearest one before it; none where it is not here.
    fn with_time(&self, text: Text<'_>, found: Found) -> Option<Found> {
        if found.parsed.time.is_some() {
            return Some(found);
        }
        let records = &text.bytes[text.begin..];
        let mut start = found.line.start - text.begin;
        while start > 0 {
            let end = start;
            start = memrchr(b'\n', &records[..end - 1]).map_or(0, |newline| newline + 1);
            let far = (found.line.start - text.begin - start) as u64 > LOOK_BACK_BYTES;
            if far || text.at.after(start as u64).0 < CONTEXT_BYTES as u64 {
                return None;
            }
            let line = without_return(&records[start..end - 1]);
            let parsed = parse::parse(self.plan.rules, self.context, line);
            if parsed.time.is_some() {
                // A part of a record is not one.
                let is_record = record_at(records, start, self.plan.rules) == start && line.len() <= self.plan.line_max;
                let (time, flags) = (parsed.time, found.flags | flag::TIME_NOT_FROM_LINE);
                let parsed = Parsed { time, ..found.parsed };
                return (is_record && line.first() != Some(&0)).then_some(Found { parsed, flags, ..found });
            }
        }
        None
    }
}

impl Text<'_> {
    /// Where a byte lies in the file.
    pub fn place(&self, byte: usize) -> Offset {
        self.at.after((byte - self.begin) as u64)
    }

    /// Hash of the bytes before one.
    pub fn tail(&self, byte: usize) -> TailHash {
        TailHash::of(&self.bytes[..byte])
    }
}

impl Found {
    /// Where it begins.
    pub fn start(&self) -> usize {
        self.line.start
    }
}

impl<'a> Gatherer<'a> {
    /// Begins at the record that begins at `place`, unless somebody has already been there.
    pub fn begin(ground: Ground<'a>, to: For, text: Text<'_>, place: usize) -> Option<Self> {
        let start = text.place(place);
        let lead = to.lead_at(start)?;
        let sheaf = Sheaf::new(to.shape, SEGMENT_BYTES);
        let head = HeadHash::of(&ground.plan.beginning, start);
        let start_tail = text.tail(place);
        Some(Self { ground, to, lead, start, start_tail, sheaf, last: None, head, ahead: 0, made: 0 })
    }

    /// Takes a record; none where nobody goes on behind the segment that is full with it.
    pub fn take(mut self, text: Text<'_>, found: &Found) -> Result<Option<Self>, SharedError> {
        if self.put(text, found) {
            return Ok(Some(self));
        }
        let Some(mut next) = self.bind(text, found.line.start)? else { return Ok(None) };
        // One entry always fits.
        next.put(text, found);
        Ok(Some(next))
    }

    fn put(&mut self, text: Text<'_>, found: &Found) -> bool {
        let (rules, context) = (self.ground.plan.rules, self.ground.context);
        let line = &text.bytes[found.line.clone()];
        let end = text.place(found.end);
        let tail = text.tail(found.end);
        let cursor = match self.to.shape {
            Shape::V1 { .. } => self.cursor_at(end, tail),
            Shape::Compat | Shape::Batch { .. } => [0; CURSOR_BYTES],
        };
        let fields = if self.to.shape.wants_fields() { fields_of(rules, context, line) } else { Vec::new() };
        let entry = EntryView {
            message: &parse::message(rules, context, line),
            raw: None,
            time: found.parsed.time.unwrap_or(self.ground.plan.mtime),
            severity: found.parsed.severity,
            flags: found.flags,
            cursor: &cursor,
            fields: &fields,
        };
        let fits = self.sheaf.put(&self.ground.file.log.part, &entry, false);
        if fits {
            self.last = Some((end, tail));
        }
        fits
    }

    fn cursor_at(&self, offset: Offset, tail: TailHash) -> [u8; CURSOR_BYTES] {
        let (key, lineage) = (self.ground.file.identity.key, self.ground.file.log.lineage);
        EntryCursor { key, lineage, offset, head: self.head, tail, after_piece: false }.encode()
    }

    /// Whether it has the very first entries, which whoever waits is to have at once.
    pub fn is_first(&self) -> bool {
        self.to.is_eager && self.made == 0 && self.sheaf.entries > 0
    }

    /// Hands on what was gathered up to the record that begins at `place`, and goes on there, unless somebody has been
    /// there or it is far enough ahead of everybody.
    pub fn bind(self, text: Text<'_>, place: usize) -> Result<Option<Self>, SharedError> {
        let at = text.place(place);
        let (ground, to, tail) = (self.ground, self.to.clone(), text.tail(place));
        let ahead = if self.lead.is_forsaken() { self.ahead + 1 } else { 0 };
        let (head, made) = (self.head, self.made + 1);
        // Before anybody can come there.
        let next = if ahead < GATHER_AHEAD_MAX && at < to.limit { to.lead_at(at) } else { None };
        if let Err(error) = self.finish(at, tail) {
            next.into_iter().for_each(|lead| lead.fail(error.clone()));
            return Err(error);
        }
        let sheaf = Sheaf::new(to.shape, SEGMENT_BYTES);
        Ok(next.map(|lead| Self {
            ground,
            to,
            lead,
            start: at,
            start_tail: tail,
            sheaf,
            last: None,
            head,
            ahead,
            made,
        }))
    }

    /// Where what it makes now starts.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Hands on what was gathered up to `end`, the last of it.
    pub fn finish(self, end: Offset, end_tail: TailHash) -> Result<(), SharedError> {
        let segment = self.check(end).and_then(|()| if end > self.start { Ok(None) } else { self.of_cell().map(Some) });
        let segment = match segment {
            Ok(Some(segment)) => segment,
            Ok(None) => {
                let stretch = Stretch { start: self.start, start_tail: self.start_tail, end, end_tail };
                let last_cursor = self.last.map(|(offset, tail)| self.cursor_at(offset, tail));
                self.sheaf.bind(stretch, last_cursor, Instant::now())
            }
            Err(error) => {
                let error = Arc::new(error);
                self.lead.fail(error.clone());
                return Err(error);
            }
        };
        self.to.telemetry.encodes.get_or_create(&ShapeLabel { shape: shape_name(self.to.shape) }).inc();
        let source = SourceLabel { source: self.ground.file.log.source.name.clone() };
        self.to.telemetry.bytes_read.get_or_create(&source).inc_by(end.since(self.start));
        self.lead.fulfil(Item::Segment(Arc::new(segment)));
        Ok(())
    }

    /// Says to those who wait why there is nothing.
    pub fn fail(self, error: SharedError) {
        self.lead.fail(error);
    }

    /// Where nothing can be gathered, what somebody may already wait for comes from a cell.
    fn of_cell(&self) -> Result<Segment, CellError> {
        let Ground { file, reader, plan, filter, .. } = self.ground;
        let cell = Cell::read(reader, &Plan { start: self.start, ..plan.clone() })?;
        let picks = Picks::Matches(Selected::of(filter, &cell));
        Ok(segment::encode(file, &cell, self.start, &picks, self.to.shape, Bounds::NONE, Instant::now()))
    }

    /// What was read while the file became shorter is not to be trusted.
    fn check(&self, end: Offset) -> Result<(), CellError> {
        let size = self.ground.reader.size_and_mtime().map_err(|error| CellError::Io(end, error))?.0;
        if size < end && self.ground.reader.archive().is_none() { Err(CellError::Changed(size)) } else { Ok(()) }
    }
}

impl For {
    /// The duty to make the segment that starts at `start`, unless it is there or being made.
    fn lead_at(&self, start: Offset) -> Option<Lead<Key, Item, SharedError>> {
        let is_whole = |item: &Item| matches!(item, Item::Segment(segment) if !segment.open);
        match self.cache.ask(&Key { start, ..self.key }, is_whole) {
            Answer::Lead(lead) => Some(lead),
            Answer::Hit(_) | Answer::Wait(_) => None,
        }
    }
}
