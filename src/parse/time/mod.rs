//! Times as lines state them, and the moments they mean.
//!
//! A reader of one layout takes bytes and gives a [`Stamp`] and how many bytes it took; [`Stamp::moment`] makes a moment
//! of it with what the source and the file add: the zone for times that name none.

pub mod calendar;
mod digits;
pub mod epoch;
pub mod iso;
pub mod named;
pub mod numeric;
pub mod zone;

pub use digits::{fraction, number, number_up_to};
pub use zone::{Zone, ZoneError};

use crate::entry::Nanos;

/// A time as a line states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The day.
    pub day: Day,
    /// Seconds of that day, at most 86,400 (a leap second).
    pub seconds: u32,
    /// Nanoseconds of the second, less than 1e9.
    pub nanos: u32,
    /// Where that day and those seconds are meant.
    pub place: Place,
}

/// A day as a line states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// So many days after 1970-01-01.
    Dated(i64),
    /// A day of an unsaid year; in some year it exists.
    Yearless {
        /// 1 to 12.
        month: u32,
        /// 1 to 31.
        day: u32,
    },
    /// Two numbers, both 12 or less, of which one is the month.
    Either {
        /// The year.
        year: u32,
        /// The number that stands first.
        first: u32,
        /// The number that stands second.
        second: u32,
    },
}

/// Where a civil time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The line names no zone: the source's.
    Unsaid,
    /// So many seconds east of UTC.
    East(i32),
}

/// What stamps leave unsaid.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    /// The source's zone.
    pub zone: &'f Zone,
    /// The latest moment that a record can stem from.
    pub latest: Nanos,
    /// The year of that moment in UTC.
    pub latest_year: u32,
    /// Whether `03/04/2026` is in April.
    pub day_first: bool,
}

#[cfg(test)]
impl<'f> Frame<'f> {
    /// A frame for records that stem from `latest` at the latest.
    pub fn new(zone: &'f Zone, latest: Nanos, day_first: bool) -> Self {
        Self { zone, latest, latest_year: year_of(latest), day_first }
    }
}

/// The year, in UTC, in which a moment lies.
pub fn year_of(moment: Nanos) -> u32 {
    calendar::year(moment.0.div_euclid(1_000_000_000)).clamp(1970, 9999) as u32
}

impl Stamp {
    /// The time that states `moment`.
    pub fn of(moment: Nanos) -> Self {
        let (second, nanos) = (moment.0.div_euclid(1_000_000_000), moment.0.rem_euclid(1_000_000_000));
        let (days, seconds) = (second.div_euclid(calendar::DAY), second.rem_euclid(calendar::DAY));
        Self { day: Day::Dated(days), seconds: seconds as u32, nanos: nanos as u32, place: Place::East(0) }
    }
}

/// Years between two leap days, at most (1896 to 1904, 2096 to 2104).
const LEAP_YEARS_APART: u32 = 8;

impl Stamp {
    /// The moment meant; none when an entry could not carry it (0 and everything before, and beyond the year 2261), or
    /// when the year is unsaid and no year fits.
    #[inline(always)]
    pub fn moment(self, frame: &Frame<'_>) -> Option<Nanos> {
        match self.day {
            Day::Dated(days) => self.on(days, frame.zone),
            Day::Either { year, first, second } if frame.day_first => {
                self.on(calendar::days(year, second, first)?, frame.zone)
            }
            Day::Either { year, first, second } => self.on(calendar::days(year, first, second)?, frame.zone),
            Day::Yearless { month, day } => {
                // East of UTC it may be next year already.
                let newest = frame.latest_year + u32::from(month == 1);
                (0..=LEAP_YEARS_APART + 1).find_map(|back| {
                    let days = calendar::days(newest.checked_sub(back)?, month, day)?;
                    self.on(days, frame.zone).filter(|moment| *moment <= frame.latest)
                })
            }
        }
    }

    #[inline(always)]
    fn on(self, days: i64, zone: &Zone) -> Option<Nanos> {
        let civil = days * calendar::DAY + i64::from(self.seconds);
        let second = match self.place {
            Place::East(east) => civil - i64::from(east),
            Place::Unsaid => zone.moment(civil),
        };
        moment(second, self.nanos)
    }
}

/// The moment `nanos` after `second` of the epoch, unless an entry could not carry it.
pub fn moment(second: i64, nanos: u32) -> Option<Nanos> {
    let moment = second.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos))?;
    (moment > 0).then_some(Nanos(moment))
}

/// The time that begins `bytes`, in whatever layout, and its length.
#[inline]
pub fn read(bytes: &[u8]) -> Option<(Stamp, usize)> {
    match bytes.first()? {
        b'0'..=b'9' => iso::read(bytes).or_else(|| numeric::read(bytes)).or_else(|| named::day_first(bytes)),
        b'A'..=b'Z' | b'a'..=b'z' => named::read(bytes),
        _ => None,
    }
}

/// The moment that the value of a time key means: a date and clock, or a number since the epoch.
pub fn value(text: &[u8], frame: &Frame<'_>) -> Option<Nanos> {
    if let Some(moment) = epoch::whole(text) {
        return Some(moment);
    }
    match read(text) {
        Some((stamp, _)) => stamp.moment(frame),
        None => epoch::read(text),
    }
}

