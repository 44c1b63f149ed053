//! Eight bytes looked at together.
//!
//! Most words, numbers and gaps of a line are shorter than that, so that a step for each byte, or a call to `memchr`,
//! would cost more than the look itself. The ways to find a byte in a word are those of Hacker's Delight, chapter 6; the
//! first byte of a word is its lowest.

const ONES: u64 = u64::MAX / 255;
/// The highest bit of each byte, where marks are.
pub const HIGHS: u64 = ONES << 7;

/// Marks, by its highest bit, the first byte of `word` that is zero; what is marked behind it means nothing.
#[inline(always)]
const fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Marks the first byte of `word` that is `byte`.
#[inline(always)]
pub const fn is(word: u64, byte: u8) -> u64 {
    zero(word ^ (ONES * byte as u64))
}

/// Marks every byte of `word` that is `byte`.
#[inline(always)]
pub const fn every(word: u64, byte: u8) -> u64 {
    let others = word ^ (ONES * byte as u64);
    !(((others & !HIGHS) + !HIGHS) | others) & HIGHS
}

/// Of `marks`, each a highest bit of a byte, an odd one and all that lie before the next: what stands in quotes, when they
/// mark quotes.
#[inline(always)]
pub const fn between_pairs(marks: u64) -> u64 {
    let marks = marks ^ marks << 8;
    let marks = marks ^ marks << 16;
    marks ^ marks << 32
}

/// Marks the first byte of `word` that is less than `byte`, which is at most 0x80.
#[inline(always)]
pub const fn is_below(word: u64, byte: u8) -> u64 {
    word.wrapping_sub(ONES * byte as u64) & !word & HIGHS
}

/// Marks every byte of `word` that is no ASCII letter.
#[inline(always)]
pub const fn is_no_letter(word: u64) -> u64 {
    // Seven bits of each byte in lower case; adding what is missing to 0x80 carries into the free eighth bit.
    let lower = (word | (ONES * 0x20)) & !HIGHS;
    let from_a = lower + ONES * (0x80 - b'a' as u64);
    let past_z = lower + ONES * (0x7f - b'z' as u64);
    !(from_a & !past_z & !word) & HIGHS
}

/// Marks every byte of `word` that is no small ASCII letter.
#[inline(always)]
pub const fn is_no_small_letter(word: u64) -> u64 {
    let low = word & !HIGHS;
    let from_a = low + ONES * (0x80 - b'a' as u64);
    let past_z = low + ONES * (0x7f - b'z' as u64);
    !(from_a & !past_z & !word) & HIGHS
}

/// Where the first byte of `bytes` is that `wide` marks in a word of eight, or `narrow` says yes to; both must mean the
/// same bytes.
#[inline(always)]
pub fn position(bytes: &[u8], wide: impl Fn(u64) -> u64, narrow: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = wide(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&byte| narrow(byte)).map(|at| words.len() * 8 + at)
}

/// Where the first `byte` is.
#[inline(always)]
pub fn find(bytes: &[u8], byte: u8) -> Option<usize> {
    position(bytes, |word| is(word, byte), |other| other == byte)
}

/// The number of small ASCII letters that `bytes` begin with.
#[inline(always)]
pub fn small_letters(bytes: &[u8]) -> usize {
    position(bytes, is_no_small_letter, |byte| !byte.is_ascii_lowercase()).unwrap_or(bytes.len())
}

/// The number of ASCII letters that `bytes` begin with.
#[inline(always)]
pub fn letters(bytes: &[u8]) -> usize {
    position(bytes, is_no_letter, |byte| !byte.is_ascii_alphabetic()).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_marked() {
        for set in 0..=255u64 {
            for (byte, other) in [(b'"', b'#'), (b'"', 0xa2), (0, 1), (0xff, 0x7f), (0x80, 0)] {
                let bytes: [u8; 8] = std::array::from_fn(|at| if set >> at & 1 == 1 { byte } else { other });
                let marks = bytes.map(|found| if found == byte { 0x80 } else { 0 });
                assert_eq!(every(u64::from_le_bytes(bytes), byte).to_le_bytes(), marks, "{bytes:?}");
                let mut inside = false;
                let between = marks.map(|mark| {
                    inside ^= mark != 0;
                    if inside { 0x80 } else { 0 }
                });
                assert_eq!(between_pairs(u64::from_le_bytes(marks)).to_le_bytes(), between, "{bytes:?}");
            }
        }
    }

    #[test]
    fn bytes_are_found_as_one_by_one() {
        for byte in 0..=255u8 {
            for len in 0..12 {
                let mut bytes = vec![b'q'; len];
                bytes.extend([byte, b'Z', b'a', b' ', byte, b'x', b'1', b'A', 0xc3, 0x80, 0xff, 0]);
                for end in 0..=bytes.len() {
                    let bytes = &bytes[..end];
                    let by_one = |yes: fn(u8, u8) -> bool| bytes.iter().position(|&other| yes(byte, other));
                    assert_eq!(find(bytes, byte), by_one(|byte, other| byte == other), "{bytes:?}");
                    let control = position(bytes, |word| is_below(word, 0x21), |other| other < 0x21);
                    assert_eq!(control, by_one(|_, other| other < 0x21), "{bytes:?}");
                    let letters_end = by_one(|_, other| !other.is_ascii_alphabetic()).unwrap_or(bytes.len());
                    assert_eq!(letters(bytes), letters_end, "{bytes:?}");
                    let small_end = by_one(|_, other| !other.is_ascii_lowercase()).unwrap_or(bytes.len());
                    assert_eq!(small_letters(bytes), small_end, "{bytes:?}");
                }
            }
        }
    }
}
