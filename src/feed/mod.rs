//! Cells and segments on demand, kept in one cache; subscriptions that pull them.
//!
//! A subscription has no queue, no task and no thread: it is a filter and a cursor for each file. Asking for the
//! segment at a cursor is the same whether the subscriber is at the head, lags, resumes or reads history.

pub mod around;
pub mod cache;
#[cfg(test)]
mod cache_tests;
pub mod event;
mod gather;
mod looks;
mod loss;
pub mod member;
pub mod merge;
pub mod open;
pub mod resume;
mod room;
mod scan;
pub mod seek;
pub mod segment;
mod select;
pub mod subscription;
mod succession;
pub mod tail;
mod turn;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use xxhash_rust::xxh3::xxh3_64;

use cache::{Answer, Cache, Landed, Lead, Waiting, Weigh};
use room::Room;
use scan::Clear;
use segment::{Bounds, Picks, Segment, SharedSegment};
use select::Selected;
use tokio::sync::Semaphore;

use crate::{
    entry::{Offset, encode::Shape},
    file::{Cell, CellError, Content, ReadAt, cell::Plan, read::is_of_device},
    filter::Filter,
    limits::{FORMAT_SAMPLE_RECORDS, OPEN_SEGMENT_AGE_MAX, SCAN_PROCESSORS_SHARE, SCANS_MAX},
    parse,
    sync::{Mutex, lock},
    telemetry::{ShapeLabel, SourceLabel, Telemetry},
    watch::{Catalogue, FileId, LogFile, Published, events::Hints},
};

/// Why a cell could not be read; shared by all who asked for it.
pub type SharedError = Arc<CellError>;
/// A place among those who wait for a cell or a segment.
pub type WaitingItem = Waiting<Item, SharedError>;

/// A filter with a number, which is what the cache knows it by: the hash of what it asks for, so that it is the same
/// whenever somebody asks for the same.
#[derive(Debug)]
pub struct SharedFilter {
    number: u64,
    /// The predicate.
    pub filter: Filter,
}

/// What the cache keeps.
#[derive(Clone, Debug)]
pub enum Item {
    /// Records as they were read, and when.
    Cell(Arc<Cell>, Instant),
    /// Entries as they go out.
    Segment(SharedSegment),
    /// Where a filter selects nothing.
    Clear(Clear),
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        match self {
            Self::Cell(cell, _) => cell.weight(),
            Self::Segment(segment) => segment.weight(),
            Self::Clear(_) => size_of::<Clear>(),
        }
    }
}

/// What the cache knows an item by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    file: FileId,
    generation: u32,
    /// Of the source's settings: what was read by others is another's.
    settings: u32,
    start: Offset,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// On a grid of so many bytes.
    Cell(u32),
    Segment(Shape, u64),
    /// Nothing for this filter, found out up to a place at most.
    Clear(u64, Offset),
    /// An unterminated record that ends here; never kept, since it may still change.
    Piece(Offset),
}

/// A place in a file from which somebody reads.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The file.
    pub file: &'a Arc<LogFile>,
    /// How far it is written, as this reader knows it.
    pub now: Published,
    /// Where reading goes on.
    pub at: Offset,
    /// Start of the cell that held the place when it was last asked for.
    pub cell: Offset,
    /// The grid on which cells end.
    pub grid: u64,
}

/// Everything that subscriptions share.
pub struct Feed {
    cache: Arc<Cache<Key, Item, SharedError>>,
    /// The files.
    pub catalogue: Arc<Catalogue>,
    /// Where a file that seems to have changed is reported.
    pub hints: Arc<Hints>,
    /// The counters.
    pub telemetry: Arc<Telemetry>,
    filters: Mutex<HashMap<String, Weak<SharedFilter>>>,
    draining: AtomicBool,
    /// Where history is searched.
    room: Arc<Room>,
    /// Turns of those who look for their place in files.
    scans: Arc<Semaphore>,
}

