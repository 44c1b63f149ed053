//! Globs over paths: what matches now, what would match, and which directories have to be watched to notice.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt, fs, io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use crate::glob::{Glob, GlobError, Wildcards};

/// Depth to which `**` descends, so that a loop made of bind mounts ends.
const DEPTH_MAX: usize = 32;
/// Symbolic links that are followed for one path, as the kernel counts them.
const LINKS_MAX: usize = 40;

/// One glob over absolute paths: `*`, `?`, `[…]`, `{…}` within a component, `**` over components.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    steps: Vec<Step>,
    whole: Glob,
}

/// One component of a pattern.
#[derive(Clone, Debug)]
enum Step {
    Literal(PathBuf),
    Matching(Glob),
    AnyDepth,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not begin with a slash.
    Relative(String),
    /// It is no glob; what the glob compiler says.
    Syntax(String, String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(text) => write!(f, "{text:?} is not an absolute path"),
            Self::Syntax(text, why) => write!(f, "{text:?} is no glob: {why}"),
        }
    }
}

impl std::error::Error for PatternError {}

/// What expanding patterns came across.
#[derive(Debug, Default)]
pub struct Expansion {
    /// Paths that match, in order.
    pub paths: BTreeSet<PathBuf>,
    /// Directories in which a change can alter what matches.
    pub dirs: BTreeSet<PathBuf>,
    /// Directories that could not be listed.
    pub errors: Vec<(PathBuf, io::Error)>,
}

impl Pattern {
    /// Compiles a glob over absolute paths.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::Relative(text.to_owned()));
        }
        let mut steps = Vec::new();
        for part in split_components(text) {
            steps.push(match part {
                "**" => Step::AnyDepth,
                part if is_literal(part) => Step::Literal(part.into()),
                part => match compile(part) {
                    Ok(glob) => Step::Matching(glob),
                    Err(PatternError::Syntax(_, why)) => return Err(PatternError::Syntax(text.to_owned(), why)),
                    Err(error @ PatternError::Relative(_)) => return Err(error),
                },
            });
        }
        Ok(Self { text: text.to_owned(), steps, whole: compile(text)? })
    }

    /// The glob as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path` would match if it existed.
    pub fn matches(&self, path: &Path) -> bool {
        self.whole.is_match(path)
    }

    /// Adds what matches now, and the directories in which that can change, to `found`.
    pub fn expand(&self, found: &mut Expansion) {
        descend(Path::new("/"), &self.steps, DEPTH_MAX, found);
    }
}

/// A glob for names, or, with a slash in it, for whole paths: the form of `paths` in requests and `exclude`.
#[derive(Clone, Debug)]
pub struct NameGlob {
    matcher: Glob,
    whole_path: bool,
}

impl NameGlob {
    /// Compiles it.
    ///
    /// # Errors
    /// [`PatternError::Syntax`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Ok(Self { matcher: compile(text)?, whole_path: text.contains('/') })
    }

    /// Whether it matches the path, or its last component when it has no slash.
    pub fn matches(&self, path: &Path) -> bool {
        if self.whole_path {
            self.matcher.is_match(path)
        } else {
            path.file_name().is_some_and(|name| self.matcher.is_match(Path::new(name)))
        }
    }
}

/// The places that a path leads over when it is a symbolic link: each link's target, made absolute.
pub fn hops(path: &Path) -> Vec<PathBuf> {
    let mut hops = Vec::new();
    let mut at = path.to_path_buf();
    while hops.len() < LINKS_MAX {
        let Ok(target) = fs::read_link(&at) else { break };
        at = normalize(&at.parent().unwrap_or(Path::new("/")).join(target));
        hops.push(at.clone());
    }
    hops
}

/// The deepest directory above `path` that exists.
pub fn existing_ancestor(path: &Path) -> PathBuf {
    path.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}

fn compile(text: &str) -> Result<Glob, PatternError> {
    let refuse = |error: GlobError| PatternError::Syntax(text.to_owned(), error.to_string());
    Glob::new(text, Wildcards::NoSlash).map_err(refuse)
}

fn is_literal(part: &str) -> bool {
    !part.contains(['*', '?', '[', '{', '\\'])
}

/// The components of a glob; a slash inside braces belongs to the braces and makes their component any depth deep.
fn split_components(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.is_empty() && *part != ".");
    if parts.iter().any(|part| part.contains('/')) {
        let literal = parts.iter().take_while(|part| is_literal(part)).count();
        parts.truncate(literal);
        // What lies below is walked and compared with the whole glob.
        parts.push("**");
        parts.push("*");
    }
    parts
}

