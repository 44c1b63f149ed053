//! How the program ends.

use std::process::Stdio;

use crate::{
    command::{Stream, logtap, run, run_logtap, start},
    fake::Fake,
};

/// An address of this machine where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

fn with_line(text: &str) -> Fake {
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    fake.line(log, 1, text);
    fake
}

#[test]
fn arguments_that_make_no_request_are_usage() {
    for arguments in
        ["tail --nonsense", "tail -l loud", "tail -g (", "tail -S never", "tail @nosuch", "tail a:b", "sources a b"]
    {
        let ended = run_logtap(arguments);
        assert_eq!(ended.code, Some(2), "{arguments}: {}", ended.stderr);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{arguments}");
    }
}

#[test]
fn nobody_there_is_4_and_says_why() {
    let host = nobody();
    for flags in ["", "--no-follow"] {
        let ended = run_logtap(&format!("tail {host} {flags}"));
        assert_eq!(ended.code, Some(4), "{}", ended.stderr);
        assert!(ended.stderr.contains(&host) && ended.stderr.contains("Connection refused"), "{}", ended.stderr);
    }
    assert_eq!(run_logtap(&format!("sources {host}")).code, Some(4));
}

#[test]
fn a_host_that_accepts_and_says_nothing_is_nobody() {
    let fake = Fake::start();
    fake.plan(|plan| plan.silent = true);
    let ended = run_logtap(&format!("tail {}", fake.host()));
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("no answer within 5 s"), "{}", ended.stderr);
}

#[test]
fn one_of_two_that_fails_is_3_and_the_other_is_read() {
    let fake = with_line("x");
    let ended = run_logtap(&format!("tail {} {} --no-follow -o raw", fake.host(), nobody()));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(ended.stdout, b"x\n");
}

#[test]
fn refusals_have_an_exit_each() {
    for (code, message, exit) in [
        (16, "no token", 5),
        (7, "not for you", 5),
        (3, "unknown level", 2),
        (3, "resume[0] is damaged", 1),
        (5, "no such source", 1),
        (12, "not served", 1),
    ] {
        let fake = Fake::start();
        fake.plan(|plan| plan.refuse = Some((code, message.to_owned())));
        let ended = run_logtap(&format!("tail {}", fake.host()));
        assert_eq!(ended.code, Some(exit), "{}", ended.stderr);
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
        assert_eq!(fake.requests().len(), 1, "a refusal is not tried again");
    }
}

#[test]
fn a_lost_host_is_1_when_it_is_not_to_be_tried_again() {
    let mut fake = with_line("x");
    let running = start(logtap(&format!("tail {} --no-reconnect -o raw", fake.host())));
    running.stdout.wait_for_lines(1);
    fake.kill();
    let ended = running.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("lost"), "{}", ended.stderr);
}

#[test]
fn a_bad_profile_is_78() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(home.path().join(".config/logtap")).expect("created");
    std::fs::write(home.path().join(".config/logtap/hosts.toml"), "[hosts.a]\nadress = 'x'\n").expect("written");
    let mut command = logtap("tail a");
    command.env("HOME", home.path());
    let ended = run(command);
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("hosts.toml") && ended.stderr.contains("line 2"), "{}", ended.stderr);
}

#[test]
fn signals_end_it_with_their_number() {
    let fake = with_line("x");
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let running = start(logtap(&format!("tail {} -o raw", fake.host())));
        running.stdout.wait_for_lines(1);
        let ended = running.signal(name);
        assert_eq!(ended.code, Some(code));
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn a_signal_ends_it_though_nobody_takes_its_output() {
    let fake = with_line(&"x".repeat(1 << 20));
    let mut command = logtap(&format!("tail {} -o raw", fake.host()));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = command.stdout(writer).spawn().expect("the program is there");
    drop(command);
    // The pipe is full when its first bytes can be read and nobody reads on.
    let mut first = [0];
    std::io::Read::read_exact(&mut &reader, &mut first).expect("a byte");
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    assert_eq!(child.wait().expect("a child").code(), Some(130));
}

#[test]
fn a_closed_pipe_is_quiet_even_when_nothing_comes() {
    let fake = with_line("x");
    let mut command = logtap(&format!("tail {} -o raw", fake.host()));
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().expect("the program is there");
    drop(command);
    let stderr = Stream::read(child.stderr.take().expect("a pipe"));
    let mut line = [0; 2];
    std::io::Read::read_exact(&mut reader, &mut line).expect("a line");
    drop(reader);
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    assert_eq!(stderr.text(), "");
}

#[test]
fn a_pipe_closed_in_the_middle_is_quiet() {
    let fake = Fake::start();
    fake.plan(|plan| plan.batch = 100);
    let log = fake.log("s", "/s");
    for number in 0..5000 {
        fake.line(log, number, &"x".repeat(1000));
    }
    let script = format!("\"$1\" tail {} -o raw -n all | head -n 1 | wc -c; echo ${{PIPESTATUS[0]}}", fake.host());
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_logtap")]).env("HOME", "/nonexistent");
    let ended = run(bash);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "1001\n0\n");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_full_disk_is_an_error() {
    let fake = with_line("x");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let mut command = logtap(&format!("tail {} --no-follow", fake.host()));
    let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("the program is there");
    let stderr = Stream::read(child.stderr.take().expect("a pipe"));
    assert_eq!(child.wait().expect("a child").code(), Some(1));
    stderr.wait_for("standard output: No space left");
}

#[test]
fn a_stream_with_an_end_ends_well() {
    let fake = with_line("x");
    for flags in ["--no-follow", "--limit 1"] {
        let ended = run_logtap(&format!("tail {} -o raw {flags}", fake.host()));
        assert_eq!((ended.code, ended.stdout.as_slice(), ended.stderr.as_str()), (Some(0), &b"x\n"[..], ""));
    }
}
