//! What a look at the file system means for the files known so far: who is new, who moved, who took whose place.
//!
//! Pure bookkeeping: what was seen comes in as values. Files are told apart by identity, never by name, so a rename
//! cascade that is half done harms nothing.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use lru::LruCache;

use super::{
    arrivals::Arrival,
    log::{Log, Source},
    logfile::{FileId, LogFile, Role},
};
use crate::{
    entry::Nanos,
    file::{
        Identity, Stat,
        archive::{Kind, Parking},
        lineage::{self, Rank},
        lines::KnownHead,
    },
    limits::GONE_FILES_MAX,
};

/// A path that matches a source, and what lies there.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path.
    pub path: PathBuf,
    /// The first source, in the order of the configuration, that claims the path.
    pub source: Arc<Source>,
    /// The live path of the log that the file belongs to; another than `path` when it is rotated by its name.
    pub log: PathBuf,
    /// What the file is, if it was not known.
    pub arrival: Arrival,
    /// What lies there.
    pub thing: Thing,
}

impl Seen {
    /// When the file there changed last.
    fn changed(&self) -> Option<Nanos> {
        match &self.thing {
            Thing::File(stat) => Some(stat.mtime),
            Thing::Trouble(_) | Thing::Nothing => None,
        }
    }
}

/// What files are ordered by: the log, whether it is the live file, the last change, the name's rank, the path.
type Age = (PathBuf, bool, Option<Nanos>, Option<Rank>, PathBuf);

/// Brings what was seen into an order in which the past of a log comes before what follows it.
///
/// Among names of one manner the name tells, since a program that never opens its log anew may write to a file long after
/// it was rotated: none is taken for younger than one that its name makes older. Else the last change tells.
fn sort_by_age(seen: &mut Vec<Seen>) {
    let mut seen_with_rank: Vec<_> = seen.drain(..).map(|seen| (rank(&seen.log, &seen.path), seen)).collect();
    let manner = |rank: &Option<Rank>| rank.as_ref().map(Rank::manner);
    // The youngest of each log and manner first.
    seen_with_rank
        .sort_by(|(a_rank, a), (b_rank, b)| (&b.log, manner(b_rank), b_rank).cmp(&(&a.log, manner(a_rank), a_rank)));
    let mut aged: Vec<(Age, Seen)> = Vec::new();
    for (rank, seen) in seen_with_rank {
        let mut changed = seen.changed();
        if let Some(((log, _, younger, other, _), _)) = aged.last()
            && *log == seen.log
            && rank.is_some()
            && manner(other) == manner(&rank)
        {
            changed = changed.min(*younger);
        }
        aged.push(((seen.log.clone(), seen.log == seen.path, changed, rank, seen.path.clone()), seen));
    }
    aged.sort_by(|(a, _), (b, _)| a.cmp(b));
    seen.extend(aged.into_iter().map(|(_, seen)| seen));
}

/// What the name of a rotated file says of its place among those of its log.
fn rank(log: &Path, path: &Path) -> Option<Rank> {
    let (live, name) = log.file_name().zip(path.file_name())?;
    lineage::rotated(live, name).map(|rotated| rotated.rank)
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A regular file.
    File(Stat),
    /// Something that is no regular file, or cannot be looked at: why not.
    Trouble(String),
    /// Nothing.
    Nothing,
}

/// A path that matches but cannot be read as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The source that claims it.
    pub source: String,
    /// Why it cannot be read.
    pub why: String,
}

/// Something that a reconciliation changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A file joined, which is what is said of it.
    Added(Arc<LogFile>, Arrival),
    /// A file lost this path to another one, or just lost it.
    Displaced(Arc<LogFile>, PathBuf),
    /// A path turned out not to be readable as a file.
    Troubled(PathBuf, Trouble),
}

/// Every file that is known, by identity and by path.
#[derive(Debug)]
pub struct Known {
    files: BTreeMap<FileId, Arc<LogFile>>,
    by_identity: HashMap<Identity, Arc<LogFile>>,
    by_path: HashMap<PathBuf, Arc<LogFile>>,
    logs: HashMap<(String, PathBuf), Arc<Log>>,
    troubles: BTreeMap<PathBuf, Trouble>,
    /// Files that were forgotten, and how far they were written.
    gone: LruCache<Identity, KnownHead>,
    /// Where the decoders of compressed files rest.
    parking: Arc<Parking>,
    next: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            by_identity: HashMap::new(),
            by_path: HashMap::new(),
            logs: HashMap::new(),
            troubles: BTreeMap::new(),
            gone: LruCache::new(const { NonZeroUsize::new(GONE_FILES_MAX).expect("it is not zero") }),
            parking: Arc::default(),
            next: 0,
        }
    }
}

