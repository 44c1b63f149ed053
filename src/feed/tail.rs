//! The last N matches of a selection, found by reading backwards.
//!
//! Every file is read from its end in steps of the grid, blocks without a match being passed over as in any search; of all
//! files the latest match is taken until there are N.
//! Memory holds one step of matches per file, however many matches are wanted, and the result is one place per file.

use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{SharedFilter, around, resume, room::Room, scan, seek::Span, select::Selected};
use crate::{
    entry::{Nanos, Offset, cursor::TailHash},
    file::{Cell, CellError, Encoding, ReadAt, cell::Plan, lines},
    limits::{GRID_BYTES, TAIL_SLACK, TAIL_STEP_FILES_MAX, TAIL_STEP_GRIDS_MAX},
    parse::Rules,
    telemetry::Telemetry,
    watch::{LogFile, Published},
};

/// A match: its time and where it starts.
type Match = (Nanos, Offset);
/// What a step brought, by the index of the file.
type Stepped = Vec<(usize, Result<Stretch, CellError>)>;

/// A search for the last N matches.
pub struct TailScan {
    wanted: u64,
    /// Records before the first match of each file that go out with it.
    before: u32,
    filter: Arc<SharedFilter>,
    span: Span,
    telemetry: Arc<Telemetry>,
    files: Vec<Backward>,
    room: Arc<Room>,
    step: Option<oneshot::Receiver<Stepped>>,
    /// The places found, while the bytes before them are read.
    places: Option<JoinHandle<Vec<TailStart>>>,
}

/// Where a file is to be read from, and the hash of the bytes before it; none when it was not even looked at.
pub type TailStart = Option<(Offset, Option<TailHash>)>;

/// One file, read backwards.
struct Backward {
    file: Arc<LogFile>,
    published: Published,
    /// Nothing before it is looked at.
    floor: Offset,
    /// End of the unterminated record behind the head, while it is still to be looked at.
    piece_end: Option<Offset>,
    /// Nothing of it is later than this: it was not looked at yet, and may never be.
    unknown: Option<Nanos>,
    /// Where the search begins.
    from: Offset,
    /// Records from here on are done.
    done_to: Offset,
    /// Matches before the ones taken, in file order; the last one is next.
    matches: Vec<Match>,
    /// The earliest match taken.
    start: Offset,
    /// Whether there is one.
    has_match: bool,
}

/// Where the search ended in a file.
struct FoundPlace {
    file: Arc<LogFile>,
    published: Published,
    floor: Offset,
    start: Option<Offset>,
    has_match: bool,
}

impl FoundPlace {
    /// The place, or where what stands before the match there begins.
    fn with_context(&self, filter: &SharedFilter, span: Span, before: u32) -> Option<Offset> {
        let start = self.start?;
        if before == 0 || !self.has_match || start <= self.floor {
            return Some(start);
        }
        let begins = around::before_match(&self.file, self.published, self.floor..start, filter, span, before);
        Some(begins.map(|(start, _)| start).unwrap_or_else(|error| {
            tracing::debug!(path = %self.file.path().display(), %error, "no context before the first match");
            start
        }))
    }
}

/// One file to search.
pub struct Searched {
    /// The file.
    pub file: Arc<LogFile>,
    /// How far it is written.
    pub published: Published,
    /// Where the search ends.
    pub floor: Offset,
    /// Where it begins.
    pub stop: Offset,
    /// End of the unterminated record at `stop` that belongs to the answer.
    pub piece_end: Option<Offset>,
    /// Whether it is still to be found out how far it is written, should the search come to it.
    pub unknown: bool,
}

/// What a step backwards brought.
enum Stretch {
    /// How far a file is written.
    Looked(Published),
    /// The matches from a place on.
    Read { from: Offset, matches: Vec<Match> },
}

