//! The life of one connection, from its first bytes to the end of its last stream.

use std::{error::Error, pin::pin, sync::Arc};

use bytes::Bytes;
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
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    ConnectionInfo, ConnectionLimits, NoPlace, TlsInfo,
    opening::{Opening, Openings},
    registry::{Connection, Ending, Phase},
    tls::Tls,
    transport::Transport,
};
use crate::limits;

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
    openings: Openings,
    limits: Arc<ConnectionLimits>,
    no_place: Option<NoPlace>,
}

/// A service for the requests of one connection: it adds who is at the other end.
#[derive(Clone)]
struct WithInfo<S> {
    service: TowerToHyperService<S>,
    info: Arc<ConnectionInfo>,
    /// Set: after the first request no other is taken.
    only_one: Option<CancellationToken>,
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
    pub(super) fn new(service: S, tls: Option<Arc<Tls>>, limits: &ConnectionLimits) -> Self {
        Self {
            service: TowerToHyperService::new(service),
            openings: Openings::new(tls, limits.handshake),
            limits: Arc::new(limits.clone()),
            no_place: None,
        }
    }

    /// Of each connection only one request is taken, which is to be refused.
    pub(super) fn refusing(self, why: NoPlace) -> Self {
        Self { no_place: Some(why), ..self }
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
    let opening = connection.wind_down.run_until_cancelled(handler.openings.open(connection)).await;
    // Boxed, so that a connection that never says anything does not pay for what it might have said.
    match opening {
        None => Ending::Finished,
        Some(Opening::Over(ending)) => ending,
        Some(Opening::Http1(io, tls)) => Box::pin(serve_http1(connection, handler, io, tls)).await,
        Some(Opening::Http2(io, tls)) => Box::pin(serve_http2(connection, handler, io, tls)).await,
    }
}

async fn serve_http1<S: HttpService>(
    connection: &Connection,
    handler: &Handler<S>,
    io: Transport,
    tls: Option<TlsInfo>,
) -> Ending {
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

async fn serve_http2<S: HttpService>(
    connection: &Connection,
    handler: &Handler<S>,
    io: Transport,
    tls: Option<TlsInfo>,
) -> Ending {
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
        result = connection.socket.gather(http.as_mut()) => result,
        () = connection.wind_down.cancelled() => {
            http.as_mut().graceful_shutdown();
            connection.socket.gather(http).await
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

impl<S: Clone> Handler<S> {
    fn service_for(&self, connection: &Connection, tls: Option<TlsInfo>) -> WithInfo<S> {
        let no_place = self.no_place;
        let (id, peer, local) = (connection.id, connection.peer, connection.local.clone());
        WithInfo {
            service: self.service.clone(),
            info: Arc::new(ConnectionInfo { id, peer, local, tls, no_place }),
            only_one: no_place.map(|_| connection.wind_down.clone()),
        }
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
        if let Some(wind_down) = &self.only_one {
            wind_down.cancel();
        }
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
