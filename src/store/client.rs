//! The network client: addresses, signs and sends calls, and says what failed.
//!
//! It repeats a request only after learning something that makes the next one another request: the store's clock,
//! the bucket's region, fresh keys. Repeating for luck is [`crate::store::layers::retry`]'s. Here is what a client is
//! made of; `send` sends, `calls` are the operations, `copies` those that some stores lack.

mod body;
mod calls;
mod copies;
mod hosts;
mod send;
mod sign;
mod site;

use crate::http;
use crate::http::Origin;
use crate::http::Transport;
use crate::http::tls::Tls;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Facts;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::credentials::SharedCredentials;
use crate::store::provider::Addressing;
use crate::store::provider::Integrity;
use crate::store::provider::Provider;
use crate::store::provider::Signature;
use copies::AT_ONCE_MAX;
use hosts::VendorHost;
use sign::Signer;
use site::Site;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Which bucket, where, and how to speak to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bucket.
    pub bucket: String,
    /// Who keeps it.
    pub provider: &'static Provider,
    /// Where requests go; the provider's own endpoint if `None`.
    pub endpoint: Option<Origin>,
    /// The region; the provider's default if `None`.
    pub region: Option<String>,
    /// How the bucket is named; as the provider likes it if `None`.
    pub addressing: Option<Addressing>,
    /// How bytes are protected; as the provider's row says if `None`.
    pub integrity: Option<Integrity>,
    /// How requests are signed; as the provider's row says if `None`.
    pub signature: Option<Signature>,
    /// What was found out of the store; what the provider's row says if `None`.
    pub facts: Option<Facts>,
    /// For how long the store may be silent before a request counts as lost, where it has not to move bytes meanwhile.
    pub patience: Duration,
    /// Whose certificates are believed, and which one is shown.
    pub tls: Tls,
}

/// The patience of whoever has no other.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Options {
    /// A bucket at a provider, and everything else as the provider's row says.
    #[must_use]
    pub fn new(bucket: impl Into<String>, provider: &'static Provider) -> Self {
        let bucket = bucket.into();
        Self {
            bucket,
            provider,
            endpoint: None,
            region: None,
            addressing: None,
            integrity: None,
            signature: None,
            facts: None,
            patience: PATIENCE,
            tls: Tls::default(),
        }
    }
}

/// A bucket reached over the network.
pub struct Client {
    transport: Arc<dyn Transport>,
    credentials: SharedCredentials,
    options: Options,
    facts: Facts,
    integrity: Integrity,
    site: RwLock<Arc<Site>>,
    signer: Signer,
    /// The store has no multi-delete, as is known or as it said.
    deletes_singly: AtomicBool,
    /// The store cannot copy into a part, as is known or as it said.
    copies_through: AtomicBool,
    /// Parts that are copied through this machine at the same time.
    through: Semaphore,
}

impl Client {
    /// A client over the network. Sends nothing yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the options do not give an address or do not fit together, or TLS cannot be set up.
    pub fn connect(options: Options, credentials: SharedCredentials) -> Result<Self> {
        let site = Site::new(&options, None)?;
        let transport = http::client::Client::with_tls(&site.origin, &options.tls)
            .map_err(|error| invalid(error.to_string()).caused_by(error))?;
        Self::over(options, credentials, Arc::new(transport))
    }

    /// A client over another transport.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the options do not give an address or do not fit together.
    pub fn over(options: Options, credentials: SharedCredentials, transport: Arc<dyn Transport>) -> Result<Self> {
        let site = Site::new(&options, None)?;
        let [over_tls, over_plain] = options.provider.integrity;
        let by_row = if site.origin.is_tls() { over_tls } else { over_plain };
        let integrity = options.integrity.unwrap_or(by_row);
        let signature = options.signature.unwrap_or(options.provider.signature);
        check_fit(options.provider.dialect, signature, integrity)?;
        let facts = facts(&options, site.origin.host());
        Ok(Self {
            transport,
            credentials,
            integrity,
            site: RwLock::new(Arc::new(site)),
            signer: Signer::new(signature, options.provider.sends_date, options.patience),
            deletes_singly: AtomicBool::new(!facts.multi_delete),
            copies_through: AtomicBool::new(!facts.copy_part),
            through: Semaphore::new(AT_ONCE_MAX),
            facts,
            options,
        })
    }

    fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn dialect(&self) -> Dialect {
        self.facts.dialect
    }
}

/// The region that a vendor's host has in its name (`s3.cn-north-1.jdcloud-oss.com`), if it is known to have one.
#[must_use]
pub fn region_of_host(endpoint: &Origin) -> Option<String> {
    VendorHost::parse(endpoint.host())?.region.map(str::to_owned)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Op::HeadBucket, "", Kind::Invalid, message)
}

/// What is true of the store: what was found out or the row says, the dialect, and what the host's name tells.
fn facts(options: &Options, host: &str) -> Facts {
    let dialect = options.provider.dialect;
    let facts = options.facts.clone().unwrap_or_else(|| options.provider.facts.clone());
    let classes = VendorHost::parse(host).and_then(|vendor| vendor.classes).filter(|_| dialect == Dialect::S3);
    Facts {
        dialect,
        multi_delete: facts.multi_delete && dialect != Dialect::Jss,
        storage_classes: classes.unwrap_or(facts.storage_classes),
        ..facts
    }
}

/// Whether a dialect has such signatures, and both such checks of bodies.
fn check_fit(dialect: Dialect, signature: Signature, integrity: Integrity) -> Result<()> {
    if sign::dialect_of(signature) != dialect {
        let (token, own) = (sign::token_of(signature), sign::dialect_of(signature));
        return Err(invalid(format!(
            "the {dialect} dialect has no {token} signatures; use a provider that speaks {own}"
        )));
    }
    let name = match integrity {
        Integrity::Md5 | Integrity::Transport => return Ok(()),
        Integrity::SignedSha256 if sign::covers_body(signature) => return Ok(()),
        Integrity::SignedSha256 => {
            let token = sign::token_of(signature);
            return Err(invalid(format!("the signature {token} does not cover bodies; use md5 for integrity")));
        }
        Integrity::Crc64Nvme => "crc64nvme",
        Integrity::Crc32c => "crc32c",
    };
    match dialect {
        Dialect::S3 => Ok(()),
        Dialect::Jss | Dialect::Wos => {
            Err(invalid(format!("the {dialect} dialect has no checksum {name}; use md5 for integrity")))
        }
    }
}

#[cfg(test)]
mod tests;
