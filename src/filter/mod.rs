//! Which records a subscription wants: a predicate, compiled once and shared by all who ask for the same.
//!
//! Pure: it sees the bytes of a record and what parsing says of them, and neither files nor clocks.

mod fingers;
mod levels;
mod prefilter;

use std::{collections::BTreeMap, fmt};

use regex::bytes::{Regex, RegexBuilder, RegexSetBuilder};

pub use prefilter::Prefilter;

use crate::{
    entry::{LevelRange, Severity, severity::LevelError},
    limits::{PATTERN_BYTES_MAX, PATTERN_COUNT_MAX, PATTERNS_COMPILED_BYTES_MAX},
    parse::Rules,
};

/// What a request says about the records that it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Minimum severity by name, or a range of names.
    pub level: String,
    /// Patterns that must all match.
    pub include: Vec<String>,
    /// Patterns of which none may match.
    pub exclude: Vec<String>,
    /// Parsed fields and labels that must be equal.
    pub fields: BTreeMap<String, String>,
}

/// A compiled predicate over records.
#[derive(Clone, Debug)]
pub struct Filter {
    key: String,
    level: LevelRange,
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    fields: Vec<(String, String)>,
    /// A pattern, as it is searched for in many records.
    pattern: Option<Prefilter>,
    /// What is searched for where there is no such pattern, and severities are spelled as they usually are.
    severity: Option<Prefilter>,
}

/// Why a filter was refused; names the field of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// `level` is no severity.
    Level(LevelError),
    /// A pattern does not compile, or is too long or too large: field with index, and why.
    Pattern(String, String),
    /// There are too many patterns, or they are too large together.
    Patterns(String),
}

