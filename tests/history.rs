//! The past of real files: what is asked for by time, count or filter is what a plain look at all lines would find.

use std::{
    fs::{self, File},
    future::poll_fn,
    io::Write as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use logtap::{
    entry::{Nanos, encode::Shape, stream_cursor::Cursor},
    feed::{
        Feed,
        event::Event,
        open::{self, Request, Selection},
        seek::Span,
        subscription::{End, Piece, Subscription},
    },
    filter::{Filter, Spec},
    parse::{Rules, RulesSpec},
    proto::v1::LogEntry,
    telemetry::Telemetry,
    watch::{Catalogue, Pattern, Settings, Source, catalogue::Scope, events::Hints},
};
use prost::Message as _;
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;
/// 2026-01-01T00:00:00Z, in seconds.
const BEGIN: i64 = 1_767_225_600;

/// Log files in a directory, and a feed over them.
struct Logs {
    dir: TempDir,
    catalogue: Arc<Catalogue>,
    feed: Arc<Feed>,
}

impl Logs {
    fn new(cache: usize, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("a file");
        }
        let rules = Rules::new(&RulesSpec { timezone: "UTC".to_owned(), ..RulesSpec::default() }).expect("rules");
        let glob = dir.path().join("*.log");
        let settings = Settings {
            patterns: vec![Pattern::new(glob.to_str().expect("a text")).expect("a glob")],
            exclude: Vec::new(),
            rules: Arc::new(rules),
            line_max: 1 << 20,
            archives: true,
        };
        let telemetry = Arc::new(Telemetry::new());
        let catalogue =
            Arc::new(Catalogue::new(vec![Arc::new(Source::new("app".to_owned(), settings))], telemetry.clone()));
        catalogue.scan(&Scope::All);
        let feed = Feed::new(catalogue.clone(), Hints::new(telemetry.clone()), telemetry, cache);
        Self { dir, catalogue, feed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds to a file, and tells those who wait.
    fn append(&self, name: &str, text: &str) {
        let mut file = File::options().append(true).open(self.path(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("room");
        for file in self.catalogue.files() {
            file.check_blocking().expect("readable");
            file.wake();
        }
    }

    async fn open(&self, request: Request) -> Subscription {
        open::open(&self.feed, request).await.expect("opened").0
    }

    /// The messages of a request that ends, in the order in which they come.
    async fn get(&self, request: Request) -> Vec<String> {
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

enum Next {
    Entries(Vec<LogEntry>),
    CaughtUp,
    End(End),
}

async fn next(subscription: &mut Subscription) -> Next {
    let within = Duration::from_secs(60);
    let piece = tokio::time::timeout(within, poll_fn(|context| subscription.poll_next(context)));
    match piece.await.expect("something comes within a minute") {
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

fn request(since: Option<i64>, until: Option<i64>) -> Request {
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
        gaps_in_band: false,
    }
}

/// Numbers that look random and are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn timed(second: i64, text: &str) -> String {
    let time = humantime(second);
    format!("{time} {text}")
}

/// RFC 3339, of a second since the epoch.
fn humantime(second: i64) -> String {
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
fn life(random: &mut Random, lines: usize) -> Vec<(i64, String)> {
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

fn text_of(lines: &[(i64, String)]) -> String {
    lines.iter().map(|(_, line)| format!("{line}\n")).collect()
}

fn expected(
    lines: &[(i64, String)],
    since: Option<i64>,
    until: Option<i64>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    let within = |time: i64| since.is_none_or(|since| since <= time) && until.is_none_or(|until| time < until);
    lines.iter().filter(|(time, line)| within(*time) && wanted(line)).map(|(_, line)| line.clone()).collect()
}

fn short(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.trim_end_matches('p')).collect()
}

#[tokio::test]
async fn since_and_until_find_what_a_look_at_every_line_finds() {
    for seed in 1..4 {
        let mut random = Random(seed);
        let lines = life(&mut random, 12_000);
        let logs = Logs::new([0, 64 << 20][seed as usize % 2], &[("a.log", &text_of(&lines))]);
        for _ in 0..12 {
            let mut second = || Some(BEGIN - 600 + random.below(14_000) as i64).filter(|second| second % 7 > 0);
            let (since, until) = (second(), second());
            // Lines of 1970 behind `until` stand too far from their time to be found.
            let since = if until.is_some() { since.or(Some(BEGIN - 1_000)) } else { since };
            if since.zip(until).is_some_and(|(since, until)| since >= until) {
                continue;
            }
            println!("seed {seed}, since {since:?}, until {until:?}");
            let got = logs.get(request(since, until)).await;
            assert_eq!(short(&got), short(&expected(&lines, since, until, |_| true)));
        }
    }
}

#[tokio::test]
async fn tail_limit_and_filters_count_what_is_in_time() {
    let mut random = Random(7);
    let lines = life(&mut random, 8_000);
    let logs = Logs::new(64 << 20, &[("a.log", &text_of(&lines))]);
    let errors = Filter::new(&Spec { include: vec!["ERROR".to_owned()], ..Spec::default() }).expect("a filter");
    for (since, until) in [
        (Some(BEGIN + 3_000), Some(BEGIN + 5_000)),
        (Some(BEGIN - 1_000), Some(BEGIN + 2_000)),
        (Some(BEGIN + 7_000), None),
    ] {
        let of_time = request(since, until);
        let all = expected(&lines, since, until, |line| line.contains("ERROR"));
        for count in [0, 1, 10, 300, 1_000_000] {
            let kept = (count as usize).min(all.len());
            let tail = Request { tail: Some(count), filter: errors.clone(), ..of_time.clone() };
            assert_eq!(short(&logs.get(tail).await), short(&all[all.len() - kept..]), "tail {count}");
            let limit = Request { limit: Some(count), filter: errors.clone(), ..of_time.clone() };
            assert_eq!(short(&logs.get(limit).await), short(&all[..kept]), "limit {count}");
        }
    }
}

#[tokio::test]
async fn a_time_in_the_future_finds_nothing_and_ends() {
    let logs = Logs::new(1 << 20, &[("a.log", &text_of(&life(&mut Random(3), 100))), ("empty.log", "")]);
    let nothing: Vec<String> = Vec::new();
    for (since, until) in [(Some(BEGIN * 2), None), (Some(BEGIN * 2), Some(BEGIN * 3)), (None, Some(1))] {
        assert_eq!(logs.get(request(since, until)).await, nothing);
        assert_eq!(logs.get(Request { tail: Some(5), ..request(since, until) }).await, nothing);
    }
}

#[tokio::test]
async fn a_last_line_without_a_newline_is_judged_by_its_time_too() {
    let text = format!("{}\n{}", timed(BEGIN, "one"), timed(BEGIN + 10, "two"));
    let logs = Logs::new(1 << 20, &[("a.log", &text)]);
    let (one, two) = (timed(BEGIN, "one"), timed(BEGIN + 10, "two"));
    for request in [request(Some(BEGIN + 5), None), Request { tail: Some(1), ..request(Some(BEGIN), None) }] {
        assert_eq!(logs.get(request).await, [two.as_str()]);
    }
    for request in [request(None, Some(BEGIN + 10)), Request { tail: Some(1), ..request(None, Some(BEGIN + 10)) }] {
        assert_eq!(logs.get(request).await, [one.as_str()]);
    }
}

#[tokio::test]
async fn a_stream_that_follows_begins_with_its_backlog_and_goes_on_live() {
    let lines = life(&mut Random(5), 3_000);
    let logs = Logs::new(1 << 20, &[("a.log", &text_of(&lines))]);
    let since = Some(BEGIN + 2_000);
    let mut subscription = logs.open(Request { follow: true, ..request(since, None) }).await;
    let mut got = Vec::new();
    while let Next::Entries(entries) = next(&mut subscription).await {
        got.extend(entries.into_iter().map(|entry| entry.message));
    }
    assert_eq!(short(&got), short(&expected(&lines, since, None, |_| true)));
    logs.append("a.log", &format!("{}\n{}\n", timed(BEGIN + 1_000, "too early"), timed(BEGIN + 9_000, "live")));
    let Next::Entries(live) = next(&mut subscription).await else { panic!("an entry") };
    assert_eq!(live[0].message, timed(BEGIN + 9_000, "live"));
}

#[tokio::test]
async fn a_stream_that_follows_ends_once_the_clock_has_passed_until() {
    let lines = life(&mut Random(6), 100);
    let logs = Logs::new(1 << 20, &[("a.log", &text_of(&lines))]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let mut subscription = logs.open(Request { follow: true, ..request(Some(now - 5), Some(now + 2)) }).await;
    assert!(matches!(next(&mut subscription).await, Next::CaughtUp));
    // Nobody is told of these lines: they are found when the files are looked at for the last time.
    let text = format!("{}\n{}\n", timed(now, "in time"), timed(now + 2, "too late"));
    File::options().append(true).open(logs.path("a.log")).expect("a file").write_all(text.as_bytes()).expect("room");
    let Next::Entries(entries) = next(&mut subscription).await else { panic!("an entry") };
    assert_eq!(entries.iter().map(|entry| &entry.message).collect::<Vec<_>>(), [&timed(now, "in time")]);
    assert!(matches!(next(&mut subscription).await, Next::End(End::Done)));
    let over = logs.open(Request { follow: true, ..request(Some(BEGIN), Some(BEGIN + 50)) });
    let (mut over, mut got, mut caught_up) = (over.await, Vec::new(), false);
    loop {
        match next(&mut over).await {
            Next::Entries(entries) => got.extend(entries.into_iter().map(|entry| entry.message)),
            Next::CaughtUp => caught_up = true,
            Next::End(end) => break assert_eq!((end, caught_up), (End::Done, true)),
        }
    }
    assert_eq!(short(&got), short(&expected(&lines, Some(BEGIN), Some(BEGIN + 50), |_| true)));
}

/// The lines of several files in the order in which they are to come: the one with the least key first, where a key is
/// the latest time of its file so far, but no later than a day after the file's last change.
fn merged(files: &[Vec<(i64, String)>], mtime: i64) -> Vec<String> {
    let mut next = vec![0; files.len()];
    let mut keys = vec![i64::MIN; files.len()];
    let mut all = Vec::new();
    loop {
        let left = (0..files.len()).filter(|file| next[*file] < files[*file].len());
        let key = |file: usize| keys[file].max(files[file][next[file]].0.min(mtime + 86_400));
        let Some(file) = left.min_by_key(|file| (key(*file), *file)) else { return all };
        keys[file] = key(file);
        all.push(files[file][next[file]].1.clone());
        next[file] += 1;
    }
}

/// Several lives at once, named so that the order of their paths is theirs.
fn lives(random: &mut Random, files: usize, lines: usize) -> Vec<Vec<(i64, String)>> {
    (0..files)
        .map(|file| {
            let count = random.below(lines as u64 + 1) as usize;
            let mut life = life(random, count);
            if file == 1 && count > 10 {
                let far = 4_070_908_800;
                life[count / 2] = (far, timed(far, "from the year 2099"));
            }
            // What follows a line of another time without one of its own is found by that.
            for at in 1..life.len() {
                if life[at].1.starts_with(' ') {
                    life[at].0 = life[at - 1].0;
                }
                life[at].1 = life[at].1.replacen("line", &format!("of {file} line"), 1);
            }
            life
        })
        .collect()
}

fn several(cache: usize, lives: &[Vec<(i64, String)>], mtime: i64) -> Logs {
    let texts: Vec<_> = lives.iter().enumerate().map(|(n, life)| (format!("{n:02}.log"), text_of(life))).collect();
    let files: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let logs = Logs::new(cache, &files);
    for (name, _) in &files {
        let time = UNIX_EPOCH + Duration::from_secs(mtime as u64);
        File::options().append(true).open(logs.path(name)).expect("a file").set_modified(time).expect("owned");
    }
    logs
}

#[tokio::test]
async fn several_files_come_in_the_order_of_time() {
    for seed in 1..7 {
        let mut random = Random(seed);
        let count = 2 + random.below(6) as usize;
        // Without a cache every run of lines is read anew, so those files are short.
        let (cache, lines) = [(0, 150), (64 << 20, 2_000)][seed as usize % 2];
        let lives = lives(&mut random, count, lines);
        let mtime = BEGIN + 100_000;
        println!("seed {seed}, {count} files");
        let logs = several(cache, &lives, mtime);
        let all = merged(&lives, mtime);
        assert_eq!(short(&logs.get(request(None, None)).await), short(&all));
        let limit = Request { limit: Some(777), ..request(None, None) };
        assert_eq!(short(&logs.get(limit).await), short(&all[..all.len().min(777)]));
        let tail = Request { tail: Some(u64::MAX), follow: false, ..request(None, None) };
        assert_eq!(short(&logs.get(tail).await), short(&all));

        let errors = Filter::new(&Spec { include: vec!["ERROR of".to_owned()], ..Spec::default() });
        let (since, until) = (BEGIN + 300, BEGIN + 1_500);
        let chosen: Vec<Vec<_>> = lives
            .iter()
            .map(|life| {
                life.iter()
                    .filter(|(time, line)| (since..until).contains(time) && line.contains("ERROR of"))
                    .cloned()
                    .collect()
            })
            .collect();
        let filtered = Request { filter: errors.expect("a filter"), ..request(Some(since), Some(until)) };
        assert_eq!(short(&logs.get(filtered).await), short(&merged(&chosen, mtime)));
    }
}

#[tokio::test]
async fn a_backlog_of_several_files_goes_over_into_live_without_loss_or_repetition() {
    for seed in 1..5 {
        let mut random = Random(seed);
        let mut lives = lives(&mut random, 3, 1_500);
        println!("seed {seed}");
        let logs = several(64 << 20, &lives, BEGIN + 100_000);
        let all = Request { tail: Some(u64::MAX), follow: true, ..request(None, None) };
        let mut subscription = logs.open(all).await;
        let (mut got, mut caught_up, mut added) = (Vec::new(), false, 0);
        while got.len() < lives.iter().map(Vec::len).sum() || added < 40 || !caught_up {
            if added < 40 {
                let (file, text) = (random.below(3) as usize, format!("added {added}"));
                let line = timed(BEGIN + 20_000 + added, &text);
                logs.append(&format!("{file:02}.log"), &format!("{line}\n"));
                lives[file].push((BEGIN + 20_000 + added, line));
                added += 1;
            }
            match next(&mut subscription).await {
                Next::Entries(entries) => got.extend(entries.into_iter().map(|entry| (entry.path, entry.message))),
                Next::CaughtUp => assert!(!std::mem::replace(&mut caught_up, true), "said once"),
                Next::End(end) => panic!("it follows, but ended: {end:?}"),
            }
        }
        for (file, life) in lives.iter().enumerate() {
            let path = logs.path(&format!("{file:02}.log")).display().to_string();
            let of_file: Vec<_> = got.iter().filter(|(from, _)| *from == path).map(|(_, line)| line.clone()).collect();
            assert_eq!(short(&of_file), short(&expected(life, None, None, |_| true)), "file {file}");
        }
    }
}

/// Each page ends where the one after it begins, by the cursor of its start: nothing is left out, nothing comes twice.
#[tokio::test]
async fn paging_back_gives_the_whole_history_once() {
    for seed in 1..5 {
        let mut random = Random(seed);
        let lives = lives(&mut random, 3, 400);
        let size = 1 + random.below(90);
        println!("seed {seed}, pages of {size}");
        let logs = several(64 << 20, &lives, BEGIN + 100_000);
        let mut all: Vec<String> = lives.iter().flatten().map(|(_, line)| line.clone()).collect();
        let (mut end, mut pages) = (None, Vec::new());
        loop {
            let mut page = logs.open(Request { tail: Some(size), end, ..request(None, None) }).await;
            let mut got = Vec::new();
            while let Next::Entries(entries) = next(&mut page).await {
                got.extend(entries.into_iter().map(|entry| entry.message));
            }
            if got.is_empty() {
                break;
            }
            assert!(got.len() as u64 <= size);
            end = Some(Cursor::decode(&page.start_cursor(Nanos(0))).expect("its own cursor"));
            pages.extend(got);
        }
        all.sort();
        pages.sort();
        assert_eq!(short(&pages), short(&all));
    }
}
