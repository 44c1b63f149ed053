//! A subscription: a filter and a cursor for each file. It is pulled, and does nothing unless it is.
//!
//! Whoever holds it asks for the next piece with [`Subscription::poll_next`]; when there is none the task is woken once
//! there may be. Dropping it frees everything that it holds: a place among the waiters, and its cursors.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Feed, SharedFilter,
    around::{Around, Nearby},
    event::{Event, FileChange},
    member::{self, Member, Start},
    merge::{self, Merge, Order},
    open::Request,
    resume,
    seek::{Close, Closing, Span},
    segment::{Segment, SharedSegment},
    succession::After,
    tail::{TailScan, TailStart},
    turn::Step,
};
use crate::{
    entry::{
        Nanos, Offset,
        cursor::EntryCursor,
        encode::Shape,
        stream_cursor::{Point, StreamCursor},
    },
    limits::{GRID_BYTES, POLL_WORK_MAX, PROGRESS_EVERY, SEGMENT_BYTES},
    sync::{Mutex, lock},
    watch::{Changes, FileId, Log, LogFile, Reading, Role, Ticket},
};

/// What a subscription hands on.
#[derive(Debug)]
pub enum Piece {
    /// Entries of one file.
    Entries(FileId, SharedSegment),
    /// Something else that happened before the entries that follow.
    Event(Event),
    /// The end, and why.
    End(End),
}

/// Why a subscription ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything that was asked for has been handed on.
    Done,
    /// The daemon is going down.
    Draining,
    /// Some files could not be read to their end; the others were.
    Unreadable(String),
}

/// What a subscription has handed on so far, for those who only look.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries.
    pub entries: AtomicU64,
    /// Bytes of their messages.
    pub message_bytes: AtomicU64,
    /// Gaps.
    pub gaps: AtomicU64,
    readings: Mutex<Vec<Arc<Reading>>>,
}

impl Progress {
    /// Number of files.
    pub fn files(&self) -> usize {
        lock(&self.readings).len()
    }

    /// Bytes between the cursors and the heads.
    pub fn lag(&self) -> u64 {
        lock(&self.readings).iter().map(|reading| reading.lag()).sum()
    }
}

/// A subscription.
pub struct Subscription {
    pub(super) feed: Arc<Feed>,
    ticket: Ticket,
    pub(super) filter: Arc<SharedFilter>,
    pub(super) shape: Shape,
    pub(super) follow: bool,
    pub(super) members: Vec<Member>,
    /// Where each file stands in `members`.
    pub(super) index: HashMap<FileId, usize>,
    /// The member to look at next.
    turn: usize,
    scan: Option<TailScan>,
    /// The merge of the backlog by time, where several files have one.
    pub(super) merge: Option<Merge>,
    /// The grid on which its cells end: a finer one while very many files are merged.
    pub(super) grid: u64,
    /// Matches that may still be handed on.
    pub(super) remaining: u64,
    /// Bytes of encoded entries that are handed on at once, at most.
    pub(super) piece: usize,
    crc: crc32fast::Hasher,
    pub(super) span: Span,
    /// How much of what stands around matches is handed on.
    pub(super) around: Around,
    /// When a stream that follows is over by the clock.
    closing: Closing,
    selection: u32,
    pub(super) unreadable: Option<String>,
    /// What happened and was not handed on yet; bounded, since nothing is read while there is something in it.
    pub(super) events: VecDeque<Event>,
    /// Whether everything that was there in the beginning has been handed on.
    pub(super) caught_up: bool,
    /// Since when it is asked for more and has found nothing.
    searching_since: Option<Instant>,
    /// The places from which reading began, once they are known.
    start: Vec<EntryCursor>,
    /// When the last cursor was made of which every place lies in what its file held then, in nanoseconds.
    made: AtomicI64,
    pub(super) progress: Arc<Progress>,
}

