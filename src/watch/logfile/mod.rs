//! One physical file of a log: who it is, how far it is written, and who waits for more.

mod archive;
mod arrival;
mod beginning;
mod notes;

use std::{
    fmt,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub use self::beginning::{Content as KnownContent, first_bytes};
use self::{
    arrival::{Kept, Undecided},
    beginning::{Beginnings, Part},
    notes::{FormatSeen, Trouble},
};
use super::{interest::Interest, log::Log, reading::Reading};
use crate::{
    entry::{Nanos, Offset, cursor::TailHash},
    file::{
        Blocking, Content, Identity, ReadAt, Stat,
        archive::{Kind, Parking},
        lines::{self, KnownHead, Look},
    },
    limits::CURSOR_HEAD_BYTES,
    sync::{Mutex, lock},
};

/// A file's number, unique while the daemon runs; never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// What a file is to its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It lies at the live path.
    Live,
    /// It was the live file; another took its place.
    Rotated,
    /// It lies where rotated files of its log lie, and was there already when this daemon began to watch, or is a copy
    /// of what is known: the log's past, which nobody waits for.
    Archive,
    /// No name leads to it any more that this daemon knows of.
    Gone,
}

/// How far a file is written, as readers may rely on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Counts the times that the content began anew; what is cached under another generation is void.
    pub generation: u32,
    /// End of the last whole record.
    pub head: Offset,
    /// Size when last looked at.
    pub size: Offset,
    /// Modification time when last looked at.
    pub mtime: Nanos,
    /// Whether nothing more will come, so that an unterminated last record may be sent.
    pub finished: bool,
    /// Whether head and size are only what they cannot exceed: how long a compressed file is shows when it was read to
    /// its end once.
    pub estimated: bool,
}

/// What looking at a file brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Nothing that readers need to know.
    Same,
    /// The head moved on.
    Grown,
    /// The content began anew.
    Truncated,
}

/// One physical file.
pub struct LogFile {
    /// Its number.
    pub id: FileId,
    /// The log it belongs to.
    pub log: Arc<Log>,
    /// Who it is.
    pub identity: Identity,
    /// When it was made, where known.
    pub btime: Option<Nanos>,
    /// Its size when it was first seen: where those begin who only want what is new and could not read it then.
    pub first_size: Offset,
    /// The file of its log that came before it: what that one holds comes first.
    pub predecessor: Option<Weak<LogFile>>,
    /// How it is compressed, and where its decoders rest.
    compression: Option<(Kind, Arc<Parking>)>,
    /// Its place among the files of its log.
    ordinal: AtomicU64,
    place: Mutex<Place>,
    state: Mutex<State>,
    handle: Mutex<Option<Arc<Content>>>,
    beginnings: Mutex<Beginnings>,
    interests: Mutex<Vec<Weak<Interest>>>,
    format: Mutex<FormatSeen>,
    /// Subscriptions that have it among their files.
    readings: Mutex<Vec<Weak<Reading>>>,
    /// Copies of what it held that somebody has still to read.
    copies: Mutex<Vec<Kept>>,
    dirty: AtomicBool,
}

/// Where a file lies and what it is there.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    role: Role,
    /// Whether it was the log's past when it was found.
    is_archive: bool,
    /// Whether no source has it any more.
    is_dismissed: bool,
    /// When it lost its live path.
    displaced: Option<Instant>,
    /// Why events do not tell of its changes, if they don't.
    blind: Option<String>,
    /// Whether other names lead to it.
    linked: bool,
    /// Set while its content does not tell yet whether it is a copy.
    undecided: Option<Undecided>,
}

/// A place up to which nothing is news.
#[derive(Clone, Copy, Debug)]
struct Retired {
    at: Offset,
    /// Hash of the bytes before it, where known.
    tail: Option<TailHash>,
}

