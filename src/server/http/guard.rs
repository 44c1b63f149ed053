//! Who may call us by which name: what keeps pages of other origins from reading logs through a visitor's browser.
//!
//! A page of another origin can make a browser send requests here, and with a name of its own that leads to our address
//! (DNS rebinding) it could even read the answers. So requests that can come from a browser, which is all of HTTP/1 and
//! whatever has a header that only browsers send, must call us by a name that is ours, and may have no other origin.
//! Over HTTP/2 no browser speaks gRPC; its clients call us whatever they like.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, uri::Authority};

use super::{error::Refused, grpc_web};
use crate::server::{Shared, net::Address};

/// What a page may do: load its own scripts and styles, ask its own origin, nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// Headers of every answer that a browser may get.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The names and addresses by which browsers may call us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// In lower case, without a final dot.
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    /// Whether every address of the machine is listened on.
    any_address: bool,
}

impl Hosts {
    /// `localhost`, the machine's name, the addresses that are `listening` and the names that are `configured`.
    pub fn new<'a>(configured: &[String], listening: impl IntoIterator<Item = &'a Address>) -> Self {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let machine = plain(machine.trim());
        let short = machine.split('.').next().unwrap_or_default().to_owned();
        let names = [machine, short, "localhost".to_owned()].into_iter();
        let mut new = Self { names: names.filter(|name| !name.is_empty()).collect(), ..Self::default() };
        for host in configured {
            match address(host) {
                Some(address) => new.addresses.insert(address),
                None => new.names.insert(plain(host)),
            };
        }
        for address in listening {
            match address {
                Address::Tcp(address) if address.ip().is_unspecified() => new.any_address = true,
                Address::Tcp(address) => {
                    new.addresses.insert(address.ip().to_canonical());
                }
                Address::Unix(_) => {}
            }
        }
        new
    }

    /// Whether this host, without a port, is us. An address is what the client connected to, unless something between
    /// us changed it: no name was resolved, so none can lie.
    fn contains(&self, host: &str) -> bool {
        match address(host) {
            Some(address) => self.any_address || self.addresses.contains(&address),
            None => self.names.contains(&plain(host)),
        }
    }

    /// Decides on a request.
    fn check(&self, request: &Request) -> Result<(), Refused> {
        let headers = request.headers();
        let from_browser = headers.contains_key(header::ORIGIN) || headers.contains_key(&SEC_FETCH_SITE);
        if request.version() >= Version::HTTP_2 && !from_browser {
            return Ok(());
        }
        let host =
            host_of(request).ok_or_else(|| Refused::misdirected("the request names no host, or several".to_owned()))?;
        if !self.contains(host.host()) {
            let name = host.host();
            let message = format!("{name:?} is no name of this server: add it to hosts in [server] if it should be");
            return Err(Refused::misdirected(message));
        }
        check_origin(headers, &host)
    }
}

/// Refuses what comes from a page of another origin. Following a link from there is no harm.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Refused> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        if origin.to_str().is_ok_and(|origin| is_origin_of(origin, host)) {
            return Ok(());
        }
        let message = format!(
            "{origin:?} is another origin than {host}: if it is that of a proxy before this server, have the proxy pass \
             the Host header on"
        );
        return Err(Refused::foreign_origin(message));
    }
    let is = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|given| given == value);
    if is(&SEC_FETCH_SITE, "cross-site") && !is(&SEC_FETCH_MODE, "navigate") {
        return Err(Refused::foreign_origin("a page of another site asks".to_owned()));
    }
    Ok(())
}

/// Checks a request before anything else, and adds the headers that every answer to a browser has.
pub async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let native = grpc_web::is_native(request.headers()) && request.version() >= Version::HTTP_2;
    let mut response = match shared.hosts.load().check(&request) {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            tracing::info!(path = request.uri().path(), why = refused.message(), "refused a request");
            refused.into_response()
        }
    };
    if !native {
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // What may be kept says so itself.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// The host that the request is for, with its port: of the URI, where HTTP/2 has it, else of its only `Host`.
fn host_of(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone()).filter(|authority| !authority.as_str().contains('@'));
    }
    let mut all = request.headers().get_all(header::HOST).iter();
    let (host, None) = (all.next()?, all.next()) else { return None };
    let authority: Authority = host.to_str().ok()?.parse().ok()?;
    Some(authority).filter(|authority| !authority.as_str().contains('@'))
}

