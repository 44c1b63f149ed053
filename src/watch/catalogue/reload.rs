//! Other sources in the place of those that were configured, while everything else goes on.
//!
//! A source that stays keeps its files, and with them everybody who reads or waits. One whose settings changed keeps
//! those files that are still its own. What no source has any more, or what now belongs to another one, is dismissed:
//! nothing more of it is sent to those who follow.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{Catalogue, Scope};
use crate::{
    entry::Offset,
    file::Identity,
    sync::lock,
    telemetry::SourceLabel,
    watch::{
        log::{Settings, Source},
        logfile::{LogFile, Role},
    },
};

/// A source as a new configuration has it.
#[derive(Debug)]
pub enum Configured {
    /// Nothing about it changed.
    Kept(Arc<Source>),
    /// It is known under its name, and has other settings from now on.
    Changed(Arc<Source>, Arc<Settings>),
    /// It was not there.
    New(Arc<Source>),
}

impl Configured {
    /// The source.
    pub fn source(&self) -> &Arc<Source> {
        match self {
            Self::Kept(source) | Self::Changed(source, _) | Self::New(source) => source,
        }
    }
}

/// What was in force before, as far as the first look under other sources has to know.
pub(super) struct Before {
    settings: Vec<Arc<Settings>>,
    /// How far those files were written that were dismissed.
    heads: HashMap<Identity, Offset>,
}

impl Before {
    /// Whether a file at this path, had it come up before, would have been news to those who follow.
    pub(super) fn claimed(&self, path: &Path) -> bool {
        self.settings.iter().any(|settings| settings.claims(path))
    }

    /// Where those begin for whom a file is new that was there already, when it is a known one in another's hands.
    pub(super) fn head(&self, file: &LogFile) -> Option<Offset> {
        self.heads.get(&file.identity).copied()
    }
}

impl Catalogue {
    /// Puts these sources in force, in this order, and looks at the file system under them. May wait for disks.
    ///
    /// Returns the files that joined or lost their place. What they have to be watched by is for the watcher to find
    /// out, who is to look at everything next.
    pub fn reconfigure(&self, next: &[Configured]) -> Vec<Arc<LogFile>> {
        let _looking = lock(&self.looking);
        let sources: Vec<_> = next.iter().map(|next| next.source().clone()).collect();
        let before = self.sources.load_full();
        let settings = before.iter().map(|source| source.settings()).collect();
        for next in next {
            if let Configured::Changed(source, settings) = next {
                source.set_settings(settings.clone());
            }
        }
        self.sources.store(Arc::new(sources.clone()));
        for gone in before.iter().filter(|old| !sources.iter().any(|new| new.name == old.name)) {
            self.telemetry.files.remove(&SourceLabel { source: gone.name.clone() });
        }
        let heads = self.dismiss_strangers(&sources);
        let changed = next.iter().filter_map(|next| match next {
            Configured::Changed(source, _) => Some(source),
            Configured::Kept(_) | Configured::New(_) => None,
        });
        let changed: Vec<_> = changed.collect();
        let files = self.look(&Scope::All, Some(&Before { settings, heads })).unwrap_or_default();
        // By other rules the last record may be over.
        for file in self.files().iter().filter(|file| changed.iter().any(|it| Arc::ptr_eq(it, &file.log.source))) {
            file.settle();
        }
        files
    }

    /// Lets go of the files whose logs are not their source's any more; how far those were written that somebody waited
    /// for.
    fn dismiss_strangers(&self, sources: &[Arc<Source>]) -> HashMap<Identity, Offset> {
        let strangers: Vec<_> = self.files().into_iter().filter(|file| !self.still_has(sources, file)).collect();
        lock(&self.known).dismiss(&strangers, sources);
        for file in &strangers {
            file.dismiss();
            tracing::info!(source = file.log.source.name, path = %file.path().display(), "file is not served any more");
        }
        let waited_for = strangers.iter().filter(|file| file.is_waited_on());
        waited_for.map(|file| (file.identity, file.published().head)).collect()
    }

    fn still_has(&self, sources: &[Arc<Source>], file: &LogFile) -> bool {
        let log = &file.log;
        if !sources.iter().any(|source| Arc::ptr_eq(source, &log.source)) {
            return false;
        }
        let is_past = file.role() == Role::Archive;
        let owner = self.owner(&log.path);
        owner.is_some_and(|(source, path)| Arc::ptr_eq(&source, &log.source) && path == log.path)
            && (!is_past || log.source.settings().archives)
    }

    /// Says from where on a file is news that nobody knew of only because no source had it.
    pub(super) fn begin_behind(&self, file: &LogFile, before: &Before) {
        let is_wanted = || lock(&self.interests).values().any(|(_, wanted)| wanted(file));
        let head = before.head(file).or_else(|| {
            // Whole lines only, as for those who come later; where nobody is there to see it, any place will do.
            is_wanted().then(|| file.check_blocking().ok().map(|_| file.published().head)).flatten()
        });
        file.known_before(head.unwrap_or(file.first_size), None);
    }
}
