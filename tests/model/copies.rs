//! Copies that were made while the original was written to, as copytruncate does it: between the copy and the truncation
//! come lines that the copy has not, but that the daemon and some of its subscribers have seen.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use flate2::{Compression, write::GzEncoder};
use logtap::{
    entry::{
        Nanos, Offset, flag,
        stream_cursor::{Cursor, StreamCursor},
    },
    feed::{
        member::{Member, Start as Place},
        resume,
    },
    file::{Blocking, Stat},
    watch::logfile::Checked,
};
use tempfile::TempDir;

use crate::{
    daemon::{Daemon, Start, Stream, request},
    expect::Got,
    runtime,
};

pub const CACHE: usize = 1 << 20;

/// A log, and the daemon that follows it.
pub struct Logs {
    pub dir: TempDir,
    pub daemon: Daemon,
}

impl Logs {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        fs::write(dir.path().join("app.log"), "").expect("there is room");
        let daemon = Daemon::start(dir.path(), CACHE);
        Self { dir, daemon }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Appends lines with these numbers to the log.
    pub fn append(&self, lines: std::ops::Range<usize>) {
        let mut log = OpenOptions::new().append(true).open(self.path("app.log")).expect("it is there");
        lines.for_each(|number| writeln!(log, "{}", line(number)).expect("there is room"));
    }

    /// Renames the log, and creates it anew.
    pub fn rename_aside(&self) {
        self.cascade();
        fs::rename(self.path("app.log"), self.path("app.log.1")).expect("it is there");
        fs::write(self.path("app.log"), "").expect("there is room");
    }

    /// Compresses the latest of the rotated files.
    pub fn compress(&self) {
        let (plain, packed) = (self.path("app.log.1"), self.path("app.log.1.gz"));
        let mut gzip = GzEncoder::new(File::create(packed).expect("there is room"), Compression::fast());
        gzip.write_all(&fs::read(&plain).expect("it is there")).expect("there is room");
        gzip.finish().expect("there is room");
        fs::remove_file(plain).expect("it is there");
    }

    /// Copies the log and truncates it.
    pub fn copy_and_truncate_unseen(&self) {
        self.copy();
        truncate(&self.path("app.log"));
    }

    /// Copies the log, writes these lines to it, which the daemon sees, and truncates it.
    pub async fn copy_and_truncate(&self, late: std::ops::Range<usize>, readers: &mut [&mut Reader]) {
        self.copy();
        self.append(late);
        self.daemon.look_at_files();
        for reader in readers {
            reader.pull().await;
        }
        truncate(&self.path("app.log"));
    }

    pub fn copy(&self) {
        self.cascade();
        fs::copy(self.path("app.log"), self.path("app.log.1")).expect("there is room");
    }

    /// Moves every rotated file one number on.
    pub fn cascade(&self) {
        for number in (1..30).rev() {
            for suffix in ["", ".gz"] {
                let from = self.path(&format!("app.log.{number}{suffix}"));
                if from.exists() {
                    fs::rename(from, self.path(&format!("app.log.{}{suffix}", number + 1))).expect("it is there");
                }
            }
        }
    }

    /// Deletes the log, and creates it anew.
    pub fn delete(&self) {
        fs::remove_file(self.path("app.log")).expect("it is there");
        fs::write(self.path("app.log"), "").expect("there is room");
    }

    /// A log of a hundred lines, and a reader that has them.
    pub async fn read() -> (Self, Reader) {
        let logs = Self::new();
        let mut reader = logs.reader().await;
        logs.append(0..100);
        logs.daemon.look();
        reader.pull().await;
        (logs, reader)
    }

    pub async fn reader(&self) -> Reader {
        Reader::new(self.daemon.open(request(true, Start::All, &[]), 1).await.expect("it can be served"))
    }

    /// Comes back with a cursor of a whole stream.
    pub async fn resume(&self, cursor: &[u8], clock: u64) -> Stream {
        let opened = self.daemon.open(request(true, Start::New, &[cursor.to_vec()]), clock).await;
        opened.expect("it can be served")
    }
}

