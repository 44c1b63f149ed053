//! Where long searches run: few at a time, in the order in which they were asked for, and in short pieces, so that neither
//! those who read live nor other searches wait for them. One that hangs on a dead file system keeps no other from its turn.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Instant,
};

use tokio::sync::oneshot;

use crate::{
    limits::SCAN_STUCK_AFTER,
    sync::{Mutex, lock},
};

type Job = Box<dyn FnOnce() + Send>;

/// Places for pieces of work, and those who wait for one.
pub struct Room {
    places: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The work that is being done, by a number, and since when.
    running: Vec<(u64, Instant)>,
    waiting: VecDeque<Job>,
    /// The number of the next one.
    next: u64,
    /// Whether somebody looks for work that hangs.
    is_watched: bool,
}

/// A place; who leaves it hands it to the next one.
struct Place(Arc<Room>, u64);

impl Room {
    /// A room with so many places.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), state: Mutex::default() })
    }

    /// Runs a piece of work, on a thread that may wait, once those who came before have their turn.
    pub fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let is_first = {
            let mut state = lock(&self.state);
            state.waiting.push_back(Box::new(job));
            !state.is_watched
        };
        self.admit();
        if is_first {
            self.watch();
        }
    }

    /// Begins with what waits, as far as there are places.
    fn admit(self: &Arc<Self>) {
        loop {
            let (job, place) = {
                let mut state = lock(&self.state);
                let busy = state.running.iter().filter(|(_, since)| since.elapsed() < SCAN_STUCK_AFTER).count();
                if busy >= self.places {
                    return;
                }
                let Some(job) = state.waiting.pop_front() else { return };
                let number = state.next;
                state.next += 1;
                state.running.push((number, Instant::now()));
                (job, Place(self.clone(), number))
            };
            place.take(job);
        }
    }

    /// While somebody waits, looks now and then whether what keeps them waiting hangs.
    fn watch(self: &Arc<Self>) {
        {
            let mut state = lock(&self.state);
            if state.waiting.is_empty() || std::mem::replace(&mut state.is_watched, true) {
                return;
            }
        }
        let room = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SCAN_STUCK_AFTER).await;
                let Some(room) = Weak::upgrade(&room) else { return };
                room.admit();
                let mut state = lock(&room.state);
                if state.waiting.is_empty() {
                    state.is_watched = false;
                    return;
                }
            }
        });
    }

    /// The same for one whose result is waited for.
    pub fn ask<T: Send + 'static>(self: &Arc<Self>, job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (job, receiver) = answered(job);
        self.run(job);
        receiver
    }

    /// Runs a short piece of work at once, in no room.
    pub fn ask_aside<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (job, receiver) = answered(job);
        tokio::task::spawn_blocking(job);
        receiver
    }
}

/// A job that tells its result, and where it is told.
fn answered<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        // Who has gone does not need it any more.
        if !sender.is_closed() {
            let _ = sender.send(job());
        }
    };
    (job, receiver)
}

impl Place {
    fn take(self, job: Job) {
        tokio::task::spawn_blocking(move || {
            // Left when this ends, in whatever way.
            let _place = self;
            job();
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0.state).running.retain(|(number, _)| *number != self.1);
        // Without a runtime there is nobody left who waits.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.0.admit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_that_hangs_keeps_no_other_from_its_turn() {
        let room = Room::new(1);
        let (release, hanging) = std::sync::mpsc::channel::<()>();
        let hangs = room.ask(move || hanging.recv().is_ok());
        let goes = room.ask(|| 5);
        assert_eq!(goes.await, Ok(5));
        release.send(()).expect("it hangs");
        assert_eq!(hangs.await, Ok(true));
        while !lock(&room.state).running.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn as_many_run_as_there_are_places_and_each_has_its_turn() {
        let room = Room::new(2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let asked: Vec<_> = (0..50)
            .map(|number| {
                let (running, most, order) = (running.clone(), most.clone(), order.clone());
                room.ask(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    lock(&order).push(number);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    assert!(number != 7, "one that fails leaves its place all the same");
                    number
                })
            })
            .collect();
        for (number, answer) in asked.into_iter().enumerate() {
            assert_eq!(answer.await.ok(), Some(number).filter(|number| *number != 7));
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        let order = lock(&order).clone();
        assert!(order.iter().enumerate().all(|(place, number)| place.abs_diff(*number) <= 2), "{order:?}");
    }
}
