//! The vocabulary of the tests: a daemon, files for it, clients, and waiting for conditions.

pub mod client;
pub mod daemon;
pub mod served;
pub mod subscriber;
pub mod tap;

use std::{
    fs::{self, OpenOptions},
    future::Future,
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine, shorter than a hung test may.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition; fails when it never comes.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(PATIENCE, what, condition);
}

/// Waits for a condition that has to come in time.
#[track_caller]
pub fn within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < give_up, "waited {patience:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for `future`, but not for ever.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// A directory for logs that vanishes with the test.
pub struct Logs(TempDir);

impl Logs {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("it is written");
        path
    }

    /// Appends in one write.
    pub fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).expect("a file");
        file.write_all(content.as_ref()).expect("it is written");
    }

    /// Writes a compressed file.
    pub fn gzip(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(content.as_ref()).expect("in memory");
        self.write(name, gzip.finish().expect("in memory"));
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("it is renamed");
    }

    pub fn make_dir(&self, name: &str) {
        fs::create_dir(self.path(name)).expect("a directory");
    }
}
