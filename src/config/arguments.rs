//! Sources out of the paths that `serve` is given, without any file.

use std::path::Path;

use super::{
    Source, SourceName,
    problems::{Complaint, Place, Problems},
    values,
};
use crate::limits::SOURCE_NAME_BYTES_MAX;

/// The name of a source whose files lie in the root directory.
const ROOT_NAME: &str = "root";

/// Makes sources of paths and globs, relative ones below `directory`; those that come to one name are one source.
pub(super) fn sources(paths: &[String], directory: &Path, problems: &mut Problems) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for path in paths {
        let (name, glob) = match source_of(path, directory) {
            Ok(source) => source,
            Err(complaint) => {
                problems.push(Place::Given(path.clone()), complaint);
                continue;
            }
        };
        match sources.iter_mut().find(|source| source.name == name) {
            None => sources.push(Source::of_paths(name, vec![glob])),
            Some(source) if source.paths.contains(&glob) => {}
            Some(source) => source.paths.push(glob),
        }
    }
    sources
}

/// The name and the absolute glob that an argument means: an existing file is meant literally, whatever characters are
/// in its name.
fn source_of(argument: &str, directory: &Path) -> Result<(SourceName, String), Complaint> {
    let wild = values::has_wildcards(argument) && !directory.join(argument).exists();
    if wild {
        let glob = values::path_glob(argument, directory)?;
        // The nearest directory that has a name of its own.
        let component =
            glob.rsplit('/').skip(1).find(|component| !component.is_empty() && !values::has_wildcards(component));
        return Ok((name_of(component.unwrap_or_default()), glob));
    }
    let glob = values::path_glob(&globset::escape(argument), directory)?;
    let path = values::absolute(argument, directory);
    let component = path.rsplit('/').next().unwrap_or_default();
    let stem = component.strip_suffix(".log").filter(|stem| !stem.is_empty()).unwrap_or(component);
    Ok((name_of(stem), glob))
}

fn name_of(component: &str) -> SourceName {
    let component = if component.is_empty() { ROOT_NAME } else { component };
    let allowed = |c: char| if values::is_name_char(c) { c } else { '-' };
    SourceName(component.chars().map(allowed).take(SOURCE_NAME_BYTES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glob::{Glob, Wildcards};

    #[test]
    fn a_source_is_named_by_its_path() {
        let table = [
            ("/var/log/app.log", "app"),
            ("app.log", "app"),
            ("./a b+ü.log", "a-b--"),
            ("/var/log/syslog", "syslog"),
            ("/var/log/app.log.1", "app.log.1"),
            ("/x/.log", ".log"),
            ("/var/log/nginx/*.log", "nginx"),
            ("/var/log/**/*.log", "log"),
            ("/srv/*/logs/app.log", "logs"),
            ("/srv/[ab]/*.log", "srv"),
            ("/*.log", "root"),
            ("*.log", "here"),
            ("/", "root"),
        ];
        for (argument, name) in table {
            let (found, glob) = source_of(argument, Path::new("/nowhere/here")).expect(argument);
            assert_eq!(&*found, name, "{argument}");
            assert!(glob.starts_with('/'), "{glob}");
        }
    }

    #[test]
    fn arguments_of_one_name_are_one_source() {
        let mut problems = Problems::default();
        let given = ["/a/x.log", "/var/log/nginx/*.log", "/b/x.log", "/a//x.log"].map(str::to_owned);
        let found = sources(&given, Path::new("/"), &mut problems);
        let found: Vec<_> = found.iter().map(|source| (&*source.name, source.paths.clone())).collect();
        let expected = [
            ("x", vec!["/a/x.log".to_owned(), "/b/x.log".to_owned()]),
            ("nginx", vec!["/var/log/nginx/*.log".to_owned()]),
        ];
        assert_eq!(found, expected);
        assert!(problems.is_empty());
    }

    #[test]
    fn an_existing_file_is_meant_literally() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a[1].log"), "").expect("a file");
        let (name, glob) = source_of("a[1].log", directory.path()).expect("a path");
        assert_eq!(&*name, "a-1-");
        let glob = Glob::new(&glob, Wildcards::NoSlash).expect("a glob");
        assert!(glob.is_match(directory.path().join("a[1].log")) && !glob.is_match(directory.path().join("a1.log")));
    }
}
