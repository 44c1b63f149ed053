//! The logs as they are on the disk, and what is known of them: which bytes were ever written, in which order, and where
//! they still are.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use logtap::{entry::cursor::FileKey, file::Stat};
use tempfile::TempDir;

use crate::action::{Random, Squeeze};

/// Names of logs, in the order in which they come to be.
const LOGS: [(&str, Style); 5] = [
    ("num.log", Style::Numbered),
    ("date.log", Style::Dated),
    ("link.log", Style::Link),
    ("later.log", Style::Numbered),
    ("latest.log", Style::Dated),
];
/// Rotated files that a log keeps.
const KEPT: usize = 3;

/// How a log is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `.1`, `.2`, each one further with every rotation.
    Numbered,
    /// `-20260102`.
    Dated,
    /// A symbolic link that leads elsewhere.
    Link,
}

/// A content, from the moment at which its file was made or began anew: its number in the world, in order.
pub type Gen = usize;

/// What one file held from its beginning on.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub log: usize,
    /// Who the file is.
    pub key: FileKey,
    pub bytes: Vec<u8>,
    /// Whether nobody is expected to write to it any more.
    pub finished: bool,
    /// The content that took its place in the very file, if one did.
    pub overwritten_by: Option<Gen>,
    /// Whether its log's path leads to it no longer.
    pub displaced: bool,
    /// The daemon under which it was displaced.
    pub displaced_in: u32,
    /// The daemon under which a copy of it was made, if one was.
    pub copied_in: Option<u32>,
    /// The daemon under which the last file that held it was deleted.
    pub dropped_in: Option<u32>,
    /// How much of it was there when it was displaced.
    pub seam: usize,
    /// Whether it was written to after that.
    late: bool,
    /// When it was written to last.
    changed: u64,
}

impl Content {
    /// The end of the last whole line.
    pub fn head(&self) -> usize {
        head_of(&self.bytes)
    }

    /// Up to where a reader gets it.
    pub fn limit(&self) -> usize {
        if self.finished { self.bytes.len() } else { self.head() }
    }
}

pub fn head_of(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}

/// A rotated file.
#[derive(Clone, Debug)]
pub struct Old {
    pub generation: Gen,
    pub path: PathBuf,
    /// Whether it is the very file that was live.
    pub original: bool,
    pub squeezed: bool,
}

pub struct Log {
    pub name: &'static str,
    pub style: Style,
    pub live: Option<Gen>,
    /// The rotated files, the newest first.
    pub old: Vec<Old>,
    days: u32,
    targets: u32,
    lines: u32,
    /// What every file of the log begins with, in its first line: a place behind a banner alone would be in all of them.
    banner: Vec<u8>,
}

pub struct World {
    dir: TempDir,
    pub logs: Vec<Log>,
    pub contents: Vec<Content>,
    /// Seconds since the epoch, as the files and the cursors have it: it moves with every action.
    pub clock: u64,
    /// Counts the daemons.
    pub epoch: u32,
    banner: usize,
}

