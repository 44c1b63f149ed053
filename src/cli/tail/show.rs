//! The forms in which entries are written.

use super::{
    json::Json,
    pretty::{Origin, Pretty},
};
use crate::client::Entry;

/// How entries are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: coloured on a terminal, control characters written out.
    #[default]
    Pretty,
    /// The bytes as they stand in the file.
    Raw,
    /// One JSON object a line.
    Json,
}

/// Writes entries in one form.
#[derive(Debug)]
pub enum Show {
    /// For people.
    Pretty(Box<Pretty>),
    /// Byte for byte.
    Raw,
    /// As JSON.
    Json(Json),
}

impl Show {
    /// Appends `entry` of `host`; `now` in nanoseconds.
    pub fn push(&mut self, out: &mut Vec<u8>, host: &str, entry: &Entry, now: i64) {
        match self {
            Self::Pretty(pretty) => pretty.push(out, host, entry, now),
            Self::Raw => {
                out.extend_from_slice(entry.original());
                out.extend_from_slice(entry.terminator());
            }
            Self::Json(json) => json.push(out, host, entry),
        }
    }

    /// Tells which parts of an entry's origin are worth showing, where that is for people.
    pub fn set_origin(&mut self, origin: Origin) {
        match self {
            Self::Pretty(pretty) => pretty.set_origin(origin),
            Self::Raw | Self::Json(_) => {}
        }
    }
}
