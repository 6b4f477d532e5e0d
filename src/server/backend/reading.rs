//! The bytes of an object as a stream: one piece of a file is read ahead while the one before is sent.

use crate::server::backend::blobs::Blobs;
use crate::server::backend::readers::Reading;
use crate::server::backend::record::BlobId;
use crate::server::backend::record::Piece;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes read at once. Two such pieces per reader are in memory.
const READ_BYTES: u64 = 256 << 10;

/// Streams pieces in order. `reading` keeps their blobs on disk until the stream is dropped.
pub fn stream(blobs: Arc<Blobs>, pieces: Vec<Piece>, reading: Reading) -> BoxStream<'static, io::Result<Bytes>> {
    let reader = Reader { blobs, pieces: pieces.into(), open: None, _reading: reading };
    let ahead = Some(reader.spawn());
    let next = |ahead: Option<Ahead>| async {
        let (reader, bytes) = match ahead?.await {
            Ok(read) => read,
            Err(error) => return Some((Err(io::Error::other(error)), None)),
        };
        match bytes? {
            Ok(bytes) => Some((Ok(bytes), Some(reader.spawn()))),
            Err(error) => Some((Err(error), None)),
        }
    };
    futures_util::stream::unfold(ahead, next).boxed()
}

type Ahead = tokio::task::JoinHandle<(Reader, Option<io::Result<Bytes>>)>;

struct Reader {
    blobs: Arc<Blobs>,
    pieces: VecDeque<Piece>,
    open: Option<(BlobId, File)>,
    _reading: Reading,
}

impl Reader {
    fn spawn(mut self) -> Ahead {
        tokio::task::spawn_blocking(move || {
            let bytes = self.read();
            (self, bytes)
        })
    }

    fn read(&mut self) -> Option<io::Result<Bytes>> {
        match self.pieces.pop_front()? {
            Piece::Inline(bytes) => Some(Ok(bytes)),
            Piece::Blob { id, offset, bytes } => {
                let now = bytes.min(READ_BYTES);
                if now < bytes {
                    self.pieces.push_front(Piece::Blob { id, offset: offset + now, bytes: bytes - now });
                }
                Some(self.read_blob(id, offset, now))
            }
        }
    }

    fn read_blob(&mut self, id: BlobId, offset: u64, bytes: u64) -> io::Result<Bytes> {
        let file = match self.open.take() {
            Some((open, file)) if open == id => file,
            Some(_) | None => self.blobs.read(id)?,
        };
        let mut buffer = vec![0; usize::try_from(bytes).expect("at most READ_BYTES")];
        let read = file.read_exact_at(&mut buffer, offset);
        self.open = Some((id, file));
        read.map(|()| Bytes::from(buffer)).inspect_err(|error| tracing::error!(%error, ?id, "cannot read a blob"))
    }
}
