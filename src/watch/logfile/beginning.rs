//! How a file begins, and began before its content did so anew: what tells how to read it, what cursors carry, and what
//! copies of it are known by.

use std::{collections::VecDeque, io, sync::Arc};

use super::{LogFile, Published};
use crate::{
    entry::Offset,
    file::{
        Encoding, ReadAt,
        lines::{self, KnownHead},
    },
    limits::{CONTEXT_BYTES, CURSOR_HEAD_BYTES, PAST_BEGINNINGS_MAX},
    sync::lock,
};

/// How much of a file's beginning is looked at whenever it has changed: where most logs have the time of their first line.
const BEGINNING_BYTES_COMPARED: usize = 64;

/// What is known of a content.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Its generation.
    pub generation: u32,
    /// Its first bytes, as far as they were read.
    pub beginning: Arc<[u8]>,
    /// How far it was written when last looked at, in whole lines.
    pub head: KnownHead,
    /// How far it was written when last looked at, the part of a line at its end included.
    pub end: KnownHead,
}

/// How a content ends, the part of a line at its end included.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub end: KnownHead,
    /// The first bytes, of one in which no line has ended.
    pub bytes: Arc<[u8]>,
}

impl Content {
    fn new(generation: u32, beginning: Arc<[u8]>, head: KnownHead, part: Part) -> Self {
        let beginning = if head.at == Offset::ZERO { part.bytes } else { beginning };
        Self { generation, beginning, head, end: part.end }
    }

    /// The place by which a file is known again that holds the same: the end of its lines, or where there is none, that
    /// of all that it held.
    pub fn mark(&self) -> KnownHead {
        if self.head.at > Offset::ZERO { self.head } else { self.end }
    }
}

/// What is known of a file's content, and of what it held before; the latest few.
#[derive(Debug, Default)]
pub struct Beginnings {
    /// The generation that `beginning` is of.
    generation: u32,
    beginning: Arc<[u8]>,
    past: VecDeque<Content>,
    /// The latest generation of which nothing is known any more.
    forgotten: Option<u32>,
}

impl LogFile {
    /// The first bytes of the file up to `upto`, as many as tell how to read it and what cursors carry.
    ///
    /// # Errors
    /// As the reader.
    pub fn beginning(&self, reader: &(impl ReadAt + ?Sized), now: &Published, upto: Offset) -> io::Result<Arc<[u8]>> {
        let want = upto.0.min(CONTEXT_BYTES as u64) as usize;
        {
            let known = lock(&self.beginnings);
            if known.generation == now.generation && known.beginning.len() >= want {
                return Ok(known.beginning.clone());
            }
        }
        let bytes = first_bytes_of(reader, want)?;
        // What lies behind the head may still be written again, while anything is.
        if upto <= now.head || now.finished {
            self.take_beginning(now.generation, &bytes);
        }
        Ok(bytes)
    }

    /// Remembers the first bytes up to a place that a cursor has named, although no line may end there.
    ///
    /// # Errors
    /// As the reader.
    pub fn hold_beginning(&self, reader: &(impl ReadAt + ?Sized), now: &Published, upto: Offset) -> io::Result<()> {
        let bytes = first_bytes(reader, upto)?;
        self.take_beginning(now.generation, &bytes);
        Ok(())
    }

    fn take_beginning(&self, generation: u32, bytes: &Arc<[u8]>) {
        let mut known = lock(&self.beginnings);
        // What was read may be another content already, which was not noticed yet.
        let goes_on = known.generation < generation || bytes.starts_with(&known.beginning);
        if known.generation <= generation && goes_on {
            (known.generation, known.beginning) = (generation, bytes.clone());
        }
    }

    /// Whether what `reader` reads begins as the content of a generation does; a file may have been written anew up to the
    /// same place, and have the same bytes before that.
    pub(super) fn begins_as_known(&self, reader: &(impl ReadAt + ?Sized), generation: u32) -> io::Result<bool> {
        let known = self.begins(generation);
        let known = &known[..known.len().min(BEGINNING_BYTES_COMPARED)];
        let mut bytes = [0; BEGINNING_BYTES_COMPARED];
        let got = reader.fill_at(&mut bytes[..known.len()], Offset::ZERO)?;
        Ok(bytes[..got] == *known)
    }

    /// Whether a file that begins with `bytes` can hold what this one held at `generation`.
    pub fn is_still(&self, generation: u32, bytes: &[u8]) -> bool {
        let known = lock(&self.beginnings);
        let common = known.beginning.len().min(bytes.len());
        known.generation == generation && known.beginning[..common] == bytes[..common]
    }

