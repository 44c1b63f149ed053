//! Hosts that go and come back.

use crate::{
    command::{logtap, run_logtap, start},
    fake::Fake,
};

fn numbers(bytes: &[u8]) -> Vec<u64> {
    String::from_utf8_lossy(bytes).lines().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn a_daemon_that_is_restarted_again_and_again_loses_and_repeats_nothing() {
    let mut fake = Fake::start();
    let logs = [fake.log("a", "/a"), fake.log("a", "/b"), fake.log("b", "/c")];
    let mut next = 0;
    let mut write = |fake: &Fake, count: u64| {
        for number in next..next + count {
            fake.line(logs[(number % 7 % 3) as usize], number as i64, &number.to_string());
        }
        next += count;
        next
    };
    write(&fake, 100);
    let running = start(logtap(&format!("tail {} -o raw -n all", fake.host())));
    for _ in 0..5 {
        let written = write(&fake, 37);
        running.stdout.wait_for_lines(usize::try_from(written).unwrap() - 20);
        fake.kill();
        write(&fake, 11);
        fake.restart();
        let written = write(&fake, 5);
        running.stdout.wait_for_lines(usize::try_from(written).unwrap());
    }
    let ended = running.signal("-INT");
    let mut came = numbers(&ended.stdout);
    came.sort_unstable();
    assert_eq!(came, (0..next).collect::<Vec<_>>());
    assert!(
        ended.stderr.contains("lost: ") && ended.stderr.contains("back, going on where it was"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_stream_cut_inside_a_message_goes_on_at_the_last_whole_one() {
    let fake = Fake::start();
    let logs = [fake.log("a", "/a"), fake.log("a", "/b")];
    for number in 0..500 {
        fake.line(logs[number % 2], number as i64, &number.to_string());
    }
    fake.plan(|plan| plan.cut_after = Some(100));
    let ended = run_logtap(&format!("tail {} -o raw -n all --no-follow", fake.host()));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(numbers(&ended.stdout), (0..500).collect::<Vec<_>>());
    let requests = fake.requests();
    assert!(requests.len() > 4, "{}", requests.len());
    // Each request after the first starts where the one before ended: nothing is read again to be thrown away.
    for request in &requests[1..] {
        let request = request.request.as_ref().expect("a selection");
        assert!(!request.resume.is_empty());
        assert_eq!(request.tail, None);
    }
}

#[test]
fn a_limit_is_what_is_left_of_it_after_a_cut() {
    let fake = Fake::start();
    let log = fake.log("a", "/a");
    (0..100).for_each(|number| fake.line(log, number, &number.to_string()));
    fake.plan(|plan| plan.cut_after = Some(30));
    let ended = run_logtap(&format!("tail {} -o raw -n all --limit 70", fake.host()));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(numbers(&ended.stdout), (0..70).collect::<Vec<_>>());
}

#[test]
fn ten_daemons_of_which_three_are_killed_and_come_back_are_read_exactly() {
    const LINES: u64 = 300;
    let mut fakes: Vec<Fake> = (0..10).map(|_| Fake::start()).collect();
    for fake in &fakes {
        fake.log("s", "/s");
    }
    let hosts: Vec<String> = fakes.iter().map(Fake::host).collect();
    let running = start(logtap(&format!("tail {} -o raw -n all", hosts.join(" "))));
    for line in 0..LINES {
        for (host, fake) in fakes.iter().enumerate() {
            fake.line(0, line as i64, &format!("{}", host as u64 * LINES + line));
        }
        match line {
            100 => fakes[2..5].iter_mut().for_each(Fake::kill),
            150 => fakes[2..5].iter_mut().for_each(Fake::restart),
            _ => {}
        }
    }
    running.stdout.wait_for_lines(usize::try_from(10 * LINES).unwrap());
    let ended = running.signal("-TERM");
    let came = numbers(&ended.stdout);
    assert_eq!(came.len() as u64, 10 * LINES);
    for host in 0..10 {
        let own: Vec<u64> = came.iter().copied().filter(|number| number / LINES == host).collect();
        assert_eq!(own, (host * LINES..(host + 1) * LINES).collect::<Vec<_>>(), "host {host}");
    }
}

#[test]
fn a_follower_whose_stream_just_ends_resumes_it() {
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    (0..5).for_each(|number| fake.line(log, number, &number.to_string()));
    fake.plan(|plan| plan.ends_early = true);
    let running = start(logtap(&format!("tail {} -o raw -n all", fake.host())));
    running.stderr.wait_for("the stream ended without a reason");
    fake.plan(|plan| plan.ends_early = false);
    fake.line(log, 5, "5");
    assert_eq!(numbers(&running.stdout.wait_for_lines(6)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_host_that_comes_late_joins_the_others() {
    let early = Fake::start();
    let log = early.log("s", "/s");
    early.line(log, 1, "1");
    let mut late = Fake::start();
    let log = late.log("s", "/s");
    late.line(log, 0, "0");
    late.kill();
    let running = start(logtap(&format!("tail {} {} -o raw", early.host(), late.host())));
    running.stderr.wait_for("trying on");
    running.stdout.wait_for_lines(1);
    late.restart();
    assert_eq!(numbers(&running.stdout.wait_for_lines(2)), [1, 0]);
}
