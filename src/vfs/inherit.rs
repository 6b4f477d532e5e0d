//! Going on where another process that served the mount has ended: the same numbers for inodes and handles, and errors for
//! bytes that only the other one had.
//!
//! Nothing is asked of the bucket at first, as there may be a hundred thousand inodes. Each is asked for when a program
//! comes back to it.

use crate::base::clock;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::FileHandle;
use crate::vfs::handle::HandleId;
use crate::vfs::handle::Handles;
use crate::vfs::handle::Writer;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::known::Known;
use crate::vfs::known::OpenFile;
use crate::vfs::lookup::found;
use crate::vfs::notes::Notes;
use crate::vfs::readdir::Cursor;
use crate::vfs::tree::Tree;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// Fills a tree with what the kernel knows, and opens what is open. Files whose bytes are lost are named in the log.
pub(super) fn take_over(tree: &Tree, notes: &Arc<Notes>, known: &Known) -> Handles {
    let root = tree.get(InodeId::ROOT).expect("the root is never forgotten");
    let default = root.attr();
    tree.inherit(known, |kind| {
        let mut attr = default.clone();
        attr.kind = kind;
        attr
    });
    for (id, inode) in &known.inodes {
        let Ok(of) = tree.get(*id) else { continue };
        let lost = known.is_lost(*id);
        let mut state = of.state();
        state.inherited = true;
        state.gone = !inode.linked;
        // What was written to a file without a name is nowhere: its old contents must not be read instead.
        if let Some(version) = known.versions.get(id).filter(|_| inode.linked || !lost) {
            state.attr.size = version.size;
            state.version = Some(version.clone());
        }
        drop(state);
        if lost && inode.linked {
            let key = tree.key(&of).unwrap_or_default();
            tracing::error!(key, "bytes of this file that were not in the bucket yet are lost; its writers are told");
        }
    }
    let file = |id: HandleId, open: &OpenFile| {
        let inode = tree.get(open.id).ok()?;
        let lost = known.is_lost(open.id) && open.access.writes();
        let known = known.writers.get(&id);
        let mut state = inode.state();
        if open.access.writes() {
            state.writers += 1;
        } else {
            state.readers += 1;
        }
        if lost {
            state.broken = Some(Error::Lost);
        }
        drop(state);
        Some(FileHandle {
            inode,
            access: open.access,
            wrote: AtomicBool::new(lost || known.is_some_and(|known| known.wrote)),
            writer: known.map(Writer::inherited).unwrap_or_default(),
            reader: Mutex::new(None),
        })
    };
    for id in known.inodes.iter().filter(|(_, inode)| !inode.linked).map(|(id, _)| id) {
        let read = known.files.values().any(|open| open.id == *id && open.access.reads());
        if !read
            && !known.hidden.contains_key(id)
            && let Ok(inode) = tree.get(*id)
        {
            // What is written to it has gone nowhere before.
            let mut state = inode.state();
            state.unread = true;
        }
    }
    let directory = |id| tree.get(id).ok().filter(|inode| inode.kind == Kind::Directory).map(Cursor::new);
    Handles::inherited(notes, known, file, directory)
}

impl Vfs {
    /// The inode with this id, with what the bucket says of it if only another process knew that.
    pub(super) async fn inode(&self, id: InodeId) -> Result<Arc<Inode>> {
        let inode = self.tree.get(id)?;
        self.recall(&inode).await?;
        Ok(inode)
    }

    /// As [`inode`](Self::inode), of a directory that is about to be changed.
    pub(super) async fn directory_to_change(&self, id: InodeId) -> Result<Arc<Inode>> {
        let directory = self.directory(id)?;
        self.recall(&directory).await?;
        Ok(directory)
    }

    /// Asks the bucket for what another process knew.
    pub(super) async fn recall(&self, inode: &Arc<Inode>) -> Result<()> {
        if !inode.state().inherited {
            return Ok(());
        }
        match self.tree.place(inode.id) {
            Some((directory, name)) => drop(self.resolve(&directory, &name).await?),
            None => self.recall_hidden(inode).await?,
        }
        inode.state().inherited = false;
        Ok(())
    }

    /// The attributes of a file that has no name any more.
    async fn recall_hidden(&self, inode: &Inode) -> Result<()> {
        let Some(key) = self.tree.key(inode).filter(|_| inode.state().version.is_some()) else { return Ok(()) };
        let object = self.store.head_object(&key).await.map_err(Error::of_known_file)?;
        let attr = self.attr_of(&found(object, clock::monotonic()).seen);
        inode.state().attr = attr;
        Ok(())
    }
}
