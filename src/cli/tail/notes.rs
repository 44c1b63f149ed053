//! What goes to standard error: gaps, lost hosts, progress, statistics.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use super::escape;
use crate::{
    client::Tally,
    proto::v1::{Gap, GapReason, Progress},
};

/// The progress line is drawn at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Says what is not data.
#[derive(Debug)]
pub struct Notes {
    quiet: bool,
    /// Whether there is a terminal for a line that changes.
    terminal: bool,
    /// Bytes scanned and bytes to scan of each host.
    progress: Vec<Option<(u64, u64)>>,
    /// When the progress line was drawn; `None` while there is none.
    drawn: Option<Instant>,
}

impl Notes {
    /// Notes about `hosts` hosts.
    pub fn new(quiet: bool, hosts: usize) -> Self {
        let terminal = !quiet && io::stderr().is_terminal();
        Self { quiet, terminal, progress: vec![None; hosts], drawn: None }
    }

    /// Says something worth knowing.
    pub fn note(&mut self, text: impl fmt::Display) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Says something that must be known.
    pub fn error(&mut self, text: impl fmt::Display) {
        self.clear();
        line(&format!("logtap: {}", escape::text(&text.to_string())));
    }

    /// Says that bytes are gone.
    pub fn gap(&mut self, host: &str, gap: &Gap) {
        let why = match GapReason::try_from(gap.reason) {
            Ok(GapReason::Truncated) => "the file was truncated before they were read",
            Ok(GapReason::Deleted) => "the file was deleted before they were read",
            Ok(GapReason::ResumeLost) => "the file where the stream was left is not there any more",
            Ok(GapReason::Unspecified) | Err(_) => "the daemon does not tell why",
        };
        let many = match gap.bytes {
            Some(bytes) if bytes > 0 => format!("{bytes} bytes are"),
            Some(_) | None => "an unknown number of bytes is".to_owned(),
        };
        self.note(format_args!("{host}: gap in {} ({}): {many} missing: {why}", gap.path, gap.source));
    }

    /// Says what came of a stream, and whether it is what was sent. True unless it is not.
    pub fn tally(&mut self, host: &str, tally: &Tally, say: bool) -> bool {
        let verdict = tally.verdict();
        let crc32 = tally.crc32.map_or_else(|| "-".to_owned(), |crc32| format!("{crc32:08x}"));
        let came = format!("entries={} message-bytes={} crc32={crc32}", tally.entries, tally.message_bytes);
        let stated = tally.stated.as_ref();
        let gaps = stated.map_or_else(|| "-".to_owned(), |stated| stated.gaps.to_string());
        match (verdict, stated) {
            (Some(false), Some(stated)) => self.error(format_args!(
                "{host}: DAMAGED: {came} came, but entries={} message-bytes={} crc32={:08x} were sent",
                stated.entries, stated.message_bytes, stated.crc32
            )),
            (Some(true), _) if say => self.error(format_args!("{host}: {came} gaps={gaps} verified")),
            _ if say => self.error(format_args!("{host}: {came} gaps={gaps} not verified: the stream broke off")),
            _ => {}
        }
        verdict != Some(false)
    }

    /// Shows how far the scan of a host is.
    pub fn progress(&mut self, host: usize, progress: &Progress) {
        self.progress[host] = Some((progress.scanned_bytes, progress.total_bytes));
        if !self.terminal || self.drawn.is_some_and(|drawn| drawn.elapsed() < PROGRESS_EVERY) {
            return;
        }
        let known = self.progress.iter().flatten();
        let (scanned, total) = known
            .fold((0_u64, 0_u64), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1.max(one.0))));
        let percent = u128::from(scanned) * 100 / u128::from(total.max(1));
        let text = format!("\r\x1b[Kscanned {} of {} ({percent} %)", amount(scanned), amount(total));
        write(text.as_bytes());
        self.drawn = Some(Instant::now());
    }

    /// Notes that the scan of a host is over.
    pub fn progress_over(&mut self, host: usize) {
        self.progress[host] = None;
        if self.progress.iter().all(Option::is_none) {
            self.clear();
        }
    }

    /// Takes the progress line away, before something else is written to the terminal.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            write(b"\r\x1b[K");
        }
    }
}

/// Bytes for people, by powers of 1024.
pub fn amount(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power - 1])
}

fn line(text: &str) {
    write(format!("{text}\n").as_bytes());
}

/// Writes to standard error. When that is gone there is nobody left to tell.
fn write(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        assert_eq!(amount(0), "0 B");
        assert_eq!(amount(1023), "1023 B");
        assert_eq!(amount(1024), "1.0 KiB");
        assert_eq!(amount(1_700_000), "1.6 MiB");
        assert_eq!(amount(u64::MAX), "15.9 EiB");
    }
}
