//! One configuration file: from TOML to the values of its keys, all problems noted on the way.
//!
//! The document is walked by hand instead of being deserialised, because `serde` stops at the first mistake.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::{
    Auth, Format, Listen, Source, SourceName, Tls,
    keys::{self, Absence, FormatWord, Key, TABLES, Table},
    load::Effective,
    node::{Node, kind},
    problems::{Complaint, Place, Problems, TextId, nearest, suggest},
};

/// A value and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed<T> {
    pub value: T,
    pub place: Place,
}

impl<T> Placed<T> {
    /// A value that nobody gave.
    pub fn by_default(value: T) -> Self {
        Self { value, place: Place::Whole }
    }

    /// The values of a list without their places.
    pub fn values(list: Vec<Self>) -> Vec<T> {
        list.into_iter().map(|item| item.value).collect()
    }
}

/// What is known of a key after some of the places where it can be given.
#[derive(Clone, Debug, Default)]
pub(super) enum Slot<T> {
    /// Not given.
    #[default]
    Absent,
    /// Given, and wrong: the problem is noted, nothing follows from it.
    Wrong,
    /// Given.
    Given(Placed<T>),
}

impl<T> Slot<T> {
    /// What is given later replaces what was given before.
    fn replace(&mut self, later: Self) {
        match later {
            Self::Absent => {}
            Self::Wrong | Self::Given(_) => *self = later,
        }
    }

    /// Whether nobody gave it, not even wrongly.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, or the default; notes where it comes from. `None`: there is none, or it is wrong, or it is missing,
    /// which is a problem of the table's `header`.
    pub fn settle(self, header: &Place, key: &Key<T>, ledger: &mut Ledger<'_>) -> Option<T> {
        let placed = match (self, &key.absence) {
            (Self::Given(placed), _) => placed,
            (Self::Absent, Absence::Default(make)) => Placed::by_default(make()),
            (Self::Wrong, _) | (Self::Absent, Absence::Nothing) => return None,
            (Self::Absent, Absence::Refused) => {
                let complaint = Complaint::new(format!("{} has no `{}`", ledger.table, key.name));
                ledger
                    .problems
                    .push(header.clone(), complaint.help(format!("like {} = {}", key.name, key.shape.example())));
                return None;
            }
        };
        let origin = ledger.problems.origin(&placed.place);
        let value = (key.write)(&placed.value);
        ledger.effective.push(Effective { table: ledger.table.clone(), key: key.name, value, origin });
        Some(placed.value)
    }
}

/// What a table comes to, key by key.
pub(super) struct Ledger<'p> {
    /// As it is written, with its brackets.
    pub table: String,
    pub effective: Vec<Effective>,
    pub problems: &'p mut Problems,
}

/// `[server]` as far as it was given.
#[derive(Default)]
pub(super) struct RawServer {
    pub listen: Slot<Vec<Placed<Listen>>>,
    pub hosts: Slot<Vec<String>>,
    pub max_streams: Slot<u32>,
    pub max_streams_per_client: Slot<u32>,
    pub max_stall: Slot<Duration>,
    pub cache: Slot<u64>,
    pub insecure: Slot<bool>,
}

/// `[tls]` as far as it was given.
#[derive(Default)]
pub(super) struct RawTls {
    pub header: Option<Place>,
    pub cert: Slot<PathBuf>,
    pub key: Slot<PathBuf>,
    pub client_ca: Slot<PathBuf>,
}

/// `[auth]` as far as it was given.
#[derive(Default)]
pub(super) struct RawAuth {
    pub header: Option<Place>,
    pub tokens_file: Slot<PathBuf>,
}

/// A `[[source]]` whose name is known; the rest may be wrong.
pub(super) struct RawSource {
    pub name: Placed<SourceName>,
    /// `None` when something in it is wrong.
    pub source: Option<Source>,
    pub effective: Vec<Effective>,
}

/// What one file gives, or several one after the other.
#[derive(Default)]
pub(super) struct RawConfig {
    pub server: RawServer,
    pub tls: RawTls,
    pub auth: RawAuth,
    pub sources: Vec<RawSource>,
}

