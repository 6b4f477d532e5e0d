//! Tells a ledger of multipart uploads, so that one that a crash leaves behind can be found and aborted.
//!
//! Put below the retries: each attempt at beginning an upload may begin one whose answer is lost, so each is noted.

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

/// Names one attempt at beginning an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u64);

/// Who remembers uploads. It cannot fail: a ledger that cannot be written is its keeper's to complain of, not a reason to
/// refuse a file.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// An upload of this key is about to be asked for, at this time by the store's clock. Remembered when this returns.
    async fn intend(&self, key: &str, at: SystemTime) -> Attempt;

    /// It was begun. Remembered when this returns.
    async fn begun(&self, attempt: Attempt, key: &str, upload: &UploadId);

    /// It was surely not begun.
    fn not_begun(&self, attempt: Attempt);

    /// It is completed, or aborted, or gone.
    fn ended(&self, key: &str, upload: &UploadId);
}

/// A store that tells a ledger of its uploads.
pub struct Noted {
    inner: Arc<dyn Store>,
    ledger: Arc<dyn Ledger>,
}

impl Noted {
    /// Tells `ledger` what becomes of the uploads of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, ledger: Arc<dyn Ledger>) -> Self {
        Self { inner, ledger }
    }

    fn note_end<T>(&self, key: &str, upload: &UploadId, done: &Result<T>) {
        if done.as_ref().err().is_none_or(|error| error.kind == Kind::NoSuchUpload) {
            self.ledger.ended(key, upload);
        }
    }
}

/// Whether the store may have done what it answered so.
fn may_be_done(error: &Error) -> bool {
    matches!(error.kind, Kind::Network | Kind::Unavailable | Kind::Protocol | Kind::Corrupt)
}

#[async_trait]
impl Store for Noted {
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
        self.inner.head_object(key).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        self.inner.get_object(key, range, if_match).await
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        self.inner.put_object(key, payload, headers, condition).await
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        self.inner.delete_object(key).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        self.inner.delete_objects(keys).await
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        self.inner.copy_object(source, key, headers).await
    }

    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        self.inner.move_object(source, key).await
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.inner.list_objects(request).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        let attempt = self.ledger.intend(key, self.inner.now()).await;
        let done = self.inner.create_upload(key, headers).await;
        match &done {
            Ok(upload) => self.ledger.begun(attempt, key, upload).await,
            Err(error) if may_be_done(error) => {}
            Err(_) => self.ledger.not_begun(attempt),
        }
        done
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
        self.inner.copy_part(key, upload, number, source, range).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        let done = self.inner.complete_upload(key, upload, parts, condition).await;
        self.note_end(key, upload, &done);
        done
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        let done = self.inner.abort_upload(key, upload).await;
        self.note_end(key, upload, &done);
        done
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.inner.list_parts(key, upload).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.inner.list_uploads(prefix).await
    }
}
