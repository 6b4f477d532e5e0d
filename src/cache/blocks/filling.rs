//! The thread that changes the files: it alone writes, makes room and removes, one after the other.

use crate::base::clock;
use crate::base::held::Held;
use crate::cache::blocks::Shared;
use crate::cache::blocks::figures::add;
use crate::cache::blocks::index::Eviction;
use crate::cache::blocks::layout::VersionId;
use bytes::Bytes;
use crossbeam_channel::Receiver;
use std::io;

/// What is to be done to the files.
pub enum Job {
    /// Write a block.
    Keep {
        /// Of which version.
        id: VersionId,
        /// Bytes of the object.
        size: u64,
        /// Which block.
        block: u64,
        /// Its bytes.
        pieces: Vec<Bytes>,
    },
    /// Note that a version was used.
    Used(VersionId),
    /// Give the room of a damaged block back.
    Discard(VersionId, u64),
    /// Nothing any more.
    End,
}

/// Finds out what is there, then does what comes. Holds the lock meanwhile.
pub fn run(shared: &Shared, jobs: &Receiver<Job>, lock: Held) {
    let found = shared.files.load_all();
    shared.index().found_all(&found);
    drop(found);
    // The limit may be lower than it was.
    while let Some(eviction) = shared.shrink() {
        perform(shared, eviction);
    }
    for job in jobs {
        match job {
            Job::Keep { id, size, block, pieces } => keep(shared, (&id, size, block), &pieces),
            Job::Used(id) => shared.files.touch(&id, clock::now()),
            // Unless it was written again before.
            Job::Discard(id, block) if shared.index().sum(&id, block).is_none() => {
                let eviction = shared.index().discarded(&id, block);
                perform(shared, eviction);
            }
            Job::Discard(..) => {}
            Job::End => break,
        }
    }
    drop(lock);
}

fn keep(shared: &Shared, (id, size, block): (&VersionId, u64, u64), pieces: &[Bytes]) {
    if shared.index().sum(id, block).is_some() {
        return;
    }
    while let Some(eviction) = shared.make_room(id, size, block) {
        perform(shared, eviction);
    }
    if shared.index().lacks_room(id, size, block) {
        return;
    }
    match shared.files.write(id, size, block, pieces) {
        Ok(sum) => shared.index().stored(id, size, block, sum),
        Err(error) => {
            let first = add(&shared.counts.refused, 1) == 0;
            let full = error.kind() == io::ErrorKind::StorageFull;
            if first && full {
                tracing::warn!("the disk of the cache is full: what does not fit is not kept; see --cache-limit");
            } else if first {
                tracing::warn!(%error, "the cache cannot be written to, so nothing is kept; see --cache-dir");
            }
            if !shared.index().has(id) {
                shared.files.remove(id);
            }
        }
    }
}

fn perform(shared: &Shared, eviction: Eviction) {
    match eviction {
        Eviction::Version(id) => shared.files.remove(&id),
        Eviction::Blocks(id, blocks) => {
            // A disk without holes.
            if !shared.files.discard(&id, blocks) {
                shared.index().forget(&id);
                shared.files.remove(&id);
            }
        }
    }
}

// The index is not locked while files are changed.
impl Shared {
    fn shrink(&self) -> Option<Eviction> {
        self.index().shrink()
    }

    fn make_room(&self, id: &VersionId, size: u64, block: u64) -> Option<Eviction> {
        self.index().make_room(id, size, block)
    }
}
