//! Which records of a cell somebody wants: a bit for each, remembered with the cell for everybody who wants the same.

use std::sync::Arc;

use crate::{
    limits::CELL_MARKS_MAX,
    sync::{Mutex, lock},
};

/// A set of the records of one cell, by their indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    words: Box<[u64]>,
}

impl Marks {
    /// None of `len` records.
    pub fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)].into() }
    }

    /// Takes a record in.
    pub fn set(&mut self, index: usize) {
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// Whether a record is in it.
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// The first record in it at or behind `from`.
    pub fn next_from(&self, from: usize) -> Option<usize> {
        let first = from / 64;
        let masked = |at: usize, word: u64| if at == first { word & (u64::MAX << (from % 64)) } else { word };
        let words = self.words.iter().enumerate().skip(first);
        words
            .map(|(at, word)| (at, masked(at, *word)))
            .find(|(_, word)| *word != 0)
            .map(|(at, word)| at * 64 + word.trailing_zeros() as usize)
    }

    /// How many records are in it.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// The marks of a cell for those who asked last, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Vec<(u64, Arc<Marks>)>>);

impl Remembered {
    /// The marks for `number`; made when nobody has asked for them lately.
    pub(super) fn of(&self, number: u64, make: impl FnOnce() -> Marks) -> Arc<Marks> {
        let known = lock(&self.0).iter().find(|(known, _)| *known == number).map(|(_, marks)| marks.clone());
        if let Some(known) = known {
            return known;
        }
        // Made without the lock: two who ask at once make the same.
        let made = Arc::new(make());
        let mut all = lock(&self.0);
        if all.len() >= CELL_MARKS_MAX {
            all.remove(0);
        }
        all.push((number, made.clone()));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_order() {
        for len in [1, 63, 64, 65, 200] {
            let mut marks = Marks::none(len);
            assert_eq!((marks.next_from(0), marks.count()), (None, 0));
            let wanted: Vec<usize> = (0..len).filter(|index| index % 63 == 0).collect();
            wanted.iter().for_each(|index| marks.set(*index));
            for from in 0..=len {
                let next = wanted.iter().copied().find(|index| *index >= from);
                assert_eq!((marks.next_from(from), marks.contains(from)), (next, wanted.contains(&from)), "{from}");
            }
            assert_eq!(marks.count(), wanted.len());
        }
    }

    #[test]
    fn a_cell_remembers_what_was_asked_last() {
        let remembered = Remembered::default();
        let of = |number: u64| {
            let mut made = false;
            remembered.of(number, || {
                made = true;
                Marks::none(number as usize)
            });
            made
        };
        let count = CELL_MARKS_MAX as u64;
        assert!((0..count).all(of) && !(0..count).any(of));
        assert!(of(count) && !of(1) && of(0));
    }
}
