//! Rotation as operators have it, against the real program: real logrotate, renames, truncations, links and kills, under
//! writers that do not wait for anybody. What every subscriber has in the end is every line, once.
//!
//! `LOGTAP_ROTATION_LONG=1` runs the long versions; see each test for what is longer.

mod follower;
mod imfile;
mod kills;
mod logrotate;
mod operator;
mod resources;
#[allow(dead_code)]
#[path = "../integration/support/mod.rs"]
mod support;
mod tail;
mod writer;

/// Whether the long versions are wanted.
fn is_long() -> bool {
    std::env::var_os("LOGTAP_ROTATION_LONG").is_some_and(|value| !value.is_empty())
}
