//! The server in this process, on a port of its own: what it holds can be looked at from outside.

use std::{path::Path, sync::Arc};

use logtap::{
    feed::Feed,
    limits::STALL_MAX_DEFAULT,
    server::{
        self, Shared,
        auth::{Auth, AuthSettings},
        http::guard::Hosts,
        net::{Address, ConnectionLimits, Connections, Listen, Listeners, Serving},
        reached::Reached,
        streams::{StreamLimits, Streams},
    },
    telemetry::Telemetry,
    watch::{
        Catalogue,
        events::{Hints, Watching},
        pacer::Pacer,
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Endpoint;

use super::{client::V1Client, soon, tap::source};

/// Bytes that a client lets the server send ahead.
const WINDOW: u32 = 65_535;

/// Everything between a socket and a file, without the process around it.
pub struct Served {
    pub feed: Arc<Feed>,
    pub streams: Arc<Streams>,
    address: Address,
    _watching: Watching,
    _stop: DropGuard,
}

impl Served {
    /// Serves the files that a glob names, with a cache of `cache` bytes.
    pub async fn start(glob: &Path, cache: usize) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let catalogue = Arc::new(Catalogue::new(vec![source(glob)], telemetry.clone()));
        let hints = Hints::new(telemetry.clone());
        let watching = Watching::start(catalogue.clone(), hints.clone()).expect("files can be watched");
        let stop = CancellationToken::new();
        let feed = Feed::new(catalogue.clone(), hints.clone(), telemetry.clone(), cache);
        tokio::spawn(Pacer::new(catalogue, hints, telemetry.clone()).run(stop.clone()));
        let reached = Reached::new(telemetry);
        let streams =
            Streams::new(StreamLimits { all: 1024, per_client: 64, stall: STALL_MAX_DEFAULT }, reached.clone());
        let open_to_all = Auth::load(AuthSettings::default()).expect("there is nothing to read");
        let (shared, health) = Shared::new(feed.clone(), streams.clone(), Arc::new(open_to_all), Hosts::default());
        let router = server::router(shared, health).expect("the descriptors are some");
        let listeners = Listeners::bind(&[Listen::Tcp("127.0.0.1:0".into())]).expect("a port is free");
        let address = listeners.addresses().next().expect("there is one").clone();
        let (limits, connections, shutdown) = (ConnectionLimits::default(), Connections::new(reached), stop.clone());
        tokio::spawn(server::net::serve(Serving { listeners, tls: None, limits, connections, shutdown }, router));
        Self { feed, streams, address, _watching: watching, _stop: stop.drop_guard() }
    }

    /// A client with a connection of its own, whose windows are the smallest that HTTP/2 begins with.
    pub async fn client(&self) -> V1Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        V1Client::new(soon("a connection", endpoint.connect()).await.expect("it listens"))
    }
}
