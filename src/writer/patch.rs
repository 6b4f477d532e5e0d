//! The shell around an overlay: a version of a file that is changed anywhere, and becomes an object when it is committed.
//!
//! Nothing of the file is published before the commit. A patch that has no memory left takes no more bytes: whoever
//! writes has it spill what it holds to local disk or a hidden object ([`staging`](crate::writer::staging)), and goes on.
//! What a journal keeps of it is told in `journaled`.

mod journaled;
mod staged;

use crate::base::pool::ClientId;
use crate::base::pool::Segment;
use crate::journal::record::DraftId;
use crate::store::Condition;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::UploadId;
use crate::writer::overlay::Overlay;
use crate::writer::overlay::Piece;
use crate::writer::patch::journaled::Unfinished;
use crate::writer::plan::plan;
use crate::writer::publish::Contents;
use crate::writer::publish::Target;
use crate::writer::publish::publish;
use crate::writer::staging::Staging;
use crate::writer::stream::Base;
use crate::writer::stream::Context;
use crate::writer::stream::Destination;
use crate::writer::stream::WriteError;
use crate::writer::stream::Written;
use crate::writer::upload::Outcome;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use tokio::sync::Notify;

/// The share of all memory that one patch holds at most.
const MEMORY_SHARE: u64 = 4;

/// Pieces that a patch may consist of: some 10 MB of bookkeeping, which no memory limit counts.
const FRAGMENTS_MAX: usize = 100_000;

/// Segments that a patch may hold however little memory there is: as many as one write of the kernel fills.
const SEGMENTS_MIN: u64 = 5;

/// How often a commit begins an upload, when they vanish.
const UPLOADS_MAX: u32 = 3;

/// One version of a file, changed here and there.
pub struct Patch {
    context: Arc<Context>,
    destination: Arc<dyn Destination>,
    state: Mutex<State>,
    ended: Notify,
    /// Held while bytes are spilled: one at a time, and none while the commit is planned.
    staging: Staging,
}

struct State {
    overlay: Overlay,
    size: u64,
    phase: Phase,
    /// The key, once a request has fixed it.
    key: Option<String>,
    /// What the journal calls it, once it keeps something of it.
    sealed: Option<DraftId>,
    /// Whether there is something that the journal does not have.
    changed: bool,
    /// Why the last commit failed, if that did not end it.
    failed: Option<Arc<Error>>,
    /// Whether it may be in the bucket already: a commit under a condition was not answered.
    doubtful: bool,
    /// An upload that did not come to its end, nor ended this.
    unfinished: Option<Unfinished>,
}

enum Phase {
    Open,
    /// About to be committed as it is.
    Frozen,
    Committing,
    Ended(Outcome),
}

impl Patch {
    /// A version that begins as `overlay`.
    #[must_use]
    pub fn new(context: Arc<Context>, destination: Arc<dyn Destination>, overlay: Overlay) -> Arc<Self> {
        Self::build(context, destination, overlay, None, Staging::default())
    }

    fn build(
        context: Arc<Context>,
        destination: Arc<dyn Destination>,
        overlay: Overlay,
        sealed: Option<DraftId>,
        staging: Staging,
    ) -> Arc<Self> {
        let (size, changed) = (overlay.size(), sealed.is_none());
        let state = State {
            overlay,
            size,
            phase: Phase::Open,
            key: None,
            sealed,
            changed,
            failed: None,
            doubtful: false,
            unfinished: None,
        };
        Arc::new(Self { context, destination, state: Mutex::new(state), ended: Notify::new(), staging })
    }

    /// A version that begins as an object.
    #[must_use]
    pub fn over(context: Arc<Context>, destination: Arc<dyn Destination>, base: Base) -> Arc<Self> {
        let overlay = Overlay::over(Arc::clone(&context.pool), base);
        Self::new(context, destination, overlay)
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.lock().size
    }

