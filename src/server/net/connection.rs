//! The life of one connection, from its first bytes to the end of its last stream.

use std::{error::Error, future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::Executor,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    ConnectionInfo, ConnectionLimits, TlsInfo,
    protocol::{self, Greeting},
    registry::{Connection, Ending, Phase},
    rewound::Rewound,
    socket::SocketIo,
};
use crate::limits;

/// What a client of TLS hears where none is spoken: a fatal alert, `protocol_version` (RFC 8446, section 6).
const TLS_ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

/// What [`serve`](super::serve) serves: a `tower` service from requests to bodies of `Bytes`. Implemented by everything
/// that is one.
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<<Self as HttpService>::Out>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its responses.
    type Out: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

type BoxError = Box<dyn Error + Send + Sync>;

/// How connections are served; cheap to clone.
#[derive(Clone)]
pub(super) struct Handler<S> {
    service: TowerToHyperService<S>,
    limits: Arc<ConnectionLimits>,
}

/// A service for the requests of one connection: it adds who is at the other end.
#[derive(Clone)]
struct WithInfo<S> {
    service: TowerToHyperService<S>,
    info: Arc<ConnectionInfo>,
}

/// Runs the streams of one HTTP/2 connection, and ends them with it.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    close: CancellationToken,
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Out = B;
}

impl<S> Handler<S> {
    pub(super) fn new(service: S, limits: &ConnectionLimits) -> Self {
        Self { service: TowerToHyperService::new(service), limits: Arc::new(limits.clone()) }
    }
}

/// Serves a connection. When it returns, nothing of the connection is left but `connection` itself.
pub(super) async fn run<S: HttpService>(connection: &Connection, handler: Handler<S>) -> Ending {
    let ending = tokio::select! {
        biased;
        () = connection.close.cancelled() => Ending::Closed(connection.close_reason()),
        ending = converse(connection, &handler) => ending,
    };
    match ending {
        Ending::Closed(_) => connection.socket.discard_on_close(),
        Ending::Finished | Ending::Broken | Ending::Silent | Ending::Tls => {}
    }
    // Streams notice by themselves that their connection is gone, but only when they are next woken.
    connection.close.cancel();
    connection.streams.close();
    connection.streams.wait().await;
    ending
}

async fn converse<S: HttpService>(connection: &Connection, handler: &Handler<S>) -> Ending {
    let io = SocketIo(connection.socket.clone());
    let greeted = timeout(handler.limits.handshake, greet(io));
    let Some(greeted) = connection.wind_down.run_until_cancelled(greeted).await else {
        return Ending::Finished;
    };
    let (greeting, io) = match greeted {
        Err(_) => return Ending::Silent,
        Ok(Err(_)) => return Ending::Broken,
        Ok(Ok(greeted)) => greeted,
    };
    match greeting {
        Greeting::Unknown => Ending::Finished,
        Greeting::Http1 => serve_http1(connection, handler, io, None).await,
        Greeting::Http2 => serve_http2(connection, handler, io, None).await,
        Greeting::Tls => {
            farewell(io, TLS_ALERT, handler.limits.handshake).await;
            Ending::Tls
        }
    }
}

/// Reads until it is clear what the peer speaks. `Unknown` means that it left before.
async fn greet<T: AsyncRead + Unpin>(mut io: T) -> io::Result<(Greeting, Rewound<T>)> {
    let mut first = BytesMut::with_capacity(protocol::HTTP2_PREFACE.len());
    loop {
        // Never more than the preface: what follows it is not ours to read.
        let missing = protocol::HTTP2_PREFACE.len() - first.len();
        let read = (&mut io).take(missing as u64).read_buf(&mut first).await?;
        match protocol::greeting(&first) {
            Greeting::Unknown if read > 0 => {}
            greeting => return Ok((greeting, Rewound::new(first.freeze(), io))),
        }
    }
}

async fn serve_http1<S, T>(connection: &Connection, handler: &Handler<S>, io: T, tls: Option<TlsInfo>) -> Ending
where
    S: HttpService,
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    connection.enter_phase(Phase::Http1);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(handler.limits.handshake)
        .max_header_size(limits::HEADER_BYTES_MAX as usize)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES);
    let mut http = pin!(builder.serve_connection(TokioIo::new(io), handler.service_for(connection, tls)));
    let result = tokio::select! {
        biased;
        result = http.as_mut() => result,
        () = connection.wind_down.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    ending(result)
}

async fn serve_http2<S, T>(connection: &Connection, handler: &Handler<S>, io: T, tls: Option<TlsInfo>) -> Ending
where
    S: HttpService,
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    connection.enter_phase(Phase::Http2);
    let streams = Streams { tasks: connection.streams.clone(), close: connection.close.clone() };
    let mut builder = http2::Builder::new(streams);
    // No keep-alive pings: a client that is stopped does not answer them, and is to be kept.
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(handler.limits.streams)
        .max_send_buf_size(limits::STREAM_SEND_BYTES)
        .initial_stream_window_size(limits::STREAM_RECEIVE_BYTES)
        .initial_connection_window_size(limits::CONNECTION_RECEIVE_BYTES)
        .max_header_list_size(limits::HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(limits::PENDING_RESETS_MAX)
        .max_local_error_reset_streams(limits::LOCAL_ERROR_RESETS_MAX);
    let mut http = pin!(builder.serve_connection(TokioIo::new(io), handler.service_for(connection, tls)));
    let result = tokio::select! {
        biased;
        result = http.as_mut() => result,
        () = connection.wind_down.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    ending(result)
}

fn ending(result: hyper::Result<()>) -> Ending {
    match result {
        Ok(()) => Ending::Finished,
        Err(error) if error.is_timeout() => Ending::Silent,
        Err(_) => Ending::Broken,
    }
}

/// Says `last` to a peer that speaks something else, and waits until it has gone: closing a socket with unread bytes
/// would take `last` back from a peer that has not read it yet.
async fn farewell<T: AsyncRead + AsyncWrite + Unpin>(mut io: T, last: &[u8], patience: Duration) {
    let mut rest = [0; 1024];
    let goodbye = async {
        io.write_all(last).await?;
        io.shutdown().await?;
        // As much as a first flight can be.
        let mut left = limits::HEADER_BYTES_MAX as usize;
        while left > 0 {
            match io.read(&mut rest).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // Whether it heard us is its own concern.
    let _ = timeout(patience, goodbye).await;
}

impl<S: Clone> Handler<S> {
    fn service_for(&self, connection: &Connection, tls: Option<TlsInfo>) -> WithInfo<S> {
        let info = ConnectionInfo { id: connection.id, peer: connection.peer, local: connection.local.clone(), tls };
        WithInfo { service: self.service.clone(), info: Arc::new(info) }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for WithInfo<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TowerToHyperServiceFuture<S, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.info.clone());
        self.service.call(request)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let close = self.close.clone();
        self.tasks.spawn(async move {
            close.run_until_cancelled(stream).await;
        });
    }
}
