//! Any filter over any file: refused by the name of a field, or the same whichever way it is asked. What is searched for in
//! the whole text misses no record that the filter selects, what it decides alone is decided so by asking, too, and a
//! filter is each of its parts.
//!
//! The first line is the level, the second the patterns that must match, the third those that must not, each separated by
//! tabs, and the fourth the fields, `key=value`. The rest is the file.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logtap::{
    filter::{Filter, Spec},
    parse::{self, Context, Rules},
};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

/// Records that are looked at.
const RECORDS_MAX: usize = 256;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(5, |byte| *byte == b'\n');
    let mut line = || str::from_utf8(parts.next().unwrap_or_default()).ok();
    let (Some(level), Some(include), Some(exclude), Some(fields)) = (line(), line(), line(), line()) else { return };
    let text = parts.next().unwrap_or_default();
    let list = |line: &str| line.split('\t').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let fields =
        list(fields).iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    let spec = Spec { level: level.into(), include: list(include), exclude: list(exclude), fields };
    let filter = match Filter::new(&spec) {
        Ok(filter) => filter,
        Err(error) => {
            let name = error.field().split('[').next().unwrap_or_default();
            assert!(["level", "include", "exclude"].contains(&name), "{name}");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let parts = parts_of(&spec);
    let records: Vec<Record> = records_of(text).take(RECORDS_MAX).collect();
    let found = found_by_search(&filter, text, &records);
    for (index, record) in records.iter().enumerate() {
        let bytes = &text[record.start..record.end];
        let severity = parse::parse(&RULES, &Context::default(), bytes).severity;
        let selected = filter.matches(bytes, || severity);
        assert_eq!(selected, parts.iter().all(|(part, wanted)| part.matches(bytes, || severity) == *wanted));
        assert!(selected || !filter.is_everything());
        if let Some(found) = &found {
            assert!(
                found.contains(&(index, true)) || found.contains(&(index, false)) || !selected,
                "{bytes:?} is missed"
            );
            assert!(selected || !found.contains(&(index, true)), "{bytes:?} is decided wrongly");
        }
        check_fields(&filter, &spec, bytes);
    }
});

/// Each part of a filter as a filter of its own, and whether it has to match.
fn parts_of(spec: &Spec) -> Vec<(Filter, bool)> {
    let one = |spec: Spec| Filter::new(&spec).expect("a part of what is good");
    let pattern = |text: &String| one(Spec { include: vec![text.clone()], ..Spec::default() });
    let level = (!spec.level.is_empty()).then(|| (one(Spec { level: spec.level.clone(), ..Spec::default() }), true));
    let include = spec.include.iter().map(|text| (pattern(text), true));
    let exclude = spec.exclude.iter().map(|text| (pattern(text), false));
    include.chain(exclude).chain(level).collect()
}

/// Where a record lies in its file, without its terminator, and where the next one begins.
struct Record {
    start: usize,
    end: usize,
    next: usize,
}

fn records_of(text: &[u8]) -> impl Iterator<Item = Record> {
    text.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        let body = line.strip_suffix(b"\n").map_or(line, |body| body.strip_suffix(b"\r").unwrap_or(body));
        Some(Record { start, end: start + body.len(), next: *at })
    })
}

/// The records that the search of the whole text finds, each with whether that decides; none where nothing is searched for.
fn found_by_search(filter: &Filter, text: &[u8], records: &[Record]) -> Option<Vec<(usize, bool)>> {
    let prefilter = filter.prefilter(&RULES)?;
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(hit) = prefilter.find(text, at..text.len()) {
        assert!(at <= hit.start && hit.start <= hit.end && hit.end <= text.len());
        let Some(index) = records.iter().position(|record| hit.start < record.next) else { break };
        found.push((index, filter.is_decided_by_prefilter() && hit.end <= records[index].end));
        at = records[index].next;
    }
    Some(found)
}

/// Whether the fields of a record are those that are wanted, the first of each name.
fn check_fields(filter: &Filter, spec: &Spec, record: &[u8]) {
    let mut fields: Vec<(String, String)> = Vec::new();
    parse::fields(&RULES, &Context::default(), record, &mut |key, value| fields.push((key.into(), value.into())));
    let first = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let expected = spec.fields.iter().all(|(key, value)| first(key) == Some(value));
    assert_eq!(filter.matches_fields(&fields), expected);
}
