//! Brings a range of an object into its chunk: from blocks on local disk as far as there are any, the rest from the store.
//! Blocks that came whole from the store are kept.

use crate::base::pool::Pool;
use crate::cache::blocks::BLOCK_BYTES;
use crate::cache::blocks::Object;
use crate::reader::chunk::Chunk;
use crate::reader::stream::Context;
use crate::reader::stream::Stream;
use crate::reader::stream::Version;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use futures_util::FutureExt;
use futures_util::StreamExt;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Weak;

/// What a fetch needs, which may outlive who has asked for it.
struct Fetch {
    context: Arc<Context>,
    version: Version,
    cached: Option<Arc<Object>>,
    chunk: Weak<Chunk>,
}

/// Begins to fill a chunk. It ends early when nobody wants it any more.
pub(super) fn begin(stream: &Arc<Stream>, chunk: &Arc<Chunk>) {
    let fetch = Fetch {
        context: Arc::clone(stream.context()),
        version: stream.version().clone(),
        cached: stream.cached().cloned(),
        chunk: Arc::downgrade(chunk),
    };
    let (stream, chunk) = (Arc::downgrade(stream), Arc::downgrade(chunk));
    let runtime = fetch.context.runtime.clone();
    runtime.spawn(async move {
        let error = match AssertUnwindSafe(fetch.fill()).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => Error::new(Op::GetObject, "", Kind::Invalid, "the task that fetched it broke"),
        };
        give_up(&stream, &chunk, error);
    });
}

/// Tells those who wait for a chunk that the rest will not come.
fn give_up(stream: &Weak<Stream>, chunk: &Weak<Chunk>, error: Error) {
    let Some(chunk) = chunk.upgrade() else { return };
    if let Some(stream) = stream.upgrade() {
        stream.forget(&chunk);
    }
    chunk.fail(Arc::new(error));
}

impl Fetch {
    async fn fill(&self) -> Result<(), Error> {
        while let Some(range) = missing(&self.chunk) {
            let Some(cached) = &self.cached else {
                self.bring(range).await?;
                continue;
            };
            if !cached.is_known() || cached.holds(range.start) {
                self.read_disk(cached).await;
            }
            // What it did not have, or had damaged.
            if let Some(range) = missing(&self.chunk) {
                self.bring(range.start..cached.missing_to(&range)).await?;
            }
        }
        Ok(())
    }

    /// As far as there are good blocks, without a gap.
    async fn read_disk(&self, cached: &Arc<Object>) {
        let (cached, pool, chunk) = (Arc::clone(cached), Arc::clone(&self.context.pool), Weak::clone(&self.chunk));
        let read = self.context.runtime.spawn_blocking(move || read_blocks(&cached, &pool, &chunk));
        if let Err(error) = read.await {
            tracing::error!(%error, "reading from the cache broke; the store is asked instead");
        }
    }

    /// From the store, all of a range that the chunk lacks next.
    async fn bring(&self, range: Range<u64>) -> Result<(), Error> {
        let Version { key, etag, size } = &self.version;
        if let Some(cached) = &self.cached {
            cached.missed(&range);
        }
        let got = self.context.store.get_object(key, Some(range.clone()), Some(etag)).await?;
        let is_it = got.object.etag == *etag && got.object.size == *size;
        let cached = self.cached.as_ref().filter(|_| is_it);
        let mut body = got.body;
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            let Some(chunk) = self.chunk.upgrade() else { return Ok(()) };
            let before = chunk.filled_to();
            chunk.append(&self.context.pool, &bytes);
            if let Some(cached) = cached {
                cached.was_fetched(bytes.len() as u64);
                keep(cached, &chunk, before);
            }
        }
        match self.chunk.upgrade() {
            Some(chunk) if chunk.filled_to() < range.end => {
                let message = "the object is shorter than it was announced";
                Err(Error::new(Op::GetObject, key.clone(), Kind::Network, message))
            }
            _ => Ok(()),
        }
    }
}

/// What a chunk lacks; `None` if that is nothing, or nobody wants it.
fn missing(chunk: &Weak<Chunk>) -> Option<Range<u64>> {
    let chunk = chunk.upgrade()?;
    Some(chunk.filled_to()..chunk.range().end).filter(|range| !range.is_empty())
}

fn read_blocks(cached: &Object, pool: &Arc<Pool>, chunk: &Weak<Chunk>) {
    if !cached.is_known() {
        cached.load();
    }
    if !missing(chunk).is_some_and(|range| cached.holds(range.start)) {
        return;
    }
    let Some(mut reading) = cached.reading() else { return };
    while let Some(range) = missing(chunk) {
        let block = range.start / BLOCK_BYTES;
        let begin = cached.block_range(block).start;
        let Some(bytes) = reading.block(block) else { return };
        let Some(chunk) = chunk.upgrade() else { return };
        let from = usize::try_from(range.start - begin).expect("less than a block");
        // What is past the end of the chunk it leaves out itself.
        chunk.append(pool, &bytes[from..]);
        cached.was_read(chunk.filled_to() - range.start);
    }
}

/// Keeps the blocks that have become whole since the chunk was filled up to `before`.
fn keep(cached: &Object, chunk: &Chunk, before: u64) {
    let now = chunk.filled_to();
    // The block in which it ended before, and those after it.
    let blocks = before / BLOCK_BYTES..now.div_ceil(BLOCK_BYTES);
    for block in blocks {
        let range = cached.block_range(block);
        if chunk.range().start <= range.start && before < range.end && range.end <= now {
            cached.keep(block, || chunk.get(&range)?.ok());
        }
    }
}
