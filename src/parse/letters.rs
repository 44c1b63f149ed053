//! Formats that write the severity as one letter or mark: klog and glog, Android's logcat, Redis, CUPS and Ruby.

use super::{
    time::{self, Day, Place, Stamp, calendar, clock, number, numeric::in_some_year},
    words,
};
use crate::entry::Severity;

/// A line whose severity is a letter, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lettered<'l> {
    /// What the letter says.
    pub severity: Option<Severity>,
    /// When it was written.
    pub stamp: Option<Stamp>,
    /// The process or thread, as written; empty when it is not said.
    pub pid: &'l [u8],
    /// The tag, or source file and line; empty when it is not said.
    pub origin: &'l [u8],
    /// The rest.
    pub message: &'l [u8],
}

/// Reads `I1120 10:00:00.123456   12345 file.go:123] message` (klog and glog), also with a year.
pub fn klog(line: &[u8]) -> Option<Lettered<'_>> {
    let [letter @ (b'I' | b'W' | b'E' | b'F' | b'C'), d1, d2, d3, d4, ref rest @ ..] = *line else { return None };
    let (day, rest) = match *rest {
        [b' ', ref rest @ ..] => (in_some_year(number([d1, d2])?, number([d3, d4])?)?, rest),
        // CockroachDB's year has two digits.
        [e1, e2, b' ', ref rest @ ..] => {
            (Day::Dated(calendar::days(2000 + number([d1, d2])?, number([d3, d4])?, number([e1, e2])?)?), rest)
        }
        [m1, m2, e1, e2, b' ', ref rest @ ..] => {
            (Day::Dated(calendar::days(number([d1, d2, d3, d4])?, number([m1, m2])?, number([e1, e2])?)?), rest)
        }
        _ => return None,
    };
    let (seconds, nanos, len) = clock(rest)?;
    let rest = &rest[len..];
    let close = memchr::memchr(b']', rest).unwrap_or(0);
    let head = rest[..close].trim_ascii();
    let (pid, origin) = match memchr::memchr(b' ', head) {
        Some(space) => (&head[..space], head[space..].trim_ascii_start()),
        None => (&[][..], head),
    };
    let message = if close == 0 { rest } else { &rest[close + 1..] };
    let severity = if letter == b'C' { Some(Severity::Critical) } else { words::letter_of(letter) };
    let stamp = Some(Stamp { day, seconds, nanos, place: Place::Unsaid });
    Some(Lettered { severity, stamp, pid, origin, message: message.trim_ascii_start() })
}

/// Reads logcat's `03-17 16:13:38.811  1702  2395 D Tag: message` (threadtime) and `03-17 16:13:38.811 D/Tag( 12): …`
/// (time), both also with a year; and `D/Tag( 12): …` (brief).
pub fn logcat(line: &[u8]) -> Option<Lettered<'_>> {
    if line.first()?.is_ascii_uppercase() {
        return brief(line);
    }
    let (stamp, len) = match *line {
        [_, _, b'-', _, _, b' ', ..] => time::numeric::read(line)?,
        [_, _, _, _, b'-', _, _, b'-', _, _, b' ', ..] => time::iso::read(line)?,
        _ => return None,
    };
    logcat_after_time(stamp, &line[len..]).or_else(|| logcat_after_user(stamp, &line[len..]))
}

/// Reads `  root  1702  2395 D Tag: message`, where the user stands by name or number before the process.
#[cold]
fn logcat_after_user(stamp: Stamp, rest: &[u8]) -> Option<Lettered<'_>> {
    let rest = rest.trim_ascii_start();
    let user = rest.iter().take(32).position(|&byte| byte == b' ')?;
    let word = rest[..user].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let after = rest[user..].trim_ascii_start();
    if !word || !after.first()?.is_ascii_digit() {
        return None;
    }
    logcat_after_time(stamp, after)
}

/// Reads what follows logcat's time, in either layout.
pub fn logcat_after_time(stamp: Stamp, rest: &[u8]) -> Option<Lettered<'_>> {
    let rest = rest.trim_ascii_start();
    if !rest.first()?.is_ascii_digit() {
        return Some(Lettered { stamp: Some(stamp), ..brief(rest)? });
    }
    let (pid, severity, message) = threadtime(rest)?;
    let (origin, message) = match memchr::memmem::find(message, b": ") {
        Some(end) => (message[..end].trim_ascii_end(), &message[end + 2..]),
        None => (message.strip_suffix(b":").unwrap_or(message), &[][..]),
    };
    Some(Lettered { severity, stamp: Some(stamp), pid, origin, message })
}

