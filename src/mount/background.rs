//! Going into the background: the command starts itself again, waits for one line from the new process, and returns
//! with what the line says. Nothing is forked, so no thread or lock is lost, and no `unsafe` is needed here.

use crate::base::process;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

/// Set in the environment of the process in the background, for it to know.
pub const VARIABLE: &str = "BRIGADE_BACKGROUND";

const READY: &str = "ready";

/// How the start in the background went.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// It serves.
    Ready,
    /// It ended, for this reason.
    Failed(String),
}

/// Starts this program again with the same arguments (the first of which is its name) and waits until it is ready or
/// has failed.
///
/// # Errors
/// When it cannot be started.
pub fn start(arguments: &[OsString]) -> io::Result<Start> {
    process::keep_descriptors_from_children()?;
    let mut command = Command::new(std::env::current_exe()?);
    if let [name, rest @ ..] = arguments {
        command.arg0(name).args(rest);
    }
    let mut child = command.env(VARIABLE, "1").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it was asked for");
    io::BufReader::new(stdout).read_line(&mut line)?;
    match line.trim_end() {
        READY => Ok(Start::Ready),
        "" => Ok(Start::Failed(format!("the mount process ended before it was ready ({})", child.wait()?))),
        message => {
            child.wait()?;
            Ok(Start::Failed(message.to_owned()))
        }
    }
}

/// Called in the background when the work can begin: leaves the terminal's session and the current directory, tells
/// the waiting command, and turns the standard streams to `log` or to nowhere.
///
/// # Errors
/// When the system refuses, or when the waiting command is gone.
pub fn report_ready(log: Option<&File>) -> io::Result<()> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    writeln!(io::stdout(), "{READY}")?;
    io::stdout().flush()?;
    silence(log)
}

/// Turns the standard streams to `log` or to nowhere.
///
/// # Errors
/// When the system refuses.
pub fn silence(log: Option<&File>) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(log.unwrap_or(&null))?;
    Ok(())
}

/// Called in the background when there will be no work: tells the waiting command why, in one line.
pub fn report_failure(message: &str) {
    // Nobody to tell it to is no further failure; the exit status says it as well.
    let _ = writeln!(io::stdout(), "{}", message.replace('\n', " "));
}
