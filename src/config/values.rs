//! Single values: from the text that people write to what the program uses, and back.
//!
//! Pure, but for the zone database, which a named zone is looked up in.

use std::{
    net::IpAddr,
    path::{Component, Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::{
    Listen, SourceName, Timezone,
    problems::{Complaint, nearest},
};
use crate::{
    glob::{Glob, Wildcards},
    limits::{PATTERN_BYTES_MAX, PATTERNS_COMPILED_BYTES_MAX, SOURCE_NAME_BYTES_MAX},
};

/// The units of a size, largest first within each family, with their bytes.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// The units of a duration with their milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a number of bytes: `64MiB`, `1 GB`, `512`.
pub(super) fn size(text: &str) -> Result<u64, Complaint> {
    let refused =
        || Complaint::new(format!("`{text}` is no size")).help("a size is a whole number and a unit, like \"64MiB\"");
    let (digits, unit) = split_number(text.trim()).ok_or_else(refused)?;
    let number: u64 = digits.parse().map_err(|_| refused())?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(
            match SIZE_UNITS.iter().find(|(name, _)| name.len() == 3 && name[..1].eq_ignore_ascii_case(unit)) {
                Some((binary, _)) => Complaint::new(format!("`{text}` has no unit that is clear")).help(format!(
                    "write \"{digits}{binary}\" for powers of 1024, \"{digits}{}B\" for 1000",
                    &binary[..1]
                )),
                None => refused(),
            },
        );
    };
    number.checked_mul(*bytes).ok_or_else(|| Complaint::new(format!("`{text}` is larger than any memory")))
}

/// Writes a number of bytes as [`size`] reads it, in the largest binary unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS[..4].iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Reads a duration: `90s`, `1h30m`, `250ms`.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let refused = || {
        Complaint::new(format!("`{text}` is no duration"))
            .help("a duration is whole numbers with units (w d h m s ms), like \"1h30m\"")
    };
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            Complaint::new(format!("the duration `{text}` has no unit")).help(format!("write \"{rest}s\" for seconds"))
        );
    }
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    loop {
        let (digits, tail) = split_number(rest).ok_or_else(refused)?;
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (_, unit) = *DURATION_UNITS.iter().find(|(name, _)| *name == &tail[..end]).ok_or_else(refused)?;
        if unit >= last {
            return Err(refused());
        }
        last = unit;
        let part = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| Complaint::new(format!("`{text}` is longer than can be waited")))?;
        rest = tail[end..].trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// Writes a duration as [`duration`] reads it; what is finer than a millisecond is not shown.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in DURATION_UNITS {
        if left >= unit {
            text.push_str(&format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The digits at the start of a text, at least one, and what follows them.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

impl FromStr for Listen {
    type Err = ListenError;

    /// Reads `host:port`, `[ipv6]:port` or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, ListenError> {
        listen(text).map_err(|complaint| {
            ListenError(match complaint.help {
                None => complaint.message,
                Some(help) => format!("{}; {help}", complaint.message),
            })
        })
    }
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError(String);

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ListenError {}

/// Reads an address to listen on.
pub(super) fn listen(text: &str) -> Result<Listen, Complaint> {
    let refused = |help: String| Err(Complaint::new(format!("`{text}` is no address to listen on")).help(help));
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') || path.ends_with('/') {
            return refused("a socket is written unix:/run/logtap/logtap.sock".to_owned());
        }
        return Ok(Listen::Unix(PathBuf::from(path)));
    }
    if text.starts_with('/') {
        return refused(format!("did you mean `unix:{text}`?"));
    }
    if let Some((scheme @ ("http" | "https"), rest)) = text.split_once("://") {
        return refused(format!("write it without {scheme}://: `{rest}`"));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        let shown = if ip.is_ipv6() { format!("[{ip}]:50051") } else { format!("{ip}:50051") };
        return refused(format!("it needs a port: `{shown}`"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return refused(format!("it needs a port: `{text}:50051`"));
    };
    if host.is_empty() {
        return refused(format!(
            "write `127.0.0.1:{port}` for this machine, `0.0.0.0:{port}` or `[::]:{port}` for all"
        ));
    }
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return refused("a port is a number from 0 to 65535".to_owned());
    }
    match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
        Some(Some(inner)) if inner.parse::<std::net::Ipv6Addr>().is_ok() => {}
        Some(_) => return refused("in brackets stands an IPv6 address, like [::1]:50051".to_owned()),
        None if host.contains(':') => return refused(format!("an IPv6 address is in brackets: `[{host}]:{port}`")),
        None if !is_host_name(host) => return refused("it is host:port or unix:/path".to_owned()),
        None => {}
    }
    Ok(Listen::Tcp(text.to_owned()))
}

