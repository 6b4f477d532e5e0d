//! The connection to the kernel: made once for a mount, and handed to every process that serves it.
//!
//! The kernel greets (`FUSE_INIT`) a new connection only. The process that mounts answers the greeting; one that serves the
//! connection afterwards is greeted by `greeted` instead, since the library expects it.

use crate::fuse::negotiate::negotiate;
use crate::fuse::session::Options;
use fuser::Config;
use fuser::Filesystem;
use fuser::KernelConfig;
use fuser::MountOption;
use fuser::Request;
use fuser::SessionACL;
use fuser::Version;
use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;

/// Threads that take requests from the kernel. More never paid on the machines measured, and one would let a slow
/// answer from memory hold up all others.
const THREADS: usize = 2;
/// The first version of the protocol whose kernels give unanswered requests out again (Linux 6.9).
const RESEND_SINCE: Version = Version(7, 40);
/// `FUSE_INIT`.
const INIT: u32 = 26;
/// `FUSE_NOTIFY_RESEND`.
const NOTIFY_RESEND: i32 = 7;
/// Bytes of `struct fuse_in_header` and of `struct fuse_init_in`.
const GREETING_BYTES: usize = 40 + 64;
/// Bytes of `struct fuse_out_header`.
const ANSWER_HEADER_BYTES: u32 = 16;
/// The largest answer to a greeting: `struct fuse_out_header` and `struct fuse_init_out`.
const ANSWER_BYTES_MAX: usize = 16 + 64;

/// A mounted file system that nobody serves yet, or that another process serves.
pub struct Connection {
    // Never dropped: that would unmount, and what is mounted there by then may be another's.
    session: ManuallyDrop<fuser::Session<Greeter>>,
    version: Version,
}

/// Answers the kernel's greeting.
struct Greeter {
    version: Arc<OnceLock<Version>>,
}

impl Filesystem for Greeter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.version.get_or_init(|| config.kernel_abi());
        negotiate(config)
    }
}

impl Connection {
    /// Mounts on `dir`. Requests wait until a process serves them.
    ///
    /// # Errors
    /// What the system answers to `mount`.
    pub fn mount(dir: &Path, options: &Options) -> io::Result<Self> {
        let version = Arc::new(OnceLock::new());
        let session = fuser::Session::new(Greeter { version: Arc::clone(&version) }, dir, &config(options))?;
        let version = version.get().copied().unwrap_or(Version(0, 0));
        Ok(Self { session: ManuallyDrop::new(session), version })
    }

    /// The device, for a process that is to serve it.
    #[must_use]
    pub fn device(&self) -> BorrowedFd<'_> {
        self.session.as_fd()
    }

    /// Whether another process can take over: requests that the last one has read and not answered come again. Older
    /// kernels would let programs wait for their answers for ever.
    #[must_use]
    pub fn can_be_taken_over(&self) -> bool {
        self.version >= RESEND_SINCE
    }
}

/// How the file system is mounted and served.
pub(super) fn config(options: &Options) -> Config {
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
    // A clone's unanswered requests end with the process that has it; those of the device itself can be given out again.
    config.clone_fd = false;
    config
}

/// The library's session over a device whose greeting was answered before. It answers one that is made up, on a socket in
/// the device's place.
pub(super) fn greeted<F: Filesystem>(
    filesystem: F,
    device: &OwnedFd,
    options: &Options,
) -> io::Result<fuser::Session<F>> {
    let (ours, its) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut ours = File::from(ours);
    ours.write_all(&greeting())?;
    let config = config(options);
    let session = fuser::Session::from_fd(filesystem, its, config.acl, config)?;
    let mut answer = [0; ANSWER_BYTES_MAX];
    if ours.read(&mut answer)? < ANSWER_HEADER_BYTES as usize {
        return Err(io::Error::other("the session did not answer the greeting"));
    }
    // SAFETY: the number is that of the session's own descriptor, which lives as long as the session. It is borrowed for
    // one call that closes what it names and makes it name the device, at once; it is never closed through this value.
    let mut number = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(session.as_fd().as_raw_fd()) });
    rustix::io::dup3(device, &mut number, rustix::io::DupFlags::CLOEXEC)?;
    Ok(session)
}

/// Has requests given out again that were read and not answered by a process that is gone.
pub(super) fn ask_again(device: &OwnedFd) -> io::Result<()> {
    let mut notice = Vec::with_capacity(ANSWER_HEADER_BYTES as usize);
    notice.extend(ANSWER_HEADER_BYTES.to_ne_bytes());
    notice.extend(NOTIFY_RESEND.to_ne_bytes());
    notice.extend(0_u64.to_ne_bytes());
    rustix::io::write(device, &notice)?;
    Ok(())
}

/// A `FUSE_INIT` that offers nothing: what was agreed on with the kernel stays as it is.
fn greeting() -> Vec<u8> {
    let length = u32::try_from(GREETING_BYTES).expect("a small constant");
    let mut bytes = Vec::with_capacity(GREETING_BYTES);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(INIT.to_ne_bytes());
    // The rest of the header: a number, no inode, no user, no process.
    bytes.extend(1_u64.to_ne_bytes());
    bytes.resize(40, 0);
    bytes.extend(RESEND_SINCE.0.to_ne_bytes());
    bytes.extend(RESEND_SINCE.1.to_ne_bytes());
    bytes.resize(GREETING_BYTES, 0);
    bytes
}
