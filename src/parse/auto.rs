//! Recognising a line's format: a fixed order of acceptors, each of which looks at the line alone.
//!
//! Nothing is remembered from line to line, so a line means the same wherever a reader begins. What the beginning of
//! the file tells (the header of a W3C log, the order of day and month) comes in by the [`Context`].

use super::{
    Context, Format,
    access::{self, Access},
    clusters,
    container::{self, Wrapped},
    journal, json,
    letters::{self, Lettered},
    logfmt,
    syslog::{Glance, Syslog},
    text,
    time::{self, Frame, epoch, iso},
};
use crate::entry::{Nanos, Severity};

/// The formats that are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing was recognised.
    #[default]
    Unknown,
    /// Free text with a time or a severity before it.
    Text,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 3164 or 5424.
    Syslog,
    /// Kubernetes' container log.
    Cri,
    /// Docker's json-file.
    Docker,
    /// klog and glog.
    Klog,
    /// Android's logcat.
    Logcat,
    /// Redis.
    Redis,
    /// Ruby's logger, CUPS.
    Ruby,
    /// Common or combined access log.
    Clf,
    /// W3C extended log, described by its header.
    W3c,
    /// Blue Gene/L and other clusters.
    Cluster,
    /// The kernel's ring buffer.
    Dmesg,
    /// `systemd-journal`'s export format.
    Journal,
    /// The configured pattern.
    Regex,
}

impl Kind {
    /// The format's name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Text => "text",
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::Syslog => "syslog",
            Self::Cri => "cri",
            Self::Docker => "docker",
            Self::Klog => "klog",
            Self::Logcat => "logcat",
            Self::Redis => "redis",
            Self::Ruby => "ruby",
            Self::Clf => "clf",
            Self::W3c => "w3c",
            Self::Cluster => "cluster",
            Self::Dmesg => "dmesg",
            Self::Journal => "journal",
            Self::Regex => "regex",
        }
    }
}

/// What a record was recognised as, and what it states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The format.
    pub kind: Kind,
    /// The severity.
    pub severity: Option<Severity>,
    /// The moment.
    pub time: Option<Nanos>,
}

impl Reading {
    /// A reading of free text, which is recognised when it states anything.
    #[inline]
    fn text((severity, time): (Option<Severity>, Option<Nanos>)) -> Self {
        let kind = if severity.is_some() || time.is_some() { Kind::Text } else { Kind::Unknown };
        Self { kind, severity, time }
    }
}

/// Whether what is read may itself be a wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Outer,
    Inner,
}

/// Reads a record: its first line, or all of it where a format has several.
#[inline]
pub fn read(record: &[u8], context: &Context, frame: &Frame<'_>) -> Reading {
    let line = memchr::memchr(b'\n', record).map_or(record, |end| &record[..end]);
    let reading = one_line(line, context, frame, Layer::Outer);
    if line.len() == record.len() { reading } else { with_further_lines(reading, record, line.len(), frame) }
}

/// Reads a record by the format that is configured for it; one that does not have it states nothing, but for JSON and
/// logfmt, which are read as far as they go.
pub fn read_as(format: Format, record: &[u8], context: &Context, frame: &Frame<'_>) -> Reading {
    let line = memchr::memchr(b'\n', record).map_or(record, |end| &record[..end]);
    let found = match format {
        Format::Auto | Format::Raw | Format::Regex => None,
        Format::Json => Some(line.trim_ascii_start()).filter(|line| line.starts_with(b"{")).map(|line| {
            let (severity, time) = json::read(line, frame);
            Reading { kind: Kind::Json, severity, time }
        }),
        Format::Logfmt => logfmt::Pairs::of(line).next().map(|_| {
            let (severity, time) = logfmt::read(line, frame);
            Reading { kind: Kind::Logfmt, severity, time }
        }),
        Format::Syslog => syslog(line, frame).or_else(|| iso_syslog(line, frame)),
        Format::Cri => container::cri(line).map(|wrapped| unwrapped(Kind::Cri, &wrapped, frame)),
        Format::Docker => container::docker(line).map(|wrapped| unwrapped(Kind::Docker, &wrapped, frame)),
        Format::Klog => letters::klog(line).map(|found| lettered(Kind::Klog, &found, frame)),
        Format::Clf => access(line, frame).or_else(|| {
            let (severity, time) = context.columns()?.read(line, frame)?;
            Some(Reading { kind: Kind::W3c, severity, time })
        }),
    };
    found.unwrap_or_default()
}

