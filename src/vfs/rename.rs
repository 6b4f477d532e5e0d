//! Renaming: a copy inside the bucket that is checked, and only then the removal of the source, which nobody waits for
//! if it is noted.

use crate::base::clock;
use crate::store::ETag;
use crate::store::Headers;
use crate::store::Kind as StoreKind;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::claim;
use crate::vfs::copy;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
use crate::vfs::key;
use crate::vfs::listing::Seen;
use crate::vfs::setattr::moved;
use std::ffi::OsStr;
use std::sync::Arc;
use tokio::sync::MutexGuard;

/// What may stand under the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whatever stands there is replaced, as far as POSIX allows it.
    Replace,
    /// Nothing (`RENAME_NOREPLACE`).
    MustBeFree,
}

/// How an object came to another key.
pub(super) enum Arrived {
    /// It is there, and gone from where it was.
    Moved(ETag),
    /// It is in both places.
    Copied(ETag),
}

impl Arrived {
    pub(super) fn into_etag(self) -> ETag {
        match self {
            Self::Moved(etag) | Self::Copied(etag) => etag,
        }
    }
}

/// A directory and a name in it.
pub(super) struct Place {
    pub directory: Arc<Inode>,
    pub name: Arc<str>,
}

impl Vfs {
    /// Moves a file or a directory to another name.
    ///
    /// # Errors
    /// What POSIX has for it, and what the store answers. When it fails, the source is where it was; where a store moves
    /// objects and does not answer, nobody knows that, and the bucket is asked again.
    pub async fn rename(&self, from: (InodeId, &OsStr), to: (InodeId, &OsStr), target: Target) -> Result<()> {
        self.must_be_writable()?;
        let from = Place { directory: self.directory_to_change(from.0).await?, name: key::name(from.1)?.into() };
        let directory = self.directory_to_change(to.0).await?;
        let to = Place { name: self.new_name(&directory, to.1)?.into(), directory };
        let source = self.resolve(&from.directory, &from.name).await?.ok_or(Error::NotFound)?;
        let replaced = self.resolve(&to.directory, &to.name).await?;
        if target == Target::MustBeFree && replaced.is_some() {
            return Err(Error::Exists);
        }
        if replaced.as_ref().is_some_and(|replaced| replaced.id == source.id) {
            return Ok(());
        }
        let is_directory = |inode: &Inode| inode.kind == Kind::Directory;
        match replaced.as_deref().map(is_directory) {
            Some(true) if !is_directory(&source) => return Err(Error::IsDirectory),
            Some(false) if is_directory(&source) => return Err(Error::NotDirectory),
            Some(_) | None => {}
        }
        if is_directory(&source) && self.tree.is_below(to.directory.id, source.id) {
            return Err(Error::Invalid("a directory cannot be moved into itself"));
        }
        self.settle_borrowers(&source).await;
        if let Some(replaced) = &replaced {
            self.settle_borrowers(replaced).await;
        }
        let stored = {
            let _changing = lock_both(&source, replaced.as_deref()).await;
            let stored = {
                let state = source.state();
                is_directory(&source) || state.version.is_some() || state.covers
            };
            if is_directory(&source) {
                self.rename_directory(&from, &to, &source, replaced.as_ref(), target).await?;
            } else {
                self.rename_file(&from, &to, &source, replaced.as_ref(), target).await?;
            }
            stored
        };
        source.state().attr.ctime = clock::now();
        self.touch_directory(&from.directory);
        self.touch_directory(&to.directory);
        if let Some(replaced) = replaced {
            self.tree.let_go(replaced);
        }
        // With what was only here the bucket has lost nothing that would imply the directory.
        let is_left = stored && from.directory.id != to.directory.id;
        if is_left { self.keep_directory(&from.directory).await } else { Ok(()) }
    }

    async fn rename_file(
        &self,
        from: &Place,
        to: &Place,
        source: &Arc<Inode>,
        replaced: Option<&Arc<Inode>>,
        target: Target,
    ) -> Result<()> {
        // What it covers would come to light again under a name that it leaves.
        let (draft, stored) = {
            let state = source.state();
            (state.draft.clone(), state.version.is_some() || state.covers)
        };
        let retargeted = draft.as_ref().is_some_and(|draft| !stored && !draft.has_begun());
        if draft.is_some() && !retargeted {
            self.commit_locked(source).await?;
        }
        let leaving = match replaced {
            Some(replaced) => Some(self.leave(replaced).await?),
            None => None,
        };
        if retargeted {
            // No request has named it yet: it will simply be committed under the new name.
            let covers = replaced.is_some_and(|replaced| {
                let state = replaced.state();
                state.version.is_some() || state.covers
            });
            {
                let mut state = source.state();
                (state.exclusive, state.covers) = (target == Target::MustBeFree, covers);
            }
            let new_key = format!("{}{}", self.key_of(&to.directory)?, to.name);
            self.move_sealed(source, new_key).await?;
            self.exchange_names(from, to);
        } else if let Err((error, reached)) = self.bring_file(from, to, source, target).await {
            [source, &from.directory, &to.directory].into_iter().for_each(|inode| self.doubt(inode));
            match (replaced, leaving) {
                (Some(replaced), Some(leaving)) if reached => {
                    self.tree.unlink(to.directory.id, &to.name);
                    self.left(replaced, leaving).await;
                }
                (Some(replaced), Some(leaving)) => {
                    self.stayed(replaced, leaving).await;
                    self.doubt(replaced);
                }
                _ => {}
            }
            return Err(error);
        }
        if let (Some(replaced), Some(leaving)) = (replaced, leaving) {
            self.left(replaced, leaving).await;
        }
        Ok(())
    }