impl World {
    pub fn new(random: &mut Random) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("data")).expect("a directory");
        let banner = [0, 0, 90, 1_500][random.below(4) as usize];
        let (logs, contents) = (Vec::new(), Vec::new());
        let mut new = Self { dir, logs, contents, clock: 1_767_225_600, epoch: 0, banner };
        (0..3).for_each(|_| {
            new.new_log();
        });
        new
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn live_path(&self, log: usize) -> PathBuf {
        self.path(self.logs[log].name)
    }

    pub fn log_at(&self, path: &str) -> Option<usize> {
        (0..self.logs.len()).find(|log| self.live_path(*log) == Path::new(path))
    }

    /// Whether there was another log to make.
    pub fn new_log(&mut self) -> bool {
        let Some((name, style)) = LOGS.get(self.logs.len()).copied() else { return false };
        let mut banner = name.as_bytes().to_vec();
        banner.resize(self.banner, b'=');
        self.logs.push(Log { name, style, live: None, old: Vec::new(), days: 0, targets: 0, lines: 0, banner });
        true
    }

    pub fn tick(&mut self) {
        self.clock += 10;
    }

    /// Every content of a log that can still be read somewhere, the oldest first.
    pub fn surviving(&self, log: usize) -> Vec<Gen> {
        let log = &self.logs[log];
        log.old.iter().rev().map(|old| old.generation).chain(log.live).collect()
    }

    /// Whether a file of the log was still written to when another one had taken its place.
    pub fn is_crossed(&self, log: usize) -> bool {
        self.surviving(log).into_iter().any(|content| self.contents[content].late)
    }

    // ---- Writing ----

    /// Whole lines at the end of the live file, which is made if there is none.
    pub fn append(&mut self, log: usize, lines: usize, random: &mut Random) {
        let generation = self.live(log);
        let mut text = Vec::new();
        if self.contents[generation].bytes.is_empty() && random.one_in(2) {
            text.extend_from_slice(&self.logs[log].banner);
        }
        (0..lines).for_each(|_| self.put_line(log, random, &mut text));
        self.write(generation, &self.live_path(log), &text);
    }

    /// The beginning of a line, or more of one.
    pub fn append_part(&mut self, log: usize, random: &mut Random) {
        let generation = self.live(log);
        let mut text = Vec::new();
        self.put_line(log, random, &mut text);
        text.pop();
        while text.last() == Some(&b'\r') {
            text.pop();
        }
        self.write(generation, &self.live_path(log), &text);
    }

    /// More for the file that was rotated last; false when there is none that is written as it was.
    pub fn append_late(&mut self, log: usize, whole: bool, random: &mut Random) -> bool {
        let epoch = self.epoch;
        let is_open = |old: &&Old| {
            let content = &self.contents[old.generation];
            old.original && !old.squeezed && content.displaced_in == epoch
        };
        let Some(old) = self.logs[log].old.first().filter(is_open).cloned() else { return false };
        let mut text = Vec::new();
        self.put_line(log, random, &mut text);
        if !whole {
            text.truncate(text.len() / 2);
        }
        let content = &mut self.contents[old.generation];
        (content.finished, content.late) = (false, true);
        self.write(old.generation, &old.path, &text);
        true
    }

    fn put_line(&mut self, log: usize, random: &mut Random, text: &mut Vec<u8>) {
        let log = &mut self.logs[log];
        log.lines += 1;
        write!(text, "{} {}", log.name, log.lines).expect("a vector takes everything");
        let padding = match random.below(60) {
            0 => 20_000,
            1..5 => 700,
            _ => random.below(80) as usize,
        };
        text.resize(text.len() + padding, b'.');
        match random.below(12) {
            0 => text.extend_from_slice(b" \xff\xfe"),
            1 => text.extend_from_slice(" ☃".as_bytes()),
            2 => text.extend_from_slice(b" \0"),
            3 => text.extend_from_slice(b"\r"),
            _ => {}
        }
        text.push(b'\n');
    }

    /// The content that is live, made if there is none.
    pub fn live(&mut self, log: usize) -> Gen {
        if let Some(live) = self.logs[log].live {
            return live;
        }
        let path = match self.logs[log].style {
            Style::Numbered | Style::Dated => self.live_path(log),
            Style::Link => self.new_target(log),
        };
        File::create_new(&path).expect("there is none");
        if self.logs[log].style == Style::Link {
            symlink(&path, self.live_path(log)).expect("there is none");
        }
        self.begin(log)
    }

    fn new_target(&mut self, log: usize) -> PathBuf {
        self.logs[log].targets += 1;
        self.path(format!("data/{}-{}", self.logs[log].name, self.logs[log].targets))
    }

    /// A new content at the live path.
    fn begin(&mut self, log: usize) -> Gen {
        let (generation, path) = (self.contents.len(), self.live_path(log));
        let key = Stat::of_path(&path).expect("it is there").identity.key;
        self.contents.push(Content { log, key, changed: self.clock, ..Content::default() });
        self.logs[log].live = Some(generation);
        self.stamp(&path);
        generation
    }

    fn write(&mut self, generation: Gen, path: &Path, text: &[u8]) {
        let mut file = OpenOptions::new().append(true).open(path).expect("it is there");
        file.write_all(text).expect("there is room");
        self.contents[generation].bytes.extend_from_slice(text);
        self.contents[generation].changed = self.clock;
        self.stamp(path);
    }

    /// Changed now, by the world's clock.
    fn stamp(&self, path: &Path) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.clock);
        File::open(path).and_then(|file| file.set_modified(now)).expect("it is there");
    }

    fn displace(&mut self, generation: Gen) {
        let epoch = self.epoch;
        let content = &mut self.contents[generation];
        (content.displaced, content.displaced_in, content.seam) = (true, epoch, content.head());
    }

    // ---- Rotation ----

    /// Moves the rotated files on, and returns the name for a new one; the oldest is deleted where there are too many.
    fn make_room(&mut self, log: usize) -> PathBuf {
        let live = self.live_path(log);
        let log = &mut self.logs[log];
        while log.old.len() >= KEPT {
            let oldest = log.old.pop().expect("there are some");
            self.contents[oldest.generation].dropped_in = Some(self.epoch);
            fs::remove_file(&oldest.path).expect("it is there");
        }
        let named = |tag: String| PathBuf::from(format!("{}{tag}", live.display()));
        if log.style == Style::Dated {
            log.days += 1;
            return named(format!("-202601{:02}", log.days % 28 + 1).replace("202601", &month(log.days)));
        }
        for (index, old) in log.old.iter_mut().enumerate().rev() {
            let extension = old.path.extension().filter(|_| old.squeezed).map(|end| format!(".{}", end.display()));
            let path = named(format!(".{}{}", index + 2, extension.unwrap_or_default()));
            fs::rename(&old.path, &path).expect("it is there");
            old.path = path;
        }
        named(".1".to_owned())
    }

    /// Renames the live file; false when there is none that could be.
    pub fn rotate(&mut self, log: usize) -> bool {
        let Some(generation) = self.logs[log].live.filter(|_| self.logs[log].style != Style::Link) else {
            return false;
        };
        // A successor that changed before what it succeeds did is not known for one.
        let before = self.logs[log].old.first().map(|old| self.contents[old.generation].changed);
        if before.is_some_and(|before| before > self.contents[generation].changed) {
            return false;
        }
        let path = self.make_room(log);
        fs::rename(self.live_path(log), &path).expect("it is there");
        self.displace(generation);
        let log = &mut self.logs[log];
        log.live = None;
        log.old.insert(0, Old { generation, path, original: true, squeezed: false });
        true
    }

    /// Whether the live file can be copied and truncated: the first step, which copies.
    pub fn copy(&mut self, log: usize) -> bool {
        let Some(generation) = self.logs[log].live.filter(|_| self.logs[log].style != Style::Link) else {
            return false;
        };
        let path = self.make_room(log);
        fs::copy(self.live_path(log), &path).expect("it is there");
        self.stamp(&path);
        self.contents[generation].copied_in = Some(self.epoch);
        self.logs[log].old.insert(0, Old { generation, path, original: false, squeezed: false });
        true
    }

    /// Truncates the live file; false when there is none.
    pub fn truncate(&mut self, log: usize) -> bool {
        let Some(generation) = self.logs[log].live else { return false };
        File::options().write(true).open(self.live_path(log)).and_then(|file| file.set_len(0)).expect("it is there");
        self.displace(generation);
        self.contents[generation].overwritten_by = Some(self.contents.len());
        self.begin(log);
        true
    }

    /// Truncates the live file and writes more than was in it; false when it has no line.
    pub fn outgrow(&mut self, log: usize, random: &mut Random) -> bool {
        let Some(before) = self.logs[log].live.map(|live| self.contents[live].bytes.len()) else { return false };
        if self.contents[self.logs[log].live.expect("it was there")].head() == 0 {
            return false;
        }
        self.truncate(log);
        let generation = self.live(log);
        let mut text = Vec::new();
        while text.len() < before {
            self.put_line(log, random, &mut text);
        }
        self.write(generation, &self.live_path(log), &text);
        true
    }

    /// Deletes the live file; false when there is none.
    pub fn delete(&mut self, log: usize) -> bool {
        let Some(generation) = self.logs[log].live.take() else { return false };
        let path = self.live_path(log);
        let target = fs::canonicalize(&path).expect("it is there");
        fs::remove_file(&path).expect("it is there");
        if target.exists() {
            fs::remove_file(target).expect("it is there");
        }
        self.displace(generation);
        true
    }

    /// Points the link elsewhere, to a file with a line.
    pub fn retarget(&mut self, log: usize, random: &mut Random) -> bool {
        let Some(generation) = self.logs[log].live.filter(|_| self.logs[log].style == Style::Link) else {
            return false;
        };
        self.displace(generation);
        let target = self.new_target(log);
        File::create_new(&target).expect("there is none");
        let link = self.path("data/link");
        symlink(&target, &link).expect("there is none");
        fs::rename(link, self.live_path(log)).expect("it is there");
        self.begin(log);
        self.append(log, 1, random);
        true
    }

    /// Compresses the oldest rotated file that is not yet, leaving it where it is; false when there is none.
    pub fn squeeze(&mut self, log: usize, how: Squeeze) -> Option<usize> {
        let can_be = |old: &Old| !old.squeezed && self.contents[old.generation].head() > 0;
        let index = self.logs[log].old.iter().rposition(can_be)?;
        let old = &self.logs[log].old[index];
        let bytes = &self.contents[old.generation].bytes;
        let (packed, extension) = match how {
            Squeeze::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).expect("a vector takes everything");
                (encoder.finish().expect("a vector takes everything"), "gz")
            }
            Squeeze::Zstd => {
                let mut packed = vec![0; zstd_safe::compress_bound(bytes.len())];
                let len = zstd_safe::compress(packed.as_mut_slice(), bytes, 1).expect("there is room");
                packed.truncate(len);
                (packed, "zst")
            }
        };
        let changed = fs::metadata(&old.path).and_then(|meta| meta.modified()).expect("it is there");
        let path = PathBuf::from(format!("{}.{extension}", old.path.display()));
        fs::write(&path, packed).expect("there is room");
        File::open(&path).and_then(|file| file.set_modified(changed)).expect("it is there");
        Some(index)
    }

    /// Deletes what was compressed.
    pub fn drop_plain(&mut self, log: usize, index: usize, how: Squeeze) {
        let extension = match how {
            Squeeze::Gzip => "gz",
            Squeeze::Zstd => "zst",
        };
        let old = &mut self.logs[log].old[index];
        fs::remove_file(&old.path).expect("it is there");
        old.path = PathBuf::from(format!("{}.{extension}", old.path.display()));
        (old.squeezed, old.original) = (true, false);
    }

    /// Every file that is no longer live is finished: it has been quiet for long enough.
    pub fn age(&mut self) {
        self.contents.iter_mut().filter(|content| content.displaced).for_each(|content| content.finished = true);
    }

    /// What lies where, to be told with a failure.
    pub fn picture(&self) -> String {
        let mut picture = String::new();
        for log in &self.logs {
            picture += &format!("{}: live {:?}, old", log.name, log.live);
            for old in &log.old {
                let name = old.path.file_name().unwrap_or_default().display();
                picture += &format!(" {name}={}{}", old.generation, if old.original { "" } else { "c" });
            }
            picture.push('\n');
        }
        let lens: BTreeMap<Gen, String> = self
            .contents
            .iter()
            .enumerate()
            .map(|(at, content)| (at, format!("{} {}/{}", content.log, content.head(), content.bytes.len())))
            .collect();
        picture + &format!("contents (log head/len): {lens:?}\n")
    }
}

/// The year and month of the day with this number.
fn month(day: u32) -> String {
    format!("2026{:02}", 1 + day / 28)
}
