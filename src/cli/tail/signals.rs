//! SIGINT and SIGTERM: the first asks for the end, which must come soon; the second is the end.

use std::{io, process, thread};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tokio::sync::watch;

use super::exit::Exit;
use crate::limits::CLIENT_FAREWELL_MAX;

/// Starts to wait for signals; the result changes to the exit that the first of them asks for.
///
/// # Errors
/// The handlers or the thread cannot be set up.
pub fn watch_signals() -> io::Result<watch::Receiver<Option<Exit>>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (asked, asks) = watch::channel(None);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let exit = Exit::Signal(u8::try_from(signal).unwrap_or(0));
            if asked.send_replace(Some(exit)).is_some() {
                process::exit(exit.status().into());
            }
            // Whoever is stuck in a write that nobody takes cannot see that it was asked to end.
            let farewell = thread::Builder::new().name("farewell".to_owned()).spawn(move || {
                thread::sleep(CLIENT_FAREWELL_MAX);
                process::exit(exit.status().into());
            });
            if farewell.is_err() {
                process::exit(exit.status().into());
            }
        }
    })?;
    Ok(asks)
}
