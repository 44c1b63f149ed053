//! The files that the sources match now, found once and without following any of them.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::{
    config::Source,
    glob::{Glob, Wildcards},
    watch::pattern::NameGlob,
};

/// Directory entries that one glob may lead through: enough for every log directory, and an end to `/**`.
const ENTRIES_MAX: usize = 1_000_000;

/// What a source matches.
pub(super) struct Found<'s> {
    source: &'s Source,
    files: Vec<(PathBuf, Matched<'s>)>,
    /// Globs that match nothing yet, and directories that could not be searched.
    notes: Vec<String>,
}

/// What is behind a path that a source matches.
enum Matched<'s> {
    /// A readable file of this many bytes.
    Readable(u64),
    /// Not readable by this user.
    Unreadable(io::Error),
    /// Not a file at all.
    Other(&'static str),
    /// It belongs to an earlier source.
    Taken(&'s str),
}

/// Looks for the files of each source; a file belongs to the first source that matches it.
pub(super) fn find(sources: &[Source]) -> Vec<Found<'_>> {
    let mut owners: BTreeMap<PathBuf, &str> = BTreeMap::new();
    sources.iter().map(|source| find_of(source, &mut owners)).collect()
}

fn find_of<'s>(source: &'s Source, owners: &mut BTreeMap<PathBuf, &'s str>) -> Found<'s> {
    let excluded: Vec<_> = source.exclude.iter().filter_map(|glob| NameGlob::new(glob).ok()).collect();
    let mut found = Found { source, files: Vec::new(), notes: Vec::new() };
    let mut paths: Vec<PathBuf> = Vec::new();
    for glob in &source.paths {
        let before = paths.len();
        search(glob, &mut paths, &mut found.notes);
        if paths.len() == before {
            found.notes.push(format!("{glob} matches nothing now"));
        }
    }
    paths.sort();
    paths.dedup();
    paths.retain(|path| !excluded.iter().any(|glob| glob.matches(path)));
    for path in paths {
        let matched = match owners.get(&path) {
            Some(owner) => Matched::Taken(owner),
            None => {
                owners.insert(path.clone(), &source.name);
                look(&path)
            }
        };
        found.files.push((path, matched));
    }
    found
}

/// Adds the paths that a glob matches.
fn search(glob: &str, paths: &mut Vec<PathBuf>, notes: &mut Vec<String>) {
    // A configuration has no other globs.
    let Ok(matcher) = Glob::new(glob, Wildcards::NoSlash) else { return };
    let is_literal = |component: &&str| !component.contains(['*', '?', '[', '{', '\\']);
    let literal: Vec<&str> = glob.split('/').skip(1).take_while(is_literal).collect();
    let total = glob.split('/').count() - 1;
    let base = Path::new("/").join(literal.join("/"));
    let depth = if glob.contains("**") { usize::MAX } else { total - literal.len() };
    let mut entries = 0;
    for entry in WalkDir::new(base).follow_links(true).max_depth(depth).sort_by_file_name() {
        entries += 1;
        if entries > ENTRIES_MAX {
            notes
                .push(format!("{glob} leads through more than {ENTRIES_MAX} directory entries; the rest is not shown"));
            return;
        }
        match entry {
            // Directories that a wildcard happens to match are no mistake; one that is named in full is.
            Ok(entry) if entry.file_type().is_dir() && literal.len() < total => {}
            Ok(entry) if matcher.is_match(entry.path()) => paths.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => match (error.path(), error.io_error()) {
                // A dangling link that the glob names is worth telling; what is gone or goes in circles is not.
                (Some(path), Some(reason)) if reason.kind() == io::ErrorKind::NotFound => {
                    if path.is_symlink() && matcher.is_match(path) {
                        paths.push(path.to_owned());
                    }
                }
                (Some(path), Some(reason)) => notes.push(format!("{}: {reason}", path.display())),
                (None, _) | (_, None) => {}
            },
        }
    }
}

fn look<'s>(path: &Path) -> Matched<'s> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Matched::Other("a link to nothing"),
        Err(error) => return Matched::Unreadable(error),
    };
    if metadata.is_dir() {
        return Matched::Other("a directory");
    }
    if !metadata.is_file() {
        return Matched::Other("not a regular file");
    }
    match File::open(path) {
        Ok(_) => Matched::Readable(metadata.len()),
        Err(error) => Matched::Unreadable(error),
    }
}

/// What an administrator should look at.
pub(super) fn warnings(found: &[Found<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    for Found { source, files, notes } in found {
        warnings.extend(notes.iter().map(|note| format!("source {}: {note}", source.name)));
        for (path, matched) in files {
            let path = path.display();
            warnings.push(match matched {
                Matched::Readable(_) => continue,
                Matched::Unreadable(error) => format!("source {}: {path} cannot be read: {error}", source.name),
                Matched::Other(what) => format!("source {}: {path} is {what}", source.name),
                Matched::Taken(owner) => {
                    format!("{path} is matched by sources {owner} and {}; it belongs to {owner}", source.name)
                }
            });
        }
    }
    warnings
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source.name)?;
        for (path, matched) in &self.files {
            write!(f, "\n#   {} ", path.display())?;
            match matched {
                Matched::Readable(bytes) => write!(f, "({bytes} bytes)")?,
                Matched::Unreadable(error) => write!(f, "(cannot be read: {error})")?,
                Matched::Other(what) => write!(f, "({what})")?,
                Matched::Taken(owner) => write!(f, "(belongs to {owner})")?,
            }
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n#   {note}"))
    }
}
