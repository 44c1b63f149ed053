//! Another configuration while streams are open.

use std::{collections::HashMap, fmt::Write as _, fs, path::PathBuf};

use logtap::proto::v1::{self, FileChangeKind, event::Kind};
use rustix::process::Signal;
use tonic::{Code, Streaming};

use crate::support::{
    Logs,
    client::{self, Live, messages, refusal},
    daemon::Daemon,
    eventually, soon,
};

/// Logs, a configuration file for some of them, and a daemon that lives by it.
struct Site {
    logs: Logs,
    config: PathBuf,
    daemon: Daemon,
}

/// A source called `name` for the file `name.log`, with further keys.
fn source(name: &str, keys: &str) -> String {
    format!("[[source]]\nname = \"{name}\"\npaths = [\"{name}.log\"]\n{keys}\n")
}

impl Site {
    fn new(files: &[&str], config: &[String]) -> Self {
        let logs = Logs::new();
        files.iter().for_each(|name| drop(logs.write(name, "")));
        let config = logs.write("logtap.toml", config.concat());
        let daemon = Daemon::serve([std::ffi::OsStr::new("-c"), config.as_os_str()]);
        Self { logs, config, daemon }
    }

    /// Replaces the configuration as careful editors do: never is half of it to be seen.
    fn write(&self, config: &[String]) {
        let new = self.logs.write("logtap.toml.new", config.concat());
        fs::rename(new, &self.config).expect("it is renamed");
    }

    fn count(&self, said: &str) -> usize {
        self.daemon.log().matches(said).count()
    }

    /// Writes the configuration, has it read, and waits until it is in force.
    fn reload(&self, config: &[String]) {
        let before = self.count("configuration read again");
        self.write(config);
        self.daemon.signal(Signal::HUP);
        eventually("the reload", || self.count("configuration read again") > before);
        assert_eq!(self.daemon.metric("logtap_config_last_reload_successful"), 1);
    }
}

/// A stream of batches: entries and events in their order, as texts.
struct Batches(Streaming<v1::StreamBatchesResponse>, Vec<String>);

impl Batches {
    async fn open(daemon: &Daemon) -> Self {
        let request = v1::LogRequest { with_fields: true, ..Default::default() };
        let request = v1::StreamBatchesRequest { request: Some(request), ..Default::default() };
        let stream = client::v1(daemon).await.stream_batches(request).await.expect("it is served").into_inner();
        let mut new = Self(stream, Vec::new());
        new.until("caught up").await;
        new
    }

    /// Everything up to what is called `last`.
    async fn until(&mut self, last: &str) -> Vec<String> {
        loop {
            if let Some(at) = self.1.iter().position(|seen| seen == last) {
                return self.1.drain(..=at).collect();
            }
            let next = soon(last, self.0.message()).await.expect("it goes on").expect("it goes on");
            self.1.extend(next.events.into_iter().filter_map(name_of));
            self.1.extend(next.entries.into_iter().map(|entry| match entry.fields.get("team") {
                Some(team) => format!("{} ({team})", entry.message),
                None => entry.message,
            }));
        }
    }
}

