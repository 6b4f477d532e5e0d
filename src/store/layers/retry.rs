//! Repeats what may well succeed a little later, and settles what a lost answer leaves open.
//!
//! A lost answer is not a lost request. Most operations may simply be done again; complete, moves, conditional puts and
//! conditional copies onto themselves may not, since their first success makes the second fail. For these the object
//! is looked at before the failure is believed. A repeated create may leave an upload behind that nobody knows of;
//! whoever cleans up finds it by its age.

mod settle;

use crate::base::clock;
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
use crate::wire::etag::ETag;
use async_trait::async_trait;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;
use tokio::time::Instant;

/// How long to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all.
    pub attempts_max: u32,
    /// No attempt begins later than this after the first.
    pub total: Duration,
    /// The pause after the first failure; it doubles with each.
    pub first: Duration,
    /// The longest pause, unless the store asks for a longer one.
    pub longest: Duration,
    /// Repeats that may be made at a burst, by all calls together. Each success earns one back; without any left
    /// every pause is the longest, so that a store in trouble is not buried.
    pub burst: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts_max: 12,
            total: Duration::from_secs(60),
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
pub struct Retry {
    inner: Arc<dyn Store>,
    policy: Policy,
    burst_left: Mutex<u32>,
}

impl Retry {
    /// Repeats calls of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, policy: Policy) -> Self {
        let burst_left = Mutex::new(policy.burst);
        Self { inner, policy, burst_left }
    }

    async fn repeat<T, F>(&self, work: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut attempts = Attempts::new(self);
        loop {
            match work().await {
                Ok(value) => return Ok(attempts.succeeded(value)),
                Err(error) => attempts.pause(error).await?,
            }
        }
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

    /// Whether an upload that `error` is about no longer exists; one that does was not completed.
    async fn is_gone(&self, key: &str, upload: &UploadId, error: &Error) -> bool {
        error.kind == Kind::NoSuchUpload
            || self.list_parts(key, upload).await.is_err_and(|error| error.kind == Kind::NoSuchUpload)
    }

    /// Whether there surely is no such object.
    async fn is_absent(&self, key: &str) -> bool {
        self.head_object(key).await.is_err_and(|error| error.kind == Kind::NotFound)
    }

    /// What is there now, asked with repeats; `None` if that cannot be found out.
    async fn look(&self, key: &str) -> Option<Object> {
        self.head_object(key).await.ok()
    }
}

/// The attempts at one call.
struct Attempts<'a> {
    retry: &'a Retry,
    begun: Instant,
    begun_at: SystemTime,
    made: u32,
    /// An answer may have been lost: the work may be done.
    in_doubt: bool,
}

impl<'a> Attempts<'a> {
    fn new(retry: &'a Retry) -> Self {
        // Of the runtime's clock, as the pauses are, so that tests can hold both.
        Self { retry, begun: Instant::now(), begun_at: clock::now(), made: 0, in_doubt: false }
    }

    fn succeeded<T>(&self, value: T) -> T {
        self.retry.earn_burst();
        value
    }

