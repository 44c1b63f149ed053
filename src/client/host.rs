//! The stream of each host, kept going: one task a host that connects, reads, and resumes where it was.
//!
//! A host that has not answered yet is tried for [`ANSWER_MAX`]; one that has is tried for ever, unless told otherwise.
//! What a task reads goes through one channel to whoever merges it, no more than [`HELD_BATCHES_MAX`] large batches ahead.

use std::{sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tonic::{Code, Request, Status, Streaming, client::Grpc, codec::CompressionEncoding, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use super::{
    connect::{ConnectError, Link, connect, innermost, window},
    decode::BatchCodec,
    position::Position,
    tally::{Counter, Stated, Tally},
    target::Target,
    wire::{Batch, Entry},
};
use crate::{
    limits::{
        ANSWER_MAX, CLIENT_BATCH_BYTES_MAX, CLIENT_BULK_BATCH_BYTES, HELD_BATCHES_MAX, RECONNECT_FIRST, RECONNECT_MAX,
    },
    proto::v1::StreamBatchesRequest,
};

/// What is asked of every host.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The selection; `resume` is filled in for each host.
    pub request: StreamBatchesRequest,
    /// Whether a host that answered once is tried again when it is lost.
    pub reconnect: bool,
    /// Whether checksums are computed, to be held against what the host states.
    pub verify: bool,
    /// HTTP/2 window of each host, in bytes; one that fits the number of hosts when `None`.
    pub window: Option<u32>,
}

/// What a host has to say.
#[derive(Debug)]
pub enum News {
    /// It began to answer a request.
    Answered(Selection),
    /// The next batch, and the right to hold it.
    Batch(Batch, Credit),
    /// A stream of it came to an end, in one way or another.
    Tally(Tally),
    /// An attempt to reach it failed at once; it has time left to answer.
    Trying,
    /// It has not answered for [`ANSWER_MAX`], for this reason; it is tried on.
    Absent(String),
    /// The stream was lost for this reason, and is resumed after a pause.
    Lost(String, Duration),
    /// Nothing more will come of it.
    Ended(Ending),
}

/// What a request selects at a host, by its count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Sources.
    pub sources: u64,
    /// Files.
    pub files: u64,
}

/// How the stream of a host came to its end.
#[derive(Debug)]
pub enum Ending {
    /// Everything that was asked for has come.
    Done,
    /// The host refused the request.
    Refused(Box<Status>),
    /// It never answered, for this reason.
    NoAnswer(String),
    /// It was lost for this reason, and is not tried again.
    Lost(String),
    /// It does not take the client's certificate, as it says.
    Forbidden(String),
    /// The request could not be made.
    Unusable(ConnectError),
}

/// Small batches that are held instead of a large one.
const SMALL_BATCHES: usize = 64;

/// The right to hold one batch of a host; dropped with the batch.
#[derive(Debug)]
pub struct Credit {
    permit: OwnedSemaphorePermit,
}

impl Credit {
    /// Gives back what is not needed for a batch of this weight.
    fn keep(&mut self, weight: usize) {
        drop(self.permit.split(SMALL_BATCHES.saturating_sub(weight)));
    }
}

/// As how many of [`SMALL_BATCHES`] a batch counts.
fn weight(batch: &Batch) -> usize {
    if batch.entries.len() >= SMALL_BATCHES {
        return SMALL_BATCHES;
    }
    let bytes: usize = batch.entries.iter().map(|entry| entry.message.len() + entry.raw.len()).sum();
    (1 + bytes * SMALL_BATCHES / CLIENT_BULK_BATCH_BYTES as usize).min(SMALL_BATCHES)
}

/// What all hosts have to say, in the order of its coming.
#[derive(Debug)]
pub struct Hosts {
    news: mpsc::Receiver<(usize, News)>,
}

impl Hosts {
    /// The next news, and the number of its host; `None` when every host has ended.
    pub async fn next(&mut self) -> Option<(usize, News)> {
        self.news.recv().await
    }

    /// The next news, if there is some already.
    pub fn ready(&mut self) -> Option<(usize, News)> {
        self.news.try_recv().ok()
    }
}

/// Starts to read from `targets`, each from its position, on the current runtime. The tasks end when the result is
/// dropped.
pub fn start(targets: Vec<(Target, Position)>, ask: &Ask) -> Hosts {
    let hosts = targets.len();
    let (out, news) = mpsc::channel(hosts * (HELD_BATCHES_MAX * SMALL_BATCHES + 1) + 1);
    for (number, (target, position)) in targets.into_iter().enumerate() {
        let host = Host {
            number,
            hosts,
            target,
            ask: ask.clone(),
            position,
            matches: 0,
            standing: Standing::Unheard(Instant::now() + ANSWER_MAX),
            failures: 0,
            credits: Arc::new(Semaphore::new(HELD_BATCHES_MAX * SMALL_BATCHES)),
            out: out.clone(),
        };
        tokio::spawn(host.run());
    }
    Hosts { news }
}

