//! Flags become a request.

use std::str::FromStr;

use jiff::{Timestamp, ZonedDateTime};

use super::{TailArgs, exit::Refusal, show::Format, time};
use crate::{
    entry::LevelRange,
    limits::CLIENT_BULK_BATCH_BYTES,
    proto::v1::{LogRequest, StreamBatchesRequest},
};

/// How many entries to start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// The last so many.
    Last(u64),
    /// Every one, also those in archives.
    All,
}

impl FromStr for Lines {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        text.parse().map(Self::Last).map_err(|_| "a number of entries, or `all`".to_owned())
    }
}

impl Lines {
    const fn tail(self) -> u64 {
        match self {
            Self::Last(count) => count,
            Self::All => u64::MAX,
        }
    }
}

/// Reads `KEY=VALUE`; the value may hold more equals signs.
pub fn condition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("KEY=VALUE".to_owned()),
    }
}

/// What is known beside the flags when the request is made.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// How many hosts are asked.
    pub hosts: usize,
    /// Whether a cursor file was found.
    pub resumes: bool,
    /// The time, in the zone of times without one.
    pub now: ZonedDateTime,
}

/// The request that `args` make.
///
/// # Errors
/// Names what no daemon would take.
pub fn request(args: &TailArgs, circumstances: &Circumstances) -> Result<StreamBatchesRequest, Refusal> {
    let level = args.level.clone().unwrap_or_default();
    LevelRange::parse(&level).map_err(Refusal::usage)?;
    let moment = |text: &Option<String>| {
        text.as_deref().map(|text| time::read(text, &circumstances.now).map_err(Refusal::usage)).transpose()
    };
    let (since, until) = (moment(&args.since)?, moment(&args.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err(Refusal::usage(format!("--since ({since}) is not before --until ({until})")));
    }
    let all = since.is_some() || until.is_some() || circumstances.resumes;
    let lines = args.lines.unwrap_or(if all { Lines::All } else { Lines::Last(10) });
    let context = args.context.unwrap_or(0);
    let request = LogRequest {
        level,
        sources: args.source.clone(),
        paths: args.path.clone(),
        tail: Some(lines.tail()),
        since: since.map(on_the_wire),
        until: until.map(on_the_wire),
        resume: Vec::new(),
        include: patterns(&args.grep, args.ignore_case)?,
        exclude: patterns(&args.exclude, args.ignore_case)?,
        limit: args.limit.unwrap_or(0),
        with_fields: args.output == Format::Json,
        r#where: args.r#where.iter().cloned().collect(),
        context_before: args.before.unwrap_or(context),
        context_after: args.after.unwrap_or(context),
        end: bytes::Bytes::new(),
    };
    Ok(StreamBatchesRequest {
        request: Some(request),
        no_follow: args.no_follow,
        max_bytes: max_bytes(args, circumstances),
    })
}

/// The size of batches. One host is read in bulk. Several that share a limit end in the middle of somebody's batch; with
/// a cursor file each entry comes by itself then, with a cursor of its own. So it does as JSON, which shows the cursor.
fn max_bytes(args: &TailArgs, circumstances: &Circumstances) -> u32 {
    match circumstances.hosts {
        _ if args.output == Format::Json => 1,
        1 => CLIENT_BULK_BATCH_BYTES,
        _ if args.limit.is_some() && args.cursor_file.is_some() => 1,
        _ => 0,
    }
}

/// The patterns as the daemon gets them; it has no switch for case, the language has.
fn patterns(patterns: &[String], ignore_case: bool) -> Result<Vec<String>, Refusal> {
    let mut sent = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        let pattern = if ignore_case { format!("(?i){pattern}") } else { pattern.clone() };
        regex::bytes::Regex::new(&pattern).map_err(|error| {
            // The last line says what is wrong; those before it draw the pattern.
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default();
            Refusal::usage(format!("`{pattern}` is no regular expression: {}", why.trim_start_matches("error: ")))
        })?;
        sent.push(pattern);
    }
    Ok(sent)
}

