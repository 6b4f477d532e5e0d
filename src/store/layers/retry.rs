//! Repeats what may well succeed a little later, and settles what a lost answer leaves open.
//!
//! A store that is gone altogether is waited for at the [`Line`]: what asks until its deadline, and with
//! [`Outage::Wait`] what stores for as long as it takes, since nobody else has the bytes.
//!
//! A lost answer is not a lost request. Most operations may simply be done again; complete, moves, conditional puts and
//! conditional copies onto themselves may not, since their first success makes the second fail. For these the object
//! is looked at before the failure is believed. A repeated create may leave an upload behind that nobody knows of;
//! whoever cleans up finds it by its age. A body that breaks off is gone on with where it broke (`body`).

mod attempts;
mod body;
mod settle;

use crate::base::random;
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
use crate::store::layers::trace::Counters;
use crate::store::line::Line;
use crate::wire::etag::ETag;
use async_trait::async_trait;
use attempts::Attempts;
use attempts::Call;
use attempts::stores;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

/// How long to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all.
    pub attempts_max: u32,
    /// No attempt begins later than this after the first, and none goes on for longer, but for the time that much data
    /// needs.
    pub total: Duration,
    /// What to do about what is to be stored while the store is gone.
    pub outage: Outage,
    /// The pause after the first failure; it doubles with each.
    pub first: Duration,
    /// The longest pause, unless the store asks for a longer one.
    pub longest: Duration,
    /// Repeats that may be made at a burst, by all calls together. Each success earns one back; without any left
    /// every pause is the longest, so that a store in trouble is not buried.
    pub burst: u32,
}

/// What becomes of requests that store something while the store is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// They wait until it is back: the outage does not count.
    Wait,
    /// They fail at their deadline, as those do that only ask.
    Fail,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts_max: 12,
            total: Duration::from_secs(60),
            outage: Outage::Fail,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(8),
            burst: 200,
        }
    }
}

impl Policy {
    /// The pause before the next attempt, or `None` to give up. `fraction` in `0..1` spreads callers apart.
    #[must_use]
    pub fn pause(
        &self,
        error: &Error,
        made: u32,
        elapsed: Duration,
        has_burst: bool,
        fraction: f64,
    ) -> Option<Duration> {
        if !error.is_transient() || made >= self.attempts_max {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << made.saturating_sub(1).min(16)).min(self.longest);
        let full = if has_burst { doubled } else { self.longest };
        let spread = full.mul_f64(0.5 + fraction / 2.0);
        let pause = match error.kind {
            Kind::Throttled(Some(asked)) => asked.max(spread),
            _ => spread,
        };
        (elapsed + pause <= self.total).then_some(pause)
    }
}

/// A store that repeats what another one fails at.
#[derive(Clone)]
pub struct Retry {
    inner: Arc<dyn Store>,
    policy: Policy,
    line: Arc<Line>,
    burst_left: Arc<Mutex<u32>>,
    counters: Arc<Counters>,
    /// Also what is only asked is a part of storing something.
    for_storing: bool,
}

