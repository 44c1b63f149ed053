//! Another configuration in the place of the one in force: all of it, or nothing.
//!
//! Everything is read, checked and loaded first, certificates and tokens too. Only then is anything replaced. What
//! cannot change while the daemon runs is named in the log and stays as it was.

use std::{error::Error, fmt, sync::Arc};

use sd_notify::NotifyState;
use tokio::{sync::Notify, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::{exposure, notify, secrets, sources};
use crate::{
    config::{Config, Inputs, Stamp},
    feed::Feed,
    limits::{CONFIG_LOOK_EVERY, SECRETS_LOOK_EVERY},
    server::{
        Shared,
        auth::Auth,
        http::guard::Hosts,
        net::{Address, Connections, Reloaded, Tls},
        streams::StreamLimits,
    },
    watch::{Catalogue, Configured},
};

/// What a reload replaces, and where it looks for it.
pub struct Reloader {
    /// What the configuration is made of.
    pub inputs: Inputs,
    /// What all requests share.
    pub shared: Arc<Shared>,
    /// Certificates, where there are any.
    pub tls: Option<Arc<Tls>>,
    /// The open connections.
    pub connections: Arc<Connections>,
    /// Where the daemon listens.
    pub addresses: Vec<Address>,
    /// The configuration that it was started with: some of it stays in force.
    pub started: Config,
    /// Somebody wants everything to be read again.
    pub asked: Notify,
    /// The files as they lay there when it was started.
    pub stamp: Stamp,
}

/// What the last reload left behind.
struct State {
    /// The configuration in force.
    config: Config,
    /// The files as they lay there when they were last read, whatever came of it.
    read: Stamp,
    /// The files as they lay there at the last look.
    seen: Stamp,
}

/// A configuration that can be put in force.
struct Prepared {
    config: Config,
    sources: Vec<Configured>,
    tls: Option<Tls>,
    auth: Auth,
}

/// Why a configuration is not put in force.
type Refusal = Box<dyn Error + Send + Sync>;

impl Reloader {
    /// Reads everything again when somebody asks for it or a file has changed, until `stop`. A task of its own: a file
    /// system that hangs under a configuration must not keep the daemon from hearing signals.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut state = State { config: self.started.clone(), read: self.stamp.clone(), seen: self.stamp.clone() };
        let mut secrets_looks = tokio::time::interval(SECRETS_LOOK_EVERY);
        let mut looks = tokio::time::interval(CONFIG_LOOK_EVERY);
        let work = async {
            loop {
                tokio::select! {
                    () = self.asked.notified() => {
                        self.reload_into(&mut state).await;
                        self.reload_secrets().await;
                    }
                    _ = secrets_looks.tick() => self.reload_secrets().await,
                    _ = looks.tick() => self.look(&mut state).await,
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    /// Reads certificates and tokens again if they changed; what is wrong with them leaves the old ones in force.
    async fn reload_secrets(&self) {
        let (shared, tls) = (self.shared.clone(), self.tls.clone());
        let reload = spawn_blocking(move || {
            if let Err(error) = shared.reload_auth() {
                tracing::error!(%error, "the tokens stay as they were");
            }
            match tls.map(|tls| tls.reload()) {
                Some(Ok(Reloaded::Changed)) => tracing::info!("certificates read again"),
                Some(Err(error)) => tracing::error!(%error, "the certificates stay as they were"),
                Some(Ok(Reloaded::Unchanged)) | None => {}
            }
        });
        if let Err(error) = reload.await {
            tracing::error!(%error, "reading certificates and tokens again failed");
        }
    }

    /// Reads everything again if a file has changed and is not being written any more: it lies there as at the last
    /// look, but not as it was read.
    async fn look(&self, state: &mut State) {
        let inputs = self.inputs.clone();
        let Ok(now) = spawn_blocking(move || inputs.stamp()).await else { return };
        let is_settled = now == state.seen;
        state.seen = now;
        if is_settled && state.seen != state.read {
            tracing::info!("the configuration's files have changed");
            self.reload_into(state).await;
        }
    }

    async fn reload_into(&self, state: &mut State) {
        let began = [NotifyState::Reloading].into_iter().chain(NotifyState::monotonic_usec_now());
        notify(&began.collect::<Vec<_>>());
        let inputs = self.inputs.clone();
        let (before, known) = (state.config.clone(), self.feed().catalogue.sources());
        let prepared = spawn_blocking(move || {
            // First the stamp, then the reading: what changes between the two is noticed.
            let stamp = inputs.stamp();
            (stamp, prepare(&inputs, &before, &known))
        });
        let result = match prepared.await {
            Ok((stamp, Ok(prepared))) => {
                (state.read, state.seen) = (stamp.clone(), stamp);
                self.put_in_force(state, prepared).await
            }
            Ok((stamp, Err(refusal))) => {
                (state.read, state.seen) = (stamp.clone(), stamp);
                Err(refusal)
            }
            Err(error) => Err(error.into()),
        };
        self.tell(&result);
    }

    /// Nothing of this can fail for what the configuration says.
    async fn put_in_force(&self, state: &mut State, next: Prepared) -> Result<(), Refusal> {
        for key in self.started.needs_restart(&next.config) {
            tracing::warn!(key, "takes effect when the daemon starts anew");
        }
        // Whom nobody may let in any more goes first, what there is to read comes last.
        if let (Some(tls), Some(next)) = (&self.tls, next.tls) {
            tls.become_like(next);
        }
        // The addresses stay, whatever the configuration says of them: who was asked for a credential there goes on to
        // be asked.
        if next.auth.is_open() && !self.shared.auth.is_open() {
            tracing::warn!(key = "auth", "takes effect when the daemon starts anew");
        } else {
            self.shared.auth.become_like(next.auth)?;
        }
        let withdrawn_streams = self.shared.withdraw_streams();
        let server = &next.config.server;
        self.shared.hosts.store(Arc::new(Hosts::new(&server.hosts, &self.addresses)));
        self.shared.streams.set_limits(stream_limits(&next.config));
        self.connections.set_stall(server.max_stall);
        let changes = Changes::of(&next.sources, &self.feed().catalogue.sources());
        let (catalogue, hints, sources) = (self.feed().catalogue.clone(), self.feed().hints.clone(), next.sources);
        spawn_blocking(move || {
            catalogue.reconfigure(&sources).iter().for_each(|file| hints.touch(file));
            // What it has to watch is for the watcher to find out.
            hints.rescan();
        })
        .await?;
        exposure::warn(&next.config, &self.addresses, &self.feed().catalogue);
        state.config = next.config;
        tracing::info!(%changes, withdrawn_streams, "configuration read again");
        Ok(())
    }

    /// The log, the metric and the service manager hear what came of it.
    fn tell(&self, result: &Result<(), Refusal>) {
        let state = &self.feed().telemetry.config_last_reload_successful;
        match result {
            Ok(()) => {
                state.set(1);
                notify(&[NotifyState::Ready, NotifyState::Status(&status(&self.feed().catalogue))]);
            }
            Err(refusal) => {
                state.set(0);
                let refusal = refusal.to_string();
                tracing::error!("the configuration was refused, and the old one stays:\n{}", refusal.trim_end());
                let first = refusal.lines().next().unwrap_or_default();
                let status = format!("{}; new configuration refused: {first}", status(&self.feed().catalogue));
                notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
            }
        }
    }

    fn feed(&self) -> &Feed {
        &self.shared.feed
    }
}

/// Reads, checks and loads all that a configuration names.
fn prepare(inputs: &Inputs, before: &Config, known: &[Arc<crate::watch::Source>]) -> Result<Prepared, Refusal> {
    let config = inputs.load()?.config;
    let sources = sources::compile(&config.sources, &before.sources, known)?;
    let (tls, auth) = secrets::load(&config)?;
    Ok(Prepared { config, sources, tls, auth })
}

/// The limits of streams that a configuration asks for.
pub fn stream_limits(config: &Config) -> StreamLimits {
    let server = &config.server;
    StreamLimits { all: server.max_streams, per_client: server.max_streams_per_client, stall: server.max_stall }
}

/// One line for the service manager.
pub fn status(catalogue: &Catalogue) -> String {
    format!("{} sources, {} files", catalogue.sources().len(), catalogue.files().len())
}

/// How many sources are new, other, gone and as before.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    new: usize,
    changed: usize,
    removed: usize,
    unchanged: usize,
}

impl Changes {
    fn of(next: &[Configured], known: &[Arc<crate::watch::Source>]) -> Self {
        let mut changes = Self::default();
        for next in next {
            match next {
                Configured::New(_) => changes.new += 1,
                Configured::Changed(..) => changes.changed += 1,
                Configured::Kept(_) => changes.unchanged += 1,
            }
        }
        changes.removed = known.len() - changes.changed - changes.unchanged;
        changes
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { new, changed, removed, unchanged } = self;
        write!(f, "{new} new, {changed} changed, {removed} removed, {unchanged} unchanged")
    }
}
