//! A connection's socket: read and written by one task, looked at by the sweep.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use rustix::net::{SendAncillaryBuffer, SendFlags};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
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
    /// Whether what is written may be held back: somebody pushes.
    is_gathering: AtomicBool,
    /// Bytes that may be held back.
    held: AtomicUsize,
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
        Self {
            stream,
            opened: Instant::now(),
            blocked: AtomicU64::new(0),
            is_gathering: AtomicBool::new(false),
            held: AtomicUsize::new(0),
        }
    }

    /// How long there has been something to write that the socket does not take; zero while it takes all.
    pub(super) fn blocked_for(&self) -> Duration {
        match self.blocked.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.opened.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    /// Drives what writes to the socket. Writes that others are likely to follow are held back in the kernel until these
    /// have come, or a poll brings none: h2 writes each frame by itself, and what costs most of that is to send it.
    pub(super) async fn gather<F: Future>(&self, mut writer: Pin<&mut F>) -> F::Output {
        std::future::poll_fn(|context| {
            let before = self.held.load(Ordering::Relaxed);
            self.is_gathering.store(true, Ordering::Relaxed);
            let poll = writer.as_mut().poll(context);
            self.is_gathering.store(false, Ordering::Relaxed);
            let held = self.held.load(Ordering::Relaxed);
            if poll.is_ready() || held == before {
                self.push();
            } else if held > 0 {
                // Once more, after those who have room to send again.
                context.waker().wake_by_ref();
            }
            poll
        })
        .await
    }

    /// Sends what is held back.
    fn push(&self) {
        if self.held.swap(0, Ordering::Relaxed) > 0 {
            // The option is set already, and to set it sends. What fails on a broken socket fails again on the next write.
            let _ = SockRef::from(&self.fd()).set_tcp_nodelay(true);
        }
    }

    /// Writes as much as the socket takes.
    fn write(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let stream = match &self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) => return stream.try_write_vectored(bufs),
        };
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        let held = self.held.load(Ordering::Relaxed) + length;
        // With more held back the socket would take nothing.
        let holds = length >= limits::SOCKET_HELD_BYTES_MIN && held < limits::SOCKET_UNSENT_BYTES as usize;
        if !holds || !self.is_gathering.load(Ordering::Relaxed) {
            let written = stream.try_write_vectored(bufs)?;
            // What was held back goes with it.
            self.held.store(0, Ordering::Relaxed);
            return Ok(written);
        }
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let send = || Ok(rustix::net::sendmsg(stream, bufs, &mut SendAncillaryBuffer::default(), flags)?);
        let written = stream.try_io(Interest::WRITABLE, send)?;
        self.held.store(held, Ordering::Relaxed);
        Ok(written)
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

    /// Writes once the socket takes something, and remembers since when it does not.
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.poll_write_ready(cx) else {
                self.note_blocked();
                return Poll::Pending;
            };
            ready?;
            match self.write(bufs) {
                // What is held back may be all that it waits for.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.push(),
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
        self.0.poll_write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bufs)
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

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::limits::{SOCKET_HELD_BYTES_MIN, SOCKET_UNSENT_BYTES};

    #[tokio::test]
    async fn what_is_held_back_is_sent_when_nothing_follows() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let near = TcpStream::connect(address).await.expect("it listens");
        near.set_nodelay(true).expect("a TCP socket");
        let (mut far, _) = listener.accept().await.expect("a connection");
        let socket = Arc::new(Socket::tcp(near));
        let min = SOCKET_HELD_BYTES_MIN;
        for length in [1, min - 1, min, min + 1, 3 * min, SOCKET_UNSENT_BYTES as usize] {
            let mut io = SocketIo(socket.clone());
            let mut writer = pin!(async move {
                io.write_all(&vec![7; length]).await.expect("the peer is there");
                pending::<()>().await;
            });
            let mut got = vec![0; length];
            tokio::select! {
                () = socket.gather(writer.as_mut()) => unreachable!("it never ends"),
                read = far.read_exact(&mut got) => assert_eq!(read.expect("the peer is there"), length),
            }
            assert_eq!((got, socket.held.load(Ordering::Relaxed)), (vec![7; length], 0));
        }
    }
}
