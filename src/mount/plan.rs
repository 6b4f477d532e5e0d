//! What one mount is to be, complete and checked, before anything is opened.

use crate::fuse;
use crate::mount::source::Source;
use crate::vfs;
use std::path::PathBuf;

/// Everything that a mount depends on. `cli/resolve.rs` makes it from what was typed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to mount.
    pub source: Source,
    /// Where, as typed.
    pub dir: PathBuf,
    /// How to reach the store; of no effect on a local source.
    pub endpoint: Endpoint,
    /// How objects look as files, and how they are written.
    pub vfs: vfs::Options,
    /// How the kernel mounts it.
    pub fuse: fuse::Options,
    /// The directory of the control socket.
    pub control_dir: PathBuf,
}

/// How to reach the store, as far as the user said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL of the endpoint.
    pub url: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// The profile in the files of the AWS tools.
    pub profile: Option<String>,
    /// How the bucket is named in requests.
    pub addressing: Addressing,
    /// A row of the table of known providers.
    pub provider: Option<String>,
}

/// How the bucket is named in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// As the provider prefers it.
    #[default]
    Auto,
    /// In the path.
    Path,
    /// In the host name.
    Virtual,
}
