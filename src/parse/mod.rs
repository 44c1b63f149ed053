//! What the bytes of a record mean: severity, time, message, fields.
//!
//! Total functions over bytes: any input gives an answer, none panics, all are linear in the length of the record.
//! This room never opens a file, never looks at a clock and keeps no state: an answer depends on the source's
//! [`Rules`], on the beginning of the file ([`Context`]) and on the record alone, so that a re-read gives it again.

use std::borrow::Cow;

use crate::entry::{Nanos, Severity};

/// How the records of a source are to be read: its configuration, compiled.
#[derive(Clone, Debug, Default)]
pub struct Rules {}

/// What is known about a file before any of its records is read.
#[derive(Clone, Debug, Default)]
pub struct Context {}

impl Context {
    /// Reads what the beginning of a file tells.
    ///
    /// `head` is bytes `[0, min(o, CONTEXT_BYTES))` of the file for records that start at `o`. `latest` is the latest
    /// moment that a record can stem from (the file's modification time plus a day, or the date in an archive's name):
    /// times without a year get the latest year that does not pass it.
    pub fn new(_rules: &Rules, _head: &[u8], _latest: Nanos) -> Self {
        Self {}
    }
}

/// What a record tells at a glance; fields are asked for separately, since few readers want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The severity that the record states.
    pub severity: Severity,
    /// The time that the record states.
    pub time: Option<Nanos>,
}

/// Reads severity and time of `record`, which has no terminator.
pub fn parse(_rules: &Rules, _context: &Context, _record: &[u8]) -> Parsed {
    Parsed::default()
}

/// The message of `record`: the record itself, or what a transport wrapper (CRI, Docker's json-file) holds.
pub fn message<'r>(_rules: &Rules, _context: &Context, record: &'r [u8]) -> Cow<'r, [u8]> {
    Cow::Borrowed(record)
}

/// Hands each parsed field of `record` to `each`, as key and value; a key may come twice, then the first one counts.
pub fn fields(_rules: &Rules, _context: &Context, _record: &[u8], _each: &mut dyn FnMut(&str, &str)) {}