pub struct Reader {
    pub stream: Stream,
    lines: Vec<String>,
    pub gaps: usize,
    /// How many lines came before each that says that others are missing before it.
    after_gap: Vec<usize>,
}

impl Reader {
    pub fn new(stream: Stream) -> Self {
        Self { stream, lines: Vec::new(), gaps: 0, after_gap: Vec::new() }
    }

    pub async fn pull(&mut self) {
        self.pull_some(usize::MAX).await;
    }

    /// Takes so many pieces at most.
    pub async fn pull_some(&mut self, pieces: usize) {
        let (got, _) = self.stream.pull(pieces).await;
        for (_, got) in got {
            match got {
                Got::Record { bytes, flags, .. } => {
                    if flags & flag::AFTER_GAP != 0 {
                        self.after_gap.push(self.lines.len());
                    }
                    self.lines.push(String::from_utf8(bytes).expect("text").trim_end().into());
                }
                Got::Gap(_) => self.gaps += 1,
            }
        }
    }

    #[track_caller]
    pub fn has(&self, ranges: &[std::ops::Range<usize>]) {
        let wanted: Vec<_> = ranges.iter().cloned().flatten().map(line).collect();
        assert_eq!(self.lines, wanted);
    }
}

pub fn line(number: usize) -> String {
    format!("line {number:06} of a log")
}

pub fn truncate(path: &Path) {
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0)).expect("it is there");
}

#[test]
fn a_copy_that_has_not_the_last_lines_is_sent_to_nobody_who_had_them() {
    runtime().block_on(async {
        let logs = Logs::new();
        let mut fast = logs.reader().await;
        for round in 0..3 {
            let first = 300 * round;
            logs.append(first..first + 200);
            logs.daemon.look();
            fast.pull().await;
            logs.copy_and_truncate(first + 200..first + 250, &mut [&mut fast]).await;
            logs.append(first + 250..first + 300);
            // The copy is seen before it is seen that the log was truncated.
            logs.daemon.look();
            fast.pull().await;
            fast.has(&[0..first + 300]);
            assert_eq!(fast.gaps, 0);
        }
    });
}

#[test]
fn who_lags_gets_what_the_copies_have_and_is_told_of_the_rest() {
    runtime().block_on(async {
        let logs = Logs::new();
        let mut stopped = logs.reader().await;
        let mut has = Vec::new();
        for round in 0..4 {
            let first = 300 * round;
            logs.append(first..first + 200);
            logs.daemon.look();
            logs.copy_and_truncate(first + 200..first + 250, &mut []).await;
            logs.append(first + 250..first + 300);
            logs.daemon.look();
            let live = first + 250..first + 300;
            has.extend([first..first + 200, live]);
        }
        stopped.pull().await;
        stopped.has(&has);
        assert_eq!(stopped.gaps, 4);
    });
}

#[test]
fn a_size_from_before_a_truncation_is_not_taken_for_that_of_what_came_after() {
    runtime().block_on(async {
        let (logs, mut reader) = Logs::read().await;
        let (path, file) = (logs.path("app.log"), logs.daemon.file(&logs.path("app.log")));
        logs.append(100..110);
        let stale = Stat::of_path(&path).expect("it is there");
        truncate(&path);
        logs.append(110..120);
        let opened = File::open(&path).expect("it is there");
        let looked = file.check(&Blocking(&opened), stale.size, stale.mtime, Instant::now()).expect("it can be read");
        let published = file.published();
        assert_eq!((looked, published.generation), (Checked::Truncated, 1));
        assert_eq!((published.head, published.size), (Offset(10 * 21), Offset(10 * 21)));
        assert_ne!(published.mtime, Nanos::default());
        reader.pull().await;
        logs.append(120..130);
        logs.daemon.look();
        reader.pull().await;
        assert_eq!(file.published().generation, 1);
        // The ten lines that nobody saw are gone without a trace.
        reader.has(&[0..100, 110..130]);
    });
}

