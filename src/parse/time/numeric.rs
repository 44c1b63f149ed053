//! Dates in digits that are not ISO 8601: `17/06/09 20:10:40`, `11/20/2026 10:00:00 AM`, `20.11.2026 10:00:00`,
//! `03-17 16:13:38.811`, `081109 203615`, `261120 10:00:00`, `20171223-22:15:29:606`.

use super::{Day, Place, Stamp, calendar, clock, clock_of_twelve, fraction, number, number_up_to, place};

/// Reads such a date and the clock behind it.
pub fn read(bytes: &[u8]) -> Option<(Stamp, usize)> {
    match *bytes {
        [_, _, b'/', _, _, b'/', _, _, _, _, b' ' | b':' | b'-' | b',', ..] => year_last(bytes, b'/'),
        [_, _, b'/', _, _, b'/', _, _, b' ', ..] => year_of_two(bytes),
        [_, _, b'.', _, _, b'.', _, _, _, _, b' ' | b',' | b'-', ..] => year_last(bytes, b'.'),
        [_, _, b'-', _, _, b'-', _, _, _, _, b' ' | b'T' | b':', ..] => year_last(bytes, b'-'),
        [_, _, b'-', _, _, b' ', _, _, b':', ..] => yearless(bytes),
        [_, b'/', _, ..] | [_, _, b'/', _, b'/', ..] => unpadded(bytes),
        [_, _, _, _, _, _, b' ', ..] => six(bytes),
        [_, _, _, _, _, _, _, _, b'-' | b' ', ..] => eight(bytes),
        [b'1' | b'2', b'0' | b'9', _, _, _, _, _, _, _, _, _, _, _, _, ..] => fourteen(bytes),
        _ => None,
    }
}

/// Reads `[10.30 16:49:06]`'s inside: month and day without a year. Only a bracket makes sure that it is a date.
pub fn month_dot_day(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [m1, m2, b'.', d1, d2, b' ', ref rest @ ..] = *bytes else { return None };
    let (seconds, nanos, len) = clock(rest)?;
    let day = in_some_year(number([m1, m2])?, number([d1, d2])?)?;
    Some((Stamp { day, seconds, nanos, place: Place::Unsaid }, 6 + len))
}

/// Whether a line of `head` begins with a date such as `20/11/2026`, whose day cannot be a month.
pub fn shows_day_first(head: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').any(|line| {
        let date = line.strip_prefix(b"[").unwrap_or(line);
        match *date {
            [d1 @ b'0'..=b'3', d2, b'/', m1, m2, b'/', y1, _, _, y4, ..]
                if y1.is_ascii_digit() && y4.is_ascii_digit() =>
            {
                matches!((number([d1, d2]), number([m1, m2])), (Some(13..=31), Some(1..=12)))
            }
            _ => false,
        }
    })
}

/// A day of an unsaid year, if there is one in some year.
pub fn in_some_year(month: u32, day: u32) -> Option<Day> {
    calendar::exists(month, day).then_some(Day::Yearless { month, day })
}

/// A day whose year stands last; of day and month a number over 12 tells which is which.
fn day_and_month(year: u32, first: u32, second: u32) -> Option<Day> {
    if first > 12 {
        return Some(Day::Dated(calendar::days(year, second, first)?));
    }
    if second > 12 {
        return Some(Day::Dated(calendar::days(year, first, second)?));
    }
    (first > 0 && second > 0 && year >= 1970).then_some(Day::Either { year, first, second })
}

/// Reads `11/20/2026 10:00:00`, `20.11.2026 10:00:00` or `20-11-2026 10:00:00`. With dots the day stands first.
fn year_last(bytes: &[u8], separator: u8) -> Option<(Stamp, usize)> {
    let [a1, a2, mark, b1, b2, again, y1, y2, y3, y4, _, ref rest @ ..] = *bytes else { return None };
    if mark != separator || again != separator {
        return None;
    }
    let (first, second, year) = (number([a1, a2])?, number([b1, b2])?, number([y1, y2, y3, y4])?);
    let day = match separator {
        b'/' => day_and_month(year, first, second)?,
        _ if first <= 12 && second > 12 => Day::Dated(calendar::days(year, first, second)?),
        _ => Day::Dated(calendar::days(year, second, first)?),
    };
    // Suricata's ` -- `.
    let gap = if rest.starts_with(b"-- ") { 3 } else { usize::from(rest.first() == Some(&b' ')) };
    let (seconds, nanos, len) = clock_of_twelve(&rest[gap..])?;
    let (place, zone) = place(&rest[gap + len..]);
    Some((Stamp { day, seconds, nanos, place }, 11 + gap + len + zone))
}

