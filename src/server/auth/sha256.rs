//! Signatures over the whole request by HMAC-SHA256: AWS Signature Version 4 and Wangsu's of the same make.

use crate::server::auth::Accepted;
use crate::server::auth::Payload;
use crate::server::auth::Received;
use crate::server::auth::SKEW_MAX;
use crate::server::auth::distances;
use crate::server::auth::expired;
use crate::server::auth::is_same;
use crate::server::auth::pair;
use crate::server::auth::skewed;
use crate::server::auth::two_signatures;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::keys::KeyRing;
use crate::server::keys::Keys;
use crate::wire::date::AmzDate;
use crate::wire::date::parse_http;
use crate::wire::error_code::ErrorCode;
use crate::wire::sigv4;
use crate::wire::sigv4::Authorization;
use crate::wire::sigv4::ChunkSigner;
use crate::wire::sigv4::ParseError;
use crate::wire::sigv4::Presigned;
use crate::wire::sigv4::Scheme;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::sigv4::WOS4;
use data_encoding::HEXLOWER;
use std::time::Duration;

/// A claim to be checked, from either place where signatures stand.
struct Claim {
    scheme: &'static Scheme,
    access_key_id: String,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    time: AmzDate,
    payload_hash: String,
}

/// Accepts a request or says why not.
pub(super) fn authenticate(keys: &KeyRing, received: &Received<'_>, scheme: &'static Scheme) -> Result<Accepted> {
    let presigned = Presigned::is_in(scheme, received.query);
    let claim = match (received.header("authorization"), presigned) {
        (Some(_), true) => return Err(two_signatures()),
        (Some(header), false) => header_claim(received, scheme, header)?,
        (None, true) | (None, false) => presigned_claim(received, scheme)?,
    };
    let (keys, permissions) = pair(keys, &claim.access_key_id)?;
    check_time(received, &claim, presigned)?;
    check_region(received, &claim)?;
    check_coverage(received, &claim)?;
    check_signature(keys, received, claim).map(|payload| Accepted { payload, permissions: permissions.clone() })
}

/// Wangsu's error page of 2025 differs in some codes from Amazon's.
fn is_wangsu(scheme: &Scheme) -> bool {
    *scheme == WOS4
}

fn own(scheme: &Scheme, name: &str) -> String {
    format!("{}{name}", scheme.header_prefix)
}

fn header_claim(received: &Received<'_>, scheme: &'static Scheme, header: &str) -> Result<Claim> {
    let malformed = |error: ParseError| match error {
        ParseError::Missing("Signature") if is_wangsu(scheme) => {
            Fault::new(ErrorCode::InvalidArgument, "Authorization header is invalid. Expected AccessKeyId:signature")
        }
        ParseError::Algorithm(_) | ParseError::Missing(_) | ParseError::Credential(..) | ParseError::Malformed(_) => {
            Fault::new(
                ErrorCode::AuthorizationHeaderMalformed,
                format!("The authorization header is malformed: {error}."),
            )
        }
    };
    let parsed = Authorization::parse(scheme, header).map_err(malformed)?;
    // Amazon's date has one spelling in its own header and another in `Date`; Wangsu's SDK sends either in both.
    let basic = |text: &str| AmzDate::parse(text.trim());
    let plain = |text: &str| parse_http(text).map(AmzDate::new);
    let time = match received.header(&own(scheme, "date")) {
        Some(text) if is_wangsu(scheme) => basic(text).or_else(|| plain(text)),
        Some(text) => basic(text),
        None => {
            received.header("date").and_then(|text| plain(text).or_else(|| basic(text).filter(|_| is_wangsu(scheme))))
        }
    };
    let time = time.ok_or_else(|| {
        let message = if is_wangsu(scheme) {
            "Authentication requires a valid Date or x-wos-date header"
        } else {
            "A signed request needs a valid x-amz-date or Date header."
        };
        Fault::new(ErrorCode::AccessDenied, message)
    })?;
    let payload_hash = match received.header(&own(scheme, "content-sha256")) {
        Some(hash) => hash.trim(),
        // Its SDK never hashes a body.
        None if is_wangsu(scheme) => sigv4::UNSIGNED_PAYLOAD,
        None => {
            let message = "Missing required header for this request: x-amz-content-sha256";
            return Err(Fault::new(ErrorCode::InvalidRequest, message));
        }
    };
    Ok(Claim {
        scheme,
        access_key_id: parsed.access_key_id,
        scope: parsed.scope,
        signed_headers: parsed.signed_headers,
        signature: parsed.signature,
        time,
        payload_hash: payload_hash.to_owned(),
    })
}

