//! Signals as values, awaited one after the other.

use std::{io, pin::Pin};

use futures_core::Stream as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Drain and end; a second time: end at once.
    Stop,
    /// Read the configuration again.
    Reload,
    /// Write all subscriptions into the log.
    Report,
}

/// The signals that the daemon handles, from here on.
pub struct Incoming(Signals);

impl Incoming {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map(Self)
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        match std::future::poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await {
            Some(SIGHUP) => Signal::Reload,
            Some(SIGUSR1) => Signal::Report,
            // Without a source of signals there is nobody to keep running for.
            Some(_) | None => Signal::Stop,
        }
    }
}
