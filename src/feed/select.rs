//! What a filter selects of a cell: found once for all who have the same filter, and remembered with the cell.

use std::sync::Arc;

use super::SharedFilter;
use crate::{
    entry::flag,
    file::{Cell, Marks},
    filter::{Filter, Prefilter},
    parse::{self, Context, Rules},
};

/// Of this many records at least one is selected where parsing them singly does not pay: each may be parsed again.
const DENSE_SHARE: usize = 4;

/// The records of a cell that a filter selects.
#[derive(Clone, Debug)]
pub enum Selected {
    /// All of them.
    All,
    /// These.
    Marked(Arc<Marks>),
}

impl Selected {
    /// What `filter` selects of `cell`.
    pub fn of(filter: &SharedFilter, cell: &Cell) -> Self {
        if filter.filter.is_everything() {
            return Self::All;
        }
        Self::Marked(cell.marks(filter.number, || marks_of(&filter.filter, cell)))
    }

    /// Whether they are so many of `len` that all records may as well be parsed at once, for everybody.
    pub fn is_dense(&self, len: usize) -> bool {
        match self {
            Self::All => true,
            Self::Marked(marks) => marks.count() * DENSE_SHARE > len,
        }
    }

    /// Whether the record at `index` is one of them.
    pub fn contains(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Marked(marks) => marks.contains(index),
        }
    }

    /// The first of them at or behind `from`, in a cell of `len` records.
    pub fn next_from(&self, from: usize, len: usize) -> Option<usize> {
        match self {
            Self::All => Some(from).filter(|from| *from < len),
            Self::Marked(marks) => marks.next_from(from),
        }
    }
}

fn marks_of(filter: &Filter, cell: &Cell) -> Marks {
    let mut marks = Marks::none(cell.len());
    // Where the text is not what the file holds there is nothing to search.
    match filter.prefilter(cell.rules()).filter(|_| !cell.is_wide()) {
        None => (0..cell.len()).filter(|index| selects(filter, cell, *index)).for_each(|index| marks.set(index)),
        Some(prefilter) => mark_found(&mut marks, filter, prefilter, cell),
    }
    marks
}

/// Marks what `filter` selects of those records in which its prefilter is found.
fn mark_found(marks: &mut Marks, filter: &Filter, prefilter: &Prefilter, cell: &Cell) {
    if prefilter.has_looks() {
        let is_odd = |index: &usize| begins_or_ends_oddly(cell, *index);
        (0..cell.len()).filter(is_odd).filter(|index| selects(filter, cell, *index)).for_each(|index| marks.set(index));
    }
    let (text, decided) = (cell.bytes(), filter.is_decided_by_prefilter());
    let mut at = if cell.is_empty() { text.len() } else { cell.range_of(0).start };
    while let Some(found) = prefilter.find(text, at..text.len()) {
        let index = cell.record_with(found.start);
        let inside = decided && found.end <= cell.range_of(index).end;
        if inside || selects(filter, cell, index) {
            marks.set(index);
        }
        if index + 1 == cell.len() {
            break;
        }
        at = cell.range_of(index + 1).start;
    }
}

/// Whether a record does not begin where a line does, or does not end where its line does.
fn begins_or_ends_oddly(cell: &Cell, index: usize) -> bool {
    let start = cell.range_of(index).start;
    start > 0 && cell.bytes()[start - 1] != b'\n' || cell.records()[index].flags & flag::TRUNCATED != 0
}

/// Whether `filter` selects the record at `index`.
fn selects(filter: &Filter, cell: &Cell, index: usize) -> bool {
    let record = cell.bytes_of(&cell.records()[index]);
    filter.matches(record, || cell.severity(index))
        && (filter.wanted_fields().is_empty()
            || filter.matches_fields(&cell.with_context(index, |context| fields_of(cell.rules(), context, record))))
}

/// The parsed fields and labels of a record; of a key that comes twice the first stays.
pub(super) fn fields_of(rules: &Rules, context: &Context, record: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut each = |key: &str, value: &str| {
        if !fields.iter().any(|(known, _)| known == key) {
            fields.push((key.to_owned(), value.to_owned()));
        }
    };
    parse::fields(rules, context, record, &mut each);
    fields
}
