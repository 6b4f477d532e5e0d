//! The life of a process that serves a mount: build, take the connection, serve until the end, take down. What the end is
//! made of is decided by `shutdown.rs`; this file performs it.

use crate::fuse;
use crate::fuse::Begin;
use crate::fuse::Session;
use crate::mount::control::Connection;
use crate::mount::control::Listener;
use crate::mount::control::Reply;
use crate::mount::control::Request;
use crate::mount::link::Link;
use crate::mount::link::News;
use crate::mount::link::Order;
use crate::mount::mountpoint;
use crate::mount::mountpoint::Refused;
use crate::mount::plan::Plan;
use crate::mount::reach;
use crate::mount::shutdown::Action;
use crate::mount::shutdown::Ending;
use crate::mount::shutdown::Event;
use crate::mount::shutdown::Lossy;
use crate::mount::shutdown::Refusal;
use crate::mount::shutdown::Shutdown;
use crate::mount::shutdown::Unmounted;
use crate::mount::signals::Signals;
use crate::mount::stack::Stack;
use crate::mount::table;
use crate::vfs::Failure;
use crate::vfs::Vfs;
use crate::vfs::known::Known;
use crate::vfs::notes::Notes;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How often somebody who waits hears what is left, and how often a detached mount looks whether it may go.
const PROGRESS: Duration = Duration::from_millis(200);
const WORKERS_MAX: usize = 4;
/// A program that has just closed its files, or a child of it that has not yet begun its own program, still holds the
/// mount for a moment.
const UNMOUNT_ATTEMPTS: u32 = 6;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no mount, or how it ended badly. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layers below.
    #[error("{0}")]
    Stack(#[from] reach::Error),
    /// The process itself.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// Something that was written is not in the bucket.
    #[error("{} was unmounted before everything was stored; the log names the files", .0.display())]
    Lost(PathBuf),
}

/// Serves the mount that the process at the other end of `link` keeps, calls `ready` once it does, and returns when the mount
/// has ended.
///
/// # Errors
/// When it could not be served, or it ended without having stored everything.
pub fn run(plan: &Plan, link: &Link, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, WORKERS_MAX);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_all().build().map_err(Error::Start)?;
    let result = runtime.block_on(take_and_serve(plan, link, ready));
    // After a detach, somebody may hold the mount for ever, and a session thread with it; the end of the process frees
    // both.
    runtime.shutdown_background();
    result
}

/// What another process that served the mount has left.
pub struct Inheritance {
    /// Whether there was one.
    pub begin: Begin,
    /// What the kernel holds of it.
    pub known: Known,
    /// Where that is kept.
    pub notes: Arc<Notes>,
}

async fn take_and_serve(plan: &Plan, link: &Link, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    let signals = Signals::new().map_err(Error::Start)?;
    let (dir, inheritance) = told_to_prepare(link).map_err(Error::Start)?;
    let stack = Stack::open(plan, &inheritance).await?;
    // Where it was started from must not stay busy.
    let prepared = std::env::set_current_dir("/").and_then(|()| told_to_serve(link));
    let device = match prepared {
        Ok(device) => device,
        Err(cause) => {
            stack.close().await;
            return Err(Error::Start(cause));
        }
    };
    // Before anything is answered: whoever waits for an answer may then ask here.
    let (requests, listening) = listen(plan, &dir);
    let options = fuse::Options { fs_name: plan.source.to_string(), ..plan.fuse.clone() };
    let begin = inheritance.begin;
    let session = Session::serve(Arc::clone(&stack.vfs), &device, begin, Handle::current(), &options);
    drop(device);
    let started = session.and_then(|session| {
        ready()?;
        link.send(&News::Serving, None)?;
        Ok(session)
    });
    let session = match started {
        Ok(session) => session,
        Err(cause) => {
            stack.close().await;
            return Err(Error::Start(cause));
        }
    };
    match begin {
        Begin::Fresh => tracing::info!(source = %plan.source, dir = %dir.display(), "mounted"),
        Begin::TakenOver => tracing::info!(source = %plan.source, dir = %dir.display(), "goes on serving the mount"),
    }
    let serving = Serving::new(Arc::clone(&stack.vfs), dir.clone());
    let (ending, asker) = serving.until_the_end(session, signals, requests).await;
    if let Some(listening) = listening {
        // Awaited, for the socket's file to be gone when this process is.
        listening.abort();
        let _ = listening.await;
    }
    stack.close().await;
    tracing::info!(source = %plan.source, dir = %dir.display(), ?ending, "unmounted");
    if let Some(asker) = asker {
        asker.reply(Reply::Unmounted);
        asker.finish().await;
    }
    // One who keeps the mount no longer has ended with it.
    let _ = link.send(&News::Ended { clean: ending == Ending::Clean }, None);
    match ending {
        Ending::Clean => Ok(()),
        Ending::Lost => Err(Error::Lost(dir)),
    }
}

