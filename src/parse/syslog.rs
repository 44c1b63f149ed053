//! Syslog as files hold it: RFC 3164 and RFC 5424, with `<PRI>` or without.

use super::{
    time::{self, Day, Frame, Stamp, iso},
    wide, words,
};
use crate::entry::{Nanos, Severity};

/// The longest name of a program, with its brackets, that is looked for.
const TAG_BYTES: usize = 160;

/// A syslog line, taken apart; what it does not say is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syslog<'l> {
    /// `<PRI>`: facility times eight, plus severity.
    pub priority: Option<u32>,
    /// When it was sent.
    pub stamp: Option<Stamp>,
    /// The host that sent it.
    pub host: &'l [u8],
    /// The program, RFC 3164's tag.
    pub app: &'l [u8],
    /// Its process.
    pub pid: &'l [u8],
    /// RFC 5424's message id.
    pub msgid: &'l [u8],
    /// RFC 5424's structured data, with its brackets.
    pub data: &'l [u8],
    /// The rest.
    pub message: &'l [u8],
}

impl<'l> Syslog<'l> {
    /// Takes `line` apart, if it begins with a PRI, RFC 5424's `1 TIME`, or RFC 3164's time.
    pub fn of(line: &'l [u8]) -> Option<Self> {
        let (priority, rest) = match priority(line) {
            Some((priority, len)) => (Some(priority), &line[len..]),
            None => (None, line),
        };
        if rest.starts_with(b"1 ")
            && let Some(syslog) = structured(rest)
        {
            return Some(Self { priority, ..syslog });
        }
        let (stamp, len) = match named_time(rest) {
            Some(found) => found,
            None if priority.is_some() => match iso::read(rest) {
                Some(found) => found,
                None => return Some(tagged(priority, None, &[], rest)),
            },
            None => return None,
        };
        header(priority, Some(stamp), &rest[len..])
    }

    /// Takes apart what follows RFC 3164's time: ` HOST APP[PID]: MESSAGE`.
    pub fn after_named_time(rest: &'l [u8]) -> Option<Self> {
        header(None, None, rest)
    }

    /// Takes apart what follows an ISO time: `HOST APP[PID]: MESSAGE`. The process must be there, since the time alone
    /// makes no syslog line.
    pub fn after_time(rest: &'l [u8]) -> Option<Self> {
        header(None, None, rest).filter(|syslog| !syslog.host.is_empty() && !syslog.pid.is_empty())
    }

    /// The severity of the PRI, or that of Cisco's `%FACILITY-SEVERITY-MNEMONIC`.
    pub fn severity(&self) -> Option<Severity> {
        match self.priority {
            Some(priority) => words::syslog(priority & 7),
            None => cisco(self.app).or_else(|| cisco(self.message)),
        }
    }

    /// The moment of the time.
    pub fn moment(&self, frame: &Frame<'_>) -> Option<Nanos> {
        self.stamp?.moment(frame)
    }

    /// Hands each field to `each`: facility, host, app, pid, msgid, and structured data as `id.name`.
    pub fn fields(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        if let Some(facility) = self.priority.and_then(|priority| FACILITIES.get(priority as usize / 8)) {
            each(b"facility", facility.as_bytes());
        }
        let named: [(&[u8], &[u8]); 4] =
            [(b"host", self.host), (b"app", self.app), (b"pid", self.pid), (b"msgid", self.msgid)];
        for (key, value) in named {
            if !value.is_empty() {
                each(key, value);
            }
        }
        structured_data(self.data, each);
    }
}

/// The names of the facilities, by number (RFC 5424, table 1; the usual names of syslog.conf).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// The severity in `%LINK-3-UPDOWN` or `%ASA-6-302013`.
fn cisco(text: &[u8]) -> Option<Severity> {
    let facility = text.strip_prefix(b": ").unwrap_or(text).strip_prefix(b"%")?;
    let len = facility.iter().take(32).position(|&byte| !byte.is_ascii_uppercase() && byte != b'_')?;
    match facility[len..] {
        [b'-', digit @ b'0'..=b'7', b'-', b'A'..=b'Z' | b'0'..=b'9', ..] if len > 1 => {
            words::syslog(u32::from(digit - b'0'))
        }
        _ => None,
    }
}

