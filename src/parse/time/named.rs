//! Dates with names of months: `Nov 20 10:00:00` (RFC 3164), `Fri Nov 20 10:00:00.123456 2026`,
//! `Fri, 20 Nov 2026 10:00:00 GMT`, `20/Nov/2026:10:00:00 +0100`, `Nov 20, 2026 9:05:01 PM`.

use super::{
    Day, Place, Stamp, calendar, clock, clock_of_twelve, digits, fraction, iso, number, number_up_to,
    numeric::in_some_year, place,
};

/// Reads a date that begins with a weekday or a month.
#[inline]
pub fn read(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [a, b, c, ..] = *bytes else { return None };
    if let Some(month) = month([a, b, c]) {
        if let Some(found) = rfc_3164(bytes, month) {
            return Some(found);
        }
        return month_first(bytes, month);
    }
    if !is_weekday([a, b, c]) {
        return None;
    }
    if let Some(found) = of_the_c_library(bytes) {
        return Some(found);
    }
    let name = bytes.iter().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let mut skip = name + usize::from(bytes.get(name) == Some(&b','));
    if bytes.get(skip) != Some(&b' ') {
        return None;
    }
    skip += 1;
    let rest = &bytes[skip..];
    let (stamp, len) = match rest {
        [first, ..] if first.is_ascii_digit() => iso::read(rest).or_else(|| day_first(rest))?,
        [a, b, c, ..] => month_first(rest, month([*a, *b, *c])?)?,
        _ => return None,
    };
    Some((stamp, skip + len))
}

/// Reads `Nov 20 10:00:00`, 15 bytes, before a word that begins with a small letter, as [`read`] does.
#[inline(always)]
pub fn before_host(bytes: &[u8]) -> Option<Stamp> {
    let [a, b, c, b' ', ..] = *bytes else { return None };
    Some(rfc_3164(bytes, month([a, b, c])?)?.0)
}

/// Reads `Nov 20 10:00:00` before a word that begins with a small letter, as a host does: what follows is no zone, no year.
#[inline(always)]
fn rfc_3164(bytes: &[u8], month: u32) -> Option<(Stamp, usize)> {
    let ([_, _, _, b' ', ten, one, b' ', clock @ ..], [b' ', b'a'..=b'z', ..]) = bytes.split_first_chunk::<15>()?
    else {
        return None;
    };
    let ten = if *ten == b' ' { b'0' } else { *ten };
    let seconds = digits::seconds_of_clock(*clock)?;
    Some((Stamp { day: in_some_year(month, number([ten, *one])?)?, seconds, nanos: 0, place: Place::Unsaid }, 15))
}

/// Reads `Fri Nov 20 10:00:00.123456 2026`, which nothing follows that could belong to it but a zone.
#[inline(always)]
fn of_the_c_library(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let ([_, _, _, b' ', a, b, c, b' ', ten, one, b' ', clock @ ..], rest) = bytes.split_first_chunk::<19>()? else {
        return None;
    };
    let ten = if *ten == b' ' { b'0' } else { *ten };
    let (nanos, len) = fraction(rest);
    let [b' ', y1, y2, y3, y4, b']' | b')' | b'>' | b':', ..] = rest[len..] else { return None };
    let days = calendar::days(number([y1, y2, y3, y4])?, month([*a, *b, *c])?, number([ten, *one])?)?;
    let seconds = digits::seconds_of_clock(*clock)?;
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place: Place::Unsaid }, 24 + len))
}

/// Reads `Nov 20 10:00:00` and what else may stand beside it: a comma, the year before or after the clock, a zone.
#[inline]
fn month_first(bytes: &[u8], month: u32) -> Option<(Stamp, usize)> {
    let mut at = 3;
    if bytes.get(3).is_some_and(u8::is_ascii_alphabetic) {
        at = bytes.iter().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
        if !is_month_name(&bytes[..at], month) {
            return None;
        }
    }
    at += spaces(bytes, at)?;
    let (day, len) = number_up_to(&bytes[at..], 2)?;
    at += len + usize::from(bytes.get(at + len) == Some(&b','));
    at += spaces(bytes, at)?;
    let mut year = None;
    if let Some(&[y1, y2, y3, y4, b' ' | b',' | b':']) = bytes.get(at..at + 5) {
        year = Some(number([y1, y2, y3, y4])?);
        at += 4 + usize::from(bytes[at + 4] == b',');
        at += spaces(bytes, at).unwrap_or(0);
    }
    let (seconds, nanos, len) = match clock(&bytes[at..]) {
        Some(read) if !matches!(bytes.get(at + read.2 + 1), Some(b'A' | b'P' | b'a' | b'p')) => read,
        Some(_) | None => clock_of_twelve(&bytes[at..])?,
    };
    at += len;
    let (mut place, len) = place(&bytes[at..]);
    at += len;
    if year.is_none()
        && let Some(&[b' ', y1, y2, y3, y4]) = bytes.get(at..at + 5)
        && !bytes.get(at + 5).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'))
        && let Some(found) = number([y1, y2, y3, y4])
        && (1970..2200).contains(&found)
    {
        year = Some(found);
        at += 5;
        if place == Place::Unsaid {
            let (zone, len) = super::place(&bytes[at..]);
            place = zone;
            at += len;
        }
    }
    let day = match year {
        Some(year) => Day::Dated(calendar::days(year, month, day)?),
        None => in_some_year(month, day)?,
    };
    Some((Stamp { day, seconds, nanos, place }, at))
}

