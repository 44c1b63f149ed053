//! What came of a run, as a table or as one JSON object.

use std::{fmt::Write as _, ops::Range};

use serde::Serialize;

use super::{
    super::tail::escape_text,
    judge::{Counts, Judge},
};

/// How the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON object.
    Json,
}

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every client got every line once and in order, or was told of the gap.
    pub exact: bool,
    /// What chance began with.
    pub seed: u64,
    /// How long was written.
    pub seconds: f64,
    /// Lines written.
    pub lines: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Logs written.
    pub logs: u32,
    /// Rotations by kind.
    pub rotations: Vec<(&'static str, u64)>,
    /// Rotations for which the disk was too full.
    pub skipped_rotations: u64,
    /// The clients.
    pub clients: Vec<Client>,
    /// What went wrong beside lines.
    pub failures: Vec<String>,
}

/// What came to a client.
#[derive(Debug, Serialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Lines that came, each counted once.
    pub received: u64,
    /// Lines that never came, unannounced.
    pub lost: u64,
    /// Lines of files that were deleted before anything came of them.
    pub unseen: u64,
    /// Lines that came again.
    pub repeated: u64,
    /// Lines that came after a later one of their log.
    pub disordered: u64,
    /// Entries that are no line as it was written.
    pub damaged: u64,
    /// Gaps that were announced.
    pub gaps: u64,
    /// Lines that never came, as was announced.
    pub missing: u64,
    /// How often it went on where it was.
    pub resumes: u64,
    /// Why its connection broke last, other than by its own doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broke: Option<String>,
    /// From being written to being received, milliseconds.
    pub latency_ms: Latency,
    /// The first numbers that were lost, by log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_lost: Vec<(usize, Range<u64>)>,
}

/// How long lines took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of them at most.
    pub p50: f64,
    /// Of a hundred ninety-nine at most.
    pub p99: f64,
    /// Of a thousand all but one at most.
    pub p999: f64,
    /// All of them at most.
    pub max: f64,
}

impl Client {
    /// What `judge` says of a client.
    pub fn new(name: &str, judge: &Judge, counts: Counts, resumes: u64, broke: Option<String>) -> Self {
        let Counts { received, lost, unseen, repeated, disordered, damaged, gaps, missing } = counts;
        let latency = judge.latency();
        let latency_ms = Latency {
            p50: milliseconds(latency.quantile(0.5)),
            p99: milliseconds(latency.quantile(0.99)),
            p999: milliseconds(latency.quantile(0.999)),
            max: milliseconds(latency.greatest()),
        };
        let first_lost = judge.first_lost();
        Self {
            name: name.to_owned(),
            received,
            lost,
            unseen,
            repeated,
            disordered,
            damaged,
            gaps,
            missing,
            resumes,
            broke,
            latency_ms,
            first_lost,
        }
    }
}

/// Nanoseconds as milliseconds, to the microsecond.
fn milliseconds(nanoseconds: u64) -> f64 {
    // Below 285 years of microseconds nothing is lost.
    #[allow(clippy::cast_precision_loss)]
    let microseconds = (nanoseconds / 1000) as f64;
    microseconds / 1000.0
}

/// The columns of the table.
const HEADINGS: [&str; 14] = [
    "CLIENT",
    "RECEIVED",
    "LOST",
    "UNSEEN",
    "REPEATED",
    "DISORDERED",
    "DAMAGED",
    "GAPS",
    "MISSING",
    "RESUMES",
    "P50 ms",
    "P99 ms",
    "P99.9 ms",
    "MAX ms",
];

