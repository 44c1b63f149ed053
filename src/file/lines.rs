//! Finding line ends: the head of a growing file, and line starts looking backwards.

use std::io;

use memchr::memchr;

use super::{Encoding, ReadAt, encoding::WIDE_UNIT_BYTES};
use crate::{
    entry::{Offset, cursor::TailHash},
    limits::{CURSOR_TAIL_BYTES, GRID_BYTES, RECORD_BYTES_MAX, ZERO_RUN_BYTES_MIN},
    parse::Rules,
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

/// In which units a file is written.
///
/// # Errors
/// As the reader.
pub fn encoding(reader: &(impl ReadAt + ?Sized)) -> io::Result<Encoding> {
    let mut mark = [0; WIDE_UNIT_BYTES];
    let got = reader.fill_at(&mut mark, Offset::ZERO)?;
    Ok(Encoding::of(&mark[..got]))
}

/// Looks for the head of a file that is `size` bytes long, of which no newline lies in `[known.at, scanned)`.
///
/// What a quiet file grows by comes with the bytes before it in one read.
///
/// # Errors
/// As the reader.
pub fn look(
    reader: &(impl ReadAt + ?Sized),
    encoding: Encoding,
    known: KnownHead,
    scanned: Offset,
    size: Offset,
) -> io::Result<Look> {
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
        encoding.last_line_end(&bytes[split..]).map(|end| known.at.after(end as u64))
    } else {
        last_line_end(reader, encoding, known.at.max(encoding.floor(scanned)), size)?
    };
    let Some(at) = found else { return Ok(Look::Same(known)) };
    if near {
        return Ok(Look::Same(KnownHead { at, tail: TailHash::of(&bytes[..at.since(before) as usize]) }));
    }
    known_at(reader, at).map(Look::Same)
}

/// A place in a file, with what lies before it.
///
/// # Errors
/// As the reader.
pub fn known_at(reader: &(impl ReadAt + ?Sized), at: Offset) -> io::Result<KnownHead> {
    let from = Offset(at.0.saturating_sub(CURSOR_TAIL_BYTES));
    let mut tail = vec![0; at.since(from) as usize];
    let got = reader.fill_at(&mut tail, from)?;
    Ok(KnownHead { at, tail: TailHash::of(&tail[..got]) })
}

/// The place just after the last newline in `[from, to)`, or `None` where there is none.
///
/// Reads backwards from `to`, so that what a fast writer left behind costs one read. Bytes that are not there any more
/// count as none.
///
/// # Errors
/// As the reader.
pub fn last_line_end(
    reader: &(impl ReadAt + ?Sized),
    encoding: Encoding,
    from: Offset,
    to: Offset,
) -> io::Result<Option<Offset>> {
    let (from, to) = (encoding.floor(from), encoding.floor(to));
    let mut buf = vec![0; to.since(from).min(GRID_BYTES) as usize];
    let mut end = to;
    while from < end {
        let len = end.since(from).min(buf.len() as u64);
        let at = Offset(end.0 - len);
        let got = reader.fill_at(&mut buf[..len as usize], at)?;
        if let Some(end) = encoding.last_line_end(&buf[..got]) {
            return Ok(Some(at.after(end as u64)));
        }
        end = at;
    }
    Ok(None)
}

/// Where the last record before `head` begins when what is written next may belong to it; else `head`.
///
/// `floor` is a place where a record begins, or that a reader may stand at; nothing before it is looked at.
///
/// # Errors
/// As the reader.
pub fn last_settled(
    reader: &(impl ReadAt + ?Sized),
    encoding: Encoding,
    rules: &Rules,
    floor: Offset,
    head: Offset,
) -> io::Result<Offset> {
    if !joins(encoding, rules) || head <= floor {
        return Ok(head);
    }
    let mut span = 4096;
    loop {
        let from = Offset(head.0.saturating_sub(span)).max(floor);
        let mut bytes = vec![0; head.since(from) as usize];
        let got = reader.fill_at(&mut bytes, from)?;
        // The first line of the window is whole only at the floor.
        let begin = if from == floor { 0 } else { memchr(b'\n', &bytes[..got]).map_or(got, |found| found + 1) };
        let lines = || bytes[begin..got].split_inclusive(|byte| *byte == b'\n');
        let text = |line: &'_ [u8]| {
            line.strip_suffix(b"\n").map_or(line.len(), |line| line.strip_suffix(b"\r").unwrap_or(line).len())
        };
        if let Some(last) = lines().next_back()
            && !rules.may_go_on(&last[..text(last)])
        {
            return Ok(head);
        }
        let (mut at, mut found, mut unfinished) = (begin, None, None);
        for (number, line) in lines().enumerate() {
            let line_text = &line[..text(line)];
            // What comes before the window's first line is not known, unless it is the floor.
            if rules.begins(unfinished, line_text) && (number > 0 || from == floor) {
                found = Some(from.after(at as u64));
            }
            unfinished = rules.leaves_unfinished(line_text).then_some(line_text);
            at += line.len();
        }
        match found {
            Some(found) => return Ok(found),
            None if from == floor => return Ok(floor),
            None if span >= 2 * RECORD_BYTES_MAX => return Ok(head),
            None => span *= 8,
        }
    }
}