/// What a container's line states: its message the severity, its wrapper the time.
fn unwrapped(kind: Kind, wrapped: &Wrapped<'_>, frame: &Frame<'_>) -> Reading {
    let time = wrapped.stamp.and_then(|stamp| stamp.moment(frame));
    let inner = one_line(&wrapped.message, &Context::default(), frame, Layer::Inner);
    Reading { kind, severity: inner.severity, time }
}

/// Reads what rsyslog writes with precise times: `2026-11-20T10:00:00.123456+01:00 HOST APP[PID]: MESSAGE`.
fn iso_syslog(line: &[u8], frame: &Frame<'_>) -> Option<Reading> {
    let (stamp, len) = iso::read(line)?;
    let syslog = Syslog::after_named_time(&line[len..])?;
    Some(Reading {
        kind: Kind::Syslog,
        severity: severity_of_message(syslog.message, frame),
        time: stamp.moment(frame),
    })
}

/// Adds what the second line tells: `java.util.logging` writes the level there, and the journal's export everything.
#[cold]
fn with_further_lines(first: Reading, record: &[u8], first_len: usize, frame: &Frame<'_>) -> Reading {
    if record.starts_with(b"__") {
        return journal::read(record);
    }
    match first.kind {
        _ if first.severity.is_some() => return first,
        Kind::Text => {
            if let Some(priority) = journal::verbose_priority(record) {
                return Reading { kind: Kind::Journal, severity: json::severity_of(b"PRIORITY", priority), ..first };
            }
        }
        // What the first part of a split line does not tell, the whole line may.
        Kind::Cri | Kind::Docker => {
            let message = container::message(record);
            let line = memchr::memchr(b'\n', &message).map_or(&*message, |end| &message[..end]);
            let whole = one_line(line, &Context::default(), frame, Layer::Inner);
            return Reading { severity: whole.severity, ..first };
        }
        Kind::Unknown
        | Kind::Json
        | Kind::Logfmt
        | Kind::Syslog
        | Kind::Klog
        | Kind::Logcat
        | Kind::Redis
        | Kind::Ruby
        | Kind::Clf
        | Kind::W3c
        | Kind::Cluster
        | Kind::Dmesg
        | Kind::Journal
        | Kind::Regex => return first,
    }
    let rest = &record[first_len + 1..];
    let line = memchr::memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
    if line.first().is_none_or(|byte| !byte.is_ascii_alphabetic()) {
        return first;
    }
    Reading { severity: text::severity_after_tag(line, frame), ..first }
}

