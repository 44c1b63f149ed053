//! What container runtimes wrap around a line: the CRI's log format and Docker's json-file.

use std::borrow::Cow;

use super::{
    json::{self, Members, Value},
    time::{Stamp, iso},
    wide,
};

/// A line of a container, unwrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped<'l> {
    /// When the runtime read it.
    pub stamp: Option<Stamp>,
    /// `stdout` or `stderr`.
    pub stream: &'l [u8],
    /// Whether the container's line goes on in the next line of this stream.
    pub partial: bool,
    /// What the container wrote, without its newline.
    pub message: Cow<'l, [u8]>,
}

/// Unwraps Kubernetes' `TIME stdout|stderr F|P MESSAGE`, if `line` is one.
#[inline]
pub fn cri(line: &[u8]) -> Option<Wrapped<'_>> {
    let (stream, start) = cri_stream(line)?;
    let (stamp, _) = iso::read(line).filter(|(_, len)| len + 1 == start)?;
    behind_stream(stamp, stream, &line[start + stream.len() + 1..])
}

/// Unwraps a line of the CRI that begins with `stamp`, of `len` bytes.
#[inline]
pub fn cri_after_time(line: &[u8], stamp: Stamp, len: usize) -> Option<Wrapped<'_>> {
    let rest = &line[len..];
    if !rest.starts_with(b" std") {
        return None;
    }
    let (stream, start) = cri_stream(line).filter(|(_, start)| len + 1 == *start)?;
    behind_stream(stamp, stream, &line[start + stream.len() + 1..])
}

fn behind_stream<'l>(stamp: Stamp, stream: &'l [u8], rest: &'l [u8]) -> Option<Wrapped<'l>> {
    // Tags are separated by colons; the first one says whether the line is whole.
    let len = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let partial = match rest[..len] {
        [b'F'] | [b'F', b':', ..] => false,
        [b'P'] | [b'P', b':', ..] => true,
        _ => return None,
    };
    let message = Cow::Borrowed(rest.get(len + 1..).unwrap_or_default());
    Some(Wrapped { stamp: Some(stamp), stream, partial, message })
}

/// The stream that a CRI line names, and where; quick to say that a line is none.
#[inline]
fn cri_stream(line: &[u8]) -> Option<(&[u8], usize)> {
    if line.len() < 30 || line[4] != b'-' || line[10] != b'T' {
        return None;
    }
    let end = wide::find(&line[19..line.len().min(37)], b' ')? + 19;
    match &line[end + 1..] {
        [b's', b't', b'd', b'o', b'u', b't', b' ', ..] | [b's', b't', b'd', b'e', b'r', b'r', b' ', ..] => {
            Some((&line[end + 1..end + 7], end + 1))
        }
        _ => None,
    }
}

/// Unwraps Docker's `{"log":"…\n","stream":"stdout","time":"…"}`, if `line` is one. Docker writes `log` first.
#[inline]
pub fn docker(line: &[u8]) -> Option<Wrapped<'_>> {
    let log = line.strip_prefix(b"{\"log\":\"")?;
    docker_plain(log).or_else(|| docker_members(line))
}

/// Unwraps what follows `{"log":"` when the rest is just as Docker writes it without options; any other order, space or
/// member is for [`docker_members`], which comes to the same for these lines at twice the cost.
#[inline]
fn docker_plain(log: &[u8]) -> Option<Wrapped<'_>> {
    let escape = json::quote_or_backslash(log)?;
    let end = json::string_end_from(log, escape)?;
    let stream = log[end..].strip_prefix(b"\",\"stream\":\"")?;
    let time = match stream {
        [b's', b't', b'd', b'o', b'u', b't', rest @ ..] | [b's', b't', b'd', b'e', b'r', b'r', rest @ ..] => {
            rest.strip_prefix(b"\",\"time\":\"")?
        }
        _ => return None,
    };
    // Behind a `Z` nothing of the time can follow, so it reads the same with its quote as without.
    let (stamp, len) = iso::read(time)?;
    if &time[len - 1..] != b"Z\"}" {
        return None;
    }
    let (text, partial) = whole_text(&log[..end]);
    let message = if escape >= text.len() { Cow::Borrowed(text) } else { json::unescaped(text) };
    Some(Wrapped { stamp: Some(stamp), stream: &stream[..6], partial, message })
}

