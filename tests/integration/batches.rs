//! The size of batches: what a client asks for at most, or a single entry.

use logtap::proto::v1;
use prost::Message as _;
use tonic::transport::Endpoint;

use crate::support::{
    Logs,
    client::{Answer, V1Client, read_all, v1},
    daemon::Daemon,
    eventually, soon,
};

/// What a message has beside its entries, at most, with as few files as there are here.
const HEAD_BYTES_MAX: usize = 256;

/// A line of `len` bytes at least, at this second of the day.
fn line(second: usize, level: &str, len: usize) -> String {
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("2026-11-25T{hour:02}:{minute:02}:{:02}Z {level} {second:0len$}\n", second % 60)
}

/// Two logs, one of which has a past, plain and compressed; a few of the lines are longer than any batch asked for.
fn written() -> (Logs, Daemon) {
    let logs = Logs::new();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lines = |from: usize| -> String {
        let mut text = String::new();
        for number in 0..400 {
            let len = if random.u8(..) == 0 { 25_000 } else { random.usize(1..300) };
            text += &line(from + 2 * number, if random.u8(..8) == 0 { "ERROR" } else { "INFO" }, len);
        }
        text
    };
    logs.gzip("a.log.2.gz", lines(0));
    logs.write("a.log.1", lines(800));
    logs.write("a.log", lines(1600));
    logs.write("b.log", lines(1201));
    let daemon = Daemon::serve([logs.path("*.log")]);
    (logs, daemon)
}

async fn read(daemon: &Daemon, request: v1::LogRequest, max_bytes: u32) -> Answer<v1::StreamBatchesResponse> {
    let request = v1::StreamBatchesRequest { request: Some(request), no_follow: true, max_bytes };
    read_all(v1(daemon).await.max_decoding_message_size(8 << 20).stream_batches(request)).await
}

/// Path, message and flags of every entry.
fn entries(batches: &[v1::StreamBatchesResponse]) -> Vec<(String, String, u32)> {
    let entries = batches.iter().flat_map(|batch| &batch.entries);
    entries.map(|entry| (entry.path.clone(), entry.message.clone(), entry.flags)).collect()
}

/// Bytes of the entries of a batch as they were sent, each with its tag and its length.
fn bytes_of(batch: &v1::StreamBatchesResponse) -> usize {
    v1::StreamBatchesResponse { entries: batch.entries.clone(), ..Default::default() }.encoded_len()
}

fn requests() -> Vec<v1::LogRequest> {
    let all = v1::LogRequest { tail: Some(u64::MAX), ..Default::default() };
    let errors = v1::LogRequest { level: "error".into(), ..all.clone() };
    vec![
        all.clone(),
        v1::LogRequest { paths: vec!["*a.log".into()], with_fields: true, ..all.clone() },
        errors.clone(),
        v1::LogRequest { context_before: 1, context_after: 2, ..errors.clone() },
        v1::LogRequest { include: vec!["7Z".into()], paths: vec!["*b.log".into()], ..all.clone() },
        v1::LogRequest { tail: Some(300), limit: 250, ..all },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_no_more_bytes_than_asked_for_or_a_single_entry() {
    let (_logs, daemon) = written();
    for request in requests() {
        let whole = read(&daemon, request.clone(), 0).await;
        let expected = entries(&whole.entries);
        assert!(expected.len() > 20, "{} entries of {request:?}", expected.len());
        for max in [1, 100, 1000, 5000, 20_000, 65_536, 1 << 20] {
            let answer = read(&daemon, request.clone(), max).await;
            assert!(entries(&answer.entries) == expected, "other entries in batches of {max} for {request:?}");
            assert_eq!(answer.trailers.get("logtap-crc32"), whole.trailers.get("logtap-crc32"));
            for batch in answer.entries.iter().filter(|batch| batch.entries.len() > 1) {
                let (bytes, len) = (bytes_of(batch), batch.encoded_len());
                assert!(bytes <= max as usize, "{} entries of {bytes} bytes in {max}", batch.entries.len());
                assert!(len <= max as usize || max < 8 * HEAD_BYTES_MAX as u32, "a message of {len} bytes for {max}");
            }
            // Nor many fewer, but for the last ones of a file and for merged ones.
            let most = answer.entries.iter().map(|batch| batch.entries.len()).max().expect("there are some");
            assert!(most > 1 || max < 5000, "a single entry in each batch of {max}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_one_entry_has_the_cursor_behind_it() {
    let (_logs, daemon) = written();
    for request in requests().into_iter().filter(|request| request.limit == 0) {
        let answer = read(&daemon, request.clone(), 1).await;
        let expected = entries(&answer.entries);
        let mut resume = Vec::new();
        let mut had = 0;
        for batch in &answer.entries {
            assert!(batch.entries.len() <= 1, "{} entries", batch.entries.len());
            assert!(batch.entries.iter().all(|entry| !entry.cursor.is_empty()), "the last of its file has its cursor");
            had += batch.entries.len();
            if !batch.cursor_is_delta {
                resume.clear();
            }
            resume.push(batch.cursor.clone());
            if had % 97 == 5 {
                let rest = v1::LogRequest { tail: None, resume: resume.clone(), ..request.clone() };
                let rest = entries(&read(&daemon, rest, 0).await.entries);
                assert!(sorted(&rest) == sorted(&expected[had..]), "not the rest behind entry {had} of {request:?}");
            }
        }
        assert_eq!(had, expected.len());
    }
}

/// Sorted, since files that are resumed are merged anew.
fn sorted(entries: &[(String, String, u32)]) -> Vec<(String, String, u32)> {
    let mut sorted = entries.to_vec();
    sorted.sort();
    sorted
}

/// Each as a frame of its own they would look like an attack to a client that is slower than its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_batches_of_one_entry_come_in_one_stream() {
    const LINES: usize = 24_000;
    const WINDOW_BYTES: u32 = 4 << 20;
    let logs = Logs::new();
    let lines: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    let daemon = Daemon::serve([logs.write("a", lines)]);
    let endpoint = Endpoint::from_shared(format!("http://{}", daemon.address)).expect("an address");
    let endpoint = endpoint.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let mut client = V1Client::new(soon("a connection", endpoint.connect()).await.expect("it listens"));
    let request = v1::StreamBatchesRequest { no_follow: true, max_bytes: 1, ..Default::default() };
    let mut stream = client.stream_batches(request).await.expect("it can be served").into_inner();
    // All of it waits here, unread.
    tokio::task::block_in_place(|| {
        eventually("all to be sent", || daemon.metric("logtap_entries_sent_total{transport=\"grpc\"}") == LINES as u64);
    });
    let mut next = 0;
    while let Some(batch) = soon("a batch", stream.message()).await.expect("nothing is wrong with the connection") {
        assert!(batch.entries.len() <= 1, "{} entries", batch.entries.len());
        for entry in batch.entries {
            assert_eq!(entry.message, next.to_string());
            next += 1;
        }
    }
    assert_eq!(next, LINES);
}
