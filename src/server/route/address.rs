//! Which bucket and key a request is about: from its host and path, in path style or virtual-host style.
//!
//! A key is plain bytes of UTF-8: dots and slashes in it mean nothing here, and never reach a file system.

use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::route::Asked;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri;

/// Bytes; the longest key.
pub const KEY_BYTES_MAX: usize = 1024;

/// Bucket and key, from host and path.
pub(super) fn target(asked: &Asked<'_>) -> Result<(Option<String>, Option<String>)> {
    let path = asked.path.strip_prefix('/').ok_or(ErrorCode::InvalidURI)?;
    let (bucket, key) = match bucket_of_host(asked.host, asked.base_domains) {
        Some(bucket) => (bucket.to_owned(), path),
        None if path.is_empty() => return Ok((None, None)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decode(bucket)?, key)
        }
    };
    if !is_bucket_name(&bucket) {
        return Err(Fault::from(ErrorCode::InvalidBucketName).with("BucketName", bucket));
    }
    let key = decode(key)?;
    if key.len() > KEY_BYTES_MAX {
        return Err(Fault::from(ErrorCode::KeyTooLongError)
            .with("Size", key.len().to_string())
            .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
    }
    Ok((Some(bucket), Some(key).filter(|key| !key.is_empty())))
}

fn decode(text: &str) -> Result<String> {
    uri::decode(text)
        .map_err(|error| Fault::new(ErrorCode::InvalidURI, format!("The path cannot be decoded: {error}.")))
}

/// The bucket named by the host, if the host is below a base domain.
fn bucket_of_host<'a>(host: &'a str, base_domains: &[String]) -> Option<&'a str> {
    // An IPv6 address keeps its brackets, and is below no domain.
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    base_domains.iter().map(String::as_str).chain(["localhost"]).find_map(|base| {
        let at = name.len().checked_sub(base.len())?;
        let (bucket, rest) = (name.get(..at)?, name.get(at..)?);
        if rest.eq_ignore_ascii_case(base) { bucket.strip_suffix('.') } else { None }
    })
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
