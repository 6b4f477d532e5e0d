//! Listings of objects.

use crate::http::server::Response;
use crate::server::backend;
use crate::server::backend::index::Snapshot;
use crate::server::backend::listing::Query;
use crate::server::backend::record::Attributes;
use crate::server::backend::record::ObjectRecord;
use crate::server::dialect::Dialect;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::owner;
use crate::server::reply;
use crate::server::route;
use crate::server::route::ListObjects;
use crate::server::route::ListVersion;
use crate::wire::xml;
use crate::wire::xml::Paging;
use std::collections::BTreeMap;

/// `GET /b`.
pub async fn objects(context: &Context, bucket: String, list: ListObjects) -> Result<Response> {
    let query = Query {
        prefix: list.prefix.clone(),
        delimiter: list.delimiter.clone(),
        after: after(&list.version),
        limit: list.limit,
    };
    let (name, written) = (bucket.clone(), list.written.clone());
    let look = move |snapshot: &Snapshot| backend::list_objects(snapshot, &name, &query, written.as_ref());
    let page = context.backend.read_at(context.past.clone(), look).await?;
    let paging = paging(context, &list, page.next.clone(), page.keys.len() + page.prefixes.len());
    let document = xml::ListObjects {
        name: bucket,
        max_keys: u32::try_from(list.limit).expect("cut at a thousand"),
        is_truncated: page.next.is_some(),
        paging,
        contents: page.keys.into_iter().map(|(key, record)| content(context, &list, key, record)).collect(),
        common_prefixes: page.prefixes,
        prefix: list.prefix,
        delimiter: list.delimiter,
        encoding: list.encoding,
    };
    Ok(reply::document(context.dialect(), &document))
}

fn after(version: &ListVersion) -> String {
    match version {
        ListVersion::V1 { marker } => marker.clone(),
        ListVersion::V2 { token: Some((_, name)), .. } => name.clone(),
        ListVersion::V2 { token: None, start_after, .. } => start_after.clone().unwrap_or_default(),
    }
}

fn paging(context: &Context, list: &ListObjects, next: Option<String>, names: usize) -> Paging {
    let always = context.dialect() == Dialect::Jss;
    match &list.version {
        // Without a delimiter the last key tells the same; Amazon leaves the element out then.
        ListVersion::V1 { marker } => {
            Paging::V1 { marker: marker.clone(), next_marker: next.filter(|_| always || list.delimiter.is_some()) }
        }
        ListVersion::V2 { token, start_after, .. } => Paging::V2 {
            continuation_token: token.as_ref().map(|(token, _)| token.clone()),
            next_continuation_token: next.as_deref().map(route::continuation_token),
            start_after: start_after.clone(),
            key_count: u32::try_from(names).expect("at most a thousand"),
        },
    }
}

fn content(context: &Context, list: &ListObjects, key: String, record: ObjectRecord) -> xml::Content {
    let with_owner = match &list.version {
        ListVersion::V1 { .. } => true,
        ListVersion::V2 { fetch_owner, .. } => *fetch_owner,
    };
    xml::Content {
        key,
        last_modified: record.modified.time(),
        etag: record.etag,
        size: record.size,
        storage_class: Some(context.class_name(&record.attributes)),
        owner: with_owner.then(owner),
        user_metadata: if list.with_metadata { metadata(&record.attributes) } else { None },
    }
}

/// User metadata as text; `None` when a value is none, so that the reader asks for it by HEAD.
fn metadata(attributes: &Attributes) -> Option<BTreeMap<String, String>> {
    let text =
        |(name, value): &(String, bytes::Bytes)| Some((name.clone(), std::str::from_utf8(value).ok()?.to_owned()));
    attributes.metadata.iter().map(text).collect()
}
