//! Streams of JSON: server-sent events, and newline-delimited objects. A body pulls from its subscription when HTTP has
//! room, exactly as over gRPC, and holds nothing but what it hands on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame};
use serde_json::json;
use tokio::time::Sleep;

use super::{error::Refused, json, wall_clock};
use crate::{
    entry::{cursor::EntryCursor, stream_cursor::StreamCursor},
    feed::{
        event::Event,
        segment::{Segment, SharedSegment},
        subscription::{End, Piece, Subscription},
    },
    limits::{CURSOR_TEXT_BYTES_MAX, HEARTBEAT_EVERY, STREAM_CURSOR_EVERY, STREAM_CURSOR_EVERY_BYTES},
    proto::v1,
    server::{
        grpc::{body::status_of, status},
        streams::Registered,
    },
    telemetry::{Telemetry, TransportLabel},
    watch::FileId,
};

/// The largest whole-stream cursor that goes with every event, in bytes before base64.
const ID_BYTES_MAX: usize = CURSOR_TEXT_BYTES_MAX / 4 * 3;
/// Bytes of a whole-stream cursor for one file, at least.
const ID_BYTES_PER_FILE_MIN: usize = 17;
/// Bytes of a whole-stream cursor besides.
const ID_BYTES_FIXED: usize = 17;

/// How entries are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Server-sent events: `event`, `id`, `data`.
    Sse,
    /// One object a line.
    Ndjson,
}

impl Form {
    /// The type of the answer.
    pub const fn content_type(self) -> HeaderValue {
        match self {
            Self::Sse => HeaderValue::from_static("text/event-stream"),
            Self::Ndjson => HeaderValue::from_static("application/x-ndjson"),
        }
    }
}

/// A stream of JSON as an HTTP body.
pub struct EventBody {
    subscription: Subscription,
    registered: Registered,
    telemetry: Arc<Telemetry>,
    form: Form,
    heartbeat: Option<Pin<Box<Sleep>>>,
    /// When and how many bytes ago a cursor went out, for those that are too large to go out every time.
    told: Told,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    Opening,
    Running,
    Over,
}

struct Told {
    at: Instant,
    bytes: usize,
}

impl EventBody {
    /// The body of the answer that `registered` stands for; one that follows says so when there is nothing else to say.
    pub fn new(
        subscription: Subscription,
        registered: Registered,
        telemetry: Arc<Telemetry>,
        form: Form,
        follow: bool,
    ) -> Self {
        registered.stream.set_progress(subscription.progress().clone());
        Self {
            subscription,
            registered,
            telemetry,
            form,
            heartbeat: follow.then(|| Box::pin(tokio::time::sleep(HEARTBEAT_EVERY))),
            told: Told { at: Instant::now(), bytes: 0 },
            state: State::Opening,
        }
    }

    /// What goes out before anything is read, so that everybody on the way sees the answer begin.
    fn opening(&mut self, out: &mut Vec<u8>) {
        match self.form {
            Form::Ndjson => {}
            Form::Sse if self.subscription.is_searching() => out.extend_from_slice(b":\n\n"),
            Form::Sse => self.put_alive(out),
        }
    }

    /// A sign of life, with the place that the stream has come to.
    fn put_alive(&mut self, out: &mut Vec<u8>) {
        match self.form {
            Form::Sse => {
                out.extend_from_slice(b":\n");
                if !self.subscription.is_searching() {
                    let cursor = self.subscription.cursor(wall_clock(), None);
                    self.put_id(out, &cursor);
                }
                out.extend_from_slice(b"\n");
            }
            Form::Ndjson => {
                let (time, lag) = (json::rfc3339(wall_clock().0), self.subscription.lag().to_string());
                put_line(out, &json!({"heartbeat": {"time": time, "lagBytes": lag}}));
            }
        }
    }

    fn put_id(&mut self, out: &mut Vec<u8>, cursor: &StreamCursor) {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(json::to_base64(&cursor.encode()).as_bytes());
        out.push(b'\n');
        self.told = Told { at: Instant::now(), bytes: 0 };
    }

    fn put_entries(&mut self, out: &mut Vec<u8>, file: FileId, segment: &SharedSegment) {
        match self.form {
            Form::Ndjson => {
                for entry in json::entries_of(segment) {
                    json::put_entry(out, &entry);
                    out.push(b'\n');
                }
            }
            Form::Sse => self.put_entry_events(out, file, segment),
        }
        let transport = self.registered.stream.transport;
        self.telemetry.entries_sent.get_or_create(&TransportLabel { transport }).inc_by(segment.entries.into());
    }

