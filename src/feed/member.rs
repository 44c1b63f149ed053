//! One file of a subscription, and how far the subscription is in it.

use std::{collections::HashMap, sync::Arc};

use super::{
    WaitingItem,
    around::Nearby,
    event::Event,
    merge::Order,
    succession::{After, Search},
};
use crate::{
    entry::{
        Offset,
        cursor::{EntryCursor, HeadHash, TailHash},
        stream_cursor,
    },
    limits::CURSOR_HEAD_BYTES,
    watch::{FileId, LogFile, Published, Reading},
};

/// Where to start in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The place.
    pub at: Offset,
    /// Hash of the bytes before it, where a cursor says so.
    pub tail: Option<TailHash>,
    /// Whether bytes of the log are known to be missing before it.
    pub after_gap: bool,
    /// Whether the record before it was sent without its terminator.
    pub after_piece: bool,
    /// The content of the file that it is a place in, where that need not be the present one any more.
    pub generation: Option<u32>,
}

/// A file, and the place up to which it has to be read first.
pub type Hold = (FileId, Offset);

/// A file in a subscription.
pub struct Member {
    /// The file.
    pub file: Arc<LogFile>,
    /// The generation that the place belongs to.
    pub generation: u32,
    /// The hash of the bytes before the place; none while nothing was read.
    pub tail: Option<TailHash>,
    /// Start of the cell that was asked for last.
    pub cell: Offset,
    /// Where reading ends, for those who do not follow: the head when the subscription began.
    pub stop: Option<Offset>,
    /// Where it stands in the merge of the backlog.
    pub order: Order,
    /// Whether what lies there is partly of other times than those asked for.
    pub at_edge: bool,
    /// End of the unterminated record behind `stop` that belongs to the answer.
    pub piece_end: Option<Offset>,
    /// Whether the next entry is to say that bytes are missing before it.
    pub after_gap: bool,
    /// The file that has to be read up to a place before this one.
    pub hold: Option<Hold>,
    /// What is searched for it.
    pub search_ahead: Option<WaitingItem>,
    /// What a search has gathered for it, being made.
    pub gathered: Option<WaitingItem>,
    /// Whether it has taken any of that.
    pub has_gathered: bool,
    /// Searches in a row that found something and gathered nothing.
    pub ungathered: usize,
    /// Whether it may be long until something matches, so that it is searched ahead.
    pub is_sparse: bool,
    /// The file whose content came before what it holds, where that is known.
    pub after: Option<After>,
    /// What is being read for it.
    pub waiting: Option<WaitingItem>,
    /// Whether there may be something to read.
    pub ready: bool,
    /// How far the file was written when last looked at, to tell what a truncation took.
    pub known: Published,
    /// The place before an unterminated record that was handed on and may go on, and the hash of the bytes before it.
    before_piece: Option<(Offset, TailHash)>,
    /// Whether the file was deleted and let go of, and that was told.
    pub is_lost: bool,
    /// Whether the place lies behind an unterminated record of a finished file.
    pub after_piece: bool,
    /// What happened just before what comes next in it.
    pub announce: Vec<Event>,
    /// The search for what became of what it held before.
    pub(super) search: Option<Search>,
    /// Where it stands between its matches, where what stands around them is wanted.
    pub nearby: Option<Box<Nearby>>,
    /// Where reading began.
    pub began: Offset,
    at: Offset,
    pub(super) reading: Arc<Reading>,
}

/// What is left to wait for, where those that `holds` names are waited for no more: what they waited for, at whatever remove.
pub fn beyond(mut hold: Option<Hold>, holds: &HashMap<FileId, Option<Hold>>) -> Option<Hold> {
    // A chain that comes back to itself has been gone round by then.
    for _ in 0..=holds.len() {
        let Some(next) = hold.and_then(|(file, _)| holds.get(&file)) else { return hold };
        hold = *next;
    }
    None
}

impl Member {
    /// A file that is read from `start` on.
    pub fn new(file: Arc<LogFile>, start: Start) -> Self {
        let published = file.published();
        let generation = start.generation.unwrap_or(published.generation);
        let reading = Reading::new(file.clone(), generation, start.at);
        Self {
            file,
            generation,
            tail: start.tail,
            cell: start.at,
            stop: None,
            order: Order::NONE,
            at_edge: false,
            piece_end: None,
            after_gap: start.after_gap,
            hold: None,
            search_ahead: None,
            gathered: None,
            has_gathered: false,
            ungathered: 0,
            is_sparse: true,
            after: None,
            waiting: None,
            ready: true,
            known: published,
            before_piece: None,
            is_lost: false,
            after_piece: start.after_piece,
            announce: Vec::new(),
            search: None,
            nearby: None,
            began: start.at,
            at: start.at,
            reading,
        }
    }

