//! An entry is a function of the source, the file, the offset and the bytes: streams are the same whatever the cache
//! keeps, from wherever they begin, and whoever else reads.

use logtap::{
    entry::{encode::Shape, stream_cursor::Cursor},
    feed::{
        around::Around,
        open::{Request, Selection},
        seek::Span,
    },
    filter::{Filter, Spec},
    limits::{CACHE_BYTES_DEFAULT, GRID_BYTES, LINE_BYTES_DEFAULT},
    proto::v1,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

use crate::support::{
    Logs,
    client::file_of,
    tap::{Stream, Tap, advance},
};

const GRID: usize = GRID_BYTES as usize;
/// Nothing, one small record, one cell, and what is usual.
const CAPACITIES: [usize; 4] = [0, 1024, GRID + 8192, CACHE_BYTES_DEFAULT as usize];

const CASES: u32 = 24;

/// A line by what it is made of, so that a failed case can be read.
#[derive(Clone, Debug)]
struct Line {
    kind: Kind,
    len: usize,
    crlf: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Timed(&'static str),
    Binary(u64),
}

/// What is asked of a file.
#[derive(Clone, Debug)]
struct Ask {
    /// Behind which entry to start, if not at the beginning.
    behind: Option<Index>,
    spec: Spec,
    shape: Shape,
    tail: Option<u64>,
    limit: Option<u64>,
}

impl Line {
    fn write(&self, number: usize, out: &mut Vec<u8>) {
        let begin = out.len();
        match self.kind {
            Kind::Text => out.extend_from_slice(format!("{number} ").as_bytes()),
            Kind::Timed(level) => {
                let second = number % 60;
                out.extend_from_slice(format!("2026-11-24T10:00:{second:02}Z {level} {number} ").as_bytes());
            }
            Kind::Binary(mut seed) => {
                out.resize(begin + self.len, 0);
                for byte in &mut out[begin..] {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let random = (seed >> 56) as u8;
                    *byte = if random == b'\n' { b'\r' } else { random };
                }
            }
        }
        out.resize(begin + self.len, b'.');
        out.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
    }
}

fn lens() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0usize..200,
        2 => 200usize..6000,
        1 => GRID - 3..GRID + 3,
        1 => GRID..3 * GRID,
    ]
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let kind = prop_oneof![
        3 => Just(Kind::Text),
        2 => prop_oneof![Just("INFO"), Just("ERROR"), Just("WARN")].prop_map(Kind::Timed),
        1 => (1u64..1 << 40).prop_map(Kind::Binary),
    ];
    let line = (kind, lens(), prop::bool::weighted(0.2)).prop_map(|(kind, len, crlf)| Line { kind, len, crlf });
    vec(line, 0..120)
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let pattern = || prop_oneof![Just("1".to_owned()), Just(r"\.$".to_owned()), Just("7.*3".to_owned())];
    let level = prop_oneof![3 => Just(""), 1 => Just("error"), 1 => Just("info..warn")];
    let spec = (level, vec(pattern(), 0..2), vec(pattern(), 0..2)).prop_map(|(level, include, exclude)| Spec {
        level: level.to_owned(),
        include,
        exclude,
        ..Spec::default()
    });
    let shape = prop_oneof![
        Just(Shape::Compat),
        Just(Shape::V1 { fields: false }),
        Just(Shape::V1 { fields: true }),
        Just(Shape::Batch { fields: false }),
    ];
    let few = || prop::option::weighted(0.3, 0u64..40);
    let ask = (prop::option::weighted(0.6, any::<Index>()), spec, shape, few(), few());
    let ask = ask.prop_map(|(behind, spec, shape, tail, limit)| Ask {
        behind,
        spec,
        shape,
        tail,
        limit: limit.map(|limit| limit + 1),
    });
    vec(ask, 1..6)
}

