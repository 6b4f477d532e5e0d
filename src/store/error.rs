//! What can go wrong with a store, in the store's words. What a caller does about it follows from [`Kind`].

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The operation that failed, for messages and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `HeadBucket`
    HeadBucket,
    /// `HeadObject`
    HeadObject,
    /// `GetObject`
    GetObject,
    /// `PutObject`
    PutObject,
    /// `DeleteObject`
    DeleteObject,
    /// `DeleteObjects`
    DeleteObjects,
    /// `CopyObject`
    CopyObject,
    /// `MoveObject`, which S3 does not have
    MoveObject,
    /// `ListObjectsV2`
    ListObjects,
    /// `CreateMultipartUpload`
    CreateUpload,
    /// `UploadPart`
    PutPart,
    /// `UploadPartCopy`
    CopyPart,
    /// `CompleteMultipartUpload`
    CompleteUpload,
    /// `AbortMultipartUpload`
    AbortUpload,
    /// `ListParts`
    ListParts,
    /// `ListMultipartUploads`
    ListUploads,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 16] = [
        Self::HeadBucket,
        Self::HeadObject,
        Self::GetObject,
        Self::PutObject,
        Self::DeleteObject,
        Self::DeleteObjects,
        Self::CopyObject,
        Self::MoveObject,
        Self::ListObjects,
        Self::CreateUpload,
        Self::PutPart,
        Self::CopyPart,
        Self::CompleteUpload,
        Self::AbortUpload,
        Self::ListParts,
        Self::ListUploads,
    ];

    /// The name in S3's API reference.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HeadBucket => "HeadBucket",
            Self::HeadObject => "HeadObject",
            Self::GetObject => "GetObject",
            Self::PutObject => "PutObject",
            Self::DeleteObject => "DeleteObject",
            Self::DeleteObjects => "DeleteObjects",
            Self::CopyObject => "CopyObject",
            Self::MoveObject => "MoveObject",
            Self::ListObjects => "ListObjectsV2",
            Self::CreateUpload => "CreateMultipartUpload",
            Self::PutPart => "UploadPart",
            Self::CopyPart => "UploadPartCopy",
            Self::CompleteUpload => "CompleteMultipartUpload",
            Self::AbortUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
            Self::ListUploads => "ListMultipartUploads",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why it failed, as far as it matters to what happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No object has the key.
    NotFound,
    /// No such bucket.
    NoSuchBucket,
    /// The upload id is unknown, finished or aborted.
    NoSuchUpload,
    /// A condition on a tag did not hold.
    PreconditionFailed,
    /// The store asks to repeat: something else changed the same key at the same time.
    Conflict,
    /// The keys are good, the permission is missing.
    AccessDenied,
    /// The access key is unknown, or the secret is wrong, or the session has expired.
    BadCredentials,
    /// The clock of this machine and the store's differ too much.
    ClockSkew,
    /// The range begins at or after the object's end.
    InvalidRange,
    /// Larger than the store takes.
    TooLarge,
    /// The key is longer than the store takes, or cannot be sent.
    InvalidKey,
    /// More user metadata than the store takes.
    MetadataTooLarge,
    /// A part that complete names is not the one that is stored.
    InvalidPart,
    /// The store does not have this operation.
    NotImplemented,
    /// The store asks to slow down, and perhaps says for how long.
    Throttled(Option<Duration>),
    /// The store failed (a 5xx answer).
    Unavailable,
    /// No answer, or a broken one: connection, time-out, short body. A write may have happened.
    Network,
    /// Bytes were changed on the way or at rest: a checksum does not fit.
    Corrupt,
    /// The store holds the object in an archive and must restore it first.
    Archived,
    /// The other end does not speak the protocol.
    Protocol,
    /// The request was wrong in a way that no other kind names.
    Invalid,
}

