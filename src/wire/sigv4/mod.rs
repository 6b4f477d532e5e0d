//! AWS Signature Version 4: what is signed, and with what. Both for a client that signs and a server that verifies.
//!
//! The path of a request is taken as it is on the wire: signatures of S3 never normalise it. Times are arguments.
//! Whether a signature is fresh, or fits a request, is decided by the server, not here.

mod authorization;
mod chunks;
mod presigned;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wos_tests;

pub use authorization::Authorization;
pub use chunks::ChunkSigner;
pub use presigned::EXPIRES_SECONDS_MAX;
pub use presigned::Presigned;

use crate::wire::date::AmzDate;
use crate::wire::uri;
use data_encoding::HEXLOWER;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha256;
use std::collections::BTreeSet;
use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

/// The names that a family of signatures uses; the algorithm is the same in all families.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Begins the `Authorization` header, and the string to sign.
    pub algorithm: &'static str,
    /// Stands before the secret in the first key.
    pub key_prefix: &'static str,
    /// The service in the scope.
    pub service: &'static str,
    /// The last word of the scope.
    pub terminator: &'static str,
    /// Of headers: `x-amz-`.
    pub header_prefix: &'static str,
    /// Of query parameters: `X-Amz-`.
    pub query_prefix: &'static str,
}

/// Amazon's, which nearly every store speaks.
pub const AWS4: Scheme = Scheme {
    algorithm: "AWS4-HMAC-SHA256",
    key_prefix: "AWS4",
    service: "s3",
    terminator: "aws4_request",
    header_prefix: "x-amz-",
    query_prefix: "X-Amz-",
};

/// Wangsu's (CDNetworks, "Authentication Header"; the vendor's SDK).
pub const WOS4: Scheme = Scheme {
    algorithm: "WOS-HMAC-SHA256",
    key_prefix: "WOS",
    service: "wos",
    terminator: "wos_request",
    header_prefix: "x-wos-",
    query_prefix: "X-Wos-",
};

/// Payload hash of a request whose body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Payload hash of a body in signed chunks.
pub const STREAMING_SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
/// Payload hash of a body in signed chunks with a signed trailer.
pub const STREAMING_SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
/// Payload hash of a body in unsigned chunks with a trailer.
pub const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
/// The most headers that are signed; requests with as many are taken by no server.
const SIGNED_HEADERS_MAX: usize = 256;
/// SHA-256 of nothing, in hex.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Why signature parameters cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Another algorithm than the scheme's.
    #[error("unsupported signature algorithm; use {0}")]
    Algorithm(&'static str),
    /// A parameter is absent or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The credential is not `KEY/DAY/REGION/SERVICE/TERMINATOR`.
    #[error("the credential must have the form <access key>/<date>/<region>/{0}/{1}")]
    Credential(&'static str, &'static str),
    /// A parameter has no sensible value.
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

/// For which day and region a key is valid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// `YYYYMMDD`.
    pub day: String,
    /// The region's name.
    pub region: String,
}

impl Scope {
    /// The scope of a request made at `time`.
    #[must_use]
    pub fn new(time: &AmzDate, region: &str) -> Self {
        Self { day: time.day(), region: region.to_owned() }
    }

    /// As it stands in strings to sign: `20130524/us-east-1/s3/aws4_request`.
    #[must_use]
    pub fn text(&self, scheme: &Scheme) -> String {
        format!("{}/{}/{}/{}", self.day, self.region, scheme.service, scheme.terminator)
    }

    /// Takes a credential apart. Access keys may contain slashes, so it is read from its end.
    fn parse_credential(scheme: &Scheme, credential: &str) -> Result<(String, Self), ParseError> {
        let wrong = || ParseError::Credential(scheme.service, scheme.terminator);
        let mut fields = credential.rsplitn(5, '/');
        let mut next = || fields.next().filter(|field| !field.is_empty()).ok_or_else(wrong);
        let (terminator, service, region, day, access_key_id) = (next()?, next()?, next()?, next()?, next()?);
        let day_is_one = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
        if terminator != scheme.terminator || service != scheme.service || !day_is_one {
            return Err(wrong());
        }
        Ok((access_key_id.to_owned(), Self { day: day.to_owned(), region: region.to_owned() }))
    }
}

