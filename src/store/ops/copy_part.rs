//! `UploadPartCopy`.

use crate::http::Method;
use crate::store::CopySource;
use crate::store::Op;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::range;
use crate::wire::xml::CopyPartResult;
use crate::wire::xml::Document;
use std::ops::Range;

pub(crate) struct CopyPart<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub upload: &'a UploadId,
    pub number: PartNumber,
    pub source: &'a CopySource,
    pub range: Range<u64>,
}

impl Operation for CopyPart<'_> {
    type Output = Part;

    fn call(&self) -> Result<Call> {
        Call::object(Op::CopyPart, Method::PUT, self.key)
            .query("partNumber", self.number.0.to_string())
            .query("uploadId", &self.upload.0)
            .copy_source(self.bucket, self.source)?
            .slow()
            .header("x-amz-copy-source-range", &range::header(&self.range))
    }

    fn parse(&self, answer: &Answer) -> Result<Part> {
        let result = document(answer, Op::CopyPart, self.key, CopyPartResult::parse)?;
        let crc64nvme = result.checksums.get("CRC64NVME").and_then(|text| checksum::decode(text));
        Ok(Part { number: self.number, etag: result.etag, size: self.range.end - self.range.start, crc64nvme })
    }
}
