//! A client that counts bytes and decodes nothing, so that what is measured is the server.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use logtap::proto::v1;
use prost::Message;
use tokio::{net::TcpStream, time::Instant};

/// HTTP/2 window of a stream, in bytes.
const WINDOW: u32 = 4 << 20;

/// A connection on which calls are made.
pub struct Connection(SendRequest<Full<Bytes>>);

/// What an answer was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer {
    /// Bytes of its body.
    pub bytes: u64,
    /// Entries, by its trailers.
    pub entries: u64,
}

impl Connection {
    /// Connects, with so large a window for each stream.
    pub async fn open(address: &str, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window).initial_connection_window_size(window.saturating_mul(2));
        let (sender, connection) =
            builder.handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Makes a call; the answer's body is still to be read.
    pub async fn call(&mut self, path: &str, message: &impl Message) -> Response<Incoming> {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(message.encoded_len() as u32);
        message.encode(&mut body).expect("there is room");
        let request = Request::post(format!("http://logtap{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body.freeze()))
            .expect("a request");
        self.0.send_request(request).await.expect("an answer")
    }
}

/// Reads an answer to its end.
pub async fn count(mut response: Response<Incoming>) -> Answer {
    let mut answer = Answer::default();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.expect("the answer goes on");
        if let Some(data) = frame.data_ref() {
            answer.bytes += data.len() as u64;
        }
        if let Some(trailers) = frame.trailers_ref() {
            let entries = trailers.get("logtap-entries").and_then(|value| value.to_str().ok());
            answer.entries = entries.and_then(|value| value.parse().ok()).unwrap_or(0);
        }
    }
    answer
}

/// A way of asking for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `/LogService/GetLogs`.
    Compat,
    /// `/logtap.v1.LogService/GetLogs`.
    V1,
    /// `/logtap.v1.LogService/StreamBatches`.
    Batches,
}

/// Asks for all that a request selects, and reads it.
pub async fn read(address: &str, way: Way, request: v1::LogRequest) -> Answer {
    let mut connection = Connection::open(address, WINDOW).await;
    let response = match way {
        Way::Compat => connection.call("/LogService/GetLogs", &request).await,
        Way::V1 => connection.call("/logtap.v1.LogService/GetLogs", &request).await,
        Way::Batches => {
            let request = v1::StreamBatchesRequest { request: Some(request), no_follow: true, max_bytes: 256 << 10 };
            connection.call("/logtap.v1.LogService/StreamBatches", &request).await
        }
    };
    count(response).await
}

/// So many subscribers at once, each with a connection of its own: what all got, and how long it took.
pub async fn read_by_many(address: &str, way: Way, request: &v1::LogRequest, subscribers: usize) -> (Answer, Duration) {
    let began = Instant::now();
    let readers: Vec<_> = (0..subscribers)
        .map(|_| {
            let (address, request) = (address.to_owned(), request.clone());
            tokio::spawn(async move { read(&address, way, request).await })
        })
        .collect();
    let mut sum = Answer::default();
    for reader in readers {
        let answer = reader.await.expect("a reader");
        sum = Answer { bytes: sum.bytes + answer.bytes, entries: sum.entries + answer.entries };
    }
    (sum, began.elapsed())
}
