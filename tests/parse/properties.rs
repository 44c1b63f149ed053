//! What holds for every line, whatever its bytes.

use std::sync::LazyLock;

use logtap::{
    entry::{Nanos, Severity},
    filter::{Filter, Spec},
    parse::{self, Context, Format, Multiline, Rules, RulesSpec},
};
use proptest::{prelude::*, sample};

/// Every line of the tables, as something to mutate.
static LINES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| super::tables().iter().flat_map(|path| super::cases(path)).map(|(_, case)| case.line).collect());

/// Rules of every format, in a zone with offsets that change.
static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    let spec = |format: Format| RulesSpec {
        format,
        pattern: (format == Format::Regex).then(|| r"^(?<time>\S+) (?<level>\S+) (?<rest>.*)".to_owned()),
        timezone: "America/New_York".into(),
        multiline: Multiline::Start("^[0-9]".into()),
        labels: Vec::new(),
    };
    Format::NAMES.iter().map(|&(_, format)| Rules::new(&spec(format)).expect("good rules")).collect()
});

/// `auto`, where times that name no zone are UTC.
static AUTO: LazyLock<Rules> =
    LazyLock::new(|| Rules::new(&RulesSpec { timezone: "UTC".into(), ..RulesSpec::default() }).expect("good rules"));

/// A filter for errors and worse.
static ERRORS: LazyLock<Filter> =
    LazyLock::new(|| Filter::new(&Spec { level: "error".into(), ..Spec::default() }).expect("a level"));

/// Whether a search for errors comes upon a record, alone and between others.
fn is_searched_for(rules: &Rules, record: &[u8]) -> bool {
    let Some(prefilter) = ERRORS.prefilter(rules) else { return true };
    let among = [b"nothing here\n", record, b"\r\nnor here, where it is quiet\n"].concat();
    let (from, to) = (13, 13 + record.len());
    prefilter.find(record, 0..record.len()).is_some() && prefilter.find(&among, from..to).is_some()
}

