//! Which files are a log's rotated past, and in which order, as far as their names tell.
//!
//! logrotate appends a number (`app.log.1`), with `dateext` a date (`app.log-20260102`), or with `extension` puts either
//! before the extension (`app.1.log`, `app-20260102.log`); kubelet appends a time; logback, log4j and lumberjack put
//! dates, times and counters before the extension. Any of them may be compressed.
//!
//! A name is a hint: the same file name may be a live log of its own (`app.2026-01-02.log` is what some programs write
//! to, `app.1.log` may be the first of several workers), which only what happens to the file tells. Where a name alone
//! would as likely be another log (`app-1.log`, `app.8080.log`), it is not taken. Nothing here looks at a file.

use std::{
    cmp::Reverse,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

use jiff::{civil::Date, tz::TimeZone};

use super::archive::Kind;
use crate::entry::Nanos;

/// What the name of a rotated file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Its place in its lineage.
    pub rank: Rank,
    /// How it is compressed.
    pub compression: Option<Kind>,
    /// What it holds was written before this time: the day (or month) in its name and one more, as a name tells no time
    /// zone and rotation comes after midnight.
    pub until: Option<Nanos>,
}

/// The place of a rotated file among its siblings: what is older is less. Files that were rotated in different manners
/// compare too, but only the time of their last change tells which is older.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// By a date, then by the time or counter behind it.
    Dated(Date, Vec<u64>),
    /// By a number, which grows with every rotation.
    Numbered(Reverse<u64>),
    /// The log itself, only compressed.
    Bare,
}

impl Rank {
    /// How the file was named when it was rotated: only names of one manner tell which of two files is older.
    pub fn manner(&self) -> u8 {
        match self {
            Self::Dated(..) => 0,
            Self::Numbered(_) => 1,
            Self::Bare => 2,
        }
    }
}

/// What stands between a log's name and the tag of a rotated one.
const SEPARATORS: &[u8] = b".-_";
/// What stands between the numbers of a date, a time and a counter.
const INNER_SEPARATORS: &[u8] = b".-_:T";
/// Digits of a rotation's number: `rotate 9999` keeps 27 years of days. `redis.log.16379` is not rotated.
const NUMBER_DIGITS_MAX: usize = 4;
/// The same before the extension, where ports stand too.
const INSERTED_NUMBER_DIGITS_MAX: usize = 3;
/// Numbers behind a date: hour, minute, second, fraction, counter.
const PARTS_MAX: usize = 5;
/// The years that a log's name may tell: other numbers are no dates.
const YEARS: std::ops::RangeInclusive<u64> = 1970..=2199;

/// Whether the file named `sibling` is the past of the log named `live`, both in one directory, and what its name tells;
/// `None` for every other file.
pub fn rotated(live: &OsStr, sibling: &OsStr) -> Option<Rotated> {
    let compression = Kind::of_name(Path::new(sibling));
    let name = match compression {
        Some(_) => Path::new(sibling).file_stem()?.as_bytes(),
        None => sibling.as_bytes(),
    };
    let tag = if let Some(rest) = name.strip_prefix(live.as_bytes()) {
        appended(rest, compression)
    } else {
        inserted(live, name)
    }?;
    Some(Rotated { until: tag.until(), rank: tag.rank(), compression })
}

/// The names of the logs that a file of this name may be the rotated past of, the longest first; whether there are such
/// logs is for the caller to see.
pub fn possible_lives(sibling: &OsStr) -> Vec<OsString> {
    let whole = sibling.as_bytes();
    let name = match Kind::of_name(Path::new(sibling)) {
        Some(_) => Path::new(sibling).file_stem().map_or(whole, |stem| stem.as_bytes()),
        None => whole,
    };
    let ends = (1..=name.len()).rev().filter(|end| name.get(*end).is_none_or(|byte| SEPARATORS.contains(byte)));
    let extension = name.iter().rposition(|byte| *byte == b'.').map(|dot| &name[dot..]);
    let candidates = ends.flat_map(|end| {
        let inserted = extension.map(|extension| [&name[..end], extension].concat());
        [Some(name[..end].to_vec()), inserted].into_iter().flatten()
    });
    let mut lives: Vec<OsString> = Vec::new();
    for live in candidates.map(OsString::from_vec) {
        if live != sibling && rotated(&live, sibling).is_some() && !lives.contains(&live) {
            lives.push(live);
        }
    }
    lives
}

