//! The cache by itself. Not in its file, which the model checks of `tests/loom.rs` compile with loom's locks.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::cache::{Answer, Cache, Landed, Lead, Waiting, Weigh};
use crate::limits::CACHE_ITEM_OVERHEAD_BYTES;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Thing(usize);
impl Weigh for Thing {
    fn weight(&self) -> usize {
        self.0
    }
}
type Things = Cache<u32, Thing, &'static str>;

fn lead(cache: &Arc<Things>, key: u32) -> Lead<u32, Thing, &'static str> {
    match cache.ask(&key, |_| true) {
        Answer::Lead(lead) => lead,
        Answer::Hit(_) | Answer::Wait(_) => panic!("it was there"),
    }
}

fn poll(waiting: &mut Waiting<Thing, &'static str>) -> Poll<Landed<Thing, &'static str>> {
    waiting.poll(&Context::from_waker(Waker::noop()))
}

#[test]
fn the_budget_is_kept_and_the_oldest_go_first() {
    let cache = Things::new(3 * (100 + CACHE_ITEM_OVERHEAD_BYTES));
    (0..3).for_each(|key| lead(&cache, key).fulfil(Thing(100)));
    assert!(matches!(cache.ask(&0, |_| true), Answer::Hit(_)), "used, so not the oldest any more");
    lead(&cache, 3).fulfil(Thing(100));
    assert_eq!([0, 1, 2, 3].map(|key| cache.peek(&key).is_some()), [true, false, true, true]);
    assert_eq!(cache.bytes(), 3 * (100 + CACHE_ITEM_OVERHEAD_BYTES));
    lead(&cache, 4).fulfil(Thing(1 << 20));
    assert_eq!((cache.peek(&4), cache.peek(&3)), (None, Some(Thing(100))));
}

#[test]
fn what_is_shared_outlives_what_only_its_maker_needed() {
    let cache = Things::new(16 << 20);
    let thing = Thing((64 << 10) - CACHE_ITEM_OVERHEAD_BYTES);
    (0..2).for_each(|key| lead(&cache, key).fulfil(thing.clone()));
    assert_eq!(cache.get(&0), Some(thing.clone()), "asked for by another one");
    (2..100).for_each(|key| lead(&cache, key).fulfil(thing.clone()));
    assert_eq!([0, 1, 67, 68, 99].map(|key| cache.peek(&key).is_some()), [true, false, false, true, true]);
    assert_eq!(cache.bytes(), (2 << 20) + (64 << 10), "an eighth, and the one");
}

#[test]
fn with_no_room_those_who_wait_are_served_all_the_same() {
    let cache = Things::new(0);
    let first = lead(&cache, 1);
    let Answer::Wait(mut waiting) = cache.ask(&1, |_| true) else { panic!("it is being made") };
    assert!(poll(&mut waiting).is_pending());
    first.fulfil(Thing(5));
    assert_eq!(poll(&mut waiting), Poll::Ready(Landed::Value(Thing(5))));
    assert_eq!((cache.bytes(), cache.peek(&1)), (0, None));
}

#[test]
fn failure_is_told_and_not_kept() {
    let cache = Things::new(1 << 20);
    let first = lead(&cache, 1);
    let mut waiting = first.waiting();
    first.fail("no");
    assert_eq!(poll(&mut waiting), Poll::Ready(Landed::Failed("no")));
    lead(&cache, 1).fulfil(Thing(1));
}

#[test]
fn a_leader_that_vanishes_frees_the_others() {
    let cache = Things::new(1 << 20);
    let first = lead(&cache, 1);
    let mut waiting = first.waiting();
    assert!(poll(&mut waiting).is_pending() && !first.is_forsaken());
    drop(first);
    assert_eq!(poll(&mut waiting), Poll::Ready(Landed::Abandoned));
    drop(lead(&cache, 1));
}

#[test]
fn who_stops_waiting_is_not_counted() {
    let cache = Things::new(1 << 20);
    let first = lead(&cache, 1);
    let mut waiting = first.waiting();
    assert!(poll(&mut waiting).is_pending());
    drop(waiting);
    assert!(first.is_forsaken());
}

#[test]
fn what_is_not_usable_is_made_anew() {
    let cache = Things::new(1 << 20);
    lead(&cache, 1).fulfil(Thing(1));
    let Answer::Lead(again) = cache.ask(&1, |thing| thing.0 > 1) else { panic!("it is not usable") };
    again.fulfil(Thing(2));
    assert_eq!((cache.peek(&1), cache.bytes()), (Some(Thing(2)), 2 + CACHE_ITEM_OVERHEAD_BYTES));
}
