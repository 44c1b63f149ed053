//! The real binary over plain HTTP/1: pages, long polls, events, gRPC-Web, and who is turned away.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use logtap::proto::v1;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Longer than anything takes on a busy machine, shorter than a hung test may.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon over a directory of logs.
struct Host {
    directory: TempDir,
    process: Child,
    address: String,
}

/// A stream that is being read: its connection is closed with it.
struct Reading {
    response: Response<Incoming>,
    text: String,
    _connection: SendRequest<Full<Bytes>>,
}

impl Host {
    fn start(logs: &[(&str, &str)]) -> Self {
        Self::start_with(logs, "")
    }

    /// Starts with `server` added to the section of that name.
    fn start_with(logs: &[(&str, &str)], server: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().display();
        let mut toml = format!("[server]\nlisten = [\"127.0.0.1:0\"]\n{server}\n");
        for (name, text) in logs {
            fs::write(directory.path().join(format!("{name}.log")), text).expect("a file");
            writeln!(toml, "[[source]]\nname = \"{name}\"\npaths = [\"{path}/{name}.log\"]").expect("memory");
        }
        let config = directory.path().join("logtap.toml");
        fs::write(&config, toml).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
        command.env_remove("LOGTAP_LISTEN").env_remove("LOGTAP_LOG").env_remove("JOURNAL_STREAM");
        command.args(["serve", "-c"]).arg(config).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.spawn().expect("the program starts");
        let mut log = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert_ne!(log.read_line(&mut said).expect("text"), 0, "it ended: {said}");
            if let Some((_, address)) = said[before..].split_once("listening address=") {
                break address.trim().to_owned();
            }
        };
        // What it says later has to be read, or it would wait.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { directory, process, address }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).expect("the log");
        file.write_all(text.as_bytes()).expect("it can be written");
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.address).await.expect("it listens");
        let (send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1");
        tokio::spawn(connection);
        send
    }

    /// Sends a request; `Host` is ours unless `headers` have another.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reading {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, &self.address);
        }
        let request = request.body(Full::from(body.to_vec())).expect("a request");
        let mut connection = self.connect().await;
        let response = soon("an answer", connection.send_request(request)).await.expect("an answer");
        Reading { response, text: String::new(), _connection: connection }
    }

    /// A JSON answer.
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send("GET", path, &[], b"").await.into_json().await
    }

    /// A page of logs.
    async fn page(&self, query: &str) -> Value {
        let (code, page) = self.get(&format!("/api/v1/logs?{query}")).await;
        assert_eq!(code, 200, "{query}: {page}");
        page
    }

    async fn events(&self, query: &str, last: Option<&str>) -> Reading {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last.map(|id| ("last-event-id", id)));
        let reading = self.send("GET", &format!("/api/v1/logs?{query}"), &headers, b"").await;
        assert_eq!(reading.response.headers()["content-type"], "text/event-stream");
        assert_eq!(reading.response.headers()["x-accel-buffering"], "no");
        reading
    }

    /// The sum over all lines of a metric that begin like this.
    async fn metric(&self, name: &str) -> u64 {
        let mut reading = self.send("GET", "/metrics", &[], b"").await;
        let text = reading.all().await;
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit_once(' ').expect("a value").1.parse::<u64>().expect("a number")).sum()
    }

    async fn until_streams(&self, wanted: u64, within: Duration) {
        let began = Instant::now();
        while self.metric("logtap_streams{").await != wanted {
            assert!(began.elapsed() < within, "not {wanted} streams after {within:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and need not be.
        let _ = self.process.kill();
        self.process.wait().expect("it is ours");
    }
}

impl Reading {
    /// Takes what arrives next; whether something did.
    async fn more(&mut self) -> bool {
        let frame = soon("more of the stream", self.response.body_mut().frame()).await;
        let Some(frame) = frame else { return false };
        let bytes = frame.expect("the connection holds").into_data().expect("HTTP/1 has no trailers here");
        self.text.push_str(std::str::from_utf8(&bytes).expect("whole characters"));
        true
    }

    async fn all(&mut self) -> String {
        while self.more().await {}
        std::mem::take(&mut self.text)
    }

    async fn into_json(mut self) -> (StatusCode, Value) {
        let code = self.response.status();
        let text = self.all().await;
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// The next line of newline-delimited JSON.
    async fn line(&mut self) -> Value {
        while !self.text.contains('\n') {
            assert!(self.more().await, "it ended: {}", self.text);
        }
        let (line, rest) = self.text.split_once('\n').expect("there is one");
        let value = serde_json::from_str(line).expect("JSON");
        self.text = rest.to_owned();
        value
    }

    /// The next event that has data: its name, id and data.
    async fn event(&mut self) -> (String, Option<String>, Value) {
        loop {
            while !self.text.contains("\n\n") {
                assert!(self.more().await, "it ended: {}", self.text);
            }
            let (block, rest) = self.text.split_once("\n\n").expect("there is one");
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            let event = field("event: ").zip(field("data: "));
            let id = field("id: ");
            self.text = rest.to_owned();
            if let Some((name, data)) = event {
                return (name, id, serde_json::from_str(&data).expect("JSON"));
            }
        }
    }

    /// The next entry among the events: its id, source and message.
    async fn entry(&mut self) -> (String, String, String) {
        loop {
            let (name, id, data) = self.event().await;
            if name == "entry" {
                let source = data["source"].as_str().expect("always there").to_owned();
                return (id.expect("small cursors come with every entry"), source, message(&data));
            }
        }
    }
}

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

fn message(entry: &Value) -> String {
    entry["message"].as_str().expect("always there").to_owned()
}

fn messages(page: &Value) -> Vec<String> {
    page["entries"].as_array().expect("a list").iter().map(message).collect()
}

fn cursor(page: &Value) -> String {
    page["cursor"].as_str().expect("a cursor").to_owned()
}

/// A cursor as a query has it.
fn quoted(cursor: &str) -> String {
    cursor.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut text, number| {
        let level = if number % 10 == 0 { "ERROR" } else { "INFO" };
        writeln!(text, "2026-01-01T00:00:00.{number:06}Z {level} line {number}").expect("memory");
        text
    })
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    lines(range).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn walking_by_cursor_gives_the_files_exactly() {
    let host = Host::start(&[("a", &lines(0..2500)), ("b", &lines(5000..5700))]);
    for limit in ["", "limit=7&", "limit=333&"] {
        let (mut read, mut query, mut pages) = (Vec::new(), String::from("&"), 0);
        // The whole walk in small steps would take long and show nothing more.
        while pages < 40 {
            let page = host.page(&format!("{limit}{query}")).await;
            let some = messages(&page);
            if some.is_empty() {
                break;
            }
            read.extend(some);
            query = format!("cursor={}", quoted(&cursor(&page)));
            pages += 1;
        }
        let all: Vec<_> = texts(0..2500).into_iter().chain(texts(5000..5700)).collect();
        match limit {
            "limit=7&" => assert_eq!(read, all[..280]),
            _ => assert_eq!(read, all, "{limit}"),
        }
    }
    let whole = host.page("limit=50000").await;
    assert_eq!(messages(&whole).len(), 3200);
    let entry = &whole["entries"][10];
    let expected = json!({
        "message": texts(10..11)[0], "timestamp": "1767225600000010000", "time": "2026-01-01T00:00:00.000010000Z",
        "severity": "SEVERITY_ERROR", "source": "a", "path": host.path("a"), "cursor": entry["cursor"],
    });
    assert_eq!(entry, &expected);
    // An entry's own cursor goes on just after it, in either alphabet, padded or not.
    let standard = entry["cursor"].as_str().expect("a cursor");
    let url = standard.replace('+', "-").replace('/', "_").replace('=', "");
    for text in [quoted(standard), url, standard.to_owned()] {
        let next = host.page(&format!("sources=a&limit=1&resume={text}")).await;
        assert_eq!(messages(&next), texts(11..12), "{text}");
    }
    // `start` is the point before the first entry.
    let again = host.page(&format!("limit=3&cursor={}", quoted(whole["start"].as_str().expect("a start")))).await;
    assert_eq!(messages(&again), texts(0..3));
}

#[tokio::test]
async fn a_page_ends_at_4_mib_and_the_next_goes_on() {
    let long = "x".repeat(700_000);
    let text: String = (0..12).map(|number| format!("{number} {long}\n")).collect();
    let host = Host::start(&[("a", &text)]);
    let (mut read, mut query, mut pages) = (String::new(), String::new(), Vec::new());
    loop {
        let page = host.page(&query).await;
        let some = messages(&page);
        if some.is_empty() {
            break;
        }
        pages.push(some.len());
        some.iter().for_each(|line| read.extend([line, "\n"]));
        query = format!("cursor={}", quoted(&cursor(&page)));
    }
    assert!(read == text);
    assert_eq!(pages, [5, 5, 2]);
}

#[tokio::test]
async fn parameters_select_and_what_is_wrong_is_named() {
    let host = Host::start(&[("a", &lines(0..100)), ("b", "{\"level\":\"info\",\"user\":\"eve\",\"msg\":\"x\"}\n")]);
    let errors = host.page("level=error&sources=a&tail=3").await;
    assert_eq!(messages(&errors), [70, 80, 90].map(|at| texts(at..at + 1)[0].clone()));
    let found = host.page("include=line+[67]7&exclude=line%2067").await;
    assert_eq!(messages(&found), texts(77..78));
    let fields = host.page("where=user=eve&with_fields=true").await;
    assert_eq!(fields["entries"][0]["fields"]["user"], "eve");
    assert_eq!(host.page("paths=nothing*").await["entries"], json!([]));

    for (query, code, status, said) in [
        ("colour=red", 400, "INVALID_ARGUMENT", "colour: there is no such parameter"),
        ("tail=x", 400, "INVALID_ARGUMENT", "tail: \"x\" is no number"),
        ("level=loud", 400, "INVALID_ARGUMENT", "level: no severity is called \"loud\""),
        ("include=(", 400, "INVALID_ARGUMENT", "include[0]: "),
        ("sources=nobody", 404, "NOT_FOUND", "sources[0]: "),
        ("cursor=AQID", 400, "INVALID_ARGUMENT", "resume[0]: "),
        ("follow=true", 400, "INVALID_ARGUMENT", "follow: a page ends"),
        ("wait=90s", 400, "INVALID_ARGUMENT", "wait: more than the 60 s allowed"),
    ] {
        let (answer, body) = host.get(&format!("/api/v1/logs?{query}")).await;
        let error = &body["error"];
        assert_eq!((answer.as_u16(), &error["code"], &error["status"]), (code, &json!(code), &json!(status)), "{body}");
        assert!(error["message"].as_str().expect("a message").starts_with(said), "{body}");
        assert!(error["details"].is_array(), "{body}");
    }
    let long = "A".repeat(4100);
    assert_eq!(host.get(&format!("/api/v1/logs?cursor={long}")).await.0, 413);
    let posted = host.send("POST", "/api/v1/logs", &[], br#"{"level": "error", "limit": 1, "sources": ["a"]}"#).await;
    let (code, page) = posted.into_json().await;
    assert_eq!((code.as_u16(), messages(&page)), (200, texts(0..1)));
    let body = format!("{{\"cursor\": {:?}, \"sources\": \"a\", \"limit\": 2}}", cursor(&page));
    let (_, page) = host.send("POST", "/api/v1/logs", &[], body.as_bytes()).await.into_json().await;
    assert_eq!(messages(&page), texts(1..3));
    let (code, body) = host.send("POST", "/api/v1/logs", &[], b"[1]").await.into_json().await;
    assert_eq!((code.as_u16(), &body["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    let refused = host.send("DELETE", "/api/v1/logs", &[], b"").await;
    assert_eq!(
        (refused.response.status().as_u16(), &refused.response.headers()["allow"]),
        (405, &"GET, HEAD, POST".parse().expect("a value"))
    );
}

#[tokio::test]
async fn a_long_poll_answers_at_the_first_entry_and_otherwise_waits_without_spinning() {
    let host = Host::start(&[("a", &lines(0..50))]);
    // It starts with what is new.
    let began = Instant::now();
    let quiet = host.page("wait=700ms").await;
    assert_eq!(quiet["entries"], json!([]));
    assert!(began.elapsed() >= Duration::from_millis(700));
    // Half a line is no entry: the poll waits on, and reads nothing over and over meanwhile.
    host.append("a", "half ");
    let reads = host.metric("logtap_reads_total").await + host.metric("logtap_chunk_cache_misses_total").await;
    let began = Instant::now();
    let still = host.page(&format!("wait=1s&cursor={}", quoted(&cursor(&quiet)))).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!((&still["entries"], cursor(&still)), (&json!([]), cursor(&quiet)));
    let after = host.metric("logtap_reads_total").await + host.metric("logtap_chunk_cache_misses_total").await;
    assert!(after - reads <= 4, "{} reads", after - reads);
    // Its other half makes it one.
    let query = format!("wait=60s&cursor={}", quoted(&cursor(&still)));
    let poll = host.page(&query);
    let write = async {
        host.until_streams(1, PATIENCE).await;
        host.append("a", "and half\n");
    };
    let (answer, ()) = tokio::join!(soon("the poll", poll), write);
    assert_eq!(messages(&answer), ["half and half"]);
    // What is behind already is answered at once, all of it.
    host.append("a", &lines(50..90));
    let began = Instant::now();
    let mut rest = Vec::new();
    let mut at = cursor(&answer);
    while rest.len() < 40 {
        let page = host.page(&format!("wait=30s&cursor={}", quoted(&at))).await;
        rest.extend(messages(&page));
        at = cursor(&page);
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(rest, texts(50..90));
    let whole = host.page("wait=30s&tail=18446744073709551615").await;
    assert_eq!(messages(&whole).len(), 91);
}

#[tokio::test]
async fn whoever_hangs_up_frees_the_subscription() {
    let host = Host::start(&[("a", &lines(0..50))]);
    let mut connection = host.connect().await;
    let request = Request::get("/api/v1/logs?wait=60s").header(header::HOST, &host.address);
    let poll = connection.send_request(request.body(Full::default()).expect("a request"));
    let poll = tokio::spawn(poll);
    host.until_streams(1, PATIENCE).await;
    poll.abort();
    drop(connection);
    host.until_streams(0, Duration::from_secs(2)).await;

    let mut events = host.events("tail=1", None).await;
    events.entry().await;
    host.until_streams(1, PATIENCE).await;
    drop(events);
    host.until_streams(0, Duration::from_secs(2)).await;
}

#[tokio::test]
async fn events_resume_exactly_after_any_of_them() {
    let host = Host::start(&[("a", &lines(0..40)), ("b", &lines(100..140))]);
    let mut events = host.events("tail=18446744073709551615", None).await;
    let (mut ids, mut all) = (Vec::new(), Vec::new());
    while all.len() < 80 {
        let (id, source, text) = events.entry().await;
        ids.push(id);
        all.push((source, text));
    }
    let (name, id, _) = events.event().await;
    assert_eq!((name.as_str(), id.is_some()), ("caught_up", true));
    host.append("b", "later\n");
    let (id, source, text) = events.entry().await;
    ids.push(id);
    all.push((source, text));
    let of_file = |of: &str| all.iter().filter(|(source, _)| source == of).map(|(_, text)| text.clone()).collect();
    let (read_a, read_b): (Vec<_>, Vec<_>) = (of_file("a"), of_file("b"));
    let later = std::iter::once("later".to_owned());
    assert_eq!((read_a, read_b), (texts(0..40), texts(100..140).into_iter().chain(later).collect()));
    drop(events);
    for at in [0, 1, 17, 39, 40, 41, 62, 79] {
        // The query is that of the first connection, as a browser would send it again.
        let mut events = host.events("tail=18446744073709551615", Some(&ids[at])).await;
        let mut rest = Vec::new();
        while rest.len() < all.len() - at - 1 {
            let (_, source, text) = events.entry().await;
            rest.push((source, text));
        }
        // Each file in its own order, both in whatever order they came.
        for of in ["a", "b"] {
            let of_file = |all: &[(String, String)]| {
                all.iter().filter(|(source, _)| source == of).map(|(_, text)| text.clone()).collect::<Vec<_>>()
            };
            assert_eq!(of_file(&rest), of_file(&all[at + 1..]), "{of} after {at}");
        }
        assert_eq!(events.event().await.0, "caught_up");
    }
}

#[tokio::test]
async fn events_end_by_name() {
    let host = Host::start(&[("a", &lines(0..40))]);
    let mut events = host.events("tail=5&limit=2", None).await;
    assert_eq!([events.entry().await.2, events.entry().await.2].to_vec(), texts(35..37));
    assert_eq!(events.event().await.0, "end");
    assert!(!events.more().await);
}

#[tokio::test]
async fn many_files_have_sparse_ids_that_resume_exactly() {
    let texts: Vec<(String, String)> = (0..200).map(|at| (format!("f{at:03}"), format!("first of {at}\n"))).collect();
    let logs: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let host = Host::start(&logs);
    let mut events = host.events("tail=18446744073709551615", None).await;
    let mut read = Vec::new();
    let id = loop {
        let (name, id, data) = events.event().await;
        match name.as_str() {
            "entry" => read.push((message(&data) + "\n", id)),
            "caught_up" => break id.expect("what is caught up with can be come back to"),
            name => panic!("{name}: {data}"),
        }
    };
    assert!(id.len() > 4096, "{}", id.len());
    assert!(read.iter().filter(|(_, id)| id.is_some()).count() < 10);
    let all: Vec<_> = read.into_iter().map(|(text, _)| text).collect();
    assert_eq!(all, texts.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>());
    drop(events);
    host.append("f077", "second\n");
    let mut events = host.events("", Some(&id)).await;
    assert_eq!(message(&events.event().await.2), "second");
    assert_eq!(events.event().await.0, "caught_up");
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_is_alive() {
    let host = Host::start(&[("a", &lines(0..3))]);
    let mut events = host.events("", None).await;
    assert_eq!(events.event().await.0, "caught_up");
    let began = Instant::now();
    events.more().await;
    assert!((Duration::from_secs(14)..PATIENCE).contains(&began.elapsed()), "{:?}", began.elapsed());
    let id =
        events.text.strip_prefix(":\nid: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("a comment").to_owned();
    host.append("a", "later\n");
    assert_eq!(host.events("", Some(&id)).await.entry().await.2, "later");
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_reason() {
    let mut host = Host::start(&[("a", &lines(0..3))]);
    let mut events = host.events("tail=1", None).await;
    events.entry().await;
    assert_eq!(events.event().await.0, "caught_up");
    let poll = host.send("GET", "/api/v1/logs?wait=60s", &[], b"");
    let stop = async {
        host.until_streams(2, PATIENCE).await;
        let pid = host.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    };
    let (poll, ()) = tokio::join!(poll, stop);
    assert_eq!(poll.response.headers()["retry-after"], "5");
    let (code, body) = poll.into_json().await;
    assert_eq!((code.as_u16(), &body["error"]["status"]), (503, &json!("UNAVAILABLE")));
    let (name, _, data) = events.event().await;
    assert_eq!((name.as_str(), &data["error"]["status"]), ("error", &json!("UNAVAILABLE")));
    assert!(!events.more().await);
    assert!(host.process.wait().expect("it is ours").success());
}

#[tokio::test]
async fn newline_delimited_json_ends_or_follows() {
    let host = Host::start(&[("a", &lines(0..30))]);
    let accept = [("accept", "application/x-ndjson")];
    let mut once = host.send("GET", "/api/v1/logs?level=error", &accept, b"").await;
    assert_eq!(once.response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(once.response.headers()["x-accel-buffering"], "no");
    let text = once.all().await;
    let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(read.iter().map(message).collect::<Vec<_>>(), [0, 10, 20].map(|at| texts(at..at + 1)[0].clone()));

    let mut follow = host.send("GET", "/api/v1/logs?follow=true&tail=1", &accept, b"").await;
    assert_eq!(message(&follow.line().await), texts(29..30)[0]);
    assert_eq!(follow.line().await, json!({"caughtUp": {}}));
    host.append("a", "new\n");
    assert_eq!(message(&follow.line().await), "new");
    let path = host.path("a");
    fs::write(&path, "").expect("it is truncated");
    let change = json!({"fileChange": {"source": "a", "path": path, "kind": "FILE_CHANGE_KIND_TRUNCATED"}});
    assert_eq!(follow.line().await, change);
}

#[tokio::test]
async fn grpc_web_brings_the_same_messages_with_the_trailers_at_the_end() {
    let host = Host::start(&[("a", &lines(0..30))]);
    let request = v1::LogRequest { level: "error".into(), ..v1::LogRequest::default() };
    let call = |method: &'static str, message: Vec<u8>| {
        let mut body = vec![0];
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(&message);
        let (host, path) = (&host, format!("/logtap.v1.LogService/{method}"));
        async move {
            let kind = [("content-type", "application/grpc-web+proto")];
            let Reading { response, _connection, .. } = host.send("POST", &path, &kind, &body).await;
            assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
            let headers = response.headers().clone();
            (headers, soon("the body", response.into_body().collect()).await.expect("a body").to_bytes())
        }
    };
    let (headers, body) = call("GetLogs", request.encode_to_vec()).await;
    assert_eq!(headers["logtap-files"], "1");
    let frames = frames(&body);
    let entries: Vec<_> =
        frames[..3].iter().map(|(_, bytes)| v1::LogEntry::decode(&bytes[..]).expect("an entry").message).collect();
    assert_eq!(entries, [0, 10, 20].map(|at| texts(at..at + 1)[0].clone()));
    let (flag, trailers) = &frames[3];
    let trailers = std::str::from_utf8(trailers).expect("text");
    assert_eq!((*flag, frames.len()), (0x80, 4));
    assert!(trailers.contains("grpc-status: 0\r\n") && trailers.contains("logtap-entries: 3\r\n"), "{trailers}");

    let bad = v1::LogRequest { level: "loud".into(), ..v1::LogRequest::default() };
    let (headers, body) = call("GetLogs", bad.encode_to_vec()).await;
    assert_eq!((&headers["grpc-status"], body.len()), (&"3".parse().expect("a value"), 0));

    // The same in base64, for clients that cannot read anything else.
    let kind = [("content-type", "application/grpc-web-text")];
    let encoded = STANDARD.encode([&[0, 0, 0, 0, request.encoded_len() as u8][..], &request.encode_to_vec()].concat());
    let mut text = host.send("POST", "/logtap.v1.LogService/GetLogs", &kind, encoded.as_bytes()).await;
    assert_eq!(text.response.headers()["content-type"], "application/grpc-web-text+proto");
    let text = text.all().await;
    // Each piece is padded for itself.
    let pieces = text.split_inclusive('=').fold(Vec::<String>::new(), |mut pieces, part| {
        match pieces.last_mut() {
            Some(last) if part == "=" || !last.ends_with('=') => last.push_str(part),
            _ => pieces.push(part.to_owned()),
        }
        pieces
    });
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| STANDARD.decode(piece).expect("base64")).collect();
    assert_eq!(self::frames(&bytes)[..3], frames[..3]);

    // A stream is counted for what it is, and goes with its connection.
    let batches = v1::StreamBatchesRequest { request: Some(v1::LogRequest::default()), ..Default::default() };
    let message = batches.encode_to_vec();
    let body = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let kind = [("content-type", "application/grpc-web")];
    let mut stream = host.send("POST", "/logtap.v1.LogService/StreamBatches", &kind, &body).await;
    let first = soon("the first batch", stream.response.body_mut().frame()).await;
    assert!(first.is_some());
    assert_eq!(host.metric("logtap_streams{transport=\"grpc-web\"}").await, 1);
    drop(stream);
    host.until_streams(0, Duration::from_secs(2)).await;

    let native = host.send("POST", "/logtap.v1.LogService/GetLogs", &[("content-type", "application/grpc")], b"").await;
    assert_eq!(native.response.status(), 505);
}

/// The frames of a gRPC body: flag and content.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = body.split_at_checked(5) {
        let len = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        frames.push((header[0], rest[..len].to_vec()));
        body = &rest[len..];
    }
    frames
}

#[tokio::test]
async fn sources_are_listed_page_by_page() {
    let host = Host::start(&[("a", &lines(0..3)), ("b", ""), ("c", "x\n")]);
    let (_, all) = host.get("/api/v1/sources").await;
    let names: Vec<_> = all["sources"].as_array().expect("a list").iter().map(|source| &source["name"]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let file = &all["sources"][0]["files"][0];
    assert_eq!((&file["path"], &file["sizeBytes"]), (&json!(host.path("a")), &json!(lines(0..3).len().to_string())));
    assert_eq!(file["watchMode"], "WATCH_MODE_EVENTS");
    let (_, one) = host.get("/api/v1/sources?page_size=1&sources=[ac]").await;
    let token = one["nextPageToken"].as_str().expect("there is more").replace('\n', "%0A").replace('/', "%2F");
    let (_, two) = host.get(&format!("/api/v1/sources?sources=[ac]&page_token={token}")).await;
    assert_eq!((&two["sources"][0]["name"], &two["nextPageToken"]), (&json!("c"), &Value::Null));
    assert_eq!(host.get("/api/v1/sources?sources=nobody").await.0, 404);
    assert_eq!(host.get("/api/v1/sources?colour=red").await.0, 400);
}

#[tokio::test]
async fn the_viewer_is_served_with_strict_headers_and_sent_once() {
    let host = Host::start(&[("a", "")]);
    let strict = |headers: &HeaderMap| {
        let policy = headers["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.ends_with("require-trusted-types-for 'script'"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert!(!headers.contains_key("access-control-allow-origin"));
    };
    for (path, kind) in [("/", "text/html; charset=utf-8"), ("/assets/main.js", "text/javascript; charset=utf-8")] {
        let mut first = host.send("GET", path, &[], b"").await;
        strict(first.response.headers());
        assert_eq!(
            (first.response.status().as_u16(), &first.response.headers()["content-type"]),
            (200, &kind.parse().expect("a value"))
        );
        let etag = first.response.headers()["etag"].to_str().expect("text").to_owned();
        assert!(!first.all().await.is_empty());
        let mut again = host.send("GET", path, &[("if-none-match", &etag)], b"").await;
        assert_eq!((again.response.status().as_u16(), again.all().await.as_str()), (304, ""));
    }
    for path in ["/api/v1/logs", "/api/v1/logs?tail=x", "/api/v1/sources", "/nothing", "/assets/nothing.js", "/metrics"]
    {
        let answer = host.send("GET", path, &[], b"").await;
        strict(answer.response.headers());
        assert_eq!(answer.response.headers()["cache-control"], "no-store", "{path}");
    }
    assert_eq!(host.get("/assets/..%2fmod.rs").await.0, 404);
}

#[tokio::test]
async fn names_that_are_not_ours_and_other_origins_are_refused() {
    let host = Host::start_with(&[("a", &lines(0..3))], "hosts = [\"logs.example.org\"]");
    let code =
        async |path: &str, headers: &[(&str, &str)]| host.send("GET", path, headers, b"").await.into_json().await;
    for path in ["/api/v1/logs", "/api/v1/sources"] {
        let (answer, body) = code(path, &[("host", "rebound.example:50051")]).await;
        assert_eq!((answer.as_u16(), &body["error"]["code"]), (421, &json!(421)), "{body}");
        assert_eq!(code(path, &[("host", "logs.example.org")]).await.0, 200);
        assert_eq!(code(path, &[("host", "localhost:1")]).await.0, 200);
        let (answer, body) = code(path, &[("origin", "http://other.example")]).await;
        assert_eq!((answer.as_u16(), &body["error"]["code"]), (403, &json!(403)), "{body}");
        let own = format!("http://{}", host.address);
        assert_eq!(code(path, &[("origin", &own)]).await.0, 200);
    }
    let kind = ("content-type", "application/grpc-web+proto");
    for (header, expected) in [(("host", "rebound.example"), 421), (("origin", "http://other.example"), 403)] {
        let refused = host.send("POST", "/logtap.v1.LogService/GetLogs", &[kind, header], &[0; 5]).await;
        assert_eq!(refused.response.status().as_u16(), expected);
    }
    assert_eq!(host.send("GET", "/", &[("host", "rebound.example")], b"").await.response.status(), 421);
    assert_eq!(host.send("GET", "/metrics", &[("host", "rebound.example")], b"").await.response.status(), 421);
}

#[tokio::test]
async fn too_many_streams_are_told_when_to_come_back() {
    let host = Host::start_with(&[("a", &lines(0..3))], "max_streams = 1");
    let mut first = host.events("tail=1", None).await;
    first.entry().await;
    let refused = host.send("GET", "/api/v1/logs", &[], b"").await;
    assert_eq!(refused.response.headers()["retry-after"], "5");
    let (code, body) = refused.into_json().await;
    assert_eq!((code.as_u16(), &body["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    drop(first);
    host.until_streams(0, Duration::from_secs(2)).await;
    host.page("").await;
}
