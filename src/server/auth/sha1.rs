//! Signatures over a few lines by HMAC-SHA1: AWS Signature Version 2, JSS's `jingdong` and Wangsu's `WOS`.
//!
//! They cover neither the body nor most of the query: `prefix` or `max-keys` can be changed by anyone on the way, which
//! is how these schemes are. What selects an operation, and all headers of the scheme's own, are covered.

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
use crate::wire::sigv2::AWS2;
use crate::wire::sigv2::Authorization;
use crate::wire::sigv2::JINGDONG;
use crate::wire::sigv2::Order;
use crate::wire::sigv2::Presigned;
use crate::wire::sigv2::Request;
use crate::wire::sigv2::Scheme;
use crate::wire::sigv2::WOS2;
use crate::wire::uri::query_value;
use std::time::Duration;
use std::time::SystemTime;

/// A claim to be checked, from either place where signatures stand.
struct Claim {
    scheme: &'static Scheme,
    access_key_id: String,
    signature: String,
    /// What may stand in the line of the date.
    dates: Vec<String>,
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
    check_signature(keys, received, &claim)?;
    Ok(Accepted { payload: Payload::Unsigned, permissions: permissions.clone() })
}

fn header_claim(received: &Received<'_>, scheme: &'static Scheme, header: &str) -> Result<Claim> {
    // A client of S3 at Wangsu's hosts says AWS and means the same.
    let parsed = Authorization::parse(scheme, header)
        .or_else(|| Authorization::parse(&AWS2, header))
        .ok_or_else(|| malformed(scheme))?;
    let own = received.header(&format!("{}date", scheme.header_prefix)).filter(|_| *scheme != JINGDONG);
    let text = own.or(received.header("date"));
    let time = text.and_then(|text| parse_http(text).or_else(|| AmzDate::parse(text.trim()).map(|date| date.time())));
    let (Some(text), Some(time)) = (text, time) else { return Err(no_date(scheme)) };
    let (ahead, behind) = distances(time, received.now);
    if ahead > SKEW_MAX || behind > SKEW_MAX {
        return Err(skewed(time, received.now));
    }
    let text = text.trim().to_owned();
    // The scheme's own date governs. Wangsu's page does not say what stands in the line of `Date` then.
    let dates = match own {
        Some(_) if *scheme == WOS2 => vec![String::new(), text],
        Some(_) => vec![String::new()],
        None => vec![text],
    };
    Ok(Claim { scheme, access_key_id: parsed.access_key_id, signature: parsed.signature, dates })
}

fn malformed(scheme: &Scheme) -> Fault {
    if *scheme == JINGDONG {
        return Fault::new(ErrorCode::InvalidToken, "The Authorization header must be: jingdong KEY:SIGNATURE.");
    }
    Fault::new(ErrorCode::InvalidArgument, "Authorization header is invalid. Expected AccessKeyId:signature")
}

fn no_date(scheme: &Scheme) -> Fault {
    if *scheme == JINGDONG {
        return Fault::new(ErrorCode::MissingSecurityHeader, "A signed request needs a valid Date header.");
    }
    let message = format!("Authentication requires a valid Date or {}date header", scheme.header_prefix);
    Fault::new(ErrorCode::AccessDenied, message)
}

/// Expiry is checked before the signature, as Wangsu's page says.
fn presigned_claim(received: &Received<'_>, scheme: &'static Scheme) -> Result<Claim> {
    let parsed = Presigned::parse(scheme, received.query);
    let (Some(access_key_id), Some(expires), Some(signature)) =
        (parsed.access_key_id, parsed.expires, parsed.signature)
    else {
        return Err(half_of_a_url(scheme));
    };
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if digits { expires.parse().ok() } else { None };
    let until = seconds.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let until = until.ok_or_else(|| half_of_a_url(scheme))?;
    if until < received.now {
        return Err(if *scheme == JINGDONG {
            Fault::new(ErrorCode::ExpiredToken, "Request has expired")
        } else {
            expired()
        });
    }
    Ok(Claim { scheme, access_key_id, signature, dates: vec![expires] })
}

fn half_of_a_url(scheme: &Scheme) -> Fault {
    let key = scheme.key_parameters[0];
    let message = format!("A signed URL needs the parameters {key}, Expires and Signature.");
    let code = if *scheme == JINGDONG { ErrorCode::InvalidURI } else { ErrorCode::AccessDenied };
    Fault::new(code, message)
}

fn check_signature(keys: &Keys, received: &Received<'_>, claim: &Claim) -> Result<()> {
    let signed = |query: &[(String, String)], order| {
        let Received { method, bucket, key, headers, .. } = *received;
        let request = Request { method, bucket, key, query, headers };
        let fits =
            |date: &String| is_same(&request.signature(claim.scheme, &keys.secret, date, order), &claim.signature);
        claim.dates.iter().any(fits)
    };
    if signed(received.query, Order::Sorted) {
        return if *claim.scheme == WOS2 { check_part(received) } else { Ok(()) };
    }
    // JSS prints uploadId before partNumber.
    if *claim.scheme == JINGDONG && signed(received.query, Order::AsSent) {
        return Ok(());
    }
    // Wangsu tells a part whose order is wrong in the URL and in the signature from one that is not signed so.
    if *claim.scheme == WOS2 && is_part(received) && signed(received.query, Order::AsSent) {
        return Err(abnormal());
    }
    let request = Request {
        method: received.method,
        bucket: received.bucket,
        key: received.key,
        query: received.query,
        headers: received.headers,
    };
    let to_sign = request.string_to_sign(claim.scheme, &claim.dates[0], Order::Sorted);
    let forgotten = || *claim.scheme == WOS2 && forgot_uploads(received, |query| signed(query, Order::Sorted));
    let message = if forgotten() {
        "The request signature we calculated does not match the signature"
    } else {
        "The request signature we calculated does not match the signature you provided."
    };
    Err(Fault::new(ErrorCode::SignatureDoesNotMatch, message)
        .with("AWSAccessKeyId", claim.access_key_id.clone())
        .with("StringToSign", to_sign))
}

/// Whether `uploads` is in the signature and not in the URL, or the reverse; its page has a sentence for that, and
/// another one for a name that is misspelled.
fn forgot_uploads(received: &Received<'_>, signed: impl Fn(&[(String, String)]) -> bool) -> bool {
    let is_uploads = |(name, _): &(String, String)| name == "uploads";
    let mut query = received.query.to_vec();
    if query.iter().any(is_uploads) {
        query.retain(|pair| !is_uploads(pair));
        return signed(&query);
    }
    let misspelled = query.iter().any(|(name, value)| value.is_empty() && !WOS2.signs(name));
    query.push(("uploads".to_owned(), String::new()));
    !misspelled && signed(&query)
}

/// Wangsu refuses a part whose signature and URL both lack one of the two parameters.
fn check_part(received: &Received<'_>) -> Result<()> {
    let has = |name| query_value(received.query, name).is_some();
    let lacks = received.method == "PUT" && received.key.is_some() && has("partNumber") != has("uploadId");
    if lacks { Err(abnormal()) } else { Ok(()) }
}

fn is_part(received: &Received<'_>) -> bool {
    received.method == "PUT"
        && ["partNumber", "uploadId"].iter().all(|name| query_value(received.query, name).is_some())
}

fn abnormal() -> Fault {
    Fault::new(ErrorCode::InvalidArgument, "Invalid Argument")
}
