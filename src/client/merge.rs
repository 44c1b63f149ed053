//! Makes one stream of the streams of several hosts: their history by time, then what is new as it comes.
//!
//! Holds no more than what its lanes were given, copies nothing, and never looks at a clock: a batch goes in, runs of
//! its entries come out.

use std::collections::VecDeque;

use super::{
    host::Credit,
    wire::{Batch, Entry},
};

/// Merges the lanes of several hosts.
#[derive(Debug)]
pub struct Merge {
    lanes: Vec<LaneState>,
    /// Timestamps past this one are mistaken, and don't count for the order.
    latest: i64,
    /// Whether the history of all lanes is through. Never unset: who comes late does not hold up the others.
    live: bool,
    /// Batches that came so far.
    arrivals: u64,
    /// The lane that the last run came from.
    current: Option<usize>,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// It has history to give: nothing goes out before it has said what comes first.
    Backlog,
    /// What it gives is new.
    Live,
    /// It is not there, and nobody waits for it.
    Away {
        /// Whether it had given its history by then.
        caught_up: bool,
    },
    /// It gives no more.
    Ended,
}

#[derive(Debug)]
struct LaneState {
    lane: Lane,
    held: VecDeque<Held>,
    /// The largest timestamp that went out of this lane, which later ones are ordered as at least.
    newest: i64,
}

#[derive(Debug)]
struct Held {
    batch: Batch,
    _credit: Option<Credit>,
    /// Entries that went out already.
    gone: usize,
    /// Whether the batch has been named by a run.
    begun: bool,
    arrival: u64,
    /// Whether it came before all lanes were live, and so is to be put in order.
    history: bool,
}

/// Entries of one batch that go out next.
#[derive(Debug)]
pub struct Run<'a> {
    /// The lane that they come from.
    pub lane: usize,
    /// The batch that they belong to.
    pub batch: &'a Batch,
    /// The entries; none when only the batch's events and cursor are to be told.
    pub entries: &'a [Entry],
    /// Whether the batch begins here, and with it its events happen.
    pub first: bool,
    /// Whether the batch ends here, so that its cursor holds.
    pub last: bool,
}

impl Merge {
    /// A merge of `lanes` lanes, all with history to give. `latest` is the latest timestamp to believe, in nanoseconds.
    pub fn new(lanes: usize, latest: i64) -> Self {
        let lane = || LaneState { lane: Lane::Backlog, held: VecDeque::new(), newest: i64::MIN };
        Self { lanes: (0..lanes).map(|_| lane()).collect(), latest, live: false, arrivals: 0, current: None }
    }

    /// Takes the next batch of a lane.
    pub fn push(&mut self, lane: usize, batch: Batch, credit: Option<Credit>) {
        if batch.caught_up() {
            self.lanes[lane].lane = Lane::Live;
        }
        let history = self.has_backlog();
        let held = Held { batch, _credit: credit, gone: 0, begun: false, arrival: self.arrivals, history };
        self.arrivals += 1;
        self.lanes[lane].held.push_back(held);
    }

    /// Notes that a lane begins to answer, for the first time or again.
    pub fn answered(&mut self, lane: usize) {
        let state = &mut self.lanes[lane].lane;
        if let Lane::Away { caught_up } = *state {
            *state = if caught_up || self.live { Lane::Live } else { Lane::Backlog };
        }
    }

    /// Notes that a lane is not there, for now.
    pub fn lost(&mut self, lane: usize) {
        let state = &mut self.lanes[lane].lane;
        *state = match *state {
            Lane::Backlog => Lane::Away { caught_up: false },
            Lane::Live => Lane::Away { caught_up: true },
            other @ (Lane::Away { .. } | Lane::Ended) => other,
        };
    }

    /// Notes that a lane gives no more.
    pub fn ended(&mut self, lane: usize) {
        self.lanes[lane].lane = Lane::Ended;
    }

    /// Where a lane stands.
    pub fn lane(&self, lane: usize) -> Lane {
        self.lanes[lane].lane
    }

