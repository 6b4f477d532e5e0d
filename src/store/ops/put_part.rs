//! `UploadPart`.

use crate::http::Method;
use crate::store::Op;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::etag;
use crate::store::ops::text;

pub(crate) struct PutPart<'a> {
    pub key: &'a str,
    pub upload: &'a UploadId,
    pub number: PartNumber,
    pub payload: Payload,
    /// To be sent and kept, where the store takes it.
    pub crc64nvme: Option<u64>,
}

impl Operation for PutPart<'_> {
    type Output = Part;

    fn call(&self) -> Result<Call> {
        let mut call = Call::object(Op::PutPart, Method::PUT, self.key)
            .query("partNumber", self.number.0.to_string())
            .query("uploadId", &self.upload.0);
        call.pieces.clone_from(&self.payload.pieces);
        call.crc64nvme(self.crc64nvme)
    }

    fn parse(&self, answer: &Answer) -> Result<Part> {
        let etag = etag(answer, Op::PutPart, self.key)?;
        let told = || text(&answer.headers, "x-amz-checksum-crc64nvme").and_then(checksum::decode);
        let crc64nvme = self.crc64nvme.or(self.payload.crc64nvme).or_else(told);
        Ok(Part { number: self.number, etag, size: self.payload.len(), crc64nvme })
    }
}
