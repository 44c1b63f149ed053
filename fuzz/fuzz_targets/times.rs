//! Any text as a time: a moment that an entry can carry or none, and where the year is unsaid none after the latest one.
//!
//! The text is asked for by a pattern, so that it reaches the readers of times whatever it looks like, and then as the
//! beginning of a line.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logtap::{
    entry::Nanos,
    parse::{self, Context, Format, Rules, RulesSpec},
};

const LATEST: [Nanos; 4] = [Nanos(i64::MIN), Nanos(0), Nanos(1_795_255_200_000_000_000), Nanos(i64::MAX)];

static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let rules = |format: Format, zone: &str| {
        let pattern = (format == Format::Regex).then(|| r"(?s-u)^(?<time>.*)$".to_owned());
        Rules::new(&RulesSpec { format, pattern, timezone: zone.into(), ..RulesSpec::default() }).expect("good rules")
    };
    let formats = [Format::Regex, Format::Auto];
    formats.iter().flat_map(|&format| ["UTC", "Europe/Berlin", "-12:00"].map(|zone| rules(format, zone))).collect()
});

fuzz_target!(|text: &[u8]| {
    for rules in &*RULES {
        let mut absolute = true;
        let mut first = None;
        for (index, latest) in LATEST.into_iter().enumerate() {
            let found = parse::parse(rules, &Context::new(rules, b"", latest), text).time;
            assert!(found.is_none_or(|moment| moment.0 > 0), "{found:?}");
            if index == 0 {
                first = found;
            }
            absolute &= found == first;
            assert!(absolute || found.is_none_or(|moment| moment <= latest), "{found:?} is after {latest:?}");
        }
    }
});
