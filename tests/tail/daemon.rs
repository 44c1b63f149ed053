//! The program against itself: `logtap tail` and `logtap serve`, real files, real sockets.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use crate::command::{logtap, run_logtap, start};

/// A daemon on a Unix socket, which serves one file.
struct Daemon {
    directory: tempfile::TempDir,
    child: Option<Child>,
    file: File,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = OpenOptions::new().create(true).append(true).open(directory.path().join("app.log")).expect("a file");
        let mut daemon = Self { directory, child: None, file };
        daemon.restart();
        daemon
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("app.log")
    }

    fn host(&self) -> String {
        format!("unix:{}", self.directory.path().join("logtap.sock").display())
    }

    fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).expect("written");
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("a child");
        }
    }

    /// Starts it, and waits until it listens.
    fn restart(&mut self) {
        let mut command = logtap("serve");
        command.arg(self.log()).args(["--listen", &self.host()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program is there");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let listening = said.any(|line| line.expect("text").contains("listening"));
        assert!(listening, "the daemon does not listen");
        // What else it says is read away, so that it never waits for that.
        std::thread::spawn(move || said.for_each(drop));
        self.child = Some(child);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    String::from_utf8_lossy(bytes).lines().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn raw_output_of_a_real_daemon_is_the_file() {
    let mut daemon = Daemon::start();
    let seed = 11;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let bytes: Vec<u8> =
        std::iter::repeat_with(|| if random.u8(..20) == 0 { b'\n' } else { random.u8(..) }).take(1 << 20).collect();
    daemon.write(&bytes);
    let ended = run_logtap(&format!("tail {} -o raw --no-follow -n all --stats", daemon.host()));
    assert!(ended.stdout == bytes, "{} bytes of {}", ended.stdout.len(), bytes.len());
    assert!(ended.code == Some(0) && ended.stderr.contains(" verified"), "{}", ended.stderr);
}

#[test]
fn ten_real_daemons_of_which_three_are_killed_and_come_back_are_read_exactly() {
    const LINES: u64 = 3000;
    let mut daemons: Vec<Daemon> = (0..10).map(|_| Daemon::start()).collect();
    let hosts: Vec<String> = daemons.iter().map(Daemon::host).collect();
    let running = start(logtap(&format!("tail {} -o raw -n all", hosts.join(" "))));
    for line in 0..LINES {
        for (host, daemon) in daemons.iter_mut().enumerate() {
            daemon.write(format!("{}\n", host as u64 * LINES + line).as_bytes());
        }
        match line {
            1000 => {
                running.stdout.wait_for_lines(500);
                daemons[2..5].iter_mut().for_each(Daemon::kill);
            }
            2000 => daemons[2..5].iter_mut().for_each(Daemon::restart),
            _ => {}
        }
    }
    running.stdout.wait_for_lines(usize::try_from(10 * LINES).unwrap());
    let ended = running.signal("-TERM");
    let came = numbers(&ended.stdout);
    assert_eq!(came.len() as u64, 10 * LINES, "{}", ended.stderr);
    for host in 0..10 {
        let own: Vec<u64> = came.iter().copied().filter(|number| number / LINES == host).collect();
        assert_eq!(own, (host * LINES..(host + 1) * LINES).collect::<Vec<_>>(), "host {host}");
    }
}

#[test]
fn a_cron_job_with_a_real_daemon_never_misses_or_repeats_a_line() {
    let mut daemon = Daemon::start();
    let cursors = daemon.directory.path().join("cursors");
    let read = |daemon: &Daemon| {
        let host = daemon.host();
        let mut command = logtap(&format!("tail {host} -o raw --no-follow"));
        command.arg("--cursor-file").arg(Path::new(&cursors));
        let ended = start(command).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        String::from_utf8_lossy(&ended.stdout).into_owned()
    };
    daemon.write(b"1\n2\n3");
    assert_eq!(read(&daemon), "1\n2\n");
    assert_eq!(read(&daemon), "");
    daemon.write(b"3\n4\n");
    daemon.kill();
    daemon.restart();
    assert_eq!(read(&daemon), "33\n4\n");
    assert_eq!(read(&daemon), "");
}
