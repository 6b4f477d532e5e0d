//! Blocks of objects on local disk, for the next mount as well.
//!
//! A version of an object is named by its source, key, tag and size, and never changes; what has no tag is not kept. Whoever
//! reads has found out before which version is there: nothing here says that it still is. `index` decides what is kept
//! (pure), `layout` how it lies on the disk (pure), `files` are the files, and `filling` is the thread that alone
//! changes them. A block is read by anybody, and used only if its checksum is right.
//!
//! It helps or it does not, but never fails: a full disk, a damaged block or a directory that went away are blocks that are
//! not there.

mod figures;
mod files;
mod filling;
mod index;
mod layout;

pub use figures::Figures;
pub use files::Error;
pub use layout::BLOCK_BYTES;

use crate::cache::blocks::figures::Counts;
use crate::cache::blocks::figures::add;
use crate::cache::blocks::figures::get;
use crate::cache::blocks::files::Files;
use crate::cache::blocks::filling::Job;
use crate::cache::blocks::index::Index;
use crate::cache::blocks::layout::VersionId;
use crate::store::ETag;
use bytes::Bytes;
use crossbeam_channel::Sender;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// Blocks that are worth a request of their own around them. A shorter run is asked for along with its neighbours.
const RUN_BLOCKS: u64 = 4;

/// What a cache may take, and whose objects it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the disk.
    pub limit_bytes: u64,
    /// Blocks that wait to be written at most; what comes then is not kept. They hold memory of the mount.
    pub waiting_max: usize,
    /// Tells the objects of one bucket from those of others.
    pub source: String,
}

/// Blocks of the objects of one source, in a directory that may hold those of others too.
pub struct BlockCache {
    shared: Arc<Shared>,
    filling: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    source: String,
    limit_bytes: u64,
    files: Files,
    index: Mutex<Index>,
    jobs: Sender<Job>,
    counts: Counts,
}

impl BlockCache {
    /// Uses the directory, which is made if it is missing, until [`end`](Self::end).
    ///
    /// # Errors
    /// When another process uses it, or the disk refuses.
    pub fn open(dir: &Path, options: Options) -> Result<Arc<Self>, Error> {
        let (files, lock) = Files::open(dir)?;
        let (jobs, receiver) = crossbeam_channel::bounded(options.waiting_max.max(1));
        let index = Mutex::new(Index::new(options.limit_bytes, index::VERSIONS_MAX));
        let Options { source, limit_bytes, .. } = options;
        let shared = Arc::new(Shared { source, limit_bytes, files, index, jobs, counts: Counts::default() });
        let filler = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("cache".into());
        let filling = thread.spawn(move || filling::run(&filler, &receiver, lock));
        let filling = filling.map_err(|cause| Error::Io { path: dir.to_owned(), cause })?;
        Ok(Arc::new(Self { shared, filling: Mutex::new(Some(filling)) }))
    }

    /// One version of an object, if such a thing can be kept.
    #[must_use]
    pub fn object(&self, key: &str, etag: &ETag, size: u64) -> Option<Arc<Object>> {
        if etag.as_str().is_empty() || size == 0 {
            return None;
        }
        let id = VersionId::new(&self.shared.source, key, etag, size);
        Some(Arc::new(Object { shared: Arc::clone(&self.shared), id, size, noted: AtomicBool::new(false) }))
    }

    /// What became of blocks so far, and how much there is.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let Shared { counts, limit_bytes, jobs, .. } = &*self.shared;
        Figures {
            blocks: counts.blocks.read(),
            hit_bytes: get(&counts.hit_bytes),
            miss_bytes: get(&counts.miss_bytes),
            bytes: self.shared.index().used_bytes(),
            limit_bytes: *limit_bytes,
            waiting: jobs.len(),
            dropped: get(&counts.dropped) + get(&counts.refused),
            damaged: get(&counts.damaged),
        }
    }

    /// Writes what waits, and lets go of the directory.
    pub fn end(&self) {
        let filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(filling) = filling else { return };
        // Behind what waits, which is not much.
        if self.shared.jobs.send(Job::End).is_ok() && filling.join().is_err() {
            tracing::error!("the thread of the cache broke");
        }
        let Figures { bytes, dropped, damaged, .. } = self.figures();
        tracing::debug!(used_bytes = bytes, dropped, damaged, "the cache ends");
    }
}

impl Drop for BlockCache {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One version of an object.
pub struct Object {
    shared: Arc<Shared>,
    id: VersionId,
    size: u64,
    /// Whether the disk was told that it is used.
    noted: AtomicBool,
}

impl Object {
    /// Whether [`load`](Self::load) would find out more.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.shared.index().knows(&self.id)
    }

    /// Looks on the disk for what there is of it, while not everything there is known yet. Blocks.
    pub fn load(&self) {
        if let Some(found) = self.shared.files.load(&self.id).filter(|found| found.size == self.size) {
            self.shared.index().found(&found);
        }
    }

