//! Batches that are compressed for those who ask for it.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use logtap::proto::v1;
use tonic::{Code, codec::CompressionEncoding, transport::Endpoint};

use crate::support::{
    Logs,
    client::{Answer, V1Client, read_all},
    daemon::Daemon,
    soon,
};

/// A way to the daemon on which the bytes that it sends are counted.
fn counted(daemon: &Daemon) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let (address, there) = (listener.local_addr().expect("it is bound").to_string(), daemon.address.clone());
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().expect("somebody comes");
        let mut far = TcpStream::connect(there).expect("it listens");
        let (mut up, mut on) = (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"));
        std::thread::spawn(move || {
            let _ = io::copy(&mut up, &mut on);
            let _ = on.shutdown(Shutdown::Write);
        });
        let mut buffer = [0; 64 << 10];
        while let Ok(read @ 1..) = far.read(&mut buffer) {
            counting.fetch_add(read, Ordering::Relaxed);
            if near.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
    });
    (format!("http://{address}"), count)
}

/// What a whole answer holds, the encoding that it came in, and the bytes that came.
async fn read(daemon: &Daemon, takes: &[CompressionEncoding]) -> (Answer<v1::StreamBatchesResponse>, String, usize) {
    let (address, count) = counted(daemon);
    let endpoint = Endpoint::from_shared(address).expect("an address");
    let channel = soon("a connection", endpoint.connect()).await.expect("it listens");
    let client = takes.iter().fold(V1Client::new(channel), |client, encoding| client.accept_compressed(*encoding));
    let mut client = client.max_decoding_message_size(8 << 20);
    let request = v1::StreamBatchesRequest { no_follow: true, ..Default::default() };
    let answer = read_all(client.stream_batches(request)).await;
    let encoding = answer.headers.get("grpc-encoding").map_or("", |value| value.to_str().expect("text")).to_owned();
    (answer, encoding, count.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_batches_hold_the_same_and_are_a_fraction_of_their_size() {
    let logs = Logs::new();
    let line =
        |n: u64| format!("2026-11-24T00:{:02}:{:02}Z INFO request {n} took {} ms\n", n / 60 % 60, n % 60, n * n % 997);
    let lines: String = (0..30_000).map(line).collect();
    let daemon = Daemon::serve([logs.write("app.log", lines)]);
    let (plain, no_encoding, plain_bytes) = read(&daemon, &[]).await;
    let (packed, encoding, packed_bytes) = read(&daemon, &[CompressionEncoding::Gzip, CompressionEncoding::Zstd]).await;
    assert_eq!((no_encoding.as_str(), encoding.as_str()), ("", "zstd"));
    assert_eq!((plain.status.code(), packed.status.code()), (Code::Ok, Code::Ok));
    let entries = |answer: &Answer<v1::StreamBatchesResponse>| -> Vec<v1::LogEntry> {
        answer.entries.iter().flat_map(|batch| batch.entries.clone()).collect()
    };
    let without_cursor = |entry: v1::LogEntry| v1::LogEntry { cursor: Default::default(), ..entry };
    let (plain_entries, packed_entries) = (entries(&plain), entries(&packed));
    assert_eq!(plain_entries.len(), 30_000);
    assert!(plain_entries.into_iter().map(without_cursor).eq(packed_entries.into_iter().map(without_cursor)));
    assert_eq!(plain.trailers.get("logtap-crc32"), packed.trailers.get("logtap-crc32"));
    println!("{plain_bytes} bytes, {packed_bytes} compressed");
    assert!(packed_bytes * 4 < plain_bytes, "{plain_bytes} bytes, {packed_bytes} compressed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_offers_no_zstd_gets_batches_as_they_are() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", "a line\n".repeat(10_000))]);
    let (answer, encoding, _) = read(&daemon, &[CompressionEncoding::Gzip]).await;
    assert_eq!((answer.status.code(), encoding.as_str()), (Code::Ok, ""));
}
