//! Parts of a line of free text that are passed over, or looked at ahead: brackets, escape sequences, the next word.

use super::{
    text::ESCAPE,
    wide,
    words::{self, letters},
};

/// Whether two plain words follow the time or the name of a program, so that there is no more to learn. Most lines
/// without a level go on so; going from token to token comes to the same.
#[inline]
pub fn is_prose(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    if !matches!(rest, [b'A'..=b'Z' | b'a'..=b'z', b'a'..=b'z', ..]) {
        return false;
    }
    let capital = usize::from(rest[0].is_ascii_uppercase());
    let first = capital + wide::small_letters(&rest[capital..]);
    let [b' ', second @ ..] = &rest[first..] else { return false };
    let len = wide::small_letters(second);
    let ends = matches!(second[len..], [] | [b' '] | [b' ', b'!'..=b'~', ..]);
    first > 1 && len > 0 && ends && words::severity(&rest[..first]).is_none()
}

/// Whether the next word is a program with its process, `app[12]:`.
pub fn next_is_tag(bytes: &[u8]) -> bool {
    let rest = bytes.trim_ascii_start();
    let word = &rest[..memchr::memchr(b' ', rest).unwrap_or(rest.len())];
    word.ends_with(b"]:")
}

/// Whether a level in brackets and a colon follow, as in Puppet's `Puppet (err): `.
pub fn next_is_level(bytes: &[u8]) -> bool {
    let Some(inner) = bytes.strip_prefix(b" (") else { return false };
    let len = letters(inner);
    inner[len..].starts_with(b"): ") && words::severity(&inner[..len]).is_some()
}

/// The length of the bracket that begins `bytes`, brackets of its own kind in it included; none when it stays open.
pub fn bracket_len(bytes: &[u8]) -> Option<usize> {
    let (open, close) = match bytes.first()? {
        b'[' => (b'[', b']'),
        b'(' => (b'(', b')'),
        _ => (b'<', b'>'),
    };
    let marks = |word| wide::is(word, open) | wide::is(word, close);
    let mut depth = 1usize;
    let mut at = 1;
    while depth > 0 {
        at += wide::position(&bytes[at..], marks, |byte| byte == open || byte == close)? + 1;
        if bytes[at - 1] == open {
            depth += 1;
        } else {
            depth -= 1;
        }
    }
    Some(at)
}

/// The length of the escape sequence that `bytes` are after its ESC; one that never ends takes all.
pub fn sequence_len(bytes: &[u8]) -> usize {
    let last = match bytes {
        [b'[', rest @ ..] => rest.iter().position(|byte| (0x40..=0x7e).contains(byte)),
        [b']', rest @ ..] => rest.iter().position(|&byte| byte == 0x07 || byte == ESCAPE),
        [] => return 0,
        [_, ..] => return 1,
    };
    last.map_or(bytes.len(), |last| last + 2)
}
