//! Asks a host for its sources.

use std::fmt;

use tonic::{Code, Request, Status};

use super::{
    connect::{ConnectError, connect, window},
    target::Target,
};
use crate::{
    limits::ANSWER_MAX,
    proto::v1::{ListSourcesRequest, Source, log_service_client::LogServiceClient},
};

/// Why the sources are not known.
#[derive(Debug)]
pub enum ListError {
    /// The host cannot be reached.
    Connect(ConnectError),
    /// It does not take the client's certificate, or its lack.
    Forbidden(String),
    /// It refused, or broke off.
    Refused(Box<Status>),
}

impl ListError {
    /// Whether the host gave no answer at all.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Connect(error) => error.may_pass(),
            Self::Forbidden(_) => false,
            Self::Refused(status) => status.code() == Code::Unavailable,
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Forbidden(why) => write!(f, "not allowed: {why}"),
            Self::Refused(status) => f.write_str(status.message()),
        }
    }
}

impl std::error::Error for ListError {}

/// The sources of `target` that `names` (globs; empty: all) select, all pages put together.
///
/// # Errors
/// The host gives no answer within [`ANSWER_MAX`], or another one.
pub async fn list_sources(target: &Target, names: &[String]) -> Result<Vec<Source>, ListError> {
    let link = connect(target, window(1)).await.map_err(|error| match error.is_objection() {
        true => ListError::Forbidden(error.to_string()),
        false => ListError::Connect(error),
    })?;
    let mut client = LogServiceClient::new(link.channel.clone());
    let mut sources: Vec<Source> = Vec::new();
    let mut page_token = String::new();
    loop {
        let mut request = Request::new(ListSourcesRequest { sources: names.to_vec(), page_size: 0, page_token });
        if let Some(authorization) = &link.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let call = link.unless_over(client.list_sources(request));
        let answer = tokio::time::timeout(ANSWER_MAX, call).await;
        let page = answer
            .map_err(|_| ListError::Connect(ConnectError::TimedOut))?
            .map_err(|status| match link.objection() {
                Some(why) => ListError::Forbidden(format!("TLS: {why}")),
                None => ListError::Refused(Box::new(status)),
            })?
            .into_inner();
        for source in page.sources {
            match sources.last_mut().filter(|last| last.name == source.name) {
                Some(last) => last.files.extend(source.files),
                None => sources.push(source),
            }
        }
        if page.next_page_token.is_empty() {
            return Ok(sources);
        }
        page_token = page.next_page_token;
    }
}
