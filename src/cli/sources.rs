//! `logtap sources`: what a host has to read, as a table.

use std::{io::Write as _, process::ExitCode};

use tokio::runtime;
use tonic::Code;

use super::tail::{
    Exit, amount, escape_text,
    hosts::{self, AccessArgs, Environment},
};
use crate::{
    client::{ListError, Target, list_sources},
    proto::v1::{File, Source, WatchMode},
};

/// Lists the sources of a host, the files behind them, and how each is watched.
#[derive(clap::Args, Clone, Debug)]
pub struct SourcesArgs {
    /// Host to ask, or a name or @group of the profile [default: as for `logtap tail`].
    #[arg(value_name = "HOST")]
    pub host: Option<String>,

    /// Only these sources, by name or glob; may be given several times.
    #[arg(long, value_name = "GLOB")]
    pub source: Vec<String>,

    /// What the hosts are shown.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// The columns of the table.
const HEADINGS: [&str; 7] = ["SOURCE", "FILE", "SIZE", "MODIFIED", "WATCHED", "FORMAT", "NOTE"];
/// The column whose cells are aligned to the right.
const SIZE: usize = 2;

/// Runs `logtap sources`.
pub fn run(args: &SourcesArgs) -> ExitCode {
    list(args).into()
}

fn list(args: &SourcesArgs) -> Exit {
    let names: Vec<String> = args.host.iter().cloned().collect();
    let targets = match hosts::resolve(&names, &args.access, &Environment::read()) {
        Ok(targets) => targets,
        Err(refusal) => return complain(&refusal.why, refusal.exit),
    };
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string(), Exit::Failed),
    };
    let several = targets.len() > 1;
    let mut exits = Vec::with_capacity(targets.len());
    for target in &targets {
        exits.push(match runtime.block_on(list_sources(target, &args.source)) {
            Ok(sources) => print(target, &sources, several),
            Err(error) => complain(&format!("{}: {error}", target.name), exit_of(&error)),
        });
    }
    runtime.shutdown_background();
    Exit::of_hosts(&exits)
}

fn complain(why: &str, exit: Exit) -> Exit {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "logtap: {}", escape_text(why));
    exit
}

/// What it means for the exit status that the sources are not known.
pub(super) fn exit_of(error: &ListError) -> Exit {
    match error {
        _ if error.is_silence() => Exit::NoAnswer,
        ListError::Refused(status) => match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Exit::NotAllowed,
            Code::InvalidArgument => Exit::Usage,
            _ => Exit::Failed,
        },
        ListError::Forbidden(_) => Exit::NotAllowed,
        ListError::Connect(_) => Exit::Failed,
    }
}

fn print(target: &Target, sources: &[Source], several: bool) -> Exit {
    let mut text = table(sources);
    if several {
        text.insert_str(0, &format!("{}:\n", escape_text(&target.name)));
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Ok,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => complain(&format!("standard output: {error}"), Exit::Failed),
    }
}

/// The table of `sources`, each line ending where its last cell does.
fn table(sources: &[Source]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for source in sources {
        let name = escape_text(&source.name);
        if source.files.is_empty() {
            let globs = escape_text(&source.paths.join(" "));
            rows.push([name.clone(), globs, "-".into(), "-".into(), "-".into(), "-".into(), "no file matches".into()]);
        }
        rows.extend(source.files.iter().map(|file| row(&name, file)));
    }
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = if column == SIZE { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(source: &str, file: &File) -> [String; 7] {
    let modified = file.modify_time.as_ref().and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    let watched = match WatchMode::try_from(file.watch_mode) {
        Ok(WatchMode::Events) => "events",
        Ok(WatchMode::Polling) => "polling",
        Ok(WatchMode::Unspecified) | Err(_) => "-",
    };
    let format = match (file.format.as_str(), file.parsed_ppm) {
        ("", _) => "-".to_owned(),
        (format, 0) => escape_text(format),
        (format, ppm) => format!("{} {}.{} %", escape_text(format), ppm / 10_000, ppm / 1000 % 10),
    };
    let archive = if file.archive { format!("archive of {}", file.log) } else { String::new() };
    let deleted = if file.deleted { "deleted, held open for a reader" } else { "" };
    // Often the last error is the reason.
    let error = if file.last_error == file.reason { "" } else { file.last_error.as_str() };
    let notes: Vec<&str> =
        [archive.as_str(), deleted, file.reason.as_str(), error].into_iter().filter(|note| !note.is_empty()).collect();
    [
        source.to_owned(),
        escape_text(&file.path),
        amount(file.size_bytes),
        modified.map_or_else(|| "-".to_owned(), local_minute),
        watched.to_owned(),
        format,
        escape_text(&notes.join("; ")),
    ]
}

fn local_minute(moment: jiff::Timestamp) -> String {
    let moment = jiff::tz::TimeZone::system().to_datetime(moment);
    format!("{} {:02}:{:02}:{:02}", moment.date(), moment.hour(), moment.minute(), moment.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_harmless() {
        let file = File {
            path: "/var/log/a\u{1b}.log".into(),
            size_bytes: 2048,
            watch_mode: WatchMode::Polling as i32,
            reason: "nfs".into(),
            format: "json".into(),
            parsed_ppm: 995_000,
            ..File::default()
        };
        let archive = File { path: "/a.1".into(), log: "/a".into(), archive: true, deleted: true, ..File::default() };
        let sources = [
            Source { name: "a".into(), files: vec![file, archive], ..Source::default() },
            Source { name: "longer".into(), paths: vec!["/x/*.log".into()], ..Source::default() },
        ];
        let expected = "\
SOURCE  FILE                   SIZE  MODIFIED  WATCHED  FORMAT       NOTE
a       /var/log/a\\x1b.log  2.0 KiB  -         polling  json 99.5 %  nfs
a       /a.1                    0 B  -         -        -            archive of /a; deleted, held open for a reader
longer  /x/*.log                  -  -         -        -            no file matches
";
        assert_eq!(table(&sources), expected);
    }
}
