//! Seed 003: JD Cloud's S3, "UploadPart".

use super::asking::JD;
use super::asking::base64_md5;
use super::asking::hex_md5;
use super::asking::refusal;
use super::s000::refusals_come_before_the_body;
use crate::protocol::raw::Answer;
use crate::protocol::raw::Running;

const LARGE: usize = 5 << 20;

fn put(running: &Running, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    JD.send(running, &format!("PUT /k?{query}"), headers, body)
}

#[test]
fn seed_003_01_a_part_needs_the_id_of_an_upload() {
    let running = Running::start();
    assert_eq!(refusal(&put(&running, "partNumber=1&uploadId=unknown", &[], b"x")), (404, "NoSuchUpload".into()));
    let id = JD.begin(&running, &[]);
    assert_eq!(put(&running, &format!("partNumber=1&uploadId={id}"), &[], b"x").status, 200);
}

#[test]
fn seed_003_02_numbers_are_1_to_10000() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    for number in ["1", "10000"] {
        assert_eq!(put(&running, &format!("partNumber={number}&uploadId={id}"), &[], b"x").status, 200, "{number}");
    }
    for number in ["0", "10001", "-1", "x", "", "4294967297", "99999999999999999999"] {
        let refused = put(&running, &format!("partNumber={number}&uploadId={id}"), &[], b"x");
        assert_eq!(refusal(&refused), (400, "InvalidArgument".into()), "{number:?}");
    }
}

#[test]
fn seed_003_03_the_number_is_identity_and_place() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    let (one, two, three) = (vec![1; LARGE], vec![2; LARGE], vec![3; 10]);
    let third = JD.part(&running, &id, 3, &three);
    let first = JD.part(&running, &id, 1, &one);
    let replaced = JD.part(&running, &id, 2, b"to be replaced");
    let second = JD.part(&running, &id, 2, &two);
    let old = JD.complete(&running, &id, &[(1, &first), (2, &replaced), (3, &third)]);
    assert_eq!(refusal(&old), (400, "InvalidPart".into()), "it was replaced");
    assert_eq!(JD.complete(&running, &id, &[(1, &first), (2, &second), (3, &third)]).status, 200);
    assert!(JD.send(&running, "GET /k", &[], b"").body == [one, two, three].concat());
}

#[test]
fn seed_003_04_a_right_md5_is_taken() {
    let running = Running::start();
    let query = format!("partNumber=1&uploadId={}", JD.begin(&running, &[]));
    assert_eq!(put(&running, &query, &[("content-md5", &base64_md5(b"hello"))], b"hello").status, 200);
    assert_eq!(put(&running, &query, &[], b"hello").status, 200, "and none as well");
}

#[test]
fn seed_003_05_a_wrong_md5_is_refused_and_the_part_not_stored() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    let wrong = base64_md5(b"hellO");
    for body in [b"hello".to_vec(), vec![7; 1 << 20]] {
        let refused = put(&running, &format!("partNumber=1&uploadId={id}"), &[("content-md5", &wrong)], &body);
        assert_eq!(refusal(&refused), (400, "BadDigest".into()));
    }
    let listed = JD.send(&running, &format!("GET /k?uploadId={id}"), &[], b"");
    assert_eq!(listed.elements("PartNumber"), Vec::<String>::new());
    assert_eq!((running.usage().part_bytes, running.blob_files()), (0, 0));
}

#[test]
fn seed_003_06_parts_take_space_until_complete_or_abort() {
    let running = Running::start();
    let (one, two) = (JD.begin(&running, &[]), JD.begin(&running, &[]));
    assert_eq!((running.usage().uploads, running.usage().part_bytes), (2, 0));
    let tag = JD.part(&running, &one, 1, &[1; 100]);
    JD.part(&running, &one, 2, &[1; 50]);
    JD.part(&running, &two, 1, &[1; 7]);
    JD.part(&running, &two, 1, &[1; 8]);
    assert_eq!(running.usage().part_bytes, 158);
    assert_eq!(JD.complete(&running, &one, &[(1, &tag)]).status, 200);
    let usage = running.usage();
    assert_eq!((usage.objects, usage.object_bytes, usage.uploads, usage.part_bytes), (1, 100, 1, 8));
    assert_eq!(JD.send(&running, &format!("DELETE /k?uploadId={two}"), &[], b"").status, 204);
    let usage = running.usage();
    assert_eq!((usage.objects, usage.object_bytes, usage.uploads, usage.part_bytes), (1, 100, 0, 0));
}

