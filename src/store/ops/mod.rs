//! Every S3 call as a value: what it sends, and how its answer is read. Nothing here is signed, sent or repeated.
//!
//! Headers have S3's names here, whatever the dialect; they are exchanged where a request is signed and where an answer
//! arrives. Queries and documents differ by dialect, and are made and read here.

mod abort_upload;
mod complete_upload;
mod copy_object;
mod copy_part;
mod create_upload;
mod delete_object;
mod delete_objects;
mod failure;
mod get_object;
mod head_bucket;
mod head_object;
mod headers;
mod list_objects;
mod list_parts;
mod list_uploads;
mod move_object;
mod put_object;
mod put_part;

pub(crate) use abort_upload::AbortUpload;
pub(crate) use complete_upload::CompleteUpload;
pub(crate) use copy_object::CopyObject;
pub(crate) use copy_part::CopyPart;
pub(crate) use create_upload::CreateUpload;
pub(crate) use delete_object::DeleteObject;
pub(crate) use delete_objects::DELETE_KEYS_MAX;
pub(crate) use delete_objects::DeleteObjects;
pub(crate) use failure::error_document;
pub(crate) use failure::failure;
pub(crate) use get_object::GetObjectCall;
pub(crate) use head_bucket::HeadBucket;
pub(crate) use head_object::HeadObject;
pub(crate) use list_objects::ListObjectsCall;
pub(crate) use list_parts::ListParts;
pub(crate) use list_uploads::ListUploads;
pub(crate) use move_object::MoveObject;
pub(crate) use put_object::PutObject;
pub(crate) use put_part::PutPart;

use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::HeaderValue;
use crate::http::Method;
use crate::http::StatusCode;
use crate::http::header;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::wire::document;
use crate::wire::etag::ETag;
use crate::wire::json;
use crate::wire::xml;
use bytes::Bytes;

/// An S3 call.
pub(crate) trait Operation: Send + Sync {
    /// What a good answer is read as.
    type Output;

    /// What is sent.
    fn call(&self, dialect: Dialect) -> Result<Call>;

    /// Reads an answer of status 2xx.
    fn parse(&self, answer: &Answer) -> Result<Self::Output>;
}

/// A request before it knows where it goes and who sends it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub op: Op,
    /// The key it is about, for messages; in the path if `on_object`.
    pub key: String,
    pub on_object: bool,
    pub method: Method,
    pub query: Vec<(&'static str, String)>,
    pub headers: HeaderMap,
    pub pieces: Vec<Bytes>,
    /// The MD5 of the body, to be sent along.
    pub md5: Option<[u8; 16]>,
    /// The store may think for minutes before it says a word.
    pub is_slow: bool,
}

/// A call's answer of status 2xx with its whole body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub dialect: Dialect,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The MD5 that was sent with the body of the request.
    pub sent_md5: Option<[u8; 16]>,
}

impl Call {
    /// A call about an object.
    pub fn object(op: Op, method: Method, key: &str) -> Self {
        Self { on_object: true, ..Self::bucket(op, method, key) }
    }

    /// A call about the bucket; `about` is for messages.
    pub fn bucket(op: Op, method: Method, about: &str) -> Self {
        Self {
            op,
            key: about.to_owned(),
            on_object: false,
            method,
            query: Vec::new(),
            headers: HeaderMap::new(),
            pieces: Vec::new(),
            md5: None,
            is_slow: false,
        }
    }

    /// The same with a query parameter.
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// The same with a query parameter, if there is a value.
    pub fn query_if(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// The same with a header that is known to be a valid one.
    pub fn header(mut self, name: &'static str, value: &str) -> Result<Self> {
        self.insert(HeaderName::from_static(name), value)?;
        Ok(self)
    }

    /// Adds a header, whose value comes from outside.
    pub fn insert(&mut self, name: HeaderName, value: &str) -> Result<()> {
        let valid = HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes()));
        let value = valid.map_err(|_| {
            let message = format!("the value of {name} cannot be sent: {value:?}");
            Error::new(self.op, self.key.clone(), Kind::Invalid, message)
        })?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// The same with a document as its body.
    pub fn document(mut self, dialect: Dialect, document: String) -> Result<Self> {
        self.pieces = vec![Bytes::from(document)];
        self.header("content-type", document::media_type(dialect))
    }

    /// The same, with patience.
    pub fn slow(mut self) -> Self {
        self.is_slow = true;
        self
    }
}

/// A header as text, if it is there and is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// The tag of an answer, which must have one.
fn etag(answer: &Answer, op: Op, key: &str) -> Result<ETag> {
    match text(&answer.headers, header::ETAG.as_str()) {
        Some(etag) => Ok(ETag::new(etag)),
        None => {
            let message = format!("the answer has no ETag; is this an endpoint of {}?", answer.dialect);
            Err(Error::new(op, key, Kind::Protocol, message))
        }
    }
}

/// The tag of what was sent, which is its MD5 where the store does not encrypt and nothing was changed on the way.
fn etag_of_sent(answer: &Answer, op: Op, key: &str) -> Result<ETag> {
    let etag = etag(answer, op, key)?;
    let encrypts = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().starts_with("x-amz-server-side-encryption") && value != "false"
    };
    match (answer.sent_md5, etag.md5()) {
        (Some(sent), Some(kept)) if sent != kept && !answer.headers.iter().any(encrypts) => {
            let message = format!("the store keeps other bytes than were sent: the tag is {etag}, not their MD5");
            Err(Error::new(op, key, Kind::Corrupt, message))
        }
        (_, _) => Ok(etag),
    }
}

/// Reads the document of an answer, in the form of its dialect.
fn document<D: xml::Document + json::Document>(answer: &Answer, op: Op, key: &str) -> Result<D> {
    document_by(answer, op, key, |body| document::read(answer.dialect, body))
}

/// Reads the document of an answer, and tells a cut one from one that is something else.
fn document_by<T>(
    answer: &Answer,
    op: Op,
    key: &str,
    read: impl FnOnce(&[u8]) -> std::result::Result<T, document::Error>,
) -> Result<T> {
    // After a long wait an error comes with the status that was promised before.
    if failure::is_error(answer) {
        return Err(failure::in_document(op, key, answer));
    }
    let body = &answer.body;
    read(body).map_err(|error| {
        let kind = match &error {
            _ if body.trim_ascii().is_empty() => Kind::Network,
            document::Error::Malformed(_) if is_cut(answer) => Kind::Network,
            // JSS tells an internal error by a sentence in the place of the tag.
            document::Error::Invalid("ETag") if answer.dialect == Dialect::Jss => Kind::Unavailable,
            document::Error::Malformed(_)
            | document::Error::TooLarge
            | document::Error::Unexpected { .. }
            | document::Error::Missing(_)
            | document::Error::Invalid(_) => Kind::Protocol,
        };
        let message = match kind {
            Kind::Network => format!("the answer is empty or was cut off after {} bytes", body.len()),
            Kind::Unavailable => "the store failed, as it tells in the place of a tag".to_owned(),
            _ => format!("the answer is not what {} would say: {error}", answer.dialect),
        };
        Error::new(op, key, kind, message).caused_by(error)
    })
}

/// Whether a malformed body begins as a document of the dialect does.
fn is_cut(answer: &Answer) -> bool {
    let text = answer.body.trim_ascii_start();
    match answer.dialect {
        Dialect::S3 | Dialect::Wos => text.starts_with(b"<") && !text.starts_with(b"<!"),
        Dialect::Jss => json::is_cut(text),
    }
}

#[cfg(test)]
mod tests;
