//! A program that writes numbered lines to a log as fast as it is told, and opens it again when it is told to.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::follower::line;

/// Lines of one `write`.
const LINES_PER_WRITE: usize = 20;

pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    written: AtomicUsize,
    stop: AtomicBool,
    reopen: AtomicBool,
}

impl Writer {
    /// Writes about so many lines a second to `path`.
    pub fn start(path: &Path, lines_per_second: usize) -> Self {
        let (written, stop, reopen) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { path: path.to_path_buf(), written, stop, reopen });
        let of_thread = shared.clone();
        let thread = thread::spawn(move || write(&of_thread, lines_per_second));
        Self { shared, thread: Some(thread) }
    }

    /// Lines written so far.
    pub fn written(&self) -> usize {
        self.shared.written.load(Ordering::Acquire)
    }

    /// As SIGHUP does with a program: it opens the path again, where it makes a file if there is none. Returns when it
    /// has.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        while self.shared.reopen.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it has written this many lines more.
    pub fn go_on_for(&self, lines: usize) {
        let until = self.written() + lines;
        while self.written() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it; how many lines it has written.
    pub fn end(mut self) -> usize {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join);
        self.written()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("it can be written")
}

fn write(shared: &Shared, lines_per_second: usize) {
    let began = Instant::now();
    let mut file = open(&shared.path);
    let mut number = 0;
    while !shared.stop.load(Ordering::Acquire) {
        if shared.reopen.load(Ordering::Acquire) {
            file = open(&shared.path);
            shared.reopen.store(false, Ordering::Release);
        }
        let text: String = (number..number + LINES_PER_WRITE).map(|number| line(number) + "\n").collect();
        file.write_all(text.as_bytes()).expect("there is room");
        number += LINES_PER_WRITE;
        shared.written.store(number, Ordering::Release);
        let due = began + Duration::from_secs_f64(number as f64 / lines_per_second as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
