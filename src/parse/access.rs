//! Access logs: the common and combined formats, HAProxy's, and W3C's extended format, which its header describes.

use super::time::{self, Day, Frame, Place, Stamp, calendar, clock, named};
use crate::entry::{Nanos, Severity};

/// Bytes of a line in which the bracket with the time must begin.
const HEAD_BYTES: usize = 256;

/// A line of an access log, taken apart; what it does not say is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access<'l> {
    /// When the request came in.
    pub stamp: Option<Stamp>,
    /// Who asked: the word before the two dashes, or all words before the bracket if there are others.
    pub client: &'l [u8],
    /// The user that was authenticated.
    pub user: &'l [u8],
    /// The request line, without its quotes.
    pub request: &'l [u8],
    /// The status of the answer, three digits.
    pub status: &'l [u8],
    /// The bytes of the answer.
    pub bytes: &'l [u8],
    /// What follows: in the combined format the referer and the user agent, in quotes.
    pub rest: &'l [u8],
}

impl<'l> Access<'l> {
    /// Takes a line of the common or combined format apart, whatever stands before its client and after its agent.
    pub fn of(line: &'l [u8]) -> Option<Self> {
        let outline = Outline::of(line)?;
        let (client, user) = client_and_user(outline.head)?;
        let mut words = outline.rest.splitn(2, |&byte| byte == b' ');
        let (bytes, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Outline { stamp, request, status, .. } = outline;
        Some(Self { stamp: Some(stamp), client, user, request, status, bytes, rest })
    }

    /// Takes what HAProxy sends to syslog apart: `CLIENT [TIME] FRONTEND BACKEND/SERVER TIMERS STATUS BYTES …`.
    pub fn of_haproxy(message: &'l [u8]) -> Option<Self> {
        let open = bracket(message)?;
        let (stamp, len) = named::day_first(&message[open + 1..])?;
        let rest = message[open + 1 + len..].strip_prefix(b"] ")?;
        let mut words = rest.splitn(6, |&byte| byte == b' ');
        let (_, server, timers) = (words.next()?, words.next()?, words.next()?);
        let is_http = timers.iter().filter(|&&byte| byte == b'/').count() == 4;
        if !server.contains(&b'/') || !is_http {
            return None;
        }
        let (status, bytes) = (words.next()?, words.next()?);
        let rest = words.next().unwrap_or_default();
        let request = memchr::memchr(b'"', rest).and_then(|at| quoted(&rest[at..])).unwrap_or_default().0;
        let client = message[..open].trim_ascii();
        Some(Self { stamp: Some(stamp), client, request, status, bytes, ..Self::default() })
    }

    /// What the status says: 5xx an error, 4xx a warning, the others that the request was served.
    pub fn severity(&self) -> Option<Severity> {
        by_status(self.status)
    }

    /// Hands each field to `each`: client, user, method, path, protocol, status, bytes, referer, agent.
    pub fn fields(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut words = self.request.splitn(3, |&byte| byte == b' ');
        let (method, path, protocol) = match (words.next(), words.next(), words.next()) {
            (Some(method), Some(path), protocol) => (method, path, protocol.unwrap_or_default()),
            _ => (&[][..], self.request, &[][..]),
        };
        let (referer, rest) = quoted(self.rest).unwrap_or_default();
        let (agent, _) = quoted(rest.trim_ascii_start()).unwrap_or_default();
        let named: [(&[u8], &[u8]); 9] = [
            (b"client", self.client),
            (b"user", self.user),
            (b"method", method),
            (b"path", path),
            (b"protocol", protocol),
            (b"status", self.status),
            (b"bytes", self.bytes),
            (b"referer", referer),
            (b"agent", agent),
        ];
        for (key, value) in named {
            if !value.is_empty() && value != b"-" {
                each(key, value);
            }
        }
    }
}

/// The parts of a line of the common or combined format that tell severity and time, and what is between them.
pub struct Outline<'l> {
    /// When the request came in.
    pub stamp: Stamp,
    /// The status of the answer, three digits.
    pub status: &'l [u8],
    /// What stands before the time, without the space.
    head: &'l [u8],
    request: &'l [u8],
    /// What follows the status and a space.
    rest: &'l [u8],
}

