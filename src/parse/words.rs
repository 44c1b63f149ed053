//! Words and numbers that programs use for severities.

pub use super::wide::letters;
use crate::entry::Severity;

/// The longest word known here, in bytes.
const LONGEST: usize = 13;
/// How many words of at most eight letters there are.
const WORD_COUNT: usize = 30;

/// Words of at most eight letters, in lower case, wherever severities are written.
const WORDS: [(&[u8], Severity); WORD_COUNT] = [
    (b"trace", Severity::Trace),
    (b"trc", Severity::Trace),
    (b"verbose", Severity::Trace),
    (b"vrb", Severity::Trace),
    (b"finest", Severity::Trace),
    (b"finer", Severity::Trace),
    (b"debug", Severity::Debug),
    (b"dbg", Severity::Debug),
    (b"dbug", Severity::Debug),
    (b"debg", Severity::Debug),
    (b"ddebug", Severity::Debug),
    (b"info", Severity::Info),
    (b"inf", Severity::Info),
    (b"notice", Severity::Notice),
    (b"warn", Severity::Warn),
    (b"warning", Severity::Warn),
    (b"wrn", Severity::Warn),
    (b"error", Severity::Error),
    (b"err", Severity::Error),
    (b"eror", Severity::Error),
    (b"severe", Severity::Error),
    (b"critical", Severity::Critical),
    (b"crit", Severity::Critical),
    (b"crt", Severity::Critical),
    (b"alert", Severity::Alert),
    (b"fatal", Severity::Fatal),
    (b"ftl", Severity::Fatal),
    (b"emerg", Severity::Fatal),
    (b"panic", Severity::Fatal),
    (b"dpanic", Severity::Fatal),
];

/// The severity that `word` stands for, in any case, wherever a word stands where severities are written.
#[inline]
pub fn severity(word: &[u8]) -> Option<Severity> {
    if !(3..=8).contains(&word.len()) {
        return longer(word);
    }
    Some(TABLE.get(word)).filter(|severity| *severity != Severity::Unspecified)
}

/// The severity of the word that `text` begins with, in any case, and its length; none too when the word has no more than
/// two letters or all eight.
#[inline(always)]
pub fn first_of_eight(text: [u8; 8]) -> Option<(Severity, usize)> {
    let text = u64::from_le_bytes(text);
    let bits = super::wide::is_no_letter(text).trailing_zeros() & !7;
    if !(24..64).contains(&bits) {
        return None;
    }
    let key = (text | CASE) & ((1 << bits) - 1);
    Some((TABLE.of_key(key), bits as usize / 8)).filter(|(severity, _)| *severity != Severity::Unspecified)
}

/// How many letters `text` begins with, and the severity of the word that they make, like [`severity`].
#[inline]
pub fn first(text: &[u8]) -> (usize, Option<Severity>) {
    if let Some(eight) = text.first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        let bits = super::wide::is_no_letter(eight).trailing_zeros() & !7;
        if bits < 64 {
            let severity = TABLE.of_key((eight | CASE) & ((1 << bits) - 1));
            return (bits as usize / 8, Some(severity).filter(|severity| *severity != Severity::Unspecified));
        }
    }
    let len = letters(text);
    (len, severity(&text[..len]))
}

/// The severity of a word of more than eight letters.
fn longer(word: &[u8]) -> Option<Severity> {
    match word.len() {
        9 if word.eq_ignore_ascii_case(b"emergency") => Some(Severity::Fatal),
        11 if word.eq_ignore_ascii_case(b"information") => Some(Severity::Info),
        13 if word.eq_ignore_ascii_case(b"informational") => Some(Severity::Info),
        _ => None,
    }
}

static TABLE: Table<Severity, WORD_COUNT> = Table::build(WORDS, Severity::Unspecified);

/// A table of words of three to eight bytes without collisions: which word a line has cannot be foretold, so comparing it
/// with one word after the other would cost a wrongly foretold branch or two on each line.
pub struct Table<V, const N: usize> {
    slots: [(u64, V); 1 << SLOT_BITS],
    /// With this multiplier no two words share a slot.
    multiplier: u64,
    /// What all other words stand for.
    missing: V,
}

const SLOT_BITS: u32 = 7;
/// The bit in each byte that makes a letter small.
const CASE: u64 = 0x2020_2020_2020_2020;

