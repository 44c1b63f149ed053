//! The lines that are written: numbered, so that each can be missed, and with a checksum, so that each can be believed.

use std::io::Write as _;

use jiff::Timestamp;

/// What a line says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of its log.
    pub log: u32,
    /// Its number in the log.
    pub number: u64,
    /// When it was written, in nanoseconds of the run.
    pub at: u64,
}

/// What stands before the checksum.
const CHECKSUM: &[u8] = b" crc=";

impl Line {
    /// Appends the line, with its time of day and `padding` bytes of no meaning, and a line feed.
    pub fn push(self, out: &mut Vec<u8>, now: Timestamp, padding: usize) {
        let start = out.len();
        write!(out, "{now:.6} INFO verify log={} n={} at={} pad=", self.log, self.number, self.at)
            .expect("a vector takes everything");
        // What repeats itself could be compressed to nothing, and hide that a block was taken for another.
        let mut noise = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..padding {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            out.push(b'a' + u8::try_from(noise % 26).unwrap_or(0));
        }
        let checksum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(CHECKSUM);
        writeln!(out, "{checksum:08x}").expect("a vector takes everything");
    }

    /// Reads a line without its line feed; `None` when it is not, byte for byte, one that was written.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (text, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM.len() + 8)?)?;
        let stated = std::str::from_utf8(checksum.strip_prefix(CHECKSUM)?).ok()?;
        if u32::from_str_radix(stated, 16).ok()? != crc32fast::hash(text) {
            return None;
        }
        let mut words = std::str::from_utf8(text).ok()?.split(' ').skip(3);
        let mut number = |name: &str| words.next()?.strip_prefix(name)?.parse::<u64>().ok();
        let log = u32::try_from(number("log=")?).ok()?;
        Some(Self { log, number: number("n=")?, at: number("at=")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let line = Line { log: 3, number: 1 << 40, at: 7 };
        for padding in [0, 1, 70_000] {
            let mut bytes = Vec::new();
            line.push(&mut bytes, Timestamp::UNIX_EPOCH, padding);
            assert_eq!(bytes.pop(), Some(b'\n'));
            assert!(bytes.starts_with(b"1970-01-01T00:00:00.000000Z INFO verify log=3 n=1099511627776 at=7 pad="));
            assert_eq!(Line::read(&bytes), Some(line));
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            assert_eq!(Line::read(&bytes), None);
            bytes[middle] ^= 1;
            assert_eq!(Line::read(&bytes[1..]), None);
            assert_eq!(Line::read(&bytes[..bytes.len() - 1]), None);
        }
        for text in ["", " crc=00000000", "2026 crc=", "\u{ff} crc=0"] {
            assert_eq!(Line::read(text.as_bytes()), None, "{text:?}");
        }
    }
}
