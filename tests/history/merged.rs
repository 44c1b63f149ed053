//! The history of several files: merged by time, and read back page by page.

use std::{
    fs::File,
    time::{Duration, UNIX_EPOCH},
};

use logtap::{
    entry::{Nanos, stream_cursor::Cursor},
    feed::open::Request,
    filter::{Filter, Spec},
};

use crate::support::{BEGIN, Logs, Next, Random, expected, life, next, request, short, text_of, timed};

/// The lines of several files in the order in which they are to come: the one with the least key first, where a key is
/// the latest time of its file so far, but no later than a day after the file's last change.
pub fn merged(files: &[Vec<(i64, String)>], mtime: i64) -> Vec<String> {
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
