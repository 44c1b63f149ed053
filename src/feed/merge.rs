//! History of several files in the order of time.
//!
//! The entry that goes next is the one with the least key: the latest time that its file has brought so far, so that
//! each file keeps its own order, but no later than a day after the file's last change, so that one line of the year
//! 2099 does not hold its file back. What is kept of a file is the key of its next entry; cells are looked at in the
//! cache, and a run of entries of one file goes out as one piece.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Place,
    around::{Around, Next},
    event::Event,
    member::Member,
    seek::Span,
    segment::{Bounds, Picks},
    select::Selected,
    subscription::Subscription,
    turn::{Step, piece_end},
};
use crate::{
    entry::{Nanos, Offset, flag},
    file::Cell,
    limits::{
        GRID_BYTES, MERGE_AHEAD_BYTES, MERGE_AHEAD_BYTES_MIN, MERGE_READS_MAX, MERGE_ROUNDS, POLL_WORK_MAX, SKEW_MAX,
    },
};

/// A merge that is going on.
#[derive(Debug)]
pub struct Merge {
    /// How often what was written meanwhile is still merged in.
    rounds: usize,
}

/// Where a file stands in a merge.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    ahead: Ahead,
    /// The key of the last entry handed on.
    key: Nanos,
    /// Where the file's part in the merge ends.
    stop: Offset,
    /// The end of the cell, where all that is left of it goes out, so that its segments can be those that others take.
    whole: Option<Offset>,
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// It is still to be looked at.
    Unknown,
    /// An entry with this key.
    Entry(Nanos),
    /// The unterminated record at the end, with this key.
    Piece(Nanos),
    /// Nothing that belongs to the merge.
    Nothing,
}

impl Default for Merge {
    /// A merge that has still to begin.
    fn default() -> Self {
        Self { rounds: MERGE_ROUNDS }
    }
}

impl Order {
    /// A file that takes no part.
    pub const NONE: Self = Self { ahead: Ahead::Nothing, key: Nanos(i64::MIN), stop: Offset::ZERO, whole: None };

    /// A file that takes part up to `stop`.
    pub fn up_to(stop: Offset) -> Self {
        Self { ahead: Ahead::Unknown, stop, ..Self::NONE }
    }

    /// The same file's part goes on in another file, up to `stop`.
    pub fn go_on(&self, stop: Offset) -> Self {
        Self { key: self.key, ..Self::up_to(stop) }
    }

    /// Whether the file takes part.
    pub fn is_part(&self) -> bool {
        self.stop > Offset::ZERO
    }

    fn key(&self) -> Option<Nanos> {
        match self.ahead {
            Ahead::Entry(key) | Ahead::Piece(key) => Some(key),
            Ahead::Unknown | Ahead::Nothing => None,
        }
    }
}

impl Member {
    /// Nothing more of it takes part, unless its content began anew, which is still to be said.
    fn rest(&mut self) {
        let same = self.file.published().generation == self.generation;
        self.order.ahead = if same { Ahead::Nothing } else { Ahead::Unknown };
    }
}

/// The grid for a merge of so many files: their cells fit into the cache together.
pub(super) fn grid_for(files: usize) -> u64 {
    let share = MERGE_AHEAD_BYTES / (files as u64).max(1);
    // Of two powers of two the smaller, so that it divides the usual one.
    (1 << share.max(1).ilog2()).clamp(MERGE_AHEAD_BYTES_MIN, GRID_BYTES)
}

/// The key of an entry of this time after one with the key `before`, in a file that changed last at `mtime`.
fn key_after(before: Nanos, time: Nanos, mtime: Nanos) -> Nanos {
    let latest = Nanos(mtime.0.saturating_add(SKEW_MAX.as_nanos() as i64));
    before.max(time.min(latest))
}

