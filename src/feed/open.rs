//! Opening a subscription: which files, and where to start in each.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Feed, SharedFilter,
    around::{Around, Nearby},
    event::Event,
    looks::Looks,
    member::{Member, Start},
    resume::{self, Foreign, Resolution},
    seek::{Span, Stretch},
    subscription::Subscription,
    succession::After,
    tail::{Searched, TailScan},
};
use crate::{
    entry::{Nanos, Offset, encode::Shape, stream_cursor::Cursor},
    filter::Filter,
    glob::{Glob, Wildcards},
    limits::{FINISHED_AFTER, PROVISIONAL_AFTER, REQUEST_GLOBS_BYTES_MAX, REQUEST_GLOBS_MAX, SCAN_WAIT_MAX, SKEW_MAX},
    telemetry::GapReason,
    watch::{
        FileId, LogFile, Role,
        pattern::{NameGlob, PatternError},
    },
};

/// Which files a subscription is about.
#[derive(Clone, Debug)]
pub struct Selection {
    key: String,
    sources: Vec<Glob>,
    paths: Vec<NameGlob>,
    allowed: Option<Vec<Glob>>,
}

impl Selection {
    /// The files of the sources that `sources` names, whose paths `paths` names, of those that the caller may read.
    /// An empty list names everything; `allowed` of `None` allows everything.
    ///
    /// # Errors
    /// Says which field of the request is no glob, or has too many.
    pub fn new(sources: &[String], paths: &[String], allowed: Option<&[String]>) -> Result<Self, SelectionError> {
        bounded("sources", sources)?;
        bounded("paths", paths)?;
        let globs = |field: &'static str, texts: &[String]| -> Result<Vec<Glob>, SelectionError> {
            let compiled = texts.iter().enumerate().map(|(index, text)| {
                let built = Glob::new(text, Wildcards::Anything);
                built.map_err(|error| SelectionError::new(format!("{field}[{index}]"), error.to_string()))
            });
            compiled.collect()
        };
        let named = |(index, text): (usize, &String)| {
            NameGlob::new(text)
                .map_err(|error: PatternError| SelectionError::new(format!("paths[{index}]"), error.to_string()))
        };
        Ok(Self {
            key: format!("{sources:?} {paths:?} {allowed:?}"),
            sources: globs("sources", sources)?,
            paths: paths.iter().enumerate().map(named).collect::<Result<_, _>>()?,
            allowed: allowed.map(|allowed| globs("allowed", allowed)).transpose()?,
        })
    }

    /// Whether the caller may read the source with this name.
    pub fn allows(&self, source: &str) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|glob| glob.is_match(source)))
    }

    /// Whether the source with this name is selected.
    pub fn selects_source(&self, name: &str) -> bool {
        self.allows(name) && (self.sources.is_empty() || self.sources.iter().any(|glob| glob.is_match(name)))
    }

    /// Whether the log at this path of the source is selected.
    pub fn selects(&self, source: &str, path: &Path) -> bool {
        self.selects_source(source) && (self.paths.is_empty() || self.paths.iter().any(|glob| glob.matches(path)))
    }

    /// Whether `paths` names a rotated file by the name under which it lies.
    fn names(&self, file: &LogFile) -> bool {
        let path = file.path();
        self.selects_source(&file.log.source.name) && self.paths.iter().any(|glob| glob.matches(&path))
    }

    /// The first element of `sources` that matches none of the names that the caller may read.
    pub fn first_unmatched<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Option<usize> {
        self.sources.iter().position(|glob| !names.clone().any(|name| self.allows(name) && glob.is_match(name)))
    }

    /// A number that is equal for equal selections.
    pub fn hash(&self) -> u32 {
        xxh3_64(self.key.as_bytes()) as u32
    }
}

/// Refuses a list of globs that would cost too much: each is compiled, and kept for as long as the stream lives.
fn bounded(field: &str, globs: &[String]) -> Result<(), SelectionError> {
    let (count, bytes) = (globs.len(), globs.iter().map(String::len).sum::<usize>());
    if count > REQUEST_GLOBS_MAX {
        let why = format!("{count} globs are more than the {REQUEST_GLOBS_MAX} allowed");
        return Err(SelectionError::new(field.to_owned(), why));
    }
    if bytes > REQUEST_GLOBS_BYTES_MAX {
        let why = format!("globs of {bytes} bytes are more than the {REQUEST_GLOBS_BYTES_MAX} allowed together");
        return Err(SelectionError::new(field.to_owned(), why));
    }
    Ok(())
}

