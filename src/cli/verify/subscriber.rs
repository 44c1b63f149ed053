//! The clients of a run: each reads all logs in its way, and has a judge.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    super::tail::{Exit, explain, refused},
    judge::Judge,
    writer::Plan,
};
use crate::{
    client::{self, Ask, Batch, Ending, Hosts, News, Position, Target},
    entry::flag,
    limits::CLIENT_WINDOW_BYTES_LEAST,
    proto::v1::{LogRequest, StreamBatchesRequest, event::Kind as EventKind},
};

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As fast as it can.
    Fast,
    /// With pauses, in which its window fills up.
    Slow,
    /// With connections that break off anywhere, each resumed by cursor.
    Killed,
}

/// One client.
#[derive(Debug)]
pub struct Subscriber {
    /// What it is called in the report.
    pub name: String,
    kind: Kind,
    judge: Mutex<Judge>,
    /// How often it came back to where it was.
    pub resumes: AtomicU64,
    answered: AtomicBool,
    failure: Mutex<Option<(Exit, String)>>,
    /// Why its connection broke last, other than by its own doing.
    trouble: Mutex<Option<String>>,
}

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Lines are written.
    Writing,
    /// What was written is read to its end, without pauses.
    CatchingUp,
    /// It is over.
    Over,
}

impl Subscriber {
    /// A client of that kind, the `number`th of it, for so many logs.
    pub fn new(kind: Kind, number: u32, logs: u32) -> Arc<Self> {
        let name = match kind {
            Kind::Fast => "fast",
            Kind::Slow => "slow",
            Kind::Killed => "killed",
        };
        Arc::new(Self {
            name: format!("{name}-{number}"),
            kind,
            judge: Mutex::new(Judge::new(logs)),
            resumes: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            failure: Mutex::new(None),
            trouble: Mutex::new(None),
        })
    }

    /// What came to it.
    pub fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the host has answered it.
    pub fn has_been_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// Why it has come to its end.
    pub fn failure(&self) -> Option<(Exit, String)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why its connection broke last, other than by its own doing.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads until the run is over, or the host will have no more of it.
    pub async fn run(self: Arc<Self>, target: Target, plan: Arc<Plan>, mut phase: watch::Receiver<Phase>, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut position = Position::default();
        let ask = self.ask(&plan);
        loop {
            let killed_at = (self.kind == Kind::Killed).then(|| Instant::now() + chance(&mut random, 100, 2000));
            let hosts = client::start(vec![(target.clone(), position.clone())], &ask);
            if self.read(hosts, &plan, &mut position, &mut phase, killed_at, &mut random).await.is_err() {
                return;
            }
            // Now and then long enough for several rotations.
            let most = if random.u8(..8) == 0 { 4000 } else { 500 };
            sleep(chance(&mut random, 0, most)).await;
            self.resumes.fetch_add(1, Relaxed);
        }
    }

    fn ask(&self, plan: &Plan) -> Ask {
        let request = LogRequest { paths: vec![format!("{}*.log", plan.prefix)], ..LogRequest::default() };
        Ask {
            request: StreamBatchesRequest { request: Some(request), no_follow: false, max_bytes: 0 },
            reconnect: true,
            verify: false,
            // A large window would take in all that is written during a pause.
            window: (self.kind == Kind::Slow).then_some(CLIENT_WINDOW_BYTES_LEAST),
        }
    }

    /// Reads one connection until it is to be broken off; an error when nothing more is to be read.
    async fn read(
        &self,
        mut hosts: Hosts,
        plan: &Plan,
        position: &mut Position,
        phase: &mut watch::Receiver<Phase>,
        killed_at: Option<Instant>,
        random: &mut fastrand::Rng,
    ) -> Result<(), Over> {
        let mut pause_at = Instant::now() + chance(random, 200, 2000);
        loop {
            let now = *phase.borrow_and_update();
            let kill = async {
                match killed_at {
                    Some(at) if now == Phase::Writing => sleep_until(at).await,
                    _ => std::future::pending().await,
                }
            };
            let news = tokio::select! {
                changed = phase.changed() => {
                    changed.map_err(|_| Over)?;
                    if *phase.borrow() == Phase::Over { return Err(Over) } else { continue }
                }
                () = kill => return Ok(()),
                news = hosts.next() => news,
            };
            match news {
                Some((_, News::Batch(batch, _credit))) => {
                    self.take(&batch, plan);
                    position.pass(&batch);
                    if self.kind == Kind::Slow && now == Phase::Writing && Instant::now() >= pause_at {
                        let until = Instant::now() + chance(random, 500, 5000);
                        // What is written meanwhile is not waited for any longer than that.
                        let _ = timeout_at(until, phase.wait_for(|phase| *phase != Phase::Writing)).await;
                        pause_at = Instant::now() + chance(random, 100, 1500);
                    }
                }
                Some((_, News::Answered(_))) => self.answered.store(true, Relaxed),
                Some((_, News::Lost(why, _))) => {
                    self.resumes.fetch_add(1, Relaxed);
                    *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                }
                Some((_, News::Absent(why))) if !self.has_been_answered() => {
                    return Err(self.fail(Exit::NoAnswer, why));
                }
                Some((_, News::Ended(ending))) => {
                    let (exit, why) = tell(&ending);
                    return Err(self.fail(exit, why));
                }
                Some((_, News::Tally(_) | News::Trying | News::Absent(_))) => {}
                None => return Err(self.fail(Exit::Failed, "the stream ended".to_owned())),
            }
        }
    }

    fn take(&self, batch: &Batch, plan: &Plan) {
        let now = plan.now();
        let mut judge = self.judge();
        for event in &batch.events {
            if let Some(EventKind::Gap(gap)) = &event.kind {
                judge.gap(plan.log_of(gap.path.as_bytes()));
            }
        }
        for entry in &batch.entries {
            // Lines are written whole before a log is rotated.
            let message: &[u8] = if entry.has(flag::UNTERMINATED) { b"" } else { &entry.message };
            judge.entry(plan.log_of(&entry.path), message, now);
        }
    }

    fn fail(&self, exit: Exit, why: String) -> Over {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((exit, why));
        Over
    }
}

/// Nothing more is to be read.
struct Over;

/// What an ending means for the run.
fn tell(ending: &Ending) -> (Exit, String) {
    match ending {
        Ending::Done => (Exit::Failed, "the stream ended".to_owned()),
        Ending::Refused(status) => (refused(status), explain(status)),
        Ending::NoAnswer(why) => (Exit::NoAnswer, why.clone()),
        Ending::Lost(why) => (Exit::Failed, why.clone()),
        Ending::Forbidden(why) => (Exit::NotAllowed, why.clone()),
        Ending::Unusable(error) => (Exit::Failed, error.to_string()),
    }
}

/// A time between two numbers of milliseconds.
fn chance(random: &mut fastrand::Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.u64(least..=most))
}
