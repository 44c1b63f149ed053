//! Finding a time inside a file by halving it, though nothing but its lines tells their times.
//!
//! Lines are nearly in the order of their times: what is displaced by at most [`DISPLACED_MAX`] is found. Times that
//! cannot be right where they stand (1970 before the clock was set, a year in the future) are not looked at; where too
//! many of them follow each other the file is read whole.

use super::{Cell, CellError, Encoding, ReadAt, cell::Plan, lines};
use crate::{
    entry::{Nanos, Offset},
    limits::{DISPLACED_MAX, GRID_BYTES, SEEK_TRIES_MAX},
};

/// Where to begin, so that every record of `since` or later is read: records before that place are earlier.
///
/// # Errors
/// As the reader; [`CellError::Changed`] when the promised bytes are not there.
pub fn start_for(reader: &(impl ReadAt + ?Sized), plan: &Plan<'_>, since: Nanos) -> Result<Offset, CellError> {
    // In an hour that comes twice the order of the times begins anew: what belongs may lie in the first or the second one.
    let since = plan.rules.fold_with(since).map_or(since, |fold| fold.start);
    let bound = since.0.saturating_sub(displaced_max());
    let halves = halve(reader, plan, |probe| probe.latest < bound)?;
    Ok(halves.map_or(Offset::ZERO, |halves| halves.early))
}

/// Where to end, so that every record before `until` is read: records from that place on are not. None where there is
/// no such place, or it is not found.
///
/// # Errors
/// As [`start_for`].
pub fn stop_for(reader: &(impl ReadAt + ?Sized), plan: &Plan<'_>, until: Nanos) -> Result<Option<Offset>, CellError> {
    let until = plan.rules.fold_with(until).map_or(until, |fold| fold.end);
    let bound = until.0.saturating_add(displaced_max());
    let halves = halve(reader, plan, |probe| probe.earliest <= bound)?;
    Ok(halves.and_then(|halves| halves.late))
}

/// Where to end if the first record with a credible time is too late for `until` already: at the beginning. For what can
/// only be read forward.
///
/// # Errors
/// As [`start_for`].
pub fn stop_at_once(
    reader: &(impl ReadAt + ?Sized),
    plan: &Plan<'_>,
    until: Nanos,
) -> Result<Option<Offset>, CellError> {
    let credible = Credible { from: UNSET_CLOCK, to: plan.mtime.0 };
    let cell = Cell::read(reader, plan)?;
    let late = probe(&cell, credible).filter(|probe| probe.earliest > until.0.saturating_add(displaced_max()));
    Ok(late.map(|_| Offset::ZERO))
}

/// Nanoseconds from the epoch on, a year, in which no log is written: a clock that was never set shows them.
const UNSET_CLOCK: i64 = 365 * 86_400 * 1_000_000_000;

/// [`DISPLACED_MAX`] in nanoseconds.
fn displaced_max() -> i64 {
    DISPLACED_MAX.as_nanos() as i64
}

/// A place between what is early and what is late.
struct Halves {
    /// Start of the last cell that is known to be early; the beginning where none is.
    early: Offset,
    /// The first record that is known to be late.
    late: Option<Offset>,
}

/// What one cell tells.
#[derive(Clone, Copy)]
struct Probe {
    /// Where its first record starts.
    start: Offset,
    /// Where its first record with a credible time starts.
    timed: Offset,
    /// The earliest credible time in it.
    earliest: i64,
    /// The latest one.
    latest: i64,
}

/// What looking for a cell with credible times brought.
enum Found {
    At(Probe),
    /// There is none before the end of the stretch.
    None,
    /// There may be one, but not near.
    TooFar,
}

/// Times that are credible between two places.
#[derive(Clone, Copy)]
struct Credible {
    from: i64,
    to: i64,
}

impl Credible {
    fn contains(self, time: Nanos) -> bool {
        self.from.saturating_sub(displaced_max()) <= time.0 && time.0 <= self.to.saturating_add(displaced_max())
    }
}

/// Halves the stretch between a cell that is early and one that is not until they are neighbours. None when too many
/// times in a row are not credible.
fn halve(
    reader: &(impl ReadAt + ?Sized),
    plan: &Plan<'_>,
    is_early: impl Fn(&Probe) -> bool,
) -> Result<Option<Halves>, CellError> {
    let cells = plan.head.0.div_ceil(GRID_BYTES);
    let mut credible = Credible { from: UNSET_CLOCK, to: plan.mtime.0 };
    let Found::At(first) = probe_from(reader, plan, 0..cells, credible)? else { return Ok(None) };
    if !is_early(&first) {
        return Ok(Some(Halves { early: Offset::ZERO, late: Some(first.timed) }));
    }
    credible.from = credible.from.max(first.earliest);
    let (mut low, mut high) = (first.start.0 / GRID_BYTES, cells);
    let mut halves = Halves { early: first.start, late: None };
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        match probe_from(reader, plan, middle..high, credible)? {
            Found::At(probe) if is_early(&probe) => {
                (low, halves.early) = (probe.start.0 / GRID_BYTES, probe.start);
                credible.from = credible.from.max(probe.earliest);
            }
            Found::At(probe) => {
                (high, halves.late) = (middle, Some(probe.timed));
                credible.to = credible.to.min(probe.latest);
            }
            Found::None => high = middle,
            Found::TooFar => return Ok(None),
        }
    }
    Ok(Some(halves))
}

