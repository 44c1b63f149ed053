//! The watcher's thread: turns file events into hints, and looks at the file system when names may have changed.
//!
//! `notify` calls back on a thread of its own, which only sets marks. The thread here does what may wait for a disk:
//! setting watches, listing directories, `stat`. It watches first and looks afterwards, so nothing falls between.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use notify::{
    Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::Notify;

use super::{
    catalogue::{Catalogue, Scope},
    logfile::{LogFile, Role},
};
use crate::{
    entry::cursor::FileKey,
    file::Stat,
    limits::{
        BLIND_RESCAN_EVERY, DECIDE_EVERY, DOUBTED_AFTER, DOUBTED_TIMES, RESCAN_EVERY, RESCAN_PATHS_MAX, RESCAN_PAUSE,
    },
    sync::lock,
    telemetry::{EventLabel, FileEvent, Telemetry},
};

/// Files and names that may have changed. Bounded: each file is in it once, names beyond a number mean everything.
pub struct Hints {
    dirty: Mutex<Vec<Arc<LogFile>>>,
    /// Tells the pacer that `dirty` has something.
    pub(super) files: Notify,
    names: Mutex<Names>,
    names_changed: Condvar,
    /// When the thread looked last.
    looked: Mutex<Instant>,
    /// Since when names may have changed that the thread has taken and is looking at.
    looking_since: Mutex<Option<Instant>>,
    telemetry: Arc<Telemetry>,
}

#[derive(Debug, Default)]
struct Names {
    paths: HashSet<PathBuf>,
    everything: bool,
    undecided: bool,
    stop: bool,
    /// Whether the last look could not see everything.
    has_missed: bool,
    /// Since when there is something to look at.
    since: Option<Instant>,
}

impl Names {
    fn are_changed(&self) -> bool {
        self.everything || !self.paths.is_empty()
    }
}

/// Why waiting ended.
enum Woken {
    /// What lies here may be something else now.
    Names(Scope),
    /// A file of which it is not known what it holds has changed.
    Undecided,
    /// Nothing happened for long enough.
    Patience,
}

