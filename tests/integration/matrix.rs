//! Every credential on every wire, over TLS: who has a good one sees what it allows, everybody else sees nothing.

use std::{fs, io, os::unix::fs::PermissionsExt as _, sync::Arc};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::Digest as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{Logs, client, daemon::Daemon, soon};

const SEES_ALL: &str = "sees-everything-0123456789";
const SEES_OPEN: &str = "sees-a-part-0123456789";
const UNKNOWN: &str = "sees-nothing-0123456789";

/// A way to ask for what there is.
struct Wire {
    version: Version,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// Set: it is a POST.
    body: Option<&'static [u8]>,
    /// Whether the answer has something of a source in it.
    shows_sources: bool,
}

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];
const GRPC_WEB: &[(&str, &str)] = &[("content-type", "application/grpc-web+proto")];
/// An empty message.
const NOTHING: &[u8] = &[0; 5];
/// `StreamBatches` that does not follow.
const NO_FOLLOW: &[u8] = &[0, 0, 0, 0, 2, 0x10, 1];
/// The services, asked for by reflection.
const LIST_SERVICES: &[u8] = &[0, 0, 0, 0, 3, 0x3a, 1, b'*'];

const fn rpc(path: &'static str, body: &'static [u8]) -> Wire {
    Wire { version: Version::HTTP_2, path, headers: GRPC, body: Some(body), shows_sources: true }
}

const fn reflection(path: &'static str) -> Wire {
    Wire { shows_sources: false, ..rpc(path, LIST_SERVICES) }
}

const fn plain(version: Version, path: &'static str, headers: &'static [(&'static str, &'static str)]) -> Wire {
    Wire { version, path, headers, body: None, shows_sources: true }
}

const WIRES: [Wire; 16] = [
    rpc("/LogService/GetLogs", NOTHING),
    rpc("/logtap.v1.LogService/GetLogs", NOTHING),
    rpc("/logtap.v1.LogService/StreamBatches", NO_FOLLOW),
    rpc("/logtap.v1.LogService/ListSources", NOTHING),
    reflection("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    reflection("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    Wire { headers: GRPC_WEB, version: Version::HTTP_11, ..rpc("/logtap.v1.LogService/GetLogs", NOTHING) },
    Wire { headers: GRPC_WEB, ..rpc("/logtap.v1.LogService/ListSources", NOTHING) },
    plain(Version::HTTP_11, "/api/v1/logs", &[]),
    plain(Version::HTTP_2, "/api/v1/logs", &[]),
    plain(Version::HTTP_11, "/api/v1/logs?wait=1s&tail=10", &[]),
    plain(Version::HTTP_11, "/api/v1/logs", &[("accept", "application/x-ndjson")]),
    // It ends with what the clock has passed.
    plain(Version::HTTP_11, "/api/v1/logs?tail=10&until=0s", &[("accept", "text/event-stream")]),
    plain(Version::HTTP_2, "/api/v1/logs?tail=10&until=0s", &[("accept", "text/event-stream")]),
    plain(Version::HTTP_11, "/api/v1/sources", &[]),
    plain(Version::HTTP_11, "/metrics", &[]),
];

/// What a client shows.
struct Shown<'i> {
    name: &'static str,
    identity: Option<&'i Identity>,
    token: Option<&'static str>,
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// TLS ends with a refusal.
    NoHandshake,
    Refused,
    SeesOpen,
    SeesAll,
}

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// An authority, in whose name servers and clients are known.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn sign(&self, common_name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Identity, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, common_name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (Identity { certificate: certificate.der().clone(), key }, certificate.pem())
    }
}

/// A daemon that speaks TLS, knows two tokens and the certificates of alice and bob.
struct Site {
    authority: Authority,
    daemon: Daemon,
    _logs: Logs,
}

