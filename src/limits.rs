//! Every bound of the program, with its unit, the reason for its size, and the relations between them.
//!
//! A number that limits memory, time or a count stands here and nowhere else, so that `logtap check` can print it and
//! a reader can see what the program may cost. This room knows nothing of the others.

use std::time::Duration;

/// One kibibyte, in bytes.
pub const KIB: usize = 1 << 10;
/// One mebibyte, in bytes.
pub const MIB: usize = 1 << 20;

// ---- Reading ----

/// Cells end at the first record start at or past a multiple of this many bytes of the file offset, so that readers
/// that started anywhere share their cells from the next multiple on.
pub const GRID_BYTES: u64 = 64 * KIB as u64;
/// Encoded bytes after which a segment is closed; a single entry may exceed it. A stopped subscriber pins at most two
/// segments: the one HTTP/2 is sending and the one hyper has taken ahead of the client's window.
pub const SEGMENT_BYTES: usize = 16 * KIB;
/// Bytes before a record that may tell its time when it has none of its own.
pub const LOOK_BACK_BYTES: u64 = 64 * KIB as u64;
/// Lines without a beginning are cut into records behind each multiple of so many bytes of the file offset.
pub const RECORD_BYTES_MAX: u64 = MIB as u64;
/// Zeros in a row at the beginning of a line that do not belong to it: no program writes so many, but a truncated file has
/// them before the next line of a writer that does not append.
pub const ZERO_RUN_BYTES_MIN: u64 = 4 * KIB as u64;
/// Records of each cell that are looked at to say which format a file has.
pub const FORMAT_SAMPLE_RECORDS: usize = 16;
/// Bytes at the beginning of a file that may tell how to read it: a byte order mark, a header, the format.
pub const CONTEXT_BYTES: usize = 4 * KIB;
/// Longest line kept, in bytes, unless the configuration says otherwise; the rest of a longer line is dropped.
pub const LINE_BYTES_DEFAULT: usize = MIB;
/// Longest `max_line` that a configuration may ask for: as `raw` alone it still fits into an entry.
pub const LINE_BYTES_MAX: usize = 3 * MIB;
/// Bytes kept of a line in UTF-16: with its text, which may be half as long again, it still fits into an entry.
pub const WIDE_RECORD_BYTES_MAX: usize = MIB;
/// Parsed fields of one record, its labels included; further ones are left out.
pub const FIELD_COUNT_MAX: usize = 256;
/// An encoded entry never exceeds this: gRPC clients refuse messages over 4 MiB unless told otherwise.
pub const ENTRY_BYTES_MAX: usize = 3 * MIB + 512 * KIB;
/// Largest message that clients accept by default (gRPC's own default).
pub const CLIENT_MESSAGE_BYTES: usize = 4 * MIB;

/// Steps of the grid that one job reads backwards, so that a cancelled search ends soon.
pub const TAIL_STEP_GRIDS_MAX: usize = 16;
/// No entry of a rotated file is this much later than its file's last change: a search from the end does not open files
/// that are older than what it has found.
pub const TAIL_SLACK: Duration = Duration::from_secs(60);
/// Files that one job reads backwards in.
pub const TAIL_STEP_FILES_MAX: usize = 64;

/// A record is found by its time if it stands no further than this from where the times of its file would have it.
pub const DISPLACED_MAX: Duration = Duration::from_secs(5 * 60);
/// Cells in a row without a credible time that a search by time passes before it gives up.
pub const SEEK_TRIES_MAX: usize = 64;
/// A file holds no time that is later than its last change by more than this, whatever zone its times are in.
pub const SKEW_MAX: Duration = Duration::from_secs(24 * 3600);
/// A stream that ends by the clock looks at it this often, since it may be set.
pub const CLOCK_LOOK_EVERY: Duration = Duration::from_secs(10);

