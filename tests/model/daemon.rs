//! The daemon without a process and without events: it looks when it is told to, so that every step is taken in before
//! the next one happens.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use logtap::{
    entry::{Nanos, cursor::FileKey, encode::Shape, flag, stream_cursor::Cursor},
    feed::{
        Feed,
        event::Event,
        open::{self, OpenError, Request, Selection},
        seek::Span,
        subscription::{End, Piece, Subscription},
    },
    filter::Filter,
    limits::LINE_BYTES_DEFAULT,
    proto::v1::LogEntry,
    telemetry::Telemetry,
    watch::{Catalogue, FileId, LogFile, Pattern, Role, Settings, Source, catalogue::Scope, events::Hints},
};
use prost::Message as _;

use crate::expect::Got;

pub struct Daemon {
    catalogue: Arc<Catalogue>,
    feed: Arc<Feed>,
    /// Files that nobody waited for when five seconds had passed, and how long they were.
    quiet: RefCell<HashMap<FileId, u64>>,
}

/// How a request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what is written from now on.
    New,
    /// With all that there is.
    All,
}

/// The source of the logs in a directory.
pub fn source(dir: &Path) -> Arc<Source> {
    let glob = dir.join("*.log");
    let patterns = vec![Pattern::new(glob.to_str().expect("a text")).expect("a glob")];
    let (exclude, rules, line_max) = (Vec::new(), Arc::default(), LINE_BYTES_DEFAULT);
    Arc::new(Source::new("model".to_owned(), Settings { patterns, exclude, rules, line_max, archives: true }))
}

/// What asks for everything.
pub fn request(follow: bool, start: Start, resume: &[Vec<u8>]) -> Request {
    Request {
        selection: Selection::new(&[], &[], None).expect("everything"),
        filter: Filter::default(),
        shape: Shape::V1 { fields: false },
        follow,
        span: Span::ALL,
        tail: (start == Start::All).then_some(u64::MAX),
        resume: resume.iter().map(|cursor| Cursor::decode(cursor).expect("it was made here")).collect(),
        limit: None,
        end: None,
        gaps_in_band: true,
        around: Default::default(),
    }
}

impl Daemon {
    pub fn start(dir: &Path, cache: usize) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let catalogue = Arc::new(Catalogue::new(vec![source(dir)], telemetry.clone()));
        catalogue.scan(&Scope::All);
        let feed = Feed::new(catalogue.clone(), Hints::new(telemetry.clone()), telemetry, cache);
        Self { catalogue, feed, quiet: RefCell::default() }
    }

    /// Looks at all names, and at all files that somebody waits for.
    pub fn look(&self) {
        self.look_at_names();
        self.look_at_files();
    }

    /// Looks at all names.
    pub fn look_at_names(&self) {
        self.catalogue.scan(&Scope::All);
    }

    /// Looks at all files that somebody waits for, wherever they lie by now.
    pub fn look_at_files(&self) {
        for file in self.catalogue.files() {
            if file.is_waited_on() {
                // What cannot be looked at is deleted, and was not opened in time.
                let _ = file.check_blocking();
                if self.quiet.borrow().get(&file.id) == Some(&file.published().size.0) {
                    file.finish();
                }
            }
        }
    }

    /// The file at a path.
    pub fn file(&self, path: &Path) -> Arc<LogFile> {
        self.catalogue.files().into_iter().find(|file| file.path() == path).expect("it is known")
    }

    /// Five seconds have passed in which nothing was written: what is displaced is finished.
    pub fn age(&self) {
        for file in self.catalogue.files().into_iter().filter(|file| file.role() != Role::Live) {
            if file.is_waited_on() && file.opened().is_some() {
                file.finish();
            } else if let Ok(metadata) = std::fs::metadata(file.path()) {
                self.quiet.borrow_mut().insert(file.id, metadata.len());
            }
        }
        self.catalogue.release_held();
        self.catalogue.prune();
        self.catalogue.close_unused();
    }

    /// Whether it can read a file, although no name of its log may lead to it any more.
    pub fn holds(&self, key: FileKey) -> bool {
        self.catalogue.files().iter().any(|file| file.identity.key == key && file.open().is_ok())
    }

    /// Opens a stream when the world's clock shows `clock`, and makes a cursor of it at once, as all do that serve one.
    pub async fn open(&self, request: Request, clock: u64) -> Result<Stream, OpenError> {
        let (subscription, _) = open::open(&self.feed, request).await?;
        let stream = Stream { subscription, woken: Arc::default() };
        stream.cursor(clock);
        Ok(stream)
    }
}

/// An open subscription.
pub struct Stream {
    subscription: Subscription,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Why a stream brings nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It has brought as many pieces as were asked for.
    Enough,
    /// There is nothing, and nobody is at work to bring more.
    Quiet,
    Ended(End),
}

impl Stream {
    /// Pulls until nothing more comes by itself, but `pieces` at most; each with the live path of its log.
    pub async fn pull(&mut self, pieces: usize) -> (Vec<(String, Got)>, Rest) {
        let waker = Waker::from(self.woken.clone());
        let mut got = Vec::new();
        let mut left = pieces;
        while left > 0 {
            match self.subscription.poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Piece::Entries(_, segment)) => {
                    got.extend(entries(&segment.bytes));
                    left -= 1;
                }
                Poll::Ready(Piece::Event(Event::Gap(log, _, bytes))) => {
                    got.push((log.path.display().to_string(), Got::Gap(bytes)));
                }
                Poll::Ready(Piece::Event(Event::CaughtUp | Event::FileChange(..) | Event::Progress(..))) => {}
                Poll::Ready(Piece::End(end)) => return (got, Rest::Ended(end)),
                Poll::Pending => {
                    // There is one thread that reads: when it has come to this, it has done all that was asked for before.
                    tokio::task::spawn_blocking(|| ()).await.expect("it does nothing");
                    if !self.woken.0.swap(false, Ordering::AcqRel) {
                        return (got, Rest::Quiet);
                    }
                }
            }
        }
        (got, Rest::Enough)
    }

    /// The place in all files, made when the world's clock shows `clock`.
    pub fn cursor(&self, clock: u64) -> Vec<u8> {
        self.subscription.cursor(Nanos(clock as i64 * 1_000_000_000), None).encode()
    }
}

/// The entries in a segment, with the live paths of their logs.
fn entries(mut bytes: &[u8]) -> Vec<(String, Got)> {
    let mut entries = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<5>() {
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let entry = LogEntry::decode(&rest[..len]).expect("an entry");
        bytes = &rest[len..];
        let mut text = if entry.raw.is_empty() { entry.message.into_bytes() } else { entry.raw.to_vec() };
        if entry.flags & flag::CRLF != 0 {
            text.push(b'\r');
        }
        if entry.flags & flag::UNTERMINATED == 0 {
            text.push(b'\n');
        }
        entries.push((entry.path, Got::Record { bytes: text, flags: entry.flags, cursor: entry.cursor.to_vec() }));
    }
    entries
}
