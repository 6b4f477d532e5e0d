//! `CompleteMultipartUpload`.

use crate::http::Method;
use crate::store::Condition;
use crate::store::Op;
use crate::store::Part;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::etag::ETag;
use crate::wire::xml::Checksums;
use crate::wire::xml::CompletePart;
use crate::wire::xml::CompleteRequest;
use crate::wire::xml::CompleteResult;
use crate::wire::xml::Document;

pub(crate) struct CompleteUpload<'a> {
    pub key: &'a str,
    pub upload: &'a UploadId,
    pub parts: &'a [Part],
    pub condition: &'a Condition,
    /// Of the whole object, for the store to compare.
    pub crc64nvme: Option<u64>,
}

impl Operation for CompleteUpload<'_> {
    type Output = ETag;

    fn call(&self) -> Result<Call> {
        let part =
            |part: &Part| CompletePart { number: part.number.0, etag: part.etag.clone(), checksums: Checksums::new() };
        let document = CompleteRequest { parts: self.parts.iter().map(part).collect() }.write();
        let call = Call::object(Op::CompleteUpload, Method::POST, self.key)
            .query("uploadId", &self.upload.0)
            .document(document)?
            .condition(self.condition)?
            .crc64nvme(self.crc64nvme)?
            .slow();
        match self.crc64nvme {
            Some(_) => call.header("x-amz-checksum-type", "FULL_OBJECT"),
            None => Ok(call),
        }
    }

    fn parse(&self, answer: &Answer) -> Result<ETag> {
        Ok(document(answer, Op::CompleteUpload, self.key, CompleteResult::parse)?.etag)
    }
}
