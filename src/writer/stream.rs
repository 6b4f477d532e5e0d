//! The shell around an upload: takes bytes from a writer, performs the machine's actions, waits for the end.
//!
//! One stream is one version of a file: from its first byte to its commit. What comes after a commit is another stream
//! whose base is the object just committed. It decides nothing; [`upload`](crate::writer::upload) does.

mod driving;
mod handed;
mod rewriting;

pub use handed::Handed;

use crate::base::metrics::Meter;
use crate::base::pool::Pool;
use crate::store::Condition;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Store;
use crate::writer::disk::Disk;
use crate::writer::overlay::Overlay;
use crate::writer::retained::Retained;
use crate::writer::schedule::Schedule;
use crate::writer::tail::Tail;
use crate::writer::upload::Outcome;
use crate::writer::upload::Upload;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// What all streams of a mount share.
pub struct Context {
    /// Where objects go.
    pub store: Arc<dyn Store>,
    /// Where memory comes from.
    pub pool: Arc<Pool>,
    /// Where uploads run.
    pub runtime: Handle,
    /// How large parts are.
    pub schedule: Schedule,
    /// Requests of one stream at the same time.
    pub in_flight_max: usize,
    /// Where bytes of changed files go that memory cannot hold; to hidden objects if `None`.
    pub disk: Option<Disk>,
}

/// Where a stream's bytes will go, asked when the first request must know it. Answers may change until then.
pub trait Destination: Send + Sync + 'static {
    /// The key and the headers of the object; `None` when its name is gone by now.
    fn describe(&self, written: Written) -> Option<(String, Headers)>;

    /// What the file has now, without anything being fixed by it; `None` when its name is gone.
    fn peek(&self) -> Option<(String, Headers)>;

    /// A new hidden key for bytes of the file that memory cannot hold, and the headers of the object there.
    fn stage(&self) -> (String, Headers);
}

/// How much of a file has been written when its headers are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it: what is known of the file now is final.
    All,
    /// Its first part: more writes will follow.
    Begun,
}

/// The object that a stream's bytes follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its key.
    pub key: String,
    /// The version that is continued, and no other.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
}

/// Why bytes were not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// They do not follow the last one. Nothing has happened: a [`patch`](crate::writer::patch) can take them.
    #[error("a stream takes bytes at its end only")]
    NotAtEnd,
    /// The store takes no larger object.
    #[error("the object would have more parts than the store allows")]
    TooLarge,
    /// The stream was committed or given up before.
    #[error("this version of the file has ended")]
    Ended,
    /// The upload has failed already.
    #[error(transparent)]
    Failed(#[from] Arc<Error>),
    /// The journal cannot be written. Nothing is lost of what it has.
    #[error("the journal cannot be written: {0}")]
    Disk(Arc<std::io::Error>),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}

/// One version of a file on its way into the bucket.
pub struct Stream {
    context: Arc<Context>,
    destination: Arc<dyn Destination>,
    base: Option<Base>,
    state: Mutex<State>,
    /// Wakes the task that performs actions.
    work: Notify,
    /// Wakes whoever waits for the end.
    ended: Notify,
}

struct State {
    tail: Tail,
    retained: Retained,
    upload: Upload,
    size: u64,
    /// Bytes in the tail, waiting, or being sent, each time that they are.
    unsent: u64,
    /// How fast the store takes it.
    meter: Meter,
    condition: Condition,
    /// The key, once a request has fixed it.
    key: Option<String>,
    driven: bool,
    refused: Option<WriteError>,
}

impl Stream {
    /// A stream that begins empty.
    #[must_use]
    pub fn new(context: Arc<Context>, destination: Arc<dyn Destination>) -> Arc<Self> {
        let tail = Tail::new(&context.pool);
        Self::build(context, destination, None, 0, tail, 0)
    }

    /// A stream that goes on where `base` ends: a large base is copied by the store, a small one is read once. Where
    /// parts must be equal, whole ones are copied and the rest is read.
    ///
    /// # Errors
    /// When the base cannot be read, is another version by now, or has more parts than an object may have.
    pub async fn after(
        context: Arc<Context>,
        destination: Arc<dyn Destination>,
        base: Base,
    ) -> Result<Arc<Self>, Error> {
        let mut tail = Tail::new(&context.pool);
        let (size, copied) = (base.size, context.schedule.copied_bytes(base.size));
        let parts = context.schedule.copies(copied).len() + usize::from(copied < size);
        if parts > context.schedule.parts_max() as usize {
            let message = format!("{size} bytes are more than the parts of one upload");
            return Err(Error::new(Op::CreateUpload, base.key, Kind::TooLarge, message));
        }
        if copied < size {
            let range = (copied > 0).then_some(copied..size);
            let got = context.store.get_object(&base.key, range, Some(&base.etag)).await?;
            let mut body = got.body;
            while let Some(bytes) = body.next().await {
                fill_waiting(&mut tail, &bytes?, &context.pool).await;
            }
        }
        if tail.len() != size - copied {
            let message = format!("{} bytes came instead of {}", tail.len(), size - copied);
            return Err(Error::new(Op::GetObject, base.key, Kind::Network, message));
        }
        let base = (copied > 0).then_some(base);
        Ok(Self::build(context, destination, base, copied, tail, size))
    }