fn everything() -> Request {
    Request {
        selection: Selection::new(&[], &[], None).expect("nothing is no bad glob"),
        filter: Filter::default(),
        shape: Shape::V1 { fields: false },
        follow: false,
        tail: None,
        resume: Vec::new(),
        limit: None,
        end: None,
        around: Around::NONE,
        gaps_in_band: false,
        span: Span::ALL,
    }
}

impl Ask {
    fn request(&self, entries: &[v1::LogEntry]) -> Request {
        let cursor = self.behind.filter(|_| !entries.is_empty()).map(|behind| &behind.get(entries).cursor);
        Request {
            filter: Filter::new(&self.spec).expect("a good filter"),
            shape: self.shape,
            tail: self.tail,
            resume: cursor.iter().map(|cursor| Cursor::decode(cursor).expect("its own cursor")).collect(),
            limit: self.limit,
            ..everything()
        }
    }
}

/// The entries of a stream in the shape of the full service.
fn entries_of(stream: &Stream) -> Vec<v1::LogEntry> {
    let (mut entries, mut rest) = (Vec::new(), &stream.bytes[..]);
    while let Some((header, body)) = rest.split_at_checked(5) {
        let len = u32::from_be_bytes(header[1..].try_into().expect("four bytes")) as usize;
        entries.push(v1::LogEntry::decode(&body[..len]).expect("an entry"));
        rest = &body[len..];
    }
    entries
}

/// Reads several streams in turns, so that each finds what the others left in the cache.
async fn read_interleaved(tap: &Tap, requests: Vec<Request>) -> Vec<Stream> {
    let mut open = Vec::new();
    for (index, request) in requests.into_iter().enumerate() {
        open.push((index, tap.open(request).await, Stream::default()));
    }
    let mut done: Vec<_> = open.iter().map(|_| Stream::default()).collect();
    while !open.is_empty() {
        let mut left = Vec::new();
        for (index, mut subscription, mut stream) in open {
            if advance(&mut subscription, &mut stream).await {
                done[index] = stream;
            } else {
                left.push((index, subscription, stream));
            }
        }
        open = left;
    }
    done
}

async fn check(lines: &[Line], ends: bool, asks: &[Ask]) -> Result<(), TestCaseError> {
    let mut content = Vec::new();
    lines.iter().enumerate().for_each(|(number, line)| line.write(number, &mut content));
    if !ends && !content.is_empty() {
        content.pop();
    }
    let logs = Logs::new();
    let path = logs.write("app.log", &content);

    let fresh = Tap::new(&path, 0);
    let whole = fresh.read(everything()).await;
    let entries = entries_of(&whole);
    prop_assert!(entries.iter().all(|entry| entry.message.len() < LINE_BYTES_DEFAULT));
    prop_assert!(file_of(&entries) == content, "the messages and their terminators are the file");

    let requests = || asks.iter().map(|ask| ask.request(&entries)).collect::<Vec<_>>();
    let mut expected = Vec::new();
    for request in requests() {
        // A feed of its own for each: nothing was read before.
        expected.push(Tap::new(&path, 0).read(request).await);
    }
    for capacity in CAPACITIES {
        let tap = Tap::new(&path, capacity);
        let together = read_interleaved(&tap, requests()).await;
        let mut again = Vec::new();
        for request in requests() {
            again.push(tap.read(request).await);
        }
        for (index, expected) in expected.iter().enumerate() {
            prop_assert!(together[index] == *expected, "capacity {}, in turns: {:?}", capacity, asks[index]);
            prop_assert!(again[index] == *expected, "capacity {}, once more: {:?}", capacity, asks[index]);
        }
        tap.feed.measure();
        prop_assert!(tap.telemetry.cache_bytes.get() <= capacity as i64, "the budget of {} is kept", capacity);
    }
    Ok(())
}

/// As many cases as `PROPTEST_CASES` says, or as a plain test run has time for. A failed case prints what it was made of.
fn config() -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: CASES, ..config } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn streams_are_the_same_whatever_the_cache_keeps(lines in lines(), ends: bool, asks in asks()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check(&lines, ends, &asks))?;
    }
}
