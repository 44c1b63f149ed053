//! Warns of logs that the daemon shows to more people than the file system does.

use crate::{
    config::Config,
    file::Stat,
    server::net::Address,
    watch::{Catalogue, LogFile, Source},
};

/// What others than owner and group may do, of a file's mode: read.
const OTHERS_READ: u16 = 0o004;

/// Warns for each source with a file that others may not read, where whoever reaches a TCP port may read it from us.
///
/// A certificate that is asked for is as good as a token here. Unix sockets have a mode of their own.
pub fn warn<'a>(config: &Config, addresses: impl IntoIterator<Item = &'a Address>, catalogue: &Catalogue) {
    let is_guarded = config.auth.is_some() || config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let tcp = addresses.into_iter().find(|address| matches!(address, Address::Tcp(_)));
    let Some(address) = tcp.filter(|_| !is_guarded) else { return };
    let files = catalogue.files();
    for source in catalogue.sources().iter() {
        if let Some(file) = files.iter().find(|file| is_of(file, source) && is_private(file)) {
            let (source, path) = (&source.name, file.path());
            tracing::warn!(source, path = %path.display(), %address, "whoever can connect may read what others may not");
        }
    }
}

fn is_of(file: &LogFile, source: &Source) -> bool {
    std::ptr::eq(&raw const *file.log.source, source)
}

fn is_private(file: &LogFile) -> bool {
    Stat::of_path(&file.path()).is_ok_and(|stat| stat.mode & OTHERS_READ == 0)
}
