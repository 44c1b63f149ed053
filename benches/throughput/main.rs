//! How fast logtap is, and how little it costs when there is nothing to do, beside its limits and what people would use
//! instead.
//!
//! `cargo bench --bench throughput -- [MIB] [throughput|nginx|latency|idle]`: with a file of so many MiB of 144-byte lines, 1024 unless said, each with a
//! severity and a time that are detected. Servers are processes of their own; the client counts bytes and decodes nothing.
//! Clients and servers share the machine, so compare within one run. The last line is the same as JSON.
//!
//! `nginx` and `curl` are compared where they are installed, and `tail`.

mod baselines;
mod idle;
mod latency;
mod load;
mod process;

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use load::Way;
use logtap::proto::v1::LogRequest;
use process::Server;
use serde_json::{Value, json};

/// Each is measured so often; the best counts, since what disturbs only makes it longer.
const ROUNDS: usize = 3;
/// What is measured, by the argument that asks for nothing else.
const PARTS: [&str; 4] = ["throughput", "nginx", "latency", "idle"];
/// Lines are so long, with their newline.
const LINE_BYTES: u64 = 144;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, option, name, file, amount] = &arguments[..]
        && option == "--baseline"
    {
        return baselines::serve(name, Path::new(file), amount.parse().expect("a number"));
    }
    let mib: u64 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1024);
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let file = directory.path().join("app.log");
    let lines = write_lines(&file, mib << 20);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut report = Report::default();
    let only = arguments.iter().find(|argument| PARTS.contains(&argument.as_str()));
    let is_wanted = |part: &str| only.is_none_or(|only| only == part);
    runtime.block_on(async {
        if is_wanted("throughput") {
            throughput(&mut report, &file, lines).await;
        }
        if is_wanted("nginx") {
            beside_nginx(&mut report, directory.path(), &file).await;
        }
        if is_wanted("latency") {
            latency::measure(&mut report, directory.path()).await;
        }
        if is_wanted("idle") {
            idle::measure(&mut report, directory.path()).await;
        }
    });
    println!("\n{}", json!({"mib": mib, "rounds": ROUNDS, "rows": report.rows}));
}

/// What was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Value>,
}

impl Report {
    /// Begins a table.
    pub fn title(&mut self, title: &str) {
        println!("\n{title}");
    }

    /// Notes figures, each with its name.
    pub fn add(&mut self, what: &str, figures: &[(&str, f64)]) {
        let text: Vec<_> = figures.iter().map(|(name, figure)| format!("{figure:>9.2} {name}")).collect();
        println!("  {what:<46} {}", text.join("  "));
        let figures: serde_json::Map<_, _> =
            figures.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure))).collect();
        self.rows.push(json!({"what": what, "figures": figures}));
    }
}

/// Writes about so many bytes of lines, and says how many.
fn write_lines(path: &Path, bytes: u64) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("the directory is ours"));
    for number in 0..bytes / LINE_BYTES {
        let (second, millis) = (number / 1000, number % 1000);
        let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
        let level = if number % 100 == 17 { "ERROR" } else { "INFO" };
        let head = format!(
            "2026-11-24T{hour:02}:{minute:02}:{:02}.{millis:03}Z {level} [worker-{}] app::server: request {number} ",
            second % 60,
            number % 16
        );
        writeln!(out, "{head:x<143}").expect("the disk has room");
    }
    out.flush().expect("the disk has room");
    bytes / LINE_BYTES
}

/// Reads the file once, so that it is in memory whoever was there before.
fn warm(path: &Path) {
    std::io::copy(&mut File::open(path).expect("it is there"), &mut std::io::sink()).expect("it is readable");
}

/// The best of several rounds: lines a second, in millions, processor seconds for a million lines, and memory.
async fn best(file: &Path, server: &Server, way: Way, request: &LogRequest, subscribers: usize) -> [f64; 3] {
    let mut best = [0.0_f64, f64::MAX, 0.0];
    for _ in 0..ROUNDS {
        warm(file);
        let before = server.cpu();
        let (answer, took) = load::read_by_many(&server.address, way, request, subscribers).await;
        let millions = answer.entries as f64 / 1e6;
        let cost = (server.cpu() - before).as_secs_f64() / millions;
        best = [best[0].max(millions / took.as_secs_f64()), best[1].min(cost), server.memory().1 as f64 / 1e6];
    }
    best
}

