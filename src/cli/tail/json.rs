//! An entry as one JSON object a line: the protocol's JSON form, with `time` and `host`.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::tz::TimeZone;
use serde_json::to_writer;

use super::clock::Clock;
use crate::{client::Entry, proto::v1::Severity};

/// Why nothing here can fail.
const INFALLIBLE: &str = "a vector takes everything";

/// Writes entries as JSON.
#[derive(Debug)]
pub struct Json {
    clock: Clock,
}

impl Json {
    /// A writer.
    pub const fn new() -> Self {
        Self { clock: Clock::new(TimeZone::UTC, 'T') }
    }

    /// Appends `entry` of `host`, with a line feed.
    pub fn push(&mut self, out: &mut Vec<u8>, host: &str, entry: &Entry) {
        text(out, "{\"message\":", &entry.message);
        write!(out, ",\"timestamp\":\"{}\",\"time\":\"", entry.timestamp).expect(INFALLIBLE);
        self.clock.push(out, entry.timestamp, 9);
        match Severity::try_from(entry.severity) {
            Ok(severity) => write!(out, "Z\",\"severity\":\"{}\"", severity.as_str_name()),
            Err(_) => write!(out, "Z\",\"severity\":{}", entry.severity),
        }
        .expect(INFALLIBLE);
        text(out, ",\"source\":", &entry.source);
        text(out, ",\"path\":", &entry.path);
        bytes(out, "cursor", &entry.cursor);
        if !entry.fields.is_empty() {
            out.extend_from_slice(b",\"fields\":");
            to_writer(&mut *out, &entry.fields).expect(INFALLIBLE);
        }
        bytes(out, "raw", &entry.raw);
        if entry.flags != 0 {
            write!(out, ",\"flags\":{}", entry.flags).expect(INFALLIBLE);
        }
        text(out, ",\"host\":", host.as_bytes());
        out.extend_from_slice(b"}\n");
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    to_writer(&mut *out, &String::from_utf8_lossy(value)).expect(INFALLIBLE);
}

fn bytes(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    if !value.is_empty() {
        write!(out, ",\"{key}\":\"{}\"", STANDARD.encode(value)).expect(INFALLIBLE);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(entry: &Entry) -> String {
        let mut out = Vec::new();
        Json::new().push(&mut out, "web1", entry);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn everything_that_is_set_is_written() {
        let entry = Entry {
            message: Bytes::from_static("a\t\"\u{fffd}\u{1}".as_bytes()),
            timestamp: 1_700_000_000_123_456_789,
            severity: 17,
            source: Bytes::from_static(b"nginx"),
            path: Bytes::from_static(b"/var/log/x.log"),
            cursor: Bytes::from_static(&[0xfb, 0xff]),
            fields: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into(),
            raw: Bytes::from_static(b"a\t\"\xff\x01"),
            flags: 68,
        };
        let expected = concat!(
            r#"{"message":"a\t\"�\u0001","timestamp":"1700000000123456789","time":"2023-11-14T22:13:20.123456789Z","#,
            r#""severity":"SEVERITY_ERROR","source":"nginx","path":"/var/log/x.log","cursor":"+/8=","#,
            r#""fields":{"a":"1","b":"2"},"raw":"YQki/wE=","flags":68,"host":"web1"}"#,
            "\n"
        );
        assert_eq!(written(&entry), expected);
    }

    #[test]
    fn the_essentials_are_always_there() {
        let expected = concat!(
            r#"{"message":"","timestamp":"1","time":"1970-01-01T00:00:00.000000001Z","severity":"SEVERITY_UNSPECIFIED","#,
            r#""source":"","path":"","host":"web1"}"#,
            "\n"
        );
        assert_eq!(written(&Entry { timestamp: 1, ..Entry::default() }), expected);
        assert!(written(&Entry { severity: 99, ..Entry::default() }).contains(r#""severity":99,"#));
    }
}
