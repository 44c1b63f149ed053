//! Log lines that strangers can provoke, written seldom.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::limits;

/// Lets one line through every [`limits::LOG_LINE_EVERY`] and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl Seldom {
    /// `Some` when a line may be written now, with the number of lines that were not written since the last one.
    pub(crate) fn allow(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.last {
            Some(last) if now.saturating_duration_since(last) < limits::LOG_LINE_EVERY => {
                state.suppressed += 1;
                None
            }
            Some(_) | None => {
                state.last = Some(now);
                Some(std::mem::take(&mut state.suppressed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_and_the_next_tells_how_many_were_not_written() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.allow(start), Some(0));
        assert_eq!(seldom.allow(start), None);
        assert_eq!(seldom.allow(start + limits::LOG_LINE_EVERY / 2), None);
        assert_eq!(seldom.allow(start + limits::LOG_LINE_EVERY), Some(2));
        assert_eq!(seldom.allow(start + limits::LOG_LINE_EVERY), None);
    }
}
