//! Who sent a request, and whether it is what was signed: a pure function of the request, the keys and the time.
//!
//! Nothing of a body is needed, so that a stranger's body is never read. The answer says how the body is to be
//! checked while it is read, and whether the sender may change anything. One file per family of signatures.
//!
//! A session token is accepted with any value: this server gives out none that it could compare with, and the token
//! is covered by the signature, which only who has the key can make. So is any region, unless the host names one.

mod sha1;
mod sha256;
#[cfg(test)]
mod tests;

use crate::server::dialect::Claimed;
use crate::server::dialect::Dialect;
use crate::server::dialect::Spoken;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::keys::KeyRing;
use crate::server::keys::Keys;
use crate::server::permissions::Permissions;
use crate::wire::date::AmzDate;
use crate::wire::error_code::ErrorCode;
use crate::wire::sigv4::ChunkSigner;
use std::time::Duration;
use std::time::SystemTime;
use subtle::ConstantTimeEq;

/// How far a client's clock may be off.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// What of a request is signed, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as sent.
    pub path: &'a str,
    /// The query, decoded.
    pub query: &'a [(String, String)],
    /// All headers, lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// The time.
    pub now: SystemTime,
    /// The bucket that host or path name, unchecked.
    pub bucket: Option<&'a str>,
    /// The key that the path names, decoded, unchecked.
    pub key: Option<&'a str>,
    /// The region that the host names; a credential for another one is refused.
    pub region: Option<&'a str>,
}

/// How the body of an accepted request is to be checked.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Not at all.
    Unsigned,
    /// It must have this SHA-256.
    Sha256([u8; 32]),
    /// aws-chunked without signatures.
    ChunkedUnsigned,
    /// aws-chunked, each chunk signed.
    ChunkedSigned(ChunkSigner),
    /// aws-chunked, each chunk and the trailer signed.
    ChunkedSignedTrailer(ChunkSigner),
}

/// A request that is what its sender signed.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// How its body is to be checked.
    pub payload: Payload,
    /// What its sender may do.
    pub permissions: Permissions,
}

/// Accepts a request or says why not.
pub fn authenticate(keys: &KeyRing, received: &Received<'_>, spoken: Spoken) -> Result<Accepted> {
    match spoken.claimed {
        Claimed::V4(scheme) => sha256::authenticate(keys, received, scheme),
        Claimed::V2(scheme) => sha1::authenticate(keys, received, scheme),
        Claimed::Unknown => Err(unknown_scheme(spoken.dialect)),
        Claimed::Anonymous => {
            Err(Fault::new(ErrorCode::AccessDenied, "Requests must be signed; this server has no anonymous access."))
        }
    }
}

impl<'a> Received<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn query(&self, name: &str) -> Option<&'a str> {
        self.query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn unknown_scheme(dialect: Dialect) -> Fault {
    match dialect {
        Dialect::S3 => {
            let message = "The authorization mechanism is not supported. Use AWS4-HMAC-SHA256.";
            Fault::new(ErrorCode::InvalidRequest, message)
        }
        Dialect::Jss => {
            Fault::new(ErrorCode::InvalidToken, "The Authorization header must be: jingdong KEY:SIGNATURE.")
        }
        Dialect::Wos => {
            Fault::new(ErrorCode::InvalidArgument, "The authorization mechanism is not supported. Use WOS-HMAC-SHA256.")
        }
    }
}

fn two_signatures() -> Fault {
    let message = "Only one way of signing is allowed: the Authorization header or the query.";
    Fault::new(ErrorCode::InvalidArgument, message)
}

/// The pair of an access key.
fn pair<'k>(keys: &'k KeyRing, access_key_id: &str) -> Result<(&'k Keys, &'k Permissions)> {
    keys.find(access_key_id)
        .ok_or_else(|| Fault::from(ErrorCode::InvalidAccessKeyId).with("AWSAccessKeyId", access_key_id))
}

/// Compares without telling by its time where two signatures differ.
fn is_same(computed: &str, sent: &str) -> bool {
    bool::from(computed.as_bytes().ct_eq(sent.as_bytes()))
}

/// How far a time lies ahead of now, and how far behind.
fn distances(time: SystemTime, now: SystemTime) -> (Duration, Duration) {
    (time.duration_since(now).unwrap_or_default(), now.duration_since(time).unwrap_or_default())
}

fn skewed(time: SystemTime, now: SystemTime) -> Fault {
    Fault::from(ErrorCode::RequestTimeTooSkewed)
        .with("RequestTime", AmzDate::new(time).to_string())
        .with("ServerTime", AmzDate::new(now).to_string())
        .with("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string())
}

fn expired() -> Fault {
    Fault::new(ErrorCode::AccessDenied, "Request has expired")
}