/// Reads `HH:MM:SS` with an optional fraction: seconds of the day, nanoseconds, length. A leap second is the first
/// second of the next minute.
// Inlined by force: what it returns would else go through memory, be stored in parts and loaded whole, which stalls.
#[inline(always)]
pub fn clock(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let (clock, rest) = bytes.split_first_chunk::<8>()?;
    let seconds = digits::seconds_of_clock(*clock)?;
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (nanos, len) = match *rest {
        // Milliseconds behind a colon.
        [b':', d1, d2, d3, ref after @ ..] if !after.first().is_some_and(u8::is_ascii_digit) => {
            number([d1, d2, d3]).map_or((0, 0), |millis| (millis * 1_000_000, 4))
        }
        _ => digits::fraction_behind(bytes),
    };
    Some((seconds, nanos, 8 + len))
}

/// Reads a clock like [`clock`] whose hour may have one digit, and which may be of twelve hours and end in ` AM` or
/// ` PM`.
pub fn clock_of_twelve(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let (seconds, nanos, len) = match bytes {
        [hour, b':', rest @ ..] if hour.is_ascii_digit() => {
            let mut padded = [b'0', *hour, b':', 0, 0, 0, 0, 0];
            padded[3..].copy_from_slice(rest.get(..5)?);
            let (seconds, _, _) = clock(&padded)?;
            let (nanos, len) = fraction(&rest[5..]);
            (seconds, nanos, 7 + len)
        }
        _ => clock(bytes)?,
    };
    let noon = 12 * 3600;
    match bytes[len..] {
        [b' ', half @ (b'A' | b'P' | b'a' | b'p'), b'M' | b'm', ref rest @ ..]
            if !rest.first().is_some_and(u8::is_ascii_alphanumeric) && (3600..noon + 3600).contains(&seconds) =>
        {
            let morning = seconds % noon;
            Some((if half.eq_ignore_ascii_case(&b'P') { morning + noon } else { morning }, nanos, len + 3))
        }
        _ => Some((seconds, nanos, len)),
    }
}

/// Reads what may follow a clock and name its zone: `Z`, `+01:00`, `+0100`, `+01`, also after a space (then only whole
/// offsets and known names), and `[Europe/Berlin]` after an offset. The length is 0 when nothing does.
#[inline(always)]
pub fn place(bytes: &[u8]) -> (Place, usize) {
    match *bytes {
        [b'Z' | b'z', ref rest @ ..] if !rest.first().is_some_and(u8::is_ascii_alphanumeric) => (Place::East(0), 1),
        [b'+' | b'-', ..] | [b' ', b'A'..=b'Z', ..] | [b' ', b'+' | b'-', b'0'..=b'9', ..] => spelled_place(bytes),
        _ => (Place::Unsaid, 0),
    }
}

fn spelled_place(bytes: &[u8]) -> (Place, usize) {
    match *bytes {
        [b'+' | b'-', ..] => match offset(bytes) {
            Some((east, len)) => (Place::East(east), len + annotation(&bytes[len..])),
            None => (Place::Unsaid, 0),
        },
        // PostgreSQL's zones without an abbreviation: ` -03 [12]`.
        [b' ', b'+' | b'-', b'0'..=b'9', b'0'..=b'9', b' ', b'[', ..] => match offset(&bytes[1..4]) {
            Some((east, len)) => (Place::East(east), 1 + len),
            None => (Place::Unsaid, 0),
        },
        [b' ', b'+' | b'-', ..] => match offset(&bytes[1..]) {
            Some((east, len)) if len >= 5 => (Place::East(east), 1 + len),
            Some(_) | None => (Place::Unsaid, 0),
        },
        [b' ', b'A'..=b'Z', ..] => match zone::abbreviation(&bytes[1..]) {
            Some((place, len)) => (place, 1 + len),
            None => (Place::Unsaid, 0),
        },
        _ => (Place::Unsaid, 0),
    }
}

/// Reads `+01:00`, `+0100` or `+01` (either sign): seconds east of UTC and the length.
fn offset(bytes: &[u8]) -> Option<(i32, usize)> {
    let (hours, minutes, len) = match *bytes {
        [_, h1, h2, b':', m1, m2, ..] => (number([h1, h2])?, number([m1, m2])?, 6),
        // DB2's minutes.
        [_, m1, m2, m3] | [_, m1, m2, m3, b' ', ..] if m3.is_ascii_digit() => (0, number([m1, m2, m3])?, 4),
        [_, h1, h2, m1, m2, ..] if m1.is_ascii_digit() => (number([h1, h2])?, number([m1, m2])?, 5),
        [_, h1, h2, ..] => (number([h1, h2])?, 0, 3),
        _ => return None,
    };
    if hours > 18
        || minutes > if len == 4 { 18 * 60 } else { 59 }
        || bytes.get(len).is_some_and(u8::is_ascii_alphanumeric)
    {
        return None;
    }
    let east = (hours * 3600 + minutes * 60) as i32;
    Some((if bytes[0] == b'-' { -east } else { east }, len))
}

/// The length of an RFC 9557 annotation, `[Europe/Berlin]`, which repeats for people what the offset has said.
fn annotation(bytes: &[u8]) -> usize {
    let [b'[', first, ..] = bytes else { return 0 };
    let name = bytes.len().min(48);
    match bytes[..name].iter().position(|&byte| byte == b']') {
        Some(end) if first.is_ascii_alphabetic() && bytes[..end].contains(&b'/') => end + 1,
        Some(_) | None => 0,
    }
}
