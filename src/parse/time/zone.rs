//! Zones: what a civil time without an offset means.
//!
//! A zone is read from the system's database once, when it is configured, and kept as a table, since a line's time must
//! cost nanoseconds. Nothing is looked up later, so an answer does not depend on when it is asked for.

use std::{fmt, ops::Range, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};

use super::{Place, number};

/// The last second that an entry's timestamp can carry.
const LAST_SECOND: i64 = i64::MAX / 1_000_000_000;

/// A time zone; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The stretches of one offset each, in order, from before 1970 to after the last moment of an entry; never empty.
    spans: Arc<[Span]>,
    /// For each [`BUCKET_SECONDS`] since 1970 the first span that ends after its beginning, so that finding a span is a
    /// step or two; empty when there is only one span.
    buckets: Arc<[u16]>,
}

/// Seconds of a bucket, about half a year: zones change about twice a year.
const BUCKET_SECONDS: i64 = 1 << 24;

/// A stretch of time with one offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// The civil second at which it begins, read with its own offset.
    begin: i64,
    /// The civil second at which it ends, read with its own offset.
    end: i64,
    /// Seconds east of UTC.
    east: i32,
}

impl Zone {
    /// The zone without offset.
    pub fn utc() -> Self {
        Self::fixed(0)
    }

    fn fixed(east: i32) -> Self {
        Self { spans: Arc::from([Span { begin: i64::MIN, end: i64::MAX, east }]), buckets: Arc::from([]) }
    }

    /// The zone of the host; UTC when the host does not say.
    pub fn local() -> Self {
        Self::tabulate(&TimeZone::system())
    }

    /// The zone that a configuration names: `local`, `UTC`, an offset such as `+01:00`, or a name such as
    /// `Europe/Berlin`.
    ///
    /// # Errors
    /// When the name is none of these, or the host's time zone database does not have it.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        match name.as_bytes() {
            b"local" => Ok(Self::local()),
            b"UTC" | b"utc" | b"Z" => Ok(Self::utc()),
            [b'+' | b'-', ..] => match super::offset(name.as_bytes()) {
                Some((east, len)) if len == name.len() => Ok(Self::fixed(east)),
                Some(_) | None => Err(ZoneError(name.to_owned())),
            },
            _ => TimeZone::get(name).map(|zone| Self::tabulate(&zone)).map_err(|_| ZoneError(name.to_owned())),
        }
    }

    fn tabulate(zone: &TimeZone) -> Self {
        let mut spans = Vec::new();
        let mut begin = i64::MIN;
        let mut east = zone.to_offset(Timestamp::UNIX_EPOCH).seconds();
        for transition in zone.following(Timestamp::UNIX_EPOCH) {
            let at = transition.timestamp().as_second();
            spans.push(Span { begin, end: at + i64::from(east), east });
            east = transition.offset().seconds();
            begin = at + i64::from(east);
            if at > LAST_SECOND {
                break;
            }
        }
        spans.push(Span { begin, end: i64::MAX, east });
        let first = |bucket: i64| spans.partition_point(|span| span.end <= bucket * BUCKET_SECONDS) as u16;
        let buckets: Vec<u16> = match spans.len() {
            1 => Vec::new(),
            _ => (0..=LAST_SECOND / BUCKET_SECONDS).map(first).collect(),
        };
        Self { spans: spans.into(), buckets: buckets.into() }
    }

    /// The stretch of moments with `moment` in it or right behind it that clocks of this zone show a second time later, when
    /// they are set back: seconds of the epoch. What is written in the second one is read as in this one.
    pub fn fold_with(&self, moment: i64) -> Option<Range<i64>> {
        let back = self.spans.windows(2).filter(|pair| pair[1].begin < pair[0].end);
        let mut folds = back.map(|pair| {
            let end = pair[0].end - i64::from(pair[0].east);
            end - (pair[0].end - pair[1].begin)..end
        });
        folds.find(|fold| fold.start <= moment && moment <= fold.end)
    }

    /// The second of the epoch at which clocks of this zone show `civil` (seconds since the epoch, taken for UTC).
    ///
    /// Of an hour that comes twice the first is meant; a time that clocks skip is read with the offset before it.
    #[inline]
    pub fn moment(&self, civil: i64) -> i64 {
        let last = self.spans.len() - 1;
        let bucket = usize::try_from(civil / BUCKET_SECONDS).unwrap_or(0);
        let mut at = self.buckets.get(bucket).map_or(last, |&first| usize::from(first));
        while at < last && self.spans[at].end <= civil {
            at += 1;
        }
        let east = if civil < self.spans[at].begin && at > 0 { self.spans[at - 1].east } else { self.spans[at].east };
        civil - i64::from(east)
    }
}

