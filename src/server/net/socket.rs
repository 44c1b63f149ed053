//! A connection's socket: read and written by one task, looked at by the sweep.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::sys;
use crate::limits;

/// An accepted socket. Shared, so that whoever looks at it can never look at a descriptor that has become another's.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    opened: Instant,
    /// Milliseconds after `opened`, plus one, since when the socket takes nothing; 0 while it does.
    blocked: AtomicU64,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The end of a [`Socket`] that reads and writes. There is one for each socket: the readiness of a socket wakes only
/// the task that asked last.
#[derive(Debug)]
pub(super) struct SocketIo(pub(super) Arc<Socket>);

/// Sets what connections of a listening socket inherit.
///
/// No `TCP_USER_TIMEOUT`: it would end connections whose reader merely stopped.
pub(super) fn set_tcp_options(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(limits::KEEPALIVE_IDLE)
            .with_interval(limits::KEEPALIVE_INTERVAL)
            .with_retries(limits::KEEPALIVE_PROBES),
    )?;
    socket.set_tcp_notsent_lowat(limits::SOCKET_UNSENT_BYTES)
}

impl Socket {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self::new(Stream::Tcp(stream))
    }

    /// Unlike those of TCP, the options of a Unix socket are not inherited from the one that listens.
    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        SockRef::from(&stream).set_send_buffer_size(limits::UNIX_SEND_BYTES)?;
        Ok(Self::new(Stream::Unix(stream)))
    }

    fn new(stream: Stream) -> Self {
        Self { stream, opened: Instant::now(), blocked: AtomicU64::new(0) }
    }

    /// How long there has been something to write that the socket does not take; zero while it takes all.
    pub(super) fn blocked_for(&self) -> Duration {
        match self.blocked.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.opened.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    /// How long the peer's kernel has been silent; `None` where that cannot be known, or need not: a Unix socket's
    /// peer cannot vanish unseen.
    pub(super) fn peer_silence(&self) -> Option<Duration> {
        match &self.stream {
            Stream::Tcp(stream) => sys::tcp_peer_silence(stream.as_fd()).ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Makes the coming close drop what the kernel still holds, instead of offering it to a peer that does not take it.
    pub(super) fn discard_on_close(&self) {
        // A socket that is no longer connected refuses, and has nothing to discard.
        let _ = SockRef::from(&self.fd()).set_linger(Some(Duration::ZERO));
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Stream::Tcp(stream) => stream.poll_write_ready(cx),
            Stream::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Writes by `attempt` once the socket takes something, and remembers since when it does not.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.poll_write_ready(cx) else {
                self.note_blocked();
                return Poll::Pending;
            };
            ready?;
            match attempt(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.blocked.store(0, Ordering::Relaxed);
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn note_blocked(&self) {
        if self.blocked.load(Ordering::Relaxed) == 0 {
            let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
            self.blocked.store(since, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for SocketIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let result = match &self.0.stream {
                Stream::Tcp(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_read_buf(buf)
                }
                Stream::Unix(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_read_buf(buf)
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(drop)),
            }
        }
    }
}

impl AsyncWrite for SocketIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_with(cx, |stream| match stream {
            Stream::Tcp(stream) => stream.try_write(buf),
            Stream::Unix(stream) => stream.try_write(buf),
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_with(cx, |stream| match stream {
            Stream::Tcp(stream) => stream.try_write_vectored(bufs),
            Stream::Unix(stream) => stream.try_write_vectored(bufs),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&self.0.fd()).shutdown(std::net::Shutdown::Write) {
            // The peer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}
