//! What calls send, and what answers mean.

use super::*;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::Headers;
use crate::store::ListObjects;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::UploadId;
use crate::store::checksum;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::xml::Document;
use std::time::Duration;

/// A call as one line of method, place and query, then its headers.
fn shown(call: &Call) -> String {
    let place = if call.on_object { format!("/{}", call.key) } else { "/".to_owned() };
    let query: Vec<String> = call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = vec![format!("{} {place} {}", call.method, query.join("&")).trim_end().to_owned()];
    lines.extend(call.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    lines.join("\n")
}

fn crc(number: u64) -> Option<Checksum> {
    Some(checksum::crc64nvme_checksum(number))
}

fn body(call: &Call) -> String {
    String::from_utf8(call.pieces.concat()).unwrap()
}

#[test]
fn calls_are_those_of_the_reference() {
    let upload = UploadId("u+/=".into());
    let source = CopySource { key: "a b/ü".into(), if_match: Some(ETag::new("abc")) };
    let none = Headers::default();
    let put =
        PutPart { key: "k", upload: &upload, number: PartNumber(7), payload: Payload::default(), checksum: crc(1) };
    let copy = CopyObject { bucket: "b", source: &source, key: "k", headers: None };
    let part =
        CopyPart { bucket: "b", key: "k", upload: &upload, number: PartNumber(1), source: &source, range: 5..10 };
    let list = ListObjects {
        prefix: "p/".into(),
        delimiter: Some("/".into()),
        start_after: Some("p/a".into()),
        continuation: None,
        limit: Some(3),
    };
    let next = ListObjects { continuation: Some("t=".into()), ..list.clone() };
    let rows: &[(Result<Call>, &str)] = &[
        (HeadBucket.call(Dialect::S3), "GET / list-type=2&max-keys=1"),
        (HeadObject { key: "k" }.call(Dialect::S3), "HEAD /k"),
        (DeleteObject { key: "k" }.call(Dialect::S3), "DELETE /k"),
        (AbortUpload { key: "k", upload: &upload }.call(Dialect::S3), "DELETE /k uploadId=u+/="),
        (put.call(Dialect::S3), "PUT /k partNumber=7&uploadId=u+/=\nx-amz-checksum-crc64nvme: AAAAAAAAAAE="),
        (CreateUpload { key: "k", headers: &none, checksum: None }.call(Dialect::S3), "POST /k uploads="),
        (
            CreateUpload { key: "k", headers: &none, checksum: Some(Algorithm::Crc64Nvme) }.call(Dialect::S3),
            "POST /k uploads=\nx-amz-checksum-algorithm: CRC64NVME\nx-amz-checksum-type: FULL_OBJECT",
        ),
        (
            copy.call(Dialect::S3),
            "PUT /k\nx-amz-copy-source: /b/a%20b/%C3%BC\nx-amz-copy-source-if-match: \"abc\"\nx-amz-metadata-directive: COPY",
        ),
        (
            part.call(Dialect::S3),
            "PUT /k partNumber=1&uploadId=u+/=\nx-amz-copy-source: /b/a%20b/%C3%BC\nx-amz-copy-source-if-match: \"abc\"\n\
             x-amz-copy-source-range: bytes=5-9",
        ),
        (
            ListObjectsCall { request: &list, with_metadata: true }.call(Dialect::S3),
            "GET / prefix=p/&delimiter=/&list-type=2&encoding-type=url&start-after=p/a&max-keys=3&metadata=true",
        ),
        (
            ListObjectsCall { request: &next, with_metadata: false }.call(Dialect::S3),
            "GET / prefix=p/&delimiter=/&list-type=2&encoding-type=url&continuation-token=t=&max-keys=3",
        ),
        (
            ListParts { key: "k", upload: &upload, after: Some(PartNumber(9)) }.call(Dialect::S3),
            "GET /k uploadId=u+/=&part-number-marker=9",
        ),
        (
            ListUploads { prefix: "p", after: Some(("a".into(), "u".into())) }.call(Dialect::S3),
            "GET / uploads=&encoding-type=url&prefix=p&key-marker=a&upload-id-marker=u",
        ),
    ];
    for (call, want) in rows {
        assert_eq!(shown(call.as_ref().unwrap()), *want);
    }
}

#[test]
fn a_put_carries_headers_condition_and_checksum() {
    let headers = Headers {
        content_type: Some("text/plain".into()),
        storage_class: Some("STANDARD_IA".into()),
        metadata: [("mode".to_owned(), "33188".to_owned())].into(),
        ..Headers::default()
    };
    let condition = Condition::Matches(ETag::new("abc-2"));
    let payload = Payload::from(Bytes::from_static(b"123456789"));
    let put = PutObject { key: "k", payload, headers: &headers, condition: &condition, checksum: None };
    let call = put.call(Dialect::S3).unwrap();
    assert_eq!(
        shown(&call),
        "PUT /k\ncontent-type: text/plain\nx-amz-storage-class: STANDARD_IA\nx-amz-meta-mode: 33188\nif-match: \"abc-2\""
    );
    assert_eq!(body(&call), "123456789");
}

#[test]
fn a_complete_names_parts_and_the_checksum_of_the_whole() {
    let part =
        |number| Part { number: PartNumber(number), etag: ETag::new("e"), size: 1, crc64nvme: None, crc32c: Some(7) };
    let parts = [part(1), part(3)];
    let upload = UploadId("u".into());
    let complete = |checksum, names_crc32c| {
        let condition = &Condition::Absent;
        CompleteUpload { key: "k", upload: &upload, parts: &parts, condition, checksum, names_crc32c }
    };
    let call = complete(crc(1), false).call(Dialect::S3).unwrap();
    assert_eq!(
        shown(&call),
        "POST /k uploadId=u\ncontent-type: application/xml\nif-none-match: *\nx-amz-checksum-crc64nvme: AAAAAAAAAAE=\n\
         x-amz-checksum-type: FULL_OBJECT"
    );
    let numbers = xml::CompleteRequest::parse(body(&call).as_bytes()).unwrap().parts;
    assert_eq!(numbers.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 3]);
    assert!(!body(&call).contains("ChecksumCRC32C"));
    let call = complete(None, true).call(Dialect::S3).unwrap();
    assert_eq!(body(&call).matches("<ChecksumCRC32C>AAAABw==</ChecksumCRC32C>").count(), 2);
    assert!(!shown(&call).contains("x-amz-checksum"));
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_str(v).unwrap()));
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        dialect: Dialect::S3,
        sent_md5: None,
    }
}

