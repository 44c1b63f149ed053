//! The last N matches of a selection, found by reading backwards.
//!
//! Every file is read from its end in steps of the grid; of all files the latest match is taken until there are N.
//! Memory holds one step of matches per file, however many matches are wanted, and the result is one place per file.

use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::{JoinError, JoinHandle};

use super::{SharedFilter, resume, seek::Span, segment};
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
    filter: Arc<SharedFilter>,
    span: Span,
    telemetry: Arc<Telemetry>,
    files: Vec<Backward>,
    step: Option<JoinHandle<Stepped>>,
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
    /// Records from here on are done.
    done_to: Offset,
    /// Matches before the ones taken, in file order; the last one is next.
    matches: Vec<Match>,
    /// The earliest match taken.
    start: Offset,
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
        filter: Arc<SharedFilter>,
        span: Span,
        telemetry: Arc<Telemetry>,
        files: impl IntoIterator<Item = Searched>,
    ) -> Self {
        let slack = TAIL_SLACK.as_nanos() as i64;
        let backward = |Searched { file, published, floor, stop, piece_end, unknown }| Backward {
            file,
            published,
            floor,
            piece_end,
            unknown: unknown.then(|| Nanos(published.mtime.0.saturating_add(slack))),
            done_to: stop,
            matches: Vec::new(),
            start: piece_end.unwrap_or(stop),
        };
        let files = files.into_iter().map(backward).collect();
        Self { wanted, filter, span, telemetry, files, step: None, places: None }
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
                file.start = start;
                self.wanted -= 1;
            }
        }
        true
    }

    fn look_at_places(&mut self) {
        let places: Vec<_> = self.files.iter().map(|file| (file.file.clone(), file.known_start())).collect();
        self.places = Some(tokio::task::spawn_blocking(move || {
            let place = |(file, start): (Arc<LogFile>, Option<Offset>)| {
                start.map(|start| (start, resume::known_tail(&file, start)))
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
        self.step = Some(tokio::task::spawn_blocking(move || {
            let wants = |cell: &Cell, index: usize| {
                let filter = &filter.filter;
                span.contains(cell.metas()[index].time)
                    && (filter.is_everything() || segment::selects(filter, cell, index))
            };
            let step = |(index, file, ahead): (usize, Arc<LogFile>, Ahead)| {
                let stretch = match ahead {
                    Ahead::Look => look(&file),
                    Ahead::Read { published, piece_end: Some(end), .. } => look_at_piece(&file, published, end, &wants),
                    Ahead::Read { published, range, .. } => step_back(&file, published, range, &wants, &telemetry),
                };
                (index, stretch)
            };
            jobs.into_iter().map(step).collect()
        }));
    }

    fn stepped(&mut self, done: Result<Stepped, JoinError>) {
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
        self.done_to = self.done_to.min(published.head);
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
    wants: &impl Fn(&Cell, usize) -> bool,
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
    Ok(Stretch::Read { from, matches: matches_in(&Cell::read_piece(reader, &plan)?, from, wants) })
}

/// Reads backwards from the end of `range`, where a record starts or the last one ends, to its beginning, until something
/// matches or a bounded number of steps is done.
fn step_back(
    file: &Arc<LogFile>,
    published: Published,
    range: Range<Offset>,
    wants: &impl Fn(&Cell, usize) -> bool,
    telemetry: &Telemetry,
) -> Result<Stretch, CellError> {
    let content = file.open().map_err(|error| CellError::Io(range.end, error))?;
    let (reader, settings) = (&*content, file.log.source.settings());
    let mut from = range.end;
    for _ in 0..TAIL_STEP_GRIDS_MAX {
        let io = |error| CellError::Io(from, error);
        let encoding = file.encoding(reader, &published).map_err(io)?;
        let start = cell_start_before(reader, encoding, &settings.rules, from).map_err(io)?;
        let plan = Plan {
            start,
            head: from,
            beginning: file.beginning(reader, &published, from).map_err(|error| CellError::Io(start, error))?,
            rules: &settings.rules,
            line_max: settings.line_max,
            mtime: published.mtime,
        };
        let cell = Cell::read(reader, &plan)?;
        telemetry.reads.inc();
        from = start;
        let matches = matches_in(&cell, range.start, wants);
        if !matches.is_empty() || start <= range.start {
            return Ok(Stretch::Read { from, matches });
        }
    }
    Ok(Stretch::Read { from, matches: Vec::new() })
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

/// The matches of a cell at or after `floor`.
fn matches_in(cell: &Cell, floor: Offset, wants: &impl Fn(&Cell, usize) -> bool) -> Vec<Match> {
    let selected = (cell.index_at(floor)..cell.len()).filter(|index| wants(cell, *index));
    selected.map(|index| (cell.metas()[index].time, cell.start_of(index))).collect()
}