fn told_to_prepare(link: &Link) -> io::Result<(PathBuf, Inheritance)> {
    match link.receive()? {
        Some((Order::Prepare { dir, taken_over }, Some(file))) => {
            let (notes, known) = Notes::open(File::from(file))?;
            let begin = if taken_over { Begin::TakenOver } else { Begin::Fresh };
            Ok((dir, Inheritance { begin, known, notes }))
        }
        Some(_) | None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

fn told_to_serve(link: &Link) -> io::Result<OwnedFd> {
    link.send(&News::Prepared, None)?;
    match link.receive()? {
        Some((Order::Serve, Some(device))) => Ok(device),
        Some(_) | None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

// Without a socket the mount works and can be unmounted by the system's means, which drain as well.
fn listen(plan: &Plan, dir: &Path) -> (mpsc::Receiver<(Request, Connection)>, Option<JoinHandle<()>>) {
    let (sender, receiver) = mpsc::channel(8);
    let bound = table::read().and_then(|mounts| {
        let mount = table::at(&mounts, dir).ok_or(io::ErrorKind::NotFound)?;
        Listener::bind(&plan.control_dir, mount.device)
    });
    match bound {
        Ok(listener) => (receiver, Some(tokio::spawn(listener.serve(sender)))),
        Err(cause) => {
            let place = plan.control_dir.display();
            tracing::warn!(%cause, %place, "no control socket: `brigade umount` will not find this mount, use `umount`");
            (receiver, None)
        }
    }
}

/// What the tasks that perform actions report.
enum Happened {
    Drained { round: u64, failures: Vec<String> },
    Unmounted(Unmounted),
    SessionEnded(io::Result<()>),
}

struct Serving {
    vfs: Arc<Vfs>,
    dir: PathBuf,
    shutdown: Shutdown,
    asker: Option<Connection>,
    /// Counts drains; only the one begun last is heard.
    round: u64,
    reports: mpsc::UnboundedSender<Happened>,
    happened: mpsc::UnboundedReceiver<Happened>,
}

impl Serving {
    fn new(vfs: Arc<Vfs>, dir: PathBuf) -> Self {
        // Unbounded, but each report answers one action, of which few are under way.
        let (reports, happened) = mpsc::unbounded_channel();
        Self { vfs, dir, shutdown: Shutdown::default(), asker: None, round: 0, reports, happened }
    }

    async fn until_the_end(
        mut self,
        session: Session,
        mut signals: Signals,
        mut requests: mpsc::Receiver<(Request, Connection)>,
    ) -> (Ending, Option<Connection>) {
        let reports = self.reports.clone();
        std::thread::spawn(move || reports.send(Happened::SessionEnded(session.join())));
        let mut tick = tokio::time::interval(PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                _ = signals.next() => Some(Event::Signal),
                Some((request, connection)) = requests.recv() => self.on_request(request, connection),
                Some(happened) = self.happened.recv() => self.on_happened(happened),
                () = hung_up(&mut self.asker) => { self.asker = None; Some(Event::AskerGone) }
                _ = tick.tick(), if self.asker.is_some() || self.shutdown.is_detached() => self.on_tick(),
            };
            let Some(event) = event else { continue };
            for action in self.shutdown.on_event(&event) {
                if let Some(ending) = self.perform(action).await {
                    return (ending, self.asker);
                }
            }
        }
    }

    fn on_request(&mut self, request: Request, connection: Connection) -> Option<Event> {
        let Request::Umount { dir, force } = request;
        if dir != self.dir {
            let text = format!("{} is another view of this mount; unmount {}", dir.display(), self.dir.display());
            connection.reply(Reply::Refused(text));
            return None;
        }
        if !self.shutdown.accepts_requests() {
            connection.reply(Reply::Refused("it is being unmounted already".to_owned()));
            return None;
        }
        self.asker = Some(connection);
        Some(Event::Asked(if force { Lossy::Yes } else { Lossy::No }))
    }

    fn on_happened(&mut self, happened: Happened) -> Option<Event> {
        match happened {
            Happened::Drained { round, failures } if round == self.round => {
                self.tell_failures(&failures);
                Some(Event::Drained { failures: failures.len() })
            }
            Happened::Drained { .. } => None,
            Happened::Unmounted(outcome) => Some(Event::Unmounted(outcome)),
            Happened::SessionEnded(result) => {
                if let Err(cause) = result {
                    tracing::error!(%cause, "the connection to the kernel broke");
                }
                Some(Event::SessionEnded)
            }
        }
    }

    fn on_tick(&self) -> Option<Event> {
        let pending = self.vfs.pending();
        self.tell(Reply::Pending { files: pending.files, bytes: pending.bytes });
        let quiet = self.shutdown.is_detached() && pending.files == 0 && pending.writers_open == 0;
        quiet.then_some(Event::Quiet)
    }

    async fn perform(&mut self, action: Action) -> Option<Ending> {
        match action {
            Action::Drain => self.store(|vfs| async move { vfs.drain().await }),
            Action::Finish => self.store(|vfs| async move { vfs.finish().await }),
            Action::Unmount => self.unmount(),
            Action::Detach => {
                tracing::warn!("the mount is in use: detached, waiting for the files being written");
                if let Err(why) = in_background(self.dir.clone(), mountpoint::detach).await {
                    tracing::error!(?why, "could not detach the mount");
                }
            }
            Action::Refuse(refusal) => self.refuse(refusal),
            Action::AbortWriters => {
                tracing::error!("giving up what is not stored yet");
                let given_up = self.vfs.abort_writers().await;
                self.tell_failures(&given_up.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            Action::Exit(ending) => return Some(ending),
        }
        None
    }

    fn store<F>(&mut self, act: impl FnOnce(Arc<Vfs>) -> F)
    where
        F: Future<Output = Vec<Failure>> + Send + 'static,
    {
        self.round += 1;
        let (stored, reports, round) = (act(Arc::clone(&self.vfs)), self.reports.clone(), self.round);
        tokio::spawn(async move {
            let failures = stored.await.iter().map(ToString::to_string).collect();
            reports.send(Happened::Drained { round, failures })
        });
    }

    fn unmount(&self) {
        let (dir, reports) = (self.dir.clone(), self.reports.clone());
        tokio::spawn(async move {
            let mut outcome = in_background(dir.clone(), mountpoint::unmount).await;
            for _ in 1..UNMOUNT_ATTEMPTS {
                if !matches!(outcome, Err(Refused::Busy)) {
                    break;
                }
                tokio::time::sleep(UNMOUNT_PAUSE).await;
                outcome = in_background(dir.clone(), mountpoint::unmount).await;
            }
            let outcome = match outcome {
                Ok(()) => Unmounted::Done,
                Err(Refused::Busy) => Unmounted::Busy,
                Err(Refused::Failed(why)) => Unmounted::Failed(why),
            };
            reports.send(Happened::Unmounted(outcome))
        });
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.tell(match refusal {
            Refusal::Busy => Reply::Busy,
            Refusal::NotStored => Reply::Refused("not everything could be stored".to_owned()),
            Refusal::Failed(why) => Reply::Refused(why),
        });
        self.asker = None;
    }

    fn tell_failures(&self, failures: &[String]) {
        for failure in failures {
            tracing::error!(failure, "not stored");
            self.tell(Reply::NotStored(failure.clone()));
        }
    }

    fn tell(&self, reply: Reply) {
        if let Some(asker) = &self.asker {
            asker.reply(reply);
        }
    }
}

async fn hung_up(asker: &mut Option<Connection>) {
    match asker {
        Some(asker) => asker.hung_up().await,
        None => std::future::pending().await,
    }
}

// Unmounting waits for the file system, which may need a worker.
async fn in_background<T: Send + 'static>(dir: PathBuf, act: fn(&Path) -> T) -> T {
    tokio::task::spawn_blocking(move || act(&dir)).await.expect("unmounting does not panic")
}
