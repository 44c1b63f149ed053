//! What the bytes of a record mean: severity, time, message, fields.
//!
//! Total functions over bytes: any input gives an answer, none panics, all are linear in the length of the record.
//! This room never opens a file, never looks at a clock and keeps no state: an answer depends on the source's
//! [`Rules`], on the beginning of the file ([`Context`]) and on the record alone, so that a re-read gives it again.

mod json;
mod logfmt;
mod pattern;
mod rules;
mod text;
mod time;
mod words;

use std::borrow::Cow;

pub use rules::{Format, Multiline, Rules, RulesError, RulesSpec};
pub use time::ZoneError;

use crate::entry::{Nanos, Severity};

/// What is known about a file before any of its records is read.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The latest moment that a record can stem from.
    latest: Nanos,
}

impl Context {
    /// Reads what the beginning of a file tells.
    ///
    /// `head` is bytes `[0, min(o, CONTEXT_BYTES))` of the file for records that start at `o`. `latest` is the latest
    /// moment that a record can stem from (the file's modification time plus a day, or the date in an archive's name):
    /// times without a year get the latest year that does not pass it.
    pub fn new(_rules: &Rules, _head: &[u8], latest: Nanos) -> Self {
        Self { latest }
    }

    /// The latest moment that a record of the file can stem from.
    pub fn latest(&self) -> Nanos {
        self.latest
    }
}

/// What a record tells at a glance; fields are asked for separately, since few readers want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The severity that the record states.
    pub severity: Severity,
    /// The time that the record states.
    pub time: Option<Nanos>,
}

/// Reads severity and time of `record`, which has no terminator.
pub fn parse(rules: &Rules, _context: &Context, record: &[u8]) -> Parsed {
    let line = first_line(record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record));
    let (severity, time) = match (rules.format, line) {
        (Format::Regex, _) => match &rules.pattern {
            Some(pattern) => pattern::read(pattern, record, &rules.zone),
            None => (None, None),
        },
        (Format::Raw, _) => (None, None),
        (Format::Json | Format::Docker, _) | (Format::Auto, [b'{', ..]) => {
            json::read(line.trim_ascii_start(), &rules.zone)
        }
        (Format::Logfmt, _) => logfmt::read(line, &rules.zone),
        (Format::Auto | Format::Syslog | Format::Cri | Format::Klog | Format::Clf, _) => text::read(line, &rules.zone),
    };
    Parsed { severity: severity.unwrap_or_default(), time }
}

/// The first line of a record that may have several.
fn first_line(record: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', record).map_or(record, |end| &record[..end])
}

/// The message of `record`: the record itself, or what a transport wrapper (CRI, Docker's json-file) holds.
pub fn message<'r>(_rules: &Rules, _context: &Context, record: &'r [u8]) -> Cow<'r, [u8]> {
    Cow::Borrowed(record)
}

/// Hands each parsed field of `record` to `each`, as key and value; a key may come twice, then the first one counts.
/// The source's labels come first, so that no line can pretend to have others.
pub fn fields(rules: &Rules, _context: &Context, record: &[u8], each: &mut dyn FnMut(&str, &str)) {
    for (key, value) in &rules.labels {
        each(key, value);
    }
    if let Some(pattern) = &rules.pattern {
        pattern::fields(pattern, record, &mut |key, value| each(key, &String::from_utf8_lossy(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_795_168_800_000_000_000;

    fn rules(format: Format) -> Rules {
        Rules::new(&RulesSpec { format, timezone: "UTC".into(), ..RulesSpec::default() }).expect("good rules")
    }

    fn check(line: &str, severity: Severity, time: Option<i64>) {
        let found = parse(&rules(Format::Auto), &Context::default(), line.as_bytes());
        assert_eq!(found, Parsed { severity, time: time.map(Nanos) }, "{line}");
    }

    #[test]
    fn common_lines_are_understood() {
        use Severity::{Critical, Debug, Error, Fatal, Info, Notice, Trace, Unspecified, Warn};
        check("2026-11-20T10:00:00.5Z INFO started", Info, Some(AT + 500_000_000));
        check("2026-11-20T10:00:00Z info started", Info, Some(AT));
        check("2026-11-20 10:00:00,123 [main] WARN  com.example.Main - low", Warn, Some(AT + 123_000_000));
        check("2026-11-20 10:00:00,123 - root - ERROR - half done", Error, Some(AT + 123_000_000));
        check("2026-11-20 11:00:00.000+01:00  INFO 12 --- [main] c.e.Main : up", Info, Some(AT));
        check("[2026-11-20T10:00:00Z DEBUG app::net] sent", Debug, Some(AT));
        check("[2026-11-20 10:00:00] [error] broken", Error, Some(AT));
        check("2026/11/20 10:00:00 [crit] 12#0: *1 no memory", Critical, Some(AT));
        check("ERROR half done", Error, None);
        check("[error] x", Error, None);
        check("error: x", Error, None);
        check("<notice> x", Notice, None);
        check("INFO  2026-11-20 10:00:00 started", Info, Some(AT));
        check("2026-11-20T10:00:00Z host app[12]: fatal: no disk", Fatal, Some(AT));
        check("level=warn", Warn, None);
        check("time=2026-11-20T10:00:00Z level=trace msg=x", Trace, Some(AT));
        check("2026-11-20T10:00:00Z level=error msg=\"x\"", Error, Some(AT));
        check(r#"{"level":"error","msg":"x"}"#, Error, None);
        check(r#"{"ts":1795168800,"msg":"level: info","level":"warning"}"#, Warn, Some(AT));
        check(r#"2026-11-20T10:00:00Z {"level":"error"}"#, Error, Some(AT));
        check("2026-11-20T10:00:00Z started", Unspecified, Some(AT));
    }

    #[test]
    fn severity_words_in_prose_are_no_severity() {
        for line in [
            "no error found",
            "2026-11-20T10:00:00Z no ERROR found",
            "2026-11-20T10:00:00Z Received FATAL from peer",
            "2026-11-20T10:00:00Z request failed with error 5",
            "2026-11-20T10:00:00Z all good, ERROR count: 0",
            "An ERROR occurred",
            "error handling is on",
            "\tat com.example.Error.fatal(Error.java:12)",
            "Exception in thread \"main\" java.lang.Error: ERROR",
            "see https://example.org/ERROR for more",
            "2026-11-20T10:00:00Z errors=0 warn_count=3",
        ] {
            let found = parse(&rules(Format::Auto), &Context::default(), line.as_bytes());
            assert_eq!(found.severity, Severity::Unspecified, "{line}");
        }
    }

    #[test]
    fn raw_is_not_looked_at() {
        assert_eq!(parse(&rules(Format::Raw), &Context::default(), b"2026-11-20T10:00:00Z ERROR x"), Parsed::default());
    }
}