impl Site {
    fn new() -> Self {
        let (logs, authority) = (Logs::new(), Authority::new());
        logs.write("open.log", "seen\n");
        logs.write("hidden.log", "secret\n");
        let secret = |name: &str, content: String| {
            let path = logs.write(name, content);
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        };
        let (server, certificate) = authority.sign("server", |_| {});
        logs.write("cert.pem", certificate);
        logs.write("ca.pem", authority.0.pem());
        secret("key.pem", server.key.serialize_pem());
        let hash =
            |token: &str| sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let tokens = format!("all:{}\nsome:{}:open\n", hash(SEES_ALL), hash(SEES_OPEN));
        secret("tokens", format!("{tokens}alice:cn=alice\nbob:cn=bob:open\n"));
        let source = |name: &str| format!("[[source]]\nname = \"{name}\"\npaths = [\"{name}.log\"]\n");
        let tls = "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = \"ca.pem\"\n";
        let start = format!("[server]\nlisten = [\"127.0.0.1:0\"]\n{tls}[auth]\ntokens_file = \"tokens\"\n");
        let config = logs.write("logtap.toml", format!("{start}{}{}", source("open"), source("hidden")));
        Self { authority, daemon: Daemon::configured(&config), _logs: logs }
    }

    async fn connect(&self, shown: &Shown<'_>, version: Version) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).expect("it is an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("they are supported")
            .with_root_certificates(roots);
        let mut config = match shown.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::try_from(identity.key.serialize_der()).expect("a key");
                let certificate = vec![identity.certificate.clone()];
                builder.with_client_auth_cert(certificate, key).expect("they belong together")
            }
        };
        config.alpn_protocols = vec![if version == Version::HTTP_2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect(&self.daemon.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// What is answered; an error when the connection does not come to that.
    async fn ask(&self, wire: &Wire, shown: &Shown<'_>) -> Result<Answer, String> {
        let stream = TokioIo::new(self.connect(shown, wire.version).await.map_err(|error| error.to_string())?);
        let method = if wire.body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method).version(wire.version);
        request = match wire.version {
            Version::HTTP_2 => request.uri(format!("https://localhost{}", wire.path)),
            _ => request.uri(wire.path).header("host", "localhost"),
        };
        for (name, value) in wire.headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = shown.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from_static(wire.body.unwrap_or_default()))).expect("a request");
        // A request that meets the end of its connection may wait for ever: the connection is listened to as well.
        let response = if wire.version == Version::HTTP_2 {
            let (mut send, connection) =
                http2::handshake(TokioExecutor::new(), stream).await.map_err(|error| error.to_string())?;
            let connection = tokio::spawn(connection);
            tokio::select! { biased; response = send.send_request(request) => response, _ = connection => return Err("over".into()) }
        } else {
            let (mut send, connection) = http1::handshake(stream).await.map_err(|error| error.to_string())?;
            let connection = tokio::spawn(connection);
            tokio::select! { biased; response = send.send_request(request) => response, _ = connection => return Err("over".into()) }
        };
        let (head, body) = response.map_err(|error| error.to_string())?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let bytes = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        let in_body = bytes.split_once("grpc-status: ").map(|(_, rest)| rest.split('\r').next().unwrap_or_default());
        let in_head = head.headers.get("grpc-status").or(trailers.get("grpc-status"));
        let status = in_head.map(|value| value.to_str().expect("text").to_owned()).or(in_body.map(str::to_owned));
        Ok(Answer { code: head.status.as_u16(), grpc_status: status, body: bytes })
    }
}

#[derive(Debug)]
struct Answer {
    code: u16,
    grpc_status: Option<String>,
    body: String,
}

