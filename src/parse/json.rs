//! JSON objects, read in one pass without building a tree.
//!
//! What is not well formed is read as far as it goes: a line that was cut in the middle still has its level.

use std::borrow::Cow;

use super::{
    keys::{self, Meaning},
    time::{self, Frame},
    wide, words,
};
use crate::entry::{Nanos, Severity};

/// Depth to which nested objects are looked into; deeper ones are passed over as one value.
const DEPTH_MAX: usize = 16;

/// The bit in each byte that `[` and `{` are apart, and `]` and `}`.
const CASE: u64 = 0x2020_2020_2020_2020;

/// A value as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'j> {
    /// Between its quotes, escapes as written.
    String(&'j [u8]),
    /// A number, `true`, `false` or `null`, as written.
    Bare(&'j [u8]),
    /// `{…}` or `[…]`, as written (to the end of the text when it is never closed).
    Nested(&'j [u8]),
}

/// The members of one object, in order, as far as it is well formed.
#[derive(Clone, Debug)]
pub struct Members<'j> {
    rest: &'j [u8],
}

impl<'j> Members<'j> {
    /// The members of the object that begins `text`; none when it is no object.
    pub fn of(text: &'j [u8]) -> Self {
        Self { rest: text.strip_prefix(b"{").unwrap_or_default() }
    }
}

impl<'j> Iterator for Members<'j> {
    type Item = (&'j [u8], Value<'j>);

    // Inlined by force: what it returns would else go through memory.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = match self.rest {
            [b',', b'"', rest @ ..] | [b'"', rest @ ..] => rest,
            rest => match spaced_key(rest) {
                Some(rest) => rest,
                None => return self.stop(),
            },
        };
        let Some(end) = string_end(rest) else { return self.stop() };
        let (key, rest) = (&rest[..end], &rest[end + 1..]);
        let rest = match rest {
            [b':', rest @ ..] if rest.first().is_some_and(|&byte| byte > b' ') => rest,
            _ => match spaced_value(rest) {
                Some(rest) => rest,
                None => return self.stop(),
            },
        };
        let (value, len) = match rest {
            [b'"', inner @ ..] => match string_end(inner) {
                Some(end) => (Value::String(&inner[..end]), end + 2),
                None => (Value::String(inner), rest.len()),
            },
            [b'{' | b'[', ..] => {
                let len = nested_len(rest);
                (Value::Nested(&rest[..len]), len)
            }
            _ => {
                let len = bare_len(rest);
                if len == 0 {
                    return self.stop();
                }
                (Value::Bare(&rest[..len]), len)
            }
        };
        self.rest = &rest[len..];
        Some((key, value))
    }
}

/// The length of the number or word that `bytes` begin with.
#[inline]
fn bare_len(bytes: &[u8]) -> usize {
    let marks = |word| wide::is(word, b',') | wide::is(word | CASE, b'}') | wide::is_below(word, b' ' + 1);
    wide::position(bytes, marks, |byte| matches!(byte, b',' | b'}' | b']' | 0..=b' ')).unwrap_or(bytes.len())
}

impl<'j> Members<'j> {
    fn stop(&mut self) -> Option<(&'j [u8], Value<'j>)> {
        self.rest = &[];
        None
    }
}

/// What follows the opening quote of a key that spaces stand before.
#[cold]
fn spaced_key(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.trim_ascii_start();
    rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start().strip_prefix(b"\"")
}

