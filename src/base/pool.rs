//! Memory for file contents: fixed segments, counted against one limit, returned when the last reader of their bytes drops.
//!
//! What lives elsewhere: who may wait. Here is only the accounting, and the rule that keeps waiters from waiting for
//! each other for ever.

mod kept;
mod slab;
mod turns;

pub use kept::Kept;
pub use turns::Client;
pub use turns::ClientId;

use bytes::Bytes;
use slab::SEGMENTS_PER_SLAB;
use slab::Slot;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::oneshot;
use turns::Turns;

/// Bytes in one segment. Small enough that a piece is checksummed while it is in the processor's cache (measured:
/// 0.016 instead of 0.041 CPU-seconds per GiB), large enough that a part is few pieces.
pub const SEGMENT_BYTES: usize = 256 << 10;

/// The share of all memory below which segments stay kept although somebody waits, as long as other memory is on its way
/// back.
const KEPT_SHARE: usize = 4;

/// Segments whose memory stays with a pool that nobody uses, for the next file: 16 MiB.
const IDLE_SEGMENTS: usize = 8 * SEGMENTS_PER_SLAB;

/// A bounded supply of segments.
pub struct Pool {
    segment_bytes: usize,
    segments_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Segments handed out and not yet returned. May exceed the limit by what [`Pool::take`] had to grant.
    used: usize,
    /// Reasons to wait: segments that come back without anybody taking another one, since their bytes are on their way
    /// out, and whoever has said that some will.
    moving: usize,
    /// Segments that nobody needs as much as who asks for memory: those of an id together, the latest last.
    kept: Vec<(u64, Vec<Arc<Segment>>)>,
    kept_ids: u64,
    /// How many of `kept` have been given up and are about to come back.
    returning: usize,
    free: Vec<Slot>,
    waiting: VecDeque<Waiter>,
    turns: Turns,
}

struct Waiter {
    client: ClientId,
    sender: oneshot::Sender<Segment>,
}

impl State {
    /// Whether memory is on its way back.
    fn comes_back(&self) -> bool {
        self.moving > 0 || self.returning > 0
    }
}

// INVARIANT: whoever waits is woken by the return of a segment, or because nothing is moving and it is its turn.
// INVARIANT: nobody who waits gets memory beyond the limit while any is kept.

