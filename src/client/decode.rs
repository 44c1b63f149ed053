//! Decodes batches by hand, several times as fast as the derived decoder does: a client that pipes a gigabyte does
//! little else.
//!
//! The walk is over one contiguous buffer, of which every text becomes a slice; the entries are counted first, so that
//! none is moved after it was made. What is rare (events, fields, numbers of fields that are new) is left to prost.

use std::ops::Range;

use bytes::{Buf as _, Bytes};
use prost::{DecodeError, Message as _};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::wire::{Batch, Entry};
use crate::proto::v1::{Event, StreamBatchesRequest};

/// The wire type of a varint.
const VARINT: u64 = 0;
/// The wire type of bytes with a length.
const BYTES: u64 = 2;

/// The codec of `StreamBatches`.
#[derive(Debug, Default)]
pub(super) struct BatchCodec;

impl Codec for BatchCodec {
    type Encode = StreamBatchesRequest;
    type Decode = Batch;
    type Encoder = ProstEncoder<StreamBatchesRequest>;
    type Decoder = BatchDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<StreamBatchesRequest, Batch>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BatchDecoder
    }
}

/// Decodes the messages of `StreamBatches`.
#[derive(Debug)]
pub(super) struct BatchDecoder;

impl Decoder for BatchDecoder {
    type Item = Batch;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Batch>, Status> {
        let message = buf.copy_to_bytes(buf.remaining());
        batch(message).map(Some).map_err(|error| Status::internal(format!("a batch that cannot be read: {error}")))
    }
}

/// Reads a batch out of `message`.
fn batch(message: Bytes) -> Result<Batch, DecodeError> {
    let mut batch = Batch { entries: Vec::with_capacity(count(&message)), ..Batch::default() };
    let mut walk = Walk { bytes: &message, at: 0 };
    while let Some(field) = walk.next() {
        match field {
            Some(Field { tag: 1, value: Value::Bytes(range) }) => batch.entries.push(entry(&message, range)?),
            Some(Field { tag: 2, value: Value::Bytes(range) }) => batch.events.push(Event::decode(&message[range])?),
            Some(Field { tag: 3, value: Value::Bytes(range) }) => batch.cursor = message.slice(range),
            Some(Field { tag: 4, value: Value::Bytes(range) }) => batch.start = message.slice(range),
            Some(Field { tag: 5, value: Value::Varint(number) }) => batch.cursor_is_delta = number != 0,
            // Something new, or broken: prost passes over the one and says what is wrong with the other.
            Some(_) | None => return Batch::decode(message.clone()),
        }
    }
    Ok(batch)
}

/// Reads the entry that lies at `range` of `message`.
fn entry(message: &Bytes, range: Range<usize>) -> Result<Entry, DecodeError> {
    let mut entry = Entry::default();
    let mut walk = Walk { bytes: &message[..range.end], at: range.start };
    while let Some(field) = walk.next() {
        match field {
            Some(Field { tag: 1, value: Value::Bytes(text) }) => entry.message = message.slice(text),
            Some(Field { tag: 2, value: Value::Varint(number) }) => entry.timestamp = number.cast_signed(),
            // A number that does not fit is cut, as prost does.
            Some(Field { tag: 3, value: Value::Varint(number) }) => entry.severity = (number as u32).cast_signed(),
            Some(Field { tag: 4, value: Value::Bytes(text) }) => entry.source = message.slice(text),
            Some(Field { tag: 5, value: Value::Bytes(text) }) => entry.path = message.slice(text),
            Some(Field { tag: 6, value: Value::Bytes(cursor) }) => entry.cursor = message.slice(cursor),
            Some(Field { tag: 8, value: Value::Bytes(raw) }) => entry.raw = message.slice(raw),
            Some(Field { tag: 9, value: Value::Varint(number) }) => entry.flags = number as u32,
            Some(_) | None => return Entry::decode(message.slice(range)),
        }
    }
    Ok(entry)
}

/// How many entries `message` has, as far as it can be walked.
fn count(message: &[u8]) -> usize {
    let mut walk = Walk { bytes: message, at: 0 };
    let mut entries = 0;
    while let Some(Some(field)) = walk.next() {
        entries += usize::from(field.tag == 1);
    }
    entries
}

/// A field of a message.
struct Field {
    tag: u64,
    value: Value,
}

/// What a field holds.
enum Value {
    Varint(u64),
    /// Where the bytes lie.
    Bytes(Range<usize>),
}

/// A walk over the fields of a message.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// The next field: `None` at the end, `Some(None)` when it is of another wire type or broken.
    #[inline]
    fn next(&mut self) -> Option<Option<Field>> {
        (self.at < self.bytes.len()).then(|| self.field())
    }

    #[inline]
    fn field(&mut self) -> Option<Field> {
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Value::Varint(self.varint()?),
            BYTES => {
                let len = usize::try_from(self.varint()?).ok()?;
                let range = self.at..self.at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
                self.at = range.end;
                Value::Bytes(range)
            }
            _ => return None,
        };
        Some(Field { tag: key >> 3, value })
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for (place, byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                self.at += place + 1;
                // The tenth byte has room for one bit.
                return (place < 9 || *byte < 2).then_some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
    }

    prop_compose! {
        fn any_entry()(
            message in text(), timestamp: i64, severity: i32, source in text(), path in text(), cursor in text(),
            fields in prop::collection::btree_map("[a-z]{0,3}", ".{0,3}", 0..3), raw in text(), flags: u32,
        ) -> Entry {
            Entry { message, timestamp, severity, source, path, cursor, fields, raw, flags }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            entries in prop::collection::vec(any_entry(), 0..5), cursor in text(), start in text(), cursor_is_delta: bool,
        ) {
            let events = vec![Event::default()];
            let expected = Batch { entries, events, cursor, start, cursor_is_delta };
            prop_assert_eq!(batch(Bytes::from(expected.encode_to_vec())), Ok(expected));
        }

        /// Whatever the bytes, both decoders agree, also on what is no batch.
        #[test]
        fn rubbish_is_judged_as_the_derived_decoder_does(
            entries in prop::collection::vec(any_entry(), 1..3), cut: prop::sample::Index, at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = Batch { entries, ..Batch::default() }.encode_to_vec();
            bytes.truncate(cut.index(bytes.len()) + 1);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let derived = Batch::decode(bytes.as_slice());
            match batch(Bytes::from(bytes)) {
                Ok(batch) => prop_assert_eq!(Ok(batch), derived),
                Err(_) => prop_assert!(derived.is_err()),
            }
        }
    }

    #[test]
    fn a_field_that_is_new_is_passed_over() {
        let mut bytes = Batch { cursor: Bytes::from_static(b"c"), ..Batch::default() }.encode_to_vec();
        bytes.extend_from_slice(&[0x7a, 1, b'x', 0x81, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]);
        let expected = Batch { cursor: Bytes::from_static(b"c"), ..Batch::default() };
        assert_eq!(batch(Bytes::from(bytes)), Ok(expected));
    }
}