impl Feed {
    /// A feed over the files of `catalogue` that keeps at most `cache` bytes.
    pub fn new(catalogue: Arc<Catalogue>, hints: Arc<Hints>, telemetry: Arc<Telemetry>, cache: usize) -> Arc<Self> {
        Arc::new(Self {
            cache: Cache::new(cache),
            catalogue,
            hints,
            telemetry,
            filters: Mutex::default(),
            draining: AtomicBool::new(false),
            room: Room::new(processors() / SCAN_PROCESSORS_SHARE),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
        })
    }

    /// The filter, shared with all who ask for the same.
    pub fn share(&self, filter: Filter) -> Arc<SharedFilter> {
        let mut filters = lock(&self.filters);
        if let Some(known) = filters.get(filter.key()).and_then(Weak::upgrade) {
            return known;
        }
        filters.retain(|_, known| known.strong_count() > 0);
        let key = filter.key().to_owned();
        let shared = Arc::new(SharedFilter { number: xxh3_64(key.as_bytes()), filter });
        filters.insert(key, Arc::downgrade(&shared));
        shared
    }

    /// Looks again at all that lies where these logs do; whether it could be seen. May wait for disks.
    pub fn look_again(&self, logs: HashSet<PathBuf>) -> bool {
        let changed = self.catalogue.look_again(logs);
        changed.iter().flatten().for_each(|file| self.hints.touch(file));
        changed.is_some()
    }

