//! The configured pattern of `format = "regex"`.

use regex::bytes::Regex;

use super::{
    auto::{Kind, Reading},
    json,
    time::{self, Frame},
};

/// What the groups `level` and `time` of `pattern` state in `record`; a record that does not match states nothing.
pub fn read(pattern: Option<&Regex>, record: &[u8], frame: &Frame<'_>) -> Reading {
    let Some(groups) = pattern.and_then(|pattern| pattern.captures(record)) else { return Reading::default() };
    let group = |name| groups.name(name).map(|group| group.as_bytes().trim_ascii());
    let severity = group("level").and_then(|text| json::severity_of(b"level", text));
    Reading { kind: Kind::Regex, severity, time: group("time").and_then(|text| time::value(text, frame)) }
}

/// Hands every named group of `pattern` but `time` and `level`, which have a place of their own, to `each`.
pub fn fields(pattern: &Regex, record: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let Some(groups) = pattern.captures(record) else { return };
    for name in pattern.capture_names().flatten() {
        if !matches!(name, "time" | "level")
            && let Some(group) = groups.name(name)
        {
            each(name.as_bytes(), group.as_bytes());
        }
    }
}
