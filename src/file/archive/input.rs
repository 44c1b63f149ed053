//! The compressed bytes of a file in order, from any position.

use std::{
    fs::File,
    io::{self, ErrorKind},
    sync::Arc,
};

use crate::{
    entry::Offset,
    file::{Blocking, ReadAt as _},
};

/// A forward reader over a file that others read too: it has its own position and never moves the descriptor's.
///
/// The end of the file is not remembered, so a reader that came to it goes on when the file has grown.
pub(super) struct Input {
    file: Arc<File>,
    /// Where `bytes[start]` stands in the file.
    at: u64,
    bytes: Box<[u8]>,
    /// `bytes[start..end]` has been read from the file and not been consumed.
    start: usize,
    end: usize,
}

impl Input {
    /// Reads `file` from `at` on, in pieces of `capacity` bytes (at least 8, the longest look-ahead).
    pub(super) fn new(file: Arc<File>, at: u64, capacity: usize) -> Self {
        Self { file, at, bytes: vec![0; capacity.max(8)].into(), start: 0, end: 0 }
    }

    /// The position of the first byte that has not been consumed.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Goes on from `at`.
    pub(super) const fn seek(&mut self, at: u64) {
        self.at = at;
        self.start = 0;
        self.end = 0;
    }

    /// What has been read and not consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes `count` bytes from what is buffered.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.at += count as u64;
    }

    /// Goes `count` bytes on, without reading what is not buffered.
    pub(super) fn skip(&mut self, count: u64) {
        if count <= self.buffered().len() as u64 {
            self.consume(count as usize);
        } else {
            self.seek(self.at.saturating_add(count));
        }
    }

    /// Reads on behind what is buffered; 0 when the file ends there, for now, or the buffer is full.
    pub(super) fn more(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let position = self.at + self.end as u64;
        loop {
            match Blocking(&self.file).read_at(&mut self.bytes[self.end..], Offset(position)) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next `N` bytes (at most 8), not consumed; `None` when the file ends before them.
    pub(super) fn peek<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        while self.buffered().len() < N {
            if self.more()? == 0 {
                return Ok(None);
            }
        }
        Ok(self.buffered().first_chunk().copied())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len()
    }
}
