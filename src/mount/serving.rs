//! What a process does while it serves a mount: hears signals and requests, lets `shutdown.rs` decide, and performs it.

use crate::fuse::Gate;
use crate::fuse::Session;
use crate::mount::control::Connection;
use crate::mount::control::Reply;
use crate::mount::control::Request;
use crate::mount::handover;
use crate::mount::mountpoint;
use crate::mount::mountpoint::Refused;
use crate::mount::shutdown::Action;
use crate::mount::shutdown::Ending;
use crate::mount::shutdown::Event;
use crate::mount::shutdown::Lossy;
use crate::mount::shutdown::Refusal;
use crate::mount::shutdown::Shutdown;
use crate::mount::shutdown::Unmounted;
use crate::mount::signals::Signals;
use crate::mount::stack::Stack;
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
use tokio::sync::mpsc;

/// How often somebody who waits hears what is left, and how often a detached mount looks whether it may go.
const PROGRESS: Duration = Duration::from_millis(200);
/// A program that has just closed its files, or a child of it that has not yet begun its own program, still holds the
/// mount for a moment: on a machine with more to do than it can, for half a second and more.
const UNMOUNT_ATTEMPTS: u32 = 21;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(100);
/// Once nothing goes out any more, giving up takes a moment; what takes longer hangs, and must not hold the end up.
const GIVING_UP_MAX: Duration = Duration::from_secs(5);

/// Why a process serves a mount no longer.
pub enum End {
    /// The mount has ended.
    Mount(Ending),
    /// Another process goes on, of this program if one was named.
    HandedOver(Option<PathBuf>),
}

/// What the tasks that perform actions report.
enum Happened {
    Drained { round: u64, failures: Vec<Failure> },
    StoreGone,
    StoreAnswers,
    Unmounted(Unmounted),
    SessionEnded(io::Result<()>),
    HandedOver(Result<(), String>),
}

/// A handover under way.
struct Handing {
    program: Option<PathBuf>,
    asker: Option<Connection>,
}

/// A mount that is served.
pub struct Serving {
    vfs: Arc<Vfs>,
    line: Arc<Line>,
    bare: Arc<dyn Store>,
    dir: PathBuf,
    gate: Arc<Gate>,
    can_be_taken_over: bool,
    handing: Option<Handing>,
    /// Whether a signal came meanwhile.
    signalled: bool,
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
    /// Ready to serve.
    pub fn new(stack: &Stack, dir: PathBuf, gate: Arc<Gate>, can_be_taken_over: bool) -> Self {
        // Unbounded, but each report answers one action, of which few are under way.
        let (reports, happened) = mpsc::unbounded_channel();
        Self {
            vfs: Arc::clone(&stack.vfs),
            line: Arc::clone(&stack.line),
            bare: Arc::clone(&stack.bare),
            dir,
            gate,
            can_be_taken_over,
            handing: None,
            signalled: false,
            shutdown: Shutdown::default(),
            told: BTreeSet::new(),
            asker: None,
            round: 0,
            reports,
            happened,
        }
    }

    /// Serves. Says why it is over, and who is to be told.
    pub async fn until_the_end(
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
                Some((request, connection)) = requests.recv() => {
                    // Whoever has hung up before this one asked stands in nobody's way.
                    if self.asker.take_if(|asker| asker.has_hung_up()).is_some()
                        && let Some(ending) = self.react(&Event::AskerGone).await
                    {
                        return (End::Mount(ending), None);
                    }
                    self.on_request(request, connection)
                }
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
            if let Some(ending) = self.react(&event).await {
                return (End::Mount(ending), self.asker);
            }
        }
    }

    /// Does what an event asks for. The answer is the end, if it is that.
    async fn react(&mut self, event: &Event) -> Option<Ending> {
        for action in self.shutdown.on_event(event) {
            if let Some(ending) = self.perform(action).await {
                return Some(ending);
            }
        }
        None
    }

    fn on_request(&mut self, request: Request, connection: Connection) -> Option<Event> {
        let (Request::Umount { dir, .. } | Request::Upgrade { dir, .. }) = &request;
        if *dir != self.dir {
            let text = format!("{} is another view of this mount; name {}", dir.display(), self.dir.display());
            connection.reply(Reply::Refused(text));
            return None;
        }
        if self.handing.is_some() {
            connection.reply(Reply::Refused("another process is about to go on with it; try again".to_owned()));
            return None;
        }
        let lossy = if matches!(request, Request::Umount { force: true, .. }) { Lossy::Yes } else { Lossy::No };
        if !self.shutdown.accepts(lossy) {
            connection.reply(Reply::Refused("it is being unmounted already".to_owned()));
            return None;
        }
        match request {
            Request::Umount { force, .. } => {
                tracing::info!(force, "asked to unmount");
                self.tell(Reply::Refused("`brigade umount --force` has taken over".to_owned()));
                self.asker = Some(connection);
                self.told.clear();
                if force {
                    self.ask_store();
                }
                Some(Event::Asked(lossy))
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
        if self.handing.is_some() || !self.shutdown.accepts(Lossy::No) {
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
            Happened::StoreGone => Some(Event::StoreGone),
            Happened::StoreAnswers => Some(Event::StoreAnswers),
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
            let answers = line::answers(&*bare).await;
            // Nobody listens once the mount has ended.
            let _ = reports.send(if answers { Happened::StoreAnswers } else { Happened::StoreGone });
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
        tracing::info!(?refusal, "not unmounted");
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
