//! Whether a store compares the CRC-64/NVME of what it receives, in objects and in parts. Then bodies need not be part of
//! signatures, which costs several times as much.

use crate::store::Condition;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::probe;
use bytes::Bytes;

const BODY: &[u8] = b"brigade asks whether this store finds what was altered on the way";

/// Asks with a scratch object below `prefix`, and removes it. `store` must be one that sends this checksum.
///
/// # Errors
/// When it cannot be found out; nothing is said about the store then.
pub async fn compares_crc64nvme(store: &dyn Store, prefix: &str) -> Result<bool> {
    let key = probe::scratch_key(prefix);
    let asked = tokio::time::timeout(probe::PATIENCE, ask(store, &key)).await;
    let cleaned = store.delete_object(&key).await;
    if let Err(error) = cleaned {
        tracing::warn!(%error, "a scratch object may stay in the bucket");
    }
    asked.unwrap_or_else(|late| Err(Error::new(Op::PutObject, key, Kind::Network, late.to_string())))
}

async fn ask(store: &dyn Store, key: &str) -> Result<bool> {
    let put = |payload| async { store.put_object(key, payload, &Headers::default(), &Condition::None).await };
    if accepted(put(right()).await)?.is_none() || !refused(put(wrong()).await)? {
        return Ok(false);
    }
    let Some(upload) = accepted(store.create_upload(key, &Headers::default()).await)? else { return Ok(false) };
    let found = in_parts(store, key, &upload).await;
    if !matches!(found, Ok(true)) {
        store.abort_upload(key, &upload).await?;
    }
    found
}

/// Whether it does so in parts, and for the whole of them; the upload is completed then.
async fn in_parts(store: &dyn Store, key: &str, upload: &UploadId) -> Result<bool> {
    let put = |payload| async { store.put_part(key, upload, PartNumber(1), payload).await };
    if !refused(put(wrong()).await)? {
        return Ok(false);
    }
    let Some(part) = accepted(put(right()).await)? else { return Ok(false) };
    let altered = Part { crc64nvme: wrong().crc64nvme, ..part.clone() };
    if !refused(store.complete_upload(key, upload, &[altered], &Condition::None).await)? {
        return Ok(false);
    }
    Ok(accepted(store.complete_upload(key, upload, &[part], &Condition::None).await)?.is_some())
}

fn right() -> Payload {
    Payload::from(Bytes::from_static(BODY))
}

/// The same bytes, as if others had been meant.
fn wrong() -> Payload {
    Payload { crc64nvme: Some(!checksum::of_payload(&right())), ..right() }
}

/// `None`: the store will not have it so. Fails if the answer says nothing about that.
fn accepted<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) => match error.kind {
            Kind::Invalid | Kind::InvalidPart | Kind::NotImplemented | Kind::Corrupt | Kind::Protocol => Ok(None),
            _ => Err(error),
        },
    }
}

fn refused<T>(answer: Result<T>) -> Result<bool> {
    accepted(answer).map(|accepted| accepted.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Lost;
    use crate::store::memory::Memory;

    #[tokio::test]
    async fn a_store_that_takes_anything_does_not_compare_and_nothing_is_left() {
        let store = Memory::new();
        assert!(!compares_crc64nvme(&store, "a/").await.unwrap());
        assert_eq!((store.keys().len(), store.uploads_open()), (0, 0));
    }

    #[tokio::test]
    async fn what_says_nothing_about_checksums_is_no_answer() {
        for kind in [Kind::AccessDenied, Kind::Network, Kind::Unavailable] {
            let store = Memory::new();
            store.lose(Op::PutObject, 1, Lost::Refused(kind.clone()));
            assert_eq!(compares_crc64nvme(&store, "").await.unwrap_err().kind, kind);
            assert_eq!(store.keys().len(), 0);
        }
    }
}