#[derive(Debug, Default)]
struct State {
    published: Published,
    /// End of the last line: the head, or behind it while the last record may go on.
    line_head: KnownHead,
    /// Where it ended when last looked at, the part of a line at its end included.
    end: KnownHead,
    /// Its first bytes, while no line has ended.
    part: Arc<[u8]>,
    /// When the end of the last line was first seen.
    line_seen: Option<Instant>,
    /// Of a compressed file, the size that it had on the disk when last looked at.
    disk_size: Offset,
    /// No newline lies between the head and here.
    scanned: Offset,
    /// Where it ended when it was taken from those who wait, since nothing more was expected.
    retired: Option<Retired>,
    /// Whether it was written again after that.
    revived: bool,
    /// Whether it was deleted and let go of before everybody had read it.
    lost: bool,
    /// Whether another file took its place that holds all that it holds.
    superseded: bool,
    /// When the last change was seen, for the delivery histogram.
    changed_at: Option<Instant>,
    /// The last error in opening it or looking at it, while it holds.
    look_trouble: Option<Trouble>,
    /// The last error in reading it, while it holds.
    read_trouble: Option<Trouble>,
}

impl LogFile {
    /// A file that has just been seen at `path`; `compression` for one that holds its log's bytes compressed.
    pub fn new(
        id: FileId,
        log: Arc<Log>,
        path: PathBuf,
        stat: &Stat,
        predecessor: Option<Weak<Self>>,
        compression: Option<(Kind, Arc<Parking>)>,
    ) -> Self {
        let published = Published { mtime: stat.mtime, ..Published::default() };
        let state = State { published, ..State::default() };
        Self {
            id,
            log,
            identity: stat.identity,
            btime: stat.btime,
            first_size: stat.size,
            predecessor,
            compression,
            ordinal: AtomicU64::new(0),
            place: Mutex::new(Place {
                path,
                role: Role::Live,
                is_archive: false,
                is_dismissed: false,
                displaced: None,
                blind: None,
                linked: stat.links > 1,
                undecided: None,
            }),
            state: Mutex::new(state),
            handle: Mutex::new(None),
            beginnings: Mutex::default(),
            interests: Mutex::new(Vec::new()),
            format: Mutex::default(),
            readings: Mutex::default(),
            copies: Mutex::default(),
            dirty: AtomicBool::new(false),
        }
    }

    /// Its place among the files of its log: that of an older one is lower. It may change when more files are found, the
    /// order of any two does not.
    pub fn ordinal(&self) -> u64 {
        self.ordinal.load(Ordering::Acquire)
    }

    /// Gives it its place.
    pub(super) fn set_ordinal(&self, ordinal: u64) {
        self.ordinal.store(ordinal, Ordering::Release);
    }

    /// Whether it holds its log's bytes compressed.
    pub fn is_compressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Where it lies now, or lay last.
    pub fn path(&self) -> PathBuf {
        lock(&self.place).path.clone()
    }

    /// What it is to its log now.
    pub fn role(&self) -> Role {
        lock(&self.place).role
    }

    /// Says where it lies now and what it is there.
    pub fn moved(&self, path: Option<PathBuf>, role: Role) {
        let mut place = lock(&self.place);
        if let Some(path) = path {
            place.path = path;
        }
        // The past stays the past, wherever a rotation moves it to.
        place.is_archive |= role == Role::Archive;
        let role = if place.is_archive && role == Role::Rotated { Role::Archive } else { role };
        place.displaced = match role {
            Role::Live => None,
            Role::Rotated | Role::Archive | Role::Gone => place.displaced.or_else(|| Some(Instant::now())),
        };
        place.role = role;
    }

    /// Whether it was its log's past already when it was found: nobody waits for it.
    pub fn is_archive(&self) -> bool {
        lock(&self.place).is_archive
    }

    /// Says that no source has it any more: nothing more of it is sent to those who follow.
    pub fn dismiss(&self) {
        lock(&self.place).is_dismissed = true;
    }

    /// Whether no source has it any more.
    pub fn is_dismissed(&self) -> bool {
        lock(&self.place).is_dismissed
    }