/// Asks everything that can be asked about a record.
fn ask_everything(head: &[u8], record: &[u8]) {
    for rules in &*RULES {
        for latest in [Nanos(i64::MIN), Nanos(0), Nanos(1_795_255_200_000_000_000), Nanos(i64::MAX)] {
            let context = Context::new(rules, head, latest);
            let parsed = parse::parse(rules, &context, record);
            assert!(parsed.time.is_none_or(|time| time.0 > 0), "a time is after the epoch");
            assert!(parsed.severity < Severity::Error || is_searched_for(rules, record), "{}", record.escape_ascii());
            assert_eq!(parsed, parse::parse(rules, &context.clone(), record), "asked again, the same answer");
            parse::recognise(rules, &context, record);
            parse::message(rules, &context, record);
            parse::fields(rules, &context, record, &mut |key, _| assert!(!key.is_empty()));
        }
        let (before, line) = record.split_at(record.len() / 2);
        rules.continues(before, line);
        rules.starts_record(record);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_an_answer(record in prop::collection::vec(any::<u8>(), 0..200), head in prop::collection::vec(any::<u8>(), 0..64)) {
        ask_everything(&head, &record);
    }

    #[test]
    fn any_text_of_marks_and_words_has_an_answer(
        tokens in prop::collection::vec(sample::select(vec![
            "2026-11-20", "T10:00:00", " 10:00:00", ".5", "Z", "+01:00", " -03 [", "ERROR", "info", "[", "]", "(", ")", "<", ">", "{", "}",
            "\"", "\\", ":", "=", " ", "  ", "-", " - ", "|", ",", "\n", "\t", "\x1b[", "\x1b]", "Nov ", "Fri ", "1795168800", "20/Nov/2026:",
            "{\"log\":\"", "stdout F ", "<13>", "<13>1 ", "I1120 ", "level=", "\"level\":", "\"t\":{", "app[1]: ", "#Fields: ", "time", "é", "文",
        ]), 0..24),
        head in sample::select(vec!["", "#Fields: date time sc-status\n", "#Fields: time\n#Date: 2026-11-20 00:00\n", "20/11/2026\n"]),
    ) {
        ask_everything(head.as_bytes(), tokens.concat().as_bytes());
    }

    #[test]
    fn real_lines_that_were_damaged_have_an_answer(
        line in sample::select(&LINES[..]), other in sample::select(&LINES[..]), cut in any::<sample::Index>(), at in any::<sample::Index>(), byte in any::<u8>(),
    ) {
        let mut damaged = line[..cut.index(line.len() + 1)].to_vec();
        damaged.extend_from_slice(&other[at.index(other.len() + 1)..]);
        if !damaged.is_empty() {
            let place = at.index(damaged.len());
            damaged[place] = byte;
        }
        ask_everything(b"", &damaged);
    }

    #[test]
    fn every_moment_is_read_back_in_every_layout(
        second in 0i64..4_000_000_000, nanos in 0u32..1_000_000_000, hours in -12i64..15,
        layout in sample::select(vec![
            "%Y-%m-%dT%H:%M:%S%.9f%:z", "%Y-%m-%d %H:%M:%S,%9f %z", "%Y/%m/%d %H:%M:%S%.9f%z", "%a %b %d %H:%M:%S%.9f %Y %z",
            "%d/%b/%Y:%H:%M:%S%.9f %z", "%a, %d %b %Y %H:%M:%S%.9f %z", "%b %d %Y %H:%M:%S%.9f%:z", "[%d-%b-%Y %H:%M:%S%.9f %z]",
        ]),
    ) {
        let moment = jiff::Timestamp::new(second + 1, nanos as i32).expect("in range");
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_hours(hours as i8).expect("an offset"));
        let line = format!("{} INFO x", moment.to_zoned_datetime(zone).strftime(layout));
        let rules = &*AUTO;
        let parsed = parse::parse(rules, &Context::default(), line.as_bytes());
        prop_assert_eq!(parsed.time.map(|time| i128::from(time.0)), Some(moment.as_nanosecond()), "{}", line);
    }

    #[test]
    fn a_missing_year_never_leads_past_the_latest_moment(
        second in 100_000_000i64..4_000_000_000, day in 0i64..365, zone in sample::select(vec!["UTC", "Asia/Tokyo", "America/Los_Angeles", "+14:00"]),
    ) {
        let rules = Rules::new(&RulesSpec { timezone: zone.into(), ..RulesSpec::default() }).expect("good rules");
        let latest = Nanos(second * 1_000_000_000);
        let context = Context::new(&rules, b"", latest);
        let shown = jiff::Timestamp::from_second(second - day * 86_400).expect("in range");
        let line = format!("{} host app: x", shown.strftime("%b %d %H:%M:%S"));
        let time = parse::parse(&rules, &context, line.as_bytes()).time.expect("some year fits");
        prop_assert!(time <= latest, "{} {:?}", line, time);
        let leap = i64::from(line.starts_with("Feb 29")) * 8 + 1;
        prop_assert!(time.0 > latest.0 - leap * 367 * 86_400_000_000_000, "{line} {time:?}");
    }

    #[test]
    fn a_split_line_is_put_together_again(parts in prop::collection::vec("[a-z ]{0,20}", 1..6)) {
        let last = parts.len() - 1;
        let lines: Vec<String> = (0..).zip(&parts).map(|(index, part)| {
            let tag = if index == last { "F" } else { "P" };
            format!("2026-11-20T10:00:00.{index:09}Z stdout {tag} {part}")
        }).collect();
        let rules = &*AUTO;
        for pair in lines.windows(2) {
            prop_assert!(rules.continues(pair[0].as_bytes(), pair[1].as_bytes()));
        }
        prop_assert!(!rules.continues(lines[last].as_bytes(), lines[0].as_bytes()));
        let record = lines.join("\n");
        let whole = parts.concat();
        prop_assert_eq!(&*parse::message(rules, &Context::default(), record.as_bytes()), whole.as_bytes());
    }

    #[test]
    fn a_head_without_header_or_dates_changes_nothing(line in sample::select(&LINES[..]), head in "[a-z \n]{0,200}") {
        let rules = &*AUTO;
        let latest = Nanos(1_795_255_200_000_000_000);
        let without = parse::parse(rules, &Context::new(rules, b"", latest), &line);
        prop_assert_eq!(parse::parse(rules, &Context::new(rules, head.as_bytes(), latest), &line), without);
    }
}
