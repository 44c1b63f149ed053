//! The program's own daemon over real files, which can be killed and comes back at the same address.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use crate::command::logtap;

/// A daemon on a port of its own, in a directory of its own.
pub struct Served {
    pub directory: tempfile::TempDir,
    /// What it is started with, beside where it listens.
    arguments: Vec<String>,
    /// Where it listens, as a host.
    address: String,
    child: Option<Child>,
}

impl Served {
    /// Serves `app.log`, which is empty.
    pub fn one_file() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("app.log");
        fs::write(&log, "").expect("written");
        Self::start(directory, vec![log.display().to_string()])
    }

    /// Serves what `arguments` say.
    pub fn start(directory: tempfile::TempDir, arguments: Vec<String>) -> Self {
        let mut served = Self { directory, arguments, address: "127.0.0.1:0".to_owned(), child: None };
        served.restart();
        served
    }

    /// What the command line calls it.
    pub fn host(&self) -> &str {
        &self.address
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Appends to `app.log`.
    pub fn write(&self, bytes: &[u8]) {
        append(&self.path("app.log"), bytes);
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("a child");
        }
    }

    /// Starts it, at the address that it had, and waits until it listens.
    pub fn restart(&mut self) {
        let mut command = logtap("serve");
        command.args(&self.arguments).args(["--listen", &self.address]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program is there");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|line| line.expect("text"));
        let mut before = String::new();
        let address = said.find_map(|line| {
            before.extend([&line, "\n"]);
            Some(line.split_once("listening address=")?.1.split_whitespace().next()?.to_owned())
        });
        self.address = address.unwrap_or_else(|| panic!("the daemon does not listen: {before}"));
        // What else it says is read away, so that it never waits for that.
        std::thread::spawn(move || said.for_each(drop));
        self.child = Some(child);
    }

    /// What the daemon answers over plain HTTP.
    pub fn get(&self, target: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).expect("it listens");
        write!(connection, "GET {target} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }

    /// A number that the daemon counts, as its metrics have it.
    pub fn metric(&self, name: &str) -> u64 {
        let answer = self.get("/metrics");
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {answer}")).parse().expect("a number")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn append(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("a log");
    file.write_all(bytes).expect("written");
}
