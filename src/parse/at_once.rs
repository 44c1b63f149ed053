//! Levels that stand right behind the time, where most formats have them.
//!
//! Reading the line token by token finds them too; looking where they are mostly takes a third of the time.

use super::{
    idioms::{self, Place},
    wide, words,
};
use crate::entry::Severity;

/// Bytes that the name between dashes may have.
const NAME_BYTES: usize = 64;

/// The level word that stands between spaces right behind a time, as most do; going from token to token finds it too.
#[inline]
pub fn level_between_spaces(bytes: &[u8]) -> Option<Severity> {
    let [b' ', text @ ..] = bytes else { return None };
    let (severity, len) = words::first_of_eight(*text.first_chunk()?)?;
    let ends = text.get(len) == Some(&b' ');
    (ends && (text[1].is_ascii_uppercase() || !words::often_begins_prose(&text[..len]))).then_some(severity)
}

/// The level word in ` - NAME - LEVEL - ` behind a time, as programs in Python write it; going from token to token finds
/// it too.
#[inline]
pub fn level_between_dashes(bytes: &[u8]) -> Option<Severity> {
    let rest = bytes.strip_prefix(b" - ")?;
    let name = &rest[..wide::find(&rest[..rest.len().min(NAME_BYTES)], b' ')?];
    let (letters, level) = words::first(name);
    let plain = letters > 0
        && name.last()?.is_ascii_alphanumeric()
        && name[letters..].iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
    // The name may be a level itself.
    let (word, after) = rest.split_at(letters);
    if !plain || level.is_some() || idioms::level(Place::BehindTime, word, after).is_some() {
        return None;
    }
    let level = rest[name.len()..].strip_prefix(b" - ")?;
    let (len, severity) = words::first(level);
    severity.filter(|_| level[len..].starts_with(b" - "))
}
