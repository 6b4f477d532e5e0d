//! The client as a [`Store`]: each operation as one call, or as what stands in for it.

use crate::base::clock;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::Error;
use crate::store::Facts;
use crate::store::GetObject;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::ListPage;
use crate::store::Object;
use crate::store::Op;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::Store;
use crate::store::Upload;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::client::Client;
use crate::store::client::body::exactly;
use crate::store::client::send::apart;
use crate::store::metadata;
use crate::store::ops;
use crate::store::provider::Integrity;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::etag::ETag;
use crate::wire::xml;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Deletes side by side, where they go one by one.
const DELETES_AT_ONCE: usize = 16;

impl Client {
    /// The checksum that goes along with data.
    async fn checksum_of(&self, payload: &Payload) -> Option<Checksum> {
        match self.integrity {
            Integrity::Crc64Nvme => {
                let crc = match payload.crc64nvme {
                    Some(crc) => crc,
                    None => apart(payload.pieces.clone(), checksum::crc64nvme_of).await,
                };
                Some(checksum::crc64nvme_checksum(crc))
            }
            Integrity::Crc32c => {
                Some(checksum::crc32c_checksum(apart(payload.pieces.clone(), checksum::crc32c_of).await))
            }
            Integrity::Md5 | Integrity::SignedSha256 | Integrity::Transport => None,
        }
    }

    fn check_write(&self, op: Op, key: &str, condition: &Condition) -> Result<()> {
        match condition {
            Condition::None => Ok(()),
            Condition::Absent | Condition::Matches(_) if self.facts.conditional_writes => Ok(()),
            // A store that ignores the condition would overwrite without a word.
            Condition::Absent | Condition::Matches(_) => {
                Err(Error::new(op, key, Kind::NotImplemented, "the store has no conditional writes"))
            }
        }
    }

