//! `GetObject`: what to ask for, and which of the bytes that come are the ones asked for.

use crate::http::HeaderMap;
use crate::http::Method;
use crate::http::StatusCode;
use crate::http::header;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Object;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Call;
use crate::store::ops::headers::read_object;
use crate::store::ops::text;
use crate::wire::etag::ETag;
use crate::wire::range;
use crate::wire::range::ContentRange;
use std::ops::Range;

pub(crate) struct GetObjectCall<'a> {
    pub key: &'a str,
    pub range: Option<Range<u64>>,
    pub if_match: Option<&'a ETag>,
}

/// The head of an answer, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GetHead {
    pub object: Object,
    /// Bytes to leave out at the front of the body: some stores answer a range with the whole.
    pub skip: u64,
    /// Bytes to give, after those.
    pub take: u64,
}

impl GetObjectCall<'_> {
    pub fn call(&self) -> Result<Call> {
        let mut call = Call::object(Op::GetObject, Method::GET, self.key);
        if let Some(range) = &self.range {
            call = call.header("range", &range::header(range))?;
        }
        match self.if_match {
            Some(etag) => call.header("if-match", &etag.quoted()),
            None => Ok(call),
        }
    }

    /// Checks that the answer is about what was asked.
    pub fn head(&self, dialect: Dialect, status: StatusCode, headers: &HeaderMap) -> Result<GetHead> {
        let fail = |kind, message: String| Error::new(Op::GetObject, self.key, kind, message);
        let wrong = |message: &str| fail(Kind::Protocol, message.to_owned());
        let etag =
            text(headers, header::ETAG.as_str()).map(ETag::new).ok_or_else(|| wrong("the answer has no ETag"))?;
        if let Some(want) = self.if_match
            && *want != etag
        {
            return Err(fail(Kind::PreconditionFailed, format!("the object changed: its tag is {etag}, not {want}")));
        }
        let length = text(headers, header::CONTENT_LENGTH.as_str()).and_then(|text| text.trim().parse().ok());
        let content_range = text(headers, header::CONTENT_RANGE.as_str()).and_then(ContentRange::parse);
        let (size, skip, take) = match (status, &self.range, content_range) {
            (StatusCode::PARTIAL_CONTENT, Some(range), Some(ContentRange::Bytes(got, Some(size)))) => {
                let want = range.start..range.end.min(size);
                if got != want || length.is_some_and(|length| length != got.end - got.start) {
                    return Err(wrong(&format!("bytes {got:?} came instead of {want:?}")));
                }
                (size, 0, want.end - want.start)
            }
            (StatusCode::OK, range, _) => {
                let size: u64 = length.ok_or_else(|| wrong("the answer does not tell its length"))?;
                match range {
                    Some(range) if range.start >= size => {
                        return Err(fail(Kind::InvalidRange, format!("the object has only {size} bytes")));
                    }
                    Some(range) => (size, range.start, range.end.min(size) - range.start),
                    None => (size, 0, size),
                }
            }
            (_, _, _) => return Err(wrong(&format!("{status} does not answer what was asked"))),
        };
        Ok(GetHead { object: read_object(dialect, self.key, headers, size, etag), skip, take })
    }
}
