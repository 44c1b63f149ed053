//! What logtap costs when there is nothing to do: files that nobody writes, subscribers that do not read.

use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

use hyper::{Response, body::Incoming};
use logtap::proto::v1::LogRequest;

use crate::{
    Report,
    load::Connection,
    process::{Server, socket_queues},
};

/// How long idling is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Streams on one connection.
const STREAMS: usize = 100;
/// The protocol's own window, which clients have unless they ask for another.
const WINDOW: u32 = 64 << 10;

pub async fn measure(report: &mut Report, directory: &Path) {
    report.title("Nothing to do");
    files(report, directory, 10_000).await;
    files(report, directory, 100_000).await;
    let file = directory.join("big.log");
    crate::write_lines(&file, 64 << 20);
    subscribers(report, directory, &file, 1000, "/logtap.v1.LogService/GetLogs", "stopped").await;
    let quiet = directory.join("quiet.log");
    File::create(&quiet).expect("ours");
    subscribers(report, directory, &quiet, 10_000, "/logtap.v1.LogService/StreamLogs", "idle").await;
}

/// So many files, a hundred in each directory.
async fn files(report: &mut Report, directory: &Path, count: usize) {
    let root = directory.join(format!("files-{count}"));
    for number in 0..count {
        let folder = root.join((number / 100).to_string());
        if number % 100 == 0 {
            fs::create_dir_all(&folder).expect("ours");
        }
        fs::write(folder.join(format!("{number}.log")), "2026-11-24T10:00:00Z INFO a line\n").expect("room");
    }
    let server = Server::logtap(&[&format!("{}/*/*.log", root.display())]);
    let alone = idling(&server).await;
    let started = ("s to start", server.started.as_secs_f64());
    report.add(&format!("{count} files"), &[started, alone[0], alone[1]]);
    let mut connection = Connection::open(&server.address, WINDOW).await;
    let response = connection.call("/logtap.v1.LogService/StreamLogs", &LogRequest::default()).await;
    report.add(&format!("{count} files, 1 subscriber to all"), &idling(&server).await);
    drop((response, server));
    fs::remove_dir_all(&root).expect("ours");
}

/// What a server costs while nothing happens.
async fn idling(server: &Server) -> [(&'static str, f64); 2] {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.cpu();
    tokio::time::sleep(IDLE).await;
    let share = 100.0 * (server.cpu() - before).as_secs_f64() / IDLE.as_secs_f64();
    [("% of a CPU", share), ("MB", server.memory().0 as f64 / 1e6)]
}

/// So many streams of which none is read.
async fn subscribers(report: &mut Report, directory: &Path, file: &Path, count: usize, path: &str, what: &str) {
    let configuration = directory.join("many.toml");
    let text = format!("[server]\nmax_streams = 20000\n[[source]]\nname = \"app\"\npaths = [\"{}\"]\n", file.display());
    fs::write(&configuration, text).expect("room");
    let server = Server::logtap(&["-c", configuration.to_str().expect("our own name")]);
    let (memory, queues) = (server.memory().0, socket_queues());
    let mut held: Vec<(Connection, Vec<Response<Incoming>>)> = Vec::new();
    for _ in 0..count / STREAMS {
        let mut connection = Connection::open(&server.address, WINDOW).await;
        let mut responses = Vec::new();
        for _ in 0..STREAMS {
            responses.push(connection.call(path, &LogRequest::default()).await);
        }
        held.push((connection, responses));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.cpu();
    tokio::time::sleep(IDLE / 4).await;
    let share = 100.0 * (server.cpu() - before).as_secs_f64() / (IDLE / 4).as_secs_f64();
    let (more, queued) = (server.memory().0.saturating_sub(memory), socket_queues().saturating_sub(queues));
    report.add(
        &format!("{count} {what} subscribers, {STREAMS} to a connection"),
        &[
            ("KiB each", more as f64 / 1024.0 / count as f64),
            ("KiB each in the kernel", queued as f64 / 1024.0 / count as f64),
            ("MB", server.memory().0 as f64 / 1e6),
            ("% of a CPU", share),
        ],
    );
    drop(held);
}
