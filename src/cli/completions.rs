//! `logtap completions`: what a shell needs to complete the command line.

use super::{Exit, print};

/// Prints completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints them.
pub(super) fn run(arguments: &Arguments, mut command: clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "logtap", &mut script);
    print(&script)?;
    Ok(Exit::Success)
}
