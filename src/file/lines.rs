//! Finding line ends: the head of a growing file, and line starts looking backwards.

use std::io;

use memchr::{memchr, memrchr};

use super::ReadAt;
use crate::{entry::Offset, limits::GRID_BYTES};

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
