//! The configuration as a whole: files in, values or exact error texts out.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use logtap::config::{Format, Inputs, Listen, Loaded, Multiline, Timezone};
use tempfile::TempDir;

/// A directory with these files, and inputs that read it as the packaged daemon reads `/etc/logtap`.
fn installed(files: &[(&str, &str)]) -> (TempDir, Inputs) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
    let inputs = Inputs { directory: directory.path().to_owned(), ..Inputs::default() };
    (directory, inputs)
}

fn load(files: &[(&str, &str)]) -> Loaded {
    let (_directory, inputs) = installed(files);
    inputs.load().unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is said of these files, with the directory left out of paths.
fn problems(files: &[(&str, &str)]) -> String {
    let (directory, inputs) = installed(files);
    let problems = inputs.load().expect_err("the configuration is wrong").to_string();
    problems.replace(&format!("{}/", directory.path().display()), "")
}

#[track_caller]
fn refused(toml: &str, expected: &str) {
    assert_eq!(problems(&[("logtap.toml", toml)]), expected.trim_start_matches('\n'));
}

const APP: &str = "[[source]]\nname = \"app\"\npaths = [\"/var/log/app.log\"]\n";

#[test]
fn everything_that_is_not_given_has_its_default() {
    let config = load(&[("logtap.toml", APP)]).config;
    assert_eq!(config.server.listen, [Listen::Tcp("127.0.0.1:50051".to_owned())]);
    assert_eq!(config.server.hosts, Vec::<String>::new());
    assert_eq!((config.server.max_streams, config.server.max_streams_per_client), (1024, 64));
    assert_eq!(config.server.max_stall, Duration::from_secs(3600));
    assert_eq!(config.server.cache, 64 << 20);
    assert!(!config.server.insecure);
    assert_eq!((config.tls, config.auth), (None, None));
    let [source] = &config.sources[..] else { panic!("one source") };
    assert_eq!((&*source.name, &source.paths[..]), ("app", &["/var/log/app.log".to_owned()][..]));
    assert_eq!(source.exclude, Vec::<String>::new());
    assert_eq!(
        (&source.format, &source.multiline, &source.timezone),
        (&Format::Auto, &Multiline::Off, &Timezone::Local)
    );
    assert_eq!((source.max_line, source.archives), (1 << 20, true));
    assert_eq!(source.labels, BTreeMap::new());
}

#[test]
fn every_key_is_read() {
    let toml = r#"
        [server]
        listen = ["unix:/run/logtap/logtap.sock", "0.0.0.0:50051", "[::1]:0"]
        hosts = ["Logs.Example.org", "[::1]"]
        max_streams = 10
        max_streams_per_client = 0x2
        max_stall = "1h30m"
        cache = 0
        insecure = false
        [tls]
        cert = "tls/cert.pem"
        key = "/etc/key.pem"
        client_ca = "/etc/ca.pem"
        [auth]
        tokens_file = "tokens"
        [[source]]
        name = "a.b_c-1"
        paths = ["/var/log/nginx/*.log", "logs/**/*.log"]
        exclude = ["debug*.log"]
        format = "regex"
        pattern = '^(?<time>\S+) (?<level>\S+) (?<message>.*)'
        multiline = { start = '^\d{4}-' }
        max_line = "64KiB"
        timezone = "Europe/Berlin"
        archives = false
        labels = { team = "payments", "a.b" = "" }
        [[source]]
        name = "two"
        paths = ["/x"]
        format = "json"
        multiline = "indent"
        timezone = "-03:30"
    "#;
    let (directory, inputs) = installed(&[("logtap.toml", toml)]);
    let at = |path: &str| directory.path().join(path);
    let config = inputs.load().unwrap_or_else(|problems| panic!("{problems}")).config;
    let listen = ["unix:/run/logtap/logtap.sock", "0.0.0.0:50051", "[::1]:0"];
    assert_eq!(config.server.listen.iter().map(Listen::to_string).collect::<Vec<_>>(), listen);
    assert_eq!(config.server.hosts, ["logs.example.org", "::1"]);
    assert_eq!((config.server.max_streams, config.server.max_streams_per_client), (10, 2));
    assert_eq!((config.server.max_stall, config.server.cache), (Duration::from_secs(5400), 0));
    let tls = config.tls.expect("[tls]");
    assert_eq!((tls.cert, tls.key), (at("tls/cert.pem"), PathBuf::from("/etc/key.pem")));
    assert_eq!(tls.client_ca, Some(PathBuf::from("/etc/ca.pem")));
    assert_eq!(config.auth.expect("[auth]").tokens_file, at("tokens"));
    let [one, two] = &config.sources[..] else { panic!("two sources") };
    assert_eq!(&*one.name, "a.b_c-1");
    assert_eq!(one.paths, ["/var/log/nginx/*.log".to_owned(), at("logs/**/*.log").display().to_string()]);
    assert_eq!(one.exclude, ["debug*.log"]);
    assert_eq!(one.format, Format::Regex(r"^(?<time>\S+) (?<level>\S+) (?<message>.*)".to_owned()));
    assert_eq!(one.multiline, Multiline::Start(r"^\d{4}-".to_owned()));
    assert_eq!((one.max_line, one.archives), (65_536, false));
    assert_eq!(one.timezone, Timezone::Named("Europe/Berlin".to_owned()));
    let labels = [("a.b", ""), ("team", "payments")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(one.labels, BTreeMap::from(labels));
    assert_eq!((&two.format, &two.multiline), (&Format::Json, &Multiline::Indent));
    assert_eq!(two.timezone, Timezone::Fixed(-12_600));
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    refused(
        r#"lisen = ["127.0.0.1:1"]
max_line = "1MiB"
[server]
lisen = ["127.0.0.1:50051"]
listen = ["127.0.0.1:1", "x", 5,
   "::1", "127.0.0.1:1"]
max_streams = "1024"
max_streams_per_client = 0
max_stall = 90
cache = "64M"
insecure = "true"
format = "json"
[tlss]
cert = "x"
[auth]
tokens_file = ""
[[source]]
name = "a b"
path = ["/var/log/x"]
[[source]]
	name = "n"
paths = "/var/log/*.log"
exclude = ["[a"]
format = "jsno"
multiline = { strt = '^\d' }
max_line = "4MiB"
timezone = "Europe/Belin"
labels = { a = 1 }
"#,
        r#"
logtap.toml:1:1: `lisen` stands outside of any table
  1 | lisen = ["127.0.0.1:1"]
    | ^^^^^ did you mean `listen` in [server]?
logtap.toml:2:1: `max_line` stands outside of any table
  2 | max_line = "1MiB"
    | ^^^^^^^^ it belongs into [[source]]
logtap.toml:4:1: [server] has no key `lisen`
  4 | lisen = ["127.0.0.1:50051"]
    | ^^^^^ did you mean `listen`?
logtap.toml:5:26: `x` is no address to listen on
  5 | listen = ["127.0.0.1:1", "x", 5,
    |                          ^^^ it needs a port: `x:50051`
logtap.toml:5:31: the elements of `listen` are strings, this is a whole number
  5 | listen = ["127.0.0.1:1", "x", 5,
    |                               ^
logtap.toml:6:4: `::1` is no address to listen on
  6 |    "::1", "127.0.0.1:1"]
    |    ^^^^^ it needs a port: `[::1]:50051`
logtap.toml:6:11: `127.0.0.1:1` is there twice
  6 |    "::1", "127.0.0.1:1"]
    |           ^^^^^^^^^^^^^
logtap.toml:7:15: `max_streams` is a whole number, not a string
  7 | max_streams = "1024"
    |               ^^^^^^
logtap.toml:8:26: `max_streams_per_client` is a whole number from 1 to 1000000
  8 | max_streams_per_client = 0
    |                          ^
logtap.toml:9:13: `max_stall` is a duration, like "90s", not a whole number
  9 | max_stall = 90
    |             ^^ write "90s" for seconds
logtap.toml:10:9: `64M` has no unit that is clear
  10 | cache = "64M"
     |         ^^^^^ write "64MiB" for powers of 1024, "64MB" for 1000
logtap.toml:11:12: `insecure` is true or false, not a string
  11 | insecure = "true"
     |            ^^^^^^ write it without quotes
logtap.toml:12:1: [server] has no key `format`
  12 | format = "json"
     | ^^^^^^ it belongs into [[source]]
logtap.toml:13:2: there is no table `tlss`
  13 | [tlss]
     |  ^^^^ did you mean `tls`?
logtap.toml:16:15: a path is empty
  16 | tokens_file = ""
     |               ^^
logtap.toml:17:1: [[source]] has no `paths`
  17 | [[source]]
     | ^^^^^^^^^^ like paths = ["/var/log/nginx/*.log"]
logtap.toml:18:8: the name of a source cannot hold ' '
  18 | name = "a b"
     |        ^^^^^ it is letters, digits, `.`, `_` and `-`, like `a-b`
logtap.toml:19:1: [[source]] has no key `path`
  19 | path = ["/var/log/x"]
     | ^^^^ did you mean `paths`?
logtap.toml:22:9: `paths` is a list of strings, not a string
  22 | paths = "/var/log/*.log"
     |         ^^^^^^^^^^^^^^^^ write ["/var/log/*.log"]
logtap.toml:23:12: `[a` is no glob: unclosed character class; missing ']'
  23 | exclude = ["[a"]
     |            ^^^^ `*`, `?`, `[…]` and `{…,…}` are wildcards, `**` any directories; a backslash takes one literally
logtap.toml:24:10: `jsno` is no `format`
  24 | format = "jsno"
     |          ^^^^^^ did you mean `json`?
logtap.toml:25:15: `multiline` has no key `strt`
  25 | multiline = { strt = '^\d' }
     |               ^^^^ it is { start = 'regex' }, "indent" or "off"
logtap.toml:26:12: `max_line` is a size from 1B to 3MiB
  26 | max_line = "4MiB"
     |            ^^^^^^
logtap.toml:27:12: the time zone database has no `Europe/Belin`
  27 | timezone = "Europe/Belin"
     |            ^^^^^^^^^^^^^^ did you mean `Europe/Berlin`?
logtap.toml:28:16: the value of a label is a string, not a whole number
  28 | labels = { a = 1 }
     |                ^ write it in quotes
"#,
    );
}

#[test]
fn what_is_not_toml_hides_no_other_mistake() {
    refused(
        "[server]\nmax_streams = 12a\ncachee = \"1\"\nhosts = [\n  \"a\",\n  \"b\"\n[[source]]\nname = 'x'\n",
        r#"
logtap.toml:2:15: this is no TOML: string values must be quoted, expected literal string
  2 | max_streams = 12a
    |               ^^^
logtap.toml:3:1: [server] has no key `cachee`
  3 | cachee = "1"
    | ^^^^^^ did you mean `cache`?
logtap.toml:7:1: this is no TOML: missing comma between array elements, expected `,`
  7 | [[source]]
    | ^
"#,
    );
}

#[test]
fn a_caret_stands_below_its_character_and_a_terminal_gets_no_control_characters() {
    refused(
        &format!("[server]\n\thosts = [\"ü\", \"ä b\"]\n{APP}"),
        "logtap.toml:2:11: `ü` is no host name\n  2 | \thosts = [\"ü\", \"ä b\"]\n    | \t         ^^^ a name is letters, \
         digits, `-` and `.`\nlogtap.toml:2:16: `ä b` is no host name\n  2 | \thosts = [\"ü\", \"ä b\"]\n    | \t              \
         ^^^^^ a name is letters, digits, `-` and `.`\n",
    );
    let text = problems(&[("logtap.toml", "[server]\nhosts = [\"\u{1b}[31m\", \"\\u001b[31m\"]\n")]);
    assert!(text.starts_with("logtap.toml:2:") && !text.contains('\u{1b}'), "{text:?}");
    let long = format!("[server]\nhosts = [{} \"a b\"]\n", " ".repeat(500));
    let text = problems(&[("logtap.toml", &long)]);
    assert!(text.starts_with("logtap.toml:2:511: ") && text.lines().all(|line| line.len() < 140), "{text}");
    assert!(text.contains("^^^^^ a name"), "{text}");
}

#[test]
fn tables_are_written_with_the_right_brackets() {
    refused(
        "[source]\nname = \"x\"\n",
        r#"
logtap.toml:1:2: `source` is written [[source]], not as a table
  1 | [source]
    |  ^^^^^^ with two brackets, since there can be several
"#,
    );
    refused(
        "[[server]]\n",
        r#"
logtap.toml:1:3: `server` is written [server], not as a list
  1 | [[server]]
    |   ^^^^^^ with one bracket, since there is only one
"#,
    );
}

#[test]
fn two_sources_of_one_name_are_refused_in_one_file() {
    refused(
        &format!("{APP}{APP}"),
        r#"
logtap.toml:5:8: a second source is called `app`
  5 | name = "app"
    |        ^^^^^ the first is at logtap.toml:2
"#,
    );
}

#[test]
fn a_pattern_and_its_format_come_together() {
    refused(
        &format!("{APP}format = \"regex\"\n[[source]]\nname = \"b\"\npaths = [\"/b\"]\npattern = '(?<level>x)'\n"),
        r#"
logtap.toml:4:10: format "regex" needs a `pattern`
  4 | format = "regex"
    |          ^^^^^^^ write pattern = '…' with groups named time, level or message
logtap.toml:8:11: a `pattern` is only used by format "regex"
  8 | pattern = '(?<level>x)'
    |           ^^^^^^^^^^^^^ write format = "regex" beside it
"#,
    );
    refused(
        &format!("{APP}format = \"regex\"\npattern = '(?<lvel>x)'\nmultiline = {{ start = '(' }}\n"),
        r#"
logtap.toml:5:11: the regular expression has no group named time, level or message
  5 | pattern = '(?<lvel>x)'
    |           ^^^^^^^^^^^^ did you mean `(?<level>…)` by `(?<lvel>…)`?
logtap.toml:6:23: the regular expression is not valid: unclosed group
  6 | multiline = { start = '(' }
    |                       ^^^
"#,
    );
}

#[test]
fn beyond_loopback_needs_tls_and_authorisation_unless_told_otherwise() {
    let beyond = "[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:2\"]\n";
    let tls = "[tls]\ncert = \"/c\"\nkey = \"/k\"\n";
    let auth = "[auth]\ntokens_file = \"/t\"\n";
    let complaint = |missing: &str| {
        format!(
            "logtap.toml:2:26: `0.0.0.0:2` is beyond loopback and there is no {missing}\n  2 | listen = \
             [\"127.0.0.1:1\", \"0.0.0.0:2\"]\n    |                          ^^^^^^^^^^^ add what is missing, or \
             `insecure = true` to [server]\n"
        )
    };
    refused(&format!("{beyond}{APP}"), &complaint("[tls] and [auth]"));
    refused(&format!("{beyond}{tls}{APP}"), &complaint("[auth]"));
    refused(&format!("{beyond}{auth}{APP}"), &complaint("[tls]"));
    load(&[("logtap.toml", &format!("{beyond}{tls}{auth}{APP}"))]);
    load(&[("logtap.toml", &format!("{beyond}{tls}client_ca = \"/ca\"\n{APP}"))]);
    assert!(load(&[("logtap.toml", &format!("{beyond}insecure = true\n{APP}"))]).config.server.insecure);
}

#[test]
fn a_table_that_is_begun_is_whole() {
    refused(
        &format!("[tls]\nclient_ca = \"/ca\"\n[auth]\n{APP}"),
        r#"
logtap.toml:1:1: [tls] has no `cert`
  1 | [tls]
    | ^^^^^ like cert = "/etc/logtap/tls/cert.pem"
logtap.toml:1:1: [tls] has no `key`
  1 | [tls]
    | ^^^^^ like key = "/etc/logtap/tls/key.pem"
logtap.toml:3:1: [auth] has no `tokens_file`
  3 | [auth]
    | ^^^^^^ like tokens_file = "/etc/logtap/tokens"
"#,
    );
}

#[test]
fn drop_ins_are_laid_over_each_other_by_name() {
    let loaded = load(&[
        ("logtap.toml", &format!("[server]\ncache = \"1MiB\"\nmax_streams = 1\n[tls]\ncert = \"/c\"\n{APP}")),
        ("conf.d/20.toml", "[server]\ncache = \"3MiB\"\n[tls]\nkey = \"/k\"\n"),
        ("conf.d/10.toml", "[server]\ncache = \"2MiB\"\n[[source]]\nname = \"b\"\npaths = [\"/b\"]\n"),
        ("conf.d/30.toml", "[[source]]\nname = \"app\"\npaths = [\"/other\"]\n"),
        ("conf.d/.40.toml", "[server]\ncache = \"4MiB\"\n"),
        ("conf.d/README", "no configuration"),
    ]);
    let config = loaded.config;
    assert_eq!((config.server.cache, config.server.max_streams), (3 << 20, 1));
    assert!(config.tls.is_some());
    let sources: Vec<(&str, &[String])> = config.sources.iter().map(|s| (&*s.name, &s.paths[..])).collect();
    assert_eq!(sources, [("app", &["/other".to_owned()][..]), ("b", &["/b".to_owned()][..])]);
    let names: Vec<_> = loaded.files.iter().map(|file| file.file_name().expect("a name").to_owned()).collect();
    assert_eq!(names, ["logtap.toml", "10.toml", "20.toml", "30.toml"]);
}

#[test]
fn every_value_knows_who_gave_it() {
    let (directory, mut inputs) = installed(&[
        ("logtap.toml", &format!("[server]\ncache = \"1MiB\"\nlisten = [\"127.0.0.1:1\"]\n{APP}")),
        ("conf.d/a.toml", "\n[server]\nmax_streams = 7\n"),
    ]);
    let origin = |inputs: &Inputs, table: &str, key: &str| {
        let loaded = inputs.load().unwrap_or_else(|problems| panic!("{problems}"));
        let found = loaded.effective.iter().find(|line| line.table == table && line.key == key).expect("the key");
        let origin = found.origin.to_string().replace(&format!("{}/", directory.path().display()), "");
        (found.value.clone(), origin)
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(origin(&inputs, "[server]", "cache"), pair("\"1MiB\"", "logtap.toml:2"));
    assert_eq!(origin(&inputs, "[server]", "max_streams"), pair("7", "conf.d/a.toml:3"));
    assert_eq!(origin(&inputs, "[server]", "max_stall"), pair("\"1h\"", "default"));
    assert_eq!(origin(&inputs, "[[source]]", "paths"), pair("[\"/var/log/app.log\"]", "logtap.toml:6"));
    assert_eq!(origin(&inputs, "[server]", "listen"), pair("[\"127.0.0.1:1\"]", "logtap.toml:3"));
    inputs.listen_variable = Some("127.0.0.1:2, unix:/s".to_owned());
    assert_eq!(origin(&inputs, "[server]", "listen"), pair("[\"127.0.0.1:2\", \"unix:/s\"]", "LOGTAP_LISTEN"));
    inputs.listen = vec!["127.0.0.1:3".parse().expect("an address")];
    assert_eq!(origin(&inputs, "[server]", "listen"), pair("[\"127.0.0.1:3\"]", "--listen"));
}

#[test]
fn the_effective_configuration_is_toml_that_comes_to_the_same() {
    let toml = format!(
        "[server]\nlisten = [\"unix:/s\", \"[::1]:1\"]\nhosts = [\"a\"]\nmax_stall = \"1d2h\"\ncache = 1000\n[tls]\ncert = \
         \"/c\"\nkey = \"/k\"\n[auth]\ntokens_file = \"/t\"\n{APP}format = \"regex\"\npattern = '(?<level>\"x\\w)'\nmultiline \
         = {{ start = '^\\d' }}\ntimezone = \"+05:30\"\nlabels = {{ \"a b\" = \"c\\\"\" }}\n"
    );
    let first = load(&[("logtap.toml", &toml)]);
    let mut written = String::new();
    let mut table = String::new();
    for line in &first.effective {
        if line.table != table {
            table = line.table.clone();
            written.push_str(&format!("{table}\n"));
        }
        written.push_str(&format!("{} = {}\n", line.key, line.value));
    }
    let second = load(&[("logtap.toml", &written)]);
    assert_eq!(first.config, second.config, "{written}");
}

#[test]
fn paths_need_no_file_and_read_none() {
    let (_directory, mut inputs) = installed(&[("logtap.toml", "this is = not [read"), ("one.toml", APP)]);
    inputs.working_directory = inputs.directory.clone();
    inputs.paths = ["/var/log/nginx/*.log", "x.log", "/y/x.log"].map(str::to_owned).to_vec();
    let loaded = inputs.load().unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<&str> = loaded.config.sources.iter().map(|source| &*source.name).collect();
    assert_eq!((names, loaded.files.len()), (vec!["nginx", "x"], 0));

    inputs.file = Some(PathBuf::from("one.toml"));
    let loaded = inputs.load().unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<&str> = loaded.config.sources.iter().map(|source| &*source.name).collect();
    assert_eq!((names, loaded.files), (vec!["nginx", "x", "app"], vec![inputs.directory.join("one.toml")]));
}

#[test]
fn nothing_to_watch_is_an_error() {
    let nothing =
        "logtap: there is nothing to watch; name files, like `logtap serve /var/log/*.log`, or a [[source]]\n";
    assert_eq!(problems(&[]), nothing);
    assert_eq!(problems(&[("logtap.toml", "")]), nothing);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let (directory, mut inputs) = installed(&[("conf.d/x.toml/y", "a directory"), ("conf.d/a.toml", APP)]);
    let path = directory.path().display();
    let problems = inputs.load().expect_err("a directory is no file").to_string();
    assert_eq!(problems, format!("{path}/conf.d/x.toml: cannot be read: Is a directory (os error 21)\n"));
    inputs.file = Some(PathBuf::from("/nowhere/logtap.toml"));
    let problems = inputs.load().expect_err("no such file").to_string();
    assert_eq!(problems, "/nowhere/logtap.toml: cannot be read: No such file or directory (os error 2)\n");
    fs::write(directory.path().join("latin1.toml"), b"[server]\n# \xe9\n").expect("a file");
    inputs.file = Some(directory.path().join("latin1.toml"));
    let problems = inputs.load().expect_err("no UTF-8").to_string();
    assert_eq!(problems, format!("{path}/latin1.toml: line 2 is not valid UTF-8\n"));
}

#[test]
fn wrong_addresses_in_the_environment_and_beyond_loopback_in_arguments_are_named() {
    let (_directory, mut inputs) = installed(&[("logtap.toml", APP)]);
    inputs.listen_variable = Some("127.0.0.1:1,elsewhere".to_owned());
    assert_eq!(
        inputs.load().expect_err("no address").to_string(),
        "LOGTAP_LISTEN: `elsewhere` is no address to listen on; it needs a port: `elsewhere:50051`\n"
    );
    inputs.listen = vec!["0.0.0.0:1".parse().expect("an address")];
    inputs.listen_variable = None;
    assert_eq!(
        inputs.load().expect_err("beyond loopback").to_string(),
        "--listen 0.0.0.0:1: `0.0.0.0:1` is beyond loopback and there is no [tls] and [auth]; add what is missing, or \
         `insecure = true` to [server]\n"
    );
}

#[test]
fn changed_keys_that_need_a_restart_are_known() {
    let old = load(&[("logtap.toml", APP)]).config;
    let new = load(&[("logtap.toml", &format!("[server]\ncache = 0\nhosts = [\"a\"]\n{APP}"))]).config;
    assert_eq!(old.needs_restart(&old), Vec::<&str>::new());
    assert_eq!(old.needs_restart(&new), ["server.cache"]);
}

#[test]
fn the_shipped_schema_is_the_one_of_the_table_of_keys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/logtap.schema.json");
    let shipped = fs::read_to_string(path).expect("the schema");
    let made = logtap::config::json_schema();
    assert!(shipped == made, "make it anew: logtap check --schema > packaging/logtap.schema.json");
    assert!(made.contains("\"default\": \"64MiB\"") && made.contains("\"default\": ["), "{made}");
}
