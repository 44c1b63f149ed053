//! Writes the logs, each in a thread of its own, at a steady rate.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    line::Line,
    rotate::{Rotation, Written},
};
use crate::limits::{VERIFY_BURST_LINES_MAX, VERIFY_PADDING_BYTES_MAX};

/// Writers look at the clock this often while there is nothing to write.
const TICK: Duration = Duration::from_millis(1);

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where.
    pub directory: PathBuf,
    /// What the names of the logs begin with.
    pub prefix: String,
    /// How many logs.
    pub logs: u32,
    /// Lines in a second, all logs together.
    pub rate: u64,
    /// How long.
    pub duration: Duration,
    /// How they are rotated; one of these at a time.
    pub rotations: Vec<Rotation>,
    /// How often each is rotated, about; never when zero.
    pub rotate_every: Duration,
    /// Rotated files to keep.
    pub keep: u32,
    /// What chance begins with.
    pub seed: u64,
    /// When the run began.
    pub started: Instant,
}

impl Plan {
    /// Where a log lies.
    pub fn path(&self, log: u32) -> PathBuf {
        self.directory.join(format!("{}{log}.log", self.prefix))
    }

    /// The log that lies at `path`.
    pub fn log_of(&self, path: &[u8]) -> Option<u32> {
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        let number = name.strip_prefix(self.prefix.as_bytes())?.strip_suffix(b".log")?;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// The time of the run, in nanoseconds.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What was written so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines of each log.
    lines: Vec<AtomicU64>,
    /// Bytes of all logs.
    pub bytes: AtomicU64,
    /// Rotations by kind, in the order of [`Rotation::ALL`].
    rotations: [AtomicU64; Rotation::ALL.len()],
    /// Rotations for which the disk was too full.
    pub skipped: AtomicU64,
    /// The numbers of the lines in each deleted file, by log.
    deleted: Vec<Mutex<Vec<Range<u64>>>>,
    /// Whether writing is to end before its time.
    stop: AtomicBool,
    /// What went wrong.
    failure: Mutex<Option<String>>,
}

impl Tally {
    /// Lines of each log.
    pub fn lines(&self) -> Vec<u64> {
        self.lines.iter().map(|lines| lines.load(Relaxed)).collect()
    }

    /// Rotations by kind, in the order of [`Rotation::ALL`].
    pub fn rotations(&self) -> [u64; Rotation::ALL.len()] {
        self.rotations.each_ref().map(|count| count.load(Relaxed))
    }

    /// The numbers of the lines in each deleted file, by log.
    pub fn deleted(&self) -> Vec<Vec<Range<u64>>> {
        self.deleted.iter().map(|log| log.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    fn fail(&self, why: String) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// What went wrong first.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The threads that write.
#[derive(Debug)]
pub struct Writers {
    threads: Vec<JoinHandle<()>>,
    /// What they have written.
    pub tally: Arc<Tally>,
}

impl Writers {
    /// Starts to write `logs`, which are those of the plan.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(plan: &Arc<Plan>, logs: Vec<Written>) -> io::Result<Self> {
        let lines = logs.iter().map(|_| AtomicU64::new(0)).collect();
        let deleted = logs.iter().map(|_| Mutex::default()).collect();
        let tally = Arc::new(Tally { lines, deleted, ..Tally::default() });
        let mut threads = Vec::with_capacity(logs.len());
        for (log, file) in logs.into_iter().enumerate() {
            let mut writer = Writer {
                plan: Arc::clone(plan),
                tally: Arc::clone(&tally),
                log,
                file,
                random: fastrand::Rng::with_seed(plan.seed.wrapping_add(log as u64)),
                written: 0,
                began: Instant::now(),
            };
            let run = move || {
                let ended = writer.run();
                let mut deleted = writer.tally.deleted[log].lock().unwrap_or_else(PoisonError::into_inner);
                *deleted = writer.file.deleted().to_vec();
                drop(deleted);
                if let Err(error) = ended {
                    let path = writer.plan.path(u32::try_from(log).unwrap_or(u32::MAX));
                    writer.tally.fail(format!("{}: {error}", path.display()));
                }
            };
            threads.push(thread::Builder::new().name(format!("log-{log}")).spawn(run)?);
        }
        Ok(Self { threads, tally })
    }

    /// Whether all is written.
    pub fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends writing, and waits for its end.
    pub fn end(&mut self) {
        self.tally.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.tally.fail("a writer broke down".to_owned());
            }
        }
    }
}

/// One thread.
struct Writer {
    plan: Arc<Plan>,
    tally: Arc<Tally>,
    log: usize,
    file: Written,
    random: fastrand::Rng,
    /// Lines written.
    written: u64,
    began: Instant,
}

impl Writer {
    fn run(&mut self) -> io::Result<()> {
        let mut rotation = self.next_rotation();
        let mut bytes = Vec::new();
        while !self.tally.stop.load(Relaxed) {
            let elapsed = self.began.elapsed();
            if rotation.is_some_and(|rotation| rotation <= elapsed) {
                self.rotate()?;
                rotation = self.next_rotation();
            }
            let due = self.due(elapsed.min(self.plan.duration));
            if due > self.written {
                self.write(due.min(self.written + VERIFY_BURST_LINES_MAX), &mut bytes)?;
            } else if elapsed >= self.plan.duration {
                break;
            } else {
                thread::sleep(TICK);
            }
        }
        Ok(())
    }

