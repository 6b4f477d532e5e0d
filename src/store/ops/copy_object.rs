//! `CopyObject`.

use crate::http::Method;
use crate::store::CopySource;
use crate::store::Dialect;
use crate::store::Headers;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::copy_source;
use crate::wire::etag::ETag;
use crate::wire::xml::CopyObjectResult;

pub(crate) struct CopyObject<'a> {
    pub bucket: &'a str,
    pub source: &'a CopySource,
    pub key: &'a str,
    /// Instead of those of the source.
    pub headers: Option<&'a Headers>,
}

impl Operation for CopyObject<'_> {
    type Output = ETag;

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        let call = Call::object(Op::CopyObject, Method::PUT, self.key).copy_source(self.bucket, self.source)?.slow();
        match self.headers {
            Some(headers) => call.header("x-amz-metadata-directive", "REPLACE")?.object_headers(headers),
            None => call.header("x-amz-metadata-directive", "COPY"),
        }
    }

    fn parse(&self, answer: &Answer) -> Result<ETag> {
        Ok(document::<CopyObjectResult>(answer, Op::CopyObject, self.key)?.etag)
    }
}

impl Call {
    /// The same with the object that bytes are taken from.
    pub(super) fn copy_source(self, bucket: &str, source: &CopySource) -> Result<Self> {
        let named = copy_source::CopySource { bucket: bucket.to_owned(), key: source.key.clone(), version_id: None };
        let call = self.header("x-amz-copy-source", &named.header())?;
        match &source.if_match {
            Some(etag) => call.header("x-amz-copy-source-if-match", &etag.quoted()),
            None => Ok(call),
        }
    }
}