impl Kind {
    /// Every name, in the order of the kinds.
    pub const NAMES: [&'static str; 21] = [
        "not_found",
        "no_such_bucket",
        "no_such_upload",
        "precondition_failed",
        "conflict",
        "access_denied",
        "bad_credentials",
        "clock_skew",
        "invalid_range",
        "too_large",
        "invalid_key",
        "metadata_too_large",
        "invalid_part",
        "not_implemented",
        "throttled",
        "unavailable",
        "network",
        "corrupt",
        "archived",
        "protocol",
        "invalid",
    ];

    /// Its place among [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Self::NotFound => 0,
            Self::NoSuchBucket => 1,
            Self::NoSuchUpload => 2,
            Self::PreconditionFailed => 3,
            Self::Conflict => 4,
            Self::AccessDenied => 5,
            Self::BadCredentials => 6,
            Self::ClockSkew => 7,
            Self::InvalidRange => 8,
            Self::TooLarge => 9,
            Self::InvalidKey => 10,
            Self::MetadataTooLarge => 11,
            Self::InvalidPart => 12,
            Self::NotImplemented => 13,
            Self::Throttled(_) => 14,
            Self::Unavailable => 15,
            Self::Network => 16,
            Self::Corrupt => 17,
            Self::Archived => 18,
            Self::Protocol => 19,
            Self::Invalid => 20,
        }
    }
}

/// What a refusal says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    code: Option<String>,
    request_id: Option<String>,
}

/// A failed operation: what, on what, why.
#[derive(Debug)]
pub struct Error {
    /// The operation.
    pub op: Op,
    /// The key or prefix it was about; empty for the bucket.
    pub key: String,
    /// What to do about it.
    pub kind: Kind,
    /// The store's own words or the transport's, for people.
    pub message: String,
    said: Option<Box<Said>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it.
    #[must_use]
    pub fn new(op: Op, key: impl Into<String>, kind: Kind, message: impl Into<String>) -> Self {
        Self { op, key: key.into(), kind, message: message.into(), said: None, source: None }
    }

    /// The same error with the store's own code and the id of the request, as far as the store has told them.
    #[must_use]
    pub fn said(mut self, code: Option<&str>, request_id: Option<&str>) -> Self {
        if code.is_some() || request_id.is_some() {
            let said = Said { code: code.map(str::to_owned), request_id: request_id.map(str::to_owned) };
            self.said = Some(Box::new(said));
        }
        self
    }

    /// The store's own code, such as `SlowDown`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.said.as_ref()?.code.as_deref()
    }

    /// The id by which the store's people find the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.said.as_ref()?.request_id.as_deref()
    }

    /// What is told of another key that the same request was about, or told to another who waits. Its cause is not in it.
    #[must_use]
    pub fn of_key(&self, key: &str) -> Self {
        Self::new(self.op, key, self.kind.clone(), self.message.clone()).said(self.code(), self.request_id())
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the store was there to give it, if only to refuse; a store in trouble counts as absent.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        !matches!(self.kind, Kind::Network | Kind::Unavailable | Kind::Throttled(_))
    }

    /// Whether the same request may well succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            Kind::Throttled(_) | Kind::Unavailable | Kind::Network | Kind::Conflict | Kind::Corrupt => true,
            Kind::NotFound
            | Kind::NoSuchBucket
            | Kind::NoSuchUpload
            | Kind::PreconditionFailed
            | Kind::AccessDenied
            | Kind::BadCredentials
            | Kind::ClockSkew
            | Kind::InvalidRange
            | Kind::TooLarge
            | Kind::InvalidKey
            | Kind::MetadataTooLarge
            | Kind::InvalidPart
            | Kind::NotImplemented
            | Kind::Archived
            | Kind::Protocol
            | Kind::Invalid => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.op)?;
        if !self.key.is_empty() {
            write!(f, " {:?}", self.key)?;
        }
        if self.message.is_empty() { write!(f, ": {:?}", self.kind) } else { write!(f, ": {}", self.message) }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