    /// The place up to which bytes were handed on.
    pub fn at(&self) -> Offset {
        self.at
    }

    /// The place up to which nothing is left to read: further than [`at`](Self::at) while a match that follows may bring
    /// records in between to be handed on.
    pub fn read_to(&self) -> Offset {
        self.reading.at()
    }

    /// Moves on.
    pub fn move_to(&mut self, at: Offset, tail: Option<TailHash>) {
        self.reading.move_to(at);
        (self.at, self.tail) = (at, tail);
    }

    /// Notes that it was read further than what was handed on.
    pub fn searched_to(&mut self, at: Offset) {
        self.reading.move_to(at);
    }

    /// The place as others see it.
    pub fn reading(&self) -> Arc<Reading> {
        self.reading.clone()
    }

    /// Moves behind an unterminated record that may go on: whoever comes back gets it again, whole.
    pub fn pass_piece(&mut self, end: Offset, before: TailHash) {
        self.before_piece = Some((self.at(), before));
        self.move_to(end, None);
    }

    /// Whether a cursor may rely on what is known of the file: it still holds the content that the place lies in and, where
    /// nothing of that was ever seen, has not been written to since it was looked at.
    pub fn is_known(&self) -> bool {
        let is_unread = || self.at() == Offset::ZERO && self.file.begins(self.generation).is_empty();
        self.file.published().generation == self.generation && !(self.file.is_dirty() && is_unread())
    }

    /// The place as a cursor, where what the cursor has to hold is known.
    pub fn cursor(&self) -> Option<EntryCursor> {
        match self.before_piece {
            Some((at, tail)) => self.cursor_at(at, tail),
            None if self.at() == Offset::ZERO => self.cursor_at(Offset::ZERO, TailHash::default()),
            None => self.cursor_at(self.at(), self.tail?),
        }
    }

    /// A place of the file as a cursor for the whole stream, with the hash of the bytes before it.
    pub fn cursor_at(&self, at: Offset, tail: TailHash) -> Option<EntryCursor> {
        let (head, tail) = if at == Offset::ZERO {
            stream_cursor::at_beginning(&self.file.begins(self.generation))
        } else {
            let beginning = self.file.begins(self.generation);
            let enough = beginning.len() as u64 >= at.0.min(CURSOR_HEAD_BYTES);
            enough.then(|| (HeadHash::of(&beginning, at), tail))?
        };
        let (key, lineage) = (self.file.identity.key, self.file.log.lineage);
        Some(EntryCursor { key, lineage, offset: at, head, tail, after_piece: self.after_piece })
    }

    /// Bytes that are read of it altogether, at most.
    pub fn bytes_in_all(&self) -> u64 {
        self.stop.unwrap_or(self.known.head).min(self.known.head).since(self.began)
    }

    /// Whether nothing of it is left to hand on.
    pub fn is_read_to_the_end(&self) -> bool {
        let published = self.file.published();
        self.is_lost
            || published.generation == self.generation
                && self.read_to() >= published.head.max(published.size).max(self.file.end_so_far())
                && !self.file.may_hold_more()
    }

    /// Takes in how far an archive goes, which a search from the end has found out.
    pub fn begin_at_the_end_of_a_search(&mut self) {
        self.known = self.file.published();
        let whole = self.stop.is_none_or(|stop| self.known.head <= stop);
        self.stop = self.stop.map(|stop| stop.min(self.known.head));
        self.piece_end = Some(self.known.size).filter(|size| whole && self.known.head < *size);
    }

    /// Begins with what the file held first.
    pub fn begin_at_its_first_content(&mut self) {
        self.generation = 0;
        self.reading.begin(0);
    }

    /// Begins anew in a file whose content did.
    pub fn begin_anew(&mut self, published: &Published) {
        self.generation = published.generation;
        self.known = *published;
        (self.waiting, self.search_ahead, self.gathered) = (None, None, None);
        (self.cell, self.began) = (Offset::ZERO, Offset::ZERO);
        (self.before_piece, self.after_piece, self.at_edge) = (None, false, false);
        self.reading.begin(published.generation);
        (self.at, self.tail) = (Offset::ZERO, None);
        if let Some(nearby) = &mut self.nearby {
            nearby.begin_anew();
        }
    }
}
