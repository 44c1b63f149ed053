//! Which logs are looked at once more before it is relied on where cursors were found to lead.

use std::{collections::HashSet, path::PathBuf};

use super::resume::Resolution;
use crate::limits::LOST_LOOKS_MAX;

/// The looks of one opening.
#[derive(Debug, Default)]
pub struct Looks {
    count: usize,
    /// Those that were looked at for having moved on.
    moved: HashSet<PathBuf>,
}

impl Looks {
    /// The live paths of the logs to look at after what was found last; none once it can be relied on.
    ///
    /// A rotation that is under way hides files: only what several looks do not find is lost. A log whose file holds something
    /// else by now is looked at once, since copies are whole before that shows; it may show at a later look that was for
    /// others. What begins anew after its own look begins in what it held then.
    pub fn next(&mut self, found: &Resolution) -> HashSet<PathBuf> {
        let lost = found.lost.iter().map(|lost| &lost.log).chain(found.rewritten.iter().map(|file| &file.log));
        let lost = lost.filter(|_| self.count < LOST_LOOKS_MAX).map(|log| log.path.clone());
        let mut logs: HashSet<PathBuf> = lost.collect();
        let moved = found.moved.iter().map(|log| log.path.clone());
        logs.extend(moved.filter(|log| self.moved.insert(log.clone())));
        self.count += 1;
        logs
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        feed::resume::Lost,
        watch::{Log, Settings, Source},
    };

    fn log(path: &str) -> Arc<Log> {
        let settings =
            Settings { patterns: Vec::new(), exclude: Vec::new(), rules: Arc::default(), line_max: 1, archives: true };
        Arc::new(Log::new(Arc::new(Source::new("s".to_owned(), settings)), path.into()))
    }

    #[test]
    fn a_log_that_moves_on_while_others_are_looked_at_is_looked_at_once_too() {
        let (a, b) = (log("/a"), log("/b"));
        let moved = |logs: &[&Arc<Log>]| {
            let mut found = Resolution::default();
            found.moved.extend(logs.iter().map(|log| Arc::clone(log)));
            found
        };
        let mut looks = Looks::default();
        assert_eq!(looks.next(&moved(&[&a])), HashSet::from(["/a".into()]));
        assert_eq!(looks.next(&moved(&[&a, &b])), HashSet::from(["/b".into()]));
        assert!(looks.next(&moved(&[&a, &b])).is_empty());
    }

    #[test]
    fn what_is_lost_is_looked_for_some_times_and_no_more() {
        let mut lost = Resolution::default();
        lost.lost.push(Lost { index: 0, log: log("/a") });
        let mut looks = Looks::default();
        let asked = (0..10).take_while(|_| !looks.next(&lost).is_empty()).count();
        assert_eq!(asked, LOST_LOOKS_MAX);
    }
}
