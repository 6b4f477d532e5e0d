//! The operations: each takes what a request says, asks the backend, and makes the answer. No routing, no signatures.

pub mod bucket;
pub mod copy;
pub mod delete;
pub mod get;
pub mod list;
pub mod multipart;
pub mod put;
pub mod uploads;

use crate::server::backend::Backend;
use crate::server::backend::index::Snapshot;
use crate::server::backend::record::Attributes;
use crate::server::backend::record::Millis;
use crate::server::body::Expected;
use crate::server::dialect::Dialect;
use crate::server::dialect::Site;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Fields;
use crate::server::permissions::Permissions;
use crate::server::receive;
use crate::server::reply;
use crate::server::storage_class;
use crate::server::storage_class::Rules;
use crate::wire::date;
use crate::wire::etag::ETagList;
use crate::wire::xml;
use crate::wire::xml::Owner;
use bytes::Bytes;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes; the largest body of one put or one part.
pub const PUT_BYTES_MAX: u64 = 5 << 30;
/// Bytes; smallest part that is not the last.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Bytes; the largest document but that of complete, which may name ten thousand parts with their checksums.
const DOCUMENT_BYTES_MAX: u64 = 2 << 20;

/// What every operation may need.
pub struct Context {
    /// The store.
    pub backend: Arc<Backend>,
    /// The headers of the request.
    pub fields: Fields,
    /// How the body is to be checked.
    pub payload: crate::server::auth::Payload,
    /// What its sender may do.
    pub permissions: Permissions,
    /// The time of the request.
    pub now: SystemTime,
    /// The region that the host names, or that this server is said to be in.
    pub region: String,
    /// Whose host was asked.
    pub site: Site,
    /// Whether the vendors' stricter rules hold.
    pub strict: bool,
    /// The host, as the client named it.
    pub host: String,
    /// Whether the host names the bucket.
    pub bucket_in_host: bool,
    /// Listings of objects are of this state of the index, if it is not the one now.
    pub past: Option<Arc<Snapshot>>,
}

impl Context {
    fn dialect(&self) -> Dialect {
        self.fields.dialect()
    }

    /// The storage class that is asked for, if one is; the inner `None` is the standard one.
    fn storage_class(&self) -> Result<Option<Option<String>>> {
        let rules = Rules { site: self.site, region: &self.region, strict: self.strict };
        storage_class::asked(&self.fields, &rules)
    }

    fn class_name(&self, attributes: &Attributes) -> String {
        storage_class::name(attributes.storage_class.as_deref(), self.dialect()).to_owned()
    }

    fn malformed(&self, error: &xml::Error) -> Fault {
        reply::malformed(self.dialect(), error)
    }

    fn millis(&self) -> Millis {
        Millis::from(self.now)
    }

    fn expected(&self) -> Result<Expected> {
        Expected::new(&self.fields, self.payload.clone())
    }

    fn tags(&self, header: &'static str) -> Result<Option<ETagList>> {
        Ok(self.fields.text(header)?.map(ETagList::parse))
    }

    // The checksum headers of an upload are those of the object, not of the document.
    fn complete_expected(&self) -> Result<Expected> {
        Expected::without_checksum(&self.fields, self.payload.clone())
    }

    // A date that cannot be read is as if it were not there (RFC 9110, 13.1.3).
    fn time(&self, header: &'static str) -> Result<Option<SystemTime>> {
        Ok(self.fields.text(header)?.and_then(date::parse_http))
    }

    async fn document(&self, body: crate::http::server::RequestBody) -> Result<Bytes> {
        receive::document(body, self.expected()?, DOCUMENT_BYTES_MAX).await
    }
}

/// There is one owner: whoever has the keys.
fn owner() -> Owner {
    Owner { id: "brigade".into(), display_name: "brigade".into() }
}
