//! `key=value` pairs, the value bare or in quotes with backslash escapes.

use super::{
    json,
    keys::{self, Meaning},
    time::{self, Frame},
    wide,
};
use crate::entry::{Nanos, Severity};

/// One pair: its key, its value as written (without quotes), and whether quotes stood around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'l> {
    /// The key; never empty, without `=`, space or quote.
    pub key: &'l [u8],
    /// What follows the `=`; escapes are as written.
    pub value: &'l [u8],
    /// Whether the value stood in quotes, so that escapes in it mean something.
    pub quoted: bool,
}

/// The pairs of a line, in order; words that are no pair are passed over.
#[derive(Clone, Debug)]
pub struct Pairs<'l> {
    rest: &'l [u8],
}

impl<'l> Pairs<'l> {
    /// The pairs of `line`.
    pub fn of(line: &'l [u8]) -> Self {
        Self { rest: line }
    }
}

impl<'l> Iterator for Pairs<'l> {
    type Item = Pair<'l>;

    fn next(&mut self) -> Option<Pair<'l>> {
        loop {
            let start = self.rest.iter().position(|&byte| byte > b' ')?;
            let rest = &self.rest[start..];
            let end = key_len(rest);
            if end == 0 || rest.get(end) != Some(&b'=') {
                // A word, or a quote out of place: on behind it.
                self.rest = &rest[(end + usize::from(rest.get(end).is_some())).max(1)..];
                continue;
            }
            let (key, value) = (&rest[..end], &rest[end + 1..]);
            if let [b'"', inner @ ..] = value {
                let close = json::string_end(inner).unwrap_or(inner.len());
                self.rest = inner.get(close + 1..).unwrap_or_default();
                return Some(Pair { key, value: &inner[..close], quoted: true });
            }
            let close = wide::position(value, |word| wide::is_below(word, b' ' + 1), |byte| byte <= b' ');
            let close = close.unwrap_or(value.len());
            self.rest = &value[close..];
            return Some(Pair { key, value: &value[..close], quoted: false });
        }
    }
}

/// How many bytes of `bytes` a key may have: up to space, `=` or a quote.
#[inline]
fn key_len(bytes: &[u8]) -> usize {
    let marks = |word| wide::is(word, b'=') | wide::is(word, b'"') | wide::is_below(word, b' ' + 1);
    wide::position(bytes, marks, |byte| matches!(byte, b'=' | b'"' | 0..=b' ')).unwrap_or(bytes.len())
}

/// Whether `line` begins with `key=`.
#[inline]
pub fn begins(line: &[u8]) -> bool {
    // What keys are made of mostly, and what follows a word mostly.
    let letters = wide::letters(line);
    match line.get(letters) {
        None | Some(b' ' | b':' | b',') => false,
        Some(b'=') => (1..48).contains(&letters),
        Some(_) => begins_with_any_key(line),
    }
}

fn begins_with_any_key(line: &[u8]) -> bool {
    let key = line.iter().take(48).take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-@/".contains(byte)).count();
    key > 0 && line[0].is_ascii_alphabetic() | matches!(line[0], b'_' | b'@') && line.get(key) == Some(&b'=')
}

/// What the pairs of `line` state: severity and time, by the usual keys.
pub fn read(line: &[u8], frame: &Frame<'_>) -> (Option<Severity>, Option<Nanos>) {
    let mut severity: Option<(u8, Severity)> = None;
    let mut moment: Option<(u8, Nanos)> = None;
    for pair in Pairs::of(line) {
        match keys::meaning(pair.key) {
            Meaning::Severity(rank) if severity.is_none_or(|(best, _)| rank < best) => {
                severity = json::severity_of(pair.key, pair.value).map(|found| (rank, found)).or(severity);
            }
            Meaning::Time(rank) if moment.is_none_or(|(best, _)| rank < best) => {
                moment = time::value(pair.value, frame).map(|found| (rank, found)).or(moment);
            }
            Meaning::Severity(_) | Meaning::Time(_) | Meaning::Other => continue,
        }
        if let (Some((0, _)), Some((0, _))) = (severity, moment) {
            break;
        }
    }
    let moment = moment.map(|(_, found)| found).or_else(|| of_two_pairs(line, frame));
    (severity.map(|(_, found)| found), moment)
}

/// The moment that Fortinet's devices write in two pairs, `date=2026-11-20 time=10:00:00`.
#[cold]
fn of_two_pairs(line: &[u8], frame: &Frame<'_>) -> Option<Nanos> {
    let mut pairs = Pairs::of(line);
    let date = pairs.by_ref().take(4).find(|pair| pair.key == b"date")?.value;
    let clock = pairs.next().filter(|pair| pair.key == b"time")?.value;
    if date.len() != 10 || clock.len() > 20 {
        return None;
    }
    time::value(&[date, clock].join(&b' '), frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::time::Zone;

    fn pairs(line: &str) -> Vec<(String, String, bool)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Pairs::of(line.as_bytes()).map(|pair| (text(pair.key), text(pair.value), pair.quoted)).collect()
    }

    #[test]
    fn pairs_are_found_between_words_and_rubbish() {
        let expected = [("a", "1", false), ("b", r#"x \"y\" z"#, true), ("c", "", false), ("d", "e=f", false)];
        let expected: Vec<_> = expected.iter().map(|&(k, v, q)| (k.to_owned(), v.to_owned(), q)).collect();
        assert_eq!(pairs(r#"a=1 word b="x \"y\" z" "loose" c= d=e=f"#), expected);
        assert_eq!(pairs(r#"= == " "" =x"#), []);
        assert_eq!(pairs("k=\"open"), [("k".to_owned(), "open".to_owned(), true)]);
    }

    #[test]
    fn the_usual_keys_tell_severity_and_time() {
        let zone = Zone::utc();
        let frame = Frame::new(&zone, Nanos(0), false);
        let line = br#"time="2026-11-20T10:00:00Z" msg="level=error in text" level=warning"#;
        assert_eq!(read(line, &frame), (Some(Severity::Warn), Some(Nanos(1_795_168_800_000_000_000))));
        assert_eq!(read(b"msg=\"no error found\" err=none", &frame), (None, None));
    }
}
