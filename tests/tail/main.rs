//! `logtap tail` and `logtap sources`, the real program against a small daemon of the tests' own.
#![allow(clippy::unwrap_used)]

mod access;
mod command;
mod cursor_file;
mod daemon;
mod exit;
mod fake;
mod hosts;
mod output;
mod reconnect;
mod served;
mod sources;
mod terminal;
mod transcript;
