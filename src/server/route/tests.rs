//! Every operation, every address, and what must not be taken for one of them.

use super::*;
use crate::http::HeaderMap;
use crate::wire::uri::parse_query;
use proptest::prelude::*;

/// Routes `METHOD path?query` with headers `name: value`.
fn routed(request: &str, headers: &[(&str, &str)]) -> Result<Operation> {
    routed_at("127.0.0.1:9000", request, headers)
}

fn routed_at(host: &str, request: &str, headers: &[(&str, &str)]) -> Result<Operation> {
    routed_in(Dialect::S3, host, request, headers)
}

fn routed_in(dialect: Dialect, host: &str, request: &str, headers: &[(&str, &str)]) -> Result<Operation> {
    let (method, target) = request.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = parse_query(query).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = crate::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, crate::http::HeaderValue::from_str(value).unwrap());
    }
    let base_domains = ["s3.example.com".to_owned()];
    let place = crate::server::dialect::place(host, &base_domains);
    let fields = Fields::new(&map, &query, dialect, Hoisting::Own)?;
    route(&Asked { method, place, path, query: &query, fields: &fields, hoisting: Hoisting::Own, strict: false })
}

fn named(request: &str, headers: &[(&str, &str)]) -> std::result::Result<&'static str, ErrorCode> {
    routed(request, headers).map(|operation| operation.name()).map_err(|fault| fault.code)
}

#[test]
fn every_operation_is_found() {
    let source = [("x-amz-copy-source", "/bkt/s")];
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let rows: &[Row<'_>] = &[
        ("GET /", &[], "ListBuckets"),
        ("GET /?x-id=ListBuckets", &[], "ListBuckets"),
        ("PUT /bkt", &[], "CreateBucket"),
        ("PUT /bkt/", &[], "CreateBucket"),
        ("DELETE /bkt", &[], "DeleteBucket"),
        ("HEAD /bkt", &[], "HeadBucket"),
        ("GET /bkt?location", &[], "GetBucketLocation"),
        ("GET /bkt", &[], "ListObjects"),
        ("GET /bkt/?prefix=a&marker=b&delimiter=/&max-keys=1&encoding-type=url", &[], "ListObjects"),
        ("GET /bkt?list-type=2", &[], "ListObjectsV2"),
        ("GET /bkt?list-type=2&start-after=a&fetch-owner=true&metadata=true", &[], "ListObjectsV2"),
        ("GET /bkt?uploads", &[], "ListMultipartUploads"),
        ("GET /bkt?uploads&prefix=a&max-uploads=3&key-marker=b&upload-id-marker=c", &[], "ListMultipartUploads"),
        ("POST /bkt?delete", &[], "DeleteObjects"),
        ("POST /bkt?delete=", &[], "DeleteObjects"),
        ("PUT /bkt/k", &[], "PutObject"),
        ("PUT /bkt/k?x-id=PutObject", &[], "PutObject"),
        ("PUT /bkt/k", &source, "CopyObject"),
        ("GET /bkt/k", &[], "GetObject"),
        ("GET /bkt/k?response-content-type=a/b&partNumber=2", &[], "GetObject"),
        ("HEAD /bkt/k", &[], "HeadObject"),
        ("DELETE /bkt/k", &[], "DeleteObject"),
        ("POST /bkt/k?uploads", &[], "CreateMultipartUpload"),
        ("PUT /bkt/k?partNumber=1&uploadId=u", &[], "UploadPart"),
        ("PUT /bkt/k?uploadId=u&partNumber=10000", &[], "UploadPart"),
        ("PUT /bkt/k?partNumber=1&uploadId=u", &source, "UploadPartCopy"),
        ("GET /bkt/k?uploadId=u", &[], "ListParts"),
        ("GET /bkt/k?uploadId=u&max-parts=2&part-number-marker=7", &[], "ListParts"),
        ("POST /bkt/k?uploadId=u", &[], "CompleteMultipartUpload"),
        ("DELETE /bkt/k?uploadId=u", &[], "AbortMultipartUpload"),
        (
            "GET /bkt/k?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Date=c&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=s",
            &[],
            "GetObject",
        ),
    ];
    for (request, headers, want) in rows {
        assert_eq!(named(request, headers), Ok(*want), "{request}");
    }
}

