//! Finding the places that cursors name: by who the file is, else by what it holds.
//!
//! Reads the few bytes that a cursor's hashes cover, so it may wait for a disk; nothing that a client brings is trusted
//! further than its bytes are found in a file.

use std::{cell::RefCell, collections::HashMap, io, sync::Arc};

use super::{member::Start, open::look, succession::end_of};
use crate::{
    entry::{
        Nanos, Offset,
        cursor::{HeadHash, Lineage, TailHash},
        stream_cursor::{Claim, Cursor},
    },
    file::{ReadAt, read::is_passing},
    limits::{COPY_BYTES_MIN, CURSOR_HEAD_BYTES, CURSOR_TAIL_BYTES},
    watch::{FileId, Log, LogFile, Role, copies},
};

/// Files that changed up to this long before a whole-stream cursor was made may have done so after it.
const CLOCK_SLACK_NANOS: i64 = 2_000_000_000;

/// Where cursors lead.
#[derive(Debug, Default)]
pub struct Resolution {
    /// Where to go on in the files that cursors speak for.
    pub starts: HashMap<FileId, Start>,
    /// Files that lie before the point of a cursor: nothing of them is sent.
    pub past: Vec<FileId>,
    /// Files that cursors name but that hold other bytes now: they are read from their beginning.
    pub rewritten: Vec<Arc<LogFile>>,
    /// Logs of files that hold other bytes now than cursors name, which another file has, or whose content has begun anew: what
    /// came between need not have been seen yet.
    pub moved: Vec<Arc<Log>>,
    /// Logs of files of which nothing was known, and that are not there any more under the identity that they had.
    unread: Vec<Lineage>,
    /// Files that were read to their end, wherever that is.
    read: Vec<Arc<LogFile>>,
    /// Cursors whose bytes are gone.
    pub lost: Vec<Lost>,
    /// Those that only said that a file was read to its end.
    over: Vec<Lost>,
    /// The cursor that each of `starts` is by.
    by: HashMap<FileId, usize>,
    /// Why it cannot be told now where a cursor leads, if so.
    pub unreadable: Option<String>,
}

/// A cursor whose bytes are gone.
#[derive(Debug)]
pub struct Lost {
    /// Index of the cursor in the request.
    pub index: usize,
    /// The log that they were of.
    pub log: Arc<Log>,
}

/// A cursor of a log that nobody here knows: its index in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign(pub usize);

/// Finds the place of every cursor in `files`, which are all that the caller may read.
///
/// Of two cursors that lead into one file the later counts. A cursor of a whole stream speaks for files that it does not
/// list only where the stream's `selection` is the one that it was made of.
///
/// # Errors
/// [`Foreign`] when a cursor belongs to no log that is known here.
pub fn resolve(cursors: &[Cursor], selection: u32, files: &[Arc<LogFile>]) -> Result<Resolution, Foreign> {
    let mut resolution = Resolution::default();
    let (claims, superseded) = last_claims(cursors);
    for (index, claim, is_entry) in &claims {
        let taken = resolution.take(*index, claim, files);
        // One log of many that is not configured any more is no reason to refuse the others.
        if *is_entry {
            taken?;
        }
    }
    let whole = cursors.iter().rev().find_map(|cursor| match cursor {
        Cursor::Stream(stream) if !stream.is_delta && stream.selection == selection => Some(stream.made),
        Cursor::Stream(_) | Cursor::Entry(_) => None,
    });
    resolution.take_over(files);
    resolution.take_read(&superseded, files);
    resolution.take_survivors(whole, files);
    resolution.take_kin(whole, files);
    if let Some(made) = whole {
        resolution.take_unlisted(made, &claims, files);
    }
    // What nobody can read any more is not begun with, however much of it the cache still has.
    let is_gone = |file: &&Arc<LogFile>| file.role() == Role::Gone && is_missing(file);
    for file in files.iter().filter(|file| resolution.begins(file)).filter(is_gone).collect::<Vec<_>>() {
        resolution.starts.remove(&file.id);
        resolution.past.push(file.id);
    }
    resolution.leave_out_twins(files);
    resolution.mark_gaps(files);
    resolution.pin(files);
    Ok(resolution)
}

