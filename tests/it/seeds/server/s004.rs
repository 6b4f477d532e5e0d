//! Seed 004: JD Cloud's S3, "InitiateMultipartUpload" at the older `jcloudcs.com`.

use super::asking::JD_OLD;
use super::asking::Vendor;
use super::asking::base64_md5;
use super::asking::refusal;
use super::asking::strict;
use super::s000::document;
use super::s000::headers_of_initiate_come_back;
use super::s000::headers_of_jd;
use super::s000::refusals_come_before_the_body;
use crate::protocol::raw::Running;

#[test]
fn seed_004_01_the_host_names_bucket_and_region() {
    let running = Running::start();
    let answer = JD_OLD.send(&running, "POST /k?uploads", &[], b"");
    assert_eq!((answer.status, answer.element("Bucket").as_deref()), (200, Some("bkt")));
    let refused = Vendor { region: "cn-south-1", ..JD_OLD }.send(&running, "POST /k?uploads", &[], b"");
    assert_eq!(refusal(&refused), (400, "AuthorizationHeaderMalformed".into()));
}

#[test]
fn seed_004_02_a_bad_signature_is_403() {
    let wrong = JD_OLD.ask("POST /k?uploads").by((crate::protocol::raw::KEY, "not the secret")).send(&Running::start());
    assert_eq!(refusal(&wrong), (403, "SignatureDoesNotMatch".into()));
}

#[test]
fn seed_004_03_headers_and_defaults_are_those_of_the_newer_host() {
    headers_of_initiate_come_back(JD_OLD);
    let running = Running::start();
    assert_eq!(JD_OLD.send(&running, "PUT /k", &[], b"hello").status, 200);
    assert_eq!(JD_OLD.send(&running, "HEAD /k", &[], b"").header("content-type"), Some("binary/octet-stream"));
    let wrong = base64_md5(b"hellO");
    assert_eq!(
        refusal(&JD_OLD.send(&running, "PUT /k", &[("content-md5", &wrong)], b"hello")),
        (400, "BadDigest".into())
    );
    let refused = JD_OLD.ask("POST /k?uploads").without_length().send(&strict("cn-north-1"));
    assert_eq!(refusal(&refused), (411, "MissingContentLength".into()));
}

#[test]
fn seed_004_04_a_strict_server_has_two_storage_classes() {
    let running = strict("cn-north-1");
    let status = |class| JD_OLD.send(&running, "POST /k?uploads", &[("x-amz-storage-class", class)], b"").status;
    assert_eq!((status("STANDARD"), status("REDUCED_REDUNDANCY")), (200, 200));
    for class in ["GLACIER", "STANDARD_IA"] {
        let refused = JD_OLD.send(&running, "POST /k?uploads", &[("x-amz-storage-class", class)], b"");
        assert_eq!(refusal(&refused), (400, "InvalidStorageClass".into()), "{class}");
        let lenient = JD_OLD.send(&Running::start(), "POST /k?uploads", &[("x-amz-storage-class", class)], b"");
        assert_eq!(lenient.status, 200, "unless it is strict: {class}");
    }
    JD_OLD.upload(&running, &[], b"hello");
    assert_eq!(JD_OLD.send(&running, "HEAD /k", &[], b"").header("x-amz-storage-class"), None, "STANDARD by default");
}

#[test]
fn seed_004_05_a_refusal_comes_before_the_body() {
    refusals_come_before_the_body(JD_OLD);
}

#[test]
fn seed_004_06_the_answer_is_that_of_the_newer_host() {
    let declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    document(JD_OLD, declaration, "http://s3.amazonaws.com/doc/2006-03-01/");
    headers_of_jd(JD_OLD);
}
