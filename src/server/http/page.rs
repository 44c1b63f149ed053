//! A page: what is there, up to a bound, as one JSON object; and the long poll, which is a page that waits for its first
//! entry.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use axum::{body::Body, response::Response};
use http::header;
use serde_json::{Value, json};

use super::{error::Refused, json, wall_clock};
use crate::{
    entry::stream_cursor::{Cursor, StreamCursor},
    feed::{
        event::Event,
        subscription::{End, Piece, Subscription},
    },
    limits::{PAGE_BYTES_MAX, POLL_GATHER_MAX, POLL_SCAN_MIN},
    server::grpc::body::status_of,
};

/// A page being put together.
#[derive(Default)]
struct Page {
    /// Entries, with commas between them.
    entries: Vec<u8>,
    count: u64,
    events: Vec<Value>,
    /// What was pulled but did not fit.
    held: Option<Piece>,
    caught_up: bool,
    end: Option<End>,
}

/// When a page that waits is over.
struct Waiting {
    wait: Duration,
    began: Instant,
    first_entry: Option<Instant>,
}

/// Reads a page and answers with it; how many entries it has is told beside it. `given` are the cursors that the
/// client brought, and `wait` makes a long poll of it.
///
/// # Errors
/// When nothing at all can be read.
pub async fn answer(
    subscription: &mut Subscription,
    given: &[Cursor],
    wait: Option<Duration>,
) -> Result<(Response, u64), Refused> {
    let page = match wait {
        None => read(subscription).await,
        Some(wait) => poll(subscription, wait).await,
    };
    if let (Some(end @ (End::Draining | End::Unreadable(_))), 0) = (&page.end, page.count) {
        // With entries they are the answer; who asks for more hears of the trouble then.
        return Err(status_of(end).into());
    }
    let count = page.count;
    Ok((page.into_response(subscription, given), count))
}

/// Everything up to the end or to the bounds of a page.
async fn read(subscription: &mut Subscription) -> Page {
    let mut page = Page::default();
    while !page.is_over() {
        let piece = poll_fn(|context| subscription.poll_next(context)).await;
        page.take(piece);
    }
    page
}

/// As soon as there is an entry, everything that is there; else nothing, once the time is over.
async fn poll(subscription: &mut Subscription, wait: Duration) -> Page {
    let mut page = Page::default();
    let mut waiting = Waiting { wait, began: Instant::now(), first_entry: None };
    while !page.is_over() {
        let until = waiting.until(&page);
        let next = poll_fn(|context| subscription.poll_next(context));
        match tokio::time::timeout_at(until.into(), next).await {
            Ok(piece) => page.take(piece),
            // There is no cursor to answer with before it is known where the stream starts.
            Err(_) if subscription.is_searching() => waiting.began = Instant::now(),
            Err(_) => break,
        }
        if page.count > 0 {
            waiting.first_entry.get_or_insert_with(Instant::now);
        }
    }
    page
}

impl Waiting {
    fn until(&self, page: &Page) -> Instant {
        match self.first_entry {
            // What is there has been read: the answer is complete as soon as nothing follows at once.
            Some(first) if page.caught_up => first,
            Some(first) => first + POLL_GATHER_MAX,
            None if page.caught_up => self.began + self.wait,
            // A search that finds nothing has to get on from one poll to the next.
            None => self.began + self.wait.max(POLL_SCAN_MIN),
        }
    }
}

impl Page {
    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Entries(file, segment) => {
                let mut entries = Vec::with_capacity(2 * segment.bytes.len());
                for entry in json::entries_of(&segment) {
                    entries.extend_from_slice(if entries.is_empty() { b"" } else { b"," });
                    json::put_entry(&mut entries, &entry);
                }
                if self.count > 0 && self.entries.len() + entries.len() > PAGE_BYTES_MAX {
                    self.held = Some(Piece::Entries(file, segment));
                    return;
                }
                self.entries.extend_from_slice(if self.count > 0 { b"," } else { b"" });
                self.entries.append(&mut entries);
                self.count += u64::from(segment.entries);
            }
            Piece::Event(Event::CaughtUp) => self.caught_up = true,
            // Whoever reads the page has all of it by then.
            Piece::Event(Event::Progress(..)) => {}
            Piece::Event(event) => {
                let (_, name, what) = json::event(&event);
                self.events.push(json!({ name: what }));
            }
            Piece::End(end) => self.end = Some(end),
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some() || self.held.is_some()
    }

    fn into_response(self, subscription: &Subscription, given: &[Cursor]) -> Response {
        let held = match &self.held {
            Some(Piece::Entries(file, segment)) => Some((*file, &**segment)),
            Some(Piece::Event(_) | Piece::End(_)) | None => None,
        };
        let cursor = unless_moved(subscription.cursor(wall_clock(), held), given);
        let start = subscription.start_cursor(wall_clock());
        let mut body = Vec::with_capacity(self.entries.len() + 1024);
        body.extend_from_slice(b"{\"entries\":[");
        body.extend_from_slice(&self.entries);
        let (events, cursor) = (Value::from(self.events), json::to_base64(&cursor.encode()));
        let rest =
            format!("],\"events\":{events},\"cursor\":\"{cursor}\",\"start\":\"{}\"}}\n", json::to_base64(&start));
        body.extend_from_slice(rest.as_bytes());
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, json::CONTENT_TYPE);
        response
    }
}

/// The cursor that the client brought, where nothing has moved since: it need not keep another one then.
fn unless_moved(cursor: StreamCursor, given: &[Cursor]) -> StreamCursor {
    match given {
        [Cursor::Stream(given)] if !given.is_delta && given.claims == cursor.claims => given.clone(),
        _ => cursor,
    }
}
