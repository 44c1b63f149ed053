//! Entries as people read them.
//!
//! `LABEL TIME LEVEL text`: the label (host, source, file) where there are several; the time unless the line begins
//! with one and no other was asked for; the level unless the line has its word, which is then coloured where it stands.
//! A line of JSON is folded to what it says and the rest. What a line holds is never taken as a command by a terminal.

use std::{collections::HashMap, ops::Range, str};

use jiff::tz::TimeZone;
use regex::bytes::Regex;

use super::{
    clock::{Clock, push_distance},
    escape,
    fold::{Beside, Folded, fold},
    paint::{DIM, LABELS, MATCH, RESET, Style, severity},
};
use crate::{
    client::Entry,
    entry::{Severity, flag, severity::by_name},
};

/// Bytes at the beginning of a line in which its own time and level are looked for.
const HEAD_BYTES: usize = 160;
/// Bytes at the beginning of a line in which a time stands that makes another one superfluous.
const OWN_TIME_BYTES: usize = 40;
/// What the second and further lines of a record begin with.
const INDENT: &str = "    ";

/// How times are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Times {
    /// By local clocks, where the line has no time of its own.
    Local(TimeZone),
    /// In UTC, always.
    Utc,
    /// As the distance from now, always.
    Relative,
}

/// Writes entries for people.
#[derive(Debug)]
pub struct Pretty {
    colors: bool,
    times: Times,
    clock: Clock,
    patterns: Vec<Regex>,
    labels: Labels,
}

/// Which parts of an entry's origin are worth showing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// There are several hosts.
    pub host: bool,
    /// Some host has several sources.
    pub source: bool,
    /// Some source has several files.
    pub file: bool,
}

/// Labels that were written, with their colours in the order of their coming.
#[derive(Debug, Default)]
struct Labels {
    origin: Origin,
    styles: HashMap<Vec<u8>, Style>,
    /// The label of the entry at hand.
    text: Vec<u8>,
}

impl Pretty {
    /// A writer that highlights what `patterns` match.
    pub fn new(colors: bool, times: Times, patterns: Vec<Regex>) -> Self {
        let zone = match &times {
            Times::Local(zone) => zone.clone(),
            Times::Utc | Times::Relative => TimeZone::UTC,
        };
        Self { colors, times, clock: Clock::new(zone, ' '), patterns, labels: Labels::default() }
    }

    /// Shows these parts of the origin from now on.
    pub fn set_origin(&mut self, origin: Origin) {
        self.labels.origin = origin;
    }

    /// Appends `entry` of `host`, with a line feed; `now` in nanoseconds.
    pub fn push(&mut self, out: &mut Vec<u8>, host: &str, entry: &Entry, now: i64) {
        let label = self.labels.of(host, entry);
        if let Some(style) = label {
            paint(out, self.colors, style, &self.labels.text);
            out.push(b' ');
        }
        let context = entry.has(flag::CONTEXT);
        let level = severity(entry.severity);
        let line = str::from_utf8(&entry.message).unwrap_or_default();
        let beside = Beside { severity: level.is_some(), time: !entry.has(flag::TIME_NOT_FROM_LINE) };
        match fold(line, beside) {
            Some(folded) => {
                self.push_time(out, entry.timestamp, now);
                self.push_level(out, level);
                self.push_folded(out, &folded);
            }
            None => {
                if !matches!(self.times, Times::Local(_)) || !has_own_time(entry) {
                    self.push_time(out, entry.timestamp, now);
                }
                let word = level_word(entry);
                if word.is_none() {
                    self.push_level(out, level);
                }
                let level = word.zip(level).map(|(word, (_, style))| (word, style));
                let lines = entry.has(flag::JOINED).then_some(INDENT);
                self.push_text(out, &entry.message, level, if context { DIM } else { "" }, lines);
            }
        }
        out.push(b'\n');
    }

    fn push_time(&mut self, out: &mut Vec<u8>, timestamp: i64, now: i64) {
        if self.colors {
            out.extend_from_slice(DIM.as_bytes());
        }
        match self.times {
            Times::Local(_) => self.clock.push(out, timestamp, 3),
            Times::Utc => {
                self.clock.push(out, timestamp, 3);
                out.push(b'Z');
            }
            Times::Relative => push_distance(out, timestamp, now),
        }
        if self.colors {
            out.extend_from_slice(RESET.as_bytes());
        }
        out.push(b' ');
    }

