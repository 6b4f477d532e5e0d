//! The error codes of S3: name, status, and what to say when there is nothing better; and how the other dialects
//! name them.

use crate::wire::dialect::Dialect;

/// Declares the codes as one table, so that name, status and message cannot drift apart.
macro_rules! codes {
    ($($name:ident $status:literal $message:literal;)*) => {
        /// An error code. What a store sends beyond these is kept as text by whoever reads it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!($status, ": ", $message)] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The HTTP status that S3 answers with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The message when nothing more is known.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }

            /// The code of a name; other stores' spellings count.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    "InvalidAccessKey" => Some(Self::InvalidAccessKeyId),
                    "KeyTooLong" => Some(Self::KeyTooLongError),
                    "NoSuchFile" => Some(Self::NoSuchKey),
                    "InvalidUserMetadata" => Some(Self::MetadataTooLarge),
                    "BadContentLength" | "ConnectionLost" => Some(Self::IncompleteBody),
                    "BadRequest" => Some(Self::InvalidRequest),
                    "MalformedJson" => Some(Self::MalformedXML),
                    _ => None,
                }
            }
        }
    };
}

codes! {
    AccessDenied 403 "Access Denied";
    AccountProblem 403 "There is a problem with the account.";
    AuthorizationHeaderMalformed 400 "The authorization header is malformed.";
    AuthorizationQueryParametersError 400 "The signature parameters of the query are malformed.";
    BadDigest 400 "The checksum that was sent does not fit the body that arrived.";
    BucketAlreadyExists 409 "A bucket of this name exists already.";
    BucketAlreadyOwnedByYou 409 "The bucket exists already and is yours.";
    BucketNotEmpty 409 "The bucket is not empty.";
    ConditionalRequestConflict 409 "Another request changed the object at the same time; try again.";
    EntityTooLarge 400 "The object is larger than is allowed.";
    EntityTooSmall 400 "A part that is not the last is smaller than is allowed.";
    ExpectationFailed 417 "The only expectation that is known is 100-continue.";
    ExpiredToken 400 "The session token has expired.";
    IncompleteBody 400 "The body is shorter than was announced.";
    InternalError 500 "Something failed inside the store; try again.";
    InvalidAccessKeyId 403 "The access key is not known.";
    InvalidArgument 400 "An argument is not valid.";
    InvalidBucketName 400 "The bucket's name is not valid.";
    InvalidBucketState 409 "The bucket is not in a state that allows this.";
    InvalidDigest 400 "The Content-MD5 is not the base64 of an MD5.";
    InvalidLocationConstraint 400 "The location is not valid.";
    InvalidObjectState 403 "The object must be restored before it can be read.";
    InvalidPart 400 "A part is not there or has another tag.";
    InvalidPartOrder 400 "The parts are not in ascending order.";
    InvalidRange 416 "The object has none of the bytes asked for.";
    InvalidRequest 400 "The request is not valid.";
    InvalidStorageClass 400 "The storage class is not valid.";
    InvalidToken 400 "The session token is not valid.";
    InvalidURI 400 "The path or query is not valid.";
    KeyTooLongError 400 "The key is too long.";
    MalformedXML 400 "The XML is not well formed or not what was expected.";
    MaxMessageLengthExceeded 400 "The request is too large.";
    MetadataTooLarge 400 "The user metadata is larger than is allowed.";
    MethodNotAllowed 405 "The method is not allowed here.";
    MissingContentLength 411 "The Content-Length header is required.";
    MissingRequestBodyError 400 "A body is required.";
    MissingSecurityHeader 400 "A header that is required is missing.";
    NoSuchBucket 404 "The bucket does not exist.";
    NoSuchKey 404 "The key does not exist.";
    NoSuchUpload 404 "The upload does not exist; it may have been completed or aborted.";
    NoSuchVersion 404 "The version does not exist.";
    NotImplemented 501 "This is not implemented.";
    OperationAborted 409 "Another operation on the same resource is going on; try again.";
    PermanentRedirect 301 "The bucket must be addressed at another endpoint.";
    PreconditionFailed 412 "A condition of the request does not hold.";
    RequestHeaderSectionTooLarge 400 "The headers are larger than is allowed.";
    RequestTimeTooSkewed 403 "The time of the request and the time here differ too much.";
    RequestTimeout 400 "The body did not arrive in time.";
    ServiceUnavailable 503 "The store cannot answer now; try again.";
    SignatureDoesNotMatch 403 "The signature does not fit the request; check the secret key.";
    SlowDown 503 "Too many requests; slow down.";
    TemporaryRedirect 307 "The bucket must be addressed at another endpoint for now.";
    TooManyBuckets 400 "There are as many buckets as are allowed.";
    TooManyMultipartUploads 400 "There are too many unfinished uploads.";
    TooManyParts 400 "There are more parts than are allowed.";
    XAmzContentChecksumMismatch 400 "The checksum that was sent does not fit the body that arrived.";
    XAmzContentSHA256Mismatch 400 "The hash that was signed does not fit the body that arrived.";
}

