//! The table of keys: one entry for everything that reading, `check`, the JSON schema and the manual say about a key.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    Format, Listen, Multiline, SourceName, Timezone, document::Placed, node::Node, problems::Problems, values,
};
use crate::limits::{
    CACHE_BYTES_DEFAULT, CACHE_CONFIGURED_BYTES_MAX, LINE_BYTES_DEFAULT, LINE_BYTES_MAX, STALL_CONFIGURED_MAX,
    STALL_CONFIGURED_MIN, STALL_MAX_DEFAULT, STREAMS_CONFIGURED_MAX, STREAMS_MAX_DEFAULT, STREAMS_PER_CLIENT_DEFAULT,
};

/// A table of the configuration.
pub struct Table {
    /// Without brackets.
    pub name: &'static str,
    /// Written `[[name]]`, as often as wanted.
    pub repeated: bool,
    /// What it is for, a sentence.
    pub about: &'static str,
    /// Its keys, in the order in which they are shown.
    pub keys: &'static [&'static dyn Describe],
}

/// Every table, in the order in which they are shown.
pub static TABLES: [Table; 4] = [
    Table {
        name: "server",
        repeated: false,
        about: "Where and how to serve.",
        keys: &[&LISTEN, &HOSTS, &MAX_STREAMS, &MAX_STREAMS_PER_CLIENT, &MAX_STALL, &CACHE, &INSECURE],
    },
    Table {
        name: "tls",
        repeated: false,
        about: "Certificates. Without this table everything is sent in clear text.",
        keys: &[&CERT, &KEY, &CLIENT_CA],
    },
    Table {
        name: "auth",
        repeated: false,
        about: "Who may read. Without this table everybody may who reaches an address.",
        keys: &[&TOKENS_FILE],
    },
    Table {
        name: "source",
        repeated: true,
        about: "Files under one name, and how to read them. A file that two sources match belongs to the first. In a \
                drop-in a source of a known name replaces it.",
        keys: &[&NAME, &PATHS, &EXCLUDE, &FORMAT, &PATTERN, &MULTILINE, &MAX_LINE, &TIMEZONE, &ARCHIVES, &LABELS],
    },
];

/// The table of this name.
pub(super) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// What a key takes, as far as a schema and a manual can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string, by an example.
    Text(&'static str),
    /// A list of strings, by an example of one.
    Texts(&'static str),
    /// A whole number, from and to.
    Count(u64, u64),
    /// A number of bytes with or without a unit, from and to.
    Size(u64, u64),
    /// A duration, from and to.
    Time(Duration, Duration),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `"indent"` or `{ start = 'regex' }`.
    Multiline,
    /// A table of strings.
    Labels,
}

impl Shape {
    /// A value as TOML.
    #[must_use]
    pub fn example(self) -> String {
        match self {
            Self::Text(example) => toml_string(example),
            Self::Texts(example) => toml_list(std::iter::once(example.to_owned())),
            Self::Count(_, most) => most.to_string(),
            Self::Size(_, most) => toml_string(&values::show_size(most)),
            Self::Time(_, most) => toml_string(&values::show_duration(most)),
            Self::Switch => "true".to_owned(),
            Self::Choice(words) => toml_string(words.first().copied().unwrap_or_default()),
            Self::Multiline => "{ start = '^\\d{4}-' }".to_owned(),
            Self::Labels => "{ team = \"payments\" }".to_owned(),
        }
    }
}

/// What it means that a key is not given.
pub enum Absence<T> {
    /// An error.
    Refused,
    /// Nothing: there is no such value then.
    Nothing,
    /// This value.
    Default(fn() -> T),
}

/// A key that is read to a `T`.
pub struct Key<T: 'static> {
    /// As it is written.
    pub name: &'static str,
    /// What it is for; sentences.
    pub about: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What it means that it is not given.
    pub absence: Absence<T>,
    /// Reads the value, or notes what is wrong with it.
    pub(super) read: fn(&Node<'_>, &mut Problems) -> Option<T>,
    /// Writes the value as TOML.
    pub(super) write: fn(&T) -> String,
}

/// A [`Key`], whatever it is read to.
pub trait Describe: Sync {
    /// As it is written.
    fn name(&self) -> &'static str;
    /// What it is for; sentences.
    fn about(&self) -> &'static str;
    /// What it takes.
    fn shape(&self) -> Shape;
    /// Whether it has to be given.
    fn is_required(&self) -> bool;
    /// The value when it is not given, as TOML.
    fn default_toml(&self) -> Option<String>;
}

impl<T> Describe for Key<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn is_required(&self) -> bool {
        matches!(self.absence, Absence::Refused)
    }

    fn default_toml(&self) -> Option<String> {
        match self.absence {
            Absence::Refused | Absence::Nothing => None,
            Absence::Default(make) => Some((self.write)(&make())),
        }
    }
}