/// What the cursors say of each file last, with the index of the cursor and whether it is an entry's; and what they said of
/// the same file before. That is over: its content may have begun anew since, and then would be found in a copy.
fn last_claims(cursors: &[Cursor]) -> (Vec<(usize, Claim, bool)>, Vec<Claim>) {
    let claims = cursors.iter().enumerate().flat_map(|(index, cursor)| match cursor {
        Cursor::Entry(entry) => vec![(index, Claim::from(*entry), true)],
        Cursor::Stream(stream) => stream.claims.iter().map(|claim| (index, *claim, false)).collect(),
    });
    let claims: Vec<_> = claims.collect();
    let last: HashMap<u64, usize> =
        claims.iter().enumerate().map(|(at, (_, claim, _))| (claim.short_key(), at)).collect();
    let is_last = |(at, (_, claim, _)): &(usize, (usize, Claim, bool))| last.get(&claim.short_key()) == Some(at);
    let (kept, superseded): (Vec<_>, Vec<_>) = claims.into_iter().enumerate().partition(is_last);
    let superseded = superseded.into_iter().map(|(_, (_, claim, _))| claim).collect();
    (kept.into_iter().map(|(_, claim)| claim).collect(), superseded)
}

impl Resolution {
    fn take(&mut self, index: usize, claim: &Claim, files: &[Arc<LogFile>]) -> Result<(), Foreign> {
        let anew = Start { after_gap: true, ..Start::default() };
        let trouble = RefCell::new(None);
        let mut found = find(claim, files, &trouble);
        let mut tail = None;
        if let Found::At(file, _) = &found {
            tail = known_tail(file, claim.offset);
            // What holds something else by now is looked for once more by the caller.
            if has_changed_since(file, claim, tail) {
                found = Found::Rewritten(file.clone());
            }
        }
        // Bytes that cannot be read at this moment are not gone.
        match (&found, trouble.take()) {
            (Found::Rewritten(_) | Found::Gone(_), Some(why)) => self.unreadable = Some(why),
            (Found::At(..) | Found::Rewritten(_) | Found::Unread | Found::Gone(_) | Found::Foreign, _) => {}
        }
        match found {
            Found::At(file, _) if claim.is_over && claim.offset == Offset::ZERO => {
                self.past.push(file.id);
                self.read.push(file);
            }
            Found::At(file, generation) => {
                if files.iter().any(|same| same.id != file.id && claim.is_of(same.identity.key)) {
                    self.moved.push(file.log.clone());
                }
                self.past.extend(twins(&file, claim).map(|twin| twin.id));
                let published = file.published();
                if published.head < claim.offset
                    && let Ok(content) = file.open()
                    && let Err(error) = file.hold_beginning(&*content, &published, claim.offset)
                {
                    tracing::debug!(path = %file.path().display(), %error, "cannot be read again");
                }
                // What was deleted and its compressed sibling may stand in one cursor, and be one file by now; then one of them
                // was not read.
                let is_same = self.by.insert(file.id, index) == Some(index);
                let known = self.starts.get(&file.id).filter(|_| is_same);
                if known.is_none_or(|known| claim.offset < known.at) {
                    let start = Start { at: claim.offset, tail, generation: Some(generation), ..Start::default() };
                    self.starts.insert(file.id, Start { after_piece: claim.after_piece, ..start });
                }
            }
            Found::Rewritten(file) => {
                self.starts.insert(file.id, anew);
                self.rewritten.push(file);
            }
            Found::Unread => self.unread.push(claim.lineage),
            Found::Gone(log) if claim.is_over => self.over.push(Lost { index, log }),
            Found::Gone(log) => self.lost.push(Lost { index, log }),
            Found::Foreign => return Err(Foreign(index)),
        }
        Ok(())
    }

    /// Copies of what a client has read in a file before that held something else: it has gone on in that.
    fn take_read(&mut self, superseded: &[Claim], files: &[Arc<LogFile>]) {
        for file in files.iter().filter(|file| file.is_archive()) {
            if !self.starts_or_ends_at(file) && superseded.iter().any(|claim| held_once(file, claim)) {
                self.past.push(file.id);
            }
        }
    }

