//! The in-memory fake: a bucket with S3's checks, whose requests and answers can be lost on purpose.
//!
//! It is for tests of the layers above, and worth as much as the conformance suite that it passes. It keeps
//! everything in memory and decides everything under one lock; it does not know of latency.

mod state;

use crate::base::clock;
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
use crate::store::metadata;
use crate::wire::etag::ETag;
use async_trait::async_trait;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream;
use state::State;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// What becomes of a call that is made to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The request does not arrive: nothing happens, and the caller gets [`Kind::Network`].
    Request,
    /// The work is done, but the caller gets [`Kind::Network`].
    Answer,
    /// The work is done, but the answer breaks off: of a body comes the first half, of anything else nothing.
    Rest,
    /// The store refuses: nothing happens, and the caller gets this.
    Refused(Kind),
}

/// A bucket in memory.
#[derive(Default)]
pub struct Memory {
    facts: Option<Facts>,
    state: Mutex<State>,
    plan: Mutex<Plan>,
}

/// Which calls fail, and how many were made.
#[derive(Default)]
struct Plan {
    calls: BTreeMap<Op, u64>,
    losses: BTreeMap<(Op, u64), Lost>,
    /// Calls that still arrive before no other does.
    left: Option<u64>,
}

impl Memory {
    /// An empty bucket of a store like Amazon's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty bucket of a store with other figures, such as small parts.
    #[must_use]
    pub fn with_facts(facts: Facts) -> Self {
        Self { facts: Some(facts), ..Self::default() }
    }

    /// Makes a later call of a kind fail: `1` is the next one.
    ///
    /// # Panics
    /// For `0`, which would be a call that was already made.
    pub fn lose(&self, op: Op, nth: u64, lost: Lost) {
        assert!(nth > 0, "the next call is the first");
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let made = plan.calls.get(&op).copied().unwrap_or(0);
        plan.losses.insert((op, made + nth), lost);
    }

    /// After `calls` more calls of any kind no request arrives any more, as after a crash of the caller.
    pub fn lose_all_after(&self, calls: u64) {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).left = Some(calls);
    }

    /// All requests arrive from now on.
    pub fn lose_nothing(&self) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Plan::default();
    }

    /// Makes an object older, past all counting.
    pub fn age(&self, key: &str, by: Duration) {
        self.state().age(key, by);
    }

    /// How many calls of a kind were made, lost ones included.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).calls.get(&op).copied().unwrap_or(0)
    }

    /// How many calls of any kind were made.
    #[must_use]
    pub fn calls_in_all(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).calls.values().sum()
    }

    /// The bytes of an object, past all counting.
    #[must_use]
    pub fn bytes(&self, key: &str) -> Option<Bytes> {
        self.state().object(key).map(|stored| stored.bytes.clone())
    }

    /// All keys, past all counting.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().keys()
    }

    /// How many uploads are unfinished, past all counting.
    #[must_use]
    pub fn uploads_open(&self) -> usize {
        self.state().uploads("").len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; what becomes of it.
    fn next_loss(&self, op: Op) -> Option<Lost> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let made = plan.calls.entry(op).or_default();
        *made += 1;
        let nth = *made;
        match &mut plan.left {
            Some(0) => return Some(Lost::Request),
            Some(left) => *left -= 1,
            None => {}
        }
        plan.losses.remove(&(op, nth))
    }

    /// Counts a call, does it unless it is lost, and loses the answer if that is planned.
    fn perform<T>(
        &self,
        op: Op,
        key: &str,
        work: impl FnOnce(&mut State) -> std::result::Result<T, Kind>,
    ) -> Result<T> {
        self.perform_losing(self.next_loss(op), op, key, work)
    }

    fn perform_losing<T>(
        &self,
        lost: Option<Lost>,
        op: Op,
        key: &str,
        work: impl FnOnce(&mut State) -> std::result::Result<T, Kind>,
    ) -> Result<T> {
        let fail = |kind, message: &str| Err(Error::new(op, key, kind, message));
        match lost {
            Some(Lost::Request) => return fail(Kind::Network, "the request is lost"),
            Some(Lost::Refused(kind)) => return fail(kind, "refused as planned"),
            Some(Lost::Answer | Lost::Rest) | None => {}
        }
        let result = work(&mut self.state());
        if lost.is_some() {
            return fail(Kind::Network, "the answer is lost");
        }
        result.map_err(|kind| Error::new(op, key, kind, ""))
    }

    fn check_key(&self, key: &str) -> std::result::Result<(), Kind> {
        let sendable = !key.split('/').any(|segment| segment == "." || segment == "..");
        let fits = !key.is_empty() && key.len() <= self.facts().key_bytes_max;
        if sendable && fits { Ok(()) } else { Err(Kind::InvalidKey) }
    }

    fn check_headers(&self, headers: &Headers) -> std::result::Result<(), Kind> {
        metadata::check(&headers.metadata, self.facts().metadata_bytes_max).map_err(|(kind, _)| kind)
    }

    /// A store without user metadata takes it and forgets it.
    fn kept(&self, headers: &Headers) -> Headers {
        let mut kept = headers.clone();
        if !self.facts().user_metadata {
            kept.metadata.clear();
        }
        kept
    }

    fn check_condition(&self, condition: &Condition) -> std::result::Result<(), Kind> {
        if self.facts().conditional_writes || *condition == Condition::None {
            Ok(())
        } else {
            Err(Kind::NotImplemented)
        }
    }
}

