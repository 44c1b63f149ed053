//! One run of `logtap tail`: what the hosts send is merged, written, and remembered.

use std::{future, path::Path, sync::Arc, time::Instant};

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};
use tokio::{
    runtime,
    sync::{Notify, watch},
};

use super::{
    TailArgs,
    ask::{self, Circumstances},
    cursor_file::CursorFile,
    exit::{Exit, Refusal},
    hosts::{self, Environment},
    json::Json,
    notes::Notes,
    output::{Output, OutputError},
    pretty::{Origin, Pretty, Times},
    show::{Format, Show},
    signals::watch_signals,
    standing::{Standing, explain, refused},
};
use crate::{
    client::{self, Ask, Ending, Entry, Hosts, Merge, News, Position, Run, Selection, Tally, Target},
    entry::flag,
    limits::CURSOR_FILE_EVERY,
    proto::v1::event::Kind,
};

/// Nanoseconds of the day that a timestamp may lie ahead before it is taken for a mistake.
const DAY: i64 = 86_400_000_000_000;

/// Runs `logtap tail` until it ends.
pub fn run(args: TailArgs) -> Exit {
    match begin(args) {
        Ok(exit) => exit,
        Err(refusal) => {
            Notes::new(false, 0).error(refusal.why);
            refusal.exit
        }
    }
}

fn begin(args: TailArgs) -> Result<Exit, Refusal> {
    let failed = |error: std::io::Error| Refusal { exit: Exit::Failed, why: error.to_string() };
    let targets = hosts::resolve(&args.hosts, &args.access, &Environment::read())?;
    let cursor_file = args.cursor_file.as_deref().map(open_cursor_file).transpose()?;
    let resumes = cursor_file.as_ref().is_some_and(CursorFile::was_found);
    let request = ask::request(&args, &Circumstances { hosts: targets.len(), resumes, now: ZonedDateTime::now() })?;
    let ask = Ask { request, reconnect: !args.no_reconnect, verify: args.stats, window: None };
    let output = Output::new().map_err(failed)?;
    let closed = output.watch().map_err(failed)?;
    let asked_to_end = watch_signals().map_err(failed)?;
    let show = show(&args, &ask);
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let session = Session::new(&args, targets, cursor_file, &ask, show, output);
    let exit = runtime.block_on(session.run(&ask, closed, asked_to_end));
    // A name that is still being looked up would hold up the end.
    runtime.shutdown_background();
    Ok(exit)
}

fn open_cursor_file(path: &Path) -> Result<CursorFile, Refusal> {
    CursorFile::open(path).map_err(|error| Refusal { exit: Exit::Failed, why: error.to_string() })
}

fn show(args: &TailArgs, ask: &Ask) -> Show {
    match args.output {
        Format::Raw => Show::Raw,
        Format::Json => Show::Json(Json::new()),
        Format::Pretty => {
            let times = match (args.utc, args.relative) {
                (true, _) => Times::Utc,
                (_, true) => Times::Relative,
                (false, false) => Times::Local(TimeZone::system()),
            };
            let patterns = ask.request.request.iter().flat_map(|request| &request.include);
            // All of them were compiled before, when the request was made.
            let patterns = patterns.filter_map(|pattern| regex::bytes::Regex::new(pattern).ok()).collect();
            Show::Pretty(Box::new(Pretty::new(args.color.applies_to(&std::io::stdout()), times, patterns)))
        }
    }
}

/// A run.
struct Session {
    hosts: Vec<HostState>,
    merge: Merge,
    writer: Writer,
    notes: Notes,
    /// Whether what came of each stream is told.
    stats: bool,
    /// Whether some stream did not bring what was sent.
    damaged: bool,
    cursor_file: Option<CursorFile>,
    /// When the cursor file was written last, and whether something was written to standard output since.
    saved: Instant,
    unsaved: bool,
    started: Instant,
}

/// A host, as the session sees it.
struct HostState {
    target: Target,
    /// Past everything of it that was written.
    position: Position,
    selection: Selection,
    standing: Standing,
    /// Whether its last line without a terminator is left for the next run.
    leaves_partial: bool,
}