/// Reads `17/06/09 20:10:40`: year, month, day, as Spark and Hadoop write it; month, day, year when only that is a
/// date.
fn year_of_two(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [a1, a2, _, b1, b2, _, c1, c2, _, ref rest @ ..] = *bytes else { return None };
    let (a, b, c) = (number([a1, a2])?, number([b1, b2])?, number([c1, c2])?);
    let days = calendar::days(2000 + a, b, c)
        .or_else(|| calendar::days(2000 + c, a, b))
        .or_else(|| calendar::days(2000 + c, b, a))?;
    let (seconds, nanos, len) = clock_of_twelve(rest)?;
    let (place, zone) = place(&rest[len..]);
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place }, 9 + len + zone))
}

/// Reads `3/7/2026 9:05:01 PM`, whose numbers have as many digits as they need.
fn unpadded(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let (first, a) = number_up_to(bytes, 2)?;
    let rest = bytes.get(a..)?.strip_prefix(b"/")?;
    let (second, b) = number_up_to(rest, 2)?;
    let rest = rest.get(b..)?.strip_prefix(b"/")?;
    let (year, c) = number_up_to(rest, 4)?;
    if c != 4 {
        return None;
    }
    let day = day_and_month(year, first, second)?;
    let rest = rest.get(c..)?;
    let gap = if rest.starts_with(b", ") { 2 } else { usize::from(rest.starts_with(b" ")) };
    if gap == 0 {
        return None;
    }
    let (seconds, nanos, len) = clock_of_twelve(&rest[gap..])?;
    let (place, zone) = place(&rest[gap + len..]);
    Some((Stamp { day, seconds, nanos, place }, a + b + c + 2 + gap + len + zone))
}

/// Reads `03-17 16:13:38.811`, as Android writes it.
fn yearless(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [m1, m2, _, d1, d2, _, ref rest @ ..] = *bytes else { return None };
    let day = in_some_year(number([m1, m2])?, number([d1, d2])?)?;
    let (seconds, nanos, len) = clock(rest)?;
    let (place, zone) = place(&rest[len..]);
    Some((Stamp { day, seconds, nanos, place }, 6 + len + zone))
}

/// Reads `081109 203615` (HDFS) and `261120 10:00:00`, `261120  9:05:01` (MySQL): year, month, day.
fn six(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [y1, y2, m1, m2, d1, d2, _, ref rest @ ..] = *bytes else { return None };
    let days = calendar::days(2000 + number([y1, y2])?, number([m1, m2])?, number([d1, d2])?)?;
    let (seconds, nanos, len) = match *rest {
        [h1, h2, i1, i2, s1, s2, ref after @ ..]
            if h2.is_ascii_digit() && i1.is_ascii_digit() && matches!(after, [] | [b' ' | b'.' | b',', ..]) =>
        {
            let seconds = calendar::seconds_of_day(number([h1, h2])?, number([i1, i2])?, number([s1, s2])?)?;
            let (nanos, len) = fraction(after);
            (seconds, nanos, 6 + len)
        }
        [b' ', ref single @ ..] => {
            let (seconds, nanos, len) = clock_of_twelve(single)?;
            (seconds, nanos, 1 + len)
        }
        _ => clock(rest)?,
    };
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place: Place::Unsaid }, 7 + len))
}

/// Reads `20171223-22:15:29:606` (HealthApp: numbers have as many digits as they need, milliseconds last),
/// `20261120 10:00:00.5` and `20261120-100000`.
fn eight(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [y1, y2, y3, y4, m1, m2, d1, d2, _, ref rest @ ..] = *bytes else { return None };
    let days = calendar::days(number([y1, y2, y3, y4])?, number([m1, m2])?, number([d1, d2])?)?;
    let (seconds, nanos, len) = match *rest {
        [h1, h2, i1, i2, s1, s2, ref after @ ..] if i1.is_ascii_digit() && h2.is_ascii_digit() => {
            let seconds = calendar::seconds_of_day(number([h1, h2])?, number([i1, i2])?, number([s1, s2])?)?;
            let (nanos, len) = fraction(after);
            (seconds, nanos, 6 + len)
        }
        _ => loose_clock(rest)?,
    };
    let (place, zone) = place(&rest[len..]);
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place }, 9 + len + zone))
}

