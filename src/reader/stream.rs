//! The shell around a plan: fetches its ranges side by side and answers reads from what arrives.

use crate::base::pool::Pool;
use crate::reader::chunk::Chunk;
use crate::reader::plan::Plan;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Store;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::StreamExt;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use tokio::runtime::Handle;

/// Bytes kept ahead of one reader at most.
const WINDOW_BYTES_MAX: u64 = 32 << 20;

/// What all readers of a mount share.
pub struct Context {
    /// Where objects come from.
    pub store: Arc<dyn Store>,
    /// Where memory comes from.
    pub pool: Arc<Pool>,
    /// Where fetches run.
    pub runtime: Handle,
    /// Streams that are open now; they share the memory.
    streams: AtomicU64,
}

impl Context {
    /// Readers over `store` that share `pool` with the writers: half of it is theirs.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, pool: Arc<Pool>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { store, pool, runtime, streams: AtomicU64::new(0) })
    }

    fn room(&self) -> u64 {
        let share = self.pool.limit_bytes() / 2 / self.streams.load(Ordering::Relaxed).max(1);
        share.min(WINDOW_BYTES_MAX)
    }
}

/// The version of an object that a reader is pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its key.
    pub key: String,
    /// Its tag.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
}

/// One reader of one version.
pub struct Stream {
    context: Arc<Context>,
    version: Version,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    chunks: Vec<Arc<Chunk>>,
}

/// A read that has been planned; its bytes are there or on their way.
pub struct Reading {
    wanted: Range<u64>,
    chunks: Vec<Arc<Chunk>>,
}

impl Stream {
    /// A reader of `version` that has read nothing yet.
    #[must_use]
    pub fn new(context: Arc<Context>, version: Version) -> Arc<Self> {
        context.streams.fetch_add(1, Ordering::Relaxed);
        let plan = Plan::new(version.size);
        Arc::new(Self { context, version, state: Mutex::new(State { plan, chunks: Vec::new() }) })
    }

    /// What it is pinned to.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Plans a read and starts what must be fetched for it. Bytes past the end are left out.
    #[must_use]
    pub fn begin(self: &Arc<Self>, offset: u64, len: u64) -> Reading {
        let end = offset.saturating_add(len).min(self.version.size);
        let wanted = offset.min(end)..end;
        let mut state = self.lock();
        let step = state.plan.read(offset, len, self.context.room());
        state.chunks.retain(|chunk| !step.forget.contains(chunk.range()));
        for range in step.fetch {
            let chunk = Chunk::new(range);
            let source = (Arc::clone(&self.context), self.version.clone());
            let (stream, filled) = (Arc::downgrade(self), Arc::downgrade(&chunk));
            self.context.runtime.spawn(async move {
                let fetched = fetch(source, Weak::clone(&stream), Weak::clone(&filled));
                if AssertUnwindSafe(fetched).catch_unwind().await.is_err() {
                    let message = "the task that fetched it broke";
                    give_up(&stream, &filled, Error::new(Op::GetObject, "", Kind::Invalid, message));
                }
            });
            state.chunks.push(chunk);
        }
        let covers = |chunk: &&Arc<Chunk>| chunk.range().start < wanted.end && wanted.start < chunk.range().end;
        let mut chunks: Vec<_> = state.chunks.iter().filter(covers).cloned().collect();
        chunks.sort_by_key(|chunk| chunk.range().start);
        Reading { wanted, chunks }
    }

    fn forget(&self, chunk: &Arc<Chunk>) {
        let mut state = self.lock();
        state.chunks.retain(|held| !Arc::ptr_eq(held, chunk));
        state.plan.lost(chunk.range());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.context.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reading {
    /// The bytes, if all are there already, or the error if they will not come.
    #[must_use]
    pub fn now(&self) -> Option<Result<Bytes, Arc<Error>>> {
        let mut pieces = Vec::new();
        for (chunk, part) in self.parts() {
            match chunk.get(&part)? {
                Ok(mut some) => pieces.append(&mut some),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(join(pieces)))
    }

    /// The bytes, waiting for them.
    ///
    /// # Errors
    /// What ended the fetch: [`Kind::PreconditionFailed`] or [`Kind::NotFound`] when the object is another one by now.
    pub async fn bytes(self) -> Result<Bytes, Arc<Error>> {
        let mut pieces = Vec::new();
        for (chunk, part) in self.parts() {
            pieces.append(&mut chunk.wait(&part).await?);
        }
        Ok(join(pieces))
    }

    fn parts(&self) -> impl Iterator<Item = (&Arc<Chunk>, Range<u64>)> {
        self.chunks.iter().map(|chunk| {
            let range = chunk.range();
            (chunk, self.wanted.start.max(range.start)..self.wanted.end.min(range.end))
        })
    }
}

fn join(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.swap_remove(0);
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        joined.extend_from_slice(&piece);
    }
    joined.freeze()
}

/// Tells those who wait for a chunk that the rest will not come.
fn give_up(stream: &Weak<Stream>, chunk: &Weak<Chunk>, error: Error) {
    let Some(chunk) = chunk.upgrade() else { return };
    if let Some(stream) = stream.upgrade() {
        stream.forget(&chunk);
    }
    chunk.fail(Arc::new(error));
}

/// Fills a chunk. Ends early when nobody wants it any more.
async fn fetch(source: (Arc<Context>, Version), stream: Weak<Stream>, chunk: Weak<Chunk>) {
    let (context, version) = source;
    if let Err(error) = fill(&context, &version, &chunk).await {
        give_up(&stream, &chunk, error);
    }
}

async fn fill(context: &Context, version: &Version, chunk: &Weak<Chunk>) -> Result<(), Error> {
    let Some(range) = chunk.upgrade().map(|chunk| chunk.range().clone()) else { return Ok(()) };
    let got = context.store.get_object(&version.key, Some(range.clone()), Some(&version.etag)).await?;
    let mut body = got.body;
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        let Some(chunk) = chunk.upgrade() else { return Ok(()) };
        chunk.append(&context.pool, &bytes);
    }
    match chunk.upgrade() {
        Some(chunk) if chunk.filled_to() < range.end => {
            let message = "the object is shorter than it was announced";
            Err(Error::new(Op::GetObject, version.key.clone(), Kind::Network, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
