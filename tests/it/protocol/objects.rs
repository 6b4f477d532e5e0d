//! Buckets and objects on the wire.

use crate::protocol::raw::Ask;
use crate::protocol::raw::Running;

#[test]
fn buckets_come_and_go() {
    let mut running = Running::start();
    assert_eq!(running.ask("PUT /new-bucket", &[], b"").status, 200);
    assert_eq!(running.refusal("PUT /new-bucket", &[], b""), (409, "BucketAlreadyOwnedByYou".into()));
    assert_eq!(running.refusal("PUT /Bad_Name", &[], b""), (400, "InvalidBucketName".into()));
    assert_eq!(running.ask("HEAD /new-bucket", &[], b"").status, 200);
    assert_eq!(running.ask("HEAD /other", &[], b"").status, 404);
    running.restart();
    assert_eq!(running.ask("GET /", &[], b"").elements("Name"), ["bkt", "new-bucket"]);
    let location = running.ask("GET /bkt?location", &[], b"");
    assert!(location.text().contains("LocationConstraint"), "{}", location.text());
    running.ask("PUT /new-bucket/k", &[], b"x");
    assert_eq!(running.refusal("DELETE /new-bucket", &[], b""), (409, "BucketNotEmpty".into()));
    running.ask("DELETE /new-bucket/k", &[], b"");
    assert_eq!(running.ask("DELETE /new-bucket", &[], b"").status, 204);
    assert_eq!(running.refusal("DELETE /new-bucket", &[], b""), (404, "NoSuchBucket".into()));
    let elsewhere =
        b"<CreateBucketConfiguration><LocationConstraint>mars</LocationConstraint></CreateBucketConfiguration>";
    assert_eq!(running.refusal("PUT /mars", &[], elsewhere), (400, "InvalidLocationConstraint".into()));
}

