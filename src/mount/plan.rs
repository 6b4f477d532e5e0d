//! What one mount is to be, complete and checked, before anything is opened.

use crate::fuse;
use crate::http::Origin;
use crate::mount::source::Source;
use crate::store::provider::Addressing;
use crate::store::provider::Provider;
use crate::vfs;
use std::path::PathBuf;

/// Everything that a mount depends on. `cli/resolve.rs` makes it from what was typed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to mount.
    pub source: Source,
    /// Where, as typed.
    pub dir: PathBuf,
    /// How to reach the store.
    pub endpoint: Endpoint,
    /// How objects look as files, and how they are written.
    pub vfs: vfs::Options,
    /// How the kernel mounts it.
    pub fuse: fuse::Options,
    /// The directory of the control socket.
    pub control_dir: PathBuf,
}

/// How to reach the store, as far as the user said so. Of no effect on a local source.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// Where requests go; the provider's own endpoint if `None`.
    pub url: Option<Origin>,
    /// The region that requests are signed for; where AWS tools look for it, if `None`.
    pub region: Option<String>,
    /// The profile in the files of the AWS tools.
    pub profile: Option<String>,
    /// How the bucket is named in requests; as the provider likes it if `None`.
    pub addressing: Option<Addressing>,
    /// Who keeps the bucket; told by the endpoint if `None`.
    pub provider: Option<&'static Provider>,
}

/// Reads the URL of an endpoint.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn endpoint_url(text: &str) -> Result<Origin, String> {
    Origin::parse(text).map_err(|why| why.to_string())
}
