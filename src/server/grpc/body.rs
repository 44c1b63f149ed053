//! The body of a streaming answer: it pulls from its subscription when HTTP/2 has room, and ends with trailers.
//!
//! What it hands on are segments as they lie in the cache: gRPC messages with their headers, encoded once for all who
//! read them. Nothing is copied, and nothing is queued here.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tokio::time::Sleep;
use tonic::{Status, metadata::BinaryMetadataValue};

use super::{call, status};
use crate::{
    entry::Nanos,
    feed::subscription::{End, Piece, Subscription},
    limits::TRAILER_CURSOR_BYTES_MAX,
    server::streams::Registered,
    telemetry::{Telemetry, TransportLabel},
};

/// A stream of entries as an HTTP body.
pub struct StreamBody {
    subscription: Subscription,
    registered: Registered,
    telemetry: Arc<Telemetry>,
    deadline: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl StreamBody {
    /// The body of the answer that `registered` stands for.
    pub fn new(subscription: Subscription, registered: Registered, telemetry: Arc<Telemetry>) -> Self {
        registered.stream.set_progress(subscription.progress().clone());
        let deadline = registered.stream.deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        Self { subscription, registered, telemetry, deadline, ended: false }
    }

    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.ended = true;
        Frame::trailers(trailers(&self.subscription, status))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        this.registered.stream.asked();
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Ok(this.end(&Status::deadline_exceeded("the deadline of the call has passed")))));
        }
        // The piece first: it leaves the waker that a withdrawal wakes.
        let poll = poll_past_events(&mut this.subscription, context);
        if this.registered.stream.is_withdrawn() {
            return Poll::Ready(Some(Ok(this.end(&status::withdrawn()))));
        }
        let frame = match ready!(poll) {
            Piece::Entries(_, segment) => {
                let transport = this.registered.stream.transport;
                let sent = this.telemetry.entries_sent.get_or_create(&TransportLabel { transport });
                sent.inc_by(segment.entries.into());
                this.registered.stream.handed(Instant::now());
                Frame::data(segment.bytes.clone())
            }
            Piece::End(end) => {
                let status = status_of(&end);
                this.end(&status)
            }
            // Passed over above: the plain rpcs have no place for them but the entries' flags.
            Piece::Event(_) => Frame::data(Bytes::new()),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// The next piece that is no event.
fn poll_past_events(subscription: &mut Subscription, context: &mut Context<'_>) -> Poll<Piece> {
    loop {
        match subscription.poll_next(context) {
            Poll::Ready(Piece::Event(_)) => {}
            poll => return poll,
        }
    }
}

/// The status with which a stream ends.
pub fn status_of(end: &End) -> Status {
    match end {
        End::Done => Status::ok(""),
        End::Draining => Status::unavailable("the daemon is going down; come back with the last cursor"),
        End::Unreadable(why) => Status::unavailable(format!("not everything could be read: {why}")),
    }
}

/// The trailers of a stream: its status, and what the client should have got.
pub fn trailers(subscription: &Subscription, status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    call::put_status(&mut trailers, status);
    let progress = subscription.progress();
    let mut put = |name: &'static str, value: HeaderValue| trailers.insert(HeaderName::from_static(name), value);
    put("logtap-entries", progress.entries.load(Ordering::Relaxed).into());
    put("logtap-message-bytes", progress.message_bytes.load(Ordering::Relaxed).into());
    put("logtap-gaps", progress.gaps.load(Ordering::Relaxed).into());
    if let Ok(crc) = HeaderValue::try_from(format!("{:08x}", subscription.crc())) {
        put("logtap-crc32", crc);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let cursor = subscription.cursor(Nanos(now.as_nanos() as i64), None).encode();
    if cursor.len() <= TRAILER_CURSOR_BYTES_MAX {
        let encoded = BinaryMetadataValue::from_bytes(&cursor);
        if let Ok(value) = HeaderValue::from_bytes(encoded.as_encoded_bytes()) {
            put("logtap-cursor-bin", value);
        }
    }
    trailers
}