fn error_body(code: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>why</Message></Error>")
}

#[test]
fn failures_are_known_by_code_then_by_status() {
    let get = Call::object(Op::GetObject, Method::GET, "k");
    let rows: &[(u16, &str, Kind)] = &[
        (404, "NoSuchKey", Kind::NotFound),
        (404, "NoSuchBucket", Kind::NoSuchBucket),
        (404, "NoSuchUpload", Kind::NoSuchUpload),
        (412, "PreconditionFailed", Kind::PreconditionFailed),
        (409, "ConditionalRequestConflict", Kind::Conflict),
        (403, "AccessDenied", Kind::AccessDenied),
        (403, "InvalidAccessKeyId", Kind::BadCredentials),
        (403, "SignatureDoesNotMatch", Kind::BadCredentials),
        (400, "ExpiredToken", Kind::BadCredentials),
        (403, "RequestTimeTooSkewed", Kind::ClockSkew),
        (400, "KeyTooLongError", Kind::InvalidKey),
        (400, "EntityTooLarge", Kind::TooLarge),
        (400, "InvalidPart", Kind::InvalidPart),
        (400, "BadDigest", Kind::Corrupt),
        (403, "InvalidObjectState", Kind::Archived),
        (501, "NotImplemented", Kind::NotImplemented),
        (400, "SlowDown", Kind::Throttled(None)),
        (500, "InternalError", Kind::Unavailable),
        (400, "RequestTimeout", Kind::Network),
        (400, "SomethingNew", Kind::Invalid),
        (503, "SomethingNew", Kind::Unavailable),
        (404, "SomethingNew", Kind::NotFound),
    ];
    for (status, code, want) in rows {
        let error = failure(&get, &answer(*status, &[], &error_body(code)));
        assert_eq!(error.kind, *want, "{status} {code}");
        assert_eq!(error.message, format!("{code}: why"));
    }
}

#[test]
fn head_is_judged_by_its_status_alone() {
    let head = Call::object(Op::HeadObject, Method::HEAD, "k");
    for (status, want) in [
        (400, Kind::Invalid),
        (403, Kind::AccessDenied),
        (404, Kind::NotFound),
        (412, Kind::PreconditionFailed),
        (416, Kind::InvalidRange),
        (429, Kind::Throttled(None)),
        (500, Kind::Unavailable),
        (503, Kind::Unavailable),
        (301, Kind::Protocol),
    ] {
        assert_eq!(failure(&head, &answer(status, &[], "")).kind, want, "{status}");
    }
}

