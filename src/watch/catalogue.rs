//! The catalogue: which files the configured sources have now, kept true by looking, and who is interested in them.

mod reload;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use self::reload::Before;
pub use self::reload::Configured;
use super::{
    arrivals::{self, Arrival},
    interest::Interest,
    log::Source,
    logfile::{FileId, LogFile, Role},
    pattern::{self, Expansion},
    reconcile::{Change, Known, Seen, Thing, Trouble},
};
use crate::{
    entry::{Offset, cursor::FileKey},
    file::{Stat, archive::Kind, read::is_passing},
    limits::{FORGOTTEN_AFTER, HELD_AGE_MAX, HELD_BYTES_MAX, HELD_FILES_MAX, HELD_FREE_SHARE, LOOKS_UNTIL_STILL_MAX},
    sync::{Mutex, lock},
    telemetry::{SourceLabel, Telemetry},
};

/// Which files somebody wants to be woken for.
type Wanted = Arc<dyn Fn(&LogFile) -> bool + Send + Sync>;

/// The files of all sources.
pub struct Catalogue {
    sources: ArcSwap<Vec<Arc<Source>>>,
    known: Mutex<Known>,
    /// Whether the file system was looked at before.
    scanned: AtomicBool,
    /// Held while looking, so that what is taken in is never older than what is known.
    looking: Mutex<()>,
    /// Whether a directory could not be listed in the last look, or in the one that is going on.
    is_blinded: AtomicBool,
    /// Every path whose events concern a file: its own, and every hop of a symbolic link.
    routes: Mutex<HashMap<PathBuf, Arc<LogFile>>>,
    /// Every hop of symbolic links that lead nowhere yet, and the link that a source claims.
    detours: Mutex<HashMap<PathBuf, PathBuf>>,
    dirs: Mutex<BTreeSet<PathBuf>>,
    /// Directories that events do not cover, and why.
    uncovered: Mutex<HashMap<PathBuf, String>>,
    interests: Mutex<HashMap<String, (Weak<Interest>, Wanted)>>,
    /// Held while the interests learn of their files, so that what they learn last is the latest.
    refreshing: Mutex<()>,
    telemetry: Arc<Telemetry>,
}

/// What to look at.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Everything that the patterns of the sources can match.
    All,
    /// These paths only.
    Paths(HashSet<PathBuf>),
}