    /// What goes out next; `None` until another batch or note comes.
    pub fn next_run(&mut self) -> Option<Run<'_>> {
        self.drop_finished();
        let (lane, count) = self.choose()?;
        self.current = Some(lane);
        let LaneState { held, newest, .. } = &mut self.lanes[lane];
        let front = held.front_mut()?;
        let first = !std::mem::replace(&mut front.begun, true);
        let from = front.gone;
        front.gone += count;
        let entries = &front.batch.entries[from..front.gone];
        for entry in entries {
            *newest = order(*newest, entry.timestamp, self.latest);
        }
        Some(Run { lane, batch: &front.batch, entries, first, last: front.gone == front.batch.entries.len() })
    }

    /// The rest of every batch of which a part went out, in no order: after it every lane stands at a cursor.
    pub fn rest_of_begun(&mut self) -> Option<Run<'_>> {
        self.drop_finished();
        let begun = |state: &LaneState| state.held.front().is_some_and(|held| held.begun);
        let lane = self.lanes.iter().position(begun)?;
        self.current = Some(lane);
        let front = self.lanes[lane].held.front_mut()?;
        let from = std::mem::replace(&mut front.gone, front.batch.entries.len());
        Some(Run { lane, batch: &front.batch, entries: &front.batch.entries[from..], first: false, last: true })
    }

    /// Lets go of the batch that the last run finished.
    fn drop_finished(&mut self) {
        if let Some(lane) = self.current.take() {
            let held = &mut self.lanes[lane].held;
            if held.front().is_some_and(|front| front.begun && front.gone == front.batch.entries.len()) {
                held.pop_front();
            }
        }
    }

    fn has_backlog(&self) -> bool {
        self.lanes.iter().any(|state| state.lane == Lane::Backlog)
    }

    /// The lane that goes next, and how many entries of its first batch.
    fn choose(&mut self) -> Option<(usize, usize)> {
        // Events and cursors alone wait for nobody.
        let told = |state: &LaneState| state.held.front().is_some_and(|held| held.batch.entries.is_empty());
        if let Some(lane) = self.lanes.iter().position(told) {
            return Some((lane, 0));
        }
        if !self.live {
            let history = self.lanes.iter().any(|state| state.held.iter().any(|held| held.history));
            // As long as nobody has come, nobody is late.
            let somebody = self.lanes.iter().any(|state| matches!(state.lane, Lane::Live | Lane::Ended));
            self.live = somebody && !history && !self.has_backlog();
        }
        if self.live { self.choose_by_arrival() } else { self.choose_by_time() }
    }

    fn choose_by_arrival(&self) -> Option<(usize, usize)> {
        let fronts = self.lanes.iter().enumerate().filter_map(|(lane, state)| Some((lane, state.held.front()?)));
        let (lane, front) = fronts.min_by_key(|(_, front)| front.arrival)?;
        Some((lane, front.batch.entries.len() - front.gone))
    }

    /// Of the entries that come first in their lanes the earliest, and those after it up to the earliest of another
    /// lane; of two that are equally early, that of the earlier lane.
    fn choose_by_time(&self) -> Option<(usize, usize)> {
        let mut best: Option<(i64, usize)> = None;
        let mut bound: Option<(i64, usize)> = None;
        for (lane, state) in self.lanes.iter().enumerate() {
            let Some(front) = state.held.front() else {
                if state.lane == Lane::Backlog {
                    return None;
                }
                continue;
            };
            let here = (order(state.newest, front.batch.entries[front.gone].timestamp, self.latest), lane);
            if best.is_none_or(|best| here < best) {
                bound = best;
                best = Some(here);
            } else if bound.is_none_or(|bound| here < bound) {
                bound = Some(here);
            }
        }
        let (_, lane) = best?;
        let state = &self.lanes[lane];
        let front = state.held.front()?;
        let rest = &front.batch.entries[front.gone..];
        let Some(bound) = bound else { return Some((lane, rest.len())) };
        let mut newest = state.newest;
        let before = rest.iter().take_while(|entry| {
            newest = order(newest, entry.timestamp, self.latest);
            (newest, lane) < bound
        });
        Some((lane, before.count()))
    }
}

