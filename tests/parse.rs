//! What lines mean, by tables: `tests/parse/*.txt`, one file for a group of formats.
//!
//! A case is `SEVERITY TIME | LINE`, `-` standing for "the line does not tell"; the time is RFC 3339. Between `|` and
//! the line's end every byte counts; after `\|` instead of `|`, `\e`, `\n`, `\t`, `\r`, `\xNN` and `\\` are escapes. Indented
//! lines below a case are the fields expected, `key=value`, all of them and in order; a case without them does not ask.
//! `! zone`, `! latest`, `! format`, `! pattern`, `! head` (escapes) and `! message` (of the case above) set the stage,
//! `! of` names the format whose lines stand below; `! reset` clears all of it.

#[path = "parse/properties.rs"]
mod properties;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use logtap::{
    entry::{Nanos, Severity, severity},
    parse::{self, Context, Format, Parsed, Rules, RulesSpec},
};

/// What the cases below a directive share.
#[derive(Clone)]
struct Stage {
    spec: RulesSpec,
    head: Vec<u8>,
    latest: Nanos,
    /// The format, by a name for people; empty when the lines are of many.
    of: String,
}

impl Stage {
    fn new() -> Self {
        let spec = RulesSpec { timezone: "UTC".into(), ..RulesSpec::default() };
        Self { spec, head: Vec::new(), latest: time("2026-11-24T00:00:00Z").expect("a time"), of: String::new() }
    }

    fn direct(&mut self, directive: &str) {
        let (word, value) = directive.split_once(' ').unwrap_or((directive, ""));
        match word {
            "reset" => *self = Self::new(),
            "of" => self.of = value.into(),
            "zone" => self.spec.timezone = value.into(),
            "latest" => self.latest = time(value).expect("a time"),
            "format" => self.spec.format = Format::by_name(value).expect("a format"),
            "pattern" => self.spec.pattern = Some(value.into()),
            "head" => self.head = unescaped(value),
            _ => panic!("unknown directive {directive:?}"),
        }
    }
}

/// A line, and what it should mean.
struct Case {
    place: String,
    line: Vec<u8>,
    expected: Parsed,
    fields: Vec<String>,
    message: Option<Vec<u8>>,
}

fn time(text: &str) -> Option<Nanos> {
    (text != "-").then(|| {
        let timestamp: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"));
        Nanos(i64::try_from(timestamp.as_nanosecond()).expect("a moment of this age"))
    })
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, len) = match rest {
            [b'\\', b'e', ..] => (0x1b, 2),
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b'\\', ..] => (b'\\', 2),
            [b'\\', b'x', digits @ ..] => {
                let digits = std::str::from_utf8(&digits[..2]).expect("digits");
                (u8::from_str_radix(digits, 16).expect("two digits"), 4)
            }
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &after[len - 1..];
    }
    bytes
}

/// Compares one case; what differs, in words.
fn differences(stage: &Stage, case: &Case) -> Vec<String> {
    let rules = Rules::new(&stage.spec).unwrap_or_else(|error| panic!("{}: {error}", case.place));
    let context = Context::new(&rules, &stage.head, stage.latest);
    let mut wrong = Vec::new();
    let found = parse::parse(&rules, &context, &case.line);
    if found != case.expected {
        let show = |parsed: Parsed| {
            let time = parsed.time.map_or("-".to_owned(), |time| {
                jiff::Timestamp::from_nanosecond(time.0.into()).expect("a moment").to_string()
            });
            format!("{:?} {time}", parsed.severity)
        };
        wrong.push(format!("expected {}, found {}", show(case.expected), show(found)));
    }
    if !case.fields.is_empty() {
        let mut fields = Vec::new();
        parse::fields(&rules, &context, &case.line, &mut |key, value| fields.push(format!("{key}={value}")));
        if fields != case.fields {
            wrong.push(format!("expected fields {:#?}, found {fields:#?}", case.fields));
        }
    }
    if let Some(expected) = &case.message {
        let message = parse::message(&rules, &context, &case.line);
        if *message != expected[..] {
            wrong.push(format!(
                "expected message {:?}, found {:?}",
                expected.escape_ascii().to_string(),
                message.escape_ascii().to_string()
            ));
        }
    }
    wrong.iter().map(|text| format!("{}: {}\n    {text}", case.place, case.line.escape_ascii())).collect()
}

