//! Renaming: a copy inside the bucket that is checked, and only then the removal of the source.

use crate::base::clock;
use crate::store::ETag;
use crate::store::Headers;
use crate::store::ListObjects;
use crate::store::Listed;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::attr::Posix;
use crate::vfs::copy;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
use crate::vfs::key;
use crate::vfs::listing::Seen;
use crate::vfs::setattr::moved;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::MutexGuard;

/// Objects of a directory copied at the same time.
const COPIES_AT_ONCE: usize = 32;

/// What may stand under the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whatever stands there is replaced, as far as POSIX allows it.
    Replace,
    /// Nothing (`RENAME_NOREPLACE`).
    MustBeFree,
}

/// How an object came to another key.
enum Arrived {
    /// It is there, and gone from where it was.
    Moved(ETag),
    /// It is in both places.
    Copied(ETag),
}

impl Arrived {
    fn into_etag(self) -> ETag {
        match self {
            Self::Moved(etag) | Self::Copied(etag) => etag,
        }
    }
}

struct Place {
    directory: Arc<Inode>,
    name: Arc<str>,
}

impl Vfs {
    /// Moves a file or a directory to another name.
    ///
    /// # Errors
    /// What POSIX has for it, and what the store answers. When it fails, the source is where it was; where a store moves
    /// objects and does not answer, nobody knows that, and the bucket is asked again.
    pub async fn rename(&self, from: (InodeId, &OsStr), to: (InodeId, &OsStr), target: Target) -> Result<()> {
        self.must_be_writable()?;
        let from = Place { directory: self.directory(from.0)?, name: key::name(from.1)?.into() };
        let directory = self.directory(to.0)?;
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
        {
            let _changing = lock_both(&source, replaced.as_deref()).await;
            if is_directory(&source) {
                self.rename_directory(&from, &to, &source, replaced.as_ref()).await?;
            } else {
                self.rename_file(&from, &to, &source, replaced.as_ref()).await?;
            }
        }
        self.touch_directory(&from.directory);
        self.touch_directory(&to.directory);
        if let Some(replaced) = replaced {
            self.tree.let_go(replaced);
        }
        if from.directory.id == to.directory.id { Ok(()) } else { self.keep_directory(&from.directory).await }
    }

