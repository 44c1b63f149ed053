//! What a decoder made last: the room it writes into and the history it refers back to.

use crate::limits::{ARCHIVE_HISTORY_BYTES, ARCHIVE_STEP_BYTES};

/// The last uncompressed bytes, at least [`ARCHIVE_HISTORY_BYTES`] of them once there were so many.
///
/// It can be widened, so that what is decoded on the way to an offset serves the reads before that offset: who reads
/// backward would decode the same bytes again for every step otherwise.
pub(super) struct Window {
    bytes: Box<[u8]>,
    /// `bytes[..len]` are the uncompressed bytes `base..base + len`.
    len: usize,
    base: u64,
}

/// Bytes of a window that is not wide: it moves its history once in two steps.
const CAPACITY: usize = ARCHIVE_HISTORY_BYTES + 2 * ARCHIVE_STEP_BYTES;

/// Where the next bytes go: `bytes[at..]`, after the history `bytes[..at]`, which begins at uncompressed offset `base`.
pub(super) struct Room<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) at: usize,
    pub(super) base: u64,
}

impl Window {
    /// A window whose bytes end at `end`, `history` being the last of them.
    pub(super) fn ending_at(end: u64, history: &[u8]) -> Self {
        let mut bytes = vec![0; CAPACITY].into_boxed_slice();
        let len = history.len().min(ARCHIVE_HISTORY_BYTES);
        bytes[..len].copy_from_slice(&history[history.len() - len..]);
        Self { bytes, len, base: end - len as u64 }
    }

    /// The uncompressed offset of the first byte that is still here.
    pub(super) const fn start(&self) -> u64 {
        self.base
    }

    /// The uncompressed offset after the last byte made.
    pub(super) const fn end(&self) -> u64 {
        self.base + self.len as u64
    }

    /// The last `count` bytes, or as many as there are.
    pub(super) fn last(&self, count: usize) -> &[u8] {
        &self.bytes[self.len.saturating_sub(count)..self.len]
    }

    /// Copies the bytes from `offset` on into `buf`, as far as they are here; returns how many.
    pub(super) fn copy(&self, offset: u64, buf: &mut [u8]) -> usize {
        if offset < self.base || self.end() <= offset {
            return 0;
        }
        let from = (offset - self.base) as usize;
        let count = buf.len().min(self.len - from);
        buf[..count].copy_from_slice(&self.bytes[from..from + count]);
        count
    }

    /// Makes the next `count` bytes stay, with the history that is here; until more room is asked for.
    pub(super) fn widen(&mut self, count: usize) {
        let history = self.last(ARCHIVE_HISTORY_BYTES);
        let (base, len) = (self.end() - history.len() as u64, history.len());
        // Zeroed by the system, page by page, as it is used.
        let mut bytes = vec![0; len + count].into_boxed_slice();
        bytes[..len].copy_from_slice(history);
        *self = Self { bytes, len, base };
    }

    /// Room for `want` bytes, but no more than a step; older history gives way.
    pub(super) fn room(&mut self, want: u64) -> Room<'_> {
        let want = want.min(ARCHIVE_STEP_BYTES as u64) as usize;
        if self.bytes.len() - self.len < want {
            if self.bytes.len() == CAPACITY {
                let dropped = self.len - ARCHIVE_HISTORY_BYTES;
                self.bytes.copy_within(dropped..self.len, 0);
                self.base += dropped as u64;
                self.len = ARCHIVE_HISTORY_BYTES;
            } else {
                *self = Self::ending_at(self.end(), self.last(ARCHIVE_HISTORY_BYTES));
            }
        }
        Room { bytes: &mut self.bytes[..self.len + want], at: self.len, base: self.base }
    }

    /// Takes over `count` bytes that were written into the room.
    pub(super) fn advance(&mut self, count: usize) {
        self.len = (self.len + count).min(self.bytes.len());
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len()
    }
}