impl RawConfig {
    /// Puts a later file over this one.
    pub fn replace(&mut self, later: Self) {
        let Self { server, tls, auth, sources } = later;
        self.server.listen.replace(server.listen);
        self.server.hosts.replace(server.hosts);
        self.server.max_streams.replace(server.max_streams);
        self.server.max_streams_per_client.replace(server.max_streams_per_client);
        self.server.max_stall.replace(server.max_stall);
        self.server.cache.replace(server.cache);
        self.server.insecure.replace(server.insecure);
        self.tls.cert.replace(tls.cert);
        self.tls.key.replace(tls.key);
        self.tls.client_ca.replace(tls.client_ca);
        self.tls.header = tls.header.or(self.tls.header.take());
        self.auth.tokens_file.replace(auth.tokens_file);
        self.auth.header = auth.header.or(self.auth.header.take());
        for source in sources {
            match self.sources.iter_mut().find(|known| known.name.value == source.name.value) {
                Some(known) => *known = source,
                None => self.sources.push(source),
            }
        }
    }
}

impl RawTls {
    /// The table, if there is one and it is whole.
    pub fn settle(self, ledger: &mut Ledger<'_>) -> Option<Tls> {
        let header = self.header?;
        let cert = self.cert.settle(&header, &keys::CERT, ledger);
        let key = self.key.settle(&header, &keys::KEY, ledger);
        let client_ca = self.client_ca.settle(&header, &keys::CLIENT_CA, ledger);
        Some(Tls { cert: cert?, key: key?, client_ca })
    }
}

impl RawAuth {
    /// The table, if there is one and it is whole.
    pub fn settle(self, ledger: &mut Ledger<'_>) -> Option<Auth> {
        let header = self.header?;
        Some(Auth { tokens_file: self.tokens_file.settle(&header, &keys::TOKENS_FILE, ledger)? })
    }
}

/// Reads one file.
///
/// What could be made of a file that is not quite TOML is read all the same, so that its other mistakes are found too;
/// only in the broken lines nothing more is looked for.
pub(super) fn read(text: TextId, directory: &Path, problems: &mut Problems) -> RawConfig {
    let content = problems.text(text).content.clone();
    let (document, errors) = DeTable::parse_recoverable(&content);
    let mut broken: BTreeSet<usize> = BTreeSet::new();
    for error in errors {
        let span = error.span().unwrap_or(content.len()..content.len());
        let (_, line) = problems.line_of(text, span.start);
        // A list that is not closed makes each further line stumble in the same way.
        let follows = error.message().starts_with("missing comma") && broken.contains(&(line - 1));
        if broken.insert(line) && !follows {
            problems.push(Place::Span(text, span), Complaint::new(format!("this is no TOML: {}", error.message())));
        }
    }
    let syntax = problems.count();
    let config = File { text, directory }.document(document.get_ref(), problems);
    problems.forget_in_lines(syntax, text, &broken);
    config
}

/// The file that is being read.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub text: TextId,
    /// Relative paths in the file are below it.
    pub directory: &'a Path,
}

impl<'a> File<'a> {
    /// These bytes of the file.
    pub fn place(self, span: Range<usize>) -> Place {
        Place::Span(self.text, span)
    }

    fn document(self, document: &DeTable<'_>, problems: &mut Problems) -> RawConfig {
        let mut config = RawConfig::default();
        for (key, value) in document {
            let place = self.place(value.span());
            let name: &str = key.get_ref();
            let Some(table) = keys::table(name) else {
                problems.push(self.place(key.span()), unknown_table(name, value.get_ref()));
                continue;
            };
            match (value.get_ref(), table.repeated) {
                (DeValue::Table(content), false) => {
                    let mut section = Section { file: self, table, content, problems };
                    section.refuse_unknown();
                    section.fill(place, &mut config);
                }
                (DeValue::Array(items), true) => {
                    for item in items {
                        match item.get_ref() {
                            DeValue::Table(content) => {
                                let mut section = Section { file: self, table, content, problems };
                                section.refuse_unknown();
                                let source = section.source(&self.place(item.span()));
                                add_source(&mut config.sources, source, problems);
                            }
                            other => problems.push(self.place(item.span()), not_a_table(table, other)),
                        }
                    }
                }
                (other, _) => problems.push(self.place(key.span()), not_a_table(table, other)),
            }
        }
        config
    }
}