/// Why a session ends.
enum Stop {
    /// Nothing more can come.
    Finished,
    /// As many entries as were asked for have been written.
    Limit,
    /// Nobody reads the output any more.
    Closed,
    /// Something went wrong here, and was said.
    Failed,
    /// A signal asked for it.
    Asked(Exit),
}

impl Session {
    fn new(
        args: &TailArgs,
        targets: Vec<Target>,
        cursor_file: Option<CursorFile>,
        ask: &Ask,
        show: Show,
        output: Output,
    ) -> Self {
        let hosts: Vec<HostState> = targets
            .into_iter()
            .map(|target| {
                let position = cursor_file.as_ref().map(|file| file.position(&target.name)).unwrap_or_default();
                // A daemon sends an unfinished line only to those who don't come back for it.
                let leaves_partial = cursor_file.is_some() && ask.request.no_follow && position.is_beginning();
                HostState {
                    target,
                    position,
                    selection: Selection::default(),
                    standing: Standing::Waiting,
                    leaves_partial,
                }
            })
            .collect();
        let limit = ask.request.request.as_ref().map_or(0, |request| request.limit);
        // A single host ends by itself, after the context of the last match.
        let left = (limit > 0 && hosts.len() > 1).then_some(limit);
        let latest = nanoseconds(Timestamp::now()).saturating_add(DAY);
        Self {
            merge: Merge::new(hosts.len(), latest),
            writer: Writer { show, output, left, partial: Vec::new(), entries: 0 },
            notes: Notes::new(args.quiet, hosts.len()),
            hosts,
            stats: args.stats,
            damaged: false,
            cursor_file,
            saved: Instant::now(),
            unsaved: false,
            started: Instant::now(),
        }
    }

    async fn run(mut self, ask: &Ask, closed: Arc<Notify>, mut asked: watch::Receiver<Option<Exit>>) -> Exit {
        for host in &self.hosts {
            if host.target.credentials.token.is_some() && host.target.routes.iter().all(|route| !route.keeps_secrets())
            {
                self.notes.note(format_args!("{}: no token is sent over http://", host.target.name));
            }
        }
        let targets = self.hosts.iter().map(|host| (host.target.clone(), host.position.clone())).collect();
        let mut news = client::start(targets, ask);
        let stop = loop {
            if let Err(stop) = self.step(&mut news, &closed, &mut asked).await {
                break stop;
            }
        };
        drop(news);
        self.end(stop)
    }