impl Catalogue {
    /// The catalogue of `sources`, still empty.
    pub fn new(sources: Vec<Arc<Source>>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            sources: ArcSwap::from_pointee(sources),
            known: Mutex::new(Known::default()),
            scanned: AtomicBool::new(false),
            looking: Mutex::default(),
            is_blinded: AtomicBool::new(false),
            routes: Mutex::default(),
            detours: Mutex::default(),
            dirs: Mutex::default(),
            uncovered: Mutex::default(),
            interests: Mutex::default(),
            refreshing: Mutex::default(),
            telemetry,
        }
    }

    /// The sources in the order of the configuration.
    pub fn sources(&self) -> Arc<Vec<Arc<Source>>> {
        self.sources.load_full()
    }

    /// Whether anybody waits for files.
    pub(super) fn is_awaited(&self) -> bool {
        lock(&self.interests).values().any(|(interest, _)| interest.strong_count() > 0)
    }

    /// The files, for those of this room who look at several at once.
    pub(super) fn known(&self) -> &Mutex<Known> {
        &self.known
    }

    /// Every file that is known.
    pub fn files(&self) -> Vec<Arc<LogFile>> {
        lock(&self.known).files().cloned().collect()
    }

    /// Paths that match but cannot be read as files.
    pub fn troubles(&self) -> Vec<(PathBuf, Trouble)> {
        let known = lock(&self.known);
        known.troubles().iter().map(|(path, trouble)| (path.clone(), trouble.clone())).collect()
    }

    /// The directories in which changes matter, as of the last full look.
    pub fn dirs(&self) -> BTreeSet<PathBuf> {
        lock(&self.dirs).clone()
    }

    /// Says which directories events do not cover, and why.
    pub fn set_uncovered(&self, uncovered: HashMap<PathBuf, String>) {
        *lock(&self.uncovered) = uncovered;
        self.refresh_routes();
    }

    /// Whether there are directories that events do not cover.
    pub fn is_partly_blind(&self) -> bool {
        !lock(&self.uncovered).is_empty()
    }

    /// The file that events at `path` concern.
    pub fn route(&self, path: &Path) -> Option<Arc<LogFile>> {
        lock(&self.routes).get(path).cloned()
    }

    /// The path of a source that leads over `path`, but to no file yet.
    pub fn detour(&self, path: &Path) -> Option<PathBuf> {
        lock(&self.detours).get(path).cloned()
    }

    /// Whether something that is no file yet is known at `path`.
    pub fn is_troubled(&self, path: &Path) -> bool {
        lock(&self.known).troubles().contains_key(path)
    }

    /// Whether a file at `path` would be one of a source's logs, or the past of one.
    pub fn claims(&self, path: &Path) -> bool {
        self.owner(path).is_some()
    }

    /// The source that a file at `path` belongs to, and the live path of its log.
    fn owner(&self, path: &Path) -> Option<(Arc<Source>, PathBuf)> {
        self.sources.load().iter().find_map(|source| {
            let is_log = |live: &Path| lock(&self.known).has_log(&source.name, live) || live.exists();
            Some((source.clone(), source.settings().log_of(path, is_log)?))
        })
    }

    /// The interest in the files that `wanted` names; everybody with the same `key` shares it.
    pub fn interest(&self, key: &str, wanted: impl Fn(&LogFile) -> bool + Send + Sync + 'static) -> Arc<Interest> {
        let mut interests = lock(&self.interests);
        if let Some(interest) = interests.get(key).and_then(|(interest, _)| interest.upgrade()) {
            return interest;
        }
        interests.retain(|_, (interest, _)| interest.strong_count() > 0);
        let wanted: Wanted = Arc::new(wanted);
        let interest = Interest::new(self.wanted_members(&wanted));
        join(&interest);
        interests.insert(key.to_owned(), (Arc::downgrade(&interest), wanted));
        interest
    }

    /// Every interest that somebody still holds.
    pub fn interests(&self) -> Vec<Arc<Interest>> {
        lock(&self.interests).values().filter_map(|(interest, _)| interest.upgrade()).collect()
    }

    /// Looks at the file system and takes in what changed. May wait for disks.
    ///
    /// Returns the files that joined or lost their place, so that they can be looked at first; nothing when a directory could
    /// not be listed for now: then nothing has changed here, and there is still to be looked.
    pub fn scan(&self, scope: &Scope) -> Option<Vec<Arc<LogFile>>> {
        let _looking = lock(&self.looking);
        self.look(scope, None)
    }

    /// Does so, while `looking` is held. `before` is what was in force when this is the first look under other sources.
    fn look(&self, scope: &Scope, before: Option<&Before>) -> Option<Vec<Arc<LogFile>>> {
        let is_first = !self.scanned.swap(true, Ordering::AcqRel);
        let was_blinded = self.is_blinded.swap(false, Ordering::AcqRel);
        let mut seen = match scope {
            Scope::All if is_first => until_still(|| self.look_at_all()),
            Scope::All => self.look_at_all(),
            Scope::Paths(paths) => until_still(|| self.look_at_logs_of(paths)),
        };
        let is_blinded = self.is_blinded.load(Ordering::Acquire);
        match (was_blinded, is_blinded) {
            (false, true) => tracing::warn!("directories cannot be listed for now; they are looked at again"),
            (true, false) => tracing::info!("directories can be listed again"),
            (true, true) | (false, false) => {}
        }
        // What is not seen would be taken for gone. Under other sources nothing that is known counts, though.
        if is_blinded && !is_first && before.is_none() {
            return None;
        }
        let now = super::now();
        for seen in seen.iter_mut().filter(|_| is_first) {
            seen.arrival = Arrival::first(seen, now);
        }
        // What an old file holds at this moment is what comes before its successor, and what its copies are known by.
        for seen in &seen {
            let displaced = lock(&self.known).at(&seen.path).cloned();
            if let Some(file) = displaced
                && !matches!(&seen.thing, Thing::File(stat) if stat.identity == file.identity)
                && file.is_waited_on()
            {
                if let Err(error) = file.check_blocking() {
                    tracing::debug!(path = %seen.path.display(), %error, "cannot look at a displaced file");
                }
                file.settle();
            }
        }
        let is_watched = |path: &Path| !is_first && before.is_none_or(|before| before.claimed(path));
        for seen in seen.iter_mut().filter(|seen| is_watched(&seen.log)) {
            seen.arrival = self.arrival(seen);
        }
        let changes = lock(&self.known).take_in(seen);
        for change in &changes {
            let Change::Added(file, arrival) = change else { continue };
            if let Arrival::Copy(original, generation) = arrival
                && let Err(error) = arrivals::take_for_copy(file, Some((original, *generation)))
            {
                tracing::debug!(path = %file.path().display(), %error, "a copy cannot be kept open");
            }
            // Opened before it can vanish, and its end known before its successor is met.
            if file.role() == Role::Rotated && !file.is_undecided() && file.measure().is_ok() {
                file.settle();
            }
            if let Some(before) = before
                && file.role() == Role::Live
                && (before.head(file).is_some() || !before.claimed(&file.log.path))
            {
                self.begin_behind(file, before);
            }
        }
        if changes.is_empty() && !matches!(scope, Scope::All) {
            return Some(Vec::new());
        }
        self.refresh_routes();
        self.refresh_interests();
        if !is_first {
            arrivals::first_looks(&changes);
        }
        Some(changes.into_iter().filter_map(|change| self.told(change)).collect())
    }

    /// Looks again at all that lies where these logs do, also at what it is not known of what it holds. Returns what
    /// [`scan`](Self::scan) does, and may wait for disks.
    pub fn look_again(&self, logs: HashSet<PathBuf>) -> Option<Vec<Arc<LogFile>>> {
        let mut changed = self.scan(&Scope::Paths(logs))?;
        changed.extend(self.decide().0);
        Some(changed)
    }

    /// Forgets files that no name leads to and that nobody waits for or reads.
    pub fn prune(&self) {
        self.refresh_interests();
        let mut known = lock(&self.known);
        // Two references are the catalogue's own: by number and by identity.
        let unused = |file: &&Arc<LogFile>| {
            file.role() == Role::Gone && file.displaced_for() > FORGOTTEN_AFTER && Arc::strong_count(file) <= 2
        };
        let gone: Vec<_> = known.files().filter(unused).cloned().collect();
        gone.iter().for_each(|file| known.forget(file));
    }

    /// Lets those wait for a file again who were told that nothing more would come.
    pub fn revive(&self, file: &LogFile) {
        file.revive();
        self.refresh_interests();
    }

    /// Closes deleted files that are held for subscribers that lag, where they are too many, too old or too large, or
    /// the disk needs the room. What was not read of them is lost, and said to be.
    pub fn release_held(&self) {
        let mut held = Vec::new();
        for file in self.files() {
            let Some(handle) =
                file.opened().filter(|_| file.role() == Role::Gone && (file.has_readers() || file.is_waited_on()))
            else {
                continue;
            };
            if let Ok((size, _, 0)) = handle.size_and_mtime() {
                held.push((file.displaced_for(), size.0, low_on_space(handle.file()), file));
            }
        }
        held.sort_by_key(|(age, ..)| *age);
        let (mut count, mut bytes) = (0, 0);
        for (age, size, low, file) in held {
            if low || age > HELD_AGE_MAX || count + 1 > HELD_FILES_MAX || bytes + size > HELD_BYTES_MAX {
                tracing::error!(path = %file.log.path.display(), size, "let go of a deleted file that was not read whole");
                file.close();
                file.set_lost(Offset(size));
                file.wake();
            } else {
                (count, bytes) = (count + 1, bytes + size);
            }
        }
        self.telemetry.held_deleted_bytes.set(bytes as i64);
    }

    /// Closes the files that nobody waits for.
    pub fn close_unused(&self) {
        self.files().iter().for_each(|file| file.release_copies());
        for file in
            self.files().iter().filter(|file| file.opened().is_some() && !file.is_waited_on() && !file.has_readers())
        {
            file.close();
        }
    }

    /// Sets the gauges that count files.
    pub fn measure(&self) {
        let files = self.files();
        self.telemetry.open_files.set(files.iter().filter(|file| file.opened().is_some()).count() as i64);
        for source in self.sources.load().iter() {
            let count = files.iter().filter(|file| Arc::ptr_eq(&file.log.source, source)).count();
            let label = SourceLabel { source: source.name.clone() };
            self.telemetry.files.get_or_create(&label).set(count as i64);
            drop(self.telemetry.read_errors.get_or_create(&label));
            drop(self.telemetry.bytes_read.get_or_create(&label));
        }
    }

    fn look_at_all(&self) -> Vec<Seen> {
        let (mut all, mut taken): (_, Vec<(Arc<Source>, PathBuf)>) = (Expansion::default(), Vec::new());
        for source in self.sources.load().iter() {
            let settings = source.settings();
            let mut found = Expansion { dirs: std::mem::take(&mut all.dirs), ..Expansion::default() };
            settings.patterns.iter().for_each(|pattern| pattern.expand(&mut found));
            for (dir, error) in &found.errors {
                tracing::warn!(source = source.name, dir = %dir.display(), %error, "cannot list a directory");
                self.note_listing(error);
            }
            all.dirs = std::mem::take(&mut found.dirs);
            for path in found.paths {
                if !settings.excludes(&path) && all.paths.insert(path.clone()) {
                    taken.push((source.clone(), path));
                }
            }
        }
        // Also where there is no log right now: between the two steps of a rotation there is only its past.
        let siblings = all.dirs.iter().flat_map(|dir| self.names_in(dir));
        let rotated = siblings.filter(|path| !all.paths.contains(path)).filter(|path| self.owner(path).is_some());
        let rotated: Vec<PathBuf> = rotated.collect();
        all.paths.extend(rotated.iter().cloned());
        let before: Vec<PathBuf> = lock(&self.known).paths().cloned().collect();
        let vanished = before.into_iter().filter(|path| !all.paths.contains(path)).collect::<Vec<_>>();
        let mut seen: Vec<Seen> = taken.into_iter().map(|(source, path)| self.see(source, path)).collect();
        seen.extend(rotated.iter().chain(&vanished).filter_map(|path| self.look_at(path)));
        for seen in &seen {
            for hop in pattern::hops(&seen.path) {
                all.dirs.insert(pattern::existing_ancestor(&hop));
            }
        }
        *lock(&self.dirs) = all.dirs;
        seen
    }

    /// Looks at paths whose names may have changed, and at all else of the logs that they belong to: the order of a
    /// rotation's steps is only seen from all of its names together.
    fn look_at_logs_of(&self, paths: &HashSet<PathBuf>) -> Vec<Seen> {
        let mut wanted: BTreeSet<PathBuf> = paths.iter().cloned().collect();
        let owned = paths.iter().filter_map(|path| self.owner(path));
        let logs: BTreeSet<PathBuf> =
            owned.filter(|(source, _)| source.settings().archives).map(|(_, log)| log).collect();
        for dir in logs.iter().filter_map(|log| log.parent()).collect::<BTreeSet<_>>() {
            let of_logs = |path: &PathBuf| self.owner(path).is_some_and(|(_, log)| logs.contains(&log));
            wanted.extend(self.names_in(dir).into_iter().filter(of_logs));
        }
        let known: Vec<_> = lock(&self.known).files().filter(|file| logs.contains(&file.log.path)).cloned().collect();
        wanted.extend(known.iter().filter(|file| file.role() != Role::Gone).map(|file| file.path()));
        wanted.extend(logs);
        let mut seen: Vec<Seen> = wanted.iter().filter_map(|path| self.look_at(path)).collect();
        // Where a file was known to lie that has turned up elsewhere, another one may lie by now, or nothing.
        loop {
            let left: BTreeSet<PathBuf> =
                seen.iter().filter_map(|seen| self.left_for(seen)).filter(|path| !wanted.contains(path)).collect();
            if left.is_empty() {
                return seen;
            }
            seen.extend(left.iter().filter_map(|path| self.look_at(path)));
            wanted.extend(left);
        }
    }

    /// The path at which what was seen was known to lie, if that is another one.
    fn left_for(&self, seen: &Seen) -> Option<PathBuf> {
        let Thing::File(stat) = &seen.thing else { return None };
        let before = lock(&self.known).place_of(&stat.identity)?;
        Some(before).filter(|before| *before != seen.path)
    }

    /// The files in a directory, by name; none when it cannot be listed, which is told elsewhere.
    fn names_in(&self, dir: &Path) -> Vec<PathBuf> {
        let listed = fs::read_dir(dir).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let listed = listed.inspect_err(|error| self.note_listing(error));
        listed.into_iter().flatten().map(|entry| entry.path()).collect()
    }

    /// Notes that a directory could not be listed, if that tells nothing of what is in it.
    fn note_listing(&self, error: &io::Error) {
        if is_passing(error) {
            tracing::debug!(%error, "cannot list a directory");
            self.is_blinded.store(true, Ordering::Release);
        }
    }

    fn look_at(&self, path: &Path) -> Option<Seen> {
        // A file may lie where no pattern reaches, moved there; then only its own absence is news.
        let of_known = || lock(&self.known).at(path).map(|file| (file.log.source.clone(), file.log.path.clone()));
        let (source, log) = self.owner(path).or_else(of_known)?;
        Some(Seen { log, ..self.see(source, path.to_path_buf()) })
    }

    fn see(&self, source: Arc<Source>, path: PathBuf) -> Seen {
        let log = self.owner(&path).map_or_else(|| path.clone(), |(_, log)| log);
        let plain = Kind::of_name(&path).filter(|_| log != path).map(|_| path.with_extension(""));
        // As long as the plain sibling is there it may still be in the making, and nobody needs it.
        let thing = if plain.is_some_and(|plain| plain.exists()) { Thing::Nothing } else { thing_at(&path) };
        Seen { path, source, log, arrival: Arrival::Known, thing }
    }

    fn refresh_routes(&self) {
        let files = self.files();
        let mut routes = HashMap::with_capacity(files.len());
        for file in files {
            if file.role() == Role::Gone {
                continue;
            }
            let mut route = pattern::hops(&file.path());
            route.push(file.path());
            file.set_blind(self.why_blind(&route));
            routes.extend(route.into_iter().map(|path| (path, file.clone())));
        }
        *lock(&self.routes) = routes;
        let troubled: Vec<PathBuf> = lock(&self.known).troubles().keys().cloned().collect();
        let detours =
            troubled.into_iter().flat_map(|path| pattern::hops(&path).into_iter().map(move |hop| (hop, path.clone())));
        *lock(&self.detours) = detours.collect();
    }

    /// Why events do not tell of every change of the file that these paths lead to, if so.
    fn why_blind(&self, route: &[PathBuf]) -> Option<String> {
        let uncovered = lock(&self.uncovered);
        let dirs = lock(&self.dirs);
        route.iter().find_map(|path| {
            let dir = path.parent()?;
            match uncovered.get(dir) {
                Some(why) => Some(why.clone()),
                None => (!dirs.contains(dir)).then(|| format!("{} is not watched", dir.display())),
            }
        })
    }

    pub(super) fn refresh_interests(&self) {
        let _refreshing = lock(&self.refreshing);
        let interests: Vec<_> = {
            let interests = lock(&self.interests);
            interests.values().filter_map(|(interest, wanted)| Some((interest.upgrade()?, wanted.clone()))).collect()
        };
        for (interest, wanted) in interests {
            let (before, members) = (interest.members(), self.wanted_members(&wanted));
            if before.len() == members.len() && before.iter().zip(&members).all(|(a, b)| Arc::ptr_eq(a, b)) {
                continue;
            }
            let kept: HashSet<FileId> = members.iter().map(|file| file.id).collect();
            interest.set_members(members);
            join(&interest);
            before.iter().filter(|file| !kept.contains(&file.id)).for_each(|file| file.remove_interest(&interest));
        }
    }

    fn wanted_members(&self, wanted: &Wanted) -> Vec<Arc<LogFile>> {
        lock(&self.known).files().filter(|file| !file.is_undecided() && wanted(file)).cloned().collect()
    }

    fn told(&self, change: Change) -> Option<Arc<LogFile>> {
        match change {
            Change::Added(file, _) => {
                tracing::info!(source = file.log.source.name, path = %file.path().display(), "file found");
                Some(file)
            }
            Change::Displaced(file, from) => {
                let (source, role) = (&file.log.source.name, file.role());
                // A rotation moves all that was rotated before, which is nothing to be told of.
                if from == file.log.path {
                    tracing::info!(source, path = %from.display(), now = ?role, "file left its path");
                } else {
                    tracing::debug!(source, path = %from.display(), now = ?role, "file left its path");
                }
                Some(file)
            }
            Change::Troubled(path, trouble) => {
                tracing::warn!(source = trouble.source, path = %path.display(), why = trouble.why, "not read");
                None
            }
        }
    }
}