    /// How many lines are to be written by then.
    fn due(&self, elapsed: Duration) -> u64 {
        let lines = elapsed.as_nanos() * u128::from(self.plan.rate) / u128::from(self.plan.logs) / 1_000_000_000;
        u64::try_from(lines).unwrap_or(u64::MAX)
    }

    /// When the next rotation is, by the time since writing began: after half to one and a half of its time.
    fn next_rotation(&mut self) -> Option<Duration> {
        let every = self.plan.rotate_every;
        let ever = !every.is_zero() && !self.plan.rotations.is_empty();
        ever.then(|| self.began.elapsed() + every.mul_f64(0.5 + self.random.f64()))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let rotation = self.plan.rotations[self.random.usize(..self.plan.rotations.len())];
        let done = self.file.rotate(rotation, self.random.bool(), self.written)?;
        let at = Rotation::ALL.iter().position(|other| *other == rotation).unwrap_or(0);
        let count = if done { &self.tally.rotations[at] } else { &self.tally.skipped };
        count.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Writes the lines before number `until`, by one write or, now and then, by two that part a line.
    fn write(&mut self, until: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.clear();
        let mut last = 0;
        let now = Timestamp::now();
        for number in self.written..until {
            last = bytes.len();
            let log = u32::try_from(self.log).unwrap_or(u32::MAX);
            let padding = self.padding();
            Line { log, number, at: self.plan.now() }.push(bytes, now, padding);
        }
        if self.random.u8(..50) == 0 {
            let (first, rest) = bytes.split_at(self.random.usize(last..bytes.len()));
            self.file.append(first)?;
            thread::sleep(TICK.mul_f64(3.0 * self.random.f64()));
            self.file.append(rest)?;
        } else {
            self.file.append(bytes)?;
        }
        self.written = until;
        self.tally.bytes.fetch_add(bytes.len() as u64, Relaxed);
        self.tally.lines[self.log].store(until, Relaxed);
        Ok(())
    }

    /// How much longer a line is than it needs to be: mostly little, sometimes much.
    fn padding(&mut self) -> usize {
        let most = match self.random.u32(..10_000) {
            0..3 => VERIFY_PADDING_BYTES_MAX,
            3..100 => VERIFY_PADDING_BYTES_MAX / 16,
            100..1000 => VERIFY_PADDING_BYTES_MAX / 128,
            _ => 100,
        };
        self.random.usize(..most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            directory: "/d".into(),
            prefix: "verify-1-".into(),
            logs: 2,
            rate: 1000,
            duration: Duration::from_millis(50),
            rotations: Vec::new(),
            rotate_every: Duration::ZERO,
            keep: 1,
            seed: 1,
            started: Instant::now(),
        }
    }

    #[test]
    fn a_log_is_known_by_its_name_wherever_it_lies() {
        let plan = plan();
        assert_eq!(plan.path(7), PathBuf::from("/d/verify-1-7.log"));
        assert_eq!(plan.log_of(b"/other/verify-1-7.log"), Some(7));
        for path in ["", "/d/verify-2-7.log", "/d/verify-1-7.log.1", "/d/verify-1-x.log"] {
            assert_eq!(plan.log_of(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn as_many_lines_are_written_as_were_asked_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let plan = Arc::new(Plan { directory: directory.path().to_owned(), ..plan() });
        let logs = (0..2).map(|log| Written::create(plan.path(log), 1).expect("created")).collect();
        let mut writers = Writers::start(&plan, logs).expect("started");
        while !writers.are_done() {
            thread::yield_now();
        }
        assert_eq!((writers.tally.lines(), writers.tally.failure()), (vec![25, 25], None));
        for log in 0..2 {
            let text = std::fs::read(plan.path(log)).expect("read");
            let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
            let numbers = lines.iter().map(|line| Line::read(&line[..line.len() - 1]).expect("a line").number);
            assert_eq!(numbers.collect::<Vec<_>>(), (0..25).collect::<Vec<_>>());
        }
        writers.end();
    }
}
