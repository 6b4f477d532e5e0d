//! A tree of files over the flat keys of a bucket. Knows nothing of FUSE or HTTP.
//!
//! One operation of POSIX is one method of [`Vfs`], in the file of its family: [`lookup`], [`readdir`], [`open`], [`io`],
//! [`drafting`], [`commit`], [`journaling`], [`length`], [`transfer`], [`make`], [`remove`], [`rename`], [`rename_directory`],
//! [`setattr`], [`extended`].
//!
//! Lock order: `Inode::changing` (asynchronous; of two inodes the one with the smaller id first), then the tree, then
//! `Inode::state`, then a draft's own lock. The last three are never held over a wait.

pub mod attr;
pub mod borrowed;
pub mod claim;
pub mod commit;
pub mod conflict;
pub mod copy;
pub mod destination;
pub mod directory;
pub mod drafting;
pub mod error;
pub mod extended;
pub mod figures;
pub mod handle;
pub mod handover;
pub mod headers;
pub mod inherit;
pub mod inode;
pub mod io;
pub mod journaling;
pub mod key;
pub mod known;
pub mod length;
pub mod listing;
pub mod lookup;
pub mod make;
pub mod notes;
pub mod open;
pub mod options;
pub mod plan;
pub mod readdir;
pub mod recovery;
pub mod removals;
pub mod remove;
pub mod rename;
pub mod rename_directory;
pub mod scratch;
pub mod set_id;
pub mod setattr;
pub mod shutdown;
pub mod signed_time;
pub mod spelling;
pub mod touched;
pub mod transfer;
pub mod tree;
pub mod unlinked;
pub mod xattr;

pub use error::Error;
pub use error::Result;
pub use options::Durability;
pub use options::Options;
pub use shutdown::Failure;
pub use shutdown::Pending;

use crate::base::clock;
use crate::base::metrics::HitRate;
use crate::base::pool::Pool;
use crate::cache::blocks::BlockCache;
use crate::cache::metadata::MetadataCache;
use crate::reader;
use crate::store::Store;
use crate::store::layers::removals::Removals;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::attr::Posix;
use crate::vfs::handle::Handles;
use crate::vfs::inode::Inode;
use crate::vfs::known::Known;
use crate::vfs::notes::Notes;
use crate::vfs::tree::Tree;
use crate::writer;
use crate::writer::disk::Disk;
use crate::writer::schedule::Schedule;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Objects whose metadata are remembered, some 200 bytes each.
const METADATA_ENTRIES_MAX: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// A mounted bucket.
pub struct Vfs {
    store: Arc<dyn Store>,
    options: Arc<Options>,
    runtime: Handle,
    tree: Arc<Tree>,
    handles: Handles,
    notes: Arc<Notes>,
    metadata: MetadataCache<Posix>,
    /// How often a name was answered without asking the store.
    lookups: HitRate,
    writing: Arc<writer::stream::Context>,
    reading: Arc<reader::stream::Context>,
    /// Bounds how many sealed files are stored at the same time.
    storing: Semaphore,
    removals: Option<Arc<Removals>>,
    waits_for_store: bool,
    /// For what happens later, if the mount is still there.
    itself: Weak<Self>,
}

/// What files are written and read with.
pub struct Means {
    /// The same bucket, perhaps with another patience.
    pub storing: Arc<dyn Store>,
    /// For what memory cannot hold, or must not be the only one to hold.
    pub disk: Option<Disk>,
    /// Removals that programs need not wait for. The stores are behind them then.
    pub removals: Option<Arc<Removals>>,
    /// What was read before, on local disk.
    pub cache: Option<Arc<BlockCache>>,
    /// Whether the end of the mount waits for a store that is gone, if what is to be stored is in a journal.
    pub waits: bool,
}

/// What a lookup answers.
#[derive(Clone)]
pub struct Entry {
    /// The inode.
    pub inode: Arc<Inode>,
    /// Its attributes.
    pub attr: Attr,
    /// How long they may be believed without asking again.
    pub valid_for: Duration,
}

impl Vfs {
    /// A tree over `store`. Uploads and fetches run on `runtime`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, options: Options, runtime: Handle) -> Arc<Self> {
        let disk = options.journal_dir.as_deref().map(Disk::new);
        let means = Means { storing: Arc::clone(&store), disk, removals: None, cache: None, waits: false };
        Self::going_on(store, means, options, runtime, (&Notes::none(), &Known::default()))
    }

    /// As [`new`](Self::new), with other means to write files, and with all that the kernel holds of another process that
    /// served the same mount. What it holds of this one goes to the notes.
    #[must_use]
    pub fn going_on(
        store: Arc<dyn Store>,
        means: Means,
        options: Options,
        runtime: Handle,
        (notes, known): (&Arc<Notes>, &Known),
    ) -> Arc<Self> {
        let Means { storing, disk, removals, cache, waits } = means;
        let options = Arc::new(options);
        let pool = Pool::new(options.memory_limit);
        // A part that fills more than a quarter of the memory would leave none for the parts beside it.
        let schedule = Schedule::new(store.facts(), options.part_bytes, options.memory_limit / 4);
        let writing = Arc::new(writer::stream::Context {
            store: storing,
            pool: Arc::clone(&pool),
            runtime: runtime.clone(),
            schedule,
            in_flight_max: options.upload_concurrency,
            disk,
        });
        let reading = reader::stream::Context::new(Arc::clone(&store), pool, runtime.clone(), cache);
        let root = options.default_attr(Kind::Directory, clock::now());
        let tree = Tree::new(key::normalize_prefix(&options.prefix), root, notes);
        let handles = inherit::take_over(&tree, notes, known);
        Arc::new_cyclic(|itself: &Weak<Self>| Self {
            removals: removals.inspect(|removals| {
                let vfs = Weak::clone(itself);
                removals.watch(move |key| vfs.upgrade().iter().for_each(|vfs| vfs.is_back(key)));
            }),
            itself: Weak::clone(itself),
            store,
            runtime,
            tree: Arc::new(tree),
            handles,
            notes: Arc::clone(notes),
            metadata: MetadataCache::new(METADATA_ENTRIES_MAX),
            lookups: HitRate::default(),
            writing,
            reading,
            storing: Semaphore::new(journaling::STORED_AT_ONCE),
            waits_for_store: waits,
            options,
        })
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Arc<Inode> {
        self.tree.get(inode::InodeId::ROOT).expect("the root is never forgotten")
    }

    /// What the mount was asked to be.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Fails where the mount may not be written to.
    fn must_be_writable(&self) -> Result<()> {
        if self.options.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Whether attributes can be kept with objects. Otherwise they last as long as the mount remembers them.
    fn keeps_attributes(&self) -> bool {
        self.store.facts().user_metadata
    }

    /// Whether an object stands for it: none does for the root of a bucket.
    fn has_object(&self, inode: &Inode) -> bool {
        inode.id != inode::InodeId::ROOT || !self.options.prefix.trim_matches('/').is_empty()
    }

    /// The key of an inode whose name is still there.
    fn key_of(&self, inode: &Inode) -> Result<String> {
        self.tree.key(inode).ok_or(Error::Stale)
    }
}

#[cfg(test)]
mod tests;
