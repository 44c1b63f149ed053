//! What asking for the past costs, client included, beside the programs that look through the same files.
//!
//! `cargo bench --bench history -- [MIB]`: so many MiB of mixed lines, 1024 unless said, as one file and as ten rotated
//! parts of which five are compressed. Every figure is a ratio of one run, and of a daemon that has not been asked before;
//! `rg` is left out where it is not installed.
//! The last line is the same as JSON.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use logtap::proto::v1::{self, log_service_client::LogServiceClient};
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};

type Client = LogServiceClient<Channel>;

/// Of how often something is measured the best counts: what disturbs only makes it longer.
const RUNS: usize = 5;
/// Parts of the rotated log, and how many of them are compressed.
const PARTS: u64 = 10;
const COMPRESSED: u64 = 5;
/// Bytes of a file that is nearly all hole.
const SPARSE_BYTES: u64 = 100 << 30;

fn main() {
    let mib: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1024);
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let (whole, parts) = (directory.path().join("whole"), directory.path().join("parts"));
    fs::create_dir_all(&whole).and_then(|()| fs::create_dir_all(&parts)).expect("room");
    let one = whole.join("app.log");
    let end = write_lines(&one, mib << 20);
    let minute = prost_types::Timestamp { seconds: end.as_secs() as i64 - 60, nanos: 0 };
    let rotated = rotate(&one, &parts);
    let sparse = directory.path().join("sparse.log");
    write_sparse(&sparse, &one);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut report = Report { mib, rows: Vec::new() };
    println!("{mib} MiB of mixed lines; ms, the best of {RUNS}\n");
    measure(&runtime, &mut report, "one file", &one, minute, &Rival::of_files(vec![one.clone()]));
    let live = parts.join("app.log");
    measure(&runtime, &mut report, "ten parts, five of them .gz", &live, minute, &Rival::of_files(rotated));
    measure_sparse(&runtime, &mut report, &sparse, minute);
    println!("\n{}", report.to_json());
}

/// What was measured.
struct Report {
    mib: u64,
    rows: Vec<Value>,
}

impl Report {
    /// Notes how long it took, and how long another program took for the same.
    fn add(&mut self, data: &str, what: &str, ours: Duration, rival: Option<(&str, Duration)>) {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let mut row = format!("{data:<28} {what:<34} {:>9.2}", millis(ours));
        let ratio = rival.map(|(_, theirs)| ours.as_secs_f64() / theirs.as_secs_f64());
        if let (Some((name, theirs)), Some(ratio)) = (rival, ratio) {
            let _ = write!(row, "   {name:<14} {:>9.2}   ratio {ratio:>6.2}", millis(theirs));
        }
        println!("{row}");
        let theirs = rival.map(|(name, theirs)| json!({"name": name, "ms": millis(theirs)}));
        self.rows.push(json!({"data": data, "what": what, "ms": millis(ours), "rival": theirs, "ratio": ratio}));
    }

    fn to_json(&self) -> Value {
        json!({"mib": self.mib, "runs": RUNS, "rows": self.rows})
    }
}

/// The programs that look through the same files.
struct Rival {
    plain: Vec<PathBuf>,
    packed: Vec<PathBuf>,
}

impl Rival {
    fn of_files(files: Vec<PathBuf>) -> Self {
        let (packed, plain) = files.into_iter().partition(|file| file.extension().is_some_and(|end| end == "gz"));
        Self { plain, packed }
    }

    /// How long they take to count the lines with a pattern: ripgrep, and what it cannot read by zgrep.
    fn count(&self, pattern: &str) -> Option<(&'static str, Duration)> {
        let plain = best(|| run(Command::new("rg").args(["-c", pattern]).args(&self.plain)))?;
        if self.packed.is_empty() {
            return Some(("rg -c", plain));
        }
        let packed = best(|| run(Command::new("zgrep").args(["-c", "-E", pattern]).args(&self.packed)))?;
        Some(("rg -c + zgrep", plain + packed))
    }

    fn tail(&self) -> Option<(&'static str, Duration)> {
        let live = self.plain.first()?;
        Some(("tail -n 10", best(|| run(Command::new("tail").args(["-n", "10"]).arg(live)))?))
    }
}

