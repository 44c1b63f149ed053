//! The body of `StreamBatches`: many entries a message, with what happened in between and a cursor of the whole stream.
//!
//! Entries come as segments that are encoded already; what is made here is the message around them. The last entry of
//! each file in a message gets its cursor, so a client can go on after a message that it has read in part.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use prost::Message as _;
use tokio::time::Sleep;
use tonic::Status;

use super::{
    body::{status_of, trailers},
    pack::Encoding,
    status,
};
use crate::{
    entry::{
        Nanos,
        encode::{self, FRAME_HEADER_BYTES},
    },
    feed::{
        event::{Event, FileChange},
        segment::SharedSegment,
        subscription::{End, Piece, Subscription},
    },
    limits::{
        HEARTBEAT_EVERY, SEGMENT_BYTES, STREAM_CURSOR_BYTES_CHEAP, STREAM_CURSOR_EVERY, STREAM_CURSOR_EVERY_BYTES,
    },
    proto::v1,
    server::streams::Registered,
    telemetry::{GapReason, Telemetry, TransportLabel},
    watch::{FileId, Log},
};

/// Bytes of a whole-stream cursor for one file, about.
const CURSOR_BYTES_PER_FILE: usize = 22;
/// Bytes of a whole-stream cursor beside those of its files, about.
const HEAD_BYTES: usize = 48;
/// A cursor may take this part of a message.
const CURSOR_SHARE: usize = 8;

/// A stream of batches as an HTTP body.
pub struct BatchBody {
    subscription: Subscription,
    registered: Registered,
    telemetry: Arc<Telemetry>,
    deadline: Option<Pin<Box<Sleep>>>,
    heartbeat: Pin<Box<Sleep>>,
    /// Bytes that one message has at most, unless one entry alone has more.
    bytes_max: usize,
    encoding: Encoding,
    /// What was pulled but did not fit into the message before.
    next: Option<Piece>,
    /// What is going out, in parts.
    parts: VecDeque<Bytes>,
    /// What comes behind them, too short yet for a part.
    short: Vec<u8>,
    sent: Sent,
    state: State,
}

/// Whether the body has begun, and whether it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The first message, which tells where the stream starts, is still to come.
    Opening,
    Running,
    /// The last message is going out; then the trailers.
    Ending(End),
    Over,
}

/// What went out since the last whole cursor.
#[derive(Debug)]
struct Sent {
    cursor_at: Instant,
    bytes: usize,
}

/// A message being put together.
#[derive(Default)]
struct Batch {
    events: Vec<v1::Event>,
    segments: Vec<(FileId, SharedSegment)>,
    /// Whose they are.
    files: HashSet<FileId>,
    bytes: usize,
    /// Whether the cursor has to be whole.
    milestone: bool,
}

/// Parts of a message of up to so many bytes are put together with what stands beside them; larger ones go out as they
/// lie in the cache.
const COPIED_BYTES_MAX: usize = 1024;
/// What is shorter waits for what follows, if that is there already: each part becomes a DATA frame, and peers take many
/// short ones, and a hundred empty ones, for an attack.
const PART_BYTES_MIN: usize = SEGMENT_BYTES / 2;

impl BatchBody {
    /// The body of the answer that `registered` stands for.
    pub fn new(
        mut subscription: Subscription,
        registered: Registered,
        telemetry: Arc<Telemetry>,
        (bytes_max, encoding): (usize, Encoding),
    ) -> Self {
        registered.stream.set_progress(subscription.progress().clone());
        // With room for the two cursors of the first message, and that of the last entry.
        let room = room_beside(2, subscription.files(), bytes_max);
        subscription.cut_at(room.saturating_sub(encode::CURSOR_FIELD_BYTES));
        let deadline = registered.stream.deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        Self {
            subscription,
            registered,
            telemetry,
            deadline,
            heartbeat: Box::pin(tokio::time::sleep(HEARTBEAT_EVERY)),
            bytes_max,
            encoding,
            next: None,
            parts: VecDeque::new(),
            short: Vec::new(),
            sent: Sent { cursor_at: Instant::now(), bytes: 0 },
            state: State::Opening,
        }
    }

