//! The same calls in each dialect: names of headers, signatures, documents, and what answers mean.

use super::*;
use crate::store::CopySource;
use crate::wire::sigv2;
use crate::wire::sigv2::JINGDONG;
use crate::wire::sigv2::WOS2;
use crate::wire::sigv4::WOS4;

const JSS: &str = "http://s.jcloud.com";
const WOS: &str = "http://s3-cn-east-1.wcsapi.com";
const MD5_HEX: &str = "25f9e794323b453885f5181f1b624d0b";
const MD5_BASE64: &str = "JfnnlDI7RTiF9RgfG2JNCw==";

fn jss() -> (Arc<Script>, Client) {
    client("jss", Some(JSS))
}

fn wos() -> (Arc<Script>, Client) {
    client("wos", Some(WOS))
}

/// Verifies a request as a server would that is told bucket and key.
fn verify_v2(scheme: &sigv2::Scheme, request: &Request, key: Option<&str>) {
    let authorization = sigv2::Authorization::parse(scheme, field(request, "authorization").unwrap()).unwrap();
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let query = uri::parse_query(&request.query).unwrap();
    let method = request.method.as_str();
    let seen = sigv2::Request { method, bucket: Some("my-bucket"), key, query: &query, headers: &headers };
    let date = field(request, "date").expect("a request has a date");
    assert_eq!(authorization.signature, seen.signature(scheme, "secret", date, sigv2::Order::AsSent));
}

fn full_headers(class: &str) -> Headers {
    Headers {
        content_type: Some("text/plain".into()),
        storage_class: Some(class.into()),
        metadata: [("mode".to_owned(), "33188".to_owned())].into(),
        ..Headers::default()
    }
}

#[tokio::test]
async fn a_put_has_the_names_of_its_dialect() {
    for (provider, endpoint, prefix, class, md5) in
        [("jss", JSS, "x-jss-", "STANDARD", MD5_HEX), ("wos", WOS, "x-wos-", "IA", MD5_BASE64)]
    {
        let (script, client) = client(provider, Some(endpoint));
        script.answer(200, &[("etag", "\"25F9E794323B453885F5181F1B624D0B\"")], "");
        let headers = full_headers(class);
        let put = client.put_object("a b/目", payload("123456789"), &headers, &Condition::None);
        assert_eq!(put.await.unwrap(), ETag::new(MD5_HEX));
        let [request] = script.sent().try_into().unwrap();
        assert!(request.headers.keys().all(|name| !name.as_str().starts_with("x-amz-")), "{:?}", request.headers);
        assert_eq!(field(&request, &format!("{prefix}storage-class")), Some(class));
        assert_eq!(field(&request, &format!("{prefix}meta-mode")), Some("33188"));
        assert_eq!(field(&request, "content-md5"), Some(md5));
        let scheme = if provider == "jss" { &JINGDONG } else { &WOS2 };
        verify_v2(scheme, &request, Some("a b/目"));
    }
}