#[test]
fn an_object_comes_back_with_all_that_was_said_of_it() {
    let mut running = Running::start();
    let said = [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "max-age=1"),
        ("content-disposition", "attachment; filename=\"caf\u{e9}\""),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("expires", "Wed, 21 Oct 2099 07:28:00 GMT"),
        ("x-amz-meta-mode", "33188"),
        ("x-amz-meta-name", "sm\u{f8}rrebr\u{f8}d"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let put = running.ask("PUT /bkt/k", &said, b"hello world");
    assert_eq!((put.status, put.header("etag")), (200, Some("\"5eb63bbbe01eeed093cb22bb8f5acdc3\"")));
    running.restart();
    for method in ["GET", "HEAD"] {
        let got = running.ask(&format!("{method} /bkt/k"), &[], b"");
        for (name, value) in said {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
        assert_eq!(got.header("content-length"), Some("11"), "{method}");
        assert_eq!(got.header("etag"), put.header("etag"));
        for name in ["last-modified", "x-amz-request-id", "date", "server", "accept-ranges"] {
            assert!(got.header(name).is_some(), "{method} {name}");
        }
    }
    let other = running.ask("GET /bkt/k?response-content-type=a%2Fb&response-cache-control=no-store", &[], b"");
    assert_eq!((other.header("content-type"), other.header("cache-control")), (Some("a/b"), Some("no-store")));
    assert_eq!(
        running.refusal("PUT /bkt/k", &[("x-amz-storage-class", "COLD")], b""),
        (400, "InvalidStorageClass".into())
    );
}

#[test]
fn ranges_give_the_bytes_asked_for() {
    let running = Running::start();
    let body: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    running.ask("PUT /bkt/k", &[], &body);
    running.ask("PUT /bkt/empty", &[], b"");
    let last = body.len() - 1;
    let rows = [
        ("bytes=0-0", 0..1),
        ("bytes=10-19", 10..20),
        ("bytes=262143-262144", 262_143..262_145),
        ("bytes=699990-", 699_990..700_000),
        ("bytes=-5", 699_995..700_000),
        ("bytes=699999-9999999", 699_999..700_000),
    ];
    for (range, want) in rows {
        let got = running.ask("GET /bkt/k", &[("range", range)], b"");
        assert_eq!((got.status, got.body.as_slice()), (206, &body[want.clone()]), "{range}");
        let shown = format!("bytes {}-{}/{}", want.start, want.end - 1, body.len());
        assert_eq!(got.header("content-range"), Some(shown.as_str()));
        let head = running.ask("HEAD /bkt/k", &[("range", range)], b"");
        assert_eq!((head.status, head.header("content-length")), (206, Some(want.len().to_string().as_str())));
    }
    assert_eq!(
        running.refusal("GET /bkt/k", &[("range", &format!("bytes={}-", last + 1))], b""),
        (416, "InvalidRange".into())
    );
    assert_eq!(running.refusal("GET /bkt/empty", &[("range", "bytes=0-0")], b""), (416, "InvalidRange".into()));
    let several = running.ask("GET /bkt/k", &[("range", "bytes=0-1,3-4")], b"");
    assert_eq!(
        (several.status, several.body.len()),
        (200, body.len()),
        "several ranges are not understood, so ignored"
    );
}

#[test]
fn conditions_decide_reads_and_writes() {
    let running = Running::start();
    let etag = running.ask("PUT /bkt/k", &[], b"one").header("etag").unwrap().to_owned();
    let status = |request: &str, header: (&str, &str)| running.ask(request, &[header], b"two").status;
    assert_eq!(status("HEAD /bkt/k", ("if-match", &etag)), 200);
    assert_eq!(status("HEAD /bkt/k", ("if-match", "\"other\"")), 412);
    assert_eq!(status("HEAD /bkt/k", ("if-none-match", &etag)), 304);
    assert_eq!(status("HEAD /bkt/k", ("if-modified-since", "Wed, 21 Oct 2099 07:28:00 GMT")), 304);
    assert_eq!(status("HEAD /bkt/k", ("if-unmodified-since", "Wed, 21 Oct 2015 07:28:00 GMT")), 412);
    assert_eq!(status("PUT /bkt/k", ("if-none-match", "*")), 412);
    assert_eq!(status("PUT /bkt/k", ("if-match", "\"other\"")), 412);
    assert_eq!(running.refusal("PUT /bkt/none", &[("if-match", &etag)], b""), (404, "NoSuchKey".into()));
    assert_eq!(running.refusal("PUT /bkt/k", &[("if-none-match", &etag)], b""), (501, "NotImplemented".into()));
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, b"one");
    assert_eq!(status("PUT /bkt/new", ("if-none-match", "*")), 200);
    assert_eq!(status("PUT /bkt/k", ("if-match", &etag)), 200);
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, b"two");
    assert_eq!(status("DELETE /bkt/k", ("if-match", &etag)), 412);
    let refused = running.ask("PUT /bkt/k", &[("if-none-match", "*")], b"x");
    assert_eq!(refused.element("Condition").as_deref(), Some("If-None-Match"));
}

#[test]
fn objects_are_deleted_singly_and_in_heaps() {
    let running = Running::start();
    for key in ["a", "b", "c"] {
        running.ask(&format!("PUT /bkt/{key}"), &[], b"x");
    }
    assert_eq!(running.ask("DELETE /bkt/a", &[], b"").status, 204);
    assert_eq!(running.ask("DELETE /bkt/a", &[], b"").status, 204, "what is not there is deleted");
    let document = b"<Delete><Object><Key>b</Key></Object><Object><Key>none</Key></Object></Delete>";
    assert_eq!(running.refusal("POST /bkt?delete", &[], document), (400, "InvalidRequest".into()), "without a digest");
    let sum = |document: &[u8]| {
        let checksum = brigade::wire::checksum::checksum(brigade::wire::checksum::Algorithm::Crc32, document);
        checksum.base64()
    };
    let crc = sum(document);
    let deleted = running.ask("POST /bkt?delete", &[("x-amz-checksum-crc32", &crc)], document);
    assert_eq!((deleted.status, deleted.elements("Key")), (200, vec!["b".to_owned(), "none".to_owned()]));
    let quiet = b"<Delete><Quiet>true</Quiet><Object><Key>c</Key></Object></Delete>";
    let crc = sum(quiet);
    let deleted = running.ask("POST /bkt?delete", &[("x-amz-checksum-crc32", &crc)], quiet);
    assert_eq!((deleted.status, deleted.elements("Key").len()), (200, 0));
    assert_eq!(running.ask("GET /bkt", &[], b"").elements("Key").len(), 0);
    let objects = "<Object><Key>k</Key></Object>".repeat(1001);
    let many = format!("<Delete>{objects}</Delete>");
    let crc = sum(many.as_bytes());
    let refused = running.refusal("POST /bkt?delete", &[("x-amz-checksum-crc32", &crc)], many.as_bytes());
    assert_eq!(refused, (400, "MalformedXML".into()));
}

