//! In which code units a file is written, as its first bytes tell.
//!
//! A byte order mark of UTF-16 switches the file: lines end with a unit of two bytes there, and what is sent as text is
//! decoded. Everything else is bytes, UTF-8 with a mark included.

use memchr::{memchr_iter, memrchr_iter};

use crate::entry::Offset;

/// In which units a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// In bytes: a line ends with one.
    #[default]
    Bytes,
    /// In UTF-16, the less significant byte first.
    Utf16Le,
    /// In UTF-16, the more significant byte first.
    Utf16Be,
}

/// Bytes of a unit of UTF-16, and of its byte order mark.
pub const WIDE_UNIT_BYTES: usize = 2;

impl Encoding {
    /// That of a file which begins like this: two bytes are enough to tell.
    pub fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ => Self::Bytes,
        }
    }

    /// Whether it is one of UTF-16.
    pub fn is_wide(self) -> bool {
        self != Self::Bytes
    }

    /// The last place at or before `offset` at which a unit may begin.
    pub fn floor(self, offset: Offset) -> Offset {
        if self.is_wide() { Offset(offset.0 & !1) } else { offset }
    }

    /// Index just behind the first line's end in `bytes`, which begin at a unit.
    pub fn first_line_end(self, bytes: &[u8]) -> Option<usize> {
        memchr_iter(b'\n', bytes).find_map(|index| self.line_end_at(bytes, index))
    }

    /// Index just behind the last line's end in `bytes`, which begin at a unit.
    pub fn last_line_end(self, bytes: &[u8]) -> Option<usize> {
        memrchr_iter(b'\n', bytes).find_map(|index| self.line_end_at(bytes, index))
    }

    /// Whether `bytes`, which end at a unit, end with a line's end.
    pub fn ends_line(self, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes => bytes.ends_with(b"\n"),
            Self::Utf16Le => bytes.ends_with(b"\n\0"),
            Self::Utf16Be => bytes.ends_with(b"\0\n"),
        }
    }

    /// Where the line's end is over of which the byte at `index` is part, if it is one.
    fn line_end_at(self, bytes: &[u8], index: usize) -> Option<usize> {
        match self {
            Self::Bytes => Some(index + 1),
            Self::Utf16Le => (index.is_multiple_of(2) && bytes.get(index + 1) == Some(&0)).then_some(index + 2),
            Self::Utf16Be => (index % 2 == 1 && bytes[index - 1] == 0).then_some(index + 1),
        }
    }

    /// The unit that two bytes are.
    fn unit(self, bytes: [u8; WIDE_UNIT_BYTES]) -> u16 {
        match self {
            Self::Bytes | Self::Utf16Le => u16::from_le_bytes(bytes),
            Self::Utf16Be => u16::from_be_bytes(bytes),
        }
    }

    /// Appends `bytes` as text, units that are none as U+FFFD; whether there were any, or half a unit at the end.
    pub fn decode(self, bytes: &[u8], text: &mut String) -> bool {
        let units = bytes.chunks_exact(WIDE_UNIT_BYTES);
        let mut broken = !units.remainder().is_empty();
        for char in char::decode_utf16(units.map(|unit| self.unit([unit[0], unit[1]]))) {
            broken |= char.is_err();
            text.push(char.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        broken
    }

    /// `bytes`, which begin at a unit, without half a character at their end.
    pub fn floor_char(self, bytes: &[u8]) -> &[u8] {
        let whole = &bytes[..bytes.len() & !1];
        match whole.last_chunk::<WIDE_UNIT_BYTES>() {
            Some(last) if (0xd800..0xdc00).contains(&self.unit(*last)) => &whole[..whole.len() - WIDE_UNIT_BYTES],
            _ => whole,
        }
    }

    /// A line's text and whether a carriage return stood before its end, of which `line` is free already.
    pub fn without_return(self, line: &[u8]) -> (&[u8], bool) {
        let returned = match self {
            Self::Bytes => line.strip_suffix(b"\r"),
            Self::Utf16Le => line.strip_suffix(b"\r\0"),
            Self::Utf16Be => line.strip_suffix(b"\0\r"),
        };
        returned.map_or((line, false), |text| (text, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encoding: Encoding, text: &str) -> Vec<u8> {
        let order = |unit: u16| if encoding == Encoding::Utf16Be { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn line_ends_are_units_and_not_bytes() {
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
            // U+0A0A and U+0A00 have the byte of a newline in them, and U+000A is one.
            let bytes = encoded(encoding, "\u{a0a}\u{a00}a\nb\n\u{a}c");
            let first = encoded(encoding, "\u{a0a}\u{a00}a\n").len();
            assert_eq!(encoding.first_line_end(&bytes), Some(first));
            assert_eq!(encoding.last_line_end(&bytes), Some(bytes.len() - 2));
            assert!(encoding.ends_line(&bytes[..first]) && !encoding.ends_line(&bytes[..first - 2]));
        }
    }

    #[test]
    fn text_is_decoded_and_cut_at_a_character() {
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
            let bytes = encoded(encoding, "grün 日本 🦀");
            let mut text = String::new();
            assert!(!encoding.decode(&bytes, &mut text));
            assert_eq!(text, "grün 日本 🦀");
            assert_eq!(encoding.floor_char(&bytes[..bytes.len() - 1]).len(), bytes.len() - 4);
            assert!(encoding.decode(&bytes[..bytes.len() - 2], &mut text));
        }
    }
}
