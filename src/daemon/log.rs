//! The daemon's own log, on standard error: plain text for people, priorities for the journal.

use std::{
    env, fmt,
    io::{self, IsTerminal as _},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// What is logged, by level and by module; the syntax is that of `tracing_subscriber::EnvFilter`.
const FILTER_VARIABLE: &str = "LOGTAP_LOG";
/// What is logged unless told otherwise.
const FILTER_DEFAULT: &str = "info";

/// `LOGTAP_LOG` cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFilter {
    given: String,
    reason: String,
}

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, reason } = self;
        write!(
            f,
            "{FILTER_VARIABLE}: `{given}` is no filter ({reason}); write a level (error, warn, info, debug, trace), or "
        )?;
        write!(f, "levels by module, like \"info,logtap::watch=debug\"")
    }
}

impl std::error::Error for BadFilter {}

/// Sets up logging for the whole process. Called once, before anything is logged.
///
/// # Errors
/// `LOGTAP_LOG` cannot be understood; nothing is set up then.
pub fn init() -> Result<(), BadFilter> {
    let given = env::var_os(FILTER_VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let filter = filter(given.as_deref().unwrap_or_default())?;
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).with_target(false);
    if stderr_is_journal() {
        builder.with_ansi(false).event_format(Prioritised).init();
    } else {
        builder.with_ansi(io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())).init();
    }
    Ok(())
}

/// Writes to standard error what is wrong, line by line, as errors where the journal reads it.
pub fn complain(what: &dyn fmt::Display) {
    let prefix = if stderr_is_journal() { priority(Level::ERROR) } else { "" };
    let text: String = what.to_string().lines().map(|line| format!("{prefix}{line}\n")).collect();
    eprint!("{text}");
}

fn filter(given: &str) -> Result<EnvFilter, BadFilter> {
    let text = if given.trim().is_empty() { FILTER_DEFAULT } else { given };
    EnvFilter::builder().parse(text).map_err(|error| BadFilter { given: text.to_owned(), reason: error.to_string() })
}

/// Whether standard error is the very stream of the journal that systemd opened for this process: `JOURNAL_STREAM`
/// alone is inherited by children whose standard error has gone elsewhere (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    is_stream(&stream, stat.st_dev, stat.st_ino)
}

fn is_stream(variable: &str, device: u64, inode: u64) -> bool {
    variable.split_once(':').is_some_and(|(a, b)| a.parse() == Ok(device) && b.parse() == Ok(inode))
}

/// The prefix by which the journal knows a line's priority (sd-daemon(3)).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Events for the journal, which adds time and program itself: every line with its priority.
struct Prioritised;

impl<S, N> FormatEvent<S, N> for Prioritised
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        context.field_format().format_fields(Writer::new(&mut text), event)?;
        prioritise(&text, *event.metadata().level(), &mut writer)
    }
}

fn prioritise(text: &str, level: Level, writer: &mut impl fmt::Write) -> fmt::Result {
    text.lines().try_for_each(|line| writeln!(writer, "{}{line}", priority(level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_for_the_journal_has_its_priority() {
        let mut text = String::new();
        prioritise("two\nlines path=\"/x\"", Level::WARN, &mut text).expect("a string takes everything");
        assert_eq!(text, "<4>two\n<4>lines path=\"/x\"\n");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(is_stream("8:12345", 8, 12345));
        for other in ["", "8", "8:", "8:12346", "9:12345", "8:12345:1", "x:y"] {
            assert!(!is_stream(other, 8, 12345), "{other}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_understood_is_named() {
        assert_eq!(filter(" ").expect("empty is the default").to_string(), "info");
        assert_eq!(filter("warn,logtap::watch=debug").expect("a filter").to_string(), "logtap::watch=debug,warn");
        let error = filter("logtap=loud").expect_err("no such level").to_string();
        assert!(error.starts_with("LOGTAP_LOG: `logtap=loud` is no filter ("), "{error}");
    }
}