/// One host's task.
struct Host {
    number: usize,
    /// How many are read beside it, itself included.
    hosts: usize,
    target: Target,
    ask: Ask,
    /// Past every batch that was handed on.
    position: Position,
    /// Entries handed on that count against the limit.
    matches: u64,
    standing: Standing,
    /// Attempts in a row that brought nothing.
    failures: u32,
    credits: Arc<Semaphore>,
    out: mpsc::Sender<(usize, News)>,
}

/// What is known of a host.
#[derive(Clone, Copy)]
enum Standing {
    /// It has not answered, and has until then.
    Unheard(Instant),
    /// It has not answered in time.
    Absent,
    /// It answered once.
    Seen,
}

/// How an attempt ended.
enum Outcome {
    /// Everything that was asked for has come.
    Done,
    /// The host, or this machine, will say the same next time.
    Final(Ending),
    /// There was no answer in the time that was left.
    TimedOut,
    /// Another attempt may do better, not before the pause that the host asked for.
    Broken(String, Option<Duration>),
}

/// Nobody takes the news any more.
struct Unheeded;

impl Host {
    /// Reads until nothing more can come.
    async fn run(mut self) {
        // Whoever dropped the receiver knows already that it ended.
        let _: Result<(), Unheeded> = self.read_on().await;
    }

    async fn read_on(&mut self) -> Result<(), Unheeded> {
        let mut trouble: Option<String> = None;
        loop {
            let (why, asked_pause) = match self.attempt().await? {
                Outcome::Done => return self.tell(News::Ended(Ending::Done)).await,
                Outcome::Final(ending) => return self.tell(News::Ended(ending)).await,
                Outcome::Broken(why, pause) => (why, pause),
                Outcome::TimedOut => match trouble.take() {
                    Some(why) => (format!("no answer within {} s: {why}", ANSWER_MAX.as_secs()), None),
                    None => (ConnectError::TimedOut.to_string(), None),
                },
            };
            trouble = Some(why.clone());
            let pause = self.pause().max(asked_pause.unwrap_or_default());
            match self.standing {
                Standing::Seen if !self.ask.reconnect => return self.tell(News::Ended(Ending::Lost(why))).await,
                Standing::Seen => self.tell(News::Lost(why, pause)).await?,
                Standing::Unheard(until) if Instant::now() < until => {
                    self.tell(News::Trying).await?;
                    self.rest(pause.min(until - Instant::now())).await?;
                    continue;
                }
                Standing::Unheard(_) if self.ask.request.no_follow || !self.ask.reconnect => {
                    return self.tell(News::Ended(Ending::NoAnswer(why))).await;
                }
                Standing::Unheard(_) => {
                    self.standing = Standing::Absent;
                    self.tell(News::Absent(why)).await?;
                }
                Standing::Absent => {}
            }
            self.rest(pause).await?;
        }
    }

    /// Connects, asks for what is left, and hands on what comes.
    async fn attempt(&mut self) -> Result<Outcome, Unheeded> {
        let limit = self.ask.request.request.as_ref().map_or(0, |request| request.limit);
        if limit > 0 && self.matches >= limit {
            return Ok(Outcome::Done);
        }
        let within = match self.standing {
            Standing::Unheard(until) => until,
            Standing::Absent | Standing::Seen => Instant::now() + ANSWER_MAX,
        };
        let out = self.out.clone();
        let opened = tokio::select! {
            () = out.closed() => return Err(Unheeded),
            opened = tokio::time::timeout_at(within, self.open()) => opened,
        };
        let mut stream = match opened {
            Err(_) => return Ok(Outcome::TimedOut),
            Ok(Err(outcome)) => return Ok(outcome),
            Ok(Ok((stream, selection))) => {
                self.standing = Standing::Seen;
                self.tell(News::Answered(selection)).await?;
                stream
            }
        };
        let mut counter = Counter::new(self.ask.verify);
        let outcome = self.drain(&mut stream, &mut counter).await?;
        let (outcome, stated) = match outcome {
            Ok(trailers) if trailers.is_none() || self.is_endless() => {
                let why = "the stream ended without a reason".to_owned();
                (Outcome::Broken(why, None), trailers)
            }
            Ok(trailers) => (Outcome::Done, trailers),
            Err(status) => {
                let stated = Stated::read(status.metadata());
                (judge(*status), stated)
            }
        };
        self.tell(News::Tally(counter.finish(stated))).await?;
        Ok(outcome)
    }

    /// Opens the stream, up to the headers of the answer.
    async fn open(&self) -> Result<(Streaming<Batch>, Selection), Outcome> {
        let link = match connect(&self.target, self.ask.window.unwrap_or_else(|| window(self.hosts))).await {
            Ok(link) => link,
            Err(error) if error.may_pass() || matches!(self.standing, Standing::Seen) => {
                return Err(Outcome::Broken(error.to_string(), None));
            }
            Err(error) if error.is_objection() => return Err(Outcome::Final(Ending::Forbidden(error.to_string()))),
            Err(error) => return Err(Outcome::Final(Ending::Unusable(error))),
        };
        let response = match call(&link, self.request()).await {
            Ok(response) => response,
            Err(status) => match link.objection() {
                Some(why) if !matches!(self.standing, Standing::Seen) => {
                    return Err(Outcome::Final(Ending::Forbidden(format!("TLS: {why}"))));
                }
                _ => return Err(judge(*status)),
            },
        };
        let selection = Selection::read(response.metadata());
        Ok((response.into_inner(), selection))
    }