/// A line of RFC 3164 as most are, `Nov 20 10:00:00 host app[12]: message`: what it tells of severity and time.
/// [`Syslog::of`] reads it too, at twice the cost, since it takes more apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance<'l> {
    /// When it was sent.
    pub stamp: Stamp,
    /// What the program wrote.
    pub message: &'l [u8],
}

impl<'l> Glance<'l> {
    /// Looks at `line`; none when anything about it is unusual.
    #[inline]
    pub fn at(line: &'l [u8]) -> Option<Self> {
        let stamp = time::named::before_host(line)?;
        let rest = &line[16..];
        let host = mark(rest).filter(|&at| rest[at] == b' ')?;
        // Only letters could be a level in the place of the host.
        if words::severity(&rest[..host]).is_some() {
            return None;
        }
        let tag = &rest[host + 1..];
        let open = mark(tag).filter(|&at| tag[at] == b'[')?;
        let close = open + mark(&tag[open + 1..])? + 1;
        let message = tag[close..].strip_prefix(b"]: ")?;
        (close + 1 < TAG_BYTES && open > 0 && tag[0] != b'%').then_some(Self { stamp, message })
    }

    /// The severity that Cisco's devices write before their message.
    pub fn severity(&self) -> Option<Severity> {
        cisco(self.message)
    }
}

/// The first byte that ends a part of ` host app[12]: `.
#[inline(always)]
fn mark(bytes: &[u8]) -> Option<usize> {
    let marks = |word| wide::is(word, b' ') | wide::is(word, b':') | wide::is(word, b'[') | wide::is(word, b']');
    wide::position(bytes, marks, |byte| matches!(byte, b' ' | b':' | b'[' | b']'))
}

/// Reads `<PRI>`: its number, at most 191, and its length.
pub fn priority(bytes: &[u8]) -> Option<(u32, usize)> {
    let (number, len) = time::number_up_to(bytes.strip_prefix(b"<")?, 3)?;
    (bytes.get(len + 1) == Some(&b'>') && number <= 191).then_some((number, len + 2))
}

/// Reads a time that begins with a month and has no comma: RFC 3164's, also with a year or a fraction.
#[inline]
fn named_time(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let bytes_or_star = bytes.strip_prefix(b"*").unwrap_or(bytes);
    if !bytes_or_star.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    let (stamp, len) = time::named::read(bytes_or_star)?;
    let stays = matches!(stamp.day, Day::Yearless { .. }) || !bytes_or_star[..len].contains(&b',');
    stays.then_some((stamp, len + bytes.len() - bytes_or_star.len()))
}

/// Reads RFC 5424 after its PRI: `1 TIME HOST APP PID MSGID DATA MESSAGE`.
fn structured(bytes: &[u8]) -> Option<Syslog<'_>> {
    let rest = bytes.strip_prefix(b"1 ")?;
    let (stamp, rest) = match rest {
        [b'-', b' ', rest @ ..] => (None, rest),
        _ => {
            let (stamp, len) = iso::read(rest)?;
            (Some(stamp), rest[len..].strip_prefix(b" ")?)
        }
    };
    let mut words = rest.splitn(5, |&byte| byte == b' ');
    let mut word = || words.next().map(|word| if word == b"-" { &[] } else { word });
    let (host, app, pid, msgid) = (word()?, word()?, word()?, word()?);
    let rest = words.next().unwrap_or_default();
    let data = match rest {
        [b'[', ..] => &rest[..data_len(rest)],
        [b'-', ..] => &rest[..1],
        _ => &[],
    };
    let message = &rest[data.len()..];
    let message = message.strip_prefix(b" ").unwrap_or(message);
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    let data = if data == b"-" { &[] } else { data };
    Some(Syslog { priority: None, stamp, host, app, pid, msgid, data, message })
}

