//! What is wrong with a request is said by name, in the details of the rich error model.

use logtap::proto::v1;
use prost::bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{
    Logs,
    client::{self, get, refusal},
    daemon::Daemon,
};

fn served() -> (Logs, Daemon) {
    let logs = Logs::new();
    let file = logs.write("app.log", "one\ntwo\nthree\n");
    let daemon = Daemon::serve([file]);
    (logs, daemon)
}

/// INVALID_ARGUMENT for exactly this field.
#[track_caller]
fn check_invalid(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("it says which field").field_violations;
    assert_eq!(violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), [field]);
    assert!(!violations[0].description.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_is_none_is_answered_with_those_that_are() {
    let (_logs, daemon) = served();
    let status = refusal(&daemon, v1::LogRequest { level: "loud".into(), ..Default::default() }).await;
    check_invalid(&status, "level");
    for name in ["trace", "warning", "emerg"] {
        assert!(status.message().contains(name), "{}", status.message());
    }
    let small = logtap::proto::compat::LogRequest { level: "loud".into() };
    let status = client::compat(&daemon).await.get_logs(small).await.expect_err("no level");
    check_invalid(&status, "level");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_and_oversized_patterns_are_named() {
    let (_logs, daemon) = served();
    let long = "x".repeat(4097);
    let large = r"(?:\w{50}){200}".to_owned();
    for (include, exclude, field) in [
        (vec!["ok".into(), "(".into()], vec![], "include[1]"),
        (vec![], vec!["[".into()], "exclude[0]"),
        (vec![long], vec![], "include[0]"),
        (vec![large], vec![], "include[0]"),
        (vec!["x".into(); 33], vec![], "include"),
    ] {
        check_invalid(&refusal(&daemon, v1::LogRequest { include, exclude, ..Default::default() }).await, field);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn globs_without_bounds_are_named_and_harm_nobody() {
    let (_logs, daemon) = served();
    // As many as fit into a request: recursion would need more stack than there is.
    let nested = "{".repeat(2_000_000) + "a" + &"}".repeat(2_000_000);
    let stars = "*".repeat(100_000);
    for (globs, name) in [
        (vec!["*".to_owned(), nested], ""),
        (vec!["*".to_owned(), "{a,".repeat(1000) + "b" + &"}".repeat(1000)], "[1]"),
        (vec![stars], ""),
        (vec!["x".repeat(4097)], "[0]"),
        (vec!["*".to_owned(); 100_000], ""),
    ] {
        let request = v1::LogRequest { sources: globs.clone(), ..Default::default() };
        check_invalid(&refusal(&daemon, request).await, &format!("sources{name}"));
        let request = v1::LogRequest { paths: globs, ..Default::default() };
        check_invalid(&refusal(&daemon, request).await, &format!("paths{name}"));
    }
    let request = v1::LogRequest { level: "x".repeat(1 << 20), ..Default::default() };
    check_invalid(&refusal(&daemon, request).await, "level");
    assert_eq!(get(&daemon, v1::LogRequest::default()).await.entries.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_cursor_is_named() {
    let (_logs, daemon) = served();
    let cursor = get(&daemon, v1::LogRequest::default()).await.entries[0].cursor.clone();
    let mut damaged = cursor.to_vec();
    damaged[9] ^= 4;
    for wrong in [Bytes::from(damaged), Bytes::from_static(b"short"), Bytes::new()] {
        let request = v1::LogRequest { resume: vec![cursor.clone(), wrong], ..Default::default() };
        check_invalid(&refusal(&daemon, request).await, "resume[1]");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_another_log_is_named() {
    let (_logs, daemon) = served();
    let other_logs = Logs::new();
    let other = Daemon::serve([other_logs.write("other.log", "something else entirely\n".repeat(10))]);
    let cursor = get(&other, v1::LogRequest::default()).await.entries[7].cursor.clone();
    check_invalid(&refusal(&daemon, v1::LogRequest { resume: vec![cursor], ..Default::default() }).await, "resume[0]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_whose_bytes_are_gone_is_lost() {
    let logs = Logs::new();
    logs.write("app.log", "one\ntwo\nthree\n");
    let daemon = Daemon::serve([logs.path("app.log")]);
    let cursor = get(&daemon, v1::LogRequest::default()).await.entries[1].cursor.clone();
    std::fs::remove_file(logs.path("app.log")).expect("it is there");
    logs.write("app.log", "another file with more bytes than the one before\n");
    let request = v1::LogRequest { resume: vec![cursor], ..Default::default() };
    // The daemon learns of the new file by an event: until then the cursor still leads into the old one.
    let give_up = std::time::Instant::now() + crate::support::PATIENCE;
    let status = loop {
        let status = get(&daemon, request.clone()).await.status;
        if status.code() == Code::OutOfRange {
            break status;
        }
        assert!(std::time::Instant::now() < give_up, "{status:?}");
    };
    let details = status.get_error_details();
    assert_eq!(details.error_info().expect("it says why").reason, "RESUME_LOST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_matches_nothing_is_not_found() {
    let (_logs, daemon) = served();
    let request = v1::LogRequest { sources: vec!["a*".into(), "nowhere".into()], ..Default::default() };
    let status = refusal(&daemon, request).await;
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("sources[1]") && status.message().contains("nowhere"), "{}", status.message());
    let request = v1::LogRequest { sources: vec!["[".into()], ..Default::default() };
    check_invalid(&refusal(&daemon, request).await, "sources[0]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_is_none_is_unimplemented() {
    let (_logs, daemon) = served();
    let mut client = tonic::client::Grpc::new(client::connect(&daemon).await);
    for path in ["/logtap.v1.LogService/Nothing", "/LogService/ListSources", "/nothing.Service/Nothing"] {
        client.ready().await.expect("it is connected");
        let codec = tonic_prost::ProstCodec::<v1::LogRequest, v1::LogEntry>::default();
        let path = http::uri::PathAndQuery::from_static(path);
        let answer = client.unary(tonic::Request::new(v1::LogRequest::default()), path.clone(), codec).await;
        let status = answer.expect_err("there is no such method");
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert!(status.message().contains(path.as_str()), "{}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_is_served_or_refused_by_name_but_never_ignored() {
    let (_logs, daemon) = served();
    let two = get(&daemon, v1::LogRequest { limit: 2, ..Default::default() }).await;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let middle = || v1::LogRequest { include: vec!["two".into()], ..Default::default() };
    let far_future = 4_000_000_000;
    for (field, with, without) in [
        ("since", v1::LogRequest { since: at(far_future), ..Default::default() }, v1::LogRequest::default()),
        ("until", v1::LogRequest { until: at(1), ..Default::default() }, v1::LogRequest::default()),
        ("end", v1::LogRequest { end: two.entries[1].cursor.clone(), ..Default::default() }, v1::LogRequest::default()),
        ("context_before", v1::LogRequest { context_before: 1, ..middle() }, middle()),
        ("context_after", v1::LogRequest { context_after: 1, ..middle() }, middle()),
    ] {
        let (with, without) = (get(&daemon, with).await, get(&daemon, without).await);
        match with.status.code() {
            Code::Ok => assert_ne!(with.messages(), without.messages(), "{field} was ignored"),
            Code::Unimplemented => assert!(with.status.message().contains(field), "{field}: {:?}", with.status),
            _ => panic!("{field}: {:?}", with.status),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_too_large_are_refused() {
    let (_logs, daemon) = served();
    let request = v1::LogRequest { level: "x".repeat(5 << 20), ..Default::default() };
    let status = refusal(&daemon, request).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let status =
        refusal(&daemon, v1::LogRequest { resume: vec![Bytes::from_static(b"x"); 4097], ..Default::default() });
    check_invalid(&status.await, "resume");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_over_http1_is_refused() {
    let (_logs, daemon) = served();
    let answer = daemon.get("/logtap.v1.LogService/GetLogs");
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}
