//! The `logtap` program; everything it does is in the library.

fn main() -> std::process::ExitCode {
    logtap::cli::main()
}