/// The severity of what [`logcat_after_time`] reads. It does not look for the tag's end, which costs more than the rest.
#[inline]
pub fn logcat_severity(rest: &[u8]) -> Option<Option<Severity>> {
    let rest = rest.trim_ascii_start();
    if !rest.first()?.is_ascii_digit() {
        return brief(rest).map(|found| found.severity);
    }
    threadtime(rest).map(|(_, severity, _)| severity)
}

/// The process, severity and `Tag: message` of `1702  2395 D Tag: message`.
#[inline]
fn threadtime(rest: &[u8]) -> Option<(&[u8], Option<Severity>, &[u8])> {
    let (pid, after) = digits(rest);
    let (thread, after) = digits(after.trim_ascii_start());
    let [b' ', letter, b' ', message @ ..] = after else { return None };
    if thread.is_empty() {
        return None;
    }
    Some((pid, priority(*letter)?, message))
}

/// Reads the header of logcat's long layout, `[ 03-17 16:13:38.811  1702: 2395 D/Tag ]`; the message is on lines of its
/// own.
pub fn logcat_long(line: &[u8]) -> Option<Lettered<'_>> {
    let inner = line.strip_prefix(b"[ ")?.strip_suffix(b" ]")?;
    let (stamp, len) = time::numeric::read(inner)?;
    let (pid, rest) = digits(inner[len..].trim_ascii_start());
    let (thread, rest) = digits(rest.strip_prefix(b":")?.trim_ascii_start());
    let [b' ', letter, b'/', origin @ ..] = rest else { return None };
    if thread.is_empty() {
        return None;
    }
    let severity = priority(*letter)?;
    Some(Lettered { severity, stamp: Some(stamp), pid, origin: origin.trim_ascii_end(), message: &[] })
}

/// Reads `D/Tag( 12): message`.
fn brief(line: &[u8]) -> Option<Lettered<'_>> {
    let [letter, b'/', rest @ ..] = line else { return None };
    let severity = priority(*letter)?;
    let open = memchr::memchr(b'(', rest)?;
    let close = open + memchr::memchr(b')', &rest[open..])?;
    let pid = rest[open + 1..close].trim_ascii();
    if pid.is_empty() || !pid.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let message = rest[close + 1..].strip_prefix(b":")?;
    Some(Lettered {
        severity,
        stamp: None,
        pid,
        origin: rest[..open].trim_ascii(),
        message: message.trim_ascii_start(),
    })
}

/// What a letter of logcat says: none for a letter that it does not use, nothing for `S` (silent).
fn priority(letter: u8) -> Option<Option<Severity>> {
    match letter {
        b'V' | b'D' | b'I' | b'W' | b'E' | b'F' => Some(words::letter_of(letter)),
        b'A' => Some(Some(Severity::Fatal)),
        b'S' => Some(None),
        _ => None,
    }
}

/// Reads `1234:M 20 Nov 2026 10:00:00.123 * message` (Redis; KeyDB has the thread behind the process, Valkey ISO's time
/// if it is told so) and, as it was before 3.0, `[1234] 20 Nov 10:00:00.123 * message`.
pub fn redis(line: &[u8]) -> Option<Lettered<'_>> {
    let (pid, rest) = match *line {
        [b'[', ref rest @ ..] => {
            let (pid, rest) = digits(rest);
            (pid, rest.strip_prefix(b"] ")?)
        }
        _ => {
            let (pid, rest) = digits(line);
            let rest = rest.strip_prefix(b":")?;
            let rest = match digits(rest) {
                ([_, ..], [b':', after @ ..]) => after,
                _ => rest,
            };
            let [b'A'..=b'Z', b' ', rest @ ..] = rest else { return None };
            (pid, rest)
        }
    };
    if pid.is_empty() {
        return None;
    }
    let (stamp, len) = time::named::day_first(rest).or_else(|| time::iso::read(rest))?;
    let [b' ', mark, b' ', message @ ..] = &rest[len..] else { return None };
    // Redis' verbose lies between its debug and its notice.
    let severity = match mark {
        b'.' => Severity::Debug,
        b'-' => Severity::Info,
        b'*' => Severity::Notice,
        b'#' => Severity::Warn,
        _ => return None,
    };
    Some(Lettered { severity: Some(severity), stamp: Some(stamp), pid, origin: &[], message })
}

