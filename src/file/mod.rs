//! Files as bytes at offsets: who a file is, reading it, and splitting what was read into records.
//!
//! Everything is positional and blocking; whoever calls decides on which thread. This room keeps no state of its own
//! and knows nothing of subscribers, caches or wake-ups.

pub mod archive;
pub mod cell;
pub mod content;
pub mod encoding;
pub mod identity;
pub mod lineage;
pub mod lines;
pub mod marks;
pub mod read;
pub mod seek;

pub use cell::{Cell, CellError};
pub use content::Content;
pub use encoding::Encoding;
pub use identity::{Identity, Stat};
pub use marks::Marks;
pub use read::{Blocking, Cached, ReadAt};
