//! From the protocol's request to what a subscription understands, with every field served or refused by name.

use tonic::Status;

use super::status;
use crate::{
    entry::{Nanos, encode::Shape, stream_cursor::Cursor},
    feed::{
        around::Around,
        open::{Request, Selection},
        seek::Span,
    },
    filter::{Filter, Spec},
    limits::{BATCH_BYTES_DEFAULT, BATCH_BYTES_MAX, CONTEXT_ENTRIES_MAX, RESUME_COUNT_MAX},
    proto::{compat, v1},
};

/// Which rpc asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// What is there, then the end.
    GetLogs,
    /// What is written from now on.
    StreamLogs,
}

/// The request of the service without a package.
///
/// # Errors
/// INVALID_ARGUMENT for a level that is none.
pub fn of_compat(rpc: Rpc, request: compat::LogRequest, allowed: Option<&[String]>) -> Result<Request, Status> {
    let filter = Filter::new(&Spec { level: request.level, ..Spec::default() });
    Ok(Request {
        selection: Selection::new(&[], &[], allowed).map_err(|error| status::of_selection(&error))?,
        filter: filter.map_err(|error| status::of_filter(&error))?,
        shape: Shape::Compat,
        follow: rpc == Rpc::StreamLogs,
        span: Span::ALL,
        tail: None,
        end: None,
        resume: Vec::new(),
        around: Around::NONE,
        limit: None,
        gaps_in_band: false,
    })
}

/// The request of `logtap.v1`.
///
/// # Errors
/// INVALID_ARGUMENT naming the field that is wrong, UNIMPLEMENTED naming one that is not served.
pub fn of_v1(rpc: Rpc, request: v1::LogRequest, allowed: Option<&[String]>) -> Result<Request, Status> {
    let (span, around) = (span_of(&request)?, around_of(&request)?);
    let selection = Selection::new(&request.sources, &request.paths, allowed);
    let filter = Filter::new(&Spec {
        level: request.level,
        include: request.include,
        exclude: request.exclude,
        fields: request.r#where.into_iter().collect(),
    });
    let count = request.resume.len();
    if count > RESUME_COUNT_MAX {
        return Err(status::invalid("resume", format!("{count} cursors are more than the {RESUME_COUNT_MAX} allowed")));
    }
    let end = match &request.end[..] {
        [] => None,
        bytes => Some(Cursor::decode(bytes).map_err(|error| status::invalid("end", error.to_string()))?),
    };
    let decode = |(index, bytes): (usize, &prost::bytes::Bytes)| {
        Cursor::decode(bytes).map_err(|error| status::of_cursor(index, &error))
    };
    Ok(Request {
        selection: selection.map_err(|error| status::of_selection(&error))?,
        filter: filter.map_err(|error| status::of_filter(&error))?,
        shape: Shape::V1 { fields: request.with_fields },
        follow: rpc == Rpc::StreamLogs,
        span,
        tail: request.tail,
        end,
        resume: request.resume.iter().enumerate().map(decode).collect::<Result<_, _>>()?,
        around,
        limit: Some(request.limit).filter(|limit| *limit > 0),
        gaps_in_band: false,
    })
}

/// The request of `StreamBatches`, and how many bytes of entries a message may have.
///
/// # Errors
/// As [`of_v1`].
pub fn of_batches(request: v1::StreamBatchesRequest, allowed: Option<&[String]>) -> Result<(Request, usize), Status> {
    let bytes_max = match request.max_bytes as usize {
        0 => BATCH_BYTES_DEFAULT,
        bytes if bytes > BATCH_BYTES_MAX => {
            let why = format!("{bytes} bytes are more than the {BATCH_BYTES_MAX} allowed");
            return Err(status::invalid("max_bytes", why));
        }
        bytes => bytes,
    };
    let rpc = if request.no_follow { Rpc::GetLogs } else { Rpc::StreamLogs };
    let selection = request.request.unwrap_or_default();
    let fields = selection.with_fields;
    let request = of_v1(rpc, selection, allowed)?;
    Ok((Request { shape: Shape::Batch { fields }, gaps_in_band: true, ..request }, bytes_max))
}

