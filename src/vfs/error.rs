//! Why a file operation failed, in the words of POSIX. `fuse/errno.rs` gives each its number.

use crate::store;
use crate::store::Kind;
use crate::writer::stream::WriteError;
use std::sync::Arc;

/// What a file operation answers.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed file operation.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No such file or directory.
    #[error("no such file or directory")]
    NotFound,
    /// The name is taken.
    #[error("the name exists already")]
    Exists,
    /// A directory was needed.
    #[error("not a directory")]
    NotDirectory,
    /// A directory cannot be used so.
    #[error("is a directory")]
    IsDirectory,
    /// The directory still has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// A process runs it as its program.
    #[error("the program is running")]
    Running,
    /// The mount may not be written to.
    #[error("the mount is read-only")]
    ReadOnly,
    /// The object is another version by now; open the file again.
    #[error("the object was changed or removed by somebody else")]
    Stale,
    /// The store refuses it.
    #[error("the store refuses access: {0}")]
    Access(Arc<store::Error>),
    /// This version does not support it, or the store cannot do it.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// The arguments make no sense.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// The name or the whole path is longer than a key may be.
    #[error("the name is too long")]
    NameTooLong,
    /// The name is not UTF-8, which keys must be.
    #[error("the name is not valid UTF-8")]
    NameNotUtf8,
    /// Larger than an object may be.
    #[error("the file is larger than an object may be")]
    TooLarge,
    /// More metadata than an object may have.
    #[error("more metadata than an object may have")]
    MetadataTooLarge,
    /// Its bytes are on their way to the bucket and cannot be read back before they are there.
    #[error("the file is being written, and its first parts are already on their way")]
    BeingWritten,
    /// The handle or the inode is not known, or was not opened for this.
    #[error("bad file handle")]
    BadHandle,
    /// No such extended attribute.
    #[error("no such extended attribute")]
    NoAttribute,
    /// Nobody may do this.
    #[error("not permitted: {0}")]
    NotPermitted(&'static str),
    /// The store takes no more metadata with an object.
    #[error("no room for more metadata of an object")]
    NoRoom,
    /// The disk of the journal is full.
    #[error("the disk of the journal is full")]
    DiskFull,
    /// The journal cannot be written.
    #[error("the journal cannot be written: {0}")]
    Journal(Arc<std::io::Error>),
    /// The process that had its bytes has crashed.
    #[error("the process that held what was written has ended, and the bytes with it")]
    Lost,
    /// The store failed, for good.
    #[error("{0}")]
    Store(Arc<store::Error>),
}

impl Error {
    /// Whether the same may well succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }

    /// What the store has answered, if that is why.
    #[must_use]
    pub fn of_store(&self) -> Option<&store::Error> {
        match self {
            Self::Access(error) | Self::Store(error) => Some(error),
            _ => None,
        }
    }

    /// The same for a file that was found before: that its object is not there any more makes it stale.
    #[must_use]
    pub fn of_known_file(error: impl Into<Self>) -> Self {
        match error.into() {
            Self::NotFound => Self::Stale,
            other => other,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::from(Arc::new(error))
    }
}

impl From<Arc<store::Error>> for Error {
    fn from(error: Arc<store::Error>) -> Self {
        match error.kind {
            Kind::NotFound => Self::NotFound,
            Kind::PreconditionFailed => Self::Stale,
            Kind::AccessDenied | Kind::BadCredentials | Kind::ClockSkew => Self::Access(error),
            Kind::TooLarge => Self::TooLarge,
            Kind::InvalidKey => Self::Invalid("the store takes no such key"),
            Kind::MetadataTooLarge => Self::MetadataTooLarge,
            Kind::NotImplemented => Self::Unsupported("the store does not have this operation"),
            Kind::NoSuchBucket
            | Kind::NoSuchUpload
            | Kind::Conflict
            | Kind::InvalidRange
            | Kind::InvalidPart
            | Kind::Throttled(_)
            | Kind::Unavailable
            | Kind::Network
            | Kind::Corrupt
            | Kind::Archived
            | Kind::Protocol
            | Kind::Invalid => Self::Store(error),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::TooLarge => Self::TooLarge,
            WriteError::NotAtEnd | WriteError::Ended => Self::Stale,
            WriteError::Failed(error) => error.into(),
            WriteError::Disk(error) => match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
                _ => Self::Journal(error),
            },
        }
    }
}
