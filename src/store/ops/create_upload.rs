//! `CreateMultipartUpload`.

use crate::http::Method;
use crate::store::Headers;
use crate::store::Op;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::xml::Document;
use crate::wire::xml::InitiateResult;

pub(crate) struct CreateUpload<'a> {
    pub key: &'a str,
    pub headers: &'a Headers,
    /// The store shall keep a CRC-64/NVME of the whole.
    pub with_crc64nvme: bool,
}

impl Operation for CreateUpload<'_> {
    type Output = UploadId;

    fn call(&self) -> Result<Call> {
        let call = Call::object(Op::CreateUpload, Method::POST, self.key).query("uploads", "");
        let call = call.object_headers(self.headers)?;
        if self.with_crc64nvme {
            call.header("x-amz-checksum-algorithm", "CRC64NVME")?.header("x-amz-checksum-type", "FULL_OBJECT")
        } else {
            Ok(call)
        }
    }

    fn parse(&self, answer: &Answer) -> Result<UploadId> {
        Ok(UploadId(document(answer, Op::CreateUpload, self.key, InitiateResult::parse)?.upload_id))
    }
}
