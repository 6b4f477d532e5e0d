//! Where requests for a bucket go.

use crate::http::Origin;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::client::Options;
use crate::wire::uri;

/// An address of the bucket, and the region that requests are signed for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub origin: Origin,
    pub region: String,
    /// What stands before a key in the path: `/`, or `/bucket/`.
    base: String,
}

impl Site {
    /// The site that options lead to; `region` is one that was learnt and goes before theirs.
    pub fn new(options: &Options, region: Option<&str>) -> Result<Self> {
        let invalid = |message: String| Error::new(Op::HeadBucket, "", Kind::Invalid, message);
        let provider = options.provider;
        let region = region.or(options.region.as_deref()).unwrap_or(provider.region).to_owned();
        let endpoint = match (&options.endpoint, provider.origin(&region)) {
            (Some(origin), _) => origin.clone(),
            (None, Some(origin)) => {
                origin.map_err(|error| invalid(format!("the region {region:?} gives no endpoint: {error}")))?
            }
            (None, None) => {
                return Err(invalid(format!("the provider {} needs an endpoint; give its URL", provider.name)));
            }
        };
        if options.bucket.is_empty() || options.bucket.contains('/') || matches!(options.bucket.as_str(), "." | "..") {
            return Err(invalid(format!("{:?} is not the name of a bucket", options.bucket)));
        }
        let addressing = options.addressing.unwrap_or(provider.addressing);
        if addressing.by_host(&endpoint, &options.bucket) {
            let origin = endpoint.below(&options.bucket).map_err(|error| invalid(error.to_string()))?;
            return Ok(Self { origin, region, base: "/".to_owned() });
        }
        let base = format!("/{}/", uri::encode(&options.bucket));
        Ok(Self { origin: endpoint, region, base })
    }

    /// The path of an object, or of the bucket.
    pub fn path(&self, key: Option<&str>) -> String {
        match key {
            Some(key) => format!("{}{}", self.base, uri::encode_path(key)),
            None => self.base.clone(),
        }
    }
}