impl Subscription {
    /// Hands on what comes next in the order of time; `Drained` when everything that takes part has been.
    pub(super) fn merge_on(&mut self, context: &mut Context<'_>, now: Instant) -> Step {
        if let Some(step) = self.look_ahead(context, now) {
            return step;
        }
        let (mut first, mut second) = (None, None);
        for (index, member) in self.members.iter().enumerate() {
            let Some(key) = member.order.key() else { continue };
            let this = Some((key, index));
            if first.is_none() || this < first {
                (first, second) = (this, first);
            } else if second.is_none() || this < second {
                second = this;
            }
        }
        let Some((_, index)) = first else {
            return if self.let_go_of_held() { Step::Moved } else { self.end_round() };
        };
        let step = match self.members[index].order.ahead {
            _ if self.around != Around::NONE => self.hand_on_around(index, second, context, now),
            Ahead::Piece(_) => self.advance_piece(index, context, now),
            Ahead::Entry(_) | Ahead::Unknown | Ahead::Nothing => self.hand_on_run(index, second, context, now),
        };
        let member = &mut self.members[index];
        match &step {
            Step::Waiting => return step,
            Step::Drained => {
                member.rest();
                return Step::Moved;
            }
            Step::Entries(_, segment) => {
                let latest = segment.times.map_or(member.order.key, |(_, latest)| latest);
                member.order.key = key_after(member.order.key, latest, member.known.mtime);
            }
            Step::Moved => {}
        }
        (member.order.ahead, member.order.whole) = (Ahead::Unknown, None);
        step
    }

    /// Finds what comes next in each file of which that is not known; none when it is known of all.
    fn look_ahead(&mut self, context: &mut Context<'_>, now: Instant) -> Option<Step> {
        let mut waiting = 0;
        for index in 0..self.members.len() {
            // What its predecessor still holds comes before it.
            while self.members[index].order.ahead == Ahead::Unknown && !self.is_held(index) {
                if now.elapsed() >= POLL_WORK_MAX {
                    return Some(Step::Moved);
                }
                match self.look_ahead_in(index, context, now) {
                    Step::Waiting => {
                        waiting += 1;
                        break;
                    }
                    Step::Drained => self.members[index].rest(),
                    Step::Moved | Step::Entries(..) if !self.events.is_empty() => return Some(Step::Moved),
                    Step::Moved | Step::Entries(..) => {}
                }
            }
            // Readers of history leave the disk to others, too.
            if waiting >= MERGE_READS_MAX {
                break;
            }
        }
        (waiting > 0).then_some(Step::Waiting)
    }

    /// Lets go of files whose predecessors turned out to have nothing more for them to wait for; whether there are any. Those
    /// that wait for one that may be read soon, or of which it is not known yet what it holds, take no part, and go on waiting
    /// afterwards.
    fn let_go_of_held(&mut self) -> bool {
        let is_held = |index: &usize| self.members[*index].order.ahead == Ahead::Unknown;
        let held: Vec<usize> = (0..self.members.len()).filter(is_held).collect();
        // All of them before the first is let go of, which would break the chains of the others.
        let (waiting, free): (Vec<usize>, _) = held.iter().partition(|index| self.follow && self.has_to_wait(**index));
        waiting.into_iter().for_each(|index| self.members[index].order.ahead = Ahead::Nothing);
        free.into_iter().for_each(|index: usize| self.members[index].hold = None);
        !held.is_empty()
    }

    /// Whether what a file waits for, at whatever remove, could not be read or looked into, or is not known.
    fn has_to_wait(&self, index: usize) -> bool {
        let mut at = index;
        // A chain that comes back to itself has been gone round by then.
        for _ in 0..self.members.len() {
            if self.waits_for_decision(at) {
                return true;
            }
            let Some(before) = self.members[at].hold.and_then(|(file, _)| self.index.get(&file)) else { return false };
            let file = &self.members[*before].file;
            if file.may_be_read_soon() || file.may_hold_more() {
                return true;
            }
            at = *before;
        }
        false
    }

