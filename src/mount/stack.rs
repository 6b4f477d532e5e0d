//! Builds the layers of one mount, from the store at the bottom to the file system, and takes them down again.

use crate::http::Origin;
use crate::mount::check;
use crate::mount::check::Place;
use crate::mount::plan::Endpoint;
use crate::mount::plan::Plan;
use crate::mount::source::LOCAL_BUCKET;
use crate::mount::source::Source;
use crate::server;
use crate::server::Server;
use crate::server::keys::Keys;
use crate::store::Store;
use crate::store::client;
use crate::store::client::Client;
use crate::store::credentials;
use crate::store::credentials::AwsChain;
use crate::store::credentials::Credentials;
use crate::store::credentials::CredentialsProvider;
use crate::store::credentials::SharedCredentials;
use crate::store::layers::retry::Policy;
use crate::store::layers::retry::Retry;
use crate::store::layers::trace::Counters;
use crate::store::layers::trace::Traced;
use crate::store::provider::Provider;
use crate::vfs::Vfs;
use std::io;
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
        let (client, place, server) = match &plan.source {
            Source::S3 { bucket, .. } => {
                let (client, place) = reach(bucket, &plan.endpoint).await?;
                (client, place, None)
            }
            Source::Local { data } => {
                let (client, place, server) = serve_local(data).await?;
                (client, place, Some(server))
            }
        };
        // Unlayered: a person waits, and hears at once what a retry would hide.
        check::usable(&client, &plan.vfs.prefix, &place).await.map_err(Error::Store)?;
        // Traced below the retries, so that each attempt is seen.
        let traced = Arc::new(Traced::new(Arc::new(client), Arc::new(Counters::default())));
        let store: Arc<dyn Store> = Arc::new(Retry::new(traced, Policy::default()));
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

// The bucket that a user named.
async fn reach(bucket: &str, endpoint: &Endpoint) -> Result<(Client, Place), Error> {
    let profile = endpoint.profile.as_deref();
    let provider = endpoint.provider.unwrap_or_else(|| Provider::of_endpoint(endpoint.url.as_ref()));
    let region = match &endpoint.region {
        Some(region) => Some(region.clone()),
        None => credentials::aws_region(profile).await,
    };
    let credentials = AwsChain::new(profile).await;
    credentials.credentials().await.map_err(|why| Error::Store(why.to_string()))?;
    let own = provider.origin(region.as_deref().unwrap_or(provider.region)).and_then(Result::ok);
    let shown = endpoint.url.clone().or(own).map_or_else(|| provider.name.to_owned(), |origin| origin.to_string());
    let mut options = client::Options::new(bucket, provider);
    options.endpoint.clone_from(&endpoint.url);
    options.region = region;
    options.addressing = endpoint.addressing;
    let place = Place { bucket: bucket.to_owned(), endpoint: shown };
    connect(options, Arc::new(credentials), place)
}

// A backend in this process, and its bucket.
async fn serve_local(data: &Path) -> Result<(Client, Place, Server), Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|cause| Error::Data { data: data.to_owned(), cause })?;
    // The pair lives as long as the mount and is written nowhere.
    let keys = Keys::random();
    let credentials = Credentials::new(keys.access_key_id.clone(), keys.secret.clone());
    let server = Server::start(server::Options {
        buckets: vec![LOCAL_BUCKET.to_owned()],
        region: LOCAL_REGION.to_owned(),
        ..server::Options::new(data, keys)
    });
    let server = server.await?;
    let url = format!("http://{}", server.addr());
    let mut options = client::Options::new(LOCAL_BUCKET, Provider::brigade());
    options.endpoint = Some(Origin::parse(&url).expect("an address and a port make an URL"));
    options.region = Some(LOCAL_REGION.to_owned());
    let place = Place { bucket: LOCAL_BUCKET.to_owned(), endpoint: url };
    let (client, place) = connect(options, Arc::new(credentials), place)?;
    Ok((client, place, server))
}

fn connect(options: client::Options, keys: SharedCredentials, place: Place) -> Result<(Client, Place), Error> {
    match Client::connect(options, keys) {
        Ok(client) => Ok((client, place)),
        Err(error) => Err(Error::Store(check::explain(&error, &place))),
    }
}
