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
use crate::writer::patch::Patch;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Vfs {
    /// A descriptor is closed by a program's `thread`: what was written is safe when this returns, unless the
    /// process that writes goes on with another descriptor ([`Writer::goes_on`](crate::vfs::handle::Writer::goes_on)).
    ///
    /// # Errors
    /// Why the bytes are not safe.
    pub async fn flush(&self, handle: HandleId, thread: u32) -> Result<()> {
        let file = self.handles.file(handle)?;
        if !file.wrote.load(Ordering::Relaxed) {
            return Ok(());
        }
        let draft = file.inode.state().draft.clone();
        let empty = draft.is_some_and(|draft| draft.size() == 0);
        if file.writer.goes_on(thread, file.inode.id.0, empty) {
            return Ok(());
        }
        self.secure(&file.inode).await
    }

    /// Everything of the file, attributes too, is safe when this returns. Writing may go on.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn fsync(&self, handle: HandleId) -> Result<()> {
        let file = self.handles.file(handle)?;
        self.secure(&file.inode).await?;
        self.store_attributes(&file.inode).await
    }

    /// Attributes of the directory, and the names in it and below it, are in the bucket when this returns.
    ///
    /// # Errors
    /// Why they are not.
    pub async fn fsyncdir(&self, id: InodeId) -> Result<()> {
        let directory = self.directory_to_change(id).await?;
        self.removals_settled(&self.key_of(&directory)?).await?;
        self.store_attributes(&directory).await?;
        self.store_touched(&directory).await
    }

    /// Publishes the version that is being written, if there is one.
    pub(super) async fn commit(&self, inode: &Arc<Inode>) -> Result<()> {
        let awaited = || {
            let state = inode.state();
            state.draft.is_some() && !state.borrowers.is_empty()
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
        let (draft, condition) = {
            let state = inode.state();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            let Some(draft) = state.draft.clone() else { return Ok(()) };
            (draft, condition(&state))
        };
        let draft = self.keepable(inode, draft, &condition);
        let etag = match draft.commit(condition).await {
            Ok(etag) => etag,
            Err(error) => match &draft {
                Draft::Patch(patch) => self.after_refusal(inode, patch, error.into()).await?,
                Draft::Stream(_) => return Err(self.not_committed(inode, &draft, error.into()).await),
            },
        };
        self.committed(inode, &draft, etag);
        self.follow_name(inode, &draft).await?;
        self.store_attributes_locked(inode).await
    }

    /// What goes on from a version that somebody else may have replaced, in a form that can be kept beside that one, if it
    /// is still here.
    fn keepable(&self, inode: &Arc<Inode>, draft: Draft, condition: &Condition) -> Draft {
        match (&draft, condition) {
            (Draft::Stream(stream), Condition::Matches(_)) => self.as_patch(inode, stream).unwrap_or(draft),
            _ => draft,
        }
    }

    /// A version was not taken. Its tag if it is in the bucket nevertheless; else the error, and the file is what the
    /// bucket has, unless the journal has it.
    async fn after_refusal(&self, inode: &Arc<Inode>, patch: &Arc<Patch>, error: Error) -> Result<ETag> {
        let draft = Draft::Patch(Arc::clone(patch));
        let conflict = matches!(error, Error::Stale | Error::NotFound) && !inode.state().gone;
        let acknowledged = patch.has_seal();
        if conflict
            && acknowledged
            && let Some(etag) = self.found_stored(inode, patch).await?
        {
            patch.is_stored(etag.clone()).await;
            return Ok(etag);
        }
        // Whoever wanted a new file is told that there is one already, and may try another name.
        let kept = conflict && (acknowledged || !inode.state().exclusive) && self.keep_beside(inode, patch).await?;
        if kept {
            self.yield_to_other(inode);
            return Err(Error::Stale);
        }
        if patch.may_be_stored() {
            // Whoever removes the name must remove what may be there.
            inode.state().covers = true;
        }
        if acknowledged { Err(error) } else { Err(self.not_committed(inode, &draft, error).await) }
    }

    /// A directory above was renamed while the upload was under way, which had named its key before.
    async fn follow_name(&self, inode: &Arc<Inode>, draft: &Draft) -> Result<()> {
        let (Some(landed), Some(key)) = (draft.key(), self.tree.key(inode)) else { return Ok(()) };
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

    pub(super) fn committed(&self, inode: &Arc<Inode>, draft: &Draft, etag: ETag) {
        let version = Version { etag, size: draft.size(), last_modified: clock::now() };
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
            state.waits_since = None;
            (state.exclusive, state.follows, state.covers) = (false, None, false);
            state.kept = None;
            state.aliases.clear();
            state.stored_now();
            posix
        };
        if let Some((directory, name)) = self.tree.place(inode.id) {
            if let Some(key) = draft.key() {
                self.learn(key, &version, posix);
            }
            self.entry_added(&directory, &name, Seen::Object(version, Some(posix)));
        }
    }

    /// The file is again what the bucket has. Handles that are open for writing can write no more: their next bytes would
    /// follow bytes that are lost.
    async fn not_committed(&self, inode: &Arc<Inode>, draft: &Draft, error: Error) -> Error {
        draft.abandon().await;
        let never_there = {
            let mut state = inode.state();
            // O_EXCL lost against somebody else's object.
            let error = if state.exclusive && matches!(error, Error::Stale) { Error::Exists } else { error };
            state.broken = Some(error);
            state.draft = None;
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
pub(super) fn condition(state: &State) -> Condition {
    match &state.follows {
        _ if state.exclusive => Condition::Absent,
        Some(etag) => Condition::Matches(etag.clone()),
        None => Condition::None,
    }
}
