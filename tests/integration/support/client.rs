//! Generated clients, and what they get.

use logtap::proto::{compat, v1};
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{daemon::Daemon, soon};

pub type CompatClient = compat::log_service_client::LogServiceClient<Channel>;
pub type V1Client = v1::log_service_client::LogServiceClient<Channel>;

/// A connection.
pub async fn connect(daemon: &Daemon) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", daemon.address)).expect("an address");
    soon("a connection", endpoint.connect()).await.expect("it listens")
}

pub async fn compat(daemon: &Daemon) -> CompatClient {
    CompatClient::new(connect(daemon).await)
}

pub async fn v1(daemon: &Daemon) -> V1Client {
    V1Client::new(connect(daemon).await)
}

/// A whole stream: what came before it, in it and after it.
#[derive(Debug)]
pub struct Answer<E> {
    pub headers: MetadataMap,
    pub entries: Vec<E>,
    /// OK, or why it ended.
    pub status: Status,
    pub trailers: MetadataMap,
}

/// Reads a stream to its end.
pub async fn read_all<E>(call: impl Future<Output = Result<Response<Streaming<E>>, Status>>) -> Answer<E> {
    soon("the end of a stream", async {
        let (headers, mut stream) = match call.await {
            Ok(response) => {
                let (headers, stream, _) = response.into_parts();
                (headers, stream)
            }
            Err(status) => {
                let (headers, trailers) = (status.metadata().clone(), MetadataMap::new());
                return Answer { headers, entries: Vec::new(), status, trailers };
            }
        };
        let mut entries = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => {
                    let trailers = stream.trailers().await.expect("it ended well").expect("it has trailers");
                    return Answer { headers, entries, status: Status::ok(""), trailers };
                }
                Err(status) => {
                    let trailers = status.metadata().clone();
                    return Answer { headers, entries, status, trailers };
                }
            }
        }
    })
    .await
}

/// What `GetLogs` of the full service answers.
pub async fn get(daemon: &Daemon, request: v1::LogRequest) -> Answer<v1::LogEntry> {
    let mut client = v1(daemon).await;
    read_all(client.get_logs(request)).await
}

/// The messages that `GetLogs` of the full service answers, which must end well.
pub async fn messages(daemon: &Daemon, request: v1::LogRequest) -> Vec<String> {
    get(daemon, request).await.messages()
}

/// The status with which `GetLogs` of the full service refuses a request.
pub async fn refusal(daemon: &Daemon, request: v1::LogRequest) -> Status {
    let answer = get(daemon, request).await;
    assert!(answer.entries.is_empty() && answer.status.code() != Code::Ok, "it was not refused");
    assert!(answer.headers.contains_key("x-request-id"), "a refusal names the call");
    answer.status
}

impl Answer<v1::LogEntry> {
    /// The messages of a stream that must have ended well.
    #[track_caller]
    pub fn messages(&self) -> Vec<String> {
        assert_eq!(self.status.code(), Code::Ok, "{:?}", self.status);
        self.entries.iter().map(|entry| entry.message.clone()).collect()
    }

    /// Compares what the trailers say with what came.
    #[track_caller]
    pub fn check_trailers(&self) {
        let messages: Vec<&str> = self.entries.iter().map(|entry| entry.message.as_str()).collect();
        check_trailers(&self.trailers, &messages);
    }
}

/// Compares what trailers say with the messages that came.
#[track_caller]
pub fn check_trailers(trailers: &MetadataMap, messages: &[&str]) {
    let text: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let bytes = text.len() - messages.len();
    let value = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
    let told = ["logtap-entries", "logtap-message-bytes", "logtap-crc32"].map(value);
    let crc = format!("{:08x}", crc32fast::hash(text.as_bytes()));
    assert_eq!(told, [messages.len().to_string(), bytes.to_string(), crc]);
}

/// The bytes of the file that entries came from.
pub fn file_of(entries: &[v1::LogEntry]) -> Vec<u8> {
    let mut file = Vec::new();
    for entry in entries {
        file.extend_from_slice(if entry.raw.is_empty() { entry.message.as_bytes() } else { &entry.raw });
        file.extend_from_slice(match entry.flags & (16 | 64) {
            0 => b"\n",
            64 => b"\r\n",
            _ => b"",
        });
    }
    file
}

/// A stream that goes on.
pub struct Live {
    stream: Streaming<v1::LogEntry>,
    pub headers: MetadataMap,
}

impl Live {
    /// Follows what `request` selects; what is written from here on is new.
    pub async fn open(daemon: &Daemon, request: v1::LogRequest) -> Self {
        Self::open_on(&mut v1(daemon).await, request).await
    }

    pub async fn open_on(client: &mut V1Client, request: impl tonic::IntoRequest<v1::LogRequest>) -> Self {
        let opened = soon("the headers", client.stream_logs(request)).await.expect("it is served");
        let (headers, stream, _) = opened.into_parts();
        Self { stream, headers }
    }

    /// The next entry.
    pub async fn next(&mut self) -> v1::LogEntry {
        let next = soon("an entry", self.stream.message()).await;
        next.expect("the stream goes on").expect("the stream goes on")
    }

    /// The next messages.
    pub async fn take(&mut self, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.push(self.next().await.message);
        }
        messages
    }

    /// The status with which it ends, which must come next.
    pub async fn end(&mut self) -> Status {
        match soon("the end", self.stream.message()).await {
            Ok(Some(entry)) => panic!("not the end: {entry:?}"),
            Ok(None) => Status::ok(""),
            Err(status) => status,
        }
    }
}

/// A request with a deadline that only the server keeps.
pub fn with_timeout<T>(message: T, timeout: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("a header"));
    request
}
