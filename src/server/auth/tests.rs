//! Published and computed vectors, and every way in which a request may fail to be what was signed.

mod altered;

use super::*;
use crate::server::dialect;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Authorization;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::uri::parse_query;
use crate::wire::uri::write_query;

const SECRET: &str = "test-secret-key-0123456789abcdefghijklmn";
const KEY: &str = "JDC_TESTACCESSKEY01";
const EMPTY: &str = sigv4::EMPTY_SHA256;

fn keys() -> KeyRing {
    KeyRing::new(Keys { access_key_id: KEY.into(), secret: SECRET.into() })
}

fn now() -> SystemTime {
    AmzDate::parse("20240102T030405Z").unwrap().time()
}

/// A request that can be changed after it was signed.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    path: &'static str,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    now: SystemTime,
}

impl Sent {
    fn verdict(&self) -> std::result::Result<Payload, ErrorCode> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let authorization = headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| *value);
        let spoken = dialect::tell(authorization, &self.query, dialect::Site::Other, Dialect::S3);
        let received = Received {
            method: self.method,
            path: self.path,
            query: &self.query,
            headers: &headers,
            now: self.now,
            bucket: None,
            key: None,
            region: None,
        };
        let accepted = authenticate(&keys(), &received, spoken).map_err(|fault| fault.code)?;
        assert_eq!(accepted.permissions, Permissions::ALL);
        Ok(accepted.payload)
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self
    }

    /// Signs all headers but `authorization` as they are.
    fn signed(self) -> Self {
        let time = AmzDate::new(self.now);
        let scope = Scope::new(&time, "cn-north-1");
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let hash = headers.iter().find(|(n, _)| *n == "x-amz-content-sha256").map_or("", |(_, v)| *v);
        let request = sigv4::Request {
            method: self.method,
            path: self.path,
            query: &self.query,
            headers: &headers,
            payload_hash: hash,
        };
        let names = request.header_names();
        let key = SigningKey::derive(&AWS4, SECRET, &scope);
        let signature = request.signature(&AWS4, &key, &time, &scope, &names);
        let authorization =
            Authorization { access_key_id: KEY.into(), scope, signed_headers: names, signature }.header(&AWS4);
        self.set("authorization", &authorization)
    }
}

/// Case A2 of the project's wire reference: a part with its digest.
fn part() -> Sent {
    Sent {
        method: "PUT",
        path: "/backup/big.bin",
        query: parse_query("partNumber=1&uploadId=0123456789ABCDEF").unwrap(),
        headers: vec![
            ("host", "mybucket.s3.cn-north-1.jdcloud-oss.com".into()),
            ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==".into()),
            ("x-amz-content-sha256", "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9".into()),
            ("x-amz-date", "20240102T030405Z".into()),
            (
                "authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={KEY}/20240102/cn-north-1/s3/aws4_request,\
                     SignedHeaders=content-md5;host;x-amz-content-sha256;x-amz-date,\
                     Signature=4f9d113a365d04c6d67ffe338d93be8270323622299d16e7795e927b08e51d4f"
                ),
            ),
        ],
        now: now(),
    }
}

/// Case A8: a presigned URL.
fn presigned() -> Sent {
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20240102%2Fcn-north-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20240102T030405Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=94f87740939de3ec36cb526c87e668696aad5e8f6645e4b14ab41df98766d08f"
    );
    Sent {
        method: "GET",
        path: "/backup/big.bin",
        query: parse_query(&query).unwrap(),
        headers: vec![("host", "mybucket.s3.cn-north-1.jdcloud-oss.com".into())],
        now: now(),
    }
}

