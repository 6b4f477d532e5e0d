//! `--durability journal`: a file is safe on local disk when `close` and `fsync` return, and goes into the bucket behind
//! their back. The next mount finds what did not come that far ([`recovery`](crate::vfs::recovery)).
//!
//! A file that waits for the bucket is one that is being written, for everybody who asks: its names, attributes and bytes
//! are changed as those of any such file, and the journal is told.

use crate::base::clock;
use crate::vfs::Durability;
use crate::vfs::Vfs;
use crate::vfs::commit::condition;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::State;
use crate::writer::draft::Draft;
use crate::writer::patch::Patch;
use crate::writer::stream::WriteError;
use std::sync::Arc;
use std::time::Duration;

/// How long a closed file waits for attributes and a new name, which programs set just after.
const CLOSED_QUIET: Duration = Duration::from_secs(1);

/// How long a file that is still open must not be sealed again before it is stored: each time costs a copy of all of it.
const OPEN_QUIET: Duration = Duration::from_secs(5);

/// How long a file that never is quiet waits at most: one that is rewritten again and again, and one that stays open.
const CLOSED_WAIT_MAX: Duration = Duration::from_secs(10);
const OPEN_WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest pause before a store that failed is asked again.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Pieces from which on a file is stored at once: the journal lists all of them with each seal.
const FRAGMENTS_MAX: usize = 1000;

/// Files on their way into the bucket at the same time.
pub(super) const STORED_AT_ONCE: usize = 32;

/// What came of trying to store what is sealed.
enum Tried {
    /// It is in the bucket, or another file has its bytes.
    Done,
    /// It was changed since, and is not sealed.
    Changed,
}

