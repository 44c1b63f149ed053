//! Who a file is, whatever its name: the inode, told apart from an inode that was used again.

use std::{fs::File, io, os::fd::AsFd, path::Path};

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};
use xxhash_rust::xxh3::xxh3_64;

use crate::entry::{Nanos, Offset, cursor::FileKey};

/// A file as the running system tells it apart: device, inode, and the durable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device, as `major << 32 | minor`; not durable.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
    /// What survives a restart: see [`FileKey`].
    pub key: FileKey,
}

/// What `stat` tells about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Who it is.
    pub identity: Identity,
    /// Its size in bytes.
    pub size: Offset,
    /// When its content last changed.
    pub mtime: Nanos,
    /// When it was made, where the file system knows.
    pub btime: Option<Nanos>,
    /// Names that lead to it; 0 when it is deleted but open.
    pub links: u32,
    /// Whether it is a regular file.
    pub regular: bool,
    /// Permission bits.
    pub mode: u16,
}

impl Stat {
    /// Of an open file.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn of_file(file: &File) -> io::Result<Self> {
        let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(Self::from_statx(&stat, &handle::of_file(file)))
    }

    /// Of what a path leads to, through symbolic links.
    ///
    /// # Errors
    /// What the kernel says; `NotFound` also for a dangling link.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(Self::from_statx(&stat, &handle::of_path(path)))
    }

    fn from_statx(stat: &rustix::fs::Statx, handle: &[u8]) -> Self {
        let known = StatxFlags::from_bits_retain(stat.stx_mask);
        let btime = known.contains(StatxFlags::BTIME).then(|| nanos(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec));
        Self {
            identity: Identity {
                dev: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
                ino: stat.stx_ino,
                key: key(stat.stx_ino, btime, handle),
            },
            size: Offset(stat.stx_size),
            mtime: nanos(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            btime,
            links: stat.stx_nlink,
            regular: FileType::from_raw_mode(stat.stx_mode.into()) == FileType::RegularFile,
            mode: stat.stx_mode & 0o7777,
        }
    }
}

/// A size and a modification time of an open file, the two things that readers ask for over and over.
///
/// # Errors
/// What the kernel says.
pub fn size_and_mtime(file: &File) -> io::Result<(Offset, Nanos, u64)> {
    let stat = rustix::fs::fstat(file.as_fd())?;
    let mtime = nanos(stat.st_mtime, stat.st_mtime_nsec as u32);
    Ok((Offset(stat.st_size as u64), mtime, stat.st_nlink))
}

/// The durable key. Where the kernel's clock for birth times is coarse, the handle's generation number tells an inode
/// from its predecessor; where a file system has neither, the inode number has to do and content decides.
fn key(ino: u64, btime: Option<Nanos>, handle: &[u8]) -> FileKey {
    let mut text = Vec::with_capacity(16 + handle.len());
    text.extend_from_slice(&ino.to_le_bytes());
    text.extend_from_slice(&btime.map_or(0, |time| time.0).to_le_bytes());
    text.extend_from_slice(handle);
    FileKey(xxh3_64(&text))
}

fn nanos(seconds: i64, nanos: u32) -> Nanos {
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))
}

/// `name_to_handle_at(2)`, which neither std nor rustix has.
#[allow(unsafe_code)]
mod handle {
    use std::{
        ffi::{CStr, CString},
        fs::File,
        os::{fd::AsRawFd, unix::ffi::OsStrExt},
        path::Path,
    };

    /// Handles are at most this long (`MAX_HANDLE_SZ` of the kernel).
    const BYTES_MAX: usize = 128;

    #[repr(C)]
    struct Handle {
        len: libc::c_uint,
        kind: libc::c_int,
        bytes: [u8; BYTES_MAX],
    }

    pub fn of_file(file: &File) -> Vec<u8> {
        ask(file.as_raw_fd(), c"", libc::AT_EMPTY_PATH)
    }

    pub fn of_path(path: &Path) -> Vec<u8> {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return Vec::new() };
        ask(libc::AT_FDCWD, &path, libc::AT_SYMLINK_FOLLOW)
    }

    /// The handle, or nothing where the file system has none.
    fn ask(dir: libc::c_int, path: &CStr, flags: libc::c_int) -> Vec<u8> {
        let mut handle = Handle { len: BYTES_MAX as libc::c_uint, kind: 0, bytes: [0; BYTES_MAX] };
        let mut mount: libc::c_int = 0;
        // SAFETY: `path` ends with NUL, `handle` is laid out as the kernel's `struct file_handle` with room for
        // `handle.len` bytes, which the kernel never exceeds, and both outlive the call.
        let done = unsafe {
            libc::syscall(libc::SYS_name_to_handle_at, dir, path.as_ptr(), &raw mut handle, &raw mut mount, flags)
        };
        if done != 0 {
            return Vec::new();
        }
        let mut out = handle.kind.to_le_bytes().to_vec();
        out.extend_from_slice(&handle.bytes[..(handle.len as usize).min(BYTES_MAX)]);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn a_file_is_the_same_by_path_by_descriptor_and_by_its_next_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        let file = File::create(&path).expect("a file");
        let by_file = Stat::of_file(&file).expect("stat");
        assert_eq!(by_file, Stat::of_path(&path).expect("stat"));
        let moved = dir.path().join("a.log.1");
        fs::rename(&path, &moved).expect("rename");
        assert_eq!(by_file.identity, Stat::of_path(&moved).expect("stat").identity);
        assert!(by_file.regular && !Stat::of_path(dir.path()).expect("stat").regular);
    }

    #[test]
    fn an_inode_that_is_used_again_is_another_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.log");
        let mut keys = std::collections::HashSet::new();
        for round in 0..50 {
            File::create(&path).expect("a file").write_all(b"x").expect("write");
            assert!(keys.insert(Stat::of_path(&path).expect("stat").identity.key), "round {round}");
            fs::remove_file(&path).expect("remove");
        }
    }
}
