//! What became of blocks since the cache was opened: counted while it is used, looked at now and then.

use crate::base::metrics::HitRate;
use crate::base::metrics::Hits;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// A cache at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Blocks that were read from the disk, and those that the store was asked for.
    pub blocks: Hits,
    /// Bytes of contents that came from the disk.
    pub hit_bytes: u64,
    /// Bytes of contents that came from the store.
    pub miss_bytes: u64,
    /// Bytes of the disk that are taken.
    pub bytes: u64,
    /// Bytes of the disk that may be taken.
    pub limit_bytes: u64,
    /// Blocks that wait to be written.
    pub waiting: usize,
    /// Blocks that were not kept, because too many waited or the disk refused.
    pub dropped: u64,
    /// Blocks that were not what they had been when they were kept.
    pub damaged: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub blocks: HitRate,
    pub hit_bytes: AtomicU64,
    pub miss_bytes: AtomicU64,
    pub damaged: AtomicU64,
    /// Too many waited.
    pub dropped: AtomicU64,
    /// The disk did not take them.
    pub refused: AtomicU64,
}

/// Counts; answers what it was before.
pub(super) fn add(to: &AtomicU64, by: u64) -> u64 {
    // Figures are read one by one and need no order among each other.
    to.fetch_add(by, Ordering::Relaxed)
}

/// The count now.
pub(super) fn get(from: &AtomicU64) -> u64 {
    from.load(Ordering::Relaxed)
}
