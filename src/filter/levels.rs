//! Where a record may state an error or worse: what to search for in many records at once.
//!
//! A severity is a word, a letter, or a number, and each has few spellings: see `parse::words`. Wherever parsing reads one
//! of error or worse out of a record, something that is searched for here lies in it. What is found may as well be prose;
//! whoever finds it has the record parsed. A severity that is not at least an error is too common for this to pay.

use std::{ops::Range, sync::LazyLock};

use memchr::{memchr, memrchr};

use super::fingers::{Fingers, Pattern};
use crate::parse;

/// Bytes that are no letters, but for those in [`MARKS`] and `@` and the backtick, which stand beside no level's letter.
const OTHERS: &[u8] = &bytes_of::<192>([true, true, true, true, false, false, false, false]);
/// Further bytes that are no letters.
const MARKS: &[u8] = b"[\\]^_{|}~\x7f";
/// What may stand behind a letter that is a level: no letter, or one of those behind `o`, since one pattern has no room for
/// fewer.
const BEHIND_LETTER: &[u8] = &bytes_of::<224>([true, true, true, true, false, true, false, true]);
/// The letters that may be a level by themselves, and that with which the CRI marks a part of a line.
const LETTERS: &[u8] = b"EFCAXP";
const DIGITS: &[u8] = b"0123456789";
const ANY: &[u8] = &bytes_of::<256>([true; 8]);
/// The longest facility of a Cisco message.
const FACILITY_BYTES_MAX: usize = 32;

/// Parts of words that are levels, and of keys under which numbers are.
const WORDS: [Pattern; 8] = [
    // error, err, erro; eror; alert; emerg, emergency, emergent.
    [b"eE", b"rR", b"rRoOtTgG"],
    // critical, crit; crt.
    [b"cC", b"rR", b"iItT"],
    // fatal, fata; fail, failed, failure.
    [b"fF", b"aA", b"tTiI"],
    // severe; severity and its like.
    [b"sS", b"eE", b"vV"],
    // ftl; lvl.
    [b"lLfF", b"vVtT", b"lL"],
    // exception; disaster.
    [b"xXsS", b"cCaA", b"eEsS"],
    // panic, dpanic, pani; priority.
    [b"pP", b"aArR", b"nNiI"],
    // level and its like.
    [b"eE", b"vV", b"eE"],
];

/// Single letters, numbers, and what makes a record be looked at whole.
const SIGNS: [Pattern; 8] = [
    [OTHERS, LETTERS, BEHIND_LETTER],
    [MARKS, LETTERS, BEHIND_LETTER],
    // A status of an access log.
    [b" \t\"\n\x0b\x0c\r", b"5", ANY],
    // A PRI.
    [b"<", DIGITS, b"0123456789>"],
    // What Docker escapes and what may stand for a letter, or before one; a message's number of Cisco's.
    [b"\\%", b"tbfrunABCDEFGHIJKLMNOPQRSTUVWXYZ_", ANY],
    // What colours text may end in a letter, and so may TAI64N; Serilog's key.
    [ANY, b"\x1b@", ANY],
    // The X servers' `(EE)`.
    [b"ECAF", b"ECAF", b")"],
    // Docker's line, which may be a part of one.
    [b"{", b"\"", b"l"],
];

static FINGERS: LazyLock<Fingers> = LazyLock::new(|| Fingers::new([&WORDS, &SIGNS]));

/// The bytes of those eighths of the lower half whose place is true, and all of the upper half.
const fn bytes_of<const LEN: usize>(eighths: [bool; 8]) -> [u8; LEN] {
    let (mut bytes, mut byte, mut at) = ([0; LEN], 0, 0);
    while byte < 256 {
        if byte >= 128 || eighths[byte / 16] {
            bytes[at] = byte as u8;
            at += 1;
        }
        byte += 1;
    }
    assert!(at == LEN, "as many as asked for");
    bytes
}

/// Where it begins what may be an error's severity, or worse, first in `range` of `text`, which is whole records. It lies in
/// the record that may be one, and none before that is; to find the next one, search from the record behind it on.
pub fn find(text: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let found = FINGERS.find(text, range, |at| is_real(text, at))?;
    Some(found..found + 1)
}

