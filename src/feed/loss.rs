//! What a subscription says of bytes that it cannot hand on: files whose content began anew, that were let go of, or that
//! cannot be read.

use std::sync::{Arc, atomic::Ordering};

use super::{SharedError, event::Event, subscription::Subscription, turn::Step};
use crate::{
    file::CellError,
    telemetry::{GapLabel, GapReason, SourceLabel},
};

impl Subscription {
    pub(super) fn note_gap(&mut self, index: usize, reason: GapReason, bytes: Option<u64>) {
        self.members[index].after_gap = true;
        self.events.push_back(Event::Gap(self.members[index].file.log.clone(), reason, bytes));
        self.progress.gaps.fetch_add(1, Ordering::Relaxed);
        self.feed.telemetry.gaps.get_or_create(&GapLabel { reason }).inc();
    }

    /// Says once that a file was deleted and let go of before it was read to its end.
    pub(super) fn lose(&mut self, index: usize) -> Step {
        let member = &mut self.members[index];
        if !member.is_lost {
            member.is_lost = true;
            let written = Some(member.file.published()).filter(|now| now.generation == member.generation);
            let lost = written.unwrap_or(member.known).size.since(member.read_to());
            if lost > 0 {
                self.note_gap(index, GapReason::Deleted, Some(lost));
                self.pass_gap_on(index);
            }
        }
        Step::Drained
    }

    /// The next entry of the log says that bytes are missing before it, whichever file it comes from.
    fn pass_gap_on(&mut self, index: usize) {
        let log = self.members[index].file.log.clone();
        let mut successors: Vec<_> =
            self.members.iter_mut().filter(|member| Arc::ptr_eq(&member.file.log, &log)).collect();
        successors.sort_by_key(|member| member.file.ordinal());
        if let Some(next) = successors.into_iter().find(|member| !member.is_lost) {
            next.after_gap = true;
        }
    }

    pub(super) fn fail(&mut self, index: usize, error: &SharedError) -> Step {
        let member = &self.members[index];
        match error.as_ref() {
            // Only now it is known where it ends.
            CellError::Changed(_) if member.file.is_compressed() => {
                return if member.file.published() == member.known { Step::Drained } else { Step::Moved };
            }
            CellError::Changed(_) => self.feed.doubt(&member.file, member.generation),
            CellError::Io(_, io) => {
                let path = member.file.path();
                if io.kind() == std::io::ErrorKind::NotFound {
                    return self.lose(index);
                }
                // The pacer wakes those who wait for it now and then, to try again.
                if member.file.set_read_trouble(Some(error.to_string())) {
                    tracing::warn!(path = %path.display(), %error, "cannot be read; tried again");
                }
                let source = member.file.log.source.name.clone();
                self.feed.telemetry.read_errors.get_or_create(&SourceLabel { source }).inc();
                self.unreadable = Some(format!("{}: {error}", path.display()));
                // They may have waited for it long enough.
                self.members.iter_mut().filter(|member| member.hold.is_some()).for_each(|member| member.ready = true);
            }
        }
        Step::Drained
    }
}
