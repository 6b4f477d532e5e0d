//! The shell around a plan: has its ranges fetched side by side and answers reads from what arrives.

use crate::base::pool::Pool;
use crate::cache::blocks::BLOCK_BYTES;
use crate::cache::blocks::BlockCache;
use crate::cache::blocks::Object;
use crate::reader::chunk::Chunk;
use crate::reader::fetch;
use crate::reader::plan::Jump;
use crate::reader::plan::Plan;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Store;
use bytes::Bytes;
use bytes::BytesMut;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
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
    /// What earlier readers have left on local disk, and where these leave it.
    pub cache: Option<Arc<BlockCache>>,
    /// Streams that are open now; they share the memory.
    streams: AtomicU64,
}

impl Context {
    /// Readers over `store` that share `pool` with the writers: half of it is theirs.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, pool: Arc<Pool>, runtime: Handle, cache: Option<Arc<BlockCache>>) -> Arc<Self> {
        Arc::new(Self { store, pool, runtime, cache, streams: AtomicU64::new(0) })
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
    /// Its blocks on local disk.
    cached: Option<Arc<Object>>,
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
        let Version { key, etag, size } = &version;
        let cached = context.cache.as_ref().and_then(|cache| cache.object(key, etag, *size));
        let plan = if cached.is_some() { Plan::in_blocks(*size, BLOCK_BYTES) } else { Plan::new(*size) };
        Arc::new(Self { context, version, cached, state: Mutex::new(State { plan, chunks: Vec::new() }) })
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
        let due = |cached: &Arc<Object>| state.plan.jumps(&wanted) && cached.is_due(&wanted);
        let jump = if self.cached.as_ref().is_some_and(due) { Jump::Blocks } else { Jump::Exact };
        let step = state.plan.read_with(offset, len, self.context.room(), jump);
        state.chunks.retain(|chunk| !step.forget.contains(chunk.range()));
        for range in step.fetch {
            let chunk = Chunk::new(range);
            fetch::begin(self, &chunk);
            state.chunks.push(chunk);
        }
        let covers = |chunk: &&Arc<Chunk>| chunk.range().start < wanted.end && wanted.start < chunk.range().end;
        let mut chunks: Vec<_> = state.chunks.iter().filter(covers).cloned().collect();
        chunks.sort_by_key(|chunk| chunk.range().start);
        Reading { wanted, chunks }
    }

    /// What all readers of the mount share.
    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Its blocks on local disk, if there can be any.
    pub(super) fn cached(&self) -> Option<&Arc<Object>> {
        self.cached.as_ref()
    }

    /// A chunk will not be filled.
    pub(super) fn forget(&self, chunk: &Arc<Chunk>) {
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
    /// What ended the fetch: [`PreconditionFailed`](crate::store::Kind::PreconditionFailed) or
    /// [`NotFound`](crate::store::Kind::NotFound) when the object is another one by now.
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

#[cfg(test)]
mod tests;