impl<'l> Outline<'l> {
    /// Finds the parts of `line`, if it is such a line.
    #[inline]
    pub fn of(line: &'l [u8]) -> Option<Self> {
        let open = bracket(line)?;
        let inner = &line[open + 1..];
        let (stamp, len) = named::of_the_common_format(inner).or_else(|| named::day_first(inner))?;
        let head = line[..open].trim_ascii_end();
        if !head.is_empty() && !head.contains(&b' ') {
            return None;
        }
        let (request, rest) = quoted(inner[len..].strip_prefix(b"] ")?)?;
        let rest = rest.trim_ascii_start();
        match *rest {
            [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] | [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => {
                Some(Self { stamp, status: &rest[..3], head, request, rest: rest.get(4..).unwrap_or_default() })
            }
            _ => None,
        }
    }
}

/// The last words before the time: who asked, a dash, and the user; Django's server says none of them.
fn client_and_user(head: &[u8]) -> Option<(&[u8], &[u8])> {
    if head.is_empty() {
        return Some((&[], &[]));
    }
    let user_start = memchr::memrchr(b' ', head)? + 1;
    let before = head[..user_start].trim_ascii_end();
    let before = before.strip_suffix(b" -").unwrap_or(before);
    let client = &before[memchr::memrchr(b' ', before).map_or(0, |space| space + 1)..];
    Some((client, &head[user_start..]))
}

/// What the status says behind a request in quotes, `"GET / HTTP/1.1" 503 `, as Envoy writes it behind the time.
pub fn answered(rest: &[u8]) -> Option<Severity> {
    let (request, rest) = quoted(rest)?;
    let version = request.len().checked_sub(b"HTTP/1.1".len()).map(|at| &request[at..])?;
    if !version.starts_with(b"HTTP/") && !version.ends_with(b" HTTP/2") && !version.ends_with(b" HTTP/3") {
        return None;
    }
    match rest {
        [b' ', status @ ..] if status.get(3).is_none_or(|&byte| byte == b' ') => by_status(status.get(..3)?),
        _ => None,
    }
}

/// What an HTTP status says about severity.
pub fn by_status(status: &[u8]) -> Option<Severity> {
    match status {
        [b'5', _, _] => Some(Severity::Error),
        [b'4', _, _] => Some(Severity::Warn),
        [b'1'..=b'3', _, _] => Some(Severity::Info),
        _ => None,
    }
}

/// Where the bracket begins that holds `20/Nov/2026:10:00:00`; quick to say that there is none.
#[inline]
fn bracket(line: &[u8]) -> Option<usize> {
    let head = &line[..line.len().min(HEAD_BYTES)];
    memchr::memchr_iter(b'[', head)
        .take(4)
        .find(|&open| matches!(line[open + 1..], [_, _, b'/', _, _, _, b'/', _, _, _, _, b':' | b' ', ..]))
}

/// Reads what stands in quotes at the beginning of `bytes`, escapes as written, and the rest.
fn quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = bytes.strip_prefix(b"\"")?;
    let end = super::json::string_end(inner)?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// What a W3C extended log says in its header about the lines below: the `#Fields:` of its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    names: Vec<String>,
    /// The day of `#Date:`, for logs that have no `date` column.
    day: Option<i64>,
    /// UTC, unless the header says `#Time Format: Local`, as the Windows firewall's does.
    place: Place,
}

