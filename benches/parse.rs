//! What it costs to find severity and time in a line, by format, beside counting, splitting and encoding the same lines.
//!
//! `cargo bench --bench parse [-- WORD]` prints a table of nanoseconds per line, of the formats whose name has the word.
//! Of each round `count` is a bare `memchr` over the same bytes, `encode` splits them into lines and makes an entry of
//! each, as a stream would send it, and `parse` finds severity and time of the lines. `parse/encode` is to stay below 1;
//! compare ratios, since machines differ. `fields` hands every field to a sink. Of several rounds the fastest counts.
//! The data are made up here, in memory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use logtap::{
    entry::{
        Nanos, Offset, Severity,
        cursor::{EntryCursor, FileKey, HeadHash, Lineage, TailHash},
        encode::{self, EntryView, FilePart, Shape},
    },
    limits::SEGMENT_BYTES,
    parse::{self, Context, Rules, RulesSpec},
};

/// Bytes of the data for one format.
const DATA_BYTES: usize = 256 << 10;
/// Times that each measurement is taken.
const ROUNDS: usize = 100;

/// A small generator (Marsaglia's xorshift), so that every run has the same data.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

type Writer = fn(&mut Random) -> String;

const LEVELS: [&str; 5] = ["INFO", "INFO", "DEBUG", "WARN", "ERROR"];
const WORDS: [&str; 4] =
    ["request served", "no error found here", "connection from 10.1.2.3 closed", "cache refreshed"];

fn clock(random: &mut Random) -> String {
    format!("{:02}:{:02}:{:02}", random.below(24), random.below(60), random.below(60))
}

fn iso(random: &mut Random) -> String {
    format!("2026-11-{:02}T{}.{:06}Z", 1 + random.below(28), clock(random), random.below(1_000_000))
}

fn named(random: &mut Random) -> String {
    format!("Nov {:>2} {}", 1 + random.below(20), clock(random))
}

