//! A subscriber: the stream that it has, what it is still to get, and what it keeps to come back with.

use std::collections::BTreeMap;

use crate::{
    action::By,
    daemon::{Daemon, Rest, Start, Stream, request},
    expect::{Got, Owed, Place, Track, brief},
    world::{Gen, World},
};
use logtap::feed::open::OpenError;

/// How many of the latest cursors of the whole stream a client keeps.
const MARKS_KEPT: usize = 4;

pub struct Reader {
    stream: Option<Stream>,
    /// Whether it has stopped reading.
    pub stalled: bool,
    /// What is still to come of each log.
    pub tracks: Vec<Track>,
    /// The entries that it has dealt with, the latest last.
    dealt: Vec<Dealt>,
    /// The latest cursors of the whole stream.
    marks: Vec<Mark>,
    /// With what it came here, to be told with a failure.
    history: String,
}

/// An entry that was dealt with.
#[derive(Clone)]
struct Dealt {
    log: usize,
    generation: Gen,
    /// The place behind it.
    at: usize,
    cursor: Vec<u8>,
}

/// A cursor of the whole stream, and what it says.
#[derive(Clone)]
struct Mark {
    cursor: Vec<u8>,
    tracks: Vec<Track>,
    /// Contents that there were.
    contents: usize,
    /// Entries that had been dealt with.
    dealt: usize,
}

/// A place that a cursor names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    content: Gen,
    at: usize,
    /// Whether it is one behind which something may come or not.
    doubtful: bool,
}

impl Reader {
    /// A subscriber that begins now.
    pub async fn begin(daemon: &Daemon, world: &World, start: Start) -> Result<Self, String> {
        let mut tracks: Vec<_> = (0..world.logs.len()).map(|log| fresh(daemon, world, log)).collect();
        if start == Start::All {
            for (log, track) in tracks.iter_mut().enumerate() {
                let surviving = world.surviving(log);
                track.places = surviving.into_iter().map(|content| Place::new(content, 0, Owed::Nothing)).collect();
            }
        }
        let stream = daemon
            .open(request(true, start, &[]), world.clock)
            .await
            .map_err(|error| format!("not opened: {error:?}"))?;
        Ok(Self {
            stream: Some(stream),
            stalled: false,
            tracks,
            dealt: Vec::new(),
            marks: Vec::new(),
            history: String::new(),
        })
    }

    pub fn is_here(&self) -> bool {
        self.stream.is_some()
    }

    /// A new content came to be; `overwrites` tells which one it has taken the place of, and whether there is a copy.
    pub fn meet(&mut self, world: &World, new: Gen, overwrites: Option<(Gen, bool)>) {
        let log = world.contents[new].log;
        if self.tracks.len() < world.logs.len() {
            self.tracks.resize_with(world.logs.len(), Track::default);
        }
        match overwrites {
            Some((old, is_copied)) => self.tracks[log].overwrite(old, new, &world.contents[old], is_copied),
            None => self.tracks[log].follow(new),
        }
    }

    /// Reads all that there is, and checks that it is all.
    pub async fn read_on(&mut self, world: &World) -> Result<(), String> {
        self.nibble(world, usize::MAX).await?;
        for (log, track) in self.tracks.iter().enumerate() {
            let complete = track.check_complete(&world.contents);
            complete.map_err(|why| format!("{}: {why} {}", world.logs[log].name, self.history))?;
        }
        Ok(())
    }

