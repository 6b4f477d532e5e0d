//! A version of a file that is not in the bucket yet, however it came to be: a stream or a patch.

use crate::store::Condition;
use crate::store::ETag;
use crate::writer::patch::Patch;
use crate::writer::stream::Stream;
use crate::writer::stream::WriteError;
use std::sync::Arc;
use std::time::Instant;

/// One version of a file on its way into the bucket.
#[derive(Clone)]
pub enum Draft {
    /// Written from its beginning to its end.
    Stream(Arc<Stream>),
    /// Changed here and there.
    Patch(Arc<Patch>),
}

impl Draft {
    /// Bytes of the file so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Stream(stream) => stream.size(),
            Self::Patch(patch) => patch.size(),
        }
    }

    /// Bytes that the store has not acknowledged yet.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        match self {
            Self::Stream(stream) => stream.unsent_bytes(),
            Self::Patch(patch) => patch.unsent_bytes(),
        }
    }

    /// Bytes a second that the store takes of it, if that can be told.
    #[must_use]
    pub fn rate(&self, now: Instant) -> Option<u64> {
        match self {
            Self::Stream(stream) => stream.rate(now),
            // Its requests go out together, at its commit.
            Self::Patch(_) => None,
        }
    }

    /// Whether it is being published, and takes nothing more.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_committing(),
            Self::Patch(patch) => patch.is_busy(),
        }
    }

    /// Whether its key is fixed, or about to be, or objects under their present keys are needed for it; until then it
    /// can still go anywhere.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.has_begun(),
            Self::Patch(patch) => patch.has_begun(),
        }
    }

    /// The key that requests have named, if any has.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Stream(stream) => stream.key(),
            Self::Patch(patch) => patch.key(),
        }
    }

    /// Takes bytes at an offset, or at the end, as many as memory is free for; says where they are and how many. Never
    /// waits.
    ///
    /// # Errors
    /// [`WriteError`]; [`WriteError::NotAtEnd`] from a stream only, of which nothing is lost then.
    pub fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<(u64, usize), WriteError> {
        match self {
            Self::Stream(stream) => stream.write_at(offset, bytes),
            Self::Patch(patch) => patch.write(offset, bytes),
        }
    }

    /// Whether it takes no change now, and a caller who waits for commits finds it, or its successor, ready.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Stream(_) => false,
            Self::Patch(patch) => patch.is_busy(),
        }
    }

    /// Publishes the file as it is now.
    ///
    /// # Errors
    /// The reason why nothing was published. Calling it again gives the same answer.
    pub async fn commit(&self, condition: Condition) -> Result<ETag, WriteError> {
        match self {
            Self::Stream(stream) => stream.commit(condition).await,
            Self::Patch(patch) => patch.commit(condition).await,
        }
    }

    /// Gives the file up; returns when nothing of it is left in the bucket, as far as that can be reached.
    pub async fn abandon(&self) {
        match self {
            Self::Stream(stream) => stream.abandon().await,
            Self::Patch(patch) => patch.abandon().await,
        }
    }

    /// Whether it is the same version.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stream(one), Self::Stream(other)) => Arc::ptr_eq(one, other),
            (Self::Patch(one), Self::Patch(other)) => Arc::ptr_eq(one, other),
            (Self::Stream(_), Self::Patch(_)) | (Self::Patch(_), Self::Stream(_)) => false,
        }
    }
}
