//! The messages, each with the terminator that its flags tell, are the file, byte for byte.

use logtap::proto::v1;

use crate::support::{
    Logs,
    client::{file_of, get},
    daemon::Daemon,
};

const MIB: usize = 1 << 20;

async fn check(what: &str, content: &[u8]) {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", content)]);
    let answer = get(&daemon, v1::LogRequest::default()).await;
    assert_eq!(answer.status.code(), tonic::Code::Ok, "{what}: {:?}", answer.status);
    let file = file_of(&answer.entries);
    let differ = file.iter().zip(content).position(|(a, b)| a != b);
    assert!(file == content, "{what}: {} bytes of {}, differ at {differ:?}", file.len(), content.len());
    answer.check_trailers();
}

/// Bytes without any order, the same for the same seed (xorshift64*).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_sent_byte_for_byte() {
    let lines: String = (0..20_000_u64).map(|n| format!("2026-11-24T00:00:00Z INFO line {n} ☃ {}\n", n * n)).collect();
    check("text", lines.as_bytes()).await;
    check("CR LF", lines[..MIB / 2].replace('\n', "\r\n").as_bytes()).await;
    check("without a last newline", &lines.as_bytes()[..99_999]).await;
    check("a carriage return at the end", b"one\r\ntwo\r").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_rubbish_is_sent_byte_for_byte() {
    for seed in 1..4 {
        check(&format!("noise of seed {seed}"), &noise(seed, 300_000)).await;
    }
    check("NULs", &[0; 3000]).await;
    check(
        "newlines and carriage returns",
        &noise(9, 50_000).iter().map(|n| b"\r\n\n\r"[*n as usize % 4]).collect::<Vec<_>>(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_and_empty_lines_are_sent_byte_for_byte() {
    check("nothing", b"").await;
    check("one newline", b"\n").await;
    check("empty lines", &[b'\n'; 30_000]).await;
    check("one byte", b"x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_around_every_limit_are_sent_byte_for_byte() {
    for len in [16 * 1024, 64 * 1024, MIB] {
        let mut file = Vec::new();
        for len in [len - 2, len - 1, len, 1, len] {
            file.extend(std::iter::repeat_n(b'x', len));
            file.push(b'\n');
        }
        check(&format!("lines of about {len} bytes"), &file).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_text_is_shown_and_kept() {
    let logs = Logs::new();
    let daemon = Daemon::serve([logs.write("app.log", b"ok\na\xffb\n".as_slice())]);
    let entries = get(&daemon, v1::LogRequest::default()).await.entries;
    assert_eq!((entries[0].raw.len(), entries[0].flags & 4), (0, 0));
    assert_eq!(
        (entries[1].message.as_str(), &entries[1].raw[..], entries[1].flags & 4),
        ("a\u{fffd}b", &b"a\xffb"[..], 4)
    );
}
