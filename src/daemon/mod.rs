//! The life story of the daemon: everything is checked before anything is bound, bound before it is said to be ready,
//! and drained before it ends.

mod exposure;
pub mod log;
mod reload;
pub mod secrets;
mod signals;
mod sources;
mod watchdog;

use std::{process::ExitCode, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use self::{
    reload::Reloader,
    signals::{Incoming, Signal},
};
use crate::{
    config::{self, Inputs, Loaded},
    feed::Feed,
    limits::{BLOCKING_THREADS_MAX, DRAIN_MAX, SHUTDOWN_MAX},
    server::{
        Shared,
        http::guard::Hosts,
        net::{self, ConnectionLimits, Connections, Listen, Listeners, Serving},
        reached::Reached,
        streams::Streams,
    },
    telemetry::Telemetry,
    watch::{
        Catalogue, Source,
        events::{Hints, Watching},
        pacer::Pacer,
    },
};

/// The exit code for a configuration that cannot work (`EX_CONFIG` of sysexits.h).
const BAD_CONFIGURATION: u8 = 78;

/// Serves until told to stop; `inputs` are what a reload reads again.
pub fn run(inputs: &Inputs, loaded: Loaded) -> ExitCode {
    if let Err(error) = net::raise_descriptor_limit() {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let sources = match sources::compile(&loaded.config.sources, &[], &[]) {
        Ok(sources) => sources.iter().map(|configured| configured.source().clone()).collect(),
        Err(error) => {
            tracing::error!(error, "bad configuration");
            return BAD_CONFIGURATION.into();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("serve")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(serve(inputs, loaded, sources));
    // Reads that hang on a dead file system must not keep the process.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    code
}

async fn serve(inputs: &Inputs, loaded: Loaded, sources: Vec<Arc<Source>>) -> ExitCode {
    let Loaded { config, stamp, .. } = loaded;
    let secrets = secrets::load(&config);
    let (tls, auth) = match secrets {
        Ok((tls, auth)) => (tls.map(Arc::new), Arc::new(auth)),
        Err(error) => {
            tracing::error!(%error, "cannot serve safely");
            return BAD_CONFIGURATION.into();
        }
    };
    let telemetry = Arc::new(Telemetry::new());
    let catalogue = Arc::new(Catalogue::new(sources, telemetry.clone()));
    let hints = Hints::new(telemetry.clone());
    let signals = match Incoming::new() {
        Ok(signals) => signals,
        Err(error) => return fail("cannot take over signals", &error),
    };
    let watching = {
        let (catalogue, hints) = (catalogue.clone(), hints.clone());
        tokio::task::spawn_blocking(move || Watching::start(catalogue, hints)).await
    };
    let watching = match watching {
        Ok(Ok(watching)) => watching,
        Ok(Err(error)) => return fail("cannot watch files", &error),
        Err(error) => return fail("cannot watch files", &error),
    };
    let listeners = match Listeners::open(&config.server.listen.iter().map(listen).collect::<Vec<_>>()) {
        Ok(listeners) => listeners,
        Err(error) => return fail("cannot listen", &error),
    };
    let stop = CancellationToken::new();
    let feed = Feed::new(catalogue.clone(), hints.clone(), telemetry.clone(), config.server.cache as usize);
    let pacer = tokio::spawn(Pacer::new(catalogue.clone(), hints.clone(), telemetry.clone()).run(stop.clone()));
    let reached = Reached::new(telemetry);
    let streams = Streams::new(reload::stream_limits(&config), reached.clone());
    let connections = Connections::new(reached);
    let sweep = tokio::spawn(streams.clone().sweep(connections.clone(), stop.clone()));
    let hosts = Hosts::new(&config.server.hosts, listeners.addresses());
    let (shared, health) = Shared::new(feed.clone(), streams.clone(), auth, hosts);
    shared.set_serving(true).await;
    let router = match crate::server::router(shared.clone(), health) {
        Ok(router) => router,
        Err(error) => return fail("cannot build the services", &error),
    };
    for address in listeners.addresses() {
        tracing::info!(%address, "listening");
    }
    exposure::warn(&config, listeners.addresses(), &catalogue);
    let shutdown = CancellationToken::new();
    let limits = ConnectionLimits { stall: config.server.max_stall, drain: DRAIN_MAX, ..ConnectionLimits::default() };
    let reloader = Reloader {
        inputs: inputs.clone(),
        shared: shared.clone(),
        tls: tls.clone(),
        connections: connections.clone(),
        addresses: listeners.addresses().cloned().collect(),
        started: config,
        asked: tokio::sync::Notify::new(),
        stamp,
    };
    let reloader = Arc::new(reloader);
    let reloading = tokio::spawn(reloader.clone().run(shutdown.clone()));
    let serving = Serving { listeners, tls: tls.clone(), limits, connections, shutdown: shutdown.clone() };
    let mut serving = tokio::spawn(net::serve(serving, router));
    notify(&[NotifyState::Ready, NotifyState::Status(&reload::status(&catalogue))]);
    let signs = [pacer.abort_handle(), sweep.abort_handle()];
    let watchdog = tokio::spawn(watchdog::feed(hints, signs, stop.clone()));

    let drained = Life { signals, feed, streams, shared, shutdown, reloader }.live(&mut serving).await;
    stop.cancel();
    for task in [pacer, sweep, watchdog, reloading] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task failed");
        }
    }
    // Its thread is joined; not on a thread that others need.
    if let Err(error) = tokio::task::spawn_blocking(move || drop(watching)).await {
        tracing::error!(%error, "the watcher failed");
    }
    tracing::info!(drained, "ended");
    ExitCode::SUCCESS
}

/// What runs from readiness to the end.
struct Life {
    signals: Incoming,
    feed: Arc<Feed>,
    streams: Arc<Streams>,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    reloader: Arc<Reloader>,
}

impl Life {
    /// Follows signals until told to stop, then drains; whether everything ended by itself.
    async fn live(mut self, serving: &mut tokio::task::JoinHandle<()>) -> bool {
        loop {
            match self.signals.next().await {
                Signal::Stop => break,
                Signal::Report => self.report(),
                Signal::Reload => self.reloader.asked.notify_one(),
            }
        }
        let open = self.streams.list().len();
        tracing::info!(streams = open, "draining");
        notify(&[NotifyState::Stopping]);
        self.shared.set_serving(false).await;
        self.feed.drain();
        self.shutdown.cancel();
        loop {
            tokio::select! {
                ended = &mut *serving => return ended.is_ok(),
                signal = self.signals.next() => if signal == Signal::Stop {
                    tracing::warn!("told to stop a second time: not waiting any longer");
                    serving.abort();
                    return false;
                },
            }
        }
    }

    fn report(&self) {
        let now = std::time::Instant::now();
        let streams = self.streams.list();
        let connections = self.reloader.connections.count();
        tracing::info!(streams = streams.len(), connections, "report");
        for stream in streams {
            tracing::info!(
                request_id = stream.request_id,
                method = stream.method,
                client = %stream.client,
                peer = %stream.connection.peer,
                age_seconds = stream.since.elapsed().as_secs(),
                files = stream.files(),
                lag_bytes = stream.lag(),
                stalled_seconds = stream.stalled(now).as_secs(),
                "stream"
            );
        }
    }
}

fn listen(configured: &config::Listen) -> Listen {
    match configured {
        config::Listen::Tcp(address) => Listen::Tcp(address.clone()),
        config::Listen::Unix(path) => Listen::Unix(path.clone()),
    }
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

fn fail(what: &str, error: &dyn std::error::Error) -> ExitCode {
    tracing::error!(%error, "{what}");
    notify(&[NotifyState::Status(&format!("{what}: {error}")), NotifyState::Errno(1)]);
    ExitCode::FAILURE
}

const _: () = assert!(DRAIN_MAX.as_millis() + SHUTDOWN_MAX.as_millis() < Duration::from_secs(10).as_millis());
