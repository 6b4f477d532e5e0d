//! The life of a mount process: build, mount, serve until the end, take down. What the end is made of is decided by
//! `shutdown.rs`; this file performs it.

use crate::fuse;
use crate::fuse::Session;
use crate::mount::control::Connection;
use crate::mount::control::Listener;
use crate::mount::control::Reply;
use crate::mount::control::Request;
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
use crate::mount::source::Source;
use crate::mount::stack::Stack;
use crate::mount::table;
use crate::store::Store;
use crate::store::line;
use crate::store::line::Line;
use crate::vfs::Failure;
use crate::vfs::Vfs;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How often somebody who waits hears what is left, and how often a detached mount looks whether it may go.
const PROGRESS: Duration = Duration::from_millis(200);
const WORKERS_MAX: usize = 4;
/// A program that has just closed its files, or a child of it that has not yet begun its own program, still holds the
/// mount for a moment.
const UNMOUNT_ATTEMPTS: u32 = 6;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(100);
/// Once nothing goes out any more, giving up takes a moment; what takes longer hangs, and must not hold the end up.
const GIVING_UP_MAX: Duration = Duration::from_secs(5);

/// Why there is no mount, or how it ended badly. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mount point.
    #[error("{0}")]
    Mountpoint(#[from] mountpoint::Error),
    /// The layers below.
    #[error("{0}")]
    Stack(#[from] reach::Error),
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
    /// Something that was written is not in the bucket.
    #[error("{} was unmounted before everything was stored; the log names the files", .0.display())]
    Lost(PathBuf),
}

/// Mounts, calls `ready` once the mount serves, and returns when it has ended.
///
/// # Errors
/// When it could not be mounted, `ready` failed, or it ended without having stored everything.
pub fn run(plan: &Plan, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, WORKERS_MAX);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_all().build().map_err(Error::Start)?;
    let result = runtime.block_on(mount_and_serve(plan, ready));
    // After a detach, somebody may hold the mount for ever, and a session thread with it; the end of the process frees
    // both.
    runtime.shutdown_background();
    result
}

async fn mount_and_serve(plan: &Plan, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(Error::Start)?;
    let stale = |source: &str| tracing::warn!(source, dir = %plan.dir.display(), "detached a stale mount");
    let dir = mountpoint::prepare(&plan.dir, stale)?;
    if let Source::Local { data } = &plan.source {
        outside(data, &dir)?;
    }
    let stack = tokio::select! {
        stack = Stack::open(plan) => stack?,
        () = signals.next() => return Err(Error::Start(io::ErrorKind::Interrupted.into())),
    };
    let options = fuse::Options { fs_name: plan.source.to_string(), ..plan.fuse.clone() };
    let deadline = fuse::Deadline { line: Arc::clone(&stack.line), timeout: plan.policy.total };
    let session = match Session::mount(Arc::clone(&stack.vfs), &dir, Handle::current(), deadline, &options) {
        Ok(session) => session,
        Err(cause) => {
            stack.close().await;
            return Err(Error::Fuse { dir, cause });
        }
    };
    let (requests, listening) = listen(plan, &dir);
    if let Err(cause) = ready() {
        // The one who waits for it is gone, so nobody would know of this mount.
        tracing::error!(%cause, "nobody waits for this mount any more");
        signals.pretend();
    }
    tracing::info!(source = %plan.source, dir = %dir.display(), "mounted");
    let serving = Serving::new(&stack, dir.clone());
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
    match ending {
        Ending::Clean => Ok(()),
        Ending::Lost => Err(Error::Lost(dir)),
    }
}

// Behind the mount the backend would wait for itself.
fn outside(data: &Path, dir: &Path) -> Result<(), mountpoint::Error> {
    let real = data.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if real.is_some_and(|real| real.starts_with(dir)) {
        return Err(mountpoint::Error::DataInside { data: data.to_owned(), dir: dir.to_owned() });
    }
    Ok(())
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

struct Signals {
    streams: [Signal; 3],
    pretended: bool,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let stream = tokio::signal::unix::signal;
        let streams =
            [stream(SignalKind::terminate())?, stream(SignalKind::interrupt())?, stream(SignalKind::hangup())?];
        Ok(Self { streams, pretended: false })
    }

    fn pretend(&mut self) {
        self.pretended = true;
    }

    async fn next(&mut self) {
        if std::mem::take(&mut self.pretended) {
            return;
        }
        let [terminate, interrupt, hangup] = &mut self.streams;
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {}, _ = hangup.recv() => {} }
    }
}