    /// Puts the next message together from what is there; waits only when there is nothing at all.
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        let mut batch = Batch::default();
        let cursors = if self.state == State::Opening { 2 } else { 1 };
        let room = room_beside(cursors, self.subscription.files(), self.bytes_max);
        loop {
            let piece = match self.next.take() {
                Some(piece) => Poll::Ready(piece),
                None => self.subscription.poll_next(context),
            };
            match piece {
                Poll::Ready(Piece::Entries(file, segment)) => {
                    // Each file's last entry gets its cursor.
                    let cursor = if batch.files.contains(&file) { 0 } else { encode::CURSOR_FIELD_BYTES };
                    let bytes = segment.bytes.len() + cursor;
                    if !batch.segments.is_empty() && batch.bytes + bytes > room {
                        self.next = Some(Piece::Entries(file, segment));
                        return Poll::Ready(batch);
                    }
                    batch.bytes += bytes;
                    batch.files.insert(file);
                    batch.segments.push((file, segment));
                }
                // Events happened before the entries of their message: those go out first.
                Poll::Ready(Piece::Event(event)) if !batch.segments.is_empty() => {
                    self.next = Some(Piece::Event(event));
                    return Poll::Ready(batch);
                }
                Poll::Ready(Piece::Event(event)) => {
                    batch.milestone |= matches!(event, Event::CaughtUp);
                    batch.events.push(to_proto(&event));
                    // It would come too late with what is found next.
                    if matches!(event, Event::Progress(..)) {
                        return Poll::Ready(batch);
                    }
                }
                Poll::Ready(Piece::End(end)) => {
                    self.state = State::Ending(end);
                    batch.milestone = true;
                    return Poll::Ready(batch);
                }
                Poll::Pending if !batch.is_empty() || self.state == State::Opening && !self.is_searching() => {
                    return Poll::Ready(batch);
                }
                Poll::Pending if self.heartbeat.as_mut().poll(context).is_ready() => {
                    self.rearm_heartbeat();
                    // Its timer has to know whom to wake; it cannot be due again already.
                    let _ = self.heartbeat.as_mut().poll(context);
                    batch.milestone = true;
                    batch.events.push(heartbeat(self.subscription.lag()));
                    return Poll::Ready(batch);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether it is not known yet where the stream starts.
    fn is_searching(&self) -> bool {
        self.subscription.is_searching()
    }

    fn rearm_heartbeat(&mut self) {
        self.heartbeat.as_mut().reset(tokio::time::Instant::now() + HEARTBEAT_EVERY);
    }

    /// Lays the message out in parts: small pieces together, large segments as they lie in the cache.
    fn lay_out(&mut self, batch: Batch, now: Instant) {
        let mut head = v1::StreamBatchesResponse { events: batch.events, ..v1::StreamBatchesResponse::default() };
        // Before it is known where the stream begins there is no place to come back to.
        let searching = self.is_searching();
        if self.state == State::Opening && !searching {
            head.start = self.subscription.start_cursor(wall_clock()).into();
            self.state = State::Running;
        }
        let first = !head.start.is_empty();
        let files: Vec<FileId> = batch.segments.iter().map(|(file, _)| *file).collect();
        let whole = first || batch.milestone || self.whole_is_due(batch.bytes, now);
        let held = match &self.next {
            Some(Piece::Entries(file, segment)) => Some((*file, &**segment)),
            Some(Piece::Event(_) | Piece::End(_)) | None => None,
        };
        if searching {
            self.sent.bytes = 0;
        } else if whole {
            head.cursor = self.subscription.cursor(wall_clock(), held).encode().into();
            self.sent = Sent { cursor_at: now, bytes: 0 };
        } else {
            head.cursor = self.subscription.delta(wall_clock(), &files, held).encode().into();
            head.cursor_is_delta = true;
        }
        self.sent.bytes += batch.bytes;
        let parts = entry_parts(&batch.segments, &files);
        let len = head.encoded_len() + parts.iter().map(Bytes::len).sum::<usize>();
        match self.packed(&head, &parts, len) {
            Some(frame) => self.push_part(frame),
            None => self.push_message(&head, parts, len),
        }
        let transport = self.registered.stream.transport;
        let entries = batch.segments.iter().map(|(_, segment)| u64::from(segment.entries)).sum();
        self.telemetry.entries_sent.get_or_create(&TransportLabel { transport }).inc_by(entries);
    }

    /// The whole message compressed, if the client takes that and it saves something.
    fn packed(&self, head: &v1::StreamBatchesResponse, parts: &[Bytes], len: usize) -> Option<Bytes> {
        if !self.encoding.suits(len) {
            return None;
        }
        let mut message = Vec::with_capacity(len);
        message.extend_from_slice(&head.encode_to_vec());
        parts.iter().for_each(|part| message.extend_from_slice(part));
        self.encoding.pack(&message).map(Bytes::from)
    }

    /// The message as it is.
    fn push_message(&mut self, head: &v1::StreamBatchesResponse, parts: Vec<Bytes>, len: usize) {
        self.short.reserve(FRAME_HEADER_BYTES + len.min(SEGMENT_BYTES));
        encode::put_frame_header(&mut self.short, len);
        self.short.extend_from_slice(&head.encode_to_vec());
        parts.into_iter().for_each(|part| self.push_part(part));
    }

    /// Puts a part behind what is going out: a short one into one part with what is before it.
    fn push_part(&mut self, part: Bytes) {
        if part.len() > COPIED_BYTES_MAX && part.len() + self.short.len() >= PART_BYTES_MIN {
            self.push_short();
            self.parts.push_back(part);
            return;
        }
        if self.short.len() + part.len() > SEGMENT_BYTES {
            self.push_short();
        }
        self.short.extend_from_slice(&part);
    }

    fn push_short(&mut self) {
        if !self.short.is_empty() {
            self.parts.push_back(std::mem::take(&mut self.short).into());
        }
    }

    fn whole_is_due(&self, bytes: usize, now: Instant) -> bool {
        let size = self.subscription.files() * CURSOR_BYTES_PER_FILE;
        size <= STREAM_CURSOR_BYTES_CHEAP
            || size <= bytes / CURSOR_SHARE
            || now.duration_since(self.sent.cursor_at) >= STREAM_CURSOR_EVERY
            || self.sent.bytes + bytes >= STREAM_CURSOR_EVERY_BYTES
    }

    /// Why it is over before its end, if so.
    fn poll_ended(&mut self, context: &mut Context<'_>) -> Option<Status> {
        let deadline = self.deadline.as_mut();
        if deadline.is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
            return Some(Status::deadline_exceeded("the deadline of the call has passed"));
        }
        self.registered.stream.is_withdrawn().then(status::withdrawn)
    }

    fn hand(&self, part: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.registered.stream.handed(Instant::now());
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.state = State::Over;
        Frame::trailers(trailers(&self.subscription, status))
    }
}

impl Body for BatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        this.registered.stream.asked();
        loop {
            if this.parts.is_empty() && (this.short.len() >= PART_BYTES_MIN || this.state != State::Running) {
                this.push_short();
            }
            if let Some(part) = this.parts.pop_front() {
                return this.hand(part);
            }
            match &this.state {
                State::Over => return Poll::Ready(None),
                State::Ending(end) => {
                    let status = status_of(end);
                    return Poll::Ready(Some(Ok(this.end(&status))));
                }
                State::Opening | State::Running => {}
            }
            if let Some(status) = this.poll_ended(context) {
                this.push_short();
                let Some(part) = this.parts.pop_front() else { return Poll::Ready(Some(Ok(this.end(&status)))) };
                return this.hand(part);
            }
            let opening = this.state == State::Opening;
            let Poll::Ready(batch) = this.poll_batch(context) else {
                // That left the waker that a withdrawal wakes.
                if this.registered.stream.is_withdrawn() {
                    continue;
                }
                this.push_short();
                return this.parts.pop_front().map_or(Poll::Pending, |part| this.hand(part));
            };
            let ended = this.state.clone();
            if opening {
                this.state = State::Opening;
            }
            this.rearm_heartbeat();
            this.lay_out(batch, Instant::now());
            if matches!(ended, State::Ending(_)) {
                this.state = ended;
            }
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.segments.is_empty()
    }
}

/// The bytes that a message of at most `bytes_max` has for entries beside so many cursors of so many files.
fn room_beside(cursors: usize, files: usize, bytes_max: usize) -> usize {
    let cursor = HEAD_BYTES + files * CURSOR_BYTES_PER_FILE;
    bytes_max - cursors * cursor.min(bytes_max / CURSOR_SHARE)
}

/// The entries as they go out: all but the last one of each file as they are, that one with its cursor.
fn entry_parts(segments: &[(FileId, SharedSegment)], files: &[FileId]) -> Vec<Bytes> {
    let mut parts = Vec::with_capacity(segments.len() + 1);
    for (index, (file, segment)) in segments.iter().enumerate() {
        if files[index + 1..].contains(file) {
            parts.push(segment.bytes.clone());
            continue;
        }
        let mut last = Vec::with_capacity(segment.bytes.len() - segment.last_at + encode::CURSOR_FIELD_BYTES + 2);
        encode::put_with_cursor(&mut last, &segment.bytes[segment.last_at..], &segment.last_cursor);
        parts.push(segment.bytes.slice(..segment.last_at));
        parts.push(last.into());
    }
    parts
}

fn wall_clock() -> Nanos {
    Nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64)
}