    /// Bytes that only this host has.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        self.lock().overlay.dirty_bytes()
    }

    /// Whether its key is fixed, or it needs objects that must keep theirs; otherwise it can still go anywhere.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        let state = self.lock();
        !matches!(state.phase, Phase::Open) || state.overlay.has_objects() || state.doubtful
    }

    /// The key that it is committed under, once a request has named it.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        self.lock().key.clone()
    }

    /// Pieces that it consists of.
    #[must_use]
    pub fn fragments(&self) -> usize {
        self.lock().overlay.fragments()
    }

    /// Whether it is changed in so many places that it must be committed before it takes more.
    #[must_use]
    pub fn is_fragmented(&self) -> bool {
        self.lock().overlay.fragments() >= FRAGMENTS_MAX
    }

    /// Whether it holds so much memory that it should rather spill than be given more. The least that it should get is
    /// waited for.
    #[must_use]
    pub fn holds_enough(&self) -> bool {
        self.lock().overlay.memory_bytes() >= self.memory_bytes_min()
    }

    /// Who waits for its memory.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.lock().overlay.client()
    }

    /// What it spills should be large enough for the store to copy it at the commit.
    fn memory_bytes_max(&self) -> u64 {
        let limit = self.context.pool.limit_bytes();
        let copied = self.context.schedule.part_bytes_min() + self.memory_bytes_min();
        (limit / MEMORY_SHARE).max(copied.min(limit / 2)).max(self.memory_bytes_min())
    }

    fn memory_bytes_min(&self) -> u64 {
        SEGMENTS_MIN * self.context.pool.segment_bytes() as u64
    }

    /// Takes bytes at any offset, or at the end, as many as memory is free for; says where they are and how many. Never
    /// waits.
    ///
    /// # Errors
    /// [`WriteError::Ended`], [`WriteError::TooLarge`].
    pub fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<(u64, usize), WriteError> {
        let max = self.memory_bytes_max();
        let mut state = self.open()?;
        let offset = offset.unwrap_or(state.size);
        self.must_fit(offset, bytes.len() as u64)?;
        if state.overlay.fragments() >= FRAGMENTS_MAX {
            return Ok((offset, 0));
        }
        let taken = state.overlay.write(offset, bytes, max);
        state.altered();
        Ok((offset, taken))
    }

    /// Adds memory that was waited for.
    pub fn add_segment(&self, segment: Segment) {
        if let Ok(mut state) = self.open() {
            state.overlay.add_segment(segment);
        }
    }

    /// Makes the file so long.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn truncate(&self, size: u64) -> Result<(), WriteError> {
        let mut state = self.open()?;
        self.must_fit(size, 0)?;
        state.overlay.truncate(size);
        state.altered();
        Ok(())
    }

    /// Makes a range zeros; the file grows if the range ends behind it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn zero(&self, range: Range<u64>) -> Result<(), WriteError> {
        let mut state = self.open()?;
        self.must_fit(range.start, range.end.saturating_sub(range.start))?;
        state.overlay.zero(range);
        state.altered();
        Ok(())
    }

    /// Puts bytes of an object at `offset`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn put_object(&self, offset: u64, object: Base, from: Range<u64>) -> Result<(), WriteError> {
        let mut state = self.open()?;
        self.must_fit(offset, from.end - from.start)?;
        state.overlay.put_object(offset, object, from);
        state.altered();
        Ok(())
    }

    /// What a range consists of, up to the end of the file; `None` once this version has ended.
    #[must_use]
    pub fn read(&self, offset: u64, len: u64) -> Option<Vec<Piece>> {
        let state = self.lock();
        match state.phase {
            Phase::Open | Phase::Frozen | Phase::Committing => {
                Some(state.overlay.pieces(offset..offset.saturating_add(len)))
            }
            Phase::Ended(_) => None,
        }
    }

    /// Publishes the file as it is now. Returns when the object is in the bucket.
    ///
    /// # Errors
    /// The reason why nothing was published. Calling it again gives the same answer.
    pub async fn commit(self: &Arc<Self>, condition: Condition) -> Result<ETag, WriteError> {
        let begins = {
            let mut state = self.lock();
            let begins = matches!(state.phase, Phase::Open | Phase::Frozen);
            if begins {
                (state.phase, state.failed) = (Phase::Committing, None);
                state.note_attempt(&self.context, &condition);
                state.overlay.freeze();
            }
            begins
        };
        if begins {
            // A task of its own: who waits for it may go away, the file must not.
            self.context.runtime.spawn(Arc::clone(self).publish(condition));
        }
        match self.outcome().await {
            Outcome::Stored(etag) => Ok(etag),
            Outcome::Failed(error) => Err(WriteError::Failed(error)),
            Outcome::Abandoned => Err(WriteError::Ended),
        }
    }

    /// Gives the file up, unless it is being published; returns when that is decided.
    pub async fn abandon(self: &Arc<Self>) {
        self.end_unless_stored().await;
        let mut staged = self.staging.lock().await;
        self.drop_journaled(&mut staged, None).await;
        staged.discard(self.context.store.as_ref()).await;
    }

    async fn end_unless_stored(&self) {
        loop {
            {
                let mut state = self.lock();
                match state.phase {
                    Phase::Open | Phase::Frozen => self.end(&mut state, Outcome::Abandoned),
                    Phase::Committing => {}
                    Phase::Ended(_) => return,
                }
            }
            self.outcome().await;
        }
    }

    async fn publish(self: Arc<Self>, condition: Condition) {
        // A panic in it must not leave those waiting who want to know how it ended.
        let (patch, conditional) = (Arc::clone(&self), condition != Condition::None);
        let published = self.context.runtime.spawn(async move { patch.try_publish(condition).await }).await;
        let published = published.unwrap_or_else(|panic| {
            let message = format!("the task that published it broke: {panic}");
            Err(Error::new(Op::PutObject, "", Kind::Network, message))
        });
        let mut staged = self.staging.lock().await;
        let outcome = match published {
            Ok(etag) => {
                self.drop_journaled(&mut staged, Some(&etag)).await;
                Outcome::Stored(etag)
            }
            Err(error) => {
                let error = Arc::new(error);
                let mut state = self.lock();
                if state.sealed.is_some() || error.kind == Kind::PreconditionFailed {
                    // It was acknowledged, or may be kept elsewhere: this is not its end.
                    state.doubtful |= conditional && error.is_transient();
                    (state.phase, state.failed) = (Phase::Open, Some(error));
                    self.ended.notify_waiters();
                    return;
                }
                Outcome::Failed(error)
            }
        };
        staged.discard(self.context.store.as_ref()).await;
        drop(staged);
        self.end(&mut self.lock(), outcome);
    }

    async fn try_publish(&self, condition: Condition) -> Result<ETag, Error> {
        // The destination is asked without the lock: it has locks of its own.
        let Some((key, headers)) = self.destination.describe(Written::All) else {
            return Err(Error::new(Op::PutObject, "", Kind::NotFound, "its name is gone"));
        };
        self.fill_holes().await?;
        let plan = {
            let mut state = self.lock();
            state.key = Some(key.clone());
            plan(&state.overlay, &self.context.schedule, copy_bytes_max(self.context.store.facts(), &condition))
        };
        let Some(plan) = plan else {
            let message = format!("{} bytes are more than the parts of one upload", self.size());
            return Err(Error::new(Op::CreateUpload, key, Kind::TooLarge, message));
        };
        let mut uploads_left = UPLOADS_MAX;
        loop {
            let resumed = self.unfinished(&key, &headers).await;
            let (key, headers, condition) = (key.clone(), headers.clone(), condition.clone());
            let target = Target { key, headers, condition, resumed };
            uploads_left -= 1;
            match publish(&self.context, self, target, &plan).await {
                // A rule of the bucket has ended it, or somebody who cleans up.
                Err(error) if error.kind == Kind::NoSuchUpload && uploads_left > 0 => {
                    tracing::warn!(%error, "an upload has vanished; it is begun again");
                }
                done => return done,
            }
        }
    }

    fn end(&self, state: &mut State, outcome: Outcome) {
        state.phase = Phase::Ended(outcome);
        state.overlay = Overlay::new(Arc::clone(&self.context.pool));
        self.ended.notify_waiters();
    }

    async fn outcome(&self) -> Outcome {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            {
                let state = self.lock();
                match (&state.phase, &state.failed) {
                    (Phase::Ended(outcome), _) => return outcome.clone(),
                    (Phase::Open, Some(error)) => return Outcome::Failed(Arc::clone(error)),
                    (Phase::Open | Phase::Frozen | Phase::Committing, _) => {}
                }
            }
            ended.await;
        }
    }

    fn must_fit(&self, offset: u64, len: u64) -> Result<(), WriteError> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.context.schedule.object_bytes_max());
        if fits { Ok(()) } else { Err(WriteError::TooLarge) }
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, WriteError> {
        let state = self.lock();
        match &state.phase {
            Phase::Open if state.doubtful => Err(WriteError::Ended),
            Phase::Open => Ok(state),
            Phase::Ended(Outcome::Failed(error)) => Err(WriteError::Failed(Arc::clone(error))),
            Phase::Frozen | Phase::Committing | Phase::Ended(Outcome::Stored(_) | Outcome::Abandoned) => {
                Err(WriteError::Ended)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // What a panic has left half done is not stored.
            let mut state = poisoned.into_inner();
            if !matches!(state.phase, Phase::Ended(_)) {
                let message = "a handler broke while the file was written, so it is not stored";
                let error = Error::new(Op::PutObject, "", Kind::Invalid, message);
                self.end(&mut state, Outcome::Failed(Arc::new(error)));
            }
            self.state.clear_poison();
            state
        })
    }
}

impl State {
    fn altered(&mut self) {
        (self.size, self.changed) = (self.overlay.size(), true);
    }
}

impl Contents for Patch {
    fn pieces(&self, range: Range<u64>) -> Vec<Piece> {
        self.lock().overlay.pieces(range)
    }

    fn source(&self, source: usize) -> Base {
        self.lock().overlay.sources()[source].clone()
    }

    fn size(&self) -> u64 {
        self.lock().size
    }

    fn begun(&self, key: &str, headers: &Headers, upload: &UploadId) {
        self.note_upload(key, headers, upload);
    }

    fn outlives_failure(&self) -> bool {
        self.lock().sealed.is_some()
    }
}

/// Up to which size a file that is exactly one object is made by one copy: that carries no condition, so there must be
/// none, or one that is looked at beforehand.
fn copy_bytes_max(facts: &Facts, condition: &Condition) -> u64 {
    if *condition == Condition::None || !facts.conditional_writes { facts.put_bytes_max } else { 0 }
}

#[cfg(test)]
mod tests;
