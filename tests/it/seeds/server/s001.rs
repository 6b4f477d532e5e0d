//! Seed 001: Wangsu's "InitiateMultipartUpload", API version 2.

use super::asking::READER;
use super::asking::Vendor;
use super::asking::WOS;
use super::asking::WOS_NEW;
use super::asking::base64_md5;
use super::asking::refusal;
use super::asking::upload_id;
use super::asking::with_reader;
use super::s000::document;
use crate::protocol::raw::Running;
use brigade::wire::dialect::Dialect;
use md5::Digest;
use md5::Md5;
use std::collections::BTreeSet;

const BOTH: [Vendor; 2] = [WOS, WOS_NEW];

#[test]
fn seed_001_01_a_part_needs_an_upload() {
    let running = Running::start();
    let invented = "PUT /k?partNumber=1&uploadId=0123456789ABCDEF0123456789ABCDEF";
    for vendor in BOTH {
        assert_eq!(refusal(&vendor.send(&running, invented, &[], b"x")), (404, "NoSuchUpload".into()));
    }
}

#[test]
fn seed_001_02_ids_are_unique_everywhere_and_after_a_restart() {
    let mut running = Running::start();
    let second = Vendor { host: "bkt-2.s3-cn-east-1.wcsapi.com", bucket: "bkt-2", ..WOS };
    assert_eq!(second.send(&running, "PUT /", &[], b"").status, 200);
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        for vendor in [WOS, second, super::asking::JSS, super::asking::JD] {
            for _ in 0..20 {
                assert!(ids.insert(vendor.begin(&running, &[])));
            }
        }
        running.restart();
    }
    assert_eq!(ids.len(), 160);
}

#[test]
fn seed_001_03_the_id_serves_part_list_and_complete() {
    let running = Running::start();
    for vendor in BOTH {
        let id = vendor.begin(&running, &[]);
        let tag = vendor.part(&running, &id, 1, b"hello");
        assert_eq!(vendor.send(&running, &format!("GET /k?uploadId={id}"), &[], b"").elements("PartNumber"), ["1"]);
        assert_eq!(vendor.send(&running, "GET /?uploads", &[], b"").elements("UploadId"), [id.as_str()]);
        let done = vendor.complete(&running, &id, &[(1, &tag)]);
        let want = Dialect::Wos.etag_of_parts([Md5::digest(b"hello").into()]);
        assert_eq!(done.element("ETag").as_deref(), Some(want.as_str()), "without quotes");
        assert_eq!(refusal(&vendor.complete(&running, &id, &[(1, &tag)])), (404, "NoSuchUpload".into()), "it is void");
        let other = vendor.begin(&running, &[]);
        let aborted = vendor.send(&running, &format!("DELETE /k?uploadId={other}"), &[], b"");
        assert_eq!((aborted.status, aborted.body.len()), (200, 0));
    }
}

#[test]
fn seed_001_04_one_object_may_have_several_uploads() {
    let running = Running::start();
    let (one, other) = (WOS.begin(&running, &[]), WOS.begin(&running, &[]));
    assert_ne!(one, other);
    let (tag, late) = (WOS.part(&running, &one, 1, b"one"), WOS.part(&running, &other, 1, b"other"));
    assert_eq!(WOS.complete(&running, &one, &[(1, &tag)]).status, 200);
    assert_eq!(WOS.complete(&running, &other, &[(1, &late)]).status, 200, "the other is still alive");
    assert_eq!(WOS.send(&running, "GET /k", &[], b"").body, b"other");
}

#[test]
fn seed_001_05_each_upload_has_headers_of_its_own() {
    let running = Running::start();
    let ids = ["a", "b"].map(|value| WOS.begin(&running, &[("x-wos-meta-m", value), ("content-type", value)]));
    for (id, value) in ids.iter().zip(["a", "b"]) {
        let tag = WOS.part(&running, id, 1, b"hello");
        assert_eq!(WOS.complete(&running, id, &[(1, &tag)]).status, 200);
        let head = WOS.send(&running, "HEAD /k", &[], b"");
        assert_eq!((head.header("x-wos-meta-m"), head.header("content-type")), (Some(value), Some(value)));
    }
}

#[test]
fn seed_001_06_who_may_only_read_cannot_begin() {
    let running = with_reader();
    assert_eq!(WOS.send(&running, "PUT /k", &[], b"hello").status, 200);
    for vendor in BOTH {
        let ask = |request: &str| vendor.ask(request).by(READER).send(&running);
        assert_eq!(refusal(&ask("POST /k?uploads")), (403, "AccessDenied".into()));
        for writes in ["PUT /k", "DELETE /k", "POST /?delete", "PUT /", "DELETE /k?uploadId=0", "POST /k?uploadId=0"] {
            assert_eq!(refusal(&ask(writes)), (403, "AccessDenied".into()), "{writes}");
        }
        assert_eq!(ask("GET /k").body, b"hello");
        assert_eq!(ask("GET /").status, 200);
    }
    let expects = [("expect", "100-continue"), ("content-length", "10")];
    let mut connection = WOS.ask("PUT /k").by(READER).headers(&expects).send_head(&running);
    assert_eq!(connection.answer(false).status, 403, "before the body");
    assert_eq!(running.usage().uploads, 0);
}

