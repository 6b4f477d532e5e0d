//! Every S3 call as a value: what it sends, and how its answer is read. Nothing here is signed, sent or repeated.

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
pub(crate) use failure::failure;
pub(crate) use get_object::GetObjectCall;
pub(crate) use head_bucket::HeadBucket;
pub(crate) use head_object::HeadObject;
pub(crate) use list_objects::ListObjectsCall;
pub(crate) use list_parts::ListParts;
pub(crate) use list_uploads::ListUploads;
pub(crate) use put_object::PutObject;
pub(crate) use put_part::PutPart;

use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::HeaderValue;
use crate::http::Method;
use crate::http::StatusCode;
use crate::http::header;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::wire::etag::ETag;
use crate::wire::xml;
use crate::wire::xml::Document;
use crate::wire::xml::ErrorDocument;
use bytes::Bytes;

/// An S3 call.
pub(crate) trait Operation: Send + Sync {
    /// What a good answer is read as.
    type Output;

    /// What is sent.
    fn call(&self) -> Result<Call>;

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
    /// The store may think for minutes before it says a word.
    pub is_slow: bool,
}

/// A call's answer of status 2xx with its whole body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
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
    pub fn document(mut self, document: String) -> Result<Self> {
        self.pieces = vec![Bytes::from(document)];
        self.header("content-type", "application/xml")
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
        None => Err(Error::new(op, key, Kind::Protocol, "the answer has no ETag; is this an S3 endpoint?")),
    }
}

/// Reads the document of an answer, and tells a cut one from one that is something else.
fn document<T>(answer: &Answer, op: Op, key: &str, read: impl FnOnce(&[u8]) -> xml::Result<T>) -> Result<T> {
    let body = &answer.body;
    // After a long wait an error comes with the status that was promised before.
    if xml::root_name(body).is_ok_and(|root| root == ErrorDocument::ROOT) {
        return Err(failure::in_document(op, key, answer));
    }
    read(body).map_err(|error| {
        let begins_well = body.trim_ascii_start().starts_with(b"<") && !body.trim_ascii_start().starts_with(b"<!");
        let kind = match &error {
            _ if body.trim_ascii().is_empty() => Kind::Network,
            xml::Error::Malformed(_) if begins_well => Kind::Network,
            xml::Error::Malformed(_)
            | xml::Error::TooLarge
            | xml::Error::Unexpected { .. }
            | xml::Error::Missing(_)
            | xml::Error::Invalid(_) => Kind::Protocol,
        };
        let message = match kind {
            Kind::Network => format!("the answer is empty or was cut off after {} bytes", body.len()),
            _ => format!("the answer is not what S3 would say: {error}"),
        };
        Error::new(op, key, kind, message).caused_by(error)
    })
}

#[cfg(test)]
mod tests;