    /// How long ago it lost its live path.
    pub fn displaced_for(&self) -> Duration {
        lock(&self.place).displaced.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Why events do not tell of its changes, so that it has to be polled, if they don't.
    pub fn blind(&self) -> Option<String> {
        let place = lock(&self.place);
        let linked = || place.linked.then(|| "it has other names, through which it may be written to".to_owned());
        place.blind.clone().or_else(linked)
    }

    /// Says whether other names lead to it besides the one that is known, whose directories nobody watches.
    pub fn set_linked(&self, linked: bool) {
        lock(&self.place).linked = linked;
    }

    /// Says whether events tell of its changes.
    pub fn set_blind(&self, why: Option<String>) {
        lock(&self.place).blind = why;
    }

    /// How far it is written.
    pub fn published(&self) -> Published {
        lock(&self.state).published
    }

    /// Where what comes after it may begin: its head or, of a file that lies where it was found and was never looked into, all
    /// that it held then.
    pub fn end_so_far(&self) -> Offset {
        let will_be_seen = matches!(self.role(), Role::Live | Role::Rotated) && !self.is_compressed();
        if will_be_seen && self.is_unseen() { self.first_size } else { self.published().head }
    }

    /// Whether nobody has looked into it and found anything.
    pub fn is_unseen(&self) -> bool {
        let state = lock(&self.state);
        let now = state.published;
        state.scanned == Offset::ZERO && now == Published { mtime: now.mtime, ..Published::default() }
    }

    /// When the change was seen that led to what is published.
    pub fn changed_at(&self) -> Option<Instant> {
        lock(&self.state).changed_at
    }

    /// The open file; opens it if it is not open yet. May wait for a disk unless it is open.
    ///
    /// # Errors
    /// What the kernel says; `NotFound` also when another file lies at the path by now.
    pub fn open(&self) -> io::Result<Arc<Content>> {
        if let Some(file) = self.opened() {
            return Ok(file);
        }
        let path = self.path();
        // Not to be stopped by a FIFO that took the path, nor to gain a terminal.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&path)?;
        if Stat::of_file(&file)?.identity != self.identity {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file lies at the path now"));
        }
        let content = match &self.compression {
            None => Content::Plain(file),
            Some((kind, parking)) => Content::new(file, &path, Some(*kind), parking)?,
        };
        // Only now: a file system that hangs in the calls above must not stop who asks for the open file.
        Ok(lock(&self.handle).get_or_insert_with(|| Arc::new(content)).clone())
    }

    /// The open file, if it is open.
    pub fn opened(&self) -> Option<Arc<Content>> {
        lock(&self.handle).clone()
    }

    /// Closes it; whoever still reads keeps it open until done.
    pub fn close(&self) {
        *lock(&self.handle) = None;
    }

    /// Looks how far it is written by now, and wakes who waits for more. `reader` reads the file whose size and modification
    /// time are given.
    ///
    /// # Errors
    /// As the reader; then nothing changed here.
    pub fn check(&self, reader: &impl ReadAt, size: Offset, mtime: Nanos, seen: Instant) -> io::Result<Checked> {
        let (before, scanned, known, past) = {
            let state = lock(&self.state);
            (state.published, state.scanned, state.line_head, Part { end: state.end, bytes: state.part.clone() })
        };
        // It may have been written to since, and somebody else have seen that: what is there has not been truncated.
        let is_outdated = size < before.size && reader.fill_at(&mut [0], Offset(before.size.0 - 1))? == 1;
        let (size, mtime) = if is_outdated { (before.size, before.mtime.max(mtime)) } else { (size, mtime) };
        if size == before.size && mtime == before.mtime {
            return Ok(Checked::Same);
        }
        // A writer that fills what it reserved changes bytes behind the place where no newline was.
        let scanned = if size == before.size { known.at } else { scanned };
        let look = match size < before.size || !self.begins_as_known(reader, before.generation)? {
            true => Look::Other,
            false => lines::look(reader, self.encoding(reader, &before)?, known, scanned, size)?,
        };
        let (truncated, head) = match look {
            Look::Same(head) => (false, head),
            Look::Other => {
                match lines::look(reader, lines::encoding(reader)?, KnownHead::default(), Offset::ZERO, size)? {
                    Look::Same(head) => (true, head),
                    Look::Other => (true, KnownHead::default()),
                }
            }
        };
        let floor = if truncated { Offset::ZERO } else { before.head };
        let encoding = if truncated { lines::encoding(reader)? } else { self.encoding(reader, &before)? };
        let settled = lines::last_settled(reader, encoding, &self.log.source.settings().rules, floor, head.at)?;
        if truncated {
            self.remember(before.generation, known, past);
        }
        // The size may be that of what it held before: then no such bytes are there, and none are missing of them later.
        let is_stale = truncated && head.at < size && reader.fill_at(&mut [0], Offset(size.0 - 1))? == 0;
        let size = if is_stale { head.at } else { size };
        let end = if size == head.at { head } else { lines::known_at(reader, size)? };
        let part = if head.at == Offset::ZERO { first_bytes(reader, size)? } else { Arc::default() };
        // What a copy of it is known by, should it be truncated before anybody reads it.
        let told = Published { generation: before.generation + u32::from(truncated), head: settled, ..before };
        self.beginning(reader, &told, Offset(settled.0.min(CURSOR_HEAD_BYTES)))?;
        let mut state = lock(&self.state);
        if state.published.generation != before.generation || !truncated && state.published.size > size {
            // Somebody else looked at the same time and saw more.
            return Ok(Checked::Same);
        }
        let grown = settled != before.head;
        let published = &mut state.published;
        published.generation += u32::from(truncated);
        (published.head, published.size, published.mtime) = (settled, size, mtime);
        // Part of a line is a sign of life, too: the rest of it may follow.
        published.finished &= size == before.size;
        if state.line_head != head {
            state.line_seen = Some(seen);
        }
        (state.scanned, state.line_head, state.end, state.part) = (size, head, end, part);
        if grown || truncated {
            state.changed_at = Some(seen);
        }
        drop(state);
        let checked = match (truncated, grown) {
            (true, _) => Checked::Truncated,
            (false, true) => Checked::Grown,
            (false, false) => Checked::Same,
        };
        // Whoever looked: to who looks next there is nothing new.
        if checked != Checked::Same {
            self.wake();
        }
        Ok(checked)
    }

    /// How long ago the record at the head was last written to, while it may go on; none when there is no such record.
    pub fn unsettled_for(&self, now: Instant) -> Option<Duration> {
        let state = lock(&self.state);
        let unsettled = state.published.head < state.line_head.at;
        unsettled.then(|| state.line_seen.map_or(Duration::MAX, |seen| now.saturating_duration_since(seen)))
    }

    /// Publishes the record at the head although it may go on, if there is one.
    pub fn settle(&self) {
        let mut state = lock(&self.state);
        let news = state.published.head < state.line_head.at;
        state.published.head = state.published.head.max(state.line_head.at);
        drop(state);
        if news {
            self.wake();
        }
    }

    /// Looks how far it is written, waiting for the disk if need be; opens it first.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn check_blocking(&self) -> io::Result<Checked> {
        let content = self.open()?;
        let (size, mtime, _) = content.size_and_mtime()?;
        match &*content {
            Content::Plain(file) => self.check(&Blocking(file), size, mtime, Instant::now()),
            Content::Compressed(archive, _) => self.check_archive(archive, size, mtime),
        }
    }

