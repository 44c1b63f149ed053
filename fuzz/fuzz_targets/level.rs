//! Any word as a level, in a record and in a request: its case means nothing, where one is known to both it means the same,
//! and of ranges and records those that are named are selected and no others.
//!
//! The input is a word; what stands behind its first tab is another one, with which it makes a range.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logtap::{
    entry::{LevelRange, Severity},
    filter::{Filter, Spec},
    parse::{self, Context, Rules},
};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

const SEVERITIES: [Severity; 10] = [
    Severity::Unspecified,
    Severity::Trace,
    Severity::Debug,
    Severity::Info,
    Severity::Notice,
    Severity::Warn,
    Severity::Error,
    Severity::Critical,
    Severity::Alert,
    Severity::Fatal,
];

fuzz_target!(|text: &str| {
    let (word, other) = text.split_once('\t').unwrap_or((text, ""));
    check_request(word);
    check_range(word, other);
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        check_record(word);
    }
});

/// A word of a record is read alike in every case and in every place where nothing but a level stands.
fn check_record(word: &str) {
    let read = |record: String| parse::parse(&RULES, &Context::default(), record.as_bytes()).severity;
    let forms =
        |word: &str| [format!("level={word} msg=x"), format!("{{\"level\":\"{word}\",\"msg\":\"x\"}}")].map(read);
    let [pair, json] = forms(word);
    assert_eq!(pair, json, "{word} as a pair and as a member");
    assert_eq!(forms(&word.to_ascii_uppercase()), [pair, json], "{word} in capitals");
    assert_eq!(forms(&word.to_ascii_lowercase()), [pair, json], "{word} in small letters");
    if let Ok(LevelRange::Between(low, Severity::Fatal)) = LevelRange::parse(word) {
        assert_eq!(pair, low, "{word} in a record and in a request");
    }
}

/// A level of a request means the same in every case, and everything from it on.
fn check_request(word: &str) {
    let range = LevelRange::parse(word);
    assert_eq!(range.is_ok(), LevelRange::parse(&word.to_ascii_uppercase()).is_ok());
    let Ok(range) = range else {
        return assert!(Filter::new(&Spec { level: word.into(), ..Spec::default() }).is_err());
    };
    assert_eq!(Ok(range), LevelRange::parse(&word.to_ascii_uppercase()));
    let filter = Filter::new(&Spec { level: word.into(), ..Spec::default() }).expect("a level");
    for severity in SEVERITIES {
        assert_eq!(filter.matches(b"x", || severity), range.contains(severity));
    }
    let LevelRange::Between(low, high) = range else { return };
    assert!(low <= high && low > Severity::Unspecified);
    let selected = SEVERITIES.iter().filter(|severity| range.contains(**severity));
    assert!(selected.eq(SEVERITIES.iter().filter(|severity| (low..=high).contains(*severity))));
}

/// A range of two levels is there when both are and do not stand backwards.
fn check_range(low: &str, high: &str) {
    let one = |word: &str| match LevelRange::parse(word).ok().filter(|_| !word.contains("..")) {
        Some(LevelRange::Between(low, Severity::Fatal)) => Some(low),
        _ => None,
    };
    let (Some(first), Some(last)) = (one(low), one(high)) else { return };
    let Ok(range) = LevelRange::parse(&format!("{low}..{high}")) else { return assert!(last < first) };
    assert!(first <= last);
    assert_eq!(range, LevelRange::Between(first, last));
}