/// Bytes searched for a pattern at once, before there are any records: what fits into a core's own cache.
pub const SCAN_BLOCK_BYTES: usize = 256 * KIB;
/// Searches begin and end anew at multiples of this many bytes of the file offset, so that all who search a file for the
/// same share what they find.
pub const SCAN_WINDOW_BYTES: u64 = 32 * MIB as u64;
/// Less than this is not searched ahead, but looked at cell by cell.
pub const SCAN_BYTES_MIN: u64 = 128 * KIB as u64;
/// A search works for about this long before others have their turn.
pub const SCAN_WORK_MAX: Duration = Duration::from_millis(5);
/// What a search finds is made into so many segments in a row before anybody asks for them.
pub const GATHER_AHEAD_MAX: usize = 16;
/// What nobody but its maker has asked for has this share of the cache: 1 / 8.
pub const CACHE_FRESH_SHARE: usize = 8;
/// But no less than so many bytes, if there are so many.
pub const CACHE_FRESH_BYTES_MIN: usize = MIB;
/// Segments that searches make end at multiples of so many bytes of the file offset, besides: those who came from different
/// places go on with the same ones.
pub const GATHER_GRID_BYTES: u64 = MIB as u64;
/// A searched block is longer than this, in bytes, so that it holds a whole record.
pub const SCAN_SLACK_BYTES: u64 = 64 * KIB as u64;
/// After so many searches in a row from which nothing could be made, cells are read for as long as they have matches.
pub const UNGATHERED_MAX: usize = 3;
/// A search that makes segments works for so many times as long before others have their turn: 20 ms.
pub const GATHER_WORK_FACTOR: u32 = 4;
/// With a smaller cache, in bytes, a search makes no segments: they would be gone before somebody asks.
pub const GATHER_CACHE_MIN: usize = 4 * GATHER_AHEAD_MAX * SEGMENT_BYTES;
/// Of the processors, this share searches history at the same time: 1 / 2, and one at least.
pub const SCAN_PROCESSORS_SHARE: usize = 2;
/// A search that works for so long hangs on a disk or a dead file system: its place is given to another.
pub const SCAN_STUCK_AFTER: Duration = Duration::from_secs(1);
/// A stream of batches that finds nothing says how far it has come this often.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Files that a merge by time waits for at once.
pub const MERGE_READS_MAX: usize = 8;
/// Bytes of cells that a merge of many files keeps in the cache altogether: each file's share of it, down to the least, is
/// what is read of it at once.
pub const MERGE_AHEAD_BYTES: u64 = 16 * MIB as u64;
/// The least that a merge reads of a file at once, in bytes.
pub const MERGE_AHEAD_BYTES_MIN: u64 = 4 * KIB as u64;
/// How often a stream that follows merges in what was written while it read its backlog, before it goes on live.
pub const MERGE_ROUNDS: usize = 3;

// ---- Cursors ----

/// An entry cursor has exactly this many bytes.
pub const CURSOR_BYTES: usize = 32;
/// Bytes from the beginning of a file that a cursor remembers the hash of.
pub const CURSOR_HEAD_BYTES: u64 = 1024;
/// Bytes before the offset that a cursor remembers the hash of: xxh3's short path ends at 240.
pub const CURSOR_TAIL_BYTES: u64 = 240;
/// A whole-stream cursor never exceeds this.
pub const STREAM_CURSOR_BYTES_MAX: usize = MIB;
/// A whole-stream cursor up to this size goes into every batch and into the trailers.
pub const STREAM_CURSOR_BYTES_CHEAP: usize = 2 * KIB;
/// A batch stream sends its cursor whole at least this often while entries flow.
pub const STREAM_CURSOR_EVERY: Duration = Duration::from_secs(1);
/// The same, in bytes of entries.
pub const STREAM_CURSOR_EVERY_BYTES: usize = MIB;
/// Largest whole-stream cursor in a trailer, in bytes.
pub const TRAILER_CURSOR_BYTES_MAX: usize = 4 * KIB;
/// Cursors in one request.
pub const RESUME_COUNT_MAX: usize = 4096;

// ---- Cache ----

/// Bytes of cells and segments kept, unless the configuration says otherwise.
pub const CACHE_BYTES_DEFAULT: u64 = 64 * MIB as u64;
/// Filters for which a cell remembers what they select of it: a bit for each record and filter.
pub const CELL_MARKS_MAX: usize = 8;
/// What keeping one item costs beside its bytes: key, links, counters. Counted against the budget.
pub const CACHE_ITEM_OVERHEAD_BYTES: usize = 256;

