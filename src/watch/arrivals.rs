//! What a file that turns up holds: news, what another file holds, or what the file whose place it takes held.
//!
//! A copy is not sent: everybody had its bytes. Whether a file is one only its content tells, and while it is being
//! written, only after a while; until then nobody gets to see it. Reads files, on the watcher's thread.

use std::{io, path::Path, sync::Arc, time::Duration};

use super::{
    catalogue::Catalogue,
    copies::{self, Likeness, Suspect},
    logfile::{LogFile, Role},
    reconcile::{Change, Known, Seen, Thing},
};
use crate::{
    entry::{Nanos, Offset},
    file::{Content, Stat, archive::Kind, lines::KnownHead, read::is_passing},
    limits::{COPY_BYTES_MIN, DECIDED_AFTER, RETIRED_AFTER},
    sync::lock,
};

/// What a file that turned up is.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// It was there before anybody looked, or it is known.
    Known,
    /// It was rotated just before anybody looked, and may be written to yet.
    Recent,
    /// It holds what nobody has seen.
    News,
    /// Its content does not tell yet.
    Undecided,
    /// It holds what another one holds, or held at this generation.
    Copy(Arc<LogFile>, u32),
    /// It took the place of a file of which it holds all that was known.
    Continues(KnownHead),
}

/// What comparing a file with all that it may be a copy of brought.
enum Compared {
    Other,
    Begins,
    /// As [`Likeness::Began`].
    Began(Arc<LogFile>, u32),
    Holds(Arc<LogFile>, u32),
}

impl Compared {
    /// What it is a copy of for certain; `is_rotated` tells that it lies where rotated files of that one's log lie, and
    /// there what begins like it is none of its own.
    fn original(&self, is_rotated: bool) -> Option<(&Arc<LogFile>, u32)> {
        match self {
            Self::Holds(original, generation) => Some((original, *generation)),
            Self::Began(original, generation) if is_rotated => Some((original, *generation)),
            Self::Other | Self::Begins | Self::Began(..) => None,
        }
    }
}

impl Arrival {
    /// What a file is that was there at the first look, which is now.
    pub(super) fn first(seen: &Seen, now: Nanos) -> Self {
        let Thing::File(stat) = &seen.thing else { return Self::Known };
        let age = Duration::from_nanos(now.0.saturating_sub(stat.mtime.0).try_into().unwrap_or(0));
        let is_plain_past = seen.path != seen.log && Kind::of_name(&seen.path).is_none();
        if is_plain_past && age < RETIRED_AFTER { Self::Recent } else { Self::Known }
    }
}

impl Catalogue {
    /// What a file is that was not there at the last look.
    pub(super) fn arrival(&self, seen: &Seen) -> Arrival {
        let Thing::File(stat) = &seen.thing else { return Arrival::Known };
        let (displaced, kin, others) = {
            let known = lock(self.known());
            if known.is_known(&stat.identity) {
                return Arrival::Known;
            }
            (known.at(&seen.path).cloned(), known.of_log(&seen.source.name, &seen.log), others_of(&known, seen))
        };
        if seen.path == seen.log {
            match displaced {
                Some(before) => return self.replacement(seen, stat, &before),
                // The log was gone, and is written anew.
                None if !kin.is_empty() => return Arrival::News,
                None => {}
            }
        }
        if !self.is_awaited() {
            return Arrival::News;
        }
        let (candidates, least) =
            if seen.path == seen.log { (others, Offset(COPY_BYTES_MIN)) } else { (kin, Offset(1)) };
        let content = self.read_content(seen);
        if seen.path != seen.log
            && let Ok(content) = &content
            && is_packed(&seen.path, content, &candidates).unwrap_or(false)
        {
            return Arrival::Known;
        }
        if stat.size == Offset::ZERO {
            return Arrival::Undecided;
        }
        let compared = content.and_then(|content| compare(&content, stat.size, least, &candidates));
        if let Ok(compared) = &compared
            && let Some((original, generation)) = compared.original(seen.path != seen.log)
        {
            return Arrival::Copy(original.clone(), generation);
        }
        match compared {
            Ok(Compared::Other) => Arrival::News,
            Ok(_) => Arrival::Undecided,
            // A copy that only its maker may read yet; a log of its own is told of elsewhere.
            Err(_) if seen.path != seen.log => Arrival::Undecided,
            Err(_) => Arrival::News,
        }
    }

    /// Looks again at the files of which it was not known what they hold. Returns those of which it is now, and
    /// whether there are others.
    pub(super) fn decide(&self) -> (Vec<Arc<LogFile>>, bool) {
        let undecided: Vec<_> = self.files().into_iter().filter(|file| file.is_undecided()).collect();
        let (mut decided, mut open) = (Vec::new(), false);
        for file in undecided {
            match self.decide_on(&file) {
                Ok(true) => decided.push(file),
                Ok(false) => open = true,
                Err(error) if file.role() == Role::Gone && !is_passing(&error) => {
                    file.decide();
                    decided.push(file);
                }
                Err(_) => open = true,
            }
        }
        if !decided.is_empty() {
            self.refresh_interests();
        }
        (decided, open)
    }

