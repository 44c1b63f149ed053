//! A line on the terminal that says how far a run is.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use super::report::grouped;

/// The line is drawn at most this often.
const EVERY: Duration = Duration::from_millis(250);

/// The line, where there is a terminal for it.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    drawn: Option<Instant>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// What is being done.
    pub doing: &'static str,
    /// For how long.
    pub elapsed: Duration,
    /// Out of which time.
    pub of: Duration,
    /// Lines written.
    pub written: u64,
    /// Lines that the client furthest behind has not got yet.
    pub behind: u64,
    /// Lines lost, repeated, out of order or damaged so far, at all clients.
    pub wrong: u64,
}

impl Progress {
    /// A line, unless it is not wanted.
    pub fn new(quiet: bool) -> Self {
        Self { terminal: !quiet && io::stderr().is_terminal(), drawn: None }
    }

    /// Draws the line, unless it was drawn just before.
    pub fn show(&mut self, standing: Standing) {
        if !self.terminal || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY) {
            return;
        }
        let text = format!(
            "\r\x1b[K{} {} of {} s: {} lines written, the last client {} behind, {} wrong",
            standing.doing,
            standing.elapsed.as_secs(),
            standing.of.as_secs(),
            grouped(standing.written),
            grouped(standing.behind),
            grouped(standing.wrong),
        );
        write(text.as_bytes());
        self.drawn = Some(Instant::now());
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            write(b"\r\x1b[K");
        }
    }
}

/// Writes to standard error. When that is gone there is nobody to be told.
fn write(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}
