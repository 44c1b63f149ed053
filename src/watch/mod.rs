//! Which files there are, which log each belongs to, how far each is written, and who is to be woken for it.
//!
//! The only user of `notify`. File events are hints: a lost one costs latency, a doubled one an `fstat`; what is true
//! is what `stat` and reading say. This room never waits for a subscriber and knows none: it wakes whoever registered.

mod arrivals;
pub mod catalogue;
pub mod copies;
pub mod events;
pub mod interest;
pub mod log;
pub mod logfile;
pub mod pacer;
pub mod pattern;
pub mod reading;
mod reconcile;

pub use catalogue::{Catalogue, Configured, Scope};
pub use interest::{Changes, Interest, Ticket};
pub use log::{Log, Settings, Source};
pub use logfile::{FileId, LogFile, Published, Role};
pub use pattern::{Pattern, PatternError};
pub use reading::Reading;

/// The clock that stamps files, in nanoseconds since the epoch.
fn now() -> crate::entry::Nanos {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    crate::entry::Nanos(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
