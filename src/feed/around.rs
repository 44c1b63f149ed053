//! What stands around matches: so many records before each and after it, of the same file.
//!
//! A record that matches nothing may still go out, if a match comes soon enough behind it. Until that is known the place
//! of the subscription in the file stays before it, so that whoever comes back with a cursor gets it all the same. The
//! records in question are counted, not kept: when a match comes they are read again, most often out of the cache.

use std::{
    collections::VecDeque,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    Place, SharedFilter,
    member::{Member, Start},
    resume,
    scan::Clear,
    seek::Span,
    segment::{Bounds, Pick, Picks, SharedSegment},
    select::Selected,
    subscription::Subscription,
    tail,
    turn::Step,
};
use crate::{
    entry::{Offset, cursor::TailHash, flag},
    file::{Cell, CellError},
    watch::{LogFile, Published},
};

/// How many records around a match are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Before it.
    pub before: u32,
    /// After it.
    pub after: u32,
}

impl Around {
    /// None.
    pub const NONE: Self = Self { before: 0, after: 0 };
}

/// Where a file stands between its matches.
pub struct Nearby {
    /// What still follows a match.
    after: After,
    /// Stretches between the file's place and `scanned`, in which nothing matches.
    passed: VecDeque<Passed>,
    /// The place up to which it was searched.
    scanned: Offset,
    scanned_tail: Option<TailHash>,
    /// Where what was searched ahead ends, while it is found out where what may go out of it begins.
    back: Option<(Clear, oneshot::Receiver<Back>)>,
    /// A match right behind `scanned` was found: of the records passed all but so many go out.
    skip: Option<u64>,
}

/// A stretch at the end of what was searched ahead, whose records may go out.
type Back = Result<Passed, CellError>;

/// Records that follow a match.
enum After {
    /// The file is read from a cursor: a match before it may still be owed some.
    Unknown,
    /// What lies before the place is being read.
    Looking(JoinHandle<u32>),
    /// So many.
    Left(u32),
}

/// A stretch without matches.
#[derive(Clone, Copy, Debug)]
struct Passed {
    start: Offset,
    /// Hash of the bytes before it.
    tail: TailHash,
    /// Records in it that may go out.
    records: u64,
}

/// What goes out next of a file.
pub(super) enum Next {
    /// Records of a cell, from a place on.
    Records(Arc<Cell>, Picked),
    /// The unterminated record at the end, which is a cell; and in what capacity, if at all.
    Piece(Arc<Cell>, Option<Pick>),
}

/// What was picked of a stretch of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Picked {
    pub(super) picks: Vec<Pick>,
    /// The first record behind them that may still go out when more is known.
    end: usize,
    /// How many records from there on may.
    pending: usize,
}

/// What is known where picking begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    around: Around,
    /// Records that follow an earlier match.
    after_left: u32,
    /// A match follows the stretch: all of its records but so many go out.
    skip: Option<u64>,
    /// Matches that may go out.
    remaining: u64,
}

/// Picks matches and what stands around them out of the records of `range` that are `in_span`.
fn pick(range: Range<usize>, matches: &Selected, in_span: impl Fn(usize) -> bool, state: State) -> Picked {
    let State { around, after_left: mut left, mut skip, mut remaining } = state;
    let mut picks = Vec::new();
    let mut pending = VecDeque::new();
    for index in range.clone().filter(|index| in_span(*index)) {
        if matches.contains(index) {
            if remaining == 0 {
                return Picked { picks, end: index, pending: 0 };
            }
            picks.extend(pending.drain(..).map(|index| Pick { index, is_context: true }));
            picks.push(Pick { index, is_context: false });
            (remaining, left) = (remaining - 1, around.after);
        } else if left > 0 {
            picks.push(Pick { index, is_context: true });
            left -= 1;
        } else if remaining == 0 {
            return Picked { picks, end: index, pending: 0 };
        } else if let Some(left_out) = skip.as_mut().filter(|skip| **skip > 0) {
            *left_out -= 1;
        } else if skip.is_some() {
            picks.push(Pick { index, is_context: true });
        } else if around.before > 0 {
            if pending.len() == around.before as usize {
                pending.pop_front();
            }
            pending.push_back(index);
        }
    }
    Picked { picks, end: pending.front().copied().unwrap_or(range.end), pending: pending.len() }
}

impl Picked {
    /// How many records stand before the first match.
    fn before_match(&self) -> usize {
        self.picks.iter().take_while(|pick| pick.is_context).count()
    }
}

