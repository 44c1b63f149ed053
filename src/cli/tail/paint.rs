//! Colours of a terminal.

use std::{env, io::IsTerminal};

use crate::proto::v1::Severity;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// When standard output is a terminal that has them, and NO_COLOR is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl When {
    /// Whether what goes to `stream` is coloured.
    pub fn applies_to(self, stream: &impl IsTerminal) -> bool {
        let unset = |name: &str| env::var_os(name).is_none_or(|value| value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                stream.is_terminal() && unset("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// An escape sequence that begins a colour; [`RESET`] ends it.
pub type Style = &'static str;

/// Ends every style.
pub const RESET: Style = "\x1b[0m";
/// What is less important than the rest.
pub const DIM: Style = "\x1b[2m";
/// What a pattern matched.
pub const MATCH: Style = "\x1b[1;7m";
/// Styles that tell hosts and sources apart.
pub const LABELS: [Style; 10] = [
    "\x1b[36m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[33m", "\x1b[96m", "\x1b[92m", "\x1b[95m", "\x1b[94m",
    "\x1b[93m",
];

/// The name of a severity in five columns, and its colour; none when the record does not tell.
pub fn severity(number: i32) -> Option<(&'static str, Style)> {
    Some(match Severity::try_from(number) {
        Ok(Severity::Trace) => ("TRACE", DIM),
        Ok(Severity::Debug) => ("DEBUG", "\x1b[34m"),
        Ok(Severity::Info) => ("INFO ", "\x1b[32m"),
        Ok(Severity::Notice) => ("NOTE ", "\x1b[36m"),
        Ok(Severity::Warn) => ("WARN ", "\x1b[33m"),
        Ok(Severity::Error) => ("ERROR", "\x1b[31m"),
        Ok(Severity::Critical) => ("CRIT ", "\x1b[1;31m"),
        Ok(Severity::Alert) => ("ALERT", "\x1b[1;31m"),
        Ok(Severity::Fatal) => ("FATAL", "\x1b[1;37;41m"),
        Ok(Severity::Unspecified) | Err(_) => return None,
    })
}
