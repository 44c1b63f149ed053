//! Writes timestamps, thousands of the same second in a row.

use std::io::Write as _;

use jiff::{Timestamp, tz::TimeZone};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Writes date and time of day in one zone.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    /// The second that was written last.
    second: Option<i64>,
    /// Its text.
    text: Vec<u8>,
    separator: char,
}

impl Clock {
    /// A clock of `zone`, that writes `separator` between date and time of day.
    pub const fn new(zone: TimeZone, separator: char) -> Self {
        Self { zone, second: None, text: Vec::new(), separator }
    }

    /// Appends `YYYY-MM-DD?HH:MM:SS` of a timestamp in nanoseconds, and `digits` digits of its fraction.
    pub fn push(&mut self, out: &mut Vec<u8>, timestamp: i64, digits: usize) {
        let second = timestamp.div_euclid(SECOND);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            let moment = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            let moment = self.zone.to_datetime(moment);
            let (date, time) = (moment.date(), moment.time());
            write!(self.text, "{date}{}", self.separator)
                .and_then(|()| write!(self.text, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()))
                .expect("a vector takes everything");
        }
        out.extend_from_slice(&self.text);
        let mut fraction = [0; 9];
        let mut rest = timestamp.rem_euclid(SECOND);
        for digit in fraction.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        if digits > 0 {
            out.push(b'.');
            out.extend_from_slice(&fraction[..digits.min(9)]);
        }
    }
}

/// Appends the distance of `timestamp` from `now`, both in nanoseconds, in four columns: `  3s`, ` 12m`, `  5h`, ` 40d`,
/// with a plus sign when it lies ahead.
pub fn push_distance(out: &mut Vec<u8>, timestamp: i64, now: i64) {
    let seconds = now.saturating_sub(timestamp) / SECOND;
    let (sign, seconds) = if seconds < 0 { ("+", -seconds) } else { ("", seconds) };
    let (number, unit) = match seconds {
        0..60 => (seconds, 's'),
        60..3600 => (seconds / 60, 'm'),
        3600..86400 => (seconds / 3600, 'h'),
        _ => (seconds / 86400, 'd'),
    };
    write!(out, "{:>4}", format!("{sign}{number}{unit}")).expect("a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(zone: TimeZone, timestamp: i64, digits: usize) -> String {
        let mut out = Vec::new();
        let mut clock = Clock::new(zone, 'T');
        clock.push(&mut Vec::new(), timestamp.wrapping_add(1), digits);
        clock.push(&mut out, timestamp, digits);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn times_are_written_to_the_nanosecond() {
        assert_eq!(written(TimeZone::UTC, 0, 9), "1970-01-01T00:00:00.000000000");
        assert_eq!(written(TimeZone::UTC, -1, 9), "1969-12-31T23:59:59.999999999");
        assert_eq!(written(TimeZone::UTC, 1_700_000_000_123_456_789, 3), "2023-11-14T22:13:20.123");
        assert_eq!(written(TimeZone::UTC, i64::MAX, 9), "2262-04-11T23:47:16.854775807");
        assert_eq!(written(TimeZone::UTC, i64::MIN, 9), "1677-09-21T00:12:43.145224192");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        assert_eq!(written(berlin, 1_700_000_000_000_000_000, 0), "2023-11-14T23:13:20");
    }

    #[test]
    fn distances_have_four_columns() {
        let written = |seconds: i64| {
            let mut out = Vec::new();
            push_distance(&mut out, 0, seconds * SECOND);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(written(0), "  0s");
        assert_eq!(written(59), " 59s");
        assert_eq!(written(60), "  1m");
        assert_eq!(written(7200), "  2h");
        assert_eq!(written(864_000), " 10d");
        assert_eq!(written(-5), " +5s");
    }
}