#[test]
fn what_is_not_known_is_taken_for_nothing_simpler() {
    let subresources = [
        "acl",
        "tagging",
        "versioning",
        "versions",
        "policy",
        "lifecycle",
        "cors",
        "website",
        "notification",
        "encryption",
        "replication",
        "logging",
        "object-lock",
        "legal-hold",
        "retention",
        "torrent",
        "restore",
        "select",
        "attributes",
        "versionId=1",
        "requestPayment",
        "accelerate",
        "inventory",
        "metrics",
        "analytics",
        "publicAccessBlock",
        "ownershipControls",
        "policyStatus",
        "intelligent-tiering",
        "renameObject",
        "append",
        "unheard-of",
    ];
    for subresource in subresources {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
            for path in ["/bkt", "/bkt/k"] {
                let request = format!("{method} {path}?{subresource}");
                assert_eq!(named(&request, &[]), Err(ErrorCode::NotImplemented), "{request}");
            }
        }
    }
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    let rows: &[(&str, &str, &str, bool)] = &[
        // method, header, value, accepted
        ("PUT", "x-amz-acl", "private", true),
        ("PUT", "x-amz-acl", "public-read", false),
        ("PUT", "x-amz-grant-read", "id=1", false),
        ("PUT", "x-amz-tagging", "a=b", false),
        ("PUT", "x-amz-server-side-encryption", "AES256", true),
        ("PUT", "x-amz-server-side-encryption-customer-key", "a", false),
        ("GET", "x-amz-server-side-encryption-customer-key", "a", false),
        ("PUT", "x-amz-object-lock-mode", "GOVERNANCE", false),
        ("PUT", "x-amz-website-redirect-location", "/", false),
        ("PUT", "x-amz-write-offset-bytes", "0", false),
        ("PUT", "x-amz-expected-bucket-owner", "1", false),
        ("DELETE", "x-amz-if-match-size", "1", false),
        ("DELETE", "x-amz-mfa", "1", false),
        ("PUT", "x-amz-meta-anything", "1", true),
        ("PUT", "x-amz-storage-class", "STANDARD_IA", true),
        ("PUT", "x-amz-checksum-crc64nvme", "a", true),
        ("PUT", "x-amz-sdk-checksum-algorithm", "CRC32", true),
        ("PUT", "x-amz-request-payer", "requester", true),
        ("GET", "x-amz-checksum-mode", "ENABLED", true),
        ("GET", "x-amz-whatever", "1", true),
        ("PUT", "x-amz-whatever", "1", false),
    ];
    for (method, header, value, accepted) in rows {
        let got = named(&format!("{method} /bkt/k"), &[(header, value)]);
        assert_eq!(got.is_ok(), *accepted, "{method} with {header}: {value}: {got:?}");
        let hoisted = named(&format!("{method} /bkt/k?{header}={value}"), &[]);
        assert_eq!(hoisted.is_ok(), *accepted, "{method} with {header}={value} in the query: {hoisted:?}");
    }
}