/// The length of the structured data that begins `bytes`: elements in brackets, one after the other.
fn data_len(bytes: &[u8]) -> usize {
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b']' if !quoted && bytes.get(at + 1) != Some(&b'[') => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn structured_data(data: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    let mut rest = data;
    let mut name = Vec::new();
    while let [b'[', inner @ ..] = rest {
        let len = inner.iter().position(|byte| matches!(byte, b' ' | b']')).unwrap_or(inner.len());
        let id = &inner[..len];
        rest = &inner[len..];
        while let [b' ', pair @ ..] = rest {
            let Some(equals) = memchr::memchr(b'=', pair) else { return };
            let [b'"', value @ ..] = &pair[equals + 1..] else { return };
            let Some(end) = super::json::string_end(value) else { return };
            name.clear();
            name.extend_from_slice(id);
            name.push(b'.');
            name.extend_from_slice(&pair[..equals]);
            each(&name, &value[..end]);
            rest = &value[end + 1..];
        }
        rest = rest.strip_prefix(b"]").unwrap_or_default();
    }
}

/// Reads what follows RFC 3164's time: ` HOST APP[PID]: MESSAGE`. None when a level word or a bracket stands where the
/// host should.
#[inline]
fn header(priority: Option<u32>, stamp: Option<Stamp>, bytes: &[u8]) -> Option<Syslog<'_>> {
    let rest = bytes.strip_prefix(b":").unwrap_or(bytes);
    let rest = rest.strip_prefix(b" ")?;
    let len = wide::find(rest, b' ').unwrap_or(rest.len());
    let host = &rest[..len];
    let first = host.first()?;
    if !first.is_ascii_alphanumeric() && !matches!(first, b'_' | b'%' | 0x80..)
        || words::severity(host.strip_suffix(b":").unwrap_or(host)).is_some()
    {
        return None;
    }
    // Without a host the program comes first.
    let (host, rest) = if *first == b'%' || host.ends_with(b":") || wide::find(host, b'[').is_some() {
        (&[][..], rest)
    } else {
        (host, rest.get(len + 1..).unwrap_or_default())
    };
    Some(tagged(priority, stamp, host, rest))
}

/// Reads `APP[PID]: MESSAGE`, or a message without them. A name may have spaces when its process follows.
#[inline]
fn tagged<'l>(priority: Option<u32>, stamp: Option<Stamp>, host: &'l [u8], bytes: &'l [u8]) -> Syslog<'l> {
    let tag = &bytes[..tag_len(bytes)];
    let spaced = wide::find(tag, b' ').is_some();
    let (mut app, mut pid, mut message) = (&[][..], &[][..], bytes);
    if !tag.is_empty() && (!spaced || tag.ends_with(b"]") || tag.ends_with(b")")) {
        message = &bytes[tag.len() + 1..];
        message = message.strip_prefix(b" ").unwrap_or(message);
        // `com.apple.xpc.launchd[1] (com.apple.quicklook[71480])` is the first program's line.
        let second = if spaced { tag.windows(2).position(|pair| pair == b" (") } else { None };
        app = &tag[..second.unwrap_or(tag.len())];
        if let [open @ .., b']'] = app
            && let Some(bracket) = open.iter().rposition(|&byte| byte == b'[')
        {
            (app, pid) = (&open[..bracket], &open[bracket + 1..]);
        }
    }
    Syslog { priority, stamp, host, app, pid, msgid: &[], data: &[], message }
}

