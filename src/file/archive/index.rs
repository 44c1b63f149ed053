//! What is known of an archive: where decoding can be taken up, how far it came, how it ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::decoder::Checkpoint;
use crate::limits::ARCHIVE_CHECKPOINTS_MAX;

/// Shared by the decoders of one archive; locked only for a look or an entry, never while decoding.
pub(super) struct Index {
    known: Mutex<Known>,
}

struct Known {
    /// The state of the file that all of this is about.
    stamp: Stamp,
    /// How often the file was found in another state.
    epoch: u64,
    /// By offset, ascending, none at 0.
    points: Vec<Checkpoint>,
    /// The bytes that `points` hold.
    bytes: usize,
    /// Wanted bytes between two points.
    distance: u64,
    /// Every byte before this one has been decoded by somebody.
    reached: u64,
    /// The work done, in uncompressed bytes, in all epochs.
    decoded: u64,
    ending: Ending,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes on the disk.
    pub(super) size: u64,
    /// The time of the last change, in nanoseconds.
    pub(super) modified: i128,
}

/// How an archive ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// Nobody has come so far.
    Unknown,
    /// Whole, with this many uncompressed bytes.
    Whole(u64),
    /// Damaged at this offset.
    Damaged(u64, &'static str),
    /// A frame from this offset on needs too large a window.
    WindowTooLarge(u64),
}

impl Index {
    pub(super) fn new(stamp: Stamp, distance: u64) -> Self {
        let known = Known {
            stamp,
            epoch: 0,
            points: Vec::new(),
            bytes: 0,
            distance: distance.max(1),
            reached: 0,
            decoded: 0,
            ending: Ending::Unknown,
        };
        Self { known: Mutex::new(known) }
    }

    /// Forgets all when the file is no longer in the state that it is about; returns the number of its state.
    pub(super) fn epoch(&self, stamp: Stamp) -> u64 {
        let mut known = self.lock();
        if known.stamp != stamp {
            known.stamp = stamp;
            known.epoch += 1;
            known.clear();
            known.reached = 0;
            known.ending = Ending::Unknown;
        }
        known.epoch
    }

    /// How the archive ends, as far as it is known.
    pub(super) fn ending(&self) -> Ending {
        self.lock().ending
    }

    /// Notes how the archive ends, found in the state `epoch`.
    pub(super) fn end(&self, ending: Ending, epoch: u64) {
        let mut known = self.lock();
        if known.epoch == epoch {
            known.ending = ending;
        }
    }

    /// Every byte before this offset has been decoded by somebody.
    pub(super) fn reached(&self) -> u64 {
        self.lock().reached
    }

    /// Uncompressed bytes that all decoders made, those made again counted again.
    pub(super) fn decoded(&self) -> u64 {
        self.lock().decoded
    }

    /// Notes that a decoder for the state `epoch` came to `offset` by making `bytes` bytes.
    pub(super) fn reach(&self, offset: u64, bytes: u64, epoch: u64) {
        let mut known = self.lock();
        known.decoded = known.decoded.saturating_add(bytes);
        if known.epoch == epoch {
            known.reached = known.reached.max(offset);
        }
    }

    /// The last checkpoint that is not after `offset`.
    pub(super) fn before(&self, offset: u64) -> Checkpoint {
        let known = self.lock();
        let count = known.points.partition_point(|point| point.offset <= offset);
        count.checked_sub(1).map_or(Checkpoint::START, |last| known.points[last].clone())
    }

    /// Where the next checkpoint would help a decoder at `at`; before `at` when none has been left where it would have.
    pub(super) fn due(&self, at: u64) -> u64 {
        let known = self.lock();
        let count = known.points.partition_point(|point| point.offset <= at);
        let last = count.checked_sub(1).map_or(0, |last| known.points[last].offset);
        let mut due = last.saturating_add(known.distance);
        for point in &known.points[count..] {
            if due.max(at).saturating_add(known.distance / 2) < point.offset {
                break;
            }
            due = point.offset.saturating_add(known.distance);
        }
        due
    }

