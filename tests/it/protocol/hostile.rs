//! What nobody should send: each is answered with a proper error or a closed connection, and the server goes on.

use crate::protocol::raw::Ask;
use crate::protocol::raw::Running;
use brigade::base::clock;
use brigade::http::server::Limits;
use std::time::Duration;

#[test]
fn strangers_are_refused_before_they_send_a_body() {
    let running = Running::start();
    let mut connection = running.connect();
    connection
        .write(b"PUT /bkt/k HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000000\r\nexpect: 100-continue\r\n\r\n");
    let answer = connection.answer(false);
    assert_eq!((answer.status, answer.code().as_str()), (403, "AccessDenied"), "and no 100 before it");
    assert!(connection.is_closed(), "what came next would be taken for the body");
    let mut signed = running.connect();
    let ask = Ask::new("PUT /bkt/k").headers(&[("expect", "100-continue")]).body(b"hello");
    signed.write(&ask.sign().head);
    assert_eq!(signed.answer(false).status, 100, "an owner is told to go on");
    signed.write(b"hello");
    assert_eq!(signed.answer(false).status, 200);
    running.goes_on();
}

#[test]
fn a_stranger_who_sends_a_body_anyway_sees_the_answer() {
    let running = Running::start();
    let mut connection = running.connect();
    connection.write(b"PUT /bkt/k HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 8388608\r\n\r\n");
    connection.write(&vec![0; 8 << 20]);
    assert_eq!(connection.answer(false).status, 403);
    running.goes_on();
}

#[test]
fn wrong_credentials_have_codes_of_their_own() {
    let running = Running::start();
    let get = || Ask::new("GET /bkt");
    let early = get().at(clock::now() - Duration::from_secs(20 * 60)).send(&running);
    assert_eq!((early.status, early.code().as_str()), (403, "RequestTimeTooSkewed"));
    let late = get().at(clock::now() + Duration::from_secs(20 * 60)).send(&running);
    assert_eq!((late.status, late.code().as_str()), (403, "RequestTimeTooSkewed"));
    let changed = |from: &str, to: &str| {
        let mut connection = running.connect();
        let head = String::from_utf8(get().sign().head).unwrap();
        assert!(head.contains(from));
        connection.write(head.replace(from, to).as_bytes());
        let answer = connection.answer(false);
        (answer.status, answer.code())
    };
    assert_eq!(changed("Credential=AKIDEXAMPLE", "Credential=NOBODY"), (403, "InvalidAccessKeyId".into()));
    assert_eq!(changed("GET /bkt", "GET /bkt?prefix=a"), (403, "SignatureDoesNotMatch".into()));
    assert_eq!(changed("AWS4-HMAC-SHA256 Cred", "AWS4-HMAC-SHA256 Dred"), (400, "AuthorizationHeaderMalformed".into()));
    assert_eq!(changed("authorization:", "x-authorization:"), (403, "AccessDenied".into()));
    running.goes_on();
}

#[test]
fn tricks_in_keys_are_bytes_of_keys() {
    let running = Running::start();
    for path in ["/bkt/..", "/bkt/../../etc/passwd", "/bkt//a", "/bkt/a/./b", "/bkt/%2e%2e/x", "/bkt/a%00b", "/bkt/%2F"]
    {
        assert_eq!(running.ask(&format!("PUT {path}"), &[], path.as_bytes()).status, 200, "{path}");
        assert_eq!(running.ask(&format!("GET {path}"), &[], b"").body, path.as_bytes());
    }
    let listed = running.ask("GET /bkt?list-type=2&encoding-type=url", &[], b"");
    let keys = ["..", "../../etc/passwd", "../x", "/", "/a", "a%00b", "a/./b"];
    assert_eq!(listed.elements("Key"), keys);
    assert_eq!(running.refusal(&format!("PUT /bkt/{}", "k".repeat(1025)), &[], b""), (400, "KeyTooLongError".into()));
    assert_eq!(running.ask(&format!("PUT /bkt/{}", "k".repeat(1024)), &[], b"").status, 200);
    assert_eq!(running.refusal("PUT /bkt/%ff%fe", &[], b""), (400, "InvalidURI".into()));
    assert_eq!(running.refusal("PUT /bkt/%zz", &[], b""), (400, "InvalidURI".into()));
    assert_eq!(running.refusal("GET //k", &[], b""), (400, "InvalidBucketName".into()));
    assert_eq!(running.refusal("GET /none/k", &[], b""), (404, "NoSuchBucket".into()));
    running.goes_on();
}

#[test]
fn a_body_that_is_cut_off_stores_nothing() {
    let running = Running::start();
    running.ask("PUT /bkt/k", &[], b"before");
    for sent in [0, 10, 100_000] {
        let mut connection = running.connect();
        let ask = Ask::new("PUT /bkt/k").headers(&[("content-length", "200000")]).payload("UNSIGNED-PAYLOAD");
        connection.write(&ask.sign().head);
        connection.write(&vec![1; sent]);
        connection.end();
        if let Some(answer) = connection.try_answer(false) {
            assert_eq!((answer.status, answer.code().as_str()), (400, "IncompleteBody"));
        }
        assert_eq!(running.ask("GET /bkt/k", &[], b"").body, b"before");
    }
    assert_eq!(running.blob_files(), 0, "what was written of it is gone");
    running.goes_on();
}

