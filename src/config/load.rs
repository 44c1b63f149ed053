//! Where a configuration comes from: defaults under files under environment under arguments.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    Config, Listen, Server, Source, arguments,
    document::{self, Ledger, Placed, RawConfig, RawServer, RawSource, Slot},
    keys,
    problems::{Complaint, Place, Problems, TextId},
    stamp::Stamp,
    values,
};
use crate::limits::{CONFIG_BYTES_MAX, SOURCE_COUNT_MAX};

/// Where the packaged daemon's configuration is: `logtap.toml` and `conf.d/*.toml` in it.
pub const DEFAULT_DIRECTORY: &str = "/etc/logtap";

/// The variable that [`Inputs::listen_variable`] comes from.
const LISTEN_VARIABLE: &str = "LOGTAP_LISTEN";

/// What the configuration is made of, as the program was called; loading it again sees files that have changed.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// `-c` or `LOGTAP_CONFIG`: read instead of what is in [`Inputs::directory`].
    pub file: Option<PathBuf>,
    /// Paths and globs to serve. Given some, nothing in [`Inputs::directory`] is read.
    pub paths: Vec<String>,
    /// `--listen`: given some, they replace every other list of addresses.
    pub listen: Vec<Listen>,
    /// `LOGTAP_LISTEN`: addresses separated by commas.
    pub listen_variable: Option<String>,
    /// What relative `paths` are below.
    pub working_directory: PathBuf,
    /// Where `logtap.toml` and `conf.d` are when neither a file nor paths are given.
    pub directory: PathBuf,
}

impl Default for Inputs {
    /// The packaged daemon: nothing but the files in [`DEFAULT_DIRECTORY`].
    fn default() -> Self {
        Self {
            file: None,
            paths: Vec::new(),
            listen: Vec::new(),
            listen_variable: None,
            working_directory: PathBuf::from("/"),
            directory: PathBuf::from(DEFAULT_DIRECTORY),
        }
    }
}

/// A configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the program works by.
    pub config: Config,
    /// Every key with its value and where that comes from, in the order of the tables.
    pub effective: Vec<Effective>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// How they lay there just before.
    pub stamp: Stamp,
}

/// One key of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The table as it is written, with its brackets.
    pub table: String,
    /// The key.
    pub key: &'static str,
    /// The value as TOML.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
}

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A file, in this line.
    File(PathBuf, usize),
    /// An environment variable or an argument.
    Given(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Given(given) => f.write_str(given),
        }
    }
}

impl Problems {
    /// What a place is called as the origin of a value.
    pub(super) fn origin(&self, place: &Place) -> Origin {
        match place {
            Place::Whole => Origin::Default,
            Place::Given(given) => Origin::Given(given.clone()),
            Place::File(path) => Origin::File(path.clone(), 1),
            Place::Span(text, span) => {
                let (path, line) = self.line_of(*text, span.start);
                Origin::File(path, line)
            }
        }
    }
}

impl Inputs {
    /// The sources of these paths and globs, relative ones below `working_directory`, everything else by default.
    #[must_use]
    pub fn of_paths(paths: Vec<String>, working_directory: PathBuf) -> Self {
        Self { paths, working_directory, ..Self::default() }
    }

    /// Reads everything and answers with a configuration that cannot be wrong.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let stamp = self.stamp();
        let mut problems = Problems::default();
        let mut raw = RawConfig::default();
        let mut files = Vec::new();
        for file in self.files(&mut problems) {
            if let Some(text) = read_text(&file, &mut problems) {
                let directory = directory_of(&file, &self.working_directory);
                raw.replace(document::read(text, &directory, &mut problems));
                files.push(file);
            }
        }
        self.override_listen(&mut raw.server, &mut problems);
        let given = arguments::sources(&self.paths, &self.working_directory, &mut problems);

        let mut effective = Vec::new();
        let config = settle(raw, given, &mut effective, &mut problems);
        problems.sort();
        match config {
            Some(config) if problems.is_empty() => Ok(Loaded { config, effective, files, stamp }),
            Some(_) | None => Err(problems),
        }
    }

    /// Every path at which a file is read, or would be if there were one.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let mut files = self.files(&mut Problems::default());
        if self.file.is_none() && self.paths.is_empty() && files.is_empty() {
            files.push(self.directory.join("logtap.toml"));
        }
        files
    }

    /// The files to read, the most general first.
    fn files(&self, problems: &mut Problems) -> Vec<PathBuf> {
        if let Some(file) = &self.file {
            return vec![self.working_directory.join(file)];
        }
        if !self.paths.is_empty() {
            return Vec::new();
        }
        let mut files = Vec::new();
        let main = self.directory.join("logtap.toml");
        if fs::symlink_metadata(&main).is_ok() {
            files.push(main);
        }
        let drop_ins = self.directory.join("conf.d");
        match drop_in_files(&drop_ins) {
            Ok(found) => files.extend(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(Place::File(drop_ins), cannot_read(&error)),
        }
        files
    }

    /// Puts the environment over the files, and arguments over both.
    fn override_listen(&self, server: &mut RawServer, problems: &mut Problems) {
        if let Some(variable) = self.listen_variable.as_deref().filter(|text| !text.trim().is_empty()) {
            let place = || Place::Given(LISTEN_VARIABLE.to_owned());
            let mut list = Vec::new();
            for address in variable.split(',').map(str::trim).filter(|address| !address.is_empty()) {
                match values::listen(address) {
                    Ok(value) => list.push(Placed { value, place: place() }),
                    Err(complaint) => problems.push(place(), complaint),
                }
            }
            server.listen = Slot::Given(Placed { value: list, place: place() });
        }
        if !self.listen.is_empty() {
            let mut list: Vec<Placed<Listen>> = Vec::new();
            for address in &self.listen {
                if !list.iter().any(|known| known.value == *address) {
                    let place = Place::Given(format!("--listen {address}"));
                    list.push(Placed { value: address.clone(), place });
                }
            }
            server.listen = Slot::Given(Placed { value: list, place: Place::Given("--listen".to_owned()) });
        }
    }
}

