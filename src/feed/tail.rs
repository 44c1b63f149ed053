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
    file::{Blocking, Cell, CellError, ReadAt, cell::Plan, lines},
    limits::{GRID_BYTES, TAIL_STEP_FILES_MAX, TAIL_STEP_GRIDS_MAX},
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

/// Where a file is to be read from, and the hash of the bytes before it.
pub type TailStart = (Offset, Option<TailHash>);

/// One file, read backwards.
struct Backward {
    file: Arc<LogFile>,
    published: Published,
    /// Nothing before it is looked at.
    floor: Offset,
    /// End of the unterminated record behind the head, while it is still to be looked at.
    piece_end: Option<Offset>,
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
}

/// What a step backwards brought.
struct Stretch {
    from: Offset,
    matches: Vec<Match>,
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
        let backward = |Searched { file, published, floor, stop, piece_end }| Backward {
            file,
            published,
            floor,
            piece_end,
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
                let unread = || self.files.iter().map(|file| (file.start, None)).collect();
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
            let latest = self.files.iter_mut().filter(|file| !file.matches.is_empty());
            let Some(file) = latest.max_by_key(|file| file.matches.last().map(|(time, _)| *time)) else { return true };
            if let Some((_, start)) = file.matches.pop() {
                file.start = start;
                self.wanted -= 1;
            }
        }
        true
    }

    fn look_at_places(&mut self) {
        let places: Vec<_> = self.files.iter().map(|file| (file.file.clone(), file.start)).collect();
        self.places = Some(tokio::task::spawn_blocking(move || {
            places.into_iter().map(|(file, start)| (start, resume::known_tail(&file, start))).collect()
        }));
    }

    fn start_step(&mut self) {
        let needy = self.files.iter().enumerate().filter(|(_, file)| file.is_needy());
        let jobs: Vec<_> = needy
            .take(TAIL_STEP_FILES_MAX)
            .map(|(index, file)| (index, file.file.clone(), file.published, file.piece_end, file.floor..file.done_to))
            .collect();
        let (filter, span, telemetry) = (self.filter.clone(), self.span, self.telemetry.clone());
        self.step = Some(tokio::task::spawn_blocking(move || {
            let wants = |cell: &Cell, index: usize| {
                let filter = &filter.filter;
                span.contains(cell.metas()[index].time)
                    && (filter.is_everything() || segment::selects(filter, cell, index))
            };
            let step = |(index, file, published, piece, range)| {
                let stretch = match piece {
                    Some(piece_end) => look_at_piece(&file, published, piece_end, &wants),
                    None => step_back(&file, published, range, &wants, &telemetry),
                };
                (index, stretch)
            };
            jobs.into_iter().map(step).collect()
        }));
    }

    fn stepped(&mut self, done: Result<Stepped, JoinError>) {
        let Ok(done) = done else {
            // The step panicked; nothing more is searched rather than searched for ever.
            self.files.iter_mut().for_each(|file| (file.done_to, file.piece_end) = (Offset::ZERO, None));
            return;
        };
        for (index, result) in done {
            let file = &mut self.files[index];
            file.piece_end = None;
            match result {
                Ok(stretch) => {
                    file.done_to = stretch.from;
                    file.matches = stretch.matches;
                }
                Err(error) => {
                    tracing::warn!(path = %file.file.path().display(), %error, "the search for the last lines ended");
                    file.done_to = Offset::ZERO;
                }
            }
        }
    }
}

impl Backward {
    /// Whether it has to be read further before it is known which of its matches is the last one not taken.
    fn is_needy(&self) -> bool {
        self.matches.is_empty() && (self.piece_end.is_some() || self.done_to > self.floor)
    }
}

/// Looks whether the unterminated record between the head and `end` matches.
fn look_at_piece(
    file: &Arc<LogFile>,
    published: Published,
    end: Offset,
    wants: &impl Fn(&Cell, usize) -> bool,
) -> Result<Stretch, CellError> {
    let (from, io) = (published.head, |error| CellError::Io(published.head, error));
    let handle = file.open().map_err(io)?;
    let reader = Blocking(&handle);
    let plan = Plan {
        start: from,
        head: end,
        beginning: file.beginning(&reader, &published, end).map_err(io)?,
        rules: &file.log.source.rules,
        line_max: file.log.source.line_max,
        mtime: published.mtime,
    };
    Ok(Stretch { from, matches: matches_in(&Cell::read_piece(&reader, &plan)?, from, wants) })
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
    let handle = file.open().map_err(|error| CellError::Io(range.end, error))?;
    let reader = Blocking(&handle);
    let mut from = range.end;
    for _ in 0..TAIL_STEP_GRIDS_MAX {
        let start =
            cell_start_before(&reader, &file.log.source.rules, from).map_err(|error| CellError::Io(from, error))?;
        let plan = Plan {
            start,
            head: from,
            beginning: file.beginning(&reader, &published, from).map_err(|error| CellError::Io(start, error))?,
            rules: &file.log.source.rules,
            line_max: file.log.source.line_max,
            mtime: published.mtime,
        };
        let cell = Cell::read(&reader, &plan)?;
        telemetry.reads.inc();
        from = start;
        let matches = matches_in(&cell, range.start, wants);
        if !matches.is_empty() || start <= range.start {
            return Ok(Stretch { from, matches });
        }
    }
    Ok(Stretch { from, matches: Vec::new() })
}

/// The start of the first record on the last stretch of the grid before `end` on which a record starts.
fn cell_start_before(reader: &impl ReadAt, rules: &Rules, end: Offset) -> std::io::Result<Offset> {
    let mut grid = (end.0 - 1) / GRID_BYTES * GRID_BYTES;
    while grid > 0 {
        if let Some(line) = lines::first_line_end(reader, Offset(grid - 1), Offset(end.0 - 1))?
            && let Some(start) = lines::first_record_start(reader, rules, line, end)?
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
