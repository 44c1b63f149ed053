//! Where a subscription stands in a file, for those who only look: how much it lags, and what may be let go of.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::logfile::LogFile;
use crate::entry::Offset;

/// Where a subscription stands in a file. The file knows of it for as long as it lives.
#[derive(Debug)]
pub struct Reading {
    /// The file.
    pub file: Arc<LogFile>,
    generation: AtomicU32,
    at: AtomicU64,
}

impl Reading {
    /// A subscription that reads `file` from `at` on.
    pub fn new(file: Arc<LogFile>, generation: u32, at: Offset) -> Arc<Self> {
        let reading = Self { file, generation: AtomicU32::new(generation), at: AtomicU64::new(at.0) };
        let reading = Arc::new(reading);
        reading.file.add_reading(&reading);
        reading
    }

    /// The place up to which bytes were handed on.
    pub fn at(&self) -> Offset {
        Offset(self.at.load(Ordering::Relaxed))
    }

    /// Moves on.
    pub fn move_to(&self, at: Offset) {
        self.at.store(at.0, Ordering::Relaxed);
    }

    /// Begins anew in another content of the file.
    pub fn begin(&self, generation: u32) {
        // The place first: who looks between the two finds it further behind than it is, never further on.
        self.move_to(Offset::ZERO);
        self.generation.store(generation, Ordering::Release);
    }

    /// Whether it has still to read bytes before `until` of the content of `generation`.
    pub fn is_behind(&self, generation: u32, until: Offset) -> bool {
        let at_generation = self.generation.load(Ordering::Acquire);
        at_generation < generation || at_generation == generation && self.at() < until
    }

    /// Bytes between the place and the head.
    pub fn lag(&self) -> u64 {
        let published = self.file.published();
        if published.estimated { 0 } else { published.head.since(self.at()) }
    }
}