impl Pool {
    /// A pool that hands out at most `limit_bytes` in segments of [`SEGMENT_BYTES`].
    #[must_use]
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        Self::with_segments(limit_bytes, SEGMENT_BYTES)
    }

    /// A pool with segments of another size, for tests with tiny inputs.
    #[must_use]
    pub fn with_segments(limit_bytes: u64, segment_bytes: usize) -> Arc<Self> {
        let segments = limit_bytes / segment_bytes as u64;
        let segments_max = usize::try_from(segments).unwrap_or(usize::MAX).max(1);
        Arc::new(Self { segment_bytes, segments_max, state: Mutex::default() })
    }

    /// Bytes in each of this pool's segments.
    #[must_use]
    pub fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// The limit, in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        (self.segments_max * self.segment_bytes) as u64
    }

    /// Bytes handed out now.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        (self.lock().used * self.segment_bytes) as u64
    }

    /// How many wait for a segment now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// A segment, if one is left below the limit, or kept, and nobody waits for it.
    #[must_use]
    pub fn try_take(self: &Arc<Self>) -> Option<Segment> {
        loop {
            let given_up = {
                let mut state = self.lock();
                if !state.waiting.is_empty() {
                    return None;
                }
                if state.used < self.segments_max {
                    return Some(self.grant(&mut state));
                }
                self.give_up(&mut state)?
            };
            self.let_go(given_up);
        }
    }

    /// A segment at once, beyond the limit if need be: for whoever bounds by other means how many it asks for.
    #[must_use]
    pub fn overdraw(self: &Arc<Self>) -> Segment {
        loop {
            let given_up = {
                let mut state = self.lock();
                let enough = state.used < self.segments_max;
                match (!enough).then(|| self.give_up(&mut state)).flatten() {
                    Some(given_up) => given_up,
                    None => return self.grant(&mut state),
                }
            };
            self.let_go(given_up);
        }
    }

    /// Says that memory is about to come back, for as long as what is returned lives: nobody is granted memory beyond the
    /// limit meanwhile.
    #[must_use]
    pub fn expect_back(self: &Arc<Self>) -> Expected {
        self.lock().moving += 1;
        Expected { pool: Arc::clone(self) }
    }

    fn grant(self: &Arc<Self>, state: &mut State) -> Segment {
        state.used += 1;
        if state.free.is_empty() {
            state.free = slab::cut_slab(self.segment_bytes);
        }
        let buffer = state.free.pop().expect("a slab has slots");
        Segment { buffer: Some(buffer), len: 0, moving: false, pool: Arc::clone(self) }
    }

    /// A segment for somebody who had to ask. Beyond the limit it is its turn from now on.
    fn grant_asked(self: &Arc<Self>, state: &mut State, client: ClientId) -> Segment {
        state.turns.granted += 1;
        if state.used >= self.segments_max {
            state.turns.begin(client);
        }
        self.grant(state)
    }

    fn give_back(self: &Arc<Self>, buffer: Slot, moving: bool) {
        let mut state = self.lock();
        state.used -= 1;
        state.moving -= usize::from(moving);
        // Kept for the next one: fresh memory costs more than filling it. Not what was granted beyond the limit.
        state.free.push(buffer);
        let keep = if state.used == 0 { IDLE_SEGMENTS } else { self.segments_max.saturating_sub(state.used) };
        slab::shrink(&mut state.free, keep.min(self.segments_max));
        if state.used < self.segments_max {
            state.turns.end_all();
        }
        self.answer_waiting(state);
    }

    /// Those of the kept segments whose turn it is, if any must go now: the latest ones, at once as long as they are more
    /// than their share, else when nothing else will come back.
    fn give_up(&self, state: &mut State) -> Option<Vec<Arc<Segment>>> {
        let kept: usize = state.kept.iter().map(|(_, segments)| segments.len()).sum();
        if state.returning > 0 || (state.moving > 0 && kept <= self.segments_max / KEPT_SHARE) {
            return None;
        }
        let (_, segments) = state.kept.pop()?;
        state.returning += 1;
        Some(segments)
    }

    /// Drops what was given up, without the lock: each segment comes back by itself.
    fn let_go(self: &Arc<Self>, given_up: Vec<Arc<Segment>>) {
        drop(given_up);
        let mut state = self.lock();
        state.returning -= 1;
        self.answer_waiting(state);
    }

    fn answer_waiting(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let (mut granted, mut given_up) = (Vec::new(), None);
        while !state.waiting.is_empty() {
            let mut next = 0;
            if state.used >= self.segments_max {
                given_up = self.give_up(&mut state);
                if given_up.is_some() || state.comes_back() {
                    break;
                }
                let turns = &state.turns;
                let Some(turn) = state.waiting.iter().position(|waiter| turns.is_turn_of(waiter.client)) else { break };
                next = turn;
            }
            let Some(Waiter { client, sender }) = state.waiting.remove(next) else { break };
            granted.push((sender, self.grant_asked(&mut state, client)));
        }
        drop(state);
        for (sender, segment) in granted {
            // One that no longer waits drops its segment, which comes back here.
            drop(sender.send(segment));
        }
        if let Some(given_up) = given_up {
            self.let_go(given_up);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory is about to come back to the pool.
pub struct Expected {
    pool: Arc<Pool>,
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.moving -= 1;
        self.pool.answer_waiting(state);
    }
}

/// One piece of memory of the pool, filled from its start.
pub struct Segment {
    /// `None` only while it is dropped.
    buffer: Option<Slot>,
    len: usize,
    moving: bool,
    pool: Arc<Pool>,
}

impl Segment {
    /// Takes as many of `bytes` as fit and says how many.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        let buffer = self.buffer.as_mut().expect("it is not being dropped");
        buffer[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        taken
    }

    /// Replaces bytes that have been filled in.
    ///
    /// # Panics
    /// When there are not so many behind `at`.
    pub fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let filled = &mut self.buffer.as_mut().expect("it is not being dropped")[..self.len];
        filled[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Forgets what was filled in behind the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.pool.segment_bytes - self.len
    }

    /// What has been filled in.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.buffer.as_ref().expect("it is not being dropped")[..self.len]
    }

    /// Makes the filled part shareable; its memory goes back to the pool with the last clone.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// As [`into_bytes`](Self::into_bytes), and counts as on its way out until it is back: nothing may hold such bytes
    /// without sending them or dropping them.
    #[must_use]
    pub fn into_moving(mut self) -> Bytes {
        self.moving = true;
        self.pool.lock().moving += 1;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        self.filled()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let pool = Arc::clone(&self.pool);
            pool.give_back(buffer, self.moving);
        }
    }
}

#[cfg(test)]
mod tests;
