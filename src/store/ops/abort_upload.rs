//! `AbortMultipartUpload`.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Op;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;

pub(crate) struct AbortUpload<'a> {
    pub key: &'a str,
    pub upload: &'a UploadId,
}

impl Operation for AbortUpload<'_> {
    type Output = ();

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        Ok(Call::object(Op::AbortUpload, Method::DELETE, self.key).query("uploadId", &self.upload.0))
    }

    fn parse(&self, _answer: &Answer) -> Result<()> {
        Ok(())
    }
}