/// The value behind a colon that spaces stand around.
#[cold]
fn spaced_value(bytes: &[u8]) -> Option<&[u8]> {
    Some(bytes.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// Where the string that begins `bytes` (after its opening quote) ends: the index of its closing quote.
#[inline]
pub fn string_end(bytes: &[u8]) -> Option<usize> {
    string_end_from(bytes, quote_or_backslash(bytes)?)
}

/// Where the string ends whose first quote or backslash is at `found`.
#[inline]
pub fn string_end_from(bytes: &[u8], found: usize) -> Option<usize> {
    if bytes[found] == b'"' { Some(found) } else { end_behind_escape(bytes, found + 2) }
}

/// Where a string ends that has escapes, the first of which ends at `at`.
fn end_behind_escape(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += quote_or_backslash(bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The first quote or backslash. Most strings are short, so the first words are looked at here, and only then `memchr` is
/// called.
#[inline]
pub fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const HERE: usize = 32;
    let (head, rest) = bytes.split_at(bytes.len().min(HERE));
    let marks = |word| wide::is(word, b'"') | wide::is(word, b'\\');
    wide::position(head, marks, |byte| matches!(byte, b'"' | b'\\'))
        .or_else(|| Some(head.len() + memchr::memchr2(b'"', b'\\', rest)?))
}

/// The text that a string stands for, its escapes resolved. Half a surrogate pair becomes U+FFFD; an escape that JSON
/// does not know stays as it is.
pub fn unescaped(string: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', string) else { return Cow::Borrowed(string) };
    let mut text = Vec::with_capacity(string.len());
    text.extend_from_slice(&string[..first]);
    let mut rest = &string[first..];
    while let [b'\\', after @ ..] = rest {
        let taken = unescape(after, &mut text);
        rest = &after[taken..];
        let len = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        text.extend_from_slice(&rest[..len]);
        rest = &rest[len..];
    }
    Cow::Owned(text)
}

/// Appends what the escape stands for whose backslash is before `bytes`; how many bytes it took.
fn unescape(bytes: &[u8], text: &mut Vec<u8>) -> usize {
    let plain = match bytes {
        [b'n', ..] => b'\n',
        [b't', ..] => b'\t',
        [b'r', ..] => b'\r',
        [b'b', ..] => 0x08,
        [b'f', ..] => 0x0c,
        [byte @ (b'"' | b'\\' | b'/'), ..] => *byte,
        [b'u', digits @ ..] => {
            let Some(unit) = hex(digits) else {
                text.push(b'\\');
                return 0;
            };
            let low = match digits.get(4..) {
                Some([b'\\', b'u', low @ ..]) => hex(low).filter(|low| (0xdc00..0xe000).contains(low)),
                Some(_) | None => None,
            };
            let (code, len) = match (unit, low) {
                (0xd800..0xdc00, Some(low)) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 11),
                _ => (unit, 5),
            };
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return len;
        }
        _ => {
            text.push(b'\\');
            return 0;
        }
    };
    text.push(plain);
    1
}

/// The number that four hexadecimal digits write.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.get(..4)?.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// The length of the object or array that begins `bytes`; all of it when it is never closed.
fn nested_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut nesting = Nesting { depth: 0, quoted: 0 };
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        if wide::is(word, b'\\') != 0 {
            return nested_len_by_strings(bytes);
        }
        if let Some(len) = nesting.end(word) {
            return index * 8 + len;
        }
    }
    match bytes.last_chunk::<8>() {
        // What was not looked at yet, and zeros behind it.
        Some(last) if !rest.is_empty() && !rest.contains(&b'\\') => {
            let word = u64::from_le_bytes(*last) >> (8 * (8 - rest.len()));
            nesting.end(word).map_or(bytes.len(), |len| words.len() * 8 + len)
        }
        Some(_) | None => nested_len_by_strings(bytes),
    }
}

/// What is open at some place in an object or array without escapes.
struct Nesting {
    /// How many braces and brackets.
    depth: usize,
    /// The highest bit of each byte, when a string is.
    quoted: u64,
}

impl Nesting {
    /// How many bytes of `word`, which comes next, belong to the object or array, if it ends there.
    #[inline(always)]
    fn end(&mut self, word: u64) -> Option<usize> {
        let inside = wide::between_pairs(wide::every(word, b'"')) ^ self.quoted;
        self.quoted = if inside >> 63 == 0 { 0 } else { wide::HIGHS };
        let opens = wide::every(word | CASE, b'{') & !inside;
        let mut marks = opens | wide::every(word | CASE, b'}') & !inside;
        while marks != 0 {
            let mark = marks & marks.wrapping_neg();
            marks ^= mark;
            if opens & mark != 0 {
                self.depth += 1;
            } else if self.depth == 1 {
                return Some(mark.trailing_zeros() as usize / 8 + 1);
            } else {
                self.depth -= 1;
            }
        }
        None
    }
}