    /// The first bytes of the file, as many as cursors at `at` carry, if they were read already.
    pub fn known_beginning(&self, generation: u32, at: Offset) -> Option<Arc<[u8]>> {
        let known = lock(&self.beginnings);
        let enough = known.beginning.len() as u64 >= at.0.min(CURSOR_HEAD_BYTES);
        (enough && (known.generation == generation || at == Offset::ZERO)).then(|| known.beginning.clone())
    }

    /// What is known of how the content of a generation begins.
    pub fn begins(&self, generation: u32) -> Arc<[u8]> {
        let known = lock(&self.beginnings);
        if known.generation == generation {
            return known.beginning.clone();
        }
        let past = known.past.iter().find(|content| content.generation == generation);
        past.map(|content| content.beginning.clone()).unwrap_or_default()
    }

    /// In which units it is written.
    ///
    /// # Errors
    /// As the reader.
    pub fn encoding(&self, reader: &(impl ReadAt + ?Sized), now: &Published) -> io::Result<Encoding> {
        {
            let known = lock(&self.beginnings);
            if known.generation == now.generation && !known.beginning.is_empty() {
                return Ok(Encoding::of(&known.beginning));
            }
        }
        lines::encoding(reader)
    }

    /// What is known of its content and of what it held before: a file that holds the same may be a copy of it.
    pub fn contents(&self) -> Vec<Content> {
        let (head, past) = {
            let state = lock(&self.state);
            (state.line_head, Part { end: state.end, bytes: state.part.clone() })
        };
        let known = lock(&self.beginnings);
        let now = Content::new(known.generation, known.beginning.clone(), head, past);
        known.past.iter().cloned().chain([now]).filter(|content| content.mark().at > Offset::ZERO).collect()
    }

    /// Those that agree with how another file begins, as far as both go.
    pub fn contents_like(&self, beginning: &[u8]) -> Vec<Content> {
        let agrees = |known: &[u8]| {
            let common = known.len().min(beginning.len());
            common > 0 && known[..common] == beginning[..common]
        };
        let any = {
            let known = lock(&self.beginnings);
            known.beginning.is_empty()
                || agrees(&known.beginning)
                || known.past.iter().any(|content| agrees(&content.beginning))
        };
        if any {
            self.contents().into_iter().filter(|content| agrees(&content.beginning)).collect()
        } else {
            Vec::new()
        }
    }

    /// What is known of the content that it had at `generation`.
    pub fn content(&self, generation: u32) -> Option<Content> {
        let past = lock(&self.beginnings).past.iter().find(|content| content.generation == generation).cloned();
        past.or_else(|| self.contents().into_iter().find(|content| content.generation == generation))
    }

    /// Whether the content that it had at `generation` was forgotten, so that not even its length is known.
    pub fn is_forgotten(&self, generation: u32) -> bool {
        lock(&self.beginnings).forgotten.is_some_and(|forgotten| generation <= forgotten)
    }

    /// Remembers what is known of the content of `generation`, which another took the place of.
    pub(super) fn remember(&self, generation: u32, head: KnownHead, part: Part) {
        let mut known = lock(&self.beginnings);
        if known.generation > generation {
            return;
        }
        let of_it = known.generation == generation;
        let beginning = if of_it { std::mem::take(&mut known.beginning) } else { Arc::default() };
        known.generation = generation + 1;
        if beginning.is_empty() && part.end.at == Offset::ZERO {
            return;
        }
        known.past.push_back(Content::new(generation, beginning, head, part));
        if known.past.len() > PAST_BEGINNINGS_MAX {
            known.forgotten = known.past.pop_front().map(|content| content.generation);
        }
    }
}

/// The first bytes of a file up to a place, as many as cursors carry.
///
/// # Errors
/// As the reader.
pub fn first_bytes(reader: &(impl ReadAt + ?Sized), upto: Offset) -> io::Result<Arc<[u8]>> {
    first_bytes_of(reader, upto.0.min(CURSOR_HEAD_BYTES) as usize)
}

fn first_bytes_of(reader: &(impl ReadAt + ?Sized), len: usize) -> io::Result<Arc<[u8]>> {
    let mut bytes = vec![0; len];
    let got = reader.fill_at(&mut bytes, Offset::ZERO)?;
    bytes.truncate(got);
    Ok(bytes.into())
}
