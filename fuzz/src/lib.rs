//! What several targets need.

use std::{
    env,
    fs::{self, File},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::PathBuf,
    process,
};

/// A file that nothing is left of when the process has ended, however it ends; for all runs of the process.
pub fn unnamed_file() -> File {
    let path = env::temp_dir().join(format!("logtap-fuzz-{}", process::id()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.expect("the directory is writable");
    fs::remove_file(&path).expect("it was just made");
    file
}

/// Makes `bytes` the whole of an [`unnamed_file`].
pub fn fill(file: &File, bytes: &[u8]) {
    file.set_len(0).and_then(|()| file.write_all_at(bytes, 0)).expect("there is room");
}

/// Where an [`unnamed_file`] can be opened.
pub fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