impl Columns {
    /// Reads the header in `head`, the beginning of a file; the last whole `#Fields:` line counts.
    pub fn of(head: &[u8]) -> Option<Self> {
        if head.first() != Some(&b'#') {
            return None;
        }
        let whole = &head[..memchr::memrchr(b'\n', head)?];
        let (mut names, mut day, mut place) = (None, None, Place::East(0));
        for line in whole.split(|&byte| byte == b'\n') {
            if let Some(fields) = line.strip_prefix(b"#Fields:") {
                let words = fields.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
                names = Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>());
            } else if let Some(date) = line.strip_prefix(b"#Date:") {
                day = time::iso::read(date.trim_ascii_start()).and_then(|(stamp, _)| match stamp.day {
                    Day::Dated(days) => Some(days),
                    Day::Yearless { .. } | Day::Either { .. } => None,
                });
            } else if let Some(format) = line.strip_prefix(b"#Time Format:")
                && format.trim_ascii().eq_ignore_ascii_case(b"local")
            {
                place = Place::Unsaid;
            }
        }
        let names = names.filter(|names| names.iter().any(|name| name == "time"))?;
        Some(Self { names, day, place })
    }

    /// Hands the name and the value of each column of `line` to `each`; `-` stands for nothing.
    pub fn each<'c, 'l>(&'c self, line: &'l [u8], mut each: impl FnMut(&'c str, &'l [u8])) {
        let tabs = line.contains(&b'\t');
        let values = line.split(|&byte| byte == if tabs { b'\t' } else { b' ' });
        for (name, value) in self.names.iter().zip(values) {
            each(name, value.strip_suffix(b"\r").unwrap_or(value));
        }
    }

    /// What `line` states; times are UTC, as the format demands, unless the header says otherwise.
    pub fn read(&self, line: &[u8], frame: &Frame<'_>) -> Option<(Option<Severity>, Option<Nanos>)> {
        if !line.first()?.is_ascii_alphanumeric() {
            return None;
        }
        let (mut day, mut at, mut severity) = (self.day, None, None);
        self.each(line, |name, value| match name {
            "date" => day = date(value),
            "time" => at = clock(value),
            "sc-status" => severity = by_status(value),
            _ => {}
        });
        let (seconds, nanos, _) = at?;
        let stamp = Stamp { day: Day::Dated(day?), seconds, nanos, place: self.place };
        Some((severity, stamp.moment(frame)))
    }
}

/// Reads `2026-11-20`: days since the epoch.
fn date(bytes: &[u8]) -> Option<i64> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    calendar::days(time::number([y1, y2, y3, y4])?, time::number([m1, m2])?, time::number([d1, d2])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::time::Zone;

    fn fields(access: &Access<'_>) -> String {
        let mut found = Vec::new();
        access.fields(&mut |key, value| {
            found.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
        });
        found.join(" ")
    }

    #[test]
    fn common_and_combined_lines_are_taken_apart() {
        for (line, severity, expected) in [
            (
                r#"10.0.0.1 - - [20/Nov/2026:10:00:00 +0000] "GET /a?b HTTP/1.1" 200 12"#,
                Severity::Info,
                "client=10.0.0.1 method=GET path=/a?b protocol=HTTP/1.1 status=200 bytes=12",
            ),
            (
                r#"v:80 ::1 - bob [20/Nov/2026:10:00:00 +0000] "POST / HTTP/2.0" 503 - "http://r/\"" "A \"B\"" 0.1"#,
                Severity::Error,
                r#"client=::1 user=bob method=POST path=/ protocol=HTTP/2.0 status=503 referer=http://r/\" agent=A \"B\""#,
            ),
            (
                r#"h - - [20/Nov/2026:10:00:00 +0000] "\x16\x03\x01" 400 0 "-" "-""#,
                Severity::Warn,
                r"client=h path=\x16\x03\x01 status=400 bytes=0",
            ),
        ] {
            let access = Access::of(line.as_bytes()).expect(line);
            assert_eq!((access.severity(), fields(&access)), (Some(severity), expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn haproxy_lines_are_taken_apart() {
        let message = br#"10.0.0.1:33317 [20/Nov/2026:10:00:00.123] fe be/s1 10/0/30/69/109 504 2750 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1""#;
        let access = Access::of_haproxy(message).expect("a line of HAProxy");
        assert_eq!(access.severity(), Some(Severity::Error));
        assert_eq!(fields(&access), "client=10.0.0.1:33317 method=GET path=/ protocol=HTTP/1.1 status=504 bytes=2750");
        assert_eq!(Access::of_haproxy(b"10.0.0.1:33317 [20/Nov/2026:10:00:00.123] fe be/s1 1/2/3 4 -- 1/1"), None);
    }

    #[test]
    fn a_header_describes_the_lines_below() {
        let head = b"#Version: 1.0\r\n#Date: 2026-11-20 00:00:00\r\n#Fields: time cs-method sc-status\r\n10:00:00 GET";
        let columns = Columns::of(head).expect("a header");
        let zone = Zone::named("+05:00").expect("an offset");
        let frame = Frame::new(&zone, Nanos(0), false);
        let found = columns.read(b"10:00:00 GET 404", &frame);
        assert_eq!(found, Some((Some(Severity::Warn), Some(Nanos(1_795_168_800_000_000_000)))));
        assert_eq!(columns.read(b"#Date: x", &frame), None);
        assert_eq!(Columns::of(b"#Fields: time cs-method"), None, "the line may go on");
        assert_eq!(Columns::of(b"#!/bin/sh\n"), None);
    }
}
