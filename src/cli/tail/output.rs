//! Standard output, written in large pieces, and watched for the moment when nobody reads it any more.

use std::{fs::File, io, os::fd::AsFd, sync::Arc, thread};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tokio::sync::Notify;

use crate::limits::OUTPUT_BYTES;

/// Buffered standard output.
#[derive(Debug)]
pub struct Output {
    file: File,
    buffer: Vec<u8>,
}

/// Why nothing more can be written.
#[derive(Debug)]
pub enum OutputError {
    /// Nobody reads any more: a reason to end, not to complain.
    Closed,
    /// Anything else.
    Write(io::Error),
}

impl Output {
    /// That of this process. The standard library's own would look for line ends in every piece.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn new() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file, buffer: Vec::with_capacity(2 * OUTPUT_BYTES) })
    }

    /// Where to append what is to be written.
    pub const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether there is enough to be worth a write.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= OUTPUT_BYTES
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Writes everything; waits when standard output was made non-blocking by somebody who shares it.
    ///
    /// # Errors
    /// Nobody reads any more, or the write failed; what was not written is lost.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.file, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Whatever it is that poll reports, the next write tells.
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None);
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(OutputError::Closed),
                Err(error) => return Err(OutputError::Write(error.into())),
            }
        }
        self.buffer.clear();
        if self.buffer.capacity() > 8 * OUTPUT_BYTES {
            self.buffer.shrink_to(2 * OUTPUT_BYTES);
        }
        Ok(())
    }

    /// Notifies when nobody reads standard output any more, however little is written to it.
    ///
    /// # Errors
    /// No thread can be started, or the descriptor cannot be duplicated.
    pub fn watch(&self) -> io::Result<Arc<Notify>> {
        let file = self.file.try_clone()?;
        let closed = Arc::new(Notify::new());
        let notify = Arc::clone(&closed);
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            loop {
                // Errors and hang-ups are reported without being asked for; a file never reports anything.
                let mut watched = [PollFd::new(&file, PollFlags::empty())];
                match poll(&mut watched, None) {
                    Ok(_) if watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => break,
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(_) => return,
                }
            }
            notify.notify_one();
        })?;
        Ok(closed)
    }
}
