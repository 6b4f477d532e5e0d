//! Who sent a request, and whether it is what was signed: a pure function of the request, the keys and the time.
//!
//! Nothing of a body is needed, so that a stranger's body is never read. The answer says how the body is to be
//! checked while it is read.
//!
//! A session token is accepted with any value: this server gives out none that it could compare with, and the token
//! is covered by the signature, which only who has the key can make. So is any region.

use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::keys::Keys;
use crate::wire::date::AmzDate;
use crate::wire::date::parse_http;
use crate::wire::error_code::ErrorCode;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Authorization;
use crate::wire::sigv4::ChunkSigner;
use crate::wire::sigv4::ParseError;
use crate::wire::sigv4::Presigned;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use data_encoding::HEXLOWER;
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

/// A claim to be checked, from either place where signatures stand.
struct Claim {
    access_key_id: String,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    time: AmzDate,
    payload_hash: String,
}

/// Accepts a request or says why not.
pub fn authenticate(keys: &Keys, received: &Received<'_>) -> Result<Payload> {
    let presigned = Presigned::is_in(&AWS4, received.query);
    let claim = match (received.header("authorization"), presigned) {
        (Some(_), true) => {
            return Err(Fault::new(
                ErrorCode::InvalidArgument,
                "Only one way of signing is allowed: the Authorization header or the query.",
            ));
        }
        (Some(header), false) => header_claim(received, header)?,
        (None, true) => presigned_claim(received)?,
        (None, false) if received.query("AWSAccessKeyId").is_some() => return Err(old_signature()),
        (None, false) => {
            return Err(Fault::new(
                ErrorCode::AccessDenied,
                "Requests must be signed; this server has no anonymous access.",
            ));
        }
    };
    if claim.access_key_id != keys.access_key_id {
        return Err(Fault::from(ErrorCode::InvalidAccessKeyId).with("AWSAccessKeyId", claim.access_key_id));
    }
    check_time(received, &claim, presigned)?;
    check_coverage(received, &claim)?;
    check_signature(keys, received, claim)
}

