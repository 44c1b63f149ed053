//! Searching on for the next record that a filter selects, far from any subscriber: on a thread that may wait, in pieces
//! of a few milliseconds, once for all who are at the same place with the same filter.
//!
//! Where a pattern has to match, or a severity be that of an error, it is searched in blocks of the file, before there are
//! any records; only those in which it is found are judged. Other filters are asked cell by cell.

use std::{
    cell::RefCell,
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use memchr::{memchr, memrchr};

use super::{
    Feed, Item, Key, Kind, Place, SharedError, SharedFilter, WaitingItem,
    cache::{Answer, Landed, Lead},
    gather::{For, Gatherer, Ground, Text, Verdict, Wish},
    land, resume,
    select::Selected,
    settle,
};
use crate::{
    entry::{Offset, cursor::TailHash},
    file::{Cell, CellError, Content, Encoding, ReadAt, cell::Plan, lines},
    filter::Prefilter,
    limits::{
        CURSOR_TAIL_BYTES, GATHER_GRID_BYTES, GATHER_WORK_FACTOR, SCAN_BLOCK_BYTES, SCAN_SLACK_BYTES,
        SCAN_WINDOW_BYTES, SCAN_WORK_MAX,
    },
    parse::Rules,
    telemetry::{SourceLabel, Telemetry},
    watch::{LogFile, Published, Settings},
};

/// A place behind which a filter may select something; before it, from where the search began, it selects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clear {
    /// The place: a record starts there.
    pub end: Offset,
    /// Hash of the bytes before it.
    pub end_tail: Option<TailHash>,
}

/// A search from one place on.
struct Search {
    file: Arc<LogFile>,
    now: Published,
    from: Offset,
    /// Where it ends at the latest.
    to: Offset,
    filter: Arc<SharedFilter>,
    /// For whom it gathers what it finds, too.
    gather: Option<For>,
    telemetry: Arc<Telemetry>,
}

/// Who waits to be told where something may be selected.
struct Asked(Option<Lead<Key, Item, SharedError>>);

impl Asked {
    /// Tells them, unless they have been told.
    fn tell(&mut self, result: Result<Clear, SharedError>) {
        if let Some(lead) = self.0.take() {
            land(lead, &result.map(Item::Clear), false);
        }
    }

    /// Whether all who asked have gone without having been told.
    fn are_gone(&self) -> bool {
        self.0.as_ref().is_some_and(Lead::is_forsaken)
    }
}

/// What searching a block brought.
enum Skim {
    /// Nothing more before this place, where a record starts.
    Clear(Offset),
    /// A record that starts here and is selected.
    Selected(Offset),
    /// Something in the record that starts here.
    Candidate(Offset),
    /// Whoever gathers has stopped.
    Stopped,
    /// It cannot be told without looking at records.
    Unclear,
}