#[inline]
fn one_line(line: &[u8], context: &Context, frame: &Frame<'_>, layer: Layer) -> Reading {
    let line = match line {
        [b' ' | b'\t', rest @ ..] => match rest.trim_ascii_start() {
            // Indented words are a continuation, or a level set to the right; no format of its own begins so.
            words @ [b'A'..=b'Z' | b'a'..=b'z', ..] => return Reading::text(text::read(words, frame)),
            indented => indented,
        },
        _ => line,
    };
    match *line {
        [b'0'..=b'9', ..] => digit(line, context, frame, layer),
        [b'A'..=b'Z' | b'a'..=b'z', ..] => letter(line, frame),
        [b'{', ..] => object(line, frame, layer),
        [b'[', ..] => bracket(line, frame),
        [b'<', b'0'..=b'9', ..] => syslog_or_text(line, frame),
        [b'-', b' ', b'0'..=b'9', ..] => cluster(line, frame).unwrap_or_else(|| Reading::text(text::read(line, frame))),
        [b'_', b'_', ..] => journal::read(line),
        [b':', ..] => access_or_text(line, frame),
        [b'@', b'4', ..] => match epoch::tai64n(line) {
            Some((moment, len)) => {
                Reading { kind: Kind::Text, severity: text::read(&line[len..], frame).0, time: Some(moment) }
            }
            None => Reading::text(text::read(line, frame)),
        },
        [b'*', b'A'..=b'Z', ..] => syslog_or_text(line, frame),
        // The directives of a W3C log.
        [b'#', ..] if context.columns().is_some() => Reading::default(),
        [] => Reading::default(),
        _ => Reading::text(text::read(line, frame)),
    }
}

#[inline]
fn digit(line: &[u8], context: &Context, frame: &Frame<'_>, layer: Layer) -> Reading {
    if let Some(columns) = context.columns()
        && let Some((severity, time)) = columns.read(line, frame)
    {
        return Reading { kind: Kind::W3c, severity, time };
    }
    if let Some((stamp, len)) = iso::read(line) {
        if layer == Layer::Outer
            && let Some(wrapped) = container::cri_after_time(line, stamp, len)
        {
            return unwrapped(Kind::Cri, &wrapped, frame);
        }
        if let [b' ', b' ', b' ' | b'0'..=b'9', ..] | [b' ', b'0'..=b'9', ..] = line[len..]
            && let Some(severity) = letters::logcat_severity(&line[len..])
        {
            return Reading { kind: Kind::Logcat, severity, time: stamp.moment(frame) };
        }
        return Reading::text(text::read_after_time(line, stamp, len, frame));
    }
    if let [_, _, b'-', _, _, b' ', ..] = line
        && let Some((stamp, len)) = time::numeric::read(line)
    {
        if let Some(severity) = letters::logcat_severity(&line[len..]) {
            return Reading { kind: Kind::Logcat, severity, time: stamp.moment(frame) };
        }
        if let Some(found) = letters::logcat(line) {
            return lettered(Kind::Logcat, &found, frame);
        }
        return Reading::text(text::read_after_time(line, stamp, len, frame));
    }
    if let Some((stamp, len)) = time::numeric::read(line).or_else(|| time::named::day_first(line)) {
        return Reading::text(text::read_after_time(line, stamp, len, frame));
    }
    rarer_digit(line, frame)
}

/// Lines that begin with a number that is no date.
fn rarer_digit(line: &[u8], frame: &Frame<'_>) -> Reading {
    if let Some(reading) = access(line, frame) {
        return reading;
    }
    if let Some(found) = letters::redis(line) {
        return lettered(Kind::Redis, &found, frame);
    }
    if line.starts_with(b"1 ")
        && let Some(reading) = syslog(line, frame)
    {
        return reading;
    }
    if let Some((stamp, rest)) = letters::zabbix(line) {
        return Reading::text(text::read_after_time(line, stamp, line.len() - rest.len(), frame));
    }
    if let Some((moment, len)) = leading_epoch(line) {
        let severity = text::read(&line[len..], frame).0;
        return Reading { kind: Kind::Text, severity, time: Some(moment) };
    }
    if let Some(found) = clusters::numbered(line) {
        return Reading { kind: Kind::Cluster, severity: None, time: found.time };
    }
    Reading::text(text::read(line, frame))
}