/// Adds a source to those of the same file.
fn add_source(sources: &mut Vec<RawSource>, source: Option<RawSource>, problems: &mut Problems) {
    let Some(source) = source else { return };
    match sources.iter().find(|known| known.name.value == source.name.value) {
        None => sources.push(source),
        Some(known) => {
            let complaint = Complaint::new(format!("a second source is called `{}`", source.name.value))
                .help(format!("the first is at {}", problems.origin(&known.name.place)));
            problems.push(source.name.place, complaint);
        }
    }
}

fn brackets(table: &Table) -> String {
    if table.repeated { format!("[[{}]]", table.name) } else { format!("[{}]", table.name) }
}

fn not_a_table(table: &Table, given: &DeValue<'_>) -> Complaint {
    let complaint = Complaint::new(format!("`{}` is written {}, not as {}", table.name, brackets(table), kind(given)));
    match given {
        DeValue::Table(_) => complaint.help("with two brackets, since there can be several"),
        DeValue::Array(_) => complaint.help("with one bracket, since there is only one"),
        _ => complaint,
    }
}

/// `name` is a key of the top level that no table has; it may be a key that lost its table.
fn unknown_table(name: &str, value: &DeValue<'_>) -> Complaint {
    let looks_like_key = !matches!(value, DeValue::Table(_));
    let homes = TABLES.iter().flat_map(|table| table.keys.iter().map(move |key| (key.name(), table)));
    let keys: Vec<(&str, &Table)> = homes.collect();
    if let Some((_, table)) = keys.iter().find(|(key, _)| *key == name) {
        return Complaint::new(format!("`{name}` stands outside of any table"))
            .help(format!("it belongs into {}", brackets(table)));
    }
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let complaint = Complaint::new(format!("there is no table `{name}`"));
    match nearest(name, keys.iter().map(|(key, _)| *key)) {
        Some(meant) if looks_like_key && nearest(name, names.iter().copied()).is_none() => {
            let home = keys.iter().find(|(key, _)| *key == meant).map(|(_, table)| brackets(table));
            let message = format!("`{name}` stands outside of any table");
            Complaint::new(message).help(format!("did you mean `{meant}` in {}?", home.unwrap_or_default()))
        }
        Some(_) | None => complaint.help(suggest(name, &names, "the tables are")),
    }
}

/// A table of the file, being read.
struct Section<'a, 'i, 'p> {
    file: File<'a>,
    table: &'static Table,
    content: &'a DeTable<'i>,
    problems: &'p mut Problems,
}

