//! The life of a process that serves a mount: build, take the connection, serve until the end, take down. What the end is
//! made of is decided by `shutdown.rs` and performed by `serving.rs`.

use crate::fuse;
use crate::fuse::Begin;
use crate::fuse::Session;
use crate::http::server::Listening;
use crate::mount::control::Answers;
use crate::mount::control::Connection;
use crate::mount::control::Listener;
use crate::mount::control::Reply;
use crate::mount::control::Request;
use crate::mount::link::Link;
use crate::mount::link::News;
use crate::mount::link::Order;
use crate::mount::metrics;
use crate::mount::observatory::Counters;
use crate::mount::observatory::Logging;
use crate::mount::observatory::Looked;
use crate::mount::observatory::Observatory;
use crate::mount::plan::Plan;
use crate::mount::reach;
use crate::mount::serving::End;
use crate::mount::serving::Serving;
use crate::mount::shutdown::Ending;
use crate::mount::signals::Signals;
use crate::mount::stack::Stack;
use crate::mount::table;
use crate::vfs::known::Known;
use crate::vfs::notes::Notes;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const WORKERS_MAX: usize = 4;
/// Why there is no mount, or how it ended badly. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layers below.
    #[error("{0}")]
    Stack(#[from] reach::Error),
    /// The process itself.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// Figures cannot be shown.
    #[error("cannot listen at {addr} for --metrics: {cause}; name an address of this machine and a port that is free")]
    Metrics {
        /// Where.
        addr: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// Something that was written is not in the bucket.
    #[error("{} was unmounted before everything was stored; the log names the files", .0.display())]
    Lost(PathBuf),
}

/// Serves the mount that the process at the other end of `link` keeps, calls `ready` once it does, and returns when the mount
/// has ended. What is logged can be changed through `logging`.
///
/// # Errors
/// When it could not be served, or it ended without having stored everything.
pub fn run(
    plan: &Plan,
    link: &Arc<Link>,
    logging: Arc<dyn Logging>,
    ready: impl FnOnce() -> io::Result<()>,
) -> Result<(), Error> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, WORKERS_MAX);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_all().build().map_err(Error::Start)?;
    let result = runtime.block_on(take_and_serve(plan, link, logging, ready));
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

async fn take_and_serve(
    plan: &Plan,
    link: &Arc<Link>,
    logging: Arc<dyn Logging>,
    ready: impl FnOnce() -> io::Result<()>,
) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(Error::Start)?;
    let (dir, inheritance) = told_to_prepare(link).map_err(Error::Start)?;
    let counters = Arc::new(Counters::default());
    let stack = open(plan, &inheritance, &counters, &mut signals).await?;
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
    let begin = inheritance.begin;
    let looked = Looked {
        source: plan.source.to_string(),
        dir: dir.clone(),
        vfs: Arc::clone(&stack.vfs),
        line: Arc::clone(&stack.line),
    };
    let observatory = Arc::new(Observatory::new(looked, Arc::clone(&counters), logging));
    let (desk, requests) = match Desk::open(plan, &dir, begin, observatory).await {
        Ok(opened) => opened,
        Err(error) => {
            stack.close().await;
            return Err(error);
        }
    };
    let options = fuse::Options { fs_name: plan.source.to_string(), ..plan.fuse.clone() };
    stack.vfs.take(&inheritance.known).await;
    let deadline = fuse::Deadline { line: Arc::clone(&stack.line), timeout: plan.policy.total };
    let (vfs, fuse_counters) = (Arc::clone(&stack.vfs), Arc::clone(&counters.fuse));
    let session = Session::serve(vfs, &device, begin, Handle::current(), deadline, fuse_counters, &options);
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
    let serving = Serving::new(&stack, dir.clone(), session.gate(), can_be_taken_over);
    let (end, asker) = serving.until_the_end(session, signals, requests, orders).await;
    desk.close().await;
    stack.close().await;
    take_leave(plan, link, dir, &end, asker).await
}

/// Tells how it ended: the log, the process that keeps the mount, and who has asked for it.
async fn take_leave(plan: &Plan, link: &Link, dir: PathBuf, end: &End, asker: Option<Connection>) -> Result<(), Error> {
    let (reply, news) = match end {
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

async fn open(
    plan: &Plan,
    inheritance: &Inheritance,
    counters: &Counters,
    signals: &mut Signals,
) -> Result<Stack, Error> {
    let opening = Stack::open(plan, inheritance, counters);
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

/// Where others ask about the mount, or ask something of it.
struct Desk {
    listening: Option<JoinHandle<()>>,
    shown: Option<Listening>,
}

impl Desk {
    /// Opens it. Requests come out of what is returned with it; questions are answered by the observatory.
    async fn open(
        plan: &Plan,
        dir: &Path,
        begin: Begin,
        observatory: Arc<Observatory>,
    ) -> Result<(Self, mpsc::Receiver<(Request, Connection)>), Error> {
        let shown = show(plan, begin, &observatory).await?;
        let (requests, listening) = listen(plan, dir, observatory);
        Ok((Self { listening, shown }, requests))
    }

    async fn close(self) {
        if let Some(listening) = self.listening {
            // Awaited, for the socket's file to be gone when this process is.
            listening.abort();
            let _ = listening.await;
        }
        drop(self.shown);
    }
}

/// Shows figures to monitors, if that was asked for. A mount that programs use goes on without.
async fn show(plan: &Plan, begin: Begin, observatory: &Arc<Observatory>) -> Result<Option<Listening>, Error> {
    let Some(addr) = plan.metrics else { return Ok(None) };
    match (metrics::serve(addr, Arc::clone(observatory)).await, begin) {
        (Ok(listening), _) => Ok(Some(listening)),
        (Err(cause), Begin::Fresh) => Err(Error::Metrics { addr, cause }),
        (Err(cause), Begin::TakenOver) => {
            tracing::warn!(%addr, %cause, "no figures for monitors from now on: nobody can listen there");
            Ok(None)
        }
    }
}

// Without a socket the mount works and can be unmounted by the system's means, which drain as well.
fn listen(
    plan: &Plan,
    dir: &Path,
    answers: Arc<dyn Answers>,
) -> (mpsc::Receiver<(Request, Connection)>, Option<JoinHandle<()>>) {
    let (sender, receiver) = mpsc::channel(8);
    let bound = Listener::bind(&plan.control_dir, || {
        let mounts = table::read()?;
        let mount = table::at(&mounts, dir).ok_or(io::ErrorKind::NotFound)?;
        Ok(mount.device)
    });
    match bound {
        Ok(listener) => (receiver, Some(tokio::spawn(listener.serve(sender, answers)))),
        Err(cause) => {
            let place = plan.control_dir.display();
            tracing::warn!(%cause, %place, "no control socket: `brigade umount` will not find this mount, use `umount`");
            (receiver, None)
        }
    }
}