impl Vfs {
    /// Makes what was written as safe as the mount promises: in the bucket, or in the journal.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) async fn secure(&self, inode: &Arc<Inode>) -> Result<()> {
        match self.options.durability {
            Durability::Bucket => self.commit(inode).await,
            Durability::Journal => self.seal(inode).await,
        }
    }

    pub(super) async fn seal(&self, inode: &Arc<Inode>) -> Result<()> {
        let Some(disk) = &self.writing.disk else { return self.commit(inode).await };
        // Before any lock, as those who make room need theirs.
        disk.room().await;
        let sealed = {
            let _changing = inode.changing.lock().await;
            let (draft, condition) = {
                let state = inode.state();
                if let Some(broken) = &state.broken {
                    return Err(broken.clone());
                }
                // Without a name nobody will ever look for it.
                let Some(draft) = state.draft.clone().filter(|_| !state.gone) else { return Ok(()) };
                (draft, condition(&state))
            };
            match &draft {
                Draft::Patch(patch) => patch.seal(condition).await.map(|()| patch.fragments()),
                Draft::Stream(_) => Err(WriteError::Ended),
            }
        };
        match sealed {
            Ok(fragments) if fragments >= FRAGMENTS_MAX => self.commit(inode).await,
            Ok(_) => {
                {
                    let mut state = inode.state();
                    if draft_is_sealed(&state) {
                        state.sealed();
                    }
                    state.sealed_at = Some(clock::monotonic());
                    state.waits_since = state.waits_since.or(state.sealed_at);
                }
                self.store_soon(inode);
                Ok(())
            }
            // The bucket is as safe.
            Err(error) => {
                if let WriteError::Disk(error) = &error {
                    tracing::warn!(%error, "the journal takes no more; a file goes to the bucket before it is closed");
                }
                self.commit(inode).await
            }
        }
    }

    /// Sees to it that a sealed file is stored, when it has been quiet for a while.
    pub(super) fn store_soon(&self, inode: &Arc<Inode>) {
        if std::mem::replace(&mut inode.state().leaving, true) {
            return;
        }
        let Some(vfs) = self.itself.upgrade() else { return };
        let leaving = self.writing.disk.as_ref().and_then(|disk| disk.limit()).map(|limit| limit.leave());
        let inode = Arc::clone(inode);
        self.runtime.spawn(async move {
            vfs.store_when_quiet(&inode).await;
            drop(leaving);
            vfs.tree.let_go(inode);
        });
    }

    async fn store_when_quiet(&self, inode: &Arc<Inode>) {
        let mut pause = CLOSED_QUIET;
        let mut told = false;
        loop {
            tokio::time::sleep(pause).await;
            if let Some(more) = quiet_in(inode) {
                pause = more;
                continue;
            }
            let tried = {
                let _one_of_few = self.storing.acquire().await.expect("it is never closed");
                self.store_sealed(inode).await
            };
            match tried {
                Ok(Tried::Done | Tried::Changed) => {
                    inode.state().leaving = false;
                    // Sealed again while nobody was listening.
                    let again = self.sealed_patch(inode).is_some_and(|patch| patch.is_sealed());
                    if !again || std::mem::replace(&mut inode.state().leaving, true) {
                        return;
                    }
                    pause = CLOSED_QUIET;
                }
                Err(error) => {
                    let key = self.tree.key(inode).unwrap_or_default();
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(key, %error, "a file waits in the journal; it is tried again and again");
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn store_sealed(&self, inode: &Arc<Inode>) -> Result<Tried> {
        self.settle_borrowers(inode).await;
        let _changing = inode.changing.lock().await;
        let Some(patch) = self.sealed_patch(inode) else { return Ok(Tried::Done) };
        if self.options.durability == Durability::Journal && !patch.freeze_if_sealed() {
            return Ok(Tried::Changed);
        }
        match self.commit_locked(inode).await {
            // Kept under another name.
            Err(_) if self.sealed_patch(inode).is_none() => Ok(Tried::Done),
            Err(error) => Err(error),
            Ok(()) => Ok(Tried::Done),
        }
    }

    /// Before a version changes that may be in the bucket already: finds out whether it is. For a caller that holds
    /// `changing`.
    pub(super) async fn settle_doubt(&self, inode: &Arc<Inode>) -> Result<()> {
        let Some(patch) = self.sealed_patch(inode).filter(|patch| patch.is_doubtful()) else { return Ok(()) };
        match self.found_stored(inode, &patch).await? {
            Some(etag) => {
                patch.is_stored(etag.clone()).await;
                self.committed(inode, &Draft::Patch(patch), etag);
            }
            None => patch.clear_doubt(),
        }
        Ok(())
    }

    fn sealed_patch(&self, inode: &Inode) -> Option<Arc<Patch>> {
        match &inode.state().draft {
            Some(Draft::Patch(patch)) => Some(Arc::clone(patch)),
            Some(Draft::Stream(_)) | None => None,
        }
    }

    /// A file that no request has named yet goes to another key.
    pub(super) async fn move_sealed(&self, inode: &Arc<Inode>, key: String) -> Result<()> {
        let (patch, condition) = {
            let Some(patch) = self.sealed_patch(inode) else { return Ok(()) };
            (patch, condition(&inode.state()))
        };
        Ok(patch.moves(key, condition).await?)
    }

    /// A directory has another name: so have the files in it that wait for the bucket.
    pub(super) async fn move_sealed_below(&self, directory: &Arc<Inode>) -> Result<()> {
        for inode in self.tree.all() {
            if self.tree.is_below(inode.id, directory.id)
                && let Some(key) = self.tree.key(&inode)
            {
                self.move_sealed(&inode, key).await?;
            }
        }
        Ok(())
    }

    /// Attributes of a file that waits for the bucket have changed.
    pub(super) fn redescribe(&self, inode: &Inode) {
        if let Some(patch) = self.sealed_patch(inode) {
            patch.redescribe();
        }
    }

    /// Nobody has a file open any more.
    pub(super) async fn rest(&self, inode: &Inode) {
        let open = {
            let state = inode.state();
            state.writers + state.readers > 0 || state.gone
        };
        if let (false, Some(patch)) = (open, self.sealed_patch(inode)) {
            patch.rest().await;
        }
    }
}

/// Whether nothing has changed since it was sealed.
fn draft_is_sealed(state: &State) -> bool {
    matches!(&state.draft, Some(Draft::Patch(patch)) if patch.is_sealed())
}

/// How long a file that may still change should be left alone.
fn quiet_in(inode: &Inode) -> Option<Duration> {
    let state = inode.state();
    let (quiet, max) = if state.writers > 0 { (OPEN_QUIET, OPEN_WAIT_MAX) } else { (CLOSED_QUIET, CLOSED_WAIT_MAX) };
    let since = state.sealed_at.map_or(quiet, |sealed| sealed.elapsed());
    let waits = state.waits_since.map_or(max, |since| since.elapsed());
    (since < quiet && waits < max).then(|| quiet - since)
}
