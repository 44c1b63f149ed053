//! Who may read what, the same on every wire: what may not be seen answers like what does not exist.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
};

use logtap::proto::v1;
use sha2::Digest as _;
use tonic::{Code, Request, Status};

use crate::support::{
    Logs, PATIENCE,
    client::{self, Answer, Live, read_all},
    daemon::Daemon,
    eventually,
};

const ALL: &str = "sees-everything-0123456789";
const SOME: &str = "sees-a-part-0123456789";
const UNKNOWN: &str = "sees-nothing-0123456789";
/// The wires of plain HTTP: a path, and what is to be said besides.
const WIRES: [(&str, &str); 7] = [
    ("/api/v1/logs", ""),
    ("/api/v1/logs?wait=1s&tail=10", ""),
    ("/api/v1/logs", "Accept: application/x-ndjson\r\n"),
    // It ends with what the clock has passed.
    ("/api/v1/logs?tail=10&until=0s", "Accept: text/event-stream\r\n"),
    ("/api/v1/sources", ""),
    ("/metrics", ""),
    ("grpc-web", ""),
];

/// A daemon that shows `open` to one token, `open` and `hidden` to another, and nothing to who has none.
struct Site {
    logs: Logs,
    daemon: Daemon,
}

impl Site {
    fn new() -> Self {
        let logs = Logs::new();
        logs.write("open.log", "seen\n");
        logs.write("hidden.log", "secret\n");
        let source = |name: &str| format!("[[source]]\nname = \"{name}\"\npaths = [\"{name}.log\"]\n");
        let config = format!("[auth]\ntokens_file = \"tokens\"\n{}{}", source("open"), source("hidden"));
        let config = logs.write("logtap.toml", config);
        write_tokens(&logs, &[("all", ALL, ""), ("some", SOME, ":open*")]);
        let daemon = Daemon::serve([OsStr::new("-c"), config.as_os_str()]);
        Self { logs, daemon }
    }

    /// What a request over HTTP/1 is answered.
    fn ask(&self, (path, headers): (&str, &str), token: Option<&str>) -> String {
        let mut stream = TcpStream::connect(&self.daemon.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (line, body) = match path {
            "grpc-web" => ("POST /logtap.v1.LogService/GetLogs".to_owned(), &[0; 5][..]),
            path => (format!("GET {path}"), &[][..]),
        };
        let mut request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}");
        if !body.is_empty() {
            request.push_str("Content-Type: application/grpc-web+proto\r\nContent-Length: 5\r\n");
        }
        if let Some(token) = token {
            write!(request, "Authorization: Bearer {token}\r\n").expect("a string takes all");
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).and_then(|()| stream.write_all(body)).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, token: Option<&str>, request: v1::LogRequest) -> Answer<v1::LogEntry> {
        let mut client = client::v1(&self.daemon).await;
        read_all(client.get_logs(with(token, request))).await
    }
}

fn write_tokens(logs: &Logs, tokens: &[(&str, &str, &str)]) {
    let hash = |token: &str| sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: String = tokens.iter().map(|(name, token, may)| format!("{name}:{}{may}\n", hash(token))).collect();
    let new = logs.write("tokens.new", lines);
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("it is ours");
    logs.rename("tokens.new", "tokens");
}

fn with<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    request
}

fn of_source(name: &str) -> v1::LogRequest {
    v1::LogRequest { sources: vec![name.to_owned()], ..Default::default() }
}

/// A refusal without what differs from call to call, and with one name for what was asked for.
fn told(status: &Status, asked: &str) -> (Code, String, String) {
    let plain = |text: &str| text.replace(asked, "…");
    (status.code(), plain(status.message()), plain(&String::from_utf8_lossy(status.details())))
}