/// Largest cache that a configuration may ask for, in bytes.
pub const CACHE_CONFIGURED_BYTES_MAX: u64 = 1 << 36;

// ---- Configuration ----

/// Largest configuration file, in bytes: what is larger is no configuration.
pub const CONFIG_BYTES_MAX: u64 = 4 * MIB as u64;
/// Sources of one configuration.
pub const SOURCE_COUNT_MAX: usize = 1024;
/// Globs in one list of a configuration.
pub const GLOB_COUNT_MAX: usize = 1024;
/// Length of a source's name, in bytes.
pub const SOURCE_NAME_BYTES_MAX: usize = 64;
/// Labels of one source: each goes into every entry whose fields are asked for.
pub const LABEL_COUNT_MAX: usize = 32;
/// Length of a label's key and of its value, in bytes, each.
pub const LABEL_BYTES_MAX: usize = 1024;

// ---- Requests ----

/// Largest request message, in bytes.
pub const REQUEST_BYTES_MAX: usize = 4 * MIB;
/// Patterns in one request, `include` and `exclude` together.
pub const PATTERN_COUNT_MAX: usize = 32;
/// Length of one pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 4 * KIB;
/// Globs in `sources` and in `paths` of one request, each: more than there can be sources.
pub const REQUEST_GLOBS_MAX: usize = 1024;
/// Length of all globs in `sources` and in `paths` of one request, each, in bytes: compiled they take some hundred times as
/// much for as long as the stream lives.
pub const REQUEST_GLOBS_BYTES_MAX: usize = 64 * KIB;
/// Length of one glob, in bytes: no path is longer.
pub const GLOB_BYTES_MAX: usize = 4 * KIB;
/// Opening braces in one glob: groups may stand in groups, and are compiled by recursion.
pub const GLOB_GROUPS_MAX: usize = 64;
/// Compiled size of the patterns of one request together, in bytes.
pub const PATTERNS_COMPILED_BYTES_MAX: usize = MIB;
/// Context entries on one side of a match.
pub const CONTEXT_ENTRIES_MAX: u32 = 1000;
/// Bytes of what a refusal says, which may quote the request. It goes into headers, percent-encoded and once more in
/// base64, and many clients take 8 KiB of those.
pub const STATUS_TEXT_BYTES_MAX: usize = KIB;
/// Length of an `x-request-id` that is taken over from the client.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

// ---- Streams ----

/// Concurrent streams, unless the configuration says otherwise.
pub const STREAMS_MAX_DEFAULT: u32 = 1024;
/// Concurrent streams of one client, unless the configuration says otherwise.
pub const STREAMS_PER_CLIENT_DEFAULT: u32 = 64;
/// Most concurrent streams that a configuration may ask for, altogether or for one client.
pub const STREAMS_CONFIGURED_MAX: u32 = 1_000_000;
/// Longest time that one poll of a stream may work before it lets others run.
pub const POLL_WORK_MAX: Duration = Duration::from_micros(500);
/// How long after its deadline a stream that is not being read may live before its connection is closed.
pub const DEADLINE_GRACE: Duration = Duration::from_secs(5);
/// How long streams have to end after a drain began, before their connections are closed.
pub const DRAIN_MAX: Duration = Duration::from_secs(8);
/// How long a connection may stop reading, unless the configuration says otherwise.
pub const STALL_MAX_DEFAULT: Duration = Duration::from_secs(3600);
/// Shortest such time that a configuration may ask for: below it a short pause of the network would cost connections.
pub const STALL_CONFIGURED_MIN: Duration = Duration::from_secs(1);
/// Longest such time that a configuration may ask for.
pub const STALL_CONFIGURED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// A following batch stream without anything to say sends a heartbeat this often.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How often streams are looked at from outside, for deadlines that a stopped reader hides.
pub const STREAM_SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Bytes of entries in one batch, unless the request says otherwise.
pub const BATCH_BYTES_DEFAULT: usize = 64 * KIB;
/// Most bytes of entries that a request may ask for in one batch.
pub const BATCH_BYTES_MAX: usize = MIB;