/// Finds what [`nested_len`] does, going from string to string: where strings have escapes, and at the end of a line.
fn nested_len_by_strings(bytes: &[u8]) -> usize {
    let marks = |word| wide::is(word | CASE, b'{') | wide::is(word | CASE, b'}') | wide::is(word, b'"');
    let mark = |byte| matches!(byte, b'{' | b'[' | b'}' | b']' | b'"');
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(found) = wide::position(&bytes[at..], marks, mark) {
        at += found + 1;
        match bytes[at - 1] {
            b'{' | b'[' => depth += 1,
            b'"' => match string_end(&bytes[at..]) {
                Some(end) => at += end + 1,
                None => return bytes.len(),
            },
            _ => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
        }
    }
    bytes.len()
}

/// What an object states: severity and time, by the usual keys.
pub fn read(text: &[u8], frame: &Frame<'_>) -> (Option<Severity>, Option<Nanos>) {
    let mut found = Found { severity: None, moment: None };
    found.look_into(text, frame, 0);
    (found.severity.map(|(_, severity)| severity), found.moment.map(|(_, moment)| moment))
}

/// The best statements so far, each with the rank of the key it stands under; 0 is the best.
struct Found {
    severity: Option<(u8, Severity)>,
    moment: Option<(u8, Nanos)>,
}

impl Found {
    fn look_into(&mut self, text: &[u8], frame: &Frame<'_>, depth: usize) {
        for (key, value) in Members::of(text) {
            match value {
                Value::String(text) | Value::Bare(text) => self.weigh(key, text, frame),
                Value::Nested(inner) if key == b"instant" => {
                    let moment = instant(inner).map(|moment| (0, moment));
                    self.moment = self.moment.filter(|(rank, _)| *rank == 0).or(moment);
                }
                Value::Nested(inner) if depth < DEPTH_MAX && holds_severity_or_time(key) => {
                    self.look_into(inner, frame, depth + 1);
                }
                Value::Nested(_) => {}
            }
            if let (Some((0, _)), Some((0, _))) = (self.severity, self.moment) {
                return;
            }
        }
    }

    #[inline]
    fn weigh(&mut self, key: &[u8], text: &[u8], frame: &Frame<'_>) {
        match keys::meaning(key) {
            Meaning::Other => {}
            Meaning::Severity(rank) if self.severity.is_none_or(|(best, _)| rank < best) => {
                // A known word under a key of the first rank means the same whatever the key.
                let known = if rank == 0 { words::severity(text) } else { None };
                if let Some(severity) = known.or_else(|| severity_of(key, text)) {
                    self.severity = Some((rank, severity));
                }
            }
            Meaning::Time(rank) if self.moment.is_none_or(|(best, _)| rank < best) => {
                if let Some(moment) = time::value(text, frame) {
                    self.moment = Some((rank, moment));
                }
            }
            Meaning::Severity(_) | Meaning::Time(_) => {}
        }
    }
}

/// Log4j's `{"epochSecond":1795168800,"nanoOfSecond":123000000}`.
fn instant(text: &[u8]) -> Option<Nanos> {
    let (mut second, mut nanos) = (None, 0);
    for (key, value) in Members::of(text) {
        match (key, value) {
            (b"epochSecond", Value::Bare(digits)) => second = time::epoch::read(digits),
            (b"nanoOfSecond", Value::Bare(digits)) => {
                nanos = time::number_up_to(digits, 9).filter(|(_, len)| *len == digits.len())?.0;
            }
            _ => {}
        }
    }
    Some(Nanos(second?.0.checked_add(i64::from(nanos))?))
}

/// Keys under which an object may hold severity or time: ECS's `log.level`, MongoDB's `t.$date`.
fn holds_severity_or_time(key: &[u8]) -> bool {
    matches!(key, b"log" | b"t" | b"syslog" | b"severity" | b"level" | b"fields" | b"timestamp" | b"time" | b"record")
}

