//! What stands around matches, against a plain look at all lines.

use logtap::{
    entry::{Nanos, stream_cursor::Cursor},
    feed::{around::Around, open::Request, subscription::Subscription},
    filter::{Filter, Spec},
};

use crate::support::{BEGIN, Logs, Next, Random, next, request, timed};

/// The bit of an entry that does not match itself.
const CONTEXT: u32 = 32;

/// One line: its second, its text, and whether it matches.
type Line = (i64, String, bool);
/// What came of a line: its text without the padding, and whether it is context.
type Got = (String, bool);

/// A log in which about one line of `rare` matches, with some lines that fill a cell or several.
fn lines(random: &mut Random, count: usize, rare: u64) -> Vec<Line> {
    (0..count)
        .map(|number| {
            let hit = random.below(rare) == 0;
            let padding = match random.below(60) {
                0 => 40_000,
                1..4 => 3_000,
                _ => random.below(120),
            };
            let what = if hit { "hit" } else { "miss" };
            let text = timed(BEGIN + number as i64, &format!("{what} {number} {}", "p".repeat(padding as usize)));
            (BEGIN + number as i64, text, hit)
        })
        .collect()
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|(_, text, _)| format!("{text}\n")).collect()
}

fn hits() -> Filter {
    Filter::new(&Spec { include: vec![" hit ".to_owned()], ..Spec::default() }).expect("a filter")
}

fn short(text: &str) -> String {
    text.trim_end_matches('p').to_owned()
}

/// What is to come of some lines: each match, and those that stand near enough.
fn expected(lines: &[Line], around: Around) -> Vec<Got> {
    let near = |at: usize| {
        let from = at.saturating_sub(around.after as usize);
        let to = (at + around.before as usize).min(lines.len() - 1);
        (from..=to).any(|other| lines[other].2)
    };
    let kept = (0..lines.len()).filter(|at| near(*at));
    kept.map(|at| (short(&lines[at].1), !lines[at].2)).collect()
}

/// The same of the first `limit` matches: what follows the last of them ends at the next one.
fn first(lines: &[Line], around: Around, limit: usize) -> Vec<Got> {
    let hits: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].2).collect();
    let Some(last) = limit.checked_sub(1) else { return Vec::new() };
    let end = hits.get(last + 1).copied().unwrap_or(lines.len());
    let mut kept = expected(&lines[..end], around);
    if last + 1 < hits.len() {
        // Nothing stands before a match that does not come.
        let follows = hits[last] + around.after as usize;
        let dropped = (hits[last] + 1..end).filter(|at| *at <= follows).count();
        kept = expected(&lines[..=hits[last]], around);
        kept.extend((0..dropped).map(|nth| (short(&lines[hits[last] + 1 + nth].1), true)));
    }
    kept
}

/// The same of the last `count` matches: what stands before the first of them begins behind the one before.
fn last(lines: &[Line], around: Around, count: usize) -> Vec<Got> {
    let hits: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].2).collect();
    let skipped = hits.len().saturating_sub(count);
    if hits.len() == skipped {
        return Vec::new();
    }
    let floor = if skipped == 0 { 0 } else { hits[skipped - 1] + 1 };
    let from = floor.max(hits[skipped].saturating_sub(around.before as usize));
    expected(&lines[from..], around)
}

fn with(around: Around, filter: Filter) -> Request {
    Request { around, filter, ..request(None, None) }
}

/// Everything that comes, piece by piece, each with the cursor of the stream behind it and that of its last entry.
async fn pieces(subscription: &mut Subscription) -> Vec<(Vec<Got>, Cursor, Cursor)> {
    let mut all = Vec::new();
    loop {
        match next(subscription).await {
            Next::Entries(entries) => {
                let whole = Cursor::decode(&subscription.cursor(Nanos(0), None).encode()).expect("its own cursor");
                let last = &entries.last().expect("an entry").cursor;
                let entry = Cursor::decode(last).expect("its own cursor");
                let got = entries.iter().map(|entry| (short(&entry.message), entry.flags & CONTEXT != 0));
                all.push((got.collect(), whole, entry));
            }
            Next::CaughtUp => {}
            Next::End(_) => return all,
        }
    }
}

