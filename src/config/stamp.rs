//! What tells that the files of a configuration have changed, without reading them.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::load::Inputs;

/// The files of a configuration as they lie there; equal as long as nobody touched one.
///
/// The time at which an inode changed is part of it, which nobody can set back: a file that is replaced by another of
/// the same size and time is noticed. Links are followed, so that one that is pointed elsewhere is noticed as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, Option<Look>)>);

/// Device, inode, size, and when content and inode changed.
type Look = (u64, u64, u64, (i64, i64), (i64, i64));

impl Inputs {
    /// How the files lie there now; what cannot be looked at is not there.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let files = self.watched().into_iter();
        Stamp(files.map(|path| (look(&path).ok(), path)).map(|(look, path)| (path, look)).collect())
    }
}

fn look(path: &Path) -> io::Result<Look> {
    let meta = fs::metadata(path)?;
    let changed = (meta.mtime(), meta.mtime_nsec());
    Ok((meta.dev(), meta.ino(), meta.size(), changed, (meta.ctime(), meta.ctime_nsec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_a_file_changes_the_stamp() {
        let directory = tempfile::tempdir().expect("a directory");
        let inputs = Inputs { directory: directory.path().to_owned(), ..Inputs::default() };
        let file = |name: &str| directory.path().join(name);
        let mut seen = vec![inputs.stamp()];
        let mut differs = |what: &str| {
            let now = inputs.stamp();
            assert_eq!(now, inputs.stamp(), "{what}: nothing changed between two looks");
            assert!(!seen.contains(&now), "{what} is not noticed");
            seen.push(now);
        };
        fs::write(file("logtap.toml"), "a").expect("it is written");
        differs("a new file");
        fs::create_dir(file("conf.d")).expect("a directory");
        fs::write(file("conf.d/a.toml"), "a").expect("it is written");
        differs("a new drop-in");
        fs::write(file("other"), "b").expect("it is written");
        fs::rename(file("other"), file("logtap.toml")).expect("it is renamed");
        differs("another file of the same size");
        fs::rename(file("conf.d/a.toml"), file("conf.d/b.toml")).expect("it is renamed");
        differs("another name");
        fs::remove_file(file("conf.d/b.toml")).expect("it is removed");
        differs("a drop-in less");
    }
}
