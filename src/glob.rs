//! Globs, out of requests, configurations and the tokens file: compiled within bounds, or refused.
//!
//! What a glob becomes is a regular expression. The library that makes it takes groups within groups to any depth, by
//! recursion, and panics where the expression does not compile; here a stranger writes the glob, so both are ruled out.

use std::{error::Error, fmt, os::unix::ffi::OsStrExt as _, path::Path};

use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};

use crate::limits::{GLOB_BYTES_MAX, GLOB_GROUPS_MAX, PATTERNS_COMPILED_BYTES_MAX};

/// What `*` and `?` stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// Anything, as in names.
    Anything,
    /// Anything but a slash, as in paths; `**` crosses slashes.
    NoSlash,
}

/// A glob that is ready to be asked.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobError(String);

impl Glob {
    /// Compiles a glob: `*`, `?`, `[…]`, `{…,…}`, and `**` for any directories; a backslash takes one literally.
    ///
    /// # Errors
    /// Says what is wrong with it, without quoting it.
    pub fn new(text: &str, wildcards: Wildcards) -> Result<Self, GlobError> {
        let (len, groups) = (text.len(), text.bytes().filter(|byte| *byte == b'{').count());
        if len > GLOB_BYTES_MAX {
            return Err(GlobError(format!("{len} bytes are more than the {GLOB_BYTES_MAX} allowed")));
        }
        // Those that are escaped count as well: a bound on the depth would have to know which are.
        if groups > GLOB_GROUPS_MAX {
            return Err(GlobError(format!("{groups} braces are more than the {GLOB_GROUPS_MAX} allowed")));
        }
        let glob = GlobBuilder::new(text).literal_separator(wildcards == Wildcards::NoSlash).build();
        let glob = glob.map_err(|error| GlobError(error.kind().to_string()))?;
        let regex = RegexBuilder::new(glob.regex())
            .dot_matches_new_line(true)
            .size_limit(PATTERNS_COMPILED_BYTES_MAX)
            .dfa_size_limit(PATTERNS_COMPILED_BYTES_MAX)
            .build();
        regex.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => GlobError(format!("it takes more than {limit} bytes when compiled")),
            // The message draws the whole expression, which nobody wrote; its last line says what is wrong.
            other => {
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                GlobError(reason.to_owned())
            }
        })
    }

    /// Whether it matches the whole of a name or path.
    pub fn is_match(&self, path: impl AsRef<Path>) -> bool {
        self.0.is_match(path.as_ref().as_os_str().as_bytes())
    }
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for GlobError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Glob::new(text, Wildcards::Anything).expect_err("refused").to_string()
    }

    #[test]
    fn slashes_are_crossed_where_they_mean_nothing() {
        for (text, wildcards, expected) in [
            ("a*", Wildcards::Anything, true),
            ("a*", Wildcards::NoSlash, false),
            ("a/?", Wildcards::NoSlash, true),
            ("a?b", Wildcards::NoSlash, false),
            ("**/b", Wildcards::NoSlash, true),
            ("{x,a}/[a-c]", Wildcards::NoSlash, true),
            (r"\a/b", Wildcards::NoSlash, true),
            ("a", Wildcards::Anything, false),
        ] {
            assert_eq!(Glob::new(text, wildcards).expect("a glob").is_match("a/b"), expected, "{text}");
        }
    }

    #[test]
    fn groups_within_groups_are_bounded_whatever_hides_them() {
        let nested = |groups: usize, open: &str| open.repeat(groups) + "a" + &"}".repeat(groups);
        Glob::new(&nested(GLOB_GROUPS_MAX, "{"), Wildcards::NoSlash).expect("the limit is allowed");
        for open in ["{", r"{\}", "{[}]"] {
            assert!(refused(&nested(GLOB_GROUPS_MAX + 1, open)).contains("braces"), "{open}");
        }
    }

    #[test]
    fn what_does_not_compile_within_the_bounds_is_refused() {
        assert!(refused(&"a".repeat(GLOB_BYTES_MAX + 1)).contains("allowed"));
        assert_eq!(refused("a["), "unclosed character class; missing ']'");
        for part in ["*", "?", "[a-z]", "[!é-ü]", "{a,b}", "**/", "é"] {
            let count = (GLOB_BYTES_MAX / part.len()).min(GLOB_GROUPS_MAX);
            let (short, long) = (part.repeat(count), part.repeat(GLOB_BYTES_MAX / part.len()));
            let _ = Glob::new(&short, Wildcards::NoSlash).expect("not too many");
            if let Err(error) = Glob::new(&long, Wildcards::NoSlash) {
                assert!(!error.to_string().contains(&short), "{error} quotes it");
            }
        }
    }
}
