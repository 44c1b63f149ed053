//! Entries, events and sources as JSON: the protocol's own mapping (ProtoJSON), and beside `timestamp` the same time for
//! people.

use std::collections::{BTreeMap, HashMap};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::HeaderValue;
use prost::Message as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    entry::encode::FRAME_HEADER_BYTES,
    feed::{
        event::{Event, FileChange},
        segment::Segment,
    },
    proto::v1,
    telemetry::GapReason,
    watch::Log,
};

/// The type of every answer that is one JSON value.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// Bytes as JSON has them: the standard alphabet, written with padding, read with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An entry as it is written.
#[derive(Serialize)]
struct Entry<'a> {
    message: &'a str,
    #[serde(serialize_with = "as_text")]
    timestamp: i64,
    time: String,
    severity: Severity,
    source: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    cursor: String,
    #[serde(skip_serializing_if = "HashMap::is_empty", serialize_with = "in_order")]
    fields: &'a HashMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    raw: String,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
}

/// The name of a severity; a number that has none stays one.
#[derive(Serialize)]
#[serde(untagged)]
enum Severity {
    Named(&'static str),
    Numbered(i32),
}

/// Appends an entry as a JSON object without a newline in it.
pub fn put_entry(out: &mut Vec<u8>, entry: &v1::LogEntry) {
    let written = Entry {
        message: &entry.message,
        timestamp: entry.timestamp,
        time: rfc3339(entry.timestamp),
        severity: v1::Severity::try_from(entry.severity)
            .map_or(Severity::Numbered(entry.severity), |severity| Severity::Named(severity.as_str_name())),
        source: &entry.source,
        path: &entry.path,
        cursor: to_base64(&entry.cursor),
        fields: &entry.fields,
        raw: to_base64(&entry.raw),
        flags: entry.flags,
    };
    serde_json::to_writer(out, &written).expect("strings and numbers go into memory");
}

/// The entries of a segment in the shape of `logtap.v1`, one after the other.
pub fn entries_of(segment: &Segment) -> impl Iterator<Item = v1::LogEntry> {
    let mut rest = segment.bytes.clone();
    std::iter::from_fn(move || {
        let header = rest.get(..FRAME_HEADER_BYTES)?;
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let _ = rest.split_to(FRAME_HEADER_BYTES);
        Some(v1::LogEntry::decode(rest.split_to(len)).expect("the daemon's own encoding"))
    })
}

/// An event: its name among server-sent events, its name in ProtoJSON, and what it says.
pub fn event(event: &Event) -> (&'static str, &'static str, Value) {
    let of = |log: &Log| (log.source.name.clone(), log.path.display().to_string());
    match event {
        Event::CaughtUp => ("caught_up", "caughtUp", json!({})),
        Event::Progress(scanned, total) => {
            let progress = json!({"scannedBytes": scanned.to_string(), "totalBytes": total.to_string()});
            ("progress", "progress", progress)
        }
        Event::Gap(log, reason, bytes) => {
            let (source, path) = of(log);
            let reason = match reason {
                GapReason::Truncated => v1::GapReason::Truncated,
                GapReason::Deleted => v1::GapReason::Deleted,
                GapReason::ResumeLost => v1::GapReason::ResumeLost,
            };
            let mut gap = json!({"source": source, "path": path, "reason": reason.as_str_name()});
            if let Some(bytes) = bytes {
                gap["bytes"] = bytes.to_string().into();
            }
            ("gap", "gap", gap)
        }
        Event::FileChange(log, change) => {
            let (source, path) = of(log);
            let kind = match change {
                FileChange::Added => v1::FileChangeKind::Added,
                FileChange::Rotated => v1::FileChangeKind::Rotated,
                FileChange::Truncated => v1::FileChangeKind::Truncated,
                FileChange::Removed => v1::FileChangeKind::Removed,
            };
            let change = json!({"source": source, "path": path, "kind": kind.as_str_name()});
            ("file_change", "fileChange", change)
        }
    }
}

/// A page of sources.
pub fn sources(page: &v1::ListSourcesResponse) -> Value {
    let sources: Vec<Value> = page.sources.iter().map(source).collect();
    let mut json = json!({ "sources": sources });
    if !page.next_page_token.is_empty() {
        json["nextPageToken"] = page.next_page_token.clone().into();
    }
    json
}

fn source(source: &v1::Source) -> Value {
    let files: Vec<Value> = source.files.iter().map(file).collect();
    json!({"name": source.name, "paths": source.paths, "files": files})
}

fn file(file: &v1::File) -> Value {
    let mut json = json!({
        "path": file.path,
        "log": file.log,
        "sizeBytes": file.size_bytes.to_string(),
        "watchMode": file.watch_mode().as_str_name(),
    });
    if let Some(time) = &file.modify_time {
        json["modifyTime"] = rfc3339(time.seconds * 1_000_000_000 + i64::from(time.nanos)).into();
    }
    for (name, text) in [("reason", &file.reason), ("format", &file.format), ("lastError", &file.last_error)] {
        if !text.is_empty() {
            json[name] = text.as_str().into();
        }
    }
    for (name, flag) in [("archive", file.archive), ("deleted", file.deleted)] {
        if flag {
            json[name] = true.into();
        }
    }
    if file.parsed_ppm > 0 {
        json["parsedPpm"] = file.parsed_ppm.into();
    }
    json
}

/// Bytes in the standard alphabet, padded.
pub fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Bytes from either alphabet, padded or not; a space is a `+` that a query has eaten.
///
/// # Errors
/// Says what is wrong with the text.
pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let standard: Vec<u8> = text
        .bytes()
        .map(|byte| match byte {
            b'-' | b' ' => b'+',
            b'_' => b'/',
            byte => byte,
        })
        .collect();
    BASE64.decode(standard).map_err(|error| format!("not base64: {error}"))
}