impl FilterError {
    /// The field of the request that is at fault, by its proto name.
    pub fn field(&self) -> &str {
        match self {
            Self::Level(_) => "level",
            Self::Pattern(field, _) => field,
            Self::Patterns(_) => "include",
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(error) => write!(f, "level: {error}"),
            Self::Pattern(field, why) => write!(f, "{field}: {why}"),
            Self::Patterns(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Compiles what a request says.
    ///
    /// # Errors
    /// [`FilterError`] names the field and says why.
    pub fn new(spec: &Spec) -> Result<Self, FilterError> {
        let level = LevelRange::parse(&spec.level).map_err(FilterError::Level)?;
        let count = spec.include.len() + spec.exclude.len();
        if count > PATTERN_COUNT_MAX {
            return Err(FilterError::Patterns(format!(
                "{count} patterns are more than the {PATTERN_COUNT_MAX} allowed"
            )));
        }
        let include = compile_all("include", &spec.include)?;
        let exclude = compile_all("exclude", &spec.exclude)?;
        // A set of all of them measures what they take together.
        let all = spec.include.iter().chain(&spec.exclude);
        if RegexSetBuilder::new(all).size_limit(PATTERNS_COMPILED_BYTES_MAX).build().is_err() {
            let why = format!("the patterns compile to more than {PATTERNS_COMPILED_BYTES_MAX} bytes together");
            return Err(FilterError::Patterns(why));
        }
        let fields: Vec<_> = spec.fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let key = format!("{level:?} {:?} {:?} {fields:?}", spec.include, spec.exclude);
        let pattern = Prefilter::of(&spec.include);
        let is_severe = matches!(level, LevelRange::Between(low, _) if low >= Severity::Error);
        let severity = is_severe.then_some(Prefilter::Errors);
        Ok(Self { key, level, include, exclude, fields, pattern, severity })
    }

    /// A text that is equal for filters that select the same.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it selects every record.
    pub fn is_everything(&self) -> bool {
        self.level == LevelRange::Everything
            && self.include.is_empty()
            && self.exclude.is_empty()
            && self.fields.is_empty()
    }

    /// What to search for in many records at once that are read by `rules`: those in which it is not found are not
    /// selected.
    pub fn prefilter(&self, rules: &Rules) -> Option<&Prefilter> {
        self.pattern.as_ref().or(self.severity.as_ref().filter(|_| rules.spells_levels()))
    }

    /// Whether a record is selected if the prefilter's match lies in it, whatever else it holds.
    pub fn is_decided_by_prefilter(&self) -> bool {
        let alone = self.include.len() == 1 && self.exclude.is_empty() && self.fields.is_empty();
        alone
            && self.level == LevelRange::Everything
            && self.pattern.as_ref().is_some_and(|prefilter| !prefilter.has_looks())
    }

    /// Whether a record with these bytes and of this severity is selected, but for [`fields`](Self::wanted_fields). Its
    /// severity is only asked for where it decides.
    pub fn matches(&self, record: &[u8], severity: impl FnOnce() -> Severity) -> bool {
        self.include.iter().all(|pattern| pattern.is_match(record))
            && !self.exclude.iter().any(|pattern| pattern.is_match(record))
            && (self.level == LevelRange::Everything || self.level.contains(severity()))
    }

    /// Fields that a record must have besides.
    pub fn wanted_fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// Whether `fields` has all that are wanted; of a key that comes twice the first counts.
    pub fn matches_fields(&self, fields: &[(String, String)]) -> bool {
        self.fields
            .iter()
            .all(|(key, value)| fields.iter().find(|(name, _)| name == key).is_some_and(|(_, found)| found == value))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(&Spec::default()).expect("nothing asked for is nothing wrong")
    }
}

fn compile_all(field: &str, patterns: &[String]) -> Result<Vec<Regex>, FilterError> {
    let compiled = patterns.iter().enumerate().map(|(index, pattern)| {
        let refuse = |why: String| FilterError::Pattern(format!("{field}[{index}]"), why);
        if pattern.len() > PATTERN_BYTES_MAX {
            let len = pattern.len();
            return Err(refuse(format!("a pattern of {len} bytes is longer than the {PATTERN_BYTES_MAX} allowed")));
        }
        let built = RegexBuilder::new(pattern)
            .size_limit(PATTERNS_COMPILED_BYTES_MAX)
            .dfa_size_limit(PATTERNS_COMPILED_BYTES_MAX)
            .build();
        built.map_err(|error| refuse(error.to_string()))
    });
    compiled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(level: &str, include: &[&str], exclude: &[&str]) -> Result<Filter, FilterError> {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (include, exclude) = (owned(include), owned(exclude));
        Filter::new(&Spec { level: level.into(), include, exclude, fields: BTreeMap::new() })
    }

    #[test]
    fn all_includes_and_no_exclude_must_match() {
        let filter = filter("warn", &["disk", "(?i)FULL$"], &["sda[1-3]"]).expect("valid");
        assert!(filter.matches(b"disk sda4 full", || Severity::Error));
        assert!(!filter.matches(b"disk sda4 full", || Severity::Info));
        assert!(!filter.matches(b"disk sda4 half", || Severity::Error));
        assert!(!filter.matches(b"disk sda2 full", || Severity::Error));
    }

    #[test]
    fn patterns_see_bytes_that_are_no_text() {
        let filter = filter("", &["a.*b"], &[]).expect("valid");
        assert!(
            filter.matches(b"a\xc3\xa9b", || Severity::Unspecified)
                && !filter.matches(&b"ab"[..1], || Severity::Unspecified)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(filter("loud", &[], &[]).expect_err("no level").field(), "level");
        assert_eq!(filter("", &["ok", "("], &[]).expect_err("no pattern").field(), "include[1]");
        assert_eq!(filter("", &[], &[&"x".repeat(PATTERN_BYTES_MAX + 1)]).expect_err("long").field(), "exclude[0]");
        assert_eq!(filter("", &[r"(?:\w{50}){200}"], &[]).expect_err("large").field(), "include[0]");
        assert!(matches!(filter("", &["x"; PATTERN_COUNT_MAX + 1], &[]), Err(FilterError::Patterns(_))));
        assert!(filter("", &["x"; PATTERN_COUNT_MAX], &[]).is_ok());
        let half = [r"[a-z]{3000}"; 32];
        assert!(matches!(filter("", &half, &[]), Err(FilterError::Patterns(_))), "too large only together");
    }

    #[test]
    fn fields_must_be_there_and_equal() {
        let fields = BTreeMap::from([("host".to_owned(), "a".to_owned())]);
        let filter = Filter::new(&Spec { fields, ..Spec::default() }).expect("valid");
        let has = |pairs: &[(&str, &str)]| {
            filter.matches_fields(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>())
        };
        assert!(has(&[("x", "1"), ("host", "a"), ("host", "b")]));
        assert!(!has(&[("host", "b"), ("host", "a")]) && !has(&[("x", "1")]));
    }
}