impl Subscription {
    /// A subscription that reads `members`, after `scan` has found where, if there is one.
    pub(super) fn new(
        feed: Arc<Feed>,
        ticket: Ticket,
        request: &Request,
        filter: Arc<SharedFilter>,
        members: Vec<Member>,
        scan: Option<TailScan>,
        events: Vec<Event>,
    ) -> Self {
        let mut new = Self {
            feed,
            ticket,
            filter,
            shape: request.shape,
            follow: request.follow,
            index: HashMap::new(),
            members,
            turn: 0,
            scan,
            merge: None,
            grid: GRID_BYTES,
            remaining: request.limit.unwrap_or(u64::MAX),
            piece: SEGMENT_BYTES,
            crc: crc32fast::Hasher::new(),
            span: request.span,
            around: request.around,
            closing: if request.follow { Closing::of(request.span) } else { Closing::Never },
            selection: request.selection.hash(),
            unreadable: None,
            events: events.into(),
            caught_up: false,
            searching_since: None,
            start: Vec::new(),
            made: AtomicI64::new(i64::MAX),
            progress: Arc::default(),
        };
        new.members_changed();
        if new.scan.is_none() {
            new.begin();
        }
        new
    }

    /// Bounds the bytes of encoded entries that are handed on at once, but for one entry that has more by itself. Fewer than
    /// [`SEGMENT_BYTES`] are encoded for this subscription alone.
    pub fn cut_at(&mut self, bytes: usize) {
        self.piece = bytes.clamp(1, SEGMENT_BYTES);
    }

    /// What has been handed on so far.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// CRC-32 over each message handed on and a newline.
    pub fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// The place in every file, as a client may bring it back; `held` is what was taken but has not been sent.
    pub fn cursor(&self, made: Nanos, held: Option<(FileId, &Segment)>) -> StreamCursor {
        StreamCursor::new(self.made(made), self.selection, self.places(self.members.iter(), held))
    }

    /// When a cursor that is made now is said to be made. What changed before that is taken for known to whoever brings it
    /// back; where a file holds something else by now than what a place lies in, all that came between is not, nor are names
    /// that have not been looked at.
    fn made(&self, now: Nanos) -> Nanos {
        let behind = self.feed.hints.behind().as_nanos() as i64;
        let known = Nanos(now.0.saturating_sub(behind));
        if self.members.iter().all(Member::is_known) {
            self.made.store(known.0, Ordering::Relaxed);
        }
        known.min(Nanos(self.made.load(Ordering::Relaxed)))
    }

    /// Bytes between the cursors and the heads.
    pub fn lag(&self) -> u64 {
        self.members.iter().map(|member| member.reading().lag()).sum()
    }

    /// Whether it is still being searched where to start.
    pub fn is_searching(&self) -> bool {
        self.scan.is_some()
    }

    /// The places from which reading began, as a client may bring them back; empty while they are searched.
    pub fn start_cursor(&self, made: Nanos) -> Vec<u8> {
        StreamCursor::new(made, self.selection, self.start.iter().copied()).encode()
    }

    /// Begins to read, now that it is known where.
    fn begin(&mut self) {
        self.start = self.members.iter().filter_map(Member::cursor).collect();
        for member in &mut self.members {
            member.began = member.at();
            let (at, tail) = (member.at(), member.tail);
            if let Some(nearby) = &mut member.nearby {
                nearby.begin(at, tail);
            }
        }
        if self.members.len() > 1 {
            self.merge = Some(Merge::default());
            self.grid = merge::grid_for(self.members.len());
            for member in &mut self.members {
                member.order = Order::up_to(member.known.head);
            }
        }
    }

    /// Takes in where the search ended in each file; those to which it did not come take no part.
    fn start_from(&mut self, starts: Vec<TailStart>) {
        let mut starts = starts.into_iter();
        self.members.retain_mut(|member| match starts.next().flatten() {
            Some((start, tail)) => {
                if member.file.is_archive() {
                    member.begin_at_the_end_of_a_search();
                }
                member.move_to(start, tail);
                member.cell = start;
                true
            }
            None => false,
        });
        self.members_changed();
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.members.len()
    }

    /// The places in `files` only, to be laid over a cursor that a client has.
    pub fn delta(&self, made: Nanos, files: &[FileId], held: Option<(FileId, &Segment)>) -> StreamCursor {
        let moved = files.iter().filter_map(|file| self.index.get(file).map(|index| &self.members[*index]));
        StreamCursor::delta(made, self.selection, self.places(moved, held))
    }

