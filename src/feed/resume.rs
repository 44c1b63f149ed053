//! Finding the places that cursors name: by who the file is, else by what it holds.
//!
//! Reads the few bytes that a cursor's hashes cover, so it may wait for a disk; nothing that a client brings is trusted
//! further than its bytes are found in a file.

use std::{collections::HashMap, io, sync::Arc};

use super::member::Start;
use crate::{
    entry::{
        Nanos, Offset,
        cursor::{HeadHash, TailHash},
        stream_cursor::{Claim, Cursor},
    },
    file::{Blocking, ReadAt},
    limits::{CURSOR_HEAD_BYTES, CURSOR_TAIL_BYTES},
    watch::{FileId, LogFile, Role},
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
    /// Cursors whose bytes are gone: index in the request, and the file that goes on instead, if there is one.
    pub lost: Vec<Lost>,
}

/// A cursor whose bytes are gone.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Index of the cursor in the request.
    pub index: usize,
    /// A file of the same log that survives.
    pub survivor: Option<Arc<LogFile>>,
}

/// A cursor of a log that nobody here knows: its index in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign(pub usize);

/// Finds the place of every cursor in `files`, which are all that the caller may read.
///
/// Of two cursors that lead into one file the later counts.
///
/// # Errors
/// [`Foreign`] when a cursor belongs to no log that is known here.
pub fn resolve(cursors: &[Cursor], files: &[Arc<LogFile>]) -> Result<Resolution, Foreign> {
    let mut resolution = Resolution::default();
    let mut whole = None;
    for (index, cursor) in cursors.iter().enumerate() {
        match cursor {
            Cursor::Entry(entry) => resolution.take(index, &(*entry).into(), files)?,
            Cursor::Stream(stream) => {
                for claim in &stream.claims {
                    // One log of many that is not configured any more is no reason to refuse the others.
                    let _ = resolution.take(index, claim, files);
                }
                if !stream.is_delta {
                    whole = Some(stream.made);
                }
            }
        }
    }
    resolution.take_kin(files);
    if let Some(made) = whole {
        resolution.take_unlisted(made, files);
    }
    Ok(resolution)
}

impl Resolution {
    fn take(&mut self, index: usize, claim: &Claim, files: &[Arc<LogFile>]) -> Result<(), Foreign> {
        let anew = Start { after_gap: true, ..Start::default() };
        match find(claim, files) {
            Found::At(file) => {
                let tail = known_tail(&file, claim.offset);
                self.starts.insert(file.id, Start { at: claim.offset, tail, after_gap: false });
            }
            Found::Rewritten(file) => {
                self.starts.insert(file.id, anew);
                self.rewritten.push(file);
            }
            Found::Gone => {
                let of_log = files.iter().filter(|file| file.log.lineage == claim.lineage);
                let live = of_log.clone().find(|file| file.role() == Role::Live);
                let survivor = live.or_else(|| of_log.clone().next_back());
                if let Some(file) = survivor {
                    self.starts.entry(file.id).or_insert(anew);
                }
                self.lost.push(Lost { index, survivor: survivor.cloned() });
            }
            Found::Foreign => return Err(Foreign(index)),
        }
        Ok(())
    }

    /// A cursor speaks for its log: what came before its file is past, what came after it begins at its beginning.
    fn take_kin(&mut self, files: &[Arc<LogFile>]) {
        let named: Vec<_> = files.iter().filter(|file| self.starts.contains_key(&file.id)).cloned().collect();
        for file in files.iter().filter(|file| !named.iter().any(|named| named.id == file.id)) {
            let latest = named.iter().filter(|named| Arc::ptr_eq(&named.log, &file.log)).map(|named| named.id).max();
            match latest {
                None => {}
                Some(latest) if file.id < latest => self.past.push(file.id),
                Some(_) => {
                    self.starts.insert(file.id, Start::default());
                }
            }
        }
    }

    /// Files that a whole-stream cursor does not list: those born after it are new, the others are past.
    fn take_unlisted(&mut self, made: Nanos, files: &[Arc<LogFile>]) {
        let since = made.0.saturating_sub(CLOCK_SLACK_NANOS);
        for file in files {
            if self.starts.contains_key(&file.id) || self.past.contains(&file.id) {
                continue;
            }
            if file.published().mtime.0 < since {
                self.past.push(file.id);
            } else if file.btime.is_none_or(|born| born.0 >= since) {
                self.starts.insert(file.id, Start::default());
            }
        }
    }
}

/// How a claim was found to hold.
enum Found {
    /// This file has the bytes.
    At(Arc<LogFile>),
    /// It is this file, but it has other bytes now.
    Rewritten(Arc<LogFile>),
    /// The log is known, but none of its files has the bytes.
    Gone,
    /// The log is not known.
    Foreign,
}

fn find(claim: &Claim, files: &[Arc<LogFile>]) -> Found {
    let same = files.iter().find(|file| claim.is_of(file.identity.key));
    if let Some(file) = same
        && holds(file, claim, Check::TailOnly)
    {
        return Found::At(file.clone());
    }
    // A few bytes prove nothing about another file, except in the log that they are said to be of.
    let few = claim.offset.0 < 64;
    let by_content = files.iter().filter(|file| !few || file.log.lineage == claim.lineage);
    let mut matching: Vec<_> = by_content.filter(|file| holds(file, claim, Check::Both)).collect();
    // The claim's own log first, the longest of the equal ones first.
    matching.sort_by_key(|file| (file.log.lineage != claim.lineage, std::cmp::Reverse(file.published().size)));
    match (matching.first(), same) {
        (Some(file), _) if claim.offset.0 > 0 => Found::At(Arc::clone(file)),
        (_, Some(file)) => Found::Rewritten(file.clone()),
        _ if files.iter().any(|file| file.log.lineage == claim.lineage) => Found::Gone,
        _ => Found::Foreign,
    }
}

/// Which hashes have to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    TailOnly,
    Both,
}

fn holds(file: &LogFile, claim: &Claim, check: Check) -> bool {
    if file.published().size < claim.offset {
        return false;
    }
    if claim.offset == Offset::ZERO {
        return true;
    }
    let Ok(handle) = file.open() else { return false };
    let reader = Blocking(&handle);
    if check == Check::Both {
        let Ok(head) = read(&reader, Offset::ZERO, claim.offset.0.min(CURSOR_HEAD_BYTES)) else { return false };
        if !claim.fits_head(HeadHash::of(&head, claim.offset)) {
            return false;
        }
    }
    let len = claim.offset.0.min(CURSOR_TAIL_BYTES);
    let tail = read(&reader, Offset(claim.offset.0 - len), len);
    tail.is_ok_and(|tail| {
        // A place that is no line's start is one only after a record that was sent without its end.
        claim.fits_tail(TailHash::of(&tail)) && (claim.after_piece || tail.last() == Some(&b'\n'))
    })
}

/// Hash of the bytes before a place of a file; none when they cannot be read.
pub fn known_tail(file: &LogFile, at: Offset) -> Option<TailHash> {
    let len = at.0.min(CURSOR_TAIL_BYTES);
    let handle = file.open().ok()?;
    read(&Blocking(&handle), Offset(at.0 - len), len).ok().map(|tail| TailHash::of(&tail))
}

fn read(reader: &impl ReadAt, at: Offset, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    let got = reader.fill_at(&mut bytes, at)?;
    if got < bytes.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}
