//! Where a subscription goes on when the content of a file began anew before it had read all of it: in the copies that
//! were made of what the file held, then in the file itself.
//!
//! Copies are known by content, so it does not matter how they are named or whether they have been compressed since.
//! Looking for them reads files, on a thread that may wait.

use std::{
    cell::Cell,
    collections::HashSet,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;

use super::{
    Feed,
    around::Nearby,
    event::{Event, FileChange},
    member::{self, Member, Start},
    merge::Order,
    resume,
    subscription::Subscription,
    turn::Step,
};
use crate::{
    entry::{
        Offset,
        cursor::{EntryCursor, HeadHash, TailHash},
        stream_cursor,
    },
    file::{
        lines::{self, KnownHead},
        read::is_passing,
    },
    limits::CURSOR_HEAD_BYTES,
    telemetry::GapReason,
    watch::{
        LogFile, Published, copies,
        logfile::{KnownContent, first_bytes},
    },
};

/// The file whose content came before what another one holds.
#[derive(Clone)]
pub struct After {
    /// The file.
    pub file: Arc<LogFile>,
    /// Its end, where it is over: who is at the beginning of what comes next has read up to there.
    pub end: Option<EntryCursor>,
}

impl After {
    /// The last copy that ends before what `file` held at `generation` begins, if there is one. Reads the bytes that its end
    /// is known by, and its beginning: one that begins like the file has been made of that very content.
    pub fn before(file: &Arc<LogFile>, generation: u32) -> Option<Self> {
        let begins = match file.begins(generation) {
            unknown if unknown.is_empty() => first_bytes(&*file.open().ok()?, Offset(CURSOR_HEAD_BYTES)).ok()?,
            known => known,
        };
        let is_copy = |kin: &Arc<LogFile>| {
            let is_before = kin.ordinal() < file.ordinal();
            let is_other = is_before && kin.is_archive() && !kin.is_undecided() && !resume::is_read_elsewhere(kin);
            is_other && !begins_alike(kin, &begins)
        };
        let before = file.log.files().into_iter().rfind(is_copy)?;
        let end = end_of(&before).ok();
        Some(Self { file: before, end })
    }
}

/// What became of one content of a file.
#[derive(Debug)]
enum Stretch {
    /// A file holds it; reading goes on there.
    Copy(Arc<LogFile>, Start),
    /// Nobody holds what had not been read of it; how many bytes, where that is known.
    Missing(Option<u64>),
}

/// What became of all that a file held before the present content.
pub(super) struct Succession {
    stretches: Vec<Stretch>,
    /// The last file that held any of it.
    last: Option<After>,
    /// What was the present one then; another may have taken its place since.
    generation: u32,
}

/// A search for what became of the contents that a file held before the present one.
pub(super) type Search = JoinHandle<Succession>;

/// A place in a content of a file.
#[derive(Clone, Copy)]
struct Place {
    generation: u32,
    at: Offset,
    tail: Option<TailHash>,
    /// The place up to which nothing was left to read.
    read_to: Offset,
}

impl Subscription {
    /// Finds out what follows the content that a member was reading, and takes it in.
    pub(super) fn poll_succession(&mut self, index: usize, context: &mut Context<'_>) -> Step {
        let member = &mut self.members[index];
        let (generation, at, tail, read_to) = (member.generation, member.at(), member.tail, member.read_to());
        let search = member.search.get_or_insert_with(|| {
            let (file, feed) = (member.file.clone(), self.feed.clone());
            let place = Place { generation, at, tail, read_to };
            let before = member.after.clone().map(|after| after.file);
            tokio::task::spawn_blocking(move || find(&feed, &file, place, before))
        });
        let Poll::Ready(found) = std::pin::Pin::new(search).poll(context) else { return Step::Waiting };
        member.search = None;
        let now = member.file.published().generation;
        let unknown = |_| Succession { stretches: vec![Stretch::Missing(None)], last: None, generation: now };
        self.follow_on(index, found.unwrap_or_else(unknown));
        Step::Moved
    }

    /// Reads the copies that were found, one after the other, and then what the file holds now.
    fn follow_on(&mut self, index: usize, Succession { stretches, last, generation }: Succession) {
        // What was to be said of it comes before all of it, and so does what it had to wait for, unless that is one of these.
        let (mut announce, mut gap) = (std::mem::take(&mut self.members[index].announce), None);
        let copies = stretches.iter().filter_map(|stretch| match stretch {
            Stretch::Copy(copy, _) => Some((copy.id, self.members[*self.index.get(&copy.id)?].hold)),
            Stretch::Missing(_) => None,
        });
        let mut hold = member::beyond(self.members[index].hold, &copies.collect());
        let member = &mut self.members[index];
        let (mut stop, order) = (member.stop, member.order);
        let (mut after_gap, log) = (member.after_gap, member.file.log.clone());
        let before = member.after.take();
        let mut after = before.clone();
        for stretch in stretches {
            let (copy, start) = match stretch {
                Stretch::Missing(bytes) => {
                    let before: Option<Option<u64>> = gap;
                    gap = Some(before.map_or(bytes, |before| Some(before? + bytes?)));
                    continue;
                }
                Stretch::Copy(copy, start) => (copy, start),
            };
            let published = copy.published();
            let end = if published.finished { published.size } else { published.head };
            let known = self.index.get(&copy.id).copied();
            if let Some(known) = known.filter(|known| self.members[*known].at() >= start.at) {
                // It is before the file now, whatever it was thought to come after, and may have nothing to wait for any more.
                (self.members[known].hold, self.members[known].ready) = (hold, true);
            } else {
                let mut next = Member::new(copy.clone(), start);
                next.nearby = Nearby::of(self.around, start, true);
                next.hold = hold;
                next.stop = stop;
                next.after = after;
                next.after_gap = after_gap;
                if order.is_part() && gap.is_none() {
                    next.order = order.go_on(published.head);
                }
                next.announce = std::mem::take(&mut announce);
                next.announce.extend(gap.take().map(|bytes| Event::Gap(log.clone(), GapReason::Truncated, bytes)));
                match known {
                    // It was taken for news before it was seen to hold what has been read already.
                    Some(known) => self.members[known] = next,
                    None => self.members.push(next),
                }
            }
            (hold, after_gap, after) = (Some((copy.id, end)), false, Some(After { file: copy, end: None }));
            // How much was asked for of the files that came later is not known any more.
            stop = stop.map(|_| Offset(u64::MAX));
        }
        let (follow, member) = (self.follow, &mut self.members[index]);
        let published = member.file.published();
        member.begin_anew(&Published { generation, ..published });
        member.order = Order::NONE;
        member.ready = true;
        if member.stop.is_some() {
            // The answer was to hold what the file held when it was asked for; that is over.
            member.stop = Some(Offset::ZERO).filter(|_| !follow);
            member.piece_end = None;
        }
        (member.hold, member.after_gap, member.after) = (hold, after_gap, last.or(before));
        member.announce = announce;
        member.announce.push(Event::FileChange(log.clone(), FileChange::Truncated));
        member.announce.extend(gap.map(|bytes| Event::Gap(log, GapReason::Truncated, bytes)));
        self.members_changed();
    }

    /// Says what happened just before what a member goes on with; whether there was anything.
    pub(super) fn announce(&mut self, index: usize) -> bool {
        let announced = std::mem::take(&mut self.members[index].announce);
        let any = !announced.is_empty();
        if any {
            self.members.iter_mut().filter(|member| member.hold.is_some()).for_each(|member| member.ready = true);
        }
        for event in announced {
            match event {
                Event::Gap(_, reason, bytes) => self.note_gap(index, reason, bytes),
                event => self.events.push_back(event),
            }
        }
        any
    }
}

/// Finds what became of the contents of `file` from `place` on, up to the present one.
///
/// The first of them is known by what was read of it. Between the file that holds it and the present content lies, in the
/// order of the log, all that came meanwhile, whether anybody looked at the file while it held that or not. Where nothing
/// of it was read it comes after `before`, which was read before.
fn find(feed: &Feed, file: &Arc<LogFile>, place: Place, before: Option<Arc<LogFile>>) -> Succession {
    // A copy is whole before what it was made of is truncated, but need not have been seen yet. What begins anew after this
    // look is not looked for: its copy may have come after it, too.
    let now = file.published().generation;
    let log = HashSet::from([file.log.path.clone()]);
    feed.look_again(log);
    let mut way = Way { file, now, stretches: Vec::new(), last: before.filter(|_| place.at == Offset::ZERO) };
    for generation in place.generation..now {
        let place = match generation == place.generation {
            true => place,
            false => Place { generation, at: Offset::ZERO, tail: None, read_to: Offset::ZERO },
        };
        let known = file.content(generation);
        let written = known.as_ref().map_or(Offset::ZERO, |known| known.end.at);
        match copy_of(file, known.as_ref(), place) {
            Found::Copy(copy) => way.go_over(copy, place, written),
            Found::Unreadable => way.stretches.push(Stretch::Missing(None)),
            Found::Nowhere if file.is_forgotten(generation) => way.stretches.push(Stretch::Missing(None)),
            Found::Nowhere if written > place.read_to => {
                way.stretches.push(Stretch::Missing(Some(written.since(place.read_to))));
            }
            Found::Nowhere => {}
        }
    }
    way.go_up_to(file);
    tracing::debug!(?file, from = place.generation, at = place.at.0, to = now, way = ?way.stretches, "what followed in a file");
    Succession { stretches: way.stretches, last: After::before(file, now), generation: now }
}

/// The way from one content of a file to the present one, as far as it was found.
struct Way<'f> {
    file: &'f Arc<LogFile>,
    /// The present content.
    now: u32,
    stretches: Vec<Stretch>,
    /// The file up to which it was found, or, before that, was read.
    last: Option<Arc<LogFile>>,
}