/// A field of a request that is no glob, or has too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionError {
    /// The field, by its proto name.
    pub field: String,
    /// What is wrong.
    pub why: String,
}

impl SelectionError {
    fn new(field: String, why: String) -> Self {
        Self { field, why }
    }
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for SelectionError {}

/// What a subscriber asks for, checked and compiled.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which files.
    pub selection: Selection,
    /// Which records.
    pub filter: Filter,
    /// In which form.
    pub shape: Shape,
    /// Whether to go on with what is written later.
    pub follow: bool,
    /// Which times.
    pub span: Span,
    /// Start with the last N matches.
    pub tail: Option<u64>,
    /// Cursors to continue after.
    pub resume: Vec<Cursor>,
    /// Only what lies before this cursor.
    pub end: Option<Cursor>,
    /// How much of what stands around matches.
    pub around: Around,
    /// End after this many matches.
    pub limit: Option<u64>,
    /// Whether lost cursors are told in the stream instead of refused.
    pub gaps_in_band: bool,
}

impl Request {
    /// Whether the rotated past of the logs is asked for, too.
    fn wants_past(&self) -> bool {
        let tail = self.tail.is_some_and(|wanted| wanted > 0) && self.resume.is_empty();
        tail || self.span.since.is_some() || self.end.is_some()
    }

    /// Whether a search from the end decides which of the rotated files are looked at.
    fn searches_backwards(&self) -> bool {
        self.tail.is_some_and(|wanted| wanted != u64::MAX) && self.resume.is_empty() && self.span.since.is_none()
    }

    /// The files of the past that are asked for, of all that the caller may read.
    fn past_of<'f>(&self, files: &'f [Arc<LogFile>]) -> impl Iterator<Item = &'f Arc<LogFile>> {
        let is_late = |file: &LogFile| !self.span.since.is_some_and(|since| ended_before(file, since));
        files.iter().filter(move |file| {
            let selected = self.wants_past() && self.selection.selects(&file.log.source.name, &file.log.path);
            file.is_archive() && (selected && is_late(file) || self.selection.names(file))
        })
    }
}

/// Why no subscription was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// An element of `sources` matches nothing that the caller may read.
    NoSuchSource(usize),
    /// A cursor belongs to no log that is known here.
    Foreign(usize),
    /// The bytes that a cursor points behind are gone.
    ResumeLost(usize),
    /// `end` belongs to no log that is known here.
    ForeignEnd,
    /// The bytes before `end` are gone.
    EndLost,
    /// Too many others look for their place in files, and none of them comes to an end.
    Busy,
    /// The files could not be looked at.
    Internal(String),
}

/// What the beginning of a stream tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Sources selected.
    pub sources: usize,
    /// Files selected.
    pub files: usize,
    /// Bytes that are scanned at most before the stream is at its heads.
    pub bytes: u64,
}

/// What looking at the files brought.
struct Prepared {
    /// The files that are waited on, and those that cursors lead into besides.
    files: Vec<Arc<LogFile>>,
    resolution: Resolution,
    /// Where to start in the files that no cursor speaks for, if not at their beginning.
    starts: BTreeMap<FileId, Start>,
    /// Where nothing more is early enough.
    stops: BTreeMap<FileId, Offset>,
    /// What came before the live files that are read from their beginning.
    before: BTreeMap<FileId, After>,
}