/// How many spaces stand at `at`; none when none do, or more than two.
#[inline]
fn spaces(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)? {
        [b' ', b' ', b' ', ..] => None,
        [b' ', b' ', ..] => Some(2),
        [b' ', ..] => Some(1),
        _ => None,
    }
}

/// Reads `20/Nov/2026:10:00:00 +0100`, which a bracket follows: what [`day_first`] reads too, at a third of the cost.
#[inline(always)]
pub fn of_the_common_format(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let ([d1, d2, b'/', a, b, c, b'/', y1, y2, y3, y4, b':', clock @ ..], rest) = bytes.split_first_chunk::<20>()?
    else {
        return None;
    };
    let [b' ', sign @ (b'+' | b'-'), h1, h2, m1, m2, b']', ..] = *rest else { return None };
    let days = calendar::days(number([*y1, *y2, *y3, *y4])?, month([*a, *b, *c])?, number([*d1, *d2])?)?;
    let seconds = digits::seconds_of_clock(*clock)?;
    let (hours, minutes) = (number([h1, h2])?, number([m1, m2])?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    let east = (hours * 3600 + minutes * 60) as i32;
    let place = Place::East(if sign == b'-' { -east } else { east });
    Some((Stamp { day: Day::Dated(days), seconds, nanos: 0, place }, 26))
}

/// Reads `20/Nov/2026:10:00:00 +0100`, `20-Nov-2026 10:00:00.123`, `20 Nov 2026 10:00:00`, `20 Nov 10:00:00.123`.
pub fn day_first(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let (day, mut at) = number_up_to(bytes, 2)?;
    if let [a, b, c, y1, y2, y3, y4, b' ', ref rest @ ..] = bytes[at..]
        && y1.is_ascii_digit()
    {
        // Forge's `20Nov2026 10:00:00.123`.
        let day = Day::Dated(calendar::days(number([y1, y2, y3, y4])?, month([a, b, c])?, day)?);
        let (seconds, nanos, len) = clock(rest)?;
        return Some((Stamp { day, seconds, nanos, place: Place::Unsaid }, at + 8 + len));
    }
    let [separator @ (b'/' | b'-' | b' '), a, b, c, ref rest @ ..] = *bytes.get(at..)? else { return None };
    let month = month([a, b, c])?;
    at += 4;
    let letters =
        if separator == b' ' { rest.iter().take(7).take_while(|byte| byte.is_ascii_alphabetic()).count() } else { 0 };
    at += letters;
    let rest = &rest[letters..];
    let day = match *rest {
        [mark, y1, y2, y3, y4, b' ' | b':' | b',' | b'T', ..] if mark == separator && y2.is_ascii_digit() => {
            at += 6;
            Day::Dated(calendar::days(number([y1, y2, y3, y4])?, month, day)?)
        }
        [b'-', y1, y2, b' ', ..] if separator == b'-' => {
            at += 4;
            Day::Dated(calendar::days(2000 + number([y1, y2])?, month, day)?)
        }
        [b' ', ..] if separator == b' ' => {
            at += 1;
            in_some_year(month, day)?
        }
        _ => return None,
    };
    // `20-Nov-2026::10:00:00` is Erlang's, `20 Nov 2026, 10:00:00` a person's.
    at += usize::from(matches!(bytes.get(at), Some(b':' | b' ')));
    let (seconds, nanos, len) = clock_of_twelve(bytes.get(at..)?)?;
    at += len;
    let (place, len) = place(&bytes[at..]);
    Some((Stamp { day, seconds, nanos, place }, at + len))
}

/// The month that three letters begin, in the usual spelling or in one case.
#[inline]
pub fn month(letters: [u8; 3]) -> Option<u32> {
    let [a, b, c] = letters;
    Some(match [a | 0x20, b | 0x20, c | 0x20] {
        [b'j', b'a', b'n'] => 1,
        [b'f', b'e', b'b'] => 2,
        [b'm', b'a', b'r'] => 3,
        [b'a', b'p', b'r'] => 4,
        [b'm', b'a', b'y'] => 5,
        [b'j', b'u', b'n'] => 6,
        [b'j', b'u', b'l'] => 7,
        [b'a', b'u', b'g'] => 8,
        [b's', b'e', b'p'] => 9,
        [b'o', b'c', b't'] => 10,
        [b'n', b'o', b'v'] => 11,
        [b'd', b'e', b'c'] => 12,
        _ => return None,
    })
}

/// Whether `word` is the whole name of the month, or `Sept`.
fn is_month_name(word: &[u8], month: u32) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"january",
        b"february",
        b"march",
        b"april",
        b"may",
        b"june",
        b"july",
        b"august",
        b"september",
        b"october",
        b"november",
        b"december",
    ];
    NAMES.get(month as usize - 1).is_some_and(|name| name.eq_ignore_ascii_case(word)) || word == b"Sept"
}