// ---- [server] ----

pub(super) static LISTEN: Key<Vec<Placed<Listen>>> = Key {
    name: "listen",
    about: "Addresses to listen on: `host:port`, or `unix:/path` for a Unix socket. Port 0 takes a free one. Beyond \
            loopback [tls] and [auth] are needed.",
    shape: Shape::Texts("127.0.0.1:50051"),
    absence: Absence::Default(|| vec![Placed::by_default(Listen::Tcp("127.0.0.1:50051".to_owned()))]),
    read: |node, problems| {
        let list = node.distinct(problems, values::listen)?;
        node.not_empty(list, problems, "it needs an address, like \"127.0.0.1:50051\"")
    },
    write: |list| toml_list(list.iter().map(|address| address.value.to_string())),
};

pub(super) static HOSTS: Key<Vec<String>> = Key {
    name: "hosts",
    about: "Further names by which browsers may address this server. Addresses that are listened on, `localhost` and \
            the host's own name always work.",
    shape: Shape::Texts("logs.example.org"),
    absence: Absence::Default(Vec::new),
    read: |node, problems| Some(Placed::values(node.distinct(problems, values::host)?)),
    write: |list| toml_list(list.iter().cloned()),
};

pub(super) static MAX_STREAMS: Key<u32> = count::<STREAMS_MAX_DEFAULT>(
    "max_streams",
    "Streams that may run at the same time; a further one is refused with RESOURCE_EXHAUSTED.",
);

pub(super) static MAX_STREAMS_PER_CLIENT: Key<u32> = count::<STREAMS_PER_CLIENT_DEFAULT>(
    "max_streams_per_client",
    "The same for one client: by the name of its token or certificate, else by its address. Peers on loopback and on \
     Unix sockets without a name only count towards max_streams.",
);

pub(super) static MAX_STALL: Key<Duration> = Key {
    name: "max_stall",
    about: "How long a connection may stop reading before it is closed.",
    shape: Shape::Time(STALL_CONFIGURED_MIN, STALL_CONFIGURED_MAX),
    absence: Absence::Default(|| STALL_MAX_DEFAULT),
    read: |node, problems| node.duration(STALL_CONFIGURED_MIN, STALL_CONFIGURED_MAX, problems),
    write: |duration| toml_string(&values::show_duration(*duration)),
};

pub(super) static CACHE: Key<u64> = Key {
    name: "cache",
    about: "Memory for what several subscribers read; 0 keeps nothing. It changes the speed, never what is sent.",
    shape: Shape::Size(0, CACHE_CONFIGURED_BYTES_MAX),
    absence: Absence::Default(|| CACHE_BYTES_DEFAULT),
    read: |node, problems| node.size(0, CACHE_CONFIGURED_BYTES_MAX, problems),
    write: |bytes| toml_string(&values::show_size(*bytes)),
};

pub(super) static INSECURE: Key<bool> = switch::<false>(
    "insecure",
    "Listen beyond loopback without [tls] and [auth] all the same: everybody on the way can read everything.",
);

// ---- [tls] ----

pub(super) static CERT: Key<PathBuf> = path(
    "cert",
    "/etc/logtap/tls/cert.pem",
    "The certificate and its intermediates, PEM. Read again when it changes.",
    Absence::Refused,
);
pub(super) static KEY: Key<PathBuf> = path(
    "key",
    "/etc/logtap/tls/key.pem",
    "Its private key, PEM. Nobody but the daemon may be able to read it.",
    Absence::Refused,
);
pub(super) static CLIENT_CA: Key<PathBuf> = path(
    "client_ca",
    "/etc/logtap/tls/ca.pem",
    "Authorities, PEM, whose client certificates are accepted. Without [auth] a client certificate is then required; \
     with it, either a certificate or a token.",
    Absence::Nothing,
);

// ---- [auth] ----