fn presigned_claim(received: &Received<'_>, scheme: &'static Scheme) -> Result<Claim> {
    let parsed = Presigned::parse(scheme, received.query).map_err(|error| {
        Fault::new(
            ErrorCode::AuthorizationQueryParametersError,
            format!("The signature in the query is malformed: {error}."),
        )
    })?;
    let (_, age) = distances(parsed.time.time(), received.now);
    if age > Duration::from_secs(u64::from(parsed.expires_seconds)) {
        return Err(expired());
    }
    let name = own(scheme, "content-sha256");
    let hash = received.header(&name).or_else(|| received.query(&name));
    Ok(Claim {
        scheme,
        access_key_id: parsed.access_key_id,
        scope: parsed.scope,
        signed_headers: parsed.signed_headers,
        signature: parsed.signature,
        time: parsed.time,
        payload_hash: hash.unwrap_or(sigv4::UNSIGNED_PAYLOAD).trim().to_owned(),
    })
}

fn check_time(received: &Received<'_>, claim: &Claim, presigned: bool) -> Result<()> {
    let (ahead, behind) = distances(claim.time.time(), received.now);
    // How old a presigned request may be it says itself.
    if ahead > SKEW_MAX || (behind > SKEW_MAX && !presigned) {
        return Err(skewed(claim.time.time(), received.now));
    }
    if claim.scope.day == claim.time.day() {
        return Ok(());
    }
    Err(if is_wangsu(claim.scheme) {
        let message = "Invalid credential date. This date is not the same as x-wos-date.";
        Fault::new(ErrorCode::InvalidArgument, message)
    } else {
        let message = "The day in the credential is not that of the request.";
        Fault::new(ErrorCode::AuthorizationHeaderMalformed, message)
    })
}

/// A host that names a region takes requests for that region only; the answer names it, so that clients can follow.
fn check_region(received: &Received<'_>, claim: &Claim) -> Result<()> {
    let region = &claim.scope.region;
    match received.region {
        Some(own) if !own.eq_ignore_ascii_case(region) => {
            let message =
                format!("The authorization header is malformed; the region '{region}' is wrong; expecting '{own}'");
            Err(Fault::new(ErrorCode::AuthorizationHeaderMalformed, message).with("Region", own))
        }
        Some(_) | None => Ok(()),
    }
}

/// A header that is not signed could have been added or changed by anyone on the way.
fn check_coverage(received: &Received<'_>, claim: &Claim) -> Result<()> {
    let must = |name: &str| name == "host" || name.starts_with(claim.scheme.header_prefix);
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
    let scheme = claim.scheme;
    let request = sigv4::Request {
        method: received.method,
        path: received.path,
        query: received.query,
        headers: received.headers,
        payload_hash: &claim.payload_hash,
    };
    let key = SigningKey::derive(scheme, &keys.secret, &claim.scope);
    let to_sign = |canonical: &str| sigv4::string_to_sign(scheme, &claim.time, &claim.scope, canonical);
    let canonical = request.canonical(scheme, &claim.signed_headers);
    let fits = |canonical: &str| is_same(&key.sign(&to_sign(canonical)), &claim.signature);
    let in_lines = || is_wangsu(scheme) && fits(&request.canonical_in_lines(scheme, &claim.signed_headers));
    if !fits(&canonical) && !in_lines() {
        return Err(Fault::from(ErrorCode::SignatureDoesNotMatch)
            .with("AWSAccessKeyId", claim.access_key_id.clone())
            .with("StringToSign", to_sign(&canonical))
            .with("CanonicalRequest", canonical));
    }
    payload(claim, key)
}

fn payload(claim: Claim, key: SigningKey) -> Result<Payload> {
    let hash = claim.payload_hash.as_str();
    let signer = || ChunkSigner::new(claim.scheme, key.clone(), claim.time, &claim.scope, &claim.signature);
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
