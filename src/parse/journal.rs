//! systemd's journal as `journalctl` writes it with a field a line: its export format, and its verbose output.

use super::{
    auto::{Kind, Reading},
    json,
    time::epoch,
};

/// Reads the journal's export format, one field a line; the field's line alone tells what it can.
pub fn read(record: &[u8]) -> Reading {
    let (mut severity, mut time, mut own_time) = (None, None, None);
    for line in record.split(|&byte| byte == b'\n') {
        let Some(equals) = memchr::memchr(b'=', line) else { continue };
        let value = &line[equals + 1..];
        match &line[..equals] {
            b"PRIORITY" => severity = json::severity_of(b"PRIORITY", value),
            b"__REALTIME_TIMESTAMP" => time = epoch::read(value),
            b"_SOURCE_REALTIME_TIMESTAMP" => own_time = epoch::read(value),
            _ => {}
        }
    }
    let kind = if record.contains(&b'=') { Kind::Journal } else { Kind::Unknown };
    Reading { kind, severity, time: own_time.or(time) }
}

/// The priority in a record of `journalctl -o verbose`: a time and a cursor, then a field on each line.
pub fn verbose_priority(record: &[u8]) -> Option<&[u8]> {
    let mut lines = record.split(|&byte| byte == b'\n');
    if !lines.next()?.ends_with(b"]") || memchr::memmem::find(record, b" [s=").is_none() {
        return None;
    }
    lines.find_map(|line| line.trim_ascii_start().strip_prefix(b"PRIORITY="))
}

/// Hands each field to `each`, as key and value.
pub fn fields(record: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    for line in record.split(|&byte| byte == b'\n') {
        // Verbose output indents its fields.
        let line = line.trim_ascii_start();
        if let Some(equals) = memchr::memchr(b'=', line).filter(|&equals| !line[..equals].contains(&b' ')) {
            each(&line[..equals], &line[equals + 1..]);
        }
    }
}