    /// How far to wait for a cheap place when a checkpoint was due at `due`.
    pub(super) fn overdue(&self, due: u64) -> u64 {
        due.saturating_add(self.lock().distance / 4)
    }

    /// Adds a checkpoint taken in the state `epoch`; when there are too many, every second one goes.
    pub(super) fn insert(&self, point: Checkpoint, epoch: u64) {
        let mut known = self.lock();
        if known.epoch != epoch {
            return;
        }
        let Err(place) = known.points.binary_search_by_key(&point.offset, |point| point.offset) else { return };
        known.bytes += point.memory();
        known.points.insert(place, point);
        if known.points.len() > ARCHIVE_CHECKPOINTS_MAX {
            known.thin();
        }
    }

    /// Bytes of memory that the checkpoints hold.
    pub(super) fn memory(&self) -> usize {
        self.lock().bytes
    }

    /// Forgets the checkpoints.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that holds the lock can panic half way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn clear(&mut self) {
        self.points = Vec::new();
        self.bytes = 0;
    }

    fn thin(&mut self) {
        self.distance = self.distance.saturating_mul(2);
        let (distance, mut last) = (self.distance, 0);
        self.points.retain(|point| {
            let keep = point.offset - last >= distance;
            if keep {
                last = point.offset;
            }
            keep
        });
        self.bytes = self.points.iter().map(Checkpoint::memory).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { size: 1, modified: 1 };

    fn point(offset: u64) -> Checkpoint {
        Checkpoint { offset, ..Checkpoint::START }
    }

    #[test]
    fn checkpoints_are_due_where_none_is_near() {
        let index = Index::new(STAMP, 100);
        assert_eq!((index.due(0), index.due(250)), (100, 100));
        for offset in [100, 210, 500] {
            index.insert(point(offset), 0);
        }
        // After 210 and far before 500; after 310 there is still none; 500 is near enough to 460.
        assert_eq!(
            [index.due(99), index.due(210), index.due(320), index.due(460), index.due(500)],
            [310, 310, 310, 600, 600]
        );
        assert_eq!([99, 100, 209, 210, 1_000].map(|offset| index.before(offset).offset), [0, 100, 100, 210, 500]);
    }

    #[test]
    fn too_many_checkpoints_are_thinned() {
        let index = Index::new(STAMP, 10);
        let mut at = 0;
        while at < 1_000_000 {
            at = index.due(at);
            index.insert(point(at), 0);
            let known = index.lock();
            assert!(known.points.len() <= ARCHIVE_CHECKPOINTS_MAX);
            assert_eq!(known.bytes, known.points.iter().map(Checkpoint::memory).sum::<usize>());
        }
        let known = index.lock();
        assert!(ARCHIVE_CHECKPOINTS_MAX / 2 <= known.points.len());
        let apart = known.points.windows(2).all(|pair| pair[1].offset - pair[0].offset >= known.distance);
        assert!(apart, "{}", known.distance);
    }

    #[test]
    fn another_state_of_the_file_begins_anew() {
        let index = Index::new(STAMP, 10);
        index.insert(point(10), 0);
        index.reach(50, 50, 0);
        index.end(Ending::Whole(50), 0);
        assert_eq!((index.epoch(STAMP), index.reached()), (0, 50));
        assert_eq!((index.epoch(Stamp { size: 2, ..STAMP }), index.reached(), index.memory()), (1, 0, 0));
        // What comes late from a decoder of the old state is not taken.
        index.insert(point(10), 0);
        index.reach(60, 10, 0);
        index.end(Ending::Whole(60), 0);
        assert_eq!((index.before(20).offset, index.reached(), index.decoded()), (0, 0, 60));
        assert!(matches!(index.ending(), Ending::Unknown));
    }
}