    /// Waits before the next attempt, or gives the error back if there is to be none.
    async fn pause(&mut self, error: Error) -> Result<()> {
        self.made += 1;
        self.in_doubt |= matches!(error.kind, Kind::Network | Kind::Unavailable);
        let has_burst = !error.is_transient() || self.retry.take_burst();
        let (elapsed, fraction) = (self.begun.elapsed(), random::fraction());
        match self.retry.policy.pause(&error, self.made, elapsed, has_burst, fraction) {
            Some(pause) => {
                tracing::debug!(%error, attempt = self.made, pause_ms = pause.as_millis(), "repeating");
                tokio::time::sleep(pause).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Whether the error may only mean that an earlier attempt, whose answer was lost, did the work.
    fn may_be_done(&self, error: &Error) -> bool {
        self.in_doubt && matches!(error.kind, Kind::PreconditionFailed | Kind::NoSuchUpload)
    }
}

#[async_trait]
impl Store for Retry {
    fn facts(&self) -> &Facts {
        self.inner.facts()
    }

    async fn head_bucket(&self) -> Result<()> {
        self.repeat(|| self.inner.head_bucket()).await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.repeat(|| self.inner.head_object(key)).await
    }

    /// Repeats until the answer begins; what breaks off later is for the reader, who knows what it still needs.
    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        self.repeat(|| self.inner.get_object(key, range.clone(), if_match)).await
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        let mut attempts = Attempts::new(self);
        loop {
            let error = match self.inner.put_object(key, payload.clone(), headers, condition).await {
                Ok(etag) => return Ok(attempts.succeeded(etag)),
                Err(error) => error,
            };
            if attempts.may_be_done(&error)
                && let Some(found) = self.look(key).await
                && settle::is_what_was_put(&found, &payload, headers, attempts.begun_at)
            {
                return Ok(found.etag);
            }
            attempts.pause(error).await?;
        }
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        self.repeat(|| self.inner.delete_object(key)).await
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        let mut attempts = Attempts::new(self);
        let (mut left, mut failed) = (keys.to_vec(), Vec::new());
        loop {
            let error = match self.inner.delete_objects(&left).await {
                Ok(errors) => {
                    let (mut again, for_good): (Vec<Error>, Vec<Error>) =
                        errors.into_iter().partition(Error::is_transient);
                    failed.extend(for_good);
                    let Some(error) = again.pop() else { return Ok(attempts.succeeded(failed)) };
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
        let mut attempts = Attempts::new(self);
        loop {
            let error = match self.inner.copy_object(source, key, headers).await {
                Ok(etag) => return Ok(attempts.succeeded(etag)),
                Err(error) => error,
            };
            // Only a copy onto itself can make its own source another one.
            if attempts.may_be_done(&error)
                && source.key == key
                && let Some(headers) = headers
                && let Some(found) = self.look(key).await
                && settle::is_what_was_copied(&found, headers, attempts.begun_at)
            {
                return Ok(found.etag);
            }
            attempts.pause(error).await?;
        }
    }

    /// The source is looked at first: when an answer was lost and the source is gone, only what it was tells whether the
    /// object at the other key is it.
    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        let before = self.head_object(&source.key).await?;
        if source.if_match.as_ref().is_some_and(|want| *want != before.etag) {
            let message = format!("the source {:?} changed: its tag is {}", source.key, before.etag);
            return Err(Error::new(Op::MoveObject, key, Kind::PreconditionFailed, message));
        }
        let mut attempts = Attempts::new(self);
        loop {
            let error = match self.inner.move_object(source, key).await {
                Ok(()) => {
                    self.earn_burst();
                    return Ok(());
                }
                Err(error) => error,
            };
            if attempts.in_doubt
                && matches!(error.kind, Kind::NotFound | Kind::PreconditionFailed)
                && self.is_absent(&source.key).await
                && let Some(found) = self.look(key).await
                && settle::is_what_was_moved(&found, &before, attempts.begun_at)
            {
                return Ok(());
            }
            attempts.pause(error).await?;
        }
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.repeat(|| self.inner.list_objects(request)).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.repeat(|| self.inner.create_upload(key, headers)).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        self.repeat(|| self.inner.put_part(key, upload, number, payload.clone())).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        self.repeat(|| self.inner.copy_part(key, upload, number, source, range.clone())).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        let mut attempts = Attempts::new(self);
        loop {
            let error = match self.inner.complete_upload(key, upload, parts, condition).await {
                Ok(etag) => return Ok(attempts.succeeded(etag)),
                Err(error) => error,
            };
            if attempts.may_be_done(&error)
                && self.is_gone(key, upload, &error).await
                && let Some(found) = self.look(key).await
                && settle::is_what_was_completed(&found, parts, attempts.begun_at, self.facts().dialect)
            {
                return Ok(found.etag);
            }
            attempts.pause(error).await?;
        }
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.repeat(|| self.inner.abort_upload(key, upload)).await
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.repeat(|| self.inner.list_parts(key, upload)).await
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.repeat(|| self.inner.list_uploads(prefix)).await
    }
}

#[cfg(test)]
mod tests;