/// The key for one scope, worth keeping for a day. Wiped from memory when dropped, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Derives the key of a scope from the secret.
    #[must_use]
    pub fn derive(scheme: &Scheme, secret: &str, scope: &Scope) -> Self {
        let mut first = format!("{}{secret}", scheme.key_prefix).into_bytes();
        let mut key = hmac(&first, scope.day.as_bytes());
        first.zeroize();
        for word in [scope.region.as_str(), scheme.service, scheme.terminator] {
            key = hmac(&key, word.as_bytes());
        }
        Self(key)
    }

    /// The signature of a string to sign, in hex.
    #[must_use]
    pub fn sign(&self, string_to_sign: &str) -> String {
        HEXLOWER.encode(&hmac(&self.0, string_to_sign.as_bytes()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// SHA-256 in hex, as payload hashes are written.
#[must_use]
pub fn sha256_hex(data: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(data))
}

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The path as it is on the wire, percent-encoded.
    pub path: &'a str,
    /// The query, decoded, in any order; the signature parameter may be among them and is left out.
    pub query: &'a [(String, String)],
    /// The headers, in any order and case; repeated ones are joined.
    pub headers: &'a [(&'a str, &'a str)],
    /// The payload hash: hex, or one of the words for bodies that are not hashed.
    pub payload_hash: &'a str,
}

impl Request<'_> {
    /// The canonical request over the headers named by `signed` (lower case).
    #[must_use]
    pub fn canonical(&self, scheme: &Scheme, signed: &[String]) -> String {
        self.canonical_with(scheme, signed, Self::push_joined)
    }

    /// As [`Self::canonical`], with a line for each of repeated headers, as Wangsu's own SDK writes them.
    #[must_use]
    pub fn canonical_in_lines(&self, scheme: &Scheme, signed: &[String]) -> String {
        self.canonical_with(scheme, signed, Self::push_lines)
    }

    fn canonical_with(&self, scheme: &Scheme, signed: &[String], push: fn(&Self, &str, &mut String)) -> String {
        let mut names: Vec<&str> = signed.iter().map(String::as_str).collect();
        names.sort_unstable();
        let mut out = format!("{}\n", self.method);
        out.push_str(if self.path.is_empty() { "/" } else { self.path });
        out.push('\n');
        out.push_str(&self.canonical_query(scheme));
        out.push('\n');
        for name in &names {
            push(self, name, &mut out);
        }
        out.push('\n');
        out.push_str(&names.join(";"));
        out.push('\n');
        out.push_str(self.payload_hash);
        out
    }

    fn canonical_query(&self, scheme: &Scheme) -> String {
        let is_signature = |name: &str| name.strip_prefix(scheme.query_prefix) == Some("Signature");
        let mut pairs: Vec<(String, String)> = self
            .query
            .iter()
            .filter(|(name, _)| !is_signature(name))
            .map(|(name, value)| (uri::encode(name), uri::encode(value)))
            .collect();
        pairs.sort_unstable();
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// One line with all values of a header.
    fn push_joined(&self, name: &str, out: &mut String) {
        out.push_str(name);
        out.push(':');
        for (at, value) in self.values(name).enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_trimmed(value, out);
        }
        out.push('\n');
    }

    /// A line for each value of a header.
    fn push_lines(&self, name: &str, out: &mut String) {
        for value in self.values(name) {
            out.push_str(name);
            out.push(':');
            push_trimmed(value, out);
            out.push('\n');
        }
    }

    /// The names of all headers, lower case, sorted, each once: what a client signs when it signs all it has.
    #[must_use]
    pub fn header_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The signature of the request at `time` within `scope`, over the headers named by `signed`.
    #[must_use]
    pub fn signature(
        &self,
        scheme: &Scheme,
        key: &SigningKey,
        time: &AmzDate,
        scope: &Scope,
        signed: &[String],
    ) -> String {
        key.sign(&string_to_sign(scheme, time, scope, &self.canonical(scheme, signed)))
    }
}

/// A value, trimmed, runs of spaces made one.
fn push_trimmed(value: &str, out: &mut String) {
    for (at, word) in value.split_ascii_whitespace().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// The string to sign of a canonical request.
#[must_use]
pub fn string_to_sign(scheme: &Scheme, time: &AmzDate, scope: &Scope, canonical_request: &str) -> String {
    let hash = sha256_hex(canonical_request.as_bytes());
    format!("{}\n{time}\n{}\n{hash}", scheme.algorithm, scope.text(scheme))
}

/// Reads a list of signed header names; they must be lower case, sorted or not, each once: the canonical request has a
/// header's value for each time that it is named, so that few names and one long value would take half a gigabyte.
fn parse_signed_headers(list: &str) -> Result<Vec<String>, ParseError> {
    if list.split(';').count() > SIGNED_HEADERS_MAX {
        return Err(ParseError::Malformed("SignedHeaders"));
    }
    let names: Vec<String> = list.split(';').map(str::to_owned).collect();
    let is_name = |name: &String| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let different: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let sound = names.iter().all(is_name) && different.len() == names.len();
    if sound { Ok(names) } else { Err(ParseError::Malformed("SignedHeaders")) }
}

/// Reads a signature: 64 lower-case hex digits.
fn parse_signature(text: &str) -> Result<String, ParseError> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { Ok(text.to_owned()) } else { Err(ParseError::Malformed("Signature")) }
}
