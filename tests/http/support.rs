//! A daemon that is asked over plain HTTP, and streams that are read.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Longer than anything takes on a busy machine, shorter than a hung test may.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon over a directory of logs.
pub struct Host {
    pub directory: TempDir,
    pub process: Child,
    pub address: String,
}

/// A stream that is being read: its connection is closed with it.
pub struct Reading {
    pub response: Response<Incoming>,
    pub text: String,
    pub _connection: SendRequest<Full<Bytes>>,
}

impl Host {
    pub fn start(logs: &[(&str, &str)]) -> Self {
        Self::start_with(logs, "")
    }

    /// Starts with `server` added to the section of that name.
    pub fn start_with(logs: &[(&str, &str)], server: &str) -> Self {
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    pub fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).expect("the log");
        file.write_all(text.as_bytes()).expect("it can be written");
    }

    pub async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.address).await.expect("it listens");
        let (send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1");
        tokio::spawn(connection);
        send
    }

    /// Sends a request; `Host` is ours unless `headers` have another.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reading {
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
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send("GET", path, &[], b"").await.into_json().await
    }

    /// A page of logs.
    pub async fn page(&self, query: &str) -> Value {
        let (code, page) = self.get(&format!("/api/v1/logs?{query}")).await;
        assert_eq!(code, 200, "{query}: {page}");
        page
    }

    pub async fn events(&self, query: &str, last: Option<&str>) -> Reading {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last.map(|id| ("last-event-id", id)));
        let reading = self.send("GET", &format!("/api/v1/logs?{query}"), &headers, b"").await;
        assert_eq!(reading.response.headers()["content-type"], "text/event-stream");
        assert_eq!(reading.response.headers()["x-accel-buffering"], "no");
        reading
    }

    /// The sum over all lines of a metric that begin like this.
    pub async fn metric(&self, name: &str) -> u64 {
        let mut reading = self.send("GET", "/metrics", &[], b"").await;
        let text = reading.all().await;
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit_once(' ').expect("a value").1.parse::<u64>().expect("a number")).sum()
    }

    pub async fn until_streams(&self, wanted: u64, within: Duration) {
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
    pub async fn more(&mut self) -> bool {
        let frame = soon("more of the stream", self.response.body_mut().frame()).await;
        let Some(frame) = frame else { return false };
        let bytes = frame.expect("the connection holds").into_data().expect("HTTP/1 has no trailers here");
        self.text.push_str(std::str::from_utf8(&bytes).expect("whole characters"));
        true
    }

    pub async fn all(&mut self) -> String {
        while self.more().await {}
        std::mem::take(&mut self.text)
    }

    pub async fn into_json(mut self) -> (StatusCode, Value) {
        let code = self.response.status();
        let text = self.all().await;
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// The next line of newline-delimited JSON.
    pub async fn line(&mut self) -> Value {
        while !self.text.contains('\n') {
            assert!(self.more().await, "it ended: {}", self.text);
        }
        let (line, rest) = self.text.split_once('\n').expect("there is one");
        let value = serde_json::from_str(line).expect("JSON");
        self.text = rest.to_owned();
        value
    }

    /// The next event that has data: its name, id and data.
    pub async fn event(&mut self) -> (String, Option<String>, Value) {
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
    pub async fn entry(&mut self) -> (String, String, String) {
        loop {
            let (name, id, data) = self.event().await;
            if name == "entry" {
                let source = data["source"].as_str().expect("always there").to_owned();
                return (id.expect("small cursors come with every entry"), source, message(&data));
            }
        }
    }
}

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

pub fn message(entry: &Value) -> String {
    entry["message"].as_str().expect("always there").to_owned()
}

pub fn messages(page: &Value) -> Vec<String> {
    page["entries"].as_array().expect("a list").iter().map(message).collect()
}

pub fn cursor(page: &Value) -> String {
    page["cursor"].as_str().expect("a cursor").to_owned()
}

/// A cursor as a query has it.
pub fn quoted(cursor: &str) -> String {
    cursor.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

pub fn lines(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut text, number| {
        let level = if number % 10 == 0 { "ERROR" } else { "INFO" };
        writeln!(text, "2026-01-01T00:00:00.{number:06}Z {level} line {number}").expect("memory");
        text
    })
}

pub fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    lines(range).lines().map(str::to_owned).collect()
}
