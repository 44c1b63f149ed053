//! What went wrong, as an answer of plain HTTP: a status code, and a JSON body that says what a gRPC client would be
//! told.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt as _};

use super::json;
use crate::server::grpc::status;

/// How long a client that was sent away for now should stay away, unless the error says it itself.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A request that is not served, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    code: StatusCode,
    /// The name of the gRPC status.
    status: &'static str,
    message: String,
    details: Vec<Value>,
    retry_after: Option<Duration>,
}

impl Refused {
    /// 400 that names the parameter.
    pub fn invalid(parameter: impl Into<String>, why: impl Into<String>) -> Self {
        status::invalid(parameter, why).into()
    }

    /// 403: a page of another origin asks.
    pub fn foreign_origin(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
    }

    /// 404: nothing is served under this path.
    pub fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("nothing is served under {path}"))
    }

    /// 405: another method is served under this path.
    pub fn method(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED", format!("served under this path: {allowed}"))
    }

    /// 413: it has to be sent in another way, or not at all.
    pub fn too_large(message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "OUT_OF_RANGE", message)
    }

    /// 415: a call whose body is of a type that is no gRPC.
    pub fn no_grpc() -> Self {
        let message = "the body has to be application/grpc, or application/grpc-web, with protobuf in it".to_owned();
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT", message)
    }

    /// 421: the name by which the client calls us is not ours.
    pub fn misdirected(message: String) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "PERMISSION_DENIED", message)
    }

    fn new(code: StatusCode, status: &'static str, message: String) -> Self {
        Self { code, status, message, details: Vec::new(), retry_after: None }
    }

    /// What it says, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status code.
    pub fn code(&self) -> StatusCode {
        self.code
    }

    /// The body.
    pub fn to_json(&self) -> Value {
        let Self { code, status, message, details, .. } = self;
        json!({"error": {"code": code.as_u16(), "status": status, "message": message, "details": details}})
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let (code, name) = of_code(status.code());
        let details = status.get_error_details_vec();
        let asked = details.iter().find_map(|detail| match detail {
            ErrorDetail::RetryInfo(info) => info.retry_delay,
            _ => None,
        });
        let passes = code == StatusCode::TOO_MANY_REQUESTS || code == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            code,
            status: name,
            message: status.message().to_owned(),
            details: details.iter().filter_map(detail_to_json).collect(),
            retry_after: passes.then_some(asked.unwrap_or(RETRY_AFTER)),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(format!("{}\n", self.to_json())));
        *response.status_mut() = self.code;
        response.headers_mut().insert(header::CONTENT_TYPE, json::CONTENT_TYPE);
        if self.code == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

/// The code of HTTP and the name of a gRPC status.
fn of_code(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::Ok => (StatusCode::OK, "OK"),
        Code::Cancelled => (StatusCode::BAD_REQUEST, "CANCELLED"),
        Code::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Code::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        Code::FailedPrecondition => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
        Code::Aborted => (StatusCode::CONFLICT, "ABORTED"),
        Code::OutOfRange => (StatusCode::BAD_REQUEST, "OUT_OF_RANGE"),
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Code::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, "DATA_LOSS"),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
    }
}

/// The details that this daemon sends, as ProtoJSON writes an `Any`.
fn detail_to_json(detail: &ErrorDetail) -> Option<Value> {
    match detail {
        ErrorDetail::BadRequest(request) => {
            let violations = request.field_violations.iter();
            let violations: Vec<Value> =
                violations.map(|it| json!({"field": it.field, "description": it.description})).collect();
            Some(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}))
        }
        ErrorDetail::ErrorInfo(info) => Some(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": info.reason,
            "domain": info.domain,
            "metadata": info.metadata,
        })),
        ErrorDetail::RetryInfo(info) => Some(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", info.retry_delay.unwrap_or_default().as_secs_f64()),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::streams::Full;

    #[test]
    fn a_refusal_says_what_a_grpc_client_would_be_told() {
        let refused = Refused::invalid("tail", "no number");
        let violation = json!({"field": "tail", "description": "no number"});
        let detail = json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]});
        let error =
            json!({"code": 400, "status": "INVALID_ARGUMENT", "message": "tail: no number", "details": [detail]});
        assert_eq!(refused.to_json(), json!({ "error": error }));
        assert_eq!(refused.into_response().headers().get(header::RETRY_AFTER), None);

        let full = Refused::from(status::of_full(Full::Streams(3)));
        assert_eq!((full.code().as_u16(), full.message()), (429, "3 streams are open, which is max_streams"));
        let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"});
        assert_eq!(full.to_json()["error"]["details"], json!([retry]));
        assert_eq!(full.into_response().headers()[header::RETRY_AFTER], "5");
        let stranger = Refused::from(Status::unauthenticated("")).into_response();
        assert_eq!(
            (stranger.status().as_u16(), &stranger.headers()[header::WWW_AUTHENTICATE]),
            (401, &HeaderValue::from_static("Bearer"))
        );
        assert_eq!(Refused::from(Status::unavailable("")).into_response().headers()[header::RETRY_AFTER], "5");
    }
}
