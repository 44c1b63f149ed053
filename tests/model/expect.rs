//! What a subscriber is still to get of a log, and whether what it gets is that.
//!
//! A log is a sequence of contents, each with a place up to which the subscriber has it. What comes has to be the very
//! next record of one of them, and nothing of a content may come before what its predecessor held when it was displaced.
//! Where bytes are gone a gap is owed, of exactly so many or of an unknown number, and it has to be told before the next
//! entry.

use logtap::entry::flag;

use crate::world::{Content, Gen};

/// What came of one log.
#[derive(Clone, Debug)]
pub enum Got {
    /// A record with its terminator.
    Record { bytes: Vec<u8>, flags: u32, cursor: Vec<u8> },
    /// Bytes that no entry will bring; how many, where that is known.
    Gap(Option<u64>),
}

/// Whether bytes are to be said to be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// So many are.
    Exactly(u64),
    /// Some are, and nobody can know how many.
    Some,
    /// Nobody can know whether some are.
    Maybe,
}

/// How far the subscriber is in one content.
#[derive(Clone, Debug)]
pub struct Place {
    pub generation: Gen,
    pub at: usize,
    /// What lies before the place was lost.
    pub owed: Owed,
    /// What was said to be lost.
    pub told: Option<Told>,
    /// Whether the next entry has to carry the flag that bytes are missing.
    pub flag: Flag,
    /// Whether what is left of it may stay away, since nobody can know whether it is still held.
    pub doubtful: bool,
}

/// What gaps said, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Bytes(u64),
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    No,
    May,
    Must,
}

impl Place {
    pub fn new(generation: Gen, at: usize, owed: Owed) -> Self {
        let flag = match owed {
            Owed::Nothing => Flag::No,
            Owed::Exactly(_) => Flag::Must,
            Owed::Some | Owed::Maybe => Flag::May,
        };
        Self { generation, at, owed, told: None, flag, doubtful: false }
    }

    /// A place behind which something may come or not.
    pub fn doubtful(generation: Gen, at: usize) -> Self {
        Self { doubtful: true, ..Self::new(generation, at, Owed::Nothing) }
    }

    fn is_paid(&self) -> bool {
        match (self.owed, self.told) {
            (Owed::Nothing, told) => told.is_none(),
            (Owed::Exactly(bytes), told) => told == Some(Told::Bytes(bytes)) || told == Some(Told::Unknown),
            (Owed::Some, told) => told.is_some(),
            (Owed::Maybe, _) => true,
        }
    }
}

/// What is to come of one log.
#[derive(Clone, Debug, Default)]
pub struct Track {
    pub places: Vec<Place>,
    /// Whether bytes may be said to be missing of which nothing follows.
    pub tolerant: bool,
}

impl Track {
    /// A new content of the log.
    pub fn follow(&mut self, generation: Gen) {
        self.places.push(Place::new(generation, 0, Owed::Nothing));
    }

    /// A content was overwritten by another one, of which nothing is left but what a copy holds.
    pub fn overwrite(&mut self, old: Gen, new: Gen, content: &Content, is_copied: bool) {
        let Some(index) = self.places.iter().position(|place| place.generation == old) else {
            return self.follow(new);
        };
        // A copy of nothing does not stand between what was lost before it and what was lost after it.
        if is_copied && !content.bytes.is_empty() {
            self.follow(new);
            // Where nothing of it is left to come, what is said of what was lost before it goes with the next entry.
            let old = &self.places[index];
            if old.flag != Flag::No && old.at >= content.bytes.len() {
                self.places.last_mut().expect("it was added").flag = Flag::May;
            }
            return;
        }
        let old = self.places.remove(index);
        let lost = (content.bytes.len() - old.at) as u64;
        let owed = match (old.owed, lost) {
            // What was owed before it was not told yet.
            (owed, 0) => owed,
            (Owed::Nothing, lost) => Owed::Exactly(lost),
            (Owed::Exactly(before), lost) => Owed::Exactly(before + lost),
            (Owed::Some | Owed::Maybe, _) => Owed::Some,
        };
        let place = Place::new(new, 0, owed);
        let flag = if old.flag == Flag::No { place.flag } else { old.flag.max(place.flag) };
        self.places.push(Place { flag, told: old.told, ..place });
    }

