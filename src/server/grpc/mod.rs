//! The two log services over gRPC, by hand: their streams answer with bytes that are encoded already.

mod batch;
pub(super) mod body;
pub mod call;
pub(super) mod list;
mod pack;
// Public for the fuzz targets: requests are what strangers write.
pub mod request;
pub mod status;

use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    routing::post,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use prost::Message;
use tonic::Status;

use self::{batch::BatchBody, body::StreamBody, pack::Encoding, request::Rpc};
use super::{
    Shared,
    net::ConnectionInfo,
    streams::{Client, Stream},
};
use crate::{
    feed::open::{self, Extent},
    proto::{compat, v1},
    telemetry::Transport,
};

/// The routes of both services.
pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/LogService/{method}", post(compat_call))
        .route("/logtap.v1.LogService/{method}", post(v1_call))
}

/// UNIMPLEMENTED, for what no route serves.
pub fn unknown_method(headers: &HeaderMap, path: &str) -> Response<Body> {
    let status = Status::unimplemented(format!("no method {path} is served"));
    call::refuse(&call::request_id(headers), &status)
}

type Connection = Extension<Arc<ConnectionInfo>>;

async fn compat_call(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Connection,
    request: Request,
) -> Response<Body> {
    let (rpc, method) = match request.uri().path() {
        "/LogService/GetLogs" => (Rpc::GetLogs, "/LogService/GetLogs"),
        "/LogService/StreamLogs" => (Rpc::StreamLogs, "/LogService/StreamLogs"),
        path => return unknown_method(request.headers(), path),
    };
    let read = |message: compat::LogRequest, allowed: Allowed<'_>| {
        plain(request::of_compat(rpc, message, allowed), Vec::new())
    };
    stream(method, shared, connection, request, read).await
}

async fn v1_call(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Connection,
    request: Request,
) -> Response<Body> {
    let (rpc, method) = match request.uri().path() {
        "/logtap.v1.LogService/GetLogs" => (Rpc::GetLogs, "/logtap.v1.LogService/GetLogs"),
        "/logtap.v1.LogService/StreamLogs" => (Rpc::StreamLogs, "/logtap.v1.LogService/StreamLogs"),
        "/logtap.v1.LogService/StreamBatches" => return stream_batches(shared, connection, request).await,
        "/logtap.v1.LogService/ListSources" => return list_sources(&shared, &connection, request).await,
        path => return unknown_method(request.headers(), path),
    };
    let read = |message: v1::LogRequest, allowed: Allowed<'_>| {
        let sources = message.sources.clone();
        plain(request::of_v1(rpc, message, allowed), sources)
    };
    stream(method, shared, connection, request, read).await
}

async fn stream_batches(shared: Arc<Shared>, connection: Arc<ConnectionInfo>, request: Request) -> Response<Body> {
    let read = |message: v1::StreamBatchesRequest, allowed: Allowed<'_>| {
        let sources = message.request.as_ref().map(|request| request.sources.clone()).unwrap_or_default();
        let (request, bytes_max) = request::of_batches(message, allowed)?;
        Ok(Asked { request, sources, bytes_max: Some(bytes_max) })
    };
    stream("/logtap.v1.LogService/StreamBatches", shared, connection, request, read).await
}

/// Patterns of the sources that a caller may read; `None`: every one.
type Allowed<'a> = Option<&'a [String]>;

/// What a call asks for.
struct Asked {
    request: open::Request,
    /// The sources as they were written, for messages.
    sources: Vec<String>,
    /// For batches: bytes of entries in one message at most.
    bytes_max: Option<usize>,
}

fn plain(request: Result<open::Request, Status>, sources: Vec<String>) -> Result<Asked, Status> {
    Ok(Asked { request: request?, sources, bytes_max: None })
}

