//! The `brigade` program: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    brigade::cli::run(&std::env::args_os().collect::<Vec<_>>())
}
