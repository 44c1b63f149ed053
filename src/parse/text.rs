//! Lines of free text: a date, a level word, some names, then prose.
//!
//! Programs lay these out in a thousand ways, but all of them put what they say about a line *before* what the line
//! says. So a line is read token by token from its beginning, and reading stops where prose begins; a severity word in
//! prose ("no error found") is no severity.

use super::{
    access,
    at_once::{level_between_dashes, level_between_spaces},
    idioms::{self, Place},
    json, logfmt,
    spans::{bracket_len, is_prose, next_is_level, next_is_tag, sequence_len},
    time::{self, Frame, Stamp},
    words::{self, letters},
};
use crate::entry::{Nanos, Severity};

/// Bytes of a line that are looked at for what stands before the prose.
const PREFIX_BYTES: usize = 1024;
/// What begins a terminal's escape sequence.
pub const ESCAPE: u8 = 0x1b;

/// What a line of text states.
pub fn read(line: &[u8], frame: &Frame<'_>) -> (Option<Severity>, Option<Nanos>) {
    Prefix::new(line, 0, None, Before::Beginning).finish(line, frame)
}

/// What a line states that begins with `stamp`, of `len` bytes.
#[inline]
pub fn read_after_time(line: &[u8], stamp: Stamp, len: usize, frame: &Frame<'_>) -> (Option<Severity>, Option<Nanos>) {
    if let Some(severity) = level_between_spaces(&line[len..]).or_else(|| level_between_dashes(&line[len..]))
        && let Some(moment) = stamp.moment(frame)
    {
        return (Some(severity), Some(moment));
    }
    Prefix::new(line, len, Some(stamp), Before::Time).finish(line, frame)
}

/// The severity that a message states behind the name of its program.
pub fn severity_after_tag(message: &[u8], frame: &Frame<'_>) -> Option<Severity> {
    if is_prose(&message[..message.len().min(PREFIX_BYTES)]) {
        return None;
    }
    // Its time does not matter, so a search for one is cut short.
    let known = Stamp { day: time::Day::Dated(1), seconds: 0, nanos: 0, place: time::Place::East(0) };
    Prefix::new(message, 0, Some(known), Before::Tag).finish_tokens(message, frame).0
}

/// Where the prose, JSON or pairs of a line begin, behind its time and level.
pub fn message_start(line: &[u8]) -> usize {
    let mut prefix = Prefix::new(line, 0, None, Before::Beginning);
    while prefix.step() {}
    prefix.at
}

/// The part of a line before its prose, being read.
struct Prefix<'l> {
    line: &'l [u8],
    /// Everything before is read.
    at: usize,
    severity: Option<Severity>,
    stamp: Option<Stamp>,
    before: Before,
}

/// What stands before the token that is read next; it decides which words may be level words here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Beginning,
    /// The time, and since then nothing but numbers and brackets.
    Time,
    /// A mark that separates parts: ` - `, ` | `.
    Separator,
    /// A name that ends in a colon, `app[12]:`.
    Tag,
    /// A name that no prose has, `worker-1`, `com.example.Main`, or a number or bracket at the beginning.
    Name,
    /// One plain word, which may be a name or the beginning of prose.
    Word,
}

impl<'l> Prefix<'l> {
    #[inline]
    fn new(line: &'l [u8], at: usize, stamp: Option<Stamp>, before: Before) -> Self {
        Self { line: &line[..line.len().min(PREFIX_BYTES)], at, severity: None, stamp, before }
    }

    /// Reads all of the prefix, and JSON or pairs behind it where something is still unsaid.
    #[inline]
    fn finish(self, line: &[u8], frame: &Frame<'_>) -> (Option<Severity>, Option<Nanos>) {
        match self.stamp {
            Some(stamp) if is_prose(&self.line[self.at..]) => (None, stamp.moment(frame)),
            Some(_) | None => self.finish_tokens(line, frame),
        }
    }

    /// Reads on like [`Prefix::finish`], where no prose follows.
    fn finish_tokens(mut self, line: &[u8], frame: &Frame<'_>) -> (Option<Severity>, Option<Nanos>) {
        while self.step() {}
        let moment = self.stamp.and_then(|stamp| stamp.moment(frame));
        if self.severity.is_some() && moment.is_some() {
            return (self.severity, moment);
        }
        let rest = &line[self.at.min(line.len())..];
        let said = match rest {
            [b'{', ..] => json::read(rest, frame),
            [b'"' | b',', ..] if self.stamp.is_some() => {
                (access::answered(rest).or_else(|| idioms::quoted_columns(rest)), None)
            }
            _ if logfmt::begins(rest) => {
                let (severity, time) = logfmt::read(rest, frame);
                (severity.or_else(|| idioms::behind_pairs(rest)), time)
            }
            _ => (None, None),
        };
        (self.severity.or(said.0), moment.or(said.1))
    }