    /// The places in some of the files. Before each comes the end of what was read before it, where that is over: should the
    /// file itself be gone when the client comes back, it tells what had been read from what came later; and the beginning
    /// of a file alone does not tell whether it has held something else since, which lies in a copy.
    fn places<'m>(
        &'m self,
        members: impl Iterator<Item = &'m Member>,
        held: Option<(FileId, &Segment)>,
    ) -> impl Iterator<Item = Point> {
        members.flat_map(move |member| {
            let place = place_of(member, held);
            // Only who stands at a beginning may be told by what came later that nothing was missed before.
            let begins = place.is_some_and(|place| place.offset == Offset::ZERO);
            let tells = |_: &&After| place.is_some() && !(begins && self.has_gone_on_after(member));
            let before = member.after.as_ref().filter(tells);
            let before = before.filter(|after| !self.index.contains_key(&after.file.id));
            let end = before.and_then(|after| after.end).map(|at| Point { at, is_over: true });
            let is_over = member.file.is_archive() && member.is_read_to_the_end();
            end.into_iter().chain(place.map(|at| Point { at, is_over }))
        })
    }

    /// Whether it has read of what came after a file.
    fn has_gone_on_after(&self, before: &Member) -> bool {
        self.members.iter().any(|member| {
            let is_later = member.at() > Offset::ZERO && member.file.ordinal() > before.file.ordinal();
            is_later && Arc::ptr_eq(&member.file.log, &before.file.log)
        })
    }

    /// The next piece; when there is none yet, the task is woken once there may be.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        let began = Instant::now();
        loop {
            // First the waker, then the look: a drain or a change from here on wakes.
            let idle = self.take_changes(context).is_pending();
            if self.feed.is_draining() {
                return Poll::Ready(Piece::End(End::Draining));
            }
            if let Some(scan) = &mut self.scan {
                let Poll::Ready(starts) = scan.poll(context) else {
                    let due = self.progress_due(began);
                    return due.map_or(Poll::Pending, |progress| Poll::Ready(Piece::Event(progress)));
                };
                self.scan = None;
                self.start_from(starts);
                self.begin();
            }
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Piece::Event(event));
            }
            if let Some(progress) = self.progress_due(began) {
                return Poll::Ready(Piece::Event(progress));
            }
            if self.is_over() {
                return Poll::Ready(Piece::End(End::Done));
            }
            let step = match self.merge {
                Some(_) => self.merge_on(context, began),
                None => self.look_around(context, began),
            };
            match step {
                Step::Entries(file, segment) => {
                    self.searching_since = None;
                    self.account(file, &segment);
                    return Poll::Ready(Piece::Entries(file, segment));
                }
                Step::Moved if began.elapsed() < POLL_WORK_MAX => {}
                Step::Moved => {
                    // Others on this thread and this connection want to run, too.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Step::Waiting => return Poll::Pending,
                Step::Drained if self.is_over() => {}
                Step::Drained if !self.follow => {
                    let end = self.unreadable.take().map_or(End::Done, End::Unreadable);
                    return Poll::Ready(Piece::End(end));
                }
                Step::Drained if !idle => {}
                Step::Drained if self.caught_up => match self.poll_closing(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Close::End) => return Poll::Ready(Piece::End(End::Done)),
                    Poll::Ready(Close::ReadOn) => self.members.iter_mut().for_each(|member| member.ready = true),
                },
                Step::Drained => {
                    self.caught_up = true;
                    self.events.push_back(Event::CaughtUp);
                }
            }
        }
    }

    /// Says how far a search has come that has found nothing for a while.
    fn progress_due(&mut self, now: Instant) -> Option<Event> {
        let since = *self.searching_since.get_or_insert(now);
        if self.caught_up || now.saturating_duration_since(since) < PROGRESS_EVERY {
            return None;
        }
        self.searching_since = Some(now);
        if let Some((searched, total)) = self.scan.as_ref().map(TailScan::searched) {
            return Some(Event::Progress(searched, total.max(searched)));
        }
        let searched: u64 = self.members.iter().map(|member| member.read_to().since(member.began)).sum();
        let total: u64 = self.members.iter().map(Member::bytes_in_all).sum();
        Some(Event::Progress(searched, total.max(searched)))
    }

    /// Whether everything that was asked for has been handed on, whatever comes.
    fn is_over(&self) -> bool {
        self.remaining == 0 && !self.members.iter().any(Member::owes_context)
    }

    fn poll_closing(&mut self, context: &mut Context<'_>) -> Poll<Close> {
        let members = &self.members;
        self.closing.poll(context, || members.iter().map(|member| member.file.clone()).collect())
    }

    /// Marks the files that changed as ready and takes in new ones.
    fn take_changes(&mut self, context: &Context<'_>) -> Poll<()> {
        let Poll::Ready(changes) = self.ticket.poll_changes(context) else { return Poll::Pending };
        match changes {
            Changes::All => self.members.iter_mut().for_each(|member| member.ready = true),
            Changes::Files(files) => {
                for file in files {
                    if let Some(index) = self.index.get(&file) {
                        self.members[*index].ready = true;
                    }
                }
            }
        }
        // While it is searched where to start, the members stay as the search knows them.
        if self.scan.is_none()
            && let Some(files) = self.ticket.new_members()
            && self.follow
        {
            self.meet(&files);
        }
        Poll::Ready(())
    }

    /// Takes in files that joined, and lets go of those that left: of what no source has any more at once, of others when
    /// they were read to their end.
    fn meet(&mut self, files: &[Arc<LogFile>]) {
        let over = self.over(files);
        let mut removed: Vec<Arc<Log>> = Vec::new();
        for log in self.members.iter().filter(|member| over.contains(&member.file.id)).map(|member| &member.file.log) {
            let is_known = |known: &Arc<Log>| Arc::ptr_eq(known, log);
            if !files.iter().any(|file| is_known(&file.log)) && !removed.iter().any(is_known) {
                removed.push(log.clone());
            }
        }
        self.events.extend(removed.into_iter().map(|log| Event::FileChange(log, FileChange::Removed)));
        let gone: Vec<_> = self.members.extract_if(.., |member| over.contains(&member.file.id)).collect();
        gone.iter().for_each(|gone| self.remember(gone));
        // Whoever waits for one that goes waits for what that one waited for.
        let holds: HashMap<_, _> = gone.iter().map(|member| (member.file.id, member.hold)).collect();
        for member in &mut self.members {
            member.hold = member::beyond(member.hold, &holds);
        }
        for file in files {
            if self.index.contains_key(&file.id) {
                continue;
            }
            let (at, tail) = file.new_from();
            let start = Start { at, tail, ..Start::default() };
            let mut member = Member::new(file.clone(), start);
            if at == Offset::ZERO {
                // What it held before its content began anew is as new as the rest.
                member.begin_at_its_first_content();
            }
            member.nearby = Nearby::of(self.around, start, false);
            let before = file.predecessor.as_ref().and_then(Weak::upgrade);
            member.after = before.map(|before| After { file: before, end: None });
            self.take_turn(&mut member);
            let follows = self.members.iter().any(|member| Arc::ptr_eq(&member.file.log, &file.log));
            let change = if follows { FileChange::Rotated } else { FileChange::Added };
            self.events.push_back(Event::FileChange(file.log.clone(), change));
            self.members.push(member);
        }
        self.members_changed();
    }

    /// Has one that joins wait for what comes before it in its log, and what comes next wait for it, where nothing of that was
    /// read. Where it was, it was of what that file held before the one that joins was written, as long as it is not said to
    /// hold something else: that goes first.
    fn take_turn(&mut self, joining: &mut Member) {
        let (file, ordinal) = (joining.file.clone(), joining.file.ordinal());
        let of_log = |member: &&mut Member| Arc::ptr_eq(&member.file.log, &file.log);
        let (before, after): (Vec<_>, Vec<_>) =
            self.members.iter_mut().filter(of_log).partition(|member| member.file.ordinal() < ordinal);
        let before = before.into_iter().max_by_key(|member| member.file.ordinal());
        let after = after.into_iter().min_by_key(|member| member.file.ordinal());
        let mut first = before.filter(|before| before.hold.is_some() || !before.is_read_to_the_end());
        match after {
            Some(after) if after.at() == Offset::ZERO => {
                after.hold = Some((file.id, file.end_so_far()));
                if after.order.is_part() {
                    joining.order = Order::up_to(file.end_so_far());
                }
            }
            after => first = first.or(after),
        }
        joining.hold = first.map(|first| (first.file.id, first.file.end_so_far()));
    }

    /// Notes the end of a file that it lets go of with what comes next in its log.
    fn remember(&mut self, gone: &Member) {
        let is_later = |member: &&mut Member| {
            Arc::ptr_eq(&member.file.log, &gone.file.log) && gone.file.ordinal() < member.file.ordinal()
        };
        let next = self.members.iter_mut().filter(is_later).min_by_key(|member| member.file.ordinal());
        let Some(next) = next else { return };
        let is_there = gone.file.role() != Role::Gone || resume::is_read_elsewhere(&gone.file);
        let end = gone.cursor().filter(|_| is_there && gone.is_read_to_the_end());
        let after = end.map(|end| After { file: gone.file.clone(), end: Some(end) }).or_else(|| gone.after.clone());
        // Another one that came between is what counts.
        if next.after.as_ref().is_none_or(|known| known.file.ordinal() <= gone.file.ordinal())
            && let Some(after) = after
        {
            next.after = Some(after);
        }
    }

    /// The members that it is done with, now that only `files` are left to wait for.
    fn over(&self, files: &[Arc<LogFile>]) -> HashSet<FileId> {
        let left: HashSet<FileId> = files.iter().map(|file| file.id).collect();
        let left = self.members.iter().filter(|member| !left.contains(&member.file.id));
        let is_over = |member: &Member| member.file.is_dismissed() || member.is_read_to_the_end();
        let (over, unread): (Vec<_>, Vec<_>) = left.partition(|member| is_over(member));
        // With a place in an older file alone, a later one that is still there would seem unread to whom the cursor is
        // brought.
        let is_needed = |member: &Member| {
            let is_older = |older: &&Member| {
                older.file.ordinal() < member.file.ordinal() && Arc::ptr_eq(&older.file.log, &member.file.log)
            };
            member.file.role() != Role::Gone && !member.file.is_dismissed() && unread.iter().any(is_older)
        };
        over.into_iter().filter(|member| !is_needed(member)).map(|member| member.file.id).collect()
    }

    /// Looks at one member after the other, beginning with the one whose turn it is.
    fn look_around(&mut self, context: &mut Context<'_>, now: Instant) -> Step {
        let count = self.members.len();
        let mut waiting = false;
        for turn in 0..count {
            let index = if self.follow { (self.turn + turn) % count } else { turn };
            if !self.members[index].ready && self.members[index].waiting.is_none() {
                continue;
            }
            match self.advance(index, context, now) {
                Step::Drained => self.members[index].ready = false,
                // Files that are not followed are read one after the other.
                Step::Waiting if !self.follow => return Step::Waiting,
                Step::Waiting => waiting = true,
                step @ (Step::Entries(..) | Step::Moved) => {
                    self.turn = index + 1;
                    return step;
                }
            }
        }
        if waiting { Step::Waiting } else { Step::Drained }
    }

    fn account(&mut self, file: FileId, segment: &SharedSegment) {
        if let Some(member) = self.index.get(&file).map(|index| &self.members[*index])
            && self.caught_up
            && segment.end >= member.known.head
            && let Some(seen) = member.file.changed_at()
        {
            self.feed.telemetry.delivery_seconds.observe(seen.elapsed().as_secs_f64());
        }
        self.remaining -= u64::from(segment.matches);
        self.crc.combine(&segment.crc);
        self.progress.entries.fetch_add(segment.entries.into(), Ordering::Relaxed);
        self.progress.message_bytes.fetch_add(segment.message_bytes, Ordering::Relaxed);
    }

    pub(super) fn members_changed(&mut self) {
        self.index = self.members.iter().enumerate().map(|(index, member)| (member.file.id, index)).collect();
        *lock(&self.progress.readings) = self.members.iter().map(Member::reading).collect();
    }
}

/// The place of a member, or where the segment begins that was taken from it but has not been sent.
fn place_of(member: &Member, held: Option<(FileId, &Segment)>) -> Option<EntryCursor> {
    match held {
        Some((file, segment)) if file == member.file.id => member.cursor_at(segment.start, segment.start_tail),
        _ => member.cursor(),
    }
}