thread_local! {
    /// What blocks are read into: to have new memory for each search costs as much as the search.
    static BLOCK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where a search that begins at `from` ends at the latest: at places that all who search come to.
fn window_end(from: Offset, stop: Offset) -> Offset {
    Offset((from.0 / SCAN_WINDOW_BYTES + 1) * SCAN_WINDOW_BYTES).min(stop)
}

/// Where a block that begins at `at` ends: at a multiple of its size, so that blocks that began anywhere soon are the same;
/// but not right behind its beginning, since a record that lies across such a place is in the block behind it.
fn block_end(at: Offset) -> Offset {
    const SIZE: u64 = SCAN_BLOCK_BYTES as u64;
    Offset(((at.0 + SCAN_SLACK_BYTES) / SIZE + 1) * SIZE)
}

impl Feed {
    /// How far nothing from `place.at` on is selected by `filter`, before `stop`; it may be no further than that place. Who
    /// searches gathers what follows in the shape that is asked for.
    pub(super) fn poll_clear(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &Place<'_>,
        filter: &Arc<SharedFilter>,
        gather: Option<Wish>,
        stop: Offset,
    ) -> Poll<Result<Clear, SharedError>> {
        let to = window_end(place.at, stop.min(place.now.head));
        if waiting.is_none() {
            match self.cache.ask(&place.key(place.at, Kind::Clear(filter.number, to)), |_| true) {
                Answer::Hit(Item::Clear(clear)) => return Poll::Ready(Ok(clear)),
                Answer::Hit(Item::Cell(..) | Item::Segment(_)) => unreachable!("a search's key holds what it found"),
                Answer::Wait(flight) => *waiting = Some(flight),
                Answer::Lead(lead) => {
                    let gather = gather.and_then(|wish| self.gather_for(place, filter, wish, to));
                    *waiting = Some(self.search_for(context, place, filter, gather, to, lead));
                }
            }
        }
        let landed = waiting.as_mut().map_or(Poll::Ready(Landed::Abandoned), |flight| flight.poll(context));
        landed.map(|landed| {
            *waiting = None;
            settle(landed).map(|item| match item {
                Item::Clear(clear) => clear,
                Item::Cell(..) | Item::Segment(_) => unreachable!("a search's key holds what it found"),
            })
        })
    }

    /// Searches for all who ask, when there is room.
    fn search_for(
        &self,
        context: &Context<'_>,
        place: &Place<'_>,
        filter: &Arc<SharedFilter>,
        gather: Option<For>,
        to: Offset,
        lead: Lead<Key, Item, SharedError>,
    ) -> WaitingItem {
        let (file, filter, telemetry) = (place.file.clone(), filter.clone(), self.telemetry.clone());
        let search = Search { file, now: place.now, from: place.at, to, filter, gather, telemetry };
        let mut flight = lead.waiting();
        // Waited for before it begins, so that it does not take itself for forsaken.
        let _ = flight.poll(context);
        self.room.run(move || {
            if !lead.is_forsaken() {
                let mut asked = Asked(Some(lead));
                if let Err(error) = search.run(&mut asked) {
                    asked.tell(Err(error));
                }
            }
        });
        flight
    }
}

impl Search {
    /// Searches for a while.
    fn run(&self, asked: &mut Asked) -> Result<(), SharedError> {
        let io = |error| CellError::Io(self.from, error);
        let content = self.file.open().map_err(io)?;
        let reader = &*content;
        let settings = self.file.log.source.settings();
        let plan = Plan {
            start: self.from,
            head: self.now.head,
            beginning: self.file.beginning(reader, &self.now, self.now.head).map_err(io)?,
            rules: &settings.rules,
            line_max: settings.line_max,
            mtime: self.now.mtime,
        };
        let context = plan.settled_context();
        let ground = Ground { file: &self.file, reader, plan: &plan, filter: &self.filter, context: &context };
        let prefilter = self.filter.filter.prefilter(&settings.rules);
        let prefilter = prefilter.filter(|prefilter| is_searchable(prefilter, &plan, &settings));
        reader.prefetch(self.from, self.to.since(self.from));
        BLOCK.with_borrow_mut(|block| self.search(ground, prefilter, block, asked))
    }

    fn search(
        &self,
        ground: Ground<'_>,
        prefilter: Option<&Prefilter>,
        block: &mut Vec<u8>,
        asked: &mut Asked,
    ) -> Result<(), SharedError> {
        let began = Instant::now();
        let mut gatherer = None;
        let mut at = self.from;
        loop {
            // A segment that is begun had better be full.
            let work_max = if gatherer.is_some() { SCAN_WORK_MAX * GATHER_WORK_FACTOR } else { SCAN_WORK_MAX };
            let goes_on = at == self.from || began.elapsed() < work_max && !asked.are_gone();
            if at >= self.to || !goes_on {
                break;
            }
            let skim = match prefilter {
                Some(prefilter) => self.skim(ground, prefilter, block, at, &mut gatherer, asked),
                None => Ok(Skim::Unclear),
            };
            let start = match skim {
                // An archive may end before it is thought to: that is found out by who reads there.
                Err(_) if self.now.estimated => break,
                Err(error) => {
                    gatherer.into_iter().for_each(|gatherer| gatherer.fail(error.clone()));
                    return Err(error);
                }
                Ok(Skim::Clear(next)) => {
                    at = next;
                    continue;
                }
                Ok(Skim::Selected(start)) => {
                    at = start;
                    break;
                }
                Ok(Skim::Stopped) => return Ok(()),
                Ok(Skim::Unclear) if gatherer.is_some() => break,
                Ok(Skim::Candidate(start)) => start,
                Ok(Skim::Unclear) => at,
            };
            let cell = match Cell::read(ground.reader, &Plan { start, ..ground.plan.clone() }) {
                Ok(cell) => cell,
                Err(_) if self.now.estimated => break,
                Err(error) => return Err(error.into()),
            };
            match Selected::of(&self.filter, &cell).next_from(0, cell.len()) {
                Some(index) => {
                    at = cell.start_of(index);
                    break;
                }
                // What ends beyond is another search's.
                None if cell.end() > self.to => {
                    at = cell.start_of(cell.count_until(self.to));
                    break;
                }
                None => at = cell.end(),
            }
        }
        match gatherer {
            None => self.tell(ground.reader, at, asked),
            Some(gatherer) => match resume::known_tail(&self.file, at) {
                Some(tail) => gatherer.finish(at, tail),
                None => {
                    gatherer.fail(Arc::new(CellError::Changed(at)));
                    Ok(())
                }
            },
        }
    }

    /// Tells those who asked that nothing is selected before `at`.
    fn tell(&self, reader: &Content, at: Offset, asked: &mut Asked) -> Result<(), SharedError> {
        self.note(reader, at)?;
        let end_tail = if at > self.from { resume::known_tail(&self.file, at) } else { None };
        asked.tell(Ok(Clear { end: if end_tail.is_some() { at } else { self.from }, end_tail }));
        Ok(())
    }

    /// Searches one block.
    fn skim<'g>(
        &self,
        ground: Ground<'g>,
        prefilter: &Prefilter,
        block: &mut Vec<u8>,
        at: Offset,
        gatherer: &mut Option<Gatherer<'g>>,
        asked: &mut Asked,
    ) -> Result<Skim, SharedError> {
        let Some(text) = self.read(ground, block, at)? else { return Ok(Skim::Unclear) };
        // Behind a run of NULs a record begins where no line does.
        if prefilter.has_looks() && memchr(0, &text.bytes[text.begin..]).is_some() {
            return Ok(Skim::Unclear);
        }
        let mut place = text.begin;
        while let Some(candidate) = prefilter.find(text.bytes, place..text.bytes.len()) {
            let found = match ground.judge(text, candidate.start) {
                Verdict::Passed(next) => {
                    place = next;
                    continue;
                }
                Verdict::Odd(start) => {
                    let Some(gatherer) = gatherer.take() else { return Ok(Skim::Candidate(text.place(start))) };
                    gatherer.finish(text.place(start), text.tail(start))?;
                    return Ok(Skim::Stopped);
                }
                Verdict::Selected(found) => found,
            };
            place = found.end;
            let gathering = match gatherer.take() {
                Some(gatherer) => gatherer,
                None => {
                    let begun = self.gather.clone().and_then(|to| Gatherer::begin(ground, to, text, found.start()));
                    let Some(gatherer) = begun else { return Ok(Skim::Selected(text.place(found.start()))) };
                    self.tell(ground.reader, gatherer.start(), asked)?;
                    gatherer
                }
            };
            match gathering.take(text, &found)? {
                Some(gathering) => *gatherer = Some(gathering),
                None => return Ok(Skim::Stopped),
            }
        }
        let end = text.place(text.bytes.len());
        // At places that all who gather come to, their segments end, so that they go on with the same ones.
        let meets = (at.0 + SCAN_SLACK_BYTES) / GATHER_GRID_BYTES < (end.0 + SCAN_SLACK_BYTES) / GATHER_GRID_BYTES;
        if let Some(ended) = gatherer.take_if(|gatherer| gatherer.is_first() || meets && gatherer.start() < end) {
            *gatherer = ended.bind(text, text.bytes.len())?;
            if gatherer.is_none() {
                return Ok(Skim::Stopped);
            }
        }
        Ok(Skim::Clear(end))
    }

    /// Reads a block, and what cursors in it are made of; none where it is not known to have whole records.
    fn read<'b>(
        &self,
        ground: Ground<'_>,
        block: &'b mut Vec<u8>,
        at: Offset,
    ) -> Result<Option<Text<'b>>, SharedError> {
        let begin = at.0.min(CURSOR_TAIL_BYTES) as usize;
        let want = begin + block_end(at).min(self.to).since(at) as usize;
        block.resize(block.len().max(want), 0);
        let from = Offset(at.0 - begin as u64);
        let got = ground.reader.fill_at(&mut block[..want], from).map_err(|error| CellError::Io(at, error))?;
        if got < begin {
            return Ok(None);
        }
        let at_head = from.after(got as u64) == self.now.head;
        let whole =
            if at_head { Some(got) } else { last_record(&block[begin..got], ground.plan.rules).map(|end| begin + end) };
        Ok(whole.filter(|whole| *whole > begin).map(|whole| Text { bytes: &block[..whole], begin, at }))
    }

    /// Counts what was read; what was read while the file became shorter is not to be trusted.
    fn note(&self, reader: &Content, to: Offset) -> Result<(), CellError> {
        let (size, ..) = reader.size_and_mtime().map_err(|error| CellError::Io(to, error))?;
        if size < to && reader.archive().is_none() {
            return Err(CellError::Changed(size));
        }
        self.telemetry.reads.inc();
        let source = SourceLabel { source: self.file.log.source.name.clone() };
        self.telemetry.bytes_read.get_or_create(&source).inc_by(to.since(self.from));
        Ok(())
    }
}