/// Messages of batches with fewer bytes are never compressed: that would save next to nothing.
pub const COMPRESSED_BYTES_MIN: usize = KIB;
/// Nor are longer ones, which take milliseconds: batches as long as can be asked for, with all that goes with them.
pub const COMPRESSED_BYTES_MAX: usize = 2 * MIB;

// ---- Plain HTTP ----

/// Entries on a page of JSON, unless the request says otherwise.
pub const PAGE_ENTRIES_DEFAULT: u64 = 1000;
/// Entries on a page of JSON at most.
pub const PAGE_ENTRIES_MAX: u64 = 10_000;
/// Bytes of entries on a page of JSON, unless one entry alone has more.
pub const PAGE_BYTES_MAX: usize = 4 * MIB;
/// Longest time that a long poll waits.
pub const POLL_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a long poll that has found an entry gathers others, unless it has read everything before.
pub const POLL_GATHER_MAX: Duration = Duration::from_millis(100);
/// How long a long poll searches at least before it answers that there is nothing, however short it was to wait.
pub const POLL_SCAN_MIN: Duration = Duration::from_secs(1);
/// Bytes of cursors, in base64, that a URL may have and that go with every server-sent event: proxies stop at 8 KiB.
pub const CURSOR_TEXT_BYTES_MAX: usize = 4 * KIB;

// ---- Connections ----

/// How long reads that hang may keep the process once everything else has ended.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(1);
/// Threads for what waits for a disk.
pub const BLOCKING_THREADS_MAX: usize = 16;
/// Requests that look for their place in files at the same time. Some threads are left for those who read already, should
/// a file system hang.
pub const SCANS_MAX: usize = 12;
/// How long a request waits for its turn to look for its place.
pub const SCAN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Certificates and tokens are compared with those in force this often.
pub const SECRETS_LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether the configuration's files have changed; they are read when they lie still for so long.
pub const CONFIG_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Open connections.
pub const CONNECTIONS_MAX: usize = 1024;
/// Open connections of one address; a proxy may be behind it. Addresses of this machine are not counted.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Connections beyond these limits that are answered at the same time, with a refusal; others are closed without a word.
pub const REFUSALS_MAX: usize = 32;
/// Concurrent HTTP/2 streams on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Time for the TLS handshake, for the HTTP/2 preface and for HTTP/1 headers, each.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Resets that a client may provoke by its own protocol errors before the connection is closed (MadeYouReset).
pub const LOCAL_ERROR_RESETS_MAX: usize = 1024;
/// Resets of streams that a client may leave pending before the connection is closed (Rapid Reset).
pub const PENDING_RESETS_MAX: usize = 64;
/// Bytes of request headers.
pub const HEADER_BYTES_MAX: u32 = 16 * KIB as u32;
/// Bytes that HTTP/2 holds for one stream before it stops asking for more; one segment may exceed it.
pub const STREAM_SEND_BYTES: usize = 16 * KIB;
/// Bytes that a client may send ahead of us on one HTTP/2 stream.
pub const STREAM_RECEIVE_BYTES: u32 = 64 * KIB as u32;
/// Bytes that a client may send ahead of us on one HTTP/2 connection, all streams together.
pub const CONNECTION_RECEIVE_BYTES: u32 = 256 * KIB as u32;
/// Bytes of one HTTP/1 message kept in memory in either direction.
pub const HTTP1_BUFFER_BYTES: usize = 32 * KIB;
/// Bytes not yet on their way to the peer above which a TCP socket takes no more (`TCP_NOTSENT_LOWAT`). This is what the
/// kernel holds for a reader that stopped: 41 KiB instead of 3.7 MiB, at the same throughput.
///
/// There is no bound on what is on its way (`SO_SNDBUF`): it would slow down readers that are far away, and a reader
/// that stopped has nothing on its way.
pub const SOCKET_UNSENT_BYTES: u32 = 32 * KIB as u32;
/// The same for a Unix socket, where nothing is ever on its way (`SO_SNDBUF`, which the kernel doubles): 128 KiB instead
/// of 208 for a reader that stopped. A bare pair of sockets then carries 2.8 GB/s instead of 3.4.
pub const UNIX_SEND_BYTES: usize = 64 * KIB;
/// Writes of so many bytes and more to a TCP socket are taken for one of several, and wait in the kernel for the others.
/// With a hundred readers of one file over loopback, where a packet takes 64 KiB, a million lines cost 0.20 CPU seconds
/// instead of 0.23. Sent after every poll of the connection, which brings two frames, it saved nothing measurable.
pub const SOCKET_HELD_BYTES_MIN: usize = 8 * KIB;
/// Bytes that TLS holds of a connection before it takes no more, in clear and encrypted, each.
pub const TLS_BUFFER_BYTES: usize = 32 * KIB;
/// Bytes of a file with certificates or a key.
pub const PEM_BYTES_MAX: u64 = MIB as u64;
/// Bytes of the file with the tokens.
pub const TOKENS_FILE_BYTES_MAX: u64 = MIB as u64;
/// Length of the name of a token, in bytes.
pub const CALLER_NAME_BYTES_MAX: usize = 64;
/// Length of a token as it is presented, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4 * KIB;
/// Connections that the kernel keeps for us until we accept them.
pub const ACCEPT_BACKLOG: u32 = 1024;
/// First pause of the accept loop after the system ran out of descriptors or memory; it doubles from there.
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause of the accept loop.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a newcomer waits for the place of a connection that was closed for it.
pub const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);
/// Lines of one kind that strangers can provoke are written to the log at most this often.
pub const LOG_LINE_EVERY: Duration = Duration::from_secs(10);
/// Idle time after which the kernel probes a connection.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between the kernel's probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Unanswered probes after which a connection is dead.
pub const KEEPALIVE_PROBES: u32 = 4;
/// How often all connections are looked at for dead peers and stalled readers.
pub const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// A peer whose kernel has acknowledged nothing for so long is gone: window probes back off to 120 s.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(180);