    /// The request for what is left.
    fn request(&self) -> StreamBatchesRequest {
        let mut request = self.ask.request.clone();
        if let Some(selection) = &mut request.request {
            if !self.position.is_beginning() {
                selection.resume = self.position.cursors().to_vec();
                selection.tail = None;
            }
            if selection.limit > 0 {
                selection.limit -= self.matches;
            }
        }
        request
    }

    /// Hands on every batch; the trailers when the stream ended well.
    async fn drain(
        &mut self,
        stream: &mut Streaming<Batch>,
        counter: &mut Counter,
    ) -> Result<Result<Option<Stated>, Box<Status>>, Unheeded> {
        let out = self.out.clone();
        loop {
            let mut credit = self.credit().await?;
            let message = tokio::select! {
                () = out.closed() => return Err(Unheeded),
                message = stream.message() => message,
            };
            match message {
                Ok(Some(batch)) => {
                    counter.add(&batch);
                    self.position.pass(&batch);
                    self.matches += batch.entries.iter().filter(|entry| Entry::is_match(entry)).count() as u64;
                    self.failures = 0;
                    credit.keep(weight(&batch));
                    self.tell(News::Batch(batch, credit)).await?;
                }
                Ok(None) => {
                    let trailers = stream.trailers().await.unwrap_or_default();
                    return Ok(Ok(trailers.as_ref().and_then(Stated::read)));
                }
                Err(status) => return Ok(Err(Box::new(status))),
            }
        }
    }

    /// Whether the request has no end, so that a stream that ends was cut off by someone in between.
    fn is_endless(&self) -> bool {
        let request = self.ask.request.request.as_ref();
        !self.ask.request.no_follow && request.is_none_or(|request| request.until.is_none() && request.limit == 0)
    }

    /// Waits for the right to hold another batch, however large it is.
    async fn credit(&self) -> Result<Credit, Unheeded> {
        tokio::select! {
            () = self.out.closed() => Err(Unheeded),
            permit = Arc::clone(&self.credits).acquire_many_owned(SMALL_BATCHES as u32) => {
                permit.map(|permit| Credit { permit }).map_err(|_| Unheeded)
            }
        }
    }

    async fn tell(&self, news: News) -> Result<(), Unheeded> {
        self.out.send((self.number, news)).await.map_err(|_| Unheeded)
    }

    async fn rest(&self, pause: Duration) -> Result<(), Unheeded> {
        tokio::select! {
            () = self.out.closed() => Err(Unheeded),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// The pause before the next attempt: twice the one before, less a random part of up to a half, so that the
    /// clients of a daemon that restarts don't come back all at once.
    fn pause(&mut self) -> Duration {
        let full = RECONNECT_FIRST.saturating_mul(1 << self.failures.min(16)).min(RECONNECT_MAX);
        self.failures += 1;
        full.mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

/// Calls `StreamBatches`; generated clients cannot hand out the messages without copying them.
async fn call(link: &Link, request: StreamBatchesRequest) -> Result<tonic::Response<Streaming<Batch>>, Box<Status>> {
    let mut grpc = Grpc::new(link.channel.clone()).max_decoding_message_size(CLIENT_BATCH_BYTES_MAX);
    if link.compress {
        grpc = grpc.accept_compressed(CompressionEncoding::Zstd).accept_compressed(CompressionEncoding::Gzip);
    }
    let mut request = Request::new(request);
    if let Some(authorization) = link.authorization.clone() {
        request.metadata_mut().insert("authorization", authorization);
    }
    let path = PathAndQuery::from_static("/logtap.v1.LogService/StreamBatches");
    let answer = async {
        grpc.ready().await.map_err(|error| Status::unavailable(innermost(&error)))?;
        grpc.server_streaming(request, path, BatchCodec).await
    };
    link.unless_over(answer).await.map_err(Box::new)
}

/// Whether another attempt may do better than one that ended with `status`.
fn judge(status: Status) -> Outcome {
    let asked_pause = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let passing = match status.code() {
        // The same request will be as large again.
        Code::ResourceExhausted => {
            let info = status.get_details_error_info();
            asked_pause.is_some() && info.is_none_or(|info| info.reason != "REQUEST_TOO_LARGE")
        }
        Code::Unavailable
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::Aborted
        | Code::DeadlineExceeded => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    };
    if passing {
        Outcome::Broken(reason(&status), asked_pause)
    } else {
        Outcome::Final(Ending::Refused(Box::new(status)))
    }
}

/// What `status` says, or what lies under it when it is the transport that failed.
fn reason(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => innermost(source),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}

impl Selection {
    /// Reads the headers of an answer; what they don't tell is 0.
    fn read(headers: &MetadataMap) -> Self {
        let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        Self { sources: number("logtap-sources"), files: number("logtap-files") }
    }
}
