//! Filters, searched over whole files at once, against the predicate asked of one record after the other.

use std::{collections::BTreeMap, sync::Arc};

use logtap::{
    entry::{Nanos, Offset, encode::Shape},
    feed::{
        Feed,
        around::Around,
        event::Event,
        open::{self, Request},
        subscription::{End, Piece},
    },
    file::{Cell, cell::Plan},
    filter::{Filter, Spec},
    limits::CONTEXT_BYTES,
    parse::{self, Format, Multiline, Rules, RulesSpec},
    proto::v1::LogEntry,
    telemetry::ShapeLabel,
    watch::events::Hints,
};

use crate::support::{BEGIN, Logs, Next, Random, humantime, next, next_piece, rules, short, timed};

/// A line of one of many formats; rarely one that says what the filters below look for.
fn line(random: &mut Random, number: usize) -> Vec<u8> {
    let time = humantime(BEGIN + number as i64);
    let rare = random.below(700) == 0;
    let word = if rare { ["needle", "Needle x", "the needle"][random.below(3) as usize] } else { "hay" };
    let level = if random.below(300) == 0 { ["error", "ERROR", "E", "crit"][random.below(4) as usize] } else { "info" };
    let padding = "p".repeat(random.below(200) as usize);
    let status = if random.below(400) == 0 { 503 } else { 200 };
    let text = match random.below(14) {
        0 => format!(r#"{{"time":"{time}","level":"{level}","msg":"{word} {number}"}}"#),
        1 => format!(r#"{{"time":"{time}","level":{},"msg":"{word}"}}"#, if rare { 50 } else { 30 }),
        2 => format!("time={time} level={level} msg=\"{word} {number}\" user=u{}", number % 50),
        3 => format!("<{}>Jan  1 00:00:00 host app[7]: {word} {number}", if rare { 11 } else { 30 }),
        4 => format!("{time} stdout {} {level}: {word} {padding}", if random.below(3) == 0 { "P" } else { "F" }),
        5 => format!(r#"{{"log":"{word} {number}\n","stream":"stderr","time":"{time}"}}"#),
        6 => format!("{}0101 00:00:00.000000 1 main.go:7] {word}", if rare { 'E' } else { 'I' }),
        7 => format!(r#"10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /{word} HTTP/1.1" {status} 12"#),
        8 => format!("{time} [{}] {word} {number} {padding}", level.to_uppercase()),
        9 => format!("    at {word}.{number}\r"),
        10 => String::new(),
        11 if rare => format!("{} {word}", "long ".repeat(30_000)),
        _ => format!("{time} {level} {word} {number} {padding}"),
    };
    let mut bytes = text.into_bytes();
    if random.below(900) == 0 {
        bytes.splice(0..0, vec![0; 5000]);
    }
    if random.below(50) == 0 {
        bytes.extend_from_slice(b"\xff\xfe");
    }
    bytes
}

fn file(random: &mut Random, lines: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..lines {
        bytes.extend(line(random, number));
        bytes.push(b'\n');
    }
    bytes
}

fn specs() -> Vec<Spec> {
    let of = |level: &str, include: &[&str], exclude: &[&str], fields: &[(&str, &str)]| Spec {
        level: level.to_owned(),
        include: include.iter().map(ToString::to_string).collect(),
        exclude: exclude.iter().map(ToString::to_string).collect(),
        fields: fields.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect::<BTreeMap<_, _>>(),
    };
    vec![
        of("", &["needle"], &[], &[]),
        of("", &["(?i)NEEDLE"], &[], &[]),
        of("", &["needle$"], &[], &[]),
        of("", &["^E0101"], &[], &[]),
        of("", &["^    at needle.*[0-9]$"], &[], &[]),
        of("", &[r"\bneedle\b"], &["the"], &[]),
        of("", &["needle", "[0-9]+$"], &[], &[]),
        of("", &["x*"], &["hay|info"], &[]),
        of("", &["a.*needle|E0101"], &[], &[]),
        of("", &[r"\s503\s"], &[], &[]),
        of("", &["(?s)P.*F.*needle"], &[], &[]),
        of("", &["[^a-z]needle"], &[], &[]),
        of("", &["found nowhere at all"], &[], &[]),
        of("error", &[], &[], &[]),
        of("err..err", &["needle"], &[], &[]),
        of("", &[], &[], &[("user", "u7")]),
        of("", &["needle"], &[], &[("level", "info")]),
    ]
}

/// The messages of the records that a filter selects, by asking it of each.
fn asked(bytes: &[u8], rules: &Arc<Rules>, line_max: usize, filter: &Filter) -> Vec<String> {
    let head = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) as u64;
    let beginning: Arc<[u8]> = bytes[..bytes.len().min(CONTEXT_BYTES)].into();
    let mut plan = Plan {
        start: Offset::ZERO,
        head: Offset(head),
        beginning,
        rules,
        line_max,
        mtime: Nanos(BEGIN * 1_000_000_000),
    };
    let mut found = Vec::new();
    while plan.start < plan.head {
        let cell = Cell::read(bytes, &plan).expect("memory never fails");
        for (index, record) in cell.records().iter().enumerate() {
            let record = cell.bytes_of(record);
            let mut fields = Vec::new();
            cell.with_context(index, |context| {
                parse::fields(rules, context, record, &mut |key, value| {
                    fields.push((key.to_owned(), value.to_owned()))
                });
                if filter.matches(record, || cell.severity(index)) && filter.matches_fields(&fields) {
                    found.push(String::from_utf8_lossy(&parse::message(rules, context, record)).into_owned());
                }
            });
        }
        plan.start = cell.end();
    }
    found
}

#[tokio::test]
async fn searching_finds_what_asking_every_record_finds() {
    let with = |spec: RulesSpec| RulesSpec { timezone: "UTC".to_owned(), ..spec };
    let auto = RulesSpec::default();
    for (seed, spec, line_max) in [
        (1, with(auto.clone()), 1 << 20),
        (2, with(RulesSpec { format: Format::Raw, ..auto.clone() }), 1 << 20),
        (3, with(RulesSpec { multiline: Multiline::Indent, ..auto.clone() }), 1 << 20),
        (4, with(RulesSpec { multiline: Multiline::Start(r"^\d{4}-".to_owned()), ..auto.clone() }), 1 << 20),
        (5, with(auto), 100),
    ] {
        let mut random = Random(seed);
        let bytes = file(&mut random, 2_500);
        let rules = rules(&spec);
        let logs = Logs::of_bytes([0, 64 << 20][seed as usize % 2], rules.clone(), line_max, &[("a.log", &bytes)]);
        for spec in specs() {
            let filter = Filter::new(&spec).expect("a filter");
            let expected = asked(&bytes, &rules, line_max, &filter);
            println!("seed {seed}, {} of {spec:?}", expected.len());
            let request = |filter: &Filter| Request { filter: filter.clone(), ..crate::support::request(None, None) };
            assert_eq!(short(&logs.get(request(&filter)).await), short(&expected));
            let tail = Request { tail: Some(3), ..request(&filter) };
            assert_eq!(short(&logs.get(tail).await), short(&expected[expected.len().saturating_sub(3)..]));
            let around = Request { around: Around { before: 2, after: 1 }, ..request(&filter) };
            let with_context = logs.get(around).await;
            assert!(expected.iter().all(|message| with_context.contains(message)));
        }
    }
}

/// All entries that a request brings.
async fn entries(feed: &Arc<Feed>, request: Request) -> Vec<LogEntry> {
    let mut subscription = open::open(feed, request).await.expect("opened").0;
    let mut all = Vec::new();
    loop {
        match next(&mut subscription).await {
            Next::Entries(entries) => all.extend(entries),
            Next::CaughtUp => {}
            Next::End(end) => {
                assert_eq!(end, End::Done);
                return all;
            }
        }
    }
}

#[tokio::test]
async fn entries_that_a_search_gathers_are_those_that_cells_give() {
    for (seed, line_max) in [(11, 1 << 20), (12, 300), (13, 1 << 20)] {
        let mut random = Random(seed);
        let bytes = file(&mut random, 12_000);
        let spec = RulesSpec { timezone: "UTC".to_owned(), ..RulesSpec::default() };
        let logs = Logs::of_bytes(64 << 20, rules(&spec), line_max, &[("a.log", &bytes)]);
        let hints = Hints::new(logs.feed.telemetry.clone());
        // Without a cache nothing is gathered.
        let plain = Feed::new(logs.catalogue.clone(), hints, logs.feed.telemetry.clone(), 0);
        for spec in specs() {
            let filter = Filter::new(&spec).expect("a filter");
            let shape = Shape::V1 { fields: random.below(2) == 0 };
            let request = Request { filter, shape, ..crate::support::request(None, None) };
            let (gathered, given) =
                (entries(&logs.feed, request.clone()).await, entries(&plain, request.clone()).await);
            assert_eq!(gathered.len(), given.len(), "seed {seed}, {spec:?}");
            for (gathered, given) in gathered.iter().zip(&given) {
                assert_eq!(gathered, given, "seed {seed}, {spec:?}");
            }
            assert_eq!(entries(&logs.feed, request.clone()).await, gathered, "what is kept is the same");
            let tail = entries(&logs.feed, Request { tail: Some(3), ..request.clone() }).await;
            assert_eq!(tail[..], gathered[gathered.len().saturating_sub(3)..], "seed {seed}, {spec:?}");
            let limit = 1 + random.below(5);
            let first = entries(&logs.feed, Request { limit: Some(limit), ..request }).await;
            assert_eq!(first[..], gathered[..first.len()]);
            assert_eq!(first.len(), gathered.len().min(limit as usize));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_search_for_the_same_share_one_search() {
    let bytes = file(&mut Random(21), 12_000);
    let filter = Filter::new(&Spec { level: "error".to_owned(), ..Spec::default() }).expect("a filter");
    let request = Request { filter, ..crate::support::request(None, None) };
    let spec = RulesSpec { timezone: "UTC".to_owned(), ..RulesSpec::default() };
    let logs = || Logs::of_bytes(64 << 20, rules(&spec), 1 << 20, &[("a.log", &bytes)]);
    let encoded = |logs: &Logs| logs.telemetry().encodes.get_or_create(&ShapeLabel { shape: "v1" }).get();
    let alone = logs();
    let expected = entries(&alone.feed, request.clone()).await.len();
    let together = logs();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let (feed, request) = (together.feed.clone(), request.clone());
            tokio::spawn(async move { entries(&feed, request).await.len() })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), expected);
    }
    let (once, all) = (encoded(&alone), encoded(&together));
    assert!(all < 5 * once, "{all} segments for twenty, {once} for one");
}

#[tokio::test]
async fn several_files_are_searched_as_they_are_merged() {
    let rules = rules(&RulesSpec { timezone: "UTC".to_owned(), ..RulesSpec::default() });
    let text = |file: i64| -> String {
        let lines = (0..9_000).map(|number| {
            let word = if (number + file * 700) % 3_000 == 1_234 { "needle" } else { "hay" };
            timed(BEGIN + number, &format!("{word} {number} of {file} {}\n", "p".repeat(50)))
        });
        lines.collect()
    };
    let texts: Vec<_> = (0..3).map(text).collect();
    let files: Vec<_> =
        texts.iter().zip(["0.log", "1.log", "2.log"]).map(|(text, name)| (name, text.as_bytes())).collect();
    let logs = Logs::of_bytes(64 << 20, rules, 1 << 20, &files);
    let filter = Filter::new(&Spec { include: vec!["needle".to_owned()], ..Spec::default() }).expect("a filter");
    let mut expected: Vec<&str> =
        texts.iter().flat_map(|text| text.lines()).filter(|line| line.contains("needle")).collect();
    expected.sort_unstable();
    let request = Request { filter, ..crate::support::request(None, None) };
    let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
    assert_eq!(short(&logs.get(request.clone()).await), short(&expected));
    // Each file is read once, whoever else has the same filter.
    let reads = || logs.telemetry().reads.get();
    let before = reads();
    assert_eq!(short(&logs.get(request).await), short(&expected));
    assert_eq!(reads(), before, "what was searched is remembered");
}

#[tokio::test]
async fn a_long_search_tells_how_far_it_has_come() {
    let rules = rules(&RulesSpec { format: Format::Raw, ..RulesSpec::default() });
    let line = format!("{}\n", "hay ".repeat(25));
    let bytes = line.repeat((128 << 20) / line.len()).into_bytes();
    let logs = Logs::of_bytes(0, rules, 1 << 20, &[("a.log", &bytes)]);
    // A pattern without a prefilter, so that every record is asked.
    let filter = Filter::new(&Spec { exclude: vec!["hay".to_owned()], ..Spec::default() }).expect("a filter");
    let mut subscription = logs.open(Request { filter, ..crate::support::request(None, None) }).await;
    let mut told = Vec::new();
    loop {
        match next_piece(&mut subscription).await {
            Piece::Event(Event::Progress(searched, total)) => told.push((searched, total)),
            Piece::End(end) => break assert_eq!(end, End::Done),
            piece => panic!("nothing is found, but {piece:?}"),
        }
    }
    println!("{told:?}");
    assert!(!told.is_empty() && told.is_sorted());
    assert!(told.iter().all(|(searched, total)| searched <= total && *total == bytes.len() as u64));
}