impl<V: Copy, const N: usize> Table<V, N> {
    /// Tries one multiplier after the other until each of `words`, in lower case, has a slot of its own.
    pub const fn build(words: [(&[u8], V); N], missing: V) -> Self {
        let mut multiplier = 0x9e37_79b9_7f4a_7c15u64;
        loop {
            let mut table = Self { slots: [(0, missing); 1 << SLOT_BITS], multiplier, missing };
            let mut at = 0;
            while at < N {
                let key = key(words[at].0);
                let slot = slot(key, multiplier);
                if table.slots[slot].0 != 0 {
                    break;
                }
                table.slots[slot] = (key, words[at].1);
                at += 1;
            }
            if at == N {
                return table;
            }
            multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
        }
    }

    /// What `word`, of three to eight bytes, stands for in any case; else what words stand for that are not there.
    #[inline]
    pub fn get(&self, word: &[u8]) -> V {
        self.of_key(key(word))
    }

    #[inline]
    fn of_key(&self, key: u64) -> V {
        let (known, value) = self.slots[slot(key, self.multiplier)];
        if known == key { value } else { self.missing }
    }
}

#[inline]
const fn slot(key: u64, multiplier: u64) -> usize {
    (key.wrapping_mul(multiplier) >> (u64::BITS - SLOT_BITS)) as usize
}

/// The severity that `word` stands for where nothing but a severity can stand: the value of a level key, a bracket of
/// its own. Longer lists than [`severity`]'s are safe there, and single letters.
pub fn stated(word: &[u8]) -> Option<Severity> {
    if let [letter] = word {
        return letter_of(*letter);
    }
    if let Some(found) = severity(without_distance(word)) {
        return Some(found);
    }
    if word.len() > LONGEST {
        return None;
    }
    Some(match word.to_ascii_lowercase().as_slice() {
        b"note" | b"system" | b"log" | b"ok" | b"normal" | b"default" => Severity::Info,
        b"fine" | b"config" | b"debugging" => Severity::Debug,
        b"fail" | b"failure" | b"failed" | b"errors" | b"exception" => Severity::Error,
        b"silly" | b"all" => Severity::Trace,
        b"http" => Severity::Debug,
        b"wrng" | b"caution" => Severity::Warn,
        b"disaster" | b"emergent" => Severity::Fatal,
        _ => return None,
    })
}

/// `word` without what Go's slog adds to a level between its own, `INFO+2`.
fn without_distance(word: &[u8]) -> &[u8] {
    match word {
        [level @ .., b'+' | b'-', b'0'..=b'9'] => level,
        _ => word,
    }
}

/// The severity of a single letter, as glog, logcat, MongoDB and Ruby write them.
pub fn letter_of(letter: u8) -> Option<Severity> {
    Some(match letter.to_ascii_uppercase() {
        b'V' | b'T' => Severity::Trace,
        b'D' => Severity::Debug,
        b'I' => Severity::Info,
        b'N' => Severity::Notice,
        b'W' => Severity::Warn,
        b'E' => Severity::Error,
        b'C' => Severity::Critical,
        b'A' => Severity::Alert,
        b'F' => Severity::Fatal,
        _ => return None,
    })
}

/// The severity of a syslog number, 0 to 7.
pub fn syslog(number: u32) -> Option<Severity> {
    Some(match number {
        0 => Severity::Fatal,
        1 => Severity::Alert,
        2 => Severity::Critical,
        3 => Severity::Error,
        4 => Severity::Warn,
        5 => Severity::Notice,
        6 => Severity::Info,
        7 => Severity::Debug,
        _ => return None,
    })
}

/// The severity of a number under a level key: syslog's 0 to 7, pino's and bunyan's tens, Monolog's hundreds,
/// logback's ten thousands.
pub fn level_number(number: u32) -> Option<Severity> {
    Some(match number {
        0..=7 => return syslog(number),
        10..=19 | 5_000 => Severity::Trace,
        20..=29 | 100..=199 | 10_000 => Severity::Debug,
        30..=39 | 200..=249 | 20_000 => Severity::Info,
        250..=299 => Severity::Notice,
        40..=49 | 300..=399 | 30_000 => Severity::Warn,
        50..=59 | 400..=499 | 40_000 => Severity::Error,
        500..=549 => Severity::Critical,
        550..=599 => Severity::Alert,
        60..=69 | 600..=699 | 50_000 => Severity::Fatal,
        _ => return None,
    })
}

