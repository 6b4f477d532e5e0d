//! The way from a source to its store: credentials, the bundled backend of a local source, and clients.

use crate::cache::blocks;
use crate::http::Origin;
use crate::journal::directory;
use crate::mount::check;
use crate::mount::check::Place;
use crate::mount::plan::Endpoint;
use crate::mount::source::LOCAL_BUCKET;
use crate::mount::source::Source;
use crate::server;
use crate::server::Server;
use crate::server::keys::Keys;
use crate::store::Facts;
use crate::store::client;
use crate::store::client::Client;
use crate::store::credentials;
use crate::store::credentials::AwsChain;
use crate::store::credentials::Credentials;
use crate::store::credentials::CredentialsProvider;
use crate::store::credentials::SharedCredentials;
use crate::store::probe;
use crate::store::probe::checksums;
use crate::store::provider::Integrity;
use crate::store::provider::Provider;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The region of a local source; any would do, as client and backend agree on it.
const LOCAL_REGION: &str = "us-east-1";

/// Why a store cannot be reached. Each is one line for the user.
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
    /// The local directory of the journal, or for what memory cannot hold.
    #[error("cannot use the journal directory {}: {cause}; name a directory that can be written to", dir.display())]
    Journal {
        /// The directory.
        dir: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The journal is another mount's, or not one that this version reads.
    #[error("{0}")]
    JournalDirectory(directory::Error),
    /// The cache is another mount's, or its directory cannot be used.
    #[error("{0}")]
    Cache(#[from] blocks::Error),
    /// The bundled backend.
    #[error("{0}")]
    Server(#[from] server::Error),
    /// No credentials.
    #[error("{0}")]
    Credentials(#[from] credentials::NoCredentials),
    /// The store cannot be used.
    #[error("{0}")]
    Store(String),
}

/// All that is needed to speak to a store.
pub struct Reached {
    /// Where it is, for messages.
    pub place: Place,
    options: client::Options,
    keys: SharedCredentials,
    server: Option<Server>,
}

impl Reached {
    /// Finds credentials, and starts the backend of a local source. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// When a local source cannot be served, or there are no credentials.
    pub async fn open(source: &Source, endpoint: &Endpoint) -> Result<Self, Error> {
        match source {
            Source::Bucket { bucket, .. } => remote(bucket, endpoint).await,
            Source::Local { data } => local(data, endpoint).await,
        }
    }

    /// A client that believes these facts of the store, or those of the provider's row.
    ///
    /// # Errors
    /// When options and provider give no address.
    pub fn client(&self, facts: Option<Facts>) -> Result<Client, Error> {
        let options = client::Options { facts, ..self.options.clone() };
        Client::connect(options, Arc::clone(&self.keys))
            .map_err(|error| Error::Store(check::explain(&error, &self.place)))
    }

    /// A client for [`probe::probe`].
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub fn asking_client(&self) -> Result<Client, Error> {
        self.client(Some(probe::optimistic(&self.provider().facts)))
    }

    /// Who keeps the bucket.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.options.provider
    }

    /// How bytes are protected on their way.
    #[must_use]
    pub fn integrity(&self) -> Integrity {
        let tls = self.place.endpoint.starts_with("https:");
        let [over_tls, over_plain] = self.options.provider.integrity;
        self.options.integrity.unwrap_or(if tls { over_tls } else { over_plain })
    }

    /// Has bodies protected by a checksum instead of the signature, if nobody has said how, this would be by the signature,
    /// and the store compares checksums. It is asked with a scratch object below `prefix`.
    pub async fn find_integrity(&mut self, prefix: &str) {
        if self.options.integrity.is_some() || self.integrity() != Integrity::SignedSha256 {
            return;
        }
        let options = client::Options { integrity: Some(Integrity::Crc64Nvme), ..self.options.clone() };
        let Ok(asking) = Client::connect(options, Arc::clone(&self.keys)) else { return };
        let compares = checksums::compares_crc64nvme(&asking, prefix).await;
        let endpoint = &self.place.endpoint;
        tracing::debug!(endpoint, ?compares, "asked whether the store compares checksums");
        if compares.unwrap_or(false) {
            self.options.integrity = Some(Integrity::Crc64Nvme);
        }
    }

    /// Stops the backend of a local source; its directory is free afterwards.
    pub async fn close(self) {
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
}

// The bucket that a user named.
async fn remote(bucket: &str, endpoint: &Endpoint) -> Result<Reached, Error> {
    let (profile, provider) = (endpoint.profile.as_deref(), endpoint.provider);
    let named_by_host = endpoint.url.as_ref().and_then(client::region_of_host);
    let region = match endpoint.region.clone().or(named_by_host) {
        Some(region) => Some(region),
        // Meant for Amazon's regions, mostly: what the endpoint says goes before.
        None => credentials::aws_region(profile).await,
    };
    let credentials = AwsChain::new(profile);
    credentials.credentials().await?;
    let own = provider.origin(region.as_deref().unwrap_or(provider.region)).and_then(Result::ok);
    let shown = endpoint.url.clone().or(own).map_or_else(|| provider.name.to_owned(), |origin| origin.to_string());
    let options = client::Options {
        endpoint: endpoint.url.clone(),
        region,
        addressing: endpoint.addressing,
        integrity: endpoint.integrity,
        patience: endpoint.patience,
        signature: endpoint.signature,
        tls: endpoint.tls.clone(),
        ..client::Options::new(bucket, provider)
    };
    let place = Place { bucket: bucket.to_owned(), endpoint: shown };
    Ok(Reached { place, options, keys: Arc::new(credentials), server: None })
}

// A backend in this process, and its bucket.
async fn local(data: &Path, endpoint: &Endpoint) -> Result<Reached, Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|cause| Error::Data { data: data.to_owned(), cause })?;
    // The pair lives as long as the mount and is written nowhere.
    let keys = Keys::random();
    let credentials = Credentials::new(keys.access_key_id.clone(), keys.secret.clone());
    let server = Server::start(server::Options {
        buckets: vec![LOCAL_BUCKET.to_owned()],
        region: LOCAL_REGION.to_owned(),
        faults: endpoint.faults.clone(),
        ..server::Options::new(data, keys)
    });
    let server = server.await?;
    let url = format!("http://{}", server.addr());
    let options = client::Options {
        endpoint: Some(Origin::parse(&url).expect("an address and a port make an URL")),
        region: Some(LOCAL_REGION.to_owned()),
        integrity: endpoint.integrity,
        patience: endpoint.patience,
        ..client::Options::new(LOCAL_BUCKET, Provider::brigade())
    };
    let place = Place { bucket: LOCAL_BUCKET.to_owned(), endpoint: url };
    Ok(Reached { place, options, keys: Arc::new(credentials), server: Some(server) })
}
