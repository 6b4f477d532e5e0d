//! Plans of directory renames, kept in the bucket while they are carried out, so that a crash does not end them.
//!
//! A mount that carries one out renews it; one that is not renewed for a while is nobody's, and is taken over by a mount
//! that begins. No clocks are compared: the other mount watches for a change.

use crate::store::Condition;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Payload;
use crate::vfs::Vfs;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::scratch;
use crate::vfs::scratch::RENAME_PREFIX;
use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// How often a plan that is being carried out is renewed.
pub const RENEWED_EVERY: Duration = Duration::from_secs(30);

/// A plan that has not been renewed for so long is nobody's.
const WATCHED_FOR: Duration = Duration::from_secs(150);

/// What is renamed to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the keys begin with, slash included.
    pub from: String,
    /// What they shall begin with, slash included.
    pub to: String,
}

impl Plan {
    /// Whether it may be carried out by a mount below `prefix`: both directories lie there, and neither in the other.
    #[must_use]
    pub fn is_sound(&self, prefix: &str) -> bool {
        let Self { from, to } = self;
        let inside = |key: &str| key.len() > prefix.len() && key.starts_with(prefix) && key.ends_with('/');
        inside(from) && inside(to) && !from.starts_with(&**to) && !to.starts_with(&**from)
    }
}

impl Vfs {
    /// Writes a plan down, or renews it.
    pub(super) async fn write_plan(&self, key: &str, plan: &Plan) -> Result<()> {
        let text = serde_json::to_vec(plan).expect("two texts make a document");
        let headers =
            Headers { server_side_encryption: self.options.server_side_encryption.clone(), ..Headers::default() };
        self.store.put_object(key, Payload::from(Bytes::from(text)), &headers, &Condition::None).await?;
        Ok(())
    }

    /// A plan that was carried out, or taken back, is not to be carried out again.
    pub(super) async fn drop_plan(&self, key: &str) {
        if let Err(error) = self.delete_surely(key).await {
            tracing::warn!(key, %error, "the plan of a rename that has ended stays in the bucket; a later mount removes it");
        }
    }

    /// Finishes the rename of a directory that a crashed mount has begun, once it is certain that nobody else is at it.
    pub(super) fn resume_rename_soon(self: &Arc<Self>, key: String) {
        let vfs = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Err(error) = vfs.resume_rename(&key, WATCHED_FOR).await {
                tracing::error!(key, %error, "the rename of a directory that a crash has ended is not finished");
            }
        });
    }

    /// Carries a plan out unless it is renewed while it is watched.
    pub(super) async fn resume_rename(&self, key: &str, watched_for: Duration) -> Result<()> {
        let before = self.store.head_object(key).await?.last_modified;
        tokio::time::sleep(watched_for).await;
        let now = match self.store.head_object(key).await {
            Ok(object) => object.last_modified,
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if now != before {
            return Ok(());
        }
        let got = self.store.get_object(key, None, None).await?;
        let text: Vec<Bytes> = got.body.try_collect().await?;
        let plan: Option<Plan> = serde_json::from_slice(&text.concat()).ok();
        let plan = plan.filter(|plan| plan.is_sound(self.tree.prefix()));
        let plan = plan.ok_or(Error::Invalid("the plan of a rename says nothing that can be done"))?;
        tracing::info!(from = plan.from, to = plan.to, "finishing the rename of a directory that a crash has ended");
        self.write_plan(key, &plan).await?;
        let moved = self.finish_rename(key, &plan).await;
        self.tree.all().iter().for_each(|inode| self.doubt(inode));
        let moved = moved?;
        self.drop_plan(key).await;
        tracing::info!(from = plan.from, to = plan.to, moved, "the rename of a directory is finished");
        Ok(())
    }

    /// A key for a plan.
    pub(super) fn plan_key(&self) -> String {
        scratch::key(self.tree.prefix(), RENAME_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_plans_are_carried_out() {
        let rows = [
            ("", "a/", "b/", true, "beside each other"),
            ("p/", "p/a/", "p/b/c/", true, "below the prefix"),
            ("p/", "p/a/", "b/", false, "out of the prefix"),
            ("p/", "p/", "p/b/", false, "the whole mount"),
            ("", "", "b/", false, "the whole bucket"),
            ("", "a/", "a/b/", false, "into itself"),
            ("", "a/b/", "a/", false, "onto what it is in"),
            ("", "a/", "a/", false, "onto itself"),
            ("", "a", "b/", false, "no directory"),
        ];
        for (prefix, from, to, sound, why) in rows {
            let plan = Plan { from: from.into(), to: to.into() };
            assert_eq!(plan.is_sound(prefix), sound, "{why}");
        }
    }
}