/// The severity that `text` states under `key`: a word, a letter or a number.
pub fn severity_of(key: &[u8], text: &[u8]) -> Option<Severity> {
    let text = text.trim_ascii();
    if key == b"label" {
        // A label may be anything; in MySQL's JSON it is one of these.
        return match text {
            b"System" | b"Note" => Some(Severity::Info),
            b"Warning" => Some(Severity::Warn),
            b"Error" => Some(Severity::Error),
            _ => None,
        };
    }
    if key == b"status" {
        // A status may be anything; Datadog's is a level.
        return words::severity(text);
    }
    if key.len() == 1 {
        // Too short a name to mean a level whatever it holds.
        return match text {
            [letter @ b'A'..=b'Z'] | [letter @ b'D', b'1'..=b'5'] => words::letter_of(*letter),
            _ => words::severity(text),
        };
    }
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return words::stated(text);
    }
    let (number, len) = time::number_up_to(text, 6)?;
    if len != text.len() {
        return None;
    }
    match key {
        b"levelno" if number >= 10 => words::level_number(number + 10),
        _ if key.len() >= 14 && key.ends_with(b"umber") => words::otel(number),
        _ => words::level_number(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::time::Zone;

    fn level(text: &str) -> Option<Severity> {
        read(text.as_bytes(), &Frame::new(&Zone::utc(), Nanos(0), false)).0
    }

    #[test]
    fn members_come_in_order_and_end_where_the_text_is_no_object() {
        let text = br#" {"a":1}"#;
        assert_eq!(Members::of(text).count(), 0);
        let text = br#"{ "a" : 1 ,"b":"x\"y" ,"c":{"d":[1,"]}"]},"e":null} tail"#;
        let found: Vec<_> = Members::of(text).collect();
        let expected: Vec<(&[u8], Value<'_>)> = vec![
            (b"a", Value::Bare(b"1")),
            (b"b", Value::String(br#"x\"y"#)),
            (b"c", Value::Nested(br#"{"d":[1,"]}"]}"#)),
            (b"e", Value::Bare(b"null")),
        ];
        assert_eq!(found, expected);
        for broken in ["{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{a:1}", "{\"a\":,\"b\":1}", "{\"a\\", "{]}"] {
            assert_eq!(Members::of(broken.as_bytes()).count(), 0, "{broken}");
        }
    }

    #[test]
    fn levels_are_words_letters_and_numbers() {
        for (text, expected) in [
            (r#"{"level":"error","msg":"x"}"#, Some(Severity::Error)),
            (r#"{"msg":"\"level\":\"error\"","level":"info"}"#, Some(Severity::Info)),
            (r#"{"level":30,"time":1795168800123}"#, Some(Severity::Info)),
            (r#"{"version":"1.1","level":3}"#, Some(Severity::Error)),
            (r#"{"SeverityNumber":13}"#, Some(Severity::Warn)),
            (r#"{"log":{"level":"WARN"}}"#, Some(Severity::Warn)),
            (r#"{"s":"I","c":"NETWORK"}"#, Some(Severity::Info)),
            (r#"{"level":200,"level_name":"INFO"}"#, Some(Severity::Info)),
            (r#"{"context":{"level":"error"}}"#, None),
            (r#"{"msg":"error"}"#, None),
            (r#"{"level":"error","msg":"cut in the mid"#, Some(Severity::Error)),
        ] {
            assert_eq!(level(text), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_resolved() {
        for (string, expected) in [
            (r"plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\u4E16", "\u{e9}\u{4e16}"),
            (r"\ud83d\ude00", "\u{1f600}"),
            (r"\ud83dx \ude00", "\u{fffd}x \u{fffd}"),
            (r"\q \u12 \", "\\q \\u12 \\"),
        ] {
            assert_eq!(unescaped(string.as_bytes()), expected.as_bytes(), "{string}");
        }
    }

    #[test]
    fn deep_nesting_ends() {
        let text = format!("{}{}", r#"{"log":"#.repeat(100_000), "1");
        assert_eq!(level(&text), None);
    }
}
