//! Seed 000: JD Cloud's S3, "InitiateMultipartUpload" at `jdcloud-oss.com`.

use super::asking::JD;
use super::asking::Vendor;
use super::asking::base64_md5;
use super::asking::refusal;
use super::asking::strict;
use super::asking::upload_id;
use crate::protocol::raw::Running;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

#[test]
fn seed_000_01_initiate_answers_an_id() {
    let running = Running::start();
    let answer = JD.send(&running, "POST /k?uploads", &[], b"");
    assert_eq!(answer.status, 200);
    assert!(!upload_id(&answer).is_empty());
}

#[test]
fn seed_000_02_parts_belong_to_their_upload() {
    let running = Running::start();
    let (one, other) = (JD.begin(&running, &[]), JD.begin(&running, &[]));
    JD.part(&running, &one, 1, b"hello");
    let numbers = |id: &str| JD.send(&running, &format!("GET /k?uploadId={id}"), &[], b"").elements("PartNumber");
    assert_eq!((numbers(&one), numbers(&other)), (vec!["1".to_owned()], vec![]));
}

#[test]
fn seed_000_04_the_host_names_bucket_and_region() {
    let running = Running::start();
    let answer = JD.send(&running, "POST /a/b.bin?uploads", &[], b"");
    assert_eq!((answer.element("Bucket").as_deref(), answer.element("Key").as_deref()), (Some("bkt"), Some("a/b.bin")));
    let elsewhere = Vendor { region: "cn-east-2", ..JD };
    let refused = elsewhere.send(&running, "POST /k?uploads", &[], b"");
    assert_eq!(refusal(&refused), (400, "AuthorizationHeaderMalformed".into()));
    assert_eq!(refused.element("Region").as_deref(), Some("cn-north-1"), "the region that the host names");
}

#[test]
fn seed_000_05_a_bad_signature_is_403() {
    let running = Running::start();
    let wrong = JD.ask("POST /k?uploads").by((crate::protocol::raw::KEY, "not the secret")).send(&running);
    assert_eq!(refusal(&wrong), (403, "SignatureDoesNotMatch".into()));
    let date = brigade::wire::date::http(brigade::base::clock::now());
    assert_eq!(JD.send(&running, "POST /k?uploads", &[("date", &date)], b"").status, 200, "with a Date as well");
}

pub(super) const OBJECT_HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-cache"),
    ("content-disposition", "attachment; filename=\"a b.bin\""),
    ("content-encoding", "gzip"),
    ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
];

