//! What logtap is measured beside: the limit of HTTP/2 here, and what one would write instead.
//!
//! Each is a server in a process of its own, so that what it costs can be told.

use std::{
    convert::Infallible,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    header::HeaderValue,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use linemux::MuxedLines;
use logtap::proto::v1;
use prost::Message as _;
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, error::RecvError},
};
use tokio_util::sync::ReusableBoxFuture;

/// Bytes of the buffer that the ceiling sends over and over.
const BUFFER_BYTES: usize = 64 << 10;
/// Bytes of messages that are packed together, as tonic does.
const PACKED_BYTES: usize = 32 << 10;
/// Entries that the channel of the linemux baseline holds.
const CHANNEL_ENTRIES: usize = 1024;

type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Serves a baseline until it is killed.
pub fn serve(name: &str, file: &Path, amount: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        eprintln!("listening address={}", listener.local_addr().expect("an address"));
        let lines = Lines::new(file.to_owned(), amount);
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            let (name, file, lines) = (name.to_owned(), file.to_owned(), lines.clone());
            let service = service_fn(move |_: Request<Incoming>| {
                let body = match name.as_str() {
                    "ceiling" => UnsyncBoxBody::new(Pump { buffer: vec![b'x'; BUFFER_BYTES].into(), left: amount }),
                    "prost" => UnsyncBoxBody::new(Ordinary::new(&file)),
                    "linemux" => UnsyncBoxBody::new(Subscriber::new(&lines)),
                    _ => panic!("no baseline is called {name}"),
                };
                async move { Ok::<_, Infallible>(answer(body)) }
            });
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn answer(body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn trailers(entries: u64) -> Frame<Bytes> {
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("logtap-entries", HeaderValue::from(entries));
    Frame::trailers(trailers)
}

/// One buffer, until so many bytes have been sent.
struct Pump {
    buffer: Bytes,
    left: u64,
}

impl Body for Pump {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let len = this.left.min(this.buffer.len() as u64);
        this.left -= len;
        Poll::Ready(Some(Ok(Frame::data(this.buffer.slice(..len as usize)))))
    }
}

/// Appends a line as an ordinary message.
fn put_line(out: &mut BytesMut, line: &[u8], path: &str) {
    let entry = v1::LogEntry {
        message: String::from_utf8_lossy(line).into_owned(),
        timestamp: 1_795_168_800_000_000_000,
        source: "app".to_owned(),
        path: path.to_owned(),
        ..v1::LogEntry::default()
    };
    out.put_u8(0);
    out.put_u32(entry.encoded_len() as u32);
    entry.encode(out).expect("there is room");
}

/// A file read in blocks, each line an ordinary message; neither severity nor time is looked for.
struct Ordinary {
    file: File,
    path: String,
    at: u64,
    block: Vec<u8>,
    /// What of `block` has been sent.
    sent: usize,
    lines: u64,
    ended: bool,
}

impl Ordinary {
    fn new(path: &Path) -> Self {
        let file = File::open(path).expect("it is there");
        Self { file, path: path.display().to_string(), at: 0, block: Vec::new(), sent: 0, lines: 0, ended: false }
    }
}

impl Body for Ordinary {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut out = BytesMut::new();
        while out.len() < PACKED_BYTES {
            let Some(newline) = memchr::memchr(b'\n', &this.block[this.sent..]) else {
                this.block.drain(..this.sent);
                this.sent = 0;
                let before = this.block.len();
                this.block.resize(before + BUFFER_BYTES, 0);
                let got = this.file.read_at(&mut this.block[before..], this.at).expect("it is readable");
                this.block.truncate(before + got);
                if got == 0 {
                    this.ended = out.is_empty();
                    break;
                }
                this.at += got as u64;
                continue;
            };
            put_line(&mut out, &this.block[this.sent..this.sent + newline], &this.path);
            this.sent += newline + 1;
            this.lines += 1;
        }
        let frame = if this.ended { trailers(this.lines) } else { Frame::data(out.freeze()) };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// A file followed by linemux, its lines handed to everybody through a channel: what one would write.
#[derive(Clone)]
struct Lines {
    sender: broadcast::Sender<Option<Arc<v1::LogEntry>>>,
    start: Arc<tokio::sync::Notify>,
}

impl Lines {
    fn new(path: PathBuf, lines: u64) -> Self {
        let (sender, _) = broadcast::channel(CHANNEL_ENTRIES);
        let new = Self { sender, start: Arc::default() };
        let (sender, start) = (new.sender.clone(), new.start.clone());
        tokio::spawn(async move {
            start.notified().await;
            let mut muxed = MuxedLines::new().expect("inotify");
            muxed.add_file_from_start(&path).await.expect("it is there");
            let path = path.display().to_string();
            for _ in 0..lines {
                let line = muxed.next_line().await.expect("it is readable").expect("there are more");
                let entry = v1::LogEntry {
                    message: line.line().to_owned(),
                    timestamp: 1_795_168_800_000_000_000,
                    source: "app".to_owned(),
                    path: path.clone(),
                    ..v1::LogEntry::default()
                };
                let _ = sender.send(Some(Arc::new(entry)));
            }
            let _ = sender.send(None);
        });
        new
    }
}

type Received = Result<Option<Arc<v1::LogEntry>>, RecvError>;
type Receiver = broadcast::Receiver<Option<Arc<v1::LogEntry>>>;

/// A subscriber of the channel; what it is too slow for it loses.
struct Subscriber {
    next: ReusableBoxFuture<'static, (Received, Receiver)>,
    got: u64,
    /// Whether all lines have been received, and whether that was told.
    done: bool,
    ended: bool,
}

async fn receive(mut receiver: Receiver) -> (Received, Receiver) {
    (receiver.recv().await, receiver)
}

impl Subscriber {
    fn new(lines: &Lines) -> Self {
        let next = ReusableBoxFuture::new(receive(lines.sender.subscribe()));
        lines.start.notify_one();
        Self { next, got: 0, done: false, ended: false }
    }
}

impl Body for Subscriber {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut out = BytesMut::new();
        while !this.done && out.len() < PACKED_BYTES {
            let received = match this.next.poll(context) {
                Poll::Ready((received, receiver)) => {
                    this.next.set(receive(receiver));
                    received
                }
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            };
            match received {
                Ok(Some(entry)) => {
                    out.put_u8(0);
                    out.put_u32(entry.encoded_len() as u32);
                    entry.encode(&mut out).expect("there is room");
                    this.got += 1;
                }
                Err(RecvError::Lagged(_)) => {}
                Ok(None) | Err(RecvError::Closed) => this.done = true,
            }
        }
        this.ended = this.done && out.is_empty();
        let frame = if this.ended { trailers(this.got) } else { Frame::data(out.freeze()) };
        Poll::Ready(Some(Ok(frame)))
    }
}
