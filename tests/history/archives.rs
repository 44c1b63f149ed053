//! A log whose past was rotated and compressed: asked for by time, count, filter and page it is one log.

use std::{
    fs::File,
    io::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use logtap::{
    entry::{Nanos, stream_cursor::Cursor},
    feed::open::Request,
    filter::{Filter, Spec},
    watch::catalogue::Scope,
};

use crate::support::{BEGIN, Logs, Next, Random, expected, life, next, request, short, text_of, timed};

type Line = (i64, String);

/// Several files' worth of lines, the times of which do not overlap.
fn parts(random: &mut Random, count: usize, lines: usize) -> Vec<Vec<Line>> {
    let mut shift = 0;
    let mut all = Vec::new();
    for part in 0..count {
        let mut lines = life(random, lines);
        // What tells no right time is of no day.
        lines.retain(|(time, _)| *time > BEGIN - 1_000);
        for (time, line) in &mut lines {
            let text = line.split_once('Z').map_or(line.as_str(), |(_, text)| text.trim_start());
            let text = text.replacen("line", &format!("of {part} line"), 1);
            *line = if line.starts_with(' ') { text } else { timed(*time + shift, &text) };
            *time += shift;
        }
        // What follows a line of another time without one of its own is found by that.
        for at in 1..lines.len() {
            if lines[at].1.starts_with(' ') {
                lines[at].0 = lines[at - 1].0;
            }
        }
        shift = lines.iter().map(|line| line.0).max().unwrap_or(BEGIN) - BEGIN + 1_000;
        all.push(lines);
    }
    all
}

/// The parts as a log, the last one live, the others rotated, every second of them compressed.
fn rotated(cache: usize, parts: &[Vec<Line>]) -> Logs {
    let logs = Logs::new(cache, &[]);
    let last = parts.len() - 1;
    for (part, lines) in parts.iter().enumerate() {
        let text = text_of(lines);
        let name = match last - part {
            0 => "a.log".to_owned(),
            age if age % 2 == 0 => format!("a.log.{age}.gz"),
            age => format!("a.log.{age}"),
        };
        let path = logs.path(&name);
        let mut file = File::create(&path).expect("a file");
        if name.ends_with(".gz") {
            let mut encoder = GzEncoder::new(&mut file, Compression::fast());
            encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish().map(drop)).expect("room");
        } else {
            file.write_all(text.as_bytes()).expect("room");
        }
        let changed = lines.iter().map(|line| line.0).max().expect("lines");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(changed as u64)).expect("owned");
    }
    logs.catalogue.scan(&Scope::All);
    logs
}

fn errors() -> Filter {
    Filter::new(&Spec { include: vec!["ERROR of".to_owned()], ..Spec::default() }).expect("a filter")
}

#[tokio::test]
async fn the_past_of_a_log_is_one_with_it() {
    for seed in 1..4 {
        let mut random = Random(seed);
        let parts = parts(&mut random, 5, 700);
        let logs = rotated([0, 1024, 64 << 20][seed as usize % 3], &parts);
        let lines: Vec<Line> = parts.concat();
        println!("seed {seed}");
        let all = || Some(BEGIN - 1_000);
        let every = expected(&lines, all(), None, |_| true);
        assert_eq!(short(&logs.get(request(all(), None)).await), short(&every));
        let last = lines.iter().map(|line| line.0).max().expect("lines");
        for _ in 0..6 {
            let mut second = || BEGIN - 100 + random.below((last - BEGIN + 200) as u64) as i64;
            let (one, other) = (second(), second());
            let (since, until) = (Some(one.min(other)), Some(one.max(other) + 1));
            let got = logs.get(request(since, until)).await;
            assert_eq!(short(&got), short(&expected(&lines, since, until, |_| true)), "{since:?} {until:?}");
            let filtered = Request { filter: errors(), ..request(since, until) };
            let wanted = expected(&lines, since, until, |line| line.contains("ERROR of"));
            assert_eq!(short(&logs.get(filtered.clone()).await), short(&wanted), "errors of {since:?} {until:?}");
            let count = random.below(60);
            let tail = Request { tail: Some(count), ..filtered };
            let kept = wanted.len().saturating_sub(count as usize);
            assert_eq!(short(&logs.get(tail).await), short(&wanted[kept..]), "tail {count}");
        }
        for count in [1, 100, 900, 2_000] {
            let tail = Request { tail: Some(count as u64), filter: errors(), ..request(None, None) };
            let wanted = expected(&lines, None, None, |line| line.contains("ERROR of"));
            let kept = wanted.len().saturating_sub(count);
            assert_eq!(short(&logs.get(tail).await), short(&wanted[kept..]), "tail {count}");
        }
    }
}

#[tokio::test]
async fn paging_back_goes_on_in_what_was_rotated_and_compressed() {
    for seed in 1..4 {
        let mut random = Random(seed);
        let parts = parts(&mut random, 4, 150);
        let logs = rotated([64 << 20, 0][seed as usize % 2], &parts);
        let size = 20 + random.below(150);
        println!("seed {seed}, pages of {size}");
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
            pages.push(got);
        }
        pages.reverse();
        let lines: Vec<Line> = parts.concat();
        assert_eq!(short(&pages.concat()), short(&expected(&lines, None, None, |_| true)));
    }
}

/// More files at once than the cache has cells for.
#[tokio::test]
async fn very_many_files_are_merged_without_reading_them_over_and_over() {
    let files = 1_100;
    let texts: Vec<_> = (0..files)
        .map(|file| {
            let lines =
                (0..30).map(|number| timed(BEGIN + number * files + file, &format!("of {file} {}\n", "p".repeat(400))));
            (format!("{file:04}.log"), lines.collect::<String>())
        })
        .collect();
    let named: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let logs = Logs::new(64 << 20, &named);
    let mut subscription = logs.open(request(None, None)).await;
    let (mut count, mut last) = (0, String::new());
    while let Next::Entries(entries) = next(&mut subscription).await {
        for entry in entries {
            assert!(last < entry.message, "{last} comes before {}", entry.message);
            (last, count) = (entry.message, count + 1);
        }
    }
    assert_eq!(count, 30 * files);
    // Two cells of each file, since each is a little longer than its share of what is read ahead.
    assert_eq!(logs.telemetry().reads.get(), 2 * files as u64);
}