/// The cases of a table, each with the stage that is set for it.
fn cases(path: &Path) -> Vec<(Stage, Case)> {
    let table = fs::read_to_string(path).expect("a table");
    let name = path.file_name().expect("a file's name").to_string_lossy();
    let mut stage = Stage::new();
    let mut cases: Vec<(Stage, Case)> = Vec::new();
    for (index, line) in table.lines().enumerate() {
        let place = format!("{name}:{}", index + 1);
        if let Some(field) = line.strip_prefix("    ") {
            cases.last_mut().expect("a case above").1.fields.push(field.to_owned());
        } else if let Some(message) = line.strip_prefix("! message ") {
            cases.last_mut().expect("a case above").1.message = Some(unescaped(message));
        } else if let Some(directive) = line.strip_prefix("! ") {
            stage.direct(directive);
        } else if !line.is_empty() && !line.starts_with('#') {
            cases.push((stage.clone(), case(place, line)));
        }
    }
    cases
}

/// Reads `SEVERITY TIME | LINE`.
fn case(place: String, line: &str) -> Case {
    let (head, text, escaped) = match (line.find(" | "), line.find(r" \| ")) {
        (Some(plain), Some(escaped)) if escaped < plain => (&line[..escaped], &line[escaped + 4..], true),
        (Some(plain), _) => (&line[..plain], &line[plain + 3..], false),
        (None, Some(escaped)) => (&line[..escaped], &line[escaped + 4..], true),
        (None, None) => panic!("{place}: neither case nor directive: {line:?}"),
    };
    let (level, stamp) = head.trim().split_once(' ').unwrap_or_else(|| panic!("{place}: {head:?}"));
    let severity = match level {
        "-" => Severity::Unspecified,
        _ => severity::by_name(level).unwrap_or_else(|| panic!("{place}: no severity {level:?}")),
    };
    let line = if escaped { unescaped(text) } else { text.as_bytes().to_vec() };
    let expected = Parsed { severity, time: time(stamp.trim()) };
    Case { place, line, expected, fields: Vec::new(), message: None }
}

/// The tables, in order.
fn tables() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parse");
    let paths = fs::read_dir(folder).expect("the tables").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    paths.sort();
    paths
}

#[test]
fn lines_mean_what_the_tables_say() {
    let cases: Vec<_> = tables().iter().flat_map(|path| cases(path)).collect();
    let wrong: Vec<_> = cases.iter().flat_map(|(stage, case)| differences(stage, case)).collect();
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() > 500, "the tables have {} cases", cases.len());
}

/// Lines of its own that every format has in the tables, at least.
const LINES_OF_A_FORMAT: usize = 20;

/// The formats that are promised, by the names in the tables; "configured" are patterns of a configuration.
const FORMATS: &str = ".NET, Android, Apache, Blue Gene/L, CRI, Docker, Go, HAProxy, HDFS, HPC, Hadoop, HealthApp, JSON, Java, \
    Linux, MongoDB, MySQL, OpenSSH, OpenStack, PostgreSQL, Proxifier, Python, RFC 3164, RFC 5424, Redis, Ruby, \
    Rust, Spark, Thunderbird, W3C, Windows, ZooKeeper, access log, configured, journal, kernel ring buffer, \
    klog, logcat, logfmt, macOS, nginx";

/// How many of `lines` there are of each name, the same line counted once.
fn counted<'l>(lines: impl Iterator<Item = (String, &'l [u8])>) -> BTreeMap<String, usize> {
    let mut lines_of: BTreeMap<String, HashSet<&[u8]>> = BTreeMap::new();
    for (name, line) in lines {
        lines_of.entry(name).or_default().insert(line);
    }
    lines_of.into_iter().map(|(name, lines)| (name, lines.len())).collect()
}

#[test]
fn every_format_has_lines_enough_of_its_own() {
    let cases: Vec<_> = tables().iter().flat_map(|path| cases(path)).collect();
    let of_table = counted(cases.iter().map(|(stage, case)| (stage.of.clone(), &*case.line)));
    let of_table: BTreeMap<_, _> = of_table.into_iter().filter(|(name, _)| !name.is_empty()).collect();
    assert_eq!(of_table.keys().map(String::as_str).collect::<Vec<_>>().join(", "), FORMATS);
    let as_recognised = counted(cases.iter().filter_map(|(stage, case)| {
        let rules = Rules::new(&stage.spec).expect("good rules");
        let context = Context::new(&rules, &stage.head, stage.latest);
        Some((parse::recognise(&rules, &context, &case.line)?.to_owned(), &*case.line))
    }));
    let few: Vec<_> = of_table.iter().chain(&as_recognised).filter(|(_, count)| **count < LINES_OF_A_FORMAT).collect();
    assert!(few.is_empty(), "fewer than {LINES_OF_A_FORMAT} lines: {few:?}");
}
