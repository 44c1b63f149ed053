//! Times as people write them on a command line.

use jiff::{
    Span, Timestamp, ZonedDateTime,
    civil::{DateTime, Time},
};

/// Forms that [`read`] knows, for an error message.
const FORMS: &str = "use RFC 3339 (2026-01-31T12:00:00Z), a local date, time or both (2026-01-31 12:00), @SECONDS, now, \
                     today, yesterday, or a span before now (10m, 2h, 1h30m, 3d)";

/// The moment that `text` means at `now`, whose zone is that of times without one.
///
/// # Errors
/// Says what forms there are.
pub fn read(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
    let text = text.trim();
    named(text, now)
        .or_else(|| text.strip_prefix('@').and_then(since_epoch))
        .or_else(|| text.parse::<Timestamp>().ok())
        .or_else(|| civil(text, now))
        .or_else(|| distance(text, now))
        .ok_or_else(|| format!("`{text}` is no time: {FORMS}"))
}

fn named(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let day = match text.to_ascii_lowercase().as_str() {
        "now" => return Some(now.timestamp()),
        "today" => now.clone(),
        "yesterday" => now.yesterday().ok()?,
        "tomorrow" => now.tomorrow().ok()?,
        _ => return None,
    };
    Some(day.start_of_day().ok()?.timestamp())
}

fn since_epoch(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let nanoseconds = format!("{fraction:0<9}");
    if fraction.is_empty() || nanoseconds.len() > 9 || !nanoseconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i32 = nanoseconds.parse().ok()?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Timestamp::new(seconds.parse().ok()?, sign * nanoseconds).ok()
}

/// A date, a time of today, or both, in the zone of `now`.
fn civil(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let moment: DateTime = match text.parse::<DateTime>() {
        Ok(moment) => moment,
        Err(_) if text.contains(':') => now.date().to_datetime(text.parse::<Time>().ok()?),
        Err(_) => return None,
    };
    Some(moment.to_zoned_datetime(now.time_zone().clone()).ok()?.timestamp())
}

/// A span before `now`, or after it with a plus sign.
fn distance(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let (text, later) = match text.strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (text.strip_prefix('-').unwrap_or(text), false),
    };
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let span: Span = text.parse().ok()?;
    let moment = if later { now.checked_add(span) } else { now.checked_sub(span) };
    Some(moment.ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> ZonedDateTime {
        "2026-03-30T12:34:56.5+02:00[Europe/Berlin]".parse().expect("a time")
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let same = |text: &str, expected: &str| {
            let expected: Timestamp = expected.parse().expect(expected);
            assert_eq!(read(text, &now()), Ok(expected), "{text}");
        };
        same("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z");
        same("2026-01-02T03:04:05.123456789+01:00", "2026-01-02T02:04:05.123456789Z");
        same("2026-01-02 03:04:05Z", "2026-01-02T03:04:05Z");
        same("2026-01-02", "2026-01-01T23:00:00Z");
        same("2026-01-02 03:04", "2026-01-02T02:04:00Z");
        same("2026-07-02T03:04:05", "2026-07-02T01:04:05Z");
        same("03:04", "2026-03-30T01:04:00Z");
        same("now", "2026-03-30T10:34:56.5Z");
        same("Today", "2026-03-29T22:00:00Z");
        // The day before was the one that lost an hour.
        same("yesterday", "2026-03-28T23:00:00Z");
        same("tomorrow", "2026-03-30T22:00:00Z");
        same("10m", "2026-03-30T10:24:56.5Z");
        same("2h", "2026-03-30T08:34:56.5Z");
        same("1h30m", "2026-03-30T09:04:56.5Z");
        same("2 hours ago", "2026-03-30T08:34:56.5Z");
        same("90s", "2026-03-30T10:33:26.5Z");
        same("-90s", "2026-03-30T10:33:26.5Z");
        same("1d", "2026-03-29T10:34:56.5Z");
        same("2w", "2026-03-16T11:34:56.5Z");
        same("+1m", "2026-03-30T10:35:56.5Z");
        same("@0", "1970-01-01T00:00:00Z");
        same("@1700000000.25", "2023-11-14T22:13:20.25Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "10", "m", "yesteryear", "2026-13-01", "25:00", "@", "@x", "@1.", "@1.1234567890", "10m10", "- 5m"]
        {
            let error = read(text, &now()).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is no time: use RFC 3339")), "{error}");
        }
    }
}
