//! Where a subscription goes on when the content of a file began anew before it had read all of it: in the copies that
//! were made of what the file held, then in the file itself.
//!
//! Copies are known by content, so it does not matter how they are named or whether they have been compressed since.
//! Looking for them reads files, on a thread that may wait.

use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;

use super::{
    Feed,
    around::Nearby,
    event::{Event, FileChange},
    member::{Member, Start},
    merge::Order,
    resume,
    subscription::Subscription,
    turn::Step,
};
use crate::{
    entry::{Offset, cursor::TailHash},
    file::lines::KnownHead,
    telemetry::GapReason,
    watch::{LogFile, copies, logfile::KnownContent},
};

/// What became of one content of a file.
pub(super) enum Stretch {
    /// A file holds it; reading goes on there.
    Copy(Arc<LogFile>, Start),
    /// Nobody holds what had not been read of it; how many bytes, where that is known.
    Missing(Option<u64>),
}

/// A search for what became of the contents that a file held before the present one.
pub(super) type Search = JoinHandle<Vec<Stretch>>;

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
            let before = member.after.clone();
            tokio::task::spawn_blocking(move || find(&feed, &file, place, before))
        });
        let Poll::Ready(found) = std::pin::Pin::new(search).poll(context) else { return Step::Waiting };
        member.search = None;
        let unknown = |_| vec![Stretch::Missing(None)];
        self.follow_on(index, found.unwrap_or_else(unknown));
        Step::Moved
    }

    /// Reads the copies that were found, one after the other, and then what the file holds now.
    fn follow_on(&mut self, index: usize, stretches: Vec<Stretch>) {
        let member = &mut self.members[index];
        // What it had to wait for comes before all of it, and so does what was to be said of it.
        let (mut hold, mut announce, mut gap) = (member.hold, std::mem::take(&mut member.announce), None);
        let (mut stop, order) = (member.stop, member.order);
        let (mut after_gap, mut after, log) = (member.after_gap, member.after.take(), member.file.log.clone());
        for stretch in stretches {
            let (copy, start) = match stretch {
                Stretch::Missing(bytes) => {
                    gap = Some(bytes);
                    continue;
                }
                Stretch::Copy(copy, start) => (copy, start),
            };
            let published = copy.published();
            let end = if published.finished { published.size } else { published.head };
            if !self.index.contains_key(&copy.id) {
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
                self.members.push(next);
            }
            (hold, after_gap, after) = (Some((copy.id, end)), false, Some(copy));
            // How much was asked for of the files that came later is not known any more.
            stop = stop.map(|_| Offset(u64::MAX));
        }
        let (follow, member) = (self.follow, &mut self.members[index]);
        let published = member.file.published();
        member.begin_anew(&published);
        member.order = Order::NONE;
        member.ready = true;
        if member.stop.is_some() {
            // The answer was to hold what the file held when it was asked for; that is over.
            member.stop = Some(Offset::ZERO).filter(|_| !follow);
            member.piece_end = None;
        }
        (member.hold, member.after_gap, member.after) = (hold, after_gap, after);
        member.announce = announce;
        member.announce.push(Event::FileChange(log.clone(), FileChange::Truncated));
        member.announce.extend(gap.map(|bytes| Event::Gap(log, GapReason::Truncated, bytes)));
        self.members_changed();
    }

    /// Says what happened just before what a member goes on with; whether there was anything.
    pub(super) fn announce(&mut self, index: usize) -> bool {
        let announced = std::mem::take(&mut self.members[index].announce);
        let any = !announced.is_empty();
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
fn find(feed: &Feed, file: &Arc<LogFile>, place: Place, before: Option<Arc<LogFile>>) -> Vec<Stretch> {
    // A copy is whole before what it was made of is truncated, but need not have been seen yet.
    let log = HashSet::from([file.log.path.clone()]);
    feed.catalogue.look_again(log).iter().for_each(|file| feed.hints.touch(file));
    let mut stretches = Vec::new();
    let mut last = before.filter(|_| place.at == Offset::ZERO);
    let first = if last.is_some() { file.published().generation } else { place.generation };
    for generation in first..file.published().generation {
        let place = match generation == place.generation {
            true => place,
            false => Place { generation, at: Offset::ZERO, tail: None, read_to: Offset::ZERO },
        };
        let known = file.content(generation);
        let written = known.as_ref().map_or(Offset::ZERO, |known| known.size);
        match copy_of(file, known.as_ref(), place) {
            Some(copy) => {
                let end = copy.published().size;
                if end > place.at {
                    let start = Start { at: place.at, tail: resume::known_tail(&copy, place.at), ..Start::default() };
                    stretches.push(Stretch::Copy(copy.clone(), start));
                }
                if end < written {
                    stretches.push(Stretch::Missing(None));
                }
                last = Some(copy);
                break;
            }
            None if file.is_forgotten(generation) => stretches.push(Stretch::Missing(None)),
            None if written > place.read_to => stretches.push(Stretch::Missing(Some(written.since(place.read_to)))),
            None => {}
        }
    }
    let later = last.map(|last| between(&last, file)).unwrap_or_default();
    stretches.extend(later.into_iter().map(|copy| Stretch::Copy(copy, Start::default())));
    stretches
}

/// The files of a log that come after one and before another, each content once.
fn between(after: &Arc<LogFile>, before: &Arc<LogFile>) -> Vec<Arc<LogFile>> {
    let files = before.log.files();
    let lies_between = |file: &&Arc<LogFile>| {
        after.ordinal() < file.ordinal() && file.ordinal() < before.ordinal() && !file.is_undecided()
    };
    let mut found: Vec<Arc<LogFile>> = Vec::new();
    for file in files.iter().filter(lies_between) {
        let twin = found.last().unwrap_or(after);
        if file.is_compressed() && !twin.is_compressed() && resume::are_twins(file, twin) {
            continue;
        }
        if settled(file).is_ok() {
            found.push(file.clone());
        }
    }
    found
}

/// Looks how far a copy is written; nothing more will be.
fn settled(copy: &LogFile) -> std::io::Result<()> {
    copy.measure()?;
    copy.settle();
    if copy.is_archive() {
        copy.set_finished(true);
    }
    Ok(())
}

/// The file that holds a content of `file`, and goes on behind a place in it.
fn copy_of(file: &Arc<LogFile>, known: Option<&KnownContent>, place: Place) -> Option<Arc<LogFile>> {
    let beginning = known.map(|known| known.beginning.clone()).unwrap_or_default();
    let by = match (place.tail, known) {
        (Some(tail), _) if place.at > Offset::ZERO => KnownHead { at: place.at, tail },
        (_, Some(known)) if known.head.at > Offset::ZERO => known.head,
        // Nothing of it is known, so nothing of it can be known again.
        _ => return None,
    };
    let holds = |copy: &Arc<LogFile>| {
        let content = copy.open().ok()?;
        let holds = copies::holds(&*content, &beginning, by).ok()? && settled(copy).is_ok();
        holds.then(|| copy.clone())
    };
    if let Some(copy) = file.copies(place.generation).iter().find_map(holds) {
        return Some(copy);
    }
    let kin: Vec<_> = file.log.files().into_iter().filter(|kin| !Arc::ptr_eq(kin, file)).collect();
    // What is compressed takes long to look into; most often its plain sibling is still there.
    let (compressed, plain): (Vec<_>, Vec<_>) = kin.into_iter().partition(|kin| kin.is_compressed());
    let longest = plain.iter().filter_map(holds).max_by_key(|copy| copy.published().size);
    longest.or_else(|| compressed.iter().rev().find_map(holds))
}
