//! What `logtap tail` takes to bring a file to a pipe, beside what everybody has for that.
//!
//! `cargo bench --bench tail -- [MIB]`: so many MiB of 144-byte lines, 256 unless said. Every figure is a ratio of one
//! run to `cat` of the same file through a TCP socket. `grpcurl` is run on a part, where `GRPCURL` or the path has one.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The part that grpcurl is given, in MiB.
const GRPCURL_MIB: u64 = 8;
/// Each is measured so often; the best counts, since others use the machine.
const ROUNDS: usize = 3;

fn main() {
    let mib: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(256);
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let (file, part) = (directory.path().join("whole.log"), directory.path().join("part.log"));
    write_lines(&file, mib << 20);
    write_lines(&part, GRPCURL_MIB << 20);
    let daemon = Daemon::start(&[&file, &part]);
    let socket = format!("unix:{}", directory.path().join("logtap.sock").display());
    let by_socket = Daemon::start_at(&[&file], &socket);

    println!("{mib} MiB of 144-byte lines; {:>11} {:>12}", "MB/s", "times cat");
    let bytes = file.metadata().expect("just written").len();
    let cat = best(|| through_socket(&file));
    let row = |name: &str, bytes: u64, took: Duration| {
        let (rate, reference) = (bytes as f64 / took.as_secs_f64(), (mib << 20) as f64 / cat.as_secs_f64());
        println!("  {name:<34} {:>8.0} {:>12.2}", rate / 1e6, rate / reference);
    };
    row("cat through a TCP socket", bytes, cat);
    let tail = |host: &str, source: &str, output: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
        command.args(["tail", host, "--no-follow", "-n", "all", "--source", source, "-o", output]);
        command
    };
    row("logtap tail -o raw", bytes, best(|| to_nowhere(tail(&daemon.address, "whole", "raw"))));
    row("logtap tail -o raw, Unix socket", bytes, best(|| to_nowhere(tail(&by_socket.address, "whole", "raw"))));
    row("logtap tail -o raw | cmp - file", bytes, best(|| compared(tail(&daemon.address, "whole", "raw"), &file)));
    row("logtap tail -o pretty", bytes, best(|| to_nowhere(tail(&daemon.address, "whole", "pretty"))));
    row("logtap tail -o json", bytes, best(|| to_nowhere(tail(&daemon.address, "whole", "json"))));
    match grpcurl(&daemon.address) {
        Some(took) => row("grpcurl GetLogs, on 8 MiB", GRPCURL_MIB << 20, took),
        None => println!("  grpcurl: there is none"),
    }
}

/// Writes about so many bytes of lines, and reads them once, so that they are in memory.
fn write_lines(path: &Path, bytes: u64) {
    let mut out = BufWriter::new(File::create(path).expect("the directory is ours"));
    for number in 0..bytes / 144 {
        let second = number / 1000;
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        let head = format!("2026-11-24T{hour:02}:{minute:02}:{:02}Z INFO request id={number:010} ", second % 60);
        writeln!(out, "{head:x<143}").expect("the disk has room");
    }
    out.flush().expect("the disk has room");
    std::io::copy(&mut File::open(path).expect("just written"), &mut std::io::sink()).expect("read");
}

fn best(mut run: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| run()).min().expect("several rounds")
}

fn ended(mut child: Child) {
    assert!(child.wait().expect("a child").success());
}

/// `cat FILE` into one end of a connection, `cat` out of the other.
fn through_socket(file: &Path) -> Duration {
    let began = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (far, _) = listener.accept().expect("connected");
    let writer = Command::new("cat").arg(file).stdout(OwnedFd::from(near)).spawn().expect("cat");
    let reader = Command::new("cat").stdin(OwnedFd::from(far)).stdout(Stdio::null()).spawn().expect("cat");
    ended(writer);
    ended(reader);
    began.elapsed()
}

/// What it takes to read a pipe to its end.
fn to_nowhere(mut command: Command) -> Duration {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program is there");
    let pipe = child.stdout.take().expect("a pipe");
    ended(Command::new("cat").stdin(pipe).stdout(Stdio::null()).spawn().expect("cat"));
    ended(child);
    began.elapsed()
}

fn compared(mut command: Command, file: &Path) -> Duration {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program is there");
    let pipe = child.stdout.take().expect("a pipe");
    ended(Command::new("cmp").arg("-").arg(file).stdin(pipe).spawn().expect("cmp"));
    ended(child);
    began.elapsed()
}

/// `grpcurl` over the part; `None` when there is none.
fn grpcurl(address: &str) -> Option<Duration> {
    let program = std::env::var_os("GRPCURL").map_or_else(|| PathBuf::from("grpcurl"), PathBuf::from);
    let mut command = Command::new(program);
    let request = r#"{"sources":["part"]}"#;
    command.args(["-plaintext", "-d", request, address, "logtap.v1.LogService/GetLogs"]);
    let began = Instant::now();
    ended(command.stdout(Stdio::null()).spawn().ok()?);
    Some(began.elapsed())
}

/// A daemon that ends with the run.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn start(files: &[&PathBuf]) -> Self {
        Self::start_at(files, "127.0.0.1:0")
    }

    fn start_at(files: &[&PathBuf], listen: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
        command.arg("serve").args(files).args(["--listen", listen]).env_remove("LOGTAP_LOG");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program is there");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.split_once("listening address=")?.1.split_whitespace().next()?.to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("it listens") }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It reads only; there is nothing to end in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
