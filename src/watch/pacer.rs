//! The pacer: one task that looks at files which may have changed, publishes their heads, and wakes who waits.
//!
//! A change is published at once, unless its file was looked at just before ([`WAKE_AT_ONCE_AFTER`]); a file that keeps
//! changing so fast is looked at once per [`WAKE_INTERVAL`], so that whole cells flow under load. A file that nobody waits
//! on is not looked at.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    catalogue::Catalogue,
    events::Hints,
    logfile::{Checked, FileId, LogFile, Role},
};
use crate::{
    file::read::is_of_device,
    limits::{
        BLOCKING_CHECKS_MAX, FINISHED_AFTER, POLL_EVERY, PROVISIONAL_AFTER, RECHECK_EVERY, RELEASED_AFTER,
        RETIRED_AFTER, WAKE_AT_ONCE_AFTER, WAKE_INTERVAL,
    },
    telemetry::{SourceLabel, Telemetry},
};

/// The task's state.
pub struct Pacer {
    catalogue: Arc<Catalogue>,
    hints: Arc<Hints>,
    telemetry: Arc<Telemetry>,
    /// When each file that changed lately was last looked at.
    looked: HashMap<FileId, Instant>,
    /// Files to look at again, by the time at which it is due.
    due: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    order: u64,
    /// Files that are to be settled at some time in the heap.
    unsettled: HashSet<FileId>,
    /// Looks that wait for a disk, and those that wait for one of them to end.
    blocking: JoinSet<(Arc<LogFile>, io::Result<Checked>)>,
    queued: VecDeque<Arc<LogFile>>,
}

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Look how far it is written.
    Look,
    /// Publish the record at its head, unless more came.
    Settle,
}

/// A file in the heap, which orders by time only.
struct Due(Task, Arc<LogFile>);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.1.id == other.1.id
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.1.id.cmp(&other.1.id)
    }
}

