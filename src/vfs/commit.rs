//! From a version that is being written to an object in the bucket: flush, fsync, and the end of the last descriptor.

use crate::base::clock;
use crate::store::Condition;
use crate::store::ETag;
use crate::store::Kind;
use crate::vfs::Vfs;
use crate::vfs::attr::Posix;
use crate::vfs::copy;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::HandleId;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::State;
use crate::vfs::inode::Version;
use crate::vfs::listing::Seen;
use crate::writer::draft::Draft;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Vfs {
    /// A descriptor is closed by a program's `thread`: what was written is in the bucket when this returns, unless the
    /// process that writes goes on with another descriptor ([`Writer::goes_on`](crate::vfs::handle::Writer::goes_on)).
    ///
    /// # Errors
    /// Why the bytes are not in the bucket.
    pub async fn flush(&self, handle: HandleId, thread: u32) -> Result<()> {
        let file = self.handles.file(handle)?;
        if !file.wrote.load(Ordering::Relaxed) {
            return Ok(());
        }
        let stream = file.inode.state().stream.clone();
        let empty = stream.is_some_and(|stream| stream.size() == 0);
        if file.writer.goes_on(thread, file.inode.id.0, empty) {
            return Ok(());
        }
        self.commit(&file.inode).await
    }

    /// Everything of the file, attributes too, is in the bucket when this returns. Writing may go on.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn fsync(&self, handle: HandleId) -> Result<()> {
        let file = self.handles.file(handle)?;
        self.commit(&file.inode).await?;
        self.store_attributes(&file.inode).await
    }

    /// Attributes of the directory and the names in it are in the bucket when this returns; names always are.
    ///
    /// # Errors
    /// Why they are not.
    pub async fn fsyncdir(&self, id: InodeId) -> Result<()> {
        let directory = self.directory_to_change(id).await?;
        self.store_attributes(&directory).await?;
        self.store_touched(&directory).await
    }

    /// Publishes the version that is being written, if there is one.
    pub(super) async fn commit(&self, inode: &Arc<Inode>) -> Result<()> {
        let awaited = || {
            let state = inode.state();
            state.stream.is_some() && !state.borrowers.is_empty()
        };
        loop {
            if awaited() {
                self.settle_borrowers(inode).await;
            }
            let _changing = inode.changing.lock().await;
            if !awaited() {
                return self.commit_locked(inode).await;
            }
        }
    }

    /// As [`commit`](Self::commit), for a caller that holds `changing` and has settled the borrowers.
    pub(super) async fn commit_locked(&self, inode: &Arc<Inode>) -> Result<()> {
        // Without a name nobody will ever look for it: it needs not be whole anywhere but for its open handles.
        if inode.state().gone { Ok(()) } else { self.publish(inode).await }
    }

    /// As [`commit_locked`](Self::commit_locked), also of a file that has no name any more: under its hidden key.
    pub(super) async fn publish(&self, inode: &Arc<Inode>) -> Result<()> {
        let (stream, condition) = {
            let state = inode.state();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            let Some(stream) = state.stream.clone() else { return Ok(()) };
            (stream, condition(&state))
        };
        match stream.commit(condition).await {
            Ok(etag) => {
                self.committed(inode, &stream, etag);
                self.follow_name(inode, &stream).await?;
                self.store_attributes_locked(inode).await
            }
            Err(error) => Err(self.not_committed(inode, &stream, error.into()).await),
        }
    }

    /// A directory above was renamed while the upload was under way, which had named its key before.
    async fn follow_name(&self, inode: &Arc<Inode>, stream: &Draft) -> Result<()> {
        let (Some(landed), Some(key)) = (stream.key(), self.tree.key(inode)) else { return Ok(()) };
        if landed == key {
            return Ok(());
        }
        let version = inode.state().version.clone().ok_or(Error::Stale)?;
        let headers = self.headers_to_store(inode, &landed).await?;
        match copy::copy_object(self.store.as_ref(), &landed, &version, &key, Some(&headers)).await {
            Ok(etag) => {
                self.store.delete_object(&landed).await?;
                self.copied(inode, &key, etag, headers);
                Ok(())
            }
            // The rename has found it there and taken it along.
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn committed(&self, inode: &Arc<Inode>, stream: &Draft, etag: ETag) {
        let version = Version { etag, size: stream.size(), last_modified: clock::now() };
        let posix = {
            let mut state = inode.state();
            let sent = *state.described.take().unwrap_or_default();
            let posix = Posix::parse(&sent.metadata);
            if posix.mtime.is_none() && !state.mtime_set {
                state.attr.mtime = version.last_modified;
            }
            // Attributes that were set after the headers had gone out are stored by a copy.
            let changed = state.posix(posix.mtime.is_some()).is_news_to(&posix);
            let changed = state.xattrs_stored(&sent.metadata) || changed;
            if posix.ctime.is_none() && !changed {
                state.attr.ctime = version.last_modified;
            }
            state.deferred = changed && self.keeps_attributes();
            let posix = if self.keeps_attributes() { posix } else { state.posix(true) };
            state.headers = KnownHeaders::of(inode.kind, sent);
            state.attr.size = version.size;
            state.committed(version.clone());
            (state.exclusive, state.follows, state.covers) = (false, None, false);
            state.kept = None;
            state.aliases.clear();
            state.stored_now();
            posix
        };
        if let Some((directory, name)) = self.tree.place(inode.id) {
            if let Some(key) = stream.key() {
                self.learn(key, &version, posix);
            }
            self.entry_added(&directory, &name, Seen::Object(version, Some(posix)));
        }
    }

    /// The file is again what the bucket has. Handles that are open for writing can write no more: their next bytes would
    /// follow bytes that are lost.
    async fn not_committed(&self, inode: &Arc<Inode>, stream: &Draft, error: Error) -> Error {
        stream.abandon().await;
        let never_there = {
            let mut state = inode.state();
            // O_EXCL lost against somebody else's object.
            let error = if state.exclusive && matches!(error, Error::Stale) { Error::Exists } else { error };
            state.broken = Some(error);
            state.stream = None;
            (state.exclusive, state.follows) = (false, None);
            state.described = None;
            state.checked = None;
            // The kernel may have pages of what is lost now.
            state.kept = None;
            if let Some(version) = state.version.clone() {
                state.attr.size = version.size;
            }
            state.gone |= state.version.is_none();
            state.gone
        };
        if let Some((directory, name)) = self.tree.place(inode.id).filter(|_| never_there) {
            self.tree.unlink(directory.id, &name);
            self.entry_removed(&directory, &name);
        }
        inode.state().broken.clone().unwrap_or(Error::Stale)
    }
}

/// A file that must be new, or goes on where a certain version ends, replaces nothing else.
fn condition(state: &State) -> Condition {
    match &state.follows {
        _ if state.exclusive => Condition::Absent,
        Some(etag) => Condition::Matches(etag.clone()),
        None => Condition::None,
    }
}
