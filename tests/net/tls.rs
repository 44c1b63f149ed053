//! TLS: who is let in by which certificate, what is said to those who do not speak it, and new certificates.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use http_body_util::BodyExt as _;
use logtap::server::net::{ClientCertificates, ConnectionLimits, Listen, Reloaded, Tls, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{Server, eventually, get, http1, http2, read_until_closed, soon, text};

/// An authority in a directory of its own.
struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("it can be written");
        Self { directory, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, common_names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
        params.distinguished_name.remove(DnType::CommonName);
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, contents: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("it can be written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        path
    }

    /// Writes the server's files.
    fn install(&self, identity: &Identity) {
        self.write("cert.pem", &identity.certificate, 0o644);
        self.write("key.pem", &identity.key, 0o640);
    }

    fn settings(&self, clients: ClientCertificates) -> TlsSettings {
        TlsSettings { certificate: self.path("cert.pem"), key: self.path("key.pem"), clients }
    }

    fn server(&self, clients: ClientCertificates) -> (Server, Arc<Tls>) {
        self.install(&self.sign(&["server"], |_| {}));
        let tls = Arc::new(Tls::load(self.settings(clients)).expect("the files are good"));
        let limits = ConnectionLimits { handshake: Duration::from_secs(2), ..ConnectionLimits::default() };
        (Server::start_on(&[Listen::Tcp("127.0.0.1:0".into())], Some(tls.clone()), limits), tls)
    }

    /// A client that trusts this authority.
    async fn connect(
        &self,
        server: &Server,
        identity: Option<&Identity>,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it is an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("the version is supported")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("it is PEM");
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("it is PEM");
                builder.with_client_auth_cert(vec![chain], key).expect("they belong together")
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").expect("it is a name");
        TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
    }

    /// What `/info` tells, or why it cannot be asked.
    async fn ask(
        &self,
        server: &Server,
        identity: Option<&Identity>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<String, String> {
        let stream = self.connect(server, identity, version).await.map_err(|error| error.to_string())?;
        // With TLS 1.3 a refusal of the client's certificate arrives after the client's handshake.
        let (mut send, connection) = http1(stream).await;
        match send.send_request(get("/info")).await {
            Ok(response) => Ok(text(response).await),
            Err(_) => Err(format!("{:?}", soon("the connection to end", connection).await)),
        }
    }
}

#[tokio::test]
async fn both_versions_of_tls_carry_both_versions_of_http() {
    let authority = Authority::new();
    let (server, _tls) = authority.server(ClientCertificates::Ignored);
    for version in [&version::TLS12, &version::TLS13] {
        let body = authority.ask(&server, None, version).await.expect("it is answered");
        assert!(body.contains("tls: Some(TlsInfo { client_name: None, client_certificate: false })"), "{body}");
        let stream = authority.connect(&server, None, version).await.expect("it is let in");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut send, _connection) = http2(stream, 1 << 20).await;
        let response = send.send_request(get("/endless")).await.expect("it is answered");
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body();
        for _ in 0..100 {
            body.frame().await.expect("it does not end").expect("it is whole");
        }
    }
    server.all_gone().await;
}

#[tokio::test]
async fn the_common_name_of_a_valid_client_certificate_is_handed_on() {
    let authority = Authority::new();
    let optional = ClientCertificates::Optional(authority.path("ca.pem"));
    let (server, _tls) = authority.server(optional);
    let named = authority.sign(&["Jörg's laptop"], |_| {});
    let nameless = authority.sign(&[], |_| {});
    let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
    let ambiguous = authority.sign(&["a"], |params| params.distinguished_name.push(again, "b"));
    let foreign = Authority::new().sign(&["Jörg's laptop"], |_| {});
    let expired = authority.sign(&["old"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    for version in [&version::TLS12, &version::TLS13] {
        let ask = |identity| authority.ask(&server, identity, version);
        let body = ask(Some(&named)).await.expect("it is let in");
        assert!(body.contains(r#"client_name: Some("Jörg's laptop"), client_certificate: true"#), "{body}");
        for identity in [&nameless, &ambiguous] {
            let body = ask(Some(identity)).await.expect("it is let in");
            assert!(body.contains("client_name: None, client_certificate: true"), "{body}");
        }
        let body = ask(None).await.expect("it is let in");
        assert!(body.contains("client_name: None, client_certificate: false"), "{body}");
        ask(Some(&foreign)).await.expect_err("another authority signed it");
        ask(Some(&expired)).await.expect_err("it has expired");
    }
    eventually("the refusals to be counted", || server.ended("tls") == 4).await;
}

/// With TLS 1.3 a client has said its first words before it hears that its certificate does not do. Unread, they would
/// make a reset of the end of the connection, and that takes the reason back.
#[tokio::test]
async fn who_is_refused_hears_why_whatever_it_has_said() {
    let authority = Authority::new();
    let (server, _tls) = authority.server(ClientCertificates::Optional(authority.path("ca.pem")));
    let foreign = Authority::new().sign(&["alice"], |_| {});
    for _ in 0..50 {
        let mut stream =
            authority.connect(&server, Some(&foreign), &version::TLS13).await.expect("its own part is done");
        stream.write_all(&[b'x'; 8 << 10]).await.expect("the server reads");
        let refused = soon("the reason", stream.read_u8()).await.expect_err("another authority signed it");
        assert!(refused.to_string().contains("received fatal alert"), "{refused}");
    }
    server.all_gone().await;
}

#[tokio::test]
async fn a_required_client_certificate_is_required() {
    let authority = Authority::new();
    let required = ClientCertificates::Required(authority.path("ca.pem"));
    let (server, _tls) = authority.server(required);
    let identity = authority.sign(&["laptop"], |_| {});
    for version in [&version::TLS12, &version::TLS13] {
        authority.ask(&server, None, version).await.expect_err("it shows no certificate");
        let body = authority.ask(&server, Some(&identity), version).await.expect("it is let in");
        assert!(body.contains(r#"client_name: Some("laptop")"#), "{body}");
    }
}

#[tokio::test]
async fn plain_text_to_a_tls_port_is_refused_in_its_own_words() {
    let authority = Authority::new();
    let (server, _tls) = authority.server(ClientCertificates::Ignored);
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the server listens");
    stream.shutdown().await.expect("it is open");
    let answer = String::from_utf8(read_until_closed(&mut stream).await).expect("it is text");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nThis port speaks TLS: use https://.\r\n"), "{answer}");

    let (mut send, connection) = http2(server.connect().await, 1 << 20).await;
    send.send_request(get("/info")).await.expect_err("it is refused");
    let error = soon("the connection to end", connection).await.expect("no panic").expect_err("it is refused");
    let reason = std::error::Error::source(&error).expect("HTTP/2 says why").to_string();
    assert!(reason.contains("this port speaks TLS"), "{reason}");
    eventually("the refusals to be counted", || server.ended("tls") == 2).await;
    server.all_gone().await;
}

#[tokio::test]
async fn a_handshake_that_stops_is_closed_after_the_deadline() {
    let authority = Authority::new();
    let (server, _tls) = authority.server(ClientCertificates::Ignored);
    let mut stream = server.connect().await;
    stream.write_all(&[22, 3, 1, 2, 0]).await.expect("the server listens");
    read_until_closed(&mut stream).await;
    eventually("the ending to be counted", || server.ended("silent") == 1).await;
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_disturbs_no_old_one() {
    let authority = Authority::new();
    let (server, tls) = authority.server(ClientCertificates::Ignored);
    let shown = |stream: &TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().expect("servers show one")[0].clone().into_owned()
    };
    let old = authority.connect(&server, None, &version::TLS13).await.expect("it is let in");
    let old_certificate = shown(&old);
    let (mut send, _connection) = http2(old, 1 << 20).await;
    let mut body = send.send_request(get("/endless")).await.expect("it is answered").into_body();

    assert_eq!(tls.reload().expect("the files are good"), Reloaded::Unchanged);
    authority.install(&authority.sign(&["server"], |_| {}));
    assert_eq!(tls.reload().expect("the files are good"), Reloaded::Changed);
    let new = authority.connect(&server, None, &version::TLS13).await.expect("it is let in");
    let new_certificate = shown(&new);
    assert_ne!(new_certificate, old_certificate);
    for _ in 0..100 {
        body.frame().await.expect("it does not end").expect("it is whole");
    }

    authority.write("key.pem", "rubbish", 0o600);
    let error = tls.reload().expect_err("there is no key");
    let expected = format!("{}: no private key without a passphrase in it", authority.path("key.pem").display());
    assert_eq!(error.to_string(), expected);
    let still = authority.connect(&server, None, &version::TLS13).await.expect("it is let in");
    assert_eq!(shown(&still), new_certificate);
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_said_when_they_are_loaded() {
    let authority = Authority::new();
    let good = authority.sign(&["server"], |_| {});
    let other = authority.sign(&["other"], |params| params.is_ca = IsCa::ExplicitNoCa);
    let leaf = &other.certificate;
    let broken = good.certificate.replace("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA");
    let ca = fs::read_to_string(authority.path("ca.pem")).expect("it is there");
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let (cert, key) = (good.certificate.as_str(), good.key.as_str());
    let cases: [(&str, &str, u32, &str, &str, &str); 11] = [
        ("", key, 0o600, &ca, "cert.pem", "no certificate in it"),
        (key, key, 0o600, &ca, "cert.pem", "no certificate in it"),
        (cut, key, 0o600, &ca, "cert.pem", "not a PEM file: "),
        (&broken, key, 0o600, &ca, "cert.pem", "certificate 1: "),
        (cert, "", 0o600, &ca, "key.pem", "no private key without a passphrase in it"),
        (cert, cert, 0o600, &ca, "key.pem", "no private key without a passphrase in it"),
        (cert, &other.key, 0o600, &ca, "key.pem", "not the key of the certificate in "),
        (cert, key, 0o644, &ca, "key.pem", "its mode 0644 lets anybody read or change the secrets in it"),
        (cert, key, 0o602, &ca, "key.pem", "its mode 0602 lets anybody read or change the secrets in it"),
        (cert, key, 0o600, "", "client.pem", "no certificate in it"),
        (
            cert,
            key,
            0o600,
            &(ca.clone() + leaf),
            "client.pem",
            "certificate 2: it is not the certificate of an authority",
        ),
    ];
    for (cert, key, mode, client, file, expected) in cases {
        authority.write("cert.pem", cert, 0o644);
        authority.write("key.pem", key, mode);
        let clients = ClientCertificates::Optional(authority.write("client.pem", client, 0o644));
        let error = Tls::load(authority.settings(clients)).expect_err(expected).to_string();
        let expected = format!("{}: {expected}", authority.path(file).display());
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
    fs::remove_file(authority.path("cert.pem")).expect("it is there");
    let error = Tls::load(authority.settings(ClientCertificates::Ignored)).expect_err("it is missing").to_string();
    assert!(error.contains("cert.pem: No such file or directory"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_loaded_all_the_same() {
    let authority = Authority::new();
    authority.install(&authority.sign(&["old"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)));
    Tls::load(authority.settings(ClientCertificates::Ignored)).expect("whether to go on with it is for the operator");
}