// ---- Watching ----

/// A change that comes so long after the last look at its file is looked at at once: a clock ticks in milliseconds, so that
/// to wait for one costs two.
pub const WAKE_AT_ONCE_AFTER: Duration = Duration::from_micros(500);
/// A change that comes sooner is looked at this long after the last look: under load, whole cells flow.
pub const WAKE_INTERVAL: Duration = Duration::from_millis(1);
/// A segment that ended at the head serves a reader that comes this late, though the head has moved on.
pub const OPEN_SEGMENT_AGE_MAX: Duration = Duration::from_millis(2);
/// Every file that a subscriber waits on is looked at this often, whatever the events say.
pub const RECHECK_EVERY: Duration = Duration::from_secs(5);
/// Files that no event covers are looked at this often while somebody waits on them.
pub const POLL_EVERY: Duration = Duration::from_millis(250);
/// Directories and files are compared with the globs this often, whatever the events say.
pub const RESCAN_EVERY: Duration = Duration::from_secs(30);
/// The same where some directories have no events.
pub const BLIND_RESCAN_EVERY: Duration = Duration::from_secs(1);
/// A watcher that has not looked for so long is taken to be dead.
pub const READINESS_MAX: Duration = Duration::from_secs(90);
/// So long the files that come after one that cannot be read wait for it, to keep their order.
pub const UNREADABLE_HOLD_MAX: Duration = Duration::from_secs(15);
/// How often a read is tried that fails for the device, where it may be waited for.
pub const READ_TRIES: u32 = 5;
/// How long after the first failure it is tried again; twice as long after each further one.
pub const READ_PAUSE: Duration = Duration::from_millis(1);
/// How often the files of a log are looked at anew before a cursor is called lost.
pub const LOST_LOOKS_MAX: usize = 3;
/// How often the files of a log, and everything at the start, are looked at anew while they move.
pub const LOOKS_UNTIL_STILL_MAX: usize = 10;
/// So long after a file has gone it is looked whether its directory has, too, and again after four times as long.
pub const DOUBTED_AFTER: Duration = Duration::from_millis(20);
/// How often that is looked at again.
pub const DOUBTED_TIMES: u32 = 5;
/// Looks at everything are at least this far apart.
pub const RESCAN_PAUSE: Duration = Duration::from_millis(50);
/// Changed names that are remembered one by one; more mean a look at everything.
pub const RESCAN_PATHS_MAX: usize = 4096;
/// Looks at files that may wait for a disk at the same time.
pub const BLOCKING_CHECKS_MAX: usize = 4;
/// An unterminated last line is finished when its file has been quiet this long and nobody can write to it.
pub const FINISHED_AFTER: Duration = Duration::from_secs(5);
/// A record that may go on is sent provisionally after this much quiet.
pub const PROVISIONAL_AFTER: Duration = Duration::from_secs(1);
/// Beginnings that are remembered of a file whose content began anew.
pub const PAST_BEGINNINGS_MAX: usize = 16;
/// A file under a name of its own with fewer bytes is no copy: what so few have in common proves nothing.
pub const COPY_BYTES_MIN: u64 = 64;
/// Bytes at the end of a file that are compared with the same range of another one that it may be a copy of.
pub const COPY_END_BYTES: u64 = 4 * KIB as u64;
/// A file that turned up and may be a copy in the making is taken for what it looks like once it has been quiet so long.
pub const DECIDED_AFTER: Duration = Duration::from_secs(1);
/// Files that may be copies in the making are looked at this often.
pub const DECIDE_EVERY: Duration = Duration::from_millis(100);
/// Files that are remembered after they have gone, so that one that comes back is not sent again.
pub const GONE_FILES_MAX: usize = 10_000;
/// A file that no name leads to is forgotten after this much time: half of a rename may have been seen.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);
/// Deleted files kept open for subscribers that lag.
pub const HELD_FILES_MAX: usize = 64;
/// How long a deleted file is kept open for a subscriber that lags.
pub const HELD_AGE_MAX: Duration = Duration::from_secs(600);
/// With less than this part of the file system free, as one in so many, no deleted file is kept open.
pub const HELD_FREE_SHARE: u64 = 20;
/// A displaced file that has been quiet for so long is taken from those who wait.
pub const RETIRED_AFTER: Duration = Duration::from_secs(600);
/// A deleted file that everybody has read, and that has been quiet for so long, is let go of: whoever still has it open
/// has had time to open its successor.
pub const RELEASED_AFTER: Duration = Duration::from_secs(10);
/// Bytes of deleted files kept open for subscribers that lag.
pub const HELD_BYTES_MAX: u64 = 1 << 30;