impl Retry {
    /// Repeats calls of `inner`, at a line of its own.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, policy: Policy) -> Self {
        Self::at(inner, policy, Arc::default())
    }

    /// Repeats calls of `inner`, which is at the other end of `line`.
    #[must_use]
    pub fn at(inner: Arc<dyn Store>, policy: Policy, line: Arc<Line>) -> Self {
        let burst_left = Arc::new(Mutex::new(policy.burst));
        Self { inner, policy, line, burst_left, counters: Arc::default(), for_storing: false }
    }

    /// The same, with repeats counted there.
    #[must_use]
    pub fn counting(self, counters: Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// The same for those who ask in order to store: they wait for the answers as they do for the writes.
    #[must_use]
    pub fn for_storing(&self) -> Self {
        Self { for_storing: true, ..self.clone() }
    }

    async fn repeat<T, F>(&self, call: Call<'_>, work: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut attempts = Attempts::new(self, call);
        loop {
            match attempts.attempt(work()).await {
                Ok(value) => return Ok(value),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Begins a read, with repeats until the answer begins.
    async fn begin_get(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        let call = Call::new(Op::GetObject, key);
        self.repeat(call, || self.inner.get_object(key, range.clone(), if_match)).await
    }

    /// The pause after the `made`th failure in a row, or `None` to give up.
    fn next_pause(&self, error: &Error, made: u32, elapsed: Duration) -> Option<Duration> {
        let has_burst = !error.is_transient() || self.take_burst();
        self.policy.pause(error, made, elapsed, has_burst, random::fraction())
    }

    fn take_burst(&self) -> bool {
        let mut left = self.burst_left.lock().unwrap_or_else(PoisonError::into_inner);
        let has = *left > 0;
        *left = left.saturating_sub(1);
        has
    }

    fn earn_burst(&self) {
        let mut left = self.burst_left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_add(1).min(self.policy.burst);
    }

    fn waits_for(&self, op: Op) -> bool {
        self.policy.outage == Outage::Wait && op != Op::AbortUpload && (self.for_storing || stores(op))
    }

    /// What the lost answer of an upload's completion leaves open: the object, if the upload no longer exists; one that
    /// does was not completed.
    async fn look_after(&self, key: &str, upload: &UploadId, error: &Error) -> Result<Option<Object>> {
        if error.kind != Kind::NoSuchUpload {
            match self.for_storing().list_parts(key, upload).await {
                Ok(_) => return Ok(None),
                Err(error) if error.kind == Kind::NoSuchUpload => {}
                Err(error) => return Err(error),
            }
        }
        self.look(key).await
    }

    /// What is there now, asked with repeats.
    async fn look(&self, key: &str) -> Result<Option<Object>> {
        match self.for_storing().head_object(key).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Store for Retry {
    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    fn now(&self) -> SystemTime {
        self.inner.now()
    }

    async fn head_bucket(&self) -> Result<()> {
        self.repeat(Call::new(Op::HeadBucket, ""), || self.inner.head_bucket()).await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.repeat(Call::new(Op::HeadObject, key), || self.inner.head_object(key)).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        let got = self.begin_get(key, range.clone(), if_match).await?;
        Ok(body::lasting(self.clone(), key, range, got))
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        let mut attempts = Attempts::new(self, Call { bytes: payload.len(), ..Call::new(Op::PutObject, key) });
        loop {
            let mut error =
                match attempts.attempt(self.inner.put_object(key, payload.clone(), headers, condition)).await {
                    Ok(etag) => return Ok(etag),
                    Err(error) => error,
                };
            if attempts.may_be_done(&error) {
                match self.look(key).await {
                    Ok(Some(found)) if settle::is_what_was_put(&found, &payload, headers, attempts.begun_at) => {
                        return Ok(found.etag);
                    }
                    Ok(_) => {}
                    Err(doubt) => error = doubt,
                }
            }
            attempts.pause(error).await?;
        }
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        self.repeat(Call::new(Op::DeleteObject, key), || self.inner.delete_object(key)).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        let mut attempts = Attempts::new(self, Call::new(Op::DeleteObjects, ""));
        let (mut left, mut failed) = (keys.to_vec(), Vec::new());
        loop {
            let error = match attempts.attempt(self.inner.delete_objects(&left)).await {
                Ok(errors) => {
                    let (mut again, for_good): (Vec<Error>, Vec<Error>) =
                        errors.into_iter().partition(Error::is_transient);
                    failed.extend(for_good);
                    let Some(error) = again.pop() else { return Ok(failed) };
                    left = again.iter().map(|error| error.key.clone()).chain([error.key.clone()]).collect();
                    if let Err(error) = attempts.pause(error).await {
                        failed.extend(again.into_iter().chain([error]));
                        return Ok(failed);
                    }
                    continue;
                }
                Err(error) => error,
            };
            attempts.pause(error).await?;
        }
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        let mut attempts = Attempts::new(self, Call::new(Op::CopyObject, key));
        loop {
            let mut error = match attempts.attempt(self.inner.copy_object(source, key, headers)).await {
                Ok(etag) => return Ok(etag),
                Err(error) => error,
            };
            // Only a copy onto itself can make its own source another one.
            if attempts.may_be_done(&error)
                && source.key == key
                && let Some(headers) = headers
            {
                match self.look(key).await {
                    Ok(Some(found)) if settle::is_what_was_copied(&found, headers, attempts.begun_at) => {
                        return Ok(found.etag);
                    }
                    Ok(_) => {}
                    Err(doubt) => error = doubt,
                }
            }
            attempts.pause(error).await?;
        }
    }

    /// The source is looked at first: when an answer was lost and the source is gone, only what it was tells whether the
    /// object at the other key is it.
    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        let before = self.for_storing().head_object(&source.key).await?;
        if source.if_match.as_ref().is_some_and(|want| *want != before.etag) {
            let message = format!("the source {:?} changed: its tag is {}", source.key, before.etag);
            return Err(Error::new(Op::MoveObject, key, Kind::PreconditionFailed, message));
        }
        let mut attempts = Attempts::new(self, Call::new(Op::MoveObject, key));
        loop {
            let mut error = match attempts.attempt(self.inner.move_object(source, key)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if attempts.in_doubt && matches!(error.kind, Kind::NotFound | Kind::PreconditionFailed) {
                match (self.look(&source.key).await, self.look(key).await) {
                    (Ok(None), Ok(Some(found))) if settle::is_what_was_moved(&found, &before, attempts.begun_at) => {
                        return Ok(());
                    }
                    (Ok(_), Ok(_)) => {}
                    (Err(doubt), _) | (_, Err(doubt)) => error = doubt,
                }
            }
            attempts.pause(error).await?;
        }
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.repeat(Call::new(Op::ListObjects, &request.prefix), || self.inner.list_objects(request)).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.repeat(Call::new(Op::CreateUpload, key), || self.inner.create_upload(key, headers)).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        let call = Call { bytes: payload.len(), ..Call::new(Op::PutPart, key) };
        self.repeat(call, || self.inner.put_part(key, upload, number, payload.clone())).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        let call = Call::new(Op::CopyPart, key);
        self.repeat(call, || self.inner.copy_part(key, upload, number, source, range.clone())).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        let mut attempts = Attempts::new(self, Call::new(Op::CompleteUpload, key));
        loop {
            let mut error = match attempts.attempt(self.inner.complete_upload(key, upload, parts, condition)).await {
                Ok(etag) => return Ok(etag),
                Err(error) => error,
            };
            if attempts.may_be_done(&error) {
                let (begun, dialect) = (attempts.begun_at, self.facts().dialect);
                match self.look_after(key, upload, &error).await {
                    Ok(Some(found)) if settle::is_what_was_completed(&found, parts, begun, dialect) => {
                        return Ok(found.etag);
                    }
                    Ok(_) => {}
                    Err(doubt) => error = doubt,
                }
            }
            attempts.pause(error).await?;
        }
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.repeat(Call::new(Op::AbortUpload, key), || self.inner.abort_upload(key, upload)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.repeat(Call::new(Op::ListParts, key), || self.inner.list_parts(key, upload)).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.repeat(Call::new(Op::ListUploads, prefix), || self.inner.list_uploads(prefix)).await
    }
}

#[cfg(test)]
mod tests;