impl Known {
    /// The files, in the order in which they were found.
    pub fn files(&self) -> impl Iterator<Item = &Arc<LogFile>> {
        self.files.values()
    }

    /// The file at a path.
    pub fn at(&self, path: &Path) -> Option<&Arc<LogFile>> {
        self.by_path.get(path)
    }

    /// Whether a file is known, wherever it lies.
    pub fn is_known(&self, identity: &Identity) -> bool {
        self.by_identity.contains_key(identity)
    }

    /// Where a file lies, if it does anywhere.
    pub fn place_of(&self, identity: &Identity) -> Option<PathBuf> {
        self.by_identity.get(identity).filter(|file| file.role() != Role::Gone).map(|file| file.path())
    }

    /// The files of a log, the oldest first.
    pub fn of_log(&self, source: &str, log: &Path) -> Vec<Arc<LogFile>> {
        let key = (source.to_owned(), log.to_path_buf());
        self.logs.get(&key).map(|log| log.files()).unwrap_or_default()
    }

    /// Where the decoders of compressed files rest.
    pub fn parking(&self) -> &Arc<Parking> {
        &self.parking
    }

    /// Paths that match but cannot be read as files.
    pub fn troubles(&self) -> &BTreeMap<PathBuf, Trouble> {
        &self.troubles
    }

    /// Whether there is, or was, a log at this path of the source.
    pub fn has_log(&self, source: &str, path: &Path) -> bool {
        self.logs.contains_key(&(source.to_owned(), path.to_path_buf()))
    }