pub(super) static TOKENS_FILE: Key<PathBuf> = path(
    "tokens_file",
    "/etc/logtap/tokens",
    "A file with one entry a line: `name:sha256-hex[:globs]` for a bearer token, `name:cn=COMMON NAME[:globs]` for a \
     client certificate, `name:uid=1000[:globs]` for a local user on a Unix socket. The globs, separated by commas, \
     name the sources that it may read; without them, all. Read again when it changes.",
    Absence::Refused,
);

// ---- [[source]] ----

pub(super) static NAME: Key<SourceName> = Key {
    name: "name",
    about: "What entries, requests and metrics call it: 1 to 64 letters, digits, `.`, `_` and `-`.",
    shape: Shape::Text("nginx"),
    absence: Absence::Refused,
    read: |node, problems| node.text(problems, values::source_name),
    write: |name| toml_string(name),
};

pub(super) static PATHS: Key<Vec<String>> = Key {
    name: "paths",
    about: "Files, or globs over them: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for any directories. A file that does not \
            exist yet is followed from its beginning when it appears. A relative path is below the directory of the \
            configuration file.",
    shape: Shape::Texts("/var/log/nginx/*.log"),
    absence: Absence::Refused,
    read: |node, problems| {
        let list = node.distinct(problems, |text| values::path_glob(text, node.directory()))?;
        Some(Placed::values(node.not_empty(list, problems, "it needs a path, like \"/var/log/nginx/*.log\"")?))
    },
    write: |list| toml_list(list.iter().cloned()),
};

pub(super) static EXCLUDE: Key<Vec<String>> = Key {
    name: "exclude",
    about: "Globs for files that are left out; one without `/` is matched against the file name. They are matched \
            against the path of the live log, so they keep its archives out too.",
    shape: Shape::Texts("debug*.log"),
    absence: Absence::Default(Vec::new),
    read: |node, problems| {
        Some(Placed::values(node.distinct(problems, |text| values::exclude_glob(text, node.directory()))?))
    },
    write: |list| toml_list(list.iter().cloned()),
};

/// A word for a format; the one for a regular expression becomes a format only together with `pattern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FormatWord {
    /// Needs nothing else.
    Whole(Format),
    /// Needs `pattern`.
    Regex,
}

/// The words for formats, in the order of [`format_of_word`].
const FORMAT_WORDS: [&str; 10] = ["auto", "raw", "json", "logfmt", "syslog", "cri", "docker", "klog", "clf", "regex"];

fn format_of_word(word: &str) -> Option<FormatWord> {
    Some(FormatWord::Whole(match word {
        "auto" => Format::Auto,
        "raw" => Format::Raw,
        "json" => Format::Json,
        "logfmt" => Format::Logfmt,
        "syslog" => Format::Syslog,
        "cri" => Format::Cri,
        "docker" => Format::Docker,
        "klog" => Format::Klog,
        "clf" => Format::Clf,
        "regex" => return Some(FormatWord::Regex),
        _ => return None,
    }))
}

fn word_of_format(format: &FormatWord) -> &'static str {
    match format {
        FormatWord::Whole(Format::Auto) => "auto",
        FormatWord::Whole(Format::Raw) => "raw",
        FormatWord::Whole(Format::Json) => "json",
        FormatWord::Whole(Format::Logfmt) => "logfmt",
        FormatWord::Whole(Format::Syslog) => "syslog",
        FormatWord::Whole(Format::Cri) => "cri",
        FormatWord::Whole(Format::Docker) => "docker",
        FormatWord::Whole(Format::Klog) => "klog",
        FormatWord::Whole(Format::Clf) => "clf",
        FormatWord::Whole(Format::Regex(_)) | FormatWord::Regex => "regex",
    }
}

pub(super) static FORMAT: Key<FormatWord> = Key {
    name: "format",
    about: "How severity, time and fields are read. `auto` recognises the format of each file by its content.",
    shape: Shape::Choice(&FORMAT_WORDS),
    absence: Absence::Default(|| FormatWord::Whole(Format::Auto)),
    read: |node, problems| node.choice(problems, "formats", &FORMAT_WORDS, format_of_word),
    write: |format| toml_string(word_of_format(format)),
};

pub(super) static PATTERN: Key<String> = Key {
    name: "pattern",
    about: "For `format = \"regex\"`: a regular expression with groups named time, level or message.",
    shape: Shape::Text("^(?<time>\\S+) (?<level>[A-Z]+) (?<message>.*)"),
    absence: Absence::Nothing,
    read: |node, problems| node.text(problems, values::record_pattern),
    write: |pattern| toml_string(pattern),
};

