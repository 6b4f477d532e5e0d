//! Copies to a key that must be free.
//!
//! S3's CopyObject replaces what is there. Where the store has conditional writes, the last request of the copy is one
//! that has a condition: a put of what was read, or the completion of an upload whose parts were copied. Elsewhere the
//! key is looked at just before.

use crate::store::Condition;
use crate::store::CopySource;
use crate::store::ETag;
use crate::store::Error as StoreError;
use crate::store::GetObject;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Payload;
use crate::store::Store;
use crate::vfs::copy;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Version;
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::sync::Semaphore;

/// Bytes up to which an object is read and sent again: that is one request less than an upload, and S3 copies no range
/// of an object below 5 MiB.
const CARRIED_BYTES_MAX: u64 = 5 << 20;

/// So many are carried at a time, beside the memory limit of the mount.
static CARRIED: Semaphore = Semaphore::const_new(2);

/// Copies one version of an object to a key that nothing has. `headers` replaces those of the source; `None` keeps them.
///
/// # Errors
/// [`Error::Exists`], and what the store answers.
pub async fn copy_to_free(
    store: &dyn Store,
    key: &str,
    version: &Version,
    to: &str,
    headers: Option<&Headers>,
) -> Result<ETag> {
    let facts = store.facts();
    if facts.conditional_writes && version.size <= CARRIED_BYTES_MAX {
        return carry(store, key, version, to, headers).await;
    }
    if facts.conditional_writes && (facts.copy_part || version.size > facts.put_bytes_max) {
        let source = CopySource { key: key.to_owned(), if_match: Some(version.etag.clone()) };
        return copy::copy_in_parts(store, &source, version.size, to, headers, &Condition::Absent)
            .await
            .map_err(|error| taken(error, to));
    }
    match store.head_object(to).await {
        Ok(_) => return Err(Error::Exists),
        Err(error) if error.kind == Kind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(copy::copy_object(store, key, version, to, headers).await?)
}

async fn carry(store: &dyn Store, key: &str, version: &Version, to: &str, headers: Option<&Headers>) -> Result<ETag> {
    let _permit = CARRIED.acquire().await.expect("nobody closes it");
    let GetObject { object, body } = store.get_object(key, None, Some(&version.etag)).await?;
    let pieces: Vec<Bytes> = body.try_collect().await?;
    let payload = Payload { pieces, crc64nvme: None };
    if payload.len() != version.size {
        let message = format!("{} bytes came instead of {}", payload.len(), version.size);
        return Err(StoreError::new(Op::GetObject, key, Kind::Network, message).into());
    }
    let headers = headers.unwrap_or(&object.headers);
    store.put_object(to, payload, headers, &Condition::Absent).await.map_err(|error| taken(error, to))
}

/// A condition on the new key that does not hold says that it is taken; one on the source, that that is stale.
fn taken(error: StoreError, to: &str) -> Error {
    let of_target = error.kind == Kind::PreconditionFailed && error.key == to && error.op != Op::CopyPart;
    if of_target { Error::Exists } else { error.into() }
}