    /// Every path at which something is known.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.by_path.keys().chain(self.troubles.keys())
    }

    /// Takes in what was seen. Every path that was looked at is named, those at which nothing lies as well.
    pub fn take_in(&mut self, mut seen: Vec<Seen>) -> Vec<Change> {
        let mut changes = Vec::new();
        sort_by_age(&mut seen);
        self.leave(&seen, &mut changes);
        for seen in seen {
            match seen.thing {
                Thing::File(stat) => {
                    self.arrive(seen.path, &seen.source, seen.log, &seen.arrival, &stat, &mut changes);
                }
                Thing::Trouble(why) => self.trouble(seen.path, &seen.source, why, &mut changes),
                Thing::Nothing => {
                    self.troubles.remove(&seen.path);
                }
            }
        }
        changes
    }

    /// Lets go of a file that nobody needs any more.
    pub fn forget(&mut self, file: &LogFile) {
        self.files.remove(&file.id);
        self.gone.put(file.identity, file.line_head());
        if self.by_identity.get(&file.identity).is_some_and(|known| known.id == file.id) {
            self.by_identity.remove(&file.identity);
        }
        let path = file.path();
        if self.by_path.get(&path).is_some_and(|known| known.id == file.id) {
            self.by_path.remove(&path);
        }
    }

    /// Lets go of files that no source has any more, and of their logs; what else lies where no file is, is looked at
    /// anew.
    pub fn dismiss(&mut self, files: &[Arc<LogFile>], sources: &[Arc<Source>]) {
        for file in files {
            self.files.remove(&file.id);
            self.by_identity.retain(|_, known| known.id != file.id);
            self.by_path.retain(|_, known| known.id != file.id);
        }
        let left = |log: &Arc<Log>| self.files.values().any(|file| Arc::ptr_eq(&file.log, log));
        let dismissed = |log: &Arc<Log>| files.iter().any(|file| Arc::ptr_eq(&file.log, log));
        let has_source = |log: &Log| sources.iter().any(|source| Arc::ptr_eq(source, &log.source));
        self.logs.retain(|_, log| has_source(log) && (left(log) || !dismissed(log)));
        self.troubles.clear();
    }

    /// First pass: files whose path now holds something else leave it, before any file arrives anywhere.
    fn leave(&mut self, seen: &[Seen], changes: &mut Vec<Change>) {
        for seen in seen {
            let Some(file) = self.by_path.get(&seen.path) else { continue };
            if matches!(&seen.thing, Thing::File(stat) if stat.identity == file.identity) {
                continue;
            }
            let file = file.clone();
            self.by_path.remove(&seen.path);
            file.moved(None, Role::Gone);
            changes.push(Change::Displaced(file, seen.path.clone()));
        }
    }

    fn arrive(
        &mut self,
        path: PathBuf,
        source: &Arc<Source>,
        log: PathBuf,
        arrival: &Arrival,
        stat: &Stat,
        changes: &mut Vec<Change>,
    ) {
        let role = match (path == log, arrival) {
            (true, _) => Role::Live,
            (false, Arrival::News | Arrival::Recent | Arrival::Undecided) => Role::Rotated,
            (false, Arrival::Known | Arrival::Copy(..) | Arrival::Continues(_)) => Role::Archive,
        };
        self.troubles.remove(&path);
        if self.by_path.contains_key(&path) {
            return;
        }
        if let Some(file) = self.by_identity.get(&stat.identity) {
            // Renamed inside what is watched, or another link to it: never sent again under its new name.
            if self.by_path.get(&file.path()).is_none_or(|at| at.id != file.id) {
                let role = if path == file.log.path { Role::Live } else { Role::Rotated };
                file.moved(Some(path.clone()), role);
                self.by_path.insert(path, file.clone());
            }
            return;
        }
        let log = self.log(source, &log);
        let known = log.files();
        let twin = twin_of(&path, role, arrival, &known);
        let place = place_among(&known, &path, stat, role, twin.as_ref());
        // What was the past already when it was found is read before nobody's eyes.
        let predecessor = known[..place].iter().rev().find(|file| !file.is_archive()).map(Arc::downgrade);
        let kind = Kind::of_name(&path).filter(|_| path != log.path);
        let compression = kind.map(|kind| (kind, self.parking.clone()));
        self.next += 1;
        let file = LogFile::new(FileId(self.next), log.clone(), path.clone(), stat, predecessor, compression);
        let file = Arc::new(file);
        log.insert(&file, |known| place_among(known, &path, stat, role, twin.as_ref()));
        match (self.gone.pop(&stat.identity), role) {
            (Some(end), Role::Live) => file.known_before(end.at, Some(end.tail)),
            // It came back where the past lies.
            (Some(_), _) => file.moved(None, Role::Archive),
            (None, Role::Live) => {}
            (None, _) => file.moved(None, role),
        }
        match arrival {
            Arrival::Undecided => file.undecide(stat.size),
            Arrival::Continues(head) => {
                file.known_before(head.at, Some(head.tail));
                file.predecessor.as_ref().and_then(Weak::upgrade).inspect(|before| before.supersede());
            }
            Arrival::Known | Arrival::Recent | Arrival::News | Arrival::Copy(..) => {}
        }
        self.files.insert(file.id, file.clone());
        self.by_identity.insert(stat.identity, file.clone());
        self.by_path.insert(path, file.clone());
        changes.push(Change::Added(file, arrival.clone()));
    }

    fn trouble(&mut self, path: PathBuf, source: &Arc<Source>, why: String, changes: &mut Vec<Change>) {
        let trouble = Trouble { source: source.name.clone(), why };
        if self.troubles.get(&path) != Some(&trouble) {
            self.troubles.insert(path.clone(), trouble.clone());
            changes.push(Change::Troubled(path, trouble));
        }
    }

    fn log(&mut self, source: &Arc<Source>, path: &Path) -> Arc<Log> {
        let key = (source.name.clone(), path.to_path_buf());
        self.logs.entry(key).or_insert_with(|| Arc::new(Log::new(source.clone(), path.to_path_buf()))).clone()
    }
}

/// The file of its log of which one that is compressed is the same in other clothes: the one that it was found to be a copy
/// of, else the one that lay last where it lay before by its name.
fn twin_of(path: &Path, role: Role, arrival: &Arrival, known: &[Arc<LogFile>]) -> Option<Arc<LogFile>> {
    let plain = Kind::of_name(path).filter(|_| role == Role::Archive).map(|_| path.with_extension(""))?;
    match arrival {
        Arrival::Copy(original, generation) => {
            let is_all = original.role() == Role::Gone && original.published().generation == *generation;
            is_all.then(|| original.clone())
        }
        _ => known.iter().rfind(|file| file.path() == plain).cloned(),
    }
}

