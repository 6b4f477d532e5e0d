//! Bodies from the connection to where they are kept: the shell around [`crate::server::body`].
//!
//! A large body is taken in batches. While one is hashed and written on a thread that may block, the next one
//! arrives; two of them are in memory at most.

use crate::http::server::BodyError;
use crate::http::server::RequestBody;
use crate::server::backend::Backend;
use crate::server::backend::blobs::Blobs;
use crate::server::backend::blobs::Pending;
use crate::server::backend::record::Piece;
use crate::server::backend::record::Protection;
use crate::server::body::Digested;
use crate::server::body::Expected;
use crate::server::body::Keep;
use crate::server::body::Sink;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::wire::checksum::Algorithm;
use crate::wire::error_code::ErrorCode;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes; objects up to this size live in the index, unless they are sealed.
const INLINE_BYTES_MAX: u64 = 4 << 10;
/// Bytes; what is hashed and written at once.
const BATCH_BYTES: usize = 256 << 10;

/// A body that was received: where it is, and its digests.
pub struct Received {
    /// The bytes.
    pub pieces: Vec<Piece>,
    /// The blob that they are in, if it is a new one.
    pub pending: Option<Pending>,
    /// How many.
    pub bytes: u64,
    /// Their digests.
    pub digests: Digested<()>,
}

/// Receives the bytes of an object or of a part.
pub async fn store(
    mut body: RequestBody,
    expected: Expected,
    compute: Algorithm,
    protection: Protection,
    backend: &Backend,
) -> Result<Received> {
    let bytes = expected.bytes;
    backend.check_room()?;
    let inline_bytes_max = match protection {
        Protection::Plain => INLINE_BYTES_MAX,
        Protection::Sealed => 0,
    };
    if bytes <= inline_bytes_max {
        let digested = pull(&mut body, Sink::new(expected, Some(compute), Memory::default())).await?;
        let (Memory(kept), digests) = split(digested);
        let pieces = if kept.is_empty() { vec![] } else { vec![Piece::Inline(kept.into())] };
        return Ok(Received { pieces, pending: None, bytes, digests });
    }
    let keep = Blob { blobs: Arc::clone(backend.blobs()), protection, sync: backend.syncs(), pending: None };
    let digested = pump(&mut body, Sink::new(expected, Some(compute), keep)).await?;
    let (blob, digests) = split(digested);
    let pending = blob.pending.expect("a body that is not empty has been written");
    let pieces = vec![Piece::Blob { id: pending.id(), offset: 0, bytes }];
    Ok(Received { pieces, pending: Some(pending), bytes, digests })
}

/// Receives a document of at most `bytes_max`. A larger one is refused by its announced length alone.
pub async fn document(mut body: RequestBody, expected: Expected, bytes_max: u64) -> Result<Bytes> {
    if expected.bytes > bytes_max {
        return Err(Fault::new(ErrorCode::MalformedXML, format!("The document has more than {bytes_max} bytes.")));
    }
    let digested = pull(&mut body, Sink::new(expected, None, Memory::default())).await?;
    Ok(digested.keep.0.into())
}

fn split<K>(digested: Digested<K>) -> (K, Digested<()>) {
    let Digested { keep, md5, checksums } = digested;
    (keep, Digested { keep: (), md5, checksums })
}

/// For few bytes: everything on this thread.
async fn pull<K: Keep>(body: &mut RequestBody, mut sink: Sink<K>) -> Result<Digested<K>> {
    while let Some(bytes) = body.next().await {
        sink.feed(bytes.map_err(lost)?)?;
    }
    sink.finish()
}

/// For many bytes: hashing and writing on other threads.
async fn pump(body: &mut RequestBody, sink: Sink<Blob>) -> Result<Digested<Blob>> {
    let mut fed = feed(sink, Vec::new());
    let mut batch = Vec::new();
    let mut batched = 0;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(lost)?;
        batched += bytes.len();
        batch.push(bytes);
        if batched >= BATCH_BYTES {
            fed = feed(fed.await.map_err(panicked)??, std::mem::take(&mut batch));
            batched = 0;
        }
    }
    let sink = feed(fed.await.map_err(panicked)??, batch).await.map_err(panicked)??;
    let finish = tokio::task::spawn_blocking(move || {
        // Digests first: what is not as announced need not reach the disk.
        let mut digested = sink.finish()?;
        digested.keep.close()?;
        Ok(digested)
    });
    finish.await.map_err(panicked)?
}

fn feed(mut sink: Sink<Blob>, batch: Vec<Bytes>) -> JoinHandle<Result<Sink<Blob>>> {
    tokio::task::spawn_blocking(move || {
        for bytes in batch {
            sink.feed(bytes)?;
        }
        Ok(sink)
    })
}

fn lost(error: BodyError) -> Fault {
    match error {
        BodyError::Idle => Fault::new(ErrorCode::RequestTimeout, "The body did not arrive in time."),
        BodyError::Cut(_) => ErrorCode::IncompleteBody.into(),
    }
}

fn panicked(error: tokio::task::JoinError) -> Fault {
    tracing::error!(%error, "storing a body failed");
    ErrorCode::InternalError.into()
}

fn disk(error: io::Error) -> Fault {
    tracing::error!(%error, "cannot write a blob");
    if error.kind() == io::ErrorKind::StorageFull {
        return Fault::new(ErrorCode::ServiceUnavailable, "The disk of the server is full.");
    }
    ErrorCode::InternalError.into()
}

/// Keeps bytes in memory.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Keep for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Keeps bytes in a blob, which is begun with the first of them.
struct Blob {
    blobs: Arc<Blobs>,
    protection: Protection,
    sync: bool,
    pending: Option<Pending>,
}

impl Keep for Blob {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let pending = match &mut self.pending {
            Some(pending) => pending,
            none => none.insert(self.blobs.create(self.protection).map_err(disk)?),
        };
        pending.write(bytes).map_err(disk)
    }
}

impl Blob {
    /// Brings what was kept to disk.
    fn close(&mut self) -> Result<()> {
        match &mut self.pending {
            Some(pending) => pending.close(self.sync).map_err(disk),
            None => Ok(()),
        }
    }
}