/// What an entry with `timestamp` is ordered as in a lane that has come to `newest`: a lane never goes back, and is not
/// held up by a time in the future.
fn order(newest: i64, timestamp: i64, latest: i64) -> i64 {
    if timestamp > latest { newest } else { newest.max(timestamp) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::proto::v1::{CaughtUp, Event, event::Kind};

    const LATEST: i64 = 1_000_000;

    fn batch(times: &[i64]) -> Batch {
        let entry = |time: &i64| Entry { timestamp: *time, ..Entry::default() };
        Batch { entries: times.iter().map(entry).collect(), ..Batch::default() }
    }

    fn caught_up(times: &[i64]) -> Batch {
        Batch { events: vec![Event { kind: Some(Kind::CaughtUp(CaughtUp {})) }], ..batch(times) }
    }

    /// Everything that can go out now, as (lane, time).
    fn drain(merge: &mut Merge) -> Vec<(usize, i64)> {
        let mut gone = Vec::new();
        while let Some(run) = merge.next_run() {
            gone.extend(run.entries.iter().map(|entry| (run.lane, entry.timestamp)));
        }
        gone
    }

    #[test]
    fn history_waits_for_every_lane_and_goes_by_time() {
        let mut merge = Merge::new(2, LATEST);
        merge.push(0, batch(&[1, 3, 5]), None);
        assert_eq!(drain(&mut merge), []);
        merge.push(1, batch(&[2, 3, 4]), None);
        assert_eq!(drain(&mut merge), [(0, 1), (1, 2), (0, 3), (1, 3), (1, 4)]);
        merge.ended(1);
        assert_eq!(drain(&mut merge), [(0, 5)]);
    }

    #[test]
    fn live_entries_come_as_they_come() {
        let mut merge = Merge::new(2, LATEST);
        merge.push(0, caught_up(&[10]), None);
        assert_eq!(drain(&mut merge), []);
        merge.push(1, batch(&[4]), None);
        merge.push(1, caught_up(&[]), None);
        assert_eq!(drain(&mut merge), [(1, 4), (0, 10)]);
        merge.push(1, batch(&[9]), None);
        merge.push(0, batch(&[8]), None);
        assert_eq!(drain(&mut merge), [(1, 9), (0, 8)]);
    }

    #[test]
    fn a_lane_that_is_lost_holds_nobody_up() {
        let mut merge = Merge::new(3, LATEST);
        merge.push(0, batch(&[1, 7]), None);
        merge.push(1, batch(&[2]), None);
        merge.lost(2);
        assert_eq!(drain(&mut merge), [(0, 1), (1, 2)]);
        merge.answered(2);
        merge.ended(1);
        assert_eq!(drain(&mut merge), []);
        merge.push(2, batch(&[3, 9]), None);
        assert_eq!(drain(&mut merge), [(2, 3), (0, 7)]);
        merge.ended(0);
        assert_eq!(drain(&mut merge), [(2, 9)]);
        merge.lost(2);
        assert_eq!(merge.lane(2), Lane::Away { caught_up: false });
        merge.answered(2);
        assert_eq!(merge.lane(2), Lane::Backlog);
    }

    #[test]
    fn who_comes_back_late_is_taken_as_it_comes() {
        let mut merge = Merge::new(2, LATEST);
        merge.lost(1);
        merge.push(0, caught_up(&[5]), None);
        assert_eq!(drain(&mut merge), [(0, 5)]);
        merge.answered(1);
        merge.push(0, batch(&[6]), None);
        merge.push(1, batch(&[1]), None);
        assert_eq!(drain(&mut merge), [(0, 6), (1, 1)]);
    }

    #[test]
    fn nobody_is_late_while_nobody_is_there() {
        let mut merge = Merge::new(2, LATEST);
        merge.lost(0);
        merge.lost(1);
        assert_eq!(drain(&mut merge), []);
        merge.answered(0);
        merge.answered(1);
        merge.push(0, batch(&[2]), None);
        assert_eq!(drain(&mut merge), []);
        merge.push(1, batch(&[1, 3]), None);
        assert_eq!(drain(&mut merge), [(1, 1), (0, 2)]);
    }

    #[test]
    fn a_time_in_the_future_holds_its_lane_not_up() {
        let mut merge = Merge::new(2, LATEST);
        merge.push(0, batch(&[1, LATEST + 1, 3]), None);
        merge.push(1, batch(&[2, 4]), None);
        merge.ended(0);
        merge.ended(1);
        assert_eq!(drain(&mut merge), [(0, 1), (0, LATEST + 1), (1, 2), (0, 3), (1, 4)]);
    }

    #[test]
    fn what_was_begun_can_be_finished() {
        let mut merge = Merge::new(2, LATEST);
        merge.push(0, batch(&[1, 9]), None);
        merge.push(1, batch(&[5]), None);
        let run = merge.next_run().expect("both lanes have said what comes first");
        assert_eq!((run.lane, run.entries.len(), run.first, run.last), (0, 1, true, false));
        let run = merge.rest_of_begun().expect("lane 0 is begun");
        assert_eq!((run.lane, run.entries[0].timestamp, run.first, run.last), (0, 9, false, true));
        assert!(merge.rest_of_begun().is_none());
    }

    proptest! {
        /// Whatever the batches: every entry once, each lane in its order, batches begun and ended once, and lanes that
        /// are ordered by time come out ordered by time.
        #[test]
        fn nothing_is_lost_or_doubled(
            lanes in prop::collection::vec(prop::collection::vec(prop::collection::vec(0_i64..50, 0..5), 0..5), 1..5),
            sorted in any::<bool>(),
            picks in prop::collection::vec(0_usize..5, 0..40),
        ) {
            let mut merge = Merge::new(lanes.len(), LATEST);
            let mut waiting: Vec<VecDeque<Vec<(i64, usize)>>> = Vec::new();
            let mut expected: Vec<Vec<(i64, usize)>> = Vec::new();
            for batches in &lanes {
                let mut times: Vec<i64> = batches.iter().flatten().copied().collect();
                if sorted {
                    times.sort_unstable();
                }
                let all: Vec<(i64, usize)> = times.into_iter().enumerate().map(|(number, time)| (time, number)).collect();
                let mut rest = all.iter().copied();
                waiting.push(batches.iter().map(|batch| rest.by_ref().take(batch.len()).collect()).collect());
                expected.push(all);
            }
            let mut gone: Vec<(usize, i64, usize)> = Vec::new();
            let mut begun = 0;
            let mut finished = 0;
            for step in picks.into_iter().chain(std::iter::repeat_n(0, 100)) {
                let lane = (0..lanes.len()).map(|n| (n + step) % lanes.len()).find(|lane| !waiting[*lane].is_empty());
                match lane {
                    Some(lane) => {
                        let entries = waiting[lane].pop_front().expect("not empty").into_iter().map(|(time, number)| Entry {
                            timestamp: time,
                            message: Bytes::from(number.to_string()),
                            ..Entry::default()
                        });
                        merge.push(lane, Batch { entries: entries.collect(), ..Batch::default() }, None);
                    }
                    None => (0..lanes.len()).for_each(|lane| merge.ended(lane)),
                }
                while let Some(run) = merge.next_run() {
                    begun += usize::from(run.first);
                    finished += usize::from(run.last);
                    let number = |entry: &Entry| String::from_utf8_lossy(&entry.message).parse().expect("a number");
                    gone.extend(run.entries.iter().map(|entry| (run.lane, entry.timestamp, number(entry))));
                }
            }
            let batches: usize = lanes.iter().map(Vec::len).sum();
            prop_assert_eq!((begun, finished), (batches, batches));
            for (lane, expected) in expected.iter().enumerate() {
                let own: Vec<_> = gone.iter().filter(|(l, ..)| *l == lane).map(|(_, time, n)| (*time, *n)).collect();
                prop_assert_eq!(&own, expected);
            }
            if sorted {
                prop_assert!(gone.is_sorted_by_key(|(_, time, _)| *time));
            }
        }
    }
}