#[test]
fn a_size_from_between_a_truncation_and_what_came_after_is_no_other_truncation() {
    runtime().block_on(async {
        let (logs, mut reader) = Logs::read().await;
        let (path, file) = (logs.path("app.log"), logs.daemon.file(&logs.path("app.log")));
        truncate(&path);
        let stale = Stat::of_path(&path).expect("it is there");
        logs.append(100..110);
        assert_eq!(file.check_blocking().expect("it can be read"), Checked::Truncated);
        // Who looked at the size first comes second with it.
        let opened = File::open(&path).expect("it is there");
        let looked = file.check(&Blocking(&opened), stale.size, stale.mtime, Instant::now()).expect("it can be read");
        let published = file.published();
        assert_eq!((looked, published.generation, published.head), (Checked::Same, 1, Offset(10 * 21)));
        reader.pull().await;
        reader.has(&[0..110]);
        assert_eq!(reader.gaps, 0);
    });
}

#[test]
fn what_anybody_sees_wakes_all_who_wait() {
    runtime().block_on(async {
        let logs = Logs::new();
        let mut waiting = logs.reader().await;
        waiting.pull().await;
        logs.append(0..10);
        // Who comes now looks for itself; nothing is new to whoever looks after that.
        let mut other = logs.reader().await;
        other.pull().await;
        logs.daemon.look();
        waiting.pull().await;
        for reader in [&waiting, &other] {
            reader.has(&[0..10]);
        }
    });
}

/// A daemon that was stopped, or that has no processor to run on, sees nothing of what led to what it finds.
#[test]
fn lines_that_only_the_copy_has_come_from_there() {
    runtime().block_on(async {
        for sees_names_first in [false, true] {
            let logs = Logs::new();
            let mut reader = logs.reader().await;
            for round in 0..3 {
                let first = 400 * round;
                logs.append(first..first + 200);
                logs.daemon.look();
                reader.pull().await;
                logs.append(first + 200..first + 300);
                logs.copy_and_truncate_unseen();
                logs.append(first + 300..first + 400);
                if !sees_names_first {
                    logs.daemon.look_at_files();
                    reader.pull().await;
                }
                logs.daemon.look();
                reader.pull().await;
                reader.has(&[0..first + 400]);
                assert_eq!(reader.gaps, 0);
            }
        }
    });
}

#[test]
fn who_comes_back_after_a_copy_that_nobody_saw_goes_on_in_it() {
    runtime().block_on(async {
        for (is_restarted, sees_names_first) in [(false, false), (false, true), (true, true)] {
            let mut logs = Logs::new();
            let mut reader = logs.reader().await;
            let mut clock = 100;
            for round in 0..4 {
                let first = 400 * round;
                logs.append(first..first + 200);
                logs.daemon.look();
                reader.pull().await;
                let cursor = reader.stream.cursor(clock);
                logs.append(first + 200..first + 300);
                logs.copy_and_truncate_unseen();
                logs.append(first + 300..first + 400);
                if is_restarted {
                    logs.daemon = Daemon::start(logs.dir.path(), CACHE);
                }
                if sees_names_first {
                    logs.daemon.look();
                }
                clock += 5;
                reader.stream = logs.resume(&cursor, clock).await;
                reader.pull().await;
                logs.daemon.look();
                reader.pull().await;
                reader.has(&[0..first + 400]);
                assert_eq!(reader.gaps, 0);
            }
        }
    });
}

