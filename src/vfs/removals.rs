//! Removals of objects that programs need not wait for, as the tree sees them. What holds for them is in
//! [`store::layers::removals`](crate::store::layers::removals).
//!
//! The store that this mount asks is behind them, so nothing else here has to know what is still to go: only who removes,
//! who promises that all is in the bucket, and who must tell that something was refused after all.

use crate::store::layers::removals::Reach;
use crate::vfs::Failure;
use crate::vfs::Vfs;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Version;
use crate::vfs::shutdown::What;

impl Vfs {
    /// Removes the object of a file. If the version that is there is known it may go a moment later.
    pub(super) async fn remove_stored(&self, key: &str, version: Option<&Version>) -> Result<()> {
        let Some(removals) = &self.removals else { return self.delete_surely(key).await };
        if let Some(version) = version
            && removals.later(key, &version.etag).await?
        {
            return Ok(());
        }
        self.delete_surely(key).await?;
        removals.allowed(key);
        Ok(())
    }

    /// As [`remove_stored`](Self::remove_stored), of what a program may look for elsewhere as soon as this returns, unless
    /// it has asked for no more than a journal.
    pub(super) async fn remove_visibly(&self, key: &str, version: &Version) -> Result<()> {
        let may_wait = self.removals.as_ref().is_some_and(|removals| removals.puts_all_off());
        self.remove_stored(key, Some(version).filter(|_| may_wait)).await
    }

    /// Returns when nothing below a prefix is still to be removed.
    ///
    /// # Errors
    /// When something cannot be now, or was refused since somebody asked last.
    pub(super) async fn removals_settled(&self, prefix: &str) -> Result<()> {
        let Some(removals) = &self.removals else { return Ok(()) };
        removals.settled(Reach::Below(prefix)).await?;
        match removals.take_refusals(prefix).into_iter().next() {
            Some(refusal) => Err(refusal.error.into()),
            None => Ok(()),
        }
    }

    /// Carries out all removals, and tells which could not be, or were not when nobody asked.
    pub(super) async fn store_removals(&self) -> Vec<Failure> {
        let Some(removals) = &self.removals else { return Vec::new() };
        let settled = removals.settled(Reach::Below("")).await;
        let refused = removals.take_refusals("").into_iter().map(|refusal| Failure {
            key: refusal.key,
            error: refusal.error.into(),
            bytes: 0,
            kept: false,
            what: What::Removal,
        });
        let mut failures: Vec<_> = refused.collect();
        if let Err(error) = settled {
            failures.extend(self.removals_unsettled(&error.into()));
        }
        failures
    }

    /// What is still to be removed, as it is told when it is given up.
    pub(super) fn removals_unsettled(&self, why: &Error) -> Vec<Failure> {
        let pending = self.removals.as_ref().map(|removals| removals.pending()).unwrap_or_default();
        let failure = |key| Failure { key, error: why.clone(), bytes: 0, kept: true, what: What::Removal };
        pending.into_iter().map(failure).collect()
    }

    /// The store has refused to remove what was removed here: the name is there again.
    pub(super) fn is_back(&self, key: &str) {
        let Some(names) = key.strip_prefix(self.tree.prefix()) else { return };
        let mut directory = self.root();
        // That of a directory ends in a slash. What is not known up there does not lead here.
        let above = names.trim_end_matches('/').rsplit_once('/').map_or("", |(above, _)| above);
        for name in above.split('/').filter(|name| !name.is_empty()) {
            match self.tree.child(directory.id, name) {
                Some(next) => directory = next,
                None => break,
            }
        }
        self.doubt(&directory);
    }
}
