//! A mounted file system: from `mount` to the end of its threads.

use crate::fuse::ops::Ops;
use crate::fuse::pool::Deadline;
use crate::vfs::Vfs;
use fuser::Config;
use fuser::MountOption;
use fuser::SessionACL;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Handle;

/// Threads that take requests from the kernel. More never paid on the machines measured, and one would let a slow
/// answer from memory hold up all others.
const THREADS: usize = 2;

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

/// A mounted file system.
pub struct Session {
    thread: JoinHandle<io::Result<()>>,
}

impl Session {
    /// Mounts `vfs` on `dir`; it serves when this returns. Requests end by `deadline`.
    ///
    /// # Errors
    /// What the system answers to `mount`.
    pub fn mount(
        vfs: Arc<Vfs>,
        dir: &Path,
        runtime: Handle,
        deadline: Deadline,
        options: &Options,
    ) -> io::Result<Self> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName(options.fs_name.clone()),
            MountOption::Subtype("brigade".into()),
            MountOption::DefaultPermissions,
            MountOption::NoSuid,
            MountOption::NoDev,
            if options.read_only { MountOption::RO } else { MountOption::RW },
        ];
        config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(THREADS);
        config.clone_fd = true;
        let session = fuser::Session::new(Ops::new(vfs, runtime, deadline), dir, &config)?;
        let thread = std::thread::Builder::new().name("fuse".into()).spawn(move || session.run())?;
        Ok(Self { thread })
    }

    /// Waits until it has been unmounted.
    ///
    /// # Errors
    /// Why the session broke off.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().map_err(|_| io::Error::other("the session's thread broke"))?
    }
}