#[test]
fn who_leaves_before_having_read_a_copy_comes_back_to_it() {
    runtime().block_on(async {
        for (pieces, is_restarted) in [(0, false), (1, false), (0, true), (1, true)] {
            let mut logs = Logs::new();
            let mut reader = logs.reader().await;
            let mut clock = 100;
            for round in 0..4 {
                let first = 4000 * round;
                logs.append(first..first + 200);
                logs.daemon.look();
                reader.pull().await;
                logs.append(first + 200..first + 3900);
                logs.copy_and_truncate_unseen();
                logs.append(first + 3900..first + 4000);
                logs.daemon.look_at_files();
                reader.pull_some(pieces).await;
                logs.daemon.look();
                reader.pull_some(pieces).await;
                let cursor = reader.stream.cursor(clock);
                if is_restarted {
                    logs.daemon = Daemon::start(logs.dir.path(), CACHE);
                }
                clock += 5;
                reader.stream = logs.resume(&cursor, clock).await;
                reader.pull().await;
                logs.daemon.look();
                reader.pull().await;
                println!("{pieces} pieces, {is_restarted}, round {round}");
                reader.has(&[0..first + 4000]);
                assert_eq!(reader.gaps, 0);
            }
        }
    });
}

#[test]
fn who_comes_back_between_a_truncation_and_the_look_at_its_copy_gets_the_copy() {
    runtime().block_on(async {
        let (logs, mut reader) = Logs::read().await;
        let cursor = reader.stream.cursor(100);
        logs.append(100..200);
        logs.copy_and_truncate_unseen();
        logs.append(200..300);
        logs.daemon.look();
        logs.copy_and_truncate_unseen();
        logs.append(300..400);
        // The truncation shows, the copy does not yet.
        logs.daemon.look_at_files();
        reader.stream = logs.resume(&cursor, 105).await;
        reader.pull().await;
        logs.daemon.look();
        reader.pull().await;
        reader.has(&[0..400]);
        assert_eq!(reader.gaps, 0);
    });
}

#[test]
fn what_was_rotated_and_compressed_unseen_is_not_taken_for_what_had_its_name_before() {
    runtime().block_on(async {
        let logs = Logs::new();
        let mut reader = logs.reader().await;
        logs.append(0..100);
        logs.daemon.look();
        // One whose plain form is seen under the name that others have later.
        logs.rename_aside();
        logs.append(100..200);
        logs.daemon.look();
        logs.compress();
        logs.daemon.look();
        reader.pull().await;
        for round in 0..3 {
            let first = 200 + 300 * round;
            for part in 0..3 {
                logs.append(first + 100 * part..first + 100 * (part + 1));
                logs.rename_aside();
                logs.compress();
            }
            logs.daemon.look();
            reader.pull().await;
            println!("round {round}: {} lines, the last {:?}", reader.lines.len(), reader.lines.last());
            reader.has(&[0..first + 300]);
            assert_eq!(reader.gaps, 0);
        }
    });
}

/// The times of files do not tell what was read from what was not when they were written as the cursor was made.
#[test]
fn what_was_read_before_a_log_was_deleted_unseen_is_not_sent_again() {
    runtime().block_on(async {
        for (is_renamed, is_let_go, packs) in
            [(false, false, false), (false, true, false), (true, false, false), (true, true, false), (true, true, true)]
        {
            println!("renamed {is_renamed}, let go of {is_let_go}, compressed {packs}");
            let mut logs = Logs::new();
            let mut reader = logs.reader().await;
            let mut has = Vec::new();
            for round in 0..4 {
                let first = 400 * round;
                logs.append(first..first + 200);
                logs.daemon.look();
                reader.pull().await;
                if is_renamed {
                    logs.rename_aside()
                } else {
                    logs.copy_and_truncate_unseen()
                }
                logs.append(first + 200..first + 250);
                logs.daemon.look();
                reader.pull().await;
                if packs {
                    logs.compress();
                    logs.daemon.look();
                }
                if is_let_go {
                    (0..2).for_each(|_| logs.daemon.age());
                    logs.daemon.look();
                    reader.pull().await;
                }
                let cursor = reader.stream.cursor(100);
                logs.append(first + 250..first + 300);
                logs.delete();
                logs.append(first + 300..first + 400);
                logs.daemon = Daemon::start(logs.dir.path(), CACHE);
                logs.daemon.look();
                reader.stream = logs.resume(&cursor, 101).await;
                reader.pull().await;
                has.extend([first..first + 250, first + 300..first + 400]);
                reader.has(&has);
                assert_eq!((reader.gaps, reader.after_gap.last()), (round + 1, Some(&(350 * round + 250))));
            }
        }
    });
}