impl Nearby {
    /// A file that is read from `start`, which what was handed on before ends at, or not; none where nothing that stands
    /// around matches is wanted.
    pub fn of(around: Around, start: Start, resumed: bool) -> Option<Box<Self>> {
        let new = || Self {
            after: if resumed { After::Unknown } else { After::Left(0) },
            passed: VecDeque::new(),
            scanned: start.at,
            scanned_tail: start.tail,
            back: None,
            skip: None,
        };
        (around != Around::NONE).then(|| Box::new(new()))
    }

    /// Begins to search at a place.
    pub fn begin(&mut self, at: Offset, tail: Option<TailHash>) {
        self.passed.clear();
        self.back = None;
        (self.scanned, self.scanned_tail, self.skip) = (at, tail, None);
    }

    /// Begins anew in a file whose content did.
    pub fn begin_anew(&mut self) {
        self.after = After::Left(0);
        self.begin(Offset::ZERO, None);
    }

    /// The place up to which the file was searched.
    pub fn scanned(&self) -> Offset {
        self.scanned
    }

    fn after_left(&self) -> u32 {
        match self.after {
            After::Left(left) => left,
            After::Unknown | After::Looking(_) => 0,
        }
    }

    /// Notes that some of the records picked went out.
    fn gone_out(&mut self, picks: &[Pick], around: Around) {
        let since_match = picks.iter().rev().take_while(|pick| pick.is_context).count() as u32;
        let left = if since_match as usize == picks.len() { self.after_left() } else { around.after };
        self.after = After::Left(left.saturating_sub(since_match));
    }

    fn total_passed(&self) -> u64 {
        self.passed.iter().map(|passed| passed.records).sum()
    }

    /// Takes in a stretch without matches, and lets go of those that are too far back by now.
    fn pass(&mut self, stretch: Passed, before: u64) {
        match self.passed.back_mut() {
            // Many small ones are kept as few: coarser, but no less exact.
            Some(last) if last.records + stretch.records <= before / 16 => last.records += stretch.records,
            _ if stretch.records > 0 => self.passed.push_back(stretch),
            _ => {}
        }
        while let Some(first) = self.passed.front()
            && self.total_passed() - first.records >= before
        {
            self.passed.pop_front();
        }
    }

    /// A match stands behind `between` records from `scanned` on: whether some of what was passed goes out with it.
    fn found(&mut self, between: u64, before: u64) -> bool {
        let total = self.total_passed();
        let reaches = between < before && total > 0;
        if reaches {
            self.skip = Some(total.saturating_sub(before - between));
        }
        reaches
    }
}

impl Member {
    /// Whether records that follow its last match are still to go out, and may come.
    pub fn owes_context(&self) -> bool {
        let left = self.nearby.as_ref().is_some_and(|nearby| nearby.after_left() > 0);
        let over = self.is_lost || self.known.finished && self.is_read_to_the_end();
        left && !over
    }
}

impl Subscription {
    /// Hands on what comes next of a file, with what stands around it.
    pub(super) fn advance_around(&mut self, index: usize, context: &mut Context<'_>, now: Instant) -> Step {
        if let Some(step) = self.begin_turn(index, context) {
            return step;
        }
        let stop = self.members[index].stop.unwrap_or(Offset(u64::MAX));
        match self.find_next(index, stop, context, now) {
            Ok(Next::Records(cell, picked)) => self.take_around(index, &cell, picked, Offset(u64::MAX), now),
            Ok(Next::Piece(cell, pick)) => self.take_piece_around(index, &cell, pick, now),
            Err(step) => step,
        }
    }

