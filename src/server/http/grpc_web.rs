//! gRPC-Web: the same calls and the same bodies as over HTTP/2, with the trailers at the end of the body, where a
//! browser can see them. <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>
//!
//! A layer of our own around the gRPC routes: their bodies are frames already, so nothing has to be decoded, and the
//! stream is counted for what it is.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Limited};

use tonic::Status;

use super::{X_ACCEL_BUFFERING, error::Refused};
use crate::{entry::encode::FRAME_HEADER_BYTES, limits::REQUEST_BYTES_MAX, server::grpc::call, telemetry::Transport};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc+proto");
/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;
/// Longest body of a request in base64, in bytes.
const TEXT_BYTES_MAX: usize = (REQUEST_BYTES_MAX + FRAME_HEADER_BYTES) / 3 * 4 + 4;

/// The two forms of gRPC-Web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Frames as they are.
    Binary,
    /// Frames in base64, for what cannot read binary bodies as they come.
    Text,
}

impl Form {
    /// The form of a body of this type, if it is gRPC-Web with our messages.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        match kind {
            "application/grpc-web" | "application/grpc-web+proto" => Some(Self::Binary),
            "application/grpc-web-text" | "application/grpc-web-text+proto" => Some(Self::Text),
            _ => None,
        }
    }

    const fn content_type(self) -> HeaderValue {
        match self {
            Self::Binary => HeaderValue::from_static("application/grpc-web+proto"),
            Self::Text => HeaderValue::from_static("application/grpc-web-text+proto"),
        }
    }
}

/// Whether the request is gRPC as HTTP/2 carries it.
pub fn is_native(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| !rest.starts_with(b"-web"))
}

/// Makes a gRPC call of a gRPC-Web one, and a gRPC-Web answer of its answer; gRPC passes as it is, and nothing else does.
pub async fn adapt(mut request: Request, next: Next) -> Response {
    if is_native(request.headers()) {
        return next.run(request).await;
    }
    let Some(form) = Form::of(request.headers()) else { return Refused::no_grpc().into_response() };
    request.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    request.extensions_mut().insert(Transport::GrpcWeb);
    if form == Form::Text {
        let (parts, body) = request.into_parts();
        match decode(body).await {
            Ok(body) => request = Request::from_parts(parts, body),
            Err(refused) => return refused.into_response(),
        }
    }
    let (mut parts, body) = next.run(request).await.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, form.content_type());
    parts.headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Response::from_parts(parts, Body::new(WebBody { body, form }))
}

/// The refusal of a call, native or not, that nobody has looked at; `None` when the request is no call.
pub fn refuse(headers: &HeaderMap, status: &Status) -> Option<Response> {
    let kind = if is_native(headers) { None } else { Some(Form::of(headers)?.content_type()) };
    let mut response = call::refuse(&call::request_id(headers), status);
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Some(response)
}

/// A request's body out of base64.
async fn decode(body: Body) -> Result<Body, Refused> {
    let text = Limited::new(body, TEXT_BYTES_MAX).collect().await;
    let text = text.map_err(|error| Refused::too_large(format!("the request cannot be read: {error}")))?.to_bytes();
    let bytes = STANDARD.decode(&text).map_err(|error| Refused::invalid("body", format!("not base64: {error}")))?;
    Ok(Body::from(bytes))
}

/// A gRPC body with its trailers in a last frame.
struct WebBody {
    body: Body,
    form: Form,
}

impl http_body::Body for WebBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => frame,
        };
        let bytes = match frame.into_data() {
            Ok(data) => data,
            Err(other) => match other.into_trailers() {
                Ok(trailers) => trailers_frame(&trailers),
                Err(_) => Bytes::new(),
            },
        };
        let bytes = match this.form {
            Form::Binary => bytes,
            // Pieces of base64, each padded for itself, may follow one another.
            Form::Text => STANDARD.encode(bytes).into(),
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let line =
        |(name, value): (&HeaderName, &HeaderValue)| [name.as_str().as_bytes(), b": ", value.as_bytes()].concat();
    let lines: Vec<Vec<u8>> = trailers.iter().map(line).collect();
    let len = lines.iter().map(|line| line.len() + 2).sum::<usize>();
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + len);
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(len).expect("headers are bounded far below 4 GiB"));
    for line in lines {
        frame.put_slice(&line);
        frame.put_slice(b"\r\n");
    }
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_become_a_frame() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("logtap-entries", HeaderValue::from_static("12"));
        let frame = trailers_frame(&trailers);
        assert_eq!(&frame[..5], [0x80, 0, 0, 0, 36]);
        assert_eq!(&frame[5..], b"grpc-status: 0\r\nlogtap-entries: 12\r\n");
    }

    #[test]
    fn the_forms_are_told_apart() {
        let of = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).expect("a value"));
            (Form::of(&headers), is_native(&headers))
        };
        assert_eq!(of("application/grpc-web+proto"), (Some(Form::Binary), false));
        assert_eq!(of("application/grpc-web-text; charset=utf-8"), (Some(Form::Text), false));
        assert_eq!(of("application/grpc"), (None, true));
        assert_eq!(of("application/grpc+proto"), (None, true));
        assert_eq!(of("application/grpc-web+json"), (None, false));
        assert_eq!(of("text/plain"), (None, false));
    }
}
