//! `logtap tail`: follows the logs of any number of hosts.

mod ask;
mod clock;
mod cursor_file;
mod escape;
mod exit;
mod fold;
pub mod hosts;
mod json;
mod notes;
mod output;
mod paint;
mod pretty;
mod session;
mod show;
mod signals;
mod standing;
mod time;

use std::{path::PathBuf, process::ExitCode};

pub use escape::text as escape_text;
pub use exit::{Exit, Refusal};
pub use hosts::{Environment, resolve as resolve_hosts};
pub use notes::amount;
pub use signals::watch_signals;
pub use standing::{explain, refused};

/// What the long help and the manual page end with.
const EXAMPLES: &str = "\
Examples:
  logtap tail -l error                      errors of this machine, the last ten and every new one
  logtap tail @web -g timeout -C 3          of a group of hosts, with three entries around each match
  logtap tail web1 -S 1h --no-follow -o json | jq -r .message
  logtap tail web1 --no-follow -o raw --cursor-file web1.cursor
                                            from cron: every line once

Profile, ~/.config/logtap/hosts.toml:
  [hosts.web1]
  address = \"web1.example.org:50051\"        any form of a host; the name itself when left out
  token_file = \"web.token\"                  files are relative to the profile's directory
  ca = \"ca.pem\"
  cert = \"me.pem\"
  key = \"me.key\"

  [groups]
  web = [\"web1\", \"web2.example.org\"]";

/// Follows the logs of one or more hosts.
///
/// Entries go to standard output, everything else to standard error. A host that is lost is tried again for ever, and
/// its stream goes on exactly where it was.
///
/// Exit status: 0 everything came, 1 run-time error, 2 usage, 3 some hosts failed, 4 no host answered within 5 seconds,
/// 5 not allowed, 78 bad profile, 130 interrupted, 143 terminated.
#[derive(clap::Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct TailArgs {
    /// Hosts to read: HOST[:PORT], http(s)://…, unix:/path, a name or an @group of the profile.
    ///
    /// Without any: those in LOGTAP_HOSTS, else the daemon of this machine by its socket, else 127.0.0.1:50051. Beyond
    /// loopback TLS is spoken, unless http:// says otherwise; no token is ever sent over http://.
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,

    /// End where the files end now.
    #[arg(long, overrides_with = "follow")]
    pub no_follow: bool,

    /// Go on with every new line; this is the default.
    #[arg(short, long, overrides_with = "no_follow")]
    pub follow: bool,

    /// Start with the last N entries that match, or all [default: 10; all with --since, --until or a cursor file].
    #[arg(short = 'n', long, visible_alias = "tail", value_name = "N|all")]
    pub lines: Option<ask::Lines>,

    /// Only entries of this severity or worse, or in a range of them (warn..error).
    #[arg(short, visible_short_alias = 'p', long, value_name = "LEVEL")]
    pub level: Option<String>,

    /// Only these sources, by name or glob; may be given several times.
    #[arg(long, value_name = "GLOB")]
    pub source: Vec<String>,

    /// Only these logs: a glob without a slash is matched against the file name, else against the path.
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,

    /// Only entries that match this regular expression; of several all must match.
    #[arg(short, long, value_name = "REGEX", allow_hyphen_values = true)]
    pub grep: Vec<String>,

    /// Only entries that do not match this regular expression; of several none may match.
    #[arg(short, long, value_name = "REGEX", allow_hyphen_values = true)]
    pub exclude: Vec<String>,

    /// Match upper and lower case alike.
    #[arg(short, long)]
    pub ignore_case: bool,

    /// Only entries of which the parsed field or label KEY is VALUE.
    #[arg(short, long = "where", value_name = "KEY=VALUE", value_parser = ask::condition)]
    pub r#where: Vec<(String, String)>,

    /// Show N entries of the same file before each match.
    #[arg(short = 'B', long, value_name = "N")]
    pub before: Option<u32>,

    /// Show N entries of the same file after each match.
    #[arg(short = 'A', long, value_name = "N")]
    pub after: Option<u32>,

    /// Show N entries of the same file before and after each match.
    #[arg(short = 'C', long, value_name = "N")]
    pub context: Option<u32>,

    /// Only entries at or after this time: RFC 3339, a local date or time, yesterday, or 10m, 2h, 3d before now.
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// Only entries before this time; the stream ends when it has come.
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,

    /// How entries are written: for people, byte for byte, or as one JSON object a line.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: show::Format,

    /// When to use colours.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: paint::When,

    /// Show times in UTC instead of local time.
    #[arg(long, conflicts_with = "relative")]
    pub utc: bool,

    /// Show times as their distance from now.
    #[arg(long)]
    pub relative: bool,

    /// End after N entries that match.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Go on where the run before stopped, by this file; it is kept up to date.
    #[arg(long, value_name = "FILE")]
    pub cursor_file: Option<PathBuf>,

    /// Give a host up when it is lost.
    #[arg(long)]
    pub no_reconnect: bool,

    /// Say at the end of each stream what came, and whether it is what the host sent.
    #[arg(long)]
    pub stats: bool,

    /// Say nothing of gaps, lost hosts and progress.
    #[arg(short, long)]
    pub quiet: bool,

    /// What the hosts are shown.
    #[command(flatten)]
    pub access: hosts::AccessArgs,
}

/// Runs `logtap tail` until it ends, with its exit status.
pub fn run(args: TailArgs) -> ExitCode {
    session::run(args).into()
}
