//! The one place where what went wrong becomes a gRPC status, with the details of the rich error model.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    entry::cursor::CursorError,
    feed::open::{OpenError, SelectionError},
    filter::FilterError,
    limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, REQUEST_BYTES_MAX, SCANS_MAX, STATUS_TEXT_BYTES_MAX},
    server::{auth::Unauthenticated, net::NoPlace, streams::Full},
};

/// The domain of `ErrorInfo`.
const DOMAIN: &str = "logtap";
/// The reason of a request that is too large.
const TOO_LARGE: &str = "REQUEST_TOO_LARGE";
/// How long a client that found no place should wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// INVALID_ARGUMENT that names the field.
pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Status {
    let (field, why) = (shortened(field.into()), shortened(why.into()));
    let message = format!("{field}: {why}");
    Status::with_error_details(Code::InvalidArgument, message, ErrorDetails::with_bad_request_violation(field, why))
}

/// A filter that does not compile.
pub fn of_filter(error: &FilterError) -> Status {
    let (field, text) = (error.field(), error.to_string());
    let why = text.strip_prefix(field).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
    invalid(field, why)
}

/// A selection that is no glob.
pub fn of_selection(error: &SelectionError) -> Status {
    invalid(&error.field, &error.why)
}

/// A cursor that cannot have been made here.
pub fn of_cursor(index: usize, error: &CursorError) -> Status {
    invalid(format!("resume[{index}]"), error.to_string())
}

/// A subscription that cannot be opened.
pub fn of_open(error: &OpenError, sources: &[String]) -> Status {
    match error {
        OpenError::NoSuchSource(index) => {
            let name = sources.get(*index).map_or("", String::as_str);
            let message = shortened(format!("sources[{index}]: no source is called {name:?}"));
            let info = ErrorDetails::with_error_info("SOURCE_NOT_FOUND", DOMAIN, HashMap::new());
            Status::with_error_details(Code::NotFound, message, info)
        }
        OpenError::Busy => {
            exhausted(format!("{SCANS_MAX} requests are looking for their place in files, and none came to an end"))
        }
        OpenError::Foreign(index) => {
            invalid(format!("resume[{index}]"), "the cursor belongs to a log that is not known here")
        }
        OpenError::ResumeLost(index) => {
            let field = format!("resume[{index}]");
            let message = format!("{field}: the bytes that the cursor points behind are gone");
            let metadata = HashMap::from([("field".to_owned(), field)]);
            let info = ErrorDetails::with_error_info("RESUME_LOST", DOMAIN, metadata);
            Status::with_error_details(Code::OutOfRange, message, info)
        }
        OpenError::ForeignEnd => invalid("end", "the cursor belongs to a log that is not known here"),
        OpenError::EndLost => {
            let info = ErrorDetails::with_error_info(
                "RESUME_LOST",
                DOMAIN,
                HashMap::from([("field".to_owned(), "end".to_owned())]),
            );
            Status::with_error_details(Code::OutOfRange, "end: the bytes that the cursor points behind are gone", info)
        }
        OpenError::Internal(why) => Status::internal(why.clone()),
    }
}

/// A credential that is missing or not accepted.
pub fn of_unauthenticated(why: Unauthenticated) -> Status {
    Status::unauthenticated(why.to_string())
}

/// A credential that was accepted when the stream began and is not any more.
pub fn withdrawn() -> Status {
    Status::unauthenticated("the credential has been withdrawn")
}

/// No place for another stream.
pub fn of_full(full: Full) -> Status {
    exhausted(full.to_string())
}

/// No place for another connection.
pub fn of_no_place(no_place: NoPlace) -> Status {
    exhausted(match no_place {
        NoPlace::Anywhere => format!("{CONNECTIONS_MAX} connections are open, which is as many as are served"),
        NoPlace::ForAddress => {
            format!("{CONNECTIONS_PER_ADDRESS_MAX} connections from your address are open, as many as one may have")
        }
    })
}

/// A request of more bytes than one may have. Like all limits it says when to come back, but with a smaller one.
pub fn too_large() -> Status {
    let mut details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    details.set_error_info(TOO_LARGE, DOMAIN, HashMap::new());
    let message = format!("the request is larger than {REQUEST_BYTES_MAX} bytes");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Whether a status is that of [`too_large`].
pub fn is_too_large(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == TOO_LARGE)
}

/// A text that may quote the request, no longer than clients take a header for: twice it is in there, once as details.
fn shortened(mut text: String) -> String {
    if text.len() > STATUS_TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(STATUS_TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

/// RESOURCE_EXHAUSTED for what may be had later.
fn exhausted(message: String) -> Status {
    let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_quotes_a_request_is_no_longer_than_clients_take_headers_for() {
        let long = "é".repeat(1 << 20);
        let refused = invalid("level", format!("no severity is called {long:?}"));
        let unknown = of_open(&OpenError::NoSuchSource(0), std::slice::from_ref(&long));
        for status in [refused, unknown] {
            assert!(status.message().ends_with('…'), "{}", status.message().len());
            let mut headers = http::HeaderMap::new();
            status.add_header(&mut headers).expect("a header");
            let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            assert!(bytes < 8192, "{bytes} bytes of headers");
        }
    }
}