impl Hints {
    /// No hints yet.
    pub fn new(telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            dirty: Mutex::default(),
            files: Notify::new(),
            names: Mutex::default(),
            names_changed: Condvar::new(),
            looked: Mutex::new(Instant::now()),
            looking_since: Mutex::default(),
            telemetry,
        })
    }

    /// Says that a file may have changed.
    pub fn touch(&self, file: &Arc<LogFile>) {
        if file.mark_dirty() {
            lock(&self.dirty).push(file.clone());
            self.files.notify_one();
        }
    }

    /// Says that what lies at a path may be something else now.
    pub fn rename(&self, path: PathBuf) {
        let mut names = lock(&self.names);
        if names.paths.len() < RESCAN_PATHS_MAX {
            names.paths.insert(path);
        } else {
            names.everything = true;
        }
        names.since.get_or_insert_with(Instant::now);
        drop(names);
        self.names_changed.notify_one();
    }

    /// Says that anything may have changed.
    pub fn rescan(&self) {
        let mut names = lock(&self.names);
        names.everything = true;
        names.since.get_or_insert_with(Instant::now);
        drop(names);
        self.names_changed.notify_one();
    }

    /// How long ago the watcher's thread looked last: proof that it is alive.
    pub fn silence(&self) -> Duration {
        lock(&self.looked).elapsed()
    }

    /// For how long names may have changed that have not been looked at: how far behind the files what is known of them may
    /// be. Nothing, unless the thread is at work or does not get to it.
    pub fn behind(&self) -> Duration {
        // In the order in which the thread moves it on, so that it is seen in one of the two.
        let waiting = lock(&self.names).since;
        let since = (*lock(&self.looking_since)).or(waiting);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The files that may have changed since the last call.
    pub(super) fn take_files(&self) -> Vec<Arc<LogFile>> {
        std::mem::take(&mut lock(&self.dirty))
    }

    /// Everything that was taken before has been looked at, unless something could not be seen.
    fn has_looked(&self) {
        *lock(&self.looked) = Instant::now();
        if !lock(&self.names).has_missed {
            *lock(&self.looking_since) = None;
        }
    }

    /// What was taken before could not be looked at: it is as far behind as it was, and everything is looked at next.
    fn has_not_seen(&self) {
        *lock(&self.looked) = Instant::now();
        let mut names = lock(&self.names);
        (names.everything, names.has_missed) = (true, true);
        names.since.get_or_insert_with(Instant::now);
    }

    fn stop(&self) {
        lock(&self.names).stop = true;
        self.names_changed.notify_one();
    }

    /// Says that a file may tell by now what it holds.
    pub fn decide(&self) {
        lock(&self.names).undecided = true;
        self.names_changed.notify_one();
    }

    /// Waits for changed names, for at most `patience`; `None` when it is time to stop.
    fn wait(&self, patience: Duration) -> Option<Woken> {
        let names = lock(&self.names);
        let quiet = |names: &mut Names| !names.stop && !names.are_changed() && !names.undecided;
        let waited = self.names_changed.wait_timeout_while(names, patience, quiet);
        let (mut waiting, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        if waiting.stop {
            return None;
        }
        let names = std::mem::take(&mut *waiting);
        let mut looking_since = lock(&self.looking_since);
        *looking_since = (*looking_since).or(names.since);
        drop(looking_since);
        drop(waiting);
        Some(match (names.everything, names.paths.is_empty(), names.undecided) {
            (true, ..) => Woken::Names(Scope::All),
            (false, false, _) => Woken::Names(Scope::Paths(names.paths)),
            (false, true, true) => Woken::Undecided,
            (false, true, false) => Woken::Patience,
        })
    }

    fn count(&self, kind: FileEvent) {
        self.telemetry.file_events.get_or_create(&EventLabel { kind }).inc();
    }
}

/// The watcher; dropping it stops and joins its thread.
pub struct Watching {
    hints: Arc<Hints>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watching {
    /// Watches and looks at everything once, then goes on in a thread.
    ///
    /// # Errors
    /// When the kernel has no more inotify instances or threads to give.
    pub fn start(catalogue: Arc<Catalogue>, hints: Arc<Hints>) -> io::Result<Self> {
        let handler = {
            let (catalogue, hints) = (Arc::downgrade(&catalogue), hints.clone());
            move |event: notify::Result<Event>| {
                if let Some(catalogue) = catalogue.upgrade() {
                    hint(&catalogue, &hints, event);
                }
            }
        };
        let watcher = match RecommendedWatcher::new(handler, Config::default()) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                hints.count(FileEvent::WatchFailed);
                tracing::warn!(%error, "no file events: every file is polled");
                None
            }
        };
        let mut eyes = Eyes {
            catalogue,
            hints: hints.clone(),
            watcher,
            watched: BTreeMap::new(),
            blind: HashMap::new(),
            undecided: false,
            doubted: None,
        };
        eyes.look(&Scope::All);
        let thread = thread::Builder::new().name("watch".into()).spawn(move || eyes.run())?;
        Ok(Self { hints, thread: Some(thread) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hints.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watcher's thread panicked");
        }
    }
}

/// What the thread owns.
struct Eyes {
    catalogue: Arc<Catalogue>,
    hints: Arc<Hints>,
    watcher: Option<RecommendedWatcher>,
    /// The directories that are watched, and which ones those were: a watch ends with its directory.
    watched: BTreeMap<PathBuf, Option<FileKey>>,
    blind: HashMap<PathBuf, String>,
    /// Whether there are files of which it is not known what they hold.
    undecided: bool,
    /// When to look whether a directory is gone of which a file is, and how often that was done.
    doubted: Option<(Instant, u32)>,
}

impl Eyes {
    fn run(mut self) {
        let mut last_full = Instant::now();
        loop {
            let every = if self.catalogue.is_partly_blind() { BLIND_RESCAN_EVERY } else { RESCAN_EVERY };
            let left = every.saturating_sub(last_full.elapsed());
            let is_full_due = !self.undecided || left <= DECIDE_EVERY;
            let patience = if is_full_due { left } else { DECIDE_EVERY };
            let until_doubt = self.doubted.map_or(patience, |(due, _)| due.saturating_duration_since(Instant::now()));
            let Some(woken) = self.hints.wait(patience.min(until_doubt)) else { return };
            self.decide();
            let scope = match woken {
                Woken::Patience if self.has_lost_a_directory() => Scope::All,
                Woken::Patience if is_full_due && last_full.elapsed() >= every => Scope::All,
                Woken::Patience | Woken::Undecided => continue,
                Woken::Names(scope) => scope,
            };
            if matches!(scope, Scope::All) {
                // A directory full of changes must not be listed over and over.
                if last_full.elapsed() < RESCAN_PAUSE {
                    thread::park_timeout(RESCAN_PAUSE - last_full.elapsed());
                }
                last_full = Instant::now();
            }
            self.look(&scope);
        }
    }

    fn look(&mut self, scope: &Scope) {
        let Some(mut changed) = self.catalogue.scan(scope) else { return self.hints.has_not_seen() };
        // Watches first, then looking: a directory that was not watched until now is looked at again.
        while matches!(scope, Scope::All) && self.rewatch() {
            let Some(others) = self.catalogue.scan(&Scope::All) else {
                self.hints.has_not_seen();
                break;
            };
            changed.extend(others);
        }
        self.catalogue.prune();
        self.undecided |= changed.iter().any(|file| file.is_undecided());
        if changed.iter().any(|file| file.role() == Role::Gone) {
            self.doubted = Some((Instant::now() + DOUBTED_AFTER, 0));
        }
        changed.iter().for_each(|file| self.hints.touch(file));
        self.hints.has_looked();
    }

    /// Whether a directory that is watched is gone, or another one by now; looked at now and then after a file has gone.
    ///
    /// The kernel tells of the end of a watched directory only once nobody has a file open that was in it.
    fn has_lost_a_directory(&mut self) -> bool {
        let Some((due, times)) = self.doubted.filter(|(due, _)| *due <= Instant::now()) else { return false };
        self.doubted = (times < DOUBTED_TIMES).then(|| (due + DOUBTED_AFTER * 4_u32.pow(times + 1), times + 1));
        self.watched.iter().any(|(dir, watched)| key_of(dir) != *watched)
    }

    /// Looks again at the files of which it is not known what they hold.
    fn decide(&mut self) {
        if self.undecided {
            let (decided, others) = self.catalogue.decide();
            self.undecided = others;
            for file in &decided {
                self.hints.touch(file);
                // What comes after it has waited for that.
                file.retry();
            }
        }
        *lock(&self.hints.looked) = Instant::now();
    }

    /// Sets and removes watches so that they fit the catalogue; whether a directory is watched that was not before.
    fn rewatch(&mut self) -> bool {
        let wanted = self.catalogue.dirs();
        let mut blind = HashMap::new();
        let mut news = false;
        let is_over = |dir: &Path, watched: Option<FileKey>| !wanted.contains(dir) || key_of(dir) != watched;
        for (dir, _) in self.watched.iter().filter(|(dir, watched)| is_over(dir, **watched)) {
            if let Some(watcher) = &mut self.watcher
                && let Err(error) = watcher.unwatch(dir)
            {
                // The kernel removes the watch of a deleted directory itself.
                tracing::debug!(dir = %dir.display(), %error, "cannot stop watching");
            }
        }
        self.watched.retain(|dir, watched| !is_over(dir, *watched));
        for dir in wanted.iter().cloned() {
            if let Some(why) = events_missing(&dir) {
                blind.insert(dir, why);
            } else if !self.watched.contains_key(&dir) {
                // Before it is watched: should it be another one by then, that shows at the next look.
                let key = key_of(&dir);
                match self.watch(&dir) {
                    Ok(()) => news |= self.watched.insert(dir, key).is_none(),
                    Err(why) => {
                        blind.insert(dir, why);
                    }
                }
            }
        }
        if blind != self.blind {
            for (dir, why) in blind.iter().filter(|(dir, _)| !self.blind.contains_key(*dir)) {
                self.hints.count(FileEvent::WatchFailed);
                tracing::warn!(dir = %dir.display(), why, "polled instead of watched");
            }
            self.blind = blind.clone();
        }
        self.catalogue.set_uncovered(blind);
        news
    }

    fn watch(&mut self, dir: &Path) -> Result<(), String> {
        let Some(watcher) = &mut self.watcher else { return Err("no file events on this system".to_owned()) };
        watcher.watch(dir, RecursiveMode::NonRecursive).map_err(|error| match error.kind {
            ErrorKind::MaxFilesWatch => "the limit fs.inotify.max_user_watches is reached".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// Who a directory is, if it is there.
fn key_of(dir: &Path) -> Option<FileKey> {
    Stat::of_path(dir).ok().map(|stat| stat.identity.key)
}

/// Why the kernel does not tell of changes on this directory's file system, if so.
fn events_missing(dir: &Path) -> Option<String> {
    // From linux/magic.h and the file systems' own headers.
    const SILENT: [(u32, &str); 8] = [
        (0x6969, "NFS"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9p"),
        (0x5346_414f, "AFS"),
        (0x00c3_6400, "Ceph"),
        (0x9fa0, "proc"),
    ];
    let kind = rustix::fs::statfs(dir).ok()?.f_type as u32;
    let (_, name) = SILENT.iter().find(|(magic, _)| *magic == kind)?;
    Some(format!("{name} tells of no changes made elsewhere"))
}

/// What an event means. Called on `notify`'s thread: sets marks and never waits for anybody.
fn hint(catalogue: &Catalogue, hints: &Hints, event: notify::Result<Event>) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            hints.count(FileEvent::WatchFailed);
            tracing::warn!(%error, "watching failed: everything is looked at again");
            return hints.rescan();
        }
    };
    if event.need_rescan() {
        hints.count(FileEvent::Overflow);
        tracing::warn!("file events were lost: everything is looked at again");
        catalogue.files().iter().for_each(|file| hints.touch(file));
        return hints.rescan();
    }
    let names_changed = match event.kind {
        // Our own opening and closing is none of our business.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Data(_)) => false,
        EventKind::Access(_) => return,
        // Permissions may have changed, or the number of links.
        EventKind::Modify(ModifyKind::Metadata(_)) => event.paths.iter().any(|path| catalogue.is_troubled(path)),
        _ => true,
    };
    hints.count(if names_changed { FileEvent::Renamed } else { FileEvent::Modified });
    for path in event.paths {
        let file = catalogue.route(&path);
        if let Some(file) = &file {
            hints.touch(file);
            if file.is_undecided() {
                hints.decide();
            }
        }
        if !names_changed {
            continue;
        }
        if catalogue.dirs().contains(&path) || path.is_dir() {
            hints.rescan();
        } else if file.is_some() || catalogue.claims(&path) {
            hints.rename(path);
        } else if let Some(link) = catalogue.detour(&path) {
            hints.rename(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_looked_yet_is_behind_since_the_first_change_that_was_told() {
        let hints = Hints::new(Arc::new(Telemetry::new()));
        assert_eq!(hints.behind(), Duration::ZERO);
        let before = Instant::now();
        hints.rename("a".into());
        let after = Instant::now();
        hints.rename("b".into());
        let behind = |hints: &Hints| Instant::now() - hints.behind();
        assert!(matches!(hints.wait(Duration::ZERO), Some(Woken::Names(Scope::Paths(paths))) if paths.len() == 2));
        hints.rescan();
        // What is being looked at counts, not what came later.
        assert!(before <= behind(&hints) && hints.behind() >= after.elapsed());
        hints.has_looked();
        assert!(behind(&hints) >= after && hints.behind() > Duration::ZERO);
        assert!(matches!(hints.wait(Duration::ZERO), Some(Woken::Names(Scope::All))));
        // Who could not see is no further than before, however often that happens.
        let missed = Instant::now();
        for _ in 0..3 {
            hints.has_not_seen();
            hints.has_looked();
            assert!(matches!(hints.wait(Duration::ZERO), Some(Woken::Names(Scope::All))));
            assert!(behind(&hints) <= missed);
        }
        hints.has_looked();
        assert_eq!(hints.behind(), Duration::ZERO);
    }
}
