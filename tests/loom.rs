//! Model checks: the wake-up path and the single flight of the cache, run through every schedule that matters.
//!
//! The two files are compiled here once more, as they are, with loom's lock in the place of the standard library's. No
//! tests may therefore stand in them: outside of a model loom's lock does not work.
//!
//! `LOOM_MAX_PREEMPTIONS` in the environment sets how often a thread may be interrupted; see loom's documentation.

#[allow(dead_code, unreachable_pub)]
#[path = "../src/feed/cache.rs"]
mod cache;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/watch/interest.rs"]
mod interest;
#[allow(dead_code)]
#[path = "../src/limits.rs"]
mod limits;

/// What the interest knows of files.
mod logfile {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FileId(pub u64);
    #[derive(Debug)]
    pub struct LogFile;
}

/// As the library's, with loom's lock.
mod sync {
    pub use loom::sync::{Mutex, MutexGuard};

    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use cache::{Answer, Cache, Landed, Lead, Waiting, Weigh};
use interest::{Changes, Interest, Ticket};
use logfile::{FileId, LogFile};
use loom::{
    sync::{
        Notify,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// A task that remembers whether it was woken.
#[derive(Debug)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Task {
    fn new() -> (Arc<Self>, Waker) {
        let task = Arc::new(Self(AtomicBool::new(false)));
        (task.clone(), task.into())
    }

    fn was_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs a model with as many interruptions as a plain test run has time for, unless the environment says otherwise.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(model);
}

// ---- Wake-ups ----

/// Looks once; if there was nothing, the others run to their end, and then the task must have been woken and find
/// something.
#[track_caller]
fn finds(ticket: &mut Ticket, while_waiting: impl FnOnce()) -> Changes {
    let (task, waker) = Task::new();
    let first = ticket.poll_changes(&Context::from_waker(&waker));
    while_waiting();
    match first {
        Poll::Ready(changes) => changes,
        Poll::Pending => {
            assert!(task.was_woken(), "a change was made and the task sleeps on");
            match ticket.poll_changes(&Context::from_waker(&waker)) {
                Poll::Ready(changes) => changes,
                Poll::Pending => panic!("woken for nothing"),
            }
        }
    }
}

#[test]
fn a_change_is_seen_or_wakes() {
    check(|| {
        let interest = Interest::new(Vec::new());
        let mut ticket = interest.join();
        // What is published: visible before the mark, so whoever sees the mark sees it.
        let head = Arc::new(AtomicUsize::new(0));
        let writer = {
            let (interest, head) = (interest.clone(), head.clone());
            thread::spawn(move || {
                head.store(1, Ordering::Relaxed);
                interest.mark(FileId(7));
            })
        };
        let changes = finds(&mut ticket, || writer.join().expect("the writer ends"));
        assert_eq!(changes, Changes::Files(vec![FileId(7)]));
        assert_eq!(head.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn no_change_of_two_writers_is_lost() {
    check(|| {
        let interest = Interest::new(Vec::new());
        let mut ticket = interest.join();
        let writers = [1, 2].map(|file| {
            let interest = interest.clone();
            thread::spawn(move || interest.mark(FileId(file)))
        });
        let (task, waker) = Task::new();
        let mut seen = Vec::new();
        let mut look = |ticket: &mut Ticket| match ticket.poll_changes(&Context::from_waker(&waker)) {
            Poll::Ready(Changes::Files(files)) => {
                seen.extend(files.iter().map(|file| file.0));
                true
            }
            Poll::Ready(Changes::All) => panic!("nothing was said of all files"),
            Poll::Pending => false,
        };
        while look(&mut ticket) {}
        writers.into_iter().for_each(|writer| writer.join().expect("the writer ends"));
        if task.was_woken() {
            while look(&mut ticket) {}
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2], "each change once, and none without a wake-up");
    });
}

#[test]
fn a_new_set_of_files_is_seen_or_wakes() {
    check(|| {
        let interest = Interest::new(Vec::new());
        let mut ticket = interest.join();
        let watcher = {
            let interest = interest.clone();
            thread::spawn(move || {
                interest.set_members(vec![Arc::new(LogFile)]);
                interest.mark(FileId(1));
            })
        };
        let (task, waker) = Task::new();
        let (mut members, mut marked) = (0, false);
        let mut look = |ticket: &mut Ticket| {
            let Poll::Ready(changes) = ticket.poll_changes(&Context::from_waker(&waker)) else { return false };
            if let Some(new) = ticket.new_members() {
                members = new.len();
            }
            // Looking at all files finds what the mark is about, if the mark was set by then.
            marked |= changes == Changes::Files(vec![FileId(1)]) || changes == Changes::All;
            true
        };
        while look(&mut ticket) {}
        watcher.join().expect("the watcher ends");
        if task.was_woken() {
            while look(&mut ticket) {}
        }
        assert_eq!((members, marked), (1, true));
    });
}

#[test]
fn who_leaves_takes_nothing_from_who_stays() {
    check(|| {
        let interest = Interest::new(Vec::new());
        let (mut stays, mut leaves) = (interest.join(), interest.join());
        let (_, waker) = Task::new();
        assert!(leaves.poll_changes(&Context::from_waker(&waker)).is_pending());
        let leaver = thread::spawn(move || drop(leaves));
        let writer = {
            let interest = interest.clone();
            thread::spawn(move || interest.mark(FileId(3)))
        };
        let changes = finds(&mut stays, || {
            writer.join().expect("the writer ends");
            leaver.join().expect("the leaver ends");
        });
        assert_eq!(changes, Changes::Files(vec![FileId(3)]));
        assert_eq!(interest.waiters(), 1);
    });
}

#[test]
fn a_drain_wakes_who_waits() {
    check(|| {
        let interest = Interest::new(Vec::new());
        let mut ticket = interest.join();
        let draining = Arc::new(AtomicBool::new(false));
        let drain = {
            let (interest, draining) = (interest.clone(), draining.clone());
            thread::spawn(move || {
                draining.store(true, Ordering::Release);
                interest.wake_all();
            })
        };
        let (task, waker) = Task::new();
        // As a subscription does: leave the waker, then look at the flag.
        assert!(ticket.poll_changes(&Context::from_waker(&waker)).is_pending());
        let seen = draining.load(Ordering::Acquire);
        drain.join().expect("the drain ends");
        assert!(seen || task.was_woken());
    });
}

// ---- Single flight ----

#[derive(Clone, Debug, PartialEq, Eq)]
struct Thing(usize);
impl Weigh for Thing {
    fn weight(&self) -> usize {
        self.0
    }
}
type Things = Cache<u32, Thing, &'static str>;

/// Room for exactly one thing of weight 1.
const ROOM_FOR_ONE: usize = 1 + limits::CACHE_ITEM_OVERHEAD_BYTES;

/// What a thread got.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Hit(Thing),
    Led,
    Waited(Landed<Thing, &'static str>),
}

/// A thread that sleeps until its task is woken; when that never happens, loom reports a deadlock.
struct Sleeper(Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits as a task does: looks, and sleeps until it is woken.
fn wait(mut waiting: Waiting<Thing, &'static str>) -> Landed<Thing, &'static str> {
    let sleeper = Arc::new(Sleeper(Notify::new()));
    let waker: Waker = sleeper.clone().into();
    loop {
        match waiting.poll(&Context::from_waker(&waker)) {
            Poll::Ready(landed) => return landed,
            Poll::Pending => sleeper.0.wait(),
        }
    }
}

fn get(cache: &Arc<Things>, key: u32, lead: impl FnOnce(Lead<u32, Thing, &'static str>)) -> Got {
    match cache.ask(&key, |_| true) {
        Answer::Hit(thing) => Got::Hit(thing),
        Answer::Wait(waiting) => Got::Waited(wait(waiting)),
        Answer::Lead(duty) => {
            lead(duty);
            Got::Led
        }
    }
}

#[test]
fn one_makes_it_and_all_get_it() {
    check(|| {
        let (cache, made) = (Things::new(ROOM_FOR_ONE), Arc::new(AtomicUsize::new(0)));
        let ask = {
            let (cache, made) = (cache.clone(), made.clone());
            move || {
                get(&cache, 1, |duty| {
                    made.fetch_add(1, Ordering::SeqCst);
                    duty.fulfil(Thing(1));
                })
            }
        };
        let others = [thread::spawn(ask.clone()), thread::spawn(ask.clone())];
        let mut got = vec![ask()];
        got.extend(others.into_iter().map(|other| other.join().expect("it ends")));
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(got.iter().filter(|got| **got == Got::Led).count(), 1);
        for got in got.iter().filter(|got| **got != Got::Led) {
            assert!([Got::Hit(Thing(1)), Got::Waited(Landed::Value(Thing(1)))].contains(got), "{got:?}");
        }
    });
}

#[test]
fn with_no_room_who_waits_gets_it_all_the_same() {
    check(|| {
        let cache = Things::new(0);
        let other = {
            let cache = cache.clone();
            thread::spawn(move || get(&cache, 1, |duty| duty.fulfil(Thing(1))))
        };
        let mine = get(&cache, 1, |duty| duty.fulfil(Thing(1)));
        for got in [mine, other.join().expect("it ends")] {
            assert!([Got::Led, Got::Waited(Landed::Value(Thing(1)))].contains(&got), "{got:?}");
        }
        assert_eq!(cache.bytes(), 0);
    });
}

#[test]
fn a_leader_that_vanishes_or_fails_leaves_nobody_waiting() {
    check(|| {
        let cache = Things::new(ROOM_FOR_ONE);
        let others = [false, true].map(|vanishes| {
            let cache = cache.clone();
            thread::spawn(move || get(&cache, 1, |duty| if vanishes { drop(duty) } else { duty.fail("no") }))
        });
        for other in others {
            let got = other.join().expect("it ends");
            let over = [Got::Led, Got::Waited(Landed::Abandoned), Got::Waited(Landed::Failed("no"))];
            assert!(over.contains(&got), "{got:?}");
        }
        assert_eq!(get(&cache, 1, |duty| duty.fulfil(Thing(1))), Got::Led, "a failure is not kept");
    });
}

#[test]
fn who_stops_waiting_disturbs_nobody() {
    check(|| {
        let cache = Things::new(ROOM_FOR_ONE);
        let Answer::Lead(duty) = cache.ask(&1, |_| true) else { panic!("nobody asked before") };
        let (stays, mut leaves) = (duty.waiting(), duty.waiting());
        let (_, waker) = Task::new();
        assert!(leaves.poll(&Context::from_waker(&waker)).is_pending());
        let leaver = thread::spawn(move || drop(leaves));
        let leader = thread::spawn(move || duty.fulfil(Thing(1)));
        assert_eq!(wait(stays), Landed::Value(Thing(1)));
        leaver.join().expect("it ends");
        leader.join().expect("it ends");
    });
}

#[test]
fn the_budget_is_kept_while_others_are_evicted() {
    check(|| {
        let cache = Things::new(ROOM_FOR_ONE);
        let others = [1, 2].map(|key| {
            let cache = cache.clone();
            thread::spawn(move || get(&cache, key, |duty| duty.fulfil(Thing(1))))
        });
        assert!(cache.bytes() <= ROOM_FOR_ONE);
        for other in others {
            assert_eq!(other.join().expect("it ends"), Got::Led);
        }
        assert_eq!(cache.bytes(), ROOM_FOR_ONE);
        assert_eq!([1, 2].map(|key| cache.peek(&key)).into_iter().flatten().count(), 1);
        // What was evicted is made again, and evicts the other.
        let gone = if cache.peek(&1).is_none() { 1 } else { 2 };
        assert_eq!(get(&cache, gone, |duty| duty.fulfil(Thing(1))), Got::Led);
        assert_eq!((cache.peek(&gone), cache.bytes()), (Some(Thing(1)), ROOM_FOR_ONE));
    });
}
