//! What is noted of a file besides how far it is written: errors, formats, and who reads it.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use super::LogFile;
use crate::{entry::Offset, limits::UNREADABLE_HOLD_MAX, sync::lock, watch::Reading};

/// What formats were recognised in the records that were looked at for it.
#[derive(Debug, Default)]
pub(super) struct FormatSeen {
    records: u64,
    recognised: u64,
    name: Option<&'static str>,
}

/// An error that holds.
#[derive(Debug)]
pub(super) struct Trouble {
    why: String,
    /// Since when there has been one.
    since: Instant,
}

impl Trouble {
    /// Whether it has not been so for long.
    fn may_pass(&self) -> bool {
        self.since.elapsed() < UNREADABLE_HOLD_MAX
    }
}

impl LogFile {
    /// The last error on it, if that still holds.
    pub fn trouble(&self) -> Option<String> {
        let state = lock(&self.state);
        let trouble = state.read_trouble.as_ref().or(state.look_trouble.as_ref());
        trouble.map(|trouble| trouble.why.clone())
    }

    /// Remembers an error in opening it or in looking how far it is written, or that there is none any more. Returns
    /// whether that is news.
    pub fn set_trouble(&self, trouble: Option<String>) -> bool {
        note(&mut lock(&self.state).look_trouble, trouble)
    }

    /// Remembers an error in reading it, or that there is none any more. Returns whether that is news.
    pub fn set_read_trouble(&self, trouble: Option<String>) -> bool {
        note(&mut lock(&self.state).read_trouble, trouble)
    }

    /// Whether it cannot be read or looked into, and has not been able to be for so long that what comes after it does not wait
    /// for it any more.
    pub fn is_given_up(&self) -> bool {
        let state = lock(&self.state);
        state.read_trouble.iter().chain(&state.look_trouble).any(|trouble| !trouble.may_pass())
    }

    /// Whether it could not be read when it was tried last, and that has not been so for long: what comes after it waits.
    pub fn may_be_read_soon(&self) -> bool {
        lock(&self.state).read_trouble.as_ref().is_some_and(Trouble::may_pass)
    }

    /// Whether it could not be looked into when that was tried last, and that has not been so for long: it may hold more than
    /// is known.
    pub fn may_hold_more(&self) -> bool {
        lock(&self.state).look_trouble.as_ref().is_some_and(Trouble::may_pass)
    }

    /// Has whoever reads a file of its log try again to read it, also where nobody waits for more of it, and see whether what
    /// comes after it has still to wait.
    pub(in crate::watch) fn retry(&self) {
        for file in self.log.files() {
            let interests: Vec<_> = lock(&file.interests).iter().filter_map(Weak::upgrade).collect();
            for interest in interests {
                interest.mark(self.id);
                interest.mark(file.id);
            }
        }
    }

    /// Notes of how many records the format was recognised, and which it was.
    pub fn note_format(&self, records: u64, recognised: u64, format: Option<&'static str>) {
        let mut seen = lock(&self.format);
        seen.records += records;
        seen.recognised += recognised;
        seen.name = format.or(seen.name);
    }

    /// The format that was recognised last, and in how many of a million records looked at one was.
    pub fn format(&self) -> (Option<&'static str>, u32) {
        let seen = lock(&self.format);
        let parts = seen.recognised * 1_000_000 / seen.records.max(1);
        (seen.name, parts as u32)
    }

    /// Adds a subscription that has it among its files, for as long as that lives.
    pub(in crate::watch) fn add_reading(&self, reading: &Arc<Reading>) {
        let mut readings = lock(&self.readings);
        if readings.len() == readings.capacity() {
            readings.retain(|known| known.strong_count() > 0);
        }
        readings.push(Arc::downgrade(reading));
    }

    /// Whether a subscription has it among its files.
    pub fn has_readers(&self) -> bool {
        lock(&self.readings).iter().any(|reading| reading.strong_count() > 0)
    }

    /// Whether a subscription has still to read bytes before `until` of the content of `generation`.
    pub fn is_anybody_behind(&self, generation: u32, until: Offset) -> bool {
        let readings: Vec<_> = lock(&self.readings).iter().filter_map(Weak::upgrade).collect();
        readings.iter().any(|reading| reading.is_behind(generation, until))
    }
}

/// Takes in an error, or that there is none any more; whether that is news.
fn note(known: &mut Option<Trouble>, why: Option<String>) -> bool {
    let news = known.as_ref().map(|known| &known.why) != why.as_ref();
    let since = known.as_ref().map_or_else(Instant::now, |known| known.since);
    *known = why.map(|why| Trouble { why, since });
    news
}
