//! One cache for all that was read and encoded, with a budget in bytes and a single flight for each thing.
//!
//! Whoever asks first for something that is not there leads: it makes the thing, and everybody who asks meanwhile waits
//! for that one flight. What a flight brings is handed to those who wait through the flight itself, so a cache with
//! room for nothing still serves everybody who asked.
//!
//! What nobody but its maker has asked for has an eighth of the budget to itself. One who reads a whole file alone
//! therefore goes through little memory again and again, which stays in the processor's own cache, and drives out nothing
//! that is shared.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use lru::LruCache;

use crate::{
    limits::{CACHE_FRESH_BYTES_MIN, CACHE_FRESH_SHARE, CACHE_ITEM_OVERHEAD_BYTES},
    sync::{Mutex, lock},
};

/// Things that know how many bytes they hold.
pub trait Weigh: Clone {
    /// Bytes of memory.
    fn weight(&self) -> usize;
}

/// A cache of `V`s by `K`; `E` is why one could not be made.
pub struct Cache<K, V, E> {
    inner: Mutex<Inner<K, V, E>>,
    budget: usize,
}

struct Inner<K, V, E> {
    /// What was made and not asked for since.
    fresh: Shelf<K, V>,
    /// What was asked for again.
    shared: Shelf<K, V>,
    flights: HashMap<K, Arc<Flight<V, E>>>,
}

/// Things up to a number of bytes, those that were used last.
struct Shelf<K, V> {
    things: LruCache<K, V>,
    /// Their bytes, overhead included; never above the room while the lock is free.
    bytes: usize,
    room: usize,
}

impl<K: Hash + Eq, V: Weigh> Shelf<K, V> {
    fn new(room: usize) -> Self {
        Self { things: LruCache::unbounded(), bytes: 0, room }
    }

    fn put(&mut self, key: K, value: V) {
        let added = weight(&value);
        self.take(&key);
        if added > self.room {
            return;
        }
        self.bytes += added;
        self.things.put(key, value);
        while self.bytes > self.room {
            let Some((_, oldest)) = self.things.pop_lru() else { break };
            self.bytes -= weight(&oldest);
        }
    }

    fn take(&mut self, key: &K) -> Option<V> {
        let value = self.things.pop(key)?;
        self.bytes -= weight(&value);
        Some(value)
    }
}

/// Bytes that keeping a thing costs.
fn weight(value: &impl Weigh) -> usize {
    value.weight() + CACHE_ITEM_OVERHEAD_BYTES
}

impl<K: Hash + Eq + Clone, V: Weigh, E> Inner<K, V, E> {
    /// What is kept under `key`.
    fn find(&mut self, key: &K) -> Option<&V> {
        match self.shared.things.get(key) {
            Some(value) => Some(value),
            None => self.fresh.things.get(key),
        }
    }

    /// Keeps for longer what somebody else than its maker has asked for.
    fn share(&mut self, key: &K) {
        if self.shared.room > 0
            && let Some(value) = self.fresh.take(key)
        {
            self.shared.put(key.clone(), value);
        }
    }
}

/// Something being made.
pub struct Flight<V, E> {
    state: Mutex<FlightState<V, E>>,
}

struct FlightState<V, E> {
    landed: Option<Landed<V, E>>,
    waiters: Vec<(u64, Waker)>,
    next: u64,
}

/// How a flight ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landed<V, E> {
    /// With the thing.
    Value(V),
    /// With the reason why there is none; the next one to ask tries again.
    Failed(E),
    /// Its leader vanished.
    Abandoned,
}

/// The answer to a request.
pub enum Answer<K: Hash + Eq + Clone, V: Weigh, E: Clone> {
    /// Here it is.
    Hit(V),
    /// Somebody is making it.
    Wait(Waiting<V, E>),
    /// Nobody is: make it.
    Lead(Lead<K, V, E>),
}

/// The answer to somebody who would not make the thing.
pub enum Joined<V, E> {
    /// Here it is.
    Hit(V),
    /// Somebody is making it.
    Wait(Waiting<V, E>),
}

/// A place among those who wait for a flight.
pub struct Waiting<V, E> {
    flight: Arc<Flight<V, E>>,
    number: Option<u64>,
}

/// The duty to make something; dropping it undone tells those who wait.
pub struct Lead<K: Hash + Eq + Clone, V: Weigh, E: Clone> {
    cache: Arc<Cache<K, V, E>>,
    flight: Arc<Flight<V, E>>,
    key: Option<K>,
}

impl<K: Hash + Eq + Clone, V: Weigh, E: Clone> Cache<K, V, E> {
    /// A cache that keeps at most `budget` bytes.
    pub fn new(budget: usize) -> Arc<Self> {
        // A small cache has no parts.
        let fresh = (budget / CACHE_FRESH_SHARE).max(budget.min(CACHE_FRESH_BYTES_MIN));
        let inner = Inner { fresh: Shelf::new(fresh), shared: Shelf::new(budget - fresh), flights: HashMap::new() };
        Arc::new(Self { inner: Mutex::new(inner), budget })
    }