// ---- Archives ----

/// Uncompressed bytes between the places where the decoding of an archive can be taken up again, at first: a read
/// anywhere decodes at most about so much, some 10 ms. Large archives double it, see `ARCHIVE_CHECKPOINTS_MAX`.
pub const ARCHIVE_CHECKPOINT_BYTES: u64 = 4 * MIB as u64;
/// Such places kept of one archive; one more, and every second is dropped and their distance doubled. Each costs up to
/// 43 KiB, some 8 KiB for text, or next to nothing between the members or frames of an archive.
pub const ARCHIVE_CHECKPOINTS_MAX: usize = 512;
/// Compressed bytes read at once.
pub const ARCHIVE_INPUT_BYTES: usize = 64 * KIB;
/// Uncompressed bytes that a decoder can still give again: what its format refers back to, what readers compare before
/// they go on, and a cell.
pub const ARCHIVE_HISTORY_BYTES: usize = 96 * KIB;
/// When a decoder is sent far ahead, this share of the way, the end of it, stays for those who read backward from there,
/// until it goes on: 1 / 16.
pub const ARCHIVE_BACK_SHARE: u64 = 16;
/// But no less than this, in uncompressed bytes: all of the way from a checkpoint.
pub const ARCHIVE_BACK_BYTES_MIN: u64 = 4 * MIB as u64;
/// And no more than this: a zstd frame may be long, and has no checkpoints.
pub const ARCHIVE_BACK_BYTES_MAX: u64 = 16 * MIB as u64;
/// Uncompressed bytes that a decoder makes in one step, at most.
pub const ARCHIVE_STEP_BYTES: usize = 64 * KIB;
/// Longest header and longest padding of a gzip member, in bytes.
pub const ARCHIVE_HEADER_BYTES_MAX: u64 = MIB as u64;
/// Binary logarithm of the largest zstd window that is read: 8 MiB, what RFC 8878 asks every decoder to support and
/// what `zstd` makes unless told `--long` or `--ultra`.
pub const ARCHIVE_ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Decoders kept between reads, for all archives together: each is a reader that goes on where it was at no cost.
pub const PARKED_DECODERS_MAX: usize = 32;
/// Bytes of decoders kept between reads, for all archives together; one for gzip has 0.3 MiB, one for zstd up to 9, and
/// `ARCHIVE_BACK_BYTES_MIN` to `ARCHIVE_BACK_BYTES_MAX` are added while somebody reads backward.
pub const PARKED_BYTES_MAX: usize = 64 * MIB;

