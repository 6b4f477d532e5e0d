//! The bundled backend: an object store over a data directory that speaks three dialects on one port.
//!
//! A request's dialect is told ([`dialect`]); it is authenticated ([`auth`]), routed ([`route`]) and performed ([`ops`]) on the store ([`backend`]);
//! [`service`] leads it through. The connection itself is [`crate::http::server`]'s.

pub mod attributes;
pub mod auth;
pub mod backend;
pub mod body;
pub mod condition;
pub mod data;
pub mod dialect;
pub mod fault;
pub mod faults;
pub mod fields;
pub mod keys;
pub mod log;
pub mod ops;
pub mod permissions;
pub mod receive;
pub mod reply;
pub mod route;
pub mod secret_file;
pub mod service;
pub mod storage_class;
pub mod traffic;
pub mod upload_id;
pub mod users;

pub use backend::usage::Usage;
pub use data::Error;
pub use dialect::Dialect;
pub use traffic::Traffic;

use crate::base::clock;
use crate::http::server::Limits;
use crate::http::server::Listening;
use crate::server::backend::Backend;
use crate::server::backend::error;
use crate::server::data::DataDirectory;
use crate::server::faults::Faults;
use crate::server::keys::KeyRing;
use crate::server::keys::Keys;
use crate::server::permissions::Permissions;
use crate::server::service::Service;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept; made if it is not there.
    pub data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may use it.
    pub keys: Keys,
    /// Who else may use it, and for what.
    pub users: Vec<(Keys, Permissions)>,
    /// Buckets to make if they are not there.
    pub buckets: Vec<String>,
    /// The region that it says it is in; requests signed for another one are taken as well.
    pub region: String,
    /// Domains whose subdomains are buckets, beside `localhost`.
    pub base_domains: Vec<String>,
    /// Whether what was answered is on disk. Without, a crash of the machine may lose the last second.
    pub sync: bool,
    /// What a request speaks whose signature and host do not tell.
    pub dialect: Dialect,
    /// Whether limits of the vendors hold that only one of their pages has, or only some of their hosts: storage
    /// classes by host and region, the smallest part of JSS, the longest key of Wangsu, a `Content-Length` for every
    /// request that begins an upload.
    pub strict: bool,
    /// What goes wrong on purpose, for tests of clients.
    pub faults: Option<faults::Plan>,
}

impl Options {
    /// A server of the data in a directory, for whoever has the keys, on a free port of this machine: S3 by default,
    /// in `us-east-1`, without buckets of its own, with everything on disk that it answers.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>, keys: Keys) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keys,
            users: Vec::new(),
            buckets: Vec::new(),
            region: "us-east-1".to_owned(),
            base_domains: Vec::new(),
            sync: true,
            dialect: Dialect::S3,
            strict: false,
            faults: None,
        }
    }
}

/// A running server. Dropped without [`shutdown`](Self::shutdown) it stops at once; what it answered is kept.
pub struct Server {
    listening: Listening,
    service: Arc<Service>,
    // Released last.
    _data: DataDirectory,
}

impl Server {
    /// Opens the data and listens.
    pub async fn start(options: Options) -> Result<Self, Error> {
        Self::start_with(options, Limits::default()).await
    }

    /// Does so with other limits for clients.
    pub async fn start_with(options: Options, limits: Limits) -> Result<Self, Error> {
        let names = options.buckets.clone();
        let (path, sync) = (options.data.clone(), options.sync);
        let opened = tokio::task::spawn_blocking(move || data::open(&path, sync)).await;
        let (data, backend) = opened.map_err(|error| Error::Internal(error.to_string()))??;
        make_buckets(&backend, names).await?;
        let newest = backend.read(backend::usage::newest_upload).await;
        upload_id::begin_after(newest.map_err(|error| Error::Internal(error.to_string()))?);
        let faults = Faults::default();
        faults.set(options.faults);
        let service = Arc::new(Service {
            faults,
            backend: Arc::new(backend),
            keys: KeyRing::new(options.keys).with(options.users),
            dialect: options.dialect,
            strict: options.strict,
            region: options.region,
            base_domains: options.base_domains,
            traffic: Mutex::default(),
        });
        let listening = Listening::start(options.listen, limits, Arc::clone(&service)).await;
        let listening = listening.map_err(|source| Error::Listen { addr: options.listen, source })?;
        Ok(Self { listening, service, _data: data })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr()
    }

    /// How many requests there were, by S3's name of the operation.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.traffic().into_iter().map(|(name, traffic)| (name, traffic.requests)).collect()
    }

    /// How many requests there were and what they carried, by S3's name of the operation.
    #[must_use]
    pub fn traffic(&self) -> BTreeMap<&'static str, Traffic> {
        self.service.traffic.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Puts another plan of faults in force, from its beginning; `None` ends all faults. Requests that are under way go
    /// on as they were decided.
    pub fn set_faults(&self, plan: Option<faults::Plan>) {
        self.service.faults.set(plan);
    }

    /// How often each rule of the plan of faults has matched and hit.
    #[must_use]
    pub fn fault_counts(&self) -> Vec<faults::Counts> {
        self.service.faults.counts()
    }

    /// How much a bucket holds, parts of unfinished uploads apart.
    pub async fn usage(&self, bucket: &str) -> Result<Usage, error::Error> {
        let bucket = bucket.to_owned();
        self.service.backend.read(move |snapshot| backend::usage::usage(snapshot, &bucket)).await
    }

    /// Takes no more connections, lets requests in flight end for some seconds, and brings everything to disk.
    pub async fn shutdown(self) {
        let Self { listening, service, _data: data } = self;
        listening.shutdown().await;
        // The last owner waits for the writer to commit, which blocks.
        let closed = tokio::task::spawn_blocking(move || {
            drop(service);
            drop(data);
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing the store failed");
        }
    }
}

async fn make_buckets(backend: &Backend, names: Vec<String>) -> Result<(), Error> {
    if let Some(name) = names.iter().find(|name| !route::is_bucket_name(name)) {
        return Err(Error::BucketName(name.clone()));
    }
    let now = clock::now().into();
    for name in names {
        match backend.write(move |tables| tables.create_bucket(&name, now)).await {
            Ok(()) | Err(error::Error::BucketExists) => {}
            Err(error) => return Err(Error::Internal(error.to_string())),
        }
    }
    Ok(())
}
