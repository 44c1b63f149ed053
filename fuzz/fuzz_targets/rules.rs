//! Any text as the patterns and the zone of a configuration: refused with a message, or compiled and then usable.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logtap::parse::{self, Context, Format, Multiline, Rules, RulesSpec};

fuzz_target!(|input: &str| {
    let mut parts = input.splitn(4, '\n');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (pattern, start, timezone, line) = (part(), part(), part(), part());
    let spec = RulesSpec {
        format: Format::Regex,
        pattern: Some(pattern),
        timezone,
        multiline: Multiline::Start(start),
        labels: Vec::new(),
    };
    match Rules::new(&spec) {
        Ok(rules) => {
            let context = Context::default();
            parse::parse(&rules, &context, line.as_bytes());
            parse::fields(&rules, &context, line.as_bytes(), &mut |_, _| {});
            rules.starts_record(line.as_bytes());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
