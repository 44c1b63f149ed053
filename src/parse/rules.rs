//! What a source's configuration says about its records, compiled once.

use std::{fmt, ops::Range};

use regex::bytes::{Regex, RegexBuilder};

use super::{
    container,
    time::{Zone, ZoneError},
};
use crate::{entry::Nanos, limits};

/// What a configuration says about the records of a source, as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesSpec {
    /// How a line is laid out.
    pub format: Format,
    /// For [`Format::Regex`]: a pattern with the named groups `time`, `level` and `message`, all of them optional;
    /// every other named group becomes a field.
    pub pattern: Option<String>,
    /// The zone of times that name none: `local`, `UTC`, an offset, or a name of the time zone database.
    pub timezone: String,
    /// Which lines belong together.
    pub multiline: Multiline,
    /// Fields that every record has, whatever it says itself.
    pub labels: Vec<(String, String)>,
}

impl Default for RulesSpec {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            pattern: None,
            timezone: "local".to_owned(),
            multiline: Multiline::Off,
            labels: Vec::new(),
        }
    }
}

/// How a line is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Whatever it looks like, each line by itself.
    #[default]
    Auto,
    /// Not looked at: no severity, no time, no fields.
    Raw,
    /// One JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 3164 or RFC 5424, with or without `<PRI>`.
    Syslog,
    /// Kubernetes' container log, `TIME stdout|stderr F|P MESSAGE`.
    Cri,
    /// Docker's json-file, `{"log":…,"stream":…,"time":…}`.
    Docker,
    /// klog and glog, `I1120 10:00:00.000000 1 file.go:1] message`.
    Klog,
    /// Common and combined access logs.
    Clf,
    /// The configured pattern.
    Regex,
}

impl Format {
    /// Every format, by the name that a configuration uses.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("auto", Self::Auto),
        ("raw", Self::Raw),
        ("json", Self::Json),
        ("logfmt", Self::Logfmt),
        ("syslog", Self::Syslog),
        ("cri", Self::Cri),
        ("docker", Self::Docker),
        ("klog", Self::Klog),
        ("clf", Self::Clf),
        ("regex", Self::Regex),
    ];

    /// The format with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, format)| format)
    }

    /// The name that a configuration uses.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|&&(_, format)| format == self).map_or("auto", |&(name, _)| name)
    }
}

/// Which lines belong together to one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Multiline {
    /// Every line is a record.
    #[default]
    Off,
    /// A line that matches this pattern begins a record.
    Start(String),
    /// A line that begins with a space or a tab, or is empty, continues the record before it.
    Indent,
}

/// How the records of a source are to be read: its configuration, compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) format: Format,
    /// Present exactly with [`Format::Regex`].
    pub(super) pattern: Option<Regex>,
    pub(super) zone: Zone,
    pub(super) starts: Starts,
    pub(super) labels: Vec<(String, String)>,
}

/// [`Multiline`], compiled.
#[derive(Clone, Debug)]
pub(super) enum Starts {
    EveryLine,
    Matching(Regex),
    Unindented,
}

impl Default for Rules {
    /// `auto`, in the host's zone, every line a record.
    fn default() -> Self {
        Self { format: Format::Auto, pattern: None, zone: Zone::local(), starts: Starts::EveryLine, labels: Vec::new() }
    }
}

impl Rules {
    /// Compiles what a configuration says.
    ///
    /// # Errors
    /// Names what cannot be: a bad or oversized pattern, `regex` without one, one without `regex`, an unknown zone.
    pub fn new(spec: &RulesSpec) -> Result<Self, RulesError> {
        let pattern = match (spec.format, &spec.pattern) {
            (Format::Regex, Some(pattern)) => {
                Some(compile(pattern).map_err(|problem| RulesError::Pattern { key: "pattern", problem })?)
            }
            (Format::Regex, None) => return Err(RulesError::PatternMissing),
            (_, Some(_)) => return Err(RulesError::PatternUnused(spec.format)),
            (_, None) => None,
        };
        let starts = match &spec.multiline {
            Multiline::Off => Starts::EveryLine,
            Multiline::Indent => Starts::Unindented,
            Multiline::Start(pattern) => Starts::Matching(
                compile(pattern).map_err(|problem| RulesError::Pattern { key: "multiline.start", problem })?,
            ),
        };
        let zone = Zone::named(&spec.timezone).map_err(RulesError::Zone)?;
        Ok(Self { format: spec.format, pattern, zone, starts, labels: spec.labels.clone() })
    }

    /// The stretch of moments with `moment` in it that times without a zone may show twice: what they show the second time
    /// is read as the first.
    pub fn fold_with(&self, moment: Nanos) -> Option<Range<Nanos>> {
        const SECOND: i64 = 1_000_000_000;
        let fold = self.zone.fold_with(moment.0.div_euclid(SECOND))?;
        Some(Nanos(fold.start.saturating_mul(SECOND))..Nanos(fold.end.saturating_mul(SECOND)))
    }

    /// Whether severities are spelled in the ways that are known here, and not in those of a configured pattern.
    pub fn spells_levels(&self) -> bool {
        self.format != Format::Regex
    }

