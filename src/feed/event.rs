//! What happens in a stream besides entries, for those who are told in band.

use std::sync::Arc;

use crate::{telemetry::GapReason, watch::Log};

/// Something that happened, in order with the entries.
#[derive(Clone, Debug)]
pub enum Event {
    /// How far a long search has come: bytes searched, and bytes to search altogether, at most.
    Progress(u64, u64),
    /// What was there when the subscription began has been handed on.
    CaughtUp,
    /// Bytes that no entry will bring; how many, where that is known.
    Gap(Arc<Log>, GapReason, Option<u64>),
    /// A file came, went or changed.
    FileChange(Arc<Log>, FileChange),
}

/// What a file did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It is new in the subscription.
    Added,
    /// A new file took its path.
    Rotated,
    /// Its content began anew.
    Truncated,
    /// It is gone.
    Removed,
}