/// Checks the parts against each other.
fn settle(
    raw: RawConfig,
    given: Vec<Source>,
    effective: &mut Vec<super::Effective>,
    problems: &mut Problems,
) -> Option<Config> {
    let RawConfig { server, tls, auth, sources } = raw;
    let tls_is_wanted = tls.header.is_some();
    let somebody_is_asked = auth.header.is_some() || !tls.client_ca.is_absent();

    let mut ledger = Ledger { table: "[server]".to_owned(), effective: Vec::new(), problems: &mut *problems };
    let listen = server.listen.settle(&Place::Whole, &keys::LISTEN, &mut ledger);
    let hosts = server.hosts.settle(&Place::Whole, &keys::HOSTS, &mut ledger);
    let max_streams = server.max_streams.settle(&Place::Whole, &keys::MAX_STREAMS, &mut ledger);
    let per_client = server.max_streams_per_client.settle(&Place::Whole, &keys::MAX_STREAMS_PER_CLIENT, &mut ledger);
    let max_stall = server.max_stall.settle(&Place::Whole, &keys::MAX_STALL, &mut ledger);
    let cache = server.cache.settle(&Place::Whole, &keys::CACHE, &mut ledger);
    let insecure = server.insecure.settle(&Place::Whole, &keys::INSECURE, &mut ledger);
    ledger.table = "[tls]".to_owned();
    let tls = tls.settle(&mut ledger);
    ledger.table = "[auth]".to_owned();
    let auth = auth.settle(&mut ledger);
    effective.append(&mut ledger.effective);

    // Whether `insecure` was wrong is said already; then nothing follows from it.
    if let (Some(listen), Some(false)) = (&listen, insecure) {
        refuse_exposure(listen, tls_is_wanted, somebody_is_asked, problems);
    }
    let sources = settle_sources(sources, given, effective, problems);
    Some(Config {
        server: Server {
            listen: Placed::values(listen?),
            hosts: hosts?,
            max_streams: max_streams?,
            max_streams_per_client: per_client?,
            max_stall: max_stall?,
            cache: cache?,
            insecure: insecure?,
        },
        tls,
        auth,
        sources,
    })
}

/// Refuses every address beyond loopback on which what is read could be read by others.
fn refuse_exposure(listen: &[Placed<Listen>], tls: bool, auth: bool, problems: &mut Problems) {
    let missing = match (tls, auth) {
        (true, true) => return,
        (true, false) => "[auth]",
        (false, true) => "[tls]",
        (false, false) => "[tls] and [auth]",
    };
    for address in listen.iter().filter(|address| !address.value.is_local()) {
        let complaint = Complaint::new(format!("`{}` is beyond loopback and there is no {missing}", address.value));
        problems.push(address.place.clone(), complaint.help("add what is missing, or `insecure = true` to [server]"));
    }
}

/// The sources of arguments, then those of files; arguments replace sources of the same name.
fn settle_sources(
    raw: Vec<RawSource>,
    given: Vec<Source>,
    effective: &mut Vec<Effective>,
    problems: &mut Problems,
) -> Vec<Source> {
    let mut sources = Vec::with_capacity(given.len() + raw.len());
    for source in given {
        let note = |key: &'static str, value: String| {
            let origin = Origin::Given("argument".to_owned());
            Effective { table: "[[source]]".to_owned(), key, value, origin }
        };
        effective.push(note("name", keys::toml_string(&source.name)));
        effective.push(note("paths", keys::toml_list(source.paths.iter().cloned())));
        sources.push(source);
    }
    for raw in raw {
        if sources.iter().any(|source| source.name == raw.name.value) {
            continue;
        }
        effective.extend(raw.effective);
        sources.extend(raw.source);
    }
    if sources.is_empty() && problems.is_empty() {
        let complaint = Complaint::new("there is nothing to watch");
        problems.push(Place::Whole, complaint.help("name files, like `logtap serve /var/log/*.log`, or a [[source]]"));
    }
    if sources.len() > SOURCE_COUNT_MAX {
        let message = format!("there are {} sources; the limit is {SOURCE_COUNT_MAX}", sources.len());
        problems.push(Place::Whole, Complaint::new(message));
    }
    sources
}

/// The drop-ins of a directory by name; hidden files are what editors leave.
fn drop_in_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a file to the end, within the limit.
fn read_text(path: &Path, problems: &mut Problems) -> Option<TextId> {
    let read = || -> Result<String, Complaint> {
        let file = fs::File::open(path).map_err(|error| cannot_read(&error))?;
        let mut bytes = Vec::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return Err(Complaint::new(format!("the file is larger than {}", values::show_size(CONFIG_BYTES_MAX))));
        }
        String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            Complaint::new(format!("line {line} is not valid UTF-8"))
        })
    };
    match read() {
        Ok(content) => Some(problems.add_text(path.to_owned(), content)),
        Err(complaint) => {
            problems.push(Place::File(path.to_owned()), complaint);
            None
        }
    }
}

fn cannot_read(error: &io::Error) -> Complaint {
    Complaint::new(format!("cannot be read: {error}"))
}

/// The directory that relative paths in a file are below.
fn directory_of(file: &Path, working_directory: &Path) -> PathBuf {
    working_directory.join(file).parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}
