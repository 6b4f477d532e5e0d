//! How much of the disk a journal may take: `--journal-limit`. Who finds it full waits, or is told to commit first.
//!
//! Only a draft that holds nothing waits: what it waits for is held by others, which can be stored without it. One that
//! holds something may be what the others wait for, so it is told to commit, which frees what it holds; this also keeps a
//! draft that alone is larger than the limit from waiting for itself.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::Notify;

/// Bytes of a journal.
pub struct Limit {
    max: u64,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    bytes: u64,
    waiting: usize,
}

/// What came of asking for room.
#[derive(Debug)]
pub enum Room {
    /// There is room; it is taken until the hold is dropped.
    Held(Hold),
    /// Commit the draft, let its holds go, and begin anew.
    CommitFirst,
}

/// Bytes that are taken.
pub struct Hold {
    limit: Arc<Limit>,
    bytes: u64,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.bytes)
    }
}

impl Limit {
    /// At most so many bytes.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default(), freed: Notify::new() })
    }

    /// Room for `bytes` more of a draft that holds `held` already. More than the limit at once is given when nothing
    /// else is held: it could never be had otherwise.
    pub async fn reserve(self: &Arc<Self>, held: u64, bytes: u64) -> Room {
        let mut waits: Option<Waits> = None;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Before looking, so that what is freed after the look is heard of.
            freed.as_mut().enable();
            {
                let mut taken = self.lock();
                if taken.bytes == 0 || taken.bytes.saturating_add(bytes) <= self.max {
                    taken.bytes = taken.bytes.saturating_add(bytes);
                    return Room::Held(Hold { limit: Arc::clone(self), bytes });
                }
                if held > 0 {
                    return Room::CommitFirst;
                }
                if waits.is_none() {
                    taken.waiting += 1;
                    waits = Some(Waits(self));
                }
            }
            freed.await;
        }
    }

    /// What recovered drafts hold, whatever the limit says.
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: u64) -> Hold {
        let mut taken = self.lock();
        taken.bytes = taken.bytes.saturating_add(bytes);
        drop(taken);
        Hold { limit: Arc::clone(self), bytes }
    }

    /// Bytes taken now.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.lock().bytes
    }

    /// How many wait. While any does, open files that nobody writes to should be committed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Waits<'a>(&'a Limit);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.limit.lock().bytes -= self.bytes;
        self.limit.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn held(room: Option<Room>) -> Hold {
        match room {
            Some(Room::Held(hold)) => hold,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_draft_that_holds_nothing_waits_and_one_that_holds_something_commits() {
        let limit = Limit::new(10);
        let first = held(limit.reserve(0, 8).now_or_never());
        assert!(matches!(limit.reserve(8, 3).now_or_never(), Some(Room::CommitFirst)));
        let mut waits = Box::pin(limit.reserve(0, 3));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!((limit.taken(), limit.waiting()), (8, 1));
        drop(first);
        let second = held(waits.as_mut().now_or_never());
        drop(waits);
        assert_eq!((limit.taken(), limit.waiting()), (3, 0));
        drop(second);
        assert_eq!(limit.taken(), 0);
    }

    #[test]
    fn more_than_the_limit_is_given_to_who_is_alone() {
        let limit = Limit::new(10);
        let all = held(limit.reserve(0, 25).now_or_never());
        assert!(limit.reserve(0, 1).now_or_never().is_none());
        assert_eq!(limit.waiting(), 0, "who went away does not wait");
        drop(all);
        held(limit.reserve(0, 1).now_or_never());
    }
}
