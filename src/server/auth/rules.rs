//! The decision: headers and a peer in, a caller or a refusal out.

use std::{error::Error, fmt, sync::Arc};

use http::{HeaderMap, header::AUTHORIZATION};

use super::tokens::{Allowed, Credential, Entry, Tokens};
use crate::{
    limits,
    server::net::{Peer, TlsInfo},
};

/// What is asked of callers, as one generation of the tokens file has it.
#[derive(Debug)]
pub(super) struct Rules {
    tokens: Option<Tokens>,
    certificates: bool,
    generation: u64,
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Caller {
    name: Option<Arc<str>>,
    allowed: Allowed,
    admission: Admission,
    /// Of the rules that let it in.
    generation: u64,
}

/// By what somebody was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Admission {
    /// Everybody is.
    Open,
    /// The mode of the Unix socket, where there are certificates to show on TCP but none here.
    SocketFile,
    /// A certificate, none being listed.
    AnyCertificate,
    /// A line of the tokens file.
    Listed(Credential),
}

/// Why somebody is not let in. What it says may be told to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// There is no credential.
    Missing,
    /// The `authorization` header is not one `Bearer` token.
    Malformed,
    /// The credential is not, or no longer, accepted.
    Unknown,
}

impl Caller {
    /// Its name: that in the tokens file, or in its certificate. `None` where nobody is asked.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Whether it may read the source of this name.
    pub fn may_read(&self, source: &str) -> bool {
        self.allowed.contains(source)
    }

    /// The patterns of the sources that it may read, as they were written; `None` where it may read every one.
    pub fn patterns(&self) -> Option<&[String]> {
        match &self.allowed {
            Allowed::All => None,
            Allowed::Matching { patterns, .. } => Some(patterns),
        }
    }

    /// Whether it may read every source, also those that are yet to come.
    pub fn may_read_all(&self) -> bool {
        matches!(self.allowed, Allowed::All)
    }
}

impl Rules {
    pub(super) fn new(tokens: Option<Tokens>, certificates: bool, generation: u64) -> Self {
        Self { tokens, certificates, generation }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn is_open(&self) -> bool {
        self.tokens.is_none() && !self.certificates
    }

    /// A credential in the headers goes first: it was presented on purpose. Then the certificate, then the user id.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Peer,
        tls: Option<&TlsInfo>,
    ) -> Result<Caller, Unauthenticated> {
        if self.is_open() {
            return Ok(self.anonymous(Admission::Open));
        }
        match &self.tokens {
            Some(tokens) => self.by_tokens(tokens, headers, peer, tls),
            None => self.by_certificate_alone(peer, tls),
        }
    }

    pub(super) fn still_valid(&self, caller: &Caller) -> bool {
        if caller.generation == self.generation {
            return true;
        }
        match (&caller.admission, &self.tokens) {
            (Admission::Open, _) => self.is_open(),
            (Admission::SocketFile, tokens) => self.certificates && tokens.is_none(),
            (Admission::AnyCertificate, tokens) => {
                self.certificates && !tokens.as_ref().is_some_and(Tokens::lists_common_names)
            }
            (Admission::Listed(credential), Some(tokens)) => tokens
                .entry(credential)
                .is_some_and(|entry| caller.name.as_ref() == Some(&entry.name) && caller.allowed == entry.allowed),
            (Admission::Listed(_), None) => false,
        }
    }

    fn by_tokens(
        &self,
        tokens: &Tokens,
        headers: &HeaderMap,
        peer: Peer,
        tls: Option<&TlsInfo>,
    ) -> Result<Caller, Unauthenticated> {
        if let Some(token) = bearer(headers)? {
            let (credential, entry) = tokens.by_token(token).ok_or(Unauthenticated::Unknown)?;
            return Ok(self.listed(credential, entry));
        }
        if let Some(tls) = tls.filter(|tls| self.certificates && tls.client_certificate) {
            if !tokens.lists_common_names() {
                return Ok(self.certified(tls));
            }
            let name = tls.client_name.as_ref().ok_or(Unauthenticated::Unknown)?;
            let entry = tokens.by_common_name(name).ok_or(Unauthenticated::Unknown)?;
            return Ok(self.listed(Credential::CommonName(name.clone()), entry));
        }
        match peer {
            Peer::Unix { uid, .. } => {
                let entry = tokens.by_uid(uid).ok_or(Unauthenticated::Missing)?;
                Ok(self.listed(Credential::Uid(uid), entry))
            }
            Peer::Tcp(_) => Err(Unauthenticated::Missing),
        }
    }

    fn by_certificate_alone(&self, peer: Peer, tls: Option<&TlsInfo>) -> Result<Caller, Unauthenticated> {
        match (tls, peer) {
            (Some(tls), _) if tls.client_certificate => Ok(self.certified(tls)),
            (_, Peer::Unix { .. }) => Ok(self.anonymous(Admission::SocketFile)),
            (_, Peer::Tcp(_)) => Err(Unauthenticated::Missing),
        }
    }