/// Whether a text can be the name or the IPv4 address of a host.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed)
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(label)
}

/// Reads a name by which browsers may address the server.
pub(super) fn host(text: &str) -> Result<String, Complaint> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() || is_host_name(text) {
        return Ok(bare.to_ascii_lowercase());
    }
    let complaint = Complaint::new(format!("`{text}` is no host name"));
    let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = without_scheme.split(['/', ':']).next().unwrap_or_default();
    Err(if is_host_name(name) {
        complaint.help(format!("write the name alone: `{name}`"))
    } else {
        complaint.help("a name is letters, digits, `-` and `.`")
    })
}

/// Whether a character may stand in the name of a source.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Reads the name of a source.
pub(super) fn source_name(text: &str) -> Result<SourceName, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("the name of a source is empty"));
    }
    if let Some(wrong) = text.chars().find(|c| !is_name_char(*c)) {
        let better: String = text.chars().map(|c| if is_name_char(c) { c } else { '-' }).collect();
        return Err(Complaint::new(format!("the name of a source cannot hold {wrong:?}"))
            .help(format!("it is letters, digits, `.`, `_` and `-`, like `{better}`")));
    }
    if text.len() > SOURCE_NAME_BYTES_MAX {
        let message =
            format!("the name of a source has at most {SOURCE_NAME_BYTES_MAX} characters, this has {}", text.len());
        return Err(Complaint::new(message));
    }
    Ok(SourceName(text.to_owned()))
}

/// Reads a glob over paths; a relative one is below `directory`.
pub(super) fn path_glob(text: &str, directory: &Path) -> Result<String, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("a path is empty"));
    }
    let absolute = absolute(text, directory);
    check_glob(&absolute)?;
    Ok(absolute)
}

/// Reads a glob that excludes: over file names, or over whole paths when it has a `/`.
pub(super) fn exclude_glob(text: &str, directory: &Path) -> Result<String, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("a glob is empty"));
    }
    let whole =
        if text.contains('/') && !text.starts_with("**/") { absolute(text, directory) } else { text.to_owned() };
    check_glob(&whole)?;
    Ok(whole)
}

fn check_glob(text: &str) -> Result<(), Complaint> {
    match Glob::new(text, Wildcards::NoSlash) {
        Ok(_) => Ok(()),
        Err(error) => Err(Complaint::new(format!("`{text}` is no glob: {error}"))
            .help("`*`, `?`, `[…]` and `{…,…}` are wildcards, `**` any directories; a backslash takes one literally")),
    }
}

/// Whether a component of a path has wildcards.
pub(super) fn has_wildcards(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// The same path from the root on, without `.`, empty components and `..`.
///
/// Watched paths are compared as text, so `..` has to go: what it means is asked of the file system, where the part
/// before it may be a symbolic link, and taken literally where that part does not exist (yet).
pub(super) fn absolute(text: &str, directory: &Path) -> String {
    let mut result = PathBuf::from("/");
    for component in directory.join(text).components() {
        match component {
            Component::ParentDir => {
                result = result.canonicalize().unwrap_or(result);
                result.pop();
            }
            Component::Normal(name) => result.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result.to_string_lossy().into_owned()
}

/// Reads the path of one file; a relative one is below `directory`.
pub(super) fn file_path(text: &str, directory: &Path) -> Result<PathBuf, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("a path is empty"));
    }
    if text.contains('\0') {
        return Err(Complaint::new("a path cannot hold a NUL character"));
    }
    Ok(directory.join(text))
}