    /// That a file is gone that was read to its end matters only where nothing that came after it was read: then what came
    /// between may be gone, too.
    fn take_over(&mut self, files: &[Arc<LogFile>]) {
        let is_moved = |log: &Arc<Log>| {
            let of_log = files.iter().filter(|file| Arc::ptr_eq(&file.log, log));
            of_log.filter_map(|file| self.starts.get(&file.id)).any(|start| start.at > Offset::ZERO)
        };
        let unsure = self.over.extract_if(.., |over| !is_moved(&over.log));
        self.lost.extend(unsure);
    }

    /// Where the file of a cursor is gone, what survives of its log comes behind the gap, from its beginning: what changed
    /// since the cursor was made, or, where it does not tell when that was, the live file. What else there is of the log
    /// may as well be older than the cursor.
    fn take_survivors(&mut self, made: Option<Nanos>, files: &[Arc<LogFile>]) {
        for lost in &self.lost {
            let mut of_log: Vec<_> = files.iter().filter(|file| Arc::ptr_eq(&file.log, &lost.log)).collect();
            of_log.sort_by_key(|file| file.ordinal());
            if !of_log.iter().any(|file| self.starts.contains_key(&file.id)) {
                let survives = |file: &&&Arc<LogFile>| match made {
                    Some(made) => file.published().mtime.0 >= made.0.saturating_sub(CLOCK_SLACK_NANOS),
                    None => file.role() == Role::Live,
                };
                let is_left = |file: &Arc<LogFile>| !is_missing(file) && !self.past.contains(&file.id);
                let survivors = of_log.iter().filter(survives).filter(|file| is_left(file));
                let survivors = survivors.map(|file| (file.id, Start::default()));
                self.starts.extend(survivors);
            }
        }
    }

    /// Says of what comes behind a place whose bytes are gone that they are missing before it: what was read of other files of
    /// its log was read before, or else all of them were.
    fn mark_gaps(&mut self, files: &[Arc<LogFile>]) {
        for lost in &self.lost {
            let of_log = files.iter().filter(|file| Arc::ptr_eq(&file.log, &lost.log));
            let mut started: Vec<_> = of_log.filter(|file| self.starts.contains_key(&file.id)).collect();
            started.sort_by_key(|file| file.ordinal());
            let next = started.iter().find(|file| self.begins(file)).or(started.last());
            if let Some(start) = next.and_then(|file| self.starts.get_mut(&file.id)) {
                start.after_gap = true;
            }
        }
    }

    /// Notes which of its contents each file had that is read from its beginning, and whose log is to be looked at once more
    /// for copies of those that it had before.
    fn pin(&mut self, files: &[Arc<LogFile>]) {
        for file in files {
            if let Some(start) = self.starts.get_mut(&file.id).filter(|start| start.generation.is_none()) {
                let generation = file.published().generation;
                start.generation = Some(generation);
                if generation > 0 {
                    self.moved.push(file.log.clone());
                }
            }
        }
    }

    /// The contents in which reading begins, for another look to begin with, too: what came between the looks is found from
    /// there.
    pub fn contents(&self) -> HashMap<FileId, u32> {
        let of = |(file, start): (&FileId, &Start)| Some((*file, start.generation?));
        self.starts.iter().filter(|(_, start)| start.at == Offset::ZERO).filter_map(of).collect()
    }

    /// Begins with the contents that an earlier look found.
    pub fn begin_with(&mut self, contents: &HashMap<FileId, u32>) {
        for (file, start) in self.starts.iter_mut().filter(|(_, start)| start.at == Offset::ZERO) {
            if let Some(earlier) = contents.get(file) {
                start.generation = start.generation.map(|now| now.min(*earlier));
            }
        }
    }

