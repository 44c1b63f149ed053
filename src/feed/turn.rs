//! One file's turn in a subscription: what lies at the place in it goes out, and the place moves on.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Place, SharedError,
    around::Around,
    gather::Wish,
    member::Member,
    scan::Clear,
    segment::{self, Bounds, Picks, Segment, SharedSegment},
    select::Selected,
    subscription::Subscription,
};
use crate::{
    entry::{Offset, flag},
    file::Cell,
    limits::{SCAN_BYTES_MIN, SEGMENT_BYTES, UNGATHERED_MAX},
    watch::{FileId, LogFile},
};

/// What looking at one member brought.
pub(super) enum Step {
    /// Entries.
    Entries(FileId, SharedSegment),
    /// No entries, but the place moved on.
    Moved,
    /// Nothing more for now.
    Drained,
    /// Something is being read.
    Waiting,
}

impl Subscription {
    /// Takes in what became of a file since it was last looked at; what follows from it alone, if anything does.
    pub(super) fn begin_turn(&mut self, index: usize, context: &mut Context<'_>) -> Option<Step> {
        let published = self.members[index].file.published();
        if published.generation != self.members[index].generation {
            let step = self.poll_succession(index, context);
            // Whoever waits for it may have nothing to wait for any more.
            self.members.iter_mut().filter(|member| member.hold.is_some()).for_each(|member| member.ready = true);
            return Some(step);
        }
        if self.members[index].file.is_lost() {
            return Some(self.lose(index));
        }
        if self.is_held(index) {
            return Some(Step::Drained);
        }
        if self.announce(index) {
            return Some(Step::Moved);
        }
        self.members[index].known = published;
        None
    }

    pub(super) fn advance(&mut self, index: usize, context: &mut Context<'_>, now: Instant) -> Step {
        if self.around != Around::NONE {
            return self.advance_around(index, context, now);
        }
        if let Some(step) = self.begin_turn(index, context) {
            return step;
        }
        let member = &mut self.members[index];
        let published = member.known;
        let stop = member.stop.unwrap_or(Offset(u64::MAX));
        if stop <= member.at() && member.at() < published.head {
            return Step::Drained;
        }
        if member.at() >= published.head {
            return self.advance_piece(index, context, now);
        }
        let at = member.at();
        if let Some(step) = self.take_gathered(index, stop, context) {
            return step;
        }
        let wish = Wish { shape: self.shape, is_eager: !self.members[index].has_gathered };
        // What is gathered lies in segments for everybody.
        let wish = Some(wish).filter(|_| self.piece >= SEGMENT_BYTES);
        match self.search_ahead(index, at, stop, wish, context) {
            Err(step) => return step,
            Ok(None) => {
                if let Some(step) = self.take_gathered(index, stop, context) {
                    return step;
                }
            }
            Ok(Some(clear)) => return self.pass_to(index, clear),
        }
        match self.poll_entries(index, stop, context, now) {
            Poll::Pending => Step::Waiting,
            Poll::Ready(Ok(segment)) => self.take_segment(index, segment),
            Poll::Ready(Err(error)) => self.fail(index, &error),
        }
    }

    /// Takes what a search has gathered at the member's place, if it is what the member wants.
    fn take_gathered(&mut self, index: usize, stop: Offset, context: &Context<'_>) -> Option<Step> {
        let member = &mut self.members[index];
        let is_bounded = member.after_gap || member.at_edge || self.piece < SEGMENT_BYTES;
        if self.filter.filter.is_everything() || is_bounded || member.waiting.is_some() {
            return None;
        }
        let place =
            Place { file: &member.file, now: member.known, at: member.at(), cell: member.at(), grid: self.grid };
        match self.feed.poll_gathered(context, &mut member.gathered, &place, &self.filter, self.shape) {
            Poll::Pending => Some(Step::Waiting),
            Poll::Ready(None) => None,
            Poll::Ready(Some(segment)) if !self.fits(&segment, stop) => {
                self.members[index].at_edge = true;
                None
            }
            Poll::Ready(Some(segment)) => {
                let step = self.take_segment(index, segment);
                // Behind it a search goes on, not a cell.
                let member = &mut self.members[index];
                (member.is_sparse, member.ungathered, member.has_gathered) = (true, 0, true);
                // It was asked for at the place before.
                member.search_ahead = None;
                Some(step)
            }
        }
    }

    /// Whether a shared segment has nothing that the subscription does not want.
    fn fits(&self, segment: &Segment, stop: Offset) -> bool {
        segment.end <= stop && u64::from(segment.matches) <= self.remaining && segment.lies_in(self.span)
    }

