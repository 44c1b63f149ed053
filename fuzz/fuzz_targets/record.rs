//! Any bytes as a record, read by every format: nothing panics, asked again everything answers alike, and a search for
//! errors misses none.
//!
//! The input is a head of the file up to the first `0xff`, if there is one, and then the record.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logtap::{
    entry::{Nanos, Severity},
    filter::{Filter, Spec},
    parse::{self, Context, Format, Rules, RulesSpec},
};

static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let spec = |format: Format| RulesSpec {
        format,
        pattern: (format == Format::Regex).then(|| r"^(?<time>\S+) (?<level>\S+) (?<rest>.*)".to_owned()),
        timezone: "Europe/Berlin".into(),
        ..RulesSpec::default()
    };
    Format::NAMES.iter().map(|&(_, format)| Rules::new(&spec(format)).expect("the rules are good")).collect()
});

static ERRORS: LazyLock<Filter> =
    LazyLock::new(|| Filter::new(&Spec { level: "error".into(), ..Spec::default() }).expect("a level"));

fuzz_target!(|input: &[u8]| {
    let (head, record) = match input.iter().position(|&byte| byte == 0xff) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (&input[..0], input),
    };
    for rules in &*RULES {
        let context = Context::new(rules, head, Nanos(1_795_255_200_000_000_000));
        let parsed = parse::parse(rules, &context, record);
        assert!(parsed.time.is_none_or(|time| time.0 > 0));
        if let Some(prefilter) = ERRORS.prefilter(rules).filter(|_| parsed.severity >= Severity::Error) {
            assert!(prefilter.find(record, 0..record.len()).is_some(), "a search for errors finds each");
        }
        assert_eq!(parsed, parse::parse(rules, &context.clone(), record));
        parse::recognise(rules, &context, record);
        let message = parse::message(rules, &context, record);
        assert!(message.len() <= record.len(), "a message is never longer than what holds it");
        parse::fields(rules, &context, record, &mut |key, _| assert!(!key.is_empty()));
    }
});
