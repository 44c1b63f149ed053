//! `logtap check`: what the configuration comes to, before a daemon lives by it.
//!
//! What is printed is TOML: the effective configuration with the origin of each value, then, as comments, the limits
//! and the files. Warnings and errors go to standard error.

mod files;
mod limits;

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use super::{Exit, inputs, print};
use crate::{
    config::{Config, Effective, Loaded, json_schema},
    daemon::secrets,
};

/// Checks the configuration and shows what it comes to
///
/// Prints the effective configuration and where each value comes from, the limits, and the files that each source
/// matches now. Exit status: 0 when a daemon could live by it, 78 when not.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Check this file instead of what is in /etc/logtap [env: LOGTAP_CONFIG]
    file: Option<PathBuf>,

    /// Print errors and warnings only
    #[arg(short, long)]
    quiet: bool,

    /// Check nothing; print the JSON schema of the configuration, for editors that complete TOML by one
    #[arg(long, conflicts_with_all = ["file", "quiet"])]
    schema: bool,
}

/// Checks, and prints what was found.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    if arguments.schema {
        print(json_schema().as_bytes())?;
        return Ok(Exit::Success);
    }
    let mut inputs = inputs::from_environment()?;
    inputs.file = arguments.file.or(inputs.file);
    let loaded = match inputs.load() {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{problems}");
            return Ok(Exit::BadConfiguration);
        }
    };
    let found = files::find(&loaded.config.sources);
    for warning in files::warnings(&found) {
        eprintln!("warning: {warning}");
    }
    let good = secrets_are_good(&loaded.config);
    if !arguments.quiet {
        print(report(&loaded, &found).as_bytes())?;
    }
    Ok(if good { Exit::Success } else { Exit::BadConfiguration })
}

fn report(loaded: &Loaded, found: &[files::Found<'_>]) -> String {
    let mut text = String::new();
    for file in &loaded.files {
        push(&mut text, format_args!("# {}", file.display()));
    }
    effective(&loaded.effective, &mut text);
    push(&mut text, format_args!("\n# Limits"));
    for limit in limits::all() {
        push(&mut text, format_args!("# {limit}"));
    }
    push(&mut text, format_args!("\n# Files"));
    for source in found {
        push(&mut text, format_args!("# {source}"));
    }
    text
}

/// Each table with its keys, the origins in one column.
fn effective(lines: &[Effective], text: &mut String) {
    for (index, line) in lines.iter().enumerate() {
        // A source begins with its name: the only sign where one `[[source]]` ends and the next begins.
        let begins = index == 0 || lines[index - 1].table != line.table || line.key == "name";
        if begins {
            push(text, format_args!("{}{}", if text.is_empty() { "" } else { "\n" }, line.table));
        }
        let setting = format!("{} = {}", line.key, line.value);
        push(text, format_args!("{setting:<60} # {}", line.origin));
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes everything");
}

/// Whether a daemon could serve by the files beside the configuration; says what is wrong with each.
fn secrets_are_good(config: &Config) -> bool {
    let tls = config.tls.as_ref().is_none_or(|tls| {
        let mut files = vec![("[tls] cert", tls.cert.as_path()), ("[tls] key", tls.key.as_path())];
        files.extend(tls.client_ca.as_deref().map(|path| ("[tls] client_ca", path)));
        files_are_good(&files, || Ok(secrets::tls(config).map(drop)?))
    });
    let auth = config.auth.as_ref().is_none_or(|auth| {
        files_are_good(&[("[auth] tokens_file", &auth.tokens_file)], || Ok(secrets::auth(config).map(drop)?))
    });
    tls && auth
}

/// Whether all these files are there and `load`, which is what the daemon does, makes something of them. One that exists
/// and cannot be read by whoever runs the check may well be readable for the daemon: that is a warning.
fn files_are_good(files: &[(&str, &Path)], load: impl FnOnce() -> anyhow::Result<()>) -> bool {
    let (mut missing, mut denied) = (false, false);
    for (key, path) in files {
        match readable(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                denied = true;
                eprintln!("warning: {key}: {} cannot be read by this user: {error}", path.display());
            }
            Err(error) => {
                missing = true;
                eprintln!("{key}: {}: {error}", path.display());
            }
        }
    }
    if missing || denied {
        return !missing;
    }
    load().inspect_err(|error| eprintln!("{error}")).is_ok()
}

fn readable(path: &Path) -> io::Result<()> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_file() { Ok(()) } else { Err(io::Error::other("this is no regular file")) }
}