impl TailScan {
    /// A search for the last `wanted` matches of `span` in `files`.
    pub fn new(
        wanted: u64,
        before: u32,
        filter: Arc<SharedFilter>,
        span: Span,
        telemetry: Arc<Telemetry>,
        room: Arc<Room>,
        files: impl IntoIterator<Item = Searched>,
    ) -> Self {
        let slack = TAIL_SLACK.as_nanos() as i64;
        let backward = |Searched { file, published, floor, stop, piece_end, unknown }| Backward {
            file,
            published,
            floor,
            piece_end,
            unknown: unknown.then(|| Nanos(published.mtime.0.saturating_add(slack))),
            from: stop,
            done_to: stop,
            matches: Vec::new(),
            start: piece_end.unwrap_or(stop),
            has_match: false,
        };
        let files = files.into_iter().map(backward).collect();
        Self { wanted, before, filter, span, telemetry, room, files, step: None, places: None }
    }

    /// How many bytes were searched, and how many there are to search at most.
    pub fn searched(&self) -> (u64, u64) {
        let known = || self.files.iter().filter(|file| file.unknown.is_none());
        let searched = known().map(|file| file.from.since(file.done_to)).sum();
        let unknown: u64 =
            self.files.iter().filter(|file| file.unknown.is_some()).map(|file| file.file.first_size.0).sum();
        (searched, unknown + known().map(|file| file.from.since(file.floor)).sum::<u64>())
    }

    /// Where each file, in the order given, has to be read from.
    ///
    /// A file that cannot be read any further is read from where the trouble began.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Vec<TailStart>> {
        loop {
            if let Some(places) = &mut self.places {
                let unread = || self.files.iter().map(|file| file.known_start().map(|start| (start, None))).collect();
                return Pin::new(places).poll(context).map(|places| places.unwrap_or_else(|_| unread()));
            }
            if let Some(step) = &mut self.step {
                match Pin::new(step).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(done) => {
                        self.step = None;
                        self.stepped(done);
                    }
                }
            }
            if self.take_matches() {
                self.look_at_places();
            } else {
                self.start_step();
            }
        }
    }

    /// Takes the latest matches while it is known which they are; whether the search is over.
    fn take_matches(&mut self) -> bool {
        while self.wanted > 0 {
            if self.files.iter().any(Backward::is_needy) {
                return false;
            }
            let times = self.files.iter().enumerate().filter_map(|(index, file)| Some((file.matches.last()?.0, index)));
            let latest = times.max();
            // What was not looked at yet may hold a later one.
            let next = self.files.iter().filter_map(|file| file.unknown).max();
            let Some((time, index)) = latest else { return next.is_none() };
            if next.is_some_and(|next| time < next) {
                return false;
            }
            let file = &mut self.files[index];
            if let Some((_, start)) = file.matches.pop() {
                (file.start, file.has_match) = (start, true);
                self.wanted -= 1;
            }
        }
        true
    }

    fn look_at_places(&mut self) {
        let place = |file: &Backward| FoundPlace {
            file: file.file.clone(),
            published: file.published,
            floor: file.floor,
            start: file.known_start(),
            has_match: file.has_match,
        };
        let places: Vec<_> = self.files.iter().map(place).collect();
        let (filter, span, before) = (self.filter.clone(), self.span, self.before);
        self.places = Some(tokio::task::spawn_blocking(move || {
            let place = |place: FoundPlace| {
                let start = place.with_context(&filter, span, before)?;
                Some((start, resume::known_tail(&place.file, start)))
            };
            places.into_iter().map(place).collect()
        }));
    }

    fn start_step(&mut self) {
        let needy = self.files.iter().enumerate().filter(|(_, file)| file.is_needy());
        let read = needy.take(TAIL_STEP_FILES_MAX).map(|(index, file)| {
            let range = file.floor..file.done_to;
            (index, file.file.clone(), Ahead::Read { published: file.published, piece_end: file.piece_end, range })
        });
        let mut jobs: Vec<_> = read.collect();
        if jobs.is_empty() {
            let unknown = self.files.iter().enumerate().filter(|(_, file)| file.unknown.is_some());
            let next = unknown.max_by_key(|(_, file)| (file.unknown, file.file.ordinal()));
            jobs.extend(next.map(|(index, file)| (index, file.file.clone(), Ahead::Look)));
        }
        let (filter, span, telemetry) = (self.filter.clone(), self.span, self.telemetry.clone());
        let is_search = !self.filter.filter.is_everything();
        let work = move || {
            let wants = |cell: &Cell, selected: &Selected, index: usize| {
                selected.contains(index) && (span == Span::ALL || span.contains(cell.meta(index).time))
            };
            let matches_in = |cell: &Cell, floor: Offset| {
                let selected = Selected::of(&filter, cell);
                let wanted = (cell.index_at(floor)..cell.len()).filter(|index| wants(cell, &selected, *index));
                // As in a merge: a line of another time does not go before what its file has brought already.
                let mut latest = Nanos(i64::MIN);
                let keyed = wanted.map(|index| {
                    latest = latest.max(cell.meta(index).time);
                    (latest, cell.start_of(index))
                });
                keyed.collect()
            };
            let step = |(index, file, ahead): (usize, Arc<LogFile>, Ahead)| {
                let stretch = match ahead {
                    Ahead::Look => look(&file),
                    Ahead::Read { published, piece_end: Some(end), .. } => {
                        look_at_piece(&file, published, end, &matches_in)
                    }
                    Ahead::Read { published, range, .. } => {
                        step_back(&file, published, range, &filter, &matches_in, &telemetry)
                    }
                };
                (index, stretch)
            };
            jobs.into_iter().map(step).collect()
        };
        // Where everything matches a few steps are all it takes.
        self.step = Some(if is_search { self.room.ask(work) } else { Room::ask_aside(work) });
    }

    fn stepped(&mut self, done: Result<Stepped, oneshot::error::RecvError>) {
        let Ok(done) = done else {
            // The step panicked; nothing more is searched rather than searched for ever.
            self.files.iter_mut().for_each(Backward::give_up);
            return;
        };
        for (index, result) in done {
            let file = &mut self.files[index];
            match result {
                Ok(Stretch::Looked(published)) => file.looked(published),
                Ok(Stretch::Read { from, matches }) => {
                    (file.piece_end, file.done_to, file.matches) = (None, from, matches);
                }
                Err(error) => {
                    tracing::warn!(path = %file.file.path().display(), %error, "the search for the last lines ended");
                    file.give_up();
                }
            }
        }
    }
}

