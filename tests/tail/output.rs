//! What is written, in each form.

use bytes::Bytes;
use logtap::proto::v1::{Event, Gap, GapReason, LogEntry, event::Kind};

use crate::{
    command::{logtap, run, run_logtap},
    fake::Fake,
};

/// The entries that a daemon makes of a file with these bytes.
fn entries(file: &[u8]) -> Vec<LogEntry> {
    let mut entries = Vec::new();
    for (number, line) in file.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let (bytes, mut flags) = match line {
            [rest @ .., b'\r', b'\n'] => (rest, 64),
            [rest @ .., b'\n'] => (rest, 0),
            rest => (rest, 16),
        };
        let message = String::from_utf8_lossy(bytes).into_owned();
        let raw = if std::str::from_utf8(bytes).is_err() { Bytes::copy_from_slice(bytes) } else { Bytes::new() };
        flags |= if raw.is_empty() { 0 } else { 4 };
        entries.push(LogEntry { message, raw, flags, timestamp: number as i64 + 1, ..LogEntry::default() });
    }
    entries
}

#[test]
fn raw_output_is_the_file_byte_for_byte() {
    let seed: u64 = 20_261_124;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rubbish: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(300_000).collect();
    // Line ends of every kind, and lines that are empty.
    for at in (0..rubbish.len() - 2).step_by(97) {
        rubbish[at..at + 2].copy_from_slice([b"\r\n", b"\n\n", b"x\n", b"\n\r"][random.usize(..4)]);
    }
    let files: [&[u8]; 8] =
        [b"", b"\n", b"a", b"a\n", b"\r\n\r\r\n\r", b"\0\xff\n\xfe", "é\r\n日本\n".as_bytes(), &rubbish];
    for file in files {
        let fake = Fake::start();
        fake.plan(|plan| plan.batch = 500);
        let log = fake.log("s", "/s");
        entries(file).into_iter().for_each(|entry| fake.entry(log, entry));
        let ended = run_logtap(&format!("tail {} -o raw --no-follow -n all --stats", fake.host()));
        assert!(ended.stdout == file, "{} bytes came of {}", ended.stdout.len(), file.len());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains(" verified"), "{}", ended.stderr);
    }
}

#[test]
fn a_checksum_that_differs_is_an_error() {
    let fake = Fake::start();
    fake.plan(|plan| plan.wrong_checksum = true);
    let log = fake.log("s", "/s");
    fake.line(log, 1, "a");
    let ended = run_logtap(&format!("tail {} --no-follow --stats", fake.host()));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("DAMAGED: entries=1 message-bytes=1"), "{}", ended.stderr);
}

#[test]
fn json_is_one_object_a_line_with_the_host() {
    let fake = Fake::start();
    let log = fake.log("web", "/var/log/web.log");
    let raw = Bytes::from_static(b"\xff");
    let fields = [("k".to_owned(), "v".to_owned())].into();
    let timestamp = 1_700_000_000_123_456_789;
    fake.entry(
        log,
        LogEntry { message: "\u{fffd}".into(), raw, fields, timestamp, severity: 17, flags: 4, ..LogEntry::default() },
    );
    fake.line(log, timestamp + 1, "{\"a\":\n1}");
    let ended = run_logtap(&format!("tail {} -o json --no-follow", fake.host()));
    let lines: Vec<serde_json::Value> = ended
        .stdout
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    assert_eq!(
        lines[0],
        serde_json::json!({
            "message": "\u{fffd}", "timestamp": "1700000000123456789", "time": "2023-11-14T22:13:20.123456789Z",
            "severity": "SEVERITY_ERROR", "source": "web", "path": "/var/log/web.log", "cursor": "MD0x",
            "fields": {"k": "v"}, "raw": "/w==", "flags": 4, "host": fake.host(),
        })
    );
    assert_eq!(lines[1]["message"], "{\"a\":\n1}");
    assert_eq!(lines[1]["cursor"], "MD0y");
    assert!(fake.requests()[0].request.as_ref().unwrap().with_fields);
}

#[test]
fn people_see_origins_only_where_there_are_several() {
    let fake = Fake::start();
    let a = fake.log("a", "/var/log/a.log");
    fake.line(a, 1_700_000_000_000_000_000, "x\x1b[2J");
    let one = run_logtap(&format!("tail {} --no-follow --utc", fake.host()));
    assert_eq!(String::from_utf8_lossy(&one.stdout), "2023-11-14 22:13:20.000Z x\\x1b[2J\n");
    let b = fake.log("b", "/var/log/b.log");
    fake.line(b, 1_700_000_001_000_000_000, "y");
    let two = run_logtap(&format!("tail {} --no-follow --utc", fake.host()));
    let expected = "a 2023-11-14 22:13:20.000Z x\\x1b[2J\nb 2023-11-14 22:13:21.000Z y\n";
    assert_eq!(String::from_utf8_lossy(&two.stdout), expected);
    assert_eq!((one.code, two.code), (Some(0), Some(0)));
}

#[test]
fn colours_can_be_forced_and_forbidden() {
    let fake = Fake::start();
    let log = fake.log("a", "/a");
    fake.entry(log, LogEntry { message: "full".into(), timestamp: 1, severity: 17, ..LogEntry::default() });
    let stdout = |flags: &str| {
        let ended = run_logtap(&format!("tail {} --no-follow --utc {flags}", fake.host()));
        String::from_utf8_lossy(&ended.stdout).into_owned()
    };
    assert!(!stdout("").contains('\x1b'));
    assert!(!stdout("--color never").contains('\x1b'));
    assert!(stdout("--color always -g ul").ends_with("\x1b[31mERROR\x1b[0m f\x1b[1;7mul\x1b[0ml\n"));
}

#[test]
fn times_are_local_utc_or_relative() {
    let fake = Fake::start();
    let log = fake.log("a", "/a");
    fake.line(log, 1_700_000_000_000_000_000, "x");
    let stdout = |flags: &str| {
        let mut command = logtap(&format!("tail {} --no-follow {flags}", fake.host()));
        command.env("TZ", "Europe/Berlin");
        String::from_utf8_lossy(&run(command).stdout).into_owned()
    };
    assert_eq!(stdout(""), "2023-11-14 23:13:20.000 x\n");
    assert_eq!(stdout("--utc"), "2023-11-14 22:13:20.000Z x\n");
    assert!(stdout("--relative").ends_with("d x\n"));
}

#[test]
fn gaps_are_told_unless_quiet_and_never_among_the_data() {
    let fake = Fake::start();
    let gap = Gap { source: "a".into(), path: "/a".into(), reason: GapReason::Truncated as i32, bytes: Some(12) };
    fake.plan(|plan| plan.events = vec![Event { kind: Some(Kind::Gap(gap)) }]);
    let log = fake.log("a", "/a");
    fake.line(log, 1, "x");
    let loud = run_logtap(&format!("tail {} --no-follow -o raw", fake.host()));
    assert_eq!(loud.stdout, b"x\n");
    let expected = "gap in /a (a): 12 bytes are missing: the file was truncated before they were read\n";
    assert!(loud.stderr.ends_with(expected), "{}", loud.stderr);
    let quiet = run_logtap(&format!("tail {} --no-follow -o raw -q", fake.host()));
    assert_eq!((quiet.stderr.as_str(), quiet.code), ("", Some(0)));
}