    /// Looks at the cell at a file's place; moves past it when nothing in it is to go out.
    fn look_ahead_in(&mut self, index: usize, context: &mut Context<'_>, now: Instant) -> Step {
        if let Some(step) = self.begin_turn(index, context) {
            return step;
        }
        let stop = self.stop_of(index);
        if self.around != Around::NONE {
            return self.look_ahead_around(index, stop, context, now);
        }
        if self.members[index].at() >= stop {
            return self.look_at_piece(index, context);
        }
        match self.search_ahead(index, self.members[index].at(), stop, None, context) {
            Err(step) => return step,
            Ok(None) => {}
            Ok(Some(clear)) => return self.pass_to(index, clear),
        }
        let cell = match self.poll_cell_of(index, context, now) {
            Ok(cell) => cell,
            Err(step) => return step,
        };
        let member = &self.members[index];
        let mut within = (cell.index_at(member.at())..cell.len()).take_while(|at| cell.end_of(*at) <= stop);
        let selected = Selected::of(&self.filter, &cell);
        match within.find(|at| self.wants(&cell, &selected, *at)) {
            Some(at) => {
                let key = key_after(member.order.key, cell.meta(at).time, member.known.mtime);
                self.members[index].order.ahead = Ahead::Entry(key);
                Step::Moved
            }
            None => self.take_from(index, &cell, stop, now),
        }
    }

    /// The same where what stands around matches goes out, too.
    fn look_ahead_around(&mut self, index: usize, stop: Offset, context: &mut Context<'_>, now: Instant) -> Step {
        let (time, ahead): (_, fn(Nanos) -> Ahead) = match self.find_next(index, stop, context, now) {
            Ok(Next::Records(cell, picked)) => {
                let Some(first) = picked.picks.first() else { return Step::Drained };
                (cell.meta(first.index).time, Ahead::Entry)
            }
            Ok(Next::Piece(cell, _)) => (cell.meta(0).time, Ahead::Piece),
            Err(step) => return step,
        };
        let member = &mut self.members[index];
        member.order.ahead = ahead(key_after(member.order.key, time, member.known.mtime));
        Step::Moved
    }

    fn look_at_piece(&mut self, index: usize, context: &mut Context<'_>) -> Step {
        let member = &mut self.members[index];
        let Some(end) = piece_end(member, member.at(), self.follow) else { return Step::Drained };
        let place =
            Place { file: &member.file, now: member.known, at: member.at(), cell: member.at(), grid: self.grid };
        match self.feed.poll_piece(context, &mut member.waiting, &place, end) {
            Poll::Pending => Step::Waiting,
            Poll::Ready(Ok(cell)) => {
                let time = cell.meta(0).time;
                member.order.ahead = Ahead::Piece(key_after(member.order.key, time, member.known.mtime));
                Step::Moved
            }
            Poll::Ready(Err(error)) => self.fail(index, &error),
        }
    }