impl Report {
    /// One JSON object, with a line feed.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers have a JSON form") + "\n"
    }

    /// The table, and what it comes to.
    pub fn table(&self) -> String {
        let mut text = format!(
            "wrote {}, {}, into {} in {:.1} s; {}; seed {}\n",
            counted(self.lines, "lines"),
            counted(self.bytes, "bytes"),
            counted(self.logs.into(), "logs"),
            self.seconds,
            self.rotated(),
            self.seed
        );
        let rows: Vec<[String; HEADINGS.len()]> =
            std::iter::once(HEADINGS.map(str::to_owned)).chain(self.clients.iter().map(row)).collect();
        for row in &rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
                let written =
                    if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
                written.expect("a string takes everything");
            }
            text.extend([line.trim_end(), "\n"]);
        }
        for client in &self.clients {
            if let Some(why) = &client.broke {
                text.push_str(&format!("{}: its connection broke last by: {}\n", client.name, escape_text(why)));
            }
            for (log, numbers) in &client.first_lost {
                let Range { start, end } = numbers;
                text.push_str(&format!("{}: lost of log {log} first: numbers {start} to {}\n", client.name, end - 1));
            }
        }
        text.extend(self.failures.iter().map(|failure| format!("{failure}\n")));
        text.push_str(self.verdict());
        text
    }

    fn verdict(&self) -> &'static str {
        let missing = self.clients.iter().any(|client| client.missing + client.unseen > 0);
        match (self.exact, missing) {
            (true, false) => "exact: every line came to every client, once and in order\n",
            (true, true) => {
                "exact: every line came once and in order, or was announced to be missing, or deleted unseen\n"
            }
            (false, _) => "NOT exact\n",
        }
    }

    fn rotated(&self) -> String {
        let kinds = self.rotations.iter().filter(|(_, count)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(kind, count)| counted(*count, kind)).collect();
        let mut text = if kinds.is_empty() { "no rotation".to_owned() } else { kinds.join(", ") };
        if self.skipped_rotations > 0 {
            text.push_str(&format!(", {} prevented by a full disk", grouped(self.skipped_rotations)));
        }
        text
    }
}

fn row(client: &Client) -> [String; HEADINGS.len()] {
    let Latency { p50, p99, p999, max } = client.latency_ms;
    let time = |milliseconds: f64| format!("{milliseconds:.3}");
    [
        client.name.clone(),
        grouped(client.received),
        grouped(client.lost),
        grouped(client.unseen),
        grouped(client.repeated),
        grouped(client.disordered),
        grouped(client.damaged),
        grouped(client.gaps),
        grouped(client.missing),
        grouped(client.resumes),
        time(p50),
        time(p99),
        time(p999),
        time(max),
    ]
}

/// So many of what `plural` says.
fn counted(number: u64, plural: &str) -> String {
    let name = if number == 1 { plural.trim_end_matches('s') } else { plural };
    format!("{} {name}", grouped(number))
}

/// A number with a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(judge: &Judge, written: &[u64]) -> Report {
        let clients = vec![Client::new("fast-1", judge, judge.counts(written, &[]), 2, None)];
        Report {
            exact: judge.counts(written, &[]).is_exact(),
            seed: 7,
            seconds: 1.0,
            lines: written.iter().sum(),
            bytes: 12_345,
            logs: 1,
            rotations: vec![("renames", 1), ("deletions", 0)],
            skipped_rotations: 0,
            clients,
            failures: Vec::new(),
        }
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        let grouped: Vec<String> = [0, 12, 123, 1234, 12_345, 1_234_567].map(grouped).into();
        assert_eq!(grouped, ["0", "12", "123", "1,234", "12,345", "1,234,567"]);
    }

    #[test]
    fn the_table_says_what_was_written_what_came_and_whether_it_is_the_same() {
        let table = report(&Judge::new(1), &[0]).table();
        let expected = "\
wrote 0 lines, 12,345 bytes, into 1 log in 1.0 s; 1 rename; seed 7
CLIENT  RECEIVED  LOST  UNSEEN  REPEATED  DISORDERED  DAMAGED  GAPS  MISSING  RESUMES  P50 ms  P99 ms  P99.9 ms  MAX ms
fast-1         0     0       0         0           0        0     0        0        2   0.000   0.000     0.000   0.000
exact: every line came to every client, once and in order
";
        assert_eq!(table, expected);
        let table = report(&Judge::new(1), &[5]).table();
        assert!(table.contains("\nfast-1         0     5 ") && table.ends_with("\nNOT exact\n"), "{table}");
        let mut told = Judge::new(1);
        told.gap(Some(0));
        assert!(report(&told, &[5]).table().ends_with(", or was announced to be missing, or deleted unseen\n"));
    }

    #[test]
    fn json_says_the_same() {
        let json: serde_json::Value = serde_json::from_str(&report(&Judge::new(1), &[5]).json()).expect("JSON");
        assert_eq!((&json["exact"], &json["lines"], &json["seed"]), (&false.into(), &5.into(), &7.into()));
        let client = &json["clients"][0];
        assert_eq!((&client["lost"], &client["latency_ms"]["p99"]), (&5.into(), &0.0.into()));
    }
}