// ---- Client ----

/// How long a host has to answer before it counts as not there; a host that answered once is retried for ever.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Pause before the first attempt to reach a host again; doubled with each failure.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to reach a host.
pub const RECONNECT_MAX: Duration = Duration::from_secs(15);
/// A client pings a connection that says nothing this often, and gives it up when a ping stays unanswered as long.
pub const CLIENT_PING_EVERY: Duration = Duration::from_secs(20);
/// Large batches of one host that a client holds: the one that it writes and one ahead. Small ones may be as many as have
/// their size together.
pub const HELD_BATCHES_MAX: usize = 2;
/// HTTP/2 window of all hosts of a client together, in bytes, within the two bounds below for each.
pub const CLIENT_WINDOWS_BYTES: u32 = 32 * MIB as u32;
/// Smallest HTTP/2 window that a client gives a stream, in bytes.
pub const CLIENT_WINDOW_BYTES_MIN: u32 = 256 * KIB as u32;
/// Largest HTTP/2 window that a client gives a stream, in bytes: past it nothing gets faster.
pub const CLIENT_WINDOW_BYTES_MAX: u32 = 4 * MIB as u32;
/// Largest HTTP/2 frame that a client takes, in bytes: batches are larger than the usual 16 KiB.
pub const CLIENT_FRAME_BYTES: u32 = 64 * KIB as u32;
/// Largest message that the client takes: a batch or one entry, the cursor after it and the one before it, and events.
pub const CLIENT_BATCH_BYTES_MAX: usize = 8 * MIB;
/// Bytes of entries in one batch that a client asks for when one host is read in bulk.
pub const CLIENT_BULK_BATCH_BYTES: u32 = 256 * KIB as u32;
/// Output is handed to the kernel in pieces of about this many bytes, or when there is nothing more to write.
pub const OUTPUT_BYTES: usize = 256 * KIB;
/// A cursor file is written at most this often while a stream runs.
pub const CURSOR_FILE_EVERY: Duration = Duration::from_secs(1);
/// Largest cursor file, profile, token or certificate that the client reads, in bytes.
pub const CLIENT_FILE_BYTES_MAX: u64 = 64 * MIB as u64;
/// Hosts of one `logtap tail`.
pub const CLIENT_HOSTS_MAX: usize = 1024;
/// HTTP/2 window of a client that is to feel that it is slow, in bytes: the protocol's own.
pub const CLIENT_WINDOW_BYTES_LEAST: u32 = 64 * KIB as u32;
/// Lines that `logtap verify` writes at once, when it has fallen behind its rate.
pub const VERIFY_BURST_LINES_MAX: u64 = 4096;
/// Bytes by which some lines of `logtap verify` are longer than others: more than a cell has.
pub const VERIFY_PADDING_BYTES_MAX: usize = 80 * KIB;
/// How long the last words of an interrupted client may take before it ends without them.
pub const CLIENT_FAREWELL_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(CLIENT_WINDOW_BYTES_LEAST <= CLIENT_WINDOW_BYTES_MIN);
const _: () = assert!(CLIENT_WINDOW_BYTES_MIN <= CLIENT_WINDOW_BYTES_MAX);
const _: () = assert!(VERIFY_PADDING_BYTES_MAX < LINE_BYTES_DEFAULT);
const _: () = assert!(CLIENT_BULK_BATCH_BYTES as usize <= BATCH_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX + 2 * STREAM_CURSOR_BYTES_MAX < CLIENT_BATCH_BYTES_MAX);
const _: () = assert!(MERGE_AHEAD_BYTES_MIN <= GRID_BYTES && MERGE_AHEAD_BYTES < CACHE_BYTES_DEFAULT);
const _: () = assert!(2 * GRID_BYTES <= SCAN_BYTES_MIN && SCAN_BYTES_MIN <= SCAN_BLOCK_BYTES as u64);
const _: () = assert!(GATHER_GRID_BYTES.is_multiple_of(SCAN_BLOCK_BYTES as u64));
const _: () = assert!(SCAN_BLOCK_BYTES as u64 <= SCAN_WINDOW_BYTES && SCAN_WINDOW_BYTES.is_multiple_of(GRID_BYTES));
const _: () = assert!(ARCHIVE_HISTORY_BYTES >= 32 * KIB + GRID_BYTES as usize);
const _: () = assert!(ARCHIVE_STEP_BYTES as u64 <= ARCHIVE_CHECKPOINT_BYTES);
const _: () = assert!(PARKED_BYTES_MAX as u64 > 2 * (ARCHIVE_BACK_BYTES_MAX + (1 << ARCHIVE_ZSTD_WINDOW_LOG_MAX)));
const _: () = assert!(SEGMENT_BYTES < GRID_BYTES as usize);
const _: () = assert!(CURSOR_TAIL_BYTES <= CURSOR_HEAD_BYTES);
const _: () = assert!(LINE_BYTES_DEFAULT <= LINE_BYTES_MAX);
const _: () = assert!(LINE_BYTES_MAX < ENTRY_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX < CLIENT_MESSAGE_BYTES);
// Whoever may name any source may name each of them.
const _: () = assert!(REQUEST_GLOBS_MAX >= SOURCE_COUNT_MAX);
const _: () = assert!(CACHE_BYTES_DEFAULT <= CACHE_CONFIGURED_BYTES_MAX);
const _: () =
    assert!(STREAMS_PER_CLIENT_DEFAULT <= STREAMS_MAX_DEFAULT && STREAMS_MAX_DEFAULT <= STREAMS_CONFIGURED_MAX);