pub(super) static MULTILINE: Key<Multiline> = Key {
    name: "multiline",
    about: "Which lines belong to one record: `{ start = 'regex' }` when a record begins with a line that matches, \
            \"indent\" when lines that begin with white space continue the one before, \"off\" for neither.",
    shape: Shape::Multiline,
    absence: Absence::Default(|| Multiline::Off),
    read: |node, problems| node.multiline(problems),
    write: |multiline| match multiline {
        Multiline::Off => "\"off\"".to_owned(),
        Multiline::Indent => "\"indent\"".to_owned(),
        Multiline::Start(pattern) => format!("{{ start = {} }}", toml_string(pattern)),
    },
};

pub(super) static MAX_LINE: Key<usize> = Key {
    name: "max_line",
    about: "The longest line that is kept whole; of a longer one the rest is dropped, and the entry says so.",
    shape: Shape::Size(1, LINE_BYTES_MAX as u64),
    absence: Absence::Default(|| LINE_BYTES_DEFAULT),
    read: |node, problems| node.size(1, LINE_BYTES_MAX as u64, problems).and_then(|bytes| usize::try_from(bytes).ok()),
    write: |bytes| toml_string(&values::show_size(*bytes as u64)),
};

pub(super) static TIMEZONE: Key<Timezone> = Key {
    name: "timezone",
    about: "The zone of times that name none: \"local\", \"UTC\", \"+05:30\", or a name like \"Europe/Berlin\".",
    shape: Shape::Text("Europe/Berlin"),
    absence: Absence::Default(|| Timezone::Local),
    read: |node, problems| node.text(problems, values::timezone),
    write: |zone| toml_string(&values::show_timezone(zone)),
};

pub(super) static ARCHIVES: Key<bool> = switch::<true>(
    "archives",
    "Whether rotated siblings (app.log.1, app.log-20260102, also .gz and .zst) are read as the past of their log.",
);

pub(super) static LABELS: Key<BTreeMap<String, String>> = Key {
    name: "labels",
    about: "Added to the fields of every entry.",
    shape: Shape::Labels,
    absence: Absence::Default(BTreeMap::new),
    read: |node, problems| node.labels(problems),
    write: |labels| {
        let pairs: Vec<String> =
            labels.iter().map(|(key, value)| format!("{} = {}", toml_key(key), toml_string(value))).collect();
        if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
    },
};

// ---- Kinds of keys that occur several times ----

const fn count<const DEFAULT: u32>(name: &'static str, about: &'static str) -> Key<u32> {
    Key {
        name,
        about,
        shape: Shape::Count(1, STREAMS_CONFIGURED_MAX as u64),
        absence: Absence::Default(|| DEFAULT),
        read: |node, problems| node.count(1, STREAMS_CONFIGURED_MAX, problems),
        write: u32::to_string,
    }
}

const fn switch<const DEFAULT: bool>(name: &'static str, about: &'static str) -> Key<bool> {
    Key {
        name,
        about,
        shape: Shape::Switch,
        absence: Absence::Default(|| DEFAULT),
        read: |node, problems| node.switch(problems),
        write: bool::to_string,
    }
}

const fn path(
    name: &'static str,
    example: &'static str,
    about: &'static str,
    absence: Absence<PathBuf>,
) -> Key<PathBuf> {
    Key {
        name,
        about,
        shape: Shape::Text(example),
        absence,
        read: |node, problems| node.text(problems, |text| values::file_path(text, node.directory())),
        write: |path| toml_string(&path.to_string_lossy()),
    }
}

// ---- Writing TOML ----

/// A string as TOML writes it.
pub(super) fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of strings as TOML writes it.
pub(super) fn toml_list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| toml_string(&item)).collect::<Vec<_>>().join(", "))
}

fn toml_key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare { key.to_owned() } else { toml_string(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_a_format_is_read_and_written_back() {
        for word in FORMAT_WORDS {
            assert_eq!(word_of_format(&format_of_word(word).expect("a format")), word);
        }
    }

    #[test]
    fn no_key_is_in_two_tables() {
        let mut names: Vec<&str> = TABLES.iter().flat_map(|table| table.keys.iter().map(|key| key.name())).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
