//! Runs the real program and watches what it writes.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs.
pub struct Running {
    pub child: Child,
    pub stdout: Arc<Stream>,
    pub stderr: Arc<Stream>,
}

/// What a program wrote so far.
#[derive(Default)]
pub struct Stream {
    bytes: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

/// What a program wrote, and how it ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// The program with `arguments`, separated by blanks, and an environment of its own.
pub fn logtap(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
    command.args(arguments.split_whitespace());
    for name in ["LOGTAP_HOSTS", "LOGTAP_TOKEN", "LOGTAP_TOKEN_FILE", "XDG_CONFIG_HOME", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// Starts it.
pub fn start(mut command: Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is there");
    let stdout = Stream::read(child.stdout.take().expect("a pipe"));
    let stderr = Stream::read(child.stderr.take().expect("a pipe"));
    Running { child, stdout, stderr }
}

/// Runs it to its end.
pub fn run(command: Command) -> Ended {
    start(command).end()
}

/// Runs the program with `arguments` to its end.
pub fn run_logtap(arguments: &str) -> Ended {
    run(logtap(arguments))
}

impl Running {
    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let stdout = self.stdout.wait_for_end();
        let stderr = String::from_utf8_lossy(&self.stderr.wait_for_end()).into_owned();
        let status = self.child.wait().expect("a child");
        Ended { code: status.code(), stdout, stderr }
    }

    /// Sends a signal and waits for the end.
    pub fn signal(self, name: &str) -> Ended {
        let status = Command::new("kill").arg(name).arg(self.child.id().to_string()).status().expect("kill");
        assert!(status.success());
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stream {
    /// Reads `source` to its end in a thread.
    pub fn read(mut source: impl Read + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let own = Arc::clone(&stream);
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                let count = source.read(&mut buffer).unwrap_or(0);
                let mut bytes = own.bytes.lock().unwrap();
                bytes.0.extend_from_slice(&buffer[..count]);
                bytes.1 = count == 0;
                own.more.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap().0).into_owned()
    }

    /// Waits until what was written is `enough`.
    pub fn wait_until(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let bytes = self.bytes.lock().unwrap();
        let (bytes, timeout) =
            self.more.wait_timeout_while(bytes, PATIENCE, |(bytes, ended)| !enough(bytes) && !*ended).unwrap();
        let (bytes, _) = &*bytes;
        assert!(!timeout.timed_out() && enough(bytes), "not enough: {}", String::from_utf8_lossy(bytes));
        bytes.clone()
    }

    /// Waits for so many lines.
    pub fn wait_for_lines(&self, count: usize) -> Vec<u8> {
        self.wait_until(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count() >= count)
    }

    /// Waits for a text.
    pub fn wait_for(&self, text: &str) -> Vec<u8> {
        self.wait_until(|bytes| String::from_utf8_lossy(bytes).contains(text))
    }

    pub fn wait_for_end(&self) -> Vec<u8> {
        let bytes = self.bytes.lock().unwrap();
        let (bytes, timeout) = self.more.wait_timeout_while(bytes, PATIENCE, |(_, ended)| !*ended).unwrap();
        assert!(!timeout.timed_out(), "the pipe stays open");
        bytes.0.clone()
    }
}