    /// Moves a stored file in the bucket, and in the tree when that has happened. With an error, whether the new name
    /// leads to the file nevertheless.
    async fn bring_file(
        &self,
        from: &Place,
        to: &Place,
        source: &Arc<Inode>,
        target: Target,
    ) -> std::result::Result<(), (Error, bool)> {
        let not_there = |error: Error| (error, false);
        let key = self.key_of(source).map_err(not_there)?;
        let new_key = format!("{}{}", self.key_of(&to.directory).map_err(not_there)?, to.name);
        let (version, complete) = {
            let state = source.state();
            let version = state.version.clone().ok_or(Error::Stale).map_err(not_there)?;
            (version, state.mtime_set && !state.deferred)
        };
        // A copy is written now; unless its metadata say when the contents were, it would look changed.
        let headers = if complete && !self.encrypts() {
            None
        } else {
            Some(self.headers_to_store(source, &key).await.map_err(not_there)?)
        };
        let arrived = match target {
            Target::Replace => self.move_or_copy(&key, &version, &new_key, headers.as_ref()).await,
            Target::MustBeFree => self.claim(&key, &version, &new_key, headers.as_ref()).await,
        };
        let arrived = arrived.map_err(not_there)?;
        if let Arrived::Copied(_) = arrived
            && let Err(error) = self.remove_visibly(&key, &version).await
        {
            // Under two names, with an error, is nowhere in POSIX. What was replaced cannot be brought back.
            let alone = self.tree.child(to.directory.id, &to.name).is_none();
            let taken_back = alone && self.delete_surely(&new_key).await.is_ok();
            return Err((error, !taken_back));
        }
        let etag = arrived.into_etag();
        self.exchange_names(from, to);
        match headers {
            Some(headers) => self.copied(source, &new_key, etag, headers),
            None => {
                let (version, posix) = {
                    let mut state = source.state();
                    (moved(&mut state, etag), state.posix(true))
                };
                self.learn(new_key, &version, posix);
                self.entry_added(&to.directory, &to.name, Seen::Object(version, Some(posix)));
            }
        }
        Ok(())
    }

    /// Brings an object to a key that must be free.
    async fn claim(&self, key: &str, version: &Version, to: &str, headers: Option<&Headers>) -> Result<Arrived> {
        let facts = self.store.facts();
        if !facts.conditional_writes && facts.move_object {
            match self.store.head_object(to).await {
                Ok(_) => return Err(Error::Exists),
                Err(error) if error.kind == StoreKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            return self.move_or_copy(key, version, to, headers).await;
        }
        Ok(Arrived::Copied(claim::copy_to_free(self.store.as_ref(), key, version, to, headers).await?))
    }

    /// Whether everything that is written is to be encrypted as the mount says, which a bare copy would not be.
    pub(super) fn encrypts(&self) -> bool {
        self.options.server_side_encryption.is_some()
    }

    /// Brings an object to another key, by a move where the store has it and no headers change.
    pub(super) async fn move_or_copy(
        &self,
        key: &str,
        version: &Version,
        to: &str,
        headers: Option<&Headers>,
    ) -> Result<Arrived> {
        let store = self.store.as_ref();
        if headers.is_none()
            && store.facts().move_object
            && let Some(etag) = copy::move_object(store, key, version, to).await?
        {
            return Ok(Arrived::Moved(etag));
        }
        Ok(Arrived::Copied(copy::copy_object(store, key, version, to, headers).await?))
    }

    /// Waits for renames and removals of a file, or of a directory that it is in, which are under way.
    pub(super) async fn settled(&self, inode: &Arc<Inode>) {
        drop(inode.changing.lock().await);
        let mut id = inode.id;
        while let Some((directory, _)) = self.tree.place(id).filter(|(directory, _)| directory.id != id) {
            drop(directory.changing.lock().await);
            id = directory.id;
        }
    }

    /// What is known of it is not believed any more: the bucket will be asked.
    pub(super) fn doubt(&self, inode: &Inode) {
        let mut state = inode.state();
        state.checked = None;
        state.directory.listing = None;
        state.directory.absent = None;
        state.directory.changes += 1;
    }

    /// The tree follows what has happened in the bucket.
    pub(super) fn exchange_names(&self, from: &Place, to: &Place) {
        self.tree.rename(from.directory.id, &from.name, to.directory.id, &to.name);
        self.entry_removed(&from.directory, &from.name);
        self.entry_removed(&to.directory, &to.name);
    }
}

/// In the order of their numbers, so that two renames cannot wait for each other.
pub(super) async fn lock_both<'a>(
    one: &'a Inode,
    other: Option<&'a Inode>,
) -> (MutexGuard<'a, ()>, Option<MutexGuard<'a, ()>>) {
    match other {
        Some(other) if other.id < one.id => {
            let first = other.changing.lock().await;
            (one.changing.lock().await, Some(first))
        }
        Some(other) => {
            let first = one.changing.lock().await;
            (first, Some(other.changing.lock().await))
        }
        None => (one.changing.lock().await, None),
    }
}
