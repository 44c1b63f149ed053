//! Ways of stating a severity that one program has and no other.

use super::{time::epoch, wide, words};
use crate::entry::{Nanos, Severity};

/// What begins a terminal's escape sequence.
const ESCAPE: u8 = 0x1b;

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
#[inline]
pub fn level(place: Place, word: &[u8], after: &[u8]) -> Option<Severity> {
    // No longer word is among them.
    if word.len() > 5 { None } else { short_level(place, word, after) }
}

fn short_level(place: Place, word: &[u8], after: &[u8]) -> Option<Severity> {
    match (word, after) {
        // PostgreSQL's own lines, and its `DEBUG1:` to `DEBUG5:`.
        (b"LOG", [b':', b' ', ..]) => Some(Severity::Info),
        // PgBouncer's and NestJS's.
        (b"LOG", [b' ', ..]) if place == Place::BehindTime => Some(Severity::Info),
        (b"DEBUG", [b'1'..=b'9', b':' | b' ', ..]) => Some(Severity::Debug),
        // OpenSSH's `debug1: `.
        (b"debug", [b'1'..=b'3', b':', b' ', ..]) => Some(Severity::Debug),
        // ASP.NET's console, whose lines may begin with a time.
        (b"fail", _) if place != Place::Elsewhere && is_label(after) => Some(Severity::Error),
        (b"trce", _) if place != Place::Elsewhere && is_label(after) => Some(Severity::Trace),
        // Go's runtime.
        (b"fatal", _) if place == Place::Beginning && after.starts_with(b" error: ") => Some(Severity::Fatal),
        (b"PHP", [b' ', message @ ..]) => php(message),
        // DB2's `LEVEL: Error`.
        (b"LEVEL", [b':', b' ', level @ ..]) => words::severity(&level[..words::letters(level)]),
        // logrus writes the first four letters, and the seconds since its start in brackets.
        ([_, _, _, _], [ESCAPE, ..] | [b'[', b'0'..=b'9', ..]) => first_four(word),
        ([letter @ (b'D' | b'I' | b'W' | b'E' | b'F' | b'N' | b'C' | b'T')], _) if place == Place::BehindTime => {
            words::letter_of(*letter).filter(|_| follows_letter(after))
        }
        ([letter @ (b'I' | b'W' | b'E' | b'F' | b'A' | b'C' | b'D')], [b' ', id @ ..]) => websphere(*letter, id),
        _ => None,
    }
}