impl Section<'_, '_, '_> {
    fn refuse_unknown(&mut self) {
        let known: Vec<&str> = self.table.keys.iter().map(|key| key.name()).collect();
        for key in self.content.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let complaint = Complaint::new(format!("{} has no key `{name}`", brackets(self.table)));
            let elsewhere = TABLES.iter().find(|table| table.keys.iter().any(|key| key.name() == name));
            let help = match elsewhere {
                Some(table) => format!("it belongs into {}", brackets(table)),
                None => suggest(name, &known, "its keys are"),
            };
            self.problems.push(self.file.place(key.span()), complaint.help(help));
        }
    }

    fn slot<T>(&mut self, key: &Key<T>) -> Slot<T> {
        let Some(value) = self.content.get(key.name) else { return Slot::Absent };
        let node = Node { file: self.file, key: key.name, value: value.get_ref(), span: value.span() };
        match (key.read)(&node, self.problems) {
            None => Slot::Wrong,
            Some(value) => Slot::Given(Placed { value, place: node.place() }),
        }
    }

    /// Reads a table that occurs once.
    fn fill(&mut self, header: Place, config: &mut RawConfig) {
        match self.table.name {
            "server" => {
                config.server = RawServer {
                    listen: self.slot(&keys::LISTEN),
                    hosts: self.slot(&keys::HOSTS),
                    max_streams: self.slot(&keys::MAX_STREAMS),
                    max_streams_per_client: self.slot(&keys::MAX_STREAMS_PER_CLIENT),
                    max_stall: self.slot(&keys::MAX_STALL),
                    cache: self.slot(&keys::CACHE),
                    insecure: self.slot(&keys::INSECURE),
                };
            }
            "tls" => {
                config.tls = RawTls {
                    header: Some(header),
                    cert: self.slot(&keys::CERT),
                    key: self.slot(&keys::KEY),
                    client_ca: self.slot(&keys::CLIENT_CA),
                };
            }
            "auth" => {
                config.auth = RawAuth { header: Some(header), tokens_file: self.slot(&keys::TOKENS_FILE) };
            }
            other => unreachable!("the table {other} occurs once and is not read"),
        }
    }

    /// Reads a `[[source]]`; `None` when not even its name is known.
    fn source(&mut self, header: &Place) -> Option<RawSource> {
        let name = self.slot(&keys::NAME);
        let paths = self.slot(&keys::PATHS);
        let exclude = self.slot(&keys::EXCLUDE);
        let format = self.slot(&keys::FORMAT);
        let pattern = self.slot(&keys::PATTERN);
        let multiline = self.slot(&keys::MULTILINE);
        let max_line = self.slot(&keys::MAX_LINE);
        let timezone = self.slot(&keys::TIMEZONE);
        let archives = self.slot(&keys::ARCHIVES);
        let labels = self.slot(&keys::LABELS);
        self.check_pattern(&format, &pattern);

        let named = match &name {
            Slot::Given(name) => Some(name.clone()),
            Slot::Absent | Slot::Wrong => None,
        };
        let mut ledger = Ledger { table: brackets(self.table), effective: Vec::new(), problems: self.problems };
        let name = name.settle(header, &keys::NAME, &mut ledger);
        let paths = paths.settle(header, &keys::PATHS, &mut ledger);
        let exclude = exclude.settle(header, &keys::EXCLUDE, &mut ledger);
        let format = format.settle(header, &keys::FORMAT, &mut ledger);
        let pattern = pattern.settle(header, &keys::PATTERN, &mut ledger);
        let multiline = multiline.settle(header, &keys::MULTILINE, &mut ledger);
        let max_line = max_line.settle(header, &keys::MAX_LINE, &mut ledger);
        let timezone = timezone.settle(header, &keys::TIMEZONE, &mut ledger);
        let archives = archives.settle(header, &keys::ARCHIVES, &mut ledger);
        let labels = labels.settle(header, &keys::LABELS, &mut ledger);
        let effective = ledger.effective;
        let whole = || {
            Some(Source {
                name: name?,
                paths: paths?,
                exclude: exclude?,
                format: match format? {
                    FormatWord::Whole(format) => format,
                    FormatWord::Regex => Format::Regex(pattern?),
                },
                multiline: multiline?,
                max_line: max_line?,
                timezone: timezone?,
                archives: archives?,
                labels: labels?,
            })
        };
        Some(RawSource { name: named?, source: whole(), effective })
    }

    /// A pattern and the format that needs it come together or not at all.
    fn check_pattern(&mut self, format: &Slot<FormatWord>, pattern: &Slot<String>) {
        let complaint = |message: &str| Complaint::new(message);
        match (format, pattern) {
            (Slot::Given(Placed { value: FormatWord::Regex, place }), Slot::Absent) => {
                let help = "write pattern = '…' with groups named time, level or message";
                self.problems.push(place.clone(), complaint("format \"regex\" needs a `pattern`").help(help));
            }
            (Slot::Given(Placed { value: FormatWord::Whole(_), .. }) | Slot::Absent, Slot::Given(pattern)) => {
                let help = "write format = \"regex\" beside it";
                let message = "a `pattern` is only used by format \"regex\"";
                self.problems.push(pattern.place.clone(), complaint(message).help(help));
            }
            (Slot::Given(_) | Slot::Wrong, Slot::Given(_) | Slot::Wrong)
            | (Slot::Given(Placed { value: FormatWord::Whole(_), .. }) | Slot::Wrong, Slot::Absent)
            | (Slot::Absent, Slot::Absent | Slot::Wrong) => {}
        }
    }
}