/// What a rotation adds to a name.
enum Tag {
    Day(Date, Vec<u64>),
    Month(Date, Vec<u64>),
    Number(u64),
    None,
}

impl Tag {
    fn rank(self) -> Rank {
        match self {
            Self::Day(date, parts) | Self::Month(date, parts) => Rank::Dated(date, parts),
            Self::Number(number) => Rank::Numbered(Reverse(number)),
            Self::None => Rank::Bare,
        }
    }

    fn until(&self) -> Option<Nanos> {
        let last = match self {
            Self::Day(date, _) => *date,
            Self::Month(date, _) => date.last_of_month(),
            Self::Number(_) | Self::None => return None,
        };
        let until = last.tomorrow().ok()?.tomorrow().ok()?.to_zoned_datetime(TimeZone::UTC).ok()?;
        i64::try_from(until.timestamp().as_nanosecond()).ok().map(Nanos)
    }
}

/// The tag in what follows the log's whole name: `.1`, `-20260102`.
fn appended(rest: &[u8], compression: Option<Kind>) -> Option<Tag> {
    match rest.split_first() {
        // The live log itself, unless it is compressed.
        None => compression.map(|_| Tag::None),
        Some((separator, tag)) if SEPARATORS.contains(separator) => {
            dated(tag).or_else(|| number(tag, NUMBER_DIGITS_MAX).map(Tag::Number))
        }
        Some(_) => None,
    }
}

/// The tag between the log's name and its extension: `app-20260102.log`, `app.1.log`.
fn inserted(live: &OsStr, name: &[u8]) -> Option<Tag> {
    let live = Path::new(live);
    let (stem, extension) = (live.file_stem()?.as_bytes(), live.extension()?.as_bytes());
    let rest = name.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix(b".")?;
    match rest.split_first() {
        Some((b'.', tag)) => dated(tag).or_else(|| number(tag, INSERTED_NUMBER_DIGITS_MAX).map(Tag::Number)),
        Some((separator, tag)) if SEPARATORS.contains(separator) => dated(tag),
        Some(_) | None => None,
    }
}

/// A date and what may follow it: `20260102`, `2026-01-02T10-11-12.123`, `20260102-1754032000`, `2026-01-02.7`; or the
/// seconds or milliseconds since the epoch.
fn dated(tag: &[u8]) -> Option<Tag> {
    let tag = tag.strip_suffix(b"Z").unwrap_or(tag);
    let groups: Vec<&[u8]> = tag.split(|byte| INNER_SEPARATORS.contains(byte)).collect();
    let (first, rest) = groups.split_first()?;
    let (date, rest) = match first.len() {
        4 => return dashed(first, rest),
        6 => return Some(Tag::Month(day(&first[..4], &first[4..], b"1")?, parts(rest)?)),
        8 | 10 | 12 | 14 => match day(&first[..4], &first[4..6], &first[6..8]) {
            Some(date) if first.len() == 8 => (date, parts(rest)?),
            Some(date) => (date, parts(&[&[&first[8..]], rest].concat())?),
            None => (since_epoch(first)?, parts(&groups)?),
        },
        _ => (since_epoch(first)?, parts(&groups)?),
    };
    Some(Tag::Day(date, rest))
}

/// A date with separators: a day, or a month and no more.
fn dashed(year: &[u8], rest: &[&[u8]]) -> Option<Tag> {
    match rest {
        [month] if month.len() == 2 => Some(Tag::Month(day(year, month, b"1")?, Vec::new())),
        [month, date, rest @ ..] if month.len() == 2 && date.len() == 2 => {
            Some(Tag::Day(day(year, month, date)?, parts(rest)?))
        }
        _ => None,
    }
}