#[test]
fn every_wire_asks_for_a_credential_and_shows_what_it_allows() {
    let site = Site::new();
    for wire in WIRES {
        for token in [None, Some(UNKNOWN), Some("")] {
            let answer = site.ask(wire, token);
            let refused = answer.starts_with("HTTP/1.1 401") || answer.to_lowercase().contains("grpc-status: 16");
            assert!(refused && !answer.contains("seen") && !answer.contains("hidden"), "{wire:?} {token:?}: {answer}");
        }
        let (some, all) = (site.ask(wire, Some(SOME)), site.ask(wire, Some(ALL)));
        for (answer, sees_hidden) in [(some, false), (all, true)] {
            assert!(answer.starts_with("HTTP/1.1 200"), "{wire:?}: {answer}");
            assert!(answer.contains("open"), "{wire:?}: {answer}");
            let shown = answer.contains("hidden") || answer.contains("secret");
            assert_eq!(shown, sees_hidden, "{wire:?}: {answer}");
        }
    }
    for open in ["/", "/healthz", "/readyz"] {
        assert!(site.ask((open, ""), None).starts_with("HTTP/1.1 200"), "{open}");
    }
    let log = site.daemon.log();
    for secret in [ALL, SOME, UNKNOWN] {
        assert!(!log.contains(secret), "the log tells a token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_of_grpc_does_the_same() {
    let site = Site::new();
    let mut client = client::v1(&site.daemon).await;
    let mut compat = client::compat(&site.daemon).await;
    for token in [None, Some(UNKNOWN)] {
        let request = || with(token, v1::LogRequest::default());
        let batches = v1::StreamBatchesRequest { no_follow: true, ..Default::default() };
        let refusals = [
            client.get_logs(request()).await.err(),
            client.stream_logs(request()).await.err(),
            client.stream_batches(with(token, batches)).await.err(),
            client.list_sources(with(token, v1::ListSourcesRequest::default())).await.err(),
            compat.get_logs(with(token, Default::default())).await.err(),
            compat.stream_logs(with(token, Default::default())).await.err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.expect("it is refused").code(), Code::Unauthenticated);
        }
    }
    let answer = site.get(Some(SOME), v1::LogRequest::default()).await;
    assert_eq!(answer.messages(), ["seen"]);
    let files = answer.headers.get("logtap-files").and_then(|count| count.to_str().ok());
    assert_eq!(files, Some("1"));
    let old = read_all(compat.get_logs(with(Some(SOME), Default::default()))).await;
    let seen: Vec<_> = old.entries.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(seen, ["seen"]);
    let list = client.list_sources(with(Some(SOME), v1::ListSourcesRequest::default())).await.expect("it is let in");
    let names: Vec<_> = list.into_inner().sources.into_iter().map(|source| source.name).collect();
    assert_eq!(names, ["open"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_seen_answers_like_what_does_not_exist() {
    let site = Site::new();
    let hidden = site.get(Some(SOME), of_source("hidden")).await.status;
    let absent = site.get(Some(SOME), of_source("absent")).await.status;
    assert_eq!((hidden.code(), told(&hidden, "hidden")), (Code::NotFound, told(&absent, "absent")));
    let list = |name: &str| v1::ListSourcesRequest { sources: vec![name.to_owned()], ..Default::default() };
    let mut client = client::v1(&site.daemon).await;
    let hidden = client.list_sources(with(Some(SOME), list("hidden"))).await.expect_err("it may not be seen");
    let absent = client.list_sources(with(Some(SOME), list("absent"))).await.expect_err("it does not exist");
    assert_eq!(told(&hidden, "hidden"), told(&absent, "absent"));
    for path in ["/api/v1/logs?source=", "/api/v1/logs?sources=", "/api/v1/sources?sources="] {
        let ask = |name: &str| site.ask((&format!("{path}{name}"), "X-Request-Id: the-same\r\n"), Some(SOME));
        let without_date =
            |answer: String| answer.lines().filter(|line| !line.starts_with("date:")).collect::<String>();
        // Names of the same length, so that the answers are.
        let (hidden, absent) = (without_date(ask("hidden")), without_date(ask("absent")));
        assert_eq!(hidden.replace("hidden", "…"), absent.replace("absent", "…"), "{path}");
    }
    // By a path it selects nothing, as does one where nothing lies.
    let by_path = v1::LogRequest { paths: vec!["hidden.log".into()], ..Default::default() };
    assert_eq!(site.get(Some(SOME), by_path).await.messages(), Vec::<String>::new());

    // A cursor into it is as good as one from elsewhere.
    let cursor = site.get(Some(ALL), of_source("hidden")).await.entries[0].cursor.clone();
    let foreign = Site::new();
    let other = foreign.get(Some(ALL), of_source("open")).await.entries[0].cursor.clone();
    let resume = |cursor| v1::LogRequest { resume: vec![cursor], ..Default::default() };
    let hidden = site.get(Some(SOME), resume(cursor)).await.status;
    let elsewhere = site.get(Some(SOME), resume(other)).await.status;
    assert_eq!(told(&hidden, "hidden"), told(&elsewhere, "hidden"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tokens_hold_at_once_and_one_that_is_withdrawn_ends_its_streams() {
    const NEXT: &str = "the-next-one-0123456789";
    let site = Site::new();
    write_tokens(&site.logs, &[("all", ALL, ""), ("all", NEXT, "")]);
    site.daemon.signal(rustix::process::Signal::HUP);
    eventually("the tokens", || site.ask(("/metrics", ""), Some(NEXT)).starts_with("HTTP/1.1 200"));
    let (mut old, mut new) = (client::v1(&site.daemon).await, client::v1(&site.daemon).await);
    let mut old = Live::open_on(&mut old, with(Some(ALL), v1::LogRequest::default())).await;
    let mut new = Live::open_on(&mut new, with(Some(NEXT), v1::LogRequest::default())).await;
    site.logs.append("open.log", "both\n");
    assert_eq!((old.take(1).await, new.take(1).await), (vec!["both".to_owned()], vec!["both".to_owned()]));
    write_tokens(&site.logs, &[("all", NEXT, "")]);
    // Without being told: within 5 s.
    assert_eq!(old.end().await.code(), Code::Unauthenticated);
    site.logs.append("open.log", "one\n");
    assert_eq!(new.take(1).await, ["one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_tokens_that_the_world_can_read_is_refused() {
    let logs = Logs::new();
    logs.write("open.log", "");
    write_tokens(&logs, &[("all", ALL, "")]);
    fs::set_permissions(logs.path("tokens"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    let source = "[[source]]\nname = \"open\"\npaths = [\"open.log\"]\n";
    let config = logs.write("logtap.toml", format!("[auth]\ntokens_file = \"tokens\"\n{source}"));
    let mut program = crate::support::daemon::program();
    let output = program.args(["serve", "--listen", "127.0.0.1:0", "-c"]).arg(&config).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("its mode 0644 lets anybody read or change the secrets in it"), "{said}");
    assert!(!said.contains("listening"), "{said}");
}
