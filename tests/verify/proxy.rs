//! Stands between a client and a daemon, and does wrong once.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use logtap::proto::v1::{Event, Gap, GapReason, StreamBatchesResponse, event::Kind};
use prost::Message as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line is left out.
    Lose,
    /// A line is left out, and a gap is announced in its place.
    LoseAndSay,
    /// A line comes twice.
    Repeat,
    /// Two lines of a log change places.
    Swap,
    /// A letter of a line is another.
    Damage,
}

/// A proxy that lives as long as the process.
pub struct Proxy {
    address: SocketAddr,
}

impl Proxy {
    pub fn start(daemon: &str, fault: Fault) -> Self {
        let daemon: SocketAddr = daemon.parse().expect("an address");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(listener, daemon, fault));
        });
        Self { address }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

async fn serve(listener: std::net::TcpListener, daemon: SocketAddr, fault: Fault) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    let done = Arc::new(AtomicBool::new(false));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let done = Arc::clone(&done);
        let service = hyper::service::service_fn(move |request| pass(request, daemon, fault, Arc::clone(&done)));
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

/// The frames of an answer, as another task makes them.
struct Answer(mpsc::Receiver<Frame<Bytes>>);

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

async fn pass(
    request: Request<Incoming>,
    daemon: SocketAddr,
    fault: Fault,
    done: Arc<AtomicBool>,
) -> Result<Response<Answer>, Infallible> {
    let (parts, body) = request.into_parts();
    let is_stream = parts.uri.path().ends_with("/StreamBatches");
    let body = body.collect().await.expect("a request").to_bytes();
    let stream = TcpStream::connect(daemon).await.expect("the daemon listens");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(parts, Full::new(body))).await.expect("an answer");
    let (parts, mut body) = response.into_parts();
    let (frames, answer) = mpsc::channel(1);
    tokio::spawn(async move {
        // The connection lasts as long as somebody could send a request by it.
        let _sender = sender;
        let mut held = BytesMut::new();
        while let Some(Ok(frame)) = body.frame().await {
            let frame = match frame.into_data() {
                Ok(data) if is_stream => {
                    held.extend_from_slice(&data);
                    let whole = spoil(&mut held, fault, &done);
                    // Whoever gets too many empty frames takes it for an attack.
                    if whole.is_empty() {
                        continue;
                    }
                    Frame::data(whole)
                }
                Ok(data) => Frame::data(data),
                Err(trailers) => trailers,
            };
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::from_parts(parts, Answer(answer)))
}

/// Takes the whole messages out of `held`, one of which is spoiled.
fn spoil(held: &mut BytesMut, fault: Fault, done: &AtomicBool) -> Bytes {
    let mut out = BytesMut::new();
    while let Some(length) = held.get(1..5).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four")) as usize) {
        if held.len() < 5 + length {
            break;
        }
        held.advance(5);
        let mut batch = StreamBatchesResponse::decode(held.split_to(length)).expect("a batch");
        if !done.load(Ordering::SeqCst) && apply(fault, &mut batch) {
            done.store(true, Ordering::SeqCst);
        }
        out.put_u8(0);
        out.put_u32(u32::try_from(batch.encoded_len()).expect("a message"));
        batch.encode(&mut out).expect("room enough");
    }
    out.freeze()
}

/// Does wrong to a batch; false when it does not lend itself to that.
fn apply(fault: Fault, batch: &mut StreamBatchesResponse) -> bool {
    let entries = &mut batch.entries;
    if entries.len() < 2 {
        return false;
    }
    match fault {
        Fault::Lose => drop(entries.remove(0)),
        Fault::Repeat => entries.insert(1, entries[0].clone()),
        Fault::Damage => entries[0].message = entries[0].message.replacen("INFO", "INF0", 1),
        Fault::Swap => match (1..entries.len()).find(|other| entries[*other].path == entries[0].path) {
            Some(other) => entries.swap(0, other),
            None => return false,
        },
        Fault::LoseAndSay => {
            let lost = entries.remove(0);
            let gap = Gap { source: lost.source, path: lost.path, reason: GapReason::Deleted as i32, bytes: None };
            batch.events.push(Event { kind: Some(Kind::Gap(gap)) });
        }
    }
    true
}
