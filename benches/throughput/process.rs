//! Programs that are measured from outside: what they cost, by `/proc`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server that ends with the run.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// From its start until it listened.
    pub started: Duration,
}

impl Server {
    /// logtap over files and globs, or over what a configuration says.
    pub fn logtap(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
        command.arg("serve").args(arguments).args(["--listen", "127.0.0.1:0"]);
        Self::spawn(command)
    }

    /// One of the baselines: this program once more.
    pub fn baseline(name: &str, file: &Path, amount: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--baseline", name]).arg(file).arg(amount.to_string());
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let began = Instant::now();
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening address=").map(|(_, address)| address.trim().to_owned()));
        let started = began.elapsed();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("it listens"), started }
    }

    /// What its threads have worked so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// Bytes of memory that are its own now, and were at most.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
        };
        (kib("VmRSS:") << 10, kib("VmHWM:") << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the threads of a process have worked so far, in user and kernel mode.
fn cpu_of(process: u32) -> Duration {
    // In nanoseconds, where `stat` counts hundredths of a second.
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Bytes that the kernel holds in the queues of all TCP sockets.
pub fn socket_queues() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages = tcp.split("mem ").nth(1).and_then(|pages| pages.trim().parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
