//! The tokens file: one credential a line, with a name and the sources that it opens.
//!
//! ```text
//! # a comment
//! alice:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! grafana:cn=grafana.example.org:nginx,app-*
//! backup:uid=34:*
//! ```

use std::{collections::HashMap, error::Error, fmt, str, sync::Arc};

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::{
    glob::{Glob, Wildcards},
    limits,
};

/// A SHA-256 digest of a token.
type Hash = [u8; 32];

/// What shows who somebody is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// The digest of a token.
    Token(Hash),
    /// The common name in a client certificate.
    CommonName(Arc<str>),
    /// The user id of a process at the other end of a Unix socket.
    Uid(u32),
}

/// A credential's name and rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) allowed: Allowed,
}

/// Which sources somebody may read.
#[derive(Clone, Debug)]
pub(super) enum Allowed {
    All,
    /// Those that the patterns match. The patterns are kept as they were written, to be compared.
    Matching {
        globs: Arc<[Glob]>,
        patterns: Arc<[String]>,
    },
}

/// The lines of a valid tokens file. No credential stands in it twice; a name may.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    hashes: Vec<(Hash, Entry)>,
    common_names: HashMap<Arc<str>, Entry>,
    uids: HashMap<u32, Entry>,
}

/// What is wrong with a line. It quotes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Tokens {
    /// Reads a whole file, or says everything that is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Vec<LineError>> {
        let mut tokens = Self::default();
        let mut wrong = Vec::new();
        for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            if let Err(reason) = tokens.add_line(bytes) {
                wrong.push(LineError { line, reason });
            }
        }
        if wrong.is_empty() { Ok(tokens) } else { Err(wrong) }
    }

    /// Finds the entry of a token. It takes the same time whichever entry it is, and whether there is one.
    pub(super) fn by_token(&self, token: &[u8]) -> Option<(Credential, &Entry)> {
        let presented: Hash = Sha256::digest(token).into();
        let (mut found, mut which) = (Choice::from(0), 0_u32);
        for (index, (hash, _)) in (0_u32..).zip(&self.hashes) {
            let equal = presented.ct_eq(hash);
            which.conditional_assign(&index, equal);
            found |= equal;
        }
        if !bool::from(found) {
            return None;
        }
        self.hashes.get(usize::try_from(which).ok()?).map(|(hash, entry)| (Credential::Token(*hash), entry))
    }

    pub(super) fn by_common_name(&self, name: &str) -> Option<&Entry> {
        self.common_names.get(name)
    }

    pub(super) fn by_uid(&self, uid: u32) -> Option<&Entry> {
        self.uids.get(&uid)
    }

    /// Whether the file says anything about certificates.
    pub(super) fn lists_common_names(&self) -> bool {
        !self.common_names.is_empty()
    }

    /// The entry of a credential that was found before. For [`Auth::still_valid`](super::Auth::still_valid), where
    /// nobody who guesses can measure.
    pub(super) fn entry(&self, credential: &Credential) -> Option<&Entry> {
        match credential {
            Credential::Token(known) => self.hashes.iter().find(|(hash, _)| hash == known).map(|(_, entry)| entry),
            Credential::CommonName(name) => self.by_common_name(name),
            Credential::Uid(uid) => self.by_uid(*uid),
        }
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = str::from_utf8(line).map_err(|_| "it is not UTF-8")?.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (name, rest) = line.split_once(':').ok_or("a name and a colon must come first")?;
        let (credential, globs) = match rest.split_once(':') {
            None => (rest, None),
            Some((credential, globs)) => (credential, Some(globs)),
        };
        let entry = Entry { name: caller_name(name)?, allowed: globs.map_or(Ok(Allowed::All), allowed)? };
        let known = match parse_credential(credential.trim())? {
            Credential::Token(hash) => {
                let known = self.hashes.iter().any(|(other, _)| *other == hash);
                self.hashes.push((hash, entry));
                known
            }
            Credential::CommonName(name) => self.common_names.insert(name, entry).is_some(),
            Credential::Uid(uid) => self.uids.insert(uid, entry).is_some(),
        };
        // With two entries for one credential it could not be said what it opens.
        if known { Err("an earlier line has the same credential") } else { Ok(()) }
    }
}

fn caller_name(text: &str) -> Result<Arc<str>, &'static str> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if text.is_empty() || text.len() > limits::CALLER_NAME_BYTES_MAX || !text.bytes().all(valid) {
        return Err("the name must be 1 to 64 letters, digits and characters of `._@-`");
    }
    Ok(text.into())
}

fn parse_credential(text: &str) -> Result<Credential, &'static str> {
    if let Some(name) = text.strip_prefix("cn=") {
        return if name.is_empty() { Err("`cn=` names nobody") } else { Ok(Credential::CommonName(name.into())) };
    }
    if let Some(uid) = text.strip_prefix("uid=") {
        // `u32::from_str` would take a sign.
        let digits = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit());
        let uid = uid.parse().ok().filter(|_| digits);
        return uid.map(Credential::Uid).ok_or("`uid=` needs a number");
    }
    let hash =
        parse_hash(text).ok_or("after the name come the SHA-256 of the token in 64 hex digits, `cn=` or `uid=`")?;
    if hash == Hash::from(Sha256::digest(b"")) {
        return Err("this is the hash of an empty token");
    }
    Ok(Credential::Token(hash))
}

fn parse_hash(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(hash)
}