    /// Reads so many pieces at most.
    pub async fn nibble(&mut self, world: &World, pieces: usize) -> Result<(), String> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let (got, rest) = stream.pull(pieces).await;
        for (path, got) in got {
            let log = world.log_at(&path).ok_or_else(|| format!("of no log: {path}"))?;
            let place = self.tracks[log]
                .take(&got, &world.contents)
                .map_err(|why| format!("{path}: {}: {why} {}", describe(&got), self.history))?;
            if let (Some((generation, at)), Got::Record { cursor, .. }) = (place, got) {
                self.dealt.push(Dealt { log, generation, at, cursor });
            }
        }
        if let Rest::Ended(end) = rest {
            return Err(format!("it ended: {end:?}"));
        }
        let (cursor, tracks) = (stream.cursor(world.clock), self.tracks.clone());
        self.marks.push(Mark { cursor, tracks, contents: world.contents.len(), dealt: self.dealt.len() });
        if self.marks.len() > MARKS_KEPT {
            self.marks.remove(0);
        }
        Ok(())
    }

    /// Goes; the last entries were got, but not dealt with.
    pub fn leave(&mut self, undone: usize) {
        self.stream = None;
        self.stalled = false;
        let undone = undone.min(self.dealt.len());
        self.dealt.truncate(self.dealt.len() - undone);
        // The cursors of the whole stream that lie behind what was dealt with were not kept either.
        let dealt = self.dealt.len();
        if self.marks.iter().any(|mark| mark.dealt <= dealt) {
            self.marks.retain(|mark| mark.dealt <= dealt);
        }
    }

    /// Comes back.
    pub async fn come_back(&mut self, daemon: &Daemon, world: &World, by: By) -> Result<(), String> {
        let mark = match by {
            By::Entry => None,
            By::Whole => self.marks.last(),
            By::Overlay => self.marks.first(),
        };
        let later: &[Dealt] = match (by, mark) {
            (By::Overlay, Some(mark)) => self.dealt.get(mark.dealt..).unwrap_or_default(),
            (By::Whole, Some(_)) => &[],
            (By::Entry | By::Overlay | By::Whole, _) => &self.dealt,
        };
        let mut cursors: Vec<Vec<u8>> = mark.iter().map(|mark| mark.cursor.clone()).collect();
        let mut claims: Vec<Vec<Claim>> = vec![Vec::new(); world.logs.len()];
        if let Some(mark) = mark {
            for (log, track) in mark.tracks.iter().enumerate() {
                let claimed = track.places.iter().map(|place| Claim {
                    content: place.generation,
                    at: place.at,
                    doubtful: place.doubtful,
                });
                claims[log].extend(claimed);
            }
        }
        let mut logs = Vec::new();
        for (log, claims) in claims.iter_mut().enumerate() {
            let mut of_log = later.iter().filter(|dealt| dealt.log == log);
            // Alone, the last one speaks for its log; over another cursor, each speaks for its file.
            let spoken =
                if mark.is_some() { of_log.collect::<Vec<_>>() } else { of_log.next_back().into_iter().collect() };
            for dealt in spoken {
                // Of one file the last word counts: what was said of what it held before is over.
                let key = |content: Gen| world.contents[content].key;
                claims.retain(|claim| key(claim.content) != key(dealt.generation));
                claims.push(Claim { content: dealt.generation, at: dealt.at, doubtful: false });
                cursors.push(dealt.cursor.clone());
                logs.push(log);
            }
        }
        let places = |log: usize| claims[log].iter().map(|claim| (claim.content, claim.at, claim.doubtful));
        let named = |log: usize| (world.logs[log].name, places(log).collect::<Vec<_>>());
        self.history = format!("(came back by {by:?} with {:?})", (0..world.logs.len()).map(named).collect::<Vec<_>>());
        let contents = mark.map(|mark| mark.contents);
        let whole = usize::from(mark.is_some());
        let stream = loop {
            match daemon.open(request(true, Start::New, &cursors), world.clock).await {
                Ok(stream) => break stream,
                // Nothing of the log is left by which it could be known.
                Err(OpenError::Foreign(index)) if index >= whole => {
                    let log = logs.remove(index - whole);
                    if !world.surviving(log).is_empty() {
                        return Err(format!("a cursor of {} is said to be foreign", world.logs[log].name));
                    }
                    cursors.remove(index);
                }
                Err(error) => return Err(format!("not opened: {error:?}")),
            }
        };
        self.stream = Some(stream);
        self.tracks = (0..world.logs.len())
            .map(|log| {
                claims[log].sort_unstable();
                resumed(daemon, world, log, &claims[log], contents)
            })
            .collect();
        self.marks.clear();
        // What the client counts from now on begins where it came back.
        self.dealt.retain(|dealt| {
            claims[dealt.log].iter().any(|claim| (claim.content, claim.at) == (dealt.generation, dealt.at))
        });
        Ok(())
    }
}

fn describe(got: &Got) -> String {
    match got {
        Got::Record { bytes, flags, .. } => format!("{} with flags {flags}", brief(bytes)),
        Got::Gap(bytes) => format!("a gap of {bytes:?}"),
    }
}

/// What is to come of a log for which no cursor speaks: what is written from now on.
fn fresh(daemon: &Daemon, world: &World, log: usize) -> Track {
    let mut track = Track { places: passed(daemon, world, log, &[]), ..Track::default() };
    let live = world.logs[log].live;
    track.places.extend(live.map(|content| Place::new(content, world.contents[content].head(), Owed::Nothing)));
    track
}

