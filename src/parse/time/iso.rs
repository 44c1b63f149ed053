//! ISO 8601 and RFC 3339, as programs bend them: `2026-11-20T10:00:00.5Z`, `2026-11-20 10:00:00,123 +0100`,
//! `2026/11/20 9:05:01`, `2026-11-20-10.00.00.123456`, `20261120T100000Z`.

use super::{Day, Stamp, calendar, clock, clock_of_twelve, digits, fraction, number, place};

/// Reads a date and a clock at the beginning of `bytes`, the zone too where one follows. The date's separator may be
/// `-`, `/` or `.`, between date and clock stands `T`, a space (or two, or a comma and a space), `_`, `-` or `:`.
#[inline(always)]
pub fn read(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let (year_month, [d1, d2, between, rest @ ..]) = bytes.split_first_chunk::<8>()? else { return None };
    let (separator, between) = (year_month[4], *between);
    // The commonest separator by itself: what is known of it beforehand need not be worked out.
    let (year, month) = match separator {
        b'-' => digits::year_month(*year_month, b'-')?,
        b'/' | b'.' => digits::year_month(*year_month, separator)?,
        _ => return basic(bytes),
    };
    let days = calendar::days(year, month, number([*d1, *d2])?)?;
    let (seconds, nanos, len) = match between {
        b'T' | b't' | b' ' | b'_' | b':' | b'-' => clock(rest),
        _ => None,
    }
    .or_else(|| bent_clock(between, rest))?;
    let (place, zone) = place(&rest[len..]);
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place }, 11 + len + zone))
}

/// Reads a clock after `between` in a form that few programs write.
#[cold]
fn bent_clock(between: u8, bytes: &[u8]) -> Option<(u32, u32, usize)> {
    match (between, bytes) {
        (b' ' | b',', [b' ', rest @ ..]) => {
            let (seconds, nanos, len) = clock_of_twelve(rest)?;
            Some((seconds, nanos, 1 + len))
        }
        // Gin's `2026/11/20 - 10:00:00`.
        (b' ', [b'-', b' ', rest @ ..]) => {
            let (seconds, nanos, len) = clock(rest)?;
            Some((seconds, nanos, 2 + len))
        }
        // fern's `[2026-11-20][10:00:00]`.
        (b']', [b'[', rest @ ..]) => {
            let (seconds, nanos, len) = clock(rest)?;
            Some((seconds, nanos, 1 + len))
        }
        (b'\t', _) => clock(bytes),
        (b'-', _) => dotted(bytes),
        (b' ' | b'T', _) => clock_of_twelve(bytes).or_else(|| minutes(bytes)),
        _ => None,
    }
}

/// Reads `HH:MM`, which ends there.
fn minutes(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let [h1, h2, b':', m1, m2, ref rest @ ..] = *bytes else { return None };
    if rest.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b':') {
        return None;
    }
    Some((calendar::seconds_of_day(number([h1, h2])?, number([m1, m2])?, 0)?, 0, 5))
}

/// Reads `HH.MM.SS` with an optional fraction.
fn dotted(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let [h1, h2, b'.', m1, m2, b'.', s1, s2, ref rest @ ..] = *bytes else { return None };
    let (nanos, len) = fraction(rest);
    Some((calendar::seconds_of_day(number([h1, h2])?, number([m1, m2])?, number([s1, s2])?)?, nanos, 8 + len))
}

/// Reads the basic form, `20261120T100000.5Z`.
#[cold]
fn basic(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [y1, y2, y3, y4, m1, m2, d1, d2, b'T' | b't', h1, h2, i1, i2, s1, s2, ref rest @ ..] = *bytes else {
        return None;
    };
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let days = calendar::days(number([y1, y2, y3, y4])?, number([m1, m2])?, number([d1, d2])?)?;
    let seconds = calendar::seconds_of_day(number([h1, h2])?, number([i1, i2])?, number([s1, s2])?)?;
    let (nanos, len) = fraction(rest);
    let (place, zone) = place(&rest[len..]);
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place }, 15 + len + zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::Nanos,
        parse::time::{Frame, Place, Zone, moment},
    };

    fn at(text: &str) -> Option<(i64, u32)> {
        let (stamp, _) = read(text.as_bytes())?;
        let nanos = stamp.moment(&Frame::new(&Zone::utc(), Nanos(0), false))?.0;
        Some((nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32))
    }

    #[test]
    fn every_form_of_a_moment_is_that_moment() {
        for text in [
            "2026-11-20T10:00:00Z",
            "2026-11-20t10:00:00z",
            "2026-11-20 10:00:00",
            "2026-11-20  10:00:00",
            "2026-11-20, 10:00:00",
            "2026-11-20 10:00:00 UTC",
            "2026-11-20 10:00:00 AM",
            "2026-11-20 10:00",
            "2026/11/20 10:00:00",
            "2026/11/20:10:00:00",
            "2026.11.20 10:00:00",
            "2026-11-20-10.00.00",
            "2026-11-20_10:00:00",
            "2026-11-20T11:00:00+01:00",
            "2026-11-20T11:00:00+01:00[Europe/Berlin]",
            "2026-11-20T11:00:00+01",
            "2026-11-20 02:00:00 -0800",
            "2026-11-20  2:00:00 -0800",
            "2026-11-20T15:45:00.000+0545 text",
            "2026-11-20\t10:00:00",
            "2026-11-20 - 10:00:00",
            "2026-11-20][10:00:00]",
            "2026-11-20-11.00.00.000000+060 DB2",
            "20261120T100000Z",
            "2026-11-20T09:59:60Z",
        ] {
            assert_eq!(at(text), Some((1_795_168_800, 0)), "{text}");
        }
    }

    #[test]
    fn fractions_have_any_length_and_either_mark() {
        for (text, nanos) in [
            ("2026-11-20T10:00:00.5Z", 500_000_000),
            ("2026-11-20 10:00:00,123 INFO", 123_000_000),
            ("2026-11-20T10:00:00.123456789Z", 123_456_789),
            ("2026-11-20T10:00:00.1234567891234Z", 123_456_789),
            ("2026-11-20-10.00.00.123456 x", 123_456_000),
            ("2026-11-20 10:00:00, Info", 0),
            ("2026-11-20 10:00:00.", 0),
        ] {
            assert_eq!(at(text), Some((1_795_168_800, nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_no_time() {
        for text in [
            "",
            "2026",
            "2026-11-20",
            "2026-11-20T",
            "2026-13-20T10:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-11-20T25:00:00Z",
            "2026-11-20T10:61:00Z",
            "2026-11/20T10:00:00Z",
            "202a-11-20T10:00:00Z",
            "2026-11-20T10:00:000Z",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_dash_after_the_clock_is_no_zone() {
        let (stamp, len) = read(b"2026-11-20 10:00:00 - INFO").expect("a time");
        assert_eq!((stamp.place, len), (Place::Unsaid, 19));
        let (stamp, len) = read(b"2026-11-20 10:00:00 -1 INFO").expect("a time");
        assert_eq!((stamp.place, len), (Place::Unsaid, 19));
    }

    #[test]
    fn moments_that_an_entry_cannot_carry_are_none() {
        assert_eq!(at("1970-01-01T00:00:00Z"), None);
        assert_eq!(at("9999-01-01T00:00:00Z"), None);
        assert_eq!(moment(0, 1), Some(Nanos(1)));
    }
}