    /// Reads the next token; false when there is nothing more to learn.
    #[inline]
    fn step(&mut self) -> bool {
        if self.severity.is_some() && self.stamp.is_some() {
            return false;
        }
        // Spaces and words are the most; a branch each is foretold better than one to any of a dozen places.
        while self.line.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        if self.line.get(self.at).is_some_and(u8::is_ascii_alphabetic) {
            return self.word();
        }
        if let [b'-', b' ', ..] = self.line[self.at..] {
            self.at += 1;
            if self.before != Before::Time {
                self.before = Before::Separator;
            }
            return true;
        }
        match self.line.get(self.at) {
            None => false,
            Some(b' ' | b'\t' | b']' | b')' | b'>' | b';') => {
                self.at += 1;
                true
            }
            Some(b',') if !matches!(self.line.get(self.at + 1), Some(b'"' | b',')) => {
                self.at += 1;
                true
            }
            Some(b'0'..=b'9') => self.number(),
            Some(b'[' | b'(' | b'<') => self.bracket(),
            Some(b'-' | b'|' | b':' | b'*' | b'#' | b'=' | b'~' | b'/' | b'.' | b'+') => self.mark(),
            Some(b'{') => self.braces(),
            Some(b'\'' | b'"' | b'!' | b'?' | b',') => false,
            Some(&ESCAPE) => {
                self.at += 1 + sequence_len(&self.line[self.at + 1..]);
                true
            }
            Some(_) => self.name(),
        }
    }

    /// Takes a time where none is known yet: how many bytes it has.
    #[inline]
    fn time(&mut self, at: usize) -> bool {
        let bytes = &self.line[at..];
        if self.stamp.is_none()
            && let Some((stamp, len)) = time::read(bytes)
        {
            self.stamp = Some(stamp);
            self.at = at + len;
            self.before = Before::Time;
            return true;
        }
        // A clock without a date tells no moment, but what follows stands where it stands behind a time.
        if bytes.get(2) == Some(&b':')
            && let Some((_, _, len)) = time::clock(bytes)
        {
            self.at = at + len;
            self.before = Before::Time;
            return true;
        }
        false
    }

    /// Reads a time, or a number as a name.
    fn number(&mut self) -> bool {
        if self.time(self.at) {
            return true;
        }
        let (before, start) = (self.before, self.at);
        if !self.name() {
            return false;
        }
        // libvirt's process has a colon, `4711: error : `.
        let number = self.before == Before::Tag && self.line[start..self.at - 1].iter().all(u8::is_ascii_digit);
        if before == Before::Time && (self.before == Before::Name || number) {
            self.before = Before::Time;
        }
        true
    }

    /// Reads `[level]`, goes into `[time …`, or passes over any other bracket.
    fn bracket(&mut self) -> bool {
        let inner = &self.line[self.at + 1..];
        match *inner {
            [b'0'..=b'9', ..] => {
                if self.time(self.at + 1) {
                    return true;
                }
                if self.stamp.is_none()
                    && let Some((stamp, len)) = time::numeric::month_dot_day(inner)
                {
                    (self.stamp, self.before) = (Some(stamp), Before::Time);
                    self.at += 1 + len;
                    return true;
                }
                if self.stamp.is_none()
                    && let Some((moment, len)) = idioms::epoch_in_bracket(inner)
                {
                    (self.stamp, self.before) = (Some(Stamp::of(moment)), Before::Time);
                    self.at += 1 + len;
                    return true;
                }
            }
            // PostgreSQL's `< 2026-11-20 10:00:00 CET >`.
            [b' ', b'0'..=b'9', ..] if self.stamp.is_none() && self.time(self.at + 2) => return true,
            // GlassFish's `[#|2026-11-20T10:00:00.123+0000|INFO|`.
            [b'#', b'|', ..] => {
                self.at += 3;
                return true;
            }
            // Passenger's `[ N 2026-11-20 10:00:00 `.
            [b' ', letter @ b'A'..=b'Z', b' ', b'0'..=b'9', ..] if self.severity.is_none() => {
                self.severity = words::letter_of(letter);
                self.at += 3;
                return true;
            }
            [ESCAPE, ..] => {
                self.at += 1;
                return true;
            }
            [letter @ b'A'..=b'Z', b' ', b'0'..=b'9', ..] if self.severity.is_none() => {
                // Tornado's and Jupyter's `[I 261120 10:00:00 web:12]`.
                self.severity = words::letter_of(letter);
                self.at += 2;
                return true;
            }
            [a @ b'A'..=b'Z', b, b')', ..] if a == b && self.severity.is_none() => {
                // X servers' `(EE)`.
                self.severity = words::letter_of(a);
            }
            [b'A'..=b'Z' | b'a'..=b'z' | b' ' | b':', ..]
                if self.stamp.is_none() && self.time(self.at + 1) || self.level_in_bracket(inner) =>
            {
                return true;
            }
            _ => {}
        }
        let Some(len) = bracket_len(&self.line[self.at..]) else { return false };
        self.at += len;
        if self.before != Before::Time {
            self.before = Before::Name;
        }
        true
    }