impl Way<'_> {
    /// Goes on over a copy of a content that was `written` so far, from a place in it.
    fn go_over(&mut self, copy: Arc<LogFile>, place: Place, written: Offset) {
        if self.last.as_ref().is_some_and(|last| copy.ordinal() <= last.ordinal()) {
            return;
        }
        self.go_up_to(&copy);
        let end = copy.published().size;
        if end > place.at {
            let start = Start { at: place.at, tail: resume::known_tail(&copy, place.at), ..Start::default() };
            self.stretches.push(Stretch::Copy(copy.clone(), start));
        }
        if end < written {
            self.stretches.push(Stretch::Missing(None));
        }
        self.last = Some(copy);
    }

    /// Goes on over what lies before a file in the order of its log.
    fn go_up_to(&mut self, file: &Arc<LogFile>) {
        let Some(last) = &self.last else { return };
        let (mut later, is_missing) = between(last, file);
        // What the file holds now is read there, and in its copy only when that is over.
        later.retain(|file| !self.is_copy_of_present(file));
        self.last = later.last().or(Some(last)).cloned();
        self.stretches.extend(later.into_iter().map(|copy| Stretch::Copy(copy, Start::default())));
        self.stretches.extend(is_missing.then_some(Stretch::Missing(None)));
    }

    fn is_copy_of_present(&self, file: &Arc<LogFile>) -> bool {
        let mut later = self.now..=self.file.published().generation;
        later.any(|generation| self.file.copies(generation).iter().any(|copy| Arc::ptr_eq(copy, file)))
    }
}