fn day(year: &[u8], month: &[u8], date: &[u8]) -> Option<Date> {
    let year = number(year, 4).filter(|year| YEARS.contains(year))?;
    let (month, date) = (number(month, 2)?, number(date, 2)?);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(date).ok()?).ok()
}

/// The UTC day of a time in seconds (10 digits) or milliseconds (13 digits).
fn since_epoch(digits: &[u8]) -> Option<Date> {
    let time = number(digits, 13)?;
    let seconds = match digits.len() {
        10 => time,
        13 => time / 1_000,
        _ => return None,
    };
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(time.to_zoned_datetime(TimeZone::UTC).date())
}

fn parts(groups: &[&[u8]]) -> Option<Vec<u64>> {
    if groups.len() > PARTS_MAX {
        return None;
    }
    groups.iter().map(|group| number(group, 13)).collect()
}

/// A number of 1 to `digits` digits, and nothing else.
fn number(text: &[u8], digits: usize) -> Option<u64> {
    if text.is_empty() || text.len() > digits || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_that_a_name_may_belong_to_are_found_from_the_name_alone() {
        for (sibling, lives) in [
            ("app.log.1", &["app.log"][..]),
            ("app.log-20260102.gz", &["app.log"]),
            ("app-20260102.log", &["app.log"]),
            ("app.2026-01-02.log", &["app.log"]),
            ("app.log.2026-01-02", &["app.log"]),
            ("app.log", &[]),
            ("app.log~", &[]),
        ] {
            let found = possible_lives(OsStr::new(sibling));
            for live in lives {
                assert!(found.contains(&OsString::from(live)), "{sibling}: {found:?}");
            }
            assert!(found.iter().all(|live| rotated(live, OsStr::new(sibling)).is_some()), "{sibling}: {found:?}");
            assert_eq!(found.is_empty(), lives.is_empty(), "{sibling}: {found:?}");
        }
    }

    fn check(live: &str, sibling: &str) -> Option<Rotated> {
        rotated(OsStr::new(live), OsStr::new(sibling))
    }

    #[test]
    fn orders_are_from_old_to_new() {
        let orders: &[(&str, &[&str])] = &[
            ("app.log", &["app.log.10.gz", "app.log.9.zst", "app.log.2", "app.log.1", "app.log.0", "app.log.gz"]),
            ("app.log", &["app.log-20251231.gz", "app.log-20260101", "app.log-20260102"]),
            ("app.log", &["app.log-20260102-1754032000", "app.log-20260102-1754035600.gz"]),
            ("app.log", &["app.log.2026-01-02", "app.log.2026-01-03", "app.log.2026-01-11.zst"]),
            ("app.log", &["app.log.20260102T101112", "app.log.20260102T101113.gz", "app.log.20260103T000000"]),
            ("app.log", &["app-20260102.log", "app-20260103.log.gz"]),
            ("app.log", &["app.2026-01-02.log", "app.2026-01-03.log"]),
            ("app.log", &["app-2026-01-02-1.log.gz", "app-2026-01-02-2.log.gz", "app-2026-01-02-10.log"]),
            ("app.log", &["app-2026-01-02T10-11-12.123.log", "app-2026-01-02T10-11-12.124.log"]),
            ("app.log", &["app.2.log.gz", "app.1.log"]),
            ("app.log", &["app.2025-12.log", "app.2026-01.log.gz"]),
            ("app.log", &["app.log_20260102", "app.log_20260103"]),
            ("app.log", &["app.log-2026010223", "app.log-2026010300"]),
            ("app.log", &["app.log-202601022359", "app.log-202601030000", "app.log-20260103000001"]),
            ("app.log", &["app.log.1754032000", "app.log.1754032001", "app.log.1754032001999.gz"]),
            ("0.log", &["0.log.20260102-101112.gz", "0.log.20260103-101112"]),
            ("messages", &["messages-20251228.gz", "messages-20260104"]),
            ("syslog", &["syslog.2.gz", "syslog.1"]),
            ("app-2.log", &["app-2-20260101.log", "app-2-20260102.log"]),
            // Changed from dates to numbers.
            ("app.log", &["app.log-20260102", "app.log.3"]),
        ];
        for (live, names) in orders {
            let ranks: Vec<Rank> = names
                .iter()
                .map(|name| check(live, name).unwrap_or_else(|| panic!("{name} is the past of {live}")).rank)
                .collect();
            assert!(ranks.is_sorted_by(|older, newer| older < newer), "{names:?}: {ranks:?}");
        }
    }

    #[test]
    fn other_files_are_not_the_past() {
        for (live, sibling) in [
            ("app.log", "app.log"),
            ("app.log", "app2.log"),
            ("app.log", "app.log.bak"),
            ("app.log", "app.log.swp"),
            ("app.log", ".app.log.swp"),
            ("app.log", "app.log~"),
            ("app.log", "app.log1"),
            ("app.log", "myapp.log.1"),
            ("app.log", "app.logs.1"),
            ("app.log", "app.log.1.tmp"),
            ("app.log", "app.log.1.xz"),
            ("app.log", "app.log."),
            ("app.log", "app.log.-1"),
            ("app.log", "app.log.+1"),
            ("app.log", "app.log.123456"),
            ("app.log", "app.log-20260230"),
            ("app.log", "app.log-20261301"),
            ("app.log", "app.log-00000000"),
            ("app.log", "app.log-20260102-"),
            ("app.log", "app.log-20260102-old"),
            ("app.log", "app.log-20260102-1-2-3-4-5-6"),
            ("app.log", "app.log.2026-1-2"),
            ("app.log", "app.log.gz.gz"),
            ("app.log", "app-1.log"),
            ("app.log", "app-2026.log"),
            ("app.log", "app.8080.log"),
            ("app.log", "app-error-20260102.log"),
            ("app.log", "app-2-20260102.log"),
            ("app.log", "app-error.log.1"),
            ("app.log", "app-20260102.txt"),
            ("app.log", "app-20260102log"),
            ("app.log", "app..log"),
            ("app.log", "20260102"),
            ("app", "app.log.1"),
            ("app", "app.20260102.log"),
            ("redis.log", "redis.log.16379"),
            (".log", "-20260102.log"),
            ("", ""),
        ] {
            assert_eq!(check(live, sibling), None, "{sibling} is not the past of {live}");
        }
    }

    #[test]
    fn the_ending_tells_the_compression() {
        for (name, kind) in [
            ("app.log.1", None),
            ("app.log.1.gz", Some(Kind::Gzip)),
            ("app.log.1.zst", Some(Kind::Zstd)),
            ("app-20260102.log.gz", Some(Kind::Gzip)),
            ("app.log.gz", Some(Kind::Gzip)),
        ] {
            assert_eq!(check("app.log", name).expect("it is rotated").compression, kind, "{name}");
        }
    }

    #[test]
    fn a_date_bounds_the_time_of_the_content() {
        for (name, until) in [
            ("app.log.1", None),
            ("app.log.gz", None),
            ("app.log-20260102", Some("2026-01-04T00:00:00Z")),
            ("app.log-20260102.gz", Some("2026-01-04T00:00:00Z")),
            ("app.log-20260102-1754032000", Some("2026-01-04T00:00:00Z")),
            ("app.log-2025123123", Some("2026-01-02T00:00:00Z")),
            ("app.2026-02-28.log", Some("2026-03-02T00:00:00Z")),
            ("app.2024-02.log", Some("2024-03-02T00:00:00Z")),
            ("app.log.1754032000", Some("2025-08-03T00:00:00Z")),
            ("app.log.1754032000999", Some("2025-08-03T00:00:00Z")),
        ] {
            let until = until.map(|time: &str| {
                let time: jiff::Timestamp = time.parse().expect("it is a time");
                Nanos(i64::try_from(time.as_nanosecond()).expect("it is this century"))
            });
            assert_eq!(check("app.log", name).expect("it is rotated").until, until, "{name}");
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let (live, sibling) = (OsStr::from_bytes(b"\xff.log"), OsStr::from_bytes(b"\xff.log.1"));
        assert!(rotated(live, sibling).is_some());
        assert_eq!(rotated(OsStr::new("app.log"), sibling), None);
    }
}
