//! The whole-stream cursor: a point in every file of a subscription at once.
//!
//! About 21 bytes a file: the hashes are those of the entry cursor, shortened, since several files vouch for each other
//! and the place is checked again by content when a client comes back.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Nanos, Offset,
    cursor::{CursorError, EntryCursor, FileKey, HeadHash, Lineage, TailHash},
    encode::put_varint,
};
use crate::limits::{CURSOR_BYTES, CURSOR_HEAD_BYTES, STREAM_CURSOR_BYTES_MAX};

/// Version of the layout, in the upper four bits of the first byte; entry cursors have another.
const VERSION: u8 = 2;
/// Flag in the lower four bits of the first byte: it speaks for the files that it names and no others.
const FLAG_DELTA: u8 = 1;
/// Bytes before the points: version, time, selection.
const HEADER_BYTES: usize = 1 + 8 + 4;
/// Fewer bytes of a file's beginning prove nothing.
const FORETOLD_BYTES_MIN: usize = 16;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// How many bits of each hash a cursor carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Width {
    /// All that there are.
    Entry,
    /// 48 of the key, 16 of the head, 32 of the tail.
    Stream,
}

/// What a cursor says of one file: a point, and hashes to know the file by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The log that the file belonged to.
    pub lineage: Lineage,
    /// The place in the file's uncompressed bytes.
    pub offset: Offset,
    /// Whether the entry before the point was sent without its terminator.
    pub after_piece: bool,
    /// Whether it is the end of a file that nothing more is written to.
    pub is_over: bool,
    key: u64,
    head: u32,
    tail: u64,
    width: Width,
}

impl Claim {
    /// Whether it was made of the file with this key.
    pub fn is_of(&self, key: FileKey) -> bool {
        self.key == self.mask(key.0, 48)
    }

    /// What both kinds of cursors carry of the file's key.
    pub fn short_key(&self) -> u64 {
        self.key & ((1 << 48) - 1)
    }

    /// Whether a file that begins like this can be the one.
    pub fn fits_head(&self, head: HeadHash) -> bool {
        u64::from(self.head) == self.mask(head.0.into(), 16)
    }

    /// Whether a file with these bytes before the place can be the one.
    pub fn fits_tail(&self, tail: TailHash) -> bool {
        self.tail == self.mask(tail.0, 32)
    }

    /// How many bytes of the file's beginning it tells of, if it stands before all of them and tells of any.
    pub fn foretells(&self) -> Option<usize> {
        let len = u64::from(self.head);
        let tells = self.offset == Offset::ZERO && self.width == Width::Stream && 0 < len && len <= CURSOR_HEAD_BYTES;
        tells.then_some(len as usize)
    }

    /// Whether a file that begins with these bytes, as many as it [`foretells`](Self::foretells), can be the one.
    pub fn fits_beginning(&self, beginning: &[u8]) -> bool {
        self.tail == self.mask(foretold(beginning).0, 32)
    }

    fn mask(&self, value: u64, bits: u32) -> u64 {
        match self.width {
            Width::Entry => value,
            Width::Stream => value & ((1 << bits) - 1),
        }
    }
}

impl From<EntryCursor> for Claim {
    fn from(cursor: EntryCursor) -> Self {
        let EntryCursor { key, lineage, offset, head, tail, after_piece } = cursor;
        Self {
            lineage,
            offset,
            after_piece,
            is_over: false,
            key: key.0,
            head: head.0,
            tail: tail.0,
            width: Width::Entry,
        }
    }
}

/// The two hashes of a point at the beginning of a file, before which there is nothing to hash: they tell how the file
/// goes on, so that it is known again although nothing of it was read. `beginning` is what is known of it.
pub fn at_beginning(beginning: &[u8]) -> (HeadHash, TailHash) {
    let len = beginning.len().min(CURSOR_HEAD_BYTES as usize);
    if len < FORETOLD_BYTES_MIN { Default::default() } else { (HeadHash(len as u32), foretold(&beginning[..len])) }
}

fn foretold(beginning: &[u8]) -> TailHash {
    TailHash(xxh3_64(beginning))
}

/// A point in a file, for a cursor of a whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The point.
    pub at: EntryCursor,
    /// Whether it is the end of a file that nothing more is written to.
    pub is_over: bool,
}

impl From<EntryCursor> for Point {
    fn from(at: EntryCursor) -> Self {
        Self { at, is_over: false }
    }
}

/// A point in every file of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCursor {
    /// When it was made, by the daemon's clock, less what the daemon was behind the files: files born later are new to whoever
    /// brings it back.
    pub made: Nanos,
    /// Hash of the sources and paths that were selected.
    pub selection: u32,
    /// Whether it only names the files that moved since another cursor.
    pub is_delta: bool,
    /// The points, one for each file.
    pub claims: Vec<Claim>,
}

impl StreamCursor {
    /// A cursor made of the entry cursors of all files.
    pub fn new(made: Nanos, selection: u32, points: impl IntoIterator<Item = impl Into<Point>>) -> Self {
        let narrow = |point: Point| {
            let wide = Claim { width: Width::Stream, is_over: point.is_over, ..point.at.into() };
            let (key, head, tail) = (wide.mask(wide.key, 48), wide.head & 0xffff, wide.mask(wide.tail, 32));
            Claim { key, head, tail, ..wide }
        };
        Self { made, selection, is_delta: false, claims: points.into_iter().map(Into::into).map(narrow).collect() }
    }

    /// The points of the files that moved, to be laid over a cursor of all of them.
    pub fn delta(made: Nanos, selection: u32, points: impl IntoIterator<Item = impl Into<Point>>) -> Self {
        Self { is_delta: true, ..Self::new(made, selection, points) }
    }

