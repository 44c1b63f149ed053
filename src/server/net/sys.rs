//! The two calls of this room to the system that have no safe wrapper, and the descriptor limit.

use std::{
    io,
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long the kernel at the other end of a TCP connection has sent neither data nor an acknowledgement. Keep-alive
/// and window probes are acknowledged by the kernel even while the program there is stopped.
#[allow(unsafe_code)]
pub(super) fn tcp_peer_silence(socket: BorrowedFd<'_>) -> io::Result<Duration> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `socket` is open for as long as it is borrowed; `info` is writable for `length` bytes, and the kernel
    // writes at most that many.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field is an integer and all were zeroed, so the value is initialised whatever the kernel wrote.
    let info = unsafe { info.assume_init() };
    // The stamp of the last acknowledgement is not renewed by a segment that carries only data.
    Ok(Duration::from_millis(u64::from(info.tcpi_last_ack_recv.min(info.tcpi_last_data_recv))))
}

/// The sockets that the service manager handed over, in its order. The first call takes them; later ones find none.
#[allow(unsafe_code)]
pub(super) fn take_inherited_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    // SAFETY: `LISTEN_PID` names this process, so its manager left these descriptors open for it to own; nothing else
    // of this program opens or closes descriptors by number, `sd_notify` has just verified that they are open by
    // setting their close-on-exec flag, and `TAKEN` makes this their only owner.
    Ok(sd_notify::listen_fds()?.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

/// Raises the limit of open descriptors as far as this process may, and returns it; `None` means there is none.
///
/// The usual soft limit of 1024 is there for programs that use `select`, which this one does not.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}