/// Opens a subscription: looks at the files and finds the places to start from, off the runtime.
///
/// # Errors
/// [`OpenError`] says what in the request cannot be served.
pub async fn open(feed: &Arc<Feed>, mut request: Request) -> Result<(Subscription, Extent), OpenError> {
    // What has an end has nothing to wait for.
    request.follow &= request.end.is_none();
    if request.filter.is_everything() {
        // Whatever there is matches.
        request.around = Around::NONE;
    }
    let selection = &request.selection;
    let sources = feed.catalogue.sources();
    let names = sources.iter().map(|source| source.name.as_str());
    if let Some(index) = selection.first_unmatched(names.clone()) {
        return Err(OpenError::NoSuchSource(index));
    }
    let wanted = selection.clone();
    let interest = feed.catalogue.interest(&selection.key, move |file| {
        let is_past = file.is_retired() || file.is_archive();
        !is_past && wanted.selects(&file.log.source.name, &file.log.path)
    });
    // First the place, then the looking: what changes from here on wakes.
    let ticket = interest.join();
    let mut prepared = prepare(feed, &request, interest.members().as_ref().clone(), HashMap::new()).await?;
    let mut looks = Looks::default();
    loop {
        let logs = looks.next(&prepared.resolution);
        if logs.is_empty() {
            break;
        }
        look_again(feed, logs).await?;
        let contents = prepared.resolution.contents();
        prepared = prepare(feed, &request, interest.members().as_ref().clone(), contents).await?;
    }
    if !request.resume.is_empty() {
        tracing::debug!(resolution = ?prepared.resolution, "where cursors lead");
    }
    if let (Some(lost), false) = (prepared.resolution.lost.first(), request.gaps_in_band) {
        return Err(OpenError::ResumeLost(lost.index));
    }
    let members = choose(&request, &prepared);
    let extent = Extent {
        sources: names.filter(|name| selection.selects_source(name)).count(),
        files: members.len(),
        bytes: members.iter().map(bytes_at_most).sum(),
    };
    let filter = feed.share(request.filter.clone());
    let scan = tail_scan(feed, &request, &filter, &members);
    let Resolution { lost, rewritten, .. } = &prepared.resolution;
    let lost = lost.iter().map(|lost| Event::Gap(lost.log.clone(), GapReason::ResumeLost, None));
    let rewritten = rewritten.iter().map(|file| Event::Gap(file.log.clone(), GapReason::Truncated, Some(0)));
    let gaps = lost.chain(rewritten).collect();
    Ok((Subscription::new(feed.clone(), ticket, &request, filter, members, scan, gaps), extent))
}

/// Looks at all that lies where these logs do, off the runtime.
async fn look_again(feed: &Arc<Feed>, logs: HashSet<PathBuf>) -> Result<(), OpenError> {
    let feed = feed.clone();
    match tokio::task::spawn_blocking(move || feed.look_again(logs)).await {
        Ok(true) => Ok(()),
        // What is not seen is not lost.
        Ok(false) => Err(OpenError::Internal("a directory cannot be listed for now".to_owned())),
        Err(error) => Err(OpenError::Internal(error.to_string())),
    }
}

/// Looks at the files and finds the places to start from; `contents` are those that an earlier look found files to have.
async fn prepare(
    feed: &Arc<Feed>,
    request: &Request,
    mut files: Vec<Arc<LogFile>>,
    contents: HashMap<FileId, u32>,
) -> Result<Prepared, OpenError> {
    let allowed = allowed_files(feed, &request.selection);
    let cursors = request.resume.clone();
    let turn = feed.scans.clone().acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(SCAN_WAIT_MAX, turn).await else { return Err(OpenError::Busy) };
    let (request, selection) = (request.clone(), request.selection.clone());
    let job = tokio::task::spawn_blocking(move || {
        // Until it ends, whether somebody still waits for it or not.
        let _turn = turn;
        for file in &files {
            look(file);
            // What is there now is the answer, also when it may go on.
            if !request.follow || file.unsettled_for(Instant::now()).is_some_and(|quiet| quiet >= PROVISIONAL_AFTER) {
                file.settle();
            }
        }
        if !cursors.is_empty() || request.end.is_some() {
            allowed.iter().filter(|file| !file.is_archive()).for_each(look);
        }
        for file in request.past_of(&allowed) {
            if !request.searches_backwards() {
                look(file);
                file.settle();
            }
            files.push(file.clone());
        }
        let mut resolution = resume::resolve(&cursors, selection.hash(), &allowed)
            .map_err(|Foreign(index)| OpenError::Foreign(index))?;
        resolution.begin_with(&contents);
        if let Some(why) = &resolution.unreadable {
            return Err(OpenError::Internal(why.clone()));
        }
        for file in allowed.iter().filter(|file| resolution.starts.contains_key(&file.id)) {
            let selected = selection.selects(&file.log.source.name, &file.log.path);
            if selected && file.is_archive() {
                look(file);
                file.settle();
            }
            if selected && !files.iter().any(|known| known.id == file.id) {
                files.push(file.clone());
            }
        }
        let (mut starts, mut stops) = (BTreeMap::new(), BTreeMap::new());
        for file in &files {
            let stretch = stretch_of(file, request.span);
            stops.extend(stretch.stop.map(|stop| (file.id, stop)));
            let published = file.published();
            let at = match request.span.since {
                Some(_) => stretch.start,
                None if request.follow => published.head,
                None => continue,
            };
            // Who starts inside a file has to know what lies before the place, to notice when that changes.
            if !resolution.starts.contains_key(&file.id) {
                let (tail, generation) = (resume::known_tail(file, at), Some(published.generation));
                starts.insert(file.id, Start { at, tail, generation, ..Start::default() });
            }
        }
        if let Some(end) = &request.end {
            for (file, stop) in end_stops(end, selection.hash(), &files, &allowed)? {
                let stops = stops.entry(file).or_insert(stop);
                *stops = stop.min(*stops);
            }
        }
        let before = read_before(&files, &resolution, &starts);
        Ok(Prepared { files, starts, stops, before, resolution })
    });
    match job.await {
        Ok(prepared) => prepared,
        Err(error) => Err(OpenError::Internal(error.to_string())),
    }
}

