//! Whether a file that turned up holds what another one holds, or held before it was truncated: then it is a copy, and
//! none of its bytes are news.
//!
//! That two files begin alike proves nothing, banners do: what decides is the bytes before the place up to which the
//! other one is known to be written.

use std::io;

use super::logfile::{KnownContent, LogFile};
use crate::{
    entry::{Offset, cursor::TailHash},
    file::{ReadAt, lines::KnownHead},
    limits::CURSOR_TAIL_BYTES,
};

/// How a file compares with what another one holds or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is something else.
    Other,
    /// It is the same as far as it goes, but goes less far: a copy that is being made, or the same banner.
    Begins,
    /// It holds all that is known of the other one.
    Holds,
}

/// Compares what `reader` reads with all contents that are known of `original`; the most alike one decides.
///
/// # Errors
/// As the reader.
pub fn compare(reader: &(impl ReadAt + ?Sized), original: &LogFile) -> io::Result<Likeness> {
    let mut best = Likeness::Other;
    for known in original.contents() {
        match likeness(reader, &known, original)? {
            Likeness::Other => {}
            Likeness::Begins => best = Likeness::Begins,
            Likeness::Holds => return Ok(Likeness::Holds),
        }
    }
    Ok(best)
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

fn likeness(reader: &(impl ReadAt + ?Sized), known: &KnownContent, original: &LogFile) -> io::Result<Likeness> {
    let mut begins = vec![0; known.beginning.len()];
    let got = reader.fill_at(&mut begins, Offset::ZERO)?;
    if got == 0 || begins[..got] != known.beginning[..got] {
        return Ok(Likeness::Other);
    }
    if got < known.beginning.len() {
        return Ok(Likeness::Begins);
    }
    match tail_at(reader, known.head.at)? {
        Some(tail) if tail == known.head.tail => Ok(Likeness::Holds),
        Some(_) => Ok(Likeness::Other),
        None if original.published().generation == known.generation => compare_ends(reader, original),
        None => Ok(Likeness::Begins),
    }
}

/// Compares the last bytes of what is shorter with the same range of the file that it may be a copy of.
fn compare_ends(reader: &(impl ReadAt + ?Sized), original: &LogFile) -> io::Result<Likeness> {
    let Some(original) = original.opened() else { return Ok(Likeness::Begins) };
    let end = end_of(reader, original.size_and_mtime()?.0)?;
    Ok(if tail_at(reader, end)? == tail_at(&*original, end)? { Likeness::Begins } else { Likeness::Other })
}

/// Hash of the bytes before a place; none when the file is shorter.
fn tail_at(reader: &(impl ReadAt + ?Sized), at: Offset) -> io::Result<Option<TailHash>> {
    let mut tail = vec![0; at.0.min(CURSOR_TAIL_BYTES) as usize];
    let from = Offset(at.0 - tail.len() as u64);
    let got = reader.fill_at(&mut tail, from)?;
    Ok((got == tail.len()).then(|| TailHash::of(&tail)))
}

/// How long it is, which is less than `most`: found by halving, since a reader does not tell.
fn end_of(reader: &(impl ReadAt + ?Sized), most: Offset) -> io::Result<Offset> {
    let (mut low, mut high) = (0, most.0);
    while low < high {
        let middle = low + (high - low) / 2;
        if reader.fill_at(&mut [0], Offset(middle))? == 1 { low = middle + 1 } else { high = middle }
    }
    Ok(Offset(low))
}
