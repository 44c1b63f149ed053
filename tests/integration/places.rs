//! All places for connections taken: who comes now is told so, on every wire, and everybody hears of it.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpStream, UdpSocket},
};

use logtap::{
    limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX},
    proto::v1,
    server::net::raise_descriptor_limit,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{
    Logs, PATIENCE,
    client::{get, messages},
    daemon::Daemon,
    eventually,
};

/// A request that is answered when a line is written, and none is.
const WAIT: &[u8] = b"GET /api/v1/logs?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Connections that are all at work, so that nobody can be given the place of one.
fn at_work(address: &str, count: usize) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(WAIT).expect("it takes requests");
        stream
    };
    (0..count).map(connect).collect()
}

/// Waits until so many requests wait, asking over one connection that has its place.
fn wait_for_all(daemon: &Daemon, streams: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&daemon.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let expected = format!("logtap_streams{{transport=\"json\"}} {streams}\n");
    let mut is_so = || {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes requests");
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        // The last line of the metrics.
        while !answer.ends_with(b"# EOF\n") {
            let read = stream.read(&mut buffer).expect("it answers");
            assert!(read > 0, "it closed the connection");
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).contains(&expected)
    };
    eventually("all of them to be served", &mut is_so);
    // From now on it is at work as well.
    stream.write_all(WAIT).expect("it takes requests");
    stream
}

/// The metrics, asked for in spite of all.
fn metric(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.get("/metrics");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("it is there").parse().expect("a number")
}

fn refusal_over_grpc_web(daemon: &Daemon) -> String {
    let mut stream = TcpStream::connect(&daemon.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = "POST /logtap.v1.LogService/GetLogs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n";
    let kind = "Content-Type: application/grpc-web+proto\r\n\r\n";
    stream.write_all(&[head.as_bytes(), kind.as_bytes(), &[0; 5]].concat()).expect("it takes requests");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).to_lowercase()
}

async fn assert_refused(daemon: &Daemon, limit: &str, said: &str) {
    let status: Status = get(daemon, v1::LogRequest::default()).await.status;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains(said), "{status:?}");
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()), "{status:?}");
    let page = daemon.get("/api/v1/logs").to_lowercase();
    assert!(page.starts_with("http/1.1 429") && page.contains("retry-after: 5") && page.contains(said), "{page}");
    let web = refusal_over_grpc_web(daemon);
    assert!(web.contains("grpc-status: 8") && web.contains("content-type: application/grpc-web+proto"), "{web}");
    assert!(daemon.get("/healthz").starts_with("HTTP/1.1 200"), "whether it lives is answered all the same");
    let noted = metric(daemon, &format!("logtap_limit_reached_total{{limit=\"{limit}\"}}"));
    assert!(noted >= 5, "{noted}");
    eventually("a line in the log", || {
        daemon.log().lines().any(|line| line.contains("all places are taken") && line.contains(limit))
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_connections_are_taken_the_next_is_told_so() {
    raise_descriptor_limit().expect("one may raise it");
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("a.log", "one\n")]);
    let all = at_work(&daemon.address, CONNECTIONS_MAX - 1);
    let one_more = wait_for_all(&daemon, CONNECTIONS_MAX - 1);
    assert_refused(&daemon, "connections", "1024 connections are open").await;
    drop((all, one_more));
    eventually("the places", || metric(&daemon, "logtap_connections") == 1);
    assert_eq!(messages(&daemon, v1::LogRequest::default()).await, ["one"]);
}

/// An address of this machine that others know it by; there is none without a network.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: this only asks for the way.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_address_has_its_share_of_connections_others_are_served() {
    raise_descriptor_limit().expect("one may raise it");
    let Some(address) = own_address() else {
        println!("not tested: this machine has no address beyond loopback");
        return;
    };
    let logs = Logs::new();
    let file = logs.write("a.log", "one\n");
    let (listen, path) = (format!("listen = [\"{address}:0\", \"127.0.0.1:0\"]"), file.display());
    let limits = "max_streams_per_client = 1000\ninsecure = true";
    let source = format!("[[source]]\nname = \"a\"\npaths = [\"{path}\"]\n");
    let config = logs.write("logtap.toml", format!("[server]\n{listen}\n{limits}\n{source}"));
    let daemon = Daemon::configured(&config);
    let all = at_work(&daemon.address, CONNECTIONS_PER_ADDRESS_MAX - 1);
    let one_more = wait_for_all(&daemon, CONNECTIONS_PER_ADDRESS_MAX - 1);
    assert_refused(&daemon, "connections_per_address", "256 connections from your address").await;
    // Who comes from elsewhere has a place.
    let beside = daemon.log().lines().find_map(|line| line.split_once("address=127.")?.1.parse::<String>().ok());
    let beside = format!("127.{}", beside.expect("it listens there, too"));
    let mut stream = TcpStream::connect(beside).expect("it listens");
    stream
        .write_all(b"GET /api/v1/logs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"one\""), "{answer}");
    drop((all, one_more));
    eventually("the places", || metric(&daemon, "logtap_connections") == 1);
    assert_eq!(messages(&daemon, v1::LogRequest::default()).await, ["one"]);
}
