//! Builds the layers of one mount, from the store at the bottom to the file system, and takes them down again.

use crate::base::random;
use crate::mount::check;
use crate::mount::check::Place;
use crate::mount::plan::Plan;
use crate::mount::source::LOCAL_BUCKET;
use crate::mount::source::Source;
use crate::server;
use crate::server::Server;
use crate::server::keys::Keys;
use crate::store::Store;
use crate::vfs::Vfs;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The region of a local source; any would do, as client and backend agree on it.
const LOCAL_REGION: &str = "us-east-1";

/// Why a stack could not be built. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory of a local source.
    #[error("cannot make the data directory {}: {cause}; name a directory that can be written to", data.display())]
    Data {
        /// The directory.
        data: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The bundled backend.
    #[error("{0}")]
    Server(#[from] server::Error),
    /// The store cannot be used.
    #[error("{0}")]
    Store(String),
}

/// The layers of one mount.
pub struct Stack {
    /// The file system.
    pub vfs: Arc<Vfs>,
    server: Option<Server>,
}

impl Stack {
    /// Builds everything below the kernel and checks that the store can be used.
    ///
    /// # Errors
    /// When a local source cannot be served, or the store cannot be used.
    pub async fn open(plan: &Plan) -> Result<Self, Error> {
        let server = match &plan.source {
            Source::S3 { .. } => None,
            Source::Local { data } => Some(serve_local(data).await?),
        };
        let (store, place): (Arc<dyn Store>, Place) = todo!();
        check::usable(store.as_ref(), &plan.vfs.prefix, &place).await.map_err(Error::Store)?;
        let vfs = Vfs::new(store, plan.vfs.clone(), tokio::runtime::Handle::current());
        Ok(Self { vfs, server })
    }

    /// Takes the layers down; a data directory is free afterwards.
    pub async fn close(self) {
        drop(self.vfs);
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
}

async fn serve_local(data: &Path) -> Result<Server, Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|cause| Error::Data { data: data.to_owned(), cause })?;
    // The pair lives as long as the mount and is written nowhere.
    let keys = Keys { access_key_id: format!("LOCAL{}", random::hex::<8>()), secret: random::hex::<20>() };
    let options = server::Options {
        data: data.to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        keys,
        buckets: vec![LOCAL_BUCKET.to_owned()],
        region: LOCAL_REGION.to_owned(),
        base_domains: Vec::new(),
        sync: true,
    };
    Ok(Server::start(options).await?)
}
