//! Files that lose their name while programs have them open: they go on under a hidden key until the last close.
//!
//! The name is gone from the bucket at once, as other hosts must see it. What was stored under it is copied aside by the
//! store first, so that no byte of it passes here and no memory holds it; what was not stored yet goes to the hidden key
//! when it must go anywhere. What a crash leaves there is removed by a later mount ([`scratch`]).

use crate::base::clock;
use crate::store::ETag;
use crate::store::Kind as StoreKind;
use crate::vfs::Vfs;
use crate::vfs::copy;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::scratch;
use crate::vfs::setattr::moved;
use crate::writer::draft::Draft;
use std::sync::Arc;

/// What becomes of a file whose name goes.
#[must_use]
pub(super) enum Leaving {
    /// Nobody has it open.
    Closed,
    /// Only handles that cannot read have it open: what they write needs not be kept.
    Unread,
    /// It goes on under this key; with the tag of its copy there, if it was stored.
    Hidden(String, Option<ETag>),
}

impl Vfs {
    /// A file is about to lose its name to a removal or to another file: what open handles still need is brought aside.
    /// For a caller that holds `changing`, and calls [`left`](Self::left) or [`stayed`](Self::stayed) next.
    ///
    /// # Errors
    /// When the store is away; then nothing has happened.
    pub(super) async fn leave(&self, inode: &Arc<Inode>) -> Result<Leaving> {
        // Looked up before the inode is locked: handles come after it in no order.
        let read = self.handles.reads(inode.id);
        let in_the_way = {
            let mut state = inode.state();
            if !read && state.readers == 0 {
                // From here on nobody can open it.
                state.gone = true;
                return Ok(if state.writers == 0 { Leaving::Closed } else { Leaving::Unread });
            }
            let draft = state.draft.as_ref();
            // It names the key that goes, as where it ends or as where it goes on from.
            draft.is_some_and(|draft| state.follows.is_some() || draft.has_begun())
        };
        if in_the_way && let Err(error) = self.commit_locked(inode).await {
            if error.is_transient() {
                return Err(error);
            }
            tracing::debug!(%error, "what was being written is lost with the file's name");
        }
        let hidden = scratch::key(self.tree.prefix(), scratch::UNLINKED_PREFIX);
        let Some(version) = inode.state().version.clone() else { return Ok(Leaving::Hidden(hidden, None)) };
        let key = self.key_of(inode)?;
        let headers = if self.encrypts() { Some(self.headers_to_store(inode, &key).await?) } else { None };
        match copy::copy_object(self.store.as_ref(), &key, &version, &hidden, headers.as_ref()).await {
            Ok(etag) => Ok(Leaving::Hidden(hidden, Some(etag))),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => {
                // Another host has replaced or removed it, or the store will not copy it: no reason to keep its name.
                if !matches!(error.kind, StoreKind::NotFound | StoreKind::PreconditionFailed) {
                    tracing::warn!(key, %error, "programs that have a removed file open cannot read it any more");
                }
                inode.state().gone = true;
                Ok(Leaving::Closed)
            }
        }
    }

    /// The name of a file is gone from the bucket, and from the tree.
    pub(super) async fn left(&self, inode: &Arc<Inode>, how: Leaving) {
        let size = inode.attr().size;
        let mut unsealed = None;
        let draft = {
            let mut state = inode.state();
            (state.gone, state.deferred, state.exclusive) = (true, false, false);
            state.attr.size = size;
            state.attr.ctime = clock::now();
            match how {
                Leaving::Hidden(key, etag) => {
                    if let (Some(etag), true) = (etag, state.version.is_some()) {
                        moved(&mut state, etag);
                    }
                    drop(state);
                    self.tree.take_refuge(inode.id, key);
                    unsealed = inode.state().draft.clone();
                    None
                }
                Leaving::Unread => {
                    state.unread = true;
                    state.draft.take()
                }
                Leaving::Closed => state.draft.take(),
            }
        };
        if let Some(Draft::Patch(patch)) = unsealed {
            patch.unseal().await;
        }
        if let Some(draft) = draft {
            draft.abandon().await;
        }
        // Closed meanwhile.
        self.forget_unlinked(inode).await;
    }

    /// The name of a file stays after all.
    pub(super) async fn stayed(&self, inode: &Arc<Inode>, how: Leaving) {
        inode.state().gone = false;
        if let Leaving::Hidden(key, Some(_)) = how {
            self.remove_hidden(&key).await;
        }
    }

    /// Removes what is left of a file that has no name, once nobody has it open.
    pub(super) async fn forget_unlinked(&self, inode: &Arc<Inode>) {
        let draft = {
            let mut state = inode.state();
            if !state.gone || state.readers + state.writers > 0 {
                return;
            }
            state.draft.take()
        };
        self.bury(inode, draft).await;
    }

    /// The end of the mount: nothing is left of any file that has no name.
    pub(super) async fn forget_all_unlinked(&self) {
        for inode in self.tree.all() {
            let draft = {
                let mut state = inode.state();
                if !state.gone {
                    continue;
                }
                state.draft.take()
            };
            self.bury(&inode, draft).await;
        }
    }

    async fn bury(&self, inode: &Arc<Inode>, draft: Option<Draft>) {
        if let Some(draft) = draft {
            draft.abandon().await;
        }
        let Some(key) = self.tree.leave_refuge(inode.id) else { return };
        if inode.state().version.take().is_some() {
            self.remove_hidden(&key).await;
        }
    }

    async fn remove_hidden(&self, key: &str) {
        if let Err(error) = self.store.delete_object(key).await {
            tracing::warn!(key, %error, "what is left of a removed file stays in the bucket; a later mount removes it");
        }
    }

    /// Removes an object of which it is known that it shall go. When an answer is lost the bucket is asked.
    pub(super) async fn delete_surely(&self, key: &str) -> Result<()> {
        let Err(error) = self.store.delete_object(key).await else { return Ok(()) };
        let gone = error.is_transient()
            && self.store.head_object(key).await.is_err_and(|error| error.kind == StoreKind::NotFound);
        if gone { Ok(()) } else { Err(Error::from(error)) }
    }
}
