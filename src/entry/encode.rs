//! The only encoder of a `LogEntry`: entries become protobuf bytes here, once, whoever reads them.
//!
//! The wire format is that of `proto/logtap/v1/log_service.proto`; a test decodes every shape with the generated types.
//! Written by hand because the generated encoder wants owned strings: one allocation and one copy per field and entry.

use std::borrow::Cow;

use super::{Nanos, Severity, flag};
use crate::limits::{CURSOR_BYTES, ENTRY_BYTES_MAX};

/// The form in which a subscription wants its entries. Subscriptions of one shape share their encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// gRPC frames of the entry without a package: message and timestamp only.
    Compat,
    /// gRPC frames of `logtap.v1.LogEntry`.
    V1 {
        /// Whether `fields` is filled.
        fields: bool,
    },
    /// `StreamBatchesResponse.entries` one after the other, without cursors.
    Batch {
        /// Whether `fields` is filled.
        fields: bool,
    },
}

impl Shape {
    /// Whether entries of this shape carry parsed fields.
    pub const fn wants_fields(self) -> bool {
        matches!(self, Self::V1 { fields: true } | Self::Batch { fields: true })
    }
}

/// What every entry of a file has in common, encoded in advance: `source` and `path`.
#[derive(Clone, Debug)]
pub struct FilePart(Box<[u8]>);

impl FilePart {
    /// Encodes the two fields; a path that is not UTF-8 is shown with U+FFFD.
    pub fn new(source: &str, path: &[u8]) -> Self {
        let mut out = Vec::new();
        put_bytes(&mut out, tag::SOURCE, source.as_bytes());
        put_bytes(&mut out, tag::PATH, String::from_utf8_lossy(path).as_bytes());
        Self(out.into())
    }
}

/// An entry before it is encoded.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    /// The message's bytes, without terminator, valid UTF-8 or not.
    pub message: &'a [u8],
    /// What the file holds, where the message is only its text.
    pub raw: Option<&'a [u8]>,
    /// Its time.
    pub time: Nanos,
    /// Its severity.
    pub severity: Severity,
    /// Sum of [`flag`]s known so far; the encoder adds what it finds out itself.
    pub flags: u32,
    /// The point after it.
    pub cursor: &'a [u8; CURSOR_BYTES],
    /// Parsed fields and labels, for shapes that want them.
    pub fields: &'a [(String, String)],
}

/// The bytes of the wire's tags: field number and wire type.
mod tag {
    pub const MESSAGE: u8 = 1 << 3 | 2;
    pub const TIMESTAMP: u8 = 2 << 3;
    pub const SEVERITY: u8 = 3 << 3;
    pub const SOURCE: u8 = 4 << 3 | 2;
    pub const PATH: u8 = 5 << 3 | 2;
    pub const CURSOR: u8 = 6 << 3 | 2;
    pub const FIELDS: u8 = 7 << 3 | 2;
    pub const RAW: u8 = 8 << 3 | 2;
    pub const FLAGS: u8 = 9 << 3;
    pub const KEY: u8 = 1 << 3 | 2;
    pub const VALUE: u8 = 2 << 3 | 2;
    pub const ENTRIES: u8 = 1 << 3 | 2;
}

/// Bytes of a cursor field: tag, length, cursor.
pub const CURSOR_FIELD_BYTES: usize = 2 + CURSOR_BYTES;
/// Bytes before each message of a gRPC stream: whether it is compressed, and its length.
pub const FRAME_HEADER_BYTES: usize = 5;
/// Room left of [`ENTRY_BYTES_MAX`] for everything but message, `raw`, source, path and fields.
const FIXED_FIELDS_BYTES_MAX: usize = 128;

/// The message as it goes out: as text, with the bytes beside it where they are no text.
struct Text<'a> {
    message: Cow<'a, str>,
    raw: Option<&'a [u8]>,
    flags: u32,
}