/// A copy: a bucket does not hold on to the memory of who has sent it something.
fn join(payload: &Payload) -> Bytes {
    let mut whole = BytesMut::new();
    payload.pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

/// A body in several pieces, so that readers meet more than one. In place of the second may come that it broke off.
fn body(key: &str, bytes: &Bytes, breaks: bool) -> Body {
    let (first, second) = (bytes.slice(..bytes.len() / 2), bytes.slice(bytes.len() / 2..));
    let second =
        if breaks { Err(Error::new(Op::GetObject, key, Kind::Network, "the body broke off")) } else { Ok(second) };
    let pieces = [Ok(first), second];
    stream::iter(pieces.into_iter().filter(|piece| piece.as_ref().map_or(true, |bytes| !bytes.is_empty()))).boxed()
}

#[async_trait]
impl Store for Memory {
    fn facts(&self) -> &Facts {
        self.facts.as_ref().unwrap_or(&Facts::S3)
    }

    async fn head_bucket(&self) -> Result<()> {
        self.perform(Op::HeadBucket, "", |_| Ok(()))
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.perform(Op::HeadObject, key, |state| {
            self.check_key(key)?;
            state.object(key).map(state::Stored::head).ok_or(Kind::NotFound)
        })
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        assert!(range.as_ref().is_none_or(|range| range.start < range.end), "a range is never empty");
        let lost = self.next_loss(Op::GetObject);
        let breaks = lost == Some(Lost::Rest);
        self.perform_losing(lost.filter(|_| !breaks), Op::GetObject, key, |state| {
            self.check_key(key)?;
            let stored = state.object(key).ok_or(Kind::NotFound)?;
            stored.check_tag(if_match)?;
            let bytes = match range {
                Some(range) => stored.slice(&range).ok_or(Kind::InvalidRange)?,
                None => stored.bytes.clone(),
            };
            Ok(GetObject { object: stored.head(), body: body(key, &bytes, breaks) })
        })
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        self.perform(Op::PutObject, key, |state| {
            self.check_key(key)?;
            self.check_headers(headers)?;
            self.check_condition(condition)?;
            if payload.len() > self.facts().put_bytes_max {
                return Err(Kind::TooLarge);
            }
            state.check(key, condition)?;
            Ok(state.put(key, join(&payload), self.kept(headers), clock::now()))
        })
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        self.perform(Op::DeleteObject, key, |state| {
            self.check_key(key)?;
            state.delete(key);
            Ok(())
        })
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        self.perform(Op::DeleteObjects, "", |state| {
            let mut failed = Vec::new();
            for key in keys {
                match self.check_key(key) {
                    Ok(()) => state.delete(key),
                    Err(kind) => failed.push(Error::new(Op::DeleteObject, key.clone(), kind, "")),
                }
            }
            Ok(failed)
        })
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        self.perform(Op::CopyObject, key, |state| {
            self.check_key(key)?;
            headers.map_or(Ok(()), |headers| self.check_headers(headers))?;
            let from = state.object(&source.key).ok_or(Kind::NotFound)?;
            from.check_tag(source.if_match.as_ref())?;
            if from.bytes.len() as u64 > self.facts().put_bytes_max || (source.key == key && headers.is_none()) {
                return Err(Kind::Invalid);
            }
            let headers = self.kept(headers.unwrap_or(&from.headers));
            let bytes = from.bytes.clone();
            Ok(state.put(key, bytes, headers, clock::now()))
        })
    }

    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        self.perform(Op::MoveObject, key, |state| {
            if !self.facts().move_object {
                return Err(Kind::NotImplemented);
            }
            self.check_key(key)?;
            if source.key == key {
                return Err(Kind::Invalid);
            }
            state.object(&source.key).ok_or(Kind::NotFound)?.check_tag(source.if_match.as_ref())?;
            state.rename(&source.key, key, clock::now());
            Ok(())
        })
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        let with_metadata = self.facts().listing_metadata;
        self.perform(Op::ListObjects, &request.prefix, |state| Ok(state.list(request, with_metadata)))
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.perform(Op::CreateUpload, key, |state| {
            self.check_key(key)?;
            self.check_headers(headers)?;
            Ok(state.create_upload(key, self.kept(headers), clock::now()))
        })
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        self.perform(Op::PutPart, key, |state| {
            if payload.len() > self.facts().part_bytes_max {
                return Err(Kind::TooLarge);
            }
            state.put_part(self.facts(), key, upload, number, join(&payload))
        })
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
        self.perform(Op::CopyPart, key, |state| {
            let from = state.object(&source.key).ok_or(Kind::NotFound)?;
            from.check_tag(source.if_match.as_ref())?;
            if range.end > from.bytes.len() as u64 {
                return Err(Kind::Invalid);
            }
            let bytes = from.slice(&range).ok_or(Kind::InvalidRange)?;
            state.put_part(self.facts(), key, upload, number, bytes)
        })
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        self.perform(Op::CompleteUpload, key, |state| {
            self.check_condition(condition)?;
            state.complete(self.facts(), key, upload, parts, condition, clock::now())
        })
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        self.perform(Op::AbortUpload, key, |state| {
            state.abort(key, upload);
            Ok(())
        })
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        self.perform(Op::ListParts, key, |state| state.parts(key, upload))
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.perform(Op::ListUploads, prefix, |state| Ok(state.uploads(prefix)))
    }
}

#[cfg(test)]
mod tests;