    /// Takes what came, and tells the place behind it. `contents` is everything that was ever written.
    pub fn take(&mut self, got: &Got, contents: &[Content]) -> Result<Option<(Gen, usize)>, String> {
        match got {
            Got::Gap(bytes) => self.take_gap(*bytes).map(|()| None),
            Got::Record { bytes, flags, .. } => self.take_record(bytes, *flags, contents).map(Some),
        }
    }

    fn take_gap(&mut self, bytes: Option<u64>) -> Result<(), String> {
        let is_sure = |place: &Place| matches!(place.owed, Owed::Exactly(_) | Owed::Some);
        let unpaid = self.places.iter().position(|place| is_sure(place) && !place.is_paid());
        let sure = unpaid.or_else(|| self.places.iter().position(is_sure));
        let place = match sure.or_else(|| self.places.iter().position(|place| place.owed == Owed::Maybe)) {
            Some(index) => &mut self.places[index],
            None if self.tolerant => return Ok(()),
            None => return Err("a gap where nothing is missing".to_owned()),
        };
        place.told = Some(match (place.told, bytes.filter(|bytes| *bytes > 0)) {
            (Some(Told::Unknown), _) | (_, None) => Told::Unknown,
            (None, Some(bytes)) => Told::Bytes(bytes),
            (Some(Told::Bytes(before)), Some(bytes)) => Told::Bytes(before + bytes),
        });
        Ok(())
    }

    fn take_record(&mut self, bytes: &[u8], flags: u32, contents: &[Content]) -> Result<(Gen, usize), String> {
        let mut wanted = String::new();
        for place in &mut self.places {
            let content = &contents[place.generation];
            let next = next_record(content, place.at);
            if next == Some(bytes) {
                place.at += bytes.len();
                let owed = place.owed;
                check_flags(bytes, flags, place.flag)?;
                if !place.is_paid() {
                    return Err(format!("{owed:?} is missing before it, but what was told is {:?}", place.told));
                }
                (place.owed, place.told, place.flag) = (Owed::Nothing, None, Flag::No);
                return Ok((place.generation, place.at));
            }
            wanted += &format!("{} of {} ({:?})  ", place.at, place.generation, next.map(brief));
            if place.at < content.seam && !place.doubtful {
                break;
            }
        }
        Err(format!("nothing that is wanted: {wanted}"))
    }

    /// Whether everything has come that there is.
    pub fn check_complete(&self, contents: &[Content]) -> Result<(), String> {
        for place in &self.places {
            let content = &contents[place.generation];
            if place.at < content.limit() && !place.doubtful {
                let next = next_record(content, place.at).map(brief);
                let (at, limit) = (place.at, content.limit());
                return Err(format!("{} is at {at} and not at {limit}; {next:?} is missing", place.generation));
            }
            if !place.is_paid() {
                return Err(format!(
                    "{:?} is missing before {}, but {:?} was told",
                    place.owed, place.generation, place.told
                ));
            }
        }
        Ok(())
    }
}

impl PartialOrd for Flag {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flag {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

/// What a reader that is at `at` gets next, if there is something that it can have.
fn next_record(content: &Content, at: usize) -> Option<&[u8]> {
    let rest = content.bytes.get(at..content.limit())?;
    match memchr::memchr(b'\n', rest) {
        Some(end) => Some(&rest[..=end]),
        None => Some(rest).filter(|rest| !rest.is_empty()),
    }
}

fn check_flags(bytes: &[u8], flags: u32, gap: Flag) -> Result<(), String> {
    let text = bytes.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    let expected = [
        (flag::UNTERMINATED, text.is_none()),
        (flag::CRLF, bytes.ends_with(b"\r\n")),
        (flag::INVALID_UTF8, std::str::from_utf8(text.unwrap_or(bytes)).is_err()),
    ];
    let expected = expected.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum::<u32>();
    let after_gap = flags & flag::AFTER_GAP != 0;
    if flags & !flag::AFTER_GAP & !flag::TIME_NOT_FROM_LINE != expected {
        return Err(format!("flags {flags} instead of {expected}"));
    }
    match gap {
        Flag::No if after_gap => Err("it says that bytes are missing before it".to_owned()),
        Flag::Must if !after_gap => Err("it does not say that bytes are missing before it".to_owned()),
        Flag::No | Flag::May | Flag::Must => Ok(()),
    }
}

/// The beginning of a record, to be told.
pub fn brief(bytes: &[u8]) -> String {
    let end = bytes.len().min(40);
    format!("{:?}+{}", String::from_utf8_lossy(&bytes[..end]), bytes.len() - end)
}
