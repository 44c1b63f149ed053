//! Lines of free text: a date, a level word, some names, then prose.
//!
//! Programs lay these out in a thousand ways, but all of them put what they say about a line *before* what the line
//! says. So a line is read token by token from its beginning, and reading stops where prose begins; a severity word in
//! prose ("no error found") is no severity.

use super::{
    json, logfmt,
    time::{self, Stamp, Zone},
    words,
};
use crate::entry::{Nanos, Severity};

/// Bytes of a line that are looked at for what stands before the prose.
const PREFIX_BYTES: usize = 1024;

/// What a line of text states.
pub fn read(line: &[u8], zone: &Zone) -> (Option<Severity>, Option<Nanos>) {
    let mut prefix = Prefix {
        line: &line[..line.len().min(PREFIX_BYTES)],
        at: 0,
        severity: None,
        stamp: None,
        before: Before::Beginning,
    };
    while prefix.step() {}
    let mut severity = prefix.severity;
    let mut moment = prefix.stamp.and_then(|stamp| stamp.moment(zone));
    let rest = &line[prefix.at.min(line.len())..];
    if severity.is_none() || moment.is_none() {
        let said = match rest {
            [b'{', ..] => json::read(rest, zone),
            _ if logfmt::begins(rest) => logfmt::read(rest, zone),
            _ => (None, None),
        };
        severity = severity.or(said.0);
        moment = moment.or(said.1);
    }
    (severity, moment)
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

impl Prefix<'_> {
    /// Reads the next token; false when there is nothing more to learn.
    #[inline]
    fn step(&mut self) -> bool {
        if self.severity.is_some() && self.stamp.is_some() {
            return false;
        }
        match self.line.get(self.at) {
            None => false,
            Some(b' ' | b'\t' | b']' | b')' | b'>' | b',' | b';') => {
                self.at += 1;
                true
            }
            Some(b'0'..=b'9') => self.number(),
            Some(b'[' | b'(' | b'<') => self.bracket(),
            Some(b'A'..=b'Z' | b'a'..=b'z') => self.word(),
            Some(b'-' | b'|' | b':' | b'*' | b'#' | b'=' | b'~' | b'/' | b'.' | b'+') => self.mark(),
            Some(b'{') => false,
            Some(b'\'' | b'"' | b'!' | b'?') => false,
            Some(_) => self.name(),
        }
    }

    /// Reads a time, or a number as a name.
    fn number(&mut self) -> bool {
        if self.stamp.is_none()
            && let Some((stamp, len)) = time::read(&self.line[self.at..])
        {
            self.stamp = Some(stamp);
            self.at += len;
            self.before = Before::Time;
            return true;
        }
        let before = self.before;
        let go_on = self.name();
        if before == Before::Time && self.before == Before::Name {
            self.before = Before::Time;
        }
        go_on
    }

    /// Reads `[level]`, goes into `[time …`, or passes over any other bracket.
    fn bracket(&mut self) -> bool {
        let inner = &self.line[self.at + 1..];
        match inner.first() {
            Some(b'0'..=b'9') if self.stamp.is_none() && time::read(inner).is_some() => {
                self.at += 1;
                return self.number();
            }
            Some(b'A'..=b'Z' | b'a'..=b'z' | b' ') => {
                let indent = inner.iter().take_while(|&&byte| byte == b' ').count();
                let len = letters(&inner[indent..]);
                let word = &inner[indent..indent + len];
                let after = inner[indent + len..].trim_ascii_start().first();
                if self.severity.is_none()
                    && matches!(after, Some(b']' | b')' | b'>' | b':' | b'|'))
                    && let Some(severity) = words::severity(word)
                {
                    self.severity = Some(severity);
                    self.at += 1 + indent + len;
                    self.before = Before::Name;
                    return true;
                }
            }
            Some(_) | None => {}
        }
        let Some(len) = bracket_len(&self.line[self.at..]) else { return false };
        self.at += len;
        if self.before != Before::Time {
            self.before = Before::Name;
        }
        true
    }

    /// Reads a level word, or a word that is none.
    #[inline]
    fn word(&mut self) -> bool {
        let rest = &self.line[self.at..];
        let len = letters(rest);
        let word = &rest[..len];
        if self.severity.is_none()
            && let Some(severity) = words::severity(word)
            && self.may_be_level(word, &rest[len..])
        {
            self.severity = Some(severity);
            self.at += len;
            self.before = Before::Name;
            return true;
        }
        self.name()
    }

    /// Whether `word`, a level word with `after` behind it, stands where level words stand.
    #[inline]
    fn may_be_level(&self, word: &[u8], after: &[u8]) -> bool {
        let ends = matches!(
            after,
            [] | [b' ' | b'\t' | b':' | b']' | b')' | b'>' | b'|' | b',' | b';' | b'[' | b'(', ..] | [b'-', b' ', ..]
        );
        if !ends {
            return false;
        }
        let marked = matches!(
            after,
            [b':' | b']' | b')' | b'>' | b'|' | b'\t', ..] | [b' ', b'-' | b'|' | b':', b' ', ..] | [b' ', b' ', ..]
        );
        let shout = word.iter().all(u8::is_ascii_uppercase);
        match self.before {
            Before::Beginning | Before::Name | Before::Tag => shout || marked && !matches!(after, [b' ', b' ', ..]),
            Before::Time => shout || marked || !often_begins_prose(word),
            Before::Separator => shout || marked,
            Before::Word => shout,
        }
    }

    /// Reads ` - ` and its like, or a name that begins with such a mark.
    fn mark(&mut self) -> bool {
        let len = self.line[self.at..].iter().take_while(|byte| b"-|:*#=~/.+".contains(byte)).count();
        if matches!(self.line.get(self.at + len), None | Some(b' ' | b'\t' | b'[')) {
            self.at += len;
            if self.before != Before::Time {
                self.before = Before::Separator;
            }
            return true;
        }
        self.name()
    }

    /// Passes over a name; false where prose or pairs begin.
    fn name(&mut self) -> bool {
        let rest = &self.line[self.at..];
        let mut len = 0;
        let mut kind = Before::Word;
        while let Some(&byte) = rest.get(len) {
            match byte {
                b' ' | b'\t' | b'|' => break,
                b'[' | b'(' => {
                    kind = Before::Name;
                    match bracket_len(&rest[len..]) {
                        Some(inner) => len += inner - 1,
                        None => return false,
                    }
                }
                b'=' | b'{' => return false,
                b'a'..=b'z' | b'A'..=b'Z' => {}
                b'\'' | b'"' | b'!' | b'?' => return false,
                _ => kind = Before::Name,
            }
            len += 1;
        }
        match (self.before, &rest[..len]) {
            (_, [.., b':']) => kind = Before::Tag,
            (_, [.., b',' | b'.' | b';']) => return false,
            (Before::Word, _) if kind == Before::Word => return false,
            // `Connection from …` is prose; but a name may be followed by a separator.
            (_, word)
                if kind == Before::Word
                    && (word[0].is_ascii_uppercase() || begins_prose(word))
                    && !matches!(rest.get(len + 1), Some(b'-' | b'|' | b'[' | b':')) =>
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

/// The number of ASCII letters that `bytes` begin with.
#[inline]
fn letters(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(bytes.len())
}

/// The length of the bracket that begins `bytes`, brackets of its own kind in it included; none when it stays open.
fn bracket_len(bytes: &[u8]) -> Option<usize> {
    let (open, close) = match bytes.first()? {
        b'[' => (b'[', b']'),
        b'(' => (b'(', b')'),
        _ => (b'<', b'>'),
    };
    let mut depth = 0usize;
    for at in memchr::memchr2_iter(open, close, bytes) {
        if bytes[at] == open {
            depth += 1;
        } else {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

/// Level words that, written as here and without any mark, begin sentences as often as they are levels.
fn often_begins_prose(word: &[u8]) -> bool {
    word[0].is_ascii_uppercase()
        && matches!(word, b"Debug" | b"Trace" | b"Notice" | b"Alert" | b"Panic" | b"Verbose" | b"Emergency")
}

/// Words that begin a sentence rather than name a thing.
fn begins_prose(word: &[u8]) -> bool {
    matches!(
        word,
        b"no"
            | b"not"
            | b"a"
            | b"an"
            | b"the"
            | b"this"
            | b"that"
            | b"with"
            | b"without"
            | b"found"
            | b"got"
            | b"any"
            | b"last"
            | b"in"
            | b"on"
            | b"of"
            | b"to"
            | b"for"
            | b"from"
            | b"and"
            | b"or"
            | b"is"
            | b"was"
            | b"has"
            | b"if"
            | b"when"
            | b"then"
            | b"send"
            | b"sent"
            | b"sending"
            | b"receive"
            | b"received"
            | b"return"
            | b"returned"
            | b"returns"
            | b"set"
            | b"setting"
            | b"saw"
            | b"raise"
            | b"raised"
            | b"new"
            | b"next"
    )
}
