//! Entries as plain values: severity, flags, cursors, and the only encoder of a `LogEntry`.
//!
//! Nothing here reads a file, a clock or a configuration.

pub mod cursor;
pub mod encode;
pub mod severity;
pub mod stream_cursor;

pub use severity::{LevelRange, Severity};

/// A place in the uncompressed bytes of a file, counted from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The beginning of a file.
    pub const ZERO: Self = Self(0);

    /// The place `bytes` further on.
    #[must_use]
    pub const fn after(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// The bytes from `earlier` up to here; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Nanoseconds since the Unix epoch, as entries carry them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

/// Bits of `LogEntry.flags`; the numbers are the protocol's `EntryFlag`.
pub mod flag {
    /// Cut at the line limit.
    pub const TRUNCATED: u32 = 1;
    /// Several lines joined.
    pub const JOINED: u32 = 2;
    /// Not valid UTF-8: the bytes are in `raw`.
    pub const INVALID_UTF8: u32 = 4;
    /// The timestamp is not from the record.
    pub const TIME_NOT_FROM_LINE: u32 = 8;
    /// No terminator yet, or none at all.
    pub const UNTERMINATED: u32 = 16;
    /// Context, not a match.
    pub const CONTEXT: u32 = 32;
    /// Terminated by CR LF.
    pub const CRLF: u32 = 64;
    /// Bytes of this log are missing before this entry.
    pub const AFTER_GAP: u32 = 128;
    /// Sent before it was known to be whole; what follows may continue it.
    pub const PROVISIONAL: u32 = 256;
}
