//! From a line's being written to its being received, and what many small writes cost.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use http_body_util::BodyExt as _;
use logtap::proto::v1::LogRequest;

use crate::{Report, load::Connection, process::Server};

/// Lines that are timed, one a millisecond.
const LINES: usize = 3000;
/// What stands before the time at which a line was written.
const MARK: &[u8] = b" written=";
/// Digits of that time.
const DIGITS: usize = 15;

pub async fn measure(report: &mut Report, directory: &Path) {
    report.title("From append to receive, at 1,000 lines a second");
    let epoch = Instant::now();
    let file = directory.join("paced.log");
    File::create(&file).expect("ours");

    let tail = by_tail(&file, epoch);
    report.add("tail -F into a pipe", &percentiles(&tail));
    let server = Server::logtap(&[file.to_str().expect("our own name")]);
    for subscribers in [1, 100] {
        let times = by_logtap(&server, &file, epoch, subscribers).await;
        let mut figures = percentiles(&times).to_vec();
        if subscribers == 1 && !tail.is_empty() {
            figures.push(("times tail's p50", figures[0].1 / percentiles(&tail)[0].1));
            figures.push(("times tail's p99", figures[1].1 / percentiles(&tail)[1].1));
        }
        report.add(&format!("logtap, {subscribers} subscribers"), &figures);
    }
    small_writes(report, &server, &file).await;
}

/// The median and the 99th of a hundred, in microseconds.
fn percentiles(times: &[Duration]) -> [(&'static str, f64); 2] {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    [("us p50", at(0.5)), ("us p99", at(0.99))]
}

/// Writes lines, one a millisecond, each with the time at which it is written.
fn write_paced(file: &Path, epoch: Instant) {
    let mut file = OpenOptions::new().append(true).open(file).expect("ours");
    let began = Instant::now();
    for number in 0..LINES {
        std::thread::sleep(Duration::from_millis(number as u64).saturating_sub(began.elapsed()));
        let nanos = epoch.elapsed().as_nanos();
        let line = format!("2026-11-24T10:00:00Z INFO line {number} written={nanos:015}\n");
        file.write_all(line.as_bytes()).expect("room");
    }
}

/// How old the lines are that `bytes` hold, of which `rest` is what was received before and not whole.
fn ages(rest: &mut Vec<u8>, bytes: &[u8], epoch: Instant, into: &mut Vec<Duration>) {
    let now = epoch.elapsed();
    rest.extend_from_slice(bytes);
    let mut end = 0;
    for found in memchr::memmem::find_iter(rest, MARK) {
        let Some(digits) = rest.get(found + MARK.len()..found + MARK.len() + DIGITS) else { break };
        let nanos = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("digits");
        into.push(now.saturating_sub(Duration::from_nanos(nanos)));
        end = found + MARK.len() + DIGITS;
    }
    // The mark or its digits may still be coming.
    let keep = rest.len().saturating_sub(MARK.len() + DIGITS).max(end);
    rest.drain(..keep);
}

fn by_tail(file: &Path, epoch: Instant) -> Vec<Duration> {
    let mut command = Command::new("tail");
    command.args(["-n", "0", "-F"]).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Vec::new() };
    let mut pipe = child.stdout.take().expect("a pipe");
    let (sender, times) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut buffer, mut rest, mut times) = (vec![0; 1 << 16], Vec::new(), Vec::new());
        let mut ready = Some(sender);
        while let Ok(got @ 1..) = pipe.read(&mut buffer) {
            ready.take().into_iter().for_each(|ready| ready.send(()).expect("waited for"));
            ages(&mut rest, &buffer[..got], epoch, &mut times);
            if times.len() >= LINES {
                break;
            }
        }
        times
    });
    // It says nothing when it is ready, so it is given lines until one comes through.
    let mut nudge = OpenOptions::new().append(true).open(file).expect("ours");
    while times.recv_timeout(Duration::from_millis(20)).is_err() {
        nudge.write_all(b"2026-11-24T10:00:00Z INFO nudge\n").expect("room");
    }
    write_paced(file, epoch);
    let times = reader.join().expect("a reader");
    let _ = child.kill();
    let _ = child.wait();
    times
}

async fn by_logtap(server: &Server, file: &Path, epoch: Instant, subscribers: usize) -> Vec<Duration> {
    let mut readers = Vec::new();
    for _ in 0..subscribers {
        let mut connection = Connection::open(&server.address, 1 << 20).await;
        let mut response = connection.call("/logtap.v1.LogService/StreamLogs", &LogRequest::default()).await;
        readers.push(tokio::spawn(async move {
            let _connection = connection;
            let (mut rest, mut times) = (Vec::new(), Vec::new());
            while times.len() < LINES
                && let Some(frame) = response.body_mut().frame().await
            {
                if let Some(data) = frame.expect("it goes on").data_ref() {
                    ages(&mut rest, data, epoch, &mut times);
                }
            }
            times
        }));
    }
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || write_paced(&file, epoch)).await.expect("a writer");
    let mut all = Vec::new();
    for reader in readers {
        all.extend(reader.await.expect("a reader"));
    }
    all
}

/// Many writes of one line each, with one subscriber.
async fn small_writes(report: &mut Report, server: &Server, file: &Path) {
    const RATE: u64 = 50_000;
    const SECONDS: u64 = 5;
    let mut connection = Connection::open(&server.address, 4 << 20).await;
    let request = LogRequest { limit: RATE * SECONDS, ..LogRequest::default() };
    let response = connection.call("/logtap.v1.LogService/StreamLogs", &request).await;
    let reader = tokio::spawn(crate::load::count(response));
    let (before, began) = (server.cpu(), Instant::now());
    let file = file.to_owned();
    let writer = tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().append(true).open(file).expect("ours");
        let began = Instant::now();
        for number in 0..RATE * SECONDS {
            if number % (RATE / 2000) == 0 {
                let due = Duration::from_nanos(number * 1_000_000_000 / RATE);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            file.write_all(format!("2026-11-24T10:00:00Z INFO a line of its own, {number}\n").as_bytes())
                .expect("room");
        }
    });
    writer.await.expect("a writer");
    let answer = reader.await.expect("a reader");
    let took = began.elapsed();
    assert_eq!(answer.entries, RATE * SECONDS);
    let share = 100.0 * (server.cpu() - before).as_secs_f64() / took.as_secs_f64();
    let rate = answer.entries as f64 / took.as_secs_f64();
    report.add("many writes of a line each, 1 subscriber", &[("lines/s", rate), ("% of a CPU", share)]);
}