#[test]
fn who_comes_back_gets_the_copy_of_what_a_file_held_that_is_new_to_them() {
    runtime().block_on(async {
        let (logs, reader) = Logs::read().await;
        let cursor = reader.stream.cursor(100);
        logs.rename_aside();
        logs.append(100..200);
        logs.daemon.look();
        for round in 2..5 {
            logs.copy_and_truncate_unseen();
            logs.append(100 * round..100 * (round + 1));
            // The truncation shows, the copy does not yet.
            logs.daemon.look_at_files();
            let mut late = Reader::new(logs.resume(&cursor, 105).await);
            late.pull().await;
            logs.daemon.look();
            late.pull().await;
            late.has(&[100..100 * (round + 1)]);
            assert_eq!(late.gaps, 0);
        }
    });
}

#[test]
fn of_two_places_in_what_is_one_file_by_now_the_earlier_counts() {
    runtime().block_on(async {
        let (logs, _reader) = Logs::read().await;
        let plain = logs.daemon.file(&logs.path("app.log"));
        let unread = Member::new(plain, Place::default()).cursor().expect("it was read by another");
        logs.rename_aside();
        logs.compress();
        logs.daemon.look();
        let packed = logs.daemon.file(&logs.path("app.log.1.gz"));
        packed.measure().expect("it can be read");
        packed.finish();
        let at = packed.published().head;
        packed.hold_beginning(&*packed.open().expect("it is there"), &packed.published(), at).expect("it can be read");
        let tail = resume::known_tail(&packed, at);
        let end = Member::new(packed.clone(), Place { at, tail, ..Place::default() }).cursor().expect("it was read");
        let cursor = Cursor::Stream(StreamCursor::new(Nanos(100), 0, [unread, end]));
        let found = resume::resolve(&[cursor], 0, std::slice::from_ref(&packed)).expect("its log is known");
        assert_eq!((at, found.starts[&packed.id].at), (Offset(100 * 21), Offset::ZERO));
    });
}

#[test]
fn a_copy_of_what_is_still_in_the_log_is_not_taken_for_read() {
    runtime().block_on(async {
        for (comes_back, read) in [(false, 50), (true, 50), (false, 0), (true, 0)] {
            println!("comes back {comes_back}, {read} lines read");
            let logs = Logs::new();
            let mut reader = logs.reader().await;
            logs.append(0..read);
            logs.daemon.look();
            reader.pull().await;
            let cursor = reader.stream.cursor(100);
            logs.append(read..100);
            logs.daemon.look();
            logs.copy();
            // The copy is seen, and known for one, while the log still holds the same.
            logs.daemon.look();
            logs.daemon.age();
            logs.daemon.look();
            reader.stream = logs.resume(&cursor, 101).await;
            let cursor = reader.stream.cursor(102);
            truncate(&logs.path("app.log"));
            logs.append(100..150);
            logs.daemon.look();
            if comes_back {
                reader.stream = logs.resume(&cursor, 103).await;
            }
            reader.pull().await;
            reader.has(&[0..150]);
            assert_eq!(reader.gaps, 0);
        }
    });
}

#[test]
fn a_place_that_was_found_stays_in_its_content_when_another_takes_its_place_at_once() {
    runtime().block_on(async {
        let (logs, reader) = Logs::read().await;
        let cursor = Cursor::decode(&reader.stream.cursor(100)).expect("its own");
        let file = logs.daemon.file(&logs.path("app.log"));
        let found = resume::resolve(&[cursor], 0, std::slice::from_ref(&file)).expect("its log is known");
        logs.copy_and_truncate_unseen();
        logs.append(100..110);
        file.check_blocking().expect("it can be read");
        let member = Member::new(file.clone(), found.starts[&file.id]);
        assert_eq!((member.generation, file.published().generation), (0, 1));
        assert_eq!(member.cursor().map(|place| place.offset), Some(Offset(100 * 21)));
    });
}