const _: () = assert!(STALL_CONFIGURED_MIN.as_secs() <= STALL_MAX_DEFAULT.as_secs());
const _: () = assert!(STALL_MAX_DEFAULT.as_secs() <= STALL_CONFIGURED_MAX.as_secs());
const _: () = assert!(BATCH_BYTES_DEFAULT <= BATCH_BYTES_MAX);
const _: () = assert!(COMPRESSED_BYTES_MIN < BATCH_BYTES_DEFAULT && BATCH_BYTES_MAX < COMPRESSED_BYTES_MAX);
const _: () = assert!(PAGE_ENTRIES_DEFAULT <= PAGE_ENTRIES_MAX);
const _: () = assert!(CURSOR_TEXT_BYTES_MAX < HEADER_BYTES_MAX as usize);
const _: () = assert!(STREAM_CURSOR_BYTES_CHEAP <= TRAILER_CURSOR_BYTES_MAX);
const _: () = assert!(WAKE_AT_ONCE_AFTER.as_nanos() < WAKE_INTERVAL.as_nanos());
const _: () = assert!(WAKE_INTERVAL.as_nanos() <= OPEN_SEGMENT_AGE_MAX.as_nanos());
const _: () = assert!(SCANS_MAX < BLOCKING_THREADS_MAX);
const _: () = assert!(CONNECTIONS_PER_ADDRESS_MAX < CONNECTIONS_MAX && REFUSALS_MAX < CONNECTIONS_PER_ADDRESS_MAX);
const _: () = assert!(SCAN_WORK_MAX.as_millis() * 10 < SCAN_STUCK_AFTER.as_millis());
const _: () = assert!(DRAIN_MAX.as_secs() < 10);
// A connection that the kernel is still probing is not called dead by the sweep.
const _: () = assert!(
    KEEPALIVE_IDLE.as_secs() + KEEPALIVE_INTERVAL.as_secs() * (KEEPALIVE_PROBES as u64) <= PEER_SILENCE_MAX.as_secs()
);
// What one stopped stream holds: a buffer filled to the last byte but one, the segment that went over it, and the next.
const _: () = assert!(STREAM_SEND_BYTES + 2 * SEGMENT_BYTES < 64 * KIB);