    fn build(
        context: Arc<Context>,
        destination: Arc<dyn Destination>,
        base: Option<Base>,
        copied: u64,
        tail: Tail,
        size: u64,
    ) -> Arc<Self> {
        let upload = Upload::new(context.schedule.clone(), context.in_flight_max, copied);
        let state = State::new(tail, upload, size, &context);
        Self::with_state(context, destination, base, state)
    }

    fn with_state(
        context: Arc<Context>,
        destination: Arc<dyn Destination>,
        base: Option<Base>,
        state: State,
    ) -> Arc<Self> {
        let state = Mutex::new(state);
        Arc::new(Self { context, destination, base, state, work: Notify::new(), ended: Notify::new() })
    }

    /// Bytes of the file so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.lock().size
    }

    /// Bytes that the store has not acknowledged yet.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        let state = self.lock();
        state.unsent + state.retained.changed_bytes()
    }

    /// Bytes a second that the store takes of it; `None` if that cannot be told yet.
    #[must_use]
    pub fn rate(&self, now: Instant) -> Option<u64> {
        self.lock().meter.rate(now)
    }

    /// Whether it is being published, and takes no more bytes.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        self.lock().upload.is_finishing()
    }

    /// Whether its key is fixed, or about to be; until then it can still go anywhere.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.lock().upload.has_begun()
    }

    /// The key that the upload was begun for, once a request has named it.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        self.lock().key.clone()
    }

    /// Takes bytes at the end of the file, as many as memory is free for, and says how many. Never waits.
    ///
    /// # Errors
    /// [`WriteError`]; after any but [`WriteError::NotAtEnd`] the stream cannot be committed.
    pub fn write(self: &Arc<Self>, offset: u64, bytes: &[u8]) -> Result<usize, WriteError> {
        let mut state = self.open()?;
        self.append(&mut state, offset, bytes)
    }

    /// Takes bytes at the end, wherever that is without an offset, or in place of bytes that can still be changed; also
    /// says where they are.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_at(self: &Arc<Self>, offset: Option<u64>, bytes: &[u8]) -> Result<(u64, usize), WriteError> {
        let mut state = self.open()?;
        let at = offset.unwrap_or(state.size);
        let inside = state.size.saturating_sub(at);
        if inside == 0 {
            let taken = self.append(&mut state, at, bytes)?;
            return Ok((at, taken));
        }
        let (replacing, following) = bytes.split_at(usize::try_from(inside).unwrap_or(usize::MAX).min(bytes.len()));
        let mut taken = state.rewrite(at, replacing)?;
        if taken as u64 == inside {
            taken += self.append(&mut state, at + inside, following)?;
        }
        Ok((at, taken))
    }

    /// The state, if it takes bytes.
    fn open(&self) -> Result<MutexGuard<'_, State>, WriteError> {
        let state = self.lock();
        if state.upload.is_finishing() {
            return Err(WriteError::Ended);
        }
        state.check()?;
        Ok(state)
    }

    fn append(self: &Arc<Self>, state: &mut State, offset: u64, bytes: &[u8]) -> Result<usize, WriteError> {
        if offset != state.size {
            return Err(WriteError::NotAtEnd);
        }
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(part_bytes) = state.upload.next_part_bytes() else {
                return Err(state.refuse(WriteError::TooLarge));
            };
            let room = part_bytes.saturating_sub(state.tail.len());
            let filled = state.tail.fill(&bytes[taken..], room);
            taken += filled;
            state.size += filled as u64;
            state.unsent += filled as u64;
            if state.tail.len() >= part_bytes {
                self.ship(state);
            } else if taken < bytes.len() {
                break;
            }
        }
        Ok(taken)
    }

    /// Everything it holds, for a patch to go on with, if no request was made for it yet; it has ended then.
    #[must_use]
    pub fn take_unsent(&self) -> Option<Overlay> {
        let mut state = self.lock();
        if state.driven || state.check().is_err() {
            return None;
        }
        state.refuse(WriteError::Ended);
        let mut overlay = Overlay::new(Arc::clone(&self.context.pool));
        let copied = state.size - state.tail.len();
        if let Some(base) = &self.base {
            overlay.put_object(0, base.clone(), 0..copied);
        }
        overlay.append_segments(state.tail.take_segments());
        state.unsent = 0;
        Some(overlay)
    }

    /// Takes all of `bytes` at the end of the file, waiting for memory.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_waiting(self: &Arc<Self>, mut offset: u64, mut bytes: Bytes) -> Result<(), WriteError> {
        loop {
            let taken = self.write(offset, &bytes)?;
            offset += taken as u64;
            bytes = bytes.slice(taken..);
            if bytes.is_empty() {
                return Ok(());
            }
            self.wait_for_room().await;
        }
    }

    /// Returns when there is memory for more bytes.
    pub async fn wait_for_room(self: &Arc<Self>) {
        self.send_early();
        let client = self.lock().tail.client();
        let segment = self.context.pool.take(client).await;
        let mut state = self.lock();
        if let Some(segment) = state.tail.add_segment_if_full(segment) {
            state.retained.add_spare(segment);
        }
    }

    /// Fills the file with zeros up to `end`, waiting for memory.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn pad_to(self: &Arc<Self>, end: u64) -> Result<(), WriteError> {
        let zeros = Bytes::from_static(&[0; 64 << 10]);
        loop {
            let size = self.size();
            let missing = usize::try_from(end.saturating_sub(size)).unwrap_or(usize::MAX).min(zeros.len());
            if missing == 0 {
                return Ok(());
            }
            self.write_waiting(size, zeros.slice(..missing)).await?;
        }
    }

    /// Publishes the file as it is now. Returns when the object is in the bucket.
    ///
    /// # Errors
    /// The reason why nothing was published. Calling it again gives the same answer.
    pub async fn commit(self: &Arc<Self>, condition: Condition) -> Result<ETag, WriteError> {
        {
            let mut state = self.lock();
            if let Some(refused) = state.refused.clone() {
                state.upload.abandon();
                self.drive(&mut state);
                return Err(refused);
            }
            if !state.upload.is_finishing() {
                state.condition = condition;
                state.send_changed();
                let last = state.tail.cut();
                state.upload.finish(last);
            }
            self.drive(&mut state);
        }
        match self.outcome().await {
            Outcome::Stored(etag) => Ok(etag),
            Outcome::Failed(error) => Err(WriteError::Failed(error)),
            Outcome::Abandoned => Err(WriteError::Ended),
        }
    }

    /// Gives the file up; returns when nothing of it is left in the bucket, as far as that can be reached.
    pub async fn abandon(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            state.upload.abandon();
            drop(state.tail.cut());
            state.retained.clear();
            self.drive(&mut state);
        }
        self.outcome().await;
    }

    /// Hands the tail over as a part.
    fn ship(self: &Arc<Self>, state: &mut State) {
        let (number, start) = (state.upload.next_number(), state.tail_start());
        let (segments, part) = state.tail.cut_shared();
        state.upload.push(part);
        if let Some((number, payload)) = state.retained.add(number, start, segments) {
            state.send_again(number, payload);
        }
        self.drive(state);
    }

    /// Memory is short: a tail that may be a part already goes out instead of waiting to be a larger one. If there is no
    /// such tail, and nothing else on its way, what was changed goes out again.
    fn send_early(self: &Arc<Self>) {
        let schedule = &self.context.schedule;
        let mut state = self.lock();
        if state.upload.is_finishing() {
            return;
        }
        if schedule.may_ship_early() && state.tail.len() >= schedule.part_bytes_min() {
            self.ship(&mut state);
        } else if state.driven && state.upload.is_idle() {
            state.send_changed();
            self.drive(&mut state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // What a panic has left half done is not stored.
            let mut state = poisoned.into_inner();
            state.refuse(WriteError::Failed(Arc::new(handler_broke())));
            self.state.clear_poison();
            state
        })
    }
}

