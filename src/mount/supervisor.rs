//! The process that keeps a mount: it holds the connection to the kernel, and has another process serve it. When that one
//! crashes, the next one goes on, and programs see a pause.
//!
//! It does nothing else, so that nothing in it can go wrong: it takes no request, speaks to no store, and has one thread for
//! itself and one for each process that it waits for.

use crate::base::clock;
use crate::fuse;
use crate::fuse::Connection;
use crate::mount::daemon;
use crate::mount::link::News;
use crate::mount::link::Order;
use crate::mount::mountpoint;
use crate::mount::plan::Plan;
use crate::mount::restarts::Restarts;
use crate::mount::signals::Signals;
use crate::mount::source::Source;
use crate::mount::worker::Event;
use crate::mount::worker::Launch;
use crate::mount::worker::Typed;
use crate::mount::worker::Worker;
use crate::vfs::notes;
use rustix::process::Signal;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Instant;
use tokio::signal::unix;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

/// After so many deaths in a row, the program of an upgrade is given up.
const DEATHS_OF_ANOTHER_MAX: u32 = 3;

/// Why there is no mount, or how it ended badly. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mount point.
    #[error("{0}")]
    Mountpoint(#[from] mountpoint::Error),
    /// The kernel or fusermount3.
    #[error("cannot mount on {}: {cause}; FUSE needs /dev/fuse, and without root the package fuse3", dir.display())]
    Fuse {
        /// The mount point.
        dir: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The process itself.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// The one that serves could not.
    #[error("{0}")]
    Worker(String),
    /// Something that was written is not in the bucket.
    #[error("{0}")]
    Lost(daemon::Error),
    /// The one that serves died, and no other can take over.
    #[error("{} is not mounted any more: the process that served it ended ({status}); {advice}", dir.display())]
    Crashed {
        /// The mount point.
        dir: PathBuf,
        /// How it died.
        status: ExitStatus,
        /// What is known of it.
        advice: &'static str,
    },
}

/// Mounts, calls `ready` once the mount is served, and returns when it has ended. `typed` is what this process was
/// started with, to start others with that serve.
///
/// # Errors
/// When it could not be mounted, `ready` failed, or it ended without having stored everything.
pub fn run(plan: &Plan, typed: Typed<'_>, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    // On this very thread: those that it starts end with it.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().map_err(Error::Start)?;
    runtime.block_on(async {
        let dir = fit(plan)?;
        let mut mount = Mount::new(plan, typed, dir).map_err(Error::Start)?;
        mount.keep(ready).await
    })
}

fn fit(plan: &Plan) -> Result<PathBuf, Error> {
    let stale = |source: &str| tracing::warn!(source, dir = %plan.dir.display(), "detached a stale mount");
    let dir = mountpoint::prepare(&plan.dir, stale)?;
    if let Source::Local { data } = &plan.source {
        outside(data, &dir)?;
    }
    Ok(dir)
}

// Behind the mount the backend would wait for itself.
fn outside(data: &Path, dir: &Path) -> Result<(), mountpoint::Error> {
    let real = data.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if real.is_some_and(|real| real.starts_with(dir)) {
        return Err(mountpoint::Error::DataInside { data: data.to_owned(), dir: dir.to_owned() });
    }
    Ok(())
}

struct Mount {
    dir: PathBuf,
    options: fuse::Options,
    launch: Launch,
    notes: File,
    signals: Signals,
    upgrades: unix::Signal,
    restarts: Restarts,
    connection: Option<Connection>,
    worker: Worker,
    /// Since when the worker serves.
    serving: Option<Instant>,
    /// Whether the mount was served at all.
    served: bool,
    /// Where this program is, or the one that has replaced it.
    program: PathBuf,
    /// Whether the worker is of a program that has not served yet.
    untried: bool,
    /// The last signal that came.
    signalled: Option<Signal>,
    /// Whether the worker was told of it.
    passed_on: bool,
    /// How the worker says that it ends.
    last_words: Option<News>,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Mount {
    fn new(plan: &Plan, typed: Typed<'_>, dir: PathBuf) -> io::Result<Self> {
        let signals = Signals::new()?;
        let upgrades = unix::signal(SignalKind::user_defined2())?;
        let program = std::env::current_exe()?;
        let launch = Launch::new(&typed, &dir)?;
        // Unbounded, but a worker has few things to tell.
        let (sender, events) = mpsc::unbounded_channel();
        let (notes, worker) = (notes::new_file()?, launch.start(&sender)?);
        let mount = Self {
            options: fuse::Options { fs_name: plan.source.to_string(), ..plan.fuse.clone() },
            restarts: Restarts::default(),
            connection: None,
            serving: None,
            served: false,
            signalled: None,
            passed_on: false,
            last_words: None,
            dir,
            launch,
            notes,
            signals,
            upgrades,
            program,
            untried: false,
            worker,
            sender,
            events,
        };
        mount.prepare();
        Ok(mount)
    }

    async fn keep(&mut self, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
        let mut ready = Some(ready);
        loop {
            let event = tokio::select! {
                signal = self.signals.next() => {
                    (self.signalled, self.passed_on) = (Some(signal), true);
                    self.worker.signal(signal);
                    continue;
                }
                Some(()) = self.upgrades.recv() => {
                    // One that does not serve yet has nothing to hand over.
                    if self.serving.is_some() {
                        self.worker.order(&Order::HandOver, None);
                    }
                    continue;
                }
                Some(event) = self.events.recv() => event,
            };
            match event {
                Event::News(News::Prepared) => self.connect().await?,
                Event::News(News::Serving) => {
                    self.serving = Some(clock::monotonic());
                    (self.served, self.untried) = (true, false);
                    if let Some(signal) = self.signalled.filter(|_| !self.passed_on) {
                        // The one before has taken it along. A second one would be another wish.
                        self.passed_on = true;
                        self.worker.signal(signal);
                    }
                    if let Some(Err(cause)) = ready.take().map(|ready| ready()) {
                        // The one who waits for it is gone, so nobody would know of this mount.
                        tracing::error!(%cause, "nobody waits for this mount any more");
                        self.worker.signal(Signal::TERM);
                    }
                }
                Event::News(words @ (News::Ended { .. } | News::HandedOver(_) | News::Failed(_))) => {
                    // What follows an end is only said of it.
                    self.last_words.get_or_insert(words);
                }
                Event::Exited(status) => {
                    if let Some(ended) = self.after(status).await {
                        return ended;
                    }
                }
            }
        }
    }

    fn prepare(&self) {
        let order = Order::Prepare { dir: self.dir.clone(), taken_over: self.served };
        self.worker.order(&order, Some(self.notes.as_fd()));
    }

    /// Hands the connection to the worker; makes it first if there is none.
    async fn connect(&mut self) -> Result<(), Error> {
        if self.connection.is_none() {
            match Connection::mount(&self.dir, &self.options) {
                Ok(connection) => self.connection = Some(connection),
                Err(cause) => {
                    self.worker.signal(Signal::TERM);
                    while !matches!(self.events.recv().await, Some(Event::Exited(_)) | None) {}
                    return Err(Error::Fuse { dir: self.dir.clone(), cause });
                }
            }
        }
        if let Some(connection) = &self.connection {
            let can_be_taken_over = connection.can_be_taken_over();
            self.worker.order(&Order::Serve { can_be_taken_over }, Some(connection.device()));
        }
        Ok(())
    }

    /// The worker has ended: what the mount ends with, if it does.
    async fn after(&mut self, status: ExitStatus) -> Option<Result<(), Error>> {
        let served = self.serving.take().map(|since| since.elapsed()).unwrap_or_default();
        let words = self.last_words.take();
        match words {
            Some(News::Ended { clean: true }) => return Some(Ok(())),
            Some(News::Ended { clean: false }) => return Some(Err(Error::Lost(daemon::Error::Lost(self.dir.clone())))),
            Some(News::HandedOver(program)) => {
                let program = program.unwrap_or_else(|| self.program.clone());
                tracing::info!(program = %program.display(), "another process goes on with the mount");
                self.launch.change_program(program);
                self.untried = true;
                match self.start() {
                    Ok(()) => return None,
                    Err(error) => tracing::error!(%error, "cannot start the other program"),
                }
            }
            Some(News::Failed(why)) if !self.served => {
                self.give_back();
                return Some(Err(Error::Worker(why)));
            }
            Some(News::Failed(why)) => tracing::error!(why, "cannot go on serving the mount"),
            Some(News::Prepared | News::Serving) | None => {}
        }
        if !self.served {
            self.give_back();
            if self.signalled.is_some() {
                return Some(Err(Error::Start(io::ErrorKind::Interrupted.into())));
            }
            let (dir, why) = (self.dir.display(), "the process that was to serve it ended");
            return Some(Err(Error::Worker(format!("cannot mount on {dir}: {why} ({status}); its log may tell why"))));
        }
        if !self.connection.as_ref().is_some_and(Connection::can_be_taken_over) {
            self.give_back();
            return Some(Err(self.crashed(status, "the kernel is older than Linux 6.9, so no other could take over")));
        }
        loop {
            let Some(pause) = self.restarts.died(served) else {
                self.give_back();
                return Some(Err(self.crashed(status, "so did those that took over; its log may tell why")));
            };
            let doubtful = std::mem::take(&mut self.untried) || self.restarts.in_a_row() >= DEATHS_OF_ANOTHER_MAX;
            if doubtful && self.launch.own_program() {
                tracing::error!("the program of the upgrade cannot serve this mount; the one before goes on");
            }
            tracing::error!(%status, dir = %self.dir.display(), "the process that served the mount ended; starting another");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                signal = self.signals.next() => self.signalled = Some(signal),
            }
            match self.start() {
                Ok(()) => return None,
                Err(error) => tracing::error!(%error, "cannot start a process"),
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        self.worker = self.launch.start(&self.sender)?;
        self.passed_on = false;
        self.prepare();
        Ok(())
    }

    fn crashed(&self, status: ExitStatus, advice: &'static str) -> Error {
        Error::Crashed { dir: self.dir.clone(), status, advice }
    }

    /// Takes what is mounted out of the tree; programs that have files open get an error.
    fn give_back(&self) {
        if self.connection.is_some()
            && let Err(why) = mountpoint::detach(&self.dir)
        {
            tracing::error!(?why, dir = %self.dir.display(), "could not detach the mount");
        }
    }
}
