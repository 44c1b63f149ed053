//! Batches as they come off the wire, without a copy of what they hold.
//!
//! The generated types own a `String` for every text; a client that pipes a gigabyte would spend its time on
//! allocating and checking them. The types here have the same numbers and wire types, but each text is a slice of the
//! buffer that the message arrived in. They are only ever read.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    entry::flag,
    proto::v1::{Event, event::Kind},
};

/// `logtap.v1.StreamBatchesResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// Entries in order.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// What happened before the first of the entries.
    #[prost(message, repeated, tag = "2")]
    pub events: Vec<Event>,
    /// The point after this batch in every file of the subscription, or, when `cursor_is_delta`, in those that moved.
    #[prost(bytes = "bytes", tag = "3")]
    pub cursor: Bytes,
    /// In the first batch only: the point before its first entry.
    #[prost(bytes = "bytes", tag = "4")]
    pub start: Bytes,
    /// Whether `cursor` continues the cursors before it instead of replacing them.
    #[prost(bool, tag = "5")]
    pub cursor_is_delta: bool,
}

impl Batch {
    /// Whether the backlog is done before the first of the entries.
    pub fn caught_up(&self) -> bool {
        self.events.iter().any(|event| matches!(event.kind, Some(Kind::CaughtUp(_))))
    }
}

/// `logtap.v1.LogEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// The record without its terminator, in UTF-8 as far as the daemon keeps its word.
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// Number of the severity.
    #[prost(int32, tag = "3")]
    pub severity: i32,
    /// Name of the source.
    #[prost(bytes = "bytes", tag = "4")]
    pub source: Bytes,
    /// Path of the log.
    #[prost(bytes = "bytes", tag = "5")]
    pub path: Bytes,
    /// The point just after the entry; in a batch only the last entry of each file has it.
    #[prost(bytes = "bytes", tag = "6")]
    pub cursor: Bytes,
    /// Parsed fields and labels, when they were asked for.
    #[prost(btree_map = "string, string", tag = "7")]
    pub fields: BTreeMap<String, String>,
    /// The original bytes, when they are not what `message` says.
    #[prost(bytes = "bytes", tag = "8")]
    pub raw: Bytes,
    /// Sum of the bits in [`flag`].
    #[prost(uint32, tag = "9")]
    pub flags: u32,
}

impl Entry {
    /// Whether all bits of `flag` are set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }

    /// The record's bytes as the file has them, without the terminator.
    pub fn original(&self) -> &[u8] {
        if self.raw.is_empty() { &self.message } else { &self.raw }
    }

    /// The bytes that end the record in its file.
    pub const fn terminator(&self) -> &'static [u8] {
        if self.has(flag::UNTERMINATED) {
            b""
        } else if self.has(flag::CRLF) {
            b"\r\n"
        } else {
            b"\n"
        }
    }

    /// Whether the entry was selected itself, and is not context of another.
    pub const fn is_match(&self) -> bool {
        !self.has(flag::CONTEXT)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::v1;

    #[test]
    fn the_wire_types_agree_with_the_generated_ones() {
        let generated = v1::StreamBatchesResponse {
            entries: vec![v1::LogEntry {
                message: "a \u{fffd}".into(),
                timestamp: -5,
                severity: v1::Severity::Critical as i32,
                source: "s".into(),
                path: "/p".into(),
                cursor: Bytes::from_static(&[0, 255]),
                fields: [("k".to_owned(), "v".to_owned())].into(),
                raw: Bytes::from_static(b"a \xff"),
                flags: 5,
            }],
            events: vec![v1::Event { kind: Some(Kind::CaughtUp(v1::CaughtUp {})) }],
            cursor: Bytes::from_static(b"c"),
            start: Bytes::from_static(b"b"),
            cursor_is_delta: true,
        };
        let batch = Batch::decode(generated.encode_to_vec().as_slice()).expect("same wire format");
        assert_eq!(batch.encode_to_vec(), generated.encode_to_vec());
        assert!(batch.caught_up());
        assert_eq!(batch.entries[0].original(), b"a \xff");
    }

    #[test]
    fn the_terminator_is_what_the_flags_tell() {
        let with = |flags| Entry { flags, ..Entry::default() }.terminator();
        assert_eq!(with(0), b"\n");
        assert_eq!(with(flag::CRLF | flag::INVALID_UTF8), b"\r\n");
        assert_eq!(with(flag::UNTERMINATED), b"");
    }
}
