//! Copies inside the bucket: of any size, checked before anybody relies on them.

use crate::store::Condition;
use crate::store::CopySource;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::PartNumber;
use crate::store::Store;
use crate::store::UploadId;
use crate::vfs::inode::Version;
use crate::writer::schedule::CARRIED_BYTES_MAX;
use crate::writer::schedule::equal_split;
use crate::writer::schedule::even_split;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use std::ops::Range;

/// Bytes of one part of a copy in parts: large, since no byte of it passes here, yet several run side by side.
const COPY_PART_BYTES: u64 = 1 << 30;

/// Part copies at the same time.
const COPIES_AT_ONCE: usize = 8;

/// The same where their bytes pass through this process, each part of up to [`CARRIED_BYTES_MAX`] in memory.
const CARRIED_AT_ONCE: usize = 2;

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
    let etag = copy_in_parts(store, &source, version.size, to, headers, &Condition::None).await?;
    verify(store, to, version.size, &etag).await?;
    Ok(etag)
}

/// Copies an object as the parts of an upload, whose completion is bound to `condition`. `headers` replaces those of the
/// source; `None` keeps them.
pub async fn copy_in_parts(
    store: &dyn Store,
    source: &CopySource,
    size: u64,
    to: &str,
    headers: Option<&Headers>,
    condition: &Condition,
) -> Result<ETag, Error> {
    let kept;
    let headers = match headers {
        Some(headers) => headers,
        None => {
            kept = store.head_object(&source.key).await?.headers;
            &kept
        }
    };
    let upload = store.create_upload(to, headers).await?;
    match copy_parts(store, source, size, to, &upload, condition).await {
        Ok(etag) => Ok(etag),
        Err(error) => {
            if let Err(abort) = store.abort_upload(to, &upload).await {
                tracing::warn!(key = to, error = %abort, "an unfinished copy stays in the bucket");
            }
            Err(error)
        }
    }
}

/// Moves one version of an object to another key by one request, and makes sure that it is there. `None`: the store cannot
/// do it, and nothing has happened.
///
/// # Errors
/// When it has not happened, or nobody can tell whether it has: then the bucket must be asked what is where.
pub async fn move_object(store: &dyn Store, key: &str, version: &Version, to: &str) -> Result<Option<ETag>, Error> {
    let source = CopySource { key: key.to_owned(), if_match: Some(version.etag.clone()) };
    let moved = store.move_object(&source, to).await;
    if let Err(error) = &moved
        && error.kind == Kind::NotImplemented
    {
        return Ok(None);
    }
    let there = store.head_object(to).await;
    match (moved, there) {
        (Ok(()), Ok(there)) if there.size == version.size => Ok(Some(there.etag)),
        (Ok(()), Ok(there)) => {
            let message = format!("what was moved has {} bytes instead of {}", there.size, version.size);
            Err(Error::new(Op::MoveObject, to, Kind::Corrupt, message))
        }
        (Ok(()), Err(error)) => Err(error),
        // A lost answer is not a lost request.
        (Err(error), there) => {
            let gone = store.head_object(key).await.is_err_and(|error| error.kind == Kind::NotFound);
            match there {
                Ok(there) if gone && there.size == version.size => Ok(Some(there.etag)),
                Ok(_) | Err(_) => Err(error),
            }
        }
    }
}

async fn copy_parts(
    store: &dyn Store,
    source: &CopySource,
    size: u64,
    to: &str,
    upload: &UploadId,
    condition: &Condition,
) -> Result<ETag, Error> {
    let (ranges, at_once) = part_ranges(store.facts(), size);
    let mut parts: Vec<_> = stream::iter((1..).map(PartNumber).zip(ranges))
        .map(|(number, range)| store.copy_part(to, upload, number, source, range))
        .buffer_unordered(at_once)
        .try_collect()
        .await?;
    parts.sort_by_key(|part| part.number);
    store.complete_upload(to, upload, &parts, condition).await
}

/// The parts of a copy, and how many of them may be under way.
fn part_ranges(facts: &Facts, size: u64) -> (Vec<Range<u64>>, usize) {
    let (wanted, at_once) =
        if facts.copy_part { (COPY_PART_BYTES, COPIES_AT_ONCE) } else { (CARRIED_BYTES_MAX, CARRIED_AT_ONCE) };
    let smallest = size.div_ceil(u64::from(facts.parts_max));
    let part_bytes = wanted.max(smallest).clamp(facts.part_bytes_min, facts.part_bytes_max);
    let ranges = if facts.equal_parts {
        equal_split(size, part_bytes).collect()
    } else {
        even_split(size, part_bytes).collect()
    };
    (ranges, at_once)
}

async fn verify(store: &dyn Store, key: &str, size: u64, etag: &ETag) -> Result<(), Error> {
    let there = store.head_object(key).await?;
    if there.size == size && there.etag == *etag {
        return Ok(());
    }
    let message = format!("the copy has {} bytes instead of {size}, or was replaced meanwhile", there.size);
    Err(Error::new(Op::CopyObject, key, Kind::Corrupt, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytesize::GIB;
    use crate::base::bytesize::MIB;

    #[test]
    fn the_parts_of_a_copy_fit_the_store_and_the_memory() {
        let by_us = Facts { copy_part: false, ..Facts::S3 };
        let equal = Facts { equal_parts: true, ..Facts::S3 };
        let rows = [
            (&Facts::S3, 6 * GIB, 6, GIB, 8, "large ones, since no byte of them passes here"),
            (&Facts::S3, 20_000 * GIB, 10_000, 2 * GIB, 8, "larger, or there would be too many"),
            (&by_us, 6 * GIB, 96, 64 * MIB, 2, "what passes here is held in memory"),
            (&equal, 5 * GIB + 1, 6, GIB, 8, "whole ones and a rest"),
        ];
        for (facts, size, count, largest, at_once, why) in rows {
            let (ranges, under_way) = part_ranges(facts, size);
            let lengths: Vec<u64> = ranges.iter().map(|range| range.end - range.start).collect();
            let told = (lengths.len(), *lengths.iter().max().unwrap(), lengths.iter().sum::<u64>(), under_way);
            assert_eq!(told, (count, largest, size, at_once), "{size}: {why}");
            assert!(!facts.equal_parts || lengths[..count - 1].iter().all(|length| *length == largest), "{why}");
        }
    }
}
