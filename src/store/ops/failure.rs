//! What a failed answer means.

use crate::http::HeaderMap;
use crate::http::Method;
use crate::http::StatusCode;
use crate::http::header;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::text;
use crate::wire::document;
use crate::wire::error_code::ErrorCode;
use crate::wire::xml;
use crate::wire::xml::Document;
use crate::wire::xml::ErrorDocument;
use std::time::Duration;

/// The longest that a store may ask to wait; more is nonsense, or an outage that the caller should hear of.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Bytes; a longer JSON document is no error, and need not be read as one.
const JSON_ERROR_BYTES_MAX: usize = 64 << 10;
/// Bytes; a longer id is not shown to people.
const REQUEST_ID_BYTES_MAX: usize = 100;

/// The error that an answer with a status of failure stands for.
pub(crate) fn failure(call: &Call, answer: &Answer) -> Error {
    let (op, key) = (call.op, call.key.as_str());
    if call.method == Method::HEAD {
        let id = request_id(answer, None);
        let message = format!("the store answered {}{}", answer.status, shown(id));
        return Error::new(op, key, of_status(answer), message).said(None, id);
    }
    match document::read(answer.dialect, &answer.body) {
        Ok(document) => of_document(op, key, answer, &document),
        Err(_) => without_document(op, key, answer),
    }
}

/// The error inside of an answer whose status promised success.
pub(super) fn in_document(op: Op, key: &str, answer: &Answer) -> Error {
    match document::read(answer.dialect, &answer.body) {
        Ok(document) => of_document(op, key, answer, &document),
        Err(error) => Error::new(op, key, Kind::Network, "the error in the answer was cut off").caused_by(error),
    }
}

/// Whether the body of an answer is an error, whatever its status promised.
pub(super) fn is_error(answer: &Answer) -> bool {
    match answer.dialect {
        Dialect::S3 | Dialect::Wos => xml::root_name(&answer.body).is_ok_and(|root| root == ErrorDocument::ROOT),
        Dialect::Jss => answer.body.len() <= JSON_ERROR_BYTES_MAX && error_document(answer).is_some(),
    }
}

/// The error that the body of an answer is, if it is one.
pub(crate) fn error_document(answer: &Answer) -> Option<ErrorDocument> {
    document::read(answer.dialect, &answer.body).ok()
}

/// The kind of an error code, as it also stands in the result of a multi-delete; `None` for an unknown one.
pub(super) fn of_code(code: &str) -> Option<Kind> {
    match code {
        // JSS's own (its "Error response list").
        "AccessKeyDenied" | "AccessKeyLimited" => Some(Kind::AccessDenied),
        "InvalidObjectKey" | "InvalidTargetObjectKey" => Some(Kind::InvalidKey),
        _ => ErrorCode::parse(code).map(kind),
    }
}

fn of_document(op: Op, key: &str, answer: &Answer, document: &ErrorDocument) -> Error {
    let kind = match of_code(&document.code) {
        Some(Kind::Throttled(_)) => Kind::Throttled(retry_after(&answer.headers)),
        Some(kind) => kind,
        // An error inside of a 200 says nothing by its status.
        None if answer.status.is_success() => Kind::Unavailable,
        None => of_status(answer),
    };
    let said = document.message.trim();
    let id = request_id(answer, document.request_id.as_deref());
    let message = match &document.region {
        Some(region) => format!("{}: {said} (the bucket's region is {region}){}", document.code, shown(id)),
        None => format!("{}: {said}{}", document.code, shown(id)),
    };
    Error::new(op, key, kind, message).said(Some(&document.code), id)
}

/// The id by which the store's people find the request: of whatever header is made for it, since the vendors' own examples
/// mix their names. One that cannot be shown on a line is none.
fn request_id<'a>(answer: &'a Answer, in_document: Option<&'a str>) -> Option<&'a str> {
    let is_id = |name: &str| name.ends_with("-request-id") || name == "x-req-id";
    let own = text(&answer.headers, "x-amz-request-id");
    let other = || answer.headers.keys().find(|name| is_id(name.as_str()));
    let id = own.or_else(|| text(&answer.headers, other()?.as_str())).or(in_document).unwrap_or_default().trim();
    let is_plain = !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(id)
}

/// An id as messages show it.
fn shown(id: Option<&str>) -> String {
    id.map(|id| format!(" (request {id})")).unwrap_or_default()
}