#[test]
fn addresses_are_read_in_both_styles() {
    type Address = std::result::Result<(&'static str, Option<&'static str>), ErrorCode>;
    let rows: &[(&str, &str, Address, &str)] = &[
        ("127.0.0.1:9000", "/bkt/k", Ok(("bkt", Some("k"))), "path style"),
        ("localhost", "/bkt/k", Ok(("bkt", Some("k"))), "path style"),
        ("[::1]:9000", "/bkt/k", Ok(("bkt", Some("k"))), "path style"),
        ("elsewhere.org", "/bkt/k", Ok(("bkt", Some("k"))), "no base domain of ours"),
        ("s3.example.com:80", "/bkt/k", Ok(("bkt", Some("k"))), "the base domain itself"),
        ("bkt.localhost:9000", "/k/l", Ok(("bkt", Some("k/l"))), "virtual host"),
        ("my.bkt.S3.Example.com", "/k", Ok(("my.bkt", Some("k"))), "virtual host, any case"),
        ("bkt.localhost", "/", Ok(("bkt", None)), "the bucket itself"),
        ("xlocalhost", "/bkt", Ok(("bkt", None)), "another name that ends so"),
        (".localhost", "/bkt", Err(ErrorCode::InvalidBucketName), "an empty bucket"),
        ("Bad_Name.localhost", "/k", Err(ErrorCode::InvalidBucketName), "not a bucket's name"),
        ("h", "/bkt/", Ok(("bkt", None)), "a slash behind the bucket"),
        ("h", "/bkt//k", Ok(("bkt", Some("/k"))), "a key that begins with a slash"),
        ("h", "/bkt/a//b/../c/.", Ok(("bkt", Some("a//b/../c/."))), "nothing is normalised"),
        ("h", "/bkt/..", Ok(("bkt", Some(".."))), "plain bytes of a key"),
        ("h", "/bkt/%2e%2e%2f%2e%2e", Ok(("bkt", Some("../.."))), "plain bytes of a key"),
        ("h", "/bkt/a%20b+c%2B", Ok(("bkt", Some("a b+c+"))), "a plus is a plus"),
        ("h", "/bkt/%00", Ok(("bkt", Some("\0"))), "a zero byte"),
        ("h", "//k", Err(ErrorCode::InvalidBucketName), "an empty bucket"),
        ("h", "/%2e%2e/k", Err(ErrorCode::InvalidBucketName), "dots"),
        ("h", "/bk%00t/k", Err(ErrorCode::InvalidBucketName), "a zero byte in the bucket"),
        ("h", "/Bkt/k", Err(ErrorCode::InvalidBucketName), "upper case"),
        ("h", "/192.168.0.1/k", Err(ErrorCode::InvalidBucketName), "an address"),
        ("h", "/bkt/%ff", Err(ErrorCode::InvalidURI), "invalid UTF-8"),
        ("h", "/bkt/%c0%af", Err(ErrorCode::InvalidURI), "an overlong slash"),
        ("h", "/bkt/%zz", Err(ErrorCode::InvalidURI), "a bad escape"),
        ("h", "/bkt/%", Err(ErrorCode::InvalidURI), "a cut escape"),
        ("h", "*", Err(ErrorCode::InvalidURI), "no path"),
    ];
    for (host, path, want, why) in rows {
        let got = routed_at(host, &format!("HEAD {path}"), &[]).map_err(|fault| fault.code);
        let got = got.map(|operation| match operation {
            Operation::ListBuckets => unreachable!("a HEAD is none"),
            Operation::Bucket(bucket, _) => (bucket, None),
            Operation::Object(name, _) => (name.bucket, Some(name.key)),
        });
        let want = want.map(|(bucket, key)| (bucket.to_owned(), key.map(str::to_owned)));
        assert_eq!(got, want, "{host} {path}: {why}");
    }
}

#[test]
fn keys_have_1024_bytes_at_most() {
    let named = |key: &str| routed(&format!("PUT /bkt/{key}"), &[]).map(|_| ()).map_err(|fault| fault.code);
    assert_eq!(named(&"a".repeat(1024)), Ok(()));
    assert_eq!(named(&"a".repeat(1025)), Err(ErrorCode::KeyTooLongError));
    assert_eq!(named(&"%61".repeat(1024)), Ok(()), "decoded bytes count");
    assert_eq!(named(&"%C3%A9".repeat(513)), Err(ErrorCode::KeyTooLongError), "bytes, not characters");
}