/// Whether `after` stands behind a level's letter: MongoDB's `I NETWORK`, `I  -`, `D1 STORAGE`, etcd's `W |`, Gluster's
/// `E [file.c:12]`, Telegraf's `I! `.
fn follows_letter(after: &[u8]) -> bool {
    matches!(
        after,
        [b' ', b'|' | b'-', b' ', ..]
            | [b' ', b' ', b'-', b' ', ..]
            | [b' ', b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z', ..]
            | [b' ', b'[', b'A'..=b'Z' | b'a'..=b'z', ..]
            | [b'1'..=b'5', b' ', ..]
            | [b'!', b' ', ..]
    )
}

/// Whether a colon and a space stand behind a word, and nothing before them but changes of colour.
fn is_label(after: &[u8]) -> bool {
    let mut rest = after;
    // Text and background are set back one after the other, and so is boldness.
    for _ in 0..4 {
        let [ESCAPE, b'[', sequence @ ..] = rest else { break };
        let Some(end) = sequence.iter().take(16).position(|&byte| byte == b'm') else { return false };
        rest = &sequence[end + 1..];
    }
    rest.starts_with(b": ")
}

fn first_four(word: &[u8]) -> Option<Severity> {
    match word {
        b"ERRO" => Some(Severity::Error),
        b"FATA" | b"PANI" => Some(Severity::Fatal),
        b"DEBU" => Some(Severity::Debug),
        b"TRAC" => Some(Severity::Trace),
        _ => None,
    }
}

/// WebSphere's letter, which a message's number like `CWWKE0002I: ` follows; it audits what others inform of.
fn websphere(letter: u8, id: &[u8]) -> Option<Severity> {
    let len = words::letters(id);
    let digits = id.get(len..len + 4).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    match id.get(len + 4..) {
        Some([kind, b':', b' ', ..]) if digits && (4..=5).contains(&len) && kind.is_ascii_uppercase() => {
            if letter == b'A' { Some(Severity::Info) } else { words::letter_of(letter) }
        }
        Some(_) | None => None,
    }
}

/// The level at the end of a bracket, after the bracket's opening: Apache's `[core:error]`, `[:emerg]` and
/// `[core:trace3]`, and Minecraft's `[Server thread/INFO]`.
#[inline]
pub fn at_end_of_bracket(inner: &[u8]) -> Option<Severity> {
    let marks = |word| wide::is(word, b':') | wide::is(word, b'/') | wide::is(word, b']');
    let mark = wide::position(&inner[..inner.len().min(64)], marks, |byte| matches!(byte, b':' | b'/' | b']'))?;
    match inner[mark] {
        b':' => apache(&inner[..mark], &inner[mark + 1..]),
        b'/' => behind_slash(&inner[mark..]),
        _ => None,
    }
}

fn apache(module: &[u8], level: &[u8]) -> Option<Severity> {
    let (word, number) = level.split_at(words::letters(level));
    let end = number.iter().take(2).position(|byte| !byte.is_ascii_digit())?;
    let name = module.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    words::severity(word).filter(|_| name && number[end] == b']')
}

fn behind_slash(rest: &[u8]) -> Option<Severity> {
    let close = rest.iter().take(64).position(|&byte| byte == b']')?;
    let slash = rest[..close].iter().rposition(|&byte| byte == b'/')?;
    shouted(&rest[slash + 1..close])
}

/// The level in `:LEVEL:`, which certbot writes behind its time.
pub fn between_colons(bytes: &[u8]) -> Option<Severity> {
    let inner = bytes.strip_prefix(b":")?;
    let len = words::letters(inner);
    shouted(&inner[..len]).filter(|_| inner.get(len) == Some(&b':'))
}

/// The level that ends a name without its colon: Monolog's `channel.LEVEL`, and `10.0.0.1(5432):bob@app:[12]:LEVEL`,
/// which Amazon has PostgreSQL write.
pub fn end_of_name(name: &[u8]) -> Option<Severity> {
    let start = name.iter().rposition(|byte| matches!(byte, b'.' | b':')).map_or(0, |mark| mark + 1);
    match (&name[..start], &name[start..]) {
        ([.., b']', b':'], b"LOG") => Some(Severity::Info),
        (_, level) => shouted(level),
    }
}

/// The level behind Sidekiq's `pid=12 tid=1abc class=Job `.
pub fn behind_pairs(rest: &[u8]) -> Option<Severity> {
    if !rest.starts_with(b"pid=") {
        return None;
    }
    let word = rest.split(|&byte| byte == b' ').take(12).find(|word| !word.contains(&b'='))?;
    shouted(word.strip_suffix(b":")?)
}

/// The severity of a word in capital letters.
fn shouted(word: &[u8]) -> Option<Severity> {
    words::severity(word).filter(|_| word.iter().all(u8::is_ascii_uppercase))
}

/// The seconds or milliseconds since the epoch that fill a bracket, and its length, after its opening.
pub fn epoch_in_bracket(inner: &[u8]) -> Option<(Nanos, usize)> {
    let close = inner.iter().take(20).position(|&byte| byte == b']')?;
    if !matches!(close, 10 | 13) {
        return None;
    }
    Some((epoch::read(&inner[..close])?, close))
}

/// MySQL's words in brackets, and WebSphere's.
pub fn in_bracket(word: &[u8]) -> Option<Severity> {
    matches!(word, b"Note" | b"System" | b"AUDIT").then_some(Severity::Info)
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
