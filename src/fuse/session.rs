//! A mounted file system that is served: from its connection to the end of its threads.

use crate::fuse::connection;
use crate::fuse::gate::Gate;
use crate::fuse::observe::Counters;
use crate::fuse::ops::Ops;
use crate::fuse::pool::Deadline;
use crate::vfs::Vfs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;

/// How the file system appears to the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Shown as the source in the table of mounts.
    pub fs_name: String,
    /// Whether users other than the mounting one may use it.
    pub allow_other: bool,
    /// Whether nothing may be changed.
    pub read_only: bool,
}

/// Whether the connection was served before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Not yet.
    Fresh,
    /// By another process, which may have left requests unanswered.
    TakenOver,
}

/// A file system that is served.
pub struct Session {
    thread: JoinHandle<io::Result<()>>,
    gate: Arc<Gate>,
}

impl Session {
    /// Serves `vfs` on the device of a [`Connection`](crate::fuse::Connection). Requests end by `deadline`, and are counted
    /// in `counters`.
    ///
    /// # Errors
    /// When the system has no thread or descriptor for it.
    pub fn serve(
        vfs: Arc<Vfs>,
        device: &OwnedFd,
        begin: Begin,
        runtime: Handle,
        deadline: Deadline,
        counters: Arc<Counters>,
        options: &Options,
    ) -> io::Result<Self> {
        let gate = Arc::new(Gate::default());
        let ops = Ops::new(vfs, runtime, Arc::clone(&gate), deadline, counters);
        let session = connection::greeted(ops, device, options)?;
        if begin == Begin::TakenOver {
            connection::ask_again(device)?;
        }
        let thread = std::thread::Builder::new().name("fuse".into()).spawn(move || session.run())?;
        Ok(Self { thread, gate })
    }

    /// Where requests pass.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Waits until it has been unmounted.
    ///
    /// # Errors
    /// Why the session broke off.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().map_err(|_| io::Error::other("the session's thread broke"))?
    }
}