/// Nanoseconds since the epoch, as RFC 3339 in UTC.
pub fn rfc3339(nanos: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanos.into());
    format!("{:.9}", time.expect("64 bits of nanoseconds reach from 1677 to 2262"))
}

fn as_text<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A map has no order of its own; the same entry should always read the same.
fn in_order<S: Serializer>(fields: &&HashMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().collect::<BTreeMap<_, _>>())
}

fn is_zero(flags: &u32) -> bool {
    *flags == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_always_has_its_message_severity_source_and_path() {
        let mut out = Vec::new();
        put_entry(&mut out, &v1::LogEntry { timestamp: 1, ..v1::LogEntry::default() });
        let time = "1970-01-01T00:00:00.000000001Z";
        let bare = json!({"message": "", "timestamp": "1", "time": time, "severity": "SEVERITY_UNSPECIFIED",
            "source": "", "path": ""});
        assert_eq!(serde_json::from_slice::<Value>(&out).expect("JSON"), bare);

        let fields = [("b", "2"), ("a", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let full = v1::LogEntry {
            message: "größe\n\u{1b}[1m\"".into(),
            timestamp: i64::MAX,
            severity: 17,
            source: "app".into(),
            path: "/a".into(),
            cursor: vec![0xfb, 0xff].into(),
            fields: fields.into(),
            raw: vec![b'g', 0xf6].into(),
            flags: 12,
        };
        out.clear();
        put_entry(&mut out, &full);
        let expected = "{\"message\":\"größe\\n\\u001b[1m\\\"\",\"timestamp\":\"9223372036854775807\",\
            \"time\":\"2262-04-11T23:47:16.854775807Z\",\"severity\":\"SEVERITY_ERROR\",\"source\":\"app\",\
            \"path\":\"/a\",\"cursor\":\"+/8=\",\"fields\":{\"a\":\"1\",\"b\":\"2\"},\"raw\":\"Z/Y=\",\"flags\":12}";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn cursors_are_read_in_both_alphabets_padded_or_not() {
        for text in ["+/8=", "-_8=", "+/8", "-_8", " /8="] {
            assert_eq!(from_base64(text), Ok(vec![0xfb, 0xff]), "{text:?}");
        }
        for wrong in ["+/8==", "+", "a!bc", "+/9="] {
            assert!(from_base64(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(rfc3339(i64::MIN), "1677-09-21T00:12:43.145224192Z");
    }
}
