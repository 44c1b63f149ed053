//! What the daemon counts, by name and type. Knows nothing of the other rooms; all of them may count here.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

/// Over which wire a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// Server-sent events.
    Sse,
    /// Newline-delimited JSON.
    Ndjson,
    /// One page of JSON, long polls included.
    Json,
}

/// What happened to a file, as far as the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileEvent {
    /// Bytes were written, or a writer closed it.
    Modified,
    /// A name appeared, vanished or moved.
    Renamed,
    /// The kernel's queue overflowed: everything is looked at again.
    Overflow,
    /// Watching failed: the limit of watches, or a file system without events.
    WatchFailed,
}

/// Why bytes of a log were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// Truncated before they were read.
    Truncated,
    /// Deleted before they were read.
    Deleted,
    /// The file that a cursor names is gone.
    ResumeLost,
}

/// A limit that a client can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Open connections.
    Connections,
    /// Open connections of one address beyond loopback.
    ConnectionsPerAddress,
    /// Time to say what one wants: handshake, first bytes, headers.
    Handshake,
    /// Descriptors or memory that the system gives for connections.
    Descriptors,
    /// How long a client may not read, or be past its deadline.
    Stall,
    /// Open streams.
    Streams,
    /// Open streams of one client.
    StreamsPerClient,
    /// Bytes of a request.
    RequestBytes,
    /// Requests that search files at the same time.
    Scans,
}

impl Limit {
    /// Each of them.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Handshake,
        Self::Descriptors,
        Self::Stall,
        Self::Streams,
        Self::StreamsPerClient,
        Self::RequestBytes,
        Self::Scans,
    ];

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshake => "handshake",
            Self::Descriptors => "descriptors",
            Self::Stall => "stall",
            Self::Streams => "streams",
            Self::StreamsPerClient => "streams_per_client",
            Self::RequestBytes => "request_bytes",
            Self::Scans => "scans",
        }
    }
}

impl EncodeLabelValue for Limit {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        EncodeLabelValue::encode(&self.name(), encoder)
    }
}

macro_rules! label {
    ($($kind:ident { $($name:ident => $text:literal),* $(,)? })*) => {$(
        impl EncodeLabelValue for $kind {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                let text = match self { $(Self::$name => $text),* };
                EncodeLabelValue::encode(&text, encoder)
            }
        }
    )*};
}

label! {
    Transport { Grpc => "grpc", GrpcWeb => "grpc-web", Sse => "sse", Ndjson => "ndjson", Json => "json" }
    FileEvent { Modified => "modified", Renamed => "renamed", Overflow => "overflow", WatchFailed => "watch_failed" }
    GapReason { Truncated => "truncated", Deleted => "deleted", ResumeLost => "resume_lost" }
}

/// Label `transport`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransportLabel {
    /// Its value.
    pub transport: Transport,
}

/// Label `source`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabel {
    /// Its value.
    pub source: String,
}

/// Label `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabel {
    /// Its value.
    pub kind: FileEvent,
}

/// Label `reason`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GapLabel {
    /// Its value.
    pub reason: GapReason,
}

/// Label `limit`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitLabel {
    /// Its value.
    pub limit: Limit,
}

/// Label `how`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabel {
    /// Its value.
    pub how: &'static str,
}

/// Label `shape`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShapeLabel {
    /// Its value.
    pub shape: &'static str,
}

/// A gauge of bytes or counts.
pub type Level = Gauge<i64, std::sync::atomic::AtomicI64>;

/// Every counter of the daemon. Cheap to share; counting never waits.
pub struct Telemetry {
    registry: Registry,
    /// Streams open now.
    pub streams: Family<TransportLabel, Level>,
    /// Bytes between the slowest subscriber and its heads; set when metrics are asked for.
    pub stream_lag_bytes: Level,
    /// Entries handed to HTTP.
    pub entries_sent: Family<TransportLabel, Counter>,
    /// Bytes read from files, archives counted as they lie on disk.
    pub bytes_read: Family<SourceLabel, Counter>,
    /// Bytes that the cache holds.
    pub cache_bytes: Level,
    /// Requests to the cache that it could answer.
    pub cache_hits: Counter,
    /// Requests to the cache that it could not answer.
    pub cache_misses: Counter,
    /// Cells read from files.
    pub reads: Counter,
    /// Segments encoded.
    pub encodes: Family<ShapeLabel, Counter>,
    /// Files of each source.
    pub files: Family<SourceLabel, Level>,
    /// Log files held open.
    pub open_files: Level,
    /// Bytes of deleted files that are held for subscribers that lag.
    pub held_deleted_bytes: Level,
    /// File events seen.
    pub file_events: Family<EventLabel, Counter>,
    /// Gaps told to subscribers.
    pub gaps: Family<GapLabel, Counter>,
    /// Failed reads.
    pub read_errors: Family<SourceLabel, Counter>,
    /// From the moment when a change was seen to the moment when its bytes were handed to HTTP.
    pub delivery_seconds: Histogram,
    /// Connections open now.
    pub connections: Level,
    /// Connections that were served.
    pub connections_accepted: Counter,
    /// Connections that ended.
    pub connections_ended: Family<EndLabel, Counter>,
    /// Limits that somebody ran into.
    pub limits_reached: Family<LimitLabel, Counter>,
    /// 1 while the last configuration that was read is the one in force.
    pub config_last_reload_successful: Level,
}

