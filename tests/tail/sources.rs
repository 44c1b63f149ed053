//! `logtap sources`.

use logtap::proto::v1::{File, ListSourcesResponse, Source, WatchMode};

use crate::{command::run_logtap, fake::Fake};

#[test]
fn all_pages_make_one_table() {
    let file = |path: &str, size_bytes| File {
        path: path.into(),
        size_bytes,
        modify_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        watch_mode: WatchMode::Events as i32,
        format: "clf".into(),
        ..File::default()
    };
    let page = |source: &str, files, next: &str| ListSourcesResponse {
        sources: vec![Source { name: source.into(), files, ..Source::default() }],
        next_page_token: next.into(),
    };
    let fake = Fake::start();
    fake.plan(|plan| {
        plan.pages = vec![
            page("nginx", vec![file("/var/log/nginx/a.log", 1)], "1"),
            page("nginx", vec![file("/var/log/nginx/b.log", 5 << 20)], "2"),
            page("syslog", vec![], ""),
        ];
    });
    let ended = run_logtap(&format!("sources {}", fake.host()));
    let expected = "\
SOURCE  FILE                     SIZE  MODIFIED             WATCHED  FORMAT  NOTE
nginx   /var/log/nginx/a.log      1 B  2023-11-14 22:13:20  events   clf
nginx   /var/log/nginx/b.log  5.0 MiB  2023-11-14 22:13:20  events   clf
syslog                              -  -                    -        -       no file matches
";
    assert_eq!(String::from_utf8_lossy(&ended.stdout), expected);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_refusal_is_said() {
    let fake = Fake::start();
    fake.plan(|plan| plan.refuse = Some((16, "no token".to_owned())));
    let ended = run_logtap(&format!("sources {}", fake.host()));
    assert_eq!(ended.code, Some(5));
    assert!(ended.stderr.contains("no token"), "{}", ended.stderr);
}
