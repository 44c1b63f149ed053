//! The feed without a daemon around it: files in, streams out, in this process.

use std::{future::poll_fn, path::Path, sync::Arc};

use logtap::{
    feed::{
        Feed,
        event::Event,
        open::{self, Request},
        subscription::{End, Piece, Subscription},
    },
    limits::LINE_BYTES_DEFAULT,
    telemetry::Telemetry,
    watch::{Catalogue, Pattern, Settings, Source, catalogue::Scope, events::Hints},
};

/// A feed over the files that a glob names.
pub struct Tap {
    pub feed: Arc<Feed>,
    pub telemetry: Arc<Telemetry>,
}

/// What a stream brought, to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    pub bytes: Vec<u8>,
    pub entries: u64,
    pub crc: u32,
}

/// The source of all files that a glob names.
pub fn source(glob: &Path) -> Arc<Source> {
    let pattern = Pattern::new(glob.to_str().expect("a path that is text")).expect("a glob");
    let (name, rules) = ("test".to_owned(), Arc::default());
    let (exclude, line_max) = (Vec::new(), LINE_BYTES_DEFAULT);
    let settings = Settings { patterns: vec![pattern], exclude, rules, line_max, archives: false };
    Arc::new(Source::new(name, settings))
}

impl Tap {
    /// A feed with a cache of `cache` bytes.
    pub fn new(glob: &Path, cache: usize) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let catalogue = Arc::new(Catalogue::new(vec![source(glob)], telemetry.clone()));
        catalogue.scan(&Scope::All);
        let feed = Feed::new(catalogue, Hints::new(telemetry.clone()), telemetry.clone(), cache);
        Self { feed, telemetry }
    }

    pub async fn open(&self, request: Request) -> Subscription {
        open::open(&self.feed, request).await.expect("it can be served").0
    }

    /// Everything that a request selects, which must end well.
    pub async fn read(&self, request: Request) -> Stream {
        let mut subscription = self.open(request).await;
        let mut stream = Stream::default();
        while !advance(&mut subscription, &mut stream).await {}
        stream
    }
}

/// Takes the next piece; whether it was the end.
pub async fn advance(subscription: &mut Subscription, stream: &mut Stream) -> bool {
    match poll_fn(|context| subscription.poll_next(context)).await {
        Piece::Entries(_, segment) => {
            stream.bytes.extend_from_slice(&segment.bytes);
            stream.entries += u64::from(segment.entries);
            false
        }
        // Where the machine is busy a search may take so long that it says so.
        Piece::Event(Event::Progress(..)) => false,
        Piece::Event(event) => panic!("nothing happens beside the entries: {event:?}"),
        Piece::End(end) => {
            assert_eq!(end, End::Done);
            stream.crc = subscription.crc();
            true
        }
    }
}