#[test]
fn seed_003_08_number_and_id_are_both_required() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    for query in [format!("uploadId={id}"), "partNumber=1".to_owned(), "partNumber=1&uploadId=".to_owned()] {
        assert_eq!(refusal(&put(&running, &query, &[], b"x")), (400, "InvalidArgument".into()), "{query}");
    }
    assert_eq!(JD.send(&running, "HEAD /k", &[], b"").status, 404, "it was not taken for a put");
}

#[test]
fn seed_003_09_content_length_is_required() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    let chunked = [("transfer-encoding", "chunked"), ("x-amz-meta-unused", "1")];
    let call = JD.ask(&format!("PUT /k?partNumber=1&uploadId={id}")).headers(&chunked).without_length();
    let mut connection = call.send_head(&running);
    connection.write(b"0\r\n\r\n");
    assert_eq!(refusal(&connection.answer(false)), (411, "MissingContentLength".into()));
    let none = JD.ask(&format!("PUT /k?partNumber=1&uploadId={id}")).without_length().send(&running);
    assert_eq!(refusal(&none), (411, "MissingContentLength".into()));
}

#[test]
fn seed_003_10_a_client_may_wait_to_be_told_to_go_on() {
    refusals_come_before_the_body(JD);
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    let call =
        JD.ask(&format!("PUT /k?partNumber=1&uploadId={id}")).headers(&[("expect", "100-continue")]).body(b"hello");
    let mut connection = call.send_head(&running);
    assert_eq!(connection.answer(false).status, 100);
    connection.write(b"hello");
    assert_eq!(connection.answer(false).status, 200);
}

#[test]
fn seed_003_12_the_class_is_told_only_when_it_is_not_the_standard_one() {
    let running = Running::start();
    for (class, want) in [("STANDARD", None), ("STANDARD_IA", Some("STANDARD_IA")), ("GLACIER", Some("GLACIER"))] {
        let id = JD.begin(&running, &[("x-amz-storage-class", class)]);
        let answer = put(&running, &format!("partNumber=1&uploadId={id}"), &[], b"x");
        assert_eq!((answer.status, answer.header("x-amz-storage-class")), (200, want));
    }
}

#[test]
fn seed_003_13_the_answer_has_no_body() {
    let running = Running::start();
    let answer = put(&running, &format!("partNumber=1&uploadId={}", JD.begin(&running, &[])), &[], b"x");
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("0"), 0));
}

#[test]
fn seed_003_14_the_tag_is_the_quoted_md5() {
    let running = Running::start();
    let answer = put(&running, &format!("partNumber=1&uploadId={}", JD.begin(&running, &[])), &[], b"hello");
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", hex_md5(b"hello")).as_str()));
}

#[test]
fn seed_003_15_no_such_upload_is_404() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    assert_eq!(JD.send(&running, &format!("DELETE /k?uploadId={id}"), &[], b"").status, 204);
    let refused = put(&running, &format!("partNumber=1&uploadId={id}"), &[], b"x");
    assert_eq!(refusal(&refused), (404, "NoSuchUpload".into()));
    assert_eq!(refused.header("x-amz-request-id"), refused.element("RequestId").as_deref());
}

#[test]
fn seed_003_16_a_part_may_have_10_mib() {
    let running = Running::start();
    let id = JD.begin(&running, &[]);
    let body: Vec<u8> = (0..=250).cycle().take(10_485_760).collect();
    let tag = JD.part(&running, &id, 1, &body);
    assert_eq!(tag, format!("\"{}\"", hex_md5(&body)));
    assert_eq!(JD.complete(&running, &id, &[(1, &tag)]).status, 200);
    assert!(JD.send(&running, "GET /k", &[], b"").body == body);
}

#[test]
fn seed_003_17_the_headers_of_the_answer() {
    let running = Running::start();
    let answer = put(&running, &format!("partNumber=1&uploadId={}", JD.begin(&running, &[])), &[], b"x");
    let header = |name: &str| answer.header(name).unwrap_or_default();
    assert_eq!(header("x-amz-request-id").len(), 16);
    assert!(brigade::wire::date::parse_http(header("date")).is_some());
    assert_eq!((header("connection"), header("server")), ("keep-alive", "JDCloudOSS"));
}