    /// Whether several lines may be one record by `multiline`; else every line starts one.
    pub fn joins_lines(&self) -> bool {
        !matches!(self.starts, Starts::EveryLine)
    }

    /// Whether `line` (without its terminator) begins a record. The line alone decides.
    pub fn starts_record(&self, line: &[u8]) -> bool {
        match &self.starts {
            Starts::EveryLine => true,
            Starts::Matching(pattern) => pattern.is_match(line),
            Starts::Unindented => !matches!(line, [] | [b' ' | b'\t' | b'\r', ..]),
        }
    }

    /// Whether a container's runtime may have split lines, so that [`Rules::continues`] is worth asking.
    pub fn joins_parts(&self) -> bool {
        matches!(self.format, Format::Auto | Format::Cri | Format::Docker)
    }

    /// Whether a record that ends with `line` may go on with the lines that follow.
    pub fn may_go_on(&self, line: &[u8]) -> bool {
        self.joins_lines() || self.leaves_unfinished(line)
    }

    /// Whether a container's runtime split a line after `line`.
    pub fn leaves_unfinished(&self, line: &[u8]) -> bool {
        self.joins_parts() && container::is_partial(line)
    }

    /// Whether `line` begins a record: by `multiline`, and as no part of what `before`, the line just before it in the
    /// file, left unfinished.
    pub fn begins(&self, before: Option<&[u8]>, line: &[u8]) -> bool {
        self.starts_record(line) && !before.is_some_and(|before| self.continues(before, line))
    }

    /// Whether `line` goes on with what `before`, the line just before it in the file, left unfinished: CRI's and
    /// Docker's partial lines of one stream. The two lines alone decide.
    pub fn continues(&self, before: &[u8], line: &[u8]) -> bool {
        self.joins_parts() && container::continues(before, line)
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > limits::PATTERN_BYTES_MAX {
        return Err(format!("it has {} bytes, of which {} are allowed", pattern.len(), limits::PATTERN_BYTES_MAX));
    }
    RegexBuilder::new(pattern)
        .size_limit(limits::PATTERNS_COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| error.to_string())
}

/// Why a source's rules cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesError {
    /// A pattern is no regular expression, or too large a one.
    Pattern {
        /// The configuration's key that holds it.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// `format = "regex"` without a pattern.
    PatternMissing,
    /// A pattern, but a format that does not use it.
    PatternUnused(Format),
    /// The zone is unknown.
    Zone(ZoneError),
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern { key, problem } => write!(f, "`{key}` is no usable regular expression: {problem}"),
            Self::PatternMissing => write!(f, "`format = \"regex\"` needs a `pattern`"),
            Self::PatternUnused(format) => {
                write!(f, "`pattern` is for `format = \"regex\"`, but the format is \"{}\"", format.name())
            }
            Self::Zone(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for RulesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_rule_is_refused_by_name() {
        let auto = RulesSpec::default();
        let wrong = [
            (RulesSpec { format: Format::Regex, ..auto.clone() }, "needs a `pattern`"),
            (RulesSpec { pattern: Some("x".into()), ..auto.clone() }, "\"auto\""),
            (RulesSpec { format: Format::Regex, pattern: Some("(".into()), ..auto.clone() }, "`pattern`"),
            (RulesSpec { multiline: Multiline::Start("[".into()), ..auto.clone() }, "`multiline.start`"),
            (RulesSpec { multiline: Multiline::Start("x{9999}{9999}".into()), ..auto.clone() }, "`multiline.start`"),
            (RulesSpec { multiline: Multiline::Start("x".repeat(5000)), ..auto.clone() }, "5000 bytes"),
            (RulesSpec { timezone: "Mars".into(), ..auto.clone() }, "\"Mars\""),
        ];
        for (spec, expected) in wrong {
            let error = Rules::new(&spec).expect_err("wrong").to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Rules::new(&auto).is_ok());
    }

    #[test]
    fn a_line_alone_decides_whether_it_starts_a_record() {
        let indent = Rules::new(&RulesSpec { multiline: Multiline::Indent, ..RulesSpec::default() }).expect("good");
        let start = RulesSpec { multiline: Multiline::Start(r"^\d{4}-".into()), ..RulesSpec::default() };
        let start = Rules::new(&start).expect("good");
        let lines: [(&[u8], bool, bool); 6] = [
            (b"2026-11-20 x", true, true),
            (b"\tat Main.java:1", false, false),
            (b" 2026-", false, false),
            (b"", false, false),
            (b"\r", false, false),
            (b"Caused by: x", true, false),
        ];
        for (line, by_indent, by_start) in lines {
            assert_eq!(indent.starts_record(line), by_indent, "{line:?}");
            assert_eq!(start.starts_record(line), by_start, "{line:?}");
            assert!(Rules::default().starts_record(line));
        }
    }

    #[test]
    fn format_names_are_read_back() {
        for (name, format) in Format::NAMES {
            assert_eq!((Format::by_name(name), format.name()), (Some(format), name));
        }
        assert_eq!(Format::by_name("xml"), None);
    }
}
