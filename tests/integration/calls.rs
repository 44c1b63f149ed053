//! Both services, what a request selects, and what an answer tells besides its entries.

use logtap::proto::{compat, v1};
use tonic::{Code, Request};

use crate::support::{
    Logs,
    client::{self, Live, check_trailers, get, messages, read_all, with_timeout},
    daemon::Daemon,
};

const MIXED: &str = "2026-11-24T00:00:00Z INFO one\n2026-11-24T00:00:01Z ERROR two\nthree\n\
                     2026-11-24T00:00:03Z WARN four\n2026-11-24T00:00:04Z ERROR five\n";

fn mixed() -> (Logs, Daemon) {
    let logs = Logs::new();
    let file = logs.write("app.log", MIXED);
    let daemon = Daemon::serve([file]);
    (logs, daemon)
}

/// The last word of each message.
fn words(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| message.rsplit(' ').next().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_services_send_the_same_lines() {
    let (_logs, daemon) = mixed();
    let small = read_all(client::compat(&daemon).await.get_logs(compat::LogRequest::default())).await;
    let full = get(&daemon, v1::LogRequest::default()).await;
    let lines: Vec<&str> = MIXED.lines().collect();
    assert_eq!(full.messages(), lines);
    assert_eq!(small.entries.iter().map(|entry| entry.message.as_str()).collect::<Vec<_>>(), lines);
    let times = |seconds: i64| (1_795_478_400 + seconds) * 1_000_000_000;
    // The third line has no time and gets that of the one before.
    assert_eq!(full.entries.iter().map(|entry| entry.timestamp).collect::<Vec<_>>(), [0, 1, 1, 3, 4].map(times));
    assert_eq!(small.entries.iter().map(|entry| entry.timestamp).collect::<Vec<_>>(), [0, 1, 1, 3, 4].map(times));
    assert_eq!(full.entries.iter().map(|entry| entry.flags).collect::<Vec<_>>(), [0, 0, 8, 0, 0]);
    check_trailers(&small.trailers, &lines);
    full.check_trailers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_tells_where_it_is_from() {
    let (logs, daemon) = mixed();
    let answer = get(&daemon, v1::LogRequest { level: "error".into(), ..Default::default() }).await;
    let entry = &answer.entries[0];
    assert_eq!((entry.source.as_str(), entry.path.as_str()), ("app", logs.path("app.log").to_str().expect("text")));
    assert_eq!((entry.severity(), entry.cursor.len()), (v1::Severity::Error, 32));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn level_and_patterns_select() {
    let (_logs, daemon) = mixed();
    let request = |level: &str, include: &[&str], exclude: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        v1::LogRequest { level: level.into(), include: owned(include), exclude: owned(exclude), ..Default::default() }
    };
    for (request, expected) in [
        (request("ERROR", &[], &[]), vec!["two", "five"]),
        (request("4", &[], &[]), vec!["two", "four", "five"]),
        (request("warn..warning", &[], &[]), vec!["four"]),
        (request("", &["t", "o$"], &[]), vec!["two"]),
        (request("", &[], &["e$"]), vec!["two", "four"]),
        (request("info", &["f"], &["five"]), vec!["four"]),
        (request("emerg", &[], &[]), vec![]),
    ] {
        let answer = get(&daemon, request.clone()).await;
        assert_eq!(words(&answer.messages()), expected, "{request:?}");
        answer.check_trailers();
    }
    let small = compat::LogRequest { level: "error".into() };
    let small = read_all(client::compat(&daemon).await.get_logs(small)).await;
    assert_eq!(small.entries.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_takes_the_last_matches_and_limit_the_first() {
    let (_logs, daemon) = mixed();
    let request = |tail: Option<u64>, limit: u64, level: &str| v1::LogRequest {
        tail,
        limit,
        level: level.into(),
        ..Default::default()
    };
    for (request, expected) in [
        (request(Some(2), 0, ""), vec!["four", "five"]),
        (request(Some(2), 0, "error"), vec!["two", "five"]),
        (request(Some(2), 1, "error"), vec!["two"]),
        (request(Some(0), 0, ""), vec![]),
        (request(Some(99), 0, "warn"), vec!["two", "four", "five"]),
        (request(Some(u64::MAX), 3, ""), vec!["one", "two", "three"]),
        (request(None, 2, ""), vec!["one", "two"]),
    ] {
        assert_eq!(words(&messages(&daemon, request.clone()).await), expected, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_and_paths_select_files() {
    let logs = Logs::new();
    for directory in ["web", "db"] {
        logs.make_dir(directory);
        for name in ["a.log", "b.log"] {
            logs.write(&format!("{directory}/{name}"), format!("{directory} {name}\n"));
        }
    }
    let daemon = Daemon::serve([logs.path("web/*.log"), logs.path("db/*.log")]);
    let request = |sources: &[&str], paths: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        v1::LogRequest { sources: owned(sources), paths: owned(paths), ..Default::default() }
    };
    for (request, expected) in [
        (request(&[], &[]), vec!["db a.log", "db b.log", "web a.log", "web b.log"]),
        (request(&["web"], &[]), vec!["web a.log", "web b.log"]),
        (request(&["w*", "db"], &["a.*"]), vec!["db a.log", "web a.log"]),
        (request(&["?b"], &["b.log"]), vec!["db b.log"]),
        (request(&[], &["**/web/b*"]), vec!["web b.log"]),
        (request(&[], &["c.log"]), vec![]),
    ] {
        // Their times are those of the files, which may have been written within one tick of the clock or not.
        let mut selected = messages(&daemon, request.clone()).await;
        selected.sort();
        assert_eq!(selected, expected, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_resumes_exactly_behind_its_entry() {
    let (_logs, daemon) = mixed();
    let all = get(&daemon, v1::LogRequest::default()).await;
    for (index, entry) in all.entries.iter().enumerate() {
        let request = v1::LogRequest { resume: vec![entry.cursor.clone()], tail: Some(1), ..Default::default() };
        let rest = get(&daemon, request).await;
        assert_eq!(rest.entries, all.entries[index + 1..], "tail does not count beside a cursor");
    }
    let end = all.trailers.get_bin("logtap-cursor-bin").expect("a cursor").to_bytes().expect("base64");
    let rest = get(&daemon, v1::LogRequest { resume: vec![end], ..Default::default() }).await;
    assert_eq!(rest.messages(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_select_and_are_sent_when_asked_for() {
    let logs = Logs::new();
    logs.write("app.log", "a=1 ok\na=2 ok\nnothing\n");
    let pattern = r"pattern = '^a=(?P<a>\d) (?P<message>.*)'";
    let (directory, labels) = (logs.path("app.log"), "labels = { team = \"blue\" }");
    let source =
        format!("[[source]]\nname = \"app\"\npaths = [{directory:?}]\nformat = \"regex\"\n{pattern}\n{labels}\n");
    let config = logs.write("logtap.toml", source);
    let daemon = Daemon::serve(["-c".as_ref(), config.as_os_str()]);
    let wanted = |pairs: &[(&str, &str)]| v1::LogRequest {
        r#where: pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        with_fields: true,
        ..Default::default()
    };
    let answer = get(&daemon, wanted(&[("a", "2"), ("team", "blue")])).await;
    assert_eq!(answer.messages(), ["a=2 ok"]);
    assert_eq!(answer.entries[0].fields.get("team").map(String::as_str), Some("blue"));
    assert_eq!(answer.entries[0].fields.get("a").map(String::as_str), Some("2"));
    assert_eq!(messages(&daemon, wanted(&[("team", "blue")])).await.len(), 3);
    assert_eq!(messages(&daemon, wanted(&[("absent", "")])).await.len(), 0);
    let plain = get(&daemon, v1::LogRequest::default()).await;
    assert!(plain.entries.iter().all(|entry| entry.fields.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_come_before_anything_else() {
    let (logs, daemon) = mixed();
    let mut client = client::v1(&daemon).await;
    let mut request = Request::new(v1::LogRequest::default());
    request.metadata_mut().insert("x-request-id", "a.B_c-9".parse().expect("a header"));
    // Nothing is written; still the call is answered.
    let mut live = Live::open_on(&mut client, request).await;
    let header = |name: &str| live.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!(header("x-request-id").as_deref(), Some("a.B_c-9"));
    assert_eq!(header("logtap-version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(header("logtap-sources").as_deref(), Some("1"));
    assert_eq!(header("logtap-files").as_deref(), Some("1"));
    assert_eq!(header("logtap-bytes").as_deref(), Some("0"));
    logs.append("app.log", "six\n");
    assert_eq!(live.take(1).await, ["six"]);

    let all = get(&daemon, v1::LogRequest::default()).await;
    let bytes = all.headers.get("logtap-bytes").expect("it is told").to_str().expect("a number");
    assert_eq!(bytes, (MIXED.len() + 4).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_a_stream_with_trailers() {
    let (_logs, daemon) = mixed();
    let mut client = client::v1(&daemon).await;
    let request = v1::LogRequest { tail: Some(2), ..Default::default() };
    let answer = read_all(client.stream_logs(with_timeout(request, "400m"))).await;
    assert_eq!(answer.status.code(), Code::DeadlineExceeded);
    assert_eq!(answer.entries.len(), 2);
    answer.check_trailers();
    assert!(answer.trailers.get_bin("logtap-cursor-bin").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_listed_with_their_files() {
    let (logs, daemon) = mixed();
    let answer = client::v1(&daemon).await.list_sources(v1::ListSourcesRequest::default()).await;
    let sources = answer.expect("it is served").into_inner().sources;
    assert_eq!(sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["app"]);
    let file = &sources[0].files[0];
    assert_eq!(
        (file.path.as_str(), file.size_bytes),
        (logs.path("app.log").to_str().expect("text"), MIXED.len() as u64)
    );
    assert_eq!((file.watch_mode(), file.last_error.as_str()), (v1::WatchMode::Events, ""));
}

mod introspection {
    use tonic::codegen::tokio_stream;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    use tonic_reflection::pb::{v1, v1alpha};

    use super::*;

    const SERVICES: [&str; 3] = ["LogService", "grpc.health.v1.Health", "logtap.v1.LogService"];

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn health_is_told_for_the_daemon_and_each_service() {
        let (_logs, daemon) = mixed();
        let mut client = HealthClient::new(client::connect(&daemon).await);
        for service in ["", "LogService", "logtap.v1.LogService"] {
            let answer = client.check(HealthCheckRequest { service: service.into() }).await.expect("it is known");
            assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service}");
        }
        let unknown = client.check(HealthCheckRequest { service: "nothing".into() }).await;
        assert_eq!(unknown.expect_err("it is unknown").code(), Code::NotFound);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_versions_of_reflection_list_both_services() {
        let (_logs, daemon) = mixed();
        let channel = client::connect(&daemon).await;
        {
            use v1::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let ask = ServerReflectionRequest {
                message_request: Some(MessageRequest::ListServices(String::new())),
                ..Default::default()
            };
            let mut client = ServerReflectionClient::new(channel.clone());
            let answer = client.server_reflection_info(tokio_stream::once(ask)).await.expect("it is served");
            let answer = answer.into_inner().message().await.expect("an answer").expect("an answer");
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("no list") };
            let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
            assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");
        }
        {
            use v1alpha::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let ask = ServerReflectionRequest {
                message_request: Some(MessageRequest::ListServices(String::new())),
                ..Default::default()
            };
            let mut client = ServerReflectionClient::new(channel);
            let answer = client.server_reflection_info(tokio_stream::once(ask)).await.expect("it is served");
            let answer = answer.into_inner().message().await.expect("an answer").expect("an answer");
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("no list") };
            let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
            assert!(SERVICES.iter().all(|service| names.contains(service)), "{names:?}");
        }
    }
}
