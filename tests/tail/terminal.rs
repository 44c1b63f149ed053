//! On a terminal: colours, and a line that shows how far a scan is.

use std::{fs::File, os::fd::OwnedFd, process::Command};

use logtap::proto::v1::{Event, LogEntry, Progress, event::Kind};
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::{
    command::{Stream, logtap},
    fake::Fake,
};

/// A pseudo-terminal: the end that shows, and the end that programs write to.
fn terminal() -> (File, OwnedFd) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&screen).expect("granted");
    unlockpt(&screen).expect("unlocked");
    let name = ptsname(&screen, Vec::new()).expect("a name");
    let program = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("the other end");
    (File::from(screen), program)
}

fn on_terminal(mut command: Command, errors_too: bool) -> String {
    let (screen, program) = terminal();
    if errors_too {
        command.stderr(program.try_clone().expect("cloned"));
    }
    command.stdout(program).env("TERM", "xterm");
    let mut child = command.spawn().expect("the program is there");
    drop(command);
    let shown = Stream::read(screen);
    child.wait().expect("a child");
    String::from_utf8_lossy(&shown.wait_for_end()).into_owned()
}

fn with_error() -> Fake {
    let fake = Fake::start();
    let log = fake.log("s", "/s");
    fake.entry(log, LogEntry { message: "boom".into(), timestamp: 1, severity: 17, ..LogEntry::default() });
    fake
}

#[test]
fn a_terminal_gets_colours_unless_it_asks_not_to() {
    let fake = with_error();
    let command = || logtap(&format!("tail {} --no-follow", fake.host()));
    let shown = on_terminal(command(), false);
    assert_eq!(shown, "\x1b[2m1970-01-01 00:00:00.000\x1b[0m \x1b[31mERROR\x1b[0m boom\r\n");
    let mut plain = command();
    plain.env("NO_COLOR", "1");
    assert_eq!(on_terminal(plain, false), "1970-01-01 00:00:00.000 ERROR boom\r\n");
}

#[test]
fn a_long_scan_shows_how_far_it_is_and_leaves_no_trace() {
    let fake = with_error();
    let progress = Progress { scanned_bytes: 3 << 20, total_bytes: 12 << 20 };
    fake.plan(|plan| plan.events = vec![Event { kind: Some(Kind::Progress(progress)) }]);
    let flags = "--no-follow --color never";
    let shown = on_terminal(logtap(&format!("tail {} {flags}", fake.host())), true);
    let expected = "\r\x1b[Kscanned 3.0 MiB of 12.0 MiB (25 %)\r\x1b[K1970-01-01 00:00:00.000 ERROR boom\r\n";
    assert_eq!(shown, expected);
    let quiet = on_terminal(logtap(&format!("tail {} {flags} -q", fake.host())), true);
    assert_eq!(quiet, "1970-01-01 00:00:00.000 ERROR boom\r\n");
}
