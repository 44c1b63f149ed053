//! Which hosts a command reads, and what it shows them: flags, environment and profile put together.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use super::exit::{Exit, Refusal};
use crate::client::{Credentials, Profile, Target, Token};

/// What a host is shown.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Show the hosts the token in this file [env: LOGTAP_TOKEN_FILE, or LOGTAP_TOKEN with the token itself].
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Trust the authorities in this PEM file, instead of those of the operating system.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Show the hosts the certificate in this PEM file.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// The key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// The part of the environment that chooses hosts and credentials.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `LOGTAP_HOSTS`: hosts, separated by blanks or commas.
    pub hosts: Option<String>,
    /// `LOGTAP_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// `LOGTAP_TOKEN`.
    pub token: Option<String>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
}

impl Environment {
    /// That of this process; what is set to nothing is not set.
    pub fn read() -> Self {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            hosts: text("LOGTAP_HOSTS"),
            token_file: path("LOGTAP_TOKEN_FILE"),
            token: text("LOGTAP_TOKEN"),
            home: path("HOME"),
            config_home: path("XDG_CONFIG_HOME"),
        }
    }

    /// Where the profile lies.
    fn profile_path(&self) -> Option<PathBuf> {
        let directory = match (&self.config_home, &self.home) {
            (Some(config), _) if config.is_absolute() => config.clone(),
            (_, Some(home)) => home.join(".config"),
            _ => return None,
        };
        Some(directory.join("logtap/hosts.toml"))
    }

    /// The profile; an empty one when there is none.
    fn profile(&self) -> Result<Profile, Refusal> {
        let Some(path) = self.profile_path() else { return Ok(Profile::default()) };
        let config = |why: String| Refusal { exit: Exit::Config, why };
        match fs::read_to_string(&path) {
            Ok(text) => self.parse(&text, &path).map_err(config),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Profile::default())
            }
            Err(error) => Err(config(format!("{}: {error}", path.display()))),
        }
    }

    fn parse(&self, text: &str, path: &Path) -> Result<Profile, String> {
        Profile::parse(text, path, self.home.as_deref()).map_err(|error| error.to_string())
    }

    fn credentials(&self) -> Credentials {
        let file = self.token_file.clone().map(Token::File);
        Credentials { token: file.or_else(|| self.token.clone().map(Token::Value)), ..Credentials::default() }
    }
}

impl AccessArgs {
    fn credentials(&self) -> Credentials {
        Credentials {
            token: self.token_file.clone().map(Token::File),
            ca: self.ca.clone(),
            identity: self.cert.clone().zip(self.key.clone()),
        }
    }
}

/// The targets that a command reads when it is given `names`.
///
/// # Errors
/// A name means no host, or the profile is bad.
pub fn resolve(names: &[String], access: &AccessArgs, environment: &Environment) -> Result<Vec<Target>, Refusal> {
    let profile = environment.profile()?;
    let from_environment: Vec<String> = environment
        .hosts
        .iter()
        .flat_map(|hosts| hosts.split([',', ' ', '\t', '\n']))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let names = if names.is_empty() { &from_environment } else { names };
    let (flags, defaults) = (access.credentials(), environment.credentials());
    if names.is_empty() {
        return Ok(vec![Target::local(flags.or(defaults))]);
    }
    let targets = profile.resolve(names, &flags, &defaults).map_err(Refusal::usage)?;
    if targets.is_empty() {
        return Err(Refusal::usage("no host in what was named"));
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Route;

    fn names(targets: &[Target]) -> Vec<&str> {
        targets.iter().map(|target| target.name.as_str()).collect()
    }

    #[test]
    fn hosts_come_from_arguments_then_environment_then_this_machine() {
        let mut environment = Environment { hosts: Some("a, b\tc".to_owned()), ..Environment::default() };
        let access = AccessArgs::default();
        let resolved = resolve(&["x".to_owned()], &access, &environment).expect("a host");
        assert_eq!(names(&resolved), ["x"]);
        assert_eq!(names(&resolve(&[], &access, &environment).expect("hosts")), ["a", "b", "c"]);
        environment.hosts = None;
        let local = resolve(&[], &access, &environment).expect("this machine");
        assert!(matches!(local[0].routes[..], [Route::Unix(_), Route::Tcp { .. }]));
    }

    #[test]
    fn the_profile_is_found_and_its_faults_are_told() {
        let home = tempfile::tempdir().expect("a directory");
        let environment = Environment { home: Some(home.path().to_owned()), ..Environment::default() };
        let access = AccessArgs::default();
        let group = ["@web".to_owned()];
        assert_eq!(resolve(&group, &access, &environment).expect_err("no such group").exit, Exit::Usage);
        let directory = home.path().join(".config/logtap");
        fs::create_dir_all(&directory).expect("created");
        fs::write(directory.join("hosts.toml"), "[groups]\nweb = ['a', 'b:1']\n").expect("written");
        assert_eq!(names(&resolve(&group, &access, &environment).expect("the group")), ["a", "b:1"]);
        fs::write(directory.join("hosts.toml"), "[groups\n").expect("written");
        let refusal = resolve(&group, &access, &environment).expect_err("no TOML");
        assert_eq!(refusal.exit, Exit::Config);
        assert!(refusal.why.contains("hosts.toml, line 1: unclosed table"), "{}", refusal.why);
    }

    #[test]
    fn a_flag_counts_before_the_environment_and_a_file_before_a_value() {
        let mut environment = Environment { token: Some("t".to_owned()), ..Environment::default() };
        let token = |access: &AccessArgs, environment: &Environment| {
            resolve(&["a".to_owned()], access, environment).expect("a host")[0].credentials.token.clone()
        };
        let none = AccessArgs::default();
        assert_eq!(token(&none, &environment), Some(Token::Value("t".to_owned())));
        environment.token_file = Some("/e".into());
        assert_eq!(token(&none, &environment), Some(Token::File("/e".into())));
        let flag = AccessArgs { token_file: Some("/f".into()), ..AccessArgs::default() };
        assert_eq!(token(&flag, &environment), Some(Token::File("/f".into())));
    }
}
