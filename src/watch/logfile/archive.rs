//! How far a compressed file goes, which only reading it to its end tells.

use std::io;

use super::{Checked, LogFile, Published};
use crate::{
    entry::{Nanos, Offset},
    file::{
        archive::{Archive, ArchiveError, Verdict},
        lines,
    },
    sync::lock,
};

impl LogFile {
    /// Publishes how long a compressed file is, as far as that is known.
    pub(super) fn check_archive(&self, archive: &Archive, disk_size: Offset, mtime: Nanos) -> io::Result<Checked> {
        let before = {
            let mut state = lock(&self.state);
            let same = std::mem::replace(&mut state.disk_size, disk_size) == disk_size;
            // Another content is as unknown as the first one was.
            if same { state.published } else { Published { size: Offset::ZERO, ..state.published } }
        };
        match archive.len()? {
            Some(len) if before.size.0 == len && !before.estimated => Ok(Checked::Same),
            Some(len) => self.publish_archive(archive, Offset(len), mtime),
            // What was read of a damaged or cut one stands.
            None if before.size > Offset::ZERO => Ok(Checked::Same),
            None => {
                let most = Offset(archive.len_max()?);
                let mut state = lock(&self.state);
                let generation = state.published.generation;
                let estimate =
                    Published { generation, head: most, size: most, mtime, finished: false, estimated: true };
                state.published = estimate;
                drop(state);
                self.wake();
                Ok(Checked::Grown)
            }
        }
    }

    fn publish_archive(&self, archive: &Archive, size: Offset, mtime: Nanos) -> io::Result<Checked> {
        let head = lines::last_line_end(archive, lines::encoding(archive)?, Offset::ZERO, size)?.unwrap_or_default();
        let mut state = lock(&self.state);
        let generation = state.published.generation;
        state.published = Published { generation, head, size, mtime, finished: true, estimated: false };
        drop(state);
        self.wake();
        Ok(Checked::Grown)
    }

    /// Finds out how long it is, reading a compressed file to its end; of one that is damaged or cut what comes before
    /// that. Takes long.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn measure(&self) -> io::Result<()> {
        self.check_blocking()?;
        let content = self.open()?;
        let (Some(archive), true) = (content.archive(), self.published().estimated) else { return Ok(()) };
        let (_, mtime, _) = content.size_and_mtime()?;
        let (len, why) = match archive.verify(u64::MAX) {
            Ok(Verdict::Whole(len)) => (Offset(len), None),
            Ok(Verdict::NotYet(offset) | Verdict::GoOn(offset)) => (offset, Some("it ends too early".to_owned())),
            Err(error @ ArchiveError::Io { .. }) => return Err(error.into()),
            Err(error) => (error.offset(), Some(error.to_string())),
        };
        if let Some(why) = why
            && self.set_trouble(Some(why.clone()))
        {
            let path = self.path();
            tracing::error!(path = %path.display(), bytes = len.0, why, "of a compressed file only the beginning can be read");
        }
        self.publish_archive(archive, len, mtime).map(|_| ())
    }
}