/// Where a file belongs among the files of its log, the oldest first: behind its twin, where it has one.
fn place_among(known: &[Arc<LogFile>], path: &Path, stat: &Stat, role: Role, twin: Option<&Arc<LogFile>>) -> usize {
    if role == Role::Live {
        return known.len();
    }
    if let Some(at) = twin.and_then(|twin| known.iter().position(|file| file.id == twin.id)) {
        return at + 1;
    }
    let Some(log) = known.first().map(|file| file.log.path.clone()) else { return 0 };
    let mine = rank(&log, path);
    // What the names tell, of files that still have theirs.
    let by_name = |file: &Arc<LogFile>| {
        let its = rank(&log, &file.path()).filter(|_| file.role() != Role::Gone)?;
        let mine = mine.as_ref().filter(|mine| mine.manner() == its.manner())?;
        Some(mine.cmp(&its))
    };
    let is_live = |file: &&Arc<LogFile>| file.role() == Role::Live;
    let older = known.iter().rposition(|file| by_name(file).is_some_and(Ordering::is_gt)).map_or(0, |at| at + 1);
    let younger = |file: &Arc<LogFile>| is_live(&file) || by_name(file).is_some_and(Ordering::is_lt);
    let until = known.iter().position(younger).unwrap_or(known.len()).max(older);
    // Between those, the last change. What is not the past may have been written to long after what comes later was; but where
    // a file is gone whose content has begun anew, copies were made of what it held before.
    let is_younger = |file: &Arc<LogFile>| {
        let changed = file.published().mtime;
        let leaves_copies = file.role() == Role::Gone && file.published().generation > 0;
        role == Role::Archive && stat.mtime < changed || leaves_copies && stat.mtime <= changed
    };
    known[older..until].iter().rposition(|file| !is_younger(file)).map_or(older, |before| older + before + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::{Offset, cursor::FileKey},
        watch::log::Settings,
    };

    fn source() -> Arc<Source> {
        let rules = Arc::default();
        let settings = Settings { patterns: vec![], exclude: vec![], rules, line_max: 1, archives: true };
        Arc::new(Source::new("s".into(), settings))
    }

    fn seen(path: &str, source: &Arc<Source>, thing: Thing) -> Seen {
        Seen { path: path.into(), source: source.clone(), log: path.into(), arrival: Arrival::Known, thing }
    }

    fn file(path: &str, source: &Arc<Source>, ino: u64) -> Seen {
        let identity = Identity { dev: 1, ino, key: FileKey(ino) };
        let (size, mtime) = (Offset(ino), Nanos(0));
        let stat = Stat { identity, size, mtime, btime: None, links: 1, regular: true, mode: 0o644 };
        seen(path, source, Thing::File(stat))
    }

    fn nothing(path: &str, source: &Arc<Source>) -> Seen {
        seen(path, source, Thing::Nothing)
    }

    fn summary(changes: &[Change]) -> Vec<String> {
        let name = |file: &LogFile| format!("{} {:?} of {}", file.identity.ino, file.role(), file.log.path.display());
        let told = |change: &Change| match change {
            Change::Added(file, _) => format!("+ {}", name(file)),
            Change::Displaced(file, _) => format!("- {}", name(file)),
            Change::Troubled(path, trouble) => format!("! {} {}", path.display(), trouble.why),
        };
        changes.iter().map(told).collect()
    }

    #[test]
    fn a_renamed_file_keeps_its_log_and_the_new_one_follows_it() {
        let (mut known, s) = (Known::default(), source());
        assert_eq!(summary(&known.take_in(vec![file("/a", &s, 1)])), ["+ 1 Live of /a"]);
        let changes = known.take_in(vec![file("/a", &s, 2), file("/a.1", &s, 1)]);
        assert_eq!(summary(&changes), ["- 1 Rotated of /a", "+ 2 Live of /a"]);
        let successor = known.at(Path::new("/a")).expect("it is there").clone();
        let predecessor = successor.predecessor.clone().expect("it has one");
        assert_eq!(predecessor.upgrade().expect("it lives").identity.ino, 1);
        assert_eq!(summary(&known.take_in(vec![file("/a", &s, 2), file("/a.1", &s, 1)])), Vec::<String>::new());
    }

    #[test]
    fn a_cascade_seen_half_done_sends_nothing_again() {
        let (mut known, s) = (Known::default(), source());
        known.take_in(vec![file("/a", &s, 1), file("/a.1", &s, 2)]);
        // a.1 has become a.2, a is still to become a.1.
        let half = known.take_in(vec![file("/a", &s, 1), nothing("/a.1", &s), file("/a.2", &s, 2)]);
        assert!(!half.iter().any(|change| matches!(change, Change::Added(..))), "{half:?}");
        let rest = known.take_in(vec![file("/a", &s, 3), file("/a.1", &s, 1), file("/a.2", &s, 2)]);
        let added = rest.iter().filter(|change| matches!(change, Change::Added(..))).count();
        assert_eq!(added, 1, "{rest:?}");
    }

    #[test]
    fn two_rotations_at_once_are_taken_in_in_their_order() {
        let (mut known, s) = (Known::default(), source());
        known.take_in(vec![file("/a", &s, 1)]);
        let rotated = |path: &str, ino: u64| Seen { log: "/a".into(), arrival: Arrival::News, ..file(path, &s, ino) };
        let changes = known.take_in(vec![file("/a", &s, 3), rotated("/a.1", 2), rotated("/a.2", 1)]);
        assert_eq!(summary(&changes), ["- 1 Rotated of /a", "+ 2 Rotated of /a", "+ 3 Live of /a"]);
        let before =
            |path: &str| known.at(Path::new(path))?.predecessor.clone()?.upgrade().map(|file| file.identity.ino);
        assert_eq!((before("/a"), before("/a.1")), (Some(2), Some(1)));
    }

    #[test]
    fn a_rotated_file_that_is_written_late_stays_older_than_its_successor() {
        let (mut known, s) = (Known::default(), source());
        let rotated = |path: &str, ino: u64, mtime: i64| {
            let mut seen = Seen { log: "/a".into(), ..file(path, &s, ino) };
            if let Thing::File(stat) = &mut seen.thing {
                stat.mtime = Nanos(mtime);
            }
            seen
        };
        let order = |known: &Known| -> Vec<u64> {
            known.of_log("s", Path::new("/a")).iter().map(|file| file.identity.ino).collect()
        };
        known.take_in(vec![
            file("/a", &s, 9),
            rotated("/a.1", 1, 50),
            rotated("/a.2", 2, 80),
            rotated("/a-20260101", 3, 60),
        ]);
        assert_eq!(order(&known), [2, 1, 3, 9]);
        known.take_in(vec![file("/a", &s, 9), rotated("/a.3", 4, 90), rotated("/a-20260102", 5, 10)]);
        assert_eq!(order(&known), [4, 2, 1, 3, 5, 9]);
    }

    #[test]
    fn a_compressed_file_lies_behind_what_it_is_of_whatever_lay_there_before() {
        let (mut known, s) = (Known::default(), source());
        let rotated = |path: &str, ino: u64| Seen { log: "/a".into(), ..file(path, &s, ino) };
        known.take_in(vec![file("/a", &s, 1)]);
        known.take_in(vec![file("/a", &s, 2), rotated("/a.1", 1)]);
        known.take_in(vec![file("/a", &s, 2), nothing("/a.1", &s)]);
        known.take_in(vec![file("/a", &s, 3), rotated("/a.1", 2)]);
        let live = known.at(Path::new("/a")).expect("it is there").clone();
        let packed = Seen { arrival: Arrival::Copy(live, 0), ..rotated("/a.1.gz", 5) };
        known.take_in(vec![file("/a", &s, 4), rotated("/a.2", 2), nothing("/a.1", &s), packed]);
        let order: Vec<u64> = known.of_log("s", Path::new("/a")).iter().map(|file| file.identity.ino).collect();
        assert_eq!(order, [1, 2, 3, 5, 4]);
    }

    #[test]
    fn a_deleted_file_is_gone_and_a_second_link_is_no_file() {
        let (mut known, s) = (Known::default(), source());
        known.take_in(vec![file("/a", &s, 1), file("/b", &s, 1)]);
        assert_eq!(known.files().count(), 1);
        assert_eq!(summary(&known.take_in(vec![nothing("/a", &s)])), ["- 1 Gone of /a"]);
    }

    #[test]
    fn trouble_is_told_once_and_forgotten_when_it_is_over() {
        let (mut known, s) = (Known::default(), source());
        let fifo = || seen("/a", &s, Thing::Trouble("a FIFO".into()));
        assert_eq!(summary(&known.take_in(vec![fifo()])), ["! /a a FIFO"]);
        assert_eq!(summary(&known.take_in(vec![fifo()])), Vec::<String>::new());
        assert_eq!(summary(&known.take_in(vec![file("/a", &s, 1)])), ["+ 1 Live of /a"]);
        assert!(known.troubles().is_empty());
    }
}
