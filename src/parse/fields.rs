//! The fields of a record, by the format that it has.

use super::{
    Context, Format, Rules,
    access::Access,
    auto::Kind,
    clusters, container, journal,
    json::{self, Members, Value},
    letters::{self, Lettered},
    logfmt::Pairs,
    pattern,
    syslog::Syslog,
    text,
    time::iso,
};

/// Takes a key and a value.
type Each<'e> = &'e mut dyn FnMut(&[u8], &[u8]);

/// Depth to which nested objects are named by dots; what lies deeper is one value, as written.
const DEPTH_MAX: usize = 16;
/// Longest dotted name, in bytes; members with longer ones are passed over.
const NAME_BYTES_MAX: usize = 256;

/// Hands each field of `record` to `each`.
pub fn read(rules: &Rules, context: &Context, record: &[u8], each: Each<'_>) {
    if let (Format::Regex, Some(pattern)) = (rules.format, &rules.pattern) {
        return pattern::fields(pattern, record, each);
    }
    let kind = super::read(rules, context, record).kind;
    let line = memchr::memchr(b'\n', record).map_or(record, |end| &record[..end]);
    let line = line.trim_ascii_start();
    match kind {
        Kind::Unknown | Kind::Regex | Kind::Dmesg => {}
        Kind::Json => object(line, each),
        Kind::Logfmt => pairs(line, each),
        Kind::Syslog => syslog(line, each),
        Kind::Cri | Kind::Docker => wrapped(rules, kind, record, each),
        Kind::Klog => lettered(letters::klog(line), b"source", each),
        Kind::Logcat => lettered(letters::logcat(line), b"tag", each),
        Kind::Redis => lettered(letters::redis(line), b"source", each),
        Kind::Ruby => lettered(letters::before_bracket(line), b"source", each),
        Kind::Clf => {
            if let Some(access) = Access::of(line).or_else(|| Access::of_haproxy(line)) {
                access.fields(each);
            }
        }
        Kind::W3c => {
            if let Some(columns) = context.columns() {
                columns.each(line, |name, value| {
                    if value != b"-" {
                        each(name.as_bytes(), value);
                    }
                });
            }
        }
        Kind::Cluster => {
            if let Some(found) = clusters::labelled(line).or_else(|| clusters::numbered(line)) {
                each(b"node", found.node);
            }
        }
        Kind::Journal => journal::fields(record, each),
        Kind::Text => after_prefix(line, each),
    }
}

/// The fields of a message inside a wrapper or a syslog line: JSON's or logfmt's.
fn of_message(message: &[u8], each: Each<'_>) {
    match message {
        [b'{', ..] => object(message, each),
        _ if super::logfmt::begins(message) => pairs(message, each),
        _ => {}
    }
}

fn wrapped(rules: &Rules, kind: Kind, record: &[u8], each: Each<'_>) {
    let first = memchr::memchr(b'\n', record).map_or(record, |end| &record[..end]).trim_ascii_start();
    let unwrapped = if kind == Kind::Cri { container::cri(first) } else { container::docker(first) };
    if let Some(line) = unwrapped {
        each(b"stream", line.stream);
    }
    of_message(&super::message(rules, &Context::default(), record), each);
}

fn syslog(line: &[u8], each: Each<'_>) {
    let parts = Syslog::of(line).or_else(|| {
        let (_, len) = iso::read(line)?;
        Syslog::after_named_time(&line[len..])
    });
    let Some(parts) = parts else { return };
    parts.fields(each);
    match Access::of_haproxy(parts.message) {
        Some(access) => access.fields(each),
        None => of_message(parts.message, each),
    }
}

fn lettered(line: Option<Lettered<'_>>, origin: &[u8], each: Each<'_>) {
    let Some(line) = line else { return };
    for (key, value) in [(&b"pid"[..], line.pid), (origin, line.origin)] {
        if !value.is_empty() {
            each(key, value);
        }
    }
}

/// The fields of free text: those of JSON or pairs behind its time and level, or of syslog with an ISO time.
fn after_prefix(line: &[u8], each: Each<'_>) {
    if let Some((_, len)) = iso::read(line)
        && let Some(parts) = Syslog::after_time(&line[len..])
    {
        parts.fields(each);
        return of_message(parts.message, each);
    }
    of_message(&line[text::message_start(line)..], each);
}

fn pairs(line: &[u8], each: Each<'_>) {
    for pair in Pairs::of(line) {
        if pair.quoted {
            each(pair.key, &json::unescaped(pair.value));
        } else {
            each(pair.key, pair.value);
        }
    }
}

fn object(text: &[u8], each: Each<'_>) {
    members(text, &mut Vec::new(), 0, each);
}

/// Names the members of an object, each behind the `name` of the objects around it.
fn members(text: &[u8], name: &mut Vec<u8>, depth: usize, each: Each<'_>) {
    let outer = name.len();
    for (key, value) in Members::of(text) {
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend_from_slice(&json::unescaped(key));
        if name.len() <= NAME_BYTES_MAX {
            match value {
                Value::String(text) => each(name, &json::unescaped(text)),
                Value::Bare(text) => each(name, text),
                Value::Nested(inner) if inner.starts_with(b"{") && depth < DEPTH_MAX => {
                    members(inner, name, depth + 1, each);
                }
                Value::Nested(inner) => each(name, inner),
            }
        }
        name.truncate(outer);
    }
}
