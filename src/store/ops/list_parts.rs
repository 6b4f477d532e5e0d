//! `ListParts`: one page of it.

use crate::http::Method;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
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
use crate::wire::xml;

pub(crate) struct ListParts<'a> {
    pub key: &'a str,
    pub upload: &'a UploadId,
    /// Only parts after this one.
    pub after: Option<PartNumber>,
}

impl Operation for ListParts<'_> {
    /// Parts, and where to go on.
    type Output = (Vec<Part>, Option<PartNumber>);

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        Ok(Call::object(Op::ListParts, Method::GET, self.key)
            .query("uploadId", &self.upload.0)
            .query_if("part-number-marker", self.after.map(|after| after.0.to_string())))
    }

    fn parse(&self, answer: &Answer) -> Result<Self::Output> {
        let list = document::<xml::ListParts>(answer, Op::ListParts, self.key)?;
        let part = |part: xml::StoredPart| Part {
            number: PartNumber(part.number),
            etag: part.etag,
            size: part.size,
            crc64nvme: checksum::crc64nvme(&part.checksums),
            crc32c: checksum::crc32c(&part.checksums),
        };
        let parts: Vec<Part> = list.parts.into_iter().map(part).collect();
        let last = parts.last().map(|part| part.number);
        let next = list.is_truncated.then_some(list.next_part_number_marker.map(PartNumber).or(last)).flatten();
        if list.is_truncated && next <= self.after {
            return Err(Error::new(Op::ListParts, self.key, Kind::Protocol, "the listing does not advance"));
        }
        Ok((parts, next))
    }
}
