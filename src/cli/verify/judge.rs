//! Holds what came to a client against what was written. Knows neither files nor connections.

use std::ops::Range;

use super::{histogram::Histogram, line::Line};

/// What came to one client so far.
#[derive(Debug)]
pub struct Judge {
    logs: Vec<Log>,
    counts: Counts,
    latency: Histogram,
}

/// What came to a client, in numbers of lines unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that came, each counted once.
    pub received: u64,
    /// Lines that never came, and that no gap was announced for.
    pub lost: u64,
    /// Lines of files of which none came before they were deleted: nobody may have seen those files.
    pub unseen: u64,
    /// Lines that came once more.
    pub repeated: u64,
    /// Lines that came after a later one of their log.
    pub disordered: u64,
    /// Entries that are no line as it was written, or of another log than they say.
    pub damaged: u64,
    /// Gaps that were announced.
    pub gaps: u64,
    /// Lines that never came, as a gap announced.
    pub missing: u64,
}

impl Counts {
    /// Whether every line came once and in order, or its absence was announced.
    pub const fn is_exact(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.disordered == 0 && self.damaged == 0
    }
}

/// What came of one log.
#[derive(Clone, Debug, Default)]
struct Log {
    /// The number after the greatest that came.
    next: u64,
    /// Numbers below `next` that did not come, in order; disjoint.
    holes: Vec<Hole>,
    /// Whether a gap was announced since the last line.
    gap: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hole {
    numbers: Range<u64>,
    announced: bool,
}

impl Judge {
    /// A judge of a client that is to receive so many logs.
    pub fn new(logs: u32) -> Self {
        Self { logs: (0..logs).map(|_| Log::default()).collect(), counts: Counts::default(), latency: Histogram::new() }
    }

    /// Takes an entry of a log, which came at `now`.
    pub fn entry(&mut self, log: Option<u32>, message: &[u8], now: u64) {
        match (Line::read(message), log) {
            (Some(line), Some(log)) if line.log == log && (log as usize) < self.logs.len() => self.line(line, now),
            _ => self.counts.damaged += 1,
        }
    }

    fn line(&mut self, line: Line, now: u64) {
        let log = &mut self.logs[line.log as usize];
        let gap = std::mem::take(&mut log.gap);
        if line.number >= log.next {
            if line.number > log.next {
                log.holes.push(Hole { numbers: log.next..line.number, announced: gap });
            }
            log.next = line.number + 1;
        } else if log.fill(line.number) {
            self.counts.disordered += 1;
        } else {
            self.counts.repeated += 1;
            return;
        }
        self.counts.received += 1;
        self.latency.add(now.saturating_sub(line.at));
    }

    /// Takes the announcement that lines of a log are missing, or of one that is none of these.
    pub fn gap(&mut self, log: Option<u32>) {
        self.counts.gaps += 1;
        if let Some(log) = log.and_then(|log| self.logs.get_mut(log as usize)) {
            log.gap = true;
        }
    }

    /// Whether nothing more is to be expected when so many lines of each log were written.
    pub fn has_seen(&self, written: &[u64]) -> bool {
        self.logs.iter().zip(written).all(|(log, written)| log.next >= *written)
    }

    /// What came, when so many lines of each log were written and no more is to be expected. `deleted` has the numbers of
    /// the lines in each file that was deleted, by log.
    pub fn counts(&self, written: &[u64], deleted: &[Vec<Range<u64>>]) -> Counts {
        let mut counts = self.counts;
        for (number, (log, written)) in self.logs.iter().zip(written).enumerate() {
            let rest = (log.next < *written).then_some(Hole { numbers: log.next..*written, announced: log.gap });
            for Hole { numbers, announced } in log.holes.iter().chain(&rest) {
                let lines = numbers.end - numbers.start;
                if *announced {
                    counts.missing += lines;
                    continue;
                }
                let files = deleted.get(number).into_iter().flatten();
                let whole = files.filter(|file| numbers.start <= file.start && file.end <= numbers.end);
                let unseen: u64 = whole.map(|file| file.end - file.start).sum();
                counts.unseen += unseen;
                counts.lost += lines - unseen;
            }
        }
        counts
    }

    /// Lines that came so far.
    pub const fn received(&self) -> u64 {
        self.counts.received
    }

    /// Lines that are lost, unless they come late, repeated, out of order or damaged so far.
    pub fn wrong_so_far(&self) -> u64 {
        let written: Vec<u64> = self.logs.iter().map(|log| log.next).collect();
        let counts = self.counts(&written, &[]);
        counts.lost + counts.repeated + counts.disordered + counts.damaged
    }

