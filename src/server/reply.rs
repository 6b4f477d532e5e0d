//! Answers: a status, headers, and a document or bytes.

use crate::http::HeaderMap;
use crate::http::StatusCode;
use crate::http::server::Response;
use crate::http::server::ResponseBody;
use crate::server::attributes::insert;
use crate::server::backend::record::ENCRYPTION;
use crate::server::backend::record::ENCRYPTION_HEADER;
use crate::server::backend::record::Protection;
use crate::server::fault::Fault;
use crate::wire::checksum::Checksum;
use crate::wire::etag::ETag;
use crate::wire::xml::Document;
use crate::wire::xml::ErrorDocument;
use bytes::Bytes;

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    Response { status, headers: HeaderMap::new(), body: ResponseBody::Empty }
}

/// An answer that is a document.
#[must_use]
pub fn xml(document: String) -> Response {
    xml_with(StatusCode::OK, document)
}

fn xml_with(status: StatusCode, document: String) -> Response {
    let mut response = Response { status, headers: HeaderMap::new(), body: ResponseBody::Full(Bytes::from(document)) };
    insert(&mut response.headers, "content-type", b"application/xml");
    response
}

/// The answer to a request that was refused. The answer to `HEAD` has no body.
#[must_use]
pub fn refused(fault: &Fault, resource: &str, request_id: &str, is_head: bool) -> Response {
    let status = StatusCode::from_u16(fault.code.status()).expect("the codes have statuses");
    if is_head {
        return empty(status);
    }
    let document = ErrorDocument {
        code: fault.code.name().to_owned(),
        message: fault.message.clone().into_owned(),
        resource: Some(resource.to_owned()),
        request_id: Some(request_id.to_owned()),
        host_id: None,
        region: None,
        details: fault.details.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect(),
    };
    xml_with(status, document.write())
}

impl Response {
    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        insert(&mut self.headers, name, value.as_bytes());
        self
    }

    /// Adds the tag.
    #[must_use]
    pub fn with_etag(self, etag: &ETag) -> Self {
        self.with("etag", &etag.quoted())
    }

    /// Says that the object is encrypted, if it is.
    #[must_use]
    pub fn with_protection(self, protection: Protection) -> Self {
        match protection {
            Protection::Plain => self,
            Protection::Sealed => self.with(ENCRYPTION_HEADER, ENCRYPTION),
        }
    }

    /// Adds a checksum, if there is one.
    #[must_use]
    pub fn with_checksum(self, checksum: Option<&Checksum>) -> Self {
        match checksum {
            Some(checksum) => self.with(checksum.algorithm.header(), &checksum.base64()),
            None => self,
        }
    }
}