impl Pacer {
    /// A pacer for the files of `catalogue`.
    pub fn new(catalogue: Arc<Catalogue>, hints: Arc<Hints>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            catalogue,
            hints,
            telemetry,
            looked: HashMap::new(),
            due: BinaryHeap::new(),
            order: 0,
            unsettled: HashSet::new(),
            blocking: JoinSet::new(),
            queued: VecDeque::new(),
        }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut polls = tokio::time::interval(POLL_EVERY);
        let mut rechecks = tokio::time::interval(RECHECK_EVERY);
        loop {
            let next = self.due.peek().map(|Reverse((at, ..))| *at);
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.hints.files.notified() => {}
                () = sleep_until(next.unwrap_or(far).into()), if next.is_some() => {}
                Some(done) = self.blocking.join_next() => self.blocking_done(done),
                _ = polls.tick() => self.poll_blind(),
                _ = rechecks.tick() => self.recheck(),
            }
            self.work();
        }
        self.blocking.shutdown().await;
    }

    fn work(&mut self) {
        let now = Instant::now();
        for file in self.hints.take_files() {
            match self.looked.get(&file.id) {
                // Still marked as dirty, so no hint will queue it a second time.
                Some(last) if now < *last + WAKE_AT_ONCE_AFTER => self.delay(Task::Look, file, *last + WAKE_INTERVAL),
                _ => self.look(file, now),
            }
        }
        while self.due.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            match self.due.pop() {
                Some(Reverse((.., Due(Task::Look, file)))) => self.look(file, now),
                Some(Reverse((.., Due(Task::Settle, file)))) => {
                    self.unsettled.remove(&file.id);
                    if let Some(quiet) = file.unsettled_for(now) {
                        self.settle_later(&file, quiet);
                    }
                }
                None => {}
            }
        }
    }

    fn delay(&mut self, task: Task, file: Arc<LogFile>, until: Instant) {
        self.order += 1;
        self.due.push(Reverse((until, self.order, Due(task, file))));
    }

    fn look(&mut self, file: Arc<LogFile>, now: Instant) {
        // Before looking: a change from here on is a new hint.
        file.clear_dirty();
        if !file.is_waited_on() {
            if file.is_retired() && file.role() == Role::Rotated {
                // Written again after all, by whoever held it open for so long.
                self.catalogue.revive(&file);
            }
            if !file.is_waited_on() {
                return;
            }
        }
        self.looked.insert(file.id, now);
        let content = file.opened();
        let Some((content, reader)) = content.as_ref().and_then(|content| Some((content, content.cached()?))) else {
            return self.look_blocking(file);
        };
        let looked = content.size_and_mtime().and_then(|(size, mtime, _)| file.check(&reader, size, mtime, now));
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.look_blocking(file),
            // Whoever may wait tries more than once.
            Err(error) if is_of_device(&error) => {
                self.count_failure(&file);
                self.look_blocking(file);
            }
            looked => self.looked_at(&file, looked),
        }
    }

    /// Publishes the record at the head once nothing has been added to it for a while.
    fn settle_later(&mut self, file: &Arc<LogFile>, quiet: Duration) {
        match PROVISIONAL_AFTER.checked_sub(quiet).filter(|left| !left.is_zero()) {
            None => {
                file.settle();
            }
            Some(left) => {
                if self.unsettled.insert(file.id) {
                    self.delay(Task::Settle, file.clone(), Instant::now() + left);
                }
            }
        }
    }

    fn look_blocking(&mut self, file: Arc<LogFile>) {
        if self.blocking.len() >= BLOCKING_CHECKS_MAX {
            self.queued.push_back(file);
            return;
        }
        self.blocking.spawn_blocking(move || {
            let looked = file.check_blocking();
            (file, looked)
        });
    }

    fn blocking_done(&mut self, done: Result<(Arc<LogFile>, io::Result<Checked>), tokio::task::JoinError>) {
        match done {
            Ok((file, looked)) => self.looked_at(&file, looked),
            Err(error) => tracing::error!(%error, "looking at a file failed"),
        }
        if let Some(file) = self.queued.pop_front() {
            self.look_blocking(file);
        }
    }

    fn looked_at(&mut self, file: &Arc<LogFile>, looked: io::Result<Checked>) {
        let source = &file.log.source.name;
        match looked {
            Ok(checked) => {
                if file.set_trouble(None) {
                    tracing::info!(source, path = %file.path().display(), "readable again");
                    file.retry();
                }
                if let Some(quiet) = file.unsettled_for(Instant::now()) {
                    self.settle_later(file, quiet);
                }
                if checked == Checked::Truncated {
                    tracing::info!(source, path = %file.path().display(), "truncated");
                }
            }
            // It moved or was deleted between the event and the look; the scan that follows knows more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.hints.rename(file.path()),
            Err(error) => {
                self.count_failure(file);
                if file.set_trouble(Some(error.to_string())) {
                    tracing::warn!(source, path = %file.path().display(), %error, "cannot be read; tried again");
                }
            }
        }
    }

    fn count_failure(&self, file: &LogFile) {
        let source = file.log.source.name.clone();
        self.telemetry.read_errors.get_or_create(&SourceLabel { source }).inc();
    }

    /// Looks at the files that events do not cover.
    fn poll_blind(&mut self) {
        for file in self.catalogue.files().iter().filter(|file| file.is_waited_on()) {
            if file.blind().is_some() || file.role() != Role::Live {
                self.hints.touch(file);
            }
        }
    }

    /// Looks at everything that somebody waits on, ends what is finished, and lets go of what nobody needs.
    fn recheck(&mut self) {
        let now = Instant::now();
        self.looked.retain(|_, last| now < *last + RECHECK_EVERY);
        let files = self.catalogue.files();
        // Nobody waits for more of a file of the past, but somebody may be reading it.
        let is_open = |file: &&Arc<LogFile>| file.trouble().is_some() || file.is_undecided();
        files.iter().filter(is_open).for_each(|file| file.retry());
        for file in files.iter().filter(|file| file.is_waited_on()) {
            if file.role() != Role::Live {
                let quiet = quiet_at_its_end(file);
                if quiet.is_some_and(|quiet| quiet >= FINISHED_AFTER) {
                    file.finish();
                }
                if is_done_with(file, quiet) {
                    file.retire();
                }
            }
            if let Some((.., links)) = file.opened().and_then(|content| content.size_and_mtime().ok()) {
                file.set_linked(links > 1);
            }
            self.hints.touch(file);
        }
        self.catalogue.release_held();
        self.catalogue.prune();
        self.catalogue.close_unused();
        self.catalogue.measure();
    }
}

