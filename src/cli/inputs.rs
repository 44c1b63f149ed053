//! Where the configuration comes from, as far as the process's surroundings tell.

use std::{env, path::PathBuf};

use anyhow::Context as _;

use crate::config::Inputs;

/// What `serve` and `check` start from: the environment and the working directory. Set but empty variables count as
/// not set.
pub(super) fn from_environment() -> anyhow::Result<Inputs> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    Ok(Inputs {
        file: variable("LOGTAP_CONFIG").map(PathBuf::from),
        listen_variable: variable("LOGTAP_LISTEN").map(|value| value.to_string_lossy().into_owned()),
        working_directory: env::current_dir().context("the working directory")?,
        ..Inputs::default()
    })
}
