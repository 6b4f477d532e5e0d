//! Keeps blobs on disk while somebody reads them, though the index names them no more.
//!
//! Time is counted in epochs. A reader notes the epoch in which it looked into the index; every commit that drops
//! blobs ends an epoch. A blob may go when no reader is left from the epoch in which it was dropped, or before.

use crate::server::backend::record::BlobId;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

/// Who reads, and what waits for them.
pub struct Readers {
    state: Mutex<State>,
    // Holds at most one call: one look takes all there is.
    wake: Sender<()>,
}

#[derive(Default)]
struct State {
    epoch: u64,
    // Readers by the epoch in which they began.
    reading: BTreeMap<u64, usize>,
    // INVARIANT: epochs ascend.
    doomed: VecDeque<(u64, Vec<BlobId>)>,
}

impl State {
    fn has_removable(&self) -> bool {
        let oldest = self.reading.keys().next().copied().unwrap_or(u64::MAX);
        self.doomed.front().is_some_and(|(epoch, _)| *epoch < oldest)
    }
}

impl Readers {
    /// Nobody reads yet. The receiver gets a call whenever there may be blobs to remove.
    #[must_use]
    pub fn new() -> (Arc<Self>, Receiver<()>) {
        let (wake, woken) = crossbeam_channel::bounded(1);
        (Arc::new(Self { state: Mutex::default(), wake }), woken)
    }

    /// Begins to read. To be called before the index is looked into.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Reading {
        let mut state = self.lock();
        let epoch = state.epoch;
        *state.reading.entry(epoch).or_default() += 1;
        Reading { readers: Arc::clone(self), epoch }
    }

    /// Hands over blobs that no committed object names any more.
    pub fn doom(&self, blobs: Vec<BlobId>) {
        let mut state = self.lock();
        let epoch = state.epoch;
        state.doomed.push_back((epoch, blobs));
        state.epoch += 1;
        self.wake_if_needed(&state);
    }

    /// Takes the blobs that may be removed now.
    #[must_use]
    pub fn take_removable(&self) -> Vec<BlobId> {
        let mut state = self.lock();
        let mut out = Vec::new();
        while state.has_removable() {
            out.extend(state.doomed.pop_front().expect("it has a front").1);
        }
        out
    }

    fn wake_if_needed(&self, state: &State) {
        if state.has_removable() {
            // Full: somebody has called already.
            let _ = self.wake.try_send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// A reader; ends when dropped.
pub struct Reading {
    readers: Arc<Readers>,
    epoch: u64,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.readers.lock();
        let left = state.reading.get_mut(&self.epoch).expect("this reader is counted");
        *left -= 1;
        if *left == 0 {
            state.reading.remove(&self.epoch);
            self.readers.wake_if_needed(&state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_stays_while_a_reader_from_before_is_there() {
        let (readers, woken) = Readers::new();
        let before = readers.enter();
        readers.doom(vec![BlobId(1)]);
        let after = readers.enter();
        readers.doom(vec![BlobId(2)]);
        assert_eq!(readers.take_removable(), []);
        assert!(woken.try_recv().is_err());
        drop(before);
        assert!(woken.try_recv().is_ok());
        assert_eq!(readers.take_removable(), [BlobId(1)], "the second reader may have seen the second blob");
        drop(after);
        assert!(woken.try_recv().is_ok());
        assert_eq!(readers.take_removable(), [BlobId(2)]);
        assert_eq!(readers.take_removable(), []);
    }
}