/// The end of a file that nothing more is written to, as a cursor; where it takes long to find out how far the file goes,
/// its beginning, which tells at least which one it is.
pub(super) fn end_of(file: &Arc<LogFile>) -> io::Result<EntryCursor> {
    if !file.is_compressed() {
        settled(file)?;
    }
    let (content, published) = (file.open()?, file.published());
    let at = match (file.is_compressed(), published.finished) {
        (_, true) => published.size,
        (true, false) => Offset::ZERO,
        (false, false) => published.head,
    };
    let (head, tail) = if at == Offset::ZERO {
        stream_cursor::at_beginning(&first_bytes(&*content, Offset(CURSOR_HEAD_BYTES))?)
    } else {
        let beginning = file.beginning(&*content, &published, at)?;
        (HeadHash::of(&beginning, at), lines::known_at(&*content, at)?.tail)
    };
    let (key, lineage, after_piece) = (file.identity.key, file.log.lineage, published.head < at);
    Ok(EntryCursor { key, lineage, offset: at, head, tail, after_piece })
}

/// Whether a file begins like something that is known of another, as far as both go; also where it cannot be read.
fn begins_alike(file: &LogFile, known: &[u8]) -> bool {
    let bytes = file.open().and_then(|content| first_bytes(&*content, Offset(known.len() as u64)));
    bytes.map_or(true, |bytes| !bytes.is_empty() && known.starts_with(&bytes))
}

