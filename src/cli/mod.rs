//! The command line: one file per subcommand, which turns arguments into values and calls the room that does the work.
//!
//! Nothing imports this room.

mod check;
mod completions;
mod inputs;
mod man;
mod serve;
mod sources;
mod tail;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// How the program ends. A usage error, 2, is told by the parser of the arguments itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Success,
    /// Something went wrong while running.
    Failure,
    /// The configuration is wrong (`EX_CONFIG`): starting again will not help.
    BadConfiguration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::BadConfiguration => 78,
        })
    }
}

/// Streams log files over gRPC and HTTP to any number of subscribers, without losing or repeating a line.
#[derive(Debug, Parser)]
#[command(name = "logtap", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Tail(Box<tail::TailArgs>),
    Sources(sources::SourcesArgs),
    Verify(Box<verify::VerifyArgs>),
    Check(check::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => return serve::run(arguments),
        Command::Tail(arguments) => return tail::run(*arguments),
        Command::Sources(arguments) => return sources::run(&arguments),
        Command::Verify(arguments) => return verify::run(&arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("logtap: {error:#}");
            Exit::Failure.into()
        }
    }
}

/// Writes to standard output at once; a reader that has gone is no error.
fn print(text: &[u8]) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write as _};

    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
