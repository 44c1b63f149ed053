//! From the protocol's request to what a subscription understands, with every field served or refused by name.

use tonic::Status;

use super::status;
use crate::{
    entry::{encode::Shape, stream_cursor::Cursor},
    feed::open::{Request, Selection},
    filter::{Filter, Spec},
    limits::{BATCH_BYTES_DEFAULT, BATCH_BYTES_MAX, RESUME_COUNT_MAX},
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
        tail: None,
        resume: Vec::new(),
        limit: None,
        gaps_in_band: false,
    })
}

/// The request of `logtap.v1`.
///
/// # Errors
/// INVALID_ARGUMENT naming the field that is wrong, UNIMPLEMENTED naming one that is not served.
pub fn of_v1(rpc: Rpc, request: v1::LogRequest, allowed: Option<&[String]>) -> Result<Request, Status> {
    refuse_what_is_not_served(&request)?;
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
    let decode = |(index, bytes): (usize, &prost::bytes::Bytes)| {
        Cursor::decode(bytes).map_err(|error| status::of_cursor(index, &error))
    };
    Ok(Request {
        selection: selection.map_err(|error| status::of_selection(&error))?,
        filter: filter.map_err(|error| status::of_filter(&error))?,
        shape: Shape::V1 { fields: request.with_fields },
        follow: rpc == Rpc::StreamLogs,
        tail: request.tail,
        resume: request.resume.iter().enumerate().map(decode).collect::<Result<_, _>>()?,
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

/// Better no answer than one to another question.
fn refuse_what_is_not_served(request: &v1::LogRequest) -> Result<(), Status> {
    let asked = [
        ("since", request.since.is_some()),
        ("until", request.until.is_some()),
        ("context_before", request.context_before > 0),
        ("context_after", request.context_after > 0),
        ("end", !request.end.is_empty()),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(status::not_served(field)),
        None => Ok(()),
    }
}