#[test]
fn seed_001_07_the_host_is_bucket_and_endpoint() {
    let running = Running::start();
    let answer = WOS.send(&running, "POST /movie.mp4?uploads", &[], b"");
    assert_eq!(
        (answer.element("Bucket").as_deref(), answer.element("Key").as_deref()),
        (Some("bkt"), Some("movie.mp4"))
    );
    let by_path = Vendor { host: "s3-cn-east-1.wcsapi.com", bucket: "", ..WOS };
    assert_eq!(
        by_path.send(&running, "POST /bkt/movie.mp4?uploads", &[], b"").element("Bucket").as_deref(),
        Some("bkt")
    );
}

#[test]
fn seed_001_08_headers_of_the_object_are_kept() {
    let running = Running::start();
    let headers = [
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-type", "video/mp4"),
        ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
    ];
    let digest = base64_md5(b"");
    let all: Vec<(&str, &str)> =
        headers.into_iter().chain([("content-length", "0"), ("content-md5", digest.as_str())]).collect();
    for vendor in BOTH {
        vendor.upload(&running, &all, b"hello");
        for method in ["GET", "HEAD"] {
            let got = vendor.send(&running, &format!("{method} /k"), &[], b"");
            for (name, value) in headers {
                assert_eq!(got.header(name), Some(value), "{method} {name}");
            }
        }
    }
}

#[test]
fn seed_001_09_a_wrong_md5_is_403() {
    let running = Running::start();
    let wrong = base64_md5(b"something else");
    for vendor in BOTH {
        let id = vendor.begin(&running, &[]);
        let part = format!("PUT /k?partNumber=1&uploadId={id}");
        for request in ["POST /k?uploads", part.as_str(), "PUT /k"] {
            let refused = vendor.send(&running, request, &[("content-md5", &wrong)], b"hello");
            assert_eq!(refusal(&refused), (403, "SignatureDoesNotMatch".into()), "{request}");
            let malformed = vendor.send(&running, request, &[("content-md5", "x")], b"hello");
            assert_eq!(refusal(&malformed), (403, "SignatureDoesNotMatch".into()), "{request}");
        }
        assert_eq!(vendor.send(&running, &part, &[("content-md5", &base64_md5(b"hello"))], b"hello").status, 200);
    }
    assert_eq!(WOS.send(&running, "HEAD /k", &[], b"").status, 404, "nothing of it was stored");
}

#[test]
fn seed_001_10_storage_classes_are_these_three() {
    let running = Running::start();
    for class in ["Standard", "IA", "Archive"] {
        WOS.upload(&running, &[("x-wos-storage-class", class)], b"hello");
        assert_eq!(WOS.send(&running, "HEAD /k", &[], b"").header("x-wos-storage-class"), Some(class));
    }
    for class in ["STANDARD_IA", "Cold", "GLACIER", "x"] {
        let refused = WOS.send(&running, "POST /k?uploads", &[("x-wos-storage-class", class)], b"");
        assert_eq!(refusal(&refused), (400, "InvalidArgument".into()), "{class}");
    }
}

#[test]
fn seed_001_11_the_default_class_is_the_buckets() {
    let mut running = Running::start();
    let cold = Vendor { host: "cold.s3-cn-east-1.wcsapi.com", bucket: "cold", ..WOS };
    assert_eq!(cold.send(&running, "PUT /", &[("x-wos-storage-class", "IA")], b"").status, 200);
    running.restart();
    let class = |running: &Running, key: &str| {
        cold.send(running, &format!("HEAD /{key}"), &[], b"").header("x-wos-storage-class").map(str::to_owned)
    };
    cold.upload(&running, &[], b"hello");
    assert_eq!(class(&running, "k").as_deref(), Some("IA"), "by parts");
    cold.send(&running, "PUT /p", &[], b"hello");
    assert_eq!(class(&running, "p").as_deref(), Some("IA"), "at once");
    cold.send(&running, "PUT /c", &[("x-wos-copy-source", "/cold/p")], b"");
    assert_eq!(class(&running, "c").as_deref(), Some("IA"), "by a copy");
    cold.send(&running, "PUT /s", &[("x-wos-storage-class", "Standard")], b"hello");
    assert_eq!(class(&running, "s").as_deref(), Some("Standard"), "unless another one is given");
    WOS.upload(&running, &[], b"hello");
    assert_eq!(WOS.send(&running, "HEAD /k", &[], b"").header("x-wos-storage-class"), Some("Standard"));
}

