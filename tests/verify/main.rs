//! `logtap verify`, the real program: with its own daemon, through another, and through a proxy that does wrong.
#![allow(clippy::unwrap_used)]

mod proxy;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use proxy::{Fault, Proxy};
use serde_json::Value;

/// A daemon over the logs in a directory of its own.
struct Daemon {
    directory: tempfile::TempDir,
    child: Child,
    address: String,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = logtap(&["serve", "--listen", "127.0.0.1:0"]);
        command.arg(directory.path().join("*.log")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program is there");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.split_once("listening address=")?.1.split_whitespace().next()?.to_owned()));
        // What else it says is read away, so that it never waits for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self { directory, child, address: address.expect("it listens") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn logtap(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
    command.args(arguments).env("HOME", "/nonexistent").stdin(Stdio::null());
    for name in ["LOGTAP_HOSTS", "LOGTAP_TOKEN", "LOGTAP_TOKEN_FILE", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    command
}

/// Runs `logtap verify` with further arguments; the status, the result, and everything it said.
fn verify(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let Output { status, stdout, stderr } = logtap(&["verify"]).args(arguments).output().expect("the program is there");
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_default(), told)
}

/// The sum over all clients.
fn sum(result: &Value, name: &str) -> u64 {
    let clients = result["clients"].as_array().expect("clients");
    clients.iter().map(|client| client[name].as_u64().expect(name)).sum()
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).expect("listed").next().is_none()
}

#[test]
fn with_a_daemon_of_its_own_every_line_comes_once() {
    let place = tempfile::tempdir().expect("a directory");
    let arguments = ["-t", "4s", "--rate", "2000", "--rotate-every", "1s", "--seed", "7", "-o", "json"];
    let mut command = logtap(&["verify", "--rotate", "rename,delete"]);
    command.args(arguments).env("TMPDIR", place.path());
    let Output { status, stdout, stderr } = command.output().expect("the program is there");
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    let result: Value = serde_json::from_slice(&stdout).expect("JSON");
    assert_eq!((status.code(), &result["exact"], &result["lines"]), (Some(0), &true.into(), &8000.into()), "{told}");
    assert_eq!(sum(&result, "received") + sum(&result, "missing") + sum(&result, "unseen"), 6 * 8000, "{told}");
    assert!(result["rotations"][0][1].as_u64() > Some(0), "{told}");
    for client in result["clients"].as_array().expect("clients") {
        let is_killed = client["name"].as_str().expect("a name").starts_with("killed");
        assert!(client["resumes"].as_u64() > Some(0) || !is_killed, "{told}");
        assert!(client["latency_ms"]["p50"].as_f64() > Some(0.0), "{told}");
    }
    assert!(is_empty(place.path()), "nothing is left behind");
}

#[test]
fn a_daemon_that_runs_is_tried_by_writing_where_it_looks() {
    let daemon = Daemon::start();
    let directory = daemon.directory.path().display().to_string();
    let arguments = ["-t", "2s", "--rotate-every", "800ms", "--rotate", "rename", "--logs", "2", "--fast", "1"];
    let (status, _, told) = verify(&[&arguments[..], &["--slow", "0", &daemon.address, "-d", &directory]].concat());
    assert_eq!(status, Some(0), "{told}");
    assert!(told.ends_with("exact: every line came to every client, once and in order\n"), "{told}");
    assert!(told.contains("\nfast-1 ") && told.contains("\nkilled-2 ") && !told.contains("\nslow"), "{told}");
    assert!(is_empty(daemon.directory.path()), "nothing is left behind");
}

#[test]
fn a_daemon_that_does_wrong_is_caught() {
    let daemon = Daemon::start();
    let directory = daemon.directory.path().display().to_string();
    for (fault, count, exact) in [
        (Fault::Lose, "lost", false),
        (Fault::Repeat, "repeated", false),
        (Fault::Swap, "disordered", false),
        (Fault::Damage, "damaged", false),
        (Fault::LoseAndSay, "missing", true),
    ] {
        let proxy = Proxy::start(&daemon.address, fault);
        let host = proxy.host();
        let arguments = ["-t", "500ms", "--fast", "1", "--slow", "0", "--killed", "0", "-o", "json"];
        let (status, result, told) = verify(&[&arguments[..], &[&host, "-d", &directory, "--patience", "2s"]].concat());
        assert_eq!((status, &result["exact"]), (Some(i32::from(!exact)), &exact.into()), "{fault:?}: {told}");
        for other in ["lost", "unseen", "repeated", "disordered", "damaged", "missing"] {
            // What is damaged never came as what it was.
            let expected = other == count || (fault == Fault::Damage && other == "lost");
            assert_eq!(sum(&result, other), u64::from(expected), "{fault:?}, {other}: {told}");
        }
    }
}

#[test]
fn a_host_that_does_not_look_there_is_told_so() {
    let daemon = Daemon::start();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (status, _, told) = verify(&[&daemon.address, "-d", &elsewhere.path().display().to_string()]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("no source has the logs: one has to match /"), "{told}");
    assert!(is_empty(elsewhere.path()), "nothing is left behind");
}

#[test]
fn nobody_there_is_4_and_a_host_without_a_directory_is_usage() {
    let place = tempfile::tempdir().expect("a directory");
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let (status, _, told) = verify(&[&nobody, "-d", &place.path().display().to_string()]);
    assert_eq!(status, Some(4), "{told}");
    for arguments in [&["somewhere"][..], &["-t", "soon"], &["--rate", "0"], &["--rotate", "shred"], &["--logs", "0"]] {
        let (status, _, told) = verify(arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {told}");
    }
}

#[test]
fn an_interrupted_run_tells_what_came_and_leaves_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let mut command = logtap(&["verify", "-t", "1h", "-o", "json"]);
    command.env("TMPDIR", place.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program is there");
    // It has begun when a log holds something.
    let written = || {
        let directories = fs::read_dir(place.path()).expect("listed").flatten();
        let files = directories.filter_map(|directory| fs::read_dir(directory.path()).ok()).flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).any(|metadata| metadata.len() > 0)
    };
    while !written() {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    let output = child.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(result["lines"].as_u64() > Some(0), "{result}");
    assert!(is_empty(place.path()), "nothing is left behind");
}