/// The copies that end where files begin: whoever is in those has read them. Where reading goes on further behind, only
/// what is so new that its time does not tell it from what comes later.
fn read_before(
    files: &[Arc<LogFile>],
    resolution: &Resolution,
    starts: &BTreeMap<FileId, Start>,
) -> BTreeMap<FileId, After> {
    let start_of = |file: &Arc<LogFile>| resolution.starts.get(&file.id).or_else(|| starts.get(&file.id));
    let begins = |file: &Arc<LogFile>| start_of(file).is_some_and(|start| start.at == Offset::ZERO);
    let is_new = |kin: &Arc<LogFile>| kin.is_archive() && !is_quiet(kin.published().mtime);
    let matters = |file: &&Arc<LogFile>| begins(file) || !file.is_archive() && file.log.files().iter().any(is_new);
    let before = |file: &Arc<LogFile>| {
        let generation = start_of(file).and_then(|start| start.generation);
        Some((file.id, After::before(file, generation.unwrap_or(file.published().generation))?))
    };
    files.iter().filter(matters).filter_map(before).collect()
}

/// The files that the caller may read, of which it is known what they hold.
fn allowed_files(feed: &Feed, selection: &Selection) -> Vec<Arc<LogFile>> {
    let is_allowed = |file: &Arc<LogFile>| !file.is_undecided() && selection.allows(&file.log.source.name);
    feed.catalogue.files().into_iter().filter(is_allowed).collect()
}

/// Where each file ends when only what lies before `end` is asked for.
///
/// An entry's cursor bounds its log: what came before its file is whole, what came after it is nothing; it says nothing
/// of other logs. A cursor of a whole stream bounds every file: one that it does not list is nothing, unless it is the
/// past of one that it lists.
fn end_stops(
    end: &Cursor,
    selection: u32,
    files: &[Arc<LogFile>],
    allowed: &[Arc<LogFile>],
) -> Result<Vec<(FileId, Offset)>, OpenError> {
    let resolution =
        resume::resolve(std::slice::from_ref(end), selection, allowed).map_err(|Foreign(_)| OpenError::ForeignEnd)?;
    if !resolution.lost.is_empty() || !resolution.rewritten.is_empty() {
        return Err(OpenError::EndLost);
    }
    let is_whole = matches!(end, Cursor::Stream(_));
    let stop = |file: &Arc<LogFile>| match resolution.starts.get(&file.id) {
        Some(place) => Some((file.id, place.at)),
        None if is_whole && !resolution.past.contains(&file.id) => Some((file.id, Offset::ZERO)),
        None => None,
    };
    Ok(files.iter().filter_map(stop).collect())
}

/// Bytes that are scanned of a file at most; of a compressed one, those that it has on the disk.
fn bytes_at_most(member: &Member) -> u64 {
    let lazily = member.file.is_archive() && member.known.size == Offset::ZERO;
    if member.known.estimated || lazily {
        return member.file.first_size.0;
    }
    member.stop.unwrap_or(member.known.head).min(member.known.head).since(member.at())
}

/// Whether all of a file was written long before a time, by a clock that may be wrong by a zone.
fn ended_before(file: &LogFile, since: Nanos) -> bool {
    file.published().mtime.0.saturating_add(SKEW_MAX.as_nanos() as i64) < since.0
}

/// Looks how far a file is written, and reads its beginning.
pub(super) fn look(file: &Arc<LogFile>) {
    let looked = file.check_blocking().and_then(|_| {
        let (content, published) = (file.open()?, file.published());
        // Nobody waits for the past, so nobody else finds out that its last line will get no end.
        if file.is_archive() && !file.is_compressed() && is_quiet(published.mtime) {
            file.finish();
        }
        file.beginning(&*content, &published, published.head)
    });
    let trouble = looked.err().filter(|error| {
        // It moved or was deleted meanwhile; the look at the names knows more.
        error.kind() != io::ErrorKind::NotFound
    });
    let trouble = trouble.map(|error| error.to_string());
    if let (true, Some(why)) = (file.set_trouble(trouble.clone()), trouble) {
        tracing::warn!(source = file.log.source.name, path = %file.path().display(), why, "cannot be read; tried again");
    }
}

