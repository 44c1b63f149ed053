//! A server on the connection loop, and clients that can do wrong.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use logtap::server::{
    net::{Address, ConnectionInfo, ConnectionLimits, Connections, Listen, Listeners, Serving, Tls, serve},
    reached::Reached,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longer than anything takes on a busy machine, shorter than a hung test may.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server whose `/info` tells who asks, `/endless` sends without end, `/wait` never answers, and `/until-drain`
/// streams until the server is told to stop.
pub struct Server {
    pub addresses: Vec<Address>,
    pub connections: Arc<Connections>,
    pub shutdown: CancellationToken,
    /// Bodies and handlers that are alive.
    pub alive: Arc<AtomicUsize>,
    pub done: JoinHandle<()>,
    _stop: DropGuard,
}

impl Server {
    pub fn start(limits: ConnectionLimits) -> Self {
        Self::start_on(&[Listen::Tcp("127.0.0.1:0".into())], None, limits)
    }

    pub fn start_on(listen: &[Listen], tls: Option<Arc<Tls>>, limits: ConnectionLimits) -> Self {
        Self::start_with(Listeners::bind(listen).expect("the address is free"), tls, limits)
    }

    pub fn start_with(listeners: Listeners, tls: Option<Arc<Tls>>, limits: ConnectionLimits) -> Self {
        let addresses = listeners.addresses().cloned().collect();
        let (connections, shutdown) = (Connections::new(Reached::new(Arc::default())), CancellationToken::new());
        let serving = Serving { listeners, tls, limits, connections: connections.clone(), shutdown: shutdown.clone() };
        let alive = Arc::new(AtomicUsize::new(0));
        let done = tokio::spawn(serve(serving, service(alive.clone(), shutdown.clone())));
        Self { addresses, connections, alive, done, _stop: shutdown.clone().drop_guard(), shutdown }
    }

    pub fn tcp(&self) -> SocketAddr {
        match self.addresses[0] {
            Address::Tcp(address) => address,
            Address::Unix(_) => panic!("the first address is not TCP"),
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.tcp()).await.expect("the server listens")
    }

    /// How many connections ended in the way called `name`.
    pub fn ended(&self, name: &str) -> u64 {
        let totals = self.connections.totals();
        totals.ended.iter().find(|(ending, _)| *ending == name).expect("there is such an ending").1
    }

    /// Waits until only `left` connections are open.
    pub async fn all_gone_but(&self, left: usize) {
        eventually("connections to end", || self.connections.count() == left).await;
    }

    /// Waits until nothing is left of any connection or stream.
    pub async fn all_gone(&self) {
        eventually("connections and streams to end", || {
            self.connections.count() == 0 && self.alive.load(Ordering::SeqCst) == 0
        })
        .await;
    }
}

/// Counts a body or a handler for as long as it lives.
pub struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the server answers with.
pub enum Reply {
    Once(Option<Bytes>),
    Endless { bytes: Bytes, _alive: Alive },
    UntilDrain { drain: Pin<Box<dyn Future<Output = ()> + Send>>, _alive: Alive },
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Once(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Endless { bytes, .. } => Poll::Ready(Some(Ok(Frame::data(bytes.clone())))),
            Self::UntilDrain { drain, .. } => drain.as_mut().poll(cx).map(|()| None),
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Reply>, Infallible>> + Send>>;

fn service(
    alive: Arc<AtomicUsize>,
    shutdown: CancellationToken,
) -> impl tower::Service<Request<Incoming>, Response = Response<Reply>, Error = Infallible, Future = Answer>
+ Clone
+ Send
+ Sync
+ 'static {
    tower::service_fn(move |request: Request<Incoming>| {
        let (alive, shutdown) = (Alive::new(&alive), shutdown.clone());
        let answer: Answer = Box::pin(async move {
            let reply = match request.uri().path() {
                "/endless" => Reply::Endless { bytes: Bytes::from(vec![b'x'; 16 * 1024]), _alive: alive },
                "/until-drain" => Reply::UntilDrain { drain: Box::pin(shutdown.cancelled_owned()), _alive: alive },
                "/wait" => {
                    std::future::pending::<()>().await;
                    drop(alive);
                    Reply::Once(None)
                }
                _ => {
                    let info =
                        request.extensions().get::<Arc<ConnectionInfo>>().expect("every request tells whose it is");
                    Reply::Once(Some(Bytes::from(format!("{info:?} {}", info.peer))))
                }
            };
            Ok(Response::new(reply))
        });
        answer
    })
}

/// Waits for a condition; fails when it never comes.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits for `future`, but not for ever.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Everything that the peer sends until it closes, in order or not.
pub async fn read_until_closed(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end as well.
    let _ = soon("the server to close the connection", stream.read_to_end(&mut all)).await;
    all
}

/// A request without a body for `path`.
pub fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://test{path}")).body(Empty::new()).expect("the path is valid")
}

/// An HTTP/2 client whose windows hold `window` bytes.
pub async fn http2(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    window: u32,
) -> (http2::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window).initial_connection_window_size(window);
    let (send, connection) = builder.handshake(TokioIo::new(io)).await.expect("the server speaks HTTP/2");
    (send, tokio::spawn(connection))
}

/// An HTTP/1 client.
pub async fn http1(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (http1::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let (send, connection) = http1::handshake(TokioIo::new(io)).await.expect("the server speaks HTTP/1");
    (send, tokio::spawn(connection))
}

/// The whole body as text.
pub async fn text(response: Response<Incoming>) -> String {
    use http_body_util::BodyExt as _;
    let body = response.into_body().collect().await.expect("the body arrives").to_bytes();
    String::from_utf8(body.to_vec()).expect("the body is text")
}
