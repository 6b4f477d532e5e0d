//! The bytes of an object, read piece by piece; and as a stream, where one piece is read ahead while the one before is
//! sent.

use crate::server::backend::blobs::Blobs;
use crate::server::backend::blobs::OpenBlob;
use crate::server::backend::key_file;
use crate::server::backend::readers::Reading;
use crate::server::backend::record::BlobId;
use crate::server::backend::record::Piece;
use crate::server::backend::seal;
use crate::server::backend::seal::DataKey;
use crate::server::backend::seal::MasterKey;
use crate::server::backend::seal::Seals;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes read at once, a multiple of a sealed chunk. Two such pieces per reader are in memory.
const READ_BYTES: u64 = 4 * seal::CHUNK_BYTES;

/// Streams the bytes of a source.
#[must_use]
pub fn stream(reader: Reader) -> BoxStream<'static, io::Result<Bytes>> {
    let ahead = Some(spawn(reader));
    let next = |ahead: Option<Ahead>| async {
        let (reader, bytes) = match ahead?.await {
            Ok(read) => read,
            Err(error) => return Some((Err(io::Error::other(error)), None)),
        };
        match bytes? {
            Ok(bytes) => Some((Ok(bytes), Some(spawn(reader)))),
            Err(error) => Some((Err(error), None)),
        }
    };
    futures_util::stream::unfold(ahead, next).boxed()
}

type Ahead = tokio::task::JoinHandle<(Reader, Option<io::Result<Bytes>>)>;

fn spawn(mut reader: Reader) -> Ahead {
    tokio::task::spawn_blocking(move || {
        let bytes = reader.next();
        (reader, bytes)
    })
}

/// Reads pieces in order. Their blobs stay on disk until it is dropped.
pub struct Reader {
    blobs: Arc<Blobs>,
    pieces: VecDeque<Piece>,
    seals: Seals,
    // Known if anything is sealed.
    master: Option<Arc<MasterKey>>,
    open: Option<OpenBlob>,
    _reading: Reading,
}

impl Reader {
    /// A reader of pieces, with the keys of those that are sealed. Fails if these cannot be opened.
    pub fn new(blobs: Arc<Blobs>, pieces: Vec<Piece>, seals: Seals, reading: Reading) -> Result<Self, key_file::Error> {
        let master = if seals.is_empty() { None } else { Some(blobs.keys().to_open()?) };
        Ok(Self { blobs, pieces: pieces.into(), seals, master, open: None, _reading: reading })
    }

    fn read_blob(&mut self, id: BlobId, range: &Range<u64>) -> io::Result<Bytes> {
        let blob = match self.open.take() {
            Some(open) if open.id() == id => open,
            Some(_) | None => self.blobs.read(id, self.key(id)?)?,
        };
        let bytes = blob.read(range);
        self.open = Some(blob);
        bytes
    }

    fn key(&self, id: BlobId) -> io::Result<Option<DataKey>> {
        let (Some(master), Some(wrapped)) = (&self.master, self.seals.get(&id)) else { return Ok(None) };
        master.open(id, wrapped).map(Some).map_err(io::Error::other)
    }
}

impl Iterator for Reader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self.pieces.pop_front()? {
            Piece::Inline(bytes) => Some(Ok(bytes)),
            Piece::Blob { id, offset, bytes } => {
                // Up to the end of a chunk, so that none is opened twice.
                let now = bytes.min(READ_BYTES - offset % seal::CHUNK_BYTES);
                if now < bytes {
                    self.pieces.push_front(Piece::Blob { id, offset: offset + now, bytes: bytes - now });
                }
                let read = self.read_blob(id, &(offset..offset + now));
                Some(read.inspect_err(|error| tracing::error!(%error, ?id, "cannot read a blob")))
            }
        }
    }
}