    fn push_level(&self, out: &mut Vec<u8>, level: Option<(&'static str, Style)>) {
        if let Some((name, style)) = level {
            paint(out, self.colors, style, name.as_bytes());
            out.push(b' ');
        }
    }

    fn push_folded(&self, out: &mut Vec<u8>, folded: &Folded<'_>) {
        if let Some(message) = &folded.message {
            self.push_text(out, message.as_bytes(), None, "", None);
        }
        for (number, (key, value)) in folded.rest.iter().enumerate() {
            if number > 0 || folded.message.is_some() {
                out.push(b' ');
            }
            self.push_text(out, &[key.as_bytes(), b"="].concat(), None, DIM, None);
            self.push_text(out, value.as_bytes(), None, "", None);
        }
    }

    /// Appends `text` in `base`, with what the patterns match and the word of the level painted over it.
    fn push_text(
        &self,
        out: &mut Vec<u8>,
        text: &[u8],
        level: Option<(Range<usize>, Style)>,
        base: Style,
        lines: Option<&str>,
    ) {
        if !self.colors {
            return escape::push(out, text, lines);
        }
        let mut spans = self.matches(text);
        if let Some((word, style)) = level
            && !spans.iter().any(|(span, _)| span.start < word.end && word.start < span.end)
        {
            spans.push((word, style));
            spans.sort_by_key(|(span, _)| span.start);
        }
        let mut done = 0;
        out.extend_from_slice(base.as_bytes());
        for (span, style) in spans {
            escape::push(out, &text[done..span.start], lines);
            out.extend_from_slice(style.as_bytes());
            escape::push(out, &text[span.clone()], lines);
            out.extend_from_slice(RESET.as_bytes());
            out.extend_from_slice(base.as_bytes());
            done = span.end;
        }
        escape::push(out, &text[done..], lines);
        if !base.is_empty() {
            out.extend_from_slice(RESET.as_bytes());
        }
    }

    /// What the patterns match in `text`, without overlaps, in order.
    fn matches(&self, text: &[u8]) -> Vec<(Range<usize>, Style)> {
        let mut found: Vec<Range<usize>> = self
            .patterns
            .iter()
            .flat_map(|pattern| pattern.find_iter(text).map(|found| found.range()))
            .filter(|range| !range.is_empty())
            .collect();
        found.sort_by_key(|range| range.start);
        let mut spans: Vec<(Range<usize>, Style)> = Vec::with_capacity(found.len());
        for range in found {
            match spans.last_mut() {
                Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
                _ => spans.push((range, MATCH)),
            }
        }
        spans
    }
}

impl Labels {
    /// Puts the label of `entry` into `text`; its colour, or none when there is nothing to tell apart.
    fn of(&mut self, host: &str, entry: &Entry) -> Option<Style> {
        let Origin { host: by_host, source, file } = self.origin;
        self.text.clear();
        let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let parts: [(bool, &[u8], u8); 3] =
            [(by_host, host.as_bytes(), b' '), (source, &entry.source, b' '), (file, name, b'/')];
        for (shown, part, separator) in parts {
            if shown {
                if !self.text.is_empty() {
                    self.text.push(separator);
                }
                escape::push(&mut self.text, part, None);
            }
        }
        if self.text.is_empty() {
            return None;
        }
        if let Some(style) = self.styles.get(&self.text) {
            return Some(style);
        }
        let style = LABELS[self.styles.len() % LABELS.len()];
        self.styles.insert(self.text.clone(), style);
        Some(style)
    }
}

fn paint(out: &mut Vec<u8>, colors: bool, style: Style, text: &[u8]) {
    if colors {
        out.extend_from_slice(style.as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(RESET.as_bytes());
    } else {
        out.extend_from_slice(text);
    }
}

/// Whether the line itself begins with a time of day.
fn has_own_time(entry: &Entry) -> bool {
    let head = &entry.message[..entry.message.len().min(OWN_TIME_BYTES)];
    let two_digits = |at: usize| head[at].is_ascii_digit() && head[at + 1].is_ascii_digit();
    let is_clock =
        |at: usize| head[at + 2] == b':' && head[at + 5] == b':' && [at, at + 3, at + 6].into_iter().all(two_digits);
    !entry.has(flag::TIME_NOT_FROM_LINE) && (0..head.len().saturating_sub(7)).any(is_clock)
}

/// Where the line says its severity in a word.
fn level_word(entry: &Entry) -> Option<Range<usize>> {
    let severity = u8::try_from(entry.severity).ok().and_then(Severity::from_number)?;
    let head = &entry.message[..entry.message.len().min(HEAD_BYTES)];
    let mut start = 0;
    for word in head.split(|byte| !byte.is_ascii_alphanumeric()) {
        let range = start..start + word.len();
        start = range.end + 1;
        let is_word = word.first().is_some_and(u8::is_ascii_alphabetic);
        if is_word && str::from_utf8(word).ok().and_then(by_name) == Some(severity) {
            return Some(range);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const NOW: i64 = 1_700_000_100_000_000_000;

    fn entry(message: &'static str, severity: i32, flags: u32) -> Entry {
        Entry {
            message: Bytes::from_static(message.as_bytes()),
            timestamp: 1_700_000_000_123_000_000,
            severity,
            source: Bytes::from_static(b"nginx"),
            path: Bytes::from_static(b"/var/log/nginx/error.log"),
            flags,
            ..Entry::default()
        }
    }

    fn written(pretty: &mut Pretty, entry: &Entry) -> String {
        let mut out = Vec::new();
        pretty.push(&mut out, "web1", entry, NOW);
        String::from_utf8(out).expect("text")
    }

    fn plain(times: Times, entry: &Entry) -> String {
        written(&mut Pretty::new(false, times, Vec::new()), entry)
    }

    fn local() -> Times {
        Times::Local(TimeZone::get("Europe/Berlin").expect("a zone"))
    }

    #[test]
    fn a_line_is_shown_as_it_was_with_what_it_lacks() {
        assert_eq!(plain(local(), &entry("no time", 0, 8)), "2023-11-14 23:13:20.123 no time\n");
        assert_eq!(plain(local(), &entry("no time", 17, 8)), "2023-11-14 23:13:20.123 ERROR no time\n");
        assert_eq!(plain(local(), &entry("2023-11-14T22:13:20Z ERR x", 17, 0)), "2023-11-14T22:13:20Z ERR x\n");
        assert_eq!(plain(local(), &entry("at 22:13:20 x", 13, 0)), "WARN  at 22:13:20 x\n");
        assert_eq!(plain(local(), &entry("at 22:13:20 x", 0, 8)), "2023-11-14 23:13:20.123 at 22:13:20 x\n");
    }

    #[test]
    fn times_that_were_asked_for_are_always_shown() {
        let line = entry("22:13:20 x", 0, 0);
        assert_eq!(plain(Times::Utc, &line), "2023-11-14 22:13:20.123Z 22:13:20 x\n");
        assert_eq!(plain(Times::Relative, &line), "  1m 22:13:20 x\n");
    }

    #[test]
    fn json_is_folded() {
        let line = entry(r#"{"time":"x","level":"info","msg":"a\u001b[1m","k":"v"}"#, 9, 0);
        assert_eq!(plain(local(), &line), "2023-11-14 23:13:20.123 INFO  a\\x1b[1m k=v\n");
        assert_eq!(plain(local(), &entry("{}", 0, 8)), "2023-11-14 23:13:20.123 \n");
    }

    #[test]
    fn origins_are_told_apart_when_there_are_several() {
        let mut pretty = Pretty::new(false, local(), Vec::new());
        let line = entry("22:13:20 x", 0, 0);
        for (host, source, file, expected) in [
            (true, false, false, "web1 22:13:20 x\n"),
            (false, true, true, "nginx/error.log 22:13:20 x\n"),
            (true, false, true, "web1/error.log 22:13:20 x\n"),
            (true, true, false, "web1 nginx 22:13:20 x\n"),
        ] {
            pretty.set_origin(Origin { host, source, file });
            assert_eq!(written(&mut pretty, &line), expected);
        }
    }

    #[test]
    fn level_and_matches_are_coloured_where_they_stand() {
        let pattern = |text: &str| Regex::new(text).expect("a pattern");
        let mut pretty = Pretty::new(true, local(), vec![pattern("di.k"), pattern("k fu")]);
        assert_eq!(
            written(&mut pretty, &entry("22:13:20 [error] disk full\x1b", 17, 0)),
            "22:13:20 [\x1b[31merror\x1b[0m] \x1b[1;7mdisk fu\x1b[0mll\\x1b\n"
        );
        assert_eq!(
            written(&mut pretty, &entry("22:13:20 context", 13, 32)),
            "\x1b[33mWARN \x1b[0m \x1b[2m22:13:20 context\x1b[0m\n"
        );
        pretty.set_origin(Origin { source: true, ..Origin::default() });
        assert_eq!(written(&mut pretty, &entry("22:13:20", 0, 0)), "\x1b[36mnginx\x1b[0m 22:13:20\n");
    }

    #[test]
    fn a_record_of_several_lines_stays_one() {
        let trace = entry("22:13:20 boom\n  at x", 0, flag::JOINED);
        assert_eq!(plain(local(), &trace), "22:13:20 boom\n      at x\n");
        assert_eq!(plain(local(), &entry("22:13:20 a\nb", 0, 0)), "22:13:20 a\\nb\n");
    }
}