/// Reads `20261120100000`, also with milliseconds at its end, as log4j's `COMPACT` has them, or with a fraction.
fn fourteen(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let [y1, y2, y3, y4, m1, m2, d1, d2, h1, h2, i1, i2, s1, s2, ref rest @ ..] = *bytes else { return None };
    let days = calendar::days(number([y1, y2, y3, y4])?, number([m1, m2])?, number([d1, d2])?)?;
    let seconds = calendar::seconds_of_day(number([h1, h2])?, number([i1, i2])?, number([s1, s2])?)?;
    let (nanos, len) = match *rest {
        [a, b, c, ref after @ ..] if a.is_ascii_digit() && !after.first().is_some_and(u8::is_ascii_digit) => {
            (number([a, b, c])? * 1_000_000, 3)
        }
        [b'0'..=b'9', ..] => return None,
        _ => fraction(rest),
    };
    let (place, zone) = place(&rest[len..]);
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place }, 14 + len + zone))
}

/// Reads `0:7:20:444` and `22:15:29.606`: numbers of one or two digits, a fraction or milliseconds.
fn loose_clock(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let (hour, h) = number_up_to(bytes, 2)?;
    let rest = bytes.get(h..)?.strip_prefix(b":")?;
    let (minute, m) = number_up_to(rest, 2)?;
    let rest = rest.get(m..)?.strip_prefix(b":")?;
    let (second, s) = number_up_to(rest, 2)?;
    let rest = &rest[s..];
    let seconds = calendar::seconds_of_day(hour, minute, second)?;
    let len = h + m + s + 2;
    match rest {
        [b':', millis @ ..] => {
            let (millis, digits) = number_up_to(millis, 3)?;
            Some((seconds, millis * 1_000_000, len + 1 + digits))
        }
        _ => {
            let (nanos, digits) = fraction(rest);
            Some((seconds, nanos, len + digits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::Nanos,
        parse::time::{Frame, Zone},
    };

    const LATEST: Nanos = Nanos(1_795_255_200_000_000_000);

    fn at(text: &str, day_first: bool) -> Option<i64> {
        let (stamp, _) = read(text.as_bytes())?;
        stamp.moment(&Frame::new(&Zone::utc(), LATEST, day_first)).map(|moment| moment.0 / 1_000_000)
    }

    #[test]
    fn every_layout_of_a_moment_is_that_moment() {
        for text in [
            "26/11/20 10:00:00 INFO",
            "11/20/26 10:00:00",
            "11/20/2026 10:00:00 AM",
            "11/20/2026 10:00:00",
            "20/11/2026 10:00:00",
            "20/11/2026, 10:00:00",
            "20.11.2026 10:00:00",
            "20-11-2026 10:00:00",
            "11-20 10:00:00.000  12",
            "261120 10:00:00",
            "261120 100000 148 INFO",
            "20261120-10:0:0:0|x",
            "20261120 10:00:00",
            "20261120-100000",
            "20261120100000",
            "20261120100000000 x",
            "20/11/2026 -- 10:00:00 - x",
        ] {
            assert_eq!(at(text, false), Some(1_795_168_800_000), "{text}");
        }
    }

    #[test]
    fn fractions_and_loose_numbers_are_read() {
        assert_eq!(at("20171223-22:15:29:606|Step", false), Some(1_514_067_329_606));
        assert_eq!(at("20171224-0:7:20:4|Step", false), Some(1_514_074_040_004));
        assert_eq!(at("3/7/2026 9:05:01 PM", false), Some(1_772_917_501_000));
        assert_eq!(at("261120  9:05:01 [Note]", false), Some(1_795_165_501_000));
    }

    #[test]
    fn the_frame_decides_what_the_digits_do_not() {
        assert_eq!(at("03/04/2026 00:00:00", false), Some(1_772_582_400_000));
        assert_eq!(at("03/04/2026 00:00:00", true), Some(1_775_174_400_000));
        assert_eq!(at("04.03.2026 00:00:00", false), Some(1_772_582_400_000));
    }

    #[test]
    fn digits_that_are_no_date_are_no_time() {
        for text in [
            "123456 node-1 x",
            "12/34/56 10:00:00",
            "99-99 10:00:00",
            "20261320-10:00:00",
            "192.168.100.1 - -",
            "20261320100000",
            "202611201000001",
            "20261120100000000000 x",
            "1/2/3",
        ] {
            assert_eq!(at(text, false), None, "{text}");
        }
    }
}
