//! The exit statuses of the client's commands.

use std::process::ExitCode;

/// How a command of the client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything came.
    Ok,
    /// A run-time error.
    Failed,
    /// The arguments make no request.
    Usage,
    /// Some hosts failed, others did not.
    Some,
    /// No host answered.
    NoAnswer,
    /// The credentials do not do.
    NotAllowed,
    /// The profile is bad.
    Config,
    /// A signal asked for the end.
    Signal(u8),
}

impl Exit {
    /// The status that the shell sees.
    pub const fn status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Some => 3,
            Self::NoAnswer => 4,
            Self::NotAllowed => 5,
            Self::Config => 78,
            Self::Signal(number) => 128 + number,
        }
    }

    /// The end of a command whose hosts ended each in its way.
    pub fn of_hosts(hosts: &[Self]) -> Self {
        match hosts {
            [] => Self::Ok,
            [first, rest @ ..] if rest.iter().all(|exit| exit == first) => *first,
            all if all.contains(&Self::Ok) => Self::Some,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How the command ends.
    pub exit: Exit,
    /// What to tell the user.
    pub why: String,
}

impl Refusal {
    /// The arguments make no request, for this reason.
    pub fn usage(why: impl ToString) -> Self {
        Self { exit: Exit::Usage, why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_of_many_hosts_is_that_of_all_or_says_some() {
        use Exit::{Failed, NoAnswer, NotAllowed, Ok, Some};
        assert_eq!(Exit::of_hosts(&[]), Ok);
        assert_eq!(Exit::of_hosts(&[Ok, Ok]), Ok);
        assert_eq!(Exit::of_hosts(&[NoAnswer, NoAnswer]), NoAnswer);
        assert_eq!(Exit::of_hosts(&[NotAllowed]), NotAllowed);
        assert_eq!(Exit::of_hosts(&[NoAnswer, Ok]), Some);
        assert_eq!(Exit::of_hosts(&[NoAnswer, NotAllowed]), Failed);
        assert_eq!(Exit::Signal(2).status(), 130);
        assert_eq!(Exit::Signal(15).status(), 143);
    }
}