#[tokio::test]
async fn heads_come_back_with_the_programs_own_names() {
    for (dialect, (script, client)) in [("x-jss-", jss()), ("x-wos-", wos())] {
        let meta = HeaderName::from_bytes(format!("{dialect}meta-mode").as_bytes()).unwrap();
        let class = HeaderName::from_bytes(format!("{dialect}storage-class").as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [("etag", "\"e\""), ("content-length", "5")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(meta, HeaderValue::from_static("33188"));
        headers.insert(class, HeaderValue::from_static("STANDARD"));
        *script.heads.lock().unwrap() = Some(headers);
        script.answer(200, &[], "");
        let head = client.head_object("k").await.unwrap();
        assert_eq!(head.headers.metadata["mode"], "33188");
        assert_eq!(head.headers.storage_class.as_deref(), Some("STANDARD"));
    }
}

#[tokio::test]
async fn what_jss_says_of_every_object_is_no_header_of_this_one() {
    let own = ("max-age=60", "inline; filename=\"other\"");
    let default = ("max-age=2592000", "inline; filename=\"a \\\"b\\\"\"");
    for ((cache, disposition), is_own) in [(own, true), (default, false)] {
        let (script, client) = jss();
        let headers =
            [("etag", "e"), ("content-length", "5"), ("cache-control", cache), ("content-disposition", disposition)];
        script.answer(200, &headers, "12345");
        let head = client.head_object("dir/a \"b\"").await.unwrap().headers;
        assert_eq!(head.cache_control.is_some(), is_own);
        assert_eq!(head.content_disposition.is_some(), is_own, "{disposition}");
        script.answer(200, &headers, "12345");
        assert_eq!(client.get_object("dir/a \"b\"", None, None).await.unwrap().object.headers, head);
    }
}

#[tokio::test]
async fn parameters_are_sorted_and_bare_where_they_have_no_value() {
    let (script, client) = jss();
    script.answer(200, &[], r#"{"Bucket":"b","Key":"k","UploadId":"9E417328F6B89F0B"}"#);
    let id = client.create_upload("k", &Headers::default()).await.unwrap();
    script.answer(200, &[("etag", MD5_HEX)], "");
    let part = client.put_part("k", &id, PartNumber(7), payload("123456789")).await.unwrap();
    script.answer(200, &[], r#"{"Bucket":"b","Key":"k","ETag":"cfd2c35e44ba27d3c437a2866b025b6a"}"#);
    client.complete_upload("k", &id, &[part], &Condition::None).await.unwrap();
    script.answer(200, &[], r#"{"Bucket":"b","Upload":[]}"#);
    client.list_uploads("p/").await.unwrap();
    let sent = script.sent();
    let queries: Vec<&str> = sent.iter().map(|request| request.query.as_str()).collect();
    let part = "partNumber=7&uploadId=9E417328F6B89F0B";
    assert_eq!(queries, ["uploads", part, "uploadId=9E417328F6B89F0B", "prefix=p%2F&uploads"]);
    for request in &sent[..3] {
        verify_v2(&JINGDONG, request, Some("k"));
    }
    verify_v2(&JINGDONG, &sent[3], None);
    assert_eq!(
        sent[2].body.pieces().concat(),
        format!(r#"{{"Part":[{{"PartNumber":7,"ETag":"{MD5_HEX}"}}]}}"#).as_bytes()
    );
    assert_eq!(field(&sent[2], "content-type"), Some("application/json;charset=UTF-8"));
    assert!(field(&sent[2], "content-md5").is_some_and(|md5| md5.len() == 32), "hex");
}

#[tokio::test]
async fn wangsus_current_signature_is_made_like_amazons() {
    let options = Options {
        endpoint: Some(Origin::parse(WOS).unwrap()),
        signature: Some(Signature::Wos4),
        ..Options::new("my-bucket", Provider::named("wos").unwrap())
    };
    let session = Credentials { session_token: Some("TOKEN".to_owned().into()), ..Credentials::new("AKID", "secret") };
    let (script, mut client) = with(options);
    client.credentials = Arc::new(session);
    script.answer(200, &[("etag", MD5_HEX)], "");
    put(&client, "k").await.unwrap();
    let [request] = script.sent().try_into().unwrap();
    assert_eq!(request.origin.authority(), "my-bucket.s3-cn-east-1.wcsapi.com");
    verify_v4(&WOS4, &request, "cn-east-1");
    assert_eq!(field(&request, "x-wos-security-token"), Some("TOKEN"));
    assert_eq!(field(&request, "x-wos-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    assert!(field(&request, "date").is_some());
}

#[tokio::test]
async fn jss_takes_no_keys_of_a_session() {
    let (script, mut client) = jss();
    client.credentials =
        Arc::new(Credentials { session_token: Some("T".to_owned().into()), ..Credentials::new("AKID", "secret") });
    let error = client.head_bucket().await.unwrap_err();
    assert_eq!(error.kind, Kind::BadCredentials);
    assert!(error.message.contains("session"), "{error}");
    assert!(script.sent().is_empty());
}

#[test]
fn what_does_not_fit_together_is_refused_at_once() {
    let build = |provider: &str, signature, integrity| {
        let options = Options {
            endpoint: Some(Origin::parse("http://store.example.com").unwrap()),
            signature,
            integrity,
            ..Options::new("my-bucket", Provider::named(provider).unwrap())
        };
        let error = Client::over(options, keys(), Arc::new(Script::default())).err()?;
        assert_eq!(error.kind, Kind::Invalid);
        Some(error.message)
    };
    type Row = (&'static str, Option<Signature>, Option<Integrity>, Option<&'static str>);
    let rows: &[Row] = &[
        ("s3", None, Some(Integrity::Crc32c), None),
        ("s3", None, Some(Integrity::Md5), None),
        ("s3", Some(Signature::Jingdong), None, Some("jingdong")),
        ("jss", None, Some(Integrity::Md5), None),
        ("jss", None, Some(Integrity::SignedSha256), Some("jingdong does not cover bodies")),
        ("jss", None, Some(Integrity::Crc64Nvme), Some("no checksum crc64nvme; use md5")),
        ("jss", Some(Signature::Wos2), None, Some("JSS dialect has no WOS signatures")),
        ("wos", None, Some(Integrity::SignedSha256), Some("WOS does not cover bodies")),
        ("wos", Some(Signature::Wos4), Some(Integrity::SignedSha256), None),
        ("wos", Some(Signature::Wos4), Some(Integrity::Crc32c), Some("no checksum crc32c")),
        ("wos", Some(Signature::Aws4), None, Some("a provider that speaks S3")),
    ];
    for (provider, signature, integrity, want) in rows {
        let message = build(provider, *signature, *integrity);
        match want {
            Some(want) => assert!(message.as_deref().is_some_and(|m| m.contains(want)), "{message:?} {want}"),
            None => assert_eq!(message, None, "{provider} {signature:?} {integrity:?}"),
        }
    }
}

#[tokio::test]
async fn refusals_are_known_by_their_code_in_every_dialect() {
    let rows: &[(u16, &str, Kind)] = &[
        (400, "SlowDown", Kind::Throttled(None)),
        (404, "NoSuchUpload", Kind::NoSuchUpload),
        (400, "InvalidToken", Kind::BadCredentials),
        (403, "InvalidToken", Kind::BadCredentials),
        (403, "InvalidAccessKey", Kind::BadCredentials),
        (400, "AccessKeyDenied", Kind::AccessDenied),
        (400, "TooManyParts", Kind::TooLarge),
        (400, "BadDigest", Kind::Corrupt),
        (500, "Whatever", Kind::Unavailable),
    ];
    for (status, code, want) in rows {
        let json = format!(r#"{{"code":"{code}","message":"why","resource":"/b/k","requestId":"9891344770AD7F37"}}"#);
        for ((script, client), body) in [(jss(), json), (wos(), error(code, ""))] {
            script.answer(*status, &[], &body);
            let error = client.list_parts("k", &UploadId("u".into())).await.unwrap_err();
            assert_eq!(error.kind, *want, "{status} {code}");
            assert!(error.message.starts_with(&format!("{code}: why")), "{error}");
        }
    }
    let (script, client) = jss();
    script.answer(502, &[("content-type", "text/html")], "<html>Bad Gateway</html>");
    assert_eq!(client.head_bucket().await.unwrap_err().kind, Kind::Unavailable, "a proxy");
    script.answer(404, &[("content-type", "text/html")], "<html>not here</html>");
    assert_eq!(client.head_bucket().await.unwrap_err().kind, Kind::Protocol, "a web server");
    script.answer(404, &[("x-jss-request-id", "9891344770AD7F37")], "");
    let error = client.get_object("k", None, None).await.err().unwrap();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.message.ends_with("(request 9891344770AD7F37)"), "{error}");
}

#[tokio::test]
async fn ids_of_requests_are_shown_whatever_they_are_called() {
    for (headers, want) in [
        (&[("x-wos-request-id", "A1")][..], " (request A1)"),
        (&[("x-amz-request-id", "B2")], " (request B2)"),
        (&[("x-oss-request-id", "C3")], " (request C3)"),
        (&[("x-req-id", "D4")], " (request D4)"),
        (&[("x-req-id", "two words")], ""),
        (&[], " (request E5)"),
    ] {
        let (script, client) = wos();
        script.answer(403, headers, &error("AccessDenied", "<RequestId>E5</RequestId>"));
        let error = client.delete_object("k").await.unwrap_err();
        assert_eq!(error.message, format!("AccessDenied: why{want}"));
    }
}

#[tokio::test]
async fn a_body_that_wangsu_may_have_got_wrong_is_sent_once_more() {
    let refusal = error("SignatureDoesNotMatch", "");
    let (script, client) = wos();
    script.answer(403, &[], &refusal);
    script.answer(200, &[("etag", MD5_HEX)], "");
    put(&client, "k").await.unwrap();
    assert_eq!(script.sent().len(), 2);
    for _ in 0..2 {
        script.answer(403, &[], &refusal);
    }
    assert_eq!(put(&client, "k").await.unwrap_err().kind, Kind::BadCredentials, "the keys are wrong after all");
    assert_eq!(script.sent().len(), 2);
    script.answer(403, &[], &refusal);
    assert_eq!(client.delete_object("k").await.unwrap_err().kind, Kind::BadCredentials);
    assert_eq!(script.sent().len(), 1, "without a digest there is nothing to hope for");
    let (script, client) = jss();
    script.answer(403, &[], r#"{"code":"SignatureDoesNotMatch","message":"why"}"#);
    assert_eq!(put(&client, "k").await.unwrap_err().kind, Kind::BadCredentials);
    assert_eq!(script.sent().len(), 1, "JSS has a code of its own for it");
}

#[tokio::test]
async fn a_tag_that_is_not_the_digest_of_what_was_sent_is_told() {
    let other = "00000000000000000000000000000000";
    for (headers, want) in [
        (&[("etag", MD5_HEX)][..], None),
        (&[("etag", other)], Some(Kind::Corrupt)),
        (&[("etag", "opaque")], None),
        (&[("etag", other), ("x-jss-server-side-encryption", "true")], None),
        (&[("etag", other), ("x-jss-server-side-encryption", "false")], Some(Kind::Corrupt)),
    ] {
        let (script, client) = jss();
        script.answer(200, headers, "");
        assert_eq!(put(&client, "k").await.err().map(|error| error.kind), want, "{headers:?}");
        script.answer(200, headers, "");
        let part = client.put_part("k", &UploadId("u".into()), PartNumber(1), payload("123456789")).await;
        assert_eq!(part.err().map(|error| error.kind), want, "{headers:?}");
    }
}

#[tokio::test]
async fn crc32c_goes_with_data_and_is_named_at_complete() {
    let options = Options {
        endpoint: Some(Origin::parse("http://store.example.com").unwrap()),
        integrity: Some(Integrity::Crc32c),
        ..Options::new("my-bucket", Provider::named("s3").unwrap())
    };
    let (script, client) = with(options);
    script.answer(200, &[], "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
    let id = client.create_upload("k", &Headers::default()).await.unwrap();
    script.answer(200, &[("etag", "e")], "");
    let part = client.put_part("k", &id, PartNumber(1), payload("123456789")).await.unwrap();
    assert_eq!(part.crc32c, Some(0xe306_9283));
    script.answer(200, &[], "<CompleteMultipartUploadResult><ETag>e-1</ETag></CompleteMultipartUploadResult>");
    client.complete_upload("k", &id, &[part], &Condition::None).await.unwrap();
    let [create, part, complete] = script.sent().try_into().unwrap();
    assert_eq!(field(&create, "x-amz-checksum-algorithm"), Some("CRC32C"));
    assert_eq!(field(&create, "x-amz-checksum-type"), Some("COMPOSITE"));
    assert_eq!(field(&part, "x-amz-checksum-crc32c"), Some("4waSgw=="));
    assert_eq!(field(&part, "x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    let body = String::from_utf8(complete.body.pieces().concat()).unwrap();
    assert!(body.contains("<ChecksumCRC32C>4waSgw==</ChecksumCRC32C>"), "{body}");
}

#[tokio::test]
async fn a_jss_listing_goes_on_by_markers() {
    let entry = |key: &str| {
        format!(r#"{{"Key":"{key}","LastModified":"Tue, 02 Jan 2024 03:04:05 GMT","ETag":"{MD5_HEX}","Size":1}}"#)
    };
    let page = |keys: &[&str], prefixes: &str, next: &str| {
        let keys: Vec<String> = keys.iter().map(|key| entry(key)).collect();
        format!(
            r#"{{"Name":"b","Delimiter":"/","NextMarker":{next},"HasNext":true,"Contents":[{}],"CommonPrefixes":[{prefixes}]}}"#,
            keys.join(",")
        )
    };
    type Row<'a> = (String, Option<&'a str>, std::result::Result<&'a str, Kind>, &'a str);
    let rows: Vec<Row> = vec![
        (page(&["d/a"], "", r#""d/b""#), None, Ok("d/b"), "as the store says"),
        (page(&["d/a"], r#""d/b""#, "null"), None, Ok("d/b/"), "the last is a prefix"),
        (page(&["d/c"], r#""d/b""#, "null"), None, Ok("d/c"), "the last is a key"),
        (page(&["d/a"], r#""d/b""#, r#""d/b""#), None, Ok("d/b/"), "a prefix as bare as prefixes are"),
        (page(&[], "", "null"), None, Err(Kind::Protocol), "it says no place"),
        (page(&["d/a"], "", "null"), Some("d/a"), Err(Kind::Protocol), "it stays in its place"),
        (page(&["d/a"], "", "null"), Some("d/b"), Err(Kind::Protocol), "it goes back"),
    ];
    for (body, continuation, want, why) in rows {
        let (script, client) = jss();
        script.answer(200, &[], &body);
        let request = ListObjects {
            prefix: "d/".into(),
            delimiter: Some("/".into()),
            start_after: Some("d/0".into()),
            continuation: continuation.map(str::to_owned),
            limit: Some(2),
        };
        let got = client.list_objects(&request).await.map(|page| page.next.unwrap()).map_err(|error| error.kind);
        assert_eq!(got, want.map(str::to_owned), "{why}");
        let [request] = script.sent().try_into().unwrap();
        let marker = uri::encode(continuation.unwrap_or("d/0"));
        assert_eq!(request.query, format!("delimiter=%2F&marker={marker}&maxKeys=2&prefix=d%2F"));
    }
}

#[tokio::test]
async fn answers_that_promise_too_much_are_seen_through_in_json() {
    let rows: &[(&str, Kind, &str)] = &[
        (r#"{"code":"InternalError","message":"m"}"#, Kind::Unavailable, "an error"),
        (r#"{"code":"NoSuchUpload"}"#, Kind::NoSuchUpload, "of any kind"),
        (r#"{"ETag":"We encountered an internal error. Please try again."}"#, Kind::Unavailable, "a sentence"),
        ("", Kind::Network, "nothing"),
        (r#"{"Bucket":"b","ET"#, Kind::Network, "cut off"),
        (r#"{"Bucket":"b"}"#, Kind::Protocol, "no tag"),
        ("<html></html>", Kind::Protocol, "a page"),
    ];
    for (body, want, why) in rows {
        let (script, client) = jss();
        script.answer(200, &[], body);
        let done = client.complete_upload("k", &UploadId("u".into()), &[], &Condition::None).await;
        assert_eq!(done.unwrap_err().kind, *want, "{why}");
        script.answer(200, &[], body);
        let source = CopySource { key: "s".into(), if_match: None };
        assert_eq!(client.copy_object(&source, "k", None).await.unwrap_err().kind, *want, "{why}");
    }
    for body in [r#"{"ok":true}"#, r#"{"code":"NoSuchBucket"}"#, "<ListBucketResult/>"] {
        let (script, client) = jss();
        script.answer(200, &[], body);
        assert!(client.head_bucket().await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn copies_and_moves_name_their_source() {
    let source = CopySource { key: "a b/目".into(), if_match: Some(ETag::new("e")) };
    for ((script, client), prefix, done) in [
        (jss(), "x-jss-", r#"{"lastModified":"Tue, 02 Jan 2024 03:04:05 GMT","etag":"e"}"#),
        (wos(), "x-wos-", "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"),
    ] {
        script.answer(200, &[], done);
        client.copy_object(&source, "k", None).await.unwrap();
        let [copy] = script.sent().try_into().unwrap();
        let value = |name: &str| field(&copy, &format!("{prefix}{name}"));
        assert_eq!(value("copy-source"), Some("/my-bucket/a%20b/%E7%9B%AE"));
        assert_eq!(value("copy-source-if-match"), Some("\"e\""));
        assert_eq!(value("metadata-directive"), Some("COPY"));
    }
    let (script, client) = jss();
    for (status, body, want) in [
        (200, r#"{"etag":"e"}"#, None),
        (200, "{}", None),
        (204, "", None),
        (200, "", Some(Kind::Network)),
        (200, r#"{"code":"InternalError"}"#, Some(Kind::Unavailable)),
        (404, r#"{"code":"NoSuchKey"}"#, Some(Kind::NotFound)),
    ] {
        script.answer(status, &[], body);
        let moved = client.move_object(&source, "k").await;
        assert_eq!(moved.err().map(|error| error.kind), want, "{status} {body}");
        let [request] = script.sent().try_into().unwrap();
        assert_eq!(field(&request, "x-jss-move-source"), Some("/my-bucket/a%20b/%E7%9B%AE"));
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/my-bucket/k"));
    }
    let onto = client.move_object(&source, "a b/目").await.unwrap_err();
    assert_eq!(onto.kind, Kind::Invalid);
    assert_eq!(wos().1.move_object(&source, "k").await.unwrap_err().kind, Kind::NotImplemented);
    assert!(script.sent().is_empty(), "a move onto itself would remove it");
}

#[tokio::test]
async fn a_source_that_a_copy_cannot_be_bound_to_is_looked_at_first() {
    let (script, client) = client("jdcloud", Some("http://s3.cn-north-1.jdcloud-oss.com"));
    let source = |tag| CopySource { key: "s".into(), if_match: Some(ETag::new(tag)) };
    script.answer(200, &[("etag", "e"), ("content-length", "1")], "");
    script.answer(200, &[], "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>");
    client.copy_object(&source("e"), "k", None).await.unwrap();
    let [head, copy] = script.sent().try_into().unwrap();
    assert_eq!((head.method.as_str(), head.path.as_str()), ("HEAD", "/s"));
    assert_eq!(field(&copy, "x-amz-copy-source"), Some("/my-bucket/s"));
    assert_eq!(field(&copy, "x-amz-copy-source-if-match"), None);
    script.answer(200, &[("etag", "e"), ("content-length", "1")], "");
    let stale = client.copy_object(&source("other"), "k", None).await.unwrap_err();
    assert_eq!((stale.kind, script.sent().len()), (Kind::PreconditionFailed, 1));
}

#[tokio::test]
async fn parts_that_cannot_be_copied_are_read_and_sent() {
    let source = CopySource { key: "s".into(), if_match: Some(ETag::new("e")) };
    let upload = UploadId("u".into());
    let got = [("etag", "e"), ("content-range", "bytes 3-6/10")];
    let copy = async |script: &Script, client: &Client| {
        script.answer(206, &got, "3456");
        script.answer(200, &[("etag", "p")], "");
        client.copy_part("k", &upload, PartNumber(2), &source, 3..7).await.unwrap()
    };
    let (script, wos) = wos();
    let part = copy(&script, &wos).await;
    assert_eq!((part.size, part.number, part.etag.as_str()), (4, PartNumber(2), "p"));
    let [get, put] = script.sent().try_into().unwrap();
    assert_eq!((field(&get, "range"), field(&get, "if-match")), (Some("bytes=3-6"), Some("\"e\"")));
    assert_eq!((put.body.pieces().concat(), put.query.as_str()), (b"3456".to_vec(), "partNumber=2&uploadId=u"));

    script.answer(206, &[("etag", "e"), ("content-range", "bytes 3-4/5")], "34");
    let short = wos.copy_part("k", &upload, PartNumber(2), &source, 3..7).await.unwrap_err();
    assert_eq!(short.kind, Kind::InvalidRange, "a part is never shorter than it was asked");
    let huge = wos.copy_part("k", &upload, PartNumber(2), &source, 0..1 << 30).await.unwrap_err();
    assert_eq!(huge.kind, Kind::NotImplemented);
    assert_eq!(script.sent().len(), 1);

    let (script, client) = local();
    script.answer(501, &[], &error("NotImplemented", ""));
    copy(&script, &client).await;
    copy(&script, &client).await;
    let methods: Vec<String> = script.sent().iter().map(|request| request.method.to_string()).collect();
    assert_eq!(methods, ["PUT", "GET", "PUT", "GET", "PUT"], "what the store said is remembered");
}

#[tokio::test]
async fn deletes_fit_their_dialect() {
    let keys = ["a".to_owned(), "b".to_owned()];
    let (script, client) = jss();
    script.answer(404, &[], r#"{"code":"NoSuchKey","message":"m"}"#);
    script.answer(204, &[], "");
    assert!(client.delete_objects(&keys).await.unwrap().is_empty());
    assert!(script.sent().iter().all(|request| request.method == http::Method::DELETE));

    let (script, client) = wos();
    script.answer(200, &[], "<DeleteResult xmlns=\"https://www.wangsu.com/document\"></DeleteResult>");
    assert!(client.delete_objects(&keys).await.unwrap().is_empty());
    let [request] = script.sent().try_into().unwrap();
    let body = request.body.pieces().concat();
    assert_eq!(request.query, "delete");
    assert_eq!(
        field(&request, "content-md5"),
        Some(Dialect::Wos.content_md5(checksum::md5_of(&[body.into()])).as_str())
    );
    verify_v2(&WOS2, &request, None);
    script.answer(200, &[], "");
    client.abort_upload("k", &UploadId("u".into())).await.unwrap();
    script.answer(404, &[], &error("NoSuchUpload", ""));
    client.abort_upload("k", &UploadId("u".into())).await.unwrap();
}

#[tokio::test]
async fn storage_classes_that_are_none_are_not_sent() {
    let rows: &[(&str, &str, &str, std::result::Result<&str, &str>)] = &[
        ("jss", JSS, "STANDARD", Ok("STANDARD")),
        ("jss", JSS, "GLACIER", Err("STANDARD, REDUCED_REDUNDANCY")),
        ("wos", WOS, "ia", Ok("IA")),
        ("wos", WOS, "STANDARD_IA", Err("Standard, IA, Archive")),
        ("jdcloud", "http://s3.cn-north-1.jdcloud-oss.com", "STANDARD_IA", Ok("STANDARD_IA")),
        ("jdcloud", "http://s3.cn-north-1.jcloudcs.com", "STANDARD_IA", Err("STANDARD, REDUCED_REDUNDANCY")),
        ("jdcloud", "http://s3.cn-north-1.jcloudcs.com", "GLACIER", Err("STANDARD, REDUCED_REDUNDANCY")),
        ("s3", "http://store.example.com", "WHATEVER", Ok("WHATEVER")),
    ];
    for (provider, endpoint, class, want) in rows {
        let (script, client) = client(provider, Some(endpoint));
        script.answer(200, &[("etag", MD5_HEX)], "");
        let put = client.put_object("k", payload("123456789"), &full_headers(class), &Condition::None).await;
        match want {
            Ok(sent) => {
                put.unwrap();
                let [request] = script.sent().try_into().unwrap();
                let name = client.dialect().own_name("x-amz-storage-class").into_owned();
                assert_eq!(field(&request, &name), Some(*sent));
            }
            Err(legal) => {
                let error = put.unwrap_err();
                assert_eq!(error.kind, Kind::Invalid);
                assert!(error.message.ends_with(legal), "{error}");
                assert!(script.sent().is_empty());
            }
        }
    }
}

#[tokio::test]
async fn jd_clouds_s3_is_sent_both_dates() {
    let (script, client) = client("jdcloud", Some("http://s3.cn-south-1.jdcloud-oss.com"));
    script.answer(204, &[], "");
    client.delete_object("k").await.unwrap();
    let [request] = script.sent().try_into().unwrap();
    assert_eq!(request.origin.authority(), "my-bucket.s3.cn-south-1.jdcloud-oss.com");
    let signed = verify(&request, "cn-south-1");
    assert_eq!(date::parse_http(field(&request, "date").unwrap()), Some(signed));
}

#[tokio::test]
async fn a_large_body_is_hashed_as_a_small_one() {
    let (script, client) = jss();
    let bytes = Bytes::from(vec![b'a'; 5 << 20]);
    script.answer(200, &[("etag", "79b281060d337b9b2b84ccf390adcf74")], "");
    client.put_object("k", Payload::from(bytes), &Headers::default(), &Condition::None).await.unwrap();
    let [request] = script.sent().try_into().unwrap();
    assert_eq!(field(&request, "content-md5"), Some("79b281060d337b9b2b84ccf390adcf74"));
}