/// Without a document of the dialect it may be a proxy in front of the store, or no store at all.
fn without_document(op: Op, key: &str, answer: &Answer) -> Error {
    let status = answer.status;
    let is_own = |name: &str| Dialect::ALL.iter().any(|dialect| name.starts_with(dialect.header_prefix()));
    let is_store = answer.headers.keys().any(|name| is_own(name.as_str()));
    let may_be_proxy = status.is_server_error() || matches!(status.as_u16(), 407 | 408 | 413 | 429 | 431);
    let kind = match text(&answer.headers, header::CONTENT_TYPE.as_str()) {
        Some(kind) if !answer.body.is_empty() => kind.to_owned(),
        Some(_) | None => format!("{} bytes", answer.body.len()),
    };
    if is_store || may_be_proxy || status == StatusCode::NOT_MODIFIED || status == StatusCode::PRECONDITION_FAILED {
        let id = request_id(answer, None);
        let message = match answer.body.len() {
            0 => format!("the store answered {status} and no reason{}", shown(id)),
            _ => format!(
                "the store answered {status} with {kind}, which is no reason that {} would give{}",
                answer.dialect,
                shown(id)
            ),
        };
        return Error::new(op, key, of_status(answer), message).said(None, id);
    }
    let message = format!("the endpoint does not speak {}: it answered {status} with {kind}", answer.dialect);
    Error::new(op, key, Kind::Protocol, message)
}

/// The kind of a bare status, as HEAD has it.
fn of_status(answer: &Answer) -> Kind {
    match answer.status.as_u16() {
        304 | 412 => Kind::PreconditionFailed,
        401 | 403 => Kind::AccessDenied,
        404 => Kind::NotFound,
        405 | 501 => Kind::NotImplemented,
        408 => Kind::Network,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        416 => Kind::InvalidRange,
        431 => Kind::MetadataTooLarge,
        429 => Kind::Throttled(retry_after(&answer.headers)),
        503 if answer.headers.contains_key(header::RETRY_AFTER) => Kind::Throttled(retry_after(&answer.headers)),
        500..=599 => Kind::Unavailable,
        300..=399 => Kind::Protocol,
        _ => Kind::Invalid,
    }
}

/// Seconds only: a date would depend on two clocks.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, header::RETRY_AFTER.as_str())?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn kind(code: ErrorCode) -> Kind {
    use crate::wire::error_code::ErrorCode as Code;
    match code {
        Code::NoSuchKey | Code::NoSuchVersion => Kind::NotFound,
        Code::NoSuchBucket => Kind::NoSuchBucket,
        Code::NoSuchUpload => Kind::NoSuchUpload,
        Code::PreconditionFailed => Kind::PreconditionFailed,
        Code::ConditionalRequestConflict | Code::OperationAborted => Kind::Conflict,
        Code::AccessDenied | Code::AccountProblem | Code::MissingSecurityHeader => Kind::AccessDenied,
        Code::InvalidAccessKeyId | Code::SignatureDoesNotMatch | Code::ExpiredToken | Code::InvalidToken => {
            Kind::BadCredentials
        }
        Code::RequestTimeTooSkewed => Kind::ClockSkew,
        Code::InvalidRange => Kind::InvalidRange,
        Code::EntityTooLarge | Code::TooManyParts => Kind::TooLarge,
        Code::KeyTooLongError | Code::InvalidURI => Kind::InvalidKey,
        Code::MetadataTooLarge | Code::RequestHeaderSectionTooLarge => Kind::MetadataTooLarge,
        Code::InvalidPart => Kind::InvalidPart,
        Code::NotImplemented | Code::MethodNotAllowed => Kind::NotImplemented,
        Code::SlowDown => Kind::Throttled(None),
        Code::InternalError | Code::ServiceUnavailable => Kind::Unavailable,
        Code::IncompleteBody | Code::RequestTimeout => Kind::Network,
        Code::BadDigest | Code::XAmzContentChecksumMismatch | Code::XAmzContentSHA256Mismatch => Kind::Corrupt,
        Code::InvalidObjectState => Kind::Archived,
        Code::PermanentRedirect | Code::TemporaryRedirect | Code::AuthorizationHeaderMalformed => Kind::Invalid,
        Code::AuthorizationQueryParametersError
        | Code::BucketAlreadyExists
        | Code::BucketAlreadyOwnedByYou
        | Code::BucketNotEmpty
        | Code::EntityTooSmall
        | Code::ExpectationFailed
        | Code::InvalidArgument
        | Code::InvalidBucketName
        | Code::InvalidBucketState
        | Code::InvalidDigest
        | Code::InvalidLocationConstraint
        | Code::InvalidPartOrder
        | Code::InvalidRequest
        | Code::InvalidStorageClass
        | Code::MalformedXML
        | Code::MaxMessageLengthExceeded
        | Code::MissingContentLength
        | Code::MissingRequestBodyError
        | Code::TooManyBuckets
        | Code::TooManyMultipartUploads => Kind::Invalid,
    }
}
