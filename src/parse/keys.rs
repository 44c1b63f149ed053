//! Keys of JSON objects and of `key=value` pairs that name the severity or the time.

use super::words::Table;

/// What a key names, and how well, 0 being the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Neither.
    Other,
    /// The severity.
    Severity(u8),
    /// The time.
    Time(u8),
}

use Meaning::{Severity, Time};

/// Keys of three to eight bytes, in lower case; they count in any case.
static SHORT: Table<Meaning, 20> = Table::build(
    [
        (b"lvl", Severity(0)),
        (b"sev", Severity(0)),
        (b"level", Severity(0)),
        (b"_level", Severity(0)),
        (b"@level", Severity(0)),
        (b"severity", Severity(0)),
        (b"loglevel", Severity(0)),
        (b"priority", Severity(2)),
        (b"status", Severity(3)),
        (b"label", Severity(3)),
        (b"levelno", Severity(3)),
        (b"time", Time(0)),
        (b"asctime", Time(1)),
        (b"datetime", Time(1)),
        (b"date", Time(1)),
        (b"$date", Time(1)),
        (b"@time", Time(1)),
        (b"logtime", Time(2)),
        (b"log_time", Time(2)),
        (b"msec", Time(2)),
    ],
    Meaning::Other,
);

/// What `key` names.
#[inline]
pub fn meaning(key: &[u8]) -> Meaning {
    match key.len() {
        3..=8 => SHORT.get(key),
        1 | 2 => shortest(key),
        _ => longer(key),
    }
}

/// What a key of one or two bytes names; a single letter may mean anything, so that its value has to be sure.
fn shortest(key: &[u8]) -> Meaning {
    match key {
        b"l" | b"s" | b"L" => Severity(2),
        b"@l" => Severity(0),
        b"ts" | b"TS" | b"@t" => Time(0),
        b"t" | b"T" => Time(1),
        _ => Meaning::Other,
    }
}

/// What a key of more than eight bytes names.
fn longer(key: &[u8]) -> Meaning {
    let is = |name: &[u8]| key.eq_ignore_ascii_case(name);
    match key.len() {
        9 if is(b"timestamp") => Time(0),
        9 if is(b"log.level") || is(b"log_level") || is(b"levelname") => Severity(0),
        9 if is(b"eventtime") => Time(1),
        10 if is(b"@timestamp") => Time(0),
        10 if is(b"level_name") => Severity(0),
        10 if is(b"event_time") => Time(1),
        10 if is(b"timemillis") || is(b"time_local") => Time(2),
        11 if is(b"level_value") => Severity(3),
        12 if is(b"severitytext") => Severity(0),
        12 if is(b"timeunixnano") || is(b"time_iso8601") => Time(1),
        13 if is(b"severity_text") => Severity(0),
        14 if is(b"error_severity") => Severity(0),
        14 if is(b"severitynumber") => Severity(1),
        14 if is(b"time_unix_nano") => Time(1),
        15 if is(b"severity_number") => Severity(1),
        15 if is(b"syslog_severity") => Severity(2),
        17 if is(b"observedtimestamp") => Time(3),
        20 if is(b"observedtimeunixnano") || is(b"__realtime_timestamp") => Time(3),
        23 if is(b"observed_time_unix_nano") => Time(3),
        26 if is(b"_source_realtime_timestamp") => Time(2),
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_in_any_case_and_only_whole() {
        for (key, expected) in [
            ("level", Severity(0)),
            ("Level", Severity(0)),
            ("PRIORITY", Severity(2)),
            ("@timestamp", Time(0)),
            ("Timestamp", Time(0)),
            ("time", Time(0)),
            ("t", Time(1)),
            ("S", Meaning::Other),
            ("levels", Meaning::Other),
            ("leve", Meaning::Other),
            ("uptime", Meaning::Other),
            ("timestamps", Meaning::Other),
            ("", Meaning::Other),
        ] {
            assert_eq!(meaning(key.as_bytes()), expected, "{key}");
        }
    }
}