fn docker_members(line: &[u8]) -> Option<Wrapped<'_>> {
    let (mut log, mut stream, mut stamp) = (None, &[][..], None);
    for (key, value) in Members::of(line) {
        match (key, value) {
            (b"log", Value::String(text)) => log = Some(text),
            (b"stream", Value::String(text @ (b"stdout" | b"stderr"))) => stream = text,
            (b"time", Value::String(text)) => stamp = iso::read(text).map(|(stamp, _)| stamp),
            (b"attrs", Value::Nested(_)) => {}
            _ => return None,
        }
    }
    let log = log.filter(|_| !stream.is_empty() && stamp.is_some())?;
    let (text, partial) = whole_text(log);
    Some(Wrapped { stamp, stream, partial, message: json::unescaped(text) })
}

/// The text of `log` without its line's end, and whether it goes on in the next line since it has none.
#[inline]
fn whole_text(log: &[u8]) -> (&[u8], bool) {
    match without_newline(log) {
        Some(text) => (text.strip_suffix(b"\\r").unwrap_or(text), false),
        None => (log, true),
    }
}

/// What stands before the escaped newline that ends `log`.
fn without_newline(log: &[u8]) -> Option<&[u8]> {
    // The backslash before the `n` must not be escaped itself.
    log.strip_suffix(b"\\n").filter(|text| text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 0)
}

/// The message of a record: what its lines wrap, put together; the record itself when it is no wrapper's.
pub fn message(record: &[u8]) -> Cow<'_, [u8]> {
    let unwrap = unwrapper(record);
    let Some(end) = memchr::memchr(b'\n', record) else {
        return unwrap(record).map_or(Cow::Borrowed(record), |wrapped| wrapped.message);
    };
    let Some(first) = unwrap(&record[..end]) else { return Cow::Borrowed(record) };
    let mut message = first.message.into_owned();
    let mut joined = first.partial;
    for line in record[end + 1..].split(|&byte| byte == b'\n') {
        if !joined {
            message.push(b'\n');
        }
        match unwrap(line) {
            Some(wrapped) => {
                message.extend_from_slice(&wrapped.message);
                joined = wrapped.partial;
            }
            None => {
                message.extend_from_slice(line);
                joined = false;
            }
        }
    }
    Cow::Owned(message)
}

/// The reader for the wrapper that a line may have.
fn unwrapper(line: &[u8]) -> fn(&[u8]) -> Option<Wrapped<'_>> {
    if line.first() == Some(&b'{') { docker } else { cri }
}

/// Whether `line` continues the container's line that `before`, the line just before it, began.
pub fn continues(before: &[u8], line: &[u8]) -> bool {
    let unwrap = unwrapper(line);
    let Some(before) = unwrap(before).filter(|before| before.partial) else { return false };
    unwrap(line).is_some_and(|line| before.stream == line.stream)
}

