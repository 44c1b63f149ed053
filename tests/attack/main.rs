//! Known attacks on HTTP servers, against the real program: what they cost stays bounded, another client is served all the
//! while, and nothing is left when they are over.
//!
//! `LOGTAP_TEST_PROGRAM` names the program to attack, if not the one that is built for the tests.

#[allow(dead_code, reason = "these tests use only a part of it")]
#[path = "../net/support.rs"]
mod support;
mod target;
mod wire;

use std::time::Duration;

use support::{read_until_closed, soon};
use target::{Setup, Target};
use tokio::io::AsyncWriteExt as _;
use wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_DEFAULT,
    WINDOW_MAX, WINDOW_UPDATE,
};

/// Longest time that a connection which is not read is written to: a server that stops reading is as well as one that
/// closes.
const PUSH_MAX: Duration = Duration::from_secs(1);
/// What is answered at once.
const INFO: &str = "/healthz";
/// What is answered after a minute, or when a line is written: nothing is.
const WAIT: &str = "/api/v1/logs?wait=60s";
/// What waits for the body of its request.
const TAKES_A_BODY: &str = "/api/v1/logs";
/// What ends when it has been read.
const GET_LOGS: &str = "/logtap.v1.LogService/GetLogs";
/// `ENHANCE_YOUR_CALM` (RFC 9113, section 7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// CVE-2023-44487.
#[tokio::test]
async fn rapid_reset() {
    let target = Target::start().await;
    let (witness, mut wire) = (target.witness(), target.wire(WINDOW_DEFAULT).await);
    let listening = wire.listen();
    for nth in 0..100_000 {
        let request = wire.frame(HEADERS, END_HEADERS | END_STREAM, 2 * nth + 1, &wire::get(WAIT)).await;
        if request.is_err() || wire.frame(RST_STREAM, 0, 2 * nth + 1, &[0, 0, 0, 8]).await.is_err() {
            break;
        }
    }
    let answers = wire.end(listening).await;
    assert_eq!(answers.goaway, Some(ENHANCE_YOUR_CALM), "{answers:?}");
    target.held(witness).await;
    target.all_freed().await;
}

/// CVE-2025-8671: the client makes the server reset the streams.
#[tokio::test]
async fn made_you_reset() {
    let target = Target::start().await;
    let (witness, mut wire) = (target.witness(), target.wire(WINDOW_MAX).await);
    let listening = wire.listen();
    for nth in 0..100_000 {
        let request = wire.frame(HEADERS, END_HEADERS, 2 * nth + 1, &wire::post(TAKES_A_BODY)).await;
        // The window is as large as it can be: one more is an error of the stream.
        if request.is_err() || wire.frame(WINDOW_UPDATE, 0, 2 * nth + 1, &[0, 0, 0, 1]).await.is_err() {
            break;
        }
    }
    let answers = wire.end(listening).await;
    assert_eq!(answers.goaway, Some(ENHANCE_YOUR_CALM), "{answers:?}");
    assert!(answers.count(RST_STREAM) <= 1024, "{answers:?}");
    target.held(witness).await;
    target.all_freed().await;
}

/// CVE-2024-27316 and its like.
#[tokio::test]
async fn continuation_flood() {
    let target = Target::start().await;
    let (witness, mut wire) = (target.witness(), target.wire(WINDOW_DEFAULT).await);
    let listening = wire.listen();
    let mut block = wire::get(INFO);
    // A literal, not indexed, with a name and a value of one byte: as many fields as fit.
    block.extend([0x00, 1, b'x', 1, b'y'].repeat(3_000));
    let mut alive = wire.frame(HEADERS, END_STREAM, 1, &block).await;
    for _ in 0..4_000 {
        if alive.is_err() {
            break;
        }
        alive = wire.frame(CONTINUATION, 0, 1, &[0x00, 1, b'x', 1, b'y'].repeat(3_000)).await;
    }
    assert!(alive.is_err() || wire.flush().await.is_err(), "the server took 60 MB of headers");
    wire.end(listening).await;
    target.held(witness).await;
    target.all_freed().await;
}

