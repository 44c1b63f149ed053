//! The same streams over plain HTTP: pages of JSON, long polls, server-sent events, newline-delimited JSON, and the list
//! of sources.
//!
//! Only the wire is another one. A request becomes the same subscription as over gRPC, goes through the same filters,
//! takes a place among the same streams, and is pulled in the same way; `caller` decides for every path here what may
//! be read.

pub mod error;
mod events;
pub mod grpc_web;
pub mod guard;
mod json;
mod page;
// Public for the fuzz targets: queries are what strangers write.
pub mod parameters;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tonic::Status;

use self::{
    error::Refused,
    events::{EventBody, Form},
    parameters::Parameters,
};
use super::{
    Shared,
    auth::Caller,
    grpc::{self, call, list, request::Rpc, status},
    net::ConnectionInfo,
    streams::{Client, Registered, Stream},
};
use crate::{
    entry::Nanos,
    feed::{open, subscription::End},
    limits::{PAGE_ENTRIES_DEFAULT, PAGE_ENTRIES_MAX, REQUEST_BYTES_MAX},
    proto::v1,
    telemetry::{Limit, Transport, TransportLabel},
};

/// Tells nginx not to hold an answer back.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const LOGS: &str = "/api/v1/logs";

/// The routes of the API.
pub fn routes() -> Router<Arc<Shared>> {
    let only = |methods: &'static str| {
        move || async move {
            let mut response = Refused::method(methods).into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
            response
        }
    };
    Router::new()
        .route(LOGS, get(logs).post(logs).fallback(only("GET, HEAD, POST")))
        .route("/api/v1/sources", get(sources).fallback(only("GET, HEAD")))
}

/// Who asks; the one place where every answer of this room is authorised.
fn caller(shared: &Shared, request: &Parts) -> Result<Caller, Refused> {
    let connection = connection(request)?;
    let caller = shared.auth.authenticate(&request.headers, &connection);
    caller.map_err(|why| Refused::from(status::of_unauthenticated(why)))
}

fn connection(request: &Parts) -> Result<Arc<ConnectionInfo>, Refused> {
    let connection = request.extensions.get::<Arc<ConnectionInfo>>().cloned();
    connection.ok_or_else(|| Status::internal("the request belongs to no connection").into())
}

/// In which form a request wants its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// One answer.
    Page,
    /// An answer that goes on.
    Stream(Form),
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for kind in accepted.flat_map(|value| value.split(',')) {
            match kind.split(';').next().unwrap_or_default().trim() {
                "text/event-stream" => return Self::Stream(Form::Sse),
                "application/x-ndjson" => return Self::Stream(Form::Ndjson),
                _ => {}
            }
        }
        Self::Page
    }

    const fn transport(self) -> Transport {
        match self {
            Self::Page => Transport::Json,
            Self::Stream(Form::Sse) => Transport::Sse,
            Self::Stream(Form::Ndjson) => Transport::Ndjson,
        }
    }

    /// Settles whether the answer goes on with what is written later.
    fn follows(self, parameters: &Parameters) -> Result<bool, Refused> {
        match (self, parameters.follow, parameters.wait) {
            (Self::Stream(_), _, Some(_)) => Err(Refused::invalid("wait", "only a page waits; this answer goes on")),
            (Self::Stream(Form::Sse), Some(false), _) => Err(Refused::invalid("follow", "events always follow")),
            (Self::Page, Some(true), None) => {
                Err(Refused::invalid("follow", "a page ends: ask for text/event-stream or application/x-ndjson"))
            }
            (Self::Page, Some(false), Some(_)) => Err(Refused::invalid("wait", "there is nothing to wait for")),
            (Self::Page, _, wait) => Ok(wait.is_some()),
            (Self::Stream(Form::Sse), ..) => Ok(true),
            (Self::Stream(Form::Ndjson), follow, _) => Ok(follow.unwrap_or(false)),
        }
    }
}

async fn logs(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id = call::request_id(&parts.headers);
    let answer = answer_logs(&shared, &parts, body, &id).await;
    finish(answer, &id)
}

async fn sources(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let id = call::request_id(&parts.headers);
    finish(answer_sources(&shared, &parts).await, &id)
}

/// Adds what every answer has.
fn finish(answer: Result<Response, Refused>, id: &str) -> Response {
    let mut response = answer.unwrap_or_else(|refused| {
        tracing::debug!(request_id = id, code = refused.code().as_u16(), why = refused.message(), "refused");
        refused.into_response()
    });
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(call::REQUEST_ID, id);
    }
    response
}

