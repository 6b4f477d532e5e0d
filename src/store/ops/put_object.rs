//! `PutObject`.

use crate::http::Method;
use crate::store::Condition;
use crate::store::Headers;
use crate::store::Op;
use crate::store::Payload;
use crate::store::Result;
use crate::store::checksum;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::etag;
use crate::wire::etag::ETag;

pub(crate) struct PutObject<'a> {
    pub key: &'a str,
    pub payload: Payload,
    pub headers: &'a Headers,
    pub condition: &'a Condition,
    /// To be sent and kept, where the store takes it.
    pub crc64nvme: Option<u64>,
}

impl Operation for PutObject<'_> {
    type Output = ETag;

    fn call(&self) -> Result<Call> {
        let call = Call::object(Op::PutObject, Method::PUT, self.key);
        let mut call = call.object_headers(self.headers)?.condition(self.condition)?;
        call.pieces.clone_from(&self.payload.pieces);
        call.crc64nvme(self.crc64nvme)
    }

    fn parse(&self, answer: &Answer) -> Result<ETag> {
        etag(answer, Op::PutObject, self.key)
    }
}

impl Call {
    /// The same with the checksum of its body.
    pub(super) fn crc64nvme(self, crc: Option<u64>) -> Result<Self> {
        match crc {
            Some(crc) => self.header("x-amz-checksum-crc64nvme", &checksum::encode(crc)),
            None => Ok(self),
        }
    }
}