#[test]
fn stores_may_ask_to_wait() {
    let get = Call::object(Op::GetObject, Method::GET, "k");
    for (after, want) in [("7", Some(7)), ("100000", Some(300)), ("Fri, 24 May 2013 00:00:00 GMT", None), ("-1", None)]
    {
        let slow = failure(&get, &answer(503, &[("retry-after", after)], &error_body("SlowDown")));
        assert_eq!(slow.kind, Kind::Throttled(want.map(Duration::from_secs)), "{after}");
        assert!(slow.is_transient());
    }
}

#[test]
fn what_is_not_s3_is_known_as_such() {
    let get = Call::bucket(Op::HeadBucket, Method::GET, "");
    let html = "<!doctype html><html><body>It works!</body></html>";
    for status in [404, 403, 400, 302, 405] {
        let error = failure(&get, &answer(status, &[("content-type", "text/html")], html));
        assert_eq!(error.kind, Kind::Protocol, "{status}");
        assert!(error.message.contains("does not speak S3") && error.message.contains("text/html"), "{error}");
    }
    assert_eq!(failure(&get, &answer(502, &[("content-type", "text/html")], html)).kind, Kind::Unavailable);
    assert_eq!(failure(&get, &answer(404, &[("x-amz-request-id", "1")], "")).kind, Kind::NotFound);
    for body in [html, "{\"ok\":true}", "hello", "<Other/>"] {
        let error = HeadBucket.parse(&answer(200, &[], body)).unwrap_err();
        assert_eq!(error.kind, Kind::Protocol, "{body}");
    }
}

#[test]
fn an_error_inside_of_a_success_is_an_error() {
    let upload = UploadId("u".into());
    let complete = CompleteUpload {
        key: "k",
        upload: &upload,
        parts: &[],
        condition: &Condition::None,
        checksum: None,
        names_crc32c: false,
    };
    let rows: &[(&str, Kind, &str)] = &[
        ("  \n<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>", Kind::Unavailable, "after spaces"),
        ("<Error><Code>NoSuchUpload</Code></Error>", Kind::NoSuchUpload, "of any kind"),
        ("<Error><Code>Whatever</Code></Error>", Kind::Unavailable, "an unknown one may pass"),
        ("<Error><Code>Intern", Kind::Network, "cut off"),
        ("", Kind::Network, "nothing at all"),
        ("   \n", Kind::Network, "spaces to keep the connection alive, and then nothing"),
        ("<CompleteMultipartUploadResult><ETag>\"a", Kind::Network, "a result cut off"),
        ("<CompleteMultipartUploadResult/>", Kind::Protocol, "a result without a tag"),
        ("<CopyObjectResult><ETag>a</ETag></CopyObjectResult>", Kind::Protocol, "another result"),
    ];
    for (body, want, why) in rows {
        assert_eq!(complete.parse(&answer(200, &[], body)).unwrap_err().kind, *want, "{why}");
    }
    let good = "<CompleteMultipartUploadResult><ETag>&quot;a-1&quot;</ETag></CompleteMultipartUploadResult>";
    assert_eq!(complete.parse(&answer(200, &[], good)).unwrap(), ETag::new("a-1"));
}