fn heartbeat(lag_bytes: u64) -> v1::Event {
    let time = Some(prost_types::Timestamp::from(SystemTime::now()));
    v1::Event { kind: Some(v1::event::Kind::Heartbeat(v1::Heartbeat { time, lag_bytes })) }
}

fn to_proto(event: &Event) -> v1::Event {
    use v1::event::Kind;
    let names = |log: &Log| (log.source.name.clone(), log.path.display().to_string());
    let kind = match event {
        Event::CaughtUp => Kind::CaughtUp(v1::CaughtUp {}),
        Event::Progress(scanned_bytes, total_bytes) => {
            Kind::Progress(v1::Progress { scanned_bytes: *scanned_bytes, total_bytes: *total_bytes })
        }
        Event::Gap(log, reason, bytes) => {
            let (source, path) = names(log);
            let reason = match reason {
                GapReason::Truncated => v1::GapReason::Truncated,
                GapReason::Deleted => v1::GapReason::Deleted,
                GapReason::ResumeLost => v1::GapReason::ResumeLost,
            };
            Kind::Gap(v1::Gap { source, path, reason: reason.into(), bytes: *bytes })
        }
        Event::FileChange(log, change) => {
            let (source, path) = names(log);
            let kind = match change {
                FileChange::Added => v1::FileChangeKind::Added,
                FileChange::Rotated => v1::FileChangeKind::Rotated,
                FileChange::Truncated => v1::FileChangeKind::Truncated,
                FileChange::Removed => v1::FileChangeKind::Removed,
            };
            Kind::FileChange(v1::FileChange { source, path, kind: kind.into() })
        }
    };
    v1::Event { kind: Some(kind) }
}