async fn get(logs: &Logs, request: Request) -> Vec<Got> {
    pieces(&mut logs.open(request).await).await.into_iter().flat_map(|(got, ..)| got).collect()
}

/// A few widths, with those among them that reach over several cells.
fn widths(random: &mut Random) -> Around {
    let mut width = || [0, 1, 2, 7, 40, 1000][random.below(6) as usize];
    Around { before: width(), after: width() }
}

#[tokio::test]
async fn matches_come_with_what_stands_around_them() {
    for seed in 1..10 {
        let mut random = Random(seed);
        let rare = [3, 30, 400][seed as usize % 3];
        let lines = lines(&mut random, 400, rare);
        let cache = [0, 1024, 64 << 20][seed as usize / 3 % 3];
        let logs = Logs::new(cache, &[("a.log", &text_of(&lines))]);
        let hit_count = lines.iter().filter(|line| line.2).count();
        for _ in 0..2 {
            let around = widths(&mut random);
            println!("seed {seed}, one of {rare}, {around:?}");
            assert_eq!(get(&logs, with(around, hits())).await, expected(&lines, around));
            let count = random.below(hit_count as u64 + 2) as usize;
            let limited = Request { limit: Some(count as u64), ..with(around, hits()) };
            assert_eq!(get(&logs, limited).await, first(&lines, around, count), "limit {count}");
            let tail = Request { tail: Some(count as u64), ..with(around, hits()) };
            assert_eq!(get(&logs, tail).await, last(&lines, around, count), "tail {count}");
            let (since, until) = (BEGIN + 100, BEGIN + 300);
            let within: Vec<Line> = lines.iter().filter(|line| since <= line.0 && line.0 < until).cloned().collect();
            let timed = Request { around, filter: hits(), ..request(Some(since), Some(until)) };
            assert_eq!(get(&logs, timed).await, expected(&within, around));
        }
    }
}

#[tokio::test]
async fn who_comes_back_with_a_cursor_gets_the_rest_of_it() {
    for seed in 1..7 {
        let mut random = Random(seed);
        let lines = lines(&mut random, 400, [4, 40][seed as usize % 2]);
        let logs = Logs::new([0, 64 << 20][seed as usize % 2], &[("a.log", &text_of(&lines))]);
        let around = widths(&mut random);
        println!("seed {seed}, {around:?}");
        let all = expected(&lines, around);
        let pieces = pieces(&mut logs.open(with(around, hits())).await).await;
        let mut seen = Vec::new();
        for (got, whole, entry) in pieces {
            seen.extend(got);
            for cursor in [whole, entry] {
                let rest = get(&logs, Request { resume: vec![cursor], ..with(around, hits()) }).await;
                assert_eq!([seen.clone(), rest].concat(), all, "after {} entries", seen.len());
            }
        }
    }
}

#[tokio::test]
async fn several_files_are_merged_with_what_stands_around_their_matches() {
    for seed in 1..5 {
        let mut random = Random(seed);
        let files: Vec<Vec<Line>> = (0..3).map(|_| lines(&mut random, 300, 12)).collect();
        let texts: Vec<String> = files.iter().map(|lines| text_of(lines)).collect();
        let logs = Logs::new(
            [0, 64 << 20][seed as usize % 2],
            &[("0.log", &texts[0]), ("1.log", &texts[1]), ("2.log", &texts[2])],
        );
        let around = widths(&mut random);
        println!("seed {seed}, {around:?}");
        // Every second has a line in each file, so entries are in order by second and then by file.
        let mut all: Vec<(i64, usize, Got)> = Vec::new();
        for (file, lines) in files.iter().enumerate() {
            let times = lines.iter().map(|line| (short(&line.1), line.0)).collect::<std::collections::HashMap<_, _>>();
            all.extend(expected(lines, around).into_iter().map(|got| (times[&got.0], file, got)));
        }
        all.sort_by_key(|(time, file, _)| (*time, *file));
        let all: Vec<Got> = all.into_iter().map(|(.., got)| got).collect();
        assert_eq!(get(&logs, with(around, hits())).await, all);
    }
}

