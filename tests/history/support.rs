//! Log files in a directory, lives that are written into them, and a subscriber that reads them.

use std::{
    fs::{self, File},
    future::poll_fn,
    io::Write as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use logtap::{
    entry::{Nanos, encode::Shape},
    feed::{
        Feed,
        around::Around,
        event::Event,
        open::{self, Request, Selection},
        seek::Span,
        subscription::{End, Piece, Subscription},
    },
    filter::Filter,
    parse::{Rules, RulesSpec},
    proto::v1::LogEntry,
    telemetry::Telemetry,
    watch::{Catalogue, Pattern, Settings, Source, catalogue::Scope, events::Hints},
};
use prost::Message as _;
use tempfile::TempDir;

pub const SECOND: i64 = 1_000_000_000;
/// 2026-01-01T00:00:00Z, in seconds.
pub const BEGIN: i64 = 1_767_225_600;

/// Log files in a directory, and a feed over them.
pub struct Logs {
    pub dir: TempDir,
    pub catalogue: Arc<Catalogue>,
    pub feed: Arc<Feed>,
}

impl Logs {
    pub fn new(cache: usize, files: &[(&str, &str)]) -> Self {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        let rules = rules(&RulesSpec { timezone: "UTC".to_owned(), ..RulesSpec::default() });
        Self::of_bytes(cache, rules, 1 << 20, &files)
    }

    /// Files of a source that is read by `rules`.
    pub fn of_bytes(cache: usize, rules: Arc<Rules>, line_max: usize, files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).expect("a file");
        }
        let glob = dir.path().join("*.log");
        let settings = Settings {
            patterns: vec![Pattern::new(glob.to_str().expect("a text")).expect("a glob")],
            exclude: Vec::new(),
            rules,
            line_max,
            archives: true,
        };
        let telemetry = Arc::new(Telemetry::new());
        let catalogue =
            Arc::new(Catalogue::new(vec![Arc::new(Source::new("app".to_owned(), settings))], telemetry.clone()));
        catalogue.scan(&Scope::All);
        let feed = Feed::new(catalogue.clone(), Hints::new(telemetry.clone()), telemetry, cache);
        Self { dir, catalogue, feed }
    }

    /// The counters.
    pub fn telemetry(&self) -> &Telemetry {
        &self.feed.telemetry
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds to a file, and tells those who wait.
    pub fn append(&self, name: &str, text: &str) {
        let mut file = File::options().append(true).open(self.path(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("room");
        for file in self.catalogue.files() {
            file.check_blocking().expect("readable");
            file.wake();
        }
    }

    pub async fn open(&self, request: Request) -> Subscription {
        open::open(&self.feed, request).await.expect("opened").0
    }

    /// The messages of a request that ends, in the order in which they come.
    pub async fn get(&self, request: Request) -> Vec<String> {
        let mut subscription = self.open(request).await;
        let mut got = Vec::new();
        loop {
            match next(&mut subscription).await {
                Next::Entries(entries) => got.extend(entries.into_iter().map(|entry| entry.message)),
                Next::CaughtUp => {}
                Next::End(end) => {
                    assert_eq!(end, End::Done);
                    return got;
                }
            }
        }
    }
}

pub enum Next {
    Entries(Vec<LogEntry>),
    CaughtUp,
    End(End),
}

pub fn rules(spec: &RulesSpec) -> Arc<Rules> {
    Arc::new(Rules::new(spec).expect("rules"))
}

pub async fn next_piece(subscription: &mut Subscription) -> Piece {
    let within = Duration::from_secs(60);
    let piece = tokio::time::timeout(within, poll_fn(|context| subscription.poll_next(context)));
    piece.await.expect("something comes within a minute")
}

/// The next piece; how far a search has come is passed over.
pub async fn next(subscription: &mut Subscription) -> Next {
    let piece = loop {
        match next_piece(subscription).await {
            Piece::Event(Event::Progress(..)) => {}
            piece => break piece,
        }
    };
    match piece {
        Piece::Entries(_, segment) => {
            let mut bytes = &segment.bytes[..];
            let mut entries = Vec::new();
            while let Some((header, rest)) = bytes.split_first_chunk::<5>() {
                let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
                entries.push(LogEntry::decode(&rest[..len]).expect("an entry"));
                bytes = &rest[len..];
            }
            assert_eq!(entries.len(), segment.entries as usize);
            Next::Entries(entries)
        }
        Piece::Event(Event::CaughtUp) => Next::CaughtUp,
        Piece::Event(event) => panic!("nothing happens here, but {event:?}"),
        Piece::End(end) => Next::End(end),
    }
}

pub fn request(since: Option<i64>, until: Option<i64>) -> Request {
    let nanos = |second: i64| Nanos(second * SECOND);
    Request {
        selection: Selection::new(&[], &[], None).expect("everything"),
        filter: Filter::default(),
        shape: Shape::V1 { fields: false },
        follow: false,
        span: Span { since: since.map(nanos), until: until.map(nanos) },
        tail: None,
        resume: Vec::new(),
        limit: None,
        end: None,
        around: Around::NONE,
        gaps_in_band: false,
    }
}

/// Numbers that look random and are the same for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

pub fn timed(second: i64, text: &str) -> String {
    let time = humantime(second);
    format!("{time} {text}")
}

/// RFC 3339, of a second since the epoch.
pub fn humantime(second: i64) -> String {
    let (days, clock) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    // Howard Hinnant's civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A log as it happens: each line with the second that it is found by.
pub fn life(random: &mut Random, lines: usize) -> Vec<(i64, String)> {
    let (mut clock, mut known) = (BEGIN, BEGIN);
    let mut all = Vec::with_capacity(lines);
    for number in 0..lines {
        clock += random.below(3) as i64;
        let padding = "p".repeat(random.below(200) as usize);
        let level = ["INFO", "WARN", "ERROR"][random.below(3) as usize];
        let text = format!("{level} line {number} {padding}");
        match if number == 0 { 0 } else { random.below(40) } {
            // A continuation: it is found by the time of the line before.
            1..8 => all.push((known, format!("    at {text}"))),
            // Written late.
            8..12 => {
                known = clock - random.below(290) as i64;
                all.push((known, timed(known, &text)));
            }
            // The clock was not set yet.
            12 => {
                known = 1000 + random.below(1000) as i64;
                all.push((known, timed(known, &text)));
            }
            _ => {
                known = clock;
                all.push((known, timed(known, &text)));
            }
        }
    }
    all
}

pub fn text_of(lines: &[(i64, String)]) -> String {
    lines.iter().map(|(_, line)| format!("{line}\n")).collect()
}

pub fn expected(
    lines: &[(i64, String)],
    since: Option<i64>,
    until: Option<i64>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    let within = |time: i64| since.is_none_or(|since| since <= time) && until.is_none_or(|until| time < until);
    lines.iter().filter(|(time, line)| within(*time) && wanted(line)).map(|(_, line)| line.clone()).collect()
}

pub fn short(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.trim_end_matches('p')).collect()
}