    /// Hands on the entries of a file that come before the next one of every other file.
    fn hand_on_run(
        &mut self,
        index: usize,
        second: Option<(Nanos, usize)>,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Step {
        if let Some(step) = self.begin_turn(index, context) {
            return step;
        }
        let stop = self.stop_of(index);
        if self.members[index].at() >= stop {
            // Its content began anew.
            return Step::Moved;
        }
        let whole = self.members[index].order.whole;
        let until = if let Some(end) = whole {
            end
        } else {
            let cell = match self.poll_cell_of(index, context, now) {
                Ok(cell) => cell,
                Err(step) => return step,
            };
            let until = self.run_end(index, &cell, second, stop);
            if until < cell.end() || self.members[index].at_edge || self.members[index].after_gap {
                return self.take_from(index, &cell, until, now);
            }
            self.members[index].order.whole = Some(until);
            until
        };
        match self.poll_entries(index, until, context, now) {
            Poll::Pending => Step::Waiting,
            Poll::Ready(Ok(segment)) => self.take_segment(index, segment),
            Poll::Ready(Err(error)) => self.fail(index, &error),
        }
    }

    /// Hands on the entries of a file with what stands around them, up to the next entry of another file.
    fn hand_on_around(
        &mut self,
        index: usize,
        second: Option<(Nanos, usize)>,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Step {
        if let Some(step) = self.begin_turn(index, context) {
            return step;
        }
        let (cell, picked) = match self.find_next(index, self.stop_of(index), context, now) {
            Ok(Next::Records(cell, picked)) => (cell, picked),
            Ok(Next::Piece(cell, pick)) => return self.take_piece_around(index, &cell, pick, now),
            Err(step) => return step,
        };
        let member = &self.members[index];
        let mut key = member.order.key;
        let mut until = Offset(u64::MAX);
        for (nth, pick) in picked.picks.iter().enumerate() {
            key = key_after(key, cell.meta(pick.index).time, member.known.mtime);
            if nth > 0 && second.is_some() && second < Some((key, index)) {
                until = cell.start_of(pick.index);
                break;
            }
        }
        self.take_around(index, &cell, picked, until, now)
    }

    /// Where the run ends: at the first entry that comes after the next one of another file.
    fn run_end(&self, index: usize, cell: &Cell, second: Option<(Nanos, usize)>, stop: Offset) -> Offset {
        let member = &self.members[index];
        let mut key = member.order.key;
        let selected = Selected::of(&self.filter, cell);
        // The first one is the one that is due, whatever its time is by now: one without a time of its own has the file's.
        let mut is_due = true;
        for at in cell.index_at(member.at())..cell.len() {
            if cell.end_of(at) > stop {
                return cell.start_of(at);
            }
            if second.is_some() && self.wants(cell, &selected, at) {
                key = key_after(key, cell.meta(at).time, member.known.mtime);
                if second < Some((key, index)) && !is_due {
                    return cell.start_of(at);
                }
                is_due = false;
            }
        }
        cell.end()
    }

    /// Takes what is to go out of a cell before `until`, for this subscription alone.
    fn take_from(&mut self, index: usize, cell: &Cell, until: Offset, now: Instant) -> Step {
        let member = &mut self.members[index];
        let mut bounds = Bounds { until, span: self.span, entries: self.remaining, bytes: self.piece, ..Bounds::NONE };
        if member.after_gap {
            bounds = Bounds { entries: 1, first_flags: flag::AFTER_GAP, ..bounds };
        }
        let place =
            Place { file: &member.file, now: member.known, at: member.at(), cell: member.cell, grid: self.grid };
        let picks = Picks::Matches(Selected::of(&self.filter, cell));
        let segment = self.feed.encode(&place, cell, &picks, self.shape, bounds, now);
        member.at_edge = segment.left_out;
        self.take_segment(index, Arc::new(segment))
    }

    fn poll_cell_of(&mut self, index: usize, context: &Context<'_>, now: Instant) -> Result<Arc<Cell>, Step> {
        let member = &mut self.members[index];
        let mut place =
            Place { file: &member.file, now: member.known, at: member.at(), cell: member.cell, grid: self.grid };
        let poll = self.feed.poll_raw(context, &mut member.waiting, &mut place, now);
        member.cell = place.cell;
        match poll {
            Poll::Pending => Err(Step::Waiting),
            Poll::Ready(Ok(cell)) => Ok(cell),
            Poll::Ready(Err(error)) => Err(self.fail(index, &error)),
        }
    }

    /// Where a file's part ends: no further than what it is known to hold.
    fn stop_of(&self, index: usize) -> Offset {
        let member = &self.members[index];
        member.order.stop.min(member.stop.unwrap_or(member.order.stop)).min(member.known.head)
    }

    fn wants(&self, cell: &Cell, selected: &Selected, index: usize) -> bool {
        selected.contains(index) && (self.span == Span::ALL || self.span.contains(cell.meta(index).time))
    }

    /// Merges in what was written meanwhile, for a stream that follows; after some rounds, or when there is nothing, the
    /// rest is live.
    fn end_round(&mut self) -> Step {
        let merge = self.merge.take();
        if !self.follow {
            return Step::Drained;
        }
        let mut grown = false;
        for member in self.members.iter_mut().filter(|member| member.order.is_part()) {
            let head = member.file.published().head;
            if head > member.order.stop {
                grown = true;
                member.order = Order { key: member.order.key, ..Order::up_to(head) };
            }
        }
        self.merge = merge.filter(|merge| grown && merge.rounds > 0).map(|merge| Merge { rounds: merge.rounds - 1 });
        if self.merge.is_none() {
            self.grid = GRID_BYTES;
            self.members.iter_mut().for_each(|member| member.ready = true);
            self.caught_up = true;
            self.events.push_back(Event::CaughtUp);
        }
        Step::Moved
    }
}