    /// Says that the content is another than what was read at this generation, although the size did not tell.
    pub fn rewritten(&self, generation: u32) -> bool {
        let mut state = lock(&self.state);
        if state.published.generation != generation {
            return false;
        }
        let head = std::mem::take(&mut state.line_head);
        let past = Part { end: std::mem::take(&mut state.end), bytes: std::mem::take(&mut state.part) };
        state.published = Published { generation: generation + 1, ..Published::default() };
        state.scanned = Offset::ZERO;
        drop(state);
        self.remember(generation, head, past);
        self.wake();
        true
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        let news = !std::mem::replace(&mut lock(&self.state).published.finished, true);
        if news {
            self.wake();
        }
    }

    /// Says that what it holds up to a place is known: it is new only from there on.
    pub fn known_before(&self, at: Offset, tail: Option<TailHash>) {
        let mut state = lock(&self.state);
        (state.retired, state.revived) = (Some(Retired { at, tail }), true);
    }

    /// How far it is written, in whole lines.
    pub fn line_head(&self) -> KnownHead {
        lock(&self.state).line_head
    }

    /// Says that another file took its place and holds all that it holds, also what has no newline yet.
    pub fn supersede(&self) {
        lock(&self.state).superseded = true;
    }

    /// Whether the unterminated record at its end is another file's by now.
    pub fn is_superseded(&self) -> bool {
        lock(&self.state).superseded
    }