    /// The bytes that a client keeps.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.claims.len() * 22 + CHECKSUM_BYTES);
        out.push(VERSION << 4 | if self.is_delta { FLAG_DELTA } else { 0 });
        out.extend_from_slice(&self.made.0.to_le_bytes());
        out.extend_from_slice(&self.selection.to_le_bytes());
        for claim in &self.claims {
            out.extend_from_slice(&claim.key.to_le_bytes()[..6]);
            out.extend_from_slice(&claim.lineage.0.to_le_bytes());
            out.extend_from_slice(&claim.head.to_le_bytes()[..2]);
            out.extend_from_slice(&claim.tail.to_le_bytes()[..4]);
            let flags = u64::from(claim.is_over) << 1 | u64::from(claim.after_piece);
            put_varint(&mut out, claim.offset.0 << 2 | flags);
        }
        let sum = xxh3_64(&out) as u32;
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads what a client brought back.
    ///
    /// # Errors
    /// Says what is wrong with bytes that [`encode`](Self::encode) cannot have made.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorError> {
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes.len() > STREAM_CURSOR_BYTES_MAX {
            return Err(CursorError::Length(bytes.len()));
        }
        if bytes[0] & !FLAG_DELTA != VERSION << 4 {
            return Err(CursorError::Version(bytes[0]));
        }
        let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if sum != (xxh3_64(body) as u32).to_le_bytes() {
            return Err(CursorError::Damaged);
        }
        let is_delta = bytes[0] & FLAG_DELTA != 0;
        let mut rest = &body[1..];
        let made = Nanos(take(&mut rest, 8)? as i64);
        let selection = take(&mut rest, 4)? as u32;
        let mut claims = Vec::new();
        while !rest.is_empty() {
            claims.push(take_claim(&mut rest)?);
        }
        Ok(Self { made, selection, is_delta, claims })
    }
}

/// A cursor of either kind, as `resume` and `end` take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// A point in one log.
    Entry(EntryCursor),
    /// A point in every file of a selection.
    Stream(StreamCursor),
}

impl Cursor {
    /// Reads a cursor of either kind.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorError> {
        match bytes.first() {
            Some(first) if first >> 4 == VERSION => StreamCursor::decode(bytes).map(Self::Stream),
            _ if bytes.len() == CURSOR_BYTES => EntryCursor::decode(bytes).map(Self::Entry),
            _ => Err(CursorError::Length(bytes.len())),
        }
    }
}

fn take_claim(rest: &mut &[u8]) -> Result<Claim, CursorError> {
    let key = take(rest, 6)?;
    let lineage = Lineage(take(rest, 4)? as u32);
    let head = take(rest, 2)? as u32;
    let tail = take(rest, 4)?;
    let place = take_varint(rest)?;
    let (offset, is_over, after_piece) = (Offset(place >> 2), place & 2 == 2, place & 1 == 1);
    Ok(Claim { lineage, offset, after_piece, is_over, key, head, tail, width: Width::Stream })
}

fn take(rest: &mut &[u8], len: usize) -> Result<u64, CursorError> {
    let (taken, left) = rest.split_at_checked(len).ok_or(CursorError::Damaged)?;
    *rest = left;
    Ok(taken.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, CursorError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?;
        value |= (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CursorError::Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = Vec<EntryCursor>> {
        let point = (any::<u64>(), any::<u32>(), 0u64..1 << 47, any::<u32>(), any::<u64>(), any::<bool>());
        let point = point.prop_map(|(key, lineage, offset, head, tail, after_piece)| EntryCursor {
            key: FileKey(key),
            lineage: Lineage(lineage),
            offset: Offset(offset),
            head: HeadHash(head),
            tail: TailHash(tail & ((1 << 56) - 1)),
            after_piece,
        });
        prop::collection::vec(point, 0..30)
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_encoding_and_knows_its_files(made: i64, selection: u32, points in points()) {
            let cursor = StreamCursor::new(Nanos(made), selection, points.clone());
            let bytes = cursor.encode();
            prop_assert!(bytes.len() <= HEADER_BYTES + CHECKSUM_BYTES + 23 * points.len());
            let back = StreamCursor::decode(&bytes).expect("its own bytes");
            prop_assert_eq!(&back, &cursor);
            for (claim, point) in back.claims.iter().zip(&points) {
                prop_assert!(claim.is_of(point.key) && claim.fits_head(point.head) && claim.fits_tail(point.tail));
                prop_assert!(!claim.is_of(FileKey(point.key.0 ^ 1)) && !claim.fits_tail(TailHash(point.tail.0 ^ 2)));
                prop_assert_eq!((claim.offset, claim.after_piece), (point.offset, point.after_piece));
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(points in points(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = StreamCursor::new(Nanos(1), 2, points).encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Cursor::decode(&bytes).is_err());
        }

        #[test]
        fn strange_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Cursor::decode(&bytes);
        }
    }

    #[test]
    fn both_kinds_are_told_apart() {
        let entry = EntryCursor {
            key: FileKey(1),
            lineage: Lineage(2),
            offset: Offset(3),
            head: HeadHash(4),
            tail: TailHash(5),
            after_piece: false,
        };
        assert_eq!(Cursor::decode(&entry.encode()), Ok(Cursor::Entry(entry)));
        let stream = StreamCursor::new(Nanos(1), 2, [entry]);
        assert_eq!(Cursor::decode(&stream.encode()), Ok(Cursor::Stream(stream)));
        assert_eq!(Cursor::decode(&[]), Err(CursorError::Length(0)));
    }
}
