//! Why the backend did not do what it was asked, in its own words; [`crate::server::fault`] puts them into S3's.

use crate::server::backend::key_file;

/// A refusal, or a fault of the disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such bucket.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The bucket is there already.
    #[error("the bucket exists")]
    BucketExists,
    /// Objects or unfinished uploads are left in the bucket.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// There is no such object.
    #[error("no such key")]
    NoSuchKey,
    /// There is no such upload, or it is of another key.
    #[error("no such upload")]
    NoSuchUpload,
    /// A condition of the write, or of a copy's source, does not hold.
    #[error("a precondition failed: {0}")]
    PreconditionFailed(&'static str),
    /// A part named in complete is not there or has another tag.
    #[error("part {0} is not there, or has another tag or checksum")]
    InvalidPart(u32),
    /// Parts named in complete are not ascending.
    #[error("the parts are not ascending")]
    InvalidPartOrder,
    /// A part that is not the last is too small.
    #[error("part {number} has {bytes} bytes")]
    PartTooSmall {
        /// Its number.
        number: u32,
        /// Its size.
        bytes: u64,
    },
    /// The object would be too large.
    #[error("{0} bytes are too many")]
    TooLarge(u64),
    /// The checksum sent with complete is not that of the object.
    #[error("the object's checksum is another")]
    ChecksumMismatch,
    /// The size sent with complete is not that of the object.
    #[error("the object's size is another")]
    SizeMismatch,
    /// A range begins or ends behind the end of a copy's source.
    #[error("the range lies outside of the source's {0} bytes")]
    RangeOutside(u64),
    /// An object copied onto itself without a change.
    #[error("a copy onto itself that changes nothing")]
    CopyOntoItself,
    /// Too few bytes are free.
    #[error("the disk is full: {0} bytes are free")]
    DiskFull(u64),
    /// The disk or the index failed, or holds what it should not.
    #[error("storage failed: {0}")]
    Storage(String),
}

impl From<key_file::Error> for Error {
    fn from(error: key_file::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// What the backend answers.
pub type Result<T> = std::result::Result<T, Error>;

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

macro_rules! storage {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Storage(error.to_string())
            }
        })*
    };
}

storage!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError, redb::SetDurabilityError);
