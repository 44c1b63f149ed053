//! What is asked for by time.

use std::{
    fs::File,
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use logtap::{
    feed::{open::Request, subscription::End},
    filter::{Filter, Spec},
};

use crate::support::{BEGIN, Logs, Next, Random, expected, life, next, request, short, text_of, timed};

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
