//! `UploadPartCopy`.

use crate::http::Method;
use crate::store::CopySource;
use crate::store::Dialect;
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
use crate::store::ops::document_by;
use crate::wire::range;
use crate::wire::xml::CopyObjectResult;
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

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        Call::object(Op::CopyPart, Method::PUT, self.key)
            .query("partNumber", self.number.0.to_string())
            .query("uploadId", &self.upload.0)
            .copy_source(self.bucket, self.source)?
            .slow()
            .header("x-amz-copy-source-range", &range::header(&self.range))
    }

    fn parse(&self, answer: &Answer) -> Result<Part> {
        let (etag, checksums) = match answer.dialect {
            Dialect::S3 | Dialect::Wos => {
                let result = document_by(answer, Op::CopyPart, self.key, CopyPartResult::parse)?;
                (result.etag, result.checksums)
            }
            // No page shows this answer; that of a copied object has the same members.
            Dialect::Jss => {
                let result = document::<CopyObjectResult>(answer, Op::CopyPart, self.key)?;
                (result.etag, result.checksums)
            }
        };
        Ok(Part {
            number: self.number,
            etag,
            size: self.range.end - self.range.start,
            crc64nvme: checksum::crc64nvme(&checksums),
            crc32c: checksum::crc32c(&checksums),
        })
    }
}