#[test]
fn parameters_are_held_to_their_ranges() {
    let rows: &[(&str, ErrorCode)] = &[
        ("PUT /bkt/k?partNumber=0&uploadId=u", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?partNumber=10001&uploadId=u", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?partNumber=-1&uploadId=u", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?partNumber=%2B1&uploadId=u", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?partNumber=x&uploadId=u", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?partNumber=1", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?uploadId=u", ErrorCode::InvalidArgument),
        ("PUT /bkt/k?partNumber=1&uploadId=", ErrorCode::InvalidArgument),
        ("GET /bkt/k?partNumber=0", ErrorCode::InvalidArgument),
        ("GET /bkt?max-keys=-1", ErrorCode::InvalidArgument),
        ("GET /bkt?max-keys=many", ErrorCode::InvalidArgument),
        ("GET /bkt?encoding-type=base64", ErrorCode::InvalidArgument),
        ("GET /bkt?list-type=3", ErrorCode::InvalidArgument),
        ("GET /bkt?list-type=2&continuation-token=%21", ErrorCode::InvalidArgument),
        ("GET /bkt?list-type=2&continuation-token=", ErrorCode::InvalidArgument),
        ("GET /bkt/k?response-content-type=a%0D%0Ax-evil:1", ErrorCode::InvalidArgument),
        ("PATCH /bkt/k", ErrorCode::MethodNotAllowed),
        ("PUT /", ErrorCode::MethodNotAllowed),
        ("POST /bkt", ErrorCode::NotImplemented),
        ("POST /bkt/k", ErrorCode::NotImplemented),
    ];
    for (request, want) in rows {
        assert_eq!(named(request, &[]), Err(*want), "{request}");
    }
    let limit = |query: &str| match routed(&format!("GET /bkt?{query}"), &[]) {
        Ok(Operation::Bucket(_, OnBucket::ListObjects(list))) => list.limit,
        other => panic!("{other:?}"),
    };
    assert_eq!((limit("max-keys=0"), limit("max-keys=5"), limit("max-keys=99999999999999999999")), (0, 5, 1000));
    assert_eq!((limit(""), limit("max-keys=")), (1000, 1000));
}

#[test]
fn names_of_buckets_follow_the_rules() {
    for good in ["abc", "a-b", "a.b", "0123456789", &"a".repeat(63), "1.2.3"] {
        assert!(is_bucket_name(good), "{good}");
    }
    for bad in
        ["", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "1.2.3.4", "a/b", "a\0b", "é12", &"a".repeat(64)]
    {
        assert!(!is_bucket_name(bad), "{bad:?}");
    }
}