    /// Passes over Airflow's `{file.py:12}` and ClickHouse's `{}` and `{a1b2-c3d4}`; false where JSON begins.
    fn braces(&mut self) -> bool {
        let rest = &self.line[self.at..];
        match rest.iter().take(128).position(|&byte| byte == b'}') {
            Some(close) if self.stamp.is_some() && (close == 1 || rest[1].is_ascii_alphanumeric()) => {
                self.at += close + 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Reads the level of `[level]`, `[level:` or `[module:level]`; what it was found in is left to be passed over.
    fn level_in_bracket(&mut self, inner: &[u8]) -> bool {
        if self.severity.is_some() {
            return false;
        }
        let indent = inner.iter().take_while(|&&byte| byte == b' ').count();
        let len = letters(&inner[indent..]);
        let word = &inner[indent..indent + len];
        let after = &inner[indent + len..];
        let found = match after.trim_ascii_start().first() {
            Some(b']' | b')' | b'>' | b'|' | &ESCAPE) => words::severity(word).or_else(|| idioms::in_bracket(word)),
            Some(b':') if after[0] == b':' => words::severity(word),
            // env_logger's without a time, `[INFO  app]`.
            Some(_) if self.before == Before::Beginning && after[0] == b' ' => {
                words::severity(word).filter(|_| word.iter().all(u8::is_ascii_uppercase))
            }
            Some(_) | None => None,
        };
        // Anything may stand in later brackets, so `[core:error]` counts only right behind the time.
        let found = found.or_else(|| match self.before {
            Before::Time => idioms::at_end_of_bracket(inner),
            Before::Beginning | Before::Separator | Before::Tag | Before::Name | Before::Word => None,
        });
        self.severity = found;
        if found.is_some() {
            self.at += 1 + indent + len;
            self.before = Before::Name;
        }
        found.is_some()
    }

    /// Reads a level word, or a word that is none.
    #[inline]
    fn word(&mut self) -> bool {
        let rest = &self.line[self.at..];
        let (len, severity) = words::first(rest);
        let (word, after) = rest.split_at(len);
        if self.severity.is_none() {
            let severity = severity
                .filter(|_| self.may_be_level(word, after))
                .or_else(|| idioms::level(self.place(), word, after));
            if severity.is_some() {
                self.severity = severity;
                self.at += len;
                self.before = Before::Name;
                return true;
            }
        }
        if self.stamp.is_none() && self.time(self.at) {
            return true;
        }
        self.name_after(len)
    }

    /// Whether `word`, a level word with `after` behind it, stands where level words stand.
    #[inline]
    fn may_be_level(&self, word: &[u8], after: &[u8]) -> bool {
        let marked = match after {
            [] => false,
            [b' ', b'-' | b'|' | b':', b' ', ..] | [b' ', b' ', ..] => true,
            [b' ' | b',' | b';' | b'(' | b'\r', ..] | [b'-', b' ', ..] => false,
            [b':' | b']' | b')' | b'>' | b'|' | b'\t' | b'[' | b'!' | ESCAPE, ..] => true,
            // Celery's `INFO/MainProcess]`.
            [b'/', ..] if self.before == Before::Time => false,
            _ => return false,
        };
        let shout = word.iter().all(u8::is_ascii_uppercase);
        match self.before {
            Before::Beginning | Before::Name | Before::Tag => shout || marked && after.first() != Some(&b' '),
            Before::Time => shout || marked || !words::often_begins_prose(word),
            Before::Separator => shout || marked,
            // Nagios' `SERVICE ALERT` is a kind of line; corosync sets its level apart.
            Before::Word => shout && word != b"ALERT" || after.starts_with(b"  ["),
        }
    }

    /// Where the next word stands, for those that are levels in few places.
    fn place(&self) -> Place {
        match self.before {
            Before::Beginning => Place::Beginning,
            Before::Time => Place::BehindTime,
            Before::Separator | Before::Tag | Before::Name | Before::Word => Place::Elsewhere,
        }
    }

    /// Reads ` - ` and its like, or a name that begins with such a mark.
    fn mark(&mut self) -> bool {
        let rest = &self.line[self.at..];
        let len = rest.iter().take_while(|byte| b"-|:*#=~/.+".contains(byte)).count();
        if self.before == Before::Time
            && self.severity.is_none()
            && let Some(severity) = idioms::between_colons(rest)
        {
            self.severity = Some(severity);
            return true;
        }
        let ends = matches!(rest.get(len), None | Some(b' ' | b'\t' | b'[' | b'(' | b'<' | &ESCAPE));
        if ends || rest[0] == b'|' {
            self.at += if ends { len } else { 1 };
            if self.before != Before::Time || rest[0] == b'|' {
                self.before = Before::Separator;
            }
            return true;
        }
        // Erlang's `=ERROR REPORT==== 20-Nov-2026::10:00:00 ===`.
        let word = &rest[len..len + letters(&rest[len..])];
        if rest[0] == b'=' && rest[len + word.len()..].starts_with(b" REPORT====") {
            self.severity = words::severity(word);
            self.at += len + word.len() + b" REPORT====".len();
            return self.severity.is_some();
        }
        self.name()
    }

    /// Passes over a name; false where prose or pairs begin.
    fn name(&mut self) -> bool {
        self.name_after(0)
    }

    /// Passes over a name that begins with so many letters.
    fn name_after(&mut self, letters_before: usize) -> bool {
        let rest = &self.line[self.at..];
        let mut len = letters_before;
        let mut kind = Before::Word;
        while let Some(&byte) = rest.get(len) {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' => {}
                b' ' | b'\t' | b'|' | ESCAPE => break,
                b'[' | b'(' => {
                    kind = Before::Name;
                    // cloud-init's `util.py[DEBUG]:`.
                    let inner = &rest[len + 1..];
                    let word = &inner[..letters(inner)];
                    if self.severity.is_none() && byte == b'[' && inner[word.len()..].starts_with(b"]:") {
                        self.severity = words::severity(word);
                    }
                    match bracket_len(&rest[len..]) {
                        Some(inner) => len += inner - 1,
                        None => return false,
                    }
                }
                // PostgreSQL's `user=a,db=b` is a name, other pairs are logfmt.
                b'=' if kind == Before::Word && rest.starts_with(b"user=") && idioms::names_database(rest) => {
                    kind = Before::Name
                }
                b'=' if kind == Before::Name && rest.starts_with(b"user=") => {}
                b'=' | b'{' | b'\'' | b'"' | b'!' | b'?' => return false,
                _ => kind = Before::Name,
            }
            len += 1;
        }
        if len == 0 {
            return false;
        }
        match (self.before, &rest[..len]) {
            (before, [name @ .., b':']) => {
                kind = Before::Tag;
                if before == Before::Time && self.severity.is_none() {
                    self.severity = idioms::end_of_name(name);
                }
            }
            (_, [.., b',' | b'.' | b';']) => return false,
            (Before::Word, _) if kind == Before::Word => return false,
            // `Connection from …` is prose; but a name may be followed by a separator, a host by a program.
            (before, word)
                if kind == Before::Word
                    && (word[0].is_ascii_uppercase() || words::begins_prose(word))
                    && !matches!(rest.get(len + 1), Some(b'-' | b'|' | b'[' | b':'))
                    && !(before == Before::Time && (next_is_tag(&rest[len..]) || next_is_level(&rest[len..]))) =>
            {
                return false;
            }
            _ => {}
        }
        self.before = kind;
        self.at += len;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_taken_at_once_is_the_one_that_the_tokens_lead_to() {
        let zone = time::Zone::utc();
        let frame = Frame::new(&zone, Nanos(0), false);
        let names =
            ["app.db", "root", "Root", "E", "I", "LOG", "error", "fail", "error.x", "a-b", "x1", "_x", "a.", "a:"];
        let levels = ["INFO", "error", "Debug", "Warning", "critical", "I", "LOG", "errors", "x", ""];
        let ends = [" - x y", " x y", "  x", ": x", "", " ", " -", "-x", "= 1"];
        let mut at_once = 0;
        for (level, end) in levels.iter().flat_map(|level| ends.map(|end| (level, end))) {
            for text in
                names.map(|name| format!(" - {name} - {level}{end}")).into_iter().chain([format!(" {level}{end}")])
            {
                let (stamp, len) = time::read(b"2026-11-20 10:00:00").expect("a time");
                let line = format!("2026-11-20 10:00:00{text}");
                let tokens =
                    Prefix::new(line.as_bytes(), len, Some(stamp), Before::Time).finish(line.as_bytes(), &frame);
                assert_eq!(read_after_time(line.as_bytes(), stamp, len, &frame), tokens, "{line}");
                let text = text.as_bytes();
                at_once += usize::from(level_between_spaces(text).or_else(|| level_between_dashes(text)).is_some());
            }
        }
        assert!(at_once > 20, "{at_once} of them at once");
    }
}
