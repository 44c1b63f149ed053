//! The first bytes of a connection: what it speaks, and a clear refusal where that is not what we speak here.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    Peer, TlsInfo,
    protocol::{self, Greeting},
    registry::{Connection, Ending},
    rewound::Rewound,
    socket::SocketIo,
    tls::Tls,
    transport::Transport,
};
use crate::{limits, server::seldom::Seldom};

/// What a client of TLS hears where none is spoken: a fatal alert, `protocol_version` (RFC 8446, section 6).
const TLS_ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
/// What a client of HTTP/1 hears where TLS is spoken.
const HTTP1_REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 37\r\n\r\nThis port speaks TLS: use https://.\r\n";
/// What a client of HTTP/2 hears where TLS is spoken: empty SETTINGS, then GOAWAY with INADEQUATE_SECURITY and the
/// reason in words, which clients of gRPC show to their users (RFC 9113, sections 6.5 and 6.8).
const HTTP2_REFUSAL: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x1c\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cthis port speaks TLS";

/// How a connection begins.
#[derive(Debug)]
pub(super) enum Opening {
    Http1(Transport, Option<TlsInfo>),
    Http2(Transport, Option<TlsInfo>),
    /// It is over already.
    Over(Ending),
}

/// What openings need.
#[derive(Clone, Debug)]
pub(super) struct Openings {
    /// Set: TCP connections speak TLS. Unix sockets never do; the kernel tells who is there.
    tls: Option<Arc<Tls>>,
    deadline: Duration,
    log: Arc<Seldom>,
}

impl Openings {
    pub(super) fn new(tls: Option<Arc<Tls>>, deadline: Duration) -> Self {
        Self { tls, deadline, log: Arc::default() }
    }

    /// Finds out what the peer speaks. Each step has its own deadline.
    pub(super) async fn open(&self, connection: &Connection) -> Opening {
        let tls = match connection.peer {
            Peer::Tcp(_) => self.tls.as_ref(),
            Peer::Unix { .. } => None,
        };
        let (greeting, io) = match self.in_time(greet(SocketIo(connection.socket.clone()))).await {
            Ok(greeted) => greeted,
            Err(ending) => return Opening::Over(ending),
        };
        match (greeting, tls) {
            (Greeting::Unknown, _) => Opening::Over(Ending::Finished),
            (Greeting::Http1, None) => Opening::Http1(Transport::Plain(io), None),
            (Greeting::Http2, None) => Opening::Http2(Transport::Plain(io), None),
            (Greeting::Tls, Some(tls)) => Box::pin(self.open_tls(connection, tls, io)).await,
            (Greeting::Tls, None) => self.refuse(connection, io, TLS_ALERT, "TLS to a port without TLS").await,
            (Greeting::Http1, Some(_)) => self.refuse(connection, io, HTTP1_REFUSAL, "plain HTTP to a TLS port").await,
            (Greeting::Http2, Some(_)) => {
                self.refuse(connection, io, HTTP2_REFUSAL, "plain HTTP/2 to a TLS port").await
            }
        }
    }

    async fn open_tls(&self, connection: &Connection, tls: &Tls, io: Rewound<SocketIo>) -> Opening {
        let (stream, info) = match timeout(self.deadline, tls.accept(io)).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err((error, io))) => {
                self.report(connection, &error.to_string());
                Box::pin(farewell(io, b"", self.deadline)).await;
                return Opening::Over(Ending::Tls);
            }
            Err(_) => return Opening::Over(Ending::Silent),
        };
        // What was agreed on in the handshake (ALPN) is what the client meant; what it says is what it does.
        match self.in_time(greet(stream)).await {
            Ok((Greeting::Http1, io)) => Opening::Http1(Transport::Tls(Box::new(io)), Some(info)),
            Ok((Greeting::Http2, io)) => Opening::Http2(Transport::Tls(Box::new(io)), Some(info)),
            Ok((Greeting::Unknown, _)) => Opening::Over(Ending::Finished),
            Ok((Greeting::Tls, _)) => Opening::Over(Ending::Broken),
            Err(ending) => Opening::Over(ending),
        }
    }

    async fn in_time<T>(&self, step: impl Future<Output = io::Result<T>>) -> Result<T, Ending> {
        match timeout(self.deadline, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(Ending::Broken),
            Err(_) => Err(Ending::Silent),
        }
    }

    async fn refuse(&self, connection: &Connection, io: Rewound<SocketIo>, last: &[u8], why: &str) -> Opening {
        self.report(connection, why);
        Box::pin(farewell(io, last, self.deadline)).await;
        Opening::Over(Ending::Tls)
    }

    fn report(&self, connection: &Connection, error: &str) {
        if let Some(unreported) = self.log.allow(Instant::now()) {
            tracing::warn!(peer = %connection.peer, error, unreported, "refused a connection");
        }
    }
}

/// Reads until it is clear what the peer speaks. `Unknown` means that it left before.
async fn greet<T: AsyncRead + Unpin>(mut io: T) -> io::Result<(Greeting, Rewound<T>)> {
    let mut first = BytesMut::with_capacity(protocol::HTTP2_PREFACE.len());
    loop {
        // No more than is needed to tell; whoever serves the connection reads the rest into buffers of its own.
        let missing = protocol::HTTP2_PREFACE.len() - first.len();
        let read = (&mut io).take(missing as u64).read_buf(&mut first).await?;
        match protocol::greeting(&first) {
            Greeting::Unknown if read > 0 => {}
            greeting => return Ok((greeting, Rewound::new(first.freeze(), io))),
        }
    }
}

/// Says `last` to a peer that is refused, and waits until it has gone: closing a socket with unread bytes would take back
/// what a peer was told and has not read yet.
async fn farewell<T: AsyncRead + AsyncWrite + Unpin>(mut io: T, last: &[u8], patience: Duration) {
    let mut rest = [0; 1024];
    let goodbye = async {
        io.write_all(last).await?;
        io.shutdown().await?;
        // As much as a first flight can be.
        let mut left = limits::HEADER_BYTES_MAX as usize;
        while left > 0 {
            match io.read(&mut rest).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // Whether it heard us is its own concern.
    let _ = timeout(patience, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_in_the_refusals_are_true() {
        let head = HTTP1_REFUSAL.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the head ends") + 4;
        let said = format!("content-length: {}\r\n", HTTP1_REFUSAL.len() - head);
        assert!(HTTP1_REFUSAL.windows(said.len()).any(|bytes| bytes == said.as_bytes()), "{said}");
        assert_eq!(usize::from(TLS_ALERT[4]), TLS_ALERT.len() - 5);
        assert_eq!(usize::from(HTTP2_REFUSAL[9 + 2]), HTTP2_REFUSAL.len() - 9 - 9);
    }
}
