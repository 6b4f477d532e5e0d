//! Which blocks there are, and which go when there are too many. Pure: what is on the disk comes in, what is to be removed
//! goes out.
//!
//! What was not used for longest goes first, a span of blocks at a time. Everything counts with what it takes of the disk.

use crate::cache::blocks::layout;
use crate::cache::blocks::layout::VersionId;
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Blocks that are used and go together: 16 MiB.
pub const SPAN_BLOCKS: u64 = 64;

/// Versions that are kept at most, each with two files.
pub const VERSIONS_MAX: usize = 50_000;

/// Blocks that are remembered because a part of them was read, some 100 bytes each.
const TOUCHED_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// Files take a whole number of these, on most disks.
const PAGE_BYTES: u64 = 4096;

/// A version with blocks on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub id: VersionId,
    /// Bytes of the object.
    pub size: u64,
    /// Its blocks and their checksums.
    pub blocks: Vec<(u64, u32)>,
}

/// What must go from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// These blocks of a version.
    Blocks(VersionId, Range<u64>),
    /// A version with both of its files.
    Version(VersionId),
}

/// All that is known of what is on the disk.
pub struct Index {
    limit_bytes: u64,
    versions_max: usize,
    used_bytes: u64,
    /// By version and number of the span; the first to go is the one that was not used for longest.
    spans: LruCache<(VersionId, u64), Span>,
    versions: HashMap<VersionId, Version>,
    touched: LruCache<(VersionId, u64), ()>,
    /// Whether there is nothing on the disk that is not here.
    complete: bool,
}

struct Version {
    size: u64,
    spans: u64,
}

/// The checksums of those blocks that are there, from the span's first block on.
struct Span(Vec<Option<u32>>);

// INVARIANT: `used_bytes` is the cost of all versions and of all blocks in `spans`.
// INVARIANT: a version is in `versions` exactly as long as it has spans, and a span in `spans` as long as it has blocks.

impl Index {
    /// Nothing yet, and never more than `limit_bytes` and `versions_max` versions.
    #[must_use]
    pub fn new(limit_bytes: u64, versions_max: usize) -> Self {
        Self {
            limit_bytes,
            versions_max: versions_max.max(1),
            used_bytes: 0,
            spans: LruCache::unbounded(),
            versions: HashMap::new(),
            touched: LruCache::new(TOUCHED_MAX),
            complete: false,
        }
    }

    /// Bytes of the disk that all of it takes.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Whether the disk need not be looked at to know what there is of a version.
    #[must_use]
    pub fn knows(&self, id: &VersionId) -> bool {
        self.complete || self.has(id)
    }

    /// A version was found on the disk, ahead of the others.
    pub fn found(&mut self, found: &Found) {
        if self.knows(&found.id) {
            return;
        }
        for (block, sum) in &found.blocks {
            self.stored(&found.id, found.size, *block, *sum);
        }
    }

    /// Everything on the disk was found; `all` begins with what was not used for longest.
    pub fn found_all(&mut self, all: &[Found]) {
        // What is known already is in use.
        let mut recent = Vec::new();
        while let Some(span) = self.spans.pop_lru() {
            recent.push(span);
        }
        all.iter().for_each(|found| self.found(found));
        for (of, span) in recent {
            self.spans.put(of, span);
        }
        self.complete = true;
    }

    /// The checksum of a block, if it is there.
    #[must_use]
    pub fn sum(&self, id: &VersionId, block: u64) -> Option<u32> {
        let Span(sums) = self.spans.peek(&(*id, block / SPAN_BLOCKS))?;
        *sums.get(in_span(block))?
    }

    /// A block was read.
    pub fn used(&mut self, id: &VersionId, block: u64) {
        self.spans.promote(&(*id, block / SPAN_BLOCKS));
    }

    /// The first of `blocks` from which on `at_least` are there one after the other, or all up to the end of `blocks`.
    #[must_use]
    pub fn next_run(&self, id: &VersionId, blocks: Range<u64>, at_least: u64) -> Option<u64> {
        let mut begun = None;
        for block in blocks.clone() {
            match self.sum(id, block) {
                Some(_) => {
                    let first = *begun.get_or_insert(block);
                    if block + 1 - first >= at_least {
                        return begun;
                    }
                }
                None => begun = None,
            }
        }
        begun
    }

    /// A part of these blocks was read. Whether some of them are not there, and a part of those was read before.
    pub fn touch(&mut self, id: &VersionId, blocks: &[u64]) -> bool {
        let mut again = false;
        for block in blocks {
            again |= self.sum(id, *block).is_none() && self.touched.put((*id, *block), ()).is_some();
        }
        again
    }