/// A header that is written once and named a thousand times (CVE-2016-6581 and its like).
#[tokio::test]
async fn header_compression_bomb() {
    let target = Target::start().await;
    let (witness, mut wire) = (target.witness(), target.wire(WINDOW_DEFAULT).await);
    let listening = wire.listen();
    let mut alive = Ok(());
    for nth in 0..2_000 {
        let mut block = wire::get(INFO);
        // Put into the table: a name of one byte and 4,000 bytes of value (7-bit prefix 127, then 3873).
        block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        block.extend([b'y'; 4_000]);
        block.extend([0xbe; 8_000]);
        alive = wire.frame(HEADERS, END_HEADERS | END_STREAM, 2 * nth + 1, &block).await;
        if alive.is_err() {
            break;
        }
    }
    let answers = wire.end(listening).await;
    assert_eq!(answers.count(DATA), 0, "32 MB of headers were taken: {alive:?} {answers:?}");
    target.held(witness).await;
    target.all_freed().await;
}

/// CVE-2019-9515, CVE-2019-9512 and their like: frames that are to be answered, by a client that reads no answers.
#[tokio::test]
async fn floods_of_frames_that_want_an_answer() {
    let floods: [(u8, &[u8]); 3] = [(SETTINGS, &[0, 4, 0, 0, 0xff, 0xff]), (SETTINGS, &[]), (PING, &[0; 8])];
    for (kind, payload) in floods {
        let target = Target::start().await;
        let (witness, mut wire) = (target.witness(), target.wire(WINDOW_DEFAULT).await);
        let push = async {
            for _ in 0..2_000_000 {
                if wire.frame(kind, 0, 0, payload).await.is_err() {
                    break;
                }
            }
        };
        // Either it closes, or it reads no more until its answers are read.
        let _ = tokio::time::timeout(PUSH_MAX, push).await;
        target.held(witness).await;
        drop(wire);
        target.all_freed().await;
    }
}

