//! Decoders between two reads.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::decoder::Decoder;
use crate::limits::{PARKED_BYTES_MAX, PARKED_DECODERS_MAX};

/// Keeps the decoders of all archives between reads, the least recently used giving way: a reader that goes on where it
/// was finds its decoder there. Make one for the process.
///
/// It bounds what waits; what decodes at this moment is bounded by the caller's threads, one decoder each.
#[derive(Default)]
pub struct Parking {
    /// Least recently used first. So few that a search is cheaper than a map.
    parked: Mutex<Vec<Parked>>,
    /// The number of the next archive.
    next: AtomicU64,
}

struct Parked {
    archive: u64,
    decoder: Decoder,
    /// What it holds; it does not change while it is parked.
    bytes: usize,
}

impl Parking {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of memory that parked decoders hold.
    pub fn memory(&self) -> usize {
        self.lock().iter().map(|parked| parked.bytes).sum()
    }

    /// Decoders parked.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is parked.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A number for an archive.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes out the decoder of `archive` in the state `epoch` that can give `offset` with the least work, unless one
    /// that starts at `from` had less.
    pub(super) fn take(&self, archive: u64, epoch: u64, from: u64, offset: u64) -> Option<Decoder> {
        let mut parked = self.lock();
        let (place, _) = parked
            .iter()
            .enumerate()
            .filter(|(_, parked)| parked.archive == archive && parked.decoder.epoch() == epoch)
            .filter(|(_, parked)| parked.decoder.start() <= offset && from <= parked.decoder.end())
            .max_by_key(|(_, parked)| parked.decoder.end())?;
        Some(parked.remove(place).decoder)
    }

    /// Keeps `decoder` for the next read of `archive`.
    pub(super) fn park(&self, archive: u64, decoder: Decoder) {
        let bytes = decoder.memory();
        let mut evicted = Vec::new();
        let mut parked = self.lock();
        parked.push(Parked { archive, decoder, bytes });
        let mut held: usize = parked.iter().map(|parked| parked.bytes).sum();
        while parked.len() > PARKED_DECODERS_MAX || (held > PARKED_BYTES_MAX && parked.len() > 1) {
            let oldest = parked.remove(0);
            held -= oldest.bytes;
            evicted.push(oldest);
        }
        // Freeing megabytes is done without the lock.
        drop(parked);
        drop(evicted);
    }

    /// Lets go of the decoders of `archive`.
    pub(super) fn forget(&self, archive: u64) {
        let gone: Vec<_> = self.lock().extract_if(.., |parked| parked.archive == archive).collect();
        drop(gone);
    }

    /// Parked decoders; nothing that holds the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Parking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parking").field("len", &self.len()).finish_non_exhaustive()
    }
}
