//! `CompleteMultipartUpload`.

use crate::http::Method;
use crate::store::Condition;
use crate::store::Dialect;
use crate::store::Op;
use crate::store::Part;
use crate::store::Result;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::checksum::Checksum;
use crate::wire::etag::ETag;
use crate::wire::xml::Checksums;
use crate::wire::xml::CompletePart;
use crate::wire::xml::CompleteRequest;
use crate::wire::xml::CompleteResult;

pub(crate) struct CompleteUpload<'a> {
    pub key: &'a str,
    pub upload: &'a UploadId,
    pub parts: &'a [Part],
    pub condition: &'a Condition,
    /// Of the whole object, for the store to compare.
    pub checksum: Option<Checksum>,
    /// Name the CRC-32C of each part, as a store wants it that was told so when the upload began.
    pub names_crc32c: bool,
}

impl CompleteUpload<'_> {
    fn part(&self, part: &Part) -> CompletePart {
        let crc32c = part.crc32c.filter(|_| self.names_crc32c).map(checksum::encode32);
        let checksums = crc32c.map(|crc| ("CRC32C".to_owned(), crc)).into_iter().collect::<Checksums>();
        CompletePart { number: part.number.0, etag: part.etag.clone(), checksums }
    }
}

impl Operation for CompleteUpload<'_> {
    type Output = ETag;

    fn call(&self, dialect: Dialect) -> Result<Call> {
        let document = CompleteRequest { parts: self.parts.iter().map(|part| self.part(part)).collect() };
        let call = Call::object(Op::CompleteUpload, Method::POST, self.key)
            .query("uploadId", &self.upload.0)
            .document(dialect, document::write(dialect, &document))?
            .condition(self.condition)?
            .checksum(self.checksum.as_ref())?
            .slow();
        match &self.checksum {
            Some(checksum) => call.header("x-amz-checksum-type", checksum.algorithm.default_scope().name()),
            None => Ok(call),
        }
    }

    fn parse(&self, answer: &Answer) -> Result<ETag> {
        Ok(document::<CompleteResult>(answer, Op::CompleteUpload, self.key)?.etag)
    }
}
