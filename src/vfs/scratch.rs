//! Hidden objects that mounts keep for a while, and what is done with those that a crash has left behind.

use crate::base::clock;
use crate::base::random;
use crate::store::ListObjects;
use crate::store::probe::SCRATCH_AGE_MAX;
use crate::store::probe::SCRATCH_PREFIX;
use crate::vfs::Vfs;
use crate::vfs::error::Result;
use std::sync::Arc;

/// What the last segment of the key of an open file that has no name any more begins with.
pub const UNLINKED_PREFIX: &str = ".brigade-unlinked-";

/// What the last segment of the key of a plan of a rename begins with.
pub const RENAME_PREFIX: &str = ".brigade-rename-";

/// What all of them begin with, and perhaps files of programs too.
const OURS: &str = ".brigade-";

/// A new hidden key below `prefix`, which is empty or ends in a slash.
#[must_use]
pub fn key(prefix: &str, kind: &str) -> String {
    format!("{prefix}{kind}{}", random::hex::<8>())
}

impl Vfs {
    /// Sees to what crashed mounts have left: objects that are older than a day are removed, renames of directories are
    /// finished in the background. Says how many objects were removed.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn clean_up(self: &Arc<Self>) -> Result<usize> {
        self.must_be_writable()?;
        let prefix = self.tree.prefix();
        let request = ListObjects { prefix: format!("{prefix}{OURS}"), ..ListObjects::default() };
        let page = self.store.list_objects(&request).await?;
        let now = clock::now();
        let mut keys = Vec::new();
        for object in page.objects {
            let name = &object.key[prefix.len()..];
            if name.starts_with(RENAME_PREFIX) {
                self.resume_rename_soon(object.key);
                continue;
            }
            let old = now.duration_since(object.last_modified).is_ok_and(|age| age > SCRATCH_AGE_MAX);
            if old && [SCRATCH_PREFIX, UNLINKED_PREFIX].iter().any(|kind| name.starts_with(kind)) {
                keys.push(object.key);
            }
        }
        if keys.is_empty() {
            return Ok(0);
        }
        let failed = self.store.delete_objects(&keys).await?;
        for error in &failed {
            tracing::warn!(key = error.key, %error, "what a crash has left stays in the bucket");
        }
        Ok(keys.len() - failed.len())
    }
}
