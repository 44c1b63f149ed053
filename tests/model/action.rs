//! What may happen to logs, their daemon and its subscribers: plain values, made from a seed and interpreted against
//! whatever is there, so that any part of a list of them is a list that can be run.

use std::{collections::BTreeMap, fmt};

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// How a rotated file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squeeze {
    Gzip,
    Zstd,
}

/// With what a client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The cursor of the last entry of each log that it has dealt with.
    Entry,
    /// The latest cursor of the whole stream.
    Whole,
    /// An earlier cursor of the whole stream, and those of all entries since.
    Overlay,
}

/// One thing that happens. `log` and `reader` count through those that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Whole lines are written; `size` chooses how long they are.
    Append { log: u8, lines: u8, size: u8 },
    /// Part of a line is written.
    AppendPart { log: u8 },
    /// Something is still written to the file that was rotated last.
    AppendLate { log: u8, whole: bool },
    /// The file is renamed as its log does it; a new one is made at once, or with the next line.
    Rotate { log: u8, create: bool, seen_between: bool },
    /// The file is copied as a rotation would name it, and truncated.
    CopyTruncate { log: u8, seen_between: bool },
    /// The oldest rotated file that is not compressed yet is.
    Compress { log: u8, how: Squeeze, seen_between: bool },
    /// The file is truncated.
    Truncate { log: u8 },
    /// The file is truncated and written again, past where it was, before anybody looks.
    Outgrow { log: u8 },
    /// The file is deleted; the next line makes another.
    Delete { log: u8 },
    /// The symbolic link leads to another file.
    Retarget { log: u8 },
    /// A log appears that was not there.
    NewLog,
    /// Five seconds pass in which nothing is written.
    Age,
    /// The daemon ends and another begins; this many of the actions that follow happen in between.
    Restart { away: u8 },
    /// A subscriber stops reading.
    Stall { reader: u8 },
    /// A subscriber reads a few pieces, no more.
    Nibble { reader: u8, pieces: u8 },
    /// A subscriber reads on.
    GoOn { reader: u8 },
    /// A subscriber goes, not having dealt with the last entries that it got.
    Cancel { reader: u8, undone: u8 },
    /// A subscriber comes back.
    Resume { reader: u8, by: By },
    /// Everything that there is is read, archives included.
    ReadAll,
}

impl Action {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Append { .. } => "append lines",
            Self::AppendPart { .. } => "append part of a line",
            Self::AppendLate { .. } => "append to a rotated file",
            Self::Rotate { .. } => "rename-rotate",
            Self::CopyTruncate { .. } => "copytruncate",
            Self::Compress { .. } => "compress",
            Self::Truncate { .. } => "truncate",
            Self::Outgrow { .. } => "truncate and outgrow",
            Self::Delete { .. } => "delete",
            Self::Retarget { .. } => "retarget a symlink",
            Self::NewLog => "new log",
            Self::Age => "five quiet seconds",
            Self::Restart { .. } => "restart the daemon",
            Self::Stall { .. } => "stall",
            Self::Nibble { .. } => "read a little",
            Self::GoOn { .. } => "read on",
            Self::Cancel { .. } => "cancel",
            Self::Resume { by: By::Entry, .. } => "resume by entries' cursors",
            Self::Resume { by: By::Whole, .. } => "resume by a whole-stream cursor",
            Self::Resume { by: By::Overlay, .. } => "resume by both",
            Self::ReadAll => "read everything",
        }
    }

    pub fn random(random: &mut Random) -> Self {
        let log = random.next() as u8;
        let reader = random.next() as u8;
        let flag = random.one_in(2);
        match random.below(100) {
            0..26 => Self::Append { log, lines: random.next() as u8, size: random.next() as u8 },
            26..34 => Self::AppendPart { log },
            34..38 => Self::AppendLate { log, whole: flag },
            38..46 => Self::Rotate { log, create: flag, seen_between: random.one_in(2) },
            46..51 => Self::CopyTruncate { log, seen_between: flag },
            51..56 => {
                let how = if random.one_in(2) { Squeeze::Gzip } else { Squeeze::Zstd };
                Self::Compress { log, how, seen_between: flag }
            }
            56..59 => Self::Truncate { log },
            59..62 => Self::Outgrow { log },
            62..65 => Self::Delete { log },
            65..68 => Self::Retarget { log },
            68..69 => Self::NewLog,
            69..71 => Self::Age,
            71..74 => Self::Restart { away: random.below(6) as u8 },
            74..78 => Self::Stall { reader },
            78..81 => Self::Nibble { reader, pieces: random.next() as u8 },
            81..85 => Self::GoOn { reader },
            85..90 => Self::Cancel { reader, undone: random.next() as u8 },
            90..98 => {
                let by = [By::Entry, By::Whole, By::Overlay][random.below(3) as usize];
                Self::Resume { reader, by }
            }
            _ => Self::ReadAll,
        }
    }
}

/// How often each kind of action happened, and was possible where it was tried.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub fn note(&mut self, action: &Action) {
        *self.0.entry(action.kind()).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.0 {
            writeln!(f, "  {count:>8} {kind}")?;
        }
        Ok(())
    }
}
