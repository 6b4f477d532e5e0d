//! A store as it is once all removals that were put off are carried out: who asks for a key that goes is told that it is
//! gone, and who does anything else with it, or lists what is around it, comes after the removal.

use super::Removals;
use super::queue::Reach;
use super::queue::Shown;
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
use crate::wire::etag::ETag;
use async_trait::async_trait;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

/// A store behind its removals.
pub struct Gated {
    inner: Arc<dyn Store>,
    removals: Arc<Removals>,
}

impl Gated {
    /// `inner`, behind `removals` of the same bucket.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, removals: &Arc<Removals>) -> Self {
        Self { inner, removals: Arc::clone(removals) }
    }

    async fn shown(&self, op: Op, key: &str) -> Result<()> {
        match self.removals.shown(key) {
            Shown::Stored => Ok(()),
            Shown::Gone => Err(Error::new(op, key, Kind::NotFound, "it is being removed")),
            Shown::Undecided => self.after(key).await,
        }
    }

    async fn after(&self, key: &str) -> Result<()> {
        self.removals.settled(Reach::Key(key)).await
    }
}

#[async_trait]
impl Store for Gated {
    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn now(&self) -> SystemTime {
        self.inner.now()
    }

    async fn head_bucket(&self) -> Result<()> {
        self.inner.head_bucket().await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.shown(Op::HeadObject, key).await?;
        self.inner.head_object(key).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        self.shown(Op::GetObject, key).await?;
        self.inner.get_object(key, range, if_match).await
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        self.after(key).await?;
        self.inner.put_object(key, payload, headers, condition).await
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        self.after(key).await?;
        self.inner.delete_object(key).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        for key in keys {
            self.after(key).await?;
        }
        self.inner.delete_objects(keys).await
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        self.after(&source.key).await?;
        self.after(key).await?;
        self.inner.copy_object(source, key, headers).await
    }

    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        self.after(&source.key).await?;
        self.after(key).await?;
        self.inner.move_object(source, key).await
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.removals.settled(Reach::Below(&request.prefix)).await?;
        self.inner.list_objects(request).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.inner.create_upload(key, headers).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        self.inner.put_part(key, upload, number, payload).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        self.after(&source.key).await?;
        self.inner.copy_part(key, upload, number, source, range).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        self.after(key).await?;
        self.inner.complete_upload(key, upload, parts, condition).await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.inner.abort_upload(key, upload).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.inner.list_parts(key, upload).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.inner.list_uploads(prefix).await
    }
}
