//! A log that is written and rotated, as programs and logrotate do it.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    ops::Range,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use miniz_oxide::deflate::compress_to_vec;

/// A way to rotate a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rotation {
    /// It is renamed, and created anew.
    Rename,
    /// It is copied, and truncated.
    Copytruncate,
    /// It is renamed, created anew, and compressed.
    Compress,
    /// It is deleted, and created anew.
    Delete,
}

impl Rotation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rename, Self::Copytruncate, Self::Compress, Self::Delete];

    /// What several of them are called.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Rename => "renames",
            Self::Copytruncate => "copytruncates",
            Self::Compress => "compressions",
            Self::Delete => "deletions",
        }
    }
}

/// What rotated files end with, beside their number.
const SUFFIXES: [&str; 3] = ["", ".gz", ".zst"];
/// How often writing is tried again on a full disk, and after which pause.
const FULL_TRIES: u32 = 6000;
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// A log that is being written.
#[derive(Debug)]
pub struct Written {
    path: PathBuf,
    file: File,
    /// Rotated files to keep.
    keep: u32,
    /// The number of the first line of the file.
    first: u64,
    /// The numbers of the lines in each rotated file, the latest first.
    rotated: VecDeque<Range<u64>>,
    /// The numbers of the lines in each file that was deleted.
    deleted: Vec<Range<u64>>,
}

