//! HTTP/2 frames by hand (RFC 9113, section 4.1; header blocks as in RFC 7541).

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use crate::support::soon;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What windows hold at the beginning, and as much as they can hold, in bytes (RFC 9113, section 6.9).
pub const WINDOW_DEFAULT: u32 = (1 << 16) - 1;
pub const WINDOW_MAX: u32 = (1 << 31) - 1;

/// Most that is collected before it is written.
const WRITE_BYTES: usize = 64 << 10;

/// One connection to attack over. What is written is collected and sent in larger pieces.
pub struct Wire {
    write: OwnedWriteHalf,
    pending: Vec<u8>,
    read: Option<OwnedReadHalf>,
}

/// What the server answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Frames by type.
    pub frames: [usize; 10],
    /// The error code of the last GOAWAY.
    pub goaway: Option<u32>,
}

impl Wire {
    /// Says the preface, with windows of `window` bytes.
    pub async fn open(stream: TcpStream, window: u32) -> Self {
        let (read, write) = stream.into_split();
        let mut wire = Self { write, pending: Vec::new(), read: Some(read) };
        wire.pending.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let window = window.max(WINDOW_DEFAULT);
        let setting = [&[0, 4], &window.to_be_bytes()[..]].concat();
        wire.frame(SETTINGS, 0, 0, &setting).await.expect("the server listens");
        if window > WINDOW_DEFAULT {
            let more = (window - WINDOW_DEFAULT).to_be_bytes();
            wire.frame(WINDOW_UPDATE, 0, 0, &more).await.expect("the server listens");
        }
        wire.flush().await.expect("the server listens");
        wire
    }

    /// Writes a frame; fails once the server has closed the connection.
    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
        self.pending.extend(&length[1..]);
        self.pending.extend([kind, flags]);
        self.pending.extend(stream.to_be_bytes());
        self.pending.extend(payload);
        if self.pending.len() >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Calls a method of gRPC with an empty request.
    pub async fn call(&mut self, stream: u32, path: &str) -> io::Result<()> {
        let mut block = post(path);
        // Literal and not indexed, by a name of the static table: `content-type`; then `te`, which has none there.
        let kind = b"application/grpc";
        block.extend([0x0f, 16, kind.len() as u8]);
        block.extend(kind);
        block.extend([0, 2, b't', b'e', 8]);
        block.extend(b"trailers");
        self.frame(HEADERS, END_HEADERS, stream, &block).await?;
        self.frame(DATA, END_STREAM, stream, &[0; 5]).await
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        let result = self.write.write_all(&self.pending).await;
        self.pending.clear();
        result
    }

    /// Counts what the server answers from now on, until it closes. Without this nothing is ever read.
    pub fn listen(&mut self) -> JoinHandle<Answers> {
        let mut read = self.read.take().expect("nobody listens yet");
        tokio::spawn(async move {
            let mut answers = Answers::default();
            // A reset instead of an end is an end as well.
            let _ = answers.collect(&mut read).await;
            answers
        })
    }

    /// Writes what is left, closes our side, and waits for the server to close its own.
    pub async fn end(mut self, listening: JoinHandle<Answers>) -> Answers {
        let _ = self.flush().await;
        let _ = self.write.shutdown().await;
        soon("the server to close the connection", listening).await.expect("it does not panic")
    }
}

impl Answers {
    async fn collect(&mut self, read: &mut OwnedReadHalf) -> io::Result<()> {
        let mut payload = Vec::new();
        loop {
            let mut head = [0; 9];
            read.read_exact(&mut head).await?;
            payload.resize(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, 0);
            read.read_exact(&mut payload).await?;
            if let Some(count) = self.frames.get_mut(usize::from(head[3])) {
                *count += 1;
            }
            if head[3] == GOAWAY {
                self.goaway = Some(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
            }
        }
    }

    pub fn count(&self, kind: u8) -> usize {
        self.frames[usize::from(kind)]
    }
}

/// The header block of `GET path`.
pub fn get(path: &str) -> Vec<u8> {
    request(0x82, path)
}

/// The header block of `POST path`.
pub fn post(path: &str) -> Vec<u8> {
    request(0x83, path)
}

fn request(method: u8, path: &str) -> Vec<u8> {
    // `:method` and `:scheme` from the static table, `:authority` and `:path` literal and not indexed.
    let mut block = vec![method, 0x86, 0x01, 1, b'a', 0x04];
    block.push(u8::try_from(path.len()).ok().filter(|length| *length < 127).expect("paths here are short"));
    block.extend(path.as_bytes());
    block
}