/// A time zone that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError(pub String);

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        write!(
            f,
            "no time zone is called {name:?}: it is \"local\", \"UTC\", an offset like \"+01:00\", or a name of this host's \
             time zone database like \"Europe/Berlin\""
        )
    }
}

impl std::error::Error for ZoneError {}

/// Reads a zone's abbreviation, which must end there: what it says and its length.
///
/// Only such abbreviations count that programs print and that mean one offset wherever they are common.
pub fn abbreviation(bytes: &[u8]) -> Option<(Place, usize)> {
    let len = bytes.iter().take(6).take_while(|byte| byte.is_ascii_alphabetic()).count();
    if !(3..=5).contains(&len) {
        return None;
    }
    let (name, rest) = bytes.split_at(len);
    let hours_times_two = match name {
        b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"BST" | b"WEST" => 2,
        b"CEST" | b"EET" | b"SAST" => 4,
        b"EEST" | b"MSK" | b"TRT" => 6,
        b"IST" => 11,
        b"SGT" | b"HKT" | b"AWST" => 16,
        b"JST" | b"KST" => 18,
        b"ACST" => 19,
        b"AEST" => 20,
        b"ACDT" => 21,
        b"AEDT" => 22,
        b"NZST" => 24,
        b"NZDT" => 26,
        b"BRT" => -6,
        b"EDT" | b"AST" => -8,
        b"EST" | b"CDT" => -10,
        b"CST" | b"MDT" => -12,
        b"MST" | b"PDT" => -14,
        b"PST" | b"AKDT" => -16,
        b"AKST" => -18,
        b"HST" => -20,
        _ => return None,
    };
    // `UTC+2` and `GMT+01:00` go on with an offset.
    if let (b"UTC" | b"GMT", [b'+' | b'-', ..]) = (name, rest) {
        let (east, more) = super::offset(rest).or_else(|| single_digit(rest))?;
        return Some((Place::East(east), len + more));
    }
    if rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
        return None;
    }
    Some((Place::East(hours_times_two * 1800), len))
}

/// Reads `+2`, which must end there.
fn single_digit(bytes: &[u8]) -> Option<(i32, usize)> {
    let [sign, hour, ref rest @ ..] = *bytes else { return None };
    if rest.first().is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let east = number([hour])? as i32 * 3600;
    Some((if sign == b'-' { -east } else { east }, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::DateTime;

    #[test]
    fn the_table_agrees_with_the_database_around_every_change() {
        for name in [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "America/Sao_Paulo",
            "Africa/Casablanca",
        ] {
            let database = TimeZone::get(name).expect("the host has a time zone database");
            let zone = Zone::named(name).expect("a name of the database");
            for transition in database.following(Timestamp::UNIX_EPOCH).take(300) {
                for minutes in -150..150 {
                    let civil =
                        transition.timestamp().as_second() + minutes * 60 + i64::from(transition.offset().seconds());
                    let date_time: DateTime =
                        TimeZone::UTC.to_datetime(Timestamp::from_second(civil).expect("in range"));
                    let expected = database.to_timestamp(date_time).expect("in range").as_second();
                    assert_eq!(zone.moment(civil), expected, "{name} {date_time}");
                }
            }
        }
    }

    #[test]
    fn offsets_and_their_errors_are_clear() {
        assert_eq!(Zone::named("+01:00").expect("an offset").moment(3600), 0);
        assert_eq!(Zone::named("-0330").expect("an offset").moment(0), 12_600);
        for wrong in ["Mars/Phobos", "", "+1x", "+99:00", "../etc/passwd"] {
            let error = Zone::named(wrong).expect_err("no zone").to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn words_after_a_time_are_no_zones() {
        for text in ["INFO x", "WARN", "ESTABLISHED", "EST_x", "ERROR", "UT"] {
            assert_eq!(abbreviation(text.as_bytes()), None, "{text}");
        }
        assert_eq!(abbreviation(b"CET [12]"), Some((Place::East(3600), 3)));
        assert_eq!(abbreviation(b"UTC+2 x"), Some((Place::East(7200), 5)));
    }
}
