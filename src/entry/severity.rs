//! Severity of an entry, and the ranges of it that a request can ask for.

use std::fmt;

/// Severity as far as a record tells, by the numbers of OpenTelemetry's log data model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// The record does not tell.
    #[default]
    Unspecified = 0,
    /// Finest detail.
    Trace = 1,
    /// For finding faults.
    Debug = 5,
    /// Ordinary.
    Info = 9,
    /// Ordinary, worth a look.
    Notice = 10,
    /// Not yet an error.
    Warn = 13,
    /// An error.
    Error = 17,
    /// A critical condition.
    Critical = 18,
    /// Action is needed at once.
    Alert = 19,
    /// The program or the system cannot go on.
    Fatal = 21,
}

impl Severity {
    /// The severity with this number of the protocol.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unspecified,
            1 => Self::Trace,
            5 => Self::Debug,
            9 => Self::Info,
            10 => Self::Notice,
            13 => Self::Warn,
            17 => Self::Error,
            18 => Self::Critical,
            19 => Self::Alert,
            21 => Self::Fatal,
            _ => return None,
        })
    }
}

/// The names that a request may use for a severity, as its error message lists them.
pub const NAMES: &str = "trace verbose, debug 7, info information 6, notice 5, warn warning 4, err error severe 3, \
                         crit critical 2, alert 1, emerg emergency fatal panic 0";

/// The severity that a request means by `name`, in any case.
pub fn by_name(name: &str) -> Option<Severity> {
    Some(match name.to_ascii_lowercase().as_str() {
        "trace" | "verbose" => Severity::Trace,
        "debug" | "7" => Severity::Debug,
        "info" | "information" | "6" => Severity::Info,
        "notice" | "5" => Severity::Notice,
        "warn" | "warning" | "4" => Severity::Warn,
        "err" | "error" | "severe" | "3" => Severity::Error,
        "crit" | "critical" | "2" => Severity::Critical,
        "alert" | "1" => Severity::Alert,
        "emerg" | "emergency" | "fatal" | "panic" | "0" => Severity::Fatal,
        _ => return None,
    })
}

/// The severities that a request selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LevelRange {
    /// Every entry, also one whose severity is unknown.
    #[default]
    Everything,
    /// From the first to the second, both included; an entry of unknown severity is never among them.
    Between(Severity, Severity),
}

impl LevelRange {
    /// Reads the `level` of a request: empty, a name (a minimum), or `low..high`.
    ///
    /// # Errors
    /// Names the part that is no severity, or a range that runs backwards.
    pub fn parse(text: &str) -> Result<Self, LevelError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Everything);
        }
        let named = |name: &str| by_name(name.trim()).ok_or_else(|| LevelError::Unknown(name.trim().to_owned()));
        match text.split_once("..") {
            None => Ok(Self::Between(named(text)?, Severity::Fatal)),
            Some((low, high)) => {
                let (low, high) = (named(low)?, named(high)?);
                if high < low {
                    return Err(LevelError::Backwards(text.to_owned()));
                }
                Ok(Self::Between(low, high))
            }
        }
    }

    /// Whether an entry of this severity is selected.
    pub fn contains(self, severity: Severity) -> bool {
        match self {
            Self::Everything => true,
            Self::Between(low, high) => severity != Severity::Unspecified && low <= severity && severity <= high,
        }
    }
}

/// Why the `level` of a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelError {
    /// No severity has this name.
    Unknown(String),
    /// The range ends below its start.
    Backwards(String),
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no severity is called {name:?}; the names are: {NAMES}; or low..high"),
            Self::Backwards(range) => write!(f, "the range {range:?} ends below its start"),
        }
    }
}

impl std::error::Error for LevelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_minimum_in_any_case() {
        let range = LevelRange::parse(" WarNing ").expect("a name");
        assert_eq!(range, LevelRange::Between(Severity::Warn, Severity::Fatal));
        assert!(range.contains(Severity::Fatal) && range.contains(Severity::Warn) && !range.contains(Severity::Notice));
    }

    #[test]
    fn unknown_severity_matches_only_the_empty_level() {
        assert!(LevelRange::parse("").expect("empty").contains(Severity::Unspecified));
        assert!(!LevelRange::parse("trace").expect("a name").contains(Severity::Unspecified));
    }

    #[test]
    fn a_range_has_both_ends() {
        let range = LevelRange::parse("warn..error").expect("a range");
        assert!(range.contains(Severity::Error) && !range.contains(Severity::Critical));
        assert_eq!(LevelRange::parse("error..warn"), Err(LevelError::Backwards("error..warn".into())));
    }

    #[test]
    fn unknown_names_are_refused_with_the_valid_ones() {
        let error = LevelRange::parse("loud").expect_err("no such name").to_string();
        assert!(error.contains("\"loud\"") && error.contains("emergency"), "{error}");
        assert!(LevelRange::parse("warn..").is_err());
    }
}