/// Searches backwards from the end of `range`, where a record begins, for a while: a place where a record begins and behind
/// which, in the range, nothing is selected.
pub(super) fn skim_back(
    file: &LogFile,
    published: &Published,
    filter: &SharedFilter,
    range: Range<Offset>,
    telemetry: &Telemetry,
) -> Result<Offset, CellError> {
    let io = |error| CellError::Io(range.end, error);
    let (content, settings) = (file.open().map_err(io)?, file.log.source.settings());
    let (reader, rules) = (&*content, &settings.rules);
    let plan = Plan {
        start: range.start,
        head: range.end,
        beginning: file.beginning(reader, published, range.end).map_err(io)?,
        rules,
        line_max: settings.line_max,
        mtime: published.mtime,
    };
    let prefilter = filter.filter.prefilter(rules).filter(|prefilter| is_searchable(prefilter, &plan, &settings));
    // Where lines are joined the end of a record is not found by its line.
    let Some(prefilter) = prefilter.filter(|_| !rules.joins_lines()) else { return Ok(range.end) };
    let (began, mut end) = (Instant::now(), range.end);
    BLOCK.with_borrow_mut(|block| {
        while end.since(range.start) > SCAN_BLOCK_BYTES as u64 && began.elapsed() < SCAN_WORK_MAX {
            let from = Offset(end.0 - SCAN_BLOCK_BYTES as u64);
            let line = lines::first_line_end(reader, Encoding::Bytes, from, Offset(end.0 - 1)).map_err(io)?;
            let Some(line) = line else { break };
            let start = lines::first_record_start(reader, Encoding::Bytes, rules, line, end).map_err(io)?;
            let Some(start) = start else { break };
            let len = end.since(start) as usize;
            block.resize(block.len().max(len), 0);
            if reader.fill_at(&mut block[..len], start).map_err(io)? < len {
                return Err(CellError::Changed(start));
            }
            telemetry.reads.inc();
            let text = &block[..len];
            if prefilter.has_looks() && memchr(0, text).is_some() {
                break;
            }
            match last_candidate_end(prefilter, text, rules) {
                Some(found) => return Ok(start.after(found as u64)),
                None => end = start,
            }
        }
        Ok(end)
    })
}