    /// Finds what goes out next of a file before `stop`; the step to take instead where that is not known yet.
    pub(super) fn find_next(
        &mut self,
        index: usize,
        stop: Offset,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Result<Next, Step> {
        self.settle_after(index, context)?;
        let member = &self.members[index];
        let Some(nearby) = member.nearby.as_deref() else { return Err(Step::Drained) };
        if self.remaining == 0 && nearby.after_left() == 0 {
            return Err(Step::Drained);
        }
        let stop = stop.min(member.known.head);
        // What was passed comes first, once it is known to go out.
        let (from, until) = match nearby.skip {
            Some(_) => (member.at(), nearby.scanned),
            None => (nearby.scanned, stop),
        };
        if until <= from {
            return self.find_piece(index, context);
        }
        if nearby.skip.is_none() && nearby.after_left() == 0 {
            self.search_ahead_around(index, from, until, context)?;
        }
        let cell = self.poll_cell_at(index, from, context, now)?;
        let member = &self.members[index];
        let Some(nearby) = member.nearby.as_deref() else { return Err(Step::Drained) };
        let first = cell.index_at(from);
        if cell.start_of(first) != from {
            // Left over from waiting at another place.
            return Err(Step::Moved);
        }
        let known_tail = if nearby.skip.is_some() { member.tail } else { nearby.scanned_tail };
        if known_tail.is_some_and(|tail| tail != cell.tail_before(first)) {
            self.feed.doubt(&member.file, member.generation);
            return Err(Step::Moved);
        }
        let range = first..cell.count_until(until);
        let state = State {
            around: self.around,
            after_left: nearby.after_left(),
            skip: nearby.skip,
            remaining: self.remaining,
        };
        let picked = pick(range.clone(), &Selected::of(&self.filter, &cell), in_span(self.span, &cell), state);
        self.take_in(index, cell, range, picked)
    }

    /// Searches ahead, and counts what stands before the place where something may match.
    fn search_ahead_around(
        &mut self,
        index: usize,
        from: Offset,
        until: Offset,
        context: &mut Context<'_>,
    ) -> Result<(), Step> {
        if self.members[index].nearby.as_ref().is_some_and(|nearby| nearby.back.is_none()) {
            let Some(clear) = self.search_ahead(index, from, until, None, context)? else { return Ok(()) };
            let (span, before) = (self.span, self.around.before);
            let (member, filter) = (&mut self.members[index], self.filter.clone());
            let (file, known, stretch) = (member.file.clone(), member.known, from..clear.end);
            let back = self.feed.room.ask(move || {
                let (start, records) = before_match(&file, known, stretch, &filter, span, before)?;
                let tail = resume::known_tail(&file, start).ok_or(CellError::Changed(start))?;
                Ok(Passed { start, tail, records: records.into() })
            });
            if let Some(nearby) = &mut member.nearby {
                nearby.back = Some((clear, back));
            }
        }
        let before = u64::from(self.around.before);
        let member = &mut self.members[index];
        let Some(nearby) = member.nearby.as_deref_mut() else { return Ok(()) };
        let Some((clear, back)) = &mut nearby.back else { return Ok(()) };
        let Poll::Ready(found) = Pin::new(back).poll(context) else { return Err(Step::Waiting) };
        let clear = *clear;
        nearby.back = None;
        let passed = match found {
            Ok(Ok(passed)) => passed,
            Ok(Err(error)) => return Err(self.fail(index, &Arc::new(error))),
            // The job failed: look at everything instead.
            Err(_) => {
                member.is_sparse = false;
                return Err(Step::Moved);
            }
        };
        if passed.records == before {
            nearby.passed.clear();
        }
        nearby.pass(passed, before);
        (nearby.scanned, nearby.scanned_tail) = (clear.end, clear.end_tail);
        let at = nearby.passed.front().map_or((clear.end, clear.end_tail), |first| (first.start, Some(first.tail)));
        member.move_to(at.0, at.1);
        member.searched_to(clear.end);
        self.release_held(index, clear.end);
        Err(Step::Moved)
    }

    /// Takes in what was picked of a stretch: it goes out, or was passed.
    fn take_in(&mut self, index: usize, cell: Arc<Cell>, range: Range<usize>, picked: Picked) -> Result<Next, Step> {
        let before = u64::from(self.around.before);
        let (remaining, span) = (self.remaining, self.span);
        let member = &mut self.members[index];
        let Some(nearby) = member.nearby.as_deref_mut() else { return Err(Step::Drained) };
        let (from, end) = (cell.start_of(range.start), cell.start_of(range.end));
        if let Some(skip) = nearby.skip.filter(|_| picked.picks.is_empty()) {
            let passed = range.clone().filter(|index| in_span(span, &cell)(*index)).count() as u64;
            nearby.skip = Some(skip.saturating_sub(passed));
            if range.is_empty() || end >= nearby.scanned {
                // The file does not hold the records that were counted.
                nearby.begin(nearby.scanned, nearby.scanned_tail);
            }
            let (end, tail) = (end.min(nearby.scanned), cell.tail_before(range.end));
            member.move_to(end, Some(tail));
            return Err(Step::Moved);
        }
        if nearby.skip.is_some() {
            return Ok(Next::Records(cell, picked));
        }
        if !picked.picks.is_empty() {
            if nearby.found(picked.before_match() as u64, before) {
                return Err(Step::Moved);
            }
            nearby.passed.clear();
            let (at, tail) = (nearby.scanned, nearby.scanned_tail);
            member.move_to(at, tail);
            return Ok(Next::Records(cell, picked));
        }
        if remaining == 0 && !range.is_empty() {
            // Another match: what follows the last one that was wanted ends here.
            nearby.after = After::Left(0);
        }
        if remaining == 0 || range.is_empty() {
            return Err(Step::Drained);
        }
        let full = picked.pending as u64 == before;
        let first = if full { picked.end } else { range.start };
        if full {
            nearby.passed.clear();
        }
        let stretch =
            Passed { start: cell.start_of(first), tail: cell.tail_before(first), records: picked.pending as u64 };
        debug_assert!(from <= stretch.start);
        nearby.pass(stretch, before);
        (nearby.scanned, nearby.scanned_tail) = (end, Some(cell.tail_before(range.end)));
        let (at, tail) =
            nearby.passed.front().map_or((end, cell.tail_before(range.end)), |first| (first.start, first.tail));
        member.move_to(at, Some(tail));
        member.searched_to(end);
        member.is_sparse = true;
        self.release_held(index, end);
        Err(Step::Moved)
    }

    /// Looks whether the unterminated record at the end goes out, where there is one that belongs to the answer.
    fn find_piece(&mut self, index: usize, context: &mut Context<'_>) -> Result<Next, Step> {
        let member = &mut self.members[index];
        let Some(nearby) = member.nearby.as_deref_mut() else { return Err(Step::Drained) };
        let at = nearby.scanned;
        if at < member.known.head {
            return Err(Step::Drained);
        }
        let Some(end) = super::turn::piece_end(member, at, self.follow) else { return Err(Step::Drained) };
        let member = &mut self.members[index];
        let place = Place { file: &member.file, now: member.known, at, cell: at, grid: self.grid };
        let cell = match self.feed.poll_piece(context, &mut member.waiting, &place, end) {
            Poll::Pending => return Err(Step::Waiting),
            Poll::Ready(Ok(cell)) => cell,
            Poll::Ready(Err(error)) => return Err(self.fail(index, &error)),
        };
        let in_time = self.span.contains(cell.meta(0).time);
        let matches = in_time && self.remaining > 0 && Selected::of(&self.filter, &cell).contains(0);
        let member = &mut self.members[index];
        let Some(nearby) = member.nearby.as_deref_mut() else { return Err(Step::Drained) };
        let follows = in_time && !matches && nearby.after_left() > 0;
        if matches && nearby.found(0, self.around.before.into()) {
            return Err(Step::Moved);
        }
        if !matches && !follows && !member.known.finished {
            return Err(Step::Drained);
        }
        nearby.passed.clear();
        let tail = nearby.scanned_tail;
        member.move_to(at, tail);
        Ok(Next::Piece(cell, (matches || follows).then_some(Pick { index: 0, is_context: follows })))
    }

    /// Takes out of a cell what was picked of it before `until`.
    pub(super) fn take_around(
        &mut self,
        index: usize,
        cell: &Cell,
        picked: Picked,
        until: Offset,
        now: Instant,
    ) -> Step {
        let member = &self.members[index];
        let first_flags = if member.after_gap { flag::AFTER_GAP } else { 0 };
        let bounds = Bounds { until, first_flags, bytes: self.piece, ..Bounds::NONE };
        let place =
            Place { file: &member.file, now: member.known, at: member.at(), cell: member.cell, grid: self.grid };
        let picks = Picks::These(picked.picks, picked.end);
        let segment = Arc::new(self.feed.encode(&place, cell, &picks, self.shape, bounds, now));
        let Picks::These(picks, _) = picks else { return Step::Drained };
        self.note_gone_out(index, &segment, &picks);
        self.take_segment(index, segment)
    }

    /// Takes the unterminated record at the end.
    pub(super) fn take_piece_around(&mut self, index: usize, cell: &Cell, pick: Option<Pick>, now: Instant) -> Step {
        let picks: Vec<_> = pick.into_iter().collect();
        if let Some(nearby) = self.members[index].nearby.as_deref_mut() {
            nearby.gone_out(&picks, self.around);
        }
        let step = self.take_piece(index, cell, &Picks::These(picks, cell.len()), now);
        let member = &mut self.members[index];
        let (at, tail) = (member.at(), member.tail);
        if let Some(nearby) = member.nearby.as_deref_mut() {
            nearby.begin(at, tail);
        }
        step
    }

    /// Moves the search behind a segment.
    fn note_gone_out(&mut self, index: usize, segment: &SharedSegment, picks: &[Pick]) {
        let around = self.around;
        let Some(nearby) = self.members[index].nearby.as_deref_mut() else { return };
        nearby.gone_out(&picks[..segment.entries as usize], around);
        match nearby.skip {
            // What was skipped stood before the first of what went out.
            Some(_) if segment.end < nearby.scanned => nearby.skip = Some(0),
            _ => nearby.begin(segment.end, Some(segment.end_tail)),
        }
    }

    /// Finds out how many records follow a match before the cursor that a file is read from.
    fn settle_after(&mut self, index: usize, context: &mut Context<'_>) -> Result<(), Step> {
        let (span, after) = (self.span, self.around.after);
        let member = &mut self.members[index];
        let (at, known) = (member.at(), member.known);
        let Some(nearby) = member.nearby.as_deref_mut() else { return Ok(()) };
        if matches!(nearby.after, After::Unknown) {
            if at == Offset::ZERO || after == 0 {
                nearby.after = After::Left(0);
                return Ok(());
            }
            let (file, filter) = (member.file.clone(), self.filter.clone());
            nearby.after = After::Looking(tokio::task::spawn_blocking(move || {
                after_left(&file, known, at, &filter, span, after).unwrap_or_else(|error| {
                    tracing::debug!(path = %file.path().display(), %error, "no context from before a cursor");
                    0
                })
            }));
        }
        if let After::Looking(job) = &mut nearby.after {
            let Poll::Ready(left) = Pin::new(job).poll(context) else { return Err(Step::Waiting) };
            nearby.after = After::Left(left.unwrap_or(0));
        }
        Ok(())
    }

    fn poll_cell_at(
        &mut self,
        index: usize,
        at: Offset,
        context: &Context<'_>,
        now: Instant,
    ) -> Result<Arc<Cell>, Step> {
        let member = &mut self.members[index];
        let mut place = Place { file: &member.file, now: member.known, at, cell: member.cell, grid: self.grid };
        let poll = self.feed.poll_raw(context, &mut member.waiting, &mut place, now);
        member.cell = place.cell;
        match poll {
            Poll::Pending => Err(Step::Waiting),
            Poll::Ready(Ok(cell)) => Ok(cell),
            Poll::Ready(Err(error)) => Err(self.fail(index, &error)),
        }
    }
}

fn in_span(span: Span, cell: &Cell) -> impl Fn(usize) -> bool {
    move |index| span == Span::ALL || span.contains(cell.meta(index).time)
}

/// How many records from `at` on follow a match that stands before it.
fn after_left(
    file: &Arc<LogFile>,
    published: Published,
    at: Offset,
    filter: &SharedFilter,
    span: Span,
    after: u32,
) -> Result<u32, CellError> {
    let (mut from, mut seen) = (at, 0);
    while from > Offset::ZERO {
        let cells = tail::cells_before(file, &published, from)?;
        for cell in cells.iter().rev() {
            let matches = Selected::of(filter, cell);
            for index in (0..cell.len()).rev().filter(|index| in_span(span, cell)(*index)) {
                if matches.contains(index) {
                    return Ok(after - seen);
                }
                seen += 1;
                if seen == after {
                    return Ok(0);
                }
            }
        }
        from = cells.first().map_or(Offset::ZERO, Cell::start);
    }
    Ok(0)
}

/// Where what stands before the match at the end of `stretch` begins, in it and behind the match before; and how many
/// records that is.
pub(super) fn before_match(
    file: &Arc<LogFile>,
    published: Published,
    stretch: Range<Offset>,
    filter: &SharedFilter,
    span: Span,
    before: u32,
) -> Result<(Offset, u32), CellError> {
    let Range { start: floor, end: start } = stretch;
    let (mut from, mut first, mut seen) = (start, start, 0);
    while from > floor && seen < before {
        let cells = tail::cells_before(file, &published, from)?;
        for cell in cells.iter().rev() {
            let matches = Selected::of(filter, cell);
            for index in (cell.index_at(floor)..cell.len()).rev().filter(|index| in_span(span, cell)(*index)) {
                if matches.contains(index) || seen == before {
                    return Ok((first, seen));
                }
                (seen, first) = (seen + 1, cell.start_of(index));
            }
        }
        from = cells.first().map_or(Offset::ZERO, Cell::start);
    }
    Ok((first, seen))
}