/// The first cell on the stretches `cells` of the grid in which a credible time stands.
fn probe_from(
    reader: &(impl ReadAt + ?Sized),
    plan: &Plan<'_>,
    cells: std::ops::Range<u64>,
    credible: Credible,
) -> Result<Found, CellError> {
    let mut index = cells.start;
    for _ in 0..SEEK_TRIES_MAX {
        if index >= cells.end {
            return Ok(Found::None);
        }
        let Some(start) = record_start(reader, index, plan)? else { return Ok(Found::None) };
        // A long line hides the stretches that it covers.
        index = start.0 / GRID_BYTES;
        if index >= cells.end || start >= plan.head {
            return Ok(Found::None);
        }
        let cell = Cell::read(reader, &Plan { start, ..plan.clone() })?;
        if let Some(probe) = probe(&cell, credible) {
            return Ok(Found::At(probe));
        }
        index += 1;
    }
    Ok(if index < cells.end { Found::TooFar } else { Found::None })
}

/// The first start of a record on or after a line of the grid.
fn record_start(reader: &(impl ReadAt + ?Sized), index: u64, plan: &Plan<'_>) -> Result<Option<Offset>, CellError> {
    if index == 0 {
        return Ok(Some(Offset::ZERO));
    }
    let from = Offset(index * GRID_BYTES - 1);
    lines::first_line_end(reader, Encoding::of(&plan.beginning), from, plan.head)
        .map_err(|error| CellError::Io(from, error))
}