/// The severity of OpenTelemetry's SeverityNumber, 1 to 24.
pub fn otel(number: u32) -> Option<Severity> {
    Some(match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9 => Severity::Info,
        10..=12 => Severity::Notice,
        13..=16 => Severity::Warn,
        17 => Severity::Error,
        18 => Severity::Critical,
        19 | 20 => Severity::Alert,
        21..=24 => Severity::Fatal,
        _ => return None,
    })
}

/// Level words that, written as here and without any mark, begin sentences as often as they are levels.
pub fn often_begins_prose(word: &[u8]) -> bool {
    matches!(word, b"Debug" | b"Trace" | b"Notice" | b"Alert" | b"Panic" | b"Verbose" | b"Emergency")
}

/// Words that begin a sentence rather than name a thing.
pub fn begins_prose(word: &[u8]) -> bool {
    matches!(
        word,
        b"no"
            | b"not"
            | b"a"
            | b"an"
            | b"the"
            | b"this"
            | b"that"
            | b"with"
            | b"without"
            | b"found"
            | b"got"
            | b"any"
            | b"last"
            | b"in"
            | b"on"
            | b"of"
            | b"to"
            | b"for"
            | b"from"
            | b"and"
            | b"or"
            | b"is"
            | b"was"
            | b"has"
            | b"if"
            | b"when"
            | b"then"
            | b"send"
            | b"sent"
            | b"sending"
            | b"receive"
            | b"received"
            | b"return"
            | b"returned"
            | b"returns"
            | b"set"
            | b"setting"
            | b"saw"
            | b"raise"
            | b"raised"
            | b"new"
            | b"next"
            | b"at"
            | b"by"
            | b"as"
            | b"it"
            | b"all"
            | b"some"
            | b"clear"
            | b"cleared"
            | b"ignoring"
            | b"unknown"
    )
}

/// A word of three to eight bytes, in lower case, as a number; words of different length have different numbers.
#[inline]
const fn key(word: &[u8]) -> u64 {
    let len = word.len();
    let letters = match word {
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        // From four to seven bytes: the first four, and the last four, which may overlap them.
        [a, b, c, d, ..] => {
            let first = u32::from_le_bytes([*a, *b, *c, *d]) as u64;
            let last = u32::from_le_bytes([word[len - 4], word[len - 3], word[len - 2], word[len - 1]]) as u64;
            first | last << (8 * (len - 4))
        }
        [a, b, c] => u32::from_le_bytes([*a, *b, *c, 0]) as u64,
        _ => return 0,
    };
    letters | CASE >> (64 - 8 * len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_in_any_case_and_only_whole() {
        for (word, expected) in [
            ("ERROR", Some(Severity::Error)),
            ("Warning", Some(Severity::Warn)),
            ("information", Some(Severity::Info)),
            ("INFORMATIONAL", Some(Severity::Info)),
            ("emergency", Some(Severity::Fatal)),
            ("critical", Some(Severity::Critical)),
            ("criticality", None),
            ("errors", None),
            ("erro", None),
            ("informat", None),
            ("emergencies", None),
            ("", None),
            ("e", None),
        ] {
            assert_eq!(severity(word.as_bytes()), expected, "{word}");
        }
    }

    #[test]
    fn a_word_at_the_beginning_is_the_word_alone() {
        for (word, expected) in WORDS {
            let text = [word, b" is more text"].concat();
            let first = *text.first_chunk().expect("eight bytes");
            let expected = (word.len() < 8).then_some((expected, word.len()));
            assert_eq!(first_of_eight(first), expected, "{text:?}");
            assert_eq!(first_of_eight(first.map(|byte| byte.to_ascii_uppercase())), expected, "{text:?}");
        }
        for text in [b"in fo   ", b"errors 1", b"        ", b"inform\xff ", b"@rror   "] {
            assert_eq!(first_of_eight(*text), None, "{text:?}");
        }
    }

    #[test]
    fn every_word_has_a_slot_of_its_own() {
        for (word, expected) in WORDS {
            assert_eq!(severity(word), Some(expected));
            assert_eq!(severity(&word.to_ascii_uppercase()), Some(expected));
        }
    }

    #[test]
    fn numbers_are_read_by_their_scale() {
        assert_eq!(level_number(3), Some(Severity::Error));
        assert_eq!(level_number(30), Some(Severity::Info));
        assert_eq!(level_number(35), Some(Severity::Info));
        assert_eq!(level_number(300), Some(Severity::Warn));
        assert_eq!(level_number(40_000), Some(Severity::Error));
        assert_eq!(level_number(8), None);
        assert_eq!(otel(17), Some(Severity::Error));
        assert_eq!(otel(25), None);
    }
}