#[test]
fn each_dialect_has_its_own_operations() {
    let (s3, jss, wos) = (Dialect::S3, Dialect::Jss, Dialect::Wos);
    type Row<'a> = (Dialect, &'a str, &'a [(&'a str, &'a str)], std::result::Result<&'static str, ErrorCode>);
    let rows: &[Row<'_>] = &[
        (jss, "POST /bkt/k?uploads", &[], Ok("CreateMultipartUpload")),
        (jss, "PUT /bkt/k", &[("x-jss-move-source", "/bkt/s")], Ok("MoveObject")),
        (jss, "PUT /bkt/k", &[("x-jss-copy-source", "/bkt/s")], Ok("CopyObject")),
        (jss, "PUT /bkt/k", &[("x-amz-copy-source", "/bkt/s")], Ok("PutObject")),
        (s3, "PUT /bkt/k", &[("x-amz-move-source", "/bkt/s")], Err(ErrorCode::NotImplemented)),
        (wos, "PUT /bkt/k", &[("x-wos-move-source", "/bkt/s")], Err(ErrorCode::NotImplemented)),
        (jss, "POST /bkt?delete", &[], Err(ErrorCode::NotImplemented)),
        (wos, "POST /bkt?delete", &[], Ok("DeleteObjects")),
        (jss, "GET /bkt?list-type=2", &[], Err(ErrorCode::NotImplemented)),
        (wos, "GET /bkt?list-type=2", &[], Ok("ListObjectsV2")),
        (jss, "GET /bkt?maxKeys=5&prefix=a&marker=b&delimiter=/", &[], Ok("ListObjects")),
        (s3, "GET /bkt?maxKeys=5", &[], Err(ErrorCode::NotImplemented)),
        (wos, "GET /bkt?startTime=1&endTime=2", &[], Ok("ListObjects")),
        (s3, "GET /bkt?startTime=1", &[], Err(ErrorCode::NotImplemented)),
        (wos, "GET /bkt?startTime=soon", &[], Err(ErrorCode::InvalidArgument)),
        (wos, "POST /bkt/k?append&position=0", &[], Err(ErrorCode::NotImplemented)),
        (jss, "GET /bkt?location", &[], Err(ErrorCode::NotImplemented)),
        (jss, "PUT /bkt/k?partNumber=10001&uploadId=u", &[], Err(ErrorCode::TooManyParts)),
        (jss, "PUT /bkt/k?partNumber=0&uploadId=u", &[], Err(ErrorCode::InvalidArgument)),
        (wos, "PUT /bkt/k?partNumber=10001&uploadId=u", &[], Err(ErrorCode::InvalidArgument)),
        (jss, "GET /bkt/k?contentType=a/b&cacheControl=no-store", &[], Ok("GetObject")),
        (s3, "GET /bkt/k?contentType=a/b", &[], Err(ErrorCode::NotImplemented)),
        (wos, "GET /bkt/k?uploadId=u&max-parts=1001", &[], Err(ErrorCode::InvalidArgument)),
        (jss, "GET /bkt/k?uploadId=u&max-parts=1001", &[], Ok("ListParts")),
    ];
    for (dialect, request, headers, want) in rows {
        let got = routed_in(*dialect, "h", request, headers).map(|operation| operation.name());
        assert_eq!(got.map_err(|fault| fault.code), *want, "{dialect}: {request}");
    }
    let limit = |dialect, query: &str| match routed_in(dialect, "h", &format!("GET /bkt?{query}"), &[]) {
        Ok(Operation::Bucket(_, OnBucket::ListObjects(list))) => list.limit,
        other => panic!("{other:?}"),
    };
    assert_eq!((limit(jss, "maxKeys=-1"), limit(jss, "max-keys=1001"), limit(jss, "maxKeys=0")), (1000, 1000, 0));
    assert_eq!((limit(wos, "max-keys=0"), limit(wos, "max-keys=7")), (1000, 7));
}

#[test]
fn keys_are_as_long_as_each_dialect_allows() {
    let jd = "mybucket.s3.cn-north-1.jdcloud-oss.com";
    let rows = [
        (Dialect::S3, "mybucket.localhost", 1024, None),
        (Dialect::S3, jd, 1022, None),
        (Dialect::S3, jd, 1023, Some(ErrorCode::KeyTooLongError)),
        (Dialect::Jss, "mybucket.s.jcloud.com", 1022, None),
        (Dialect::Jss, "mybucket.s.jcloud.com", 1023, Some(ErrorCode::InvalidArgument)),
        (Dialect::Wos, "mybucket.s3-cn-east-1.wcsapi.com", 1024, None),
        (Dialect::Wos, "mybucket.s3-cn-east-1.wcsapi.com", 1025, Some(ErrorCode::KeyTooLongError)),
    ];
    for (dialect, host, bytes, want) in rows {
        let got = routed_in(dialect, host, &format!("PUT /{}", "k".repeat(bytes)), &[]);
        assert_eq!(got.err().map(|fault| fault.code), want, "{dialect} {host} {bytes}");
    }
}

proptest! {
    #[test]
    fn tokens_lead_to_the_name_they_were_made_of(name in ".{1,30}") {
        let request = format!("GET /bkt?list-type=2&continuation-token={}", continuation_token(&name));
        let Ok(Operation::Bucket(_, OnBucket::ListObjects(list))) = routed(&request, &[]) else { panic!() };
        let ListVersion::V2 { token: Some((_, got)), .. } = list.version else { panic!() };
        prop_assert_eq!(got, name);
    }

    #[test]
    fn no_request_panics(method in "[A-Z]{3,6}", host in "[a-z.:\\[\\]0-9]{0,20}", path in "/[a-z%0-9./]{0,30}") {
        let _ = routed_at(&host, &format!("{method} {path}"), &[]);
    }
}
