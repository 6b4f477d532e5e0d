//! `PutObject`.

use crate::http::Method;
use crate::store::Condition;
use crate::store::Dialect;
use crate::store::Headers;
use crate::store::Op;
use crate::store::Payload;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::etag_of_sent;
use crate::wire::checksum::Checksum;
use crate::wire::etag::ETag;

pub(crate) struct PutObject<'a> {
    pub key: &'a str,
    pub payload: Payload,
    pub headers: &'a Headers,
    pub condition: &'a Condition,
    /// To be sent and kept, where the store takes it.
    pub checksum: Option<Checksum>,
}

impl Operation for PutObject<'_> {
    type Output = ETag;

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        let call = Call::object(Op::PutObject, Method::PUT, self.key);
        let mut call = call.object_headers(self.headers)?.condition(self.condition)?;
        call.pieces.clone_from(&self.payload.pieces);
        call.checksum(self.checksum.as_ref())
    }

    fn parse(&self, answer: &Answer) -> Result<ETag> {
        etag_of_sent(answer, Op::PutObject, self.key)
    }
}

impl Call {
    /// The same with a checksum: of its body, or of the object that it makes.
    pub(super) fn checksum(self, checksum: Option<&Checksum>) -> Result<Self> {
        match checksum {
            Some(checksum) => self.header(checksum.algorithm.header(), &checksum.base64()),
            None => Ok(self),
        }
    }
}