    /// Writes what can be written, then takes the next news.
    async fn step(
        &mut self,
        news: &mut Hosts,
        closed: &Notify,
        asked: &mut watch::Receiver<Option<Exit>>,
    ) -> Result<(), Stop> {
        self.write()?;
        // When there is always more to read, nothing below this is reached.
        if let Some(exit) = *asked.borrow() {
            return Err(Stop::Asked(exit));
        }
        if let Some((host, news)) = news.ready() {
            return self.take(host, news);
        }
        self.flush()?;
        if self.hosts.iter().all(|host| matches!(host.standing, Standing::Ended(_))) {
            return Err(Stop::Finished);
        }
        let save = async {
            match self.unsaved && self.cursor_file.is_some() {
                true => tokio::time::sleep_until((self.saved + CURSOR_FILE_EVERY).into()).await,
                false => future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(exit) = asked.wait_for(Option::is_some) => Err(exit.map_or(Stop::Finished, Stop::Asked)),
            () = closed.notified() => Err(Stop::Closed),
            next = news.next() => match next {
                Some((host, news)) => self.take(host, news),
                None => Err(Stop::Finished),
            },
            () = save => self.save(),
        }
    }

    /// Writes everything that the merge gives out.
    fn write(&mut self) -> Result<(), Stop> {
        let now = nanoseconds(Timestamp::now());
        while let Some(run) = self.merge.next_run() {
            let host = &mut self.hosts[run.lane];
            let written = tell_and_write(&run, host, &mut self.writer, &mut self.notes, now);
            self.unsaved = true;
            if !written {
                return Err(Stop::Limit);
            }
            if self.writer.output.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if !self.writer.output.is_empty() {
            self.notes.clear();
        }
        match self.writer.output.flush() {
            Ok(()) => {}
            Err(OutputError::Closed) => return Err(Stop::Closed),
            Err(OutputError::Write(error)) => {
                self.notes.error(format_args!("standard output: {error}"));
                return Err(Stop::Failed);
            }
        }
        if self.unsaved && self.cursor_file.is_some() && self.saved.elapsed() >= CURSOR_FILE_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// Remembers where every host is. What it says has been handed to the kernel.
    fn save(&mut self) -> Result<(), Stop> {
        self.unsaved = false;
        self.saved = Instant::now();
        let Some(file) = &mut self.cursor_file else { return Ok(()) };
        let positions = self.hosts.iter().map(|host| (host.target.name.as_str(), &host.position));
        file.save(positions).map_err(|error| {
            self.notes.error(error);
            Stop::Failed
        })
    }

    fn take(&mut self, host: usize, news: News) -> Result<(), Stop> {
        match news {
            News::Batch(batch, credit) => self.merge.push(host, batch, Some(credit)),
            News::Answered(selection) => self.answered(host, selection),
            News::Tally(tally) => self.tally(host, &tally),
            // The others' history does not wait for it.
            News::Trying => self.merge.lost(host),
            News::Absent(why) => {
                self.merge.lost(host);
                self.hosts[host].standing = Standing::Absent;
                if self.hosts.iter().all(|host| host.standing.never_answered()) {
                    self.notes.error(format_args!("{}: {why}", self.hosts[host].target.name));
                    return Err(Stop::Finished);
                }
                self.notes.note(format_args!("{}: no answer: {why}; trying on", self.hosts[host].target.name));
            }
            News::Lost(why, pause) => {
                self.merge.lost(host);
                self.notes.progress_over(host);
                let again = std::mem::replace(&mut self.hosts[host].standing, Standing::Lost) == Standing::Lost;
                // A host that is away for a day is said to be so once.
                if !again {
                    let name = &self.hosts[host].target.name;
                    self.notes.note(format_args!("{name}: lost: {why}; again in {:.1} s", pause.as_secs_f64()));
                }
            }
            News::Ended(ending) => {
                self.merge.ended(host);
                self.notes.progress_over(host);
                let exit = self.ending(host, &ending);
                self.hosts[host].standing = Standing::Ended(exit);
            }
        }
        Ok(())
    }

    fn answered(&mut self, number: usize, selection: Selection) {
        self.merge.answered(number);
        let host = &mut self.hosts[number];
        if host.standing == Standing::Lost {
            self.notes.note(format_args!("{}: back, going on where it was", host.target.name));
        }
        host.standing = Standing::Reading;
        host.selection = selection;
        let origin = Origin {
            host: self.hosts.len() > 1,
            source: self.hosts.iter().any(|host| host.selection.sources > 1),
            file: self.hosts.iter().any(|host| host.selection.files > host.selection.sources),
        };
        self.writer.show.set_origin(origin);
    }

    fn tally(&mut self, host: usize, tally: &Tally) {
        if !self.stats {
            return;
        }
        // What is told of a stream comes after the stream, where both go to one place.
        if self.writer.output.flush().is_ok() {
            let name = self.hosts[host].target.name.clone();
            self.damaged |= !self.notes.tally(&name, tally, true);
        }
    }

    /// Says how a host ended, and what that means for the exit status.
    fn ending(&mut self, host: usize, ending: &Ending) -> Exit {
        let name = &self.hosts[host].target.name;
        match ending {
            Ending::Done => Exit::Ok,
            Ending::NoAnswer(why) => {
                self.notes.error(format_args!("{name}: {why}"));
                Exit::NoAnswer
            }
            Ending::Lost(why) => {
                self.notes.error(format_args!("{name}: lost: {why}"));
                Exit::Failed
            }
            Ending::Unusable(error) => {
                self.notes.error(format_args!("{name}: {error}"));
                Exit::Failed
            }
            Ending::Forbidden(why) => {
                self.notes.error(format_args!("{name}: not allowed: {why}"));
                Exit::NotAllowed
            }
            Ending::Refused(status) => {
                let why = explain(status);
                match self.cursor_file.is_some() && why.contains("resume[") {
                    true => self.notes.error(format_args!("{name}: {why}; without the cursor file it starts anew")),
                    false => self.notes.error(format_args!("{name}: {why}")),
                }
                refused(status)
            }
        }
    }

    /// Says the last words.
    fn end(mut self, stop: Stop) -> Exit {
        let now = nanoseconds(Timestamp::now());
        if self.cursor_file.is_some() && matches!(stop, Stop::Finished | Stop::Asked(_)) {
            // A batch that was begun is written whole, so that there is a cursor to go on from.
            while let Some(run) = self.merge.rest_of_begun() {
                tell_and_write(&run, &mut self.hosts[run.lane], &mut self.writer, &mut self.notes, now);
                self.unsaved = true;
            }
        }
        let flushed = match stop {
            Stop::Closed | Stop::Failed => Ok(()),
            Stop::Finished | Stop::Limit | Stop::Asked(_) => self.flush(),
        };
        let saved = match (&stop, &flushed) {
            (Stop::Closed | Stop::Failed, _) | (_, Err(_)) => Ok(()),
            _ if self.unsaved => self.save(),
            _ => Ok(()),
        };
        self.notes.clear();
        if self.stats {
            let seconds = self.started.elapsed().as_secs_f64();
            self.notes.error(format_args!("{} entries in {seconds:.3} s", self.writer.entries));
        }
        match (stop, flushed, saved) {
            (Stop::Failed, ..) | (_, Err(Stop::Failed), _) | (_, _, Err(_)) => Exit::Failed,
            _ if self.damaged => Exit::Failed,
            (Stop::Asked(exit), ..) => exit,
            _ => Exit::of_hosts(&self.hosts.iter().map(|host| host.standing.exit()).collect::<Vec<_>>()),
        }
    }
}

/// Turns entries into output.
struct Writer {
    show: Show,
    output: Output,
    /// Matches that may still be written, when they are counted here.
    left: Option<u64>,
    /// Last lines without a terminator that are left for the next run, unless their file goes on.
    partial: Vec<(String, Entry)>,
    entries: u64,
}

impl Writer {
    /// Writes one entry.
    fn push(&mut self, host: &HostState, entry: &Entry, now: i64) {
        let name = host.target.name.as_str();
        if host.leaves_partial {
            // What is followed by more of the same log was finished after all.
            let same = |(of, partial): &(String, Entry)| {
                of == name && partial.source == entry.source && partial.path == entry.path
            };
            if let Some(at) = self.partial.iter().position(same) {
                let (_, partial) = self.partial.remove(at);
                self.show.push(self.output.buffer(), name, &partial, now);
                self.entries += 1;
            }
            if entry.has(flag::UNTERMINATED) {
                self.partial.push((name.to_owned(), entry.clone()));
                return;
            }
        }
        self.show.push(self.output.buffer(), name, entry, now);
        self.entries += 1;
    }
}

/// Tells the events of a run, writes its entries, and moves the host's position. False when no more may be written.
fn tell_and_write(run: &Run<'_>, host: &mut HostState, writer: &mut Writer, notes: &mut Notes, now: i64) -> bool {
    if run.first {
        for event in &run.batch.events {
            match &event.kind {
                Some(Kind::Gap(gap)) => notes.gap(&host.target.name, gap),
                Some(Kind::Progress(progress)) => notes.progress(run.lane, progress),
                Some(Kind::CaughtUp(_)) => notes.progress_over(run.lane),
                Some(Kind::FileChange(_) | Kind::Heartbeat(_)) | None => {}
            }
        }
    }
    for (number, entry) in run.entries.iter().enumerate() {
        if entry.is_match()
            && let Some(left) = &mut writer.left
        {
            if *left == 0 {
                host.position.pass_entries(&run.entries[..number]);
                return false;
            }
            *left -= 1;
        }
        writer.push(host, entry, now);
    }
    if run.last {
        host.position.pass(run.batch);
    }
    writer.left != Some(0)
}

fn nanoseconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_nanosecond()).unwrap_or(i64::MAX)
}