    /// A cursor speaks for its log: what came before its file is past, what came after it begins at its beginning.
    fn take_kin(&mut self, made: Option<Nanos>, files: &[Arc<LogFile>]) {
        let starts = files.iter().filter(|file| self.starts.contains_key(&file.id));
        let named: Vec<_> = starts.chain(&self.read).cloned().collect();
        let mut files: Vec<_> = files.iter().collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.ordinal()));
        for file in files {
            if self.starts_or_ends_at(file) {
                continue;
            }
            let kin = named.iter().filter(|named| Arc::ptr_eq(&named.log, &file.log));
            // One that stands at the beginning of its file does not tell how far the log was read before it: that file may
            // have held something else then, which lies in a copy by now.
            let (moved, unmoved): (Vec<_>, Vec<_>) =
                kin.partition(|named| self.starts.get(&named.id).is_none_or(|start| start.at > Offset::ZERO));
            let is_sure = !moved.is_empty();
            let kin = if is_sure { moved } else { unmoved };
            match kin.iter().map(|named| named.ordinal()).max() {
                None => {}
                // Also where one that held nothing when the cursor was made has been written late, and is compressed by now.
                Some(latest)
                    if file.ordinal() < latest
                        && (!is_sure || self.unread.contains(&file.log.lineage))
                        && is_later(file, made) =>
                {
                    self.starts.insert(file.id, Start::default());
                }
                Some(latest) if file.ordinal() < latest => self.past.push(file.id),
                // It was there before what its log's file held when the cursor was made.
                Some(_) if self.precedes_rewritten(file) && is_older(file, made) => {
                    self.past.push(file.id);
                }
                Some(_) if is_read_elsewhere(file) => self.past.push(file.id),
                // The file that came next is gone; what had not changed since then was known, and had been read.
                Some(_) if self.misses_one_of(&file.log) && is_older(file, made) => self.stand_at_the_end(file),
                Some(_) => {
                    self.starts.insert(file.id, Start::default());
                }
            }
        }
    }

    /// Puts the place behind a file that was read, so that the next cursor tells so, too.
    fn stand_at_the_end(&mut self, file: &Arc<LogFile>) {
        match end_of(file) {
            Ok(end) if end.offset > Offset::ZERO => {
                let start = Start { at: end.offset, tail: Some(end.tail), ..Start::default() };
                self.starts.insert(file.id, Start { after_piece: end.after_piece, ..start });
            }
            Ok(_) | Err(_) => self.past.push(file.id),
        }
    }

    /// Whether a file of the log that comes after it is one of which a cursor names what it does not hold any more.
    fn precedes_rewritten(&self, file: &LogFile) -> bool {
        let comes_after = |other: &Arc<LogFile>| file.ordinal() < other.ordinal();
        self.rewritten.iter().any(|other| Arc::ptr_eq(&other.log, &file.log) && comes_after(other))
    }

    /// Whether a file of the log that a cursor names was not found.
    fn misses_one_of(&self, log: &Arc<Log>) -> bool {
        self.unread.contains(&log.lineage) || self.lost.iter().any(|lost| Arc::ptr_eq(&lost.log, log))
    }

    fn begins(&self, file: &LogFile) -> bool {
        self.starts.get(&file.id).is_some_and(|start| start.at == Offset::ZERO)
    }

    fn starts_or_ends_at(&self, file: &LogFile) -> bool {
        self.starts.contains_key(&file.id) || self.past.contains(&file.id)
    }

    /// A deleted file that is still open and the compressed one that was made of it are the same: one of them is read.
    fn leave_out_twins(&mut self, files: &[Arc<LogFile>]) {
        let held: Vec<_> =
            files.iter().filter(|file| file.role() == Role::Gone && self.starts.contains_key(&file.id)).collect();
        for file in files.iter().filter(|file| file.is_compressed()) {
            let begins = self.starts.get(&file.id).is_some_and(|start| start.at == Offset::ZERO);
            let is_twin = |held: &&&Arc<LogFile>| {
                let changed_with = held.published().mtime == file.published().mtime;
                changed_with && Arc::ptr_eq(&held.log, &file.log) && are_twins(file, held)
            };
            if begins && held.iter().any(|held| is_twin(&held)) {
                self.starts.remove(&file.id);
                self.past.push(file.id);
            }
        }
    }

    /// Files that a whole-stream cursor does not list: those born after it are new, unless they are copies of what it lists,
    /// the others are past.
    fn take_unlisted(&mut self, made: Nanos, claims: &[(usize, Claim, bool)], files: &[Arc<LogFile>]) {
        let since = made.0.saturating_sub(CLOCK_SLACK_NANOS);
        for file in files {
            if self.starts_or_ends_at(file) {
                continue;
            }
            let is_copy = |(_, claim, _): &(usize, Claim, bool)| {
                claim.offset.0 >= COPY_BYTES_MIN
                    && claim.lineage != file.log.lineage
                    && holds(file, claim).unwrap_or(false)
            };
            let is_listed = |(_, claim, _): &(usize, Claim, bool)| claim.is_of(file.identity.key);
            if file.published().mtime.0 < since || claims.iter().any(|claim| is_listed(claim) || is_copy(claim)) {
                self.past.push(file.id);
            } else if file.btime.is_none_or(|born| born.0 >= since) {
                self.starts.insert(file.id, Start::default());
            }
        }
    }
}