/// Reads a number of seconds (with or without fraction), milliseconds, microseconds or nanoseconds of this century,
/// which must be a word of its own; also zap's `1.7951688001234567e+09`, and Redis' `1:signal-handler (1795168800)`.
fn leading_epoch(line: &[u8]) -> Option<(Nanos, usize)> {
    let head = &line[..line.len().min(40)];
    let len = head.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(head.len());
    if let [b'e', b'+', b'0', b'9', b'\t', ..] = line[len..] {
        return Some((epoch::read(&line[..len + 4])?, len + 4));
    }
    if let Some(rest) = line[len..].strip_prefix(b":signal-handler (") {
        let close = rest.iter().take(20).position(|&byte| byte == b')')?;
        return Some((epoch::read(&rest[..close])?, line.len() - rest.len() + close + 1));
    }
    let whole = line[..len].iter().position(|&byte| byte == b'.').unwrap_or(len);
    if !matches!(whole, 10 | 13 | 16 | 19) || !matches!(line[0], b'1'..=b'3') {
        return None;
    }
    if !matches!(line.get(len), None | Some(b' ' | b'\t' | b',' | b'|' | b':' | b';')) {
        return None;
    }
    Some((epoch::read(&line[..len])?, len))
}

#[inline]
fn letter(line: &[u8], frame: &Frame<'_>) -> Reading {
    if let Some(found) = Glance::at(line) {
        let severity = found.severity().or_else(|| severity_of_message(found.message, frame));
        return Reading { kind: Kind::Syslog, severity, time: found.stamp.moment(frame) };
    }
    match *line {
        [_, b'0'..=b'9', b'0'..=b'9', ..] => {
            if let Some(found) = letters::klog(line) {
                return lettered(Kind::Klog, &found, frame);
            }
        }
        [_, b',' | b' ', ..] => {
            if let Some(found) = letters::before_bracket(line) {
                return lettered(Kind::Ruby, &found, frame);
            }
        }
        [_, b'/', ..] => {
            if let Some(found) = letters::logcat(line) {
                return lettered(Kind::Logcat, &found, frame);
            }
        }
        _ => {}
    }
    if logfmt::begins(line) {
        let (severity, time) = logfmt::read(line, frame);
        let time = time.or_else(|| audit(line));
        return Reading { kind: Kind::Logfmt, severity, time };
    }
    if let Some(reading) = syslog(line, frame).or_else(|| cluster(line, frame)) {
        return reading;
    }
    if let Some(reading) = dmesg_decoded(line, frame) {
        return reading;
    }
    access_or_text(line, frame)
}

fn access_or_text(line: &[u8], frame: &Frame<'_>) -> Reading {
    access(line, frame).unwrap_or_else(|| Reading::text(text::read(line, frame)))
}

fn access(line: &[u8], frame: &Frame<'_>) -> Option<Reading> {
    if let Some(found) = access::Outline::of(line) {
        let severity = access::by_status(found.status);
        return Some(Reading { kind: Kind::Clf, severity, time: found.stamp.moment(frame) });
    }
    let access = Access::of_haproxy(line)?;
    let time = access.stamp.and_then(|stamp| stamp.moment(frame));
    Some(Reading { kind: Kind::Clf, severity: access.severity(), time })
}

fn object(line: &[u8], frame: &Frame<'_>, layer: Layer) -> Reading {
    if layer == Layer::Outer
        && let Some(wrapped) = container::docker(line)
    {
        return unwrapped(Kind::Docker, &wrapped, frame);
    }
    let (severity, time) = json::read(line, frame);
    if severity.is_none() && time.is_none() && json::Members::of(line).next().is_none() {
        return Reading::text(text::read(line, frame));
    }
    Reading { kind: Kind::Json, severity, time }
}

fn bracket(line: &[u8], frame: &Frame<'_>) -> Reading {
    if let Some(found) = letters::redis(line) {
        return lettered(Kind::Redis, &found, frame);
    }
    if let [b'[', b' ', b'0'..=b'9', ..] = line
        && let Some(found) = letters::logcat_long(line)
    {
        return lettered(Kind::Logcat, &found, frame);
    }
    if let Some(message) = after_uptime(line) {
        return Reading { kind: Kind::Dmesg, severity: text::severity_after_tag(message, frame), time: None };
    }
    Reading::text(text::read(line, frame))
}

