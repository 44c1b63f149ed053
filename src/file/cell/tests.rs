//! Cells over bytes in memory.

use proptest::prelude::*;

use super::*;

fn plan(start: u64, head: usize, text: &[u8], rules: &Arc<Rules>) -> Plan<'static> {
    let rules: &'static Arc<Rules> = Box::leak(Box::new(rules.clone()));
    let beginning = text[..text.len().min(CONTEXT_BYTES)].into();
    Plan { start: Offset(start), head: Offset(head as u64), beginning, rules, line_max: 100_000, mtime: Nanos(1) }
}

fn read(text: &[u8], start: u64) -> Cell {
    let head = memchr::memrchr(b'\n', text).map_or(0, |index| index + 1);
    Cell::read(text, &plan(start, head, text, &Arc::default())).expect("memory never fails")
}

fn lines(cell: &Cell) -> Vec<Vec<u8>> {
    cell.records().iter().map(|record| cell.bytes_of(record).to_vec()).collect()
}

#[test]
fn records_are_lines_without_their_terminators() {
    let cell = read(b"a\n\r\n\nb\r\r\nhalf", 0);
    assert_eq!(lines(&cell), [&b"a"[..], b"", b"", b"b\r"]);
    let flags: Vec<_> = cell.records().iter().map(|record| record.flags).collect();
    assert_eq!(flags, [0, flag::CRLF, 0, flag::CRLF]);
    assert_eq!((cell.end(), cell.is_open()), (Offset(9), true));
    assert_eq!([0, 1, 2, 3].map(|index| cell.end_of(index).0), [2, 4, 5, 9]);
}

#[test]
fn cells_from_anywhere_meet_at_the_grid() {
    let text: Vec<u8> = (0..20_000).flat_map(|n| format!("line number {n}\n").into_bytes()).collect();
    let first = read(&text, 0);
    assert!(GRID_BYTES <= first.end().0 && first.end().0 < GRID_BYTES + 20 && !first.is_open());
    let later = read(&text, first.start_of(777).0);
    assert_eq!(later.end(), first.end());
    assert_eq!(later.tail_after(later.len() - 1), first.tail_after(first.len() - 1));
}

#[test]
fn a_record_that_ends_at_the_grid_line_ends_the_cell() {
    let mut text = vec![b'x'; GRID_BYTES as usize - 1];
    text.extend_from_slice(b"\nnext\n");
    let cell = read(&text, 0);
    assert_eq!((cell.len(), cell.end(), cell.is_open()), (1, Offset(GRID_BYTES), false));
}

#[test]
fn a_long_line_is_cut_and_its_end_is_found() {
    for len in [99_999, 100_000, 100_001, 300_000] {
        let mut text = b"short\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', len));
        text.extend_from_slice(b"\r\nafter\n");
        let cell = read(&text, 0);
        assert_eq!(cell.len(), 2, "{len}");
        let kept = cell.bytes_of(&cell.records()[1]);
        assert_eq!((kept.len(), kept.iter().all(|byte| *byte == b'x')), (len.min(100_000), true), "{len}");
        assert_eq!(cell.records()[1].flags & flag::TRUNCATED != 0, len > 100_000, "{len}");
        assert_eq!(cell.records()[1].flags & flag::CRLF, flag::CRLF, "{len}");
        assert_eq!(cell.end(), Offset(6 + len as u64 + 2), "{len}");
        assert_eq!(cell.tail_after(1), TailHash::of(&text[..cell.end().0 as usize]), "{len}");
    }
}

#[test]
fn a_long_line_is_cut_between_characters() {
    for shift in 0..4 {
        let mut text = vec![b'x'; shift];
        text.extend("€".repeat(40_000).into_bytes());
        text.push(b'\n');
        let cell = read(&text, 0);
        let kept = cell.bytes_of(&cell.records()[0]);
        assert!(std::str::from_utf8(kept).is_ok(), "{shift}");
        assert!(kept.len() > 100_000 - 3, "{shift}");
    }
}

#[test]
fn bytes_that_are_gone_are_noticed() {
    let text = b"one\ntwo\n";
    let result = Cell::read(&text[..], &plan(0, 100, text, &Arc::default()));
    assert!(matches!(result, Err(CellError::Changed(Offset(8)))), "{result:?}");
    let no_newline = Cell::read(&b"onetwo"[..], &plan(0, 6, b"onetwo", &Arc::default()));
    assert!(matches!(no_newline, Err(CellError::Changed(_))));
}

proptest! {
    /// Whatever the bytes and wherever one begins: the records are the lines, their ends where the newlines are.
    #[test]
    fn records_are_the_lines(parts in prop::collection::vec((0usize..40, any::<bool>()), 1..400), pad in 0usize..70_000) {
        let mut text = vec![b'p'; pad];
        for (len, crlf) in parts {
            text.extend(std::iter::repeat_n(b'y', len));
            text.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
        }
        let (mut at, mut rebuilt) = (0, Vec::new());
        while at < text.len() as u64 {
            let cell = read(&text, at);
            prop_assert_eq!(cell.start_tail(), TailHash::of(&text[..at as usize]));
            for (index, record) in cell.records().iter().enumerate() {
                rebuilt.extend_from_slice(cell.bytes_of(record));
                rebuilt.extend_from_slice(if record.flags & flag::CRLF != 0 { b"\r\n" } else { b"\n" });
                prop_assert_eq!(cell.end_of(index).0, rebuilt.len() as u64);
                prop_assert_eq!(cell.tail_after(index), TailHash::of(&text[..rebuilt.len()]));
            }
            prop_assert!(cell.end().0 > at);
            at = cell.end().0;
        }
        prop_assert_eq!(rebuilt, text);
    }
}
