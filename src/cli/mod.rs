//! The command line: what was typed ([`args`], [`options`]), what was meant ([`resolve`], [`endpoint`]), and one file per
//! command.
//! The only layer that prints, reads the environment (credentials aside) and chooses the exit status.

pub mod args;
mod check;
pub mod endpoint;
mod journald;
mod log;
mod logging;
mod mount;
pub mod options;
pub mod resolve;
mod serve;
mod status;
mod umount;
mod upgrade;
mod uploads;
mod usage;

use crate::base::process;
use crate::cli::args::Command;
use crate::cli::resolve::Environment;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::process::ExitCode;

/// Why a command did not do what it should: one line, and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Wrong usage: exit status 2.
    Usage(String),
    /// Anything else: exit status 1.
    Failed(String),
    /// As `Failed`, and the reason has been told already.
    Told,
}

/// Runs the command that `arguments` (the program's name first) ask for.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    let environment = Environment::read();
    let (message, status) = match dispatch(arguments, &environment) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Told) => return ExitCode::FAILURE,
        Err(Failure::Usage(message)) => (message, 2),
        Err(Failure::Failed(message)) => (message, 1),
    };
    error_line(&message);
    ExitCode::from(status)
}

fn dispatch(arguments: &[OsString], environment: &Environment) -> Result<(), Failure> {
    let typed = match usage::parse(arguments)? {
        usage::Parsed::Typed(typed) => typed,
        usage::Parsed::Help(text) => {
            line(text.trim_end());
            return Ok(());
        }
    };
    // Secrets are in memory from here on.
    process::hide_memory().map_err(|cause| Failure::Failed(format!("cannot turn off core dumps: {cause}")))?;
    match &typed.cli.command {
        Command::Mount(args) => mount::run(args, &typed.arguments, environment),
        Command::Umount(args) => umount::run(args, environment),
        Command::Status(args) => status::run(args, environment),
        Command::Log(args) => log::run(args, environment),
        Command::Upgrade(args) => upgrade::run(args, environment),
        Command::Check(args) => check::run(args, environment),
        Command::Serve(args) => serve::run(args, environment),
        Command::Uploads(args) => uploads::run(args, environment),
    }
}

// A reader that has gone away (`brigade --help | head`) is no failure of the command.
fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn error_line(text: &str) {
    let _ = writeln!(io::stderr(), "brigade: {text}");
}
