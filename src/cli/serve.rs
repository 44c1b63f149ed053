//! `logtap serve`: the daemon.

use std::{path::PathBuf, process::ExitCode};

use super::{Exit, inputs};
use crate::{
    config::Listen,
    daemon::{self, log},
};

/// Watches log files and streams their lines
///
/// Without paths and -c, /etc/logtap/logtap.toml and then /etc/logtap/conf.d/*.toml are read. Arguments go over the
/// environment, which goes over files.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files to serve, or globs over them; nothing below /etc is read then
    ///
    /// A file is a source that is named like it, without .log; a glob is one that is named like the nearest directory
    /// without wildcards: /var/log/nginx/*.log is "nginx". What comes to the same name is one source.
    #[arg(value_name = "PATH|GLOB")]
    paths: Vec<String>,

    /// Read this configuration instead of the one in /etc/logtap [env: LOGTAP_CONFIG]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Listen on this address alone: host:port or unix:/path; may be repeated [env: LOGTAP_LISTEN]
    ///
    /// Port 0 takes a free port, which the log tells. LOGTAP_LISTEN separates addresses by commas. [default:
    /// 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<Listen>,
}

/// Loads the configuration, then runs the daemon.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    if let Err(error) = log::init() {
        eprintln!("logtap: {error}");
        return Exit::BadConfiguration.into();
    }
    let mut inputs = match inputs::from_environment() {
        Ok(inputs) => inputs,
        Err(error) => {
            tracing::error!("{error:#}");
            return Exit::Failure.into();
        }
    };
    inputs.paths = arguments.paths;
    inputs.file = arguments.config.or(inputs.file);
    inputs.listen = arguments.listen;
    match inputs.load() {
        Ok(loaded) => daemon::run(&inputs, loaded),
        Err(problems) => {
            log::complain(&problems);
            Exit::BadConfiguration.into()
        }
    }
}
