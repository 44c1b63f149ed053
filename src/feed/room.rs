//! Where long searches run: few at a time, in the order in which they were asked for, and in short pieces, so that neither
//! those who read live nor other searches wait for them.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::oneshot;

use crate::sync::{Mutex, lock};

type Job = Box<dyn FnOnce() + Send>;

/// Places for pieces of work, and those who wait for one.
pub struct Room {
    places: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    waiting: VecDeque<Job>,
}

/// A place; who leaves it hands it to the next one.
struct Place(Arc<Room>);

impl Room {
    /// A room with so many places.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), state: Mutex::default() })
    }

    /// Runs a piece of work, on a thread that may wait, once those who came before have their turn.
    pub fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.state);
        if state.taken < self.places {
            state.taken += 1;
            drop(state);
            Place(self.clone()).take(Box::new(job));
        } else {
            state.waiting.push_back(Box::new(job));
        }
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
        let next = {
            let mut state = lock(&self.0.state);
            let next = state.waiting.pop_front();
            state.taken -= usize::from(next.is_none());
            next
        };
        // Without a runtime there is nobody left who waits.
        match (next, tokio::runtime::Handle::try_current()) {
            (Some(job), Ok(_)) => Self(self.0.clone()).take(job),
            (Some(_), Err(_)) => lock(&self.0.state).taken -= 1,
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

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
