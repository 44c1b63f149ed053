//! Any bytes as the message of a call, read as the daemon does: refused as the caller's mistake, in few words and with the
//! field's name, or checked and within all bounds; and nobody selects a source that he may not read.
//!
//! The first byte says which rpc is called, the rest is its message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use logtap::{
    feed::open::{Request, Selection},
    limits::{BATCH_BYTES_MAX, CONTEXT_ENTRIES_MAX, REQUEST_BYTES_MAX, RESUME_COUNT_MAX},
    proto::{compat, v1},
    server::grpc::request::{self, Rpc},
};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Bytes of a refusal: some of it may be quoted from the request.
const REFUSAL_BYTES_MAX: usize = 2 << 10;

/// The fields that a refusal may name, with or without an index.
const FIELDS: [&str; 12] = [
    "level",
    "sources",
    "paths",
    "since",
    "until",
    "resume",
    "include",
    "exclude",
    "context_before",
    "context_after",
    "end",
    "max_bytes",
];

fuzz_target!(|input: &[u8]| {
    let Some((&rpc, message)) = input.split_first() else { return };
    if message.len() > REQUEST_BYTES_MAX {
        return;
    }
    let allowed = ["app-*".to_owned(), "[ns]ginx".to_owned()];
    let allowed = (rpc & 8 == 0).then_some(&allowed[..]);
    let follow = if rpc & 4 == 0 { Rpc::GetLogs } else { Rpc::StreamLogs };
    match rpc & 3 {
        0 => check(message, |request: compat::LogRequest| request::of_compat(follow, request, allowed)),
        1 => check(message, |request: v1::LogRequest| request::of_v1(follow, request, allowed)),
        2 => check(message, |request: v1::StreamBatchesRequest| {
            let (request, bytes_max) = request::of_batches(request, allowed)?;
            assert!((1..=BATCH_BYTES_MAX).contains(&bytes_max) && request.gaps_in_band);
            Ok(request)
        }),
        _ => {
            if let Ok(request) = v1::ListSourcesRequest::decode(message) {
                let _ = Selection::new(&request.sources, &[], allowed).map_err(|error| assert!(!error.why.is_empty()));
            }
        }
    }
});

fn check<M: Message + Default + Clone + PartialEq>(message: &[u8], read: impl Fn(M) -> Result<Request, Status>) {
    let Ok(message) = M::decode(message) else { return };
    let again = M::decode(&message.encode_to_vec()[..]).expect("it was written here");
    match (read(message), read(again)) {
        (Ok(request), Ok(again)) => {
            assert_eq!(request.selection.hash(), again.selection.hash());
            assert_eq!(request.filter.key(), again.filter.key());
            assert_eq!((&request.resume, &request.end), (&again.resume, &again.end));
            check_bounds(&request);
        }
        (Err(status), Err(again)) => {
            assert_eq!(status.message(), again.message());
            check_refusal(&status);
        }
        (first, again) => panic!("{first:?} and then {again:?}"),
    }
}

fn check_bounds(request: &Request) {
    assert!(request.resume.len() <= RESUME_COUNT_MAX);
    assert!(request.around.before <= CONTEXT_ENTRIES_MAX && request.around.after <= CONTEXT_ENTRIES_MAX);
    assert_ne!(request.limit, Some(0));
    if let (Some(since), Some(until)) = (request.span.since, request.span.until) {
        assert!(since < until);
    }
    for source in ["app-1", "nginx", "secret", ""] {
        assert!(!request.selection.selects_source(source) || request.selection.allows(source));
    }
}

fn check_refusal(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().len() <= REFUSAL_BYTES_MAX, "{} bytes", status.message().len());
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("it says which field").field_violations;
    let [violation] = &violations[..] else { panic!("{violations:?}") };
    let name = violation.field.split('[').next().unwrap_or_default();
    assert!(FIELDS.contains(&name), "{name}");
    assert!(!violation.description.is_empty());
}
