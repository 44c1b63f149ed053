//! Positional reading, in two manners: only what the page cache has, or whatever it takes.

use std::{fs::File, io, os::unix::fs::FileExt, thread};

use rustix::{
    fs::SeekFrom,
    io::{Errno, ReadWriteFlags},
};

use super::archive::{Archive, ArchiveError};
use crate::{
    entry::Offset,
    limits::{READ_PAUSE, READ_TRIES},
};

/// Something with bytes at offsets: a plain file, or what a compressed one holds.
pub trait ReadAt {
    /// Reads some bytes at `offset` into `buf`; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` from a reader that must not wait; else what the kernel or the decoder says.
    fn read_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize>;

    /// The first place at or after `offset` that may hold anything but zeros, where the file system knows of holes.
    ///
    /// # Errors
    /// What the kernel says.
    fn skip_hole(&self, offset: Offset) -> io::Result<Offset> {
        Ok(offset)
    }

    /// Reads at `offset` until `buf` is full or the end is reached; returns how many bytes.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at); a part that would have to be waited for fails the whole, so that what is cut
    /// from it never depends on what the page cache happened to hold.
    fn fill_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read_at(&mut buf[filled..], offset.after(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Reads what the page cache has, and fails with `WouldBlock` rather than wait for a disk.
#[derive(Clone, Copy, Debug)]
pub struct Cached<'f>(pub &'f File);

impl ReadAt for Cached<'_> {
    fn read_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize> {
        match rustix::io::preadv2(self.0, &mut [io::IoSliceMut::new(buf)], offset.0, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(count),
            // Some file systems cannot tell in advance whether a read waits.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn skip_hole(&self, offset: Offset) -> io::Result<Offset> {
        skip_hole(self.0, offset)
    }
}

/// Reads whatever it takes, a failure of the device that passes included; only for threads that may wait.
#[derive(Clone, Copy, Debug)]
pub struct Blocking<'f>(pub &'f File);

impl ReadAt for Blocking<'_> {
    fn read_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize> {
        let (mut tries, mut pause) = (1, READ_PAUSE);
        loop {
            match FileExt::read_at(self.0, buf, offset.0) {
                // What is decided by comparing files would be decided without this one.
                Err(error) if is_of_device(&error) && tries < READ_TRIES => thread::sleep(pause),
                result => return result,
            }
            (tries, pause) = (tries + 1, pause * 2);
        }
    }

    fn skip_hole(&self, offset: Offset) -> io::Result<Offset> {
        skip_hole(self.0, offset)
    }
}

/// Whether it is the device or the network behind a file that failed, which may have passed the next moment.
pub fn is_of_device(error: &io::Error) -> bool {
    os_code(error) == Some(Errno::IO.raw_os_error())
}

/// Whether an error says nothing of the file itself, and another attempt may do better.
pub fn is_passing(error: &io::Error) -> bool {
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO];
    os_code(error).is_some_and(|code| passing.iter().any(|errno| errno.raw_os_error() == code))
}

/// What the kernel said, also where it said it to a decoder.
fn os_code(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| match error.get_ref()?.downcast_ref()? {
        ArchiveError::Io { source, .. } => source.raw_os_error(),
        ArchiveError::NotAnArchive { .. }
        | ArchiveError::Damaged { .. }
        | ArchiveError::Truncated { .. }
        | ArchiveError::WindowTooLarge { .. } => None,
    })
}

/// Asks the kernel where data begins. That moves the descriptor's own position, which nobody here uses.
fn skip_hole(file: &File, offset: Offset) -> io::Result<Offset> {
    match rustix::fs::seek(file, SeekFrom::Data(offset.0)) {
        Ok(data) => Ok(Offset(data)),
        // Nothing but a hole up to the end, or a file system that does not tell: reading will.
        Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => Ok(offset),
        Err(error) => Err(error.into()),
    }
}

impl ReadAt for Archive {
    fn read_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize> {
        Ok(Self::read_at(self, offset, buf)?)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: Offset) -> io::Result<usize> {
        let from = usize::try_from(offset.0).unwrap_or(usize::MAX).min(self.len());
        let count = buf.len().min(self.len() - from);
        buf[..count].copy_from_slice(&self[from..from + count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;

    #[test]
    fn what_the_device_refuses_every_time_is_told() {
        // Nothing is mapped at the beginning of memory, and the kernel calls that an error of the device.
        let memory = File::open("/proc/self/mem").expect("Linux has it");
        let error = Blocking(&memory).read_at(&mut [0; 8], Offset::ZERO).expect_err("nothing is there");
        assert!(is_of_device(&error), "{error}");
        let missing = File::open("/proc/self/no-such-file").expect_err("it is missing");
        assert!(!is_of_device(&missing), "{missing}");
    }

    #[test]
    fn what_passes_is_told_from_what_a_file_is_through_a_decoder_too() {
        let of = |errno: Errno| {
            let source = Arc::new(io::Error::from(errno));
            io::Error::from(ArchiveError::Io { path: Path::new("app.log.1.gz").into(), offset: Offset(9), source })
        };
        assert!(is_passing(&of(Errno::IO)) && is_of_device(&of(Errno::IO)) && is_passing(&of(Errno::MFILE)));
        let cut = ArchiveError::Truncated { path: Path::new("app.log.1.gz").into(), offset: Offset(9) };
        assert!(!is_passing(&of(Errno::ACCESS)) && !is_passing(&cut.into()));
    }
}
