//! The real program, as a process on a port of its own.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, eventually};

/// A running `logtap serve`; it is killed when the test is over.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: String,
    log: Arc<Mutex<String>>,
}

/// The program with nothing of the caller's environment that it looks at.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
    for variable in ["LOGTAP_CONFIG", "LOGTAP_LISTEN", "LOGTAP_LOG", "JOURNAL_STREAM", "NOTIFY_SOCKET"] {
        command.env_remove(variable);
    }
    command
}

impl Daemon {
    /// Serves the files that the arguments name.
    pub fn serve(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut command = program();
        command.arg("serve").args(arguments).args(["--listen", "127.0.0.1:0"]);
        Self::start(command)
    }

    /// Serves what a configuration says, where it says.
    pub fn configured(config: &Path) -> Self {
        let mut command = program();
        command.args(["serve", "-c"]).arg(config);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = lines.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut daemon = Self { child, address: String::new(), log };
        eventually("the program to listen", || {
            let log = daemon.log();
            assert!(daemon.child.try_wait().expect("a child").is_none(), "it ended:\n{log}");
            let listening = log.lines().find_map(|line| line.split_once("listening address="));
            daemon.address = listening.map(|(_, address)| address.trim().to_owned()).unwrap_or_default();
            !daemon.address.is_empty()
        });
        daemon
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end, and tells how long that took.
    pub fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What `GET path` answers over HTTP/1.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("it takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// The value of a metric, named with its labels as `/metrics` has it; 0 while it has none.
    pub fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }

    /// Streams open over gRPC.
    pub fn streams(&self) -> u64 {
        self.metric("logtap_streams{transport=\"grpc\"}")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log());
        }
    }
}