    /// Whether a byte is there.
    #[must_use]
    pub fn holds(&self, offset: u64) -> bool {
        self.shared.index().sum(&self.id, offset / BLOCK_BYTES).is_some()
    }

    /// Up to where of `range`, which begins with what is not there, it is to be asked for: where so much is there that
    /// it is worth another request.
    #[must_use]
    pub fn missing_to(&self, range: &Range<u64>) -> u64 {
        let blocks = range.start / BLOCK_BYTES + 1..range.end.div_ceil(BLOCK_BYTES);
        let run = self.shared.index().next_run(&self.id, blocks, RUN_BLOCKS);
        run.map_or(range.end, |block| (block * BLOCK_BYTES).min(range.end))
    }

    /// Some bytes are about to be read by themselves. Whether it is time to fetch the blocks that they are in as a whole:
    /// some of those are not there, and this is not the first time.
    #[must_use]
    pub fn is_due(&self, wanted: &Range<u64>) -> bool {
        let partly = |block: &u64| {
            let range = layout::block_range(self.size, *block);
            range.start < wanted.start || wanted.end < range.end
        };
        let (first, last) = (wanted.start / BLOCK_BYTES, wanted.end.saturating_sub(1) / BLOCK_BYTES);
        let mut edges = vec![first, last];
        edges.dedup();
        edges.retain(partly);
        !edges.is_empty() && self.shared.index().touch(&self.id, &edges)
    }

    /// Begins to read blocks from the disk. Blocks.
    #[must_use]
    pub fn reading(&self) -> Option<Reading<'_>> {
        let file = match self.shared.files.data(&self.id) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    // Somebody has cleared the directory.
                    self.shared.index().forget(&self.id);
                }
                return None;
            }
        };
        if !self.noted.swap(true, Ordering::Relaxed) {
            // Lost when there is much to do: it goes sooner than it should, after the next mount.
            let _ = self.shared.jobs.try_send(Job::Used(self.id));
        }
        Some(Reading { object: self, file, buffer: Vec::new() })
    }

    /// Keeps a block, whose bytes `pieces` gives, if it is not there and there are not too many that wait.
    pub fn keep(&self, block: u64, pieces: impl FnOnce() -> Option<Vec<Bytes>>) {
        if self.shared.jobs.is_full() {
            add(&self.shared.counts.dropped, 1);
            return;
        }
        if self.shared.index().sum(&self.id, block).is_some() {
            return;
        }
        let Some(pieces) = pieces() else { return };
        if self.shared.jobs.try_send(Job::Keep { id: self.id, size: self.size, block, pieces }).is_err() {
            add(&self.shared.counts.dropped, 1);
        }
    }

    /// A range was read from the disk.
    pub fn was_read(&self, bytes: u64) {
        add(&self.shared.counts.hit_bytes, bytes);
    }

    /// The store is asked for a range.
    pub fn missed(&self, range: &Range<u64>) {
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        self.shared.counts.blocks.missed(blocks.end.saturating_sub(blocks.start));
    }

    /// So many bytes have come from the store.
    pub fn was_fetched(&self, bytes: u64) {
        add(&self.shared.counts.miss_bytes, bytes);
    }

    /// Which bytes a block has.
    #[must_use]
    pub fn block_range(&self, block: u64) -> Range<u64> {
        layout::block_range(self.size, block)
    }
}

/// Reads blocks of one version, one after the other.
pub struct Reading<'a> {
    object: &'a Object,
    file: File,
    buffer: Vec<u8>,
}

impl Reading<'_> {
    /// The bytes of a block, if they are there and are what they were. Blocks.
    pub fn block(&mut self, block: u64) -> Option<&[u8]> {
        let Object { shared, id, size, .. } = self.object;
        let sum = shared.index().sum(id, block)?;
        let range = layout::block_range(*size, block);
        self.buffer.resize(usize::try_from(range.end - range.start).expect("a small number"), 0);
        let read = self.file.read_exact_at(&mut self.buffer, range.start);
        if read.is_ok() && layout::crc32c(&[&self.buffer]) == sum {
            shared.index().used(id, block);
            shared.counts.blocks.hit();
            return Some(&self.buffer);
        }
        // What went meanwhile to make room is not damaged.
        let damaged = {
            let mut index = shared.index();
            let damaged = index.sum(id, block) == Some(sum);
            index.lost(id, block);
            damaged
        };
        if damaged {
            add(&shared.counts.damaged, 1);
            tracing::debug!(version = id.name(), block, ?read, "a block of the cache is damaged, and is fetched again");
            // Fails only at the end of the mount.
            let _ = shared.jobs.send(Job::Discard(*id, block));
        }
        None
    }
}

#[cfg(test)]
mod tests;
