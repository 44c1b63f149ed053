//! Several hosts as one.

use crate::{
    command::{logtap, run, run_logtap, start},
    fake::Fake,
};

const SECOND: i64 = 1_000_000_000;

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

fn hosts(fakes: &[Fake]) -> String {
    fakes.iter().map(Fake::host).collect::<Vec<_>>().join(" ")
}

#[test]
fn history_is_merged_by_time_and_news_come_as_they_come() {
    let fakes: Vec<Fake> = (0..3).map(|_| Fake::start()).collect();
    for (number, fake) in fakes.iter().enumerate() {
        let log = fake.log("s", "/s");
        for line in 0..20 {
            let time = line * 3 + number as i64;
            fake.line(log, time * SECOND, &format!("{time:03}"));
        }
    }
    let running = start(logtap(&format!("tail {} -o raw -n all", hosts(&fakes))));
    let history = lines(&running.stdout.wait_for_lines(60));
    assert_eq!(history, (0..60).map(|time| format!("{time:03}")).collect::<Vec<_>>());
    for (count, fake) in [(61, &fakes[2]), (62, &fakes[0]), (63, &fakes[1])] {
        fake.line(0, 1, &format!("live {count}"));
        let all = lines(&running.stdout.wait_for_lines(count));
        assert_eq!(all[count - 1], format!("live {count}"));
    }
    let ended = running.signal("-TERM");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(143), ""));
}

#[test]
fn history_waits_for_the_slowest_host_and_holds_little_of_the_others() {
    let fakes = [Fake::start(), Fake::start()];
    let (a, b) = (fakes[0].log("s", "/s"), fakes[1].log("s", "/s"));
    for time in 0..1000 {
        fakes[0].line(a, time * 2 * SECOND, "a");
    }
    fakes[1].line(b, SECOND, "b");
    fakes[1].plan(|plan| plan.hold = true);
    let running = start(logtap(&format!("tail {} -o raw -n all", hosts(&fakes))));
    // The other has been asked, and so has a stream, but not said what comes first.
    while fakes[1].requests().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(running.stdout.text(), "");
    fakes[1].plan(|plan| plan.hold = false);
    let all = lines(&running.stdout.wait_for_lines(1001));
    assert_eq!(all[..4], ["a", "b", "a", "a"]);
}

#[test]
fn a_limit_counts_over_all_hosts() {
    let fakes = [Fake::start(), Fake::start()];
    for (number, fake) in fakes.iter().enumerate() {
        let log = fake.log("s", "/s");
        (0..10).for_each(|line| fake.line(log, line * 2 + number as i64, &format!("{}", line * 2 + number as i64)));
    }
    let ended = run_logtap(&format!("tail {} -o raw -n all --limit 5", hosts(&fakes)));
    assert_eq!(lines(&ended.stdout), ["0", "1", "2", "3", "4"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn hosts_are_told_apart() {
    let fakes = [Fake::start(), Fake::start()];
    for fake in &fakes {
        let log = fake.log("s", "/s");
        fake.line(log, i64::from(fake.port()), "x");
    }
    let ended = run_logtap(&format!("tail {} --no-follow --utc", hosts(&fakes)));
    for (line, host) in lines(&ended.stdout).iter().zip({
        let mut ports: Vec<_> = fakes.iter().map(Fake::port).collect();
        ports.sort_unstable();
        ports
    }) {
        assert_eq!(*line, format!("127.0.0.1:{host} 1970-01-01 00:00:00.000Z x"));
    }
}

#[test]
fn profiles_and_the_environment_name_hosts() {
    let fakes = [Fake::start(), Fake::start()];
    for (number, fake) in fakes.iter().enumerate() {
        let log = fake.log("s", "/s");
        fake.line(log, number as i64, &number.to_string());
    }
    let config = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(config.path().join("logtap")).expect("created");
    let profile =
        format!("[hosts.web1]\naddress = '{}'\n[groups]\nweb = ['web1', '{}']\n", fakes[0].host(), fakes[1].host());
    std::fs::write(config.path().join("logtap/hosts.toml"), profile).expect("written");
    for (arguments, environment, expected) in
        [("@web", "", "0\n1\n"), ("web1", "ignored", "0\n"), ("", "@web", "0\n1\n"), ("", "web1,", "0\n")]
    {
        let mut command = logtap(&format!("tail {arguments} --no-follow -o raw"));
        command.env("XDG_CONFIG_HOME", config.path()).env("LOGTAP_HOSTS", environment);
        let ended = run(command);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), expected, "{}", ended.stderr);
    }
}

#[test]
fn a_socket_is_a_host() {
    let directory = tempfile::tempdir().expect("a directory");
    let fake = Fake::on_socket(directory.path().join("logtap.sock"));
    let log = fake.log("s", "/s");
    fake.line(log, 1, "x");
    let ended = run_logtap(&format!("tail {} --no-follow -o json", fake.host()));
    assert!(String::from_utf8_lossy(&ended.stdout).contains(&format!("\"host\":\"{}\"", fake.host())));
}