/// Whether the file system that a file is on has hardly any room left.
fn low_on_space(file: &fs::File) -> bool {
    rustix::fs::fstatvfs(file).is_ok_and(|stat| stat.f_bavail < stat.f_blocks / HELD_FREE_SHARE)
}

fn join(interest: &Arc<Interest>) {
    for file in interest.members().iter() {
        file.add_interest(interest);
    }
}

/// What lies at a path.
fn thing_at(path: &Path) -> Thing {
    match Stat::of_path(path) {
        Ok(stat) if stat.regular => Thing::File(stat),
        Ok(_) => Thing::Trouble(format!("is {}, no regular file", kind_of(path))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Thing::Trouble("is a symbolic link that leads nowhere".to_owned()),
            Err(_) => Thing::Nothing,
        },
        Err(error) => Thing::Trouble(error.to_string()),
    }
}

fn kind_of(path: &Path) -> &'static str {
    match fs::metadata(path).map(|meta| meta.file_type()) {
        Ok(kind) if kind.is_dir() => "a directory",
        Ok(kind) if kind.is_fifo() => "a FIFO",
        Ok(kind) if kind.is_socket() => "a socket",
        Ok(kind) if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}
/// Looks again until nothing has moved meanwhile. A rotation moves files from names that were not looked at yet to names
/// that were: who is not seen at the first look would be taken for new at the next one, and who is seen later than its
/// successor is sent after it.
fn until_still(look: impl Fn() -> Vec<Seen>) -> Vec<Seen> {
    let mut seen = look();
    for _ in 0..LOOKS_UNTIL_STILL_MAX {
        let before = places(&seen);
        seen = look();
        if places(&seen) == before {
            break;
        }
    }
    seen
}

/// Which file lies at which path.
fn places(seen: &[Seen]) -> BTreeMap<PathBuf, Option<FileKey>> {
    let key = |thing: &Thing| match thing {
        Thing::File(stat) => Some(stat.identity.key),
        Thing::Trouble(_) | Thing::Nothing => None,
    };
    seen.iter().map(|seen| (seen.path.clone(), key(&seen.thing))).collect()
}