/// Reads a regular expression over the bytes of a line.
pub(super) fn line_regex(text: &str) -> Result<regex::bytes::Regex, Complaint> {
    if text.len() > PATTERN_BYTES_MAX {
        let message = format!("the regular expression has {} bytes; the limit is {PATTERN_BYTES_MAX}", text.len());
        return Err(Complaint::new(message));
    }
    regex::bytes::RegexBuilder::new(text).size_limit(PATTERNS_COMPILED_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            Complaint::new(format!("the regular expression takes more than {limit} bytes when compiled"))
        }
        // The library's message draws the expression again; its last line says what is wrong.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Complaint::new(format!("the regular expression is not valid: {reason}"))
        }
    })
}

/// The groups of a regular expression that are read.
const REGEX_GROUPS: [&str; 3] = ["time", "level", "message"];

/// Reads the `pattern` of `format = "regex"`.
pub(super) fn record_pattern(text: &str) -> Result<String, Complaint> {
    let regex = line_regex(text)?;
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    if names.iter().any(|name| REGEX_GROUPS.contains(name)) {
        return Ok(text.to_owned());
    }
    let complaint = Complaint::new("the regular expression has no group named time, level or message");
    Err(match names.iter().find_map(|name| Some((name, nearest(name, REGEX_GROUPS)?))) {
        Some((name, meant)) => complaint.help(format!("did you mean `(?<{meant}>…)` by `(?<{name}>…)`?")),
        None => complaint.help("name one, like `(?<level>[A-Z]+)`"),
    })
}

/// Reads a zone: `local`, `UTC`, `+05:30` or a name like `Europe/Berlin`.
pub(super) fn timezone(text: &str) -> Result<Timezone, Complaint> {
    match text {
        "local" => return Ok(Timezone::Local),
        "UTC" | "utc" | "Z" => return Ok(Timezone::Utc),
        _ => {}
    }
    if text.starts_with(['+', '-']) {
        return fixed_zone(text).map(Timezone::Fixed).ok_or_else(|| {
            Complaint::new(format!("`{text}` is no offset from UTC")).help("an offset is written \"+05:30\"")
        });
    }
    if jiff::tz::TimeZone::get(text).is_ok() {
        return Ok(Timezone::Named(text.to_owned()));
    }
    let complaint = Complaint::new(format!("the time zone database has no `{text}`"));
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    Err(match nearest(text, known.iter().map(String::as_str)) {
        Some(name) => complaint.help(format!("did you mean `{name}`?")),
        None => complaint.help("it is \"local\", \"UTC\", an offset like \"+05:30\" or a name like \"Europe/Berlin\""),
    })
}

