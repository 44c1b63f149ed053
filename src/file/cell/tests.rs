//! Cells over bytes in memory.

use proptest::prelude::*;

use super::*;
use crate::limits::ZERO_RUN_BYTES_MIN;

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
fn a_run_of_zeros_belongs_to_no_line_from_wherever_it_is_read() {
    for (zeros, before) in [(5_000, 0), (5_000, 3), (300_000, 2_000), (ZERO_RUN_BYTES_MIN as usize, 1)] {
        let mut text: Vec<u8> = (0..before).flat_map(|n| format!("before {n}\n").into_bytes()).collect();
        let hole = text.len();
        text.extend(std::iter::repeat_n(0, zeros));
        text.extend_from_slice(b"after\nlast\n");
        let (mut found, mut at) = (Vec::new(), Offset::ZERO);
        while at < Offset(text.len() as u64) {
            let cell = read(&text, at.0);
            assert_eq!((cell.start(), cell.start_of(0)), (at, at));
            assert_eq!(cell.start_tail(), TailHash::of(&text[..at.0 as usize]));
            assert_eq!(cell.tail_after(cell.len() - 1), TailHash::of(&text[..cell.end().0 as usize]));
            found.extend(lines(&cell));
            at = cell.end();
        }
        let expected = (0..before).map(|n| format!("before {n}")).chain(["after".into(), "last".into()]);
        assert_eq!(found, expected.map(String::into_bytes).collect::<Vec<_>>(), "{zeros} {before}");
        assert_eq!(lines(&read(&text, hole as u64)), [&b"after"[..], b"last"]);
    }
    let text = [b"x\n", &vec![0; ZERO_RUN_BYTES_MIN as usize - 1][..], b"y\n"].concat();
    assert_eq!(lines(&read(&text, 0))[1].len(), ZERO_RUN_BYTES_MIN as usize);
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

/// The records of a text whose lines are joined, from any of their starts, at any place of the grid.
mod joined {
    use super::*;
    use crate::{
        file::lines,
        parse::{Multiline, RulesSpec},
    };

    fn rules(multiline: Multiline) -> Arc<Rules> {
        Arc::new(Rules::new(&RulesSpec { multiline, ..RulesSpec::default() }).expect("good rules"))
    }

    fn cells(text: &[u8], from: u64, rules: &Arc<Rules>) -> Vec<(u64, Vec<u8>, u32)> {
        let (mut at, mut records) = (from, Vec::new());
        while at < text.len() as u64 {
            let cell = Cell::read(text, &plan(at, text.len(), text, rules)).expect("memory never fails");
            for (index, record) in cell.records().iter().enumerate() {
                records.push((cell.start_of(index).0, cell.bytes_of(record).to_vec(), record.flags));
            }
            assert!(cell.end().0 > at);
            at = cell.end().0;
        }
        records
    }

    #[test]
    fn a_trace_is_one_record_and_the_last_one_may_go_on() {
        let text = b"one\n  at a\r\n\tat b\ntwo\n\n  x\nthree\n";
        let records = cells(text, 0, &rules(Multiline::Indent));
        let found: Vec<_> = records.iter().map(|(at, text, flags)| (*at, &text[..], *flags)).collect();
        assert_eq!(
            found,
            [
                (0, &b"one\n  at a\r\n\tat b"[..], flag::JOINED),
                (18, &b"two\n\n  x"[..], flag::JOINED),
                (27, &b"three"[..], flag::PROVISIONAL),
            ]
        );
    }

    #[test]
    fn parts_of_a_containers_line_are_one_record() {
        let line =
            |stream: &str, tag: &str, text: &str| format!("2026-11-20T10:00:00.123456789Z {stream} {tag} {text}\n");
        let text =
            [line("stdout", "P", "a"), line("stdout", "F", "b"), line("stderr", "P", "c"), line("stdout", "F", "d")];
        let records = cells(text.concat().as_bytes(), 0, &Arc::default());
        let flags: Vec<_> = records.iter().map(|(.., flags)| *flags).collect();
        assert_eq!(flags, [flag::JOINED, 0, 0], "only adjacent lines of one stream belong together");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn joined_records_are_the_same_from_every_start(
            sizes in prop::collection::vec((0usize..300, 0usize..6), 300..1500),
            pick: prop::sample::Index,
            crlf: bool,
        ) {
            let (mut text, mut starts) = (Vec::new(), Vec::new());
            for (len, more) in sizes {
                starts.push(text.len() as u64);
                text.extend(std::iter::repeat_n(b's', len + 1));
                for part in 0..more {
                    text.extend_from_slice(if crlf { b"\r\n " } else { b"\n " });
                    text.extend(std::iter::repeat_n(b'c', part * 40));
                }
                text.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
            }
            let rules = rules(Multiline::Indent);
            let all = cells(&text, 0, &rules);
            prop_assert_eq!(all.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), starts.clone());
            let from = starts[pick.index(starts.len())];
            let rest: Vec<_> = all.iter().filter(|(at, ..)| *at >= from).cloned().collect();
            prop_assert_eq!(cells(&text, from, &rules), rest);
            // Entering anywhere finds the next start, and the last record is the one that may go on.
            let head = Offset(text.len() as u64);
            let settled = lines::last_settled(&text[..], Encoding::Bytes, &rules, Offset::ZERO, head).expect("memory never fails");
            prop_assert_eq!(Some(&settled.0), starts.last());
            let anywhere = Offset(pick.index(text.len()) as u64);
            if let Some(line) = lines::first_line_end(&text[..], Encoding::Bytes, anywhere, head).expect("memory never fails") {
                let found = lines::first_record_start(&text[..], Encoding::Bytes, &rules, line, head).expect("memory never fails");
                prop_assert_eq!(found.map(|at| at.0), starts.iter().copied().find(|at| *at >= line.0));
            }
        }
    }
}
