//! One page of a listing: `ListObjectsV2`, or JSS's own, which goes by markers.

use crate::http::Method;
use crate::store::Dialect;
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
use crate::wire::xml::Paging;

pub(crate) struct ListObjectsCall<'a> {
    pub request: &'a ListObjects,
    /// The store puts user metadata into listings when asked.
    pub with_metadata: bool,
}

impl Operation for ListObjectsCall<'_> {
    type Output = ListPage;

    fn call(&self, dialect: Dialect) -> Result<Call> {
        let ListObjects { prefix, delimiter, start_after, continuation, limit } = self.request;
        let first_page = continuation.is_none();
        let limit = limit.map(|limit| limit.to_string());
        let call = Call::bucket(Op::ListObjects, Method::GET, prefix)
            .query_if("prefix", (!prefix.is_empty()).then_some(prefix))
            .query_if("delimiter", delimiter.as_ref());
        Ok(match dialect {
            Dialect::S3 | Dialect::Wos => call
                .query("list-type", "2")
                .query("encoding-type", "url")
                .query_if("continuation-token", continuation.as_ref())
                .query_if("start-after", start_after.as_ref().filter(|_| first_page))
                .query_if("max-keys", limit)
                .query_if("metadata", self.with_metadata.then_some("true")),
            Dialect::Jss => {
                let marker = continuation.as_ref().or(start_after.as_ref()).filter(|marker| !marker.is_empty());
                call.query_if("marker", marker).query_if("maxKeys", limit)
            }
        })
    }

    fn parse(&self, answer: &Answer) -> Result<ListPage> {
        let about = self.request.prefix.as_str();
        let wrong = |message: &str| Error::new(Op::ListObjects, about, Kind::Protocol, message);
        let list = document::<xml::ListObjects>(answer, Op::ListObjects, about)?;
        let next = if list.is_truncated { next(answer.dialect, &list) } else { None };
        let before = self.request.continuation.as_ref();
        let advances = match answer.dialect {
            Dialect::S3 | Dialect::Wos => next.as_ref() != before,
            Dialect::Jss => next.as_ref() > before,
        };
        if list.is_truncated && next.is_none() {
            return Err(wrong("the listing goes on, but does not say where"));
        }
        // A store that gives the same page again and again would keep us here for ever.
        if list.is_truncated && !advances {
            return Err(wrong("the listing does not advance"));
        }
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

/// Where a listing goes on that says it does.
fn next(dialect: Dialect, list: &xml::ListObjects) -> Option<String> {
    match (&list.paging, dialect) {
        (Paging::V2 { next_continuation_token, .. }, Dialect::S3 | Dialect::Wos) => next_continuation_token.clone(),
        (Paging::V1 { .. }, Dialect::S3 | Dialect::Wos) | (Paging::V2 { .. }, Dialect::Jss) => None,
        (Paging::V1 { next_marker, .. }, Dialect::Jss) => {
            let last_key = list.contents.last().map(|content| &content.key);
            let last = last_key.max(list.common_prefixes.last());
            match next_marker {
                // A marker that is a prefix may lack its delimiter, as prefixes do; from there it would come again.
                Some(marker) if last.is_some_and(|last| is_with_delimiter(last, marker, list)) => last.cloned(),
                Some(marker) => Some(marker.clone()),
                None => last.cloned(),
            }
        }
    }
}

fn is_with_delimiter(whole: &str, bare: &str, list: &xml::ListObjects) -> bool {
    let delimiter = list.delimiter.as_deref().unwrap_or_default();
    list.common_prefixes.iter().any(|prefix| prefix == whole) && whole.strip_suffix(delimiter) == Some(bare)
}