/// The seconds of `+hh:mm` or `+hhmm`.
fn fixed_zone(text: &str) -> Option<i32> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text[1..].replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Writes a zone as [`timezone`] reads it.
pub(super) fn show_timezone(zone: &Timezone) -> String {
    match zone {
        Timezone::Local => "local".to_owned(),
        Timezone::Utc => "UTC".to_owned(),
        Timezone::Named(name) => name.clone(),
        Timezone::Fixed(seconds) => {
            let minutes = seconds.abs() / 60;
            let sign = if *seconds < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_back() {
        let table = [("64MiB", 64 << 20), ("1 GB", 1_000_000_000), ("512", 512), ("0", 0), ("3kib", 3072), ("7B", 7)];
        for (text, bytes) in table {
            assert_eq!(size(text), Ok(bytes), "{text}");
            assert_eq!(size(&show_size(bytes)), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "64 Mi B", "99999999999999999999", "99999999TiB", "1é"] {
            assert!(size(text).is_err(), "{text}");
        }
        let help = size("64M").expect_err("no clear unit").help;
        assert_eq!(help.as_deref(), Some("write \"64MiB\" for powers of 1024, \"64MB\" for 1000"));
    }

    #[test]
    fn durations_are_read_and_written_back() {
        let table = [("1h", 3_600_000), ("1h30m", 5_400_000), ("250ms", 250), ("2 d", 172_800_000), ("0s", 0)];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(duration(&show_duration(Duration::from_millis(millis))), Ok(Duration::from_millis(millis)));
        }
        for text in ["", "h", "1", "1x", "1h1h", "1m1h", "-1s", "99999999999999999w", "1é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_what_only_looks_like_one() {
        for text in ["127.0.0.1:0", "[::1]:50051", "localhost:1", "0.0.0.0:65535", "log-1.example.org:50051"] {
            assert_eq!(listen(text), Ok(Listen::Tcp(text.to_owned())));
        }
        assert_eq!(listen("unix:/run/x.sock"), Ok(Listen::Unix(PathBuf::from("/run/x.sock"))));
        let refused = [
            ("", "it needs a port: `:50051`"),
            (":1", "write `127.0.0.1:1` for this machine, `0.0.0.0:1` or `[::]:1` for all"),
            ("::1", "it needs a port: `[::1]:50051`"),
            ("::1:x", "a port is a number from 0 to 65535"),
            ("fe80::1%eth0:1", "an IPv6 address is in brackets: `[fe80::1%eth0]:1`"),
            ("[1.2.3.4]:1", "in brackets stands an IPv6 address, like [::1]:50051"),
            ("a b:1", "it is host:port or unix:/path"),
            ("localhost:65536", "a port is a number from 0 to 65535"),
            ("localhost:+1", "a port is a number from 0 to 65535"),
            ("/run/x.sock", "did you mean `unix:/run/x.sock`?"),
            ("unix:x.sock", "a socket is written unix:/run/logtap/logtap.sock"),
            ("http://localhost:1", "write it without http://: `localhost:1`"),
        ];
        for (text, help) in refused {
            assert_eq!(listen(text).expect_err(text).help.as_deref(), Some(help), "{text}");
        }
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        let local = |text: &str| listen(text).expect("an address").is_local();
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LocalHost:1", "unix:/x"] {
            assert!(local(text), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example.org:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!local(text), "{text}");
        }
    }

    #[test]
    fn zones_are_read_and_written_back() {
        for text in ["local", "UTC", "+05:30", "-03:00", "Europe/Berlin"] {
            assert_eq!(timezone(text).map(|zone| show_timezone(&zone)), Ok(text.to_owned()));
        }
        assert_eq!(timezone("+0530"), Ok(Timezone::Fixed(19_800)));
        assert_eq!(
            timezone("Europe/Berln").expect_err("a typo").help.as_deref(),
            Some("did you mean `Europe/Berlin`?")
        );
        for text in ["", "+24:00", "+1", "+é1:1", "../../etc/passwd"] {
            assert!(timezone(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_absolute_and_plain() {
        let directory = Path::new("/nowhere/here");
        let path = |text: &str| path_glob(text, directory).expect("a glob");
        assert_eq!(path("a//b/./*.log"), "/nowhere/here/a/b/*.log");
        assert_eq!(path("../c/**/x"), "/nowhere/c/**/x");
        assert_eq!(path("/var/log/"), "/var/log");
        assert_eq!(exclude_glob("debug*.log", directory), Ok("debug*.log".to_owned()));
        assert_eq!(exclude_glob("**/debug/*.log", directory), Ok("**/debug/*.log".to_owned()));
        assert!(path_glob("/var/log/[a", directory).is_err());
    }
}
