//! Whether a file that turned up holds what another one holds, or held before it was truncated: then it is a copy, and
//! none of its bytes are news.
//!
//! That two files begin alike proves nothing, banners do: what decides is the bytes before the place up to which the
//! other one is known to be written.

use std::io;

use super::logfile::{KnownContent, LogFile};
use crate::{
    entry::{Offset, cursor::TailHash},
    file::{Content, ReadAt, lines::KnownHead},
    limits::{CONTEXT_BYTES, COPY_END_BYTES, CURSOR_TAIL_BYTES},
};

/// How a file compares with what another one holds or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is something else.
    Other,
    /// It is the same as far as it goes, but goes less far: a copy that is being made, or the same banner.
    Begins,
    /// So it is with what the other one held at this generation, and holds no more: nobody can go on copying that.
    Began(u32),
    /// It holds all that is known of what the other one held at this generation.
    Holds(u32),
}

/// A file that may be a copy of another one.
pub struct Suspect<'c> {
    content: &'c Content,
    beginning: Vec<u8>,
}

impl<'c> Suspect<'c> {
    /// Reads how a file begins.
    ///
    /// # Errors
    /// As the reader.
    pub fn new(content: &'c Content) -> io::Result<Self> {
        let mut beginning = vec![0; CONTEXT_BYTES];
        let got = content.fill_at(&mut beginning, Offset::ZERO)?;
        beginning.truncate(got);
        Ok(Self { content, beginning })
    }

    /// Whether it begins as anything that `other` held, as far as that is known.
    pub fn may_be(&self, other: &LogFile) -> bool {
        other.contents().is_empty() || !other.contents_like(&self.beginning).is_empty()
    }

    /// Compares it with all contents that are known of `original`; the most alike one decides. Fewer than `least` bytes
    /// that are known prove nothing.
    ///
    /// # Errors
    /// As the reader.
    pub fn compare(&self, original: &LogFile, least: Offset) -> io::Result<Likeness> {
        let mut best = Likeness::Other;
        for known in original.contents_like(&self.beginning) {
            match self.likeness(&known, original, least)? {
                Likeness::Other => {}
                // The latest that it can be of.
                begins @ (Likeness::Begins | Likeness::Began(_)) => best = begins,
                holds @ Likeness::Holds(_) => return Ok(holds),
            }
        }
        Ok(best)
    }

    /// How it compares with a content that begins like it.
    fn likeness(&self, known: &KnownContent, original: &LogFile, least: Offset) -> io::Result<Likeness> {
        if self.content.archive().is_some() {
            // Reading on in it would take long, and what is compressed was rotated before.
            return Ok(Likeness::Holds(known.generation));
        }
        let is_present = original.published().generation == known.generation;
        let begins = if is_present { Likeness::Begins } else { Likeness::Began(known.generation) };
        if self.beginning.len() < known.beginning.len() {
            return Ok(begins);
        }
        let mark = known.mark();
        if mark.at < least {
            let may_be = is_present && original.opened().is_some() && !known.beginning.is_empty();
            return if may_be { self.compare_ends(known, original) } else { Ok(Likeness::Other) };
        }
        match tail_at(self.content, mark.at)? {
            Some(tail) if tail == mark.tail => Ok(Likeness::Holds(known.generation)),
            Some(_) => Ok(Likeness::Other),
            None if is_present => self.compare_ends(known, original),
            None => Ok(begins),
        }
    }

    /// Compares its last bytes with the same range of the longer file that it may be a copy of, which held `known` when it
    /// was last looked at.
    fn compare_ends(&self, known: &KnownContent, original: &LogFile) -> io::Result<Likeness> {
        let Some(original) = original.opened() else { return Ok(Likeness::Begins) };
        let (end, ..) = self.content.size_and_mtime()?;
        let mine = bytes_before(self.content, end, COPY_END_BYTES)?;
        let its = bytes_before(&*original, end, COPY_END_BYTES)?;
        if mine.is_some() && mine == its {
            return Ok(Likeness::Begins);
        }
        // Whoever copies truncates at once, often before anybody looks: what lies there now proves nothing then.
        let mut beginning = vec![0; known.beginning.len()];
        let got = original.fill_at(&mut beginning, Offset::ZERO)?;
        let is_as_known = its.is_some() && beginning[..got] == *known.beginning;
        Ok(if is_as_known { Likeness::Other } else { Likeness::Begins })
    }
}

/// Whether what `reader` reads begins like a known content and holds the bytes before a place in it.
///
/// # Errors
/// As the reader; a file that is too short holds nothing.
pub fn holds(reader: &(impl ReadAt + ?Sized), beginning: &[u8], place: KnownHead) -> io::Result<bool> {
    let known = &beginning[..beginning.len().min(place.at.0 as usize)];
    let mut begins = vec![0; known.len()];
    let got = reader.fill_at(&mut begins, Offset::ZERO)?;
    Ok(begins[..got] == *known && tail_at(reader, place.at)? == Some(place.tail))
}

/// Hash of the bytes before a place; none when the file is shorter.
fn tail_at(reader: &(impl ReadAt + ?Sized), at: Offset) -> io::Result<Option<TailHash>> {
    Ok(bytes_before(reader, at, CURSOR_TAIL_BYTES)?.map(|tail| TailHash::of(&tail)))
}

/// So many bytes before a place, or all when there are fewer; none when the file is shorter.
fn bytes_before(reader: &(impl ReadAt + ?Sized), at: Offset, len: u64) -> io::Result<Option<Vec<u8>>> {
    let mut tail = vec![0; at.0.min(len) as usize];
    let from = Offset(at.0 - tail.len() as u64);
    let got = reader.fill_at(&mut tail, from)?;
    Ok((got == tail.len()).then_some(tail))
}
