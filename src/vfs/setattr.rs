//! Changing attributes: ownership, permissions, times. The length of a file is [`length`](crate::vfs::length)'s.
//!
//! What is set before a commit rides in it. What is set afterwards is gathered for a moment and stored by one copy; a
//! rename that follows takes it along.

use crate::base::clock;
use crate::store::Condition;
use crate::store::ETag;
use crate::store::Headers;
use crate::store::Payload;
use crate::vfs::Entry;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::attr::PERMISSION_MASK;
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
use crate::vfs::xattr;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::SystemTime;

/// How long changes are gathered: programs set owner, permissions and times one after the other, then rename.
const GATHER: Duration = Duration::from_secs(1);

/// What is to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Bytes.
    pub size: Option<u64>,
    /// Permission bits.
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Time of the last access.
    pub atime: Option<SystemTime>,
    /// Time of the last change of the contents.
    pub mtime: Option<SystemTime>,
}

impl Vfs {
    /// Changes attributes.
    ///
    /// # Errors
    /// What the file's next version cannot be begun or committed for.
    pub async fn setattr(self: &Arc<Self>, id: InodeId, handle: Option<HandleId>, changes: Changes) -> Result<Entry> {
        self.must_be_writable()?;
        let inode = self.inode(id).await?;
        let mut others = Changes { size: None, ..changes };
        if let Some(size) = changes.size {
            if size == inode.attr().size {
                // The same length again is a change of the contents nevertheless.
                others.mtime = others.mtime.or_else(|| Some(clock::now()));
            } else {
                inode.state().written_now();
            }
            self.keep_xattrs(&inode).await?;
            self.truncate(&inode, handle, size).await?;
        }
        if others != Changes::default() {
            self.change(&inode, &others);
        }
        Ok(self.entry(inode))
    }

    pub(super) fn change(self: &Arc<Self>, inode: &Arc<Inode>, changes: &Changes) {
        let mut state = inode.state();
        let attr = &mut state.attr;
        // Whoever puts an access time back that reading has not changed wants nothing to happen.
        let lasting = Changes { atime: changes.atime.filter(|time| *time != attr.atime), ..*changes };
        attr.permissions = changes.permissions.map_or(attr.permissions, |mode| mode & PERMISSION_MASK);
        attr.uid = changes.uid.unwrap_or(attr.uid);
        attr.gid = changes.gid.unwrap_or(attr.gid);
        attr.mtime = changes.mtime.unwrap_or(attr.mtime);
        attr.atime = changes.atime.unwrap_or(attr.atime);
        attr.ctime = clock::now();
        state.mtime_set |= changes.mtime.is_some();
        if !self.keeps_attributes() {
            let (posix, version) = (state.posix(true), state.version.clone());
            drop(state);
            self.remember_attributes(inode, version.as_ref(), posix);
            return;
        }
        if lasting != Changes::default() {
            self.to_be_stored(inode, state);
        }
    }

    /// What was changed goes with the version that is being written, or else is stored soon.
    pub(super) fn to_be_stored(self: &Arc<Self>, inode: &Arc<Inode>, mut state: MutexGuard<'_, State>) {
        if state.gone || state.draft.is_some() || !self.has_object(inode) {
            drop(state);
            self.redescribe(inode);
            return;
        }
        state.deferred = true;
        if !std::mem::replace(&mut state.scheduled, true) {
            drop(state);
            self.store_attributes_soon(Arc::clone(inode));
        }
    }

    /// All that can be done in a store that keeps no attributes.
    pub(super) fn remember_attributes(&self, inode: &Inode, version: Option<&Version>, posix: Posix) {
        let Some(key) = self.tree.key(inode) else { return };
        match version {
            Some(version) => self.learn(key, version, posix),
            None if inode.kind == Kind::Directory => self.learn_directory(&key, posix),
            // Its commit remembers them.
            None => {}
        }
    }

