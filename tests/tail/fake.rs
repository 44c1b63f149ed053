//! A daemon small enough to be seen through: logs in memory, the v1 protocol by hand, and faults on demand.
//!
//! Its cursors are text: `log=lines,log=lines`, the lines of each log that lie before. A whole cursor names all logs, a
//! delta those that moved, an entry's cursor its own.

mod stream;

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use logtap::proto::v1::{Event, ListSourcesRequest, ListSourcesResponse, LogEntry, StreamBatchesRequest};
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use stream::Stream;

/// A daemon that runs until it is dropped or killed.
pub struct Fake {
    pub state: Arc<State>,
    address: Address,
    running: Option<Running>,
}

struct Running {
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

#[derive(Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What outlives a restart.
pub struct State {
    /// The logs, each with its lines.
    logs: Mutex<Vec<Log>>,
    /// Changes with every line.
    changed: watch::Sender<u64>,
    /// Every request that came, with its headers.
    pub seen: Mutex<Vec<(StreamBatchesRequest, HeaderMap)>>,
    pub plan: Mutex<Plan>,
    tls: Option<Arc<ServerConfig>>,
}

/// A log: its source and path, and the lines that it has.
struct Log {
    source: String,
    path: String,
    lines: Vec<LogEntry>,
}

/// How the daemon behaves.
#[derive(Clone)]
pub struct Plan {
    /// Entries in a batch.
    pub batch: usize,
    /// Every how many batches a whole cursor is sent; deltas between.
    pub whole_every: usize,
    /// Breaks the connection off inside the message after so many entries, each time a connection has sent them.
    pub cut_after: Option<u64>,
    /// Refuses with this status and message.
    pub refuse: Option<(u32, String)>,
    /// Never answers.
    pub silent: bool,
    /// Ends streams that have no end with OK and no trailers of its own, as a proxy does.
    pub ends_early: bool,
    /// States a wrong checksum.
    pub wrong_checksum: bool,
    /// Events to send before the first entry.
    pub events: Vec<Event>,
    /// Waits here before the backlog is sent.
    pub hold: bool,
    /// Pages of sources.
    pub pages: Vec<ListSourcesResponse>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            batch: 3,
            whole_every: 4,
            cut_after: None,
            refuse: None,
            silent: false,
            ends_early: false,
            wrong_checksum: false,
            events: Vec::new(),
            hold: false,
            pages: Vec::new(),
        }
    }
}

impl Fake {
    /// A daemon on a port of its own.
    pub fn start() -> Self {
        Self::with(None, None)
    }

    /// A daemon that speaks TLS.
    pub fn with_tls(config: ServerConfig) -> Self {
        Self::with(None, Some(config))
    }

    /// A daemon on a Unix socket.
    pub fn on_socket(path: PathBuf) -> Self {
        Self::with(Some(path), None)
    }

    fn with(socket: Option<PathBuf>, tls: Option<ServerConfig>) -> Self {
        let state = State {
            logs: Mutex::default(),
            changed: watch::channel(0).0,
            seen: Mutex::default(),
            plan: Mutex::default(),
            tls: tls.map(Arc::new),
        };
        let address = match socket {
            Some(path) => Address::Unix(path),
            None => Address::Tcp("127.0.0.1:0".parse().expect("an address")),
        };
        let mut fake = Self { state: Arc::new(state), address, running: None };
        fake.restart();
        fake
    }