    /// How long lines took from being written to being received, in nanoseconds.
    pub const fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// The first numbers of each log that were lost, for whoever looks for the reason.
    pub fn first_lost(&self) -> Vec<(usize, Range<u64>)> {
        let lost = |log: &Log| log.holes.iter().find(|hole| !hole.announced).map(|hole| hole.numbers.clone());
        self.logs.iter().enumerate().filter_map(|(number, log)| Some((number, lost(log)?))).collect()
    }
}

impl Log {
    /// Takes a number out of the hole that it is in; false when it is in none.
    fn fill(&mut self, number: u64) -> bool {
        let Some(at) = self.holes.iter().position(|hole| hole.numbers.contains(&number)) else { return false };
        let Hole { numbers, announced } = self.holes.remove(at);
        let parts = [numbers.start..number, number + 1..numbers.end];
        let left = parts.into_iter().filter(|part| !part.is_empty()).map(|numbers| Hole { numbers, announced });
        self.holes.splice(at..at, left);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is counted when these numbers come of one log, `-1` being a gap, and ten were written.
    fn counts(numbers: &[i64]) -> Counts {
        let mut judge = Judge::new(1);
        for number in numbers {
            match u64::try_from(*number) {
                Ok(number) => judge.line(Line { log: 0, number, at: 5 }, 8),
                Err(_) => judge.gap(Some(0)),
            }
        }
        judge.counts(&[10], &[])
    }

    #[test]
    fn what_comes_once_and_in_order_is_exact() {
        let all = Counts { received: 10, ..Counts::default() };
        assert_eq!(counts(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), all);
        assert!(all.is_exact());
    }

    #[test]
    fn every_fault_is_counted_as_what_it_is() {
        let received = |received| Counts { received, ..Counts::default() };
        assert_eq!(counts(&[]), Counts { lost: 10, ..received(0) });
        assert_eq!(counts(&[0, 1, 2, 4, 5, 6, 7, 8, 9]), Counts { lost: 1, ..received(9) });
        assert_eq!(counts(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), Counts { lost: 1, ..received(9) });
        assert_eq!(counts(&[0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]), Counts { repeated: 2, ..received(10) });
        assert_eq!(counts(&[0, 2, 1, 3, 4, 8, 7, 5, 6, 9]), Counts { disordered: 4, ..received(10) });
        for counts in [counts(&[]), counts(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), counts(&[1, 0, 2, 3, 4, 5, 6, 7, 8, 9])]
        {
            assert!(!counts.is_exact());
        }
    }

    #[test]
    fn an_announced_gap_covers_what_is_missing_there_and_nothing_else() {
        let announced = counts(&[0, 1, -1, 5, 6, 7, 8, 9]);
        assert_eq!(announced, Counts { received: 7, gaps: 1, missing: 3, ..Counts::default() });
        assert!(announced.is_exact());
        assert_eq!(
            counts(&[0, 1, -1, 2, 5, 6, 7, 8, 9]),
            Counts { received: 8, gaps: 1, lost: 2, ..Counts::default() }
        );
        assert_eq!(counts(&[0, 1, 2, 3, -1]), Counts { received: 4, gaps: 1, missing: 6, ..Counts::default() });
    }

    #[test]
    fn a_deleted_file_of_which_nothing_came_may_not_have_been_seen() {
        let mut judge = Judge::new(1);
        for number in [0, 1, 7, 9] {
            judge.line(Line { log: 0, number, at: 0 }, 0);
        }
        let counted = |deleted: &[Range<u64>]| {
            let counts = judge.counts(&[10], &[deleted.to_vec()]);
            (counts.lost, counts.unseen)
        };
        assert_eq!(counted(&[]), (6, 0));
        assert_eq!(counted(&[2..5, 5..7]), (1, 5));
        // Of these something came, so somebody had seen them.
        assert_eq!(counted(&[1..5, 5..8, 9..10]), (6, 0));
    }

    #[test]
    fn what_is_no_line_of_its_log_is_damage() {
        let mut judge = Judge::new(2);
        let mut line = Vec::new();
        Line { log: 1, number: 0, at: 0 }.push(&mut line, jiff::Timestamp::UNIX_EPOCH, 5);
        line.pop();
        judge.entry(Some(0), &line, 0);
        judge.entry(None, &line, 0);
        judge.entry(Some(1), &line[1..], 0);
        judge.entry(Some(1), &line, 9);
        assert_eq!(judge.counts(&[0, 1], &[]), Counts { received: 1, damaged: 3, ..Counts::default() });
        assert_eq!(judge.latency().greatest(), 9);
        assert!(judge.has_seen(&[0, 1]) && !judge.has_seen(&[1, 1]));
    }

    #[test]
    fn the_first_lost_lines_are_named() {
        let mut judge = Judge::new(2);
        for number in [0, 3, 9] {
            judge.line(Line { log: 1, number, at: 0 }, 0);
        }
        assert_eq!(judge.first_lost(), [(1, 1..3)]);
    }
}
