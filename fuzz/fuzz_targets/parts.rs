//! Any two lines: whether the second continues the first is decided by them alone, and a line that continues another is
//! a container's.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logtap::parse::{self, Context, Rules};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return };
    let (before, line) = (&input[..end], &input[end + 1..]);
    if line.contains(&b'\n') {
        return;
    }
    let continues = RULES.continues(before, line);
    assert_eq!(continues, RULES.continues(before, line));
    if continues {
        let context = Context::default();
        let kind = parse::recognise(&RULES, &context, line);
        assert!(matches!(kind, Some("cri" | "docker")), "{kind:?}");
        let (first, second) = (parse::message(&RULES, &context, before), parse::message(&RULES, &context, line));
        assert_eq!(*parse::message(&RULES, &context, input), [&*first, &*second].concat());
    }
});