fn on_the_wire(moment: Timestamp) -> prost_types::Timestamp {
    let nanoseconds = moment.as_nanosecond();
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    prost_types::Timestamp {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::tail::exit::Exit;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        tail: TailArgs,
    }

    fn ask(line: &str, hosts: usize, resumes: bool) -> Result<StreamBatchesRequest, Refusal> {
        let words = std::iter::once("tail").chain(line.split_whitespace());
        let args = Command::try_parse_from(words).map_err(Refusal::usage)?.tail;
        let now = "2026-03-30T12:00:00+00:00[UTC]".parse().expect("a time");
        request(&args, &Circumstances { hosts, resumes, now })
    }

    fn selection(line: &str) -> LogRequest {
        ask(line, 1, false).expect(line).request.expect("a selection")
    }

    #[test]
    fn every_flag_says_what_it_means() {
        let plain = LogRequest { tail: Some(10), ..LogRequest::default() };
        assert_eq!(selection(""), plain);
        let same = |line: &str, expected: LogRequest| assert_eq!(selection(line), expected, "{line}");
        for line in ["-n 7", "--lines 7", "--tail=7", "-n7"] {
            same(line, LogRequest { tail: Some(7), ..plain.clone() });
        }
        same("-n all", LogRequest { tail: Some(u64::MAX), ..plain.clone() });
        for line in ["-l warn", "--level warn", "-p warn"] {
            same(line, LogRequest { level: "warn".into(), ..plain.clone() });
        }
        same("--source a --source b*", LogRequest { sources: vec!["a".into(), "b*".into()], ..plain.clone() });
        same("--path *.log", LogRequest { paths: vec!["*.log".into()], ..plain.clone() });
        same("-g a -g -b", LogRequest { include: vec!["a".into(), "-b".into()], ..plain.clone() });
        same("--grep a -i", LogRequest { include: vec!["(?i)a".into()], ..plain.clone() });
        same("-e a --exclude b", LogRequest { exclude: vec!["a".into(), "b".into()], ..plain.clone() });
        same("-w a=b=c", LogRequest { r#where: [("a".into(), "b=c".into())].into(), ..plain.clone() });
        same("-C 2", LogRequest { context_before: 2, context_after: 2, ..plain.clone() });
        same("-C 2 -B 5", LogRequest { context_before: 5, context_after: 2, ..plain.clone() });
        same("-A 3", LogRequest { context_after: 3, ..plain.clone() });
        same("--limit 9", LogRequest { limit: 9, ..plain.clone() });
        same("-o json", LogRequest { with_fields: true, ..plain.clone() });
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let all = LogRequest { tail: Some(u64::MAX), ..plain };
        same("-S @5", LogRequest { since: at(5), ..all.clone() });
        same("-S 10m", LogRequest { since: at(1_774_871_400), ..all.clone() });
        same("--until @6 -n 3", LogRequest { until: at(6), tail: Some(3), ..all });
    }

    #[test]
    fn following_is_the_default_and_the_last_word_counts() {
        let no_follow = |line: &str| ask(line, 1, false).expect(line).no_follow;
        assert!(!no_follow("") && !no_follow("-f") && !no_follow("--no-follow -f") && !no_follow("--follow"));
        assert!(no_follow("--no-follow") && no_follow("-f --no-follow"));
    }

    #[test]
    fn batches_fit_their_use() {
        let max_bytes = |line: &str, hosts| ask(line, hosts, false).expect(line).max_bytes;
        assert_eq!(max_bytes("", 1), CLIENT_BULK_BATCH_BYTES);
        assert_eq!(max_bytes("--limit 5", 2), 0);
        assert_eq!(max_bytes("-o json", 1), 1);
        assert_eq!(max_bytes("--limit 5 --cursor-file x", 2), 1);
    }

    #[test]
    fn a_cursor_file_that_was_found_means_all() {
        let tail = |line: &str| ask(line, 1, true).expect(line).request.expect("a selection").tail;
        assert_eq!(tail(""), Some(u64::MAX));
        assert_eq!(tail("-n 4"), Some(4));
    }

    #[test]
    fn what_makes_no_request_is_usage() {
        for line in [
            "-l loud",
            "-g (",
            "-e [",
            "-S never",
            "-U x",
            "-S 1h -U 2h",
            "-n x",
            "-w k",
            "-w =v",
            "-o xml",
            "--color no",
            "--utc --relative",
            "--cert a",
            "--key a",
            "--limit -1",
            "-B x",
            "--nonsense",
        ] {
            assert_eq!(ask(line, 1, false).expect_err(line).exit, Exit::Usage, "{line}");
        }
    }
}
