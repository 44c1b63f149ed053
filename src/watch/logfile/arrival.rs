//! What is not known yet of a file that turned up, and what is kept of its copies.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::LogFile;
use crate::{entry::Offset, limits::UNREADABLE_HOLD_MAX, sync::lock, watch::Reading};

/// A file that turned up while its content does not tell yet whether it is a copy of what another file holds.
#[derive(Clone, Debug)]
pub(super) struct Undecided {
    size: Offset,
    since: Instant,
    found: Instant,
    /// Where it lay then.
    path: PathBuf,
}

/// A copy of a content that somebody has still to read.
#[derive(Debug)]
pub(super) struct Kept {
    generation: u32,
    /// Keeps the copy open, as a subscription would.
    reading: Arc<Reading>,
}

impl LogFile {
    /// Whether it is still to be found out what it holds. Nobody reads it before that.
    pub fn is_undecided(&self) -> bool {
        lock(&self.place).undecided.is_some()
    }

    /// Whether something came before it in its log of which it is still to be found out what it holds. Not what holds
    /// nothing yet, nor what has been open for long.
    pub fn comes_after_undecided(&self) -> bool {
        let is_open =
            |undecided: &Undecided| undecided.size > Offset::ZERO && undecided.found.elapsed() < UNREADABLE_HOLD_MAX;
        let comes_before = |file: &Self| file.ordinal() < self.ordinal();
        self.log
            .undecided()
            .iter()
            .any(|file| comes_before(file) && lock(&file.place).undecided.as_ref().is_some_and(is_open))
    }

    /// Says that it is still to be found out what it holds, which is of this size.
    pub(in crate::watch) fn undecide(&self, size: Offset) {
        let now = Instant::now();
        let mut place = lock(&self.place);
        place.undecided = Some(Undecided { size, since: now, found: now, path: place.path.clone() });
        drop(place);
        self.log.has_undecided();
    }

    /// Where it lay when it was found, if it is still to be found out what it holds.
    pub(in crate::watch) fn found_at(&self) -> Option<PathBuf> {
        lock(&self.place).undecided.as_ref().map(|undecided| undecided.path.clone())
    }

    /// Says that it is known what it holds.
    pub(in crate::watch) fn decide(&self) {
        lock(&self.place).undecided = None;
    }

    /// For how long it has had this size; nothing when it has just changed.
    pub(in crate::watch) fn undecided_for(&self, size: Offset) -> Duration {
        let mut place = lock(&self.place);
        let Some(undecided) = &mut place.undecided else { return Duration::MAX };
        if undecided.size != size {
            (undecided.size, undecided.since) = (size, Instant::now());
        }
        undecided.since.elapsed()
    }

    /// Keeps a copy of what it held at `generation` open while somebody may have to go on in it.
    pub(in crate::watch) fn keep_copy(&self, generation: u32, copy: &Arc<Self>) {
        let mut copies = lock(&self.copies);
        let is_awaited = self.has_readers() || !self.is_met_by_all();
        if is_awaited && !copies.iter().any(|kept| Arc::ptr_eq(&kept.reading.file, copy)) {
            let reading = Reading::new(copy.clone(), copy.published().generation, Offset::ZERO);
            copies.push(Kept { generation, reading });
        }
    }

    /// The copies that are kept of what it held at `generation`.
    pub fn copies(&self, generation: u32) -> Vec<Arc<Self>> {
        let copies = lock(&self.copies);
        copies.iter().filter(|kept| kept.generation == generation).map(|kept| kept.reading.file.clone()).collect()
    }

    /// Lets go of copies of which nobody has anything to read any more.
    pub(in crate::watch) fn release_copies(&self) {
        let size = |copy: &Self| copy.opened().and_then(|content| content.size_and_mtime().ok()).map(|(size, ..)| size);
        // Who has not asked for long, and does not know of the file yet, begins with what it held first.
        let is_met = self.is_met_by_all();
        let is_needed = |kept: &Kept| {
            size(&kept.reading.file).is_some_and(|size| !is_met || self.is_anybody_behind(kept.generation, size))
        };
        lock(&self.copies).retain(is_needed);
    }
}
