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

/// What is known of a content.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Its generation.
    pub generation: u32,
    /// Its first bytes, as far as they were read.
    pub beginning: Arc<[u8]>,
    /// How far it was written when last looked at, in whole lines.
    pub head: KnownHead,
    /// How far it was written when last looked at.
    pub size: Offset,
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
        let mut bytes = vec![0; want];
        let got = reader.fill_at(&mut bytes, Offset::ZERO)?;
        bytes.truncate(got);
        let bytes: Arc<[u8]> = bytes.into();
        // What lies behind the head may still be written again.
        if upto <= now.head {
            let mut known = lock(&self.beginnings);
            // What was read may be another content already, which was not noticed yet.
            let goes_on = known.generation < now.generation || bytes.starts_with(&known.beginning);
            if known.generation <= now.generation && goes_on {
                (known.generation, known.beginning) = (now.generation, bytes.clone());
            }
        }
        Ok(bytes)
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
        let (head, size) = {
            let state = lock(&self.state);
            (state.line_head, state.published.size)
        };
        let known = lock(&self.beginnings);
        let now = Content { generation: known.generation, beginning: known.beginning.clone(), head, size };
        known.past.iter().cloned().chain([now]).filter(|content| !content.beginning.is_empty()).collect()
    }

    /// Those that agree with how another file begins, as far as both go.
    pub fn contents_like(&self, beginning: &[u8]) -> Vec<Content> {
        let agrees = |known: &[u8]| {
            let common = known.len().min(beginning.len());
            common > 0 && known[..common] == beginning[..common]
        };
        let any = {
            let known = lock(&self.beginnings);
            agrees(&known.beginning) || known.past.iter().any(|content| agrees(&content.beginning))
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
    pub(super) fn remember(&self, generation: u32, head: KnownHead, size: Offset) {
        let mut known = lock(&self.beginnings);
        if known.generation > generation {
            return;
        }
        let of_it = known.generation == generation;
        let beginning = if of_it { std::mem::take(&mut known.beginning) } else { Arc::default() };
        known.generation = generation + 1;
        if beginning.is_empty() && size == Offset::ZERO {
            return;
        }
        known.past.push_back(Content { generation, beginning, head, size });
        if known.past.len() > PAST_BEGINNINGS_MAX {
            known.forgotten = known.past.pop_front().map(|content| content.generation);
        }
    }
}