    /// Searches ahead from a place where it may be long until something matches: how far nothing does, if that is any
    /// further.
    pub(super) fn search_ahead(
        &mut self,
        index: usize,
        at: Offset,
        stop: Offset,
        gather: Option<Wish>,
        context: &Context<'_>,
    ) -> Result<Option<Clear>, Step> {
        let member = &mut self.members[index];
        let far = stop.min(member.known.head).since(at) >= SCAN_BYTES_MIN;
        if !far || !member.is_sparse || self.filter.filter.is_everything() {
            return Ok(None);
        }
        let place = Place { file: &member.file, now: member.known, at, cell: at, grid: self.grid };
        match self.feed.poll_clear(context, &mut member.search_ahead, &place, &self.filter, gather, stop) {
            Poll::Pending => Err(Step::Waiting),
            Poll::Ready(Ok(clear)) if clear.end > at => Ok(Some(clear)),
            Poll::Ready(Ok(_)) => {
                (member.is_sparse, member.ungathered) = (false, member.ungathered + 1);
                Ok(None)
            }
            Poll::Ready(Err(error)) => Err(self.fail(index, &error)),
        }
    }

    /// Moves on to a place before which nothing matches.
    pub(super) fn pass_to(&mut self, index: usize, clear: Clear) -> Step {
        let member = &mut self.members[index];
        member.move_to(clear.end, clear.end_tail);
        member.cell = clear.end;
        self.release_held(index, clear.end);
        Step::Moved
    }

    /// The shared segment at the member's place, or one of its own where it needs bounds that others have not.
    pub(super) fn poll_entries(
        &mut self,
        index: usize,
        stop: Offset,
        context: &Context<'_>,
        now: Instant,
    ) -> Poll<Result<SharedSegment, SharedError>> {
        let member = &mut self.members[index];
        let mut place =
            Place { file: &member.file, now: member.known, at: member.at(), cell: member.cell, grid: self.grid };
        let mut bounds = Bounds { bytes: self.piece, ..Bounds::NONE };
        if member.after_gap {
            bounds = Bounds { entries: 1, first_flags: flag::AFTER_GAP, ..bounds };
        } else if !member.at_edge && self.piece >= SEGMENT_BYTES {
            let poll =
                self.feed.poll_segment(context, &mut member.waiting, &mut place, (&self.filter, self.shape), now);
            let (span, remaining) = (self.span, self.remaining);
            let fits = |segment: &SharedSegment| {
                segment.end <= stop && u64::from(segment.matches) <= remaining && segment.lies_in(span)
            };
            match poll {
                // Remembered, since a cell that has to be waited for brings us here again: without a cache the shared
                // segment would be made anew each time.
                Poll::Ready(Ok(segment)) if !fits(&segment) => member.at_edge = true,
                poll => {
                    member.cell = place.cell;
                    return poll;
                }
            }
        }
        bounds = Bounds { until: stop, span: self.span, entries: bounds.entries.min(self.remaining), ..bounds };
        let poll =
            self.feed.poll_bounded(context, &mut member.waiting, &mut place, (&self.filter, self.shape), bounds, now);
        member.cell = place.cell;
        if let Poll::Ready(Ok(segment)) = &poll {
            member.at_edge = segment.left_out;
        }
        poll
    }

    pub(super) fn take_segment(&mut self, index: usize, segment: SharedSegment) -> Step {
        let member = &mut self.members[index];
        let stuck = segment.end == member.at();
        if stuck || member.tail.is_some_and(|tail| tail != segment.start_tail) {
            // Not the bytes that were there when the place was reached: it is another content by now.
            self.feed.doubt(&member.file, member.generation);
            return if stuck { Step::Drained } else { Step::Moved };
        }
        member.move_to(segment.end, Some(segment.end_tail));
        member.after_piece = false;
        if segment.entries > 0 {
            member.after_gap = false;
        }
        member.is_sparse = segment.entries == 0 || member.ungathered < UNGATHERED_MAX;
        let id = member.file.id;
        self.release_held(index, segment.end);
        if segment.entries == 0 { Step::Moved } else { Step::Entries(id, segment) }
    }

    /// Lets go of the files that wait for one to be read up to a place, and of those that wait for them.
    pub(super) fn release_held(&mut self, index: usize, at: Offset) {
        let mut reached = vec![(self.members[index].file.id, at)];
        while let Some((id, at)) = reached.pop() {
            if !self.members.iter().any(|other| other.hold.is_some_and(|(file, _)| file == id)) {
                continue;
            }
            let end = self.index.get(&id).map_or(at, |index| written(&self.members[*index].file));
            for other in &mut self.members {
                if other.hold.is_some_and(|(file, until)| file == id && until.min(end) <= at) {
                    (other.hold, other.ready) = (None, true);
                    // Where its content began anew, it has not reached a place in the present one.
                    if other.generation == other.file.published().generation {
                        reached.push((other.file.id, other.read_to()));
                    }
                }
            }
        }
    }