    /// Whether any block of a version is there.
    #[must_use]
    pub fn has(&self, id: &VersionId) -> bool {
        self.versions.contains_key(id)
    }

    /// What goes next of what is too much already. To be asked until there is nothing.
    pub fn shrink(&mut self) -> Option<Eviction> {
        let too_much = self.used_bytes > self.limit_bytes || self.versions.len() > self.versions_max;
        too_much.then(|| self.evict()).flatten()
    }

    /// What goes next, so that a block has room. To be asked until there is nothing.
    pub fn make_room(&mut self, id: &VersionId, size: u64, block: u64) -> Option<Eviction> {
        self.lacks_room(id, size, block).then(|| self.evict()).flatten()
    }

    /// Whether a block would be more than there may be. It is, when nothing is left to go, for who has no room at all.
    #[must_use]
    pub fn lacks_room(&self, id: &VersionId, size: u64, block: u64) -> bool {
        let is_new = !self.has(id);
        let needed = block_cost(size, block) + if is_new { version_cost(size) } else { 0 };
        self.used_bytes + needed > self.limit_bytes || (is_new && self.versions.len() >= self.versions_max)
    }

    /// A block is on the disk.
    pub fn stored(&mut self, id: &VersionId, size: u64, block: u64, sum: u32) {
        let at = (*id, block / SPAN_BLOCKS);
        if !self.spans.contains(&at) {
            let version = self.versions.entry(*id).or_insert_with(|| {
                self.used_bytes += version_cost(size);
                Version { size, spans: 0 }
            });
            version.spans += 1;
            let first = at.1 * SPAN_BLOCKS;
            let blocks = layout::blocks(size).saturating_sub(first).min(SPAN_BLOCKS);
            self.spans.put(at, Span(vec![None; usize::try_from(blocks).expect("at most a span")]));
        }
        let Some(slot) = self.spans.get_mut(&at).and_then(|Span(sums)| sums.get_mut(in_span(block))) else { return };
        if slot.replace(sum).is_none() {
            self.used_bytes += block_cost(size, block);
        }
        self.touched.pop(&(*id, block));
    }

    /// A block is not what it was.
    pub fn lost(&mut self, id: &VersionId, block: u64) {
        let at = (*id, block / SPAN_BLOCKS);
        let Some(Span(sums)) = self.spans.peek_mut(&at) else { return };
        if sums.get_mut(in_span(block)).is_none_or(|slot| slot.take().is_none()) {
            return;
        }
        let is_empty = sums.iter().all(Option::is_none);
        if let Some(version) = self.versions.get(id) {
            self.used_bytes -= block_cost(version.size, block);
        }
        if is_empty {
            self.remove(at);
        }
    }

    /// What goes with a block that was lost.
    #[must_use]
    pub fn discarded(&self, id: &VersionId, block: u64) -> Eviction {
        if self.has(id) { Eviction::Blocks(*id, block..block + 1) } else { Eviction::Version(*id) }
    }

    /// A version is not on the disk any more.
    pub fn forget(&mut self, id: &VersionId) {
        let Some(size) = self.versions.get(id).map(|version| version.size) else { return };
        for span in 0..layout::blocks(size).div_ceil(SPAN_BLOCKS) {
            self.remove((*id, span));
        }
    }

    fn evict(&mut self) -> Option<Eviction> {
        let (id, span) = self.spans.peek_lru().map(|(of, _)| *of)?;
        self.remove((id, span));
        let first = span * SPAN_BLOCKS;
        let blocks = first..first + SPAN_BLOCKS;
        Some(if self.versions.contains_key(&id) { Eviction::Blocks(id, blocks) } else { Eviction::Version(id) })
    }

    fn remove(&mut self, at: (VersionId, u64)) {
        let (Some(Span(sums)), Some(version)) = (self.spans.pop(&at), self.versions.get_mut(&at.0)) else { return };
        for (block, _) in (at.1 * SPAN_BLOCKS..).zip(sums).filter(|(_, sum)| sum.is_some()) {
            self.used_bytes -= block_cost(version.size, block);
        }
        version.spans -= 1;
        if version.spans == 0 {
            self.used_bytes -= version_cost(version.size);
            self.versions.remove(&at.0);
        }
    }
}

fn in_span(block: u64) -> usize {
    usize::try_from(block % SPAN_BLOCKS).expect("a small number")
}

/// What a block takes of the disk.
fn block_cost(size: u64, block: u64) -> u64 {
    let range = layout::block_range(size, block);
    (range.end - range.start).next_multiple_of(PAGE_BYTES)
}

/// What a version takes of it beside its blocks.
fn version_cost(size: u64) -> u64 {
    layout::entry_at(layout::blocks(size)).next_multiple_of(PAGE_BYTES)
}

#[cfg(test)]
mod tests;