#[test]
fn seed_001_12_metadata_come_back_unchanged() {
    let running = Running::start();
    let metadata = [("x-wos-meta-a", "1"), ("x-wos-meta-name", "  Grüße, 目 "), ("x-amz-meta-foreign", "no")];
    for vendor in BOTH {
        vendor.upload(&running, &metadata, b"hello");
        for method in ["GET", "HEAD"] {
            let got = vendor.send(&running, &format!("{method} /k"), &[], b"");
            assert_eq!(got.header("x-wos-meta-a"), Some("1"));
            assert_eq!(got.header("x-wos-meta-name"), Some("Grüße, 目"));
            assert!(!got.headers.iter().any(|(name, _)| name.ends_with("meta-foreign")), "not of this dialect");
        }
    }
}

#[test]
fn seed_001_14_the_namespace_is_wangsus() {
    let declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
    BOTH.iter().for_each(|vendor| document(*vendor, declaration, "https://www.wangsu.com/document"));
}

#[test]
fn seed_001_15_the_answer_has_bucket_key_and_id() {
    let answer = WOS.send(&Running::start(), "POST /k?uploads", &[], b"");
    for name in ["InitiateMultipartUploadResult", "Bucket", "Key", "UploadId"] {
        assert_eq!(answer.text().matches(&format!("<{name}")).count(), 1, "{name}");
    }
}

#[test]
fn seed_001_16_the_headers_of_the_answer() {
    for vendor in BOTH {
        let answer = vendor.send(&Running::start(), "POST /k?uploads", &[], b"");
        let header = |name: &str| answer.header(name).unwrap_or_default();
        let id = header("x-wos-request-id");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(brigade::wire::date::parse_http(header("date")).is_some());
        assert_eq!(header("content-length"), answer.body.len().to_string());
        assert_eq!((header("connection"), header("server")), ("keep-alive", "WS-web-server"));
        assert!(answer.header("x-amz-request-id").is_none());
    }
}

/// Signs one query, sends another: the code, and how the message ends.
fn mismatch(sent: &str, signed: &str, end: &str) {
    let running = Running::start();
    let answer = WOS.ask(&format!("POST /k{sent}")).signing(signed).send(&running);
    assert_eq!(refusal(&answer), (403, "SignatureDoesNotMatch".into()), "{sent} {signed}");
    let message = answer.element("Message").unwrap();
    assert!(message.ends_with(end), "{sent} {signed}: {message}");
}

#[test]
fn seed_001_17_uploads_must_be_in_both_or_neither() {
    mismatch("", "uploads", "does not match the signature");
    mismatch("?uploads", "", "does not match the signature");
}

// An unknown name is not signed by the helper either: the wrong names are put into the lines by hand.
fn signed_by_hand(sent: &str, resource: &str) -> crate::protocol::raw::Answer {
    let running = Running::start();
    let date = brigade::wire::date::http(brigade::base::clock::now());
    let signature = hmac_sha1(&format!("POST\n\n\n{date}\n{resource}"));
    let head = format!(
        "POST /k{sent} HTTP/1.1\r\nhost: {}\r\ndate: {date}\r\nauthorization: WOS {}:{signature}\r\ncontent-length: 0\r\n\r\n",
        WOS.host,
        crate::protocol::raw::KEY
    );
    let mut connection = running.connect();
    connection.write(head.as_bytes());
    connection.answer(false)
}

fn hmac_sha1(text: &str) -> String {
    use hmac::KeyInit;
    use hmac::Mac;
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(crate::protocol::raw::SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    data_encoding::BASE64.encode(&mac.finalize().into_bytes())
}

#[test]
fn seed_001_18_a_misspelled_uploads_is_403() {
    assert_eq!(signed_by_hand("?uploads", "/bkt/k?uploads").status, 200, "the lines are right");
    for (sent, resource) in [("?uploads", "/bkt/k?upload"), ("?uplaods", "/bkt/k?uploads")] {
        let answer = signed_by_hand(sent, resource);
        assert_eq!(refusal(&answer), (403, "SignatureDoesNotMatch".into()), "{sent} {resource}");
        assert!(answer.element("Message").unwrap().ends_with("you provided."), "{sent} {resource}");
    }
}

#[test]
fn seed_001_19_two_misspellings_are_403() {
    let answer = signed_by_hand("?uplaods", "/bkt/k?upload");
    assert_eq!(refusal(&answer), (403, "SignatureDoesNotMatch".into()));
    assert!(answer.element("Message").unwrap().ends_with("you provided."));
}

#[test]
fn seed_001_20_the_header_is_wos_key_and_signature() {
    let call = WOS.ask("POST /k?uploads");
    let head = String::from_utf8(call.head()).unwrap();
    assert!(head.contains(&format!("authorization: WOS {}:", crate::protocol::raw::KEY)), "{head}");
    assert_eq!(call.send(&Running::start()).status, 200);
}

#[test]
fn seed_001_21_the_id_has_32_upper_case_hex_digits() {
    let id = upload_id(&WOS.send(&Running::start(), "POST /k?uploads", &[], b""));
    assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')), "{id}");
}