/// How many bytes stand before the first colon that ends a word.
#[inline]
fn tag_len(bytes: &[u8]) -> usize {
    let head = &bytes[..bytes.len().min(TAG_BYTES)];
    let mut at = 0;
    while let Some(found) = wide::find(&head[at..], b':') {
        at += found;
        if matches!(head.get(at + 1), None | Some(b' ' | b'\t')) {
            return at;
        }
        at += 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Option<[String; 6]> {
        let syslog = Syslog::of(line.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some([syslog.host, syslog.app, syslog.pid, syslog.msgid, syslog.data, syslog.message].map(text))
    }

    #[test]
    fn lines_are_taken_apart() {
        for (line, expected) in [
            ("Nov  2 10:00:00 web-1 sshd[12]: hello", ["web-1", "sshd", "12", "", "", "hello"]),
            ("<34>Nov 20 10:00:00 web su: x", ["web", "su", "", "", "", "x"]),
            ("Nov 20 10:00:00 mac Google Chrome[3]: x y", ["mac", "Google Chrome", "3", "", "", "x y"]),
            ("Nov 20 10:00:00 h com.a.b[1] (com.c[22]): x", ["h", "com.a.b", "1", "", "", "x"]),
            ("Nov 20 10:00:00 h sshd(pam_unix)[9]: x", ["h", "sshd(pam_unix)", "9", "", "", "x"]),
            (
                "Nov 20 10:00:00 h --- last message repeated 2 times ---",
                ["h", "", "", "", "", "--- last message repeated 2 times ---"],
            ),
            ("<13>Nov 20 10:00:00 app[1]: x", ["", "app", "1", "", "", "x"]),
            (
                r#"<165>1 2026-11-20T10:00:00.003Z h app 12 ID47 [a@1 k="v\"]"][b@2] text"#,
                ["h", "app", "12", "ID47", r#"[a@1 k="v\"]"][b@2]"#, "text"],
            ),
            ("<34>1 - - - - - -", ["", "", "", "", "", ""]),
            ("<6>usb 1-1: new device", ["", "", "", "", "", "usb 1-1: new device"]),
        ] {
            assert_eq!(parts(line), Some(expected.map(str::to_owned)), "{line}");
        }
        for line in [
            "<999>x",
            "<>x",
            "Nov 20 10:00:00 ERROR x",
            "Nov 20 10:00:00 [error] x",
            "x",
            "Nov 20, 2026 10:00:00 AM a b",
        ] {
            assert_eq!(parts(line), None, "{line}");
        }
    }

    #[test]
    fn a_glance_tells_what_taking_apart_does() {
        let long = "a".repeat(TAG_BYTES - 4);
        let mut seen = 0;
        for rest in [
            "web-1 app[12]: hello",
            "web app[12]: %LINK-3-UPDOWN: x",
            "web %app[12]: x",
            "web a/b.c[]: ",
            "web app[1]:x [2]: y",
            "web app[1] x[2]: y",
            "web app: x",
            "web: app[1]: x",
            "web[1] app[1]: x",
            "web [1]: x",
            "error app[1]: x",
            "web app[1: x",
            "web app]1]: x",
            "web ",
            "web",
            &format!("web {long}[1]: x"),
            &format!("web {long}[12]: x"),
        ] {
            let line = format!("Nov 20 10:00:00 {rest}");
            let syslog = Syslog::of(line.as_bytes());
            if let Some(glance) = Glance::at(line.as_bytes()) {
                seen += 1;
                let syslog = syslog.expect(&line);
                assert_eq!((Some(glance.stamp), glance.message), (syslog.stamp, syslog.message), "{line}");
                assert_eq!(glance.severity(), syslog.severity(), "{line}");
            }
        }
        assert_eq!(seen, 4);
    }

    #[test]
    fn structured_data_is_named_by_its_element() {
        let mut found = Vec::new();
        let line = br#"<165>1 - h app - - [ex@1 iut="3" q="a b"][o@2 x="]"] m"#;
        Syslog::of(line).expect("syslog").fields(&mut |key, value| {
            found.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
        });
        assert_eq!(found, ["facility=local4", "host=h", "app=app", "ex@1.iut=3", "ex@1.q=a b", "o@2.x=]"]);
    }
}