/// The files of a log that come after one and before another, each content once; and whether there are others that cannot
/// be read for now.
fn between(after: &Arc<LogFile>, before: &Arc<LogFile>) -> (Vec<Arc<LogFile>>, bool) {
    let files = before.log.files();
    let lies_between = |file: &&Arc<LogFile>| {
        after.ordinal() < file.ordinal() && file.ordinal() < before.ordinal() && !file.is_undecided()
    };
    let (mut found, mut is_missing): (Vec<Arc<LogFile>>, _) = (Vec::new(), false);
    for file in files.iter().filter(lies_between) {
        let twin = found.last().unwrap_or(after);
        if file.is_compressed() && !twin.is_compressed() && resume::are_twins(file, twin) {
            continue;
        }
        match settled(file) {
            Ok(()) => found.push(file.clone()),
            Err(error) => is_missing |= is_passing(&error),
        }
    }
    (found, is_missing)
}

/// Looks how far a copy is written; nothing more will be.
fn settled(copy: &LogFile) -> io::Result<()> {
    copy.measure()?;
    copy.settle();
    if copy.is_archive() {
        copy.finish();
    }
    Ok(())
}

/// What looking for a content brought.
enum Found {
    /// The file that holds it.
    Copy(Arc<LogFile>),
    /// Nobody holds it.
    Nowhere,
    /// Nobody who can be read for now holds it.
    Unreadable,
}

/// The file that holds a content of `file`, and goes on behind a place in it.
fn copy_of(file: &Arc<LogFile>, known: Option<&KnownContent>, place: Place) -> Found {
    let beginning = known.map(|known| known.beginning.clone()).unwrap_or_default();
    let by = match (place.tail, known) {
        (Some(tail), _) if place.at > Offset::ZERO => KnownHead { at: place.at, tail },
        (_, Some(known)) if known.mark().at > Offset::ZERO => known.mark(),
        // Nothing of it is known, so nothing of it can be known again.
        _ => return Found::Nowhere,
    };
    let is_unreadable = Cell::new(false);
    let is_it = |copy: &Arc<LogFile>| {
        let content = copy.open()?;
        Ok(copies::holds(&*content, &beginning, by)? && settled(copy).map(|()| true)?)
    };
    let holds = |copy: &Arc<LogFile>| {
        let holds = is_it(copy).unwrap_or_else(|error: io::Error| {
            is_unreadable.set(is_unreadable.get() || is_passing(&error));
            false
        });
        holds.then(|| copy.clone())
    };
    let copies = file.copies(place.generation);
    if let Some(copy) = copies.iter().find_map(holds) {
        return Found::Copy(copy);
    }
    if place.at == Offset::ZERO {
        // One that was made before the last lines were written holds the rest.
        let settled = copies.into_iter().filter(|copy| settled(copy).is_ok());
        if let Some(longest) = settled.max_by_key(|copy| copy.published().size) {
            return Found::Copy(longest);
        }
    }
    let kin: Vec<_> = file.log.files().into_iter().filter(|kin| !Arc::ptr_eq(kin, file)).collect();
    // What is compressed takes long to look into; most often its plain sibling is still there.
    let (compressed, plain): (Vec<_>, Vec<_>) = kin.into_iter().partition(|kin| kin.is_compressed());
    let longest = plain.iter().filter_map(holds).max_by_key(|copy| copy.published().size);
    match longest.or_else(|| compressed.iter().rev().find_map(holds)) {
        Some(copy) => Found::Copy(copy),
        None if is_unreadable.get() => Found::Unreadable,
        None => Found::Nowhere,
    }
}