impl Answer {
    fn fate(&self, wire: &Wire) -> Fate {
        let is_call = wire.body.is_some();
        let refused = if is_call { self.grpc_status.as_deref() == Some("16") } else { self.code == 401 };
        let shows = |texts: [&str; 2]| texts.iter().any(|text| self.body.contains(text));
        let (sees_open, sees_hidden) = (shows(["open", "seen"]), shows(["hidden", "secret"]));
        if refused {
            assert!(!sees_open && !sees_hidden, "{self:?}");
            return Fate::Refused;
        }
        assert!(self.code == 200 && (!is_call || self.grpc_status.as_deref() == Some("0")), "{self:?}");
        assert!(sees_open || !wire.shows_sources, "{self:?}");
        if sees_hidden { Fate::SeesAll } else { Fate::SeesOpen }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_credential_is_worth_the_same_on_every_wire() {
    let site = Site::new();
    let sign = |name: &str| site.authority.sign(name, |_| {}).0;
    let (alice, bob, carol) = (sign("alice"), sign("bob"), sign("carol"));
    let (expired, _) = site.authority.sign("alice", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let (early, _) = site.authority.sign("alice", |params| params.not_before = date_time_ymd(2900, 1, 1));
    let (foreign, _) = Authority::new().sign("alice", |_| {});
    let shown = |name, identity, token| Shown { name, identity, token };
    let matrix = [
        (shown("nothing", None, None), Fate::Refused),
        (shown("an unknown token", None, Some(UNKNOWN)), Fate::Refused),
        (shown("a token without text", None, Some("")), Fate::Refused),
        (shown("a token for some", None, Some(SEES_OPEN)), Fate::SeesOpen),
        (shown("a token for all", None, Some(SEES_ALL)), Fate::SeesAll),
        (shown("a certificate for all", Some(&alice), None), Fate::SeesAll),
        (shown("a certificate for some", Some(&bob), None), Fate::SeesOpen),
        (shown("a certificate of somebody else", Some(&carol), None), Fate::Refused),
        (shown("an expired certificate", Some(&expired), None), Fate::NoHandshake),
        (shown("a certificate of tomorrow", Some(&early), None), Fate::NoHandshake),
        (shown("a foreign certificate", Some(&foreign), None), Fate::NoHandshake),
        (shown("a foreign certificate and a token", Some(&foreign), Some(SEES_ALL)), Fate::NoHandshake),
        // What is in the headers was shown on purpose.
        (shown("a certificate and a token for some", Some(&alice), Some(SEES_OPEN)), Fate::SeesOpen),
        (shown("a certificate and an unknown token", Some(&alice), Some(UNKNOWN)), Fate::Refused),
    ];
    for wire in &WIRES {
        for (shown, expected) in &matrix {
            let fate = match soon("an answer", site.ask(wire, shown)).await {
                Ok(answer) => answer.fate(wire),
                Err(_) => Fate::NoHandshake,
            };
            // What has nothing of sources in it is the same for all who are let in.
            let lets_in = |fate| matches!(fate, Fate::SeesOpen | Fate::SeesAll);
            let fits = fate == *expected || !wire.shows_sources && lets_in(fate) && lets_in(*expected);
            assert!(fits, "{} {:?}, {}: {fate:?} instead of {expected:?}", wire.path, wire.headers, shown.name);
        }
    }
    let log = site.daemon.log();
    for secret in [SEES_ALL, SEES_OPEN, UNKNOWN] {
        assert!(!log.contains(secret), "the log tells a token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_text_to_a_port_of_tls_and_the_reverse_are_refused_in_words() {
    let site = Site::new();
    let mut stream = TcpStream::connect(&site.daemon.address).await.expect("it listens");
    stream.write_all(b"GET /api/v1/logs HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it reads");
    let mut answer = Vec::new();
    soon("the end", stream.read_to_end(&mut answer)).await.expect("it answers");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("This port speaks TLS"), "{answer}");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", site.daemon.address));
    let channel = endpoint.expect("an address").connect_lazy();
    let mut client = client::V1Client::new(channel);
    let request = logtap::proto::v1::LogRequest::default();
    // Whether it reads why before it is told of the end is up to its kernel.
    soon("a refusal", client.get_logs(request)).await.expect_err("it is TLS");

    let logs = Logs::new();
    let clear = Daemon::serve([logs.write("a.log", "")]);
    let stream = TcpStream::connect(&clear.address).await.expect("it listens");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("they are supported")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let refused = soon("a refusal", TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let refused = refused.expect_err("it is clear text").to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
}