/// Whether a file has not changed since a cursor was made, as far as that is known.
fn is_older(file: &LogFile, made: Option<Nanos>) -> bool {
    made.is_some() && !is_later(file, made)
}

/// Whether a file holds a content in which a client once stood, before what it knew last of it.
fn held_once(file: &Arc<LogFile>, claim: &Claim) -> bool {
    let is_its = claim.offset > Offset::ZERO && claim.lineage == file.log.lineage;
    is_its && holds(file, claim).unwrap_or(false)
}

/// Whether a file has changed since a cursor was made, as far as that is known.
fn is_later(file: &LogFile, made: Option<Nanos>) -> bool {
    made.is_some_and(|made| file.published().mtime.0 >= made.0.saturating_sub(CLOCK_SLACK_NANOS))
}

/// How a claim was found to hold.
enum Found {
    /// This file has the bytes, in this of its contents: another may take its place at any time.
    At(Arc<LogFile>, u32),
    /// It is this file, but it has other bytes now.
    Rewritten(Arc<LogFile>),
    /// Nothing of it was known, and no file has its identity.
    Unread,
    /// The log is known, but none of its files has the bytes.
    Gone(Arc<Log>),
    /// The log is not known.
    Foreign,
}

/// Finds the file; `trouble` becomes what kept one from being looked into.
fn find(claim: &Claim, files: &[Arc<LogFile>], trouble: &RefCell<Option<String>>) -> Found {
    let holds = |file: &Arc<LogFile>| {
        holds(file, claim).unwrap_or_else(|error| {
            if is_passing(&error) {
                trouble.replace(Some(format!("{}: {error}", file.path().display())));
            }
            false
        })
    };
    let same = files.iter().find(|file| claim.is_of(file.identity.key));
    if let Some(file) = same {
        let generation = file.published().generation;
        if holds(file) || has_ended_at(file, claim) {
            return Found::At(file.clone(), generation);
        }
    }
    // A few bytes prove nothing about another file, except in the log that they are said to be of.
    let few = claim.offset.0 < COPY_BYTES_MIN;
    // Nor do they in their own log when they are no whole line, unless that is all that the file holds.
    let is_weak = few && claim.after_piece;
    let holding = |own: bool| {
        let by_content = files.iter().filter(|file| (file.log.lineage == claim.lineage) == own && (own || !few));
        // The longest of the equal ones; what is compressed is longer than it looks, and costs more.
        let longest = |file: &&Arc<LogFile>| (!file.is_compressed(), file.published().size);
        by_content.filter(|file| holds(file) && (!is_weak || file.published().size == claim.offset)).max_by_key(longest)
    };
    let is_known = claim.offset > Offset::ZERO || claim.foretells().is_some();
    let of_content = if is_known { holding(true).or_else(|| holding(false)) } else { None };
    let of_log = files.iter().find(|file| file.log.lineage == claim.lineage);
    match (of_content, same, of_log) {
        (Some(file), ..) => Found::At(Arc::clone(file), file.published().generation),
        (_, Some(file), _) if !is_missing(file) => Found::Rewritten(file.clone()),
        (.., None) => Found::Foreign,
        _ if !is_known => Found::Unread,
        (.., Some(file)) => Found::Gone(file.log.clone()),
    }
}

