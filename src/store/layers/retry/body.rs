//! The body of a read: what breaks off is asked for again from where it broke, of the same version.

use crate::store::Body;
use crate::store::Error;
use crate::store::GetObject;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::layers::retry::Retry;
use crate::wire::etag::ETag;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that are progress; who brings less at a time would keep a reader waiting for ever.
const PROGRESS_BYTES_MIN: u64 = 64 << 10;

/// `got` with a body that outlives its connection. `asked` is the range that it was asked for.
pub(super) fn lasting(retry: Retry, key: &str, asked: Option<Range<u64>>, got: GetObject) -> GetObject {
    let GetObject { object, body } = got;
    let missing = match asked {
        Some(range) => range.start..range.end.min(object.size),
        None => 0..object.size,
    };
    let lasting = Lasting {
        retry,
        key: key.to_owned(),
        etag: object.etag.clone(),
        missing,
        body,
        came: 0,
        breaks: 0,
        since: Instant::now(),
    };
    let pieces = stream::try_unfold(lasting, |mut lasting| async move {
        let piece = lasting.next().await?;
        Ok(piece.map(|piece| (piece, lasting)))
    });
    GetObject { object, body: pieces.boxed() }
}

struct Lasting {
    retry: Retry,
    key: String,
    etag: ETag,
    /// What has not come yet.
    missing: Range<u64>,
    body: Body,
    /// Bytes that came since the last break.
    came: u64,
    /// Breaks without progress between them.
    breaks: u32,
    /// When the last progress was made.
    since: Instant,
}

impl Lasting {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.missing.is_empty() {
            let error = match self.body.next().await {
                Some(Ok(bytes)) => {
                    self.missing.start += bytes.len() as u64;
                    self.came += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => error,
                None => self.error(Kind::Network, "the body ended before its announced end"),
            };
            self.pause(error).await?;
            self.retry.counters.repeat(Op::GetObject);
            let got = self.retry.begin_get(&self.key, Some(self.missing.clone()), Some(&self.etag)).await?;
            if got.object.etag != self.etag {
                return Err(self.error(Kind::PreconditionFailed, "another version came than the one that was begun"));
            }
            self.body = got.body;
        }
        Ok(None)
    }

    /// Waits before the rest is asked for, or gives the error back if it is not to be.
    async fn pause(&mut self, error: Error) -> Result<()> {
        if self.came >= PROGRESS_BYTES_MIN {
            (self.breaks, self.since) = (0, Instant::now());
        }
        self.came = 0;
        self.breaks += 1;
        let line = &self.retry.line;
        if line.is_closed() {
            return Err(error);
        }
        // Who waits for outages has spent time on them that does not count.
        let elapsed = if self.retry.waits_for(Op::GetObject) { Duration::ZERO } else { self.since.elapsed() };
        let Some(pause) = self.retry.next_pause(&error, self.breaks, elapsed) else { return Err(error) };
        tracing::debug!(%error, missing = ?self.missing, pause_ms = pause.as_millis(), "asking for the rest");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = line.closed() => {}
        }
        Ok(())
    }

    fn error(&self, kind: Kind, message: &str) -> Error {
        Error::new(Op::GetObject, &*self.key, kind, message)
    }
}