/// Whether what fits a pattern, with its second byte at `at`, may be what the pattern is for.
fn is_real(text: &[u8], at: usize) -> bool {
    let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied().unwrap_or(b'\n');
    let bytes = [byte(at.checked_sub(1)), text[at], byte(Some(at + 1))];
    // Most of what fits is a part of a word, and nothing else then.
    if bytes.iter().all(u8::is_ascii_alphabetic) {
        return is_word(text, at, bytes);
    }
    is_letter(text, at, bytes) || is_number(text, at, bytes) || must_be_read(text, at, bytes)
}

/// Whether a word for a level may be here, or a key with a number or a letter as its value.
fn is_word(text: &[u8], at: usize, bytes: [u8; 3]) -> bool {
    let has = |from: Option<usize>, word: &[u8]| {
        let part = from.and_then(|from| text.get(from..from + word.len()));
        part.is_some_and(|part| part.eq_ignore_ascii_case(word))
    };
    let (before, behind) = (|len: usize| at.checked_sub(1 + len), Some(at + 2));
    match &bytes.map(|byte| byte.to_ascii_lowercase()) {
        b"err" | b"crt" | b"ftl" => true,
        b"ero" => has(behind, b"r"),
        b"ert" => has(before(2), b"al"),
        b"erg" => has(before(2), b"em"),
        b"cri" => has(behind, b"t"),
        b"fat" => has(behind, b"a"),
        b"fai" => has(behind, b"l"),
        b"xce" => has(before(1), b"e") && has(behind, b"p"),
        b"sas" => has(before(2), b"di") && has(behind, b"t"),
        b"pan" => has(behind, b"i"),
        b"pri" => has(behind, b"ority") && has_short_value(text, at + 7),
        b"sev" => has(behind, b"ere") || has_short_value(text, at + 2),
        b"eve" => has(before(1), b"l") && has(behind, b"l") && has_short_value(text, at + 3),
        b"lvl" => has_short_value(text, at + 2),
        _ => false,
    }
}

/// Whether the value of the key that `at` lies in is a number or a single letter.
fn has_short_value(text: &[u8], at: usize) -> bool {
    let rest = &text[at.min(text.len())..];
    let key = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_').count();
    let rest = &rest[key..];
    // Within another string of JSON its quotes are escaped.
    let gap = rest.iter().take_while(|byte| **byte <= b' ' && **byte != b'\n' || b"\":=\\".contains(byte)).count();
    match rest[gap..] {
        [b'0'..=b'9', ..] => true,
        [b'A'..=b'Z' | b'a'..=b'z', ref after @ ..] => !after.first().is_some_and(u8::is_ascii_alphabetic),
        _ => false,
    }
}

/// Whether a letter that is a level by itself may be here: klog's before its date, logcat's, and others'.
fn is_letter(text: &[u8], at: usize, [before, here, after]: [u8; 3]) -> bool {
    if before == here && after == b')' {
        return true;
    }
    if !LETTERS.contains(&here) || before.is_ascii_alphabetic() || after.is_ascii_alphabetic() {
        return false;
    }
    let is_behind_stream = || text[..at].ends_with(b"stdout ") || text[..at].ends_with(b"stderr ");
    match (here, after) {
        (b'P', _) => is_behind_stream(),
        // The CRI's mark of a whole line. WebSphere's letter has a message's number behind it.
        (b'F', b' ') if is_behind_stream() => {
            let rest = &text[at + 2..];
            let letters = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
            letters >= 4 && rest.get(letters).is_some_and(u8::is_ascii_digit)
        }
        // A day behind it has four digits or more; MongoDB's levels have one.
        (_, b'0'..=b'9') => match &text[at + 1..] {
            [_, b' ', ..] => true,
            rest => rest.get(..4).is_some_and(|rest| rest.iter().all(u8::is_ascii_digit)),
        },
        _ => true,
    }
}