/// The times that a request is about.
fn span_of(request: &v1::LogRequest) -> Result<Span, Status> {
    let time = |field: &str, time: &Option<prost_types::Timestamp>| time.map(|time| nanos_of(field, time)).transpose();
    let span = Span { since: time("since", &request.since)?, until: time("until", &request.until)? };
    match span {
        Span { since: Some(since), until: Some(until) } if since >= until => {
            Err(status::invalid("since", "is not before until"))
        }
        span => Ok(span),
    }
}

/// A time in nanoseconds; one that no entry can carry becomes the nearest that does.
fn nanos_of(field: &str, time: prost_types::Timestamp) -> Result<Nanos, Status> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let nanos = nanos.ok_or_else(|| status::invalid(field, format!("{} is no count of nanoseconds", time.nanos)))?;
    Ok(Nanos(time.seconds.saturating_mul(1_000_000_000).saturating_add(nanos.into())))
}

/// How much of what stands around matches is asked for.
fn around_of(request: &v1::LogRequest) -> Result<Around, Status> {
    let count = |field: &str, count: u32| {
        let why = || format!("{count} entries are more than the {CONTEXT_ENTRIES_MAX} allowed");
        if count > CONTEXT_ENTRIES_MAX { Err(status::invalid(field, why())) } else { Ok(count) }
    };
    let (before, after) = (request.context_before, request.context_after);
    Ok(Around { before: count("context_before", before)?, after: count("context_after", after)? })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn span(since: Option<(i64, i32)>, until: Option<(i64, i32)>) -> Result<Span, Status> {
        let time = |(seconds, nanos)| prost_types::Timestamp { seconds, nanos };
        let request = v1::LogRequest { since: since.map(time), until: until.map(time), ..v1::LogRequest::default() };
        of_v1(Rpc::GetLogs, request, None).map(|request| request.span)
    }

    #[test]
    fn times_are_read_and_have_to_be_in_order() {
        assert_eq!(span(None, None).expect("nothing asked"), Span::ALL);
        let both = span(Some((1, 5)), Some((2, 0))).expect("in order");
        assert_eq!(both, Span { since: Some(Nanos(1_000_000_005)), until: Some(Nanos(2_000_000_000)) });
        let latest = span(Some((i64::MAX, 999_999_999)), None).expect("beyond every entry");
        assert_eq!(latest.since, Some(Nanos(i64::MAX)));
        for (since, until) in [((2, 0), (2, 0)), ((3, 0), (2, 0)), ((0, -1), (2, 0)), ((0, 1_000_000_000), (2, 0))] {
            let refused = span(Some(since), Some(until)).expect_err("refused");
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().starts_with("since: "), "{}", refused.message());
        }
        let refused = span(None, Some((0, -1))).expect_err("refused");
        assert!(refused.message().starts_with("until: "), "{}", refused.message());
    }

    #[test]
    fn context_is_bounded() {
        let of = |before, after| {
            let request = v1::LogRequest { context_before: before, context_after: after, ..v1::LogRequest::default() };
            of_v1(Rpc::StreamLogs, request, None).map(|request| request.around)
        };
        let most = Around { before: CONTEXT_ENTRIES_MAX, after: CONTEXT_ENTRIES_MAX };
        assert_eq!(of(CONTEXT_ENTRIES_MAX, CONTEXT_ENTRIES_MAX).expect("allowed"), most);
        for (before, after, field) in
            [(CONTEXT_ENTRIES_MAX + 1, 0, "context_before: "), (0, u32::MAX, "context_after: ")]
        {
            let refused = of(before, after).expect_err("refused");
            assert_eq!((refused.code(), refused.message().starts_with(field)), (Code::InvalidArgument, true));
        }
    }
}
