//! `UploadPart`.

use crate::http::Method;
use crate::store::Dialect;
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
use crate::store::ops::etag_of_sent;
use crate::store::ops::text;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;

pub(crate) struct PutPart<'a> {
    pub key: &'a str,
    pub upload: &'a UploadId,
    pub number: PartNumber,
    pub payload: Payload,
    /// To be sent and kept, where the store takes it.
    pub checksum: Option<Checksum>,
}

impl Operation for PutPart<'_> {
    type Output = Part;

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        let mut call = Call::object(Op::PutPart, Method::PUT, self.key)
            .query("partNumber", self.number.0.to_string())
            .query("uploadId", &self.upload.0);
        call.pieces.clone_from(&self.payload.pieces);
        call.checksum(self.checksum.as_ref())
    }

    fn parse(&self, answer: &Answer) -> Result<Part> {
        let etag = etag_of_sent(answer, Op::PutPart, self.key)?;
        let told = |algorithm: Algorithm| text(&answer.headers, algorithm.header());
        let sent = |algorithm| self.checksum.as_ref().filter(|checksum| checksum.algorithm == algorithm);
        let crc64nvme = sent(Algorithm::Crc64Nvme).and_then(checksum::number64).or(self.payload.crc64nvme);
        Ok(Part {
            number: self.number,
            etag,
            size: self.payload.len(),
            crc64nvme: crc64nvme.or_else(|| told(Algorithm::Crc64Nvme).and_then(checksum::decode)),
            crc32c: sent(Algorithm::Crc32c).and_then(checksum::number32),
        })
    }
}
