//! Copies inside the bucket: of any size, checked before anybody relies on them.

use crate::store::Condition;
use crate::store::CopySource;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::PartNumber;
use crate::store::Store;
use crate::store::UploadId;
use crate::vfs::inode::Version;
use crate::writer::upload::even_split;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;

/// Bytes of one part of a copy in parts: large, since no byte of it passes here, yet several run side by side.
const COPY_PART_BYTES: u64 = 1 << 30;

/// The same where the store cannot copy parts, so that all bytes pass here and are held meanwhile.
const THROUGH_PART_BYTES: u64 = 64 << 20;

/// Part copies at the same time.
const COPIES_AT_ONCE: usize = 8;

/// Copies one version of an object to another key (or to its own, with other headers) and makes sure that it is there.
/// `headers` replaces those of the source; `None` keeps them.
pub async fn copy_object(
    store: &dyn Store,
    key: &str,
    version: &Version,
    to: &str,
    headers: Option<&Headers>,
) -> Result<ETag, Error> {
    let source = CopySource { key: key.to_owned(), if_match: Some(version.etag.clone()) };
    if version.size <= store.facts().put_bytes_max {
        let etag = store.copy_object(&source, to, headers).await?;
        // An equal tag says that the bytes are equal; a copy of an object of several parts has another one.
        if etag != version.etag {
            verify(store, to, version.size, &etag).await?;
        }
        return Ok(etag);
    }
    let kept;
    let headers = match headers {
        Some(headers) => headers,
        None => {
            kept = store.head_object(key).await?.headers;
            &kept
        }
    };
    let upload = store.create_upload(to, headers).await?;
    match copy_parts(store, &source, version.size, to, &upload).await {
        Ok(etag) => {
            verify(store, to, version.size, &etag).await?;
            Ok(etag)
        }
        Err(error) => {
            if let Err(abort) = store.abort_upload(to, &upload).await {
                tracing::warn!(key = to, error = %abort, "an unfinished copy stays in the bucket");
            }
            Err(error)
        }
    }
}

async fn copy_parts(
    store: &dyn Store,
    source: &CopySource,
    size: u64,
    to: &str,
    upload: &UploadId,
) -> Result<ETag, Error> {
    let facts = store.facts();
    let smallest = size.div_ceil(u64::from(facts.parts_max));
    let usual = if facts.copy_part { COPY_PART_BYTES } else { THROUGH_PART_BYTES };
    let part_bytes = usual.max(smallest).clamp(facts.part_bytes_min, facts.part_bytes_max);
    let ranges = (1..).map(PartNumber).zip(even_split(size, part_bytes));
    let mut parts: Vec<_> = stream::iter(ranges)
        .map(|(number, range)| store.copy_part(to, upload, number, source, range))
        .buffer_unordered(COPIES_AT_ONCE)
        .try_collect()
        .await?;
    parts.sort_by_key(|part| part.number);
    store.complete_upload(to, upload, &parts, &Condition::None).await
}

async fn verify(store: &dyn Store, key: &str, size: u64, etag: &ETag) -> Result<(), Error> {
    let there = store.head_object(key).await?;
    if there.size == size && there.etag == *etag {
        return Ok(());
    }
    let message = format!("the copy has {} bytes instead of {size}, or was replaced meanwhile", there.size);
    Err(Error::new(Op::CopyObject, key, Kind::Corrupt, message))
}