    async fn rename_file(
        &self,
        from: &Place,
        to: &Place,
        source: &Arc<Inode>,
        replaced: Option<&Arc<Inode>>,
    ) -> Result<()> {
        let (stream, stored) = {
            let state = source.state();
            (state.stream.clone(), state.version.is_some())
        };
        if let Some(stream) = stream {
            if !stored && !stream.has_begun() {
                // No request has named it yet: it will simply be committed under the new name.
                self.exchange_names(from, to, replaced).await;
                return Ok(());
            }
            self.commit_locked(source).await?;
        }
        let (key, new_key) = (self.key_of(source)?, format!("{}{}", self.key_of(&to.directory)?, to.name));
        let (version, complete) = {
            let state = source.state();
            (state.version.clone().ok_or(Error::Stale)?, state.mtime_set && !state.deferred)
        };
        // A copy is written now; unless its metadata say when the contents were, it would look changed.
        let headers =
            if complete && !self.encrypts() { None } else { Some(self.headers_to_store(source, &key).await?) };
        let etag = match self.move_or_copy(&key, &version, &new_key, headers.as_ref()).await {
            Ok(Arrived::Moved(etag)) => etag,
            Ok(Arrived::Copied(etag)) => {
                self.store.delete_object(&key).await?;
                etag
            }
            Err(error) => {
                self.doubt(source);
                self.doubt(&from.directory);
                self.doubt(&to.directory);
                return Err(error);
            }
        };
        self.exchange_names(from, to, replaced).await;
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

    /// Whether everything that is written is to be encrypted as the mount says, which a bare copy would not be.
    fn encrypts(&self) -> bool {
        self.options.server_side_encryption.is_some()
    }

    /// Brings an object to another key, by a move where the store has it and no headers change.
    async fn move_or_copy(&self, key: &str, version: &Version, to: &str, headers: Option<&Headers>) -> Result<Arrived> {
        let store = self.store.as_ref();
        if headers.is_none()
            && store.facts().move_object
            && let Some(etag) = copy::move_object(store, key, version, to).await?
        {
            return Ok(Arrived::Moved(etag));
        }
        Ok(Arrived::Copied(copy::copy_object(store, key, version, to, headers).await?))
    }

    /// What is known of it is not believed any more: the bucket will be asked.
    fn doubt(&self, inode: &Inode) {
        let mut state = inode.state();
        state.checked = None;
        state.directory.listing = None;
        state.directory.changes += 1;
    }

    /// The tree follows what has happened in the bucket.
    async fn exchange_names(&self, from: &Place, to: &Place, replaced: Option<&Arc<Inode>>) {
        if let Some(replaced) = replaced {
            self.dropped(replaced).await;
        }
        self.tree.rename(from.directory.id, &from.name, to.directory.id, &to.name);
        self.entry_removed(&from.directory, &from.name);
        self.entry_removed(&to.directory, &to.name);
    }

    async fn rename_directory(
        &self,
        from: &Place,
        to: &Place,
        source: &Arc<Inode>,
        replaced: Option<&Arc<Inode>>,
    ) -> Result<()> {
        if let Some(replaced) = replaced {
            self.remove_marker(replaced).await?;
        }
        self.settle_below(source).await?;
        let prefix = self.key_of(source)?;
        let new_prefix = format!("{}{}/", self.key_of(&to.directory)?, to.name);
        let tags = match self.move_all(&prefix, &new_prefix).await {
            Ok(tags) => tags,
            Err(error) => {
                let below = self.tree.all().into_iter().filter(|inode| self.tree.is_below(inode.id, source.id));
                below.for_each(|inode| self.doubt(&inode));
                self.doubt(&from.directory);
                self.doubt(&to.directory);
                return Err(error);
            }
        };
        self.retag_below(source, &tags);
        self.exchange_names(from, to, replaced).await;
        self.remember_below(source);
        self.entry_added(&to.directory, &to.name, Seen::Directory);
        // A file that was committed just before its directory changed its name is still under the old one. From now on
        // every commit sees the new name.
        self.move_all(&prefix, &new_prefix).await.map(drop)
    }

    /// Moves everything under one prefix to another, and what comes there meanwhile; answers with the tags of the copies
    /// by the old keys.
    async fn move_all(&self, prefix: &str, new_prefix: &str) -> Result<HashMap<String, ETag>> {
        let mut tags = HashMap::new();
        loop {
            let objects = self.list_all(prefix).await?;
            if objects.is_empty() {
                return Ok(tags);
            }
            let arrived = self.copy_all(prefix, new_prefix, &objects).await?;
            let copied = arrived.iter().filter(|(_, arrived)| matches!(arrived, Arrived::Copied(_)));
            let keys: Vec<String> = copied.map(|(key, _)| key.clone()).collect();
            tags.extend(arrived.into_iter().map(|(key, arrived)| (key, arrived.into_etag())));
            if let Some(error) = self.store.delete_objects(&keys).await?.into_iter().next() {
                return Err(error.into());
            }
        }
    }

    /// Uploads under way name their keys, and attributes wait for theirs: they end before the keys change.
    async fn settle_below(&self, directory: &Arc<Inode>) -> Result<()> {
        for inode in self.tree.all() {
            let below = inode.id != directory.id && self.tree.is_below(inode.id, directory.id);
            let begun = inode.state().stream.as_ref().is_some_and(|stream| stream.has_begun());
            if below {
                self.settle_borrowers(&inode).await;
            }
            if below && begun {
                self.commit(&inode).await?;
            }
            if below {
                self.store_attributes(&inode).await?;
            }
        }
        self.store_attributes_locked(directory).await
    }

    async fn list_all(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut objects = Vec::new();
        let mut request = ListObjects { prefix: prefix.to_owned(), ..ListObjects::default() };
        loop {
            let page = self.store.list_objects(&request).await?;
            objects.extend(page.objects.into_iter().filter(|object| !key::is_scratch(&object.key)));
            request.continuation = page.next;
            if request.continuation.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Brings all objects to the new prefix. When one fails no other is begun, and what has arrived is taken back.
    async fn copy_all(&self, prefix: &str, new_prefix: &str, objects: &[Listed]) -> Result<HashMap<String, Arrived>> {
        let longest = objects.iter().map(|object| object.key.len() - prefix.len()).max().unwrap_or(0);
        if new_prefix.len() + longest > self.store.facts().key_bytes_max {
            return Err(Error::NameTooLong);
        }
        let new_key = |key: &str| format!("{new_prefix}{}", &key[prefix.len()..]);
        let failed = AtomicBool::new(false);
        let copies = objects.iter().cloned().map(|object: Listed| {
            let (to, failed) = (new_key(&object.key), &failed);
            async move {
                if failed.load(Ordering::Relaxed) {
                    return None;
                }
                let arrived = self.bring_listed(&object, &to).await;
                failed.fetch_or(arrived.is_err(), Ordering::Relaxed);
                Some((object, arrived))
            }
        });
        // To the end also after a failure: what is under way may arrive, and must be known to be taken back.
        let mut copies = stream::iter(copies).buffer_unordered(COPIES_AT_ONCE);
        let (mut all, mut first_error) = (HashMap::new(), None);
        while let Some(done) = copies.next().await {
            match done {
                Some((object, Ok(arrived))) => drop(all.insert(object.key.clone(), (object, arrived))),
                Some((_, Err(error))) => drop(first_error.get_or_insert(error)),
                None => {}
            }
        }
        let Some(error) = first_error else {
            return Ok(all.into_iter().map(|(key, (_, arrived))| (key, arrived)).collect());
        };
        self.take_back(all.into_values().map(|(object, arrived)| (new_key(&object.key), object, arrived))).await;
        Err(error)
    }

    async fn take_back(&self, arrived: impl Iterator<Item = (String, Listed, Arrived)>) {
        let mut copies = Vec::new();
        for (to, object, arrived) in arrived {
            let Arrived::Moved(etag) = arrived else {
                copies.push(to);
                continue;
            };
            let version = Version { etag, size: object.size, last_modified: object.last_modified };
            match copy::move_object(self.store.as_ref(), &to, &version, &object.key).await {
                Ok(Some(_)) => {}
                Ok(None) => tracing::error!(key = to, "an object of a failed rename stays under its new name"),
                Err(error) => {
                    tracing::error!(key = to, %error, "an object of a failed rename stays under its new name");
                }
            }
        }
        if let Err(cleaning) = self.store.delete_objects(&copies).await {
            let key = copies.first();
            tracing::warn!(key, error = %cleaning, "copies of a failed rename stay in the bucket");
        }
    }

    async fn bring_listed(&self, object: &Listed, to: &str) -> Result<Arrived> {
        let Listed { key, size, etag, last_modified, metadata } = object;
        let version = Version { etag: etag.clone(), size: *size, last_modified: *last_modified };
        let timeless = metadata.as_ref().is_some_and(|metadata| Posix::parse(metadata).mtime.is_none());
        let mut headers = None;
        if timeless || self.encrypts() {
            let mut kept = self.store.head_object(key).await?.headers;
            if timeless {
                Posix { mtime: Some(*last_modified), ..Posix::default() }.write(&mut kept.metadata);
            }
            kept.server_side_encryption.clone_from(&self.options.server_side_encryption);
            headers = Some(kept);
        }
        self.move_or_copy(key, &version, to, headers.as_ref()).await
    }

    /// Where only this mount knows attributes, it knows them by key.
    fn remember_below(&self, directory: &Arc<Inode>) {
        if self.keeps_attributes() {
            return;
        }
        for inode in self.tree.all() {
            if inode.id == directory.id || self.tree.is_below(inode.id, directory.id) {
                let (posix, version) = {
                    let state = inode.state();
                    (state.posix(true), state.version.clone())
                };
                self.remember_attributes(&inode, version.as_ref(), posix);
            }
        }
    }

    /// Files below a moved directory have the same contents under other keys, and some under other tags.
    fn retag_below(&self, directory: &Arc<Inode>, tags: &HashMap<String, ETag>) {
        for inode in self.tree.all() {
            if !self.tree.is_below(inode.id, directory.id) {
                continue;
            }
            let tag = self.tree.key(&inode).and_then(|key| tags.get(&key));
            let mut state = inode.state();
            state.directory.listing = None;
            state.directory.changes += 1;
            state.changed = Some(clock::monotonic());
            if let (Some(tag), true) = (tag, state.version.is_some()) {
                moved(&mut state, tag.clone());
            }
        }
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
