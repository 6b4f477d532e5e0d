//! A mount of the built program, which a test can use as a directory and which goes away with it.

use crate::program;
use brigade::base::clock;
use rustix::process::Pid;
use rustix::process::Signal;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// For so long a child of another thread of the tests may hold a mount.
const HELD_MAX: Duration = Duration::from_secs(60);

/// A mounted bucket. Dropped without [`MountedBucket::unmount`], it is detached and its process killed.
pub struct MountedBucket {
    child: Child,
    dir: PathBuf,
    home: TempDir,
}

impl MountedBucket {
    /// Mounts a `local:` source on a fresh directory.
    pub fn local(data: &Path, options: &[&str]) -> Self {
        Self::mount(&format!("local:{}", data.display()), options, |_| {})
    }

    /// Mounts any source; `prepare` may give the process more of an environment.
    pub fn mount(source: &str, options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        need_fuse();
        let home = TempDir::new().expect("the system has a directory for temporary files");
        let dir = home.path().join("mnt");
        fs::create_dir(&dir).expect("the directory is fresh");
        let log = fs::File::create(home.path().join("log")).expect("the directory is fresh");
        let mut command = program::brigade(home.path());
        prepare(&mut command);
        command.args(["mount", "-f", source]).arg(&dir).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program was built");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it was asked for");
        // Told once the mount serves; at the end of the process, nothing.
        BufReader::new(stdout).read_line(&mut line).expect("it prints text");
        let mounted = Self { child, dir, home };
        assert!(line.starts_with("mounted "), "not mounted; its log:\n{}", mounted.log());
        mounted
    }

    /// The directory that it is mounted on.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What the process has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).expect("the log was made")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `brigade umount`, whatever comes of it.
    pub fn try_unmount(&self, options: &[&str]) -> program::Ran {
        program::run(self.unmount_command().args(options))
    }

    /// `brigade umount`, to be run.
    pub fn unmount_command(&self) -> Command {
        let mut command = program::brigade(self.home.path());
        command.arg("umount").arg(&self.dir);
        command
    }

    /// `brigade WORD DIR`, to be run.
    pub fn command(&self, word: &str) -> Command {
        let mut command = program::brigade(self.home.path());
        command.arg(word).arg(&self.dir);
        command
    }

    /// `brigade upgrade`, whatever comes of it.
    pub fn upgrade(&self) -> program::Ran {
        program::run(program::brigade(self.home.path()).arg("upgrade").arg(&self.dir))
    }

    /// Unmounts as a user does, and asserts that everything is stored.
    #[track_caller]
    pub fn unmount(mut self) {
        let begun = clock::monotonic();
        let mut ran = self.try_unmount(&[]);
        let mut said = vec![(begun.elapsed(), ran.stderr.clone())];
        // A child that another test's thread has just made, and that becomes another program now, closes copies of this test's
        // descriptors on the way. That may take as long as a store under faults does to answer, and nobody can see who it is.
        while ran.stderr.contains("it is in use, by a process that cannot be seen") && begun.elapsed() < HELD_MAX {
            ran = self.try_unmount(&[]);
            said.push((begun.elapsed(), ran.stderr.clone()));
        }
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "it said {said:?}; its log:\n{}", self.log());
        assert!(self.wait().success(), "its log:\n{}", self.log());
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it was started")
    }

    /// Ends the whole mount as a crash would that takes all of its processes; the mount stays, stale.
    pub fn crash(&mut self) {
        let worker = self.worker();
        self.child.kill().expect("it runs");
        self.wait();
        until_ended(worker);
    }

    /// Ends the process that serves the mount as a crash would; another one takes over.
    pub fn crash_worker(&self) {
        loop {
            let worker = self.worker();
            // It may just have ended by itself.
            if kill(worker) {
                return until_ended(worker);
            }
        }
    }

    /// The process that serves the mount.
    pub fn worker(&self) -> u32 {
        let keeper = self.pid();
        // Between two workers there is none.
        loop {
            let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
            let children = children.expect("it runs");
            // One that has ended is listed until it is asked for.
            let mut workers = children.split_whitespace().map(|child| child.parse().expect("a number"));
            if let Some(worker) = workers.find(|worker| runs(*worker)) {
                return worker;
            }
            thread::yield_now();
        }
    }
}

impl Drop for MountedBucket {
    fn drop(&mut self) {
        // Nothing here may fail: the test has already succeeded or told why not.
        for program in [["umount", "-l"].as_slice(), ["fusermount3", "-u", "-z"].as_slice()] {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).arg(&self.dir).stdout(Stdio::null()).stderr(Stdio::null());
            if command.status().is_ok_and(|status| status.success()) {
                break;
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there was something to kill.
fn kill(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("it is a process");
    rustix::process::kill_process(pid, Signal::KILL).is_ok()
}

/// Whether a process has not ended, or some of its threads have not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in brackets; `Z` is one that nobody has asked for yet, or whose other threads still run.
    let alive = stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    alive || threads > 1
}

/// Waits until a process has ended, and holds nothing any more.
fn until_ended(pid: u32) {
    while runs(pid) {
        thread::yield_now();
    }
}

/// Fails the test on a machine that cannot run it.
#[track_caller]
pub fn need_fuse() {
    assert!(
        Path::new("/dev/fuse").exists(),
        "this test needs /dev/fuse, and without root the package fuse3; it is not skipped, as a machine without FUSE \
         cannot tell whether mounts work"
    );
}