/// What the tasks that perform actions report.
enum Happened {
    Drained { round: u64, failures: Vec<Failure> },
    StoreGone,
    Unmounted(Unmounted),
    SessionEnded(io::Result<()>),
}

struct Serving {
    vfs: Arc<Vfs>,
    line: Arc<Line>,
    bare: Arc<dyn Store>,
    dir: PathBuf,
    shutdown: Shutdown,
    /// Keys of the files that the asker knows to be lost.
    told: BTreeSet<String>,
    asker: Option<Connection>,
    /// Counts drains; only the one begun last is heard.
    round: u64,
    reports: mpsc::UnboundedSender<Happened>,
    happened: mpsc::UnboundedReceiver<Happened>,
}

impl Serving {
    fn new(stack: &Stack, dir: PathBuf) -> Self {
        // Unbounded, but each report answers one action, of which few are under way.
        let (reports, happened) = mpsc::unbounded_channel();
        Self {
            vfs: Arc::clone(&stack.vfs),
            line: Arc::clone(&stack.line),
            bare: Arc::clone(&stack.bare),
            dir,
            shutdown: Shutdown::default(),
            told: BTreeSet::new(),
            asker: None,
            round: 0,
            reports,
            happened,
        }
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
                () = signals.next() => Some(Event::Signal),
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
        let lossy = if force { Lossy::Yes } else { Lossy::No };
        if !self.shutdown.accepts(lossy) {
            connection.reply(Reply::Refused("it is being unmounted already".to_owned()));
            return None;
        }
        self.tell(Reply::Refused("`brigade umount --force` has taken over".to_owned()));
        self.asker = Some(connection);
        self.told.clear();
        if force {
            self.ask_store();
        }
        Some(Event::Asked(lossy))
    }

    fn on_happened(&mut self, happened: Happened) -> Option<Event> {
        match happened {
            Happened::Drained { round, failures } if round == self.round => {
                self.tell_failures(&failures);
                Some(Event::Drained { failures: failures.len() })
            }
            Happened::Drained { .. } => None,
            Happened::StoreGone => Some(Event::StoreGone),
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
        let outage = self.line.outage();
        let outage_s = outage.map(|outage| outage.as_secs());
        self.tell(Reply::Pending { files: pending.files, bytes: pending.bytes, outage_s });
        if outage.is_some() && self.shutdown.is_forced() {
            return Some(Event::StoreGone);
        }
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
            Action::GiveUp => {
                // Named first: once the line is closed they fail one after the other, and are forgotten.
                self.tell_failures(&self.vfs.unstored());
                self.line.close();
                self.abort_writers().await;
            }
            Action::AbortWriters => {
                if self.line.outage().is_some() {
                    self.line.close();
                }
                self.abort_writers().await;
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
            let failures = stored.await;
            reports.send(Happened::Drained { round, failures })
        });
    }

    async fn abort_writers(&mut self) {
        tracing::error!("giving up what is not stored yet");
        match tokio::time::timeout(GIVING_UP_MAX, self.vfs.abort_writers()).await {
            Ok(given_up) => self.tell_failures(&given_up),
            Err(_) => tracing::error!("some uploads cannot even be given up; they end with the process"),
        }
    }

    /// Whether there is a store at all is found out now, not when the next request has failed.
    fn ask_store(&self) {
        let (bare, reports) = (Arc::clone(&self.bare), self.reports.clone());
        tokio::spawn(async move {
            if !line::answers(&*bare).await {
                // Nobody listens once the mount has ended.
                let _ = reports.send(Happened::StoreGone);
            }
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

    fn tell_failures(&mut self, failures: &[Failure]) {
        for failure in failures {
            // One that was given up fails once more when it is drained.
            if self.told.insert(failure.key.clone()) {
                tracing::error!(%failure, "not stored");
                self.tell(Reply::NotStored(failure.to_string()));
            }
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
