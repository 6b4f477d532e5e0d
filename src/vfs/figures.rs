//! What people and monitors ask of a mounted tree: what is open, what is on its way, how much is taken, and the path of what a
//! request was about. Looks, and changes nothing.

use crate::base::metrics::Hits;
use crate::cache::blocks;
use crate::cache::blocks::BlockCache;
use crate::store::layers::removals::Removals;
use crate::vfs::Vfs;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::writer::draft::Draft;
use std::time::Instant;

/// A tree at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files that are open, once for each `open`.
    pub files_open: usize,
    /// Directories that are open.
    pub directories_open: usize,
    /// Files and directories that are remembered.
    pub inodes: usize,
    /// What the bucket does not have yet, by path.
    pub dirty: Vec<Dirty>,
    /// Bytes of memory for contents that are taken.
    pub memory_bytes: u64,
    /// Bytes of memory for contents that may be taken.
    pub memory_limit_bytes: u64,
    /// How many wait for memory.
    pub memory_waiting: usize,
    /// How often a name was answered without asking the store.
    pub lookups: Hits,
    /// How often the metadata of a listed object were known.
    pub metadata: Hits,
    /// Blocks on local disk, if they are kept.
    pub blocks: Option<blocks::Figures>,
    /// Objects that are still to be removed.
    pub removals: usize,
    /// The journal, if there is one.
    pub journal: Option<Journal>,
}

/// A journal at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Files in it that are not in the bucket.
    pub files: usize,
    /// Bytes of the disk that are taken.
    pub bytes: u64,
    /// Bytes of the disk that may be taken.
    pub limit_bytes: u64,
}

/// A file that the bucket does not have as programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirty {
    /// The path in the mount; empty for one whose name is gone.
    pub path: String,
    /// Bytes of it so far; 0 if only attributes are to be stored.
    pub size_bytes: u64,
    /// Bytes that the store does not have.
    pub unsent_bytes: u64,
    /// Bytes a second that the store takes of it.
    pub bytes_per_second: Option<u64>,
    /// What it waits for.
    pub stage: Stage,
}

/// What a file waits for that is not in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A program has it open, and may write more.
    Open,
    /// It is as it shall be, and on its way.
    Storing,
    /// Only attributes are to be stored.
    Attributes,
}

/// What a request was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole mount.
    Mount,
    /// A file or directory.
    Inode(InodeId),
    /// A name in a directory.
    Name(InodeId, String),
}

impl Vfs {
    /// What can be told now.
    #[must_use]
    pub fn figures(&self, now: Instant) -> Figures {
        let (files_open, directories_open) = self.handles.count();
        let pool = &self.writing.pool;
        let disk = self.writing.disk.as_ref();
        let journal = disk.and_then(|disk| Some((disk.as_journal()?, disk.limit()?)));
        let is_ahead = |inode: &Inode| {
            let state = inode.state();
            !state.gone && state.is_ahead()
        };
        let (inodes, ahead) = self.tree.look(is_ahead);
        let dirty = ahead.into_iter().filter_map(|inode| {
            let (still_ahead, draft, writers) = {
                let state = inode.state();
                (state.is_ahead(), state.draft.clone(), state.writers)
            };
            let path = self.path(&inode).unwrap_or_default();
            self.tree.let_go(inode);
            let stage = match (&draft, writers) {
                (None, _) => Stage::Attributes,
                (Some(_), 0) => Stage::Storing,
                // The program waits for its `close`.
                (Some(draft), _) if draft.is_committing() => Stage::Storing,
                (Some(_), _) => Stage::Open,
            };
            still_ahead.then(|| Dirty {
                path,
                size_bytes: draft.as_ref().map_or(0, Draft::size),
                unsent_bytes: draft.as_ref().map_or(0, Draft::unsent_bytes),
                bytes_per_second: draft.as_ref().and_then(|draft| draft.rate(now)),
                stage,
            })
        });
        let mut dirty: Vec<_> = dirty.collect();
        dirty.sort_by(|one, other| one.path.cmp(&other.path));
        Figures {
            files_open,
            directories_open,
            inodes,
            dirty,
            memory_bytes: pool.used_bytes(),
            memory_limit_bytes: pool.limit_bytes(),
            memory_waiting: pool.waiting(),
            lookups: self.lookups.read(),
            metadata: self.metadata.hits(),
            blocks: self.reading.cache.as_deref().map(BlockCache::figures),
            removals: self.removals.as_deref().map_or(0, Removals::count),
            journal: journal.map(|(journal, limit)| Journal {
                files: journal.drafts(),
                bytes: limit.taken(),
                limit_bytes: limit.max(),
            }),
        }
    }

    /// The path below the mount point of what a request was about, as far as it is known; empty for the mount point.
    #[must_use]
    pub fn path_of(&self, subject: &Subject) -> Option<String> {
        match subject {
            Subject::Mount => Some(String::new()),
            Subject::Inode(id) => self.path(&*self.tree.get(*id).ok()?),
            Subject::Name(directory, name) => {
                let above = self.path(&*self.tree.get(*directory).ok()?)?;
                Some(if above.is_empty() { name.clone() } else { format!("{above}/{name}") })
            }
        }
    }

    fn path(&self, inode: &Inode) -> Option<String> {
        let key = self.tree.key(inode)?;
        let path = key.strip_prefix(self.tree.prefix()).unwrap_or(&key);
        Some(path.trim_end_matches('/').to_owned())
    }
}
