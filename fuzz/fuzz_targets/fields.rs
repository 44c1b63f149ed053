//! The fields of any record, by every format: labels first, no more than are allowed, no more bytes than the record has.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logtap::{
    entry::Nanos,
    limits::FIELD_COUNT_MAX,
    parse::{self, Context, Format, Rules, RulesSpec},
};

static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let spec = |format: Format| RulesSpec {
        format,
        pattern: (format == Format::Regex).then(|| r"(?-u)(?<key>\w+)=(?<value>\S*)".to_owned()),
        timezone: "UTC".into(),
        labels: vec![("team".into(), "payments".into())],
        ..RulesSpec::default()
    };
    Format::NAMES.iter().map(|&(_, format)| Rules::new(&spec(format)).expect("good rules")).collect()
});

const HEADS: [&[u8]; 2] = [b"", b"#Fields: date time cs-method sc-status\n"];

fuzz_target!(|record: &[u8]| {
    for rules in &*RULES {
        for head in HEADS {
            let context = Context::new(rules, head, Nanos(1_795_255_200_000_000_000));
            let (mut count, mut bytes) = (0, 0);
            parse::fields(rules, &context, record, &mut |key, value| {
                assert!(!key.is_empty());
                assert!(count > 0 || (key, value) == ("team", "payments"));
                count += 1;
                bytes += value.len();
            });
            assert!((1..=FIELD_COUNT_MAX).contains(&count), "{count} fields");
            // A byte that is no text becomes three.
            assert!(bytes <= 3 * record.len() + 64, "{bytes} bytes of fields");
        }
    }
});