fn measure(
    runtime: &tokio::runtime::Runtime,
    report: &mut Report,
    data: &str,
    live: &Path,
    minute: prost_types::Timestamp,
    rival: &Rival,
) {
    let archives = !rival.packed.is_empty();
    // The archives are asked for by their time; then every part is searched.
    let since = archives.then_some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let all = || v1::LogRequest { since, ..v1::LogRequest::default() };
    let ask = |request: &v1::LogRequest, first: bool| {
        // A daemon of its own for each, so that nothing is remembered of the one before.
        let fresh = || {
            let daemon = Daemon::serve(live);
            runtime.block_on(async { read(&mut daemon.client().await, request.clone(), first).await })
        };
        best(|| Some(fresh())).expect("it answers")
    };
    report.add(data, "tail 10", ask(&v1::LogRequest { tail: Some(10), ..Default::default() }, false), rival.tail());
    report.add(
        data,
        "since the last minute",
        ask(&v1::LogRequest { since: Some(minute), ..Default::default() }, false),
        None,
    );
    report.add(data, "first error", ask(&v1::LogRequest { level: "error".into(), ..all() }, true), None);
    for (what, pattern, request) in [
        ("all errors, by level", "ERROR", v1::LogRequest { level: "error".into(), ..all() }),
        ("all errors, by word", "ERROR", v1::LogRequest { include: vec!["ERROR".into()], ..all() }),
        ("a rare literal", "needle-4711", v1::LogRequest { include: vec!["needle-4711".into()], ..all() }),
        (
            "a regular expression",
            "timeout after [0-9]{4}ms",
            v1::LogRequest { include: vec!["timeout after [0-9]{4}ms".into()], ..all() },
        ),
        (
            "one that begins with no literal",
            "[0-9]{4}ms for u[0-9]+7",
            v1::LogRequest { include: vec!["[0-9]{4}ms for u[0-9]+7".into()], ..all() },
        ),
    ] {
        report.add(data, what, ask(&request, false), rival.count(pattern));
    }
}

fn measure_sparse(
    runtime: &tokio::runtime::Runtime,
    report: &mut Report,
    sparse: &Path,
    minute: prost_types::Timestamp,
) {
    let daemon = Daemon::serve(sparse);
    let mut client = runtime.block_on(daemon.client());
    for (what, request) in [
        ("tail 10", v1::LogRequest { tail: Some(10), ..Default::default() }),
        ("since the last minute", v1::LogRequest { since: Some(minute), ..Default::default() }),
    ] {
        let took = best(|| Some(runtime.block_on(read(&mut client, request.clone(), false)))).expect("it answers");
        report.add("100 GiB, nearly all hole", what, took, None);
    }
}

/// Reads an answer, in batches, to its end or to its first entry.
async fn read(client: &mut Client, request: v1::LogRequest, first: bool) -> Duration {
    let began = Instant::now();
    let batches = v1::StreamBatchesRequest { request: Some(request), no_follow: true, max_bytes: 256 << 10 };
    let mut stream = client.stream_batches(batches).await.expect("it is served").into_inner();
    let mut entries = 0;
    while let Some(batch) = stream.message().await.expect("it ends well") {
        entries += batch.entries.len();
        if first && entries > 0 {
            break;
        }
    }
    assert!(entries > 0, "something is there");
    began.elapsed()
}

fn best(mut run: impl FnMut() -> Option<Duration>) -> Option<Duration> {
    (0..RUNS).filter_map(|_| run()).min()
}

/// How long a program takes; none where it is not installed.
fn run(command: &mut Command) -> Option<Duration> {
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().ok()?;
    status.code().is_some().then(|| began.elapsed())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// The real program.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn serve(path: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_logtap"))
            .arg("serve")
            .arg(path)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening address=").map(|(_, address)| address.trim().to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("it listens") }
    }

    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        let endpoint = endpoint.initial_stream_window_size(4 << 20).initial_connection_window_size(8 << 20);
        Client::new(endpoint.connect().await.expect("it listens")).max_decoding_message_size(8 << 20)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes lines of several formats, the times of which end now, a day in all; one in a hundred is an error. Returns when
