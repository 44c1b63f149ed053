//! Where a client is in the stream of a host: what it hands back to continue exactly there.
//!
//! Cursors are opaque here; the only thing known about them is that of two that speak for one file the later counts.

use bytes::Bytes;

use super::wire::{Batch, Entry};
use crate::limits::RESUME_COUNT_MAX;

/// The cursors that a request for the rest of a stream carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// A cursor of the whole stream, if any came, followed by the later ones that overlay it, in order.
    cursors: Vec<Bytes>,
}

impl Position {
    /// The position that was saved as `cursors`.
    pub const fn new(cursors: Vec<Bytes>) -> Self {
        Self { cursors }
    }

    /// Whether nothing of the stream was seen.
    pub const fn is_beginning(&self) -> bool {
        self.cursors.is_empty()
    }

    /// The cursors to send as `resume`, in order.
    pub fn cursors(&self) -> &[Bytes] {
        &self.cursors
    }

    /// Moves past `batch`, all of which was taken.
    pub fn pass(&mut self, batch: &Batch) {
        if batch.cursor.is_empty() {
            self.pass_entries(&batch.entries);
        } else if batch.cursor_is_delta {
            self.overlay(&batch.cursor);
        } else {
            self.cursors.clear();
            self.cursors.push(own(&batch.cursor));
        }
    }

    /// Moves past the first entries of a batch, as far as they carry cursors.
    pub fn pass_entries(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| !entry.cursor.is_empty()) {
            self.overlay(&entry.cursor);
        }
    }

    /// Adds a cursor that counts where it names a file. A daemon sends a whole cursor long before the list is full; if
    /// one never does, the oldest overlay goes, so that what it named is repeated and not lost.
    fn overlay(&mut self, cursor: &Bytes) {
        if self.cursors.len() == RESUME_COUNT_MAX {
            self.cursors.remove(1);
        }
        self.cursors.push(own(cursor));
    }
}

/// A copy of its own, so that a few bytes of cursor don't keep the message alive that they came in.
fn own(cursor: &Bytes) -> Bytes {
    Bytes::copy_from_slice(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(cursor: &'static str, delta: bool) -> Batch {
        Batch { cursor: Bytes::from_static(cursor.as_bytes()), cursor_is_delta: delta, ..Batch::default() }
    }

    fn entry(cursor: &'static str) -> Entry {
        Entry { cursor: Bytes::from_static(cursor.as_bytes()), ..Entry::default() }
    }

    #[test]
    fn deltas_overlay_the_last_whole_cursor_until_the_next() {
        let mut position = Position::default();
        assert!(position.is_beginning());
        position.pass(&batch("w1", false));
        position.pass(&batch("d1", true));
        position.pass(&batch("d2", true));
        assert_eq!(position.cursors(), ["w1", "d1", "d2"]);
        position.pass(&batch("w2", false));
        assert_eq!(position.cursors(), ["w2"]);
    }

    #[test]
    fn a_part_of_a_batch_counts_as_far_as_its_entries_tell() {
        let mut position = Position::default();
        position.pass(&batch("w1", false));
        position.pass_entries(&[entry(""), entry("a"), entry("")]);
        assert_eq!(position.cursors(), ["w1", "a"]);
        position.pass(&Batch { entries: vec![entry("b")], ..Batch::default() });
        assert_eq!(position.cursors(), ["w1", "a", "b"]);
    }

    #[test]
    fn the_list_never_outgrows_what_a_request_may_carry() {
        let mut position = Position::default();
        position.pass(&batch("w", false));
        for _ in 0..RESUME_COUNT_MAX {
            position.pass(&batch("d", true));
        }
        assert_eq!(position.cursors().len(), RESUME_COUNT_MAX);
        assert_eq!(position.cursors()[0], "w");
    }
}
