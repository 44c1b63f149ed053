//! The life story of the daemon.

pub mod log;

use std::process::ExitCode;

use crate::config::{Inputs, Loaded};

/// Serves until told to stop; `inputs` are what a reload reads again.
pub fn run(_inputs: &Inputs, loaded: Loaded) -> ExitCode {
    tracing::info!(sources = loaded.config.sources.len(), "configured");
    ExitCode::SUCCESS
}
