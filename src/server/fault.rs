//! Why a request is refused: a code of S3 and a sentence about this request.

use crate::server::backend::error::Error;
use crate::wire::error_code::ErrorCode;
use std::borrow::Cow;

/// A refusal, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: Cow<'static, str>,
    /// Elements of the answer beside the usual ones.
    pub details: Vec<(&'static str, String)>,
}

/// What the parts of the server answer.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A refusal with a sentence of its own.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Adds an element to the answer.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.details.push((name, text.into()));
        self
    }

    /// An argument that makes no sense, by its name.
    pub fn argument(name: &'static str, value: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message).with("ArgumentName", name).with("ArgumentValue", value)
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchBucket => ErrorCode::NoSuchBucket.into(),
            Error::BucketExists => ErrorCode::BucketAlreadyOwnedByYou.into(),
            Error::BucketNotEmpty => ErrorCode::BucketNotEmpty.into(),
            Error::NoSuchKey => ErrorCode::NoSuchKey.into(),
            Error::NoSuchUpload => ErrorCode::NoSuchUpload.into(),
            Error::PreconditionFailed(header) => Self::from(ErrorCode::PreconditionFailed).with("Condition", header),
            Error::InvalidPart(number) => Self::from(ErrorCode::InvalidPart).with("PartNumber", number.to_string()),
            Error::InvalidPartOrder => ErrorCode::InvalidPartOrder.into(),
            Error::PartTooSmall { number, bytes } => Self::from(ErrorCode::EntityTooSmall)
                .with("ProposedSize", bytes.to_string())
                .with("PartNumber", number.to_string()),
            Error::TooLarge(bytes) => Self::new(
                ErrorCode::InvalidRequest,
                "The bytes to be copied or put together are more than is allowed; larger objects are copied part by part.",
            )
            .with("ProposedSize", bytes.to_string()),
            Error::ChecksumMismatch => {
                Self::new(ErrorCode::BadDigest, "The checksum that was sent is not that of the object.")
            }
            Error::SizeMismatch => {
                Self::new(ErrorCode::InvalidRequest, "x-amz-mp-object-size is not the size of the object.")
            }
            Error::RangeOutside(bytes) => Self::new(
                ErrorCode::InvalidArgument,
                "The range of the copy source does not lie within the source.",
            )
            .with("SourceSize", bytes.to_string()),
            Error::CopyOntoItself => Self::new(
                ErrorCode::InvalidRequest,
                "A copy of an object onto itself must change its metadata or its storage class.",
            ),
            Error::DiskFull(_) => {
                tracing::error!(%error, "a write was refused");
                Self::new(ErrorCode::ServiceUnavailable, "The disk of the server is full.")
            }
            Error::Storage(_) => {
                // What the disk said is for the server's log, not for its clients.
                tracing::error!(%error, "storage failed");
                ErrorCode::InternalError.into()
            }
        }
    }
}