    /// The headers as this store takes them. A class in another case, as some stores tell it, is spelled as it must be.
    pub(super) fn checked<'a>(&self, op: Op, key: &str, headers: &'a Headers) -> Result<Cow<'a, Headers>> {
        metadata::check(&headers.metadata, self.facts.metadata_bytes_max)
            .map_err(|(kind, message)| Error::new(op, key, kind, message))?;
        let legal = self.facts.storage_classes;
        let Some(class) = headers.storage_class.as_deref().filter(|_| !legal.is_empty()) else {
            return Ok(Cow::Borrowed(headers));
        };
        match legal.iter().find(|name| name.eq_ignore_ascii_case(class)) {
            Some(same) if *same == class => Ok(Cow::Borrowed(headers)),
            Some(spelled) => Ok(Cow::Owned(Headers { storage_class: Some((*spelled).to_owned()), ..headers.clone() })),
            None => {
                let message = format!("the store has no storage class {class:?}; use one of {}", legal.join(", "));
                Err(Error::new(op, key, Kind::Invalid, message))
            }
        }
    }

    async fn delete_singly(&self, keys: Vec<String>) -> Vec<Error> {
        let one = |key: String| async move { self.delete_object(&key).await.err() };
        stream::iter(keys).map(one).buffer_unordered(DELETES_AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

/// A condition on a tag cannot hold for an object that is not there.
fn absent_is_unmatched(mut error: Error, condition: &Condition) -> Error {
    if error.kind == Kind::NotFound && matches!(condition, Condition::Matches(_)) {
        error.kind = Kind::PreconditionFailed;
    }
    error
}

#[async_trait]
impl Store for Client {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn now(&self) -> SystemTime {
        self.signer.store_time(clock::now())
    }

    async fn head_bucket(&self) -> Result<()> {
        self.run(&ops::HeadBucket).await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.run(&ops::HeadObject { key }).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        assert!(range.as_ref().is_none_or(|range| range.start < range.end), "a range is never empty");
        let get = ops::GetObjectCall { key, range, if_match };
        let call = get.call()?;
        let response = self.send(&call).await?;
        let head = get.head(self.dialect(), response.status, &response.headers)?;
        Ok(GetObject { object: head.object, body: exactly(call, response.body, head.skip, head.take) })
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        self.check_write(Op::PutObject, key, condition)?;
        let headers = &*self.checked(Op::PutObject, key, headers)?;
        let checksum = self.checksum_of(&payload).await;
        let put = ops::PutObject { key, payload, headers, condition, checksum };
        self.run(&put).await.map_err(|error| absent_is_unmatched(error, condition))
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        match self.run(&ops::DeleteObject { key }).await {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            other => other,
        }
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        let together =
            |key: &&String| !self.deletes_singly.load(Ordering::Relaxed) && !key.is_empty() && xml::can_carry(key);
        let (batched, single): (Vec<&String>, Vec<&String>) = keys.iter().partition(together);
        let mut singly: Vec<String> = single.into_iter().cloned().collect();
        let mut failed = Vec::new();
        for batch in batched.chunks(ops::DELETE_KEYS_MAX) {
            let keys: Vec<&str> = batch.iter().map(|key| key.as_str()).collect();
            let call = ops::DeleteObjects { keys: &keys };
            match self.run(&call).await {
                Ok(errors) => failed.extend(errors),
                Err(error) if error.kind == Kind::NotImplemented => {
                    self.deletes_singly.store(true, Ordering::Relaxed);
                    singly.extend(keys.into_iter().map(str::to_owned));
                }
                Err(error) => return Err(error),
            }
        }
        failed.extend(self.delete_singly(singly).await);
        Ok(failed)
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        let headers = headers.map(|headers| self.checked(Op::CopyObject, key, headers)).transpose()?;
        let source = &*self.pinned(Op::CopyObject, source, key).await?;
        self.run(&ops::CopyObject { bucket: &self.options.bucket, source, key, headers: headers.as_deref() }).await
    }

    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        self.move_within(source, key).await
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.run(&ops::ListObjectsCall { request, with_metadata: self.facts.listing_metadata }).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        let headers = &*self.checked(Op::CreateUpload, key, headers)?;
        let checksum = match self.integrity {
            Integrity::Crc64Nvme => Some(Algorithm::Crc64Nvme),
            Integrity::Crc32c => Some(Algorithm::Crc32c),
            Integrity::Md5 | Integrity::SignedSha256 | Integrity::Transport => None,
        };
        self.run(&ops::CreateUpload { key, headers, checksum }).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        let checksum = self.checksum_of(&payload).await;
        self.run(&ops::PutPart { key, upload, number, payload, checksum }).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        assert!(range.start < range.end, "a range is never empty");
        if !self.copies_through.load(Ordering::Relaxed) {
            let source = &*self.pinned(Op::CopyPart, source, key).await?;
            let range = range.clone();
            let copy = ops::CopyPart { bucket: &self.options.bucket, key, upload, number, source, range };
            match self.run(&copy).await {
                Err(error) if error.kind == Kind::NotImplemented => {
                    tracing::debug!(%error, "parts are copied through this machine from now on");
                    self.copies_through.store(true, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        self.copy_part_through(key, upload, number, source, range).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        self.check_write(Op::CompleteUpload, key, condition)?;
        let crc64nvme = if self.integrity == Integrity::Crc64Nvme { checksum::of_parts(parts) } else { None };
        let checksum = crc64nvme.map(checksum::crc64nvme_checksum);
        let names_crc32c = self.integrity == Integrity::Crc32c;
        let complete = ops::CompleteUpload { key, upload, parts, condition, checksum, names_crc32c };
        self.run(&complete).await.map_err(|error| absent_is_unmatched(error, condition))
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        match self.run(&ops::AbortUpload { key, upload }).await {
            Err(error) if error.kind == Kind::NoSuchUpload => Ok(()),
            other => other,
        }
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.run(&ops::ListParts { key, upload, after }).await?;
            parts.extend(page);
            match next {
                Some(_) => after = next,
                None => return Ok(parts),
            }
        }
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        let (mut uploads, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.run(&ops::ListUploads { prefix, after }).await?;
            uploads.extend(page);
            match next {
                Some(_) => after = next,
                None => return Ok(uploads),
            }
        }
    }
}