#[test]
fn copies_take_or_replace_what_is_said_of_the_source() {
    let running = Running::start();
    let etag = running.ask("PUT /bkt/a%20b", &[("x-amz-meta-m", "1")], b"hello").header("etag").unwrap().to_owned();
    let source = ("x-amz-copy-source", "/bkt/a%20b");
    let copied = running.ask("PUT /bkt/copy", &[source], b"");
    assert_eq!((copied.status, copied.element("ETag")), (200, Some(etag.replace('"', "&quot;"))));
    let got = running.ask("GET /bkt/copy", &[], b"");
    assert_eq!((got.body.as_slice(), got.header("x-amz-meta-m")), (&b"hello"[..], Some("1")));
    let replace = [source, ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-n", "2")];
    running.ask("PUT /bkt/copy", &replace, b"");
    let got = running.ask("HEAD /bkt/copy", &[], b"");
    assert_eq!((got.header("x-amz-meta-m"), got.header("x-amz-meta-n")), (None, Some("2")));
    let refused = |headers: &[(&str, &str)]| running.refusal("PUT /bkt/a%20b", headers, b"");
    assert_eq!(refused(&[source]), (400, "InvalidRequest".into()), "onto itself without a change");
    assert_eq!(refused(&[("x-amz-copy-source", "/bkt/none")]), (404, "NoSuchKey".into()));
    assert_eq!(refused(&[("x-amz-copy-source", "/none/k")]), (404, "NoSuchBucket".into()));
    assert_eq!(refused(&[("x-amz-copy-source", "nonsense")]), (400, "InvalidArgument".into()));
    assert_eq!(refused(&[("x-amz-copy-source", "/bkt/k?versionId=1")]), (501, "NotImplemented".into()));
    let other = ("x-amz-copy-source-if-match", "\"other\"");
    assert_eq!(running.refusal("PUT /bkt/x", &[source, other], b""), (412, "PreconditionFailed".into()));
    let known = ("x-amz-copy-source-if-none-match", etag.as_str());
    assert_eq!(running.refusal("PUT /bkt/x", &[source, known], b""), (412, "PreconditionFailed".into()));
    assert_eq!(
        running.refusal("PUT /bkt/copy", &[source, ("if-none-match", "*")], b""),
        (412, "PreconditionFailed".into())
    );
}

#[test]
fn buckets_are_named_by_hosts_as_well() {
    let running = Running::start();
    assert_eq!(running.ask("PUT /k", &[("host", "bkt.localhost:9000")], b"hello").status, 200);
    assert_eq!(running.ask("GET /k", &[("host", "bkt.s3.example.com")], b"").body, b"hello");
    assert_eq!(running.ask("GET /bkt/k", &[("host", "s3.example.com")], b"").body, b"hello");
    assert_eq!(running.ask("GET /?list-type=2", &[("host", "bkt.localhost")], b"").elements("Key"), ["k"]);
    assert_eq!(running.refusal("GET /k", &[("host", "none.localhost")], b""), (404, "NoSuchBucket".into()));
}

#[test]
fn requests_are_counted_by_operation_and_connections_are_kept() {
    let running = Running::start();
    let mut connection = running.connect();
    for (request, body) in
        [("PUT /bkt/k", &b"hello"[..]), ("GET /bkt/k", b""), ("GET /bkt/none", b""), ("GET /bkt/k", b"")]
    {
        let ask = Ask::new(request).body(body);
        connection.write(&ask.sign().head);
        connection.write(body);
        assert!(connection.try_answer(false).is_some(), "{request} on the same connection");
    }
    assert_eq!(
        (running.requests("PutObject"), running.requests("GetObject"), running.requests("HeadObject")),
        (1, 3, 0)
    );
}