/// What follows the kernel's `[   12.345678] `.
fn after_uptime(line: &[u8]) -> Option<&[u8]> {
    let inner = line.strip_prefix(b"[")?;
    let indent = inner.iter().take(8).take_while(|&&byte| byte == b' ').count();
    let (_, len) = time::number_up_to(&inner[indent..], 9)?;
    let rest = inner[indent + len..].strip_prefix(b".")?;
    let (_, fraction) = time::number_up_to(rest, 9)?;
    if fraction < 3 {
        return None;
    }
    rest[fraction..].strip_prefix(b"] ")
}

/// Reads `kern  :err   : [   12.345678] message`, as `dmesg -x` prints it.
fn dmesg_decoded(line: &[u8], frame: &Frame<'_>) -> Option<Reading> {
    let colon = line.iter().take(9).position(|&byte| byte == b':')?;
    if !matches!(
        line[..colon].trim_ascii_end(),
        b"kern"
            | b"user"
            | b"mail"
            | b"daemon"
            | b"auth"
            | b"syslog"
            | b"cron"
            | b"authpriv"
            | b"ftp"
            | b"lpr"
            | b"news"
    ) {
        return None;
    }
    let rest = &line[colon + 1..];
    let end = rest.iter().take(9).position(|&byte| byte == b':')?;
    let severity = super::words::severity(rest[..end].trim_ascii())?;
    let (_, time) = text::read(rest[end + 1..].trim_ascii_start(), frame);
    Some(Reading { kind: Kind::Dmesg, severity: Some(severity), time })
}

fn syslog_or_text(line: &[u8], frame: &Frame<'_>) -> Reading {
    syslog(line, frame).unwrap_or_else(|| Reading::text(text::read(line, frame)))
}

#[inline]
fn syslog(line: &[u8], frame: &Frame<'_>) -> Option<Reading> {
    let syslog = Syslog::of(line)?;
    let severity = syslog.severity().or_else(|| severity_of_message(syslog.message, frame));
    Some(Reading { kind: Kind::Syslog, severity, time: syslog.moment(frame) })
}

fn cluster(line: &[u8], frame: &Frame<'_>) -> Option<Reading> {
    let found = clusters::labelled(line)?;
    let severity = match found.severity {
        None if !found.syslog.is_empty() => {
            Syslog::after_named_time(found.syslog).and_then(|syslog| severity_of_message(syslog.message, frame))
        }
        severity => severity,
    };
    Some(Reading { kind: Kind::Cluster, severity, time: found.time })
}

/// The severity that a program states in what it sends to syslog.
pub fn severity_of_message(message: &[u8], frame: &Frame<'_>) -> Option<Severity> {
    match *message {
        [b'{', ..] => json::read(message, frame).0,
        [b'I' | b'W' | b'E' | b'F', b'0'..=b'9', ..] => letters::klog(message)?.severity,
        [b'0'..=b'9', ..] => match Access::of_haproxy(message).or_else(|| Access::of(message)) {
            Some(access) => access.severity(),
            None => text::severity_after_tag(message, frame),
        },
        [b'[', ..] => text::severity_after_tag(after_uptime(message).unwrap_or(message), frame),
        _ => text::severity_after_tag(message, frame),
    }
}

fn lettered(kind: Kind, found: &Lettered<'_>, frame: &Frame<'_>) -> Reading {
    Reading { kind, severity: found.severity, time: found.stamp.and_then(|stamp| stamp.moment(frame)) }
}

/// The moment in the kernel's audit records, `msg=audit(1795168800.123:4567):`.
fn audit(line: &[u8]) -> Option<Nanos> {
    let head = &line[..line.len().min(128)];
    let start = memchr::memmem::find(head, b"msg=audit(")? + b"msg=audit(".len();
    let len = head[start..].iter().position(|&byte| byte == b':')?;
    epoch::read(&head[start..start + len])
}