fn figures([rate, cost, memory]: [f64; 3], ceiling: f64) -> [(&'static str, f64); 4] {
    [("M lines/s", rate), ("of the ceiling", rate / ceiling), ("CPU s/M lines", cost), ("MB", memory)]
}

async fn throughput(report: &mut Report, file: &Path, lines: u64) {
    report.title("The whole file, to subscribers with a window of 4 MiB");
    let path = file.to_str().expect("our own name");
    let logtap = Server::logtap(&[path]);
    let answer = load::read(&logtap.address, Way::V1, LogRequest::default()).await;
    assert_eq!(answer.entries, lines, "every line is an entry");
    let entry_bytes = answer.bytes as f64 / lines as f64;

    let pump = Server::baseline("ceiling", file, answer.bytes);
    let mut ceiling = 0.0_f64;
    for _ in 0..ROUNDS {
        let (answer, took) = load::read_by_many(&pump.address, Way::V1, &LogRequest::default(), 1).await;
        ceiling = ceiling.max(answer.bytes as f64 / entry_bytes / 1e6 / took.as_secs_f64());
    }
    report.add("hyper sending one buffer: the ceiling", &[("M lines/s", ceiling)]);
    drop(pump);

    for (name, way) in
        [("logtap, compat", Way::Compat), ("logtap, v1", Way::V1), ("logtap, StreamBatches", Way::Batches)]
    {
        let found = best(file, &logtap, way, &LogRequest::default(), 1).await;
        report.add(name, &figures(found, ceiling));
    }
    // Each of many reads a part of it, so that a round does not take minutes.
    for subscribers in [10, 100] {
        let part = LogRequest { limit: (4 * lines / subscribers as u64).min(lines), ..LogRequest::default() };
        let found = best(file, &logtap, Way::V1, &part, subscribers).await;
        report.add(&format!("logtap, v1, {subscribers} subscribers"), &figures(found, ceiling));
    }
    for subscribers in [1, 100] {
        // A server of its own, so that nothing is known yet.
        let logtap = Server::logtap(&[path]);
        let errors = LogRequest { level: "error".into(), ..LogRequest::default() };
        warm(file);
        let (answer, took) = load::read_by_many(&logtap.address, Way::V1, &errors, subscribers).await;
        assert_eq!(answer.entries, lines.div_ceil(100) * subscribers as u64);
        let cost = [("ms", took.as_secs_f64() * 1e3), ("CPU s", logtap.cpu().as_secs_f64())];
        report.add(&format!("logtap, level=error, {subscribers} subscribers"), &cost);
    }
    drop(logtap);

    let prost = Server::baseline("prost", file, lines);
    let found = best(file, &prost, Way::V1, &LogRequest::default(), 1).await;
    report.add("ordinary messages over a reader of blocks", &figures(found, ceiling));
    // It reads once; what a subscriber is too slow for is lost.
    let linemux = Server::baseline("linemux", file, lines);
    warm(file);
    let (answer, took) = load::read_by_many(&linemux.address, Way::V1, &LogRequest::default(), 1).await;
    let millions = answer.entries as f64 / 1e6;
    let rate = millions / took.as_secs_f64();
    let cost = linemux.cpu().as_secs_f64() / millions;
    let lost = 100.0 * (lines - answer.entries) as f64 / lines as f64;
    let [rate, share, cost, memory] = figures([rate, cost, linemux.memory().1 as f64 / 1e6], ceiling);
    report.add("linemux, a broadcast channel, ordinary messages", &[rate, share, cost, memory, ("% lost", lost)]);
}

/// The same by curl, beside nginx sending a file of as many bytes.
async fn beside_nginx(report: &mut Report, directory: &Path, file: &Path) {
    report.title("By curl --http2-prior-knowledge, beside nginx with a file of as many bytes");
    let logtap = Server::logtap(&[file.to_str().expect("our own name")]);
    let bytes = load::read(&logtap.address, Way::V1, LogRequest::default()).await.bytes;
    let request = directory.join("request");
    fs::write(&request, [0; 5]).expect("room");
    let by_logtap = || {
        let mut curl = curl(&format!("http://{}/logtap.v1.LogService/GetLogs", logtap.address));
        curl.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary"]);
        curl.arg(format!("@{}", request.display()));
        run(curl)
    };
    let Some(nginx) = Nginx::start(directory, bytes) else {
        println!("  nginx: there is none");
        return;
    };
    let by_nginx = || run(curl(&format!("http://127.0.0.1:{}/body", nginx.port)));
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        warm(file);
        let Some(took) = by_nginx() else {
            println!("  curl: there is none");
            return;
        };
        theirs = theirs.min(took.as_secs_f64());
        ours = ours.min(by_logtap().map_or(f64::MAX, |took| took.as_secs_f64()));
    }
    let rate = |seconds: f64| bytes as f64 / 1e6 / seconds;
    report.add("nginx", &[("MB/s", rate(theirs))]);
    report.add("logtap, v1", &[("MB/s", rate(ours)), ("of nginx", theirs / ours)]);
}

fn curl(url: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--http2-prior-knowledge", "-o", "/dev/null", url]);
    curl
}

fn run(mut command: Command) -> Option<Duration> {
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).status().ok()?;
    assert!(status.success(), "{command:?}");
    Some(began.elapsed())
}

/// An nginx with one file.
struct Nginx {
    child: std::process::Child,
    port: u16,
}

impl Nginx {
    fn start(directory: &Path, bytes: u64) -> Option<Self> {
        let root = directory.join("nginx");
        fs::create_dir_all(root.join("logs")).expect("ours");
        let text = vec![b'x'; 1 << 20];
        let mut body = File::create(root.join("body")).expect("ours");
        for at in (0..bytes).step_by(text.len()) {
            body.write_all(&text[..text.len().min((bytes - at) as usize)]).expect("room");
        }
        // Free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let configuration = format!(
            "daemon off; worker_processes 1; pid nginx.pid; error_log stderr; events {{ }}\n\
             http {{ access_log off; sendfile on; http2_chunk_size 64k; client_body_temp_path b; proxy_temp_path p;\n\
             fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
             server {{ listen 127.0.0.1:{port} http2; root {}; }} }}\n",
            root.display()
        );
        let file = root.join("nginx.conf");
        fs::write(&file, configuration).expect("ours");
        // A user other than root may have to read it.
        let _ = Command::new("chmod").args(["-R", "a+rX"]).arg(directory).status();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&root).arg("-c").arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Some(Self { child, port })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
