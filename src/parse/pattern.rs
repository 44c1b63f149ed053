//! The configured pattern of `format = "regex"`.

use regex::bytes::Regex;

use super::{
    json,
    time::{self, Zone},
};
use crate::entry::{Nanos, Severity};

/// What the groups `level` and `time` of `pattern` state in `record`.
pub fn read(pattern: &Regex, record: &[u8], zone: &Zone) -> (Option<Severity>, Option<Nanos>) {
    let Some(groups) = pattern.captures(record) else { return (None, None) };
    let group = |name| groups.name(name).map(|group| group.as_bytes().trim_ascii());
    let severity = group("level").and_then(|text| json::severity_of(b"level", text));
    (severity, group("time").and_then(|text| time::value(text, zone)))
}

/// Hands every named group of `pattern` but `time` and `level`, which have a place of their own, to `each`.
pub fn fields(pattern: &Regex, record: &[u8], each: &mut dyn FnMut(&str, &[u8])) {
    let Some(groups) = pattern.captures(record) else { return };
    for name in pattern.capture_names().flatten() {
        if !matches!(name, "time" | "level")
            && let Some(group) = groups.name(name)
        {
            each(name, group.as_bytes());
        }
    }
}