/// Whether a file that had the bytes of a claim a moment ago has others there now, where the hash of those is `tail`.
fn has_changed_since(file: &Arc<LogFile>, claim: &Claim, tail: Option<TailHash>) -> bool {
    let fits = tail.is_some_and(|tail| claim.fits_tail(tail));
    !file.is_archive() && claim.offset > Offset::ZERO && !fits && !is_missing(file)
}

/// Whether a file that nobody can read any more was read to its end.
fn has_ended_at(file: &Arc<LogFile>, claim: &Claim) -> bool {
    let end = || file.contents().pop().map(|content| content.end).unwrap_or_default();
    is_missing(file) && end().at == claim.offset && claim.fits_tail(end().tail)
}

/// Whether no name that is known leads to a file, and nobody holds it open: what it held, nobody can read.
fn is_missing(file: &LogFile) -> bool {
    file.open().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The compressed files that hold the same as a deleted one that is still open.
fn twins(file: &Arc<LogFile>, claim: &Claim) -> impl Iterator<Item = Arc<LogFile>> {
    let kin = if file.role() == Role::Gone { file.log.files() } else { Vec::new() };
    kin.into_iter()
        .filter(|kin| kin.is_compressed())
        .filter(|kin| are_twins(kin, file) || claim.offset > Offset::ZERO && holds(kin, claim).unwrap_or(false))
}

/// Whether a file holds what another one of its log does that is read instead: of a deleted file and its compressed
/// sibling the one that is still open, or else the other.
pub(super) fn is_read_elsewhere(file: &Arc<LogFile>) -> bool {
    let kin = file.log.files();
    let Some(at) = kin.iter().position(|kin| kin.id == file.id) else { return false };
    let is_gone = |file: &LogFile| !file.is_compressed() && file.role() == Role::Gone;
    if is_gone(file) {
        return file.open().is_err() && kin.get(at + 1).is_some_and(|after| after.is_compressed());
    }
    let before = at.checked_sub(1).map(|before| &kin[before]);
    before.is_some_and(|before| {
        file.is_compressed() && is_gone(before) && before.open().is_ok() && are_twins(file, before)
    })
}

/// Whether a compressed file holds the same as a plain one of its log.
pub fn are_twins(compressed: &LogFile, plain: &LogFile) -> bool {
    let Some(known) = plain.content(plain.published().generation) else { return false };
    let content = compressed.open();
    content.and_then(|content| copies::holds(&*content, &known.beginning, known.mark())).unwrap_or(false)
}

/// Whether a file has the bytes that a claim is known by.
fn holds(file: &Arc<LogFile>, claim: &Claim) -> io::Result<bool> {
    if file.is_archive() {
        look(file);
    }
    if file.published().size < claim.offset {
        return Ok(false);
    }
    if claim.offset == Offset::ZERO && claim.foretells().is_none() {
        return Ok(true);
    }
    let content = file.open()?;
    let reader = &*content;
    if let Some(len) = claim.foretells() {
        let mut beginning = vec![0; len];
        let got = reader.fill_at(&mut beginning, Offset::ZERO)?;
        return Ok(got == len && claim.fits_beginning(&beginning));
    }
    let head = read(reader, Offset::ZERO, claim.offset.0.min(CURSOR_HEAD_BYTES))?;
    if !claim.fits_head(HeadHash::of(&head, claim.offset)) {
        return Ok(false);
    }
    let encoding = file.encoding(reader, &file.published())?;
    let len = claim.offset.0.min(CURSOR_TAIL_BYTES);
    let tail = read(reader, Offset(claim.offset.0 - len), len)?;
    // A place that is no line's start is one only after a record that was sent without its end.
    Ok(claim.fits_tail(TailHash::of(&tail)) && (claim.after_piece || encoding.ends_line(&tail)))
}

/// Hash of the bytes before a place of a file; none when they cannot be read.
pub fn known_tail(file: &LogFile, at: Offset) -> Option<TailHash> {
    let len = at.0.min(CURSOR_TAIL_BYTES);
    let content = file.open().ok()?;
    read(&*content, Offset(at.0 - len), len).ok().map(|tail| TailHash::of(&tail))
}

fn read(reader: &impl ReadAt, at: Offset, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    let got = reader.fill_at(&mut bytes, at)?;
    if got < bytes.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}
