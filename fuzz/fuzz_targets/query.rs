//! Any text as the query of a URL, and any bytes as the body of a POST: refused with a status of the 400s, or a request
//! that the same parameters in the other form make as well.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logtap::{
    limits::POLL_WAIT_MAX,
    server::{
        grpc::request::{self, Rpc},
        http::{
            error::Refused,
            parameters::{self, Parameters},
        },
    },
};
use serde_json::{Map, Value};

/// Those that may come more than once.
const REPEATED: [&str; 7] = ["sources", "paths", "include", "exclude", "cursor", "resume", "where"];

fuzz_target!(|input: &[u8]| {
    if let Ok(query) = str::from_utf8(input) {
        match Parameters::of_query(query) {
            Ok(read) => {
                let body = serde_json::to_vec(&body_of(query)).expect("strings");
                let other = Parameters::of_json(&body).expect("the same parameters");
                assert_eq!(comparable(read.clone()), comparable(other));
                check(read);
            }
            Err(refused) => check_refusal(&refused),
        }
        match parameters::sources_of_query(query) {
            Ok(read) => assert!(read.sources.len() <= query.split('&').count()),
            Err(refused) => check_refusal(&refused),
        }
    }
    match Parameters::of_json(input) {
        Ok(read) => check(read),
        Err(refused) => check_refusal(&refused),
    }
});

/// The parameters of a query as a JSON object.
fn body_of(query: &str) -> Value {
    let mut body = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        match (REPEATED.contains(&name.as_str()), body.get_mut(&name)) {
            (true, Some(Value::Array(values))) => values.push(value.into()),
            (true, _) => drop(body.insert(name, vec![value].into())),
            (false, _) => drop(body.insert(name, value.into())),
        }
    }
    body.into()
}

/// A part of a query whose `+` are spaces and whose `%` stand before two digits.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (bytes[at], digits.map(|digits| u8::from_str_radix(digits, 16).expect("two digits"))) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).expect("the daemon has found that it is text")
}

/// Without what depends on the order of the members of an object, and on the clock.
fn comparable(mut read: Parameters) -> (Parameters, [bool; 2]) {
    read.request.resume.sort();
    let request = &mut read.request;
    let times = [request.since.take().is_some(), request.until.take().is_some()];
    (read, times)
}

fn check(read: Parameters) {
    assert!(read.wait.is_none_or(|wait| wait <= POLL_WAIT_MAX));
    if let Err(status) = request::of_v1(Rpc::GetLogs, read.request, None) {
        check_refusal(&status.into());
    }
}

fn check_refusal(refused: &Refused) {
    assert!(refused.code().is_client_error(), "{refused:?}");
    assert!(!refused.message().is_empty() && refused.message().len() < 4096);
    assert_eq!(refused.to_json()["error"]["message"], refused.message());
}
