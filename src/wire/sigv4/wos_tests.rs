//! Vectors of Wangsu's scheme: one that the vendor publishes, and others computed by other code than this.

use super::*;

/// One signed request and what it must give.
struct Vector {
    id: &'static str,
    secret: &'static str,
    time: &'static str,
    region: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static str,
    host: &'static str,
    payload_hash: &'static str,
    canonical_sha256: &'static str,
    signature: &'static str,
}

const SECRET: &str = "test-secret-key-0123456789abcdefghijklmn";
const HELLO: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

const COMPUTED: Vector = Vector {
    id: "",
    secret: SECRET,
    time: "20240102T030405Z",
    region: "cn-east-1",
    method: "GET",
    path: "/movie.mp4",
    query: "",
    host: "wos-bucket.s3-cn-east-1.wcsapi.com",
    payload_hash: UNSIGNED_PAYLOAD,
    canonical_sha256: "",
    signature: "",
};

fn check(vector: &Vector) {
    let query = uri::parse_query(vector.query).unwrap();
    let presigned = Presigned::is_in(&WOS4, &query);
    let own = [("x-wos-date", vector.time), ("x-wos-content-sha256", vector.payload_hash)];
    let headers: Vec<(&str, &str)> =
        [("host", vector.host)].into_iter().chain(own.into_iter().filter(|_| !presigned)).collect();
    let request = Request {
        method: vector.method,
        path: vector.path,
        query: &query,
        headers: &headers,
        payload_hash: vector.payload_hash,
    };
    let time = AmzDate::parse(vector.time).unwrap();
    let scope = Scope::new(&time, vector.region);
    let signed = request.header_names();
    let canonical = request.canonical(&WOS4, &signed);
    assert_eq!(sha256_hex(canonical.as_bytes()), vector.canonical_sha256, "{}: {canonical}", vector.id);
    let key = SigningKey::derive(&WOS4, vector.secret, &scope);
    assert_eq!(request.signature(&WOS4, &key, &time, &scope, &signed), vector.signature, "{}", vector.id);
}

#[test]
fn the_published_request_is_signed_as_published() {
    check(&Vector {
        id: "Signature calculation",
        secret: "968d43bc594af8622923d0681ddc367b35a8b23b",
        time: "20201103T104419Z",
        region: "cn-south-1",
        method: "DELETE",
        path: "/mine-type.mp4",
        host: "wcstest-r9-private.s3-cn-south-1.wcsapi.com",
        payload_hash: EMPTY_SHA256,
        canonical_sha256: "55f35c488a08877ce1bec27b2d852b4d242a135df3e9bc3bd60be027df455216",
        signature: "0243fe336dc075f95add64c5fe980ae6fd0446b243e0f301e4ad75d32d96dc6a",
        ..COMPUTED
    });
}

#[test]
fn vectors_v1_to_v3_initiate_part_and_url() {
    let vectors = [
        Vector {
            id: "V1",
            method: "POST",
            query: "uploads",
            canonical_sha256: "285a4b0777d76f50d23b80d56a85dcb4ee2b712067bd9c9258fb690c4a7f73f7",
            signature: "cef52670af91caa5ec6214e7f2b3260d5e20effd9851d7cb0a6ea8d11504372d",
            ..COMPUTED
        },
        Vector {
            id: "V2",
            method: "PUT",
            query: "uploadId=0123456789ABCDEF0123456789ABCDEF&partNumber=1",
            payload_hash: HELLO,
            canonical_sha256: "e2476c796c98a64db59e050f8ea6111a77581025ba172e63d736b1da291adf42",
            signature: "db0943a5c9e5f3c3965f69e232f852fd9893194905a1fb6e5c972480b8ec24cb",
            ..COMPUTED
        },
        Vector {
            id: "V3",
            query: "X-Wos-Algorithm=WOS-HMAC-SHA256&X-Wos-Credential=TESTACCESSKEY0001%2F20240102%2Fcn-east-1%2Fwos%2Fwos_request&X-Wos-Date=20240102T030405Z&X-Wos-Expires=300&X-Wos-SignedHeaders=host",
            canonical_sha256: "fd93a954115a9bae2b999666521472ba71c28468718ab657d8c6226d8ef70d5b",
            signature: "62ea74724707a1e8aea9553cfa8a5397915697b3be94e809dee6d342f9e35211",
            ..COMPUTED
        },
    ];
    vectors.iter().for_each(check);
    let scope = Scope { day: "20240102".into(), region: "cn-east-1".into() };
    let key = SigningKey::derive(&WOS4, SECRET, &scope);
    assert_eq!(HEXLOWER.encode(&key.0), "aa5fdea3ed0e5e968faf8d7f3eea9d612066577d661616813ac091dede927392");
}

#[test]
fn a_header_without_spaces_after_its_commas_is_read() {
    let header = "WOS-HMAC-SHA256 Credential=AK/20240102/cn-east-1/wos/wos_request,SignedHeaders=host;x-wos-date,Signature=62ea74724707a1e8aea9553cfa8a5397915697b3be94e809dee6d342f9e35211";
    let parsed = Authorization::parse(&WOS4, header).unwrap();
    assert_eq!((parsed.access_key_id.as_str(), parsed.scope.region.as_str()), ("AK", "cn-east-1"));
    assert_eq!(Authorization::parse(&WOS4, &parsed.header(&WOS4)), Ok(parsed));
    assert!(Authorization::parse(&AWS4, header).is_err(), "each scheme reads its own");
}

#[test]
fn repeated_headers_are_joined_or_lines() {
    let headers = [("host", "h"), ("x-wos-meta-a", "1"), ("x-wos-meta-a", " 2  3 ")];
    let request = Request { method: "GET", path: "/", query: &[], headers: &headers, payload_hash: UNSIGNED_PAYLOAD };
    let names = request.header_names();
    let joined = request.canonical(&WOS4, &names);
    let lines = request.canonical_in_lines(&WOS4, &names);
    assert!(joined.contains("\nhost:h\nx-wos-meta-a:1,2 3\n\nhost;x-wos-meta-a\n"), "{joined}");
    assert!(lines.contains("\nhost:h\nx-wos-meta-a:1\nx-wos-meta-a:2 3\n\nhost;x-wos-meta-a\n"), "{lines}");
}
