//! `logtap verify`: shows on this machine, with its file systems and its daemon, that no line is lost and none repeated.
//!
//! Writes numbered lines with checksums into logs that are rotated in every way, reads them back through a daemon by
//! clients that are fast, that pause, and that break off and resume, and holds what came against what was written.

mod daemon;
mod histogram;
mod judge;
mod line;
mod progress;
mod report;
mod rotate;
mod run;
mod subscriber;
mod writer;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use super::tail::hosts::AccessArgs;
use rotate::Rotation;

/// What the long help and the manual page end with.
const EXAMPLES: &str = "\
Examples:
  logtap verify                             half a minute with a daemon of its own
  logtap verify --rate 20000 --duration 1h --rotate-every 500ms
  logtap verify localhost --directory /var/log/verify
                                            through the daemon that runs; one of its sources has to match
                                            /var/log/verify/*.log

A line is lost when it never came and no gap was announced for it. What rotation deletes before a slow client has read
it is missing, and has to be announced; of a file that was created and deleted while nobody looked, all lines are unseen.";

/// Tries an installation: writes, rotates, reads back, and counts what was lost or repeated.
///
/// Writes numbered lines with checksums into logs that are renamed, copied and truncated, compressed and deleted, and
/// reads them through a daemon with clients that are fast, that pause, and that break off and resume.
///
/// Exit status: 0 every line came once, in order, or its absence was announced as a gap; 1 some line was lost, repeated,
/// out of order or damaged, or something went wrong; 2 usage, 4 the host did not answer within 5 seconds, 5 not allowed,
/// 78 bad profile, 130 interrupted, 143 terminated.
#[derive(clap::Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Read through this host, which has to be this machine [default: a daemon that is started for the purpose].
    #[arg(value_name = "HOST", requires = "directory")]
    host: Option<String>,

    /// Write the logs here; with HOST, where one of its sources looks for *.log [default: a new temporary directory].
    #[arg(short, long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// How long to write; what is left is read afterwards.
    #[arg(short = 't', long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,

    /// Lines to write in a second, all logs together.
    #[arg(short, long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,

    /// Logs to write.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    logs: u32,

    /// How the logs are rotated, in turns that chance decides.
    #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',', default_values_t = Rotation::ALL)]
    rotate: Vec<Rotation>,

    /// Rotate each log about this often; 0 is never.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    rotate_every: Duration,

    /// Rotated files to keep of each log; the oldest is deleted.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    keep: u32,

    /// Clients that read as fast as they can.
    #[arg(long, value_name = "N", default_value_t = 2)]
    fast: u32,

    /// Clients that stop reading again and again.
    #[arg(long, value_name = "N", default_value_t = 2)]
    slow: u32,

    /// Clients whose connection breaks off again and again, and that resume by cursor.
    #[arg(long, value_name = "N", default_value_t = 2)]
    killed: u32,

    /// What chance begins with, so that a run can be repeated [default: by the clock].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How long to wait for a client to which nothing comes any more, before what it lacks counts as lost.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    patience: Duration,

    /// Leave the logs where they are when it is done, for whoever looks for a reason.
    #[arg(long)]
    leave: bool,

    /// How the result is written: a table, or one JSON object.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: report::Format,

    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,

    /// What the host is shown.
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs `logtap verify`.
pub fn run(args: &VerifyArgs) -> ExitCode {
    run::run(args).into()
}

/// Reads a duration as the configuration does: `90s`, `1h30m`, `500ms`, `0`.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "whole numbers with units, as in 1h30m or 500ms".to_owned())?;
    Duration::try_from(span).map_err(|_| "no negative time".to_owned())
}
