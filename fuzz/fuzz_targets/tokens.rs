//! Any bytes as the tokens file: refused by its lines, in order and without quoting any, or everybody whom it lists is let
//! in under his name, to the sources that his patterns match wherever they are asked, and nobody else is.

#![no_main]

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, LazyLock},
};

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use logtap::{
    feed::open::Selection,
    server::{
        auth::{Auth, AuthError, AuthSettings, Caller, Unauthenticated},
        net::{Address, ConnectionId, ConnectionInfo, Peer, Reloaded, TlsInfo},
    },
};

static FILE: LazyLock<File> = LazyLock::new(logtap_fuzz::unnamed_file);

/// Names of sources that patterns are asked for.
const SOURCES: [&str; 6] = ["nginx", "app-1", "app-", "a", "..", "x.y_z"];

fuzz_target!(|bytes: &[u8]| {
    logtap_fuzz::fill(&FILE, bytes);
    let settings = AuthSettings { tokens_file: Some(logtap_fuzz::path_of(&FILE)), client_certificates: true };
    let auth = match Auth::load(settings) {
        Ok(auth) => auth,
        Err(AuthError::Lines { lines, .. }) => {
            assert!(lines.is_sorted_by_key(|error| error.line) && !lines.is_empty());
            let last = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            return assert!(lines.iter().all(|error| (1..=last).contains(&error.line) && !error.reason.is_empty()));
        }
        Err(error @ AuthError::File { .. }) => return assert!(error.to_string().contains("larger"), "{error}"),
    };
    assert!(!auth.is_open());
    let text = str::from_utf8(bytes).expect("a line that is no text is refused");
    let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let listed: Vec<&str> = lines.collect();
    listed.iter().for_each(|line| check(&auth, line));

    let no_uid = !listed.iter().any(|line| line.split(':').nth(1).is_some_and(|part| part.trim() == "uid=4242"));
    if no_uid {
        let answer = auth.authenticate(&HeaderMap::new(), &process(4242));
        assert_eq!(answer.map(drop), Err(Unauthenticated::Missing));
    }
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer nobody-has-this-one".parse().expect("a header"));
    assert_eq!(auth.authenticate(&headers, &process(0)).map(drop), Err(Unauthenticated::Unknown));
    assert!(matches!(auth.reload(), Ok(Reloaded::Unchanged)));
});

/// Whoever is listed in this line is let in, as far as the line says.
fn check(auth: &Auth, line: &str) {
    let mut parts = line.splitn(3, ':');
    let (name, credential) = (parts.next().expect("a name"), parts.next().expect("a credential").trim());
    let connection = if let Some(uid) = credential.strip_prefix("uid=") {
        process(uid.parse().expect("a number"))
    } else if let Some(name) = credential.strip_prefix("cn=") {
        certificate(name)
    } else {
        // Of a token only the hash is known.
        return assert!(credential.len() == 64 && credential.bytes().all(|byte| byte.is_ascii_hexdigit()));
    };
    let caller = auth.authenticate(&HeaderMap::new(), &connection).expect("it is listed");
    assert_eq!(caller.name().map(|name| &**name), Some(name));
    assert!(auth.still_valid(&caller));
    assert_eq!(caller.may_read_all(), parts.next().is_none());
    check_patterns(&caller);
}

/// What may be read is asked in two places.
fn check_patterns(caller: &Caller) {
    let selection = Selection::new(&[], &[], caller.patterns()).expect("patterns that were found good");
    for source in SOURCES {
        assert_eq!(caller.may_read(source), selection.allows(source), "{source}");
        assert!(caller.may_read(source) || !caller.may_read_all());
    }
}

fn process(uid: u32) -> ConnectionInfo {
    let local = Address::Unix(Arc::from(Path::new("/run/fuzz")));
    let peer = Peer::Unix { uid, pid: None };
    ConnectionInfo { id: ConnectionId::for_tests(0), peer, local, tls: None, no_place: None }
}

fn certificate(name: &str) -> ConnectionInfo {
    let tls = TlsInfo { client_name: Some(name.into()), client_certificate: true };
    let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    ConnectionInfo { peer, tls: Some(tls), ..process(0) }
}