/// Whether `origin` is that of a page which this host served: the same name and port. The scheme may differ, since
/// something before us may speak TLS for us.
fn is_origin_of(origin: &str, host: &Authority) -> bool {
    let (rest, port) = match origin.split_once("://") {
        Some(("http", rest)) => (rest, 80),
        Some(("https", rest)) => (rest, 443),
        _ => return false,
    };
    let Ok(authority) = rest.parse::<Authority>() else { return false };
    let with_port = |authority: &Authority| authority.port_u16().unwrap_or(port);
    !rest.contains('@') && plain(authority.host()) == plain(host.host()) && with_port(&authority) == with_port(host)
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(axum::body::Body::empty());
        *request.version_mut() = version;
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a value"));
        }
        request
    }

    fn hosts(listening: &[&str]) -> Hosts {
        let listening: Vec<_> = listening.iter().map(|text| Address::Tcp(text.parse().expect("an address"))).collect();
        Hosts::new(&["Logs.Example.org".to_owned()], &listening)
    }

    fn code(hosts: &Hosts, version: Version, headers: &[(&str, &str)]) -> u16 {
        hosts.check(&request(version, headers)).map_or_else(|refused| refused.code().as_u16(), |()| 200)
    }

    #[test]
    fn only_our_own_names_are_served() {
        let ours = hosts(&["127.0.0.1:50051", "[::1]:50051"]);
        for host in ["127.0.0.1:50051", "127.0.0.1", "[::1]:1", "localhost:8080", "LOCALHOST.", "logs.example.org"] {
            assert_eq!(code(&ours, Version::HTTP_11, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example:50051", "127.0.0.2", "10.0.0.1", "user@localhost", "", "a b", "localhost.evil"] {
            assert_eq!(code(&ours, Version::HTTP_11, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(code(&ours, Version::HTTP_11, &[]), 421);
        assert_eq!(code(&ours, Version::HTTP_11, &[("host", "localhost"), ("host", "evil.example")]), 421);
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
        assert_eq!(code(&ours, Version::HTTP_11, &[("host", machine.trim())]), 200);
        let everywhere = hosts(&["0.0.0.0:50051"]);
        assert_eq!(code(&everywhere, Version::HTTP_11, &[("host", "10.0.0.1:50051")]), 200);
        assert_eq!(code(&everywhere, Version::HTTP_11, &[("host", "evil.example")]), 421);
    }

    #[test]
    fn http2_is_asked_for_its_host_when_a_browser_speaks_it() {
        let ours = hosts(&["127.0.0.1:50051"]);
        assert_eq!(code(&ours, Version::HTTP_2, &[]), 200);
        assert_eq!(code(&ours, Version::HTTP_2, &[("host", "evil.example"), ("sec-fetch-site", "same-origin")]), 421);
        assert_eq!(code(&ours, Version::HTTP_2, &[("host", "evil.example"), ("origin", "http://evil.example")]), 421);
        let mut named = request(Version::HTTP_2, &[("sec-fetch-site", "none")]);
        *named.uri_mut() = "https://localhost/".parse().expect("a URI");
        assert_eq!(ours.check(&named), Ok(()));
        *named.uri_mut() = "https://evil.example/".parse().expect("a URI");
        assert_eq!(ours.check(&named).expect_err("not ours").code().as_u16(), 421);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let ours = hosts(&["127.0.0.1:50051"]);
        let from = |host: &str, origin: &str| code(&ours, Version::HTTP_11, &[("host", host), ("origin", origin)]);
        assert_eq!(from("127.0.0.1:50051", "http://127.0.0.1:50051"), 200);
        assert_eq!(from("logs.example.org", "https://logs.example.org"), 200);
        assert_eq!(from("logs.example.org:443", "https://LOGS.example.org"), 200);
        for origin in ["http://evil.example", "http://127.0.0.1:8080", "http://localhost:50051", "null", "file://", ""]
        {
            assert_eq!(from("127.0.0.1:50051", origin), 403, "{origin}");
        }
        let fetch = |site, mode| {
            let headers = [("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            code(&ours, Version::HTTP_11, &headers)
        };
        assert_eq!(fetch("same-origin", "cors"), 200);
        assert_eq!(fetch("cross-site", "navigate"), 200);
        assert_eq!(fetch("cross-site", "no-cors"), 403);
    }
}