#[test]
fn a_client_that_falls_silent_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let running = Running::with(Limits { body_idle_timeout: short, head_timeout: short, ..Limits::default() });
    let mut connection = running.connect();
    let ask = Ask::new("PUT /bkt/k").headers(&[("content-length", "100")]).payload("UNSIGNED-PAYLOAD");
    connection.write(&ask.sign().head);
    connection.write(b"some");
    let answer = connection.answer(false);
    assert_eq!((answer.status, answer.code().as_str()), (400, "RequestTimeout"));
    let mut slow = running.connect();
    slow.write(b"GET /bkt HTTP/1.1\r\nhost:");
    assert!(slow.is_closed() || slow.is_closed(), "half a head");
    running.goes_on();
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let short = Duration::from_millis(50);
    let running = Running::with(Limits { write_idle_timeout: short, ..Limits::default() });
    running.ask("PUT /bkt/big", &[], &vec![7; 16 << 20]);
    let mut connection = running.connect();
    connection.write(&Ask::new("GET /bkt/big").sign().head);
    // Reading begins late and finds less than was announced.
    running.ask("DELETE /bkt/big", &[], b"");
    let mut files = running.blob_files();
    for _ in 0..1000 {
        if files == 0 {
            break;
        }
        running.goes_on();
        files = running.blob_files();
    }
    assert_eq!(files, 0, "the reader has ended, and what it read is gone");
}

#[test]
fn malformed_heads_are_answered_or_hung_up_on() {
    let running = Running::start();
    let heads: [&[u8]; 7] = [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /bkt HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /bkt HTTP/1.1\r\nhost a\r\n\r\n",
        b"PUT /bkt/k HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"PUT /bkt/k HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ];
    for head in heads {
        let mut connection = running.connect();
        connection.write(head);
        connection.end();
        let status = connection.try_answer(false).map_or(400, |answer| answer.status);
        assert!((400..=505).contains(&status), "{head:?}: {status}");
    }
    running.goes_on();
}

#[test]
fn oversized_headers_are_refused() {
    let running = Running::start();
    let large = "x".repeat(100 << 10);
    let status = |header: &str| {
        let mut connection = running.connect();
        connection.write(format!("GET /bkt HTTP/1.1\r\nhost: a\r\n{header}\r\n\r\n").as_bytes());
        connection.try_answer(false).map_or(431, |answer| answer.status)
    };
    assert_eq!(status(&format!("x-large: {large}")), 431);
    let many: Vec<String> = (0..500).map(|n| format!("x-{n}: 1")).collect();
    assert_eq!(status(&many.join("\r\n")), 431);
    let metadata = "m".repeat(2048);
    assert_eq!(running.refusal("PUT /bkt/k", &[("x-amz-meta-a", &metadata)], b""), (400, "MetadataTooLarge".into()));
    running.goes_on();
}

#[test]
fn documents_that_are_none_are_malformed() {
    let running = Running::start();
    let id = running.ask("POST /bkt/k?uploads", &[], b"").element("UploadId").unwrap();
    let complete = format!("POST /bkt/k?uploadId={id}");
    let documents: [&[u8]; 9] = [
        b"",
        b"not xml",
        b"<CompleteMultipartUpload>",
        b"<CompleteMultipartUpload></CompleteMultipartUpload>",
        b"<Other></Other>",
        b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        b"\xff\xfe<a/>",
        b"<!DOCTYPE a [<!ENTITY b \"c\">]><CompleteMultipartUpload>&b;</CompleteMultipartUpload>",
    ];
    for document in documents {
        assert_eq!(running.refusal(&complete, &[], document), (400, "MalformedXML".into()), "{document:?}");
    }
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    assert_eq!(running.refusal(&complete, &[], deep.as_bytes()), (400, "MalformedXML".into()));
    let part = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>".repeat(200_000);
    let large = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    assert!(large.len() > 10_000_000);
    assert_eq!(running.refusal(&complete, &[], large.as_bytes()), (400, "MalformedXML".into()));
    running.goes_on();
}

#[test]
fn objects_beyond_the_limit_are_refused_by_their_length() {
    let running = Running::start();
    let mut connection = running.connect();
    let length = ((5u64 << 30) + 1).to_string();
    let headers = [("content-length", length.as_str()), ("expect", "100-continue")];
    connection.write(&Ask::new("PUT /bkt/k").headers(&headers).payload("UNSIGNED-PAYLOAD").sign().head);
    let answer = connection.answer(false);
    assert_eq!((answer.status, answer.code().as_str()), (400, "EntityTooLarge"));
    running.goes_on();
}

#[test]
fn what_is_not_implemented_is_said_so_and_changes_nothing() {
    let running = Running::start();
    running.ask("PUT /bkt/k", &[], b"before");
    for request in
        ["PUT /bkt/k?acl", "PUT /bkt/k?tagging", "PUT /bkt?versioning", "POST /bkt/k?restore", "DELETE /bkt/k?tagging"]
    {
        assert_eq!(running.refusal(request, &[], b"after"), (501, "NotImplemented".into()), "{request}");
    }
    let encrypted = [("x-amz-server-side-encryption", "aws:kms")];
    assert_eq!(running.refusal("PUT /bkt/k", &encrypted, b"after"), (501, "NotImplemented".into()));
    assert_eq!(running.refusal("PATCH /bkt/k", &[], b"after"), (405, "MethodNotAllowed".into()));
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, b"before");
}