/// Contents of a log that can be read, the oldest first: those that lie somewhere, and those that are deleted but held.
fn reachable(daemon: &Daemon, world: &World, log: usize) -> Vec<Gen> {
    let mut reachable = world.surviving(log);
    let of_log = world.contents.iter().enumerate().filter(|(_, content)| content.log == log);
    let held = of_log.filter(|(_, content)| content.overwritten_by.is_none() && daemon.holds(content.key));
    reachable.extend(held.map(|(number, _)| number));
    reachable.sort_unstable();
    reachable.dedup();
    reachable
}

/// Contents that are past, but are followed beside the live one: only what is written from now on may come of them, and
/// the end of their last line. `but` are those of which more is to come.
fn passed(daemon: &Daemon, world: &World, log: usize, but: &[Place]) -> Vec<Place> {
    let is_followed = |content: &Gen| {
        let is_past = world.contents[*content].displaced && world.contents[*content].displaced_in == world.epoch;
        is_past && !but.iter().any(|place| place.generation == *content)
    };
    let passed = reachable(daemon, world, log).into_iter().filter(is_followed);
    passed.map(|content| Place::doubtful(content, world.contents[content].head())).collect()
}

/// What is to come of a log after these places in it; `contents` is how many there were when the cursor of a whole stream
/// was made, if that is what they are of.
fn resumed(daemon: &Daemon, world: &World, log: usize, claims: &[Claim], contents: Option<usize>) -> Track {
    let reachable = reachable(daemon, world, log);
    let latest = match (claims.last(), contents) {
        (None, None) => return fresh(daemon, world, log),
        // What there was when the cursor was made is past.
        (None, Some(contents)) => contents.checked_sub(1),
        (Some(latest), _) => Some(latest.content),
    };
    let (claimed, lost): (Vec<_>, Vec<_>) = claims.iter().partition(|claim| reachable.contains(&claim.content));
    let place = |claim: &Claim| match claim.doubtful {
        true => Place::doubtful(claim.content, claim.at),
        false => Place::new(claim.content, claim.at, Owed::Nothing),
    };
    let mut places: Vec<_> = claimed.into_iter().map(place).collect();
    let is_known = |content: Gen| daemon.holds(world.contents[content].key);
    let is_gone = |content: Gen| !overwritten(world, content).is_some_and(is_known);
    // An entry's cursor does not tell what else of its log is older, when its file is gone.
    let live_only = contents.is_none() && places.is_empty() && lost.iter().any(|claim| is_gone(claim.content));
    // Nor does it tell, when its file holds something else by now, what of the copies is older than it.
    let in_its_file = lost.iter().filter(|_| contents.is_none() && places.is_empty());
    let floor = in_its_file.filter_map(|claim| overwritten(world, claim.content)).min();
    // What was deleted may be held open for others, and so be found.
    let is_held = |content: Gen| {
        let content = &world.contents[content];
        content.copied_in == Some(world.epoch) || content.dropped_in == Some(world.epoch)
    };
    // Nor does it tell whether it was read in the file itself or in a copy.
    let of_copy = |claim: &&Claim| world.contents[claim.content].copied_in.is_some();
    let is_unclear = contents.is_none() && places.is_empty() && lost.iter().any(of_copy);
    let live_only = live_only || is_unclear;
    let may_be_found = is_unclear || lost.iter().any(|claim| is_held(claim.content));
    for content in reachable.iter().filter(|content| latest.is_none_or(|latest| **content > latest)) {
        let is_named = !live_only || world.logs[log].live == Some(*content);
        if is_named && floor.is_none_or(|floor| *content >= floor) {
            places.push(Place::new(*content, 0, Owed::Nothing));
        } else if may_be_found {
            places.push(Place::doubtful(*content, 0));
        }
    }
    let is_behind = |claim: &&Claim| claim.at > 0 && claim.at < world.contents[claim.content].bytes.len();
    let bytes_lost = lost.iter().any(|claim| is_behind(claim) && !claim.doubtful && !is_held(claim.content));
    places.extend(
        lost.iter().filter(|claim| is_held(claim.content)).map(|claim| Place::doubtful(claim.content, claim.at)),
    );
    // Who is at the beginning of what took the place of a content has read that: if it is gone, it may be that more is.
    let came_before = |claim: &Claim| {
        let before = world.contents.iter().rposition(|content| content.overwritten_by == Some(claim.content));
        before.is_some_and(|before| !reachable.contains(&before))
    };
    let is_unsure = claims.iter().any(|claim| claim.at == 0 && came_before(claim));
    let tolerant = !lost.is_empty() || is_unsure;
    places.extend(passed(daemon, world, log, &places));
    // What came and went since may still be held by whoever else reads, or be found where its link led.
    let came_and_went = world.contents.iter().enumerate().filter(|(number, content)| {
        let is_later = content.log == log && latest.is_none_or(|latest| *number > latest);
        let held = content.overwritten_by.is_none() && content.displaced_in == world.epoch || is_held(*number);
        is_later && content.displaced && held
    });
    for (content, _) in came_and_went {
        if !places.iter().any(|place| place.generation == content) {
            places.push(Place::doubtful(content, 0));
        }
    }
    places.sort_by_key(|place| place.generation);
    if !lost.is_empty() || is_unsure {
        let first = places.iter().find(|place| !place.doubtful).map(|place| place.generation);
        // Which of them a subscriber had done with the cursor may not say, so any of them may be the first behind the gap.
        for place in &mut places {
            let owed = if bytes_lost && first == Some(place.generation) { Owed::Some } else { Owed::Maybe };
            *place = Place { doubtful: place.doubtful, ..Place::new(place.generation, place.at, owed) };
        }
    }
    // Nobody has to go on holding what no name leads to while nobody reads it; where it was let go of, that may be said.
    let surviving = world.surviving(log);
    let is_uncertain = places.iter().any(|place| !surviving.contains(&place.generation));
    for place in places.iter_mut().filter(|_| is_uncertain) {
        let owed = if place.owed == Owed::Some { Owed::Some } else { Owed::Maybe };
        let doubtful = place.doubtful || !surviving.contains(&place.generation);
        *place = Place { doubtful, ..Place::new(place.generation, place.at, owed) };
    }
    Track { places, tolerant: tolerant || is_uncertain }
}