    fn store_attributes_soon(self: &Arc<Self>, inode: Arc<Inode>) {
        let vfs = Arc::clone(self);
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                inode.state().scheduled = false;
                let Err(error) = vfs.store_attributes(&inode).await else { break };
                let key = vfs.tree.key(&inode).unwrap_or_default();
                tracing::error!(key, %error, "changed attributes are not in the bucket");
                let mut state = inode.state();
                if !state.deferred || std::mem::replace(&mut state.scheduled, true) {
                    break;
                }
            }
            vfs.tree.let_go(inode);
        });
    }

    /// Stores attributes that were changed after the last commit, if there are any.
    pub(super) async fn store_attributes(&self, inode: &Arc<Inode>) -> Result<()> {
        if inode.state().deferred {
            // The copy may have another tag than the object that they were promised.
            self.settle_borrowers(inode).await;
        }
        let _changing = inode.changing.lock().await;
        self.store_attributes_locked(inode).await
    }

    /// As [`store_attributes`](Self::store_attributes), for a caller that holds `changing`.
    pub(super) async fn store_attributes_locked(&self, inode: &Arc<Inode>) -> Result<()> {
        let due = {
            let state = inode.state();
            state.deferred && state.draft.is_none() && !state.gone
        };
        if !due {
            return Ok(());
        }
        let key = self.key_of(inode)?;
        let stored = self.store_attributes_under(inode, &key).await;
        // A store that is away for a while gets them later, and an unmount tells of them until then. What it refuses, or
        // what was replaced meanwhile, is given up.
        if let Err(error) = &stored {
            let mut state = inode.state();
            state.deferred = error.is_transient();
            if !error.is_transient() {
                state.checked = None;
                state.xattrs.clear();
            }
        }
        stored
    }

    async fn store_attributes_under(&self, inode: &Arc<Inode>, key: &str) -> Result<()> {
        if inode.kind == Kind::Directory {
            return self.put_marker(inode, key).await;
        }
        let version = inode.state().version.clone().ok_or(Error::Stale)?;
        let headers = self.headers_to_store(inode, key).await?;
        let etag = copy::copy_object(self.store.as_ref(), key, &version, key, Some(&headers)).await?;
        self.copied(inode, key, etag, headers);
        Ok(())
    }

    /// All headers of a file as the bucket should have them: those that it has, and the attributes that programs see.
    pub(super) async fn headers_to_store(&self, inode: &Inode, key: &str) -> Result<Headers> {
        let known = inode.state().headers.to_headers();
        let mut headers = match known {
            Some(headers) => headers,
            None => self.store.head_object(key).await?.headers,
        };
        {
            let state = inode.state();
            xattr::apply(&mut headers.metadata, &state.xattrs);
            state.posix(true).write(&mut headers.metadata);
        }
        headers.server_side_encryption.clone_from(&self.options.server_side_encryption);
        Ok(headers)
    }

    /// The object of a file was replaced by a copy of the same contents, perhaps under another key.
    pub(super) fn copied(&self, inode: &Arc<Inode>, key: &str, etag: ETag, headers: Headers) {
        let posix = Posix::parse(&headers.metadata);
        let version = {
            let mut state = inode.state();
            let version = moved(&mut state, etag);
            let changed = state.posix(true).is_news_to(&posix);
            state.deferred = (state.xattrs_stored(&headers.metadata) || changed) && self.keeps_attributes();
            state.mtime_set = true;
            state.headers = KnownHeaders::of(inode.kind, headers);
            version
        };
        self.learn(key.to_owned(), &version, posix);
        if let Some((directory, name)) = self.tree.place(inode.id) {
            self.entry_added(&directory, &name, Seen::Object(version, Some(posix)));
        }
    }

    /// Writes the object that stands for a directory, with the directory's attributes.
    pub(super) async fn put_marker(&self, inode: &Arc<Inode>, key: &str) -> Result<()> {
        self.fetch_marker_headers(inode).await?;
        self.put_marker_if(inode, key, &Condition::None).await
    }

    /// As [`put_marker`](Self::put_marker), under a condition.
    pub(super) async fn put_marker_if(&self, inode: &Arc<Inode>, key: &str, condition: &Condition) -> Result<()> {
        let headers = {
            let mut state = inode.state();
            state.directory.touched = false;
            self.marker_headers(inode, &state)
        };
        self.store.put_object(key, Payload::default(), &headers, condition).await?;
        let sent = Posix::parse(&headers.metadata);
        self.learn_directory(key, sent);
        let mut state = inode.state();
        let now = state.posix(true);
        // Entries that came meanwhile have seen to the times themselves.
        let now = if state.directory.touched { Posix { mtime: sent.mtime, ctime: sent.ctime, ..now } } else { now };
        let changed = state.xattrs_stored(&headers.metadata) || now.is_news_to(&sent);
        state.deferred = changed && self.keeps_attributes();
        (state.directory.marker, state.directory.described) = (Some(true), true);
        state.headers = KnownHeaders::of(Kind::Directory, headers);
        state.stored_now();
        Ok(())
    }
}

/// The same contents have another tag, or key, from now on.
pub(super) fn moved(state: &mut State, etag: ETag) -> Version {
    let before = state.version.take().expect("only what is in the bucket is copied there");
    if state.kept.as_ref() == Some(&before.etag) {
        state.kept = Some(etag.clone());
    }
    if before.etag != etag {
        state.aliases.push(before.etag);
    }
    let version = Version { etag, size: before.size, last_modified: clock::now() };
    state.becomes(version.clone());
    state.stored_now();
    version
}
