//! The built program, run as a user runs it: its own environment, its output collected, its promises about errors
//! checked.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit status; -1 when a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with an environment in which nothing of this machine's user shows.
pub fn brigade(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brigade"));
    command.env_clear().env("HOME", home).env("LC_ALL", "C").stdin(Stdio::null());
    // For fusermount3.
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    // Not below /var/lib, where root's would be.
    command.env("XDG_STATE_HOME", home.join("state"));
    // No look at the addresses where clouds give out credentials.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// The soft limit of core dumps that a process has, as the kernel shows it.
pub fn core_limit(pid: u32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process runs");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("the kernel lists it");
    line.split_whitespace().next().expect("it has a value").to_owned()
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the program was built");
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("it prints text"),
        stderr: String::from_utf8(output.stderr).expect("it prints text"),
    }
}

impl Ran {
    /// Asserts that it was refused with this status in exactly one line, which contains all of `says`.
    #[track_caller]
    pub fn refused(&self, status: i32, says: &[&str]) {
        assert_eq!(self.status, status, "{self:#?}");
        assert_eq!(self.stdout, "", "an error is not output: {self:#?}");
        let line = self.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {self:#?}"));
        assert!(!line.contains('\n'), "more than one line: {self:#?}");
        let line = line.strip_prefix("brigade: ").unwrap_or_else(|| panic!("who says it is missing: {self:#?}"));
        for part in says {
            assert!(line.contains(part), "{line:?} does not say {part:?}");
        }
    }
}