async fn answer_logs(shared: &Arc<Shared>, parts: &Parts, body: Body, id: &str) -> Result<Response, Refused> {
    let caller = caller(shared, parts)?;
    let wanted = Wanted::of(&parts.headers);
    let read = read_parameters(parts, body).await;
    let mut parameters = read.inspect_err(|refused| {
        if refused.code() == StatusCode::PAYLOAD_TOO_LARGE
            && let Ok(connection) = connection(parts)
        {
            shared.reached.note(Limit::RequestBytes, &connection.peer, "refused a request that is too large");
        }
    })?;
    if let (Wanted::Stream(Form::Sse), Some(last)) = (wanted, last_event_id(&parts.headers)?) {
        // Newer than any cursor that the URL still has.
        parameters.request.resume = vec![last];
    }
    let follow = wanted.follows(&parameters)?;
    if wanted == Wanted::Page {
        let limit = &mut parameters.request.limit;
        *limit = if *limit == 0 { PAGE_ENTRIES_DEFAULT } else { (*limit).min(PAGE_ENTRIES_MAX) };
    }
    let names = parameters.request.sources.clone();
    let rpc = if follow { Rpc::StreamLogs } else { Rpc::GetLogs };
    let request = grpc::request::of_v1(rpc, parameters.request, caller.patterns())?;
    let request = open::Request { gaps_in_band: true, ..request };
    let registered = enter(shared, parts, caller, wanted, id)?;
    let given = request.resume.clone();
    let opened = open::open(&shared.feed, request).await;
    let opened = opened.map_err(|error| status::of_open(&error, &names));
    let opened = opened.inspect_err(|status| shared.note_exhausted(&registered.stream.connection.peer, status));
    let (mut subscription, extent) = opened?;
    let telemetry = &shared.feed.telemetry;
    let mut response = match wanted {
        Wanted::Page => {
            registered.stream.set_progress(subscription.progress().clone());
            let (response, entries) = page::answer(&mut subscription, &given, parameters.wait).await?;
            let label = TransportLabel { transport: Transport::Json };
            telemetry.entries_sent.get_or_create(&label).inc_by(entries);
            response
        }
        Wanted::Stream(form) => {
            let body = EventBody::new(subscription, registered, telemetry.clone(), form, follow);
            let mut response = Response::new(Body::new(body));
            response.headers_mut().insert(header::CONTENT_TYPE, form.content_type());
            response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
            response
        }
    };
    grpc::put_extent(response.headers_mut(), extent);
    Ok(response)
}

async fn read_parameters(parts: &Parts, body: Body) -> Result<Parameters, Refused> {
    let query = parts.uri.query().unwrap_or_default();
    if parts.method != Method::POST {
        return Parameters::of_query(query);
    }
    if !query.is_empty() {
        return Err(Refused::invalid("query", "with POST the parameters are in the body"));
    }
    let read = Limited::new(body, REQUEST_BYTES_MAX).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refused::too_large(format!("the body is larger than {REQUEST_BYTES_MAX} bytes"))
        } else {
            Refused::from(Status::cancelled(format!("the body did not arrive whole: {error}")))
        }
    })?;
    Parameters::of_json(&read.to_bytes())
}

/// The cursor that a browser brings back after its connection broke.
fn last_event_id(headers: &HeaderMap) -> Result<Option<prost::bytes::Bytes>, Refused> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refused::invalid("Last-Event-ID", "not base64"))?;
    json::from_base64(text).map(|bytes| Some(bytes.into())).map_err(|why| Refused::invalid("Last-Event-ID", why))
}

/// Takes a place among the streams.
fn enter(shared: &Shared, parts: &Parts, caller: Caller, wanted: Wanted, id: &str) -> Result<Registered, Refused> {
    if shared.feed.is_draining() {
        return Err(grpc::body::status_of(&End::Draining).into());
    }
    let connection = connection(parts)?;
    let client = Client::of(&caller, &connection.peer);
    let stream = Stream::new(id.to_owned(), LOGS, wanted.transport(), client, connection, None, caller);
    shared.streams.enter(stream).map_err(|full| status::of_full(full).into())
}

async fn answer_sources(shared: &Shared, parts: &Parts) -> Result<Response, Refused> {
    let caller = caller(shared, parts)?;
    let request = parameters::sources_of_query(parts.uri.query().unwrap_or_default())?;
    let (catalogue, patterns) = (shared.feed.catalogue.clone(), caller.patterns().map(<[String]>::to_vec));
    // It asks the file system about each file.
    let listing = tokio::task::spawn_blocking(move || list::list(&catalogue, &request, patterns.as_deref()));
    let page: v1::ListSourcesResponse = listing.await.map_err(|error| Status::internal(error.to_string()))??;
    let mut response = Response::new(Body::from(format!("{}\n", json::sources(&page))));
    response.headers_mut().insert(header::CONTENT_TYPE, json::CONTENT_TYPE);
    Ok(response)
}

fn wall_clock() -> Nanos {
    Nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64)
}