/// Whether the container's line goes on behind `line`.
#[inline]
pub fn is_partial(line: &[u8]) -> bool {
    // Every line is asked, and hardly one is partial, so what tells that it is not comes first.
    let whole = match line.strip_prefix(b"{\"log\":\"") {
        Some(log) => json::string_end(log).is_none_or(|end| without_newline(&log[..end]).is_some()),
        None => cri_stream(line).is_none_or(|(stream, start)| line.get(start + stream.len() + 1) != Some(&b'P')),
    };
    !whole && unwrapper(line)(line).is_some_and(|line| line.partial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cri_lines_are_unwrapped() {
        let line = b"2026-11-20T10:00:00.123456789Z stdout F  two  spaces ";
        let wrapped = cri(line).expect("a line of the CRI");
        assert_eq!(
            (wrapped.stream, wrapped.partial, &*wrapped.message),
            (&b"stdout"[..], false, &b" two  spaces "[..])
        );
        let wrapped = cri(b"2026-11-20T10:00:00.1+01:00 stderr P:x part").expect("a line of the CRI");
        assert_eq!((wrapped.stream, wrapped.partial, &*wrapped.message), (&b"stderr"[..], true, &b"part"[..]));
        assert!(cri(b"2026-11-20T10:00:00.123456789Z stdout F").expect("an empty line").message.is_empty());
        for line in [
            "2026-11-20T10:00:00.123456789Z stdin F x",
            "2026-11-20T10:00:00.123456789Z stdout X x",
            "2026-11-20T10:00:00.1.1Z stdout F x",
            "x",
        ] {
            assert_eq!(cri(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn docker_lines_are_unwrapped() {
        let line = br#"{"log":"a \"b\"\tc\r\n","stream":"stderr","time":"2026-11-20T10:00:00.1Z"}"#;
        let wrapped = docker(line).expect("a line of Docker");
        assert_eq!((wrapped.stream, wrapped.partial, &*wrapped.message), (&b"stderr"[..], false, &b"a \"b\"\tc"[..]));
        let line = br#"{"log":"ends in \\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}"#;
        let wrapped = docker(line).expect("a line of Docker");
        assert_eq!((wrapped.partial, &*wrapped.message), (true, &b"ends in \\n"[..]));
        for line in [
            r#"{"log":"x\n","level":"info","time":"2026-11-20T10:00:00Z"}"#,
            r#"{"log":"x\n"}"#,
            r#"{"log":"x\n","stream":"stdin","time":"2026-11-20T10:00:00Z"}"#,
            r#"{"level":"info"}"#,
        ] {
            assert_eq!(docker(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn lines_as_docker_writes_them_are_read_as_by_their_members() {
        let time = r#""time":"2026-11-20T10:00:00.123456789Z"}"#;
        for (line, plain) in [
            (format!(r#"{{"log":"INFO x\n","stream":"stdout",{time}"#), true),
            (format!(r#"{{"log":"a \"b\" \\\r\n","stream":"stderr",{time}"#), true),
            (format!(r#"{{"log":"a part","stream":"stderr",{time}"#), true),
            (format!(r#"{{"log":"\\n","stream":"stderr",{time}"#), true),
            (format!(r#"{{"log":"x\n","stream":"stdout","attrs":{{"a":"b"}},{time}"#), false),
            (r#"{"log":"x\n","stream":"stdout","time":"2026-11-20T11:00:00+01:00"}"#.to_owned(), false),
            (r#"{"log":"x\n","stream":"stdout","time":"2026-11-20T10:00:00Z","attrs":{}}"#.to_owned(), false),
        ] {
            let members = docker_members(line.as_bytes());
            assert!(members.is_some(), "{line}");
            assert_eq!(docker(line.as_bytes()), members, "{line}");
            let log = line.strip_prefix(r#"{"log":""#).expect("the beginning");
            assert_eq!(docker_plain(log.as_bytes()).is_some(), plain, "{line}");
        }
    }

    #[test]
    fn parts_are_put_together() {
        let record = b"2026-11-20T10:00:00.1Z stdout P one \n2026-11-20T10:00:00.2Z stdout P line\n2026-11-20T10:00:00.3Z stdout F !";
        assert_eq!(message(record), b"one line!".as_slice());
        let record = b"2026-11-20T10:00:00.1Z stderr F Traceback:\n2026-11-20T10:00:00.2Z stderr F   File x";
        assert_eq!(message(record), b"Traceback:\n  File x".as_slice());
        assert!(matches!(message(b"plain\ntext"), Cow::Borrowed(b"plain\ntext")));
    }

    #[test]
    fn only_the_same_stream_goes_on() {
        let part = b"2026-11-20T10:00:00.1Z stdout P half of a long line".as_slice();
        let rest = b"2026-11-20T10:00:00.2Z stdout F and its other half".as_slice();
        let other = b"2026-11-20T10:00:00.2Z stderr F something else here".as_slice();
        assert!(continues(part, rest));
        assert!(
            !continues(rest, rest) && !continues(part, other) && !continues(part, b"text") && !continues(b"", rest)
        );
    }
}
