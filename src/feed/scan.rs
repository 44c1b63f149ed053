//! Searching on for the next record that a filter selects, far from any subscriber: on a thread that may wait, in pieces
//! of a few milliseconds, once for all who are at the same place with the same filter.
//!
//! Where a pattern has to match it is searched in blocks of the file, before there are any records; only those in which
//! it is found are read as cells and judged. Other filters are asked cell by cell.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use memchr::{memchr, memrchr};

use super::{
    Feed, Item, Key, Kind, Place, SharedError, SharedFilter, WaitingItem,
    cache::{Answer, Landed, Lead},
    land, resume,
    select::Selected,
    settle,
};
use crate::{
    entry::{Offset, cursor::TailHash},
    file::{Cell, CellError, Content, Encoding, ReadAt, cell::Plan},
    filter::Prefilter,
    limits::{SCAN_BLOCK_BYTES, SCAN_WINDOW_BYTES, SCAN_WORK_MAX},
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
    telemetry: Arc<Telemetry>,
}

/// What searching a block brought.
enum Skim {
    /// Nothing before this place, where a record starts.
    Clear(Offset),
    /// Something in the record that starts here.
    Candidate(Offset),
    /// It cannot be told without looking at records.
    Unclear,
}

/// Where a search that begins at `from` ends at the latest: at places that all who search come to.
fn window_end(from: Offset, stop: Offset) -> Offset {
    Offset((from.0 / SCAN_WINDOW_BYTES + 1) * SCAN_WINDOW_BYTES).min(stop)
}

impl Feed {
    /// How far nothing from `place.at` on is selected by `filter`, before `stop`; it may be no further than that place.
    pub(super) fn poll_clear(
        &self,
        context: &Context<'_>,
        waiting: &mut Option<WaitingItem>,
        place: &Place<'_>,
        filter: &Arc<SharedFilter>,
        stop: Offset,
    ) -> Poll<Result<Clear, SharedError>> {
        let to = window_end(place.at, stop.min(place.now.head));
        if waiting.is_none() {
            match self.cache.ask(&place.key(place.at, Kind::Clear(filter.number, to)), |_| true) {
                Answer::Hit(Item::Clear(clear)) => return Poll::Ready(Ok(clear)),
                Answer::Hit(Item::Cell(..) | Item::Segment(_)) => unreachable!("a search's key holds what it found"),
                Answer::Wait(flight) => *waiting = Some(flight),
                Answer::Lead(lead) => *waiting = Some(self.search(context, place, filter, to, lead)),
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
    fn search(
        &self,
        context: &Context<'_>,
        place: &Place<'_>,
        filter: &Arc<SharedFilter>,
        to: Offset,
        lead: Lead<Key, Item, SharedError>,
    ) -> WaitingItem {
        let (file, filter, telemetry) = (place.file.clone(), filter.clone(), self.telemetry.clone());
        let search = Search { file, now: place.now, from: place.at, to, filter, telemetry };
        let mut flight = lead.waiting();
        // Waited for before it begins, so that it does not take itself for forsaken.
        let _ = flight.poll(context);
        self.room.run(move || {
            if !lead.is_forsaken() {
                let result = search.run(|| lead.is_forsaken()).map(Item::Clear).map_err(Arc::new);
                land(lead, &result, false);
            }
        });
        flight
    }
}

impl Search {
    /// Searches for a while.
    fn run(&self, is_forsaken: impl Fn() -> bool) -> Result<Clear, CellError> {
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
        let prefilter = self.filter.filter.prefilter().filter(|prefilter| is_searchable(prefilter, &plan, &settings));
        let mut block = prefilter.map(|_| vec![0; SCAN_BLOCK_BYTES]);
        reader.prefetch(self.from, self.to.since(self.from));
        let began = Instant::now();
        let mut at = self.from;
        while at < self.to && (at == self.from || began.elapsed() < SCAN_WORK_MAX && !is_forsaken()) {
            let skim = match (prefilter, &mut block) {
                (Some(prefilter), Some(block)) => self.skim(reader, prefilter, &settings.rules, block, at),
                _ => Ok(Skim::Unclear),
            };
            // An archive may end before it is thought to: that is found out by who reads there.
            let start = match skim {
                Err(_) if self.now.estimated => break,
                Err(error) => return Err(error),
                Ok(Skim::Clear(next)) => {
                    at = next;
                    continue;
                }
                Ok(Skim::Candidate(start)) => start,
                Ok(Skim::Unclear) => at,
            };
            let cell = match Cell::read(reader, &Plan { start, ..plan.clone() }) {
                Ok(cell) => cell,
                Err(_) if self.now.estimated => break,
                Err(error) => return Err(error),
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
        self.note(reader, at)?;
        let end_tail = if at > self.from { resume::known_tail(&self.file, at) } else { None };
        Ok(Clear { end: if end_tail.is_some() { at } else { self.from }, end_tail })
    }

    /// Searches one block.
    fn skim(
        &self,
        reader: &Content,
        prefilter: &Prefilter,
        rules: &Rules,
        block: &mut [u8],
        at: Offset,
    ) -> Result<Skim, CellError> {
        let want = self.to.since(at).min(block.len() as u64) as usize;
        let got = reader.fill_at(&mut block[..want], at).map_err(|error| CellError::Io(at, error))?;
        let at_head = at.after(got as u64) == self.now.head;
        let Some(whole) = (if at_head { Some(got) } else { last_record(&block[..got], rules) }) else {
            return Ok(Skim::Unclear);
        };
        let text = &block[..whole];
        // Behind a run of NULs a record begins where no line does.
        if prefilter.has_looks() && memchr(0, text).is_some() {
            return Ok(Skim::Unclear);
        }
        Ok(match prefilter.find(text, 0..whole) {
            None => Skim::Clear(at.after(whole as u64)),
            Some(found) => Skim::Candidate(at.after(record_at(text, found.start, rules) as u64)),
        })
    }

    /// Counts what was read; what was read while the file became shorter is not to be trusted.
    fn note(&self, reader: &Content, at: Offset) -> Result<(), CellError> {
        let (size, ..) = reader.size_and_mtime().map_err(|error| CellError::Io(at, error))?;
        if size < at && reader.archive().is_none() {
            return Err(CellError::Changed(size));
        }
        self.telemetry.reads.inc();
        let source = SourceLabel { source: self.file.log.source.name.clone() };
        self.telemetry.bytes_read.get_or_create(&source).inc_by(at.since(self.from));
        Ok(())
    }
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
fn record_at(text: &[u8], byte: usize, rules: &Rules) -> usize {
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

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
