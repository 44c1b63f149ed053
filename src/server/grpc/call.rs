//! What every call has in common: its request id, its deadline, its one request message, and how it is refused.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use bytes::Buf as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Limited};
use prost::Message;
use tonic::Status;
use xxhash_rust::xxh3::xxh3_64;

use super::status;
use crate::{
    entry::encode::FRAME_HEADER_BYTES,
    limits::{REQUEST_BYTES_MAX, REQUEST_ID_BYTES_MAX},
};

/// The header that names a call in logs on both sides.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// More than eight digits are no timeout, says gRPC's protocol.
const TIMEOUT_DIGITS_MAX: usize = 8;

/// The client's `x-request-id` if it may be one, else a new one.
pub fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let usable = |id: &&str| {
        let bytes = id.as_bytes();
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
    };
    given.filter(usable).map_or_else(new_request_id, str::to_owned)
}

fn new_request_id() -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let seed = [now.to_le_bytes().as_slice(), &call.to_le_bytes(), &std::process::id().to_le_bytes()].concat();
    format!("{:016x}", xxh3_64(&seed))
}

/// When the call has to end, by its `grpc-timeout`.
///
/// # Errors
/// INVALID_ARGUMENT for a header that is none by gRPC's protocol.
pub fn deadline(headers: &HeaderMap, now: Instant) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(timeout);
    let timeout = timeout.ok_or_else(|| Status::invalid_argument(format!("grpc-timeout {value:?} is no timeout")))?;
    // What lies beyond the clock's range never comes.
    Ok(now.checked_add(timeout))
}

fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Reads the only message of a call.
///
/// # Errors
/// RESOURCE_EXHAUSTED when it is too large, UNIMPLEMENTED when it is compressed, INVALID_ARGUMENT when it is no message.
pub async fn read_request<T: Message + Default>(body: Body) -> Result<T, Status> {
    let limited = Limited::new(body, REQUEST_BYTES_MAX + FRAME_HEADER_BYTES);
    let collected = limited.collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            status::too_large()
        } else {
            Status::cancelled(format!("the request did not arrive whole: {error}"))
        }
    })?;
    let mut bytes = collected.to_bytes();
    if bytes.len() < FRAME_HEADER_BYTES {
        return Err(Status::invalid_argument("the call has no request message"));
    }
    let compressed = bytes.get_u8();
    let len = bytes.get_u32() as usize;
    if compressed != 0 {
        return Err(Status::unimplemented("compressed requests are not served; send grpc-encoding: identity"));
    }
    if bytes.len() != len {
        return Err(Status::invalid_argument("the call has not exactly one request message"));
    }
    T::decode(bytes).map_err(|error| Status::invalid_argument(format!("the request is no message: {error}")))
}

/// An answer that is headers only: the call is refused.
pub fn refuse(request_id: &str, status: &Status) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    put_status(response.headers_mut(), status);
    begin(&mut response, request_id);
    response
}

/// The headers that every answer has.
pub fn begin(response: &mut Response<Body>, request_id: &str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert("grpc-accept-encoding", IDENTITY);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// Adds `grpc-status` and what belongs to it.
pub fn put_status(headers: &mut HeaderMap, status: &Status) {
    if status.add_header(headers).is_err() {
        // Only a message that no header can hold gets here.
        headers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
}

/// An answer with one message.
pub fn unary<T: Message>(request_id: &str, message: &T) -> Response<Body> {
    let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + message.encoded_len());
    crate::entry::encode::put_frame_header(&mut bytes, message.encoded_len());
    bytes.extend_from_slice(&message.encode_to_vec());
    let mut trailers = HeaderMap::new();
    put_status(&mut trailers, &Status::ok(""));
    let body = http_body_util::Full::from(bytes).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    begin(&mut response, request_id);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(timeout("0n"), Some(Duration::ZERO));
        for wrong in ["", "S", "1", "1x", "-1S", "123456789S", "1.5S", "é"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn request_ids_are_taken_over_when_they_may_be() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).expect("a header"));
            request_id(&headers)
        };
        assert_eq!(with("a.B_c-9"), "a.B_c-9");
        assert_eq!(with(&"x".repeat(64)), "x".repeat(64));
        for wrong in ["a b", "", "ä", &"x".repeat(65)] {
            assert_ne!(with(wrong), wrong);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