impl ErrorCode {
    /// Name and status as a dialect has them. JSS: the signing pages, which describe what happens, and the error list
    /// for what they do not name. WOS: the vendor's error page of 2025, and the page of initiate, by which a body that
    /// is not what its `Content-MD5` says is a wrong signature.
    #[must_use]
    pub fn in_dialect(self, dialect: Dialect) -> (&'static str, u16) {
        let own = (self.name(), self.status());
        match dialect {
            Dialect::S3 => own,
            Dialect::Jss => match self {
                Self::AuthorizationHeaderMalformed => ("InvalidToken", 400),
                Self::InvalidAccessKeyId => ("InvalidAccessKey", 403),
                Self::InvalidDigest | Self::InvalidStorageClass => ("InvalidArgument", 400),
                Self::KeyTooLongError => ("KeyTooLong", 400),
                Self::MalformedXML => ("MalformedJson", 400),
                // Its list knows no "not implemented".
                Self::NotImplemented => ("MethodNotAllowed", 405),
                Self::MissingContentLength | Self::SlowDown => (self.name(), 400),
                Self::ServiceUnavailable => (self.name(), 500),
                _ => own,
            },
            Dialect::Wos => match self {
                Self::BadDigest | Self::InvalidDigest => ("SignatureDoesNotMatch", 403),
                Self::AuthorizationQueryParametersError | Self::InvalidStorageClass => ("InvalidArgument", 400),
                Self::InvalidURI => (self.name(), 403),
                _ => own,
            },
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_every_status_is_a_failure() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.name()), Some(*code));
            assert!((301..=599).contains(&code.status()) && !code.message().is_empty(), "{code}");
        }
        for (code, dialect) in ErrorCode::ALL.iter().flat_map(|code| Dialect::ALL.map(|dialect| (*code, dialect))) {
            let (name, status) = code.in_dialect(dialect);
            assert!((301..=599).contains(&status), "{code} in {dialect}");
            assert!(ErrorCode::parse(name).is_some(), "{name} of {dialect} must be understood");
        }
        assert_eq!(ErrorCode::parse("nosuchkey"), None);
        assert_eq!(ErrorCode::parse("KeyTooLong"), Some(ErrorCode::KeyTooLongError));
    }

    #[test]
    fn dialects_have_names_and_statuses_of_their_own() {
        let rows = [
            (ErrorCode::MissingContentLength, 411, ("MissingContentLength", 400), 411),
            (ErrorCode::SlowDown, 503, ("SlowDown", 400), 503),
            (ErrorCode::NoSuchUpload, 404, ("NoSuchUpload", 404), 404),
            (ErrorCode::RequestTimeTooSkewed, 403, ("RequestTimeTooSkewed", 403), 403),
            (ErrorCode::MalformedXML, 400, ("MalformedJson", 400), 400),
            (ErrorCode::InvalidAccessKeyId, 403, ("InvalidAccessKey", 403), 403),
            (ErrorCode::InvalidURI, 400, ("InvalidURI", 400), 403),
            (ErrorCode::NotImplemented, 501, ("MethodNotAllowed", 405), 501),
        ];
        for (code, s3, jss, wos) in rows {
            assert_eq!(code.in_dialect(Dialect::S3), (code.name(), s3));
            assert_eq!(code.in_dialect(Dialect::Jss), jss);
            assert_eq!(code.in_dialect(Dialect::Wos), (code.name(), wos));
        }
        let wrong = ("SignatureDoesNotMatch", 403);
        assert_eq!(ErrorCode::BadDigest.in_dialect(Dialect::Wos), wrong);
        assert_eq!(ErrorCode::BadDigest.in_dialect(Dialect::Jss), ("BadDigest", 400));
    }

    #[test]
    fn statuses_are_those_of_the_reference() {
        for (name, status) in [
            ("NoSuchKey", 404),
            ("NoSuchUpload", 404),
            ("AccessDenied", 403),
            ("RequestTimeTooSkewed", 403),
            ("ExpiredToken", 400),
            ("MissingContentLength", 411),
            ("InvalidRange", 416),
            ("PreconditionFailed", 412),
            ("ConditionalRequestConflict", 409),
            ("MethodNotAllowed", 405),
            ("NotImplemented", 501),
            ("SlowDown", 503),
        ] {
            assert_eq!(ErrorCode::parse(name).map(ErrorCode::status), Some(status), "{name}");
        }
    }
}