    fn listed(&self, credential: Credential, entry: &Entry) -> Caller {
        Caller {
            name: Some(entry.name.clone()),
            allowed: entry.allowed.clone(),
            admission: Admission::Listed(credential),
            generation: self.generation,
        }
    }

    fn certified(&self, tls: &TlsInfo) -> Caller {
        Caller { name: tls.client_name.clone(), ..self.anonymous(Admission::AnyCertificate) }
    }

    fn anonymous(&self, admission: Admission) -> Caller {
        Caller { name: None, allowed: Allowed::All, admission, generation: self.generation }
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750, section 2.1), if there is such a header.
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Of two it could not be said which one counts.
    if values.next().is_some() {
        return Err(Unauthenticated::Malformed);
    }
    let value = value.as_bytes();
    let space = value.iter().position(|byte| *byte == b' ').ok_or(Unauthenticated::Malformed)?;
    let (scheme, token) = (&value[..space], value[space..].trim_ascii());
    if !scheme.eq_ignore_ascii_case(b"bearer") || token.is_empty() || token.len() > limits::TOKEN_BYTES_MAX {
        return Err(Unauthenticated::Malformed);
    }
    Ok(Some(token))
}

impl fmt::Display for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a credential is needed: a bearer token, a client certificate or a known user id",
            Self::Malformed => "the authorization header must be one `Bearer` token",
            Self::Unknown => "the credential is not accepted",
        })
    }
}

