//! Which bucket and key a request is about: from its host and path, in path style or virtual-host style.
//!
//! A key is plain bytes of UTF-8: dots and slashes in it mean nothing here, and never reach a file system.

use crate::server::dialect::Place;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::route::Asked;
use crate::wire::dialect::Dialect;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri;

/// Bytes; the longest key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes; the longest key of JSS (its put page), and, being the same product, of JD Cloud's S3.
const JD_KEY_BYTES_MAX: usize = 1022;
/// Characters; the longest key of Wangsu, on one page of limits.
const WOS_KEY_CHARS_MAX: usize = 500;

/// Bucket and key as host and path name them, decoded and not looked at any further: what older signatures cover.
pub fn split(place: &Place<'_>, path: &str) -> Result<(Option<String>, Option<String>)> {
    let path = path.strip_prefix('/').ok_or(ErrorCode::InvalidURI)?;
    let (bucket, key) = match place.bucket {
        Some(bucket) => (bucket.to_owned(), path),
        None if path.is_empty() => return Ok((None, None)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decode(bucket)?, key)
        }
    };
    Ok((Some(bucket), Some(decode(key)?).filter(|key| !key.is_empty())))
}

/// Bucket and key, both of them legal.
pub(super) fn target(asked: &Asked<'_>) -> Result<(Option<String>, Option<String>)> {
    let (bucket, key) = split(&asked.place, asked.path)?;
    if let Some(bucket) = bucket.as_ref().filter(|bucket| !is_bucket_name(bucket)) {
        return Err(Fault::from(ErrorCode::InvalidBucketName).with("BucketName", bucket));
    }
    if let Some(key) = &key {
        check_key(asked, key)?;
    }
    Ok((bucket, key))
}

fn check_key(asked: &Asked<'_>, key: &str) -> Result<()> {
    let dialect = asked.fields.dialect();
    let of_jd = dialect == Dialect::Jss || (dialect == Dialect::S3 && asked.place.site.is_jd_s3());
    let max = if of_jd { JD_KEY_BYTES_MAX } else { KEY_BYTES_MAX };
    if key.len() > max {
        return Err(if dialect == Dialect::Jss && asked.method == "PUT" {
            Fault::new(ErrorCode::InvalidArgument, format!("A key has at most {max} bytes."))
        } else {
            Fault::from(ErrorCode::KeyTooLongError)
                .with("Size", key.len().to_string())
                .with("MaxSizeAllowed", max.to_string())
        });
    }
    if asked.strict && dialect == Dialect::Wos && key.chars().count() > WOS_KEY_CHARS_MAX {
        return Err(ErrorCode::KeyTooLongError.into());
    }
    if asked.strict && dialect == Dialect::Jss && key.starts_with('\\') {
        return Err(Fault::new(ErrorCode::InvalidArgument, "A key does not begin with a backslash."));
    }
    Ok(())
}

fn decode(text: &str) -> Result<String> {
    uri::decode(text)
        .map_err(|error| Fault::new(ErrorCode::InvalidURI, format!("The path cannot be decoded: {error}.")))
}

/// Whether a bucket may have this name: 3 to 63 of `a-z 0-9 - .`, letters or digits at the ends, not an IP address.
#[must_use]
pub fn is_bucket_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let outer = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.bytes().all(inner)
        && outer(name.bytes().next())
        && outer(name.bytes().last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}