/// Whether a file that changed last at this time has been quiet for so long that nobody writes to it.
fn is_quiet(changed: Nanos) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(changed.0.max(0) as u64)) >= FINISHED_AFTER
}

/// Where the times asked for are in a file; what cannot be read is not left out for that.
fn stretch_of(file: &Arc<LogFile>, span: Span) -> Stretch {
    Stretch::find(file, span).unwrap_or_else(|error| {
        tracing::debug!(path = %file.path().display(), %error, "not searched by time, but read whole");
        Stretch::WHOLE
    })
}

/// The files to read, each from its start, in the order of their paths.
fn choose(request: &Request, prepared: &Prepared) -> Vec<Member> {
    let resolution = &prepared.resolution;
    let chosen = prepared.files.iter().filter_map(|file| {
        let resumed = resolution.starts.get(&file.id);
        let past = resolution.past.contains(&file.id);
        let since = request.span.since.is_some();
        // What was rotated is the past of its log, and so is asked for by its time.
        let displaced = match file.role() {
            // Only those archives are here that are asked for.
            Role::Live | Role::Archive => false,
            Role::Rotated => !request.wants_past(),
            Role::Gone => true,
        };
        let lazily = file.is_archive() && request.searches_backwards();
        if !request.follow && resumed.is_none() && (displaced || past) {
            return None;
        }
        let published = file.published();
        let at_head = Start { at: published.head, generation: Some(published.generation), ..Start::default() };
        let prepared_start = prepared.starts.get(&file.id).copied();
        let start = match resumed {
            Some(start) => *start,
            // With what lies before the place, where that is known, so that a cursor can name it.
            None if past || file.role() == Role::Gone => {
                prepared_start.filter(|start| start.at == published.head).unwrap_or(at_head)
            }
            None if since => prepared_start.unwrap_or_default(),
            None if request.follow && request.tail.is_none() => prepared_start.unwrap_or(at_head),
            None => Start::default(),
        };
        // What cannot be read yet begins, for those who want what is new, where it ended when it was first seen.
        let is_new = resumed.is_none() && !since && request.follow;
        let is_unread = !matches!(file.role(), Role::Archive | Role::Gone) && file.opened().is_none();
        let start = if is_new && is_unread && !file.is_archive() {
            Start { at: file.first_size, ..Start::default() }
        } else {
            start
        };
        let mut member = Member::new(file.clone(), start);
        member.after = prepared.before.get(&file.id).cloned();
        member.nearby = Nearby::of(request.around, start, resumed.is_some());
        // What is written while the clock has not passed the end may be in time, whatever stands before it.
        let is_history = !request.follow || request.span.is_past();
        member.stop = prepared.stops.get(&file.id).copied().filter(|_| is_history);
        if lazily {
            // How long it is shows when the search comes to it.
            member.stop = member.stop.or(Some(Offset(u64::MAX)));
        } else if !request.follow {
            let all = member.stop.is_none_or(|stop| published.head <= stop);
            member.stop = member.stop.or(Some(published.head)).map(|stop| stop.min(published.head));
            let asked_for = request.resume.is_empty() && request.end.is_none() && all;
            let unterminated = asked_for && published.head < published.size;
            member.piece_end = unterminated.then_some(published.size);
        }
        Some(member)
    });
    let mut members: Vec<_> = chosen.collect();
    members.sort_by(|a, b| (&a.file.log.path, a.file.ordinal()).cmp(&(&b.file.log.path, b.file.ordinal())));
    if request.follow {
        // The files of one log one after the other, each up to where it was written when this began.
        for index in 1..members.len() {
            let before = &members[index - 1];
            if Arc::ptr_eq(&before.file.log, &members[index].file.log) {
                members[index].hold = Some((before.file.id, before.known.head));
            }
        }
    }
    members
}

/// The search for the last matches, where the request wants it.
fn tail_scan(feed: &Feed, request: &Request, filter: &Arc<SharedFilter>, members: &[Member]) -> Option<TailScan> {
    let wanted = request.tail.filter(|_| request.resume.is_empty())?;
    // All of them is the same as from the beginning.
    (wanted != u64::MAX).then(|| {
        let files = members.iter().map(|member| Searched {
            file: member.file.clone(),
            published: member.known,
            floor: member.at(),
            stop: member.stop.unwrap_or(member.known.head),
            piece_end: member.piece_end,
            unknown: member.file.is_archive(),
        });
        TailScan::new(
            wanted,
            request.around.before,
            filter.clone(),
            request.span,
            feed.telemetry.clone(),
            feed.room.clone(),
            files,
        )
    })
}