fn formats() -> Vec<(&'static str, Writer)> {
    vec![
        ("iso, level", |r| format!("{} {} {} id={}", iso(r), r.pick(&LEVELS), r.pick(&WORDS), r.below(9999))),
        ("iso, no level", |r| format!("{} {} after {} ms", iso(r), r.pick(&WORDS), r.below(9999))),
        ("log4j", |r| {
            let (clock, level) = (clock(r), r.pick(&LEVELS));
            format!(
                "2026-11-20 {clock},{:03} [worker-{}] {level:5} com.example.app.Main - {}",
                r.below(999),
                r.below(64),
                r.pick(&WORDS)
            )
        }),
        ("python", |r| {
            format!("2026-11-20 {},{:03} - app.db - {} - {}", clock(r), r.below(999), r.pick(&LEVELS), r.pick(&WORDS))
        }),
        ("tracing, colours", |r| {
            format!(
                "\x1b[2m{}\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2mapp::net\x1b[0m\x1b[2m:\x1b[0m {}",
                iso(r),
                r.pick(&WORDS)
            )
        }),
        ("json, level first", |r| {
            format!(
                r#"{{"level":"{}","ts":"{}","caller":"a/b.go:{}","msg":"{}"}}"#,
                r.pick(&["info", "warn", "error"]),
                iso(r),
                r.below(999),
                r.pick(&WORDS)
            )
        }),
        ("json, level last", |r| {
            format!(
                r#"{{"msg":"{}","user":{{"id":{},"name":"a b"}},"path":"/x/{}","time":"{}","level":"info"}}"#,
                r.pick(&WORDS),
                r.below(9999),
                r.below(999),
                iso(r)
            )
        }),
        ("json, pino", |r| {
            format!(
                r#"{{"level":30,"time":179516880{:04},"pid":{},"hostname":"web-1","msg":"{}"}}"#,
                r.below(9999),
                r.below(9999),
                r.pick(&WORDS)
            )
        }),
        ("logfmt", |r| {
            format!(
                r#"time="{}" level={} msg="{}" id={}"#,
                iso(r),
                r.pick(&["info", "warning", "error"]),
                r.pick(&WORDS),
                r.below(9999)
            )
        }),
        ("syslog, rfc 3164", |r| format!("{} web-1 app[{}]: {}", named(r), r.below(9999), r.pick(&WORDS))),
        ("syslog, rfc 5424", |r| {
            format!("<{}>1 {} web-1 app {} - - {}", r.below(191), iso(r), r.below(9999), r.pick(&WORDS))
        }),
        ("cri", |r| format!("{} stdout F {} INFO {}", iso(r), iso(r), r.pick(&WORDS))),
        ("docker", |r| {
            format!(r#"{{"log":"{} INFO {}\n","stream":"stdout","time":"{}"}}"#, iso(r), r.pick(&WORDS), iso(r))
        }),
        ("klog", |r| {
            format!(
                "I1120 {}.{:06} {:>7} server.go:{}] {}",
                clock(r),
                r.below(999_999),
                r.below(9999),
                r.below(999),
                r.pick(&WORDS)
            )
        }),
        ("access, combined", |r| {
            format!(
                r#"10.1.{}.{} - - [20/Nov/2026:{} +0000] "GET /a/b/{} HTTP/1.1" {} {} "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64)""#,
                r.below(255),
                r.below(255),
                clock(r),
                r.below(9999),
                r.pick(&["200", "304", "404", "500"]),
                r.below(99999)
            )
        }),
        ("nginx error", |r| {
            format!("2026/11/20 {} [error] {}#0: *{} {}", clock(r), r.below(999), r.below(9999), r.pick(&WORDS))
        }),
        ("apache error", |r| {
            format!(
                "[Fri Nov 20 {}.{:06} 2026] [core:error] [pid {}] {}",
                clock(r),
                r.below(999_999),
                r.below(9999),
                r.pick(&WORDS)
            )
        }),
        ("logcat", |r| {
            format!(
                "11-20 {}.{:03}  {:>4}  {:>4} D Manager: {}",
                clock(r),
                r.below(999),
                r.below(9999),
                r.below(9999),
                r.pick(&WORDS)
            )
        }),
        ("hdfs", |r| {
            format!(
                "261120 {:02}{:02}{:02} {} INFO dfs.DataNode: {}",
                r.below(24),
                r.below(60),
                r.below(60),
                r.below(999),
                r.pick(&WORDS)
            )
        }),
        ("blue gene", |r| {
            format!(
                "- 1795{:06} 2026.11.20 R02-M1-N0 2026-11-20-{}.675872 R02-M1-N0 RAS KERNEL INFO {}",
                r.below(999_999),
                clock(r).replace(':', "."),
                r.pick(&WORDS)
            )
        }),
        ("prose", |r| format!("    at com.example.Main.run(Main.java:{}) {}", r.below(999), r.pick(&WORDS))),
    ]
}

fn data(writer: Writer) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(DATA_BYTES + 256);
    while bytes.len() < DATA_BYTES {
        bytes.extend_from_slice(writer(&mut random).as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

fn fastest(mut work: impl FnMut()) -> Duration {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn main() {
    let rules =
        Rules::new(&RulesSpec { timezone: "Europe/Berlin".into(), ..RulesSpec::default() }).expect("good rules");
    println!(
        "{:20} {:>8} {:>8} {:>8} {:>8} {:>12} {:>8} {:>8}",
        "ns per line", "bytes", "count", "encode", "parse", "parse/encode", "fields", "known %"
    );
    let word = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, writer) in formats().into_iter().filter(|(name, _)| name.contains(&word)) {
        let bytes = data(writer);
        let context = Context::new(&rules, &bytes[..4096], Nanos(1_795_255_200_000_000_000));
        let lines = memchr::memchr_iter(b'\n', &bytes).count();
        let known = each_line(&bytes, |line| parse::recognise(&rules, &context, line).is_some());
        let count = fastest(|| {
            black_box(memchr::memchr_iter(b'\n', black_box(&bytes)).count());
        });
        let encode = fastest(|| encode_lines(black_box(&bytes)));
        let parse = fastest(|| {
            black_box(each_line(black_box(&bytes), |line| parse::parse(&rules, &context, line).time.is_some()));
        });
        let fields = fastest(|| {
            let mut sum = 0;
            each_line(black_box(&bytes), |line| {
                parse::fields(&rules, &context, line, &mut |key, value| sum += key.len() + value.len());
                true
            });
            black_box(sum);
        });
        let per_line = |time: Duration| time.as_nanos() as f64 / lines as f64;
        println!(
            "{name:20} {:>8} {:>8.1} {:>8.1} {:>8.1} {:>12.2} {:>8.1} {:>8}",
            bytes.len() / lines,
            per_line(count),
            per_line(encode),
            per_line(parse),
            per_line(parse) / per_line(encode),
            per_line(fields),
            known * 100 / lines
        );
    }
}

/// Splits `bytes` into lines and encodes an entry with its cursor for each, in segments, as a stream sends them.
fn encode_lines(bytes: &[u8]) {
    let file = FilePart::new("app", b"/var/log/app/app.log");
    let head = HeadHash::of(bytes, Offset(1 << 20));
    let (mut out, mut crc) = (Vec::with_capacity(2 * SEGMENT_BYTES), crc32fast::Hasher::new());
    let mut end = 0;
    each_line(bytes, |line| {
        end += line.len() + 1;
        let cursor = EntryCursor {
            key: FileKey(1),
            lineage: Lineage(2),
            offset: Offset((1 << 20) + end as u64),
            head,
            tail: TailHash::of(&bytes[..end]),
            after_piece: false,
        };
        let entry = EntryView {
            message: line,
            time: Nanos(1_795_168_800_000_000_000),
            severity: Severity::Info,
            flags: 0,
            cursor: &cursor.encode(),
            fields: &[],
            raw: None,
        };
        encode::put_entry(&mut out, &mut crc, Shape::V1 { fields: false }, &file, &entry);
        if out.len() > SEGMENT_BYTES {
            out.clear();
        }
        true
    });
    black_box((out, crc));
}

/// Hands each line to `look`; how often it says yes.
fn each_line(bytes: &[u8], mut look: impl FnMut(&[u8]) -> bool) -> usize {
    let mut start = 0;
    let mut yes = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        yes += usize::from(look(&bytes[start..end]));
        start = end + 1;
    }
    yes
}