    /// The unterminated record at the end, where it belongs to the answer.
    pub(super) fn advance_piece(&mut self, index: usize, context: &Context<'_>, now: Instant) -> Step {
        let member = &mut self.members[index];
        let from = member.at();
        let Some(end) = piece_end(member, from, self.follow) else { return Step::Drained };
        let place = Place { file: &member.file, now: member.known, at: from, cell: from, grid: self.grid };
        let cell = match self.feed.poll_piece(context, &mut member.waiting, &place, end) {
            Poll::Pending => return Step::Waiting,
            Poll::Ready(Ok(cell)) => cell,
            Poll::Ready(Err(error)) => return self.fail(index, &error),
        };
        let picks = Picks::Matches(Selected::of(&self.filter, &cell));
        self.take_piece(index, &cell, &picks, now)
    }

    /// Takes what is picked of the unterminated record at the end, which is a cell of its own.
    pub(super) fn take_piece(&mut self, index: usize, cell: &Cell, picks: &Picks, now: Instant) -> Step {
        let member = &self.members[index];
        let (from, end) = (member.at(), cell.end());
        let first_flags = if member.after_gap { flag::AFTER_GAP } else { 0 };
        let span = self.span;
        let bounds = Bounds { span, first_flags, piece_goes_on: !member.known.finished, ..Bounds::NONE };
        let segment = segment::encode(&member.file, cell, from, picks, self.shape, bounds, now);
        let (goes_on, before) = (bounds.piece_goes_on, segment.start_tail);
        let step = self.take_segment(index, Arc::new(segment));
        let member = &mut self.members[index];
        if goes_on && member.at() == end {
            member.move_to(from, None);
            member.pass_piece(end, before);
        } else {
            member.after_piece = member.at() == end;
        }
        step
    }

    /// Whether it is not known yet what a file holds that comes before this one, of which nothing was read: nobody knows what
    /// comes first. To those who do not follow, it is none of what they asked for.
    pub(super) fn waits_for_decision(&self, index: usize) -> bool {
        let member = &self.members[index];
        self.follow && member.at() == Offset::ZERO && member.file.comes_after_undecided()
    }

    /// Whether another file has to be read up to a place before this one.
    pub(super) fn is_held(&mut self, index: usize) -> bool {
        self.is_held_in(index, &mut Vec::new())
    }

    /// The same, at the end of a chain of files that wait for each other: one that comes back to itself is broken there.
    fn is_held_in(&mut self, index: usize, chain: &mut Vec<usize>) -> bool {
        if self.waits_for_decision(index) {
            return true;
        }
        let Some((file, until)) = self.members[index].hold else { return false };
        let Some(before) = self.members.iter().position(|member| member.file.id == file) else {
            self.members[index].hold = None;
            return false;
        };
        // One that waits itself holds back what comes after it, even if nothing is in it.
        chain.push(index);
        if chain.contains(&before) {
            self.members[index].hold = None;
            return false;
        }
        let waits = self.is_held_in(before, chain);
        let before = &self.members[before];
        if before.file.is_given_up() {
            // One that cannot be read at all does not keep the others from being read.
            self.members[index].hold = None;
            return false;
        }
        let until = until.min(written(&before.file));
        // Where its content began anew, what became of it is still to be found; what it holds now has its own end.
        let begins_anew = before.file.published().generation != before.generation;
        let is_behind = begins_anew || before.read_to() < until || before.file.may_hold_more();
        // What is still to be said of it comes first, too, though nothing of it may be left to read.
        let held = !before.announce.is_empty() || !before.is_lost && (waits || is_behind);
        if !held {
            self.members[index].hold = None;
        }
        held
    }
}

/// Where what can be read of a file ends. Not what was known when it was last looked at: that may have been before its last
/// lines were written.
fn written(file: &LogFile) -> Offset {
    let published = file.published();
    if published.finished { published.size } else { file.end_so_far() }
}

/// The end of the unterminated record at `at`, behind the head, where it belongs to the answer.
pub(super) fn piece_end(member: &Member, at: Offset, follow: bool) -> Option<Offset> {
    let is_part = member.known.head <= at && at < member.known.size;
    let ended = member.known.finished && is_part && !member.file.is_superseded();
    match member.piece_end {
        Some(end) if at < end => Some(end),
        _ if ended && (follow || member.stop.is_some_and(|stop| stop > at)) => Some(member.known.size),
        _ => None,
    }
}
