//! Finding line ends: the head of a growing file, and line starts looking backwards.

use std::io;

use memchr::{memchr, memrchr};

use super::ReadAt;
use crate::{
    entry::{Offset, cursor::TailHash},
    limits::{CURSOR_TAIL_BYTES, GRID_BYTES},
};

/// How far a file was known to be written, and what lay before that place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownHead {
    /// The place after the last newline.
    pub at: Offset,
    /// Hash of the bytes before it.
    pub tail: TailHash,
}

/// What a look at a file brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The bytes before the known head are the same; this is the head now.
    Same(KnownHead),
    /// They are others: the file was truncated and has grown again, or was written anew.
    Other,
}

/// Looks for the head of a file that is `size` bytes long, of which no newline lies in `[known.at, scanned)`.
///
/// What a quiet file grows by comes with the bytes before it in one read.
///
/// # Errors
/// As the reader.
pub fn look(reader: &(impl ReadAt + ?Sized), known: KnownHead, scanned: Offset, size: Offset) -> io::Result<Look> {
    let before = Offset(known.at.0.saturating_sub(CURSOR_TAIL_BYTES));
    let near = size.since(before) <= GRID_BYTES;
    let mut bytes = vec![0; if near { size.since(before) } else { known.at.since(before) } as usize];
    let got = reader.fill_at(&mut bytes, before)?;
    bytes.truncate(got);
    let split = known.at.since(before) as usize;
    if got < split || split > 0 && TailHash::of(&bytes[..split]) != known.tail {
        return Ok(Look::Other);
    }
    let found = if near {
        memrchr(b'\n', &bytes[split..]).map(|index| known.at.after(index as u64 + 1))
    } else {
        last_line_end(reader, known.at.max(scanned), size)?
    };
    let Some(at) = found else { return Ok(Look::Same(known)) };
    let tail = if near {
        TailHash::of(&bytes[..at.since(before) as usize])
    } else {
        let from = Offset(at.0.saturating_sub(CURSOR_TAIL_BYTES));
        let mut tail = vec![0; at.since(from) as usize];
        let got = reader.fill_at(&mut tail, from)?;
        TailHash::of(&tail[..got])
    };
    Ok(Look::Same(KnownHead { at, tail }))
}

/// The place just after the last newline in `[from, to)`, or `None` where there is none.
///
/// Reads backwards from `to`, so that what a fast writer left behind costs one read. Bytes that are not there any more
/// count as none.
///
/// # Errors
/// As the reader.
pub fn last_line_end(reader: &(impl ReadAt + ?Sized), from: Offset, to: Offset) -> io::Result<Option<Offset>> {
    let mut buf = vec![0; to.since(from).min(GRID_BYTES) as usize];
    let mut end = to;
    while from < end {
        let len = end.since(from).min(buf.len() as u64);
        let at = Offset(end.0 - len);
        let got = reader.fill_at(&mut buf[..len as usize], at)?;
        if let Some(index) = memrchr(b'\n', &buf[..got]) {
            return Ok(Some(at.after(index as u64 + 1)));
        }
        end = at;
    }
    Ok(None)
}

/// The place just after the first newline in `[from, to)`, or `None` where there is none.
///
/// # Errors
/// As the reader.
pub fn first_line_end(reader: &(impl ReadAt + ?Sized), from: Offset, to: Offset) -> io::Result<Option<Offset>> {
    // A line is rarely longer than this; the rest is read in larger steps.
    let mut buf = vec![0; to.since(from).min(4096) as usize];
    let mut at = from;
    while at < to {
        let len = to.since(at).min(buf.len() as u64);
        let got = reader.fill_at(&mut buf[..len as usize], at)?;
        if let Some(index) = memchr(b'\n', &buf[..got]) {
            return Ok(Some(at.after(index as u64 + 1)));
        }
        at = at.after(len);
        buf.resize(to.since(at).min(GRID_BYTES) as usize, 0);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_the_head_and_knows_the_file_again() {
        for (old, new) in [(10, 20), (10, 100_000), (300_000, 300_000), (300_000, 500_000), (0, 5), (0, 0)] {
            let mut text: Vec<u8> = (0..new as u32).map(|n| b'a' + (n % 23) as u8).collect();
            if old > 0 {
                text[old - 1] = b'\n';
            }
            let known = KnownHead { at: Offset(old as u64), tail: TailHash::of(&text[..old]) };
            let look = |text: &[u8]| super::look(text, known, known.at, Offset(new as u64)).expect("memory");
            assert_eq!(look(&text), Look::Same(known));
            if new > old + 2 {
                text[new - 2] = b'\n';
                let (at, tail) = (Offset(new as u64 - 1), TailHash::of(&text[..new - 1]));
                assert_eq!(look(&text), Look::Same(KnownHead { at, tail }));
            }
            if old > 0 {
                text[old - 3] ^= 1;
                assert_eq!(look(&text), Look::Other);
            }
        }
    }

    #[test]
    fn the_first_line_end_is_found() {
        let mut text = vec![b'x'; 300_000];
        assert_eq!(first_line_end(&text[..], Offset(0), Offset(300_000)).expect("memory"), None);
        for at in [0, 4095, 4096, 70_000, 299_999] {
            text[at] = b'\n';
            let found = first_line_end(&text[..], Offset(0), Offset(300_000)).expect("memory");
            assert_eq!(found, Some(Offset(at as u64 + 1)));
            assert_eq!(first_line_end(&text[..], Offset(0), Offset(at as u64)).expect("memory"), None);
            text[at] = b'x';
        }
    }

    #[track_caller]
    fn check(text: &[u8], from: u64, to: u64, expected: Option<u64>) {
        let found = last_line_end(text, Offset(from), Offset(to)).expect("memory never fails");
        assert_eq!(found, expected.map(Offset));
    }

    #[test]
    fn the_head_is_after_the_last_newline() {
        check(b"", 0, 0, None);
        check(b"a", 0, 1, None);
        check(b"\n", 0, 1, Some(1));
        check(b"a\nb\nc", 0, 5, Some(4));
        check(b"a\nb\nc", 4, 5, None);
        check(b"a\nb\nc", 0, 3, Some(2));
        check(b"a\nb\n", 0, 99, Some(4));
    }

    #[test]
    fn it_is_found_over_many_blocks() {
        let mut text = vec![b'x'; 300_000];
        check(&text, 0, 300_000, None);
        text[17] = b'\n';
        check(&text, 0, 300_000, Some(18));
        check(&text, 18, 300_000, None);
    }
}