/// The content that lies now in the file of one that was overwritten.
fn overwritten(world: &World, content: Gen) -> Option<Gen> {
    let mut now = world.contents[content].overwritten_by?;
    while let Some(next) = world.contents[now].overwritten_by {
        now = next;
    }
    Some(now)
}

/// Reads everything that there is, archives included, and checks that it is that.
pub async fn read_all(daemon: &Daemon, world: &World) -> Result<(), String> {
    let mut contents = world.contents.clone();
    for content in &mut contents {
        (content.finished, content.seam) = (true, content.bytes.len());
    }
    let all = |log| world.surviving(log).into_iter().map(|content| Place::new(content, 0, Owed::Nothing)).collect();
    let mut tracks: Vec<_> = (0..world.logs.len()).map(|log| Track { places: all(log), ..Track::default() }).collect();
    let opened = daemon.open(request(false, Start::All, &[]), world.clock).await;
    let mut stream = opened.map_err(|error| format!("not opened: {error:?}"))?;
    let (got, rest) = stream.pull(usize::MAX).await;
    let mut crossed: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, got) in got {
        let log = world.log_at(&path).ok_or_else(|| format!("of no log: {path}"))?;
        if let (Got::Record { bytes, .. }, true) = (&got, world.is_crossed(log)) {
            crossed.entry(log).or_default().push(bytes.clone());
            continue;
        }
        tracks[log].take(&got, &contents).map_err(|why| format!("{path}: {}: {why}", describe(&got)))?;
    }
    if rest != Rest::Ended(logtap::feed::subscription::End::Done) {
        return Err(format!("it did not end: {rest:?}"));
    }
    for (log, track) in tracks.iter().enumerate() {
        let named = |why| format!("{}: {why}", world.logs[log].name);
        if !world.is_crossed(log) {
            track.check_complete(&contents).map_err(named)?;
            continue;
        }
        // Lines without a time go by that of their file: which of two files comes first is no matter of their succession.
        let mut got = crossed.remove(&log).unwrap_or_default();
        let records = world.surviving(log).into_iter().flat_map(|content| {
            contents[content].bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        let mut wanted: Vec<_> = records.collect();
        got.sort();
        wanted.sort();
        if got != wanted {
            return Err(named(format!("{} records instead of {}, or others", got.len(), wanted.len())));
        }
    }
    Ok(())
}