impl State {
    fn new(tail: Tail, upload: Upload, size: u64, context: &Context) -> Self {
        let (condition, unsent) = (Condition::None, tail.len());
        let retained = Retained::new(Arc::clone(&context.pool));
        let meter = Meter::default();
        Self { tail, retained, upload, size, unsent, meter, condition, key: None, driven: false, refused: None }
    }

    fn check(&self) -> Result<(), WriteError> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        match self.upload.failure() {
            None => Ok(()),
            Some(Outcome::Failed(error)) => Err(WriteError::Failed(error)),
            Some(Outcome::Abandoned | Outcome::Stored(_)) => Err(WriteError::Ended),
        }
    }

    /// A file that lacks bytes which its author wrote must not be published.
    fn refuse(&mut self, why: WriteError) -> WriteError {
        self.refused.get_or_insert(why).clone()
    }
}

async fn fill_waiting(tail: &mut Tail, mut bytes: &[u8], pool: &Arc<Pool>) {
    loop {
        let taken = tail.fill(bytes, u64::MAX);
        bytes = &bytes[taken..];
        if bytes.is_empty() {
            return;
        }
        drop(tail.add_segment_if_full(pool.take(tail.client()).await));
    }
}

fn handler_broke() -> Error {
    Error::new(Op::PutObject, "", Kind::Invalid, "a handler broke while the file was written, so it is not stored")
}

#[cfg(test)]
mod tests;