/// they end.
fn write_lines(path: &Path, bytes: u64) -> Duration {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("room"));
    let (end, day) = (now().as_millis() as u64, 86_400_000);
    let (mut written, mut number, mut line) = (0, 0_u64, String::new());
    while written < bytes {
        let millis = end - day + day * written / bytes;
        let time = jiff::Timestamp::from_millisecond(millis as i64).expect("a time");
        line.clear();
        let level = if number % 100 == 17 { "ERROR" } else { "INFO" };
        let what = match number % 1_000_003 {
            500_000 => "found needle-4711",
            _ if number % 5_000 == 99 => "timeout after 1500ms for u1237",
            _ => "request served from cache as usual",
        };
        let _ = match number % 5 {
            0 => writeln!(line, r#"{{"ts":"{time:.3}","level":"{level}","msg":"{what}","user":"u{}"}}"#, number % 977),
            1 => {
                writeln!(line, r#"ts={time:.3} level={level} msg="{what}" user=u{} took={}"#, number % 977, number % 89)
            }
            2 => writeln!(line, "{time:.3} {level} [worker-{}] app::server: {what}, connection {number}", number % 16),
            3 => writeln!(
                line,
                r#"10.0.{}.{} - - [{}] "GET /items/{number}?q={what} HTTP/1.1" 200 {} "-" "curl/8.5.0""#,
                number % 200,
                number % 250,
                jiff::fmt::strtime::format("%d/%b/%Y:%H:%M:%S +0000", time).expect("a format"),
                number % 9000,
            ),
            _ => writeln!(line, "[{time:.3}] [{level}] {what}; session {number:016x} of tenant {}", number % 31),
        };
        out.write_all(line.as_bytes()).expect("room");
        written += line.len() as u64;
        number += 1;
    }
    out.flush().expect("room");
    Duration::from_millis(end)
}

/// The same lines as a live file and its rotated predecessors, of which the older ones are compressed; the live one first.
fn rotate(whole: &Path, into: &Path) -> Vec<PathBuf> {
    let text = fs::read(whole).expect("it was just written");
    let mut begin = 0;
    let files = (1..=PARTS).map(|part| {
        let near = (text.len() as u64 * part / PARTS) as usize;
        let end =
            if part == PARTS { text.len() } else { near + memchr::memchr(b'\n', &text[near..]).map_or(0, |at| at + 1) };
        let number = PARTS - part;
        let name = if number == 0 { "app.log".to_owned() } else { format!("app.log.{number}") };
        let packed = number >= PARTS - COMPRESSED;
        let path = into.join(if packed { format!("{name}.gz") } else { name });
        let file = File::create(&path).expect("room");
        if packed {
            let mut encoder = GzEncoder::new(file, Compression::new(6));
            encoder.write_all(&text[begin..end]).and_then(|()| encoder.finish().map(drop)).expect("room");
        } else {
            fs::write(&path, &text[begin..end]).expect("room");
        }
        let age = Duration::from_secs(86_400 / PARTS * number);
        File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now() - age))
            .expect("ours");
        begin = end;
        path
    });
    let mut files: Vec<_> = files.collect();
    files.reverse();
    files
}

/// A file with lines at its beginning and at its end, and nothing between them.
fn write_sparse(path: &Path, lines: &Path) {
    use std::os::unix::fs::FileExt as _;
    let text = fs::read(lines).expect("it was just written");
    let part = text.len().min(4 << 20);
    let newline = |from: usize| from + memchr::memchr(b'\n', &text[from..]).map_or(0, |at| at + 1);
    let (first, last) = (&text[..newline(part - 1).min(text.len())], &text[newline(text.len() - part)..]);
    let file = File::create(path).expect("room");
    file.set_len(SPARSE_BYTES).expect("a hole");
    file.write_all_at(first, 0)
        .and_then(|()| file.write_all_at(b"\n", SPARSE_BYTES - last.len() as u64 - 1))
        .expect("room");
    file.write_all_at(last, SPARSE_BYTES - last.len() as u64).expect("room");
}
