//! Ways of stating a severity that one program has and no other.

use super::words;
use crate::entry::Severity;

/// What stands before a word, as far as it decides whether the word is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The word begins the line.
    Beginning,
    /// The word stands behind the time.
    BehindTime,
    /// The word stands elsewhere before the prose.
    Elsewhere,
}

/// The severity of `word`, with `after` behind it, where it is a level only in one program's layout.
pub fn level(place: Place, word: &[u8], after: &[u8]) -> Option<Severity> {
    match (word, after) {
        // PostgreSQL's own lines, and its `DEBUG1:` to `DEBUG5:`.
        (b"LOG", [b':', b' ', ..]) => Some(Severity::Info),
        (b"DEBUG", [b'1'..=b'9', b':' | b' ', ..]) => Some(Severity::Debug),
        // ASP.NET's console.
        (b"fail", [b':', b' ', ..]) if place == Place::Beginning => Some(Severity::Error),
        (b"trce", [b':', b' ', ..]) if place == Place::Beginning => Some(Severity::Trace),
        // Go's runtime.
        (b"fatal", _) if place == Place::Beginning && after.starts_with(b" error: ") => Some(Severity::Fatal),
        (b"PHP", [b' ', message @ ..]) => php(message),
        // MongoDB's and etcd's letter behind the time.
        ([letter @ (b'D' | b'I' | b'W' | b'E' | b'F' | b'N' | b'C')], _) if place == Place::BehindTime => match after {
            [b' ', b'|' | b'-', b' ', ..]
            | [b' ', b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z', ..]
            | [b'1'..=b'5', b' ', ..] => words::letter_of(*letter),
            _ => None,
        },
        _ => None,
    }
}

/// The level in Apache's `[core:error]`, `[:emerg]`, `[core:trace3]`, after the bracket.
pub fn apache(inner: &[u8]) -> Option<Severity> {
    let close = inner.iter().take(48).position(|&byte| byte == b']')?;
    let colon = inner[..close].iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')?;
    let level = inner[colon..close].strip_prefix(b":")?;
    let (word, number) = level.split_at(words::letters(level));
    words::severity(word).filter(|_| number.iter().all(u8::is_ascii_digit))
}

/// MySQL's words in brackets.
pub fn mysql(word: &[u8]) -> Option<Severity> {
    matches!(word, b"Note" | b"System").then_some(Severity::Info)
}

/// PHP's `Fatal error:`, `Warning:` and so on, after its name.
fn php(message: &[u8]) -> Option<Severity> {
    let colon = message.iter().take(32).position(|&byte| byte == b':')?;
    match &message[..colon] {
        b"Fatal error" | b"Parse error" | b"Recoverable fatal error" | b"Core error" | b"Compile error" => {
            Some(Severity::Error)
        }
        b"Warning" | b"Deprecated" | b"Core Warning" | b"User Warning" => Some(Severity::Warn),
        b"Notice" | b"Strict Standards" => Some(Severity::Notice),
        _ => None,
    }
}

/// The level of PostgreSQL's CSV log, which stands in a column of its own behind the time.
pub fn quoted_columns(rest: &[u8]) -> Option<Severity> {
    let mut rest = rest;
    for _ in 0..16 {
        rest = match rest {
            [b'"', inner @ ..] => &inner[memchr::memchr(b'"', inner)? + 1..],
            _ => &rest[memchr::memchr(b',', rest)?..],
        };
        rest = rest.strip_prefix(b",")?;
        let word = &rest[..words::letters(rest)];
        if word.len() >= 3 && word.iter().all(u8::is_ascii_uppercase) && rest.get(word.len()) == Some(&b',') {
            return words::severity(word).or((word == b"LOG").then_some(Severity::Info));
        }
    }
    None
}

/// Whether the word that `bytes` begin with names a database, as PostgreSQL's prefix does.
pub fn names_database(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b' ').next().is_some_and(|word| word.windows(4).any(|part| part == b",db="))
}