fn descend(dir: &Path, steps: &[Step], depth: usize, found: &mut Expansion) {
    let Some((step, rest)) = steps.split_first() else { return };
    if depth == 0 {
        return;
    }
    match step {
        Step::Literal(name) => {
            let path = dir.join(name);
            if rest.is_empty() {
                watch(dir, found);
                arrive(path, found);
            } else if path.is_dir() {
                descend(&path, rest, depth, found);
            } else {
                watch(dir, found);
            }
        }
        Step::Matching(matcher) => {
            for (name, _) in list(dir, found) {
                if matcher.is_match(Path::new(&name)) {
                    step_into(dir.join(name), rest, depth, found);
                }
            }
        }
        Step::AnyDepth => {
            descend(dir, rest, depth, found);
            for (name, is_dir) in list(dir, found) {
                if is_dir {
                    descend(&dir.join(name), steps, depth - 1, found);
                }
            }
        }
    }
}

fn step_into(path: PathBuf, rest: &[Step], depth: usize, found: &mut Expansion) {
    if rest.is_empty() {
        arrive(path, found);
    } else if path.is_dir() {
        descend(&path, rest, depth, found);
    }
}

fn arrive(path: PathBuf, found: &mut Expansion) {
    if fs::symlink_metadata(&path).is_ok() {
        found.paths.insert(path);
    }
}

fn watch(dir: &Path, found: &mut Expansion) {
    if dir.is_dir() {
        found.dirs.insert(dir.to_path_buf());
    } else {
        found.dirs.insert(existing_ancestor(dir));
    }
}

/// The names in a directory, and whether each is itself a directory (a link to one is none, so that no walk loops).
fn list(dir: &Path, found: &mut Expansion) -> Vec<(std::ffi::OsString, bool)> {
    watch(dir, found);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            found.errors.push((dir.to_path_buf(), error));
            return Vec::new();
        }
    };
    let named = |entry: fs::DirEntry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        (entry.file_name(), is_dir)
    };
    entries.flatten().map(named).collect()
}

/// Removes `.` and `..` from an absolute path by name alone.
fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// The bytes of a path.
pub fn bytes(path: &Path) -> &[u8] {
    OsStr::as_bytes(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for file in ["a.log", "b.log", "b.txt", "x/c.log", "x/y/d.log", "z/c.log"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("directories");
            fs::write(path, "").expect("a file");
        }
        dir
    }

    #[track_caller]
    fn check(pattern: &str, expected: &[&str], watched: &[&str]) {
        let dir = tree();
        let root = dir.path().to_str().expect("UTF-8");
        let mut found = Expansion::default();
        Pattern::new(&format!("{root}/{pattern}")).expect("a glob").expand(&mut found);
        let inside = |path: &PathBuf| path.strip_prefix(root).map_or("above".into(), |path| path.display().to_string());
        let pattern = Pattern::new(&format!("{root}/{pattern}")).expect("a glob");
        assert!(found.paths.iter().all(|path| pattern.matches(path)));
        assert_eq!(found.paths.iter().map(inside).collect::<Vec<_>>(), expected);
        assert_eq!(found.dirs.iter().map(inside).collect::<Vec<_>>(), watched);
    }

    #[test]
    fn patterns_expand_and_name_what_to_watch() {
        check("a.log", &["a.log"], &[""]);
        check("*.log", &["a.log", "b.log"], &[""]);
        check("*/c.log", &["x/c.log", "z/c.log"], &["", "x", "z"]);
        check("**/*.log", &["a.log", "b.log", "x/c.log", "x/y/d.log", "z/c.log"], &["", "x", "x/y", "z"]);
        check("{x,z}/*.log", &["x/c.log", "z/c.log"], &["", "x", "z"]);
        check("missing/*.log", &[], &[""]);
        check("missing.log", &[], &[""]);
        check("[ab].{log,txt}", &["a.log", "b.log", "b.txt"], &[""]);
    }

    #[test]
    fn a_name_glob_with_a_slash_wants_the_whole_path() {
        let path = Path::new("/var/log/nginx/access.log");
        for (glob, expected) in [("*.log", true), ("nginx/*.log", false), ("/var/**/*.log", true), ("access", false)] {
            assert_eq!(NameGlob::new(glob).expect("a glob").matches(path), expected, "{glob}");
        }
    }

    #[test]
    fn every_hop_of_a_link_is_named() {
        let dir = tree();
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink("../a.log", at("x/one")).expect("a link");
        std::os::unix::fs::symlink("x/one", at("two")).expect("a link");
        assert_eq!(hops(&at("two")), [at("x/one"), at("a.log")]);
        assert_eq!(hops(&at("a.log")), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_text() {
        assert_eq!(Pattern::new("a.log").expect_err("relative"), PatternError::Relative("a.log".into()));
        assert!(Pattern::new("/a[").expect_err("no glob").to_string().contains("/a["));
    }
}
