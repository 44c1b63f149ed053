//! A configured source, and its logs: live paths with all files that were ever behind them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    logfile::LogFile,
    pattern::{self, NameGlob, Pattern},
};
use crate::{
    entry::{cursor::Lineage, encode::FilePart},
    file::lineage,
    parse::Rules,
    sync::{Mutex, lock},
};

/// A configured source: a name that stays, and what the configuration says of it at the time.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: String,
    settings: ArcSwap<Numbered>,
}

/// Settings with a number that no others of the source have.
#[derive(Debug)]
struct Numbered {
    number: u32,
    settings: Arc<Settings>,
}

/// What the configuration says of a source, compiled.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which paths are its live logs.
    pub patterns: Vec<Pattern>,
    /// Live paths that are not, although they match.
    pub exclude: Vec<NameGlob>,
    /// How its records are parsed.
    pub rules: Arc<Rules>,
    /// Bytes kept of one line.
    pub line_max: usize,
    /// Whether rotated siblings of a live log are its past.
    pub archives: bool,
}

impl Source {
    /// A source with these settings.
    pub fn new(name: String, settings: Settings) -> Self {
        Self { name, settings: ArcSwap::from_pointee(Numbered { number: 0, settings: Arc::new(settings) }) }
    }

    /// What the configuration says of it now. Who reads takes it once, so that one piece of work keeps to one of them.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load().settings.clone()
    }

    /// The number of the settings, by which what was read under others is told apart.
    pub fn settings_number(&self) -> u32 {
        self.settings.load().number
    }

    /// Puts other settings in force, for all that is read from here on.
    pub(super) fn set_settings(&self, settings: Arc<Settings>) {
        let number = self.settings_number() + 1;
        self.settings.store(Arc::new(Numbered { number, settings }));
    }
}

impl Settings {
    /// Whether `path` is one of its live logs, if it exists.
    pub fn claims(&self, path: &Path) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(path)) && !self.excludes(path)
    }

    /// The live path of the log that a file at `path` belongs to, if it is one of this source's: the path itself, or
    /// that of the log whose rotated file it is by its name. `is_log` tells whether there is a log at a path.
    pub fn log_of(&self, path: &Path, is_log: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let claimed = self.claims(path);
        if !self.archives {
            return claimed.then(|| path.to_path_buf());
        }
        let lives = path.file_name().map(lineage::possible_lives).unwrap_or_default();
        let claims_live = |live: &PathBuf| self.claims(live);
        let mut lives = lives.into_iter().map(|live| path.with_file_name(live)).filter(claims_live);
        if claimed {
            // By its name alone it may as well be a log of its own.
            return Some(lives.find(|live| is_log(live)).unwrap_or_else(|| path.to_path_buf()));
        }
        let lives: Vec<_> = lives.collect();
        lives.iter().find(|live| is_log(live)).or(lives.first()).cloned()
    }

    /// Whether the live path is kept out.
    pub fn excludes(&self, path: &Path) -> bool {
        self.exclude.iter().any(|glob| glob.matches(path))
    }
}

/// A log: a live path of a source, and all files that were ever behind it.
#[derive(Debug)]
pub struct Log {
    /// The source.
    pub source: Arc<Source>,
    /// The live path.
    pub path: PathBuf,
    /// The two as cursors carry them.
    pub lineage: Lineage,
    /// The two as entries carry them.
    pub part: FilePart,
    /// Its files, the oldest first.
    files: Mutex<Vec<Weak<LogFile>>>,
    /// How often it was said that it is not known yet what one of them holds, and of how many of these times it is known by
    /// now: who asks at every turn need not look at each file.
    undecided: AtomicU64,
    decided: AtomicU64,
}

impl Log {
    /// The log at `path` in `source`.
    pub fn new(source: Arc<Source>, path: PathBuf) -> Self {
        let bytes = pattern::bytes(&path);
        let (lineage, part) = (Lineage::of(&source.name, bytes), FilePart::new(&source.name, bytes));
        let files = Mutex::default();
        Self { source, path, lineage, part, files, undecided: AtomicU64::new(0), decided: AtomicU64::new(0) }
    }

    /// Its files that are known, the oldest first.
    pub fn files(&self) -> Vec<Arc<LogFile>> {
        lock(&self.files).iter().filter_map(Weak::upgrade).collect()
    }

    /// Says that it is not known yet what one of its files holds.
    pub(super) fn has_undecided(&self) {
        self.undecided.fetch_add(1, Ordering::AcqRel);
    }

    /// Its files of which it is not known yet what they hold.
    pub(super) fn undecided(&self) -> Vec<Arc<LogFile>> {
        // Before they are looked at: one that joins them meanwhile counts anew.
        let told = self.undecided.load(Ordering::Acquire);
        if self.decided.load(Ordering::Acquire) == told {
            return Vec::new();
        }
        let undecided: Vec<_> = self.files().into_iter().filter(|file| file.is_undecided()).collect();
        if undecided.is_empty() {
            self.decided.fetch_max(told, Ordering::AcqRel);
        }
        undecided
    }

    /// Takes in a file at the place in the order that `place` finds among the known ones.
    pub(super) fn insert(&self, file: &Arc<LogFile>, place: impl FnOnce(&[Arc<LogFile>]) -> usize) {
        let mut files = lock(&self.files);
        files.retain(|known| known.strong_count() > 0);
        let known: Vec<_> = files.iter().filter_map(Weak::upgrade).collect();
        let place = place(&known).min(known.len());
        let ordinal = place.checked_sub(1).map_or(0, |before| known[before].ordinal() + 1);
        // From the end, so that whoever compares two files meanwhile finds them in their order.
        let crowded = known[place..].iter().zip(ordinal..).take_while(|(after, next)| after.ordinal() == *next).count();
        known[place..place + crowded].iter().rev().for_each(|after| after.set_ordinal(after.ordinal() + 1));
        file.set_ordinal(ordinal);
        *files = known[..place].iter().chain([file]).chain(&known[place..]).map(Arc::downgrade).collect();
    }
}
