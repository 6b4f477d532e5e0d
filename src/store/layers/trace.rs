//! Counts and logs every request. Put below the retries, it sees each attempt.

use crate::base::clock;
use crate::base::failures::Failure;
use crate::base::failures::Failures;
use crate::base::metrics::Counted;
use crate::base::metrics::Tally;
use crate::store::Body;
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
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// What was asked of a store so far, by operation, and what failed last.
#[derive(Debug)]
pub struct Counters {
    by_op: [Tally; Op::ALL.len()],
    /// Attempts that were not the first, by operation.
    repeats: [AtomicU64; Op::ALL.len()],
    failures: Arc<Failures>,
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

/// Why calls fail, by number: the kinds of errors, and at last that nobody waited for the answer any more.
pub const REASONS: [&str; Kind::NAMES.len() + 1] = {
    let mut all = ["dropped"; Kind::NAMES.len() + 1];
    let mut at = 0;
    while at < Kind::NAMES.len() {
        all[at] = Kind::NAMES[at];
        at += 1;
    }
    all
};

const DROPPED: usize = Kind::NAMES.len();

impl Default for Counters {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Counters {
    /// Nothing so far. What fails is told to `failures` as well.
    #[must_use]
    pub fn new(failures: Arc<Failures>) -> Self {
        Self {
            by_op: std::array::from_fn(|_| Tally::new(REASONS.len())),
            repeats: std::array::from_fn(|_| AtomicU64::new(0)),
            failures,
        }
    }

    /// The figures now of what was asked at all.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<Op, Count> {
        let asked = Op::ALL.into_iter().map(|op| (op, self.read(op))).filter(|(_, counted)| counted.begun > 0);
        let count = |(op, counted): (Op, Counted)| {
            let (bytes_out, bytes_in) = if op == Op::GetObject { (0, counted.bytes) } else { (counted.bytes, 0) };
            (op, Count { calls: counted.begun, errors: counted.failures(), bytes_out, bytes_in })
        };
        asked.map(count).collect()
    }

    /// All that is known of one operation.
    #[must_use]
    pub fn read(&self, op: Op) -> Counted {
        self.tally(op).read()
    }

    /// How many calls of one operation were begun.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.read(op).begun
    }

    /// How many of them repeated one that had failed.
    #[must_use]
    pub fn repeats(&self, op: Op) -> u64 {
        self.repeats[op as usize].load(Ordering::Relaxed)
    }

    /// One that has failed is tried again.
    pub fn repeat(&self, op: Op) {
        self.repeats[op as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn tally(&self, op: Op) -> &Tally {
        &self.by_op[op as usize]
    }

    fn remember(&self, error: &Error) {
        // Programs look for what is not there, and conditions are there to fail.
        if matches!(error.kind, Kind::NotFound | Kind::PreconditionFailed) {
            return;
        }
        let failure = Failure {
            operation: error.op.name().to_owned(),
            path: error.key.clone(),
            errno: None,
            code: error.code().map(str::to_owned),
            request_id: error.request_id().map(str::to_owned),
            message: error.message.clone(),
        };
        self.failures.add(clock::now(), failure);
    }
}

/// A call under way. Dropped before its end, it counts as such: nobody waited for the answer.
struct Running<'a> {
    tally: &'a Tally,
    begun: Instant,
    ended: bool,
}

impl<'a> Running<'a> {
    fn begin(tally: &'a Tally) -> Self {
        tally.begin();
        Self { tally, begun: clock::monotonic(), ended: false }
    }

    fn end(mut self, outcome: std::result::Result<(), usize>) -> Duration {
        self.ended = true;
        let took = self.begun.elapsed();
        self.tally.ended(outcome, took);
        took
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.tally.ended(Err(DROPPED), self.begun.elapsed());
        }
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
        let tally = self.counters.tally(op);
        let running = Running::begin(tally);
        let result = work.await;
        tally.moved(bytes_out);
        let took = running.end(result.as_ref().map(drop).map_err(|error| error.kind.index()));
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(_) => tracing::debug!(%op, key, bytes_out, ms, "ok"),
            Err(error) => {
                self.counters.remember(error);
                let (code, request) = (error.code(), error.request_id());
                tracing::debug!(%op, key, bytes_out, ms, kind = ?error.kind, code, request, error = %error, "failed");
            }
        }
        result
    }

    /// Counts the bytes of a body as they pass.
    fn count(&self, body: Body) -> Body {
        let counters = Arc::clone(&self.counters);
        let look = move |piece: &Result<bytes::Bytes>| match piece {
            Ok(bytes) => counters.tally(Op::GetObject).moved(bytes.len() as u64),
            Err(error) => {
                counters.tally(Op::GetObject).failed_late(error.kind.index());
                counters.remember(error);
            }
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
    #[test]
    fn operations_and_reasons_have_their_own_places() {
        for (at, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!(op as usize, at, "{op}");
        }
        assert_eq!(REASONS[Kind::Throttled(None).index()], "throttled");
        assert_eq!(REASONS[Kind::Invalid.index()], "invalid");
        assert_eq!(REASONS[DROPPED], "dropped");
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_is_not_under_way() {
        let counters = Counters::default();
        let running = Running::begin(counters.tally(Op::HeadBucket));
        assert_eq!(counters.read(Op::HeadBucket).under_way, 1);
        drop(running);
        let counted = counters.read(Op::HeadBucket);
        assert_eq!((counted.under_way, counted.failed), (0, vec![(DROPPED, 1)]));
    }

    #[tokio::test]
    async fn the_last_failures_are_remembered_but_for_what_is_not_there() {
        let memory = Arc::new(Memory::new());
        let failures = Arc::new(Failures::default());
        let store = Traced::new(memory.clone(), Arc::new(Counters::new(Arc::clone(&failures))));
        memory.lose(Op::PutObject, 1, Lost::Request);
        assert!(store.head_object("absent").await.is_err());
        let payload = Payload::from(Bytes::from_static(b"12345"));
        assert!(store.put_object("k", payload, &Headers::default(), &Condition::None).await.is_err());
        let all = failures.all();
        let told: Vec<_> = all.iter().map(|one| (&*one.failure.operation, &*one.failure.path)).collect();
        assert_eq!(told, [("PutObject", "k")]);
    }
}
