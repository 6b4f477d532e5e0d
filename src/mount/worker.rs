//! The process that serves a mount, as the one sees it that has started it.

use crate::mount::link;
use crate::mount::link::Link;
use crate::mount::link::News;
use crate::mount::link::Order;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The program that runs, also when its file was replaced or removed.
const ITSELF: &str = "/proc/self/exe";

/// What happens with a worker.
#[derive(Debug)]
pub enum Event {
    /// It has told something.
    News(News),
    /// It has ended.
    Exited(ExitStatus),
}

/// What the user typed.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// The program's name and its arguments.
    pub arguments: &'a [OsString],
    /// The paths in them.
    pub paths: Paths,
}

/// What paths begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// All of them at the root.
    Absolute,
    /// Some of them at the current directory.
    Relative,
}

/// How workers are started.
#[derive(Debug)]
pub struct Launch {
    arguments: Vec<OsString>,
    program: PathBuf,
    place: Place,
}

/// The directory that relative paths in the arguments begin at.
#[derive(Debug)]
enum Place {
    Path(PathBuf),
    /// It lies below the mount point: its path will lead elsewhere.
    Covered(OwnedFd),
}

impl Launch {
    /// As was typed, for a mount on `dir`.
    ///
    /// # Errors
    /// When the current directory is needed and gone.
    pub fn new(typed: &Typed<'_>, dir: &Path) -> io::Result<Self> {
        let path = match typed.paths {
            Paths::Absolute => PathBuf::from("/"),
            Paths::Relative => std::env::current_dir()?,
        };
        // Held only where the mount holds it anyway: a file system must not stay busy for the sake of a path.
        let place = if path.starts_with(dir) {
            Place::Covered(rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
        } else {
            Place::Path(path)
        };
        Ok(Self { arguments: typed.arguments.to_owned(), program: ITSELF.into(), place })
    }

    /// From now on, workers are of this program.
    pub fn change_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// From now on, workers are of the program that this process is; whether they were not before.
    pub fn own_program(&mut self) -> bool {
        std::mem::replace(&mut self.program, ITSELF.into()) != Path::new(ITSELF)
    }

    /// Starts a worker, and tells `events` what happens with it, its end last. It ends when the thread does that calls
    /// this.
    ///
    /// # Errors
    /// When the system has no process for it.
    pub fn start(&self, events: &mpsc::UnboundedSender<Event>) -> io::Result<Worker> {
        let (ours, its) = Link::pair()?;
        let mut command = Command::new(&self.program);
        if let [name, rest @ ..] = self.arguments.as_slice() {
            command.arg0(name).args(rest);
        }
        match &self.place {
            Place::Path(path) => command.current_dir(path),
            Place::Covered(directory) => command.current_dir(format!("/proc/self/fd/{}", directory.as_raw_fd())),
        };
        command.env(link::VARIABLE, "1").stdin(its.into_socket()).stdout(Stdio::null());
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let link = Arc::new(ours);
        let (heard, events) = (Arc::clone(&link), events.clone());
        let hearing = std::thread::Builder::new().name("worker".into());
        hearing.spawn(move || hear(&heard, child, &events))?;
        Ok(Worker { link, process })
    }
}

// Nobody takes events any more when the mount has ended.
fn hear(link: &Link, mut child: Child, events: &mpsc::UnboundedSender<Event>) {
    loop {
        match link.receive() {
            Ok(Some((news, _))) => drop(events.send(Event::News(news))),
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%error, "the process that serves the mount is not understood");
            }
            Err(error) => {
                tracing::error!(%error, "the process that serves the mount is not heard");
                break;
            }
        }
    }
    match child.wait() {
        Ok(status) => drop(events.send(Event::Exited(status))),
        Err(error) => tracing::error!(%error, "cannot tell whether the process that serves the mount has ended"),
    }
}

/// A process that serves a mount, or gets ready to.
#[derive(Debug)]
pub struct Worker {
    link: Arc<Link>,
    process: OwnedFd,
}

impl Worker {
    /// Tells it what to do. One that is gone is told of by its end.
    pub fn order(&self, order: &Order, descriptor: Option<BorrowedFd<'_>>) {
        if let Err(error) = self.link.send(order, descriptor) {
            tracing::debug!(%error, "the process that serves the mount is gone");
        }
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = rustix::process::pidfd_send_signal(&self.process, signal) {
            tracing::debug!(%error, "the process that serves the mount is gone");
        }
    }
}
