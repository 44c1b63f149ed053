//! Reads from any number of daemons as if they were one: connects, resumes exactly, merges.
//!
//! Knows nothing of a command line or of how entries are shown.

mod connect;
mod decode;
mod dial;
mod host;
pub mod merge;
pub mod position;
pub mod profile;
pub mod sources;
pub mod tally;
pub mod target;
mod trust;
pub mod wire;

pub use connect::ConnectError;
pub use host::{Ask, Credit, Ending, Hosts, News, Selection, start};
pub use merge::{Lane, Merge, Run};
pub use position::Position;
pub use profile::{Profile, ProfileError};
pub use sources::{ListError, list_sources};
pub use tally::{Stated, Tally};
pub use target::{Credentials, LOCAL_SOCKET, PORT, Route, Security, Target, TargetError, Token};
pub use wire::{Batch, Entry};
