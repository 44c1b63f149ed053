//! Searching text for any of two dozen patterns of three bytes at once, each of which may be one of several: for letters
//! in either case, for what stands beside a digit.
//!
//! The way is that of Hyperscan's "Teddy": each half of a byte looks up which patterns it fits, for each of three bytes that
//! follow each other, and what fits in all six looks may be one. Processors with AVX2 do that for 32 places at a time.
//! What is found so may be too much, never too little.

use std::ops::Range;

/// Bytes of a pattern.
const LEN: usize = 3;
/// Patterns of one table: a bit for each.
const TABLE_PATTERNS: usize = 8;
/// Tables; a place is looked up in both.
const TABLES: usize = 2;

/// For each byte of a pattern those that it may be.
pub type Pattern = [&'static [u8]; LEN];

/// The patterns, as tables of which of them a half byte fits.
#[derive(Clone, Debug)]
pub struct Fingers {
    tables: [Table; TABLES],
}

/// Eight patterns.
#[derive(Clone, Copy, Debug, Default)]
struct Table {
    low: [[u8; 16]; LEN],
    high: [[u8; 16]; LEN],
}

impl Table {
    fn of(patterns: &[Pattern]) -> Self {
        let mut table = Self::default();
        for (number, pattern) in patterns.iter().enumerate() {
            for (place, bytes) in pattern.iter().enumerate() {
                for byte in *bytes {
                    table.low[place][usize::from(byte & 15)] |= 1 << number;
                    table.high[place][usize::from(byte >> 4)] |= 1 << number;
                }
            }
        }
        table
    }

    fn fits(&self, bytes: [u8; LEN]) -> bool {
        let fits = (0..LEN).map(|place| {
            self.low[place][usize::from(bytes[place] & 15)] & self.high[place][usize::from(bytes[place] >> 4)]
        });
        fits.fold(u8::MAX, |all, fits| all & fits) != 0
    }
}

impl Fingers {
    /// The patterns, in tables of at most eight; those of one table are better not mixed up with each other.
    pub fn new(patterns: [&[Pattern]; TABLES]) -> Self {
        debug_assert!(patterns.iter().all(|patterns| patterns.len() <= TABLE_PATTERNS), "a bit for each");
        Self { tables: patterns.map(Table::of) }
    }

    /// The first place in `range` of `text` that is the second byte of what fits a pattern, and that `is_real` confirms.
    /// Before and behind the text there is a newline.
    pub fn find(&self, text: &[u8], range: Range<usize>, is_real: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = range.start;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && at < range.end {
            if at == 0 {
                if self.fits(text, 0) && is_real(0) {
                    return Some(0);
                }
                at = 1;
            }
            match wide(&self.tables, text, at..range.end, &is_real) {
                Ok(found) => return Some(found),
                Err(rest) => at = rest,
            }
        }
        (at..range.end).find(|at| self.fits(text, *at) && is_real(*at))
    }

    fn fits(&self, text: &[u8], at: usize) -> bool {
        let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied().unwrap_or(b'\n');
        let bytes = [byte(at.checked_sub(1)), text[at], byte(Some(at + 1))];
        self.tables.iter().any(|table| table.fits(bytes))
    }
}

/// Searches by AVX2, which this processor has; `Err` is where too little is left for it. The range begins behind the text's
/// first byte.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn wide(
    tables: &[Table; TABLES],
    text: &[u8],
    range: Range<usize>,
    is_real: &impl Fn(usize) -> bool,
) -> Result<usize, usize> {
    debug_assert!(is_x86_feature_detected!("avx2"), "asked before");
    // SAFETY: the function is safe but for being compiled for AVX2, and the only caller has just asked the processor.
    unsafe { avx2::find(tables, text, range, is_real) }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::{
        arch::x86_64::{
            __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256,
            _mm256_set_epi64x, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
        },
        ops::Range,
    };

    use super::{LEN, TABLES, Table};

    /// Places looked at together.
    const WIDTH: usize = 32;

    type Looks = ([__m256i; LEN], [__m256i; LEN]);

    #[target_feature(enable = "avx2")]
    pub fn find(
        tables: &[Table; TABLES],
        text: &[u8],
        range: Range<usize>,
        is_real: &impl Fn(usize) -> bool,
    ) -> Result<usize, usize> {
        let none = (_mm256_setzero_si256(), _mm256_setzero_si256());
        let mut looks: [Looks; TABLES] = [([none.0; LEN], [none.1; LEN]); TABLES];
        for (look, table) in looks.iter_mut().zip(tables) {
            for place in 0..LEN {
                look.0[place] = twice(&table.low[place]);
                look.1[place] = twice(&table.high[place]);
            }
        }
        let mut at = range.start;
        while at < range.end
            && let Some((bytes, _)) = text[at - 1..].split_first_chunk::<{ WIDTH + LEN - 1 }>()
        {
            let mut places = fitting(&looks, bytes);
            while places != 0 {
                let found = at + places.trailing_zeros() as usize;
                if found >= range.end {
                    break;
                }
                if is_real(found) {
                    return Ok(found);
                }
                places &= places - 1;
            }
            at += WIDTH;
        }
        Err(at.min(range.end))
    }

    /// The places at which a pattern may begin, a bit for each.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn fitting(looks: &[Looks; TABLES], bytes: &[u8; WIDTH + LEN - 1]) -> u32 {
        let half = _mm256_set1_epi8(15);
        let mut fits = [_mm256_set1_epi8(-1); TABLES];
        for place in 0..LEN {
            let here = bytes[place..].first_chunk().map_or(half, |here| load(here));
            let low = _mm256_and_si256(here, half);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(here), half);
            for (fits, (lows, highs)) in fits.iter_mut().zip(looks) {
                let both =
                    _mm256_and_si256(_mm256_shuffle_epi8(lows[place], low), _mm256_shuffle_epi8(highs[place], high));
                *fits = _mm256_and_si256(*fits, both);
            }
        }
        let [first, second] = fits;
        let any = _mm256_or_si256(first, second);
        !(_mm256_movemask_epi8(_mm256_cmpeq_epi8(any, _mm256_setzero_si256())) as u32)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code)]
    fn load(bytes: &[u8; WIDTH]) -> __m256i {
        // SAFETY: as many bytes are read as there are; they need not be aligned.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    /// A table of sixteen for each half of a register.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn twice(table: &[u8; 16]) -> __m256i {
        let word = |at: usize| table[at..].first_chunk().map_or(0, |word| i64::from_le_bytes(*word));
        _mm256_set_epi64x(word(8), word(0), word(8), word(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn patterns_are_found_wherever_they_stand() {
        let fingers = Fingers::new([&[[b"eE", b"rR", b"r"]], &[[b"\n", b"F", b" "]]]);
        for len in 0..100 {
            for at in 0..len {
                let mut text = vec![b'.'; len];
                text[at] = b'F';
                let stands = at == 0 && len == 1;
                assert_eq!(fingers.find(&text, 0..len, |_| true), None, "{len} {stands}");
                for (place, byte) in [b'e', b'R', b'r'].into_iter().enumerate() {
                    if let Some(into) = text.get_mut(at + place) {
                        *into = byte;
                    }
                }
                let expected = (at + 2 < len).then_some(at + 1);
                assert_eq!(fingers.find(&text, 0..len, |_| true), expected, "{len}");
                assert_eq!(fingers.find(&text, at + 2..len.max(at + 2), |_| true), None, "{len}");
                assert_eq!(fingers.find(&text, 0..len.min(at + 1), |_| true), None, "{len}");
                assert_eq!(fingers.find(&text, 0..len, |_| false), None, "{len}");
            }
        }
        assert_eq!(fingers.find(b"F ", 0..2, |_| true), Some(0), "the text's beginning is a line's");
    }

    proptest! {
        #[test]
        fn all_processors_find_the_same(text in vec(0u8..128, 0..200), from in 0usize..200) {
            let fingers = Fingers::new([&[[b"aeiou", b"klm", b"xyz"]], &[[b" \t", b"0123", b"@"]]]);
            let from = from.min(text.len());
            let one_by_one = (from..text.len()).find(|at| fingers.fits(&text, *at));
            prop_assert_eq!(fingers.find(&text, from..text.len(), |_| true), one_by_one);
        }
    }
}