impl Telemetry {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut new = Self {
            registry: Registry::default(),
            streams: Family::default(),
            stream_lag_bytes: Level::default(),
            entries_sent: Family::default(),
            bytes_read: Family::default(),
            cache_bytes: Level::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            reads: Counter::default(),
            encodes: Family::default(),
            files: Family::default(),
            open_files: Level::default(),
            held_deleted_bytes: Level::default(),
            file_events: Family::default(),
            gaps: Family::default(),
            read_errors: Family::default(),
            delivery_seconds: Histogram::new(exponential_buckets(25e-6, 2.0, 18)),
            connections: Level::default(),
            connections_accepted: Counter::default(),
            connections_ended: Family::default(),
            limits_reached: Family::default(),
            config_last_reload_successful: Level::default(),
        };
        new.config_last_reload_successful.set(1);
        new.register();
        // What may never happen is there from the beginning, so that a rate of it can be asked for.
        for reason in [GapReason::Truncated, GapReason::Deleted, GapReason::ResumeLost] {
            drop(new.gaps.get_or_create(&GapLabel { reason }));
        }
        for kind in [FileEvent::Modified, FileEvent::Renamed, FileEvent::Overflow, FileEvent::WatchFailed] {
            drop(new.file_events.get_or_create(&EventLabel { kind }));
        }
        for limit in Limit::ALL {
            drop(new.limits_reached.get_or_create(&LimitLabel { limit }));
        }
        new
    }

    /// The text that `/metrics` answers with, in the OpenMetrics format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing into a string does not fail");
        out
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("logtap_streams", "Streams open now", self.streams.clone());
        r.register(
            "logtap_stream_lag_bytes",
            "Largest lag of a stream behind its heads",
            self.stream_lag_bytes.clone(),
        );
        r.register("logtap_entries_sent", "Entries handed to HTTP", self.entries_sent.clone());
        r.register("logtap_bytes_read", "Bytes read from log files", self.bytes_read.clone());
        r.register("logtap_chunk_cache_bytes", "Bytes of cells and segments cached", self.cache_bytes.clone());
        r.register("logtap_chunk_cache_hits", "Requests that the cache answered", self.cache_hits.clone());
        r.register("logtap_chunk_cache_misses", "Requests that the cache did not answer", self.cache_misses.clone());
        r.register("logtap_reads", "Cells read from files", self.reads.clone());
        r.register("logtap_encodes", "Segments encoded", self.encodes.clone());
        r.register("logtap_files", "Files known", self.files.clone());
        r.register("logtap_open_files", "Log files held open", self.open_files.clone());
        r.register("logtap_held_deleted_bytes", "Bytes of deleted files held open", self.held_deleted_bytes.clone());
        r.register("logtap_file_events", "File events seen", self.file_events.clone());
        r.register("logtap_gaps", "Gaps told to subscribers", self.gaps.clone());
        r.register("logtap_read_errors", "Failed reads of log files", self.read_errors.clone());
        r.register("logtap_delivery_seconds", "Change seen to bytes handed to HTTP", self.delivery_seconds.clone());
        r.register("logtap_connections", "Connections open now", self.connections.clone());
        r.register("logtap_connections_accepted", "Connections served", self.connections_accepted.clone());
        r.register("logtap_connections_ended", "Connections ended, by how", self.connections_ended.clone());
        r.register("logtap_limit_reached", "Limits that clients ran into", self.limits_reached.clone());
        let reload = self.config_last_reload_successful.clone();
        r.register("logtap_config_last_reload_successful", "Whether the last configuration read is in force", reload);
        r.register("logtap_build", "The program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        r.register_collector(Box::new(ProcessCollector));
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

/// `process_*`, by the names that Prometheus' client libraries agree on, read from /proc when asked.
#[derive(Debug)]
struct ProcessCollector;

impl prometheus_client::collector::Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return Ok(()) };
        // The second field, the command's name, may hold anything but ends with the last parenthesis.
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        let at = |index: usize| fields.get(index).copied().unwrap_or(0.0);
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let cpu = ConstCounter::<f64>::new((at(11) + at(12)) / ticks);
        let described = encoder.encode_descriptor("process_cpu_seconds", "CPU time used", None, cpu.metric_type())?;
        cpu.encode(described)?;
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        for (name, help, value) in [
            ("process_virtual_memory_bytes", "Virtual memory", at(20)),
            ("process_resident_memory_bytes", "Resident memory", at(21) * rustix::param::page_size() as f64),
            ("process_threads", "Threads", at(17)),
            ("process_open_fds", "Open descriptors", descriptors as f64),
        ] {
            let gauge = ConstGauge::<f64>::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// A plain counter for code that has no labels to carry.
pub type Count = Counter<u64, AtomicU64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_published_ones() {
        let telemetry = Telemetry::new();
        telemetry.streams.get_or_create(&TransportLabel { transport: Transport::Grpc }).inc();
        telemetry.reads.inc();
        let text = telemetry.render();
        for line in [
            "logtap_streams{transport=\"grpc\"} 1",
            "logtap_reads_total 1",
            "logtap_build_info{version=",
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let named = |line: &&str| line.starts_with("logtap_streams");
        assert_eq!(text.lines().filter(named).count(), 1, "no other name begins with logtap_streams");
    }
}