/// Appends `entry` in `shape` to `out` and its message, with a newline, to the checksum. Returns the message's length.
pub fn put_entry(
    out: &mut Vec<u8>,
    crc: &mut crc32fast::Hasher,
    shape: Shape,
    file: &FilePart,
    entry: &EntryView<'_>,
) -> usize {
    let mut text = to_text(entry.message, entry.flags, file.0.len());
    text.raw = entry.raw.or(text.raw);
    crc.update(text.message.as_bytes());
    crc.update(b"\n");
    match shape {
        Shape::Compat => put_compat(out, &text, entry.time),
        Shape::V1 { .. } => {
            let fields = affordable_fields(entry, &text, file);
            let len = entry_len(entry, &text, file, fields) + CURSOR_FIELD_BYTES;
            put_frame_header(out, len);
            put_fields(out, entry, &text, file, fields);
            put_bytes(out, tag::CURSOR, entry.cursor);
        }
        Shape::Batch { .. } => {
            let fields = affordable_fields(entry, &text, file);
            out.push(tag::ENTRIES);
            put_varint(out, entry_len(entry, &text, file, fields) as u64);
            put_fields(out, entry, &text, file, fields);
        }
    }
    text.message.len()
}

/// Appends a message's gRPC header: not compressed, and its length.
pub fn put_frame_header(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("entries and batches are bounded far below 4 GiB");
    out.push(0);
    out.extend_from_slice(&len.to_be_bytes());
}

/// Appends the last entry of a batch segment again, now with its cursor: only the last entry of a file carries one.
///
/// `encoded` is one entry as [`put_entry`] wrote it in [`Shape::Batch`].
pub fn put_with_cursor(out: &mut Vec<u8>, encoded: &[u8], cursor: &[u8; CURSOR_BYTES]) {
    let header = 1 + varint_len_at(&encoded[1..]);
    let body = &encoded[header..];
    out.push(tag::ENTRIES);
    put_varint(out, (body.len() + CURSOR_FIELD_BYTES) as u64);
    out.extend_from_slice(body);
    put_bytes(out, tag::CURSOR, cursor);
}

fn put_compat(out: &mut Vec<u8>, text: &Text<'_>, time: Nanos) {
    let len = bytes_len(text.message.len()) + 1 + varint_len(time.0 as u64);
    put_frame_header(out, len);
    put_bytes(out, tag::MESSAGE, text.message.as_bytes());
    out.push(tag::TIMESTAMP);
    put_varint(out, time.0 as u64);
}

/// The fields, unless the entry would pass its limit with them: they go first, since the message has them too.
fn affordable_fields<'a>(entry: &EntryView<'a>, text: &Text<'_>, file: &FilePart) -> &'a [(String, String)] {
    let len = entry_len(entry, text, file, entry.fields) + CURSOR_FIELD_BYTES;
    if len <= ENTRY_BYTES_MAX { entry.fields } else { &[] }
}

/// Encoded length without the cursor.
fn entry_len(entry: &EntryView<'_>, text: &Text<'_>, file: &FilePart, fields: &[(String, String)]) -> usize {
    let mut len = bytes_len(text.message.len()) + 1 + varint_len(entry.time.0 as u64) + file.0.len();
    if entry.severity != Severity::Unspecified {
        len += 2;
    }
    for (key, value) in fields {
        len += bytes_len(bytes_len(key.len()) + bytes_len(value.len()));
    }
    if let Some(raw) = text.raw {
        len += bytes_len(raw.len());
    }
    if text.flags != 0 {
        len += 1 + varint_len(u64::from(text.flags));
    }
    len
}

fn put_fields(out: &mut Vec<u8>, entry: &EntryView<'_>, text: &Text<'_>, file: &FilePart, fields: &[(String, String)]) {
    put_bytes(out, tag::MESSAGE, text.message.as_bytes());
    out.push(tag::TIMESTAMP);
    put_varint(out, entry.time.0 as u64);
    if entry.severity != Severity::Unspecified {
        out.extend_from_slice(&[tag::SEVERITY, entry.severity as u8]);
    }
    out.extend_from_slice(&file.0);
    for (key, value) in fields {
        out.push(tag::FIELDS);
        put_varint(out, (bytes_len(key.len()) + bytes_len(value.len())) as u64);
        put_bytes(out, tag::KEY, key.as_bytes());
        put_bytes(out, tag::VALUE, value.as_bytes());
    }
    if let Some(raw) = text.raw {
        put_bytes(out, tag::RAW, raw);
    }
    if text.flags != 0 {
        out.push(tag::FLAGS);
        put_varint(out, u64::from(text.flags));
    }
}

