//! `CreateMultipartUpload`.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Headers;
use crate::store::Op;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::checksum::Algorithm;
use crate::wire::xml::InitiateResult;

pub(crate) struct CreateUpload<'a> {
    pub key: &'a str,
    pub headers: &'a Headers,
    /// Which checksum the store shall keep with the object.
    pub checksum: Option<Algorithm>,
}

impl Operation for CreateUpload<'_> {
    type Output = UploadId;

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        let call = Call::object(Op::CreateUpload, Method::POST, self.key).query("uploads", "");
        let call = call.object_headers(self.headers)?;
        match self.checksum {
            Some(algorithm) => call
                .header("x-amz-checksum-algorithm", algorithm.name())?
                .header("x-amz-checksum-type", algorithm.default_scope().name()),
            None => Ok(call),
        }
    }

    fn parse(&self, answer: &Answer) -> Result<UploadId> {
        Ok(UploadId(document::<InitiateResult>(answer, Op::CreateUpload, self.key)?.upload_id))
    }
}