impl<'a> Received<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn query(&self, name: &str) -> Option<&'a str> {
        self.query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn old_signature() -> Fault {
    let message = "The authorization mechanism is not supported. Use AWS4-HMAC-SHA256.";
    Fault::new(ErrorCode::InvalidRequest, message)
}

fn header_claim(received: &Received<'_>, header: &str) -> Result<Claim> {
    let malformed = |error: ParseError| match error {
        ParseError::Algorithm(_) => old_signature(),
        ParseError::Missing(_) | ParseError::Credential(..) | ParseError::Malformed(_) => Fault::new(
            ErrorCode::AuthorizationHeaderMalformed,
            format!("The authorization header is malformed: {error}."),
        ),
    };
    let parsed = Authorization::parse(&AWS4, header).map_err(malformed)?;
    let time = match received.header("x-amz-date") {
        Some(text) => AmzDate::parse(text.trim()),
        None => received.header("date").and_then(parse_http).map(AmzDate::new),
    };
    let time = time.ok_or_else(|| {
        Fault::new(ErrorCode::AccessDenied, "A signed request needs a valid x-amz-date or Date header.")
    })?;
    let payload_hash = received.header("x-amz-content-sha256").ok_or_else(|| {
        Fault::new(ErrorCode::InvalidRequest, "Missing required header for this request: x-amz-content-sha256")
    })?;
    Ok(Claim {
        access_key_id: parsed.access_key_id,
        scope: parsed.scope,
        signed_headers: parsed.signed_headers,
        signature: parsed.signature,
        time,
        payload_hash: payload_hash.trim().to_owned(),
    })
}

fn presigned_claim(received: &Received<'_>) -> Result<Claim> {
    let parsed = Presigned::parse(&AWS4, received.query).map_err(|error| {
        Fault::new(
            ErrorCode::AuthorizationQueryParametersError,
            format!("The signature in the query is malformed: {error}."),
        )
    })?;
    let age = received.now.duration_since(parsed.time.time()).unwrap_or_default();
    if age > Duration::from_secs(u64::from(parsed.expires_seconds)) {
        return Err(Fault::new(ErrorCode::AccessDenied, "Request has expired"));
    }
    let hash = received.header("x-amz-content-sha256").or_else(|| received.query("x-amz-content-sha256"));
    Ok(Claim {
        access_key_id: parsed.access_key_id,
        scope: parsed.scope,
        signed_headers: parsed.signed_headers,
        signature: parsed.signature,
        time: parsed.time,
        payload_hash: hash.unwrap_or(sigv4::UNSIGNED_PAYLOAD).trim().to_owned(),
    })
}

fn check_time(received: &Received<'_>, claim: &Claim, presigned: bool) -> Result<()> {
    let signed = claim.time.time();
    let ahead = signed.duration_since(received.now).unwrap_or_default();
    let behind = received.now.duration_since(signed).unwrap_or_default();
    // How old a presigned request may be it says itself.
    if ahead > SKEW_MAX || (behind > SKEW_MAX && !presigned) {
        return Err(Fault::from(ErrorCode::RequestTimeTooSkewed)
            .with("RequestTime", claim.time.to_string())
            .with("ServerTime", AmzDate::new(received.now).to_string())
            .with("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string()));
    }
    if claim.scope.day != claim.time.day() {
        let message = "The day in the credential is not that of the request.";
        return Err(Fault::new(ErrorCode::AuthorizationHeaderMalformed, message));
    }
    Ok(())
}

/// A header that is not signed could have been added or changed by anyone on the way.
fn check_coverage(received: &Received<'_>, claim: &Claim) -> Result<()> {
    let must = |name: &str| name == "host" || name.starts_with("x-amz-");
    let unsigned = |name: &&str| must(name) && !claim.signed_headers.iter().any(|signed| signed == name);
    let names: Vec<&str> = received.headers.iter().map(|(name, _)| *name).filter(unsigned).collect();
    let has_host = claim.signed_headers.iter().any(|name| name == "host");
    if names.is_empty() && has_host {
        return Ok(());
    }
    let names = if names.is_empty() { "host".to_owned() } else { names.join(", ") };
    let message = "There were headers present in the request which were not signed";
    Err(Fault::new(ErrorCode::AccessDenied, message).with("HeadersNotSigned", names))
}

fn check_signature(keys: &Keys, received: &Received<'_>, claim: Claim) -> Result<Payload> {
    let request = sigv4::Request {
        method: received.method,
        path: received.path,
        query: received.query,
        headers: received.headers,
        payload_hash: &claim.payload_hash,
    };
    let key = SigningKey::derive(&AWS4, &keys.secret, &claim.scope);
    let want = request.signature(&AWS4, &key, &claim.time, &claim.scope, &claim.signed_headers);
    if !bool::from(want.as_bytes().ct_eq(claim.signature.as_bytes())) {
        let canonical = request.canonical(&AWS4, &claim.signed_headers);
        let to_sign = sigv4::string_to_sign(&AWS4, &claim.time, &claim.scope, &canonical);
        return Err(Fault::from(ErrorCode::SignatureDoesNotMatch)
            .with("AWSAccessKeyId", claim.access_key_id)
            .with("StringToSign", to_sign)
            .with("CanonicalRequest", canonical));
    }
    payload(claim, key)
}

fn payload(claim: Claim, key: SigningKey) -> Result<Payload> {
    let hash = claim.payload_hash.as_str();
    let signer = || ChunkSigner::new(&AWS4, key.clone(), claim.time, &claim.scope, &claim.signature);
    match hash {
        sigv4::UNSIGNED_PAYLOAD => Ok(Payload::Unsigned),
        sigv4::STREAMING_UNSIGNED_TRAILER => Ok(Payload::ChunkedUnsigned),
        sigv4::STREAMING_SIGNED => Ok(Payload::ChunkedSigned(signer())),
        sigv4::STREAMING_SIGNED_TRAILER => Ok(Payload::ChunkedSignedTrailer(signer())),
        hex => {
            let bytes = HEXLOWER.decode(hex.to_ascii_lowercase().as_bytes()).ok();
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            bytes.map(Payload::Sha256).ok_or_else(|| {
                Fault::argument(
                    "x-amz-content-sha256",
                    hex,
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING form of AWS4-HMAC-SHA256, or a SHA-256 in hex.",
                )
            })
        }
    }
}

#[cfg(test)]
mod tests;