/// Decides, once, whether the bytes are UTF-8, and cuts what would pass the entry's limit.
fn to_text(bytes: &[u8], flags: u32, file_len: usize) -> Text<'_> {
    let room = ENTRY_BYTES_MAX - FIXED_FIELDS_BYTES_MAX - file_len.min(ENTRY_BYTES_MAX / 4);
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) if text.len() <= room => Text { message: Cow::Borrowed(text), raw: None, flags },
        Ok(text) => {
            let cut = text.floor_char_boundary(room);
            Text { message: Cow::Borrowed(&text[..cut]), raw: None, flags: flags | flag::TRUNCATED }
        }
        Err(_) => invalid_to_text(bytes, flags, room),
    }
}

fn invalid_to_text(bytes: &[u8], flags: u32, room: usize) -> Text<'_> {
    let (message, used) = lossy(bytes, room);
    let cut = if used < bytes.len() { flag::TRUNCATED } else { 0 };
    Text { message: Cow::Owned(message), raw: Some(&bytes[..used]), flags: flags | flag::INVALID_UTF8 | cut }
}

/// As much of `bytes` as text as fits into `room` together with the bytes themselves; returns it and how many bytes.
fn lossy(bytes: &[u8], room: usize) -> (String, usize) {
    let mut message = String::with_capacity(bytes.len());
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        let left = room.saturating_sub(message.len() + used);
        if chunk.valid().len() * 2 > left {
            let cut = chunk.valid().floor_char_boundary(left / 2);
            message.push_str(&chunk.valid()[..cut]);
            return (message, used + cut);
        }
        message.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid().len();
        if invalid == 0 {
            continue;
        }
        if message.len() + used + char::REPLACEMENT_CHARACTER.len_utf8() + invalid > room {
            return (message, used);
        }
        message.push(char::REPLACEMENT_CHARACTER);
        used += invalid;
    }
    (message, used)
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a base-128 varint, least significant group first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Encoded length of a varint.
pub const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Length of the varint at the start of `bytes`.
fn varint_len_at(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
}