/// What is to be done next with a file.
enum Ahead {
    /// See how far it is written.
    Look,
    /// Read on backwards, the unterminated record at its end first.
    Read { published: Published, piece_end: Option<Offset>, range: Range<Offset> },
}

impl Backward {
    /// Whether it has to be read further before it is known which of its matches is the last one not taken.
    fn is_needy(&self) -> bool {
        let unread = self.piece_end.is_some() || self.done_to > self.floor;
        self.unknown.is_none() && self.matches.is_empty() && unread
    }

    /// Takes in how far it is written.
    fn looked(&mut self, published: Published) {
        let whole = published.head <= self.done_to;
        (self.from, self.done_to) = (self.from.min(published.head), self.done_to.min(published.head));
        self.piece_end = Some(published.size).filter(|size| whole && published.head < *size);
        self.start = self.piece_end.unwrap_or(self.done_to);
        (self.published, self.unknown) = (published, None);
    }

    /// Nothing more is searched in it.
    fn give_up(&mut self) {
        (self.done_to, self.piece_end, self.unknown) = (Offset::ZERO, None, None);
    }

    /// Where it is to be read from; none while it was not looked at.
    fn known_start(&self) -> Option<Offset> {
        self.unknown.is_none().then_some(self.start)
    }
}

/// Looks how far a file is written; a compressed one is read to its end for that.
fn look(file: &Arc<LogFile>) -> Result<Stretch, CellError> {
    file.measure().map_err(|error| CellError::Io(Offset::ZERO, error))?;
    file.settle();
    Ok(Stretch::Looked(file.published()))
}

