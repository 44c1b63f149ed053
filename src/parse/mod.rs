//! What the bytes of a record mean: severity, time, message, fields.
//!
//! Total functions over bytes: any input gives an answer, none panics, all are linear in the length of the record.
//! This room never opens a file, never looks at a clock and keeps no state: an answer depends on the source's
//! [`Rules`], on the beginning of the file ([`Context`]) and on the record alone, so that a re-read gives it again.

mod access;
mod at_once;
mod auto;
mod clusters;
mod container;
mod fields;
mod idioms;
mod journal;
mod json;
mod keys;
mod letters;
mod logfmt;
mod pattern;
mod rules;
mod spans;
mod syslog;
mod text;
mod time;
mod wide;
mod words;

use std::borrow::Cow;

pub use rules::{Format, Multiline, Rules, RulesError, RulesSpec};
pub use time::ZoneError;

use crate::{
    entry::{Nanos, Severity},
    limits::FIELD_COUNT_MAX,
};
use access::Columns;
use auto::{Kind, Reading};
use time::Frame;

/// What is known about a file before any of its records is read.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The latest moment that a record can stem from.
    latest: Nanos,
    /// The year of that moment in UTC.
    latest_year: u32,
    /// Whether the file's beginning shows a date whose day stands before its month.
    day_first: bool,
    /// The columns that a W3C extended log's header names.
    columns: Option<Columns>,
}

impl Context {
    /// Reads what the beginning of a file tells.
    ///
    /// `head` is bytes `[0, min(o, CONTEXT_BYTES))` of the file for records that start at `o`. `latest` is the latest
    /// moment that a record can stem from (the file's modification time plus a day, or the date in an archive's name):
    /// times without a year get the latest year that does not pass it.
    pub fn new(_rules: &Rules, head: &[u8], latest: Nanos) -> Self {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        Self {
            latest,
            latest_year: time::year_of(latest),
            day_first: time::numeric::shows_day_first(head),
            columns: Columns::of(head),
        }
    }

    /// The columns that the header names.
    fn columns(&self) -> Option<&Columns> {
        self.columns.as_ref()
    }

    fn frame<'c>(&self, rules: &'c Rules) -> Frame<'c> {
        Frame { zone: &rules.zone, latest: self.latest, latest_year: self.latest_year, day_first: self.day_first }
    }
}

/// What a UTF-8 file may begin with; it belongs to no line's text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a record tells at a glance; fields are asked for separately, since few readers want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The severity that the record states.
    pub severity: Severity,
    /// The time that the record states.
    pub time: Option<Nanos>,
}

/// Reads severity and time of `record`, which has no terminator.
#[inline]
pub fn parse(rules: &Rules, context: &Context, record: &[u8]) -> Parsed {
    let Reading { severity, time, .. } = read(rules, context, record);
    Parsed { severity: severity.unwrap_or_default(), time }
}

/// The name of the format that `record` was recognised as; none when nothing in it was.
pub fn recognise(rules: &Rules, context: &Context, record: &[u8]) -> Option<&'static str> {
    Some(read(rules, context, record).kind).filter(|kind| *kind != Kind::Unknown).map(Kind::name)
}

#[inline]
fn read(rules: &Rules, context: &Context, record: &[u8]) -> Reading {
    let record = record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record);
    let frame = context.frame(rules);
    match rules.format {
        Format::Auto => auto::read(record, context, &frame),
        Format::Raw => Reading::default(),
        Format::Regex => pattern::read(rules.pattern.as_ref(), record, &frame),
        Format::Json | Format::Logfmt | Format::Syslog | Format::Cri | Format::Docker | Format::Klog | Format::Clf => {
            auto::read_as(rules.format, record, context, &frame)
        }
    }
}

/// The message of `record`: the record itself, or what a transport wrapper (CRI, Docker's json-file) holds; the parts of
/// a line that the wrapper has split are put together again.
pub fn message<'r>(rules: &Rules, _context: &Context, record: &'r [u8]) -> Cow<'r, [u8]> {
    match rules.format {
        Format::Auto | Format::Cri | Format::Docker => container::message(record),
        Format::Raw | Format::Json | Format::Logfmt | Format::Syslog | Format::Klog | Format::Clf | Format::Regex => {
            Cow::Borrowed(record)
        }
    }
}

/// Whether `line` is a part of a container's line, which its runtime split and which goes on behind it.
pub fn is_part(line: &[u8]) -> bool {
    container::is_partial(line)
}

/// Hands each parsed field of `record` to `each`, as key and value; a key may come twice, then the first one counts.
/// The source's labels come first, so that no line can pretend to have others. Fields past [`FIELD_COUNT_MAX`] are left
/// out.
pub fn fields(rules: &Rules, context: &Context, record: &[u8], each: &mut dyn FnMut(&str, &str)) {
    for (key, value) in &rules.labels {
        each(key, value);
    }
    let mut count = rules.labels.len();
    let record = record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record);
    fields::read(rules, context, record, &mut |key, value| {
        if !key.is_empty() && count < FIELD_COUNT_MAX {
            count += 1;
            each(&String::from_utf8_lossy(key), &String::from_utf8_lossy(value));
        }
    });
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
    fn labels_come_first_and_fields_are_bounded() {
        let labels = vec![("team".to_owned(), "payments".to_owned())];
        let rules = Rules::new(&RulesSpec { labels, ..RulesSpec::default() }).expect("good rules");
        let line: String = (0..1000).map(|index| format!("key{index}={index} team=forged ")).collect();
        let mut found = Vec::new();
        fields(&rules, &Context::default(), line.as_bytes(), &mut |key, value| found.push(format!("{key}={value}")));
        assert_eq!(found.len(), FIELD_COUNT_MAX);
        assert_eq!(found[..3], ["team=payments", "key0=0", "team=forged"]);
    }

    #[test]
    fn raw_is_not_looked_at() {
        assert_eq!(parse(&rules(Format::Raw), &Context::default(), b"2026-11-20T10:00:00Z ERROR x"), Parsed::default());
    }
}
