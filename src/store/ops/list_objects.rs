//! `ListObjectsV2`.

use crate::http::Method;
use crate::store::Error;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::ListPage;
use crate::store::Listed;
use crate::store::Op;
use crate::store::Result;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::ops::document;
use crate::wire::xml;
use crate::wire::xml::Document;
use crate::wire::xml::Paging;

pub(crate) struct ListObjectsCall<'a> {
    pub request: &'a ListObjects,
    /// The store puts user metadata into listings when asked.
    pub with_metadata: bool,
}

impl Operation for ListObjectsCall<'_> {
    type Output = ListPage;

    fn call(&self) -> Result<Call> {
        let ListObjects { prefix, delimiter, start_after, continuation, limit } = self.request;
        let first_page = continuation.is_none();
        Ok(Call::bucket(Op::ListObjects, Method::GET, prefix)
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query_if("prefix", (!prefix.is_empty()).then_some(prefix))
            .query_if("delimiter", delimiter.as_ref())
            .query_if("continuation-token", continuation.as_ref())
            .query_if("start-after", start_after.as_ref().filter(|_| first_page))
            .query_if("max-keys", limit.map(|limit| limit.to_string()))
            .query_if("metadata", self.with_metadata.then_some("true")))
    }

    fn parse(&self, answer: &Answer) -> Result<ListPage> {
        let about = self.request.prefix.as_str();
        let wrong = |message: &str| Error::new(Op::ListObjects, about, Kind::Protocol, message);
        let list = document(answer, Op::ListObjects, about, xml::ListObjects::parse)?;
        let next = match list.paging {
            Paging::V2 { next_continuation_token, .. } => next_continuation_token,
            Paging::V1 { .. } => None,
        };
        let next = match (list.is_truncated, next) {
            (false, _) => None,
            (true, None) => return Err(wrong("the listing goes on, but does not say where")),
            // A store that gives the same page again and again would keep us here for ever.
            (true, next) if next == self.request.continuation => return Err(wrong("the listing does not advance")),
            (true, next) => next,
        };
        let object = |content: xml::Content| Listed {
            key: content.key,
            size: content.size,
            etag: content.etag,
            last_modified: content.last_modified,
            metadata: content.user_metadata.filter(|_| self.with_metadata),
        };
        let objects = list.contents.into_iter().map(object).collect();
        Ok(ListPage { objects, prefixes: list.common_prefixes, next })
    }
}
