//! One range of an object while it arrives: filled by a fetch, read by many.

use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::store::Error;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::Notify;

/// A range that was asked for, and as much of it as has come.
pub struct Chunk {
    range: Range<u64>,
    arrived: Mutex<Arrived>,
    progress: Notify,
}

#[derive(Default)]
struct Arrived {
    full: Vec<Bytes>,
    last: Option<Segment>,
    len: u64,
    failed: Option<Arc<Error>>,
}

impl Chunk {
    /// A range of which nothing has come yet.
    #[must_use]
    pub fn new(range: Range<u64>) -> Arc<Self> {
        Arc::new(Self { range, arrived: Mutex::default(), progress: Notify::new() })
    }

    /// Which bytes of the object these are.
    #[must_use]
    pub fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Where the next bytes belong.
    #[must_use]
    pub fn filled_to(&self) -> u64 {
        self.range.start + self.lock().len
    }

    /// Takes bytes that came; those past the end of the range are ignored.
    pub fn append(&self, pool: &Arc<Pool>, bytes: &[u8]) {
        {
            let mut arrived = self.lock();
            let missing = self.range.end - self.range.start - arrived.len;
            let mut left = &bytes[..usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len())];
            while !left.is_empty() {
                let last = arrived.last.get_or_insert_with(|| pool.overdraw());
                let taken = last.fill(left);
                let full = last.room() == 0;
                arrived.len += taken as u64;
                left = &left[taken..];
                if full && let Some(segment) = arrived.last.take() {
                    arrived.full.push(segment.into_bytes());
                }
            }
        }
        self.progress.notify_waiters();
    }

    /// The rest will not come.
    pub fn fail(&self, error: Arc<Error>) {
        self.lock().failed = Some(error);
        self.progress.notify_waiters();
    }

    /// Bytes of `wanted`, a part of this range, if all of them are there; the error if they will not come.
    #[must_use]
    pub fn get(&self, wanted: &Range<u64>) -> Option<Result<Vec<Bytes>, Arc<Error>>> {
        let arrived = self.lock();
        if self.range.start + arrived.len >= wanted.end {
            let from = usize::try_from(wanted.start - self.range.start).expect("a chunk fits in memory");
            let len = usize::try_from(wanted.end - wanted.start).expect("a chunk fits in memory");
            return Some(Ok(arrived.slices(from, len)));
        }
        arrived.failed.clone().map(Err)
    }

    /// As [`get`](Self::get), waiting for the bytes.
    ///
    /// # Errors
    /// What ended the fetch.
    pub async fn wait(&self, wanted: &Range<u64>) -> Result<Vec<Bytes>, Arc<Error>> {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            if let Some(answer) = self.get(wanted) {
                return answer;
            }
            progress.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrived {
    fn slices(&self, mut from: usize, mut len: usize) -> Vec<Bytes> {
        let mut out = Vec::new();
        for full in &self.full {
            if from >= full.len() {
                from -= full.len();
                continue;
            }
            let taken = len.min(full.len() - from);
            if taken == 0 {
                break;
            }
            out.push(full.slice(from..from + taken));
            (from, len) = (0, len - taken);
        }
        if len > 0 {
            let last = self.last.as_ref().expect("what has arrived and is not in a full segment is in the last one");
            out.push(Bytes::copy_from_slice(&last.filled()[from..from + len]));
        }
        out
    }
}
