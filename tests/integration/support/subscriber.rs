//! A subscriber in a process of its own, which can be stopped and killed: this very program, run for one of its tests.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use logtap::proto::v1;
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Endpoint;

use super::{
    client::{Live, V1Client},
    daemon::Daemon,
};

/// Set for the process that subscribes: where to, and how many entries to read from the beginning.
const ADDRESS: &str = "LOGTAP_TEST_SUBSCRIBE";
const COUNT: &str = "LOGTAP_TEST_COUNT";

/// A process that follows everything from the beginning.
pub struct Subscriber {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Subscriber {
    /// Starts it, and waits until it has its first entry. It ends after `count` entries.
    pub fn start(daemon: &Daemon, count: usize) -> Self {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "support::subscriber::in_a_process_of_its_own", "--nocapture", "--test-threads=1"])
            .env(ADDRESS, &daemon.address)
            .env(COUNT, count.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut new = Self { child, said };
        new.hears("first");
        new
    }

    /// Waits until it says `word`; returns what it says behind that.
    pub fn hears(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.said.read_line(&mut line).expect("it is text") > 0 {
            // The test harness says where it is on the same line.
            if let Some((_, rest)) = line.split_once(&format!("subscriber: {word}")) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("it ended before it said {word}");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(what: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "subscriber: {what}").and_then(|()| out.flush()).expect("somebody hears");
}

/// What the process does; nothing where it is run as a test.
#[tokio::test]
async fn in_a_process_of_its_own() {
    let (Ok(address), Ok(count)) = (env::var(ADDRESS), env::var(COUNT)) else { return };
    let count: usize = count.parse().expect("a number");
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await;
    let mut client = V1Client::new(channel.expect("it listens"));
    let mut live = Live::open_on(&mut client, v1::LogRequest { tail: Some(u64::MAX), ..Default::default() }).await;
    let mut crc = crc32fast::Hasher::new();
    for read in 1..=count {
        let entry = live.next().await;
        crc.update(entry.message.as_bytes());
        crc.update(b"\n");
        if read == 1 {
            say("first");
        }
    }
    say(&format!("crc {:08x}", crc.finalize()));
}
