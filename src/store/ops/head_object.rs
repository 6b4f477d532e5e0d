//! `HeadObject`.

use crate::http::Method;
use crate::http::header;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Object;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::etag;
use crate::store::ops::headers::read_object;
use crate::store::ops::text;

pub(crate) struct HeadObject<'a> {
    pub key: &'a str,
}

impl Operation for HeadObject<'_> {
    type Output = Object;

    fn call(&self, _dialect: Dialect) -> Result<Call> {
        Ok(Call::object(Op::HeadObject, Method::HEAD, self.key))
    }

    fn parse(&self, answer: &Answer) -> Result<Object> {
        let etag = etag(answer, Op::HeadObject, self.key)?;
        let size = text(&answer.headers, header::CONTENT_LENGTH.as_str()).and_then(|size| size.trim().parse().ok());
        let size = size.ok_or_else(|| {
            Error::new(Op::HeadObject, self.key, Kind::Protocol, "the answer does not tell the object's size")
        })?;
        Ok(read_object(answer.dialect, self.key, &answer.headers, size, etag))
    }
}
