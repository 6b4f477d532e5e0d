//! JSS's move: a copy that removes its source, with one request. Other dialects have none.

use crate::http::Method;
use crate::http::StatusCode;
use crate::store::CopySource;
use crate::store::Dialect;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document_by;
use crate::wire::copy_source;
use crate::wire::document;
use crate::wire::xml::CopyObjectResult;

pub(crate) struct MoveObject<'a> {
    pub bucket: &'a str,
    pub source: &'a CopySource,
    pub key: &'a str,
}

impl Operation for MoveObject<'_> {
    type Output = ();

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        let source = &self.source.key;
        let named = copy_source::CopySource { bucket: self.bucket.to_owned(), key: source.clone(), version_id: None };
        let call = Call::object(Op::MoveObject, Method::PUT, self.key).header("x-amz-move-source", &named.header())?;
        match &self.source.if_match {
            Some(etag) => call.slow().header("x-amz-copy-source-if-match", &etag.quoted()),
            None => Ok(call.slow()),
        }
    }

    /// The page of the answer is not public; in the management API it has the members of a copy's. Without them it is
    /// as good, as long as it is no error.
    fn parse(&self, answer: &Answer) -> Result<()> {
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let read = |body: &[u8]| match document::read::<CopyObjectResult>(answer.dialect, body) {
            Ok(_) | Err(document::Error::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        };
        document_by(answer, Op::MoveObject, self.key, read)
    }
}