    /// Every entry with the cursor of the whole stream just after it; where that is large, now and then only.
    fn put_entry_events(&mut self, out: &mut Vec<u8>, file: FileId, segment: &Segment) {
        let mut after = self.small_id();
        let mut place = after.as_ref().map(|_| self.subscription.cursor(wall_clock(), Some((file, segment))));
        self.told.bytes += segment.bytes.len();
        if self.told.at.elapsed() >= STREAM_CURSOR_EVERY || self.told.bytes >= STREAM_CURSOR_EVERY_BYTES {
            after.get_or_insert_with(|| self.subscription.cursor(wall_clock(), None));
        }
        let mut left = segment.entries;
        for entry in json::entries_of(segment) {
            left -= 1;
            out.extend_from_slice(b"event: entry\n");
            match (&mut place, &after) {
                (_, Some(after)) if left == 0 => self.put_id(out, after),
                (Some(place), _) => {
                    move_past(place, &entry);
                    self.put_id(out, place);
                }
                (None, _) => {}
            }
            out.extend_from_slice(b"data: ");
            json::put_entry(out, &entry);
            out.extend_from_slice(b"\n\n");
        }
    }

    /// The cursor of the whole stream, where it is known and small enough to go with everything that is said.
    fn small_id(&self) -> Option<StreamCursor> {
        let at_least = ID_BYTES_FIXED + self.subscription.files() * ID_BYTES_PER_FILE_MIN;
        if self.subscription.is_searching() || at_least > ID_BYTES_MAX {
            return None;
        }
        Some(self.subscription.cursor(wall_clock(), None)).filter(|cursor| cursor.encode().len() <= ID_BYTES_MAX)
    }

    fn put_event(&mut self, out: &mut Vec<u8>, event: &Event) {
        let (name, member, what) = json::event(event);
        match self.form {
            Form::Ndjson => put_line(out, &json!({ member: what })),
            Form::Sse => {
                out.extend_from_slice(format!("event: {name}\n").as_bytes());
                let id = match event {
                    Event::CaughtUp => Some(self.subscription.cursor(wall_clock(), None)),
                    Event::Gap(..) | Event::FileChange(..) | Event::Progress(..) => self.small_id(),
                };
                if let Some(id) = id {
                    self.put_id(out, &id);
                }
                out.extend_from_slice(format!("data: {what}\n\n").as_bytes());
            }
        }
    }

    fn put_end(&mut self, out: &mut Vec<u8>, end: &End) {
        let what = match end {
            End::Done => None,
            End::Draining | End::Unreadable(_) => Some(Refused::from(status_of(end)).to_json()),
        };
        match (self.form, what) {
            (Form::Ndjson, None) => {}
            (_, Some(error)) => self.put_error(out, &error),
            // A browser would connect again by itself: with this it knows that there is nothing to come back for.
            (Form::Sse, None) => {
                let cursor = self.subscription.cursor(wall_clock(), None);
                out.extend_from_slice(b"event: end\n");
                self.put_id(out, &cursor);
                out.extend_from_slice(b"data: {}\n\n");
            }
        }
        self.state = State::Over;
    }

    fn put_error(&self, out: &mut Vec<u8>, error: &serde_json::Value) {
        match self.form {
            Form::Ndjson => put_line(out, error),
            Form::Sse => out.extend_from_slice(format!("event: error\ndata: {error}\n\n").as_bytes()),
        }
    }

    /// What goes out next, if there is something.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut out = Vec::new();
        if self.state == State::Opening {
            self.state = State::Running;
            self.opening(&mut out);
            if !out.is_empty() {
                return Poll::Ready(out);
            }
        }
        match self.subscription.poll_next(context) {
            Poll::Ready(Piece::Entries(file, segment)) => self.put_entries(&mut out, file, &segment),
            Poll::Ready(Piece::Event(event)) => self.put_event(&mut out, &event),
            Poll::Ready(Piece::End(end)) => self.put_end(&mut out, &end),
            Poll::Pending => {
                let Some(heartbeat) = &mut self.heartbeat else { return Poll::Pending };
                if heartbeat.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.put_alive(&mut out);
            }
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.as_mut().reset(tokio::time::Instant::now() + HEARTBEAT_EVERY);
        }
        Poll::Ready(out)
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.state == State::Over {
            return Poll::Ready(None);
        }
        this.registered.stream.asked();
        // The piece first: it leaves the waker that a withdrawal wakes.
        let poll = this.poll_out(context);
        if this.registered.stream.is_withdrawn() {
            this.state = State::Over;
            let mut out = Vec::new();
            this.put_error(&mut out, &Refused::from(status::withdrawn()).to_json());
            return Poll::Ready(Some(Ok(Frame::data(out.into()))));
        }
        let out = std::task::ready!(poll);
        if out.is_empty() && this.state == State::Over {
            return Poll::Ready(None);
        }
        this.registered.stream.handed(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}

/// Moves the point of the entry's file in a whole-stream cursor past the entry.
fn move_past(place: &mut StreamCursor, entry: &v1::LogEntry) {
    let cursor = EntryCursor::decode(&entry.cursor).expect("the daemon's own cursor");
    let moved = StreamCursor::new(place.made, place.selection, [cursor]).claims;
    match place.claims.iter_mut().find(|claim| claim.is_of(cursor.key) && claim.lineage == cursor.lineage) {
        Some(claim) => *claim = moved[0],
        None => place.claims.extend(moved),
    }
}

fn put_line(out: &mut Vec<u8>, value: &serde_json::Value) {
    out.extend_from_slice(format!("{value}\n").as_bytes());
}
