//! What one mount is to be, complete and checked, before anything is opened.

use crate::fuse;
use crate::http::Origin;
use crate::http::tls::Tls;
use crate::mount::source::Source;
use crate::server::faults;
use crate::store::client::PATIENCE;
use crate::store::layers::retry::Policy;
use crate::store::provider::Addressing;
use crate::store::provider::Integrity;
use crate::store::provider::Provider;
use crate::store::provider::Signature;
use crate::vfs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a mount depends on. `cli/resolve.rs` makes it from what was typed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to mount.
    pub source: Source,
    /// Where, as typed.
    pub dir: PathBuf,
    /// How to reach the store.
    pub endpoint: Endpoint,
    /// How long a store is waited for that fails or is gone.
    pub policy: Policy,
    /// How objects look as files, and how they are written.
    pub vfs: vfs::Options,
    /// How the kernel mounts it.
    pub fuse: fuse::Options,
    /// The directory of the control socket.
    pub control_dir: PathBuf,
    /// Where uploads and removals are remembered; nowhere if `None`.
    pub state_dir: Option<PathBuf>,
    /// Where blocks that were read are kept for the next mount; nowhere if `None`.
    pub cache_dir: Option<PathBuf>,
    /// Bytes that they may take of their disk.
    pub cache_limit: u64,
    /// Where figures are shown to monitors; nowhere if `None`.
    pub metrics: Option<SocketAddr>,
    /// Bytes that the journal may take of its disk.
    pub journal_limit: u64,
}

/// How to reach the store. Of a local source only the integrity counts.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where requests go; the provider's own endpoint if `None`.
    pub url: Option<Origin>,
    /// The region that requests are signed for; where AWS tools look for it, if `None`.
    pub region: Option<String>,
    /// The profile in the files of the AWS tools.
    pub profile: Option<String>,
    /// How the bucket is named in requests; as the provider likes it if `None`.
    pub addressing: Option<Addressing>,
    /// Who keeps the bucket.
    pub provider: &'static Provider,
    /// How bytes are protected on their way; as the provider's row says if `None`.
    pub integrity: Option<Integrity>,
    /// How requests are signed; as the provider's row says if `None`.
    pub signature: Option<Signature>,
    /// For how long the store may be silent before a request counts as lost.
    pub patience: Duration,
    /// Whose certificates are believed, and which one is shown.
    pub tls: Tls,
    /// What the backend of a local source does wrong on purpose.
    pub faults: Option<faults::Plan>,
}

impl Endpoint {
    /// Everything as the provider's row and the AWS tools have it.
    #[must_use]
    pub fn new(provider: &'static Provider) -> Self {
        Self {
            url: None,
            region: None,
            profile: None,
            addressing: None,
            provider,
            integrity: None,
            signature: None,
            patience: PATIENCE,
            tls: Tls::default(),
            faults: None,
        }
    }
}

/// Reads the URL of an endpoint.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn endpoint_url(text: &str) -> Result<Origin, String> {
    Origin::parse(text).map_err(|why| why.to_string())
}
