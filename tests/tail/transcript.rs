//! Sessions of a shell, as a user would have them: commands, and what they must say.
//!
//! A transcript begins with what a shell runs to make the logs. Then, for each command: `$ COMMAND`, its standard output
//! as it is, its standard error behind `! `, and `= STATUS` unless that is 0. In what is expected `[..]` stands for any
//! text within a line. `HOST`, `DEAD` and `TLS` are a daemon, an address where nobody listens, and a daemon that wants
//! TLS and credentials.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{
    command::{Ended, run},
    served::Served,
};

const SELECTION: &str = include_str!("transcripts/selection.txt");
const OUTPUT: &str = include_str!("transcripts/output.txt");
const ENDING: &str = include_str!("transcripts/ending.txt");
const ACCESS: &str = include_str!("transcripts/access.txt");

/// The configuration of the daemon behind `HOST`.
const CONFIGURATION: &str = r#"
[[source]]
name = "shop"
paths = ["DIR/shop/*.log"]
labels = { team = "payments" }
[[source]]
name = "db"
paths = ["DIR/db.log"]
"#;

/// The configuration of the daemon behind `TLS`. The hash is that of `secret`.
const GUARDED: &str = r#"
[tls]
cert = "DIR/server.pem"
key = "DIR/server.key"
client_ca = "DIR/ca.pem"
[auth]
tokens_file = "DIR/tokens"
[[source]]
name = "db"
paths = ["DIR/db.log"]
"#;
const TOKENS: &str = "me:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\nalice:cn=alice\n";

#[test]
fn what_is_selected_is_shown() {
    play(SELECTION);
}

#[test]
fn every_form_of_output_is_as_documented() {
    play(OUTPUT);
}

#[test]
fn the_end_comes_as_asked_and_is_told_by_the_status() {
    play(ENDING);
}

#[test]
fn hosts_and_credentials_come_from_flags_environment_and_profile() {
    play(ACCESS);
}

#[test]
fn every_flag_is_in_a_transcript() {
    let help = String::from_utf8(run(crate::command::logtap("tail --help")).stdout).expect("text");
    let transcripts = [SELECTION, OUTPUT, ENDING, ACCESS].concat();
    let words: Vec<&str> = transcripts
        .lines()
        .filter(|line| line.starts_with("$ "))
        .flat_map(|line| line.split([' ', '=', '|', ';', '"', '\'']))
        .collect();
    let mut flags = 0;
    for line in help.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
        let (names, _) = line.split_once("  ").unwrap_or((line, ""));
        for name in names.split([' ', ',']).filter(|word| word.starts_with('-')) {
            flags += 1;
            assert!(matches!(name, "-h" | "--help") || words.contains(&name), "{name} is in no transcript");
        }
    }
    assert!(flags > 40, "{flags} flags were found in the help");
}

/// One command, and what it must say.
#[derive(Default)]
struct Turn {
    command: String,
    stdout: String,
    stderr: String,
    status: i32,
}

fn play(transcript: &str) {
    let (preparation, turns) = read(transcript);
    let directory = tempfile::tempdir().expect("a directory");
    certify(directory.path());
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-euc", script]).current_dir(directory.path()).stdin(Stdio::null());
        command
    };
    let prepared = run(shell(&preparation));
    assert_eq!((prepared.code, prepared.stderr.as_str()), (Some(0), ""));

    let open = serve(directory.path(), CONFIGURATION);
    let guarded = serve(directory.path(), GUARDED);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let program = Path::new(env!("CARGO_BIN_EXE_logtap")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let tls = format!("https://{}", guarded.host().replace("127.0.0.1", "localhost"));
    let mut wrong = Vec::new();
    for turn in turns {
        let mut command = shell(&turn.command);
        for name in ["LOGTAP_HOSTS", "LOGTAP_TOKEN", "LOGTAP_TOKEN_FILE", "XDG_CONFIG_HOME", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("PATH", &path).env("HOME", directory.path()).env("TZ", "Europe/Berlin");
        command.env("HOST", open.host()).env("DEAD", dead.to_string()).env("TLS", &tls);
        let Ended { code, stdout, stderr } = run(command);
        let stdout = String::from_utf8(stdout).expect("text");
        let known = [(open.host(), "HOST"), (tls.as_str(), "TLS"), (&dead.to_string(), "DEAD")];
        let plain = |text: &str| known.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
        let (stdout, stderr) = (plain(&stdout), plain(&stderr));
        let fits = code == Some(turn.status) && agrees(&stdout, &turn.stdout) && agrees(&stderr, &turn.stderr);
        if !fits {
            let shown = |status: i32, out: &str, said: &str| format!("= {status}\n{out}--- stderr\n{said}");
            let expected = shown(turn.status, &turn.stdout, &turn.stderr);
            let came = shown(code.unwrap_or(-1), &stdout, &stderr);
            wrong.push(format!("$ {}\n--- expected {expected}--- came {came}", turn.command));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The script that makes the logs, and the turns.
fn read(transcript: &str) -> (String, Vec<Turn>) {
    let mut preparation = String::new();
    let mut turns: Vec<Turn> = Vec::new();
    for line in transcript.lines() {
        match (line.strip_prefix("$ "), turns.last_mut()) {
            (Some(command), _) => turns.push(Turn { command: command.to_owned(), ..Turn::default() }),
            (None, None) => preparation.extend([line, "\n"]),
            (None, Some(turn)) => match line.split_at_checked(2) {
                Some(("! ", said)) => turn.stderr.extend([said, "\n"]),
                Some(("= ", status)) => turn.status = status.parse().expect("a status"),
                Some(("# ", _)) => {}
                // A blank line parts the turns.
                _ if line.is_empty() => {}
                _ => turn.stdout.extend([line, "\n"]),
            },
        }
    }
    assert!(!turns.is_empty());
    (preparation, turns)
}

fn agrees(said: &str, expected: &str) -> bool {
    let pattern = regex::escape(expected).replace(r"\[\.\.\]", ".*");
    regex::Regex::new(&format!("^{pattern}$")).expect("a pattern").is_match(said)
}

fn serve(directory: &Path, configuration: &str) -> Served {
    let own = tempfile::tempdir().expect("a directory");
    let file = own.path().join("logtap.toml");
    fs::write(&file, configuration.replace("DIR", &directory.display().to_string())).expect("written");
    Served::start(own, vec!["-c".to_owned(), file.display().to_string()])
}

/// Makes what TLS needs: `ca.pem`, the server's pair, and the pair of a client by the name of alice.
fn certify(directory: &Path) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    let write = |name: &str, text: String| {
        fs::write(directory.join(name), text).expect("written");
        // Nobody else may read secrets, or they are none.
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o600)).expect("ours");
    };
    write("ca.pem", authority.pem());
    for (name, common_name) in [("server", "localhost"), ("alice", "alice")] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        write(&format!("{name}.pem"), params.signed_by(&key, &authority).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    write("tokens", TOKENS.to_owned());
}