    /// What the command line calls it.
    pub fn host(&self) -> String {
        match &self.address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    pub fn port(&self) -> u16 {
        match &self.address {
            Address::Tcp(address) => address.port(),
            Address::Unix(_) => panic!("no port"),
        }
    }

    /// Changes how it behaves.
    pub fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.state.plan.lock().unwrap());
        self.state.changed.send_modify(|changes| *changes += 1);
    }

    /// Adds a log, and gives its number.
    pub fn log(&self, source: &str, path: &str) -> usize {
        let mut logs = self.state.logs.lock().unwrap();
        logs.push(Log { source: source.into(), path: path.into(), lines: Vec::new() });
        logs.len() - 1
    }

    /// Appends a line with a time.
    pub fn line(&self, log: usize, timestamp: i64, message: &str) {
        self.entry(log, LogEntry { message: message.into(), timestamp, ..LogEntry::default() });
    }

    /// Appends an entry.
    pub fn entry(&self, log: usize, entry: LogEntry) {
        let mut logs = self.state.logs.lock().unwrap();
        let (source, path) = (logs[log].source.clone(), logs[log].path.clone());
        logs[log].lines.push(LogEntry { source, path, ..entry });
        drop(logs);
        self.state.changed.send_modify(|changes| *changes += 1);
    }

    /// Replaces the last line of a log, as the daemon does when it is finished.
    pub fn replace_last(&self, log: usize, entry: LogEntry) {
        self.state.logs.lock().unwrap()[log].lines.pop();
        self.entry(log, entry);
    }

    /// The requests that came.
    pub fn requests(&self) -> Vec<StreamBatchesRequest> {
        self.state.seen.lock().unwrap().iter().map(|(request, _)| request.clone()).collect()
    }

    /// The headers of the first request.
    pub fn headers(&self) -> HeaderMap {
        self.state.seen.lock().unwrap()[0].1.clone()
    }

    /// Ends it as `kill -9` would.
    pub fn kill(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            stop.send_replace(true);
            thread.join().expect("the daemon ended well");
        }
    }

    /// Starts it again, on the same address.
    pub fn restart(&mut self) {
        let (stop, stopped) = watch::channel(false);
        let (bound, address) = std::sync::mpsc::channel();
        let state = Arc::clone(&self.state);
        let wanted = self.address.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(state, wanted, bound, stopped));
        });
        self.address = address.recv().expect("the daemon listens");
        self.running = Some(Running { stop, thread });
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Accepts until told to stop; whatever is open then is dropped with the runtime.
async fn serve(
    state: Arc<State>,
    wanted: Address,
    bound: std::sync::mpsc::Sender<Address>,
    mut stopped: watch::Receiver<bool>,
) {
    let accept = async {
        match wanted {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).await.expect("a free port");
                bound.send(Address::Tcp(listener.local_addr().expect("an address"))).expect("somebody waits");
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    stream.set_nodelay(true).expect("a socket");
                    greet(&state, stream);
                }
            }
            Address::Unix(path) => {
                let _ = std::fs::remove_file(&path);
                let listener = UnixListener::bind(&path).expect("a free path");
                bound.send(Address::Unix(path)).expect("somebody waits");
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    greet(&state, stream);
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

fn greet(state: &Arc<State>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let state = Arc::clone(state);
    tokio::spawn(async move {
        match state.tls.clone() {
            None => talk(state, stream).await,
            Some(config) => {
                match TlsAcceptor::from(config).accept(stream).into_fallible().await {
                    Ok(stream) => talk(state, stream).await,
                    // As the daemon does: a close before all is read is a reset, which may take the alert from the client.
                    Err((_, mut stream)) => {
                        let _ = stream.shutdown().await;
                        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    }
                }
            }
        }
    });
}

async fn talk(state: Arc<State>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let (cut, mut cuts) = mpsc::channel::<()>(1);
    let service = hyper::service::service_fn(move |request| answer(Arc::clone(&state), request, cut.clone()));
    let connection =
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // How it ends is the client's to judge.
        _ = connection => {}
        Some(()) = cuts.recv() => {}
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

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
    cut: mpsc::Sender<()>,
) -> Result<Response<Answer>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a request").to_bytes();
    let plan = state.plan.lock().unwrap().clone();
    let (frames, answer) = mpsc::channel(1);
    let mut response = Response::new(Answer(answer));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    if plan.silent {
        std::future::pending::<()>().await;
    }
    if let Some((code, message)) = plan.refuse {
        headers.insert("grpc-status", code.into());
        headers.insert("grpc-message", message.parse().expect("a header"));
        if parts.uri.path().ends_with("/StreamBatches") {
            let request = StreamBatchesRequest::decode(&body[5..]).expect("a request");
            state.seen.lock().unwrap().push((request, parts.headers));
        }
        return Ok(response);
    }
    match parts.uri.path() {
        "/logtap.v1.LogService/StreamBatches" => {
            let request = StreamBatchesRequest::decode(&body[5..]).expect("a request");
            state.seen.lock().unwrap().push((request.clone(), parts.headers));
            let (sources, files) = state.counts();
            headers.insert("logtap-sources", sources.into());
            headers.insert("logtap-files", files.into());
            tokio::spawn(Stream::new(state, request, plan, frames, cut).run());
        }
        "/logtap.v1.LogService/ListSources" => {
            let request = ListSourcesRequest::decode(&body[5..]).expect("a request");
            let page: usize = request.page_token.parse().unwrap_or(0);
            tokio::spawn(async move {
                let _ = frames.send(Frame::data(framed(&plan.pages[page]))).await;
                let _ = frames.send(Frame::trailers(ok(HeaderMap::new()))).await;
            });
        }
        path => panic!("nobody serves {path}"),
    }
    Ok(response)
}

fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).expect("a message"));
    message.encode(&mut bytes).expect("room enough");
    bytes.freeze()
}

fn ok(mut trailers: HeaderMap) -> HeaderMap {
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

impl State {
    fn counts(&self) -> (usize, usize) {
        let logs = self.logs.lock().unwrap();
        let mut sources: Vec<&str> = logs.iter().map(|log| log.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        (sources.len(), logs.len())
    }

    /// Every line past `position`, by log and number, in the order of time.
    fn lines_after(&self, position: &[usize]) -> Vec<(usize, usize, LogEntry)> {
        let logs = self.logs.lock().unwrap();
        let mut lines = Vec::new();
        for (log, state) in logs.iter().enumerate() {
            let from = position.get(log).copied().unwrap_or(0);
            lines.extend(state.lines.iter().enumerate().skip(from).map(|(line, entry)| (log, line, entry.clone())));
        }
        lines.sort_by_key(|(log, line, entry)| (entry.timestamp, *log, *line));
        lines
    }
}
