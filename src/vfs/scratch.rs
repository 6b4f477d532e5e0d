//! Hidden objects that mounts keep for a while, and what is done with those that a crash has left behind.

use crate::base::clock;
use crate::base::random;
use crate::store::ListObjects;
use crate::store::probe::SCRATCH_AGE_MAX;
use crate::store::probe::SCRATCH_PREFIX;
use crate::vfs::Vfs;
use crate::vfs::error::Result;
use std::sync::Arc;
use std::time::Duration;

/// What the last segment of the key of an open file that has no name any more begins with.
pub const UNLINKED_PREFIX: &str = ".brigade-unlinked-";

/// What the last segment of the key of bytes of a file that is not committed yet begins with.
pub const STAGED_PREFIX: &str = ".brigade-staged-";

/// What the last segment of the key of a plan of a rename begins with.
pub const RENAME_PREFIX: &str = ".brigade-rename-";

/// No program is expected to keep a file open that long: what belongs to open files of another mount is not touched
/// before.
pub const OPEN_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// What all of them begin with, and perhaps files of programs too.
const OURS: &str = ".brigade-";

/// A new hidden key below `prefix`, which is empty or ends in a slash.
#[must_use]
pub fn key(prefix: &str, kind: &str) -> String {
    format!("{prefix}{kind}{}", random::hex::<8>())
}

impl Vfs {
    /// Sees to what crashed mounts have left: objects that nobody can need any more by their age are removed, renames of
    /// directories are finished in the background. Says how many objects were removed.
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
            let age = now.duration_since(object.last_modified).unwrap_or_default();
            let kinds = [(SCRATCH_PREFIX, SCRATCH_AGE_MAX), (UNLINKED_PREFIX, OPEN_MAX), (STAGED_PREFIX, OPEN_MAX)];
            if kinds.iter().any(|(kind, age_max)| name.starts_with(kind) && age > *age_max) {
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