/// How long ago a displaced file that was read to its end was last written; none when it cannot be read any more.
fn quiet_at_its_end(file: &LogFile) -> Option<Duration> {
    let (size, mtime, _) = file.opened()?.size_and_mtime().ok()?;
    if size != file.published().size && !file.is_compressed() {
        return Some(Duration::ZERO);
    }
    let age = Duration::from_nanos(super::now().0.saturating_sub(mtime.0).try_into().unwrap_or(0));
    Some(age.min(file.displaced_for()))
}

/// Whether nothing more is expected of a displaced file that has been quiet for so long, if it can be read at all.
fn is_done_with(file: &LogFile, quiet: Option<Duration>) -> bool {
    let Some(quiet) = quiet else {
        // What cannot be opened for now may still have something to say, unless it cannot be found any more.
        return file.role() == Role::Gone;
    };
    let patience = if is_read_and_gone(file) { RELEASED_AFTER } else { RETIRED_AFTER };
    // Who sleeps and has not heard of it yet is still to read it.
    quiet >= patience && file.is_met_by_all()
}

/// Whether no name leads to a file any more, and nobody has anything to read in it.
fn is_read_and_gone(file: &LogFile) -> bool {
    let published = file.published();
    let end = if file.is_superseded() { published.head } else { published.size };
    file.role() == Role::Gone && file.is_met_by_all() && !file.is_anybody_behind(published.generation, end)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::watch::{
        Pattern, Settings, Source,
        catalogue::Scope,
        interest::{Interest, Ticket},
    };

    #[test]
    fn what_a_sleeper_has_not_heard_of_is_kept_however_long_it_is_quiet() {
        let dir = tempfile::tempdir().expect("there is room");
        let (log, old) = (dir.path().join("app.log"), dir.path().join("app.log.1"));
        let patterns = vec![Pattern::new(log.to_str().expect("text")).expect("a path")];
        let settings = Settings { patterns, exclude: vec![], rules: Arc::default(), line_max: 1024, archives: true };
        let catalogue = Catalogue::new(vec![Arc::new(Source::new("app".into(), settings))], Arc::default());
        fs::write(&log, "first\n").expect("there is room");
        catalogue.scan(&Scope::All);
        let interest: Arc<Interest> = catalogue.interest("all", |file| !file.is_retired());
        let mut sleeper: Ticket = interest.join();
        for content in ["second\n", "third\n"] {
            fs::rename(&log, &old).expect("it is there");
            fs::write(&log, content).expect("there is room");
            catalogue.scan(&Scope::All);
        }
        let displaced = catalogue.files().into_iter().find(|file| file.path() == old).expect("it was renamed");
        let long = Some(RETIRED_AFTER);
        assert!(!is_done_with(&displaced, long));
        assert_eq!(sleeper.new_members().expect("there are others").len(), interest.members().len());
        assert!(is_done_with(&displaced, long));
        displaced.retire();
        catalogue.prune();
        assert!(!displaced.is_waited_on(), "nobody waits for it any more");
        catalogue.revive(&displaced);
        assert!(displaced.is_waited_on(), "it was written again");
    }
}