#[test]
fn only_what_was_asked_is_taken_for_an_answer() {
    type Row =
        (u16, Option<(u64, u64)>, &'static [(&'static str, &'static str)], std::result::Result<(u64, u64, u64), Kind>);
    const E: (&str, &str) = ("etag", "\"e\"");
    let rows: &[Row] = &[
        // status, range, headers, (size, skip, take)
        (200, None, &[E, ("content-length", "10")], Ok((10, 0, 10))),
        (200, None, &[E], Err(Kind::Protocol)),
        (200, None, &[("content-length", "10")], Err(Kind::Protocol)),
        (206, None, &[E, ("content-range", "bytes 0-9/10")], Err(Kind::Protocol)),
        (206, Some((2, 5)), &[E, ("content-range", "bytes 2-4/10"), ("content-length", "3")], Ok((10, 0, 3))),
        (206, Some((8, 50)), &[E, ("content-range", "bytes 8-9/10")], Ok((10, 0, 2))),
        (206, Some((2, 5)), &[E, ("content-range", "bytes 2-3/10")], Err(Kind::Protocol)),
        (206, Some((2, 5)), &[E, ("content-range", "bytes 3-5/10")], Err(Kind::Protocol)),
        (206, Some((2, 5)), &[E, ("content-range", "bytes 2-4/10"), ("content-length", "9")], Err(Kind::Protocol)),
        (206, Some((2, 5)), &[E, ("content-range", "bytes 2-4/*")], Err(Kind::Protocol)),
        (206, Some((2, 5)), &[E], Err(Kind::Protocol)),
        (200, Some((2, 5)), &[E, ("content-length", "10")], Ok((10, 2, 3))),
        (200, Some((2, 50)), &[E, ("content-length", "10")], Ok((10, 2, 8))),
        (200, Some((10, 11)), &[E, ("content-length", "10")], Err(Kind::InvalidRange)),
        (204, None, &[E], Err(Kind::Protocol)),
    ];
    for (status, range, headers, want) in rows {
        let get = GetObjectCall { key: "k", range: range.map(|(start, end)| start..end), if_match: None };
        let answer = answer(*status, headers, "");
        let head = get.head(Dialect::S3, answer.status, &answer.headers);
        let got = head.map(|head| (head.object.size, head.skip, head.take)).map_err(|error| error.kind);
        assert_eq!(got, *want, "{status} {range:?} {headers:?}");
    }
}

#[test]
fn another_version_is_never_taken_for_the_pinned_one() {
    let pinned = ETag::new("e");
    let get = GetObjectCall { key: "k", range: None, if_match: Some(&pinned) };
    for (tag, want) in [("\"e\"", None), ("W/\"E\"", None), ("\"f\"", Some(Kind::PreconditionFailed))] {
        let answer = answer(200, &[("etag", tag), ("content-length", "1")], "");
        assert_eq!(get.head(Dialect::S3, answer.status, &answer.headers).err().map(|error| error.kind), want, "{tag}");
    }
}

#[test]
fn listings_that_do_not_advance_are_refused() {
    let page = |more: &str| format!("<ListBucketResult><IsTruncated>true</IsTruncated>{more}</ListBucketResult>");
    let request = ListObjects { continuation: Some("t".into()), ..ListObjects::default() };
    let call = ListObjectsCall { request: &request, with_metadata: false };
    for (more, want) in [
        ("<NextContinuationToken>u</NextContinuationToken>", None),
        ("<NextContinuationToken>t</NextContinuationToken>", Some(Kind::Protocol)),
        ("", Some(Kind::Protocol)),
    ] {
        let result = call.parse(&answer(200, &[], &page(more)));
        assert_eq!(result.err().map(|error| error.kind), want, "{more}");
    }
    let upload = UploadId("u".into());
    let parts = ListParts { key: "k", upload: &upload, after: Some(PartNumber(5)) };
    for (next, want) in [(6, None), (5, Some(Kind::Protocol))] {
        let body = format!(
            "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>{next}</NextPartNumberMarker></ListPartsResult>"
        );
        assert_eq!(parts.parse(&answer(200, &[], &body)).err().map(|error| error.kind), want, "{next}");
    }
    let uploads = ListUploads { prefix: "", after: Some(("k".into(), "u".into())) };
    for (next, want) in [("v", None), ("u", Some(Kind::Protocol))] {
        let body = format!(
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
             <NextUploadIdMarker>{next}</NextUploadIdMarker></ListMultipartUploadsResult>"
        );
        assert_eq!(uploads.parse(&answer(200, &[], &body)).err().map(|error| error.kind), want, "{next}");
    }
}

#[test]
fn what_a_multi_delete_could_not_delete_is_told() {
    let keys = ["a", "b", "c"];
    let delete = DeleteObjects { keys: &keys };
    let call = delete.call(Dialect::S3).unwrap();
    assert_eq!(xml::Delete::parse(body(&call).as_bytes()).unwrap().keys, keys);
    assert_eq!(call.md5, Some(checksum::md5_of(&call.pieces)));
    let document = "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error>\
                    <Error><Key>b</Key><Code>NoSuchKey</Code></Error>\
                    <Error><Key>c</Key><Code>InternalError</Code></Error></DeleteResult>";
    let failed = delete.parse(&answer(200, &[], document)).unwrap();
    let failed: Vec<(&str, &Kind)> = failed.iter().map(|error| (error.key.as_str(), &error.kind)).collect();
    assert_eq!(failed, [("a", &Kind::AccessDenied), ("c", &Kind::Unavailable)]);
}
