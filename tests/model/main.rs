//! Nothing lost, nothing twice, against a model: whatever happens to logs, their daemon and its subscribers, what each
//! subscriber gets is what was written, once and in order, or it is told exactly what is gone.
//!
//! A case is a list of actions over real files. It is made from a seed and can be run again by it:
//! `LOGTAP_MODEL_SEED=17 cargo test --test model`. Where nothing is said the same cases are run every time, so that who
//! changes something is told of that and of nothing else. `LOGTAP_MODEL_CASES`, the number of cases, or, ending with `m`,
//! of minutes, runs others each time, which is how new cases are found; `LOGTAP_MODEL_WITHOUT` names kinds of actions to
//! be left out, as they are printed, with commas.

mod action;
mod behind;
mod case;
mod copies;
mod daemon;
mod expect;
mod reader;
mod world;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use action::Counts;
use case::Case;
use tokio::runtime::{Builder, Runtime};

/// Cases that run where nothing else is said.
const CASES: u64 = 500;

/// The seed of the first of them.
const FIRST: u64 = 20_260_101;

/// Which cases to run.
struct Plan {
    first: u64,
    cases: u64,
    until: Option<Instant>,
    /// Kinds of actions that are left out.
    without: Vec<String>,
}

impl Plan {
    fn of_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let wanted = variable("LOGTAP_MODEL_CASES");
        let first = if wanted.is_some() { fastrand::u64(..) / 2 } else { FIRST };
        let cases = wanted.unwrap_or_else(|| CASES.to_string());
        let number = |text: &str| text.parse().expect("a number");
        let (cases, until) = match cases.strip_suffix('m') {
            Some(minutes) => (u64::MAX, Some(Instant::now() + Duration::from_secs(60 * number(minutes)))),
            None => (number(&cases), None),
        };
        let without = variable("LOGTAP_MODEL_WITHOUT").unwrap_or_default();
        let without = without.split(',').map(str::to_owned).collect();
        match variable("LOGTAP_MODEL_SEED") {
            Some(seed) => Self { first: number(&seed), cases: 1, until: None, without },
            None => Self { first, cases, until, without },
        }
    }
}

#[test]
fn whatever_happens_every_byte_comes_once_or_is_said_to_be_gone() {
    let plan = Plan::of_environment();
    let began = Instant::now();
    let taken = AtomicU64::new(0);
    let failed = AtomicU64::new(u64::MAX);
    let work = || {
        let mut counts = Counts::default();
        let mut cases = 0;
        while failed.load(Ordering::Relaxed) == u64::MAX && plan.until.is_none_or(|until| Instant::now() < until) {
            let index = taken.fetch_add(1, Ordering::Relaxed);
            if index >= plan.cases {
                break;
            }
            let case = Case::of(plan.first.wrapping_add(index), &plan.without);
            if run(&case, &mut counts).is_err() {
                failed.fetch_min(case.seed, Ordering::Relaxed);
            }
            cases += 1;
        }
        (cases, counts)
    };
    let mut cases = 0;
    let mut counts = Counts::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (ran, counted) = worker.join().expect("a case that panics is caught");
            cases += ran;
            counts.add(&counted);
        }
    });
    println!("first seed {}, {cases} cases, {} actions, {:?}", plan.first, counts.total(), began.elapsed());
    print!("{counts}");
    match failed.into_inner() {
        u64::MAX => {}
        seed => panic!("{}", told(&shrunk(Case::of(seed, &plan.without)))),
    }
}

/// A runtime with one thread that reads: what was asked of it before is done when it has come to the next thing.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().max_blocking_threads(1).build().expect("a runtime")
}

/// Runs a case by itself.
fn run(case: &Case, counts: &mut Counts) -> Result<(), String> {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| runtime().block_on(case.run(counts))));
    ran.unwrap_or_else(|_| Err("it panicked".to_owned()))
}

/// The case with as few of its actions as fail.
fn shrunk(mut case: Case) -> Case {
    let fails = |case: &Case| run(case, &mut Counts::default()).is_err();
    let mut step = case.actions.len().div_ceil(2);
    while step > 0 {
        let mut at = 0;
        while at < case.actions.len() {
            let mut fewer = case.clone();
            fewer.actions.drain(at..(at + step).min(case.actions.len()));
            if fails(&fewer) {
                case = fewer;
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    case
}

fn told(case: &Case) -> String {
    let why = run(case, &mut Counts::default()).err().unwrap_or_else(|| "it does not fail any more".to_owned());
    let actions: String = case.actions.iter().map(|action| format!("    {action:?},\n")).collect();
    format!("seed {}, of which these actions fail:\n{actions}{why}", case.seed)
}
