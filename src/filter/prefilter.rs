//! A pattern searched over many records at once, before any of them is looked at.
//!
//! A predicate asks each record. Most records have nothing of what is wanted, and to find them out one by one costs more
//! than to search all their bytes for one of the patterns that must match. What is found that way may be too much, and
//! is looked at; it is never too little: wherever the pattern matches a record, its counterpart matches in the file.

use std::ops::Range;

use regex_automata::{Input, meta};
use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use super::levels;
use crate::limits::PATTERNS_COMPILED_BYTES_MAX;

/// What to search for in text that holds many records.
#[derive(Clone, Debug)]
pub enum Prefilter {
    /// The counterpart of a pattern that must match.
    Pattern {
        /// What is searched for.
        regex: Box<meta::Regex>,
        /// Whether it asks for what stands beside its match.
        has_looks: bool,
    },
    /// Whatever may be the severity of an error or worse.
    Errors,
}

impl Prefilter {
    /// The counterpart of the one of `patterns` that promises most; none where none promises anything.
    pub(super) fn of(patterns: &[String]) -> Option<Self> {
        let parse = |pattern: &String| regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).ok();
        let shortest = |hir: &Hir| hir.properties().minimum_len().unwrap_or(0);
        let hir = patterns.iter().filter_map(parse).max_by_key(shortest)?;
        // What matches nothing matches everywhere.
        if shortest(&hir) == 0 {
            return None;
        }
        let has_looks = !hir.properties().look_set().is_empty();
        let config = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(PATTERNS_COMPILED_BYTES_MAX))
            .hybrid_cache_capacity(PATTERNS_COMPILED_BYTES_MAX);
        let regex = meta::Builder::new().configure(config).build_from_hir(&in_many(hir)).ok()?;
        Some(Self::Pattern { regex: Box::new(regex), has_looks })
    }

    /// Where it matches first in `range` of `text`, which is whole records, each ended by LF or CR LF but for the last.
    ///
    /// The record in which the match begins may be one that the pattern matches, and none before it is. To find the next
    /// one, search from the record behind it on.
    pub fn find(&self, text: &[u8], range: Range<usize>) -> Option<Range<usize>> {
        match self {
            Self::Pattern { regex, .. } => regex.search(&Input::new(text).range(range)).map(|found| found.range()),
            Self::Errors => levels::find(text, range),
        }
    }

    /// Whether it asks for what stands beside its match, such as the beginning of a line: then it may miss records whose
    /// beginning or end is not where a line begins or ends.
    pub fn has_looks(&self) -> bool {
        match self {
            Self::Pattern { has_looks, .. } => *has_looks,
            Self::Errors => true,
        }
    }
}

/// Where the pattern asks for the beginning or the end of its record, asks for those of a line instead.
fn in_many(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => look_in_many(look),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(in_many(*repetition.sub)), ..repetition })
        }
        HirKind::Capture(capture) => in_many(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(in_many).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(in_many).collect()),
    }
}

fn look_in_many(look: Look) -> Hir {
    match look {
        Look::Start => Hir::look(Look::StartLF),
        // A record ends before the carriage return, too, that its terminator begins with.
        Look::End => Hir::look(Look::EndCRLF),
        Look::EndLF => Hir::alternation(vec![Hir::look(Look::EndLF), Hir::look(Look::EndCRLF)]),
        // What stands beside a record is no part of a word, like nothing at all.
        Look::StartLF
        | Look::StartCRLF
        | Look::EndCRLF
        | Look::WordAscii
        | Look::WordAsciiNegate
        | Look::WordUnicode
        | Look::WordUnicodeNegate
        | Look::WordStartAscii
        | Look::WordEndAscii
        | Look::WordStartUnicode
        | Look::WordEndUnicode
        | Look::WordStartHalfAscii
        | Look::WordEndHalfAscii
        | Look::WordStartHalfUnicode
        | Look::WordEndHalfUnicode => Hir::look(look),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use regex::bytes::Regex;

    use super::*;

    /// The records that searching finds, by their indices, before anything is looked at.
    fn candidates(prefilter: &Prefilter, text: &[u8]) -> Vec<usize> {
        let ends: Vec<usize> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        let starts: Vec<usize> =
            ends.iter().scan(0, |at, len| Some(std::mem::replace(at, *at + len))).chain([text.len()]).collect();
        let (mut at, mut found) = (0, Vec::new());
        while let Some(hit) = prefilter.find(text, at..text.len()).filter(|hit| hit.start < text.len()) {
            let record = starts.partition_point(|start| *start <= hit.start) - 1;
            found.push(record);
            at = starts[record + 1];
        }
        found
    }

    fn records(text: &[u8]) -> impl Iterator<Item = &[u8]> {
        text.split_inclusive(|byte| *byte == b'\n').map(|line| match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => line,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_record_that_matches_is_missed(
            parts in vec(select(vec![
                "a", "b", "ab", ".", "^", "$", r"\A", r"\z", r"\b", r"\B", "[^a]", r"\s", r"\W", "(?s:.)", "(?m:^)",
                "(?m:$)", "(?Rm:^)", "(?Rm:$)", "(?i:B)", "a*", "b?", "(?:a|^b)", "(?:b|a$)", "é", r"\n", r"\r", "(?-u:\\xff)",
                r"\b{start}", r"\b{end-half}",
            ]), 1..6),
            text in vec(select(vec![&b"a"[..], b"b", b"\n", b"\r\n", b"\r", b" ", b"\xc3\xa9", b"\xff", b"A"]), 0..24),
        ) {
            let (pattern, text) = (parts.concat(), text.concat());
            let Some(prefilter) = Prefilter::of(std::slice::from_ref(&pattern)) else { return Ok(()) };
            let regex = Regex::new(&pattern).expect("parts of patterns");
            let found = candidates(&prefilter, &text);
            for (index, record) in records(&text).enumerate() {
                prop_assert!(
                    !regex.is_match(record) || found.contains(&index),
                    "{pattern:?} misses record {index} of {text:?}"
                );
            }
        }
    }

    #[test]
    fn what_promises_nothing_is_not_searched() {
        let of = |patterns: &[&str]| Prefilter::of(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(of(&[]).is_none() && of(&["a*"]).is_none() && of(&["^$"]).is_none() && of(&["x|"]).is_none());
        let longest = of(&["a*", "abc", "b"]).expect("one promises something");
        assert_eq!(longest.find(b"b ab abc", 0..8), Some(5..8));
        assert!(!longest.has_looks() && of(&["^abc"]).expect("it does").has_looks());
    }
}