impl Error for Unauthenticated {}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// SHA-256 of `test`.
    const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const REMOTE: Peer = Peer::Tcp(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1));
    const LOCAL: Peer = Peer::Unix { uid: 7, pid: None };

    /// What a request shows of itself.
    type Shown<'a> = (&'a HeaderMap, Peer, &'a Option<TlsInfo>);
    type Outcome<T> = Result<Option<T>, Unauthenticated>;

    fn tokens(text: &str) -> Tokens {
        Tokens::parse(text.as_bytes()).expect("every line is good")
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().expect("it is a header"))).collect()
    }

    fn certificate(name: Option<&str>) -> Option<TlsInfo> {
        Some(TlsInfo { client_name: name.map(Arc::from), client_certificate: true })
    }

    fn name(result: Result<Caller, Unauthenticated>) -> Result<Option<String>, Unauthenticated> {
        result.map(|caller| caller.name().map(ToString::to_string))
    }

    #[test]
    fn who_is_let_in_depends_on_what_is_configured_and_what_is_shown() {
        use Unauthenticated::{Malformed, Missing, Unknown};
        let (no_tls, nameless) = (Some(TlsInfo::default()), certificate(None));
        let (listed, unlisted) = (certificate(Some("known cn")), certificate(Some("other cn")));
        let (good, bad, basic) = (headers(&["Bearer test"]), headers(&["Bearer wrong"]), headers(&["Basic dGVzdA=="]));
        let (none, twice) = (headers(&[]), headers(&["Bearer test", "Bearer test"]));

        let open = || Rules::new(None, false, 0);
        let certificates = || Rules::new(None, true, 0);
        let plain = || Rules::new(Some(tokens(&format!("token:{TEST}\nuser:uid=7"))), false, 0);
        let both = || Rules::new(Some(tokens(&format!("token:{TEST}"))), true, 0);
        let names = || Rules::new(Some(tokens(&format!("token:{TEST}\ncn:cn=known cn"))), true, 0);
        // A file without a line lets nobody in.
        let nobody = || Rules::new(Some(Tokens::default()), false, 0);

        let cases: [(Rules, Shown<'_>, Outcome<&str>); 34] = [
            (open(), (&none, REMOTE, &None), Ok(None)),
            (open(), (&bad, REMOTE, &None), Ok(None)),
            (open(), (&none, LOCAL, &None), Ok(None)),
            (certificates(), (&none, REMOTE, &None), Err(Missing)),
            (certificates(), (&good, REMOTE, &None), Err(Missing)),
            (certificates(), (&none, REMOTE, &no_tls), Err(Missing)),
            (certificates(), (&none, REMOTE, &listed), Ok(Some("known cn"))),
            (certificates(), (&none, REMOTE, &nameless), Ok(None)),
            (certificates(), (&none, LOCAL, &None), Ok(None)),
            (plain(), (&none, REMOTE, &None), Err(Missing)),
            (plain(), (&good, REMOTE, &None), Ok(Some("token"))),
            (plain(), (&bad, REMOTE, &None), Err(Unknown)),
            (plain(), (&basic, REMOTE, &None), Err(Malformed)),
            (plain(), (&twice, REMOTE, &None), Err(Malformed)),
            (plain(), (&none, LOCAL, &None), Ok(Some("user"))),
            (plain(), (&none, Peer::Unix { uid: 8, pid: None }, &None), Err(Missing)),
            (plain(), (&good, LOCAL, &None), Ok(Some("token"))),
            (plain(), (&bad, LOCAL, &None), Err(Unknown)),
            // Nobody verified this certificate.
            (plain(), (&none, REMOTE, &listed), Err(Missing)),
            (both(), (&none, REMOTE, &None), Err(Missing)),
            (both(), (&none, REMOTE, &no_tls), Err(Missing)),
            (both(), (&good, REMOTE, &no_tls), Ok(Some("token"))),
            (both(), (&none, REMOTE, &unlisted), Ok(Some("other cn"))),
            (both(), (&none, REMOTE, &nameless), Ok(None)),
            (both(), (&good, REMOTE, &unlisted), Ok(Some("token"))),
            (both(), (&bad, REMOTE, &unlisted), Err(Unknown)),
            (both(), (&none, LOCAL, &None), Err(Missing)),
            (names(), (&none, REMOTE, &listed), Ok(Some("cn"))),
            (names(), (&none, REMOTE, &unlisted), Err(Unknown)),
            (names(), (&none, REMOTE, &nameless), Err(Unknown)),
            (names(), (&good, REMOTE, &unlisted), Ok(Some("token"))),
            (names(), (&none, REMOTE, &no_tls), Err(Missing)),
            (nobody(), (&good, REMOTE, &None), Err(Unknown)),
            (nobody(), (&none, LOCAL, &None), Err(Missing)),
        ];
        for (nth, (rules, (headers, peer, tls), expected)) in cases.into_iter().enumerate() {
            let result = name(rules.authenticate(headers, peer, tls.as_ref()));
            assert_eq!(result, expected.map(|name| name.map(str::to_owned)), "case {nth}");
        }
    }

    #[test]
    fn a_bearer_token_is_one_header_of_two_words() {
        let long = format!("Bearer {}", "x".repeat(limits::TOKEN_BYTES_MAX));
        let cases: [(&[&str], Outcome<&[u8]>); 11] = [
            (&[], Ok(None)),
            (&["Bearer a"], Ok(Some(b"a"))),
            (&["bEARER   a.b-c~=  "], Ok(Some(b"a.b-c~="))),
            (&[&long], Ok(Some(&long.as_bytes()[7..]))),
            (&[&format!("{long}x")], Err(Unauthenticated::Malformed)),
            (&[""], Err(Unauthenticated::Malformed)),
            (&["a"], Err(Unauthenticated::Malformed)),
            (&["Bearer"], Err(Unauthenticated::Malformed)),
            (&["Bearer "], Err(Unauthenticated::Malformed)),
            (&["Bearera a"], Err(Unauthenticated::Malformed)),
            (&["Bearer a", "Basic b"], Err(Unauthenticated::Malformed)),
        ];
        for (values, expected) in cases {
            assert_eq!(bearer(&headers(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn a_caller_reads_what_its_line_allows() {
        let rules = Rules::new(Some(tokens(&format!("a:{TEST}:nginx,app-*\nb:uid=7"))), false, 0);
        let limited = rules.authenticate(&headers(&["Bearer test"]), REMOTE, None).expect("it is listed");
        let all = rules.authenticate(&headers(&[]), LOCAL, None).expect("it is listed");
        let may = |caller: &Caller| ["nginx", "app-1", "app", "auth"].map(|source| caller.may_read(source));
        assert_eq!((may(&limited), limited.may_read_all()), ([true, true, false, false], false));
        assert_eq!((may(&all), all.may_read_all()), ([true; 4], true));
    }

    #[test]
    fn a_caller_stays_valid_as_long_as_it_would_be_let_in_alike() {
        let text = format!("a:{TEST}:nginx\nu:uid=7\nc:cn=cn");
        let before = Rules::new(Some(tokens(&text)), true, 0);
        let token = before.authenticate(&headers(&["Bearer test"]), REMOTE, None).expect("it is listed");
        let user = before.authenticate(&headers(&[]), LOCAL, None).expect("it is listed");
        let listed =
            before.authenticate(&headers(&[]), REMOTE, certificate(Some("cn")).as_ref()).expect("it is listed");
        // (what the file holds now; whether the token, the user id and the common name are valid)
        let cases = [
            (text.clone(), [true; 3]),
            (format!("new:uid=8\n{text}"), [true; 3]),
            (format!("a:{TEST}:nginx,app\nu:uid=7:*\nc:cn=CN"), [false; 3]),
            (format!("other:{TEST}:nginx\nu:uid=7\nother:cn=cn"), [false, true, false]),
            (format!("a:{}:nginx\nu:uid=8\nc:cn=cn", "0".repeat(64)), [false, false, true]),
            (String::new(), [false; 3]),
        ];
        for (text, expected) in cases {
            let after = Rules::new(Some(tokens(&text)), true, 1);
            assert_eq!([&token, &user, &listed].map(|caller| after.still_valid(caller)), expected, "{text}");
        }
        let any = Rules::new(Some(Tokens::default()), true, 0);
        let any_certificate = any.authenticate(&headers(&[]), REMOTE, certificate(None).as_ref()).expect("any will do");
        assert!(Rules::new(Some(tokens("u:uid=7")), true, 1).still_valid(&any_certificate));
        assert!(!Rules::new(Some(tokens("c:cn=cn")), true, 1).still_valid(&any_certificate));
    }
}