/// Encoded length of a length-delimited field with a one-byte tag.
const fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::{compat, v1};

    const CURSOR: [u8; CURSOR_BYTES] = [7; CURSOR_BYTES];

    fn view<'a>(message: &'a [u8], fields: &'a [(String, String)]) -> EntryView<'a> {
        let time = Nanos(1_700_000_000_123_456_789);
        EntryView { message, raw: None, time, severity: Severity::Error, flags: 0, cursor: &CURSOR, fields }
    }

    fn encode(shape: Shape, entry: &EntryView<'_>) -> (Vec<u8>, u32) {
        let (mut out, mut crc) = (Vec::new(), crc32fast::Hasher::new());
        put_entry(&mut out, &mut crc, shape, &FilePart::new("app", b"/var/log/app.log"), entry);
        (out, crc.finalize())
    }

    fn decode_v1(bytes: &[u8]) -> v1::LogEntry {
        assert_eq!(bytes[0], 0);
        let len = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes")) as usize;
        assert_eq!(bytes.len(), FRAME_HEADER_BYTES + len);
        v1::LogEntry::decode(&bytes[5..]).expect("a valid message")
    }

    #[test]
    fn the_generated_types_read_every_field() {
        let fields = [("host".to_owned(), "web-1".to_owned()), (String::new(), "x".repeat(300))];
        let (bytes, crc) = encode(Shape::V1 { fields: true }, &view(b"disk full", &fields));
        let entry = decode_v1(&bytes);
        assert_eq!(entry.message, "disk full");
        assert_eq!(entry.timestamp, 1_700_000_000_123_456_789);
        assert_eq!(entry.severity(), v1::Severity::Error);
        assert_eq!((entry.source.as_str(), entry.path.as_str()), ("app", "/var/log/app.log"));
        assert_eq!(&entry.cursor[..], CURSOR);
        assert_eq!(entry.fields.into_iter().collect::<std::collections::BTreeMap<_, _>>(), fields.into());
        assert_eq!((entry.raw.len(), entry.flags), (0, 0));
        assert_eq!(crc, crc32fast::hash(b"disk full\n"));
    }

    #[test]
    fn the_compatible_entry_has_two_fields_only() {
        let (bytes, _) = encode(Shape::Compat, &view(b"x", &[]));
        let entry = compat::LogEntry::decode(&bytes[5..]).expect("a valid message");
        assert_eq!((entry.message.as_str(), entry.timestamp), ("x", 1_700_000_000_123_456_789));
        assert_eq!(entry.encoded_len() + 5, bytes.len());
    }

    #[test]
    fn invalid_utf8_is_shown_and_kept() {
        let (bytes, crc) = encode(Shape::V1 { fields: false }, &view(b"a\xff\xfeb\xe2\x82", &[]));
        let entry = decode_v1(&bytes);
        assert_eq!(entry.message, "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(&entry.raw[..], b"a\xff\xfeb\xe2\x82");
        assert_eq!(entry.flags, flag::INVALID_UTF8);
        assert_eq!(crc, crc32fast::hash("a\u{fffd}\u{fffd}b\u{fffd}\n".as_bytes()));
    }

    #[test]
    fn no_entry_exceeds_its_limit_and_fields_go_first() {
        let fields = [("k".to_owned(), "v".repeat(ENTRY_BYTES_MAX))];
        let (bytes, _) = encode(Shape::V1 { fields: true }, &view(b"kept", &fields));
        assert_eq!((decode_v1(&bytes).message.as_str(), decode_v1(&bytes).fields.len()), ("kept", 0));
        for line in
            [vec![0xff; 3 << 20], "é".repeat(2 << 20).into_bytes(), [b"a\xff".as_slice(), &[b'x'; 3 << 20]].concat()]
        {
            let (bytes, _) = encode(Shape::V1 { fields: false }, &view(&line, &[]));
            assert!(bytes.len() <= ENTRY_BYTES_MAX + FRAME_HEADER_BYTES, "{}", bytes.len());
            let entry = decode_v1(&bytes);
            assert_eq!(entry.flags & flag::TRUNCATED, flag::TRUNCATED);
            assert!(bytes.len() > ENTRY_BYTES_MAX - 64 * 1024, "cut too early: {}", bytes.len());
            let kept = if entry.raw.is_empty() { entry.message.as_bytes() } else { &entry.raw[..] };
            assert!(line.starts_with(kept));
        }
    }

    #[test]
    fn a_batch_is_its_entries_and_the_last_one_gets_the_cursor() {
        let shape = Shape::Batch { fields: false };
        let (first, _) = encode(shape, &view(b"one", &[]));
        let (second, _) = encode(shape, &view("x".repeat(200).as_bytes(), &[]));
        let mut message = first.clone();
        put_with_cursor(&mut message, &second, &CURSOR);
        let batch = v1::StreamBatchesResponse::decode(&message[..]).expect("a valid message");
        assert_eq!(batch.entries.len(), 2);
        assert!(batch.entries[0].cursor.is_empty());
        assert_eq!((batch.entries[1].message.len(), &batch.entries[1].cursor[..]), (200, &CURSOR[..]));
    }

    #[test]
    fn varints_have_the_length_that_was_announced() {
        for value in [0, 1, 127, 128, 16383, 16384, u64::from(u32::MAX), 1 << 56, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!((out.len(), varint_len_at(&out)), (varint_len(value), varint_len(value)), "{value}");
        }
    }
}