    /// Asks for something. What is kept but not `usable` any more is made anew.
    pub fn ask(self: &Arc<Self>, key: &K, usable: impl Fn(&V) -> bool) -> Answer<K, V, E> {
        let mut inner = lock(&self.inner);
        if let Some(value) = inner.find(key).filter(|value| usable(value)).cloned() {
            inner.share(key);
            return Answer::Hit(value);
        }
        if let Some(flight) = inner.flights.get(key) {
            return Answer::Wait(Waiting { flight: flight.clone(), number: None });
        }
        let state = FlightState { landed: None, waiters: Vec::new(), next: 0 };
        let flight = Arc::new(Flight { state: Mutex::new(state) });
        inner.flights.insert(key.clone(), flight.clone());
        Answer::Lead(Lead { cache: self.clone(), flight, key: Some(key.clone()) })
    }

    /// What is kept under `key`, or a place among those who wait for it to be made, if somebody does.
    pub fn join(&self, key: &K) -> Option<Joined<V, E>> {
        let mut inner = lock(&self.inner);
        if let Some(value) = inner.find(key) {
            return Some(Joined::Hit(value.clone()));
        }
        inner.flights.get(key).map(|flight| Joined::Wait(Waiting { flight: flight.clone(), number: None }))
    }

    /// Bytes that it keeps at most.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// What is kept under `key`, without asking for it to be made.
    pub fn peek(&self, key: &K) -> Option<V> {
        lock(&self.inner).find(key).cloned()
    }

    /// The same for somebody who did not make it: it is kept for longer.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut inner = lock(&self.inner);
        let value = inner.find(key).cloned();
        if value.is_some() {
            inner.share(key);
        }
        value
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        let inner = lock(&self.inner);
        inner.fresh.bytes + inner.shared.bytes
    }
}

impl<K: Hash + Eq + Clone, V: Weigh, E: Clone> Lead<K, V, E> {
    /// Brings the thing: it is kept, and handed to those who wait.
    pub fn fulfil(mut self, value: V) {
        self.land(Landed::Value(value), true);
    }

    /// Hands the thing to those who wait, but does not keep it.
    pub fn fulfil_unkept(mut self, value: V) {
        self.land(Landed::Value(value), false);
    }

    /// Tells those who wait why there is none.
    pub fn fail(mut self, error: E) {
        self.land(Landed::Failed(error), false);
    }

    /// A place among those who wait, for a leader that lets somebody else do the work.
    pub fn waiting(&self) -> Waiting<V, E> {
        Waiting { flight: self.flight.clone(), number: None }
    }

    /// Whether nobody waits any more.
    pub fn is_forsaken(&self) -> bool {
        lock(&self.flight.state).waiters.is_empty()
    }

    fn land(&mut self, landed: Landed<V, E>, keep: bool) {
        let Some(key) = self.key.take() else { return };
        {
            let mut inner = lock(&self.cache.inner);
            inner.flights.remove(&key);
            if let (Landed::Value(value), true) = (&landed, keep) {
                // What was there is not usable any more.
                inner.shared.take(&key);
                inner.fresh.put(key, value.clone());
            }
        }
        // After the cache: who asks from here on finds the thing or leads itself, and who asked before holds the
        // flight, which lands now.
        let wakers = {
            let mut state = lock(&self.flight.state);
            state.landed = Some(landed);
            std::mem::take(&mut state.waiters)
        };
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl<K: Hash + Eq + Clone, V: Weigh, E: Clone> Drop for Lead<K, V, E> {
    fn drop(&mut self) {
        self.land(Landed::Abandoned, false);
    }
}

impl<V: Clone, E: Clone> Waiting<V, E> {
    /// How the flight ended; else the task is woken when it does.
    pub fn poll(&mut self, context: &Context<'_>) -> Poll<Landed<V, E>> {
        let mut state = lock(&self.flight.state);
        if let Some(landed) = &state.landed {
            return Poll::Ready(landed.clone());
        }
        let waker = context.waker().clone();
        match self.number.and_then(|number| state.waiters.iter_mut().find(|(known, _)| *known == number)) {
            Some((_, known)) => *known = waker,
            None => {
                let number = state.next;
                state.next += 1;
                state.waiters.push((number, waker));
                self.number = Some(number);
            }
        }
        Poll::Pending
    }
}

impl<V, E> Drop for Waiting<V, E> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            lock(&self.flight.state).waiters.retain(|(known, _)| *known != number);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Weigh, E: Clone> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} of {} bytes)", self.bytes(), self.budget)
    }
}