#[tokio::test]
async fn context_comes_live_once_it_is_written() {
    for seed in 1..9 {
        let mut random = Random(seed);
        let lines = lines(&mut random, 300, 10);
        let (old, new) = lines.split_at(100);
        let logs = Logs::new([0, 64 << 20][seed as usize % 2], &[("a.log", &text_of(old))]);
        let around = widths(&mut random);
        println!("seed {seed}, {around:?}");
        let all = Request { tail: Some(u64::MAX), follow: true, ..with(around, hits()) };
        let mut subscription = logs.open(all).await;
        let (mut got, mut written): (Vec<Got>, _) = (Vec::new(), 0);
        while written < new.len() {
            let some = 1 + random.below(20) as usize;
            let part = &new[written..new.len().min(written + some)];
            logs.append("a.log", &text_of(part));
            written += part.len();
            // All that is known to go out by now, and no more.
            let known = expected(&lines[..100 + written], around);
            while got.len() < known.len() {
                match next(&mut subscription).await {
                    Next::Entries(entries) => {
                        got.extend(entries.iter().map(|entry| (short(&entry.message), entry.flags & CONTEXT != 0)));
                    }
                    Next::CaughtUp => {}
                    Next::End(end) => panic!("it follows, but ended: {end:?}"),
                }
            }
            assert_eq!(got, known);
        }
        // What waits for a match that may come is not lost to who comes back.
        let cursor = Cursor::decode(&subscription.cursor(Nanos(0), None).encode()).expect("its own cursor");
        drop(subscription);
        let more: Vec<Line> = (300..310)
            .map(|number| (BEGIN + number, timed(BEGIN + number, &format!("miss {number} ")), false))
            .chain([(BEGIN + 310, timed(BEGIN + 310, "hit 310 "), true)])
            .collect();
        logs.append("a.log", &text_of(&more));
        let rest = get(&logs, Request { resume: vec![cursor], ..with(around, hits()) }).await;
        assert_eq!([got, rest].concat(), expected(&[lines, more].concat(), around));
    }
}

#[tokio::test]
async fn a_limited_stream_ends_behind_what_follows_its_last_match() {
    let line = |number: i64, what: &str| timed(BEGIN + number, &format!("{what} {number}"));
    for (after, written, expected) in [
        (2, vec!["hit", "miss", "miss"], vec![false, true, true]),
        (2, vec!["hit", "miss", "hit"], vec![false, true]),
        (0, vec!["miss", "hit"], vec![false]),
    ] {
        let logs = Logs::new(1 << 20, &[("a.log", "")]);
        let around = Around { before: 0, after };
        let request = Request { follow: true, limit: Some(1), ..with(around, hits()) };
        let mut subscription = logs.open(request).await;
        assert!(matches!(next(&mut subscription).await, Next::CaughtUp));
        for (number, what) in written.iter().enumerate() {
            logs.append("a.log", &format!("{}\n", line(number as i64, what)));
        }
        let got: Vec<bool> =
            pieces(&mut subscription).await.into_iter().flat_map(|(got, ..)| got).map(|(_, context)| context).collect();
        assert_eq!(got, expected);
    }
}

#[tokio::test]
async fn a_last_line_without_a_newline_is_a_match_or_stands_near_one() {
    let before = [timed(BEGIN, "miss 0"), timed(BEGIN + 1, "miss 1")].join("\n");
    let around = Around { before: 1, after: 1 };
    for (end, expected) in [
        (timed(BEGIN + 2, "hit 2"), vec![("miss 1", true), ("hit 2", false)]),
        (format!("{}\nlast", timed(BEGIN + 2, "hit 2")), vec![("miss 1", true), ("hit 2", false), ("last", true)]),
        (timed(BEGIN + 2, "miss 2"), vec![]),
    ] {
        let logs = Logs::new(1 << 20, &[("a.log", &format!("{before}\n{end}"))]);
        let hits = Filter::new(&Spec { include: vec!["hit".to_owned()], ..Spec::default() }).expect("a filter");
        let got = get(&logs, with(around, hits)).await;
        let got: Vec<_> =
            got.iter().map(|(text, context)| (text.rsplit("Z ").next().expect("a part"), *context)).collect();
        assert_eq!(got, expected);
    }
}
