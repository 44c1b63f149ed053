//! The entry cursor: a point in a log, in exactly 32 bytes that clients keep and bring back.
//!
//! A cursor holds an offset and hashes that are functions of that offset alone, so any file that is at least as long
//! can be tested for holding the same bytes before it: the file itself, its rotated successor, its compressed copy.
//! `st_dev` is left out, since reboots, btrfs, overlays and NFS change it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::Offset;
use crate::limits::{CURSOR_BYTES, CURSOR_HEAD_BYTES, CURSOR_TAIL_BYTES};

/// Version of the layout, in the upper four bits of the first byte.
const VERSION: u8 = 1;
/// Flag in the lower four bits of the first byte: the entry before the point was sent without its terminator.
const FLAG_AFTER_PIECE: u8 = 1;

/// Who a file is: a hash of what the kernel says of its inode, durable over reboots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey(pub u64);

/// Which log a file belongs to: a hash of the source's name and the live path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(pub u32);

impl Lineage {
    /// The lineage of the log at `path` in `source`.
    pub fn of(source: &str, path: &[u8]) -> Self {
        let mut text = Vec::with_capacity(source.len() + 1 + path.len());
        text.extend_from_slice(source.as_bytes());
        text.push(0);
        text.extend_from_slice(path);
        Self(low32(xxh3_64(&text)))
    }
}

/// Hash of the beginning of a file: its bytes `[0, min(offset, 1024))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeadHash(pub u32);

impl HeadHash {
    /// The hash for cursors at `offset`, of `head`, the first bytes of the file (at least as many as are hashed).
    pub fn of(head: &[u8], offset: Offset) -> Self {
        let len = offset.0.min(CURSOR_HEAD_BYTES).min(head.len() as u64) as usize;
        Self(low32(xxh3_64(&head[..len])))
    }
}

/// Hash of the bytes before an offset: `[max(0, offset - 240), offset)`; 56 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TailHash(pub u64);

impl TailHash {
    /// The hash at the end of `before`, which holds the last 240 bytes before the offset, or all when there are fewer.
    pub fn of(before: &[u8]) -> Self {
        let from = before.len().saturating_sub(CURSOR_TAIL_BYTES as usize);
        Self(xxh3_64(&before[from..]) & ((1 << 56) - 1))
    }
}

/// A point in a log, just after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryCursor {
    /// The file.
    pub key: FileKey,
    /// The log that the file belongs to.
    pub lineage: Lineage,
    /// The place in the file's uncompressed bytes.
    pub offset: Offset,
    /// The beginning of the file.
    pub head: HeadHash,
    /// The bytes before the place.
    pub tail: TailHash,
    /// Whether the entry before the point had no terminator when it was sent: the point need not be a line's start.
    pub after_piece: bool,
}

impl EntryCursor {
    /// The 32 bytes that a client keeps.
    pub fn encode(&self) -> [u8; CURSOR_BYTES] {
        let mut out = [0; CURSOR_BYTES];
        out[0] = VERSION << 4 | if self.after_piece { FLAG_AFTER_PIECE } else { 0 };
        out[1..7].copy_from_slice(&self.offset.0.to_le_bytes()[..6]);
        out[7..15].copy_from_slice(&self.key.0.to_le_bytes());
        out[15..19].copy_from_slice(&self.lineage.0.to_le_bytes());
        out[19..23].copy_from_slice(&self.head.0.to_le_bytes());
        out[23..30].copy_from_slice(&self.tail.0.to_le_bytes()[..7]);
        let sum = checksum(&out[..30]);
        out[30..].copy_from_slice(&sum);
        out
    }

    /// Reads what a client brought back.
    ///
    /// # Errors
    /// Says what is wrong with bytes that [`encode`](Self::encode) cannot have made.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorError> {
        let bytes: &[u8; CURSOR_BYTES] = bytes.try_into().map_err(|_| CursorError::Length(bytes.len()))?;
        if bytes[30..] != checksum(&bytes[..30]) {
            return Err(CursorError::Damaged);
        }
        if bytes[0] >> 4 != VERSION || bytes[0] & 0xf & !FLAG_AFTER_PIECE != 0 {
            return Err(CursorError::Version(bytes[0]));
        }
        Ok(Self {
            after_piece: bytes[0] & FLAG_AFTER_PIECE != 0,
            offset: Offset(little_endian(&bytes[1..7])),
            key: FileKey(little_endian(&bytes[7..15])),
            lineage: Lineage(low32(little_endian(&bytes[15..19]))),
            head: HeadHash(low32(little_endian(&bytes[19..23]))),
            tail: TailHash(little_endian(&bytes[23..30])),
        })
    }
}

/// Why bytes are no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorError {
    /// Neither the length of an entry cursor nor the form of a whole-stream cursor.
    Length(usize),
    /// The checksum does not fit.
    Damaged,
    /// Made by a version of logtap that this one does not know; the first byte.
    Version(u8),
}

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "{len} bytes are no cursor; an entry's has {CURSOR_BYTES}"),
            Self::Damaged => f.write_str("the cursor is damaged: its checksum does not fit"),
            Self::Version(byte) => write!(f, "the cursor has the unknown version {}", byte >> 4),
        }
    }
}

impl std::error::Error for CursorError {}

/// Sixteen bits against mistyped and mixed-up cursors; against forgery the matching of content stands.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let hash = xxh3_64(bytes);
    [hash as u8, (hash >> 8) as u8]
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The lower half of a hash.
fn low32(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor() -> EntryCursor {
        EntryCursor {
            key: FileKey(0x0123_4567_89ab_cdef),
            lineage: Lineage::of("nginx", b"/var/log/nginx/access.log"),
            offset: Offset(0x0000_ffee_ddcc_bbaa),
            head: HeadHash::of(b"first line\n", Offset(11)),
            tail: TailHash::of(b"first line\n"),
            after_piece: true,
        }
    }

    #[test]
    fn a_cursor_survives_its_encoding() {
        assert_eq!(EntryCursor::decode(&cursor().encode()), Ok(cursor()));
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let bytes = cursor().encode();
        for bit in 0..CURSOR_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(EntryCursor::decode(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_hashes_depend_on_the_offset_alone() {
        let file: Vec<u8> = (0..4096u32).map(|n| n as u8).collect();
        assert_eq!(HeadHash::of(&file, Offset(2000)), HeadHash::of(&file[..1024], Offset(4000)));
        assert_eq!(TailHash::of(&file[..1000]), TailHash::of(&file[760..1000]));
        assert_ne!(TailHash::of(&file[..1000]), TailHash::of(&file[761..1000]));
    }

    proptest! {
        #[test]
        fn strange_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = EntryCursor::decode(&bytes);
        }
    }
}
