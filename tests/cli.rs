//! The program as it is called: arguments, environment, output and exit status of the real binary.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// The program with nothing of the caller's environment that it looks at.
fn logtap(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logtap"));
    for variable in ["LOGTAP_CONFIG", "LOGTAP_LISTEN", "LOGTAP_LOG", "JOURNAL_STREAM"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// A directory with a configuration that names files in it, and its path as text.
fn configured(toml: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().display().to_string();
    fs::write(directory.path().join("logtap.toml"), toml.replace("DIR", &path)).expect("a file");
    (directory, path)
}

fn write(directory: &TempDir, name: &str, content: &str) {
    fs::write(directory.path().join(name), content).expect("a file");
}

#[test]
fn usage_errors_are_told_from_bad_configurations_by_the_exit_status() {
    let usage: [&[&str]; 5] = [
        &[],
        &["no-such-command"],
        &["serve", "--no-such-flag"],
        &["serve", "/x", "--listen", "elsewhere"],
        &["completions", "no-such-shell"],
    ];
    for arguments in usage {
        assert_eq!(run(&mut logtap(arguments)).0, Some(2), "{arguments:?}");
    }
    let (status, _, stderr) = run(&mut logtap(&["serve", "/x", "--listen", "elsewhere"]));
    assert!(stderr.contains("it needs a port: `elsewhere:50051`"), "{status:?} {stderr}");

    let (directory, _) = configured("[server]\nlisten = [\"0.0.0.0:0\"]\n[[source]]\nname = \"a\"\npaths = [\"/a\"]\n");
    let file = directory.path().join("logtap.toml");
    for arguments in [["serve", "-c"].as_slice(), &["check"]] {
        let (status, stdout, stderr) = run(logtap(arguments).arg(&file));
        assert_eq!((status, stdout.as_str()), (Some(78), ""), "{stderr}");
        let expected =
            "`0.0.0.0:0` is beyond loopback and there is no [tls] and [auth]\n  2 | listen = [\"0.0.0.0:0\"]\n";
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn a_missing_file_and_a_bad_log_filter_are_bad_configurations() {
    let (status, _, stderr) = run(logtap(&["serve"]).env("LOGTAP_CONFIG", "/nowhere/x.toml"));
    assert_eq!(status, Some(78));
    assert_eq!(stderr, "/nowhere/x.toml: cannot be read: No such file or directory (os error 2)\n");
    let (status, _, stderr) = run(logtap(&["serve", "/x"]).env("LOGTAP_LOG", "logtap=loud"));
    assert_eq!(status, Some(78));
    assert!(stderr.starts_with("logtap: LOGTAP_LOG: `logtap=loud` is no filter ("), "{stderr}");
}

#[test]
fn check_prints_toml_that_it_accepts_itself() {
    let (directory, path) = configured(
        "[server]\ncache = \"1MiB\"\n[[source]]\nname = \"a\"\npaths = [\"DIR/*.log\"]\nexclude = [\"debug*\"]\n[[source]]\nname \
         = \"b\"\npaths = [\"DIR/app.log\", \"DIR/later/*\", \"DIR/dir\", \"DIR/dangling\"]\n",
    );
    write(&directory, "app.log", "12345\n");
    write(&directory, "debug.log", "");
    write(&directory, "other.txt", "");
    fs::create_dir(directory.path().join("dir")).expect("a directory");
    symlink("nowhere", directory.path().join("dangling")).expect("a link");

    let (status, stdout, stderr) = run(logtap(&["check"]).arg(directory.path().join("logtap.toml")));
    let plain = |text: &str| text.replace(&path, "DIR");
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(
        plain(&stderr),
        "warning: source b: DIR/later/* matches nothing now\n\
         warning: DIR/app.log is matched by sources a and b; it belongs to a\n\
         warning: source b: DIR/dangling is a link to nothing\n\
         warning: source b: DIR/dir is a directory\n"
    );
    let stdout = plain(&stdout);
    let has = |line: &str| assert!(stdout.lines().any(|found| found == line), "{line:?} is not in\n{stdout}");
    let squeezed: Vec<String> =
        stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has_setting = |line: &str| assert!(squeezed.iter().any(|found| found == line), "{line:?} is not in\n{stdout}");
    has("# DIR/logtap.toml");
    has_setting("cache = \"1MiB\" # DIR/logtap.toml:2");
    has_setting("max_streams = 1024 # default");
    has_setting("paths = [\"DIR/*.log\"] # DIR/logtap.toml:5");
    has("# SEGMENT_BYTES                       16 KiB  Encoded bytes after which a segment is closed");
    assert!(
        stdout.ends_with(
            "\n# Files\n# a\n#   DIR/app.log (6 bytes)\n# b\n#   DIR/app.log (belongs to a)\n#   DIR/dangling (a link to \
             nothing)\n#   DIR/dir (a directory)\n#   DIR/later/* matches nothing now\n"
        ),
        "{stdout}"
    );

    write(&directory, "printed.toml", &stdout.replace("DIR", &path));
    let (status, again, stderr) = run(logtap(&["check"]).arg(directory.path().join("printed.toml")));
    assert_eq!(status, Some(0), "{stderr}");
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(" # ").map_or(line, |(setting, _)| setting.trim_end()).to_owned()).collect()
    };
    assert_eq!(settings(&plain(&again)), settings(&stdout));

    let (status, stdout, _) =
        run(logtap(&["check", "--quiet"]).env("LOGTAP_CONFIG", directory.path().join("logtap.toml")));
    assert_eq!((status, stdout.as_str()), (Some(0), ""));
}

#[test]
fn check_names_certificates_and_tokens_that_are_not_there() {
    let (directory, path) = configured(
        "[tls]\ncert = \"DIR/cert.pem\"\nkey = \"DIR/key.pem\"\n[auth]\ntokens_file = \"DIR\"\n[[source]]\nname = \
         \"a\"\npaths = [\"DIR/logtap.toml\"]\n",
    );
    write(&directory, "cert.pem", "");
    let (status, _, stderr) = run(logtap(&["check", "-q"]).arg(directory.path().join("logtap.toml")));
    assert_eq!(status, Some(78));
    assert_eq!(
        stderr.replace(&path, "DIR"),
        "[tls] key: DIR/key.pem: No such file or directory (os error 2)\n[auth] tokens_file: DIR: this is no regular file\n"
    );
}

/// `systemctl reload` asks `check` first, and is to fail where the daemon would refuse.
#[test]
fn check_refuses_secrets_that_the_daemon_refuses() {
    let (directory, path) = configured(
        "[tls]\ncert = \"DIR/cert.pem\"\nkey = \"DIR/key.pem\"\n[auth]\ntokens_file = \"DIR/tokens\"\n[[source]]\nname \
         = \"a\"\npaths = [\"DIR/logtap.toml\"]\n",
    );
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let private = |name: &str, content: &str| {
        write(&directory, name, content);
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(0o600)).expect("chmod");
    };
    let check = || {
        let (status, _, stderr) = run(logtap(&["check", "-q"]).arg(directory.path().join("logtap.toml")));
        (status, stderr.replace(&path, "DIR"))
    };
    private("cert.pem", &made.cert.pem());
    private("key.pem", &made.signing_key.serialize_pem());
    private("tokens", &format!("ann:{}\n", "0".repeat(64)));
    assert_eq!(check(), (Some(0), String::new()));

    private("tokens", "ann\n");
    fs::set_permissions(directory.path().join("key.pem"), fs::Permissions::from_mode(0o644)).expect("chmod");
    let wrong = "DIR/key.pem: its mode 0644 lets anybody read or change the secrets in it\nDIR/tokens:1: a name and a \
                 colon must come first\n";
    assert_eq!(check(), (Some(78), wrong.to_owned()));

    private("tokens", "");
    private("key.pem", "no key");
    assert_eq!(check().0, Some(78));
}

#[test]
fn a_reader_of_check_may_go_away() {
    let (directory, _) = configured("[[source]]\nname = \"a\"\npaths = [\"DIR/logtap.toml\"]\n");
    let mut child = logtap(&["check"])
        .arg(directory.path().join("logtap.toml"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn there_is_a_manual_page_for_every_command_and_for_the_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("new/man");
    let (status, _, stderr) = run(logtap(&["man"]).arg(&pages));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let page = |name: &str| fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (_, help, _) = run(&mut logtap(&["--help"]));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is said of a command may go on in a second line, which is indented further.
    let commands = commands.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    for command in commands.filter_map(|line| line.split_whitespace().next()).filter(|command| *command != "help") {
        assert!(page(&format!("logtap-{command}.1")).contains(&format!("logtap\\-{command}")), "{command}");
    }
    assert!(page("logtap.1").contains("logtap"));
    for table in &logtap::config::keys::TABLES {
        for key in table.keys {
            let heading = format!("\\fB{}\\fR = ", key.name());
            assert!(page("logtap.toml.5").contains(&heading), "{heading}");
        }
    }
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (status, stdout, _) = run(&mut logtap(&["completions", shell]));
        assert!(status == Some(0) && stdout.contains("serve") && stdout.contains("check"), "{shell}: {stdout}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let (status, stdout, _) = run(&mut logtap(&["--version"]));
    assert_eq!((status, stdout.as_str()), (Some(0), concat!("logtap ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn the_packaged_configuration_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/logtap.toml");
    let inputs = logtap::config::Inputs { file: Some(path), ..Default::default() };
    let loaded = inputs.load().unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!loaded.config.sources.is_empty());
}
