//! Counts and logs every request. Put below the retries, it sees each attempt.

use crate::base::clock;
use crate::store::Body;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::Error;
use crate::store::Facts;
use crate::store::GetObject;
use crate::store::Headers;
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
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::SystemTime;

/// What was asked of a store so far, by operation.
#[derive(Debug, Default)]
pub struct Counters {
    by_op: Mutex<BTreeMap<Op, Count>>,
}

/// What was asked by one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls that were begun.
    pub calls: u64,
    /// Calls that failed, also while their body was read.
    pub errors: u64,
    /// Bytes of objects that were sent.
    pub bytes_out: u64,
    /// Bytes of objects that arrived.
    pub bytes_in: u64,
}

impl Counters {
    /// The figures now.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<Op, Count> {
        self.lock().clone()
    }

    /// How many calls of one operation were begun.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.lock().get(&op).map_or(0, |count| count.calls)
    }

    fn add(&self, op: Op, change: impl FnOnce(&mut Count)) {
        change(self.lock().entry(op).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Op, Count>> {
        self.by_op.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that counts and logs what is asked of another one.
pub struct Traced {
    inner: Arc<dyn Store>,
    counters: Arc<Counters>,
}

impl Traced {
    /// Counts into `counters` what is asked of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, counters: Arc<Counters>) -> Self {
        Self { inner, counters }
    }

    async fn call<T>(&self, op: Op, key: &str, bytes_out: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = clock::monotonic();
        self.counters.add(op, |count| {
            count.calls += 1;
            count.bytes_out += bytes_out;
        });
        let result = work.await;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(_) => tracing::debug!(%op, key, bytes_out, ms, "ok"),
            Err(error) => {
                self.counters.add(op, |count| count.errors += 1);
                tracing::debug!(%op, key, bytes_out, ms, kind = ?error.kind, error = %error, "failed");
            }
        }
        result
    }

    /// Counts the bytes of a body as they pass.
    fn count(&self, body: Body) -> Body {
        let counters = Arc::clone(&self.counters);
        let look = move |piece: &Result<bytes::Bytes>| {
            counters.add(Op::GetObject, |count| match piece {
                Ok(bytes) => count.bytes_in += bytes.len() as u64,
                Err(_) => count.errors += 1,
            });
        };
        body.inspect(look).boxed()
    }
}

#[async_trait]
impl Store for Traced {
    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn now(&self) -> SystemTime {
        self.inner.now()
    }

    async fn head_bucket(&self) -> Result<()> {
        self.call(Op::HeadBucket, "", 0, self.inner.head_bucket()).await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.call(Op::HeadObject, key, 0, self.inner.head_object(key)).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        let GetObject { object, body } =
            self.call(Op::GetObject, key, 0, self.inner.get_object(key, range, if_match)).await?;
        Ok(GetObject { object, body: self.count(body) })
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        let bytes = payload.len();
        self.call(Op::PutObject, key, bytes, self.inner.put_object(key, payload, headers, condition)).await
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        self.call(Op::DeleteObject, key, 0, self.inner.delete_object(key)).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        self.call(Op::DeleteObjects, "", 0, self.inner.delete_objects(keys)).await
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        self.call(Op::CopyObject, key, 0, self.inner.copy_object(source, key, headers)).await
    }

    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        self.call(Op::MoveObject, key, 0, self.inner.move_object(source, key)).await
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.call(Op::ListObjects, &request.prefix, 0, self.inner.list_objects(request)).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.call(Op::CreateUpload, key, 0, self.inner.create_upload(key, headers)).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        let bytes = payload.len();
        self.call(Op::PutPart, key, bytes, self.inner.put_part(key, upload, number, payload)).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        self.call(Op::CopyPart, key, 0, self.inner.copy_part(key, upload, number, source, range)).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        self.call(Op::CompleteUpload, key, 0, self.inner.complete_upload(key, upload, parts, condition)).await
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.call(Op::AbortUpload, key, 0, self.inner.abort_upload(key, upload)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.call(Op::ListParts, key, 0, self.inner.list_parts(key, upload)).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.call(Op::ListUploads, prefix, 0, self.inner.list_uploads(prefix)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;
    use crate::store::memory::Lost;
    use crate::store::memory::Memory;
    use bytes::Bytes;

    #[tokio::test]
    async fn calls_errors_and_bytes_are_counted_by_operation() {
        let memory = Arc::new(Memory::new());
        let counters = Arc::new(Counters::default());
        let store = Traced::new(memory.clone(), counters.clone());
        memory.lose(Op::PutObject, 2, Lost::Request);
        let payload = || Payload::from(Bytes::from_static(b"12345"));
        assert!(store.put_object("k", payload(), &Headers::default(), &Condition::None).await.is_ok());
        assert!(store.put_object("k", payload(), &Headers::default(), &Condition::None).await.is_err());
        let got = store.get_object("k", Some(1..4), None).await.unwrap();
        assert_eq!(counters.snapshot()[&Op::GetObject].bytes_in, 0);
        assert_eq!(got.body.map(|piece| piece.unwrap().len()).collect::<Vec<_>>().await.iter().sum::<usize>(), 3);
        assert_eq!(store.head_object("absent").await.unwrap_err().kind, Kind::NotFound);
        let want = [
            (Op::HeadObject, Count { calls: 1, errors: 1, ..Count::default() }),
            (Op::GetObject, Count { calls: 1, bytes_in: 3, ..Count::default() }),
            (Op::PutObject, Count { calls: 2, errors: 1, bytes_out: 10, ..Count::default() }),
        ];
        assert_eq!(counters.snapshot(), want.into());
        assert_eq!((counters.calls(Op::PutObject), counters.calls(Op::ListParts)), (2, 0));
    }
}