/// CVE-2019-9518 and its like: frames that carry nothing, on a stream whose body nobody reads.
#[tokio::test]
async fn floods_of_frames_that_say_nothing() {
    let floods: [(u8, u8, &[u8]); 3] =
        [(DATA, 0, &[]), (WINDOW_UPDATE, 0, &[0, 0, 0, 1]), (PRIORITY, 0, &[0, 0, 0, 0, 1])];
    for (kind, flags, payload) in floods {
        let target = Target::start().await;
        let (witness, mut wire) = (target.witness(), target.wire(WINDOW_DEFAULT).await);
        let listening = wire.listen();
        let _ = wire.frame(HEADERS, END_HEADERS, 1, &wire::post(TAKES_A_BODY)).await;
        let push = async {
            for _ in 0..2_000_000 {
                if wire.frame(kind, flags, 1, payload).await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(PUSH_MAX, push).await;
        wire.end(listening).await;
        target.held(witness).await;
        target.all_freed().await;
    }
}

#[tokio::test]
async fn ten_thousand_streams_on_one_connection() {
    let target = Target::start().await;
    let (witness, mut wire) = (target.witness(), target.wire(WINDOW_DEFAULT).await);
    let listening = wire.listen();
    for nth in 0..10_000 {
        if wire.frame(HEADERS, END_HEADERS | END_STREAM, 2 * nth + 1, &wire::get(WAIT)).await.is_err() {
            break;
        }
    }
    let answers = wire.end(listening).await;
    // 128 were served; the others were refused, each or all together.
    assert!(answers.count(RST_STREAM) == 10_000 - 128 || answers.goaway.is_some(), "{answers:?}");
    assert_eq!(answers.count(HEADERS), 0);
    target.held(witness).await;
    target.all_freed().await;
}

/// CVE-2019-9511, CVE-2019-9517: large windows, and nothing is read. What each of them costs is what the daemon and the
/// kernel hold for it.
#[tokio::test]
async fn a_hundred_readers_that_stop_with_all_windows_open() {
    let target = Target::start_with(Setup { lines: 200_000, ..Setup::default() }).await;
    let first = stopped_readers(&target, 100, 1).await;
    stopped_readers(&target, 100, 1).await;
    target.cost_no_more_than(first);
}

/// The same on few connections: what HTTP/2 holds for each stream counts.
#[tokio::test]
async fn streams_that_stop_on_four_connections() {
    let target = Target::start_with(Setup { lines: 200_000, ..Setup::default() }).await;
    let first = stopped_readers(&target, 4, 128).await;
    stopped_readers(&target, 4, 128).await;
    target.cost_no_more_than(first);
}

/// So many connections with so many streams each, of which none is read; what they cost in memory.
async fn stopped_readers(target: &Target, connections: u64, streams: u32) -> u64 {
    let witness = target.witness();
    let mut stopped = Vec::new();
    for _ in 0..connections {
        let mut wire = target.wire(WINDOW_MAX).await;
        for nth in 0..streams {
            wire.call(2 * nth + 1, GET_LOGS).await.expect("so many are allowed");
        }
        wire.flush().await.expect("so many are allowed");
        stopped.push(wire);
    }
    support::eventually("all of them to be served", || target.streams() == connections * u64::from(streams)).await;
    target.settled().await;
    let unsent = target.unsent();
    assert!(unsent < connections * target::UNSENT_MAX, "the kernel holds {} KiB", unsent >> 10);
    target.held(witness).await;
    drop(stopped);
    target.all_freed().await;
    target.cost()
}

#[tokio::test]
async fn silent_connects_beyond_the_limit() {
    silent_connects(Setup { lines: 1, ..Setup::default() }, b"").await;
}

#[tokio::test]
async fn connects_that_stop_in_the_middle_of_a_tls_handshake() {
    // A record of a handshake that is announced, and a ClientHello whose rest never comes.
    silent_connects(Setup { tls: true, lines: 1, ..Setup::default() }, &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await;
}

async fn silent_connects(setup: Setup, said: &[u8]) {
    logtap::server::net::raise_descriptor_limit().expect("one may raise it");
    let target = Target::start_with(setup).await;
    let witness = target.witness();
    let mut silent = Vec::new();
    for _ in 0..1_500 {
        let mut stream = target.connect().await;
        // Who was sent away already for one who came later cannot say it.
        let _ = stream.write_all(said).await;
        silent.push(stream);
    }
    // There is room all the same.
    target.witness().was_served().await;
    // And they are all sent away in the end.
    for stream in &mut silent {
        read_until_closed(stream).await;
    }
    target.held(witness).await;
    target.all_freed().await;
    let noted = |limit: &str| target.metric(&format!("logtap_limit_reached_total{{limit=\"{limit}\"}}"));
    assert!(noted("connections") > 0 && noted("handshake") > 0, "{}", target.log());
}

/// Descriptors run out before places do: who is there is served, and who comes later when there are some again.
#[tokio::test]
async fn descriptors_are_exhausted() {
    let target = Target::start_with(Setup { descriptors: Some(64), lines: 1, ..Setup::default() }).await;
    let witness = target.witness();
    let mut waiting = Vec::new();
    for _ in 0..200 {
        waiting.push(target.connect().await);
    }
    support::eventually("it to notice", || target.log().contains("cannot accept connections for now")).await;
    // Nobody else comes in, but whoever is in goes on. Then the silent ones are sent away, all of them in their turn.
    drop(waiting);
    target.held(witness).await;
    target.all_freed().await;
    assert!(target.metric("logtap_limit_reached_total{limit=\"descriptors\"}") > 0);
    let mut stream = target.connect().await;
    stream
        .write_all(b"GET /api/v1/logs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .expect("it reads");
    let answer = String::from_utf8(read_until_closed(&mut stream).await).expect("it is text");
    assert!(answer.contains("a line of some length"), "the log can be read again: {answer}");
}

#[tokio::test]
async fn pipelined_requests_whose_answers_are_not_read() {
    let target = Target::start().await;
    let (witness, mut stream) = (target.witness(), target.connect().await);
    let requests = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000);
    let push = async {
        for _ in 0..2_000 {
            if stream.write_all(&requests).await.is_err() {
                break;
            }
        }
    };
    assert!(tokio::time::timeout(PUSH_MAX, push).await.is_err(), "60 MB of requests were read");
    target.held(witness).await;
    drop(stream);
    target.all_freed().await;
}

#[tokio::test]
async fn headers_of_http1_without_end() {
    let target = Target::start().await;
    let (witness, mut stream) = (target.witness(), target.connect().await);
    let mut alive = stream.write_all(b"GET /healthz HTTP/1.1\r\n").await;
    for _ in 0..10_000 {
        if alive.is_err() {
            break;
        }
        alive = soon("the server to read or to close", stream.write_all(&b"x: y\r\n".repeat(1_000))).await;
    }
    assert!(alive.is_err(), "60 MB of headers were read");
    target.held(witness).await;
    drop(stream);
    target.all_freed().await;
}