#[test]
fn reference_requests_are_accepted() {
    assert!(matches!(part().verdict(), Ok(Payload::Sha256(hash)) if hash[0] == 0xb9));
    assert!(matches!(presigned().verdict(), Ok(Payload::Unsigned)));
    let token = Sent {
        method: "GET",
        path: "/mybucket/%E7%9B%AE%E5%BD%95/a%20b%2Bc~%281%29.txt",
        query: vec![],
        headers: vec![("host", "127.0.0.1:9000".into())],
        now: now(),
    };
    let token = token
        .set("x-amz-content-sha256", EMPTY)
        .set("x-amz-date", "20240102T030405Z")
        .set("x-amz-security-token", "TOKEN123")
        .set(
            "authorization",
            &format!(
                "AWS4-HMAC-SHA256 Credential={KEY}/20240102/cn-north-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, \
                 Signature=2e777dd503287933179fe1a1b96f48fb6beb88401e5908e1df9ac0d587463391"
            ),
        );
    assert!(token.verdict().is_ok(), "a session token that is signed");
    assert_eq!(token.set("x-amz-security-token", "OTHER").verdict().unwrap_err(), ErrorCode::SignatureDoesNotMatch);
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let mut other_method = part();
    other_method.method = "POST";
    let mut other_path = part();
    other_path.path = "/backup/other.bin";
    let mut other_query = part();
    other_query.query[0].1 = "2".into();
    let wrong = ErrorCode::SignatureDoesNotMatch;
    let rows = [
        (other_method, wrong, "another method"),
        (other_path, wrong, "another path"),
        (other_query, wrong, "another query"),
        (part().set("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), wrong, "a signed header"),
        (part().set("x-amz-content-sha256", EMPTY), wrong, "another body"),
        (part().set("host", "elsewhere"), wrong, "another host"),
        (part().without("content-md5"), wrong, "a signed header is gone"),
        (part().set("x-amz-meta-extra", "1"), ErrorCode::AccessDenied, "an x-amz header that is not signed"),
        (part().set("content-type", "text/plain"), wrong, "see below"),
    ];
    for (sent, want, why) in rows {
        let verdict = sent.verdict();
        if why == "see below" {
            assert!(verdict.is_ok(), "other headers need not be signed");
        } else {
            assert_eq!(verdict.unwrap_err(), want, "{why}");
        }
    }
}

#[test]
fn credentials_are_checked_in_order() {
    let header = |text: &str| part().set("authorization", text);
    let scope = "20240102/cn-north-1/s3/aws4_request";
    let signature = "4f9d113a365d04c6d67ffe338d93be8270323622299d16e7795e927b08e51d4f";
    let names = "host;x-amz-content-sha256;x-amz-date";
    let scheme = "AWS4-HMAC-SHA256";
    let rows = [
        (part().without("authorization"), ErrorCode::AccessDenied, "anonymous"),
        (header(""), ErrorCode::InvalidRequest, "an empty header"),
        (header("Basic dXNlcg=="), ErrorCode::InvalidRequest, "another mechanism"),
        (header("AWS AK:c2ln"), ErrorCode::InvalidAccessKeyId, "the old signature, of an unknown key"),
        (header(&format!("{scheme} nonsense")), ErrorCode::AuthorizationHeaderMalformed, "no fields"),
        (
            header(&format!("{scheme} Credential=x, SignedHeaders={names}, Signature={signature}")),
            ErrorCode::AuthorizationHeaderMalformed,
            "no scope",
        ),
        (
            header(&format!("{scheme} Credential={KEY}/{scope}, Signature={signature}")),
            ErrorCode::AuthorizationHeaderMalformed,
            "no signed headers",
        ),
        (
            header(&format!("{scheme} Credential={KEY}/{scope}, SignedHeaders={names}, Signature=short")),
            ErrorCode::AuthorizationHeaderMalformed,
            "no signature",
        ),
        (
            header(&format!("{scheme} Credential=NOBODY/{scope}, SignedHeaders={names}, Signature={signature}")),
            ErrorCode::InvalidAccessKeyId,
            "an unknown key",
        ),
        (
            header(&format!(
                "{scheme} Credential={KEY}/{scope}, SignedHeaders=x-amz-date;x-amz-content-sha256, Signature={signature}"
            )),
            ErrorCode::AccessDenied,
            "the host is not signed",
        ),
        (
            header(&format!(
                "{scheme} Credential={KEY}/20240101/cn-north-1/s3/aws4_request, SignedHeaders={names}, Signature={signature}"
            )),
            ErrorCode::AuthorizationHeaderMalformed,
            "the scope of another day",
        ),
        (part().without("x-amz-date"), ErrorCode::AccessDenied, "no date"),
        (part().set("x-amz-date", "yesterday"), ErrorCode::AccessDenied, "no date"),
        (part().without("x-amz-content-sha256"), ErrorCode::InvalidRequest, "no payload hash"),
        (
            part().set("x-amz-content-sha256", "abc").without("authorization").signed(),
            ErrorCode::InvalidArgument,
            "no hash",
        ),
    ];
    for (sent, want, why) in rows {
        assert_eq!(sent.verdict().unwrap_err(), want, "{why}");
    }
}

#[test]
fn clocks_may_differ_by_a_quarter_of_an_hour() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (off, want) in
        [(14, None), (16, Some(ErrorCode::RequestTimeTooSkewed)), (20, Some(ErrorCode::RequestTimeTooSkewed))]
    {
        for moved in [now() + minutes(off), now() - minutes(off)] {
            let sent = Sent { now: moved, ..part() };
            assert_eq!(sent.verdict().err(), want, "{off} minutes");
        }
    }
    let dated = part().without("x-amz-date").set("date", "Tue, 02 Jan 2024 03:04:05 GMT").without("authorization");
    assert!(dated.clone().signed().verdict().is_ok(), "the Date header will do");
    let late = Sent { now: now() + minutes(20), ..dated.signed() };
    assert_eq!(late.verdict().unwrap_err(), ErrorCode::RequestTimeTooSkewed);
}

#[test]
fn presigned_urls_are_valid_for_their_time() {
    let at = |seconds: i64| {
        let offset = Duration::from_secs(seconds.unsigned_abs());
        let now = if seconds < 0 { now() - offset } else { now() + offset };
        Sent { now, ..presigned() }.verdict().err()
    };
    assert_eq!(at(3600), None, "to the last second");
    assert_eq!(at(3601), Some(ErrorCode::AccessDenied), "expired");
    assert_eq!(at(-600), None, "a clock that is a little behind");
    assert_eq!(at(-1200), Some(ErrorCode::RequestTimeTooSkewed), "not valid yet");
    let replaced = |from: &str, to: &str| {
        let text = write_query(presigned().query.iter().map(|(n, v)| (n.as_str(), v.as_str()))).replace(from, to);
        Sent { query: parse_query(&text).unwrap(), ..presigned() }.verdict().err()
    };
    assert_eq!(replaced("Expires=3600", "Expires=7200"), Some(ErrorCode::SignatureDoesNotMatch));
    assert_eq!(replaced("Expires=3600", "Expires=604801"), Some(ErrorCode::AuthorizationQueryParametersError));
    assert_eq!(replaced("Signature=94", "Signature=95"), Some(ErrorCode::SignatureDoesNotMatch));
    assert_eq!(replaced("X-Amz-Date", "X-Amz-Dat"), Some(ErrorCode::AuthorizationQueryParametersError));
    let old = Sent { query: parse_query("AWSAccessKeyId=a&Expires=1&Signature=b").unwrap(), ..presigned() };
    assert_eq!(old.verdict().unwrap_err(), ErrorCode::AccessDenied, "the old signature, expired");
    let both = presigned().set("authorization", "AWS4-HMAC-SHA256 Credential=x");
    assert_eq!(both.verdict().unwrap_err(), ErrorCode::InvalidArgument, "signed in two places");
    let unsigned = presigned().set("x-amz-meta-a", "b");
    assert_eq!(unsigned.verdict().unwrap_err(), ErrorCode::AccessDenied, "a header that the URL does not cover");
}

#[test]
fn each_form_of_payload_is_told() {
    let with = |hash: &str| part().set("x-amz-content-sha256", hash).without("authorization").signed().verdict();
    assert!(matches!(with("UNSIGNED-PAYLOAD"), Ok(Payload::Unsigned)));
    assert!(matches!(with("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), Ok(Payload::ChunkedUnsigned)));
    assert!(matches!(with("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), Ok(Payload::ChunkedSigned(_))));
    assert!(matches!(with("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), Ok(Payload::ChunkedSignedTrailer(_))));
    assert!(matches!(with(EMPTY), Ok(Payload::Sha256(_))));
    assert_eq!(with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").unwrap_err(), ErrorCode::InvalidArgument);
}