async fn list_sources(shared: &Shared, connection: &ConnectionInfo, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let id = call::request_id(&parts.headers);
    let answer = async {
        let caller = shared.auth.authenticate(&parts.headers, connection).map_err(status::of_unauthenticated)?;
        let message = call::read_request(body).await;
        let message: v1::ListSourcesRequest =
            message.inspect_err(|status| shared.note_exhausted(&connection.peer, status))?;
        let (catalogue, patterns) = (shared.feed.catalogue.clone(), caller.patterns().map(<[String]>::to_vec));
        // It asks the file system about each file.
        let listing = tokio::task::spawn_blocking(move || list::list(&catalogue, &message, patterns.as_deref()));
        listing.await.map_err(|error| Status::internal(error.to_string()))?
    };
    match answer.await {
        Ok(answer) => call::unary(&id, &answer),
        Err(status) => call::refuse(&id, &status),
    }
}

/// Opens a stream and answers with its headers; what follows is pulled by HTTP/2.
async fn stream<M: Message + Default>(
    method: &'static str,
    shared: Arc<Shared>,
    connection: Arc<ConnectionInfo>,
    request: Request,
    read: impl FnOnce(M, Allowed<'_>) -> Result<Asked, Status>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let id = call::request_id(&parts.headers);
    match open_stream(method, &shared, connection, &parts, &id, body, read).await {
        Ok((body, extent, encoding)) => {
            let mut response = Response::new(body);
            call::begin(&mut response, &id);
            if let Some(name) = encoding.name() {
                response.headers_mut().insert(pack::ENCODING, name);
            }
            put_extent(response.headers_mut(), extent);
            response
        }
        Err(status) => {
            tracing::debug!(request_id = id, method, code = ?status.code(), why = status.message(), "refused");
            call::refuse(&id, &status)
        }
    }
}

async fn open_stream<M: Message + Default>(
    method: &'static str,
    shared: &Arc<Shared>,
    connection: Arc<ConnectionInfo>,
    parts: &http::request::Parts,
    id: &str,
    body: Body,
    read: impl FnOnce(M, Allowed<'_>) -> Result<Asked, Status>,
) -> Result<(Body, Extent, Encoding), Status> {
    let deadline = call::deadline(&parts.headers, Instant::now())?;
    if shared.feed.is_draining() {
        return Err(body::status_of(&crate::feed::subscription::End::Draining));
    }
    let caller = shared.auth.authenticate(&parts.headers, &connection).map_err(status::of_unauthenticated)?;
    let (client, peer) = (Client::of(&caller, &connection.peer), connection.peer);
    // Whoever makes a call of something else says so.
    let transport = parts.extensions.get().copied().unwrap_or(Transport::Grpc);
    let stream = Stream::new(id.to_owned(), method, transport, client, connection, deadline, caller);
    // A place first: what follows may cost something.
    let registered = shared.streams.enter(stream).map_err(status::of_full)?;
    let opening = async {
        let Asked { request, sources, bytes_max } =
            read(call::read_request(body).await?, registered.stream.caller.patterns())?;
        let opened = open::open(&shared.feed, request).await.map_err(|error| status::of_open(&error, &sources));
        opened.map(|(subscription, extent)| (subscription, extent, bytes_max))
    };
    let opened = match deadline {
        None => opening.await,
        Some(at) => tokio::time::timeout_at(at.into(), opening)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline of the call has passed"))),
    };
    let (subscription, extent, bytes_max) = opened.inspect_err(|status| shared.note_exhausted(&peer, status))?;
    let telemetry = shared.feed.telemetry.clone();
    // One line after the other would not get smaller.
    let Some(bytes_max) = bytes_max else {
        let body = StreamBody::new(subscription, registered, telemetry);
        return Ok((Body::new(body), extent, Encoding::Identity));
    };
    let encoding =
        if transport == Transport::Grpc { Encoding::accepted_by(&parts.headers) } else { Encoding::Identity };
    let body = BatchBody::new(subscription, registered, telemetry, (bytes_max, encoding));
    Ok((Body::new(body), extent, encoding))
}

/// The headers that tell what a stream is about.
pub fn put_extent(headers: &mut HeaderMap, extent: Extent) {
    let mut put = |name: &'static str, value: HeaderValue| headers.insert(HeaderName::from_static(name), value);
    put("logtap-version", HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    put("logtap-sources", extent.sources.into());
    put("logtap-files", extent.files.into());
    put("logtap-bytes", extent.bytes.into());
}