/// Reads `E, [2026-11-20T10:00:00.123456 #1234] ERROR -- program: message` (Ruby) and
/// `E [20/Nov/2026:10:00:00 +0000] message` (CUPS).
pub fn before_bracket(line: &[u8]) -> Option<Lettered<'_>> {
    let (letter, comma, rest) = match line {
        [letter, b',', b' ', b'[', rest @ ..] => (*letter, true, rest),
        [letter, b' ', b'[', rest @ ..] => (*letter, false, rest),
        _ => return None,
    };
    let (stamp, len) = time::read(rest)?;
    let severity = match letter {
        b'A' if comma => None,
        b'X' => Some(Severity::Fatal),
        b'd' | b'D' | b'I' | b'N' | b'W' | b'E' | b'C' | b'A' | b'F' => words::letter_of(letter),
        _ => return None,
    };
    let close = len + memchr::memchr(b']', &rest[len..])?;
    let pid = rest[len..close].trim_ascii();
    let message = rest[close + 1..].trim_ascii_start();
    Some(Lettered {
        severity,
        stamp: Some(stamp),
        pid: pid.strip_prefix(b"#").unwrap_or_default(),
        origin: &[],
        message,
    })
}

/// Reads Zabbix's `4711:20261120:100000.123 message`: the time and what follows.
pub fn zabbix(line: &[u8]) -> Option<(Stamp, &[u8])> {
    let (pid, rest) = digits(line);
    let [b':', y1, y2, y3, y4, m1, m2, d1, d2, b':', h1, h2, i1, i2, s1, s2, ref rest @ ..] = *rest else {
        return None;
    };
    let (nanos, len) = time::fraction(rest);
    let rest = rest[len..].strip_prefix(b" ")?;
    if pid.is_empty() {
        return None;
    }
    let days = calendar::days(number([y1, y2, y3, y4])?, number([m1, m2])?, number([d1, d2])?)?;
    let seconds = calendar::seconds_of_day(number([h1, h2])?, number([i1, i2])?, number([s1, s2])?)?;
    Some((Stamp { day: Day::Dated(days), seconds, nanos, place: Place::Unsaid }, rest))
}

/// The digits that `bytes` begin with, and the rest.
fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let len = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    bytes.split_at(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = for<'l> fn(&'l [u8]) -> Option<Lettered<'l>>;

    #[test]
    fn lines_are_taken_apart() {
        let lines: [(Reader, &str, Severity, &str, &str, &str); 9] = [
            (klog, "W1120 10:00:00.123456   12 a.go:3] x", Severity::Warn, "12", "a.go:3", "x"),
            (klog, "F20261120 10:00:00.123456 12 a.cc:3] x", Severity::Fatal, "12", "a.cc:3", "x"),
            (logcat, "03-17 16:13:38.811  1702  2395 D Wm: a: b", Severity::Debug, "1702", "Wm", "a: b"),
            (logcat, "03-17 16:13:38.811 E/Wm( 12): a", Severity::Error, "12", "Wm", "a"),
            (logcat, "V/Wm( 12): a", Severity::Trace, "12", "Wm", "a"),
            (redis, "12:M 20 Nov 2026 10:00:00.123 # x", Severity::Warn, "12", "", "x"),
            (redis, "[12] 20 Nov 10:00:00.123 * x", Severity::Notice, "12", "", "x"),
            (
                before_bracket,
                "E, [2026-11-20T10:00:00.123456 #12] ERROR -- : x",
                Severity::Error,
                "12",
                "",
                "ERROR -- : x",
            ),
            (before_bracket, "W [20/Nov/2026:10:00:00 +0000] x", Severity::Warn, "", "", "x"),
        ];
        for (reader, line, severity, pid, origin, message) in lines {
            let found = reader(line.as_bytes()).expect(line);
            assert_eq!(found.severity, Some(severity), "{line}");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!([text(found.pid), text(found.origin), text(found.message)], [pid, origin, message], "{line}");
        }
    }

    #[test]
    fn other_lines_are_none() {
        for line in
            ["I1320 10:00:00 x", "I am here", "E/Wm: x", "", "12:30 Nov", "A, [x", "03-17 16:13:38.811 x", "Z [2026"]
        {
            for reader in [klog, logcat, redis, before_bracket] {
                assert_eq!(reader(line.as_bytes()), None, "{line}");
            }
        }
    }
}
