//! Memory from the system in pieces as large as its huge pages, cut into the segments of a pool: a huge page is touched by
//! one fault, where its small ones take 512, and is found faster by the processor.

use memmap2::Advice;
use memmap2::MmapMut;
use std::ops::Deref;
use std::ops::DerefMut;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// Segments in a slab: with those of 256 KiB, one huge page of x86-64 and of arm64.
pub(super) const SEGMENTS_PER_SLAB: usize = 8;

/// A stretch of a slab that nobody else has. The system gets the slab back with the last of its stretches: what the
/// allocator frees often stays with the process, and the limit of the pool would not be one.
pub(super) struct Slot {
    start: NonNull<u8>,
    len: usize,
    /// What keeps the memory.
    slab: Arc<MmapMut>,
}

// SAFETY: a slot is the only one that reaches its stretch, as a `Box<[u8]>` is; the slab is never looked at through its
// `Arc`.
unsafe impl Send for Slot {}
// SAFETY: as above; through a shared slot the stretch is only read.
unsafe impl Sync for Slot {}

/// Fresh memory: [`SEGMENTS_PER_SLAB`] slots of `len` bytes, all zero.
pub(super) fn cut_slab(len: usize) -> Vec<Slot> {
    let mut slab = MmapMut::map_anon(len * SEGMENTS_PER_SLAB)
        .expect("the system has memory; as everywhere, going on without is not possible");
    // Refused by a kernel without huge pages: then they are small.
    let _ = slab.advise(Advice::HugePage);
    let base = NonNull::new(slab.as_mut_ptr()).expect("a mapping is somewhere");
    let slab = Arc::new(slab);
    let slot = |nth| {
        // SAFETY: the mapping is `SEGMENTS_PER_SLAB` times `len` bytes long, and `nth` is less than that many.
        let start = unsafe { base.add(nth * len) };
        Slot { start, len, slab: Arc::clone(&slab) }
    };
    (0..SEGMENTS_PER_SLAB).map(slot).collect()
}

/// Gives slabs that nobody uses back to the system, as long as more than `keep` slots are free. A slab of which something is in
/// use stays whole: what would be given back of it alone could not be had again.
pub(super) fn shrink(free: &mut Vec<Slot>, keep: usize) {
    let mut surplus = free.len().saturating_sub(keep) / SEGMENTS_PER_SLAB;
    if surplus == 0 {
        return;
    }
    free.sort_unstable_by_key(|slot| Arc::as_ptr(&slot.slab));
    let kept = free.chunk_by(|one, other| Arc::ptr_eq(&one.slab, &other.slab)).map(|slots| {
        let goes = slots.len() == SEGMENTS_PER_SLAB && surplus > 0;
        surplus -= usize::from(goes);
        (slots.len(), !goes)
    });
    let mut keeps = kept.flat_map(|(slots, stays)| std::iter::repeat_n(stays, slots)).collect::<Vec<_>>().into_iter();
    free.retain(|_| keeps.next().unwrap_or(true));
}

impl Deref for Slot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the stretch is mapped as long as `slab` lives, zeroed by the system, and reached by this slot alone, which
        // is borrowed shared.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for reading, and this slot is borrowed for this alone.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_of_a_slab_share_nothing() {
        for len in [1, 7, 256 << 10] {
            let mut slots = cut_slab(len);
            for (nth, slot) in (1..).zip(&mut slots) {
                assert!(slot.iter().all(|byte| *byte == 0));
                slot.fill(nth);
            }
            for (nth, slot) in (1..).zip(&slots) {
                assert!(slot.len() == len && slot.iter().all(|byte| *byte == nth), "slot {nth} of {len} bytes");
            }
        }
    }

    #[test]
    fn a_slot_outlives_the_others() {
        let mut slots = cut_slab(64);
        let mut last = slots.pop().unwrap();
        drop(slots);
        last.fill(7);
        std::thread::spawn(move || assert!(last.iter().all(|byte| *byte == 7))).join().unwrap();
    }

    #[test]
    fn whole_slabs_are_kept() {
        let (mut free, mut other) = (cut_slab(8), cut_slab(8));
        let slabs = [Arc::downgrade(&free[0].slab), Arc::downgrade(&other[0].slab)];
        while let Some(slot) = other.pop() {
            free.insert(free.len() / 2, slot);
        }
        let mut used = vec![free.pop().unwrap()];
        shrink(&mut free, 0);
        assert_eq!(free.len(), SEGMENTS_PER_SLAB - 1, "the other slots of the one that is in use");
        assert_eq!(slabs.iter().filter(|slab| slab.strong_count() > 0).count(), 1);
        free.append(&mut used);
        free.extend(cut_slab(8));
        shrink(&mut free, SEGMENTS_PER_SLAB + 1);
        assert_eq!(free.len(), 2 * SEGMENTS_PER_SLAB, "no slab is cut up");
        shrink(&mut free, SEGMENTS_PER_SLAB);
        assert_eq!(free.len(), SEGMENTS_PER_SLAB);
    }
}
