//! Taking names away: unlink, rmdir, and directories that stay when their last entry goes.

use crate::store::ListObjects;
use crate::store::Listed;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
use crate::vfs::key;
use std::ffi::OsStr;
use std::sync::Arc;

/// So many keys of scratch objects, of this mount or another, are looked past by one request.
const SCRATCH_KEYS_EXPECTED: u32 = 8;

impl Vfs {
    /// Removes a file or a symbolic link. Whoever has it open goes on reading and writing what nobody else can see any
    /// more.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], and what the store answers.
    pub async fn unlink(&self, parent: InodeId, name: &OsStr) -> Result<()> {
        let (directory, name, inode) = self.existing(parent, name).await?;
        if inode.kind == Kind::Directory {
            return Err(Error::IsDirectory);
        }
        self.settle_borrowers(&inode).await;
        let stored = {
            let _changing = inode.changing.lock().await;
            let key = self.tree.key(&inode).ok_or(Error::NotFound)?;
            let how = self.leave(&inode).await?;
            let (stored, version) = {
                let state = inode.state();
                // What is being written may have another fate.
                let plain = state.draft.is_none() && !state.covers;
                (state.version.is_some() || state.covers, state.version.clone().filter(|_| plain))
            };
            if stored && let Err(error) = self.remove_stored(&key, version.as_ref()).await {
                self.stayed(&inode, how).await;
                self.doubt(&inode);
                self.doubt(&directory);
                return Err(error);
            }
            self.tree.unlink(directory.id, &name);
            self.entry_removed(&directory, &name);
            self.left(&inode, how).await;
            stored
        };
        self.touch_directory(&directory);
        self.tree.let_go(inode);
        // With what was only here the bucket has lost nothing that would imply the directory.
        if stored { self.keep_directory(&directory).await } else { Ok(()) }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] also for keys that no name shows; what the store has refused to remove below it.
    pub async fn rmdir(&self, parent: InodeId, name: &OsStr) -> Result<()> {
        let (directory, name, inode) = self.existing(parent, name).await?;
        if inode.kind != Kind::Directory {
            return Err(Error::NotDirectory);
        }
        {
            let _changing = inode.changing.lock().await;
            self.removals_settled(&self.key_of(&inode)?).await?;
            self.remove_marker(&inode).await?;
            inode.state().gone = true;
            self.tree.unlink(directory.id, &name);
            self.entry_removed(&directory, &name);
        }
        self.touch_directory(&directory);
        self.tree.let_go(inode);
        self.keep_directory(&directory).await
    }

    /// What a name leads to, in a mount that may be changed.
    async fn existing(&self, parent: InodeId, name: &OsStr) -> Result<(Arc<Inode>, Arc<str>, Arc<Inode>)> {
        self.must_be_writable()?;
        let directory = self.directory_to_change(parent).await?;
        let name: Arc<str> = key::name(name)?.into();
        let inode = self.resolve(&directory, &name).await?.ok_or(Error::NotFound)?;
        Ok((directory, name, inode))
    }

    /// Removes the object that stands for a directory, if nothing else is in it.
    pub(super) async fn remove_marker(&self, inode: &Arc<Inode>) -> Result<()> {
        let key = self.key_of(inode)?;
        let written = self.tree.children(inode.id).iter().any(|(_, child)| child.state().draft.is_some());
        let objects = self.first_objects(&key, 2).await?;
        if written || objects.iter().any(|object| object.key != key) {
            return Err(Error::NotEmpty);
        }
        let Some(Listed { etag, size, last_modified, .. }) = objects.into_iter().next() else { return Ok(()) };
        self.remove_visibly(&key, &Version { etag, size, last_modified }).await
    }

    /// The first objects below a prefix, but for scratch objects: `wanted` of them, or all there are.
    async fn first_objects(&self, prefix: &str, wanted: usize) -> Result<Vec<Listed>> {
        let limit = SCRATCH_KEYS_EXPECTED + u32::try_from(wanted).unwrap_or(u32::MAX);
        let mut request = ListObjects { prefix: prefix.to_owned(), limit: Some(limit), ..ListObjects::default() };
        let mut objects = Vec::new();
        loop {
            let page = self.store.list_objects(&request).await?;
            objects.extend(page.objects.into_iter().filter(|object| !key::is_scratch(&object.key)));
            if objects.len() >= wanted || page.next.is_none() {
                return Ok(objects);
            }
            (request.continuation, request.limit) = (page.next, None);
        }
    }

    /// Something has left a directory. One that only its entries implied would vanish with the last of them, so it gets an
    /// object of its own then.
    pub(super) async fn keep_directory(&self, directory: &Arc<Inode>) -> Result<()> {
        let key = self.key_of(directory)?;
        let (marker, occupied) = {
            let state = directory.state();
            let listed = state.directory.listing.as_ref();
            (state.directory.marker, listed.is_some_and(|listing| !listing.entries.is_empty()))
        };
        if key.is_empty() || marker == Some(true) || (marker == Some(false) && occupied) {
            return Ok(());
        }
        match self.first_objects(&key, 1).await?.first() {
            Some(first) => directory.state().directory.marker = Some(first.key == key),
            None => {
                directory.state().directory.marker = Some(false);
                self.put_marker(directory, &key).await?;
            }
        }
        Ok(())
    }
}