/// Looks whether the unterminated record between the head and `end` matches.
fn look_at_piece(
    file: &Arc<LogFile>,
    published: Published,
    end: Offset,
    matches_in: &impl Fn(&Cell, Offset) -> Vec<Match>,
) -> Result<Stretch, CellError> {
    let (from, io) = (published.head, |error| CellError::Io(published.head, error));
    let content = file.open().map_err(io)?;
    let (reader, settings) = (&*content, file.log.source.settings());
    let plan = Plan {
        start: from,
        head: end,
        beginning: file.beginning(reader, &published, end).map_err(io)?,
        rules: &settings.rules,
        line_max: settings.line_max,
        mtime: published.mtime,
    };
    Ok(Stretch::Read { from, matches: matches_in(&Cell::read_piece(reader, &plan)?, from) })
}

/// Reads backwards from the end of `range`, where a record starts or the last one ends, to its beginning, until something
/// matches or a bounded number of steps is done.
fn step_back(
    file: &Arc<LogFile>,
    published: Published,
    range: Range<Offset>,
    filter: &SharedFilter,
    matches_in: &impl Fn(&Cell, Offset) -> Vec<Match>,
    telemetry: &Telemetry,
) -> Result<Stretch, CellError> {
    let mut from = range.end;
    for _ in 0..TAIL_STEP_GRIDS_MAX {
        from = scan::skim_back(file, &published, filter, range.start..from, telemetry)?;
        let cells = cells_before(file, &published, from)?;
        telemetry.reads.inc();
        from = cells.first().map_or(range.start, Cell::start);
        let matches: Vec<_> = cells.iter().flat_map(|cell| matches_in(cell, range.start)).collect();
        if !matches.is_empty() || from <= range.start {
            return Ok(Stretch::Read { from, matches });
        }
    }
    Ok(Stretch::Read { from, matches: Vec::new() })
}

/// What lies on the last stretch of the grid before `end`, where a record starts or the last one ends: one cell, unless a
/// run of zeros parts it.
pub(super) fn cells_before(file: &Arc<LogFile>, published: &Published, end: Offset) -> Result<Vec<Cell>, CellError> {
    let content = file.open().map_err(|error| CellError::Io(end, error))?;
    let (reader, settings) = (&*content, file.log.source.settings());
    let io = |error| CellError::Io(end, error);
    let encoding = file.encoding(reader, published).map_err(io)?;
    let start = cell_start_before(reader, encoding, &settings.rules, end).map_err(io)?;
    let plan = Plan {
        start,
        head: end,
        beginning: file.beginning(reader, published, end).map_err(|error| CellError::Io(start, error))?,
        rules: &settings.rules,
        line_max: settings.line_max,
        mtime: published.mtime,
    };
    let (mut cells, mut at) = (Vec::new(), start);
    while at < end {
        let cell = Cell::read(reader, &Plan { start: at, ..plan.clone() })?;
        at = cell.end();
        cells.push(cell);
    }
    Ok(cells)
}

/// The start of the first record on the last stretch of the grid before `end` on which a record starts.
fn cell_start_before(reader: &impl ReadAt, encoding: Encoding, rules: &Rules, end: Offset) -> std::io::Result<Offset> {
    let mut grid = (end.0 - 1) / GRID_BYTES * GRID_BYTES;
    while grid > 0 {
        if let Some(line) = lines::first_line_end(reader, encoding, Offset(grid - 1), Offset(end.0 - 1))?
            && let Some(start) = lines::first_record_start(reader, encoding, rules, line, end)?
        {
            return Ok(start);
        }
        // A record longer than the grid is wide: its start lies further back.
        grid -= GRID_BYTES;
    }
    Ok(Offset::ZERO)
}
