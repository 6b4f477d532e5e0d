//! The number for each error.

use crate::store::Kind;
use crate::vfs::Error;
use fuser::Errno;

/// What the kernel is told. No `_` arm: a new error does not compile until it has been given a number.
#[must_use]
pub fn errno(error: &Error) -> Errno {
    match error {
        Error::NotFound => Errno::ENOENT,
        Error::Exists => Errno::EEXIST,
        Error::NotDirectory => Errno::ENOTDIR,
        Error::IsDirectory => Errno::EISDIR,
        Error::NotEmpty => Errno::ENOTEMPTY,
        Error::Running => Errno::ETXTBSY,
        Error::ReadOnly => Errno::EROFS,
        Error::Stale => Errno::ESTALE,
        Error::Access(_) => Errno::EACCES,
        Error::Unsupported(_) => Errno::EOPNOTSUPP,
        Error::Invalid(_) => Errno::EINVAL,
        Error::NameTooLong => Errno::ENAMETOOLONG,
        Error::NameNotUtf8 => Errno::EILSEQ,
        Error::TooLarge => Errno::EFBIG,
        Error::MetadataTooLarge => Errno::E2BIG,
        Error::BeingWritten => Errno::EBUSY,
        Error::BadHandle => Errno::EBADF,
        Error::NoAttribute => Errno::ENODATA,
        Error::NotPermitted(_) => Errno::EPERM,
        Error::NoRoom | Error::DiskFull => Errno::ENOSPC,
        Error::Journal(_) => Errno::EIO,
        Error::Lost => Errno::EIO,
        Error::Store(error) => of_store(&error.kind),
    }
}

fn of_store(kind: &Kind) -> Errno {
    match kind {
        Kind::NotFound | Kind::NoSuchBucket => Errno::ENOENT,
        Kind::PreconditionFailed => Errno::ESTALE,
        Kind::AccessDenied | Kind::BadCredentials | Kind::ClockSkew => Errno::EACCES,
        Kind::TooLarge => Errno::EFBIG,
        Kind::InvalidKey => Errno::EINVAL,
        Kind::MetadataTooLarge => Errno::E2BIG,
        Kind::NotImplemented => Errno::EOPNOTSUPP,
        Kind::Conflict => Errno::EBUSY,
        Kind::Throttled(_) => Errno::EAGAIN,
        Kind::NoSuchUpload
        | Kind::InvalidRange
        | Kind::InvalidPart
        | Kind::Unavailable
        | Kind::Network
        | Kind::Corrupt
        | Kind::Archived
        | Kind::Protocol
        | Kind::Invalid => Errno::EIO,
    }
}

/// No number of an error is as large.
pub const NUMBERS: usize = 134;

/// The name of a number that [`errno`] answers, or one of the requests that are always refused.
#[must_use]
pub fn name(number: i32) -> &'static str {
    const NAMES: [(Errno, &str); 23] = [
        (Errno::ENOENT, "ENOENT"),
        (Errno::EEXIST, "EEXIST"),
        (Errno::ENOTDIR, "ENOTDIR"),
        (Errno::EISDIR, "EISDIR"),
        (Errno::ENOTEMPTY, "ENOTEMPTY"),
        (Errno::ETXTBSY, "ETXTBSY"),
        (Errno::EROFS, "EROFS"),
        (Errno::ESTALE, "ESTALE"),
        (Errno::EACCES, "EACCES"),
        (Errno::EOPNOTSUPP, "EOPNOTSUPP"),
        (Errno::EINVAL, "EINVAL"),
        (Errno::ENAMETOOLONG, "ENAMETOOLONG"),
        (Errno::EILSEQ, "EILSEQ"),
        (Errno::EFBIG, "EFBIG"),
        (Errno::E2BIG, "E2BIG"),
        (Errno::EBUSY, "EBUSY"),
        (Errno::EBADF, "EBADF"),
        (Errno::ENODATA, "ENODATA"),
        (Errno::EPERM, "EPERM"),
        (Errno::ENOSPC, "ENOSPC"),
        (Errno::EIO, "EIO"),
        (Errno::EAGAIN, "EAGAIN"),
        (Errno::ENOSYS, "ENOSYS"),
    ];
    NAMES.iter().find(|(known, _)| known.code() == number).map_or("other", |(_, name)| name)
}

/// The name of a number that is the reason of a failure in figures.
#[must_use]
pub fn of_reason(reason: usize) -> &'static str {
    name(i32::try_from(reason).unwrap_or(0))
}

/// Whether the log should tell of it: programs live with the rest every day.
#[must_use]
pub fn is_remarkable(error: &Error) -> bool {
    match error {
        Error::Access(_)
        | Error::Store(_)
        | Error::TooLarge
        | Error::MetadataTooLarge
        | Error::BeingWritten
        | Error::DiskFull
        | Error::Journal(_) => true,
        Error::NotFound
        | Error::Exists
        | Error::NotDirectory
        | Error::IsDirectory
        | Error::NotEmpty
        | Error::Running
        | Error::ReadOnly
        | Error::Stale
        | Error::Unsupported(_)
        | Error::Invalid(_)
        | Error::NameTooLong
        | Error::NameNotUtf8
        | Error::NoAttribute
        | Error::NotPermitted(_)
        | Error::NoRoom
        | Error::Lost
        | Error::BadHandle => false,
    }
}
