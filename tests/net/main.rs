//! The connection loop over real sockets: who is let in, who is kept, who is closed, and that nothing stays behind.

mod activation;
mod exhaustion;
mod support;
mod tls;
mod unix;

use std::time::{Duration, Instant};

use http::{StatusCode, Version};
use http_body_util::BodyExt as _;
use logtap::{
    limits::REFUSALS_MAX,
    server::net::{CloseReason, ConnectionLimits, Ending, Listen, Listeners, Phase},
};
use support::{Server, eventually, get, http1, http2, read_until_closed, soon, text};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// A window that no test fills.
const HUGE: u32 = (1 << 31) - 1;
const SHORT: Duration = Duration::from_millis(80);

fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
}

#[tokio::test]
async fn both_versions_of_http_are_served_on_one_port_and_know_their_peer() {
    let server = Server::start(limits());
    let stream = server.connect().await;
    let peer = stream.local_addr().expect("it is connected");
    let (mut send, _connection) = http1(stream).await;
    let response = send.send_request(get("/info")).await.expect("it is answered");
    assert_eq!(response.version(), Version::HTTP_11);
    let body = text(response).await;
    assert!(body.ends_with(&format!(" {peer}")), "{body}");

    let stream = server.connect().await;
    let peer = stream.local_addr().expect("it is connected");
    let (mut send, _connection) = http2(stream, HUGE).await;
    let response = send.send_request(get("/info")).await.expect("it is answered");
    assert_eq!(response.version(), Version::HTTP_2);
    let body = text(response).await;
    assert!(body.ends_with(&format!(" {peer}")), "{body}");
    let phases: Vec<_> = server.connections.list().iter().map(|summary| summary.phase).collect();
    assert_eq!(phases, [Phase::Http1, Phase::Http2]);
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_not_enough_is_closed_after_the_deadline() {
    let server = Server::start(ConnectionLimits { handshake: SHORT, ..limits() });
    for (said, ending) in
        [("", "silent"), ("PRI * HTTP/2.0\r\n", "silent"), ("GET / HTTP/1.1\r\nhost: a\r\n", "silent")]
    {
        let (started, before) = (Instant::now(), server.ended(ending));
        let mut stream = server.connect().await;
        stream.write_all(said.as_bytes()).await.expect("the server listens");
        read_until_closed(&mut stream).await;
        assert!(started.elapsed() >= SHORT, "{said:?} was closed too early");
        eventually("the ending to be counted", || server.ended(ending) == before + 1).await;
    }
    server.all_gone().await;
}

#[tokio::test]
async fn an_http1_connection_that_asks_nothing_more_is_closed_after_the_deadline() {
    let server = Server::start(ConnectionLimits { handshake: SHORT, ..limits() });
    let (mut send, connection) = http1(server.connect().await).await;
    assert_eq!(send.send_request(get("/info")).await.expect("it is answered").status(), StatusCode::OK);
    let _ = soon("the server to close", connection).await;
    server.all_gone().await;
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_the_deadlines_is_waited_for() {
    let server = Server::start(ConnectionLimits { handshake: SHORT, ..limits() });
    let (mut send1, connection1) = http1(server.connect().await).await;
    let (mut send2, connection2) = http2(server.connect().await, HUGE).await;
    let (first, second) = tokio::join!(
        tokio::time::timeout(SHORT * 3, send1.send_request(get("/wait"))),
        tokio::time::timeout(SHORT * 3, send2.send_request(get("/wait")))
    );
    assert!(first.is_err() && second.is_err(), "neither answered nor closed");
    assert!(!connection1.is_finished() && !connection2.is_finished());
}

#[tokio::test]
async fn a_client_of_tls_hears_an_alert_where_none_is_spoken() {
    let server = Server::start(limits());
    let mut stream = server.connect().await;
    stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).await.expect("the server listens");
    stream.shutdown().await.expect("it is open");
    assert_eq!(read_until_closed(&mut stream).await, [21, 3, 1, 0, 2, 2, 70]);
    eventually("the ending to be counted", || server.ended("tls") == 1).await;
}

#[tokio::test]
async fn a_request_with_too_many_bytes_of_headers_is_refused() {
    let server = Server::start(limits());
    let mut stream = server.connect().await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nlong: {}\r\n\r\n", "x".repeat(20 * 1024));
    stream.write_all(head.as_bytes()).await.expect("the server listens");
    let answer = read_until_closed(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));

    let (mut send, _connection) = http2(server.connect().await, HUGE).await;
    let mut request = get("/info");
    request.headers_mut().insert("long", "x".repeat(20 * 1024).parse().expect("it is a header"));
    let refused = send.send_request(request).await;
    assert!(refused.map_or(true, |response| response.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    server.all_gone_but(1).await;
}

#[tokio::test]
async fn beyond_the_limit_one_request_is_taken_to_be_refused_and_all_are_when_there_is_a_place() {
    let server = Server::start(ConnectionLimits { connections: 2, ..limits() });
    let (mut first, _first_connection) = http2(server.connect().await, HUGE).await;
    let (mut second, _second_connection) = http2(server.connect().await, HUGE).await;
    let busy = first.send_request(get("/endless")).await.expect("it is answered");
    let _busy_too = second.send_request(get("/endless")).await.expect("it is answered");

    let (mut send1, connection1) = http1(server.connect().await).await;
    let refused = text(send1.send_request(get("/info")).await.expect("it is answered")).await;
    assert!(refused.contains("no_place: Some(Anywhere)"), "{refused}");
    soon("the connection to end", connection1).await.expect("no panic").expect("it ends in order");
    let (mut send2, connection2) = http2(server.connect().await, HUGE).await;
    let refused = text(send2.send_request(get("/info")).await.expect("it is answered")).await;
    assert!(refused.contains("no_place: Some(Anywhere)"), "{refused}");
    soon("the connection to end", connection2).await.expect("no panic").expect("it ends in order");
    assert_eq!((server.connections.totals().refused, server.connections.count()), (2, 2));

    drop((first, busy));
    eventually("the place to be free", || server.connections.count() == 1).await;
    let (mut third, _third_connection) = http1(server.connect().await).await;
    for _ in 0..2 {
        let served = text(third.send_request(get("/info")).await.expect("it is answered")).await;
        assert!(served.contains("no_place: None"), "{served}");
    }
}

#[tokio::test]
async fn who_is_to_be_refused_has_to_ask_soon_and_where_many_are_the_next_is_closed_at_once() {
    let patience = Duration::from_secs(2);
    let server = Server::start(ConnectionLimits { connections: 1, handshake: patience, ..limits() });
    let (mut first, _first_connection) = http2(server.connect().await, HUGE).await;
    let _busy = first.send_request(get("/endless")).await.expect("it is answered");
    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..REFUSALS_MAX {
        silent.push(server.connect().await);
    }
    let refused = || server.connections.totals().refused;
    eventually("all of them to be taken", || refused() == REFUSALS_MAX as u64).await;
    assert_eq!(read_until_closed(&mut server.connect().await).await, b"");
    assert!(began.elapsed() < patience, "it was closed together with the others");
    for stream in &mut silent {
        assert_eq!(read_until_closed(stream).await, b"");
    }
    assert!(began.elapsed() >= patience, "they were closed too early");
    assert_eq!((refused(), server.connections.count()), (REFUSALS_MAX as u64 + 1, 1));
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_the_oldest_connection_that_said_nothing() {
    let server = Server::start(ConnectionLimits { connections: 3, ..limits() });
    let (mut busy, _busy_connection) = http2(server.connect().await, HUGE).await;
    let _stream = busy.send_request(get("/endless")).await.expect("it is answered");
    let mut oldest = server.connect().await;
    eventually("it to be accepted", || server.connections.count() == 2).await;
    let _younger = server.connect().await;
    eventually("it to be accepted", || server.connections.count() == 3).await;

    let (mut send, _connection) = http1(server.connect().await).await;
    assert_eq!(send.send_request(get("/info")).await.expect("it is answered").status(), StatusCode::OK);
    assert_eq!(read_until_closed(&mut oldest).await, b"");
    assert_eq!((server.ended("made_room"), server.connections.totals().refused), (1, 0));
    assert_eq!(server.connections.count(), 3);
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_an_idle_connection_but_never_of_one_at_work() {
    let sweep = Duration::from_millis(20);
    let server = Server::start(ConnectionLimits { connections: 2, sweep, ..limits() });
    let (mut busy, busy_connection) = http2(server.connect().await, HUGE).await;
    let _stream = busy.send_request(get("/endless")).await.expect("it is answered");
    let (mut idle, idle_connection) = http2(server.connect().await, HUGE).await;
    idle.send_request(get("/info")).await.expect("it is answered");
    let served = async {
        loop {
            // Until a sweep has seen that it is idle, newcomers are to be refused.
            let (mut newcomer, _connection) = http1(server.connect().await).await;
            let answer = newcomer.send_request(get("/info")).await.expect("it is answered");
            if text(answer).await.contains("no_place: None") {
                break;
            }
        }
    };
    soon("a newcomer to be served", served).await;
    let _ = soon("the idle connection to end", idle_connection).await;
    assert_eq!(server.ended(Ending::Closed(CloseReason::MadeRoom).name()), 1);
    assert!(!busy_connection.is_finished());
}

#[tokio::test]
async fn a_drain_lets_streams_end_and_closes_what_is_left_when_its_time_is_over() {
    let server = Server::start(ConnectionLimits { drain: SHORT, ..limits() });
    let (mut polite, polite_connection) = http2(server.connect().await, HUGE).await;
    let ends = polite.send_request(get("/until-drain")).await.expect("it is answered");
    let (mut stubborn, stubborn_connection) = http2(server.connect().await, HUGE).await;
    let never = tokio::spawn(async move { stubborn.send_request(get("/wait")).await });
    let silent = server.connect().await;
    eventually("all to be accepted", || server.connections.count() == 3).await;
    eventually("both streams to begin", || server.alive.load(std::sync::atomic::Ordering::SeqCst) == 2).await;

    let address = server.tcp();
    server.shutdown.cancel();
    ends.into_body().collect().await.expect("the stream ends in order");
    soon("the connection to end", polite_connection).await.expect("it is not aborted").expect("it ends in order");
    assert!(soon("the answer", never).await.expect("no panic").is_err());
    let _ = soon("the connection to end", stubborn_connection).await;
    drop(silent);
    server.all_gone().await;
    assert_eq!((server.ended("finished"), server.ended("stopped")), (2, 1));
    soon("serve to return", server.done).await.expect("it does not panic");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_connection_that_is_not_read_can_be_closed_by_its_id_and_the_others_go_on() {
    let server = Server::start(limits());
    let (mut stuck, stuck_connection) = http2(server.connect().await, HUGE).await;
    // It is answered, and then nobody reads: the client's task stops at its full window.
    let (mut other, _other_connection) = http2(server.connect().await, 1 << 20).await;
    let mut going = other.send_request(get("/endless")).await.expect("it is answered").into_body();
    let unread = stuck.send_request(get("/wait"));
    let unread = tokio::spawn(unread);
    eventually("both streams to begin", || server.connections.list().iter().all(|c| c.streams == 1)).await;
    let id = server.connections.list()[0].id;

    assert!(server.connections.close(id, CloseReason::DeadlinePassed));
    assert!(soon("the stream to end", unread).await.expect("no panic").is_err());
    let _ = soon("the connection to end", stuck_connection).await;
    eventually("it to be gone", || server.connections.count() == 1).await;
    assert_eq!(server.ended("deadline_passed"), 1);
    assert!(!server.connections.close(id, CloseReason::DeadlinePassed), "it is gone");
    for _ in 0..100 {
        going.frame().await.expect("it does not end").expect("it is whole");
    }
}

#[tokio::test]
async fn a_connection_that_winds_down_takes_no_new_requests_and_ends_after_the_last_one() {
    let server = Server::start(limits());
    let (mut send, connection) = http2(server.connect().await, HUGE).await;
    let stream = send.send_request(get("/until-drain")).await.expect("it is answered");
    let id = server.connections.list()[0].id;
    assert!(server.connections.wind_down(id));
    let refused = async { while send.send_request(get("/info")).await.is_ok() {} };
    soon("new requests to be refused", refused).await;
    assert_eq!(server.connections.count(), 1, "its stream goes on");
    server.shutdown.cancel();
    stream.into_body().collect().await.expect("the stream ends in order");
    soon("the connection to end", connection).await.expect("it is not aborted").expect("it ends in order");
}

#[tokio::test]
async fn a_reader_that_stops_is_kept_until_the_longest_stall_is_over() {
    let (stall, sweep) = (Duration::from_millis(400), Duration::from_millis(10));
    let server = Server::start(ConnectionLimits { stall, sweep, ..limits() });
    let mut stream = server.connect().await;
    let started = Instant::now();
    // Preface, SETTINGS with the largest window, WINDOW_UPDATE, and HEADERS: GET /endless. Then it never reads.
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]);
    said.extend([0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xfe, 0xff, 0xff]);
    said.extend([0, 0, 15, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x41, 1, b'a', 0x44, 8]);
    said.extend(b"/endless");
    stream.write_all(&said).await.expect("the server listens");
    eventually("the socket to be full", || {
        server.connections.list().first().is_some_and(|connection| connection.blocked > Duration::ZERO)
    })
    .await;
    eventually("the stall to be noticed", || server.ended("stalled") == 1).await;
    assert!(started.elapsed() >= stall);
    server.all_gone().await;
}

#[tokio::test]
async fn a_peer_whose_kernel_is_silent_is_closed_and_one_that_answers_is_not() {
    let (peer_silence, sweep) = (Duration::from_secs(1), Duration::from_millis(10));
    let server = Server::start(ConnectionLimits { peer_silence, sweep, ..limits() });
    let (mut send, connection) = http2(server.connect().await, 1 << 20).await;
    let mut body = send.send_request(get("/endless")).await.expect("it is answered").into_body();
    let until = Instant::now() + peer_silence + peer_silence / 2;
    while Instant::now() < until {
        body.frame().await.expect("it does not end").expect("it is whole");
    }
    drop(body);
    // Nothing is under way from here on, so nothing is acknowledged.
    let _ = soon("the connection to end", connection).await;
    eventually("the ending to be counted", || server.ended("peer_gone") == 1).await;
    server.all_gone().await;
}

#[tokio::test]
async fn clients_that_vanish_leave_nothing_behind() {
    let server = Server::start(limits());
    let mut clients = Vec::new();
    for n in 0..30 {
        let (mut send, connection) = http2(server.connect().await, 1 << 16).await;
        for _ in 0..4 {
            let path = ["/endless", "/until-drain"][n % 2];
            clients.push((send.send_request(get(path)).await.expect("it is answered"), None));
        }
        clients.push((send.send_request(get("/endless")).await.expect("it is answered"), Some(connection)));
    }
    assert_eq!(server.connections.count(), 30);
    assert_eq!(server.alive.load(std::sync::atomic::Ordering::SeqCst), 150);
    clients.into_iter().filter_map(|(_, connection)| connection).for_each(|connection| connection.abort());
    server.all_gone().await;
}

#[tokio::test]
async fn dropping_serve_closes_everything() {
    let server = Server::start(limits());
    let (mut send, connection) = http2(server.connect().await, HUGE).await;
    let _body = send.send_request(get("/until-drain")).await.expect("it is answered");
    let mut silent = server.connect().await;
    eventually("both to be accepted", || server.connections.count() == 2).await;
    server.done.abort();
    let _ = soon("the connection to end", connection).await;
    read_until_closed(&mut silent).await;
    server.all_gone().await;
}

#[tokio::test]
async fn every_address_of_the_list_is_listened_on_once() {
    let list = |texts: &[&str]| texts.iter().map(|text| Listen::Tcp((*text).to_owned())).collect::<Vec<_>>();
    let first = Listeners::bind(&list(&["127.0.0.1:0", "127.0.0.1:0"])).expect("both are free");
    let taken: Vec<String> = first.addresses().map(ToString::to_string).collect();
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|address| !address.ends_with(":0")), "{taken:?}");

    let error = Listeners::bind(&list(&[&taken[0]])).expect_err("it is taken");
    assert_eq!(error.to_string(), format!("cannot listen on {}: another process listens there", taken[0]));
    let error = Listeners::bind(&list(&["127.0.0.1"])).expect_err("it has no port");
    assert_eq!(error.to_string(), "cannot listen on 127.0.0.1: invalid socket address");

    drop(first);
    let again = Listeners::bind(&list(&[&taken[0], &taken[1], &taken[0]])).expect("they are free again");
    assert_eq!(again.addresses().map(ToString::to_string).collect::<Vec<_>>(), taken);
    let both = Listeners::bind(&list(&["0.0.0.0:0", "[::]:0"])).expect("one for each version");
    assert_eq!(both.addresses().count(), 2);
}
