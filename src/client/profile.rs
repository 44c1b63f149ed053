//! The user's profile: names for hosts, groups of them, and what each is shown.
//!
//! ```toml
//! [hosts.web1]
//! address = "web1.example.org:50051"   # any form of a host but a group; the name itself when left out
//! token_file = "web.token"             # relative to this file, or from ~/
//! ca = "ca.pem"
//! cert = "me.pem"
//! key = "me.key"
//!
//! [groups]
//! web = ["web1", "web2.example.org"]
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::target::{Credentials, Route, Target, TargetError, Token};
use crate::limits::CLIENT_HOSTS_MAX;

/// Names for hosts and groups of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Hosts by the name that the user gives them.
    hosts: BTreeMap<String, Host>,
    /// Names or addresses of hosts by group, without the `@`.
    groups: BTreeMap<String, Vec<String>>,
}

/// A host of the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    route: Route,
    credentials: Credentials,
}

/// Why a profile cannot be used.
#[derive(Debug)]
pub enum ProfileError {
    /// It is no TOML, or has a key that is not known, in this line.
    Syntax(PathBuf, usize, String),
    /// A host's address is none.
    Address(PathBuf, String, TargetError),
    /// A host has a certificate without a key or the reverse.
    HalfIdentity(PathBuf, String),
    /// A group contains a group.
    NestedGroup(PathBuf, String),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(path, line, why) => write!(f, "{}, line {line}: {why}", path.display()),
            Self::Address(path, name, error) => write!(f, "{}: host `{name}`: {error}", path.display()),
            Self::HalfIdentity(path, name) => {
                write!(f, "{}: host `{name}`: `cert` and `key` belong together", path.display())
            }
            Self::NestedGroup(path, name) => {
                write!(f, "{}: group `{name}`: a group cannot contain a group", path.display())
            }
        }
    }
}

impl std::error::Error for ProfileError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    #[serde(default)]
    hosts: BTreeMap<String, RawHost>,
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHost {
    address: Option<String>,
    token_file: Option<String>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Profile {
    /// Reads the `text` of the file at `path`; paths in it are relative to its directory, or begin with `~/` for `home`.
    ///
    /// # Errors
    /// Names the file and the place.
    pub fn parse(text: &str, path: &Path, home: Option<&Path>) -> Result<Self, ProfileError> {
        let raw: RawProfile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ProfileError::Syntax(path.to_owned(), 1 + before.matches('\n').count(), error.message().to_owned())
        })?;
        let place = |file: String| place(&file, path, home);
        let mut hosts = BTreeMap::new();
        for (name, host) in raw.hosts {
            let address = host.address.as_deref().unwrap_or(&name);
            let route =
                Route::parse(address).map_err(|error| ProfileError::Address(path.to_owned(), name.clone(), error))?;
            let identity = match (host.cert, host.key) {
                (None, None) => None,
                (Some(cert), Some(key)) => Some((place(cert), place(key))),
                _ => return Err(ProfileError::HalfIdentity(path.to_owned(), name)),
            };
            let token = host.token_file.map(|file| Token::File(place(file)));
            let credentials = Credentials { token, ca: host.ca.map(place), identity };
            hosts.insert(name, Host { route, credentials });
        }
        for (name, members) in &raw.groups {
            if members.iter().any(|member| member.starts_with('@')) {
                return Err(ProfileError::NestedGroup(path.to_owned(), name.clone()));
            }
        }
        Ok(Self { hosts, groups: raw.groups })
    }

    /// The targets that `names` mean, each once, in order.
    ///
    /// What `flags` has counts before what the profile says of a host, and `defaults` (the environment) where neither
    /// says anything.
    ///
    /// # Errors
    /// Names the text that means no host, and a group that is not there.
    pub fn resolve(
        &self,
        names: &[String],
        flags: &Credentials,
        defaults: &Credentials,
    ) -> Result<Vec<Target>, TargetError> {
        let mut targets = Vec::new();
        let mut known = BTreeSet::new();
        for name in self.expand(names)? {
            let (route, own) = match self.hosts.get(name) {
                Some(host) => (host.route.clone(), host.credentials.clone()),
                None => (Route::parse(name)?, Credentials::default()),
            };
            if known.insert(name) {
                let credentials = flags.clone().or(own).or(defaults.clone());
                targets.push(Target { name: name.to_owned(), routes: vec![route], credentials });
            }
        }
        if targets.len() > CLIENT_HOSTS_MAX {
            return Err(TargetError::TooMany(targets.len()));
        }
        Ok(targets)
    }

    /// Replaces each group by its members.
    fn expand<'a>(&'a self, names: &'a [String]) -> Result<Vec<&'a str>, TargetError> {
        let mut expanded = Vec::new();
        for name in names {
            match name.strip_prefix('@') {
                None => expanded.push(name.as_str()),
                Some(group) => {
                    let members = self.groups.get(group).ok_or_else(|| TargetError::NoGroup(group.to_owned()))?;
                    expanded.extend(members.iter().map(String::as_str));
                }
            }
        }
        Ok(expanded)
    }
}

