//! Wake-ups: a set of files that somebody waits on, and the tasks to wake when one of them changes.
//!
//! A waiter first leaves its waker and then looks for changes; whoever changes something first makes the change visible
//! and then takes the wakers. Both do so under one lock, so no change falls between. The ring of changed files is a
//! hint only: a waiter that was away for longer than the ring is told to look at everything.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::logfile::{FileId, LogFile};
use crate::sync::Mutex;

/// Changes that a waiter may be behind before it has to look at all files.
const RING_LEN: u64 = 256;

/// A set of files, its waiters, and what changed lately.
pub struct Interest {
    inner: Mutex<Inner>,
}

struct Inner {
    /// The files, in the order in which they joined.
    members: Arc<Vec<Arc<LogFile>>>,
    /// Counts changes of `members`.
    members_version: u64,
    /// The file of change `n` lies at `n % RING_LEN`.
    ring: Vec<FileId>,
    /// Number of changes so far.
    changes: u64,
    /// One waker for each waiter that waits.
    slots: Vec<Option<Waker>>,
    /// The version of `members` that each waiter has seen; none for places that nobody owns.
    seen: Vec<Option<u64>>,
    /// Places in `slots` that nobody owns.
    free: Vec<usize>,
}

/// What a waiter has to look at.
#[derive(Debug, PartialEq, Eq)]
pub enum Changes {
    /// These files; a file may be named twice.
    Files(Vec<FileId>),
    /// Every file.
    All,
}

/// One waiter's place.
pub struct Ticket {
    interest: Arc<Interest>,
    slot: usize,
    seen: u64,
    seen_members: u64,
}

impl Interest {
    /// An interest in `members`.
    pub fn new(members: Vec<Arc<LogFile>>) -> Arc<Self> {
        let inner = Inner {
            members: Arc::new(members),
            members_version: 0,
            ring: vec![FileId(0); RING_LEN as usize],
            changes: 0,
            slots: Vec::new(),
            seen: Vec::new(),
            free: Vec::new(),
        };
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// The files at present.
    pub fn members(&self) -> Arc<Vec<Arc<LogFile>>> {
        self.lock().members.clone()
    }

    /// Says that `file` changed: visible first, then the wakers.
    pub fn mark(&self, file: FileId) {
        let mut inner = self.lock();
        let at = (inner.changes % RING_LEN) as usize;
        inner.ring[at] = file;
        inner.changes += 1;
        let wakers = take_wakers(&mut inner);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Replaces the files and wakes every waiter.
    pub fn set_members(&self, members: Vec<Arc<LogFile>>) {
        let mut inner = self.lock();
        inner.members = Arc::new(members);
        inner.members_version += 1;
        let wakers = take_wakers(&mut inner);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes every waiter without a change, for what is said elsewhere: a drain.
    pub fn wake_all(&self) {
        let wakers = take_wakers(&mut self.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    /// A place for one waiter, who has seen everything up to now.
    pub fn join(self: &Arc<Self>) -> Ticket {
        let mut inner = self.lock();
        let slot = inner.free.pop().unwrap_or_else(|| {
            inner.slots.push(None);
            inner.seen.push(None);
            inner.slots.len() - 1
        });
        inner.seen[slot] = Some(inner.members_version);
        Ticket { interest: self.clone(), slot, seen: inner.changes, seen_members: inner.members_version }
    }

    /// Whether every waiter has seen which files these are.
    pub fn is_met_by_all(&self) -> bool {
        let inner = self.lock();
        inner.seen.iter().flatten().all(|seen| *seen == inner.members_version)
    }

    /// Number of waiters that have a place.
    pub fn waiters(&self) -> usize {
        let inner = self.lock();
        inner.slots.len() - inner.free.len()
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, Inner> {
        crate::sync::lock(&self.inner)
    }
}

impl Ticket {
    /// The set waited on.
    pub fn interest(&self) -> &Arc<Interest> {
        &self.interest
    }

    /// The new set of files, if it is another than at the last call.
    pub fn new_members(&mut self) -> Option<Arc<Vec<Arc<LogFile>>>> {
        let mut inner = self.interest.lock();
        (inner.members_version != self.seen_members).then(|| {
            self.seen_members = inner.members_version;
            inner.seen[self.slot] = Some(self.seen_members);
            inner.members.clone()
        })
    }

    /// What changed since the last call; nothing: the task is woken when something does.
    ///
    /// A new set of files counts as a change of all: ask [`new_members`](Self::new_members).
    pub fn poll_changes(&mut self, context: &Context<'_>) -> Poll<Changes> {
        let mut inner = self.interest.lock();
        inner.slots[self.slot] = Some(context.waker().clone());
        let behind = inner.changes - self.seen;
        if behind == 0 && inner.members_version == self.seen_members {
            return Poll::Pending;
        }
        let changes = if behind > RING_LEN || inner.members_version != self.seen_members {
            Changes::All
        } else {
            let named = (self.seen..inner.changes).map(|change| inner.ring[(change % RING_LEN) as usize]);
            Changes::Files(named.collect())
        };
        self.seen = inner.changes;
        Poll::Ready(changes)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.interest.lock();
        let waker = inner.slots[self.slot].take();
        inner.seen[self.slot] = None;
        inner.free.push(self.slot);
        drop(inner);
        drop(waker);
    }
}

fn take_wakers(inner: &mut Inner) -> Vec<Waker> {
    inner.slots.iter_mut().filter_map(Option::take).collect()
}