impl Written {
    /// Creates the log at `path`, empty.
    ///
    /// # Errors
    /// It is there already, or cannot be created.
    pub fn create(path: PathBuf, keep: u32) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self { path, file, keep, first: 0, rotated: VecDeque::new(), deleted: Vec::new() })
    }

    /// Appends all of `bytes`. On a full disk the oldest rotated file goes, until there is room.
    ///
    /// # Errors
    /// Some of them could not be written.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.with_room(|log| match log.file.write(rest) {
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
                other => other,
            })?;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Rotates before the line of that number. False when the disk was too full to keep what was to be kept; the log
    /// goes on all the same.
    ///
    /// # Errors
    /// The log cannot go on.
    pub fn rotate(&mut self, rotation: Rotation, by_zstd: bool, next: u64) -> io::Result<bool> {
        match rotation {
            Rotation::Delete => {
                fs::remove_file(&self.path)?;
                self.deleted.push(self.first..next);
                self.first = next;
                self.begin_anew()?;
                Ok(true)
            }
            Rotation::Rename => {
                self.set_aside(next)?;
                Ok(true)
            }
            Rotation::Copytruncate => {
                self.cascade()?;
                let copy = self.rotated_path(1, "");
                let copied = unless_full(fs::copy(&self.path, &copy).map(drop), &copy)?;
                if copied {
                    self.file.set_len(0)?;
                    self.begin_numbers_anew(next);
                }
                Ok(copied)
            }
            Rotation::Compress => {
                self.set_aside(next)?;
                let plain = self.rotated_path(1, "");
                let packed = self.rotated_path(1, if by_zstd { ".zst" } else { ".gz" });
                let bytes = fs::read(&plain)?;
                let modified = fs::metadata(&plain)?.modified()?;
                let done =
                    unless_full(fs::write(&packed, if by_zstd { zstd(&bytes)? } else { gzip(&bytes) }), &packed)?;
                if done {
                    // gzip, zstd and logrotate keep the time of what they pack.
                    File::options().write(true).open(&packed)?.set_modified(modified)?;
                    fs::remove_file(plain)?;
                }
                Ok(done)
            }
        }
    }

    /// The numbers of the lines in each file that was deleted so far.
    pub fn deleted(&self) -> &[Range<u64>] {
        &self.deleted
    }

    fn set_aside(&mut self, next: u64) -> io::Result<()> {
        self.cascade()?;
        fs::rename(&self.path, self.rotated_path(1, ""))?;
        self.begin_numbers_anew(next);
        self.begin_anew()
    }

    fn begin_numbers_anew(&mut self, next: u64) {
        self.rotated.push_front(self.first..next);
        self.first = next;
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.file = self.with_room(|log| open(&log.path))?;
        Ok(())
    }

    /// Moves every rotated file one number on; the last one goes.
    fn cascade(&mut self) -> io::Result<()> {
        for number in (1..=self.keep).rev() {
            for suffix in SUFFIXES {
                let from = self.rotated_path(number, suffix);
                let moved = match number == self.keep {
                    true => fs::remove_file(from).map(|()| self.deleted.extend(self.rotated.pop_back())),
                    false => fs::rename(from, self.rotated_path(number + 1, suffix)),
                };
                if let Err(error) = moved
                    && error.kind() != ErrorKind::NotFound
                {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Does what needs room on the disk, and makes room as long as there is none.
    fn with_room<T>(&mut self, mut work: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<T> {
        let mut tries = 0;
        loop {
            match work(self) {
                Err(error) if is_full(&error) && tries < FULL_TRIES => {
                    tries += 1;
                    self.remove_oldest();
                    thread::sleep(FULL_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn remove_oldest(&mut self) {
        for number in (1..=self.keep).rev() {
            if SUFFIXES.iter().any(|suffix| fs::remove_file(self.rotated_path(number, suffix)).is_ok()) {
                self.deleted.extend(self.rotated.pop_back());
                return;
            }
        }
    }

    fn rotated_path(&self, number: u32, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}{suffix}"));
        PathBuf::from(name)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether `done` is done, and not prevented by a full disk, in which case `half` is taken away.
fn unless_full(done: io::Result<()>, half: &Path) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => {
            fs::remove_file(half)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// `bytes` as `gzip -1` packs them.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Magic number, deflate, no flags, no time, fastest, Unix.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];
    packed.extend(compress_to_vec(bytes, 1));
    packed.extend(crc32fast::hash(bytes).to_le_bytes());
    // The size, modulo 2^32.
    #[allow(clippy::cast_possible_truncation)]
    packed.extend((bytes.len() as u32).to_le_bytes());
    packed
}

/// `bytes` as `zstd -1` packs them.
fn zstd(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = vec![0; zstd_safe::compress_bound(bytes.len())];
    let size = zstd_safe::compress(packed.as_mut_slice(), bytes, 1)
        .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
    packed.truncate(size);
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::*;

    /// The names in a directory, with what they hold.
    fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry"));
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().expect("text");
                let mut bytes = fs::read(entry.path()).expect("read");
                if name.ends_with(".gz") {
                    let packed = std::mem::take(&mut bytes);
                    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("gzip");
                } else if name.ends_with(".zst") {
                    let packed = std::mem::replace(&mut bytes, vec![0; 1000]);
                    let size = zstd_safe::decompress(bytes.as_mut_slice(), &packed).expect("zstd");
                    bytes.truncate(size);
                }
                (name, bytes)
            })
            .collect()
    }

    #[test]
    fn every_rotation_leaves_what_its_name_says() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut log = Written::create(directory.path().join("a.log"), 4).expect("created");
        let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let rotations = [
            (Rotation::Rename, false, "a.log.1"),
            (Rotation::Copytruncate, false, "a.log.1"),
            (Rotation::Compress, false, "a.log.1.gz"),
            (Rotation::Compress, true, "a.log.1.zst"),
            (Rotation::Delete, false, ""),
            (Rotation::Rename, false, "a.log.1"),
        ];
        for (number, (rotation, by_zstd, name)) in rotations.into_iter().enumerate() {
            let text = format!("{number}\n").into_bytes();
            log.append(&text).expect("written");
            assert!(log.rotate(rotation, by_zstd, number as u64 + 1).expect("rotated"));
            if rotation != Rotation::Delete {
                expected = expected
                    .into_iter()
                    .filter_map(|(name, bytes)| {
                        let (stem, rest) = name.split_once(".log.")?;
                        let (number, suffix) = rest.split_once('.').map_or((rest, ""), |(n, s)| (n, s));
                        let number: u32 = number.parse().expect("a number");
                        let dot = if suffix.is_empty() { "" } else { "." };
                        (number < 4).then(|| (format!("{stem}.log.{}{dot}{suffix}", number + 1), bytes))
                    })
                    .collect();
                expected.insert(name.to_owned(), text);
            }
            let mut all = expected.clone();
            all.insert("a.log".to_owned(), Vec::new());
            assert_eq!(content(directory.path()), all, "after {rotation:?}");
        }
        // The one that was deleted, and the one for which there was no number left.
        assert_eq!(log.deleted(), [4..5, 0..1]);
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.log");
        fs::write(&path, "mine").expect("written");
        assert!(Written::create(path, 1).is_err());
    }
}