/// Patterns over the names of sources, separated by commas.
fn allowed(text: &str) -> Result<Allowed, &'static str> {
    let mut patterns = Vec::new();
    let mut globs = Vec::new();
    // A comma inside braces belongs to its pattern, so the patterns are told apart by depth.
    let mut depth = 0_usize;
    for pattern in text.split(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    }) {
        let pattern = pattern.trim();
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?[]{}!,".contains(&byte);
        if pattern.is_empty() {
            return Err("a pattern over source names is empty; without the colon all sources are allowed");
        }
        if !pattern.bytes().all(valid) {
            return Err("a pattern over source names has a character that no source name has");
        }
        let glob = Glob::new(pattern, Wildcards::Anything);
        globs.push(glob.map_err(|_| "a pattern over source names is not a valid glob")?);
        patterns.push(pattern.to_owned());
    }
    Ok(Allowed::Matching { globs: globs.into(), patterns: patterns.into() })
}

impl Allowed {
    pub(super) fn contains(&self, source: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching { globs, .. } => globs.iter().any(|glob| glob.is_match(source)),
        }
    }
}

impl PartialEq for Allowed {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Matching { patterns: ours, .. }, Self::Matching { patterns: theirs, .. }) => ours == theirs,
            (Self::All, Self::Matching { .. }) | (Self::Matching { .. }, Self::All) => false,
        }
    }
}

impl Eq for Allowed {}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token"),
            Self::CommonName(name) => f.debug_tuple("CommonName").field(name).finish(),
            Self::Uid(uid) => f.debug_tuple("Uid").field(uid).finish(),
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.reason)
    }
}

impl Error for LineError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `test`.
    const TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    /// SHA-256 of nothing.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_kind_of_line_is_understood() {
        let text = format!(
            "# who may read\n\n alice:{TEST}\r\nbob:{}:nginx, app-*\ngrafana:cn=The Grafana, Inc.:{{a,b}}-?\nb@ckup_:uid=0",
            "00".repeat(32)
        )
        .replace('_', "-");
        let tokens = Tokens::parse(text.as_bytes()).expect("every line is good");
        let (credential, alice) = tokens.by_token(b"test").expect("she is listed");
        assert_eq!(credential, Credential::Token(Sha256::digest(b"test").into()));
        assert_eq!((&*alice.name, &alice.allowed), ("alice", &Allowed::All));
        let grafana = tokens.by_common_name("The Grafana, Inc.").expect("it is listed");
        assert!(grafana.allowed.contains("a-1") && grafana.allowed.contains("b-2") && !grafana.allowed.contains("c-1"));
        assert_eq!(&*tokens.by_uid(0).expect("it is listed").name, "b@ckup-");
        let bob = &tokens.hashes[1].1;
        assert!(["nginx", "app-", "app-x"].iter().all(|source| bob.allowed.contains(source)));
        assert!(["nginx2", "app", "xapp-"].iter().all(|source| !bob.allowed.contains(source)));
        for unknown in ["", "Test", "test ", "tes", TEST] {
            assert!(tokens.by_token(unknown.as_bytes()).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn a_name_may_have_two_tokens_at_once() {
        let hash = |token: &str| Sha256::digest(token).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let text = format!("alice:{}\nalice:{}:nginx\n", hash("old"), hash("new"));
        let tokens = Tokens::parse(text.as_bytes()).expect("every line is good");
        assert_eq!(tokens.by_token(b"old").expect("it is listed").1.allowed, Allowed::All);
        assert!(!tokens.by_token(b"new").expect("it is listed").1.allowed.contains("app"));
    }

    #[test]
    fn what_is_wrong_is_said_by_its_line_and_never_quoted() {
        let name = "the name must be 1 to 64 letters, digits and characters of `._@-`";
        let credential = "after the name come the SHA-256 of the token in 64 hex digits, `cn=` or `uid=`";
        let empty = "a pattern over source names is empty; without the colon all sources are allowed";
        let character = "a pattern over source names has a character that no source name has";
        let long = format!("{}:uid=1", "x".repeat(65));
        let cases: [(&str, &str); 22] = [
            ("s3cret", "a name and a colon must come first"),
            (TEST, "a name and a colon must come first"),
            (":uid=1", name),
            ("a b:uid=1", name),
            (&long, name),
            ("alice:s3cret", credential),
            ("alice:", credential),
            (&format!("alice:{}", &TEST[1..]), credential),
            (&format!("alice:{TEST}0"), credential),
            (&format!("alice:g{}", &TEST[1..]), credential),
            (&format!("alice:{EMPTY}"), "this is the hash of an empty token"),
            ("alice:cn=", "`cn=` names nobody"),
            ("alice:uid=", "`uid=` needs a number"),
            ("alice:uid=root", "`uid=` needs a number"),
            ("alice:uid=+1", "`uid=` needs a number"),
            ("alice:uid=4294967296", "`uid=` needs a number"),
            ("alice:uid=1:", empty),
            ("alice:uid=1:a,", empty),
            ("alice:cn=a:b:c", character),
            ("alice:uid=1:a/b", character),
            ("alice:uid=1:[", "a pattern over source names is not a valid glob"),
            ("twice:uid=77", "an earlier line has the same credential"),
        ];
        for (line, reason) in cases {
            let text = format!("once:uid=77\n# and\n{line}\n");
            let wrong = Tokens::parse(text.as_bytes()).expect_err(line);
            assert_eq!(wrong, [LineError { line: 3, reason }], "{line}");
            assert!(!wrong[0].to_string().contains("s3cret"));
        }
        let wrong = Tokens::parse(b"a:uid=1\nb\nc:uid=1\n\xff:uid=2").expect_err("three lines are wrong");
        assert_eq!(wrong.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 3, 4]);
        let longest = format!("{}:uid=1", "x".repeat(64));
        Tokens::parse(longest.as_bytes()).expect("64 is the limit");
    }
}