    fn decide_on(&self, file: &Arc<LogFile>) -> io::Result<bool> {
        let content = file.open()?;
        let (size, ..) = content.size_and_mtime()?;
        let quiet = file.undecided_for(size) >= DECIDED_AFTER;
        if size == Offset::ZERO {
            if quiet {
                file.decide();
            }
            return Ok(quiet);
        }
        let is_live = file.role() == Role::Live;
        let least = if is_live { Offset(COPY_BYTES_MIN) } else { Offset(1) };
        let may_be = |other: &Arc<LogFile>| {
            let same_source = Arc::ptr_eq(&other.log.source, &file.log.source);
            other.id != file.id && same_source && (is_live || Arc::ptr_eq(&other.log, &file.log))
        };
        let candidates: Vec<_> = self.files().into_iter().filter(may_be).collect();
        let compared = compare(&content, size, least, &candidates)?;
        match (&compared, compared.original(!is_live)) {
            (_, Some(original)) => take_for_copy(file, Some(original))?,
            (..) if !is_live && is_packed(&file.found_at().unwrap_or_else(|| file.path()), &content, &candidates)? => {
                take_for_copy(file, None)?
            }
            (Compared::Other, None) if is_live => {}
            // Its end is known before what comes after it is met.
            (Compared::Other, None) => {
                file.measure()?;
                file.settle();
            }
            (_, None) if quiet => take_for_copy(file, None)?,
            (_, None) => return Ok(false),
        }
        file.decide();
        Ok(true)
    }

    /// What a file is that took the place of another one.
    fn replacement(&self, seen: &Seen, stat: &Stat, before: &Arc<LogFile>) -> Arrival {
        let Some(held) = before.contents().pop().filter(|held| held.generation == before.published().generation) else {
            return Arrival::News;
        };
        if held.head.at.0 < COPY_BYTES_MIN || stat.size < held.head.at {
            return Arrival::News;
        }
        let holds = self.read_content(seen).and_then(|content| copies::holds(&content, &held.beginning, held.head));
        if matches!(holds, Ok(true)) { Arrival::Continues(held.head) } else { Arrival::News }
    }

    fn read_content(&self, seen: &Seen) -> io::Result<Content> {
        let kind = Kind::of_name(&seen.path).filter(|_| seen.path != seen.log);
        let parking = lock(self.known()).parking().clone();
        std::fs::File::open(&seen.path).and_then(|file| Content::new(file, &seen.path, kind, &parking))
    }
}

/// Whether a file that lies where rotated files do is one of `kin` in other clothes, by its name. The one that lay there last
/// may be long gone, and this another one: unless it begins as that did. What somebody waited for and nobody could look into
/// does not tell.
fn is_packed(path: &Path, content: &Content, kin: &[Arc<LogFile>]) -> io::Result<bool> {
    let Some(plain) = Kind::of_name(path).map(|_| path.with_extension("")) else { return Ok(false) };
    let Some(twin) = kin.iter().rfind(|file| file.path() == plain) else { return Ok(false) };
    Ok((twin.is_archive() || !twin.is_unseen()) && Suspect::new(content)?.may_be(twin))
}

/// Looks into new files that somebody waits for: one whose content begins anew before it is looked into for the first time
/// does not show that it held another.
pub(super) fn first_looks(changes: &[Change]) {
    for change in changes {
        if let Change::Added(file, _) = change
            && file.role() == Role::Live
            && file.is_waited_on()
            && let Err(error) = file.check_blocking()
        {
            tracing::debug!(path = %file.path().display(), %error, "cannot look into a new file");
        }
    }
}

/// Says that a file holds what another one held: nobody gets it as new.
pub(super) fn take_for_copy(file: &Arc<LogFile>, original: Option<(&Arc<LogFile>, u32)>) -> io::Result<()> {
    if file.role() == Role::Live {
        file.check_blocking()?;
        let end = file.line_head();
        file.known_before(end.at, Some(end.tail));
    } else {
        file.moved(None, Role::Archive);
    }
    if let Some((original, generation)) = original {
        file.open()?;
        original.keep_copy(generation, file);
    }
    Ok(())
}

/// The other files of a source, which a file under a name of its own may be a copy of.
fn others_of(known: &Known, seen: &Seen) -> Vec<Arc<LogFile>> {
    known.files().filter(|file| Arc::ptr_eq(&file.log.source, &seen.source)).cloned().collect()
}

/// Compares what a file of this size holds with what others do. What fewer than `least` bytes have in common proves
/// nothing.
fn compare(content: &Content, size: Offset, least: Offset, candidates: &[Arc<LogFile>]) -> io::Result<Compared> {
    let mut best = Compared::Other;
    if size < least {
        return Ok(best);
    }
    let suspect = Suspect::new(content)?;
    for original in candidates {
        match suspect.compare(original, least)? {
            Likeness::Other => {}
            Likeness::Begins => best = Compared::Begins,
            Likeness::Began(generation) => best = Compared::Began(original.clone(), generation),
            Likeness::Holds(generation) => return Ok(Compared::Holds(original.clone(), generation)),
        }
    }
    Ok(best)
}
