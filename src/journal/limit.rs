//! How much of the disk a journal may take: `--journal-limit`. Who finds it full waits while anything is on its way into
//! the bucket, which will free what it holds. When nothing is, waiting would have no end.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::Notify;

/// Bytes of a journal.
#[derive(Debug)]
pub struct Limit {
    max: u64,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    leaving: usize,
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub struct Hold {
    limit: Arc<Limit>,
    bytes: u64,
}

/// A draft that is on its way into the bucket as long as this lives.
#[derive(Debug)]
pub struct Leaving {
    limit: Arc<Limit>,
}

impl Limit {
    /// At most so many bytes.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default(), freed: Notify::new() })
    }

    /// Waits until there is room. `false` when there is none and nothing is on its way to make any. What is taken next may
    /// go beyond the limit by as much as is taken at a time. To be called without any lock that a commit needs.
    pub async fn room(&self) -> bool {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Before looking, so that what is freed after the look is heard of.
            freed.as_mut().enable();
            {
                let taken = self.lock();
                if taken.bytes < self.max {
                    return true;
                }
                if taken.leaving == 0 {
                    return false;
                }
            }
            freed.await;
        }
    }

    /// Takes bytes, whatever the limit says.
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: u64) -> Hold {
        let mut taken = self.lock();
        taken.bytes = taken.bytes.saturating_add(bytes);
        drop(taken);
        Hold { limit: Arc::clone(self), bytes }
    }

    /// A draft sets out for the bucket.
    #[must_use]
    pub fn leave(self: &Arc<Self>) -> Leaving {
        self.lock().leaving += 1;
        Leaving { limit: Arc::clone(self) }
    }

    /// Bytes that may be taken.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Bytes taken now.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.limit.lock().bytes -= self.bytes;
        self.limit.freed.notify_waiters();
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.limit.lock().leaving -= 1;
        self.limit.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn who_finds_it_full_waits_while_something_leaves() {
        let limit = Limit::new(10);
        assert_eq!(limit.room().now_or_never(), Some(true));
        let first = limit.take(8);
        let second = limit.take(4);
        assert_eq!((limit.taken(), limit.room().now_or_never()), (12, Some(false)), "nothing leaves");
        let leaving = limit.leave();
        let mut waits = Box::pin(limit.room());
        assert_eq!(waits.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!(waits.now_or_never(), Some(true));
        let _third = limit.take(20);
        let mut waits = Box::pin(limit.room());
        assert_eq!(waits.as_mut().now_or_never(), None);
        drop(leaving);
        assert_eq!(waits.now_or_never(), Some(false), "nothing leaves any more");
        drop(second);
        assert_eq!(limit.taken(), 20);
    }
}
