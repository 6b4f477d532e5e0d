//! What the log says, as values. Secrets are never among them.
//!
//! They are written as JSON: a version of this program that knows more fields reads what one wrote that knew fewer, and a
//! person can see what is in a journal.

use crate::store::Condition;
use crate::store::Headers;
use crate::wire::etag::ETag;
use serde::Deserialize;
use serde::Serialize;

/// Names a draft within its journal. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DraftId(pub u64);

/// Names an attempt at beginning an upload, within its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub u64);

/// Names a removal within its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemovalId(pub u64);

/// Where a run of bytes of a draft is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the draft's data file, at this offset.
    Data(u64),
    /// Zeros that nobody wrote.
    Zeros,
    /// In an object of the bucket.
    Object {
        /// Its key.
        key: String,
        /// The version that is meant.
        etag: ETag,
        /// Where in it.
        at: u64,
        /// Bytes of the whole object.
        size: u64,
        /// Whether it is hidden, and there for this draft only.
        #[serde(default)]
        staged: bool,
    },
}

/// A run of bytes of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Where in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Where they are.
    pub at: Place,
}

/// Under which condition a draft may be published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// None.
    #[default]
    Anything,
    /// Nothing has the key.
    Absent,
    /// The object there has this tag.
    Matches(ETag),
}

impl From<Condition> for Expect {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::None => Self::Anything,
            Condition::Absent => Self::Absent,
            Condition::Matches(etag) => Self::Matches(etag),
        }
    }
}

/// The whole description of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which.
    pub draft: DraftId,
    /// The key that it will have.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its bytes, in order, without gaps.
    pub runs: Vec<Run>,
    /// What is kept with the object.
    pub headers: Headers,
    /// Under which condition.
    pub expect: Expect,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Numbers below these were given out. First in a log that was compacted.
    Next {
        /// Of drafts.
        draft: u64,
        /// Of attempts.
        attempt: u64,
        /// Of removals.
        #[serde(default)]
        removal: u64,
    },
    /// A draft is acknowledged as it is here; it replaces what was sealed of it before.
    Sealed(Box<Sealed>),
    /// A draft has another key.
    Moved {
        /// Which.
        draft: DraftId,
        /// The new key.
        key: String,
        /// The condition there.
        expect: Expect,
    },
    /// The attributes of a draft have changed.
    Described {
        /// Which.
        draft: DraftId,
        /// What is kept with the object.
        headers: Headers,
    },
    /// A draft is about to be published under a condition: from now on what is there may be this very draft.
    Tried {
        /// Which.
        draft: DraftId,
    },
    /// An upload of a draft was begun: its parts need not be sent again.
    Uploading {
        /// Which.
        draft: DraftId,
        /// The upload's id at the store.
        upload: String,
        /// Its key.
        key: String,
    },
    /// A draft is no longer wanted: its file was removed.
    Dropped {
        /// Which.
        draft: DraftId,
    },
    /// A draft is in the bucket.
    Stored {
        /// Which.
        draft: DraftId,
        /// What it became.
        etag: ETag,
    },
    /// An upload is about to be asked for.
    UploadIntended {
        /// This asking.
        attempt: AttemptId,
        /// The key.
        key: String,
        /// Milliseconds since 1970, by the store's clock as far as that was known.
        at_ms: u64,
    },
    /// It was begun.
    UploadBegun {
        /// Which asking.
        attempt: AttemptId,
        /// Its id at the store.
        upload: String,
    },
    /// It is completed or aborted, or was surely never begun.
    UploadEnded {
        /// Which asking.
        attempt: AttemptId,
    },
    /// An object is to be removed; whoever asked for it has been told that its name is gone.
    Removing {
        /// This removal.
        removal: RemovalId,
        /// The key.
        key: String,
        /// The version that was there, as far as is known.
        etag: ETag,
        /// Milliseconds since 1970, by this machine's clock.
        at_ms: u64,
    },
    /// Removals that are over: carried out, or refused and told.
    Removed {
        /// Which.
        removals: Vec<RemovalId>,
    },
}