fn name_of(event: v1::Event) -> Option<String> {
    match event.kind? {
        Kind::CaughtUp(_) => Some("caught up".to_owned()),
        Kind::Gap(gap) => Some(format!("gap in {}", gap.source)),
        Kind::FileChange(change) => {
            let kind = FileChangeKind::try_from(change.kind).expect("a known kind");
            Some(format!("{} {}", kind.as_str_name().trim_start_matches("FILE_CHANGE_KIND_"), change.source))
        }
        Kind::Heartbeat(_) | Kind::Progress(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_removed_ends_and_the_others_go_on() {
    let site = Site::new(&["a.log", "b.log"], &[source("a", ""), source("b", "")]);
    let mut batches = Batches::open(&site.daemon).await;
    site.logs.append("b.log", "b1\n");
    batches.until("b1").await;

    site.reload(&[source("a", "")]);
    assert_eq!(batches.until("REMOVED b").await, ["REMOVED b"]);
    site.logs.append("b.log", "b2\n");
    site.logs.append("a.log", "a1\n");
    assert_eq!(batches.until("a1").await, ["a1"]);
    let request = v1::LogRequest { sources: vec!["b".into()], ..Default::default() };
    assert_eq!(refusal(&site.daemon, request).await.code(), Code::NotFound);
    assert!(!site.daemon.get("/metrics").contains("logtap_files{source=\"b\"}"));

    // It comes back as what it is: new to whoever follows, who gets what is written from now on.
    site.reload(&[source("b", ""), source("a", "")]);
    assert_eq!(batches.until("ADDED b").await, ["ADDED b"]);
    site.logs.append("b.log", "b3\n");
    assert_eq!(batches.until("b3").await, ["b3"]);
    site.logs.append("a.log", "a2\n");
    assert_eq!(batches.until("a2").await, ["a2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_changed_goes_on_in_the_same_streams_by_its_new_settings() {
    let site = Site::new(&["a.log"], &[source("a", "")]);
    let mut batches = Batches::open(&site.daemon).await;
    site.logs.append("a.log", "one\n");
    assert_eq!(batches.until("one").await, ["one"]);
    let request = v1::LogRequest { tail: Some(1), ..Default::default() };
    let cursor = Live::open(&site.daemon, request).await.next().await.cursor;

    site.reload(&[source("a", "labels = { team = \"red\" }")]);
    site.logs.append("a.log", "two\n");
    assert_eq!(batches.until("two (red)").await, ["two (red)"]);
    let resumed = v1::LogRequest { resume: vec![cursor], ..Default::default() };
    assert_eq!(messages(&site.daemon, resumed).await, ["two"]);

    site.reload(&[source("a", "labels = { team = \"blue\" }\nmultiline = \"indent\"")]);
    site.logs.append("a.log", "three\n  goes on\nfour\n");
    assert_eq!(batches.until("four (blue)").await, ["three\n  goes on (blue)", "four (blue)"]);
    // What was read before is read anew: nothing of it comes from the cache.
    let teams = client::get(&site.daemon, v1::LogRequest { with_fields: true, ..Default::default() }).await;
    let teams: Vec<_> = teams.entries.iter().map(|entry| entry.fields["team"].as_str()).collect();
    assert_eq!(teams, ["blue"; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_changes_nothing_and_says_so() {
    let site = Site::new(&["a.log"], &[source("a", "")]);
    let mut live = Live::open(&site.daemon, v1::LogRequest::default()).await;
    let bad = [
        "[server]\ncahce = \"1MiB\"\n".to_owned() + &source("a", ""),
        source("a", "") + "[auth]\ntokens_file = \"no-such-file\"\n",
        source("a", "") + "[tls]\ncert = \"no-such-file\"\nkey = \"no-such-file\"\n",
        String::new(),
    ];
    for (number, bad) in bad.into_iter().enumerate() {
        let was_refused = || site.count("the configuration was refused, and the old one stays");
        site.write(&[bad]);
        site.daemon.signal(Signal::HUP);
        eventually("the refusal", || was_refused() > number);
        eventually("the metric", || site.daemon.metric("logtap_config_last_reload_successful") == 0);
        site.logs.append("a.log", format!("{number}\n"));
        assert_eq!(live.take(1).await, [number.to_string()]);
    }
    for said in ["logtap.toml:2:1", "cahce = \"1MiB\"", "no-such-file"] {
        assert!(site.daemon.log().contains(said), "{said} is not said");
    }
    // Repaired, it is noticed without being told, and counts again.
    site.write(&[source("a", "labels = { team = \"red\" }")]);
    eventually("the reload", || site.daemon.metric("logtap_config_last_reload_successful") == 1);
    site.logs.append("a.log", "good\n");
    assert_eq!(live.take(1).await, ["good"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_source_is_served_from_where_it_is_and_a_new_file_of_it_from_its_beginning() {
    let site = Site::new(&["a.log", "b.log"], &[source("a", "")]);
    site.logs.append("b.log", "old\nhalf");
    let mut batches = Batches::open(&site.daemon).await;
    let glob = "[[source]]\nname = \"b\"\npaths = [\"b*.log\"]\n".to_owned();
    site.reload(&[source("a", ""), glob]);
    assert_eq!(batches.until("ADDED b").await, ["ADDED b"]);
    site.logs.append("b.log", " and half\n");
    assert_eq!(batches.until("half and half").await, ["half and half"]);
    site.logs.write("b2.log", "first\n");
    assert_eq!(batches.until("first").await, ["ADDED b", "first"]);
    assert_eq!(messages(&site.daemon, v1::LogRequest::default()).await, ["old", "half and half", "first"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_hands_goes_on_where_it_was() {
    let site = Site::new(&["a.log"], &[source("a", "")]);
    let mut batches = Batches::open(&site.daemon).await;
    site.logs.append("a.log", "one\n");
    batches.until("one").await;
    let renamed = "[[source]]\nname = \"z\"\npaths = [\"*.log\"]\n".to_owned();
    site.reload(&[renamed]);
    assert_eq!(batches.until("ADDED z").await, ["REMOVED a", "ADDED z"]);
    site.logs.append("a.log", "two\n");
    assert_eq!(batches.until("two").await, ["two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hosts_and_tokens_change_and_what_needs_a_restart_is_named() {
    let site = Site::new(&["a.log"], &[source("a", "")]);
    let mut live = Live::open(&site.daemon, v1::LogRequest::default()).await;
    let server = "[server]\nmax_streams = 1\ncache = \"1MiB\"\nhosts = [\"logs.example.org\"]\n".to_owned();
    site.reload(&[server.clone(), source("a", "")]);
    assert!(site.daemon.log().contains("takes effect when the daemon starts anew key=\"server.cache\""));
    let full = client::v1(&site.daemon).await.stream_logs(v1::LogRequest::default()).await.expect_err("one is open");
    assert_eq!(full.code(), Code::ResourceExhausted, "{full:?}");

    // Asking who is there, from now on, ends whatever nobody was asked for.
    let tokens = site.logs.write("tokens", format!("reader:{}\n", "0".repeat(64)));
    fs::set_permissions(&tokens, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let auth = "[auth]\ntokens_file = \"tokens\"\n".to_owned();
    let before = site.count("configuration read again");
    site.write(&[server.clone(), auth, source("a", "")]);
    site.daemon.signal(Signal::HUP);
    eventually("the reload", || site.count("configuration read again") > before);
    assert_eq!(live.end().await.code(), Code::Unauthenticated);
    assert!(site.daemon.get("/metrics").starts_with("HTTP/1.1 401"));

    // Nobody stops being asked while the daemon runs.
    let before = site.count("configuration read again");
    site.write(&[server, source("a", "")]);
    site.daemon.signal(Signal::HUP);
    eventually("the reload", || site.count("configuration read again") > before);
    assert!(site.daemon.log().contains("takes effect when the daemon starts anew key=\"auth\""));
    assert!(site.daemon.get("/metrics").starts_with("HTTP/1.1 401"));
}

/// Reloads under fire: whatever the settings are at the time, every line comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_across_reloads() {
    const LINES: usize = 20_000;
    let site = Site::new(&["a.log"], &[source("a", "")]);
    let mut live = Live::open(&site.daemon, v1::LogRequest::default()).await;
    let path = site.logs.path("a.log");
    let writer = tokio::task::spawn_blocking(move || {
        let mut file = fs::OpenOptions::new().append(true).open(path).expect("a file");
        for chunk in 0..LINES / 20 {
            let mut text = String::new();
            for line in chunk * 20..chunk * 20 + 20 {
                writeln!(text, "line {line}").expect("a string takes all");
            }
            std::io::Write::write_all(&mut file, text.as_bytes()).expect("it is written");
            std::thread::sleep(std::time::Duration::from_micros(500));
        }
    });
    let mut seen: HashMap<String, usize> = HashMap::new();
    let reading = async {
        for _ in 0..LINES {
            *seen.entry(live.next().await.message).or_default() += 1;
        }
    };
    let reloading = async {
        let mut reloads = 0;
        while !writer.is_finished() {
            let team = format!("labels = {{ team = \"{reloads}\" }}");
            let more = if reloads % 2 == 0 { source("b", "") } else { String::new() };
            tokio::task::block_in_place(|| site.reload(&[source("a", &team), more]));
            reloads += 1;
        }
        reloads
    };
    let ((), reloads) = tokio::join!(reading, reloading);
    assert!(reloads > 2, "only {reloads} reloads");
    assert_eq!(seen.len(), LINES, "after {reloads} reloads");
    assert!(seen.values().all(|times| *times == 1));
}