/// Where the first record begins at or behind `from`, which is the beginning of a line; none before `to`.
///
/// # Errors
/// As the reader.
pub fn first_record_start(
    reader: &(impl ReadAt + ?Sized),
    encoding: Encoding,
    rules: &Rules,
    from: Offset,
    to: Offset,
) -> io::Result<Option<Offset>> {
    if !joins(encoding, rules) {
        return Ok(Some(from).filter(|from| *from < to));
    }
    // The line before decides, too: a container's runtime may have split it.
    let back = Offset(from.0.saturating_sub(GRID_BYTES));
    let mut bytes = vec![0; from.since(back) as usize];
    let got = reader.fill_at(&mut bytes, back)?;
    let before = bytes[..got].strip_suffix(b"\n").unwrap_or_default();
    let before = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut unfinished = rules.leaves_unfinished(before).then(|| before.to_vec());
    let (mut at, mut last) = (from, from);
    while at < to {
        // Where a record is begun by force: see `Cell`.
        let forced = last.0 / RECORD_BYTES_MAX < at.0 / RECORD_BYTES_MAX && at.since(from) >= RECORD_BYTES_MAX;
        let Some(end) = first_line_end(reader, encoding, at, to)? else { return Ok(None) };
        let mut line = vec![0; (end.since(at) - 1).min(GRID_BYTES) as usize];
        let got = reader.fill_at(&mut line, at)?;
        line.truncate(got);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        if rules.begins(unfinished.as_deref(), text) || forced {
            return Ok(Some(at));
        }
        unfinished = rules.leaves_unfinished(text).then(|| text.to_vec());
        (last, at) = (at, end);
    }
    Ok(None)
}

/// The place just after the first newline in `[from, to)`, or `None` where there is none.
///
/// # Errors
/// As the reader.
pub fn first_line_end(
    reader: &(impl ReadAt + ?Sized),
    encoding: Encoding,
    from: Offset,
    to: Offset,
) -> io::Result<Option<Offset>> {
    let from = encoding.floor(from);
    // A line is rarely longer than this; the rest is read in larger steps.
    let mut buf = vec![0; to.since(from).min(4096) as usize];
    let mut at = from;
    while at < to {
        let len = to.since(at).min(buf.len() as u64);
        let got = reader.fill_at(&mut buf[..len as usize], at)?;
        if let Some(end) = encoding.first_line_end(&buf[..got]) {
            return Ok(Some(at.after(end as u64)));
        }
        at = at.after(len);
        // A hole may be larger than anything that was ever written.
        if buf[..got].last() == Some(&0) {
            at = reader.skip_hole(at)?.min(to);
        }
        buf.resize(to.since(at).min(GRID_BYTES) as usize, 0);
    }
    Ok(None)
}

/// Whether a record may have several lines. In UTF-16 each line is one: nobody joins those.
fn joins(encoding: Encoding, rules: &Rules) -> bool {
    !encoding.is_wide() && (rules.joins_lines() || rules.joins_parts())
}

/// Where a run of zeros ends that begins at `from`, if it is so long that no program wrote it: what a writer that does not
/// append leaves before its next line when its file is truncated under it. None when there is no such run.
///
/// # Errors
/// As the reader.
pub fn end_of_zeros(reader: &(impl ReadAt + ?Sized), from: Offset, to: Offset) -> io::Result<Option<Offset>> {
    let mut block = vec![0; ZERO_RUN_BYTES_MIN as usize];
    if to.since(from) < ZERO_RUN_BYTES_MIN || reader.fill_at(&mut block, from)? < block.len() {
        return Ok(None);
    }
    if block.iter().any(|byte| *byte != 0) {
        return Ok(None);
    }
    let mut at = from.after(ZERO_RUN_BYTES_MIN);
    block.resize(GRID_BYTES as usize, 0);
    while at < to {
        at = reader.skip_hole(at)?.min(to);
        let want = to.since(at).min(GRID_BYTES) as usize;
        let got = reader.fill_at(&mut block[..want], at)?;
        match block[..got].iter().position(|byte| *byte != 0) {
            Some(found) => return Ok(Some(at.after(found as u64))),
            None if got < want => return Ok(None),
            None => at = at.after(got as u64),
        }
    }
    Ok(Some(to))
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
            let look =
                |text: &[u8]| super::look(text, Encoding::Bytes, known, known.at, Offset(new as u64)).expect("memory");
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
        assert_eq!(first_line_end(&text[..], Encoding::Bytes, Offset(0), Offset(300_000)).expect("memory"), None);
        for at in [0, 4095, 4096, 70_000, 299_999] {
            text[at] = b'\n';
            let found = first_line_end(&text[..], Encoding::Bytes, Offset(0), Offset(300_000)).expect("memory");
            assert_eq!(found, Some(Offset(at as u64 + 1)));
            assert_eq!(first_line_end(&text[..], Encoding::Bytes, Offset(0), Offset(at as u64)).expect("memory"), None);
            text[at] = b'x';
        }
    }

    #[test]
    fn a_run_of_zeros_is_one_from_its_least_length_on() {
        let least = ZERO_RUN_BYTES_MIN as usize;
        for (zeros, is_run) in [(0, false), (1, false), (least - 1, false), (least, true), (300_000, true)] {
            let text = [&vec![0; zeros][..], &b"x".repeat(5_000)[..]].concat();
            let found = end_of_zeros(&text[..], Offset(0), Offset(text.len() as u64)).expect("memory never fails");
            assert_eq!(found, is_run.then_some(Offset(zeros as u64)), "{zeros}");
        }
    }

    #[track_caller]
    fn check(text: &[u8], from: u64, to: u64, expected: Option<u64>) {
        let found = last_line_end(text, Encoding::Bytes, Offset(from), Offset(to)).expect("memory never fails");
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