/// Where the last record ends in which something is found.
fn last_candidate_end(prefilter: &Prefilter, text: &[u8], rules: &Rules) -> Option<usize> {
    let (mut last, mut at) = (None, 0);
    while let Some(found) = prefilter.find(text, at..text.len()) {
        let mut line = memrchr(b'\n', &text[..found.start]).map_or(0, |newline| newline + 1);
        loop {
            at = memchr(b'\n', &text[line..]).map_or(text.len(), |newline| line + newline + 1);
            // What a container's runtime split goes on.
            if at == text.len() || !rules.leaves_unfinished(without_return(&text[line..at - 1])) {
                break;
            }
            line = at;
        }
        last = Some(at);
    }
    last
}

/// Whether a record's bytes are the file's, so that they can be searched there.
fn is_searchable(prefilter: &Prefilter, plan: &Plan<'_>, settings: &Settings) -> bool {
    // A longer line than fits is cut somewhere, and there is an end where none is in the file.
    let cut = prefilter.has_looks() && settings.line_max < SCAN_BLOCK_BYTES;
    !Encoding::of(&plan.beginning).is_wide() && !cut
}

/// Where the last record begins of those whose beginning is certain; none where that is the first.
fn last_record(text: &[u8], rules: &Rules) -> Option<usize> {
    let end = memrchr(b'\n', text)? + 1;
    if !rules.joins_lines() && !rules.joins_parts() {
        return Some(end);
    }
    // Of the last line only a part may be here, so it is the one before that is asked.
    let last = memrchr(b'\n', &text[..end - 1])? + 1;
    Some(record_at(&text[..end], last, rules)).filter(|start| *start > 0)
}

/// Where the record begins that has a byte; `text` begins with a record.
pub(super) fn record_at(text: &[u8], byte: usize, rules: &Rules) -> usize {
    let start_of_line = |end: usize| memrchr(b'\n', &text[..end]).map_or(0, |newline| newline + 1);
    let mut start = start_of_line(byte);
    while start > 0 {
        let end = memchr(b'\n', &text[start..]).map_or(text.len(), |newline| start + newline);
        let before_start = start_of_line(start - 1);
        let before = without_return(&text[before_start..start - 1]);
        let unfinished = rules.leaves_unfinished(before).then_some(before);
        if rules.begins(unfinished, without_return(&text[start..end])) {
            break;
        }
        start = before_start;
    }
    start
}

pub(super) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