    /// Tells every subscription to end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.catalogue.interests().iter().for_each(|interest| interest.wake_all());
    }

    /// Whether subscriptions are to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Brings the cache's size and the number of files into the gauges.
    pub fn measure(&self) {
        self.catalogue.measure();
        self.telemetry.cache_bytes.set(self.cache.bytes() as i64);
    }

    /// The shared segment at a place; `waiting` keeps the place in a queue between calls.
    pub fn poll_segment(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &mut Place<'_>,
        (filter, shape): (&SharedFilter, Shape),
        now: Instant,
    ) -> Poll<Result<SharedSegment, SharedError>> {
        let key = place.key(place.at, Kind::Segment(shape, filter.number));
        let head = place.now.head;
        let usable = |item: &Item| match item {
            Item::Segment(segment) => !segment.open || segment.end >= head || is_fresh(segment.made, now),
            Item::Cell(..) | Item::Clear(_) => false,
        };
        if waiting.is_none()
            && let Some(Item::Segment(segment)) = self.cache.get(&key)
            && usable(&Item::Segment(segment.clone()))
        {
            self.telemetry.cache_hits.inc();
            return Poll::Ready(Ok(segment));
        }
        // What is waited for may be a cell, or the segment that another thread encodes right now.
        let cell = match self.poll_cell(context, waiting, place, now) {
            Poll::Ready(Ok(Item::Cell(cell, _))) => cell,
            Poll::Ready(Ok(Item::Segment(segment))) => return Poll::Ready(Ok(segment)),
            Poll::Ready(Ok(Item::Clear(_))) => unreachable!("nobody waits for a search here"),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        match self.cache.ask(&key, usable) {
            Answer::Hit(Item::Segment(segment)) => Poll::Ready(Ok(segment)),
            Answer::Lead(lead) => {
                let picks = Picks::Matches(Selected::of(filter, &cell));
                let segment = self.encode(place, &cell, &picks, shape, Bounds::NONE, now);
                let segment = Arc::new(segment);
                lead.fulfil(Item::Segment(segment.clone()));
                Poll::Ready(Ok(segment))
            }
            Answer::Wait(place) => self.poll_waiting(context, waiting, place).map_ok(|item| match item {
                Item::Segment(segment) => segment,
                Item::Cell(..) | Item::Clear(_) => unreachable_segment(),
            }),
            Answer::Hit(Item::Cell(..) | Item::Clear(_)) => Poll::Ready(Ok(unreachable_segment())),
        }
    }

    /// A segment for one subscriber alone, bounded otherwise than the shared ones.
    pub fn poll_bounded(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &mut Place<'_>,
        (filter, shape): (&SharedFilter, Shape),
        bounds: Bounds,
        now: Instant,
    ) -> Poll<Result<SharedSegment, SharedError>> {
        self.poll_raw(context, waiting, place, now).map_ok(|cell| {
            let picks = Picks::Matches(Selected::of(filter, &cell));
            Arc::new(self.encode(place, &cell, &picks, shape, bounds, now))
        })
    }

    /// The cell that holds a place, or begins there.
    pub fn poll_raw(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &mut Place<'_>,
        now: Instant,
    ) -> Poll<Result<Arc<Cell>, SharedError>> {
        loop {
            match self.poll_cell(context, waiting, place, now) {
                Poll::Ready(Ok(Item::Cell(cell, _))) => {
                    // Who looks at single records, as a merge does, comes back for the next ones: it is not to go with
                    // what only its maker needed.
                    self.cache.get(&place.key(cell.start(), Kind::Cell(place.grid as u32)));
                    return Poll::Ready(Ok(cell));
                }
                // Left over from waiting for a segment: ask again for the cell.
                Poll::Ready(Ok(Item::Segment(_) | Item::Clear(_))) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The unterminated record in `[place.at, end)`, as a cell of its own.
    pub fn poll_piece(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &Place<'_>,
        end: Offset,
    ) -> Poll<Result<Arc<Cell>, SharedError>> {
        let landed = match waiting.as_mut() {
            Some(place) => match place.poll(context) {
                Poll::Ready(landed) => landed,
                Poll::Pending => return Poll::Pending,
            },
            None => match self.cache.ask(&place.key(place.at, Kind::Piece(end)), |_| false) {
                Answer::Hit(_) => Landed::Abandoned,
                Answer::Wait(place) => return self.poll_waiting(context, waiting, place).map_ok(only_cell),
                Answer::Lead(lead) => return self.read(context, waiting, place, Some(end), lead).map_ok(only_cell),
            },
        };
        *waiting = None;
        Poll::Ready(settle(landed).map(only_cell))
    }

    /// Says that a file does not hold what was read of it: whoever reads it begins anew.
    pub fn doubt(&self, file: &Arc<LogFile>, generation: u32) {
        let shrunk = file.opened().and_then(|content| content.size_and_mtime().ok());
        let told = shrunk.is_some_and(|(size, ..)| size < file.published().size);
        // A shorter file is found by the look that follows; one that is as long as before only tells by its content.
        if !told && file.rewritten(generation) {
            tracing::info!(path = %file.path().display(), "rewritten in place");
        }
        self.hints.touch(file);
    }

    fn poll_cell(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &mut Place<'_>,
        now: Instant,
    ) -> Poll<Result<Item, SharedError>> {
        if let Some(flight) = waiting {
            return match flight.poll(context) {
                Poll::Ready(landed) => {
                    *waiting = None;
                    if let Landed::Value(Item::Cell(cell, _)) = &landed {
                        place.cell = cell.start();
                    }
                    Poll::Ready(settle(landed))
                }
                Poll::Pending => Poll::Pending,
            };
        }
        if let Some(Item::Cell(cell, made)) = self.cache.peek(&place.key(place.cell, Kind::Cell(place.grid as u32)))
            && cell.start() <= place.at
            && place.at < cell.end()
        {
            return Poll::Ready(Ok(Item::Cell(cell, made)));
        }
        place.cell = place.at;
        let head = place.now.head;
        let usable = |item: &Item| match item {
            Item::Cell(cell, made) => !cell.is_open() || cell.end() >= head || is_fresh(*made, now),
            Item::Segment(_) | Item::Clear(_) => false,
        };
        match self.cache.ask(&place.key(place.at, Kind::Cell(place.grid as u32)), usable) {
            Answer::Hit(item) => {
                self.telemetry.cache_hits.inc();
                Poll::Ready(Ok(item))
            }
            Answer::Wait(place) => self.poll_waiting(context, waiting, place),
            Answer::Lead(lead) => {
                self.telemetry.cache_misses.inc();
                self.read(context, waiting, place, None, lead)
            }
        }
    }

    fn poll_waiting(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        mut place: WaitingItem,
    ) -> Poll<Result<Item, SharedError>> {
        match place.poll(context) {
            Poll::Ready(landed) => Poll::Ready(settle(landed)),
            Poll::Pending => {
                *waiting = Some(place);
                Poll::Pending
            }
        }
    }

    /// Reads for all who ask: at once what the page cache has, else on a thread that may wait.
    fn read(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &Place<'_>,
        piece: Option<Offset>,
        lead: Lead<Key, Item, SharedError>,
    ) -> Poll<Result<Item, SharedError>> {
        let job = Job {
            file: place.file.clone(),
            now: place.now,
            at: place.at,
            grid: place.grid,
            piece,
            telemetry: self.telemetry.clone(),
        };
        let content = place.file.opened();
        if let Some((content, reader)) = content.as_ref().and_then(|content| Some((content, content.cached()?))) {
            match job.run(&reader, content) {
                Err(CellError::Io(_, error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // Whoever may wait tries more than once.
                ref failed @ Err(CellError::Io(_, ref error)) if is_of_device(error) => job.count_failure(failed),
                result => {
                    job.count_failure(&result);
                    let result = result.map(|cell| Item::Cell(Arc::new(cell), Instant::now())).map_err(Arc::new);
                    land(lead, &result, piece.is_some());
                    return Poll::Ready(result);
                }
            }
        }
        let place = lead.waiting();
        let poll = self.poll_waiting(context, waiting, place);
        // The job belongs to everybody who waits, so it is nobody's to cancel; with nobody left it does nothing.
        tokio::task::spawn_blocking(move || {
            let mut job = job;
            if lead.is_forsaken() {
                return;
            }
            let read = |error| CellError::Io(job.at, error);
            let result = job.file.open().map_err(read).and_then(|content| job.run_whole(&content));
            job.count_failure(&result);
            let result = result.map(|cell| Item::Cell(Arc::new(cell), Instant::now())).map_err(Arc::new);
            land(lead, &result, piece.is_some());
        });
        poll
    }

    fn encode(
        &self,
        place: &Place<'_>,
        cell: &Cell,
        picks: &Picks,
        shape: Shape,
        bounds: Bounds,
        now: Instant,
    ) -> Segment {
        let segment = segment::encode(place.file, cell, place.at, picks, shape, bounds, now);
        self.telemetry.encodes.get_or_create(&ShapeLabel { shape: shape_name(shape) }).inc();
        segment
    }
}

impl Place<'_> {
    fn key(&self, start: Offset, kind: Kind) -> Key {
        let settings = self.file.log.source.settings_number();
        Key { file: self.file.id, generation: self.now.generation, settings, start, kind }
    }
}

/// One reading of one cell.
struct Job {
    file: Arc<LogFile>,
    now: Published,
    at: Offset,
    grid: u64,
    piece: Option<Offset>,
    telemetry: Arc<Telemetry>,
}

impl Job {
    /// Reads, waiting for disks and decoders. Where a compressed file turns out to end before it was thought to, that is
    /// published, and its last cell ends there.
    fn run_whole(&mut self, content: &Content) -> Result<Cell, CellError> {
        let result = self.run(content, content);
        if result.is_ok() || content.archive().is_none() || !self.now.estimated {
            return result;
        }
        self.file.measure().map_err(|error| CellError::Io(self.at, error))?;
        self.now = self.file.published();
        if self.at < self.now.head { self.run(content, content) } else { Err(CellError::Changed(self.now.head)) }
    }

    fn run(&self, reader: &(impl ReadAt + ?Sized), content: &Content) -> Result<Cell, CellError> {
        let io = |error| CellError::Io(self.at, error);
        let upto = self.piece.unwrap_or(self.now.head);
        let source = &self.file.log.source;
        let settings = source.settings();
        // Of a finished file nothing is written again, so what its last record adds to the beginning is known for good.
        let known = Published { head: if self.now.finished { upto } else { self.now.head }, ..self.now };
        let plan = Plan {
            start: self.at,
            head: upto,
            beginning: self.file.beginning(reader, &known, upto).map_err(io)?,
            rules: &settings.rules,
            line_max: settings.line_max,
            mtime: self.now.mtime,
        };
        let cell = match self.piece {
            None => Cell::read_within(reader, &plan, self.grid)?,
            Some(_) => Cell::read_piece(reader, &plan)?,
        };
        // What was read before a truncation became visible may be torn.
        let (size, ..) = content.size_and_mtime().map_err(io)?;
        if size < cell.end() && content.archive().is_none() {
            return Err(CellError::Changed(size));
        }
        // Further on the bytes before the place tell; at the beginning there are none.
        if self.at == Offset::ZERO && !self.file.is_still(self.now.generation, cell.first_bytes()) {
            return Err(CellError::Changed(Offset::ZERO));
        }
        if self.file.set_read_trouble(None) {
            tracing::info!(path = %self.file.path().display(), "readable again");
        }
        self.note_format(&cell);
        self.telemetry.reads.inc();
        let read = self.telemetry.bytes_read.get_or_create(&SourceLabel { source: source.name.clone() });
        read.inc_by(cell.end().since(cell.start()));
        Ok(cell)
    }
}

impl Job {
    /// A file that is gone is told of otherwise.
    fn count_failure(&self, result: &Result<Cell, CellError>) {
        if let Err(CellError::Io(_, error)) = result
            && error.kind() != std::io::ErrorKind::NotFound
        {
            let source = self.file.log.source.name.clone();
            self.telemetry.read_errors.get_or_create(&SourceLabel { source }).inc();
        }
    }

    /// A few records of each cell tell what `ListSources` says of the file's format.
    fn note_format(&self, cell: &Cell) {
        let sample = cell.len().min(FORMAT_SAMPLE_RECORDS);
        let recognised = (0..sample).filter_map(|index| {
            let record = cell.bytes_of(&cell.records()[index]);
            cell.with_context(index, |context| parse::recognise(cell.rules(), context, record))
        });
        let (count, last) = recognised.fold((0, None), |(count, _), name| (count + 1, Some(name)));
        self.file.note_format(sample as u64, count, last);
    }
}

fn land(lead: Lead<Key, Item, SharedError>, result: &Result<Item, SharedError>, unkept: bool) {
    match result {
        Ok(item) if unkept => lead.fulfil_unkept(item.clone()),
        Ok(item) => lead.fulfil(item.clone()),
        Err(error) => lead.fail(error.clone()),
    }
}

fn settle(landed: Landed<Item, SharedError>) -> Result<Item, SharedError> {
    match landed {
        Landed::Value(item) => Ok(item),
        Landed::Failed(error) => Err(error),
        Landed::Abandoned => {
            let error = std::io::Error::other("reading was given up");
            Err(Arc::new(CellError::Io(Offset::ZERO, error)))
        }
    }
}

fn is_fresh(made: Instant, now: Instant) -> bool {
    now.saturating_duration_since(made) < OPEN_SEGMENT_AGE_MAX
}

fn only_cell(item: Item) -> Arc<Cell> {
    match item {
        Item::Cell(cell, _) => cell,
        Item::Segment(_) | Item::Clear(_) => unreachable!("a piece is read under a key that holds cells only"),
    }
}

fn unreachable_segment() -> SharedSegment {
    unreachable!("segments lie under keys that hold segments only")
}

/// Processors that this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The name of a shape in metrics.
fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Compat => "compat",
        Shape::V1 { fields: false } => "v1",
        Shape::V1 { fields: true } => "v1_fields",
        Shape::Batch { fields: false } => "batch",
        Shape::Batch { fields: true } => "batch_fields",
    }
}
