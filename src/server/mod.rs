//! gRPC and HTTP over subscriptions: everything between a socket and a subscription.

pub mod auth;
pub mod grpc;
pub mod http;
pub mod net;
pub mod reached;
mod seldom;
pub mod streams;
pub mod viewer;

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode, Version, header};
use arc_swap::ArcSwap;
use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tonic::{Code, Status};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};

use self::{
    auth::{Auth, AuthError},
    http::{error::Refused, grpc_web::is_native, guard::Hosts},
    net::{ConnectionInfo, Peer, Reloaded},
    reached::Reached,
    streams::Streams,
};
use crate::{feed::Feed, limits::READINESS_MAX, proto, telemetry::Limit};

/// What all requests share.
pub struct Shared {
    /// Where entries come from.
    pub feed: Arc<Feed>,
    /// The open streams.
    pub streams: Arc<Streams>,
    /// Where it is noted that somebody ran into a limit.
    pub reached: Arc<Reached>,
    /// Who may read what.
    pub auth: Arc<Auth>,
    /// What health checks are told.
    pub health: HealthReporter,
    /// The names by which browsers may call us.
    pub hosts: ArcSwap<Hosts>,
}

/// Names under which health is asked for: the daemon as a whole, and each service.
const HEALTH_NAMES: [&str; 3] = ["", "LogService", "logtap.v1.LogService"];

/// What is answered even to those for whom there is no place: it is short, and tells why.
const PATHS_WITHOUT_PLACE: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/grpc.health.v1.Health/Check"];

impl Shared {
    /// What requests share, and the health service that answers with what it is told.
    pub fn new(
        feed: Arc<Feed>,
        streams: Arc<Streams>,
        auth: Arc<Auth>,
        hosts: Hosts,
    ) -> (Arc<Self>, HealthServer<impl Health>) {
        let reached = streams.reached().clone();
        let (health, service) = tonic_health::server::health_reporter();
        (Arc::new(Self { feed, streams, reached, auth, health, hosts: ArcSwap::from_pointee(hosts) }), service)
    }

    /// Takes a changed tokens file in: streams whose callers are not let in any more end.
    ///
    /// # Errors
    /// What is wrong with the file; then everything stays as it was.
    pub fn reload_auth(&self) -> Result<(), AuthError> {
        if self.auth.reload()? == Reloaded::Changed {
            tracing::info!(withdrawn_streams = self.withdraw_streams(), "tokens read again");
        }
        Ok(())
    }

    /// Asks about every caller again, other rules being in force; the number of streams that end.
    pub fn withdraw_streams(&self) -> usize {
        let withdrawn = self.streams.withdraw(&self.auth);
        self.feed.catalogue.interests().iter().for_each(|interest| interest.wake_all());
        withdrawn
    }

    /// Notes that a request ran into a limit, if that is why it is refused.
    pub fn note_exhausted(&self, peer: &Peer, status: &Status) {
        if status.code() == Code::ResourceExhausted {
            let limit = if grpc::status::is_too_large(status) { Limit::RequestBytes } else { Limit::Scans };
            self.reached.note(limit, peer, &format!("refused a request: {}", status.message()));
        }
    }

    /// Tells health checks whether requests are served.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in HEALTH_NAMES {
            self.health.set_service_status(name, status).await;
        }
    }
}

/// Everything that is served, as one service.
///
/// # Errors
/// When the descriptors that the build made are no descriptors.
pub fn router(
    shared: Arc<Shared>,
    health: HealthServer<impl Health>,
) -> Result<Router, tonic_reflection::server::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let grpc = grpc::routes()
        .layer(middleware::from_fn(http::grpc_web::adapt))
        .route_service("/grpc.health.v1.Health/{method}", health)
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", reflection().build_v1()?)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", reflection().build_v1alpha()?);
    Ok(grpc
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(http::routes())
        .merge(viewer::routes())
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(shared.clone(), guard_reflection))
        .layer(middleware::from_fn(refuse_without_place))
        .layer(middleware::from_fn(refuse_grpc_over_http1))
        .layer(middleware::from_fn_with_state(shared.clone(), http::guard::guard))
        .with_state(shared))
}

/// gRPC needs HTTP/2; over HTTP/1 its trailers would be lost without a word.
async fn refuse_grpc_over_http1(request: Request, next: Next) -> Response {
    if is_native(request.headers()) && request.version() < Version::HTTP_2 {
        return (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC is served over HTTP/2 only\n").into_response();
    }
    next.run(request).await
}

/// Requests of connections for which there is no place are refused, but for those that ask how we are.
async fn refuse_without_place(
    Extension(connection): Extension<Arc<ConnectionInfo>>,
    request: Request,
    next: Next,
) -> Response {
    match connection.no_place {
        Some(why) if !PATHS_WITHOUT_PLACE.contains(&request.uri().path()) => {
            let status = grpc::status::of_no_place(why);
            let call = http::grpc_web::refuse(request.headers(), &status);
            call.unwrap_or_else(|| Refused::from(status).into_response())
        }
        Some(_) | None => next.run(request).await,
    }
}

/// What the services are called is for those to know who may call them.
async fn guard_reflection(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Arc<ConnectionInfo>>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().starts_with("/grpc.reflection.")
        && let Err(why) = shared.auth.authenticate(request.headers(), &connection)
    {
        let id = grpc::call::request_id(request.headers());
        return grpc::call::refuse(&id, &grpc::status::of_unauthenticated(why));
    }
    next.run(request).await
}

async fn not_found(request: Request) -> Response {
    if is_native(request.headers()) {
        return grpc::unknown_method(request.headers(), request.uri().path());
    }
    Refused::not_found(request.uri().path()).into_response()
}

async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Arc<ConnectionInfo>>,
    headers: HeaderMap,
) -> Response {
    let caller = match shared.auth.authenticate(&headers, &connection) {
        Ok(caller) => caller,
        Err(why) => return Refused::from(grpc::status::of_unauthenticated(why)).into_response(),
    };
    shared.feed.measure();
    shared.streams.measure();
    let text = shared.feed.telemetry.render();
    // Names of sources that the caller may not read do not exist for it.
    let may_see = |line: &&str| {
        let source = line.split_once("source=\"").and_then(|(_, rest)| rest.split_once('"'));
        source.is_none_or(|(source, _)| caller.may_read(source))
    };
    let text = if caller.may_read_all() { text } else { text.split_inclusive('\n').filter(may_see).collect() };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Ready while the watcher's thread looks at the file system as often as it should.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.feed.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "going down\n").into_response();
    }
    match shared.feed.hints.silence() {
        silence if silence > READINESS_MAX => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the watcher has been silent for {silence:?}\n")).into_response()
        }
        _ => "ready\n".into_response(),
    }
}
