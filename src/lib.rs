//! logtap streams log files: every subscriber is a cursor into files that are there anyway.
//!
//! The rooms and the arrows between them are drawn in `ARCHITECTURE.md`.

pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod entry;
pub mod feed;
pub mod file;
pub mod filter;
pub mod glob;
pub mod limits;
pub mod parse;
pub mod proto;
pub mod server;
mod sync;
pub mod telemetry;
pub mod watch;