fn probe(cell: &Cell, credible: Credible) -> Option<Probe> {
    let own = |(_, meta): &(usize, &crate::file::cell::Meta)| !meta.borrowed_time && credible.contains(meta.time);
    let mut times = cell.metas().iter().enumerate().filter(own).map(|(index, meta)| (index, meta.time.0));
    let (index, time) = times.next()?;
    let first = Probe { start: cell.start(), timed: cell.start_of(index), earliest: time, latest: time };
    Some(times.fold(first, |probe, (_, time)| Probe {
        earliest: probe.earliest.min(time),
        latest: probe.latest.max(time),
        ..probe
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        limits::CONTEXT_BYTES,
        parse::{Rules, RulesSpec},
    };

    const SECOND: i64 = 1_000_000_000;
    /// 2026-01-01T00:00:00Z.
    const BEGIN: i64 = 1_767_225_600;

    fn line(second: i64, text: &str) -> String {
        let time = jiff::Timestamp::from_second(second).expect("a time");
        format!("{time} INFO {text}\n")
    }

    /// A line of 100 bytes a second, with `change` made to some.
    fn file(seconds: i64, change: impl Fn(i64) -> Option<String>) -> String {
        let padding = "x".repeat(70);
        (0..seconds).map(|n| change(n).unwrap_or_else(|| line(BEGIN + n, &format!("{n} {padding}")))).collect()
    }

    /// Where reading starts and stops for these seconds after the beginning.
    fn seek(text: &str, mtime: i64, since: i64, until: i64) -> (u64, Option<u64>) {
        let rules = Arc::new(Rules::new(&RulesSpec::default()).expect("rules"));
        let bytes = text.as_bytes();
        let plan = Plan {
            start: Offset::ZERO,
            head: Offset(bytes.len() as u64),
            beginning: bytes[..bytes.len().min(CONTEXT_BYTES)].into(),
            rules: &rules,
            line_max: 1 << 20,
            mtime: Nanos((BEGIN + mtime) * SECOND),
        };
        let nanos = |second| Nanos((BEGIN + second) * SECOND);
        let start = start_for(bytes, &plan, nanos(since)).expect("memory never fails");
        let stop = stop_for(bytes, &plan, nanos(until)).expect("memory never fails");
        (start.0, stop.map(|at| at.0))
    }

    /// Checks that everything between the two seconds is read, and not much else.
    #[track_caller]
    fn check(text: &str, mtime: i64, since: i64, until: i64) {
        let (start, stop) = seek(text, mtime, since, until);
        let at = |second: i64| text.find(&line(BEGIN + second, "")[..20]).expect("a line of that second") as u64;
        let slack = (DISPLACED_MAX.as_secs() as i64 + 10) * 100 + 2 * GRID_BYTES as i64;
        assert!(start <= at(since) && (at(since) - start) as i64 <= slack, "starts at {start} of {}", at(since));
        let stop = stop.unwrap_or(text.len() as u64);
        assert!(at(until) <= stop && (stop - at(until)) as i64 <= slack, "stops at {stop} of {}", at(until));
        assert!(text.as_bytes()[..start as usize].last().is_none_or(|byte| *byte == b'\n'));
    }

    /// Clocks in Berlin are set back at 2026-10-25T01:00:00Z: from three in the morning to two.
    #[test]
    fn an_hour_that_comes_twice_is_read_from_its_first_time_on() {
        let back = 1_792_890_000;
        let spec = RulesSpec { timezone: "Europe/Berlin".into(), ..RulesSpec::default() };
        let rules = Arc::new(Rules::new(&spec).expect("the zone is known"));
        let padding = "z".repeat(60);
        // Three hours before and after, a line a second, with the time that the clock shows.
        let lines: Vec<_> = (back - 10_800..back + 10_800)
            .map(|second| {
                let east = if second < back { 7200 } else { 3600 };
                let shown = jiff::Timestamp::from_second(second + east).expect("a time").to_string();
                let read = if (back..back + 3600).contains(&second) { second - 3600 } else { second };
                (read, format!("{} INFO {second} {padding}\n", shown.trim_end_matches('Z').replace('T', " ")))
            })
            .collect();
        let text: String = lines.iter().map(|(_, line)| line.as_str()).collect();
        let bytes = text.as_bytes();
        let plan = Plan {
            start: Offset::ZERO,
            head: Offset(bytes.len() as u64),
            beginning: bytes[..CONTEXT_BYTES].into(),
            rules: &rules,
            line_max: 1 << 20,
            mtime: Nanos((back + 10_800) * SECOND),
        };
        for time in
            (back - 9_000..back + 9_000).step_by(777).chain([back - 3600, back - 1, back, back + 1, back + 3600])
        {
            let nanos = Nanos(time * SECOND);
            let start = start_for(bytes, &plan, nanos).expect("memory never fails").0;
            let stop = stop_for(bytes, &plan, nanos).expect("memory never fails").map_or(bytes.len() as u64, |at| at.0);
            let mut at = 0;
            for (read, line) in &lines {
                assert!(*read < time || start <= at, "since {}: a line at {at} is before {start}", time - back);
                assert!(*read >= time || at < stop, "until {}: a line at {at} is behind {stop}", time - back);
                at += line.len() as u64;
            }
        }
    }

    #[test]
    fn a_time_is_found_in_an_ordered_file() {
        let text = file(50_000, |_| None);
        for (since, until) in [(0, 1), (1, 49_999), (25_000, 25_001), (7_000, 40_000), (49_998, 49_999)] {
            check(&text, 50_000, since, until);
        }
        assert_eq!(seek(&text, 50_000, -10_000, -5_000).0, 0);
        assert_eq!(seek(&text, 50_000, -10_000, -5_000).1, Some(0));
        assert_eq!(seek(&text, 50_000, 60_000, 60_000).1, None);
    }

    #[test]
    fn lines_without_times_and_with_impossible_ones_do_not_mislead() {
        let padding = "y".repeat(90);
        let odd = |n: i64| match n {
            n if (20_000..30_000).contains(&n) => Some(format!("no time {n} {padding}\n")),
            n if n % 1_000 < 700 => Some(line(n % 1_000, &padding)),
            n if n % 1_000 == 701 => Some(line(BEGIN * 2, &padding)),
            _ => None,
        };
        let text = file(50_000, odd);
        for (since, until) in [(800, 900), (15_900, 35_800), (31_800, 45_990), (49_990, 49_999)] {
            let (start, stop) = seek(&text, 50_000, since, until);
            let at = |second: i64| text.find(&line(BEGIN + second, "")[..20]).expect("a line") as u64;
            assert!(start <= at(since) && stop.is_none_or(|stop| at(until) <= stop), "{since} {start} {stop:?}");
        }
    }

    #[test]
    fn a_file_that_tells_no_time_is_read_whole() {
        let text = format!("{}\n", "nothing ".repeat(200)).repeat(5_000);
        assert_eq!(seek(&text, 0, -5, 5), (0, None));
        assert_eq!(seek("", 0, -5, 5), (0, None));
    }

    #[test]
    fn a_line_longer_than_many_cells_is_passed() {
        let long = line(BEGIN + 10_000, &"z".repeat(500_000));
        let text = file(20_000, |n| (n == 10_000).then(|| long.clone()));
        check(&text, 20_000, 5_000, 9_000);
        check(&text, 20_000, 15_000, 19_000);
    }
}