    /// Takes it from those who wait: nothing more is expected.
    pub fn retire(&self) {
        let mut state = lock(&self.state);
        state.retired = Some(Retired { at: state.published.size, tail: None });
        state.revived = false;
    }

    /// Whether nothing more is expected.
    pub fn is_retired(&self) -> bool {
        let state = lock(&self.state);
        state.retired.is_some() && !state.revived
    }

    /// Says that something is expected after all.
    pub fn revive(&self) {
        lock(&self.state).revived = true;
    }

    /// Where those begin for whom it is new: behind what was there when it was taken from all who waited.
    pub fn new_from(&self) -> (Offset, Option<TailHash>) {
        lock(&self.state).retired.map_or((Offset::ZERO, None), |retired| (retired.at, retired.tail))
    }

    /// Says that it was deleted and let go of when it had this size on the disk: what was not read of it is lost.
    pub fn set_lost(&self, size: Offset) {
        let mut state = lock(&self.state);
        state.lost = true;
        if !self.is_compressed() {
            // It may have been written to since it was last looked at.
            state.published.size = state.published.size.max(size);
        }
    }

    /// Whether it was deleted and let go of.
    pub fn is_lost(&self) -> bool {
        lock(&self.state).lost
    }

    /// Marks it as changed; `true` when it was not marked yet and has to be queued.
    pub fn mark_dirty(&self) -> bool {
        !self.dirty.swap(true, Ordering::AcqRel)
    }

    /// Takes the mark away, before looking.
    pub fn clear_dirty(&self) {
        self.dirty.store(false, Ordering::Release);
    }

    /// Whether it may have changed since it was looked at.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Whether somebody waits for it.
    pub fn is_waited_on(&self) -> bool {
        lock(&self.interests).iter().any(|interest| interest.strong_count() > 0)
    }

    /// Whether all who wait know of it, also those who have not asked for long.
    pub fn is_met_by_all(&self) -> bool {
        let interests: Vec<_> = lock(&self.interests).iter().filter_map(Weak::upgrade).collect();
        interests.iter().all(|interest| interest.is_met_by_all())
    }

    /// Adds somebody who waits for it.
    pub fn add_interest(&self, interest: &Arc<Interest>) {
        let mut interests = lock(&self.interests);
        interests.retain(|known| known.strong_count() > 0);
        if !interests.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(interest))) {
            interests.push(Arc::downgrade(interest));
        }
    }

    /// Removes somebody who does not wait for it any more.
    pub fn remove_interest(&self, interest: &Arc<Interest>) {
        lock(&self.interests).retain(|known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(interest)));
    }

    /// Wakes whoever waits for it.
    pub fn wake(&self) {
        let interests: Vec<_> = lock(&self.interests).iter().filter_map(Weak::upgrade).collect();
        interests.iter().for_each(|interest| interest.mark(self.id));
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogFile({} {:?})", self.id.0, self.path())
    }
}