/// Whether a number may be here that is a severity by itself.
fn is_number(text: &[u8], at: usize, [before, here, _]: [u8; 3]) -> bool {
    match (before, here) {
        (b' ' | b'\t' | b'"' | b'\n' | 0x0b | 0x0c | b'\r', b'5') => {
            matches!(text.get(at + 3), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
        }
        (b'<', b'0'..=b'9') => {
            let digits = text[at..].iter().take(3).take_while(|byte| byte.is_ascii_digit());
            let (number, len) =
                digits.fold((0, 0), |(number, len), byte| (number * 10 + u32::from(byte - b'0'), len + 1));
            text.get(at + len) == Some(&b'>') && number & 7 <= 3
        }
        (b'%', b'A'..=b'Z' | b'_') => {
            let len = text[at..].iter().take(FACILITY_BYTES_MAX).take_while(|byte| **byte >= b'A').count();
            matches!(text[at + len..], [b'-', b'0'..=b'3', b'-', ..])
        }
        _ => false,
    }
}

/// Whether the record must be parsed to tell, whatever stands in it.
fn must_be_read(text: &[u8], at: usize, [before, here, after]: [u8; 3]) -> bool {
    let line_start = || memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
    match (before, here) {
        (_, 0x1b) => true,
        (_, b'@') => after == b'4' || after.eq_ignore_ascii_case(&b'l') && has_short_value(text, at + 2),
        // Only Docker's lines are unescaped.
        (b'\\', b't' | b'b' | b'f' | b'r' | b'u') => is_of_docker(&text[line_start()..]),
        (b'\\', b'n') => after.is_ascii_alphabetic() && is_of_docker(&text[line_start()..]),
        (b'{', b'"') if is_of_docker(&text[at - 1..]) => {
            let line = &text[at - 1..];
            parse::is_part(&line[..memchr(b'\n', line).unwrap_or(line.len())])
        }
        _ => false,
    }
}

fn is_of_docker(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    line.trim_ascii_start().starts_with(b"{\"log\":\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: bool) {
        assert_eq!(find(line.as_bytes(), 0..line.len()).is_some(), expected, "{line}");
    }

    #[test]
    fn every_spelling_of_an_error_is_found() {
        for line in [
            "2026-11-20T10:00:00Z ERROR x",
            "eRrOr: x",
            "[core:emerg] x",
            "E1120 10:00:00.000000 1 a.go:1] x",
            "E",
            "11-20 10:00:00.000 1 2 E Tag: x",
            "[    1.000] (EE) x",
            r#"{"level":50}"#,
            r#"{"level":"E"}"#,
            r#"{"@l":"e"}"#,
            r#"{"s":"F"}"#,
            "priority=3",
            "lvl = 3",
            "<11>x",
            "%LINK-3-UPDOWN: x",
            r#"10.0.0.1 - - [20/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 503 12"#,
            "\x1b[31mINFO",
            r#"{"log":"\u0045RROR","stream":"stdout","time":"2026-11-20T10:00:00Z"}"#,
            r#"{"log":"half of it","stream":"stdout","time":"2026-11-20T10:00:00Z"}"#,
            "2026-11-20T10:00:00.000000000Z stdout P half of it",
        ] {
            check(line, true);
        }
    }

    #[test]
    fn most_other_lines_are_passed_over() {
        for line in [
            "2026-11-20T10:00:00Z INFO server started, 12 workers",
            r#"{"ts":"2026-11-20T10:00:00.5Z","level":"info","msg":"served","severity":"INFO"}"#,
            "ts=2026-11-20T10:00:00Z level=info msg=\"user logged in\" priority=normal",
            r#"10.0.0.1 - - [20/Nov/2026:10:00:00 +0000] "GET /a/5 HTTP/1.1" 200 5120 "-" "curl/8.5.0""#,
            "I1120 10:00:00.000000 1 a.go:1] Starting",
            "<13>Nov 20 10:00:00 host app[12]: session 5e7f001e opened",
            r#"{"log":"Exit code, print\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}"#,
            "2026-11-20T10:00:00.000000000Z stdout F all of it",
        ] {
            check(line, false);
        }
    }
}
