//! The program against itself: `logtap tail` and `logtap serve`, real files, real sockets.

use std::{collections::BTreeMap, fs};

use crate::{
    command::{logtap, run, run_logtap, start},
    served::Served,
};

fn numbers(bytes: &[u8]) -> Vec<u64> {
    String::from_utf8_lossy(bytes).lines().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn raw_output_of_a_real_daemon_is_the_file() {
    let daemon = Served::one_file();
    let seed = 11;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let bytes: Vec<u8> =
        std::iter::repeat_with(|| if random.u8(..20) == 0 { b'\n' } else { random.u8(..) }).take(1 << 20).collect();
    daemon.write(&bytes);
    let ended = run_logtap(&format!("tail {} -o raw --no-follow -n all --stats", daemon.host()));
    assert!(ended.stdout == bytes, "{} bytes of {}", ended.stdout.len(), bytes.len());
    assert!(ended.code == Some(0) && ended.stderr.contains(" verified"), "{}", ended.stderr);
}

/// A second of the day, as the beginning of a line.
fn time(second: u64) -> String {
    format!("2026-11-25T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[test]
fn ten_daemons_on_ten_ports_of_which_three_are_killed_and_come_back_are_merged_exactly() {
    const HISTORY: u64 = 200;
    const LINES: u64 = 3000;
    let mut daemons: Vec<Served> = (0..10).map(|_| Served::one_file()).collect();
    let line = |host: u64, line: u64| format!("{} {host} {line}\n", time(line * 10 + host));
    let write = |host: usize, number: u64, daemons: &[Served]| {
        daemons[host].write(line(host as u64, number).as_bytes());
    };
    for number in 0..HISTORY {
        (0..10).for_each(|host| write(host, number, &daemons));
    }
    let hosts: Vec<&str> = daemons.iter().map(Served::host).collect();
    let running = start(logtap(&format!("tail {} -o raw -n all", hosts.join(" "))));
    let history = running.stdout.wait_for_lines(10 * usize::try_from(HISTORY).unwrap());
    let expected: String = (0..10 * HISTORY).map(|second| line(second % 10, second / 10)).collect();
    assert_eq!(String::from_utf8_lossy(&history), expected, "history comes in the order of time over all hosts");

    for number in HISTORY..LINES {
        (0..10).for_each(|host| write(host, number, &daemons));
        match number {
            1000 => daemons[2..5].iter_mut().for_each(Served::kill),
            2000 => daemons[2..5].iter_mut().for_each(Served::restart),
            _ => {}
        }
    }
    running.stdout.wait_for_lines(10 * usize::try_from(LINES).unwrap());
    let ended = running.signal("-TERM");
    let mut came: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let text = String::from_utf8_lossy(&ended.stdout);
    for line in text.split_inclusive('\n') {
        came.entry(line.split(' ').nth(1).expect("a host")).or_default().push(line);
    }
    assert_eq!(came.len(), 10, "{}", ended.stderr);
    for (host, daemon) in daemons.iter().enumerate() {
        let file = fs::read_to_string(daemon.path("app.log")).expect("the log");
        assert!(came[host.to_string().as_str()].concat() == file, "host {host}: {}", ended.stderr);
    }
    assert_eq!(ended.stderr.matches("back, going on where it was").count(), 3, "{}", ended.stderr);
}

#[test]
fn a_daemon_that_comes_back_reads_nothing_again() {
    let mut daemon = Served::one_file();
    let old: String = (0..40_000).map(|number| format!("{} number {number:06}\n", time(number))).collect();
    daemon.write(old.as_bytes());
    let running = start(logtap(&format!("tail {} -o raw -n all", daemon.host())));
    running.stdout.wait_for_lines(40_000);
    assert!(daemon.metric("logtap_bytes_read_total{source=\"app\"}") >= old.len() as u64);
    daemon.kill();
    let new: String = (40_000..40_100).map(|number| format!("{} number {number:06}\n", time(number))).collect();
    daemon.write(new.as_bytes());
    daemon.restart();
    running.stdout.wait_for_lines(40_100);
    let read = daemon.metric("logtap_bytes_read_total{source=\"app\"}");
    // What it sends, and the few bytes before the cursor that it compares.
    let most = new.len() + 1024;
    assert!(new.len() as u64 <= read && read <= most as u64, "{read} bytes were read for {}", new.len());
    let ended = running.signal("-TERM");
    assert!(ended.stdout == (old + &new).as_bytes(), "{}", ended.stderr);
}

/// Frames without content, one for each batch that ends with a large line, look like an attack to HTTP/2.
#[test]
fn large_lines_come_in_one_stream() {
    let daemon = Served::one_file();
    let lines: String = (0..400).map(|number| format!("{number:020000}\n")).collect();
    daemon.write(lines.as_bytes());
    // Of two hosts each gets batches of the usual size, so there are more than a hundred.
    let hosts = format!("{} {}", daemon.host(), daemon.host().replace("127.0.0.1", "localhost"));
    let ended = run_logtap(&format!("tail {hosts} -o raw -n all --no-follow --no-reconnect"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout.len(), 2 * lines.len());
}

#[test]
fn a_cron_job_with_a_real_daemon_never_misses_or_repeats_a_line() {
    let mut daemon = Served::one_file();
    let read = |daemon: &Served| {
        let host = daemon.host();
        let mut command = logtap(&format!("tail {host} -o raw --no-follow --cursor-file"));
        command.arg(daemon.path("cursors"));
        let ended = run(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        String::from_utf8_lossy(&ended.stdout).into_owned()
    };
    daemon.write(b"1\n2\n3");
    assert_eq!(read(&daemon), "1\n2\n");
    assert_eq!(read(&daemon), "");
    daemon.write(b"3\n4\n");
    daemon.kill();
    daemon.restart();
    assert_eq!(read(&daemon), "33\n4\n");
    fs::rename(daemon.path("app.log"), daemon.path("app.log.1")).expect("rotated");
    daemon.write(b"5\n");
    assert_eq!(read(&daemon), "5\n");
    assert_eq!(read(&daemon), "");
}

#[test]
fn numbers_come_in_their_order_over_a_rotation() {
    let daemon = Served::one_file();
    let running = start(logtap(&format!("tail {} -o raw -n all", daemon.host())));
    for number in 0..300 {
        daemon.write(format!("{number}\n").as_bytes());
        if number % 100 == 50 {
            running.stdout.wait_for_lines(usize::try_from(number).unwrap());
            fs::rename(daemon.path("app.log"), daemon.path(&format!("app.log.{}", 9 - number / 100))).expect("rotated");
        }
    }
    running.stdout.wait_for_lines(300);
    let ended = running.signal("-TERM");
    assert_eq!((numbers(&ended.stdout), ended.stderr.as_str()), ((0..300).collect(), ""));
}

#[test]
fn every_entry_as_json_shows_the_cursor_behind_it() {
    let daemon = Served::one_file();
    let lines: Vec<String> = (0..500).map(|number| format!("{} number {number}", time(number))).collect();
    daemon.write((lines.join("\n") + "\n").as_bytes());
    let ended = run_logtap(&format!("tail {} -o json -n all --no-follow", daemon.host()));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let entries: Vec<serde_json::Value> =
        ended.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(entries.iter().map(|entry| entry["message"].as_str().unwrap()).collect::<Vec<_>>(), lines);
    for at in [0, 1, 7, 250, 498, 499] {
        let cursor = entries[at]["cursor"].as_str().expect("each has one").replace('+', "%2B");
        let page = daemon.get(&format!("/api/v1/logs?resume={cursor}"));
        let page: serde_json::Value = serde_json::from_str(&page).expect("a page");
        let rest = page["entries"].as_array().expect("a list").iter();
        assert_eq!(rest.map(|entry| entry["message"].as_str().unwrap()).collect::<Vec<_>>(), lines[at + 1..]);
    }
}

#[test]
fn hosts_that_share_a_limit_and_a_cursor_file_lose_nothing_between_runs() {
    let daemons: Vec<Served> = (0..3).map(|_| Served::one_file()).collect();
    let mut expected = Vec::new();
    for number in 0..300 {
        let line = format!("{} number {number}\n", time(number));
        daemons[usize::try_from(number * number % 7 % 3).unwrap()].write(line.as_bytes());
        expected.push(line);
    }
    let hosts = daemons.iter().map(Served::host).collect::<Vec<_>>().join(" ");
    let mut came = Vec::new();
    for run_of in 0.. {
        let limit = 1 + run_of * 5 % 37;
        let mut command = logtap(&format!("tail {hosts} -o raw -n all --no-follow --limit {limit} --cursor-file"));
        command.arg(daemons[0].path("cursors"));
        let ended = run(command);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let text = String::from_utf8(ended.stdout).expect("text");
        let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        assert!(lines.len() <= limit, "{} lines of {limit}", lines.len());
        if lines.is_empty() {
            break;
        }
        came.extend(lines);
    }
    assert_eq!(came, expected);
}