#[inline]
fn is_weekday(letters: [u8; 3]) -> bool {
    matches!(&letters, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
}

#[cfg(test)]
mod tests {
    use crate::{
        entry::Nanos,
        parse::time::{self, Frame, Zone},
    };

    const LATEST: Nanos = Nanos(1_795_255_200_000_000_000);

    fn at(text: &str) -> Option<i64> {
        let (stamp, _) = time::read(text.as_bytes())?;
        stamp.moment(&Frame::new(&Zone::utc(), LATEST, false)).map(|moment| moment.0 / 1_000_000)
    }

    #[test]
    fn every_layout_of_a_moment_is_that_moment() {
        for text in [
            "Nov 20 10:00:00 host app: x",
            "Nov 20 2026 10:00:00",
            "Nov 20, 2026 10:00:00 AM",
            "Nov 20, 2026, 10:00:00 AM",
            "November 20, 2026 10:00:00",
            "Fri Nov 20 10:00:00 2026",
            "Fri Nov 20 10:00:00.000000 2026",
            "Fri Nov 20 10:00:00 UTC 2026",
            "Fri Nov 20 11:00:00 CET 2026",
            "Fri Nov 20 10:00:00 2026 +0000",
            "Fri, 20 Nov 2026 10:00:00 GMT",
            "Fri, 20 Nov 2026 02:00:00 -0800",
            "Fri 2026-11-20 10:00:00 UTC",
            "Friday, November 20, 2026 10:00:00 AM",
            "20/Nov/2026:10:00:00 +0000",
            "20/Nov/2026:11:00:00 +0100",
            "20/Nov/2026 10:00:00",
            "20-Nov-2026 10:00:00.000",
            "20-Nov-2026::10:00:00",
            "20-Nov-26 10:00:00",
            "20 Nov 2026 10:00:00.000 * Ready",
            "20 Nov 10:00:00.000 * Ready",
            "20 November 2026 10:00:00",
        ] {
            assert_eq!(at(text), Some(1_795_168_800_000), "{text}");
        }
    }

    #[test]
    fn a_missing_year_is_the_latest_that_fits() {
        // The frame's latest moment is 2026-11-21T10:00:00Z.
        assert_eq!(at("Nov 21 10:00:00"), Some(1_795_255_200_000));
        assert_eq!(at("Nov 21 10:00:01"), Some(1_763_719_201_000));
        assert_eq!(at("Dec 31 23:59:59"), Some(1_767_225_599_000));
        assert_eq!(at("Jan  1 00:00:00"), Some(1_767_225_600_000));
        assert_eq!(at("Feb 29 12:00:00"), Some(1_709_208_000_000));
        assert_eq!(at("Feb 30 12:00:00"), None);
    }

    #[test]
    fn east_of_utc_the_new_year_comes_first() {
        let zone = Zone::named("+14:00").expect("an offset");
        let (stamp, _) = time::read(b"Jan  1 00:30:00").expect("a time");
        let latest = Nanos(1_798_713_000_000_000_000);
        assert_eq!(stamp.moment(&Frame::new(&zone, latest, false)), Some(latest));
    }

    #[test]
    fn a_number_after_the_clock_is_a_year_only_when_it_ends_there() {
        let (_, len) = time::read(b"Nov 20 10:00:00 2026-host app").expect("a time");
        assert_eq!(len, 15);
        let (_, len) = time::read(b"Nov 20 10:00:00 2026 app").expect("a time");
        assert_eq!(len, 20);
    }

    #[test]
    fn words_that_begin_like_months_are_no_times() {
        for text in ["Marking 12 as done", "May be 12", "Sunday", "Monitor 1", "Decoder 12 10:00:00x", "Aug", "Fri "] {
            assert_eq!(at(text), None, "{text}");
        }
    }
}
