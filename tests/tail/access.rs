//! What a host is shown, and what is asked of it.

use std::{fs, path::Path};

use logtap::proto::v1::LogRequest;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use crate::{
    command::{Ended, logtap, run, run_logtap},
    fake::Fake,
};

fn authorization(fake: &Fake) -> Option<String> {
    fake.headers().get("authorization").map(|value| value.to_str().expect("text").to_owned())
}

#[test]
fn every_flag_reaches_the_daemon() {
    let fake = Fake::start();
    let flags = "-l warn --source a --source b --path *.log -g x.y -e z -i -w k=v -B 1 -A 2 -S @5 -U @9 -n 7 --limit 3";
    let ended = run_logtap(&format!("tail {} {flags} --no-follow -o json", fake.host()));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let expected = LogRequest {
        level: "warn".into(),
        sources: vec!["a".into(), "b".into()],
        paths: vec!["*.log".into()],
        tail: Some(7),
        since: at(5),
        until: at(9),
        include: vec!["(?i)x.y".into()],
        exclude: vec!["(?i)z".into()],
        limit: 3,
        with_fields: true,
        r#where: [("k".into(), "v".into())].into(),
        context_before: 1,
        context_after: 2,
        ..LogRequest::default()
    };
    let request = fake.requests().remove(0);
    assert!(request.no_follow);
    assert_eq!(request.request, Some(expected));
    // Nothing is compressed that stays on this machine.
    assert!(fake.headers().get("grpc-accept-encoding").is_none_or(|value| value == "identity"));
}

#[test]
fn a_token_is_shown_by_file_and_by_environment_but_never_over_http() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    fs::write(&file, "from-file\nrest").expect("written");
    let shown = |scheme: &str, by_flag: bool, by_environment: bool| {
        let fake = Fake::start();
        let mut command = logtap(&format!("tail {scheme}{} --no-follow", fake.host()));
        command.env("LOGTAP_TOKEN", "from-environment");
        if by_flag {
            command.arg("--token-file").arg(&file);
        }
        if by_environment {
            command.env("LOGTAP_TOKEN_FILE", &file);
        }
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        (authorization(&fake), ended.stderr)
    };
    let file = || Some("Bearer from-file".to_owned());
    assert_eq!(shown("", true, false), (file(), String::new()));
    assert_eq!(shown("", false, true), (file(), String::new()));
    assert_eq!(shown("", false, false), (Some("Bearer from-environment".to_owned()), String::new()));
    let (clear, said) = shown("http://", true, true);
    assert_eq!(clear, None);
    assert!(said.contains("no token is sent over http://"), "{said}");
}

#[test]
fn a_token_that_cannot_be_read_is_an_error() {
    let fake = Fake::start();
    let ended = run_logtap(&format!("tail {} --token-file /nonexistent/token", fake.host()));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("/nonexistent/token: No such file"), "{}", ended.stderr);
}

/// An authority, and what it signed.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// Writes the authority's certificate.
    fn write(&self, path: &Path) {
        fs::write(path, self.0.pem()).expect("written");
    }

    /// A certificate for this machine, and its key.
    fn sign(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("names");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    fn server(&self, clients: Option<&Self>) -> ServerConfig {
        let (certificate, key) = self.sign();
        let builder =
            ServerConfig::builder_with_provider(tokio_rustls::rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).expect("a root");
                let provider = tokio_rustls::rustls::crypto::ring::default_provider().into();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a pair");
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

fn tail(fake: &Fake, flags: &str) -> Ended {
    run_logtap(&format!("tail https://localhost:{} --no-follow -o raw {flags}", fake.port()))
}

#[test]
fn tls_is_spoken_with_the_authority_that_was_named() {
    let (files, authority) = (Files::new(), Authority::new());
    authority.write(Path::new(&files.path("ca.pem")));
    let fake = Fake::with_tls(authority.server(None));
    let log = fake.log("s", "/s");
    fake.line(log, 1, "x");
    let ended = tail(&fake, &format!("--ca {}", files.path("ca.pem")));
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(0), &b"x\n"[..]), "{}", ended.stderr);

    let foreign = Authority::new();
    foreign.write(Path::new(&files.path("foreign.pem")));
    let ended = tail(&fake, &format!("--ca {}", files.path("foreign.pem")));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("TLS: invalid peer certificate"), "{}", ended.stderr);
}

#[test]
fn a_client_certificate_is_shown_and_its_lack_is_not_allowed() {
    let (files, authority) = (Files::new(), Authority::new());
    authority.write(Path::new(&files.path("ca.pem")));
    let (certificate, key) = authority.sign();
    fs::write(files.path("me.pem"), certificate.pem()).expect("written");
    fs::write(files.path("me.key"), key.serialize_pem()).expect("written");
    let fake = Fake::with_tls(authority.server(Some(&authority)));
    let log = fake.log("s", "/s");
    fake.line(log, 1, "x");
    let ca = format!("--ca {}", files.path("ca.pem"));
    let with = tail(&fake, &format!("{ca} --cert {} --key {}", files.path("me.pem"), files.path("me.key")));
    assert_eq!((with.code, with.stdout.as_slice()), (Some(0), &b"x\n"[..]), "{}", with.stderr);
    let without = tail(&fake, &ca);
    assert_eq!(without.code, Some(5), "{}", without.stderr);

    fs::write(files.path("empty.pem"), "").expect("written");
    let swapped = tail(&fake, &format!("{ca} --cert {} --key {}", files.path("me.pem"), files.path("me.pem")));
    assert!(swapped.code == Some(1) && swapped.stderr.contains("no private key in it"), "{}", swapped.stderr);
    let empty = tail(&fake, &format!("--ca {}", files.path("empty.pem")));
    assert!(empty.code == Some(1) && empty.stderr.contains("no certificate in it"), "{}", empty.stderr);
}

#[test]
fn clear_text_where_tls_was_meant_is_said() {
    let fake = Fake::start();
    let ended = tail(&fake, "");
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("does not speak TLS"), "{}", ended.stderr);
}
