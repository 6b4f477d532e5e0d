//! The life of a process that serves a mount: build, take the connection, serve until the end, take down. What the end is
//! made of is decided by `shutdown.rs`; this file performs it.

use crate::fuse;
use crate::fuse::Begin;
use crate::fuse::Gate;
use crate::fuse::Session;
use crate::mount::control::Connection;
use crate::mount::control::Listener;
use crate::mount::control::Reply;
use crate::mount::control::Request;
use crate::mount::handover;
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
pub fn run(plan: &Plan, link: &Arc<Link>, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
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

/// Why a process serves a mount no longer.
enum End {
    /// The mount has ended.
    Mount(Ending),
    /// Another process goes on, of this program if one was named.
    HandedOver(Option<PathBuf>),
}

async fn take_and_serve(plan: &Plan, link: &Arc<Link>, ready: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(Error::Start)?;
    let (dir, inheritance) = told_to_prepare(link).map_err(Error::Start)?;
    let stack = open(plan, &inheritance, &mut signals).await?;
    // Where it was started from must not stay busy.
    let prepared = std::env::set_current_dir("/").and_then(|()| told_to_serve(link));
    let (device, can_be_taken_over) = match prepared {
        Ok(told) => told,
        Err(cause) => {
            stack.close().await;
            return Err(Error::Start(cause));
        }
    };
    // Before anything is answered: whoever waits for an answer may then ask here.
    let (requests, listening) = listen(plan, &dir);
    let options = fuse::Options { fs_name: plan.source.to_string(), ..plan.fuse.clone() };
    let begin = inheritance.begin;
    stack.vfs.take(&inheritance.known).await;
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
    let orders = if can_be_taken_over { orders(link) } else { mpsc::unbounded_channel().1 };
    let serving = Serving::new(Arc::clone(&stack.vfs), dir.clone(), session.gate(), can_be_taken_over);
    let (end, asker) = serving.until_the_end(session, signals, requests, orders).await;
    if let Some(listening) = listening {
        // Awaited, for the socket's file to be gone when this process is.
        listening.abort();
        let _ = listening.await;
    }
    stack.close().await;
    let (reply, news) = match &end {
        End::Mount(ending) => {
            tracing::info!(source = %plan.source, dir = %dir.display(), ?ending, "unmounted");
            (Reply::Unmounted, News::Ended { clean: *ending == Ending::Clean })
        }
        End::HandedOver(program) => {
            tracing::info!(source = %plan.source, dir = %dir.display(), "handed over");
            (Reply::HandedOver, News::HandedOver(program.clone()))
        }
    };
    // Before anybody hears of it: what this process would say otherwise is that it has crashed.
    let told = link.send(&news, None);
    if let Some(asker) = asker {
        asker.reply(reply);
        asker.finish().await;
    }
    if let Err(error) = told {
        tracing::debug!(%error, "the process that keeps the mount is gone");
    }
    match end {
        End::Mount(Ending::Lost) => Err(Error::Lost(dir)),
        End::Mount(Ending::Clean) | End::HandedOver(_) => Ok(()),
    }
}

async fn open(plan: &Plan, inheritance: &Inheritance, signals: &mut Signals) -> Result<Stack, Error> {
    let opening = Stack::open(plan, inheritance);
    match inheritance.begin {
        Begin::Fresh => tokio::select! {
            stack = opening => Ok(stack?),
            _ = signals.next() => Err(Error::Start(io::ErrorKind::Interrupted.into())),
        },
        // What programs wait for is served first.
        Begin::TakenOver => Ok(opening.await?),
    }
}

/// Orders to hand over.
fn orders(link: &Arc<Link>) -> mpsc::UnboundedReceiver<()> {
    // Unbounded, but orders come one by one from a person.
    let (sender, receiver) = mpsc::unbounded_channel();
    let link = Arc::clone(link);
    std::thread::spawn(move || {
        while let Ok(Some((order, _))) = link.receive::<Order>() {
            if order == Order::HandOver && sender.send(()).is_err() {
                return;
            }
        }
    });
    receiver
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

fn told_to_serve(link: &Link) -> io::Result<(OwnedFd, bool)> {
    link.send(&News::Prepared, None)?;
    match link.receive()? {
        Some((Order::Serve { can_be_taken_over }, Some(device))) => Ok((device, can_be_taken_over)),
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
    HandedOver(Result<(), String>),
}

/// A handover under way.
struct Handing {
    program: Option<PathBuf>,
    asker: Option<Connection>,
}

struct Serving {
    vfs: Arc<Vfs>,
    dir: PathBuf,
    gate: Arc<Gate>,
    can_be_taken_over: bool,
    handing: Option<Handing>,
    /// Whether a signal came meanwhile.
    signalled: bool,
    shutdown: Shutdown,
    asker: Option<Connection>,
    /// Counts drains; only the one begun last is heard.
    round: u64,
    reports: mpsc::UnboundedSender<Happened>,
    happened: mpsc::UnboundedReceiver<Happened>,
}

impl Serving {
    fn new(vfs: Arc<Vfs>, dir: PathBuf, gate: Arc<Gate>, can_be_taken_over: bool) -> Self {
        // Unbounded, but each report answers one action, of which few are under way.
        let (reports, happened) = mpsc::unbounded_channel();
        let (handing, signalled, asker) = (None, false, None);
        let shutdown = Shutdown::default();
        Self { vfs, dir, gate, can_be_taken_over, handing, signalled, shutdown, asker, round: 0, reports, happened }
    }

    async fn until_the_end(
        mut self,
        session: Session,
        mut signals: Signals,
        mut requests: mpsc::Receiver<(Request, Connection)>,
        mut orders: mpsc::UnboundedReceiver<()>,
    ) -> (End, Option<Connection>) {
        let reports = self.reports.clone();
        std::thread::spawn(move || reports.send(Happened::SessionEnded(session.join())));
        let mut tick = tokio::time::interval(PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                _ = signals.next() => {
                    // What comes while it hands over is for the next one, or for this one if it stays.
                    self.signalled = self.handing.is_some();
                    (!self.signalled).then_some(Event::Signal)
                }
                Some((request, connection)) = requests.recv() => self.on_request(request, connection),
                Some(()) = orders.recv() => { self.hand_over(Handing { program: None, asker: None }); None }
                Some(happened) = self.happened.recv() => match happened {
                    Happened::HandedOver(Ok(())) => {
                        let handing = self.handing.take();
                        let (program, asker) = handing.map_or((None, None), |handing| (handing.program, handing.asker));
                        return (End::HandedOver(program), asker);
                    }
                    other => self.on_happened(other),
                },
                () = hung_up(&mut self.asker) => { self.asker = None; Some(Event::AskerGone) }
                _ = tick.tick(), if self.asker.is_some() || self.shutdown.is_detached() => self.on_tick(),
            };
            let Some(event) = event else { continue };
            for action in self.shutdown.on_event(&event) {
                if let Some(ending) = self.perform(action).await {
                    return (End::Mount(ending), self.asker);
                }
            }
        }
    }

    fn on_request(&mut self, request: Request, connection: Connection) -> Option<Event> {
        let (Request::Umount { dir, .. } | Request::Upgrade { dir, .. }) = &request;
        if *dir != self.dir {
            let text = format!("{} is another view of this mount; name {}", dir.display(), self.dir.display());
            connection.reply(Reply::Refused(text));
            return None;
        }
        if !self.shutdown.accepts_requests() {
            connection.reply(Reply::Refused("it is being unmounted already".to_owned()));
            return None;
        }
        if self.handing.is_some() {
            connection.reply(Reply::Refused("another process is about to go on with it; try again".to_owned()));
            return None;
        }
        match request {
            Request::Umount { force, .. } => {
                self.asker = Some(connection);
                Some(Event::Asked(if force { Lossy::Yes } else { Lossy::No }))
            }
            Request::Upgrade { .. } if !self.can_be_taken_over => {
                let text = "the kernel is older than Linux 6.9; unmount, and mount again";
                connection.reply(Reply::Refused(text.to_owned()));
                None
            }
            Request::Upgrade { program, .. } => {
                self.hand_over(Handing { program: Some(program), asker: Some(connection) });
                None
            }
        }
    }

    fn hand_over(&mut self, handing: Handing) {
        if self.handing.is_some() || !self.shutdown.accepts_requests() {
            return;
        }
        self.handing = Some(handing);
        let (vfs, gate, reports) = (Arc::clone(&self.vfs), Arc::clone(&self.gate), self.reports.clone());
        tokio::spawn(async move { reports.send(Happened::HandedOver(handover::hand_over(&vfs, &gate).await)) });
    }

    /// It stays; what came meanwhile is to be seen to.
    fn stays(&mut self, why: String) -> Option<Event> {
        tracing::warn!(why, "not handed over");
        if let Some(asker) = self.handing.take().and_then(|handing| handing.asker) {
            asker.reply(Reply::Refused(why));
        }
        std::mem::take(&mut self.signalled).then_some(Event::Signal)
    }

    fn on_happened(&mut self, happened: Happened) -> Option<Event> {
        match happened {
            Happened::Drained { round, failures } if round == self.round => {
                self.tell_failures(&failures);
                Some(Event::Drained { failures: failures.len() })
            }
            Happened::Drained { .. } => None,
            Happened::Unmounted(outcome) => Some(Event::Unmounted(outcome)),
            Happened::HandedOver(Err(why)) => self.stays(why),
            Happened::HandedOver(Ok(())) => None,
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
