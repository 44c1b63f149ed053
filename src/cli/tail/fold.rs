//! A line of JSON, folded for people: what it says first, then the rest, each value as it was written.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Keys whose value is what the line says, the usual first.
const MESSAGE_KEYS: [&str; 8] = ["message", "msg", "@message", "@m", "MESSAGE", "short_message", "event", "log"];
/// Keys whose value is the severity, which is shown anyway.
const LEVEL_KEYS: [&str; 10] =
    ["level", "severity", "lvl", "levelname", "log.level", "@level", "@l", "severity_text", "PRIORITY", "loglevel"];
/// Keys whose value is the time, which is shown anyway.
const TIME_KEYS: [&str; 9] = ["time", "timestamp", "ts", "@timestamp", "@t", "t", "datetime", "asctime", "Timestamp"];

/// What is shown beside a folded line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The severity of the line.
    pub severity: bool,
    /// The time of the line.
    pub time: bool,
}

/// A folded line.
#[derive(Debug)]
pub struct Folded<'a> {
    /// What it says, if anything does.
    pub message: Option<Cow<'a, str>>,
    /// Keys and values that are left, in the order of the line; a value that is a string without its quotes.
    pub rest: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Folds `line`; `None` when it is not one JSON object.
pub fn fold(line: &str, beside: Beside) -> Option<Folded<'_>> {
    if !line.trim_start().starts_with('{') {
        return None;
    }
    let Object(members) = serde_json::from_str(line).ok()?;
    let says = MESSAGE_KEYS.iter().find_map(|key| members.iter().position(|(k, v)| k == key && is_string(v)));
    let first = |keys: &[&str]| keys.iter().find_map(|key| members.iter().position(|(k, _)| k == key));
    let level = beside.severity.then(|| first(&LEVEL_KEYS)).flatten();
    let time = beside.time.then(|| first(&TIME_KEYS)).flatten();
    let mut folded = Folded { message: None, rest: Vec::with_capacity(members.len()) };
    for (number, (key, value)) in members.into_iter().enumerate() {
        if Some(number) == says {
            folded.message = Some(text(value));
        } else if Some(number) != level && Some(number) != time {
            folded.rest.push((key, text(value)));
        }
    }
    Some(folded)
}

/// The members of an object in order, values unread.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// What `value` is shown as.
fn text(value: &RawValue) -> Cow<'_, str> {
    if is_string(value)
        && let Ok(text) = serde_json::from_str::<String>(value.get())
    {
        return Cow::Owned(text);
    }
    Cow::Borrowed(value.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(line: &str, severity: bool, time: bool) -> Option<String> {
        let folded = fold(line, Beside { severity, time })?;
        let rest = folded.rest.iter().map(|(key, value)| format!(" {key}={value}"));
        Some(folded.message.as_deref().unwrap_or("-").to_owned() + &rest.collect::<String>())
    }

    #[test]
    fn a_line_is_folded_to_what_it_says_and_the_rest() {
        let line = r#"{"ts":"2026","level":"warn","msg":"low \"disk\"","n":1.50,"o":{"a": [1]},"s":"x y"}"#;
        assert_eq!(folded(line, true, true).as_deref(), Some(r#"low "disk" n=1.50 o={"a": [1]} s=x y"#));
        assert_eq!(
            folded(line, false, false).as_deref(),
            Some(r#"low "disk" ts=2026 level=warn n=1.50 o={"a": [1]} s=x y"#)
        );
        assert_eq!(folded(r#"{"a":1}"#, true, true).as_deref(), Some("- a=1"));
        assert_eq!(folded(r#"{"message":{"a":1},"msg":"b"}"#, true, true).as_deref(), Some(r#"b message={"a":1}"#));
        assert_eq!(folded("{}", true, true).as_deref(), Some("-"));
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for line in ["", "{", "[1]", "text", "{\"a\":1} trailing", "{'a':1}"] {
            assert_eq!(folded(line, true, true), None, "{line}");
        }
    }
}
