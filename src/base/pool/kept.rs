//! Segments that somebody would like to go on holding and can do without: kept until their memory is needed.

use crate::base::pool::Expected;
use crate::base::pool::Pool;
use crate::base::pool::Segment;
use bytes::Bytes;
use std::sync::Arc;

/// Segments that their pool may give up at any time; dropped with this.
pub struct Kept {
    pool: Arc<Pool>,
    id: u64,
}

impl Pool {
    /// Keeps segments until memory is short. What was kept last goes first, and goes at once; a quarter of all memory stays
    /// kept as long as other memory is on its way back.
    #[must_use]
    pub fn keep(self: &Arc<Self>, segments: Vec<Arc<Segment>>) -> Kept {
        let mut state = self.lock();
        state.kept_ids += 1;
        let id = state.kept_ids;
        state.kept.push((id, segments));
        Kept { pool: Arc::clone(self), id }
    }
}

impl Kept {
    /// The segments, unless they were given up. They go on being kept.
    #[must_use]
    pub fn segments(&self) -> Option<Vec<Arc<Segment>>> {
        let state = self.pool.lock();
        state.kept.iter().find(|(id, _)| *id == self.id).map(|(_, segments)| segments.clone())
    }

    /// Whether they were not given up.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.pool.lock().kept.iter().any(|(id, _)| *id == self.id)
    }

    /// The segments, unless they were given up; they are the caller's, and kept no more.
    #[must_use]
    pub fn claim(&self) -> Option<Vec<Arc<Segment>>> {
        let mut state = self.pool.lock();
        let at = state.kept.iter().position(|(id, _)| *id == self.id)?;
        Some(state.kept.remove(at).1)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.claim());
    }
}

impl Segment {
    /// Its bytes, to be sent while it is held elsewhere too. Until they are dropped, memory counts as on its way back: who
    /// holds the segment must keep it ([`Pool::keep`]), or have others wait for no more than what was sent.
    #[must_use]
    pub fn lend(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Lent { segment: Arc::clone(self), _expected: self.pool.expect_back() })
    }
}

/// A segment that is being sent. Dropped in this order: memory that comes back is there when it is no longer expected.
struct Lent {
    segment: Arc<Segment>,
    _expected: Expected,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.segment.filled()
    }
}