pub(super) fn headers_of_initiate_come_back(vendor: Vendor) {
    let running = Running::start();
    vendor.upload(&running, &OBJECT_HEADERS, b"hello");
    for method in ["GET", "HEAD"] {
        let got = vendor.send(&running, &format!("{method} /k"), &[], b"");
        for (name, value) in OBJECT_HEADERS {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
    }
    vendor.upload(&running, &[], b"hello");
    let got = vendor.send(&running, "HEAD /k", &[], b"");
    for (name, _) in OBJECT_HEADERS {
        assert_eq!(got.header(name), None, "{name} was not given");
    }
}

#[test]
fn seed_000_08_headers_of_the_object_come_back_and_have_no_default() {
    headers_of_initiate_come_back(JD);
}

#[test]
fn seed_000_09_the_type_is_binary_by_default() {
    let running = Running::start();
    JD.upload(&running, &[], b"hello");
    assert_eq!(JD.send(&running, "HEAD /k", &[], b"").header("content-type"), Some("binary/octet-stream"));
    JD.upload(&running, &[("content-type", "text/x")], b"hello");
    assert_eq!(JD.send(&running, "HEAD /k", &[], b"").header("content-type"), Some("text/x"));
}

#[test]
fn seed_000_10_content_md5_is_compared() {
    let running = Running::start();
    let (right, wrong) = (base64_md5(b"hello"), base64_md5(b"hellO"));
    assert_eq!(JD.send(&running, "PUT /k", &[("content-md5", &right)], b"hello").status, 200);
    let refused = JD.send(&running, "PUT /k2", &[("content-md5", &wrong)], b"hello");
    assert_eq!(refusal(&refused), (400, "BadDigest".into()));
    assert_eq!(JD.send(&running, "HEAD /k2", &[], b"").status, 404);
    let malformed = JD.send(&running, "PUT /k2", &[("content-md5", "5d41402abc4b2a76b9719d911017c592")], b"hello");
    assert_eq!(refusal(&malformed), (400, "InvalidDigest".into()));
    let empty = base64_md5(b"");
    assert_eq!(JD.send(&running, "POST /k?uploads", &[("content-md5", &empty)], b"").status, 200);
    let initiate = JD.send(&running, "POST /k?uploads", &[("content-md5", &wrong)], b"");
    assert_eq!(refusal(&initiate), (400, "BadDigest".into()), "of an initiate, whose body is empty");
}

/// Refusals that a client which waits to be told must see before it sends its body.
pub(super) fn refusals_come_before_the_body(vendor: Vendor) {
    let running = Running::start();
    let continues = [("expect", "100-continue"), ("content-length", "1000000")];
    let id = vendor.begin(&running, &[]);
    let rows = [
        (vendor.ask("PUT /k").by((crate::protocol::raw::KEY, "not the secret")), 403, "a stranger"),
        (vendor.ask("PUT /k?partNumber=1&uploadId=00"), 404, "no such upload"),
        (vendor.ask(&format!("PUT /other?partNumber=1&uploadId={id}")), 404, "the upload of another key"),
        (vendor.ask(&format!("PUT /k?partNumber=10001&uploadId={id}")), 400, "no such number"),
        (vendor.ask(&format!("PUT /k?partNumber=0&uploadId={id}")), 400, "no such number"),
    ];
    for (call, status, why) in rows {
        let mut connection = call.headers(&continues).send_head(&running);
        assert_eq!(connection.answer(false).status, status, "{why}");
        assert!(connection.is_closed(), "{why}: what came next would be taken for the body");
    }
    let large = [("expect", "100-continue"), ("content-length", "6000000000")];
    let mut connection = vendor.ask("PUT /k").headers(&large).send_head(&running);
    assert_eq!(refusal(&connection.answer(false)), (400, "EntityTooLarge".into()), "a size that no put may have");
    for value in ["100-continue", "100-Continue"] {
        let call = vendor.ask("PUT /k").headers(&[("expect", value)]).body(b"hello");
        let mut connection = call.send_head(&running);
        assert_eq!(connection.answer(false).status, 100);
        connection.write(b"hello");
        assert_eq!(connection.answer(false).status, 200);
    }
    let unknown = vendor.ask("PUT /k").headers(&[("expect", "a-miracle")]).body(b"hello").send(&running);
    assert_eq!(refusal(&unknown), (417, "ExpectationFailed".into()));
    assert_eq!(vendor.send(&running, "GET /k", &[], b"").body, b"hello");
}

#[test]
fn seed_000_11_a_refusal_comes_before_the_body() {
    refusals_come_before_the_body(JD);
    let running = Running::start();
    let nowhere = Vendor { host: "none.s3.cn-north-1.jdcloud-oss.com", ..JD };
    let call = nowhere.ask("PUT /k").headers(&[("expect", "100-continue"), ("content-length", "10")]);
    assert_eq!(refusal(&call.send_head(&running).answer(false)), (404, "NoSuchBucket".into()));
}

#[test]
fn seed_000_12_storage_classes_are_these_four() {
    let running = Running::start();
    let shown = |class: Option<&str>| {
        let headers: Vec<(&str, &str)> = class.iter().map(|class| ("x-amz-storage-class", *class)).collect();
        JD.upload(&running, &headers, b"hello");
        let head = JD.send(&running, "HEAD /k", &[], b"").header("x-amz-storage-class").map(str::to_owned);
        (head, JD.send(&running, "GET /?list-type=2", &[], b"").element("StorageClass"))
    };
    assert_eq!(shown(None), (None, Some("STANDARD".into())));
    assert_eq!(shown(Some("STANDARD")), (None, Some("STANDARD".into())));
    for class in ["GLACIER", "REDUCED_REDUNDANCY", "STANDARD_IA"] {
        assert_eq!(shown(Some(class)), (Some(class.into()), Some(class.into())));
    }
    for class in ["STANDARD-IA", "standard", "DEEP_ARCHIVE", "IA", "x"] {
        let refused = JD.send(&running, "POST /k?uploads", &[("x-amz-storage-class", class)], b"");
        assert_eq!(refusal(&refused), (400, "InvalidStorageClass".into()), "{class}");
    }
}

#[test]
fn seed_000_07_a_strict_server_demands_a_content_length() {
    let running = strict("cn-north-1");
    let refused = JD.ask("POST /k?uploads").without_length().send(&running);
    assert_eq!(refusal(&refused), (411, "MissingContentLength".into()));
    assert_eq!(JD.ask("POST /k?uploads").without_length().send(&Running::start()).status, 200);
}

/// The whole document, but for the id.
pub(super) fn document(vendor: Vendor, declaration: &str, namespace: &str) {
    let running = Running::start();
    let answer = vendor.send(&running, "POST /a%26b?uploads", &[], b"");
    let id = upload_id(&answer);
    let want = format!(
        "{declaration}<InitiateMultipartUploadResult xmlns=\"{namespace}\"><Bucket>bkt</Bucket><Key>a&amp;b</Key>\
         <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
    );
    assert_eq!(answer.text(), want);
    assert_eq!(answer.header("content-type"), Some("application/xml"));
}

#[test]
fn seed_000_13_the_answer_has_bucket_key_and_id() {
    document(JD, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", NAMESPACE);
}

#[test]
fn seed_000_14_the_namespace_is_amazons() {
    let answer = JD.send(&Running::start(), "POST /k?uploads", &[], b"");
    assert!(answer.text().starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    assert!(answer.text().contains(&format!("<InitiateMultipartUploadResult xmlns=\"{NAMESPACE}\">")));
}

#[test]
fn seed_000_15_the_element_is_upload_id() {
    let answer = JD.send(&Running::start(), "POST /k?uploads", &[], b"");
    assert_eq!((answer.elements("UploadId").len(), answer.elements("UploadID").len()), (1, 0));
}

pub(super) fn headers_of_jd(vendor: Vendor) {
    let answer = vendor.send(&Running::start(), "POST /k?uploads", &[], b"");
    let header = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!(header("x-amz-request-id").len(), 16);
    assert!(brigade::wire::date::parse_http(header("date")).is_some());
    assert_eq!(header("content-length"), answer.body.len().to_string());
    assert_eq!((header("connection"), header("server")), ("keep-alive", "JDCloudOSS"));
}

#[test]
fn seed_000_16_the_headers_of_the_answer() {
    headers_of_jd(JD);
}

#[test]
fn seed_000_17_bucket_and_key_are_those_of_the_request() {
    let answer = JD.send(&Running::start(), "POST /a%20b/%E7%9B%AE?uploads", &[], b"");
    assert_eq!((answer.element("Bucket").as_deref(), answer.element("Key").as_deref()), (Some("bkt"), Some("a b/目")));
}