impl Credentials {
    /// What is set here, and what `other` has where nothing is.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { token: self.token.or(other.token), ca: self.ca.or(other.ca), identity: self.identity.or(other.identity) }
    }
}

/// Where `file`, as written in the profile at `profile`, lies.
fn place(file: &str, profile: &Path, home: Option<&Path>) -> PathBuf {
    match (file.strip_prefix("~/"), home, profile.parent()) {
        (Some(rest), Some(home), _) => home.join(rest),
        (_, _, Some(directory)) => directory.join(file),
        (_, _, None) => PathBuf::from(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::target::Security;

    const TEXT: &str = r#"
        [hosts.web1]
        address = "web1.example.org:7"
        token_file = "web.token"
        cert = "~/me.pem"
        key = "/etc/me.key"
        [hosts.local]
        address = "unix:/run/x.sock"
        [hosts."127.0.0.1:9"]
        ca = "ca.pem"
        [groups]
        web = ["web1", "web2:8", "web1"]
        empty = []
    "#;

    fn parse(text: &str) -> Result<Profile, ProfileError> {
        Profile::parse(text, Path::new("/home/a/.config/logtap/hosts.toml"), Some(Path::new("/home/a")))
    }

    fn resolve(names: &[&str]) -> Result<Vec<Target>, TargetError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let defaults = Credentials { token: Some(Token::Value("env".to_owned())), ..Credentials::default() };
        parse(TEXT).expect("valid").resolve(&names, &Credentials::default(), &defaults)
    }

    #[test]
    fn a_group_stands_for_its_hosts_each_once() {
        let targets = resolve(&["@web", "local", "web1", "@empty"]).expect("known");
        let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["web1", "web2:8", "local"]);
        let route = Route::Tcp { host: "web1.example.org".to_owned(), port: 7, security: Security::Tls };
        assert_eq!(targets[0].routes, [route]);
        assert_eq!(targets[2].routes, [Route::Unix("/run/x.sock".into())]);
    }

    #[test]
    fn what_a_host_has_counts_before_the_environment_and_after_the_flags() {
        let targets = resolve(&["web1", "web2"]).expect("known");
        let own = Credentials {
            token: Some(Token::File("/home/a/.config/logtap/web.token".into())),
            ca: None,
            identity: Some(("/home/a/me.pem".into(), "/etc/me.key".into())),
        };
        assert_eq!(targets[0].credentials, own);
        assert_eq!(targets[1].credentials.token, Some(Token::Value("env".to_owned())));
        let flags = Credentials { token: Some(Token::File("/t".into())), ..Credentials::default() };
        let targets =
            parse(TEXT).expect("valid").resolve(&["web1".to_owned()], &flags, &Credentials::default()).expect("known");
        assert_eq!(targets[0].credentials, Credentials { token: flags.token, ..own });
    }

    #[test]
    fn a_host_without_address_is_its_name() {
        let targets = resolve(&["127.0.0.1:9"]).expect("known");
        assert_eq!(targets[0].credentials.ca, Some("/home/a/.config/logtap/ca.pem".into()));
        let route = Route::Tcp { host: "127.0.0.1".to_owned(), port: 9, security: Security::Loopback };
        assert_eq!(targets[0].routes, [route]);
    }

    #[test]
    fn errors_name_the_file_and_the_place() {
        let error = |text: &str| parse(text).expect_err(text).to_string();
        let unknown = error("[hosts.a]\naddres = 'x'");
        assert!(unknown.contains(", line 2: unknown field `addres`") && !unknown.contains('\n'), "{unknown}");
        assert!(
            error("[hosts.a]\naddress = 'a:b'").ends_with("host `a`: the port of `a:b` is no number from 1 to 65535")
        );
        assert!(error("[hosts.a]\ncert = 'x'").contains("belong together"));
        assert!(error("[groups]\na = ['@b']").contains("cannot contain a group"));
        assert_eq!(resolve(&["@nosuch"]), Err(TargetError::NoGroup("nosuch".to_owned())));
    }
}
