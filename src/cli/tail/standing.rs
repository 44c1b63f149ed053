//! What a host has come to, and what that means for the end of the command.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::exit::Exit;

/// What a host has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not answered yet.
    Waiting,
    /// It has not answered in time, and is tried on.
    Absent,
    /// It answers.
    Reading,
    /// It was lost, and is tried again.
    Lost,
    /// It ended.
    Ended(Exit),
}

impl Standing {
    /// Whether it has failed to answer in time, and never did since.
    pub const fn never_answered(self) -> bool {
        matches!(self, Self::Absent | Self::Ended(Exit::NoAnswer))
    }

    /// What it contributes to the exit status, should the command end now.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Waiting | Self::Reading | Self::Lost => Exit::Ok,
            Self::Absent => Exit::NoAnswer,
            Self::Ended(exit) => exit,
        }
    }
}

/// What a refusal says, with the violations that it does not say itself.
pub fn explain(status: &Status) -> String {
    let mut text = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    for violation in status.get_details_bad_request().into_iter().flat_map(|details| details.field_violations) {
        if !text.contains(&violation.description) {
            text.push_str(&format!("; {}: {}", violation.field, violation.description));
        }
    }
    text
}

/// What a refusal means for the exit status.
pub fn refused(status: &Status) -> Exit {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Exit::NotAllowed,
        // The user wrote everything in the request but the cursors.
        Code::InvalidArgument if !explain(status).contains("resume[") => Exit::Usage,
        _ => Exit::Failed,
    }
}
