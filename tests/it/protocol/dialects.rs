//! What JSS and WOS do in ways of their own, and what holds for every dialect on the same port.

use crate::protocol::raw::Answer;
use crate::protocol::raw::KEY;
use crate::protocol::raw::Running;
use crate::protocol::raw::SECRET;
use crate::seeds::server::asking::JD;
use crate::seeds::server::asking::JSS;
use crate::seeds::server::asking::Scheme;
use crate::seeds::server::asking::Vendor;
use crate::seeds::server::asking::WOS;
use crate::seeds::server::asking::WOS_NEW;
use crate::seeds::server::asking::base64_md5;
use crate::seeds::server::asking::hex_md5;
use crate::seeds::server::asking::json;
use crate::seeds::server::asking::refusal;
use brigade::base::clock;
use brigade::http::server::Limits;
use brigade::server::Dialect;
use brigade::wire::sigv2;
use brigade::wire::sigv2::Order;
use brigade::wire::uri;
use std::time::Duration;
use std::time::SystemTime;

const ALL: [Vendor; 4] = [JD, JSS, WOS, WOS_NEW];

#[test]
fn what_one_dialect_wrote_all_of_them_read() {
    let running = Running::start();
    for (writer, prefix) in ALL.into_iter().zip(["x-amz-", "x-jss-", "x-wos-", "x-wos-"]) {
        let meta = format!("{prefix}meta-mode");
        let put = writer.send(&running, "PUT /a/k%20%C3%A9", &[(&meta, "33188"), ("content-type", "text/x")], b"hello");
        assert_eq!(put.status, 200, "{}", put.text());
        for (reader, prefix) in ALL.into_iter().zip(["x-amz-", "x-jss-", "x-wos-", "x-wos-"]) {
            let got = reader.send(&running, "GET /a/k%20%C3%A9", &[("range", "bytes=1-3")], b"");
            assert_eq!((got.status, got.body.as_slice()), (206, &b"ell"[..]));
            assert_eq!(got.header(&format!("{prefix}meta-mode")), Some("33188"));
            assert_eq!(got.header("etag"), put.header("etag"));
        }
    }
}

#[test]
fn jss_lists_in_json_with_prefixes_without_slashes() {
    let running = Running::start();
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        assert_eq!(JSS.send(&running, &format!("PUT /{key}"), &[], key.as_bytes()).status, 200);
    }
    let list = |query: &str| json(&JSS.send(&running, &format!("GET /?{query}"), &[], b""));
    let all = list("");
    assert_eq!(all["Contents"].as_array().unwrap().len(), 5);
    assert_eq!((&all["HasNext"], &all["NextMarker"], &all["MaxKeys"]), (&false.into(), &().into(), &1000.into()));
    let entry = &all["Contents"][0];
    assert_eq!((&entry["Key"], &entry["ETag"], &entry["Size"]), (&"a/1".into(), &hex_md5(b"a/1").into(), &3.into()));
    assert!(entry["LastModified"].as_str().unwrap().ends_with(" GMT"));
    let mut marker = String::new();
    let mut seen = Vec::new();
    loop {
        let page = list(&format!("delimiter=/&maxKeys=1&marker={}", uri::encode(&marker)));
        seen.extend(page["Contents"].as_array().unwrap().iter().map(|entry| entry["Key"].clone()));
        seen.extend(page["CommonPrefixes"].as_array().unwrap().iter().cloned());
        match page["HasNext"].as_bool().unwrap() {
            true => marker = page["NextMarker"].as_str().unwrap().to_owned(),
            false => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d"]);
    let second = JSS.send(&running, "GET /?list-type=2", &[], b"");
    assert_eq!(refusal(&second), (405, "MethodNotAllowed".into()));
    assert_eq!(refusal(&JSS.send(&running, "POST /?delete", &[], b"{}")), (405, "MethodNotAllowed".into()));
    let service = Vendor { host: "s.jcloud.com", bucket: "", ..JSS }.send(&running, "GET /", &[], b"");
    assert_eq!(json(&service)["Buckets"][0]["Name"], "bkt");
}

#[test]
fn jss_deletes_only_what_is_there_and_makes_buckets_by_201() {
    let running = Running::start();
    assert_eq!(JSS.send(&running, "PUT /k", &[], b"x").status, 200);
    assert_eq!(JSS.send(&running, "DELETE /k", &[], b"").status, 204);
    assert_eq!(refusal(&JSS.send(&running, "DELETE /k", &[], b"")), (404, "NoSuchKey".into()));
    assert_eq!(WOS.send(&running, "DELETE /k", &[], b"").status, 204, "elsewhere it is as good as deleted");
    let new = Vendor { host: "new-one.s.jcloud.com", bucket: "new-one", ..JSS };
    assert_eq!(new.send(&running, "PUT /", &[], b"").status, 201);
    assert_eq!(new.send(&running, "HEAD /", &[], b"").status, 200);
    assert_eq!(new.send(&running, "DELETE /", &[], b"").status, 204);
    assert_eq!(new.send(&running, "HEAD /", &[], b"").status, 404);
}

#[test]
fn jss_moves_objects() {
    let running = Running::start();
    let class = [("x-jss-storage-class", "REDUCED_REDUNDANCY"), ("x-jss-meta-m", "1")];
    JSS.send(&running, "PUT /from", &class, b"hello");
    let tag = hex_md5(b"hello");
    let other = [("x-jss-move-source", "/bkt/from"), ("x-jss-copy-source-if-match", "\"other\"")];
    assert_eq!(refusal(&JSS.send(&running, "PUT /to", &other, b"")), (412, "PreconditionFailed".into()));
    let matching = [("x-jss-move-source", "/bkt/from"), ("x-jss-copy-source-if-match", tag.as_str())];
    let moved = JSS.send(&running, "PUT /to", &matching, b"");
    assert_eq!((moved.status, &json(&moved)["Etag"]), (200, &tag.as_str().into()), "{}", moved.text());
    assert_eq!(JSS.send(&running, "HEAD /from", &[], b"").status, 404);
    let got = JSS.send(&running, "GET /to", &[], b"");
    assert_eq!((got.body.as_slice(), got.header("x-jss-meta-m")), (&b"hello"[..], Some("1")));
    assert_eq!(got.header("x-jss-storage-class"), Some("REDUCED_REDUNDANCY"), "it goes with it");
    let gone = JSS.send(&running, "PUT /to", &matching[..1], b"");
    assert_eq!(refusal(&gone), (404, "NoSuchKey".into()), "a repeated move");
    let itself = JSS.send(&running, "PUT /to", &[("x-jss-move-source", "bkt/to")], b"");
    assert_eq!(refusal(&itself), (400, "InvalidRequest".into()));
    assert_eq!(JSS.send(&running, "GET /to", &[], b"").body, b"hello", "still there");
    let of_s3 = JD.send(&running, "PUT /x", &[("x-amz-move-source", "/bkt/to")], b"");
    assert_eq!(refusal(&of_s3), (501, "NotImplemented".into()));
    assert_eq!(running.requests("MoveObject"), 4);
}

#[test]
fn jss_copies_parts_and_takes_complete_in_every_spelling() {
    let running = Running::start();
    JSS.send(&running, "PUT /source", &[], b"hello world");
    for spelling in 0..3 {
        let id = JSS.begin(&running, &[]);
        let headers = [("x-jss-copy-source", "/bkt/source"), ("x-jss-copy-source-range", "bytes=0-4")];
        let copied = JSS.send(&running, &format!("PUT /k?partNumber=7&uploadId={id}"), &headers, b"");
        let tag = json(&copied)["Etag"].as_str().unwrap().to_owned();
        let body = match spelling {
            0 => format!("{{\"Part\":[{{\"PartNumber\":7,\"ETag\":\"{tag}\"}}]}}"),
            1 => format!("{{\"Part\":[{{\"PartNumber\":7,\"ETag\":\"\\\"{tag}\\\"\"}}]}}"),
            _ => format!("[{{\"PartNumber\":7,\"ETag\":\"{tag}\"}}]"),
        };
        let done = JSS.send(&running, &format!("POST /k?uploadId={id}"), &[], body.as_bytes());
        assert_eq!(done.status, 200, "{body}: {}", done.text());
        assert_eq!(JSS.send(&running, "GET /k", &[], b"").body, b"hello");
    }
    let id = JSS.begin(&running, &[]);
    for body in ["", "{}", "{\"Part\":[]}", "[]", "<a/>"] {
        let refused = JSS.send(&running, &format!("POST /k?uploadId={id}"), &[], body.as_bytes());
        assert_eq!(refusal(&refused), (400, "MalformedJson".into()), "{body}");
    }
    assert_eq!(
        refusal(&JSS.send(&running, &format!("PUT /k?partNumber=10001&uploadId={id}"), &[], b"x")).1,
        "TooManyParts"
    );
}

#[test]
fn jss_has_codes_digests_and_defaults_of_its_own() {
    let running = Running::start();
    for digest in [hex_md5(b"hello"), base64_md5(b"hello")] {
        assert_eq!(JSS.send(&running, "PUT /d/k", &[("content-md5", &digest)], b"hello").status, 200, "{digest}");
        let wrong = JSS.send(&running, "PUT /d/k", &[("content-md5", &digest)], b"hellO");
        assert_eq!(refusal(&wrong), (400, "BadDigest".into()));
    }
    let malformed = JSS.send(&running, "PUT /d/k", &[("content-md5", "xyz")], b"hello");
    assert_eq!(refusal(&malformed), (400, "InvalidArgument".into()));
    assert_eq!(refusal(&JSS.ask("PUT /d/k").without_length().send(&running)), (400, "MissingContentLength".into()));
    let got = JSS.send(&running, "GET /d/k", &[], b"");
    assert_eq!(got.header("cache-control"), Some("max-age=2592000"));
    assert_eq!(got.header("content-disposition"), Some("inline; filename=\"k\""));
    let own = [("cache-control", "no-store"), ("content-disposition", "attachment")];
    JSS.send(&running, "PUT /d/k", &own, b"hello");
    let got = JSS.send(&running, "GET /d/k?contentType=a/b", &[], b"");
    assert_eq!(own.map(|(name, _)| got.header(name).unwrap()), own.map(|(_, value)| value));
    assert_eq!(got.header("content-type"), Some("a/b"));
    let unsigned = JSS.ask("GET /d/k?contentType=a/b").signing("").send(&running);
    assert_eq!(refusal(&unsigned), (403, "SignatureDoesNotMatch".into()));
    let long = JSS.send(&running, &format!("PUT /{}", "k".repeat(1023)), &[], b"x");
    assert_eq!(refusal(&long), (400, "InvalidArgument".into()));
    let error = json(&JSS.send(&running, "GET /none", &[], b""));
    let names: Vec<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4, "{error}");
    assert_eq!((&error["code"], &error["resource"]), (&"NoSuchKey".into(), &"/none".into()));
}

#[test]
fn wos_deletes_many_by_literal_and_by_encoded_keys() {
    let running = Running::start();
    for vendor in [WOS, WOS_NEW] {
        for key in ["a%20b", "a%2520b", "c%20d"] {
            assert_eq!(vendor.send(&running, &format!("PUT /{key}"), &[], b"x").status, 200);
        }
        let delete = |keys: &[&str]| {
            let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
            let document = format!("<Delete>{objects}</Delete>");
            vendor.send(
                &running,
                "POST /?delete",
                &[("content-md5", &base64_md5(document.as_bytes()))],
                document.as_bytes(),
            )
        };
        let keys = || vendor.send(&running, "GET /?list-type=2", &[], b"").elements("Key");
        assert_eq!(delete(&["a%20b", "none%20"]).elements("Key"), ["a%20b", "none%20"], "as they were sent");
        assert_eq!(keys(), ["a b", "c d"], "the literal key comes first");
        assert_eq!(delete(&["a%20b", "c d"]).status, 200);
        assert_eq!(keys(), Vec::<String>::new());
        let wrong = vendor.send(&running, "POST /?delete", &[("content-md5", &base64_md5(b""))], b"<Delete/>");
        assert_eq!(refusal(&wrong), (403, "SignatureDoesNotMatch".into()));
    }
}

#[test]
fn wos_lists_what_was_written_within_some_times() {
    let running = Running::start();
    for key in ["a/1", "b"] {
        WOS.send(&running, &format!("PUT /{key}"), &[], b"x");
    }
    let now = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let list = |query: &str| {
        let answer = WOS.send(&running, &format!("GET /?delimiter=/&{query}"), &[], b"");
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("https://www.wangsu.com/document"));
        (answer.elements("Key"), answer.elements("CommonPrefixes").len())
    };
    assert_eq!(list(&format!("startTime={}&endTime={}", now - 60_000, now + 60_000)), (vec!["b".to_owned()], 1));
    assert_eq!(list(&format!("startTime={}", now + 60_000)), (vec![], 0));
    assert_eq!(list(&format!("endTime={}", now - 60_000)), (vec![], 0), "no empty prefixes");
    assert_eq!(list("max-keys=0"), (vec!["b".to_owned()], 1), "outside of the range it is a thousand");
}

#[test]
fn wos_has_codes_of_its_own() {
    let running = Running::start();
    let id = WOS.begin(&running, &[]);
    let row = |request: &str, body: &[u8]| {
        let answer = WOS.send(&running, request, &[], body);
        let (status, code) = refusal(&answer);
        (status, code, answer.element("Message").unwrap_or_default())
    };
    let invalid = |message: &str| (400, "InvalidArgument".to_owned(), message.to_owned());
    assert_eq!(row("PUT /k?partNumber=1", b"x"), invalid("Invalid Argument"));
    assert_eq!(row(&format!("PUT /k?uploadId={id}"), b"x"), invalid("Invalid Argument"));
    assert_eq!(row(&format!("PUT /k?uploadId={id}&partNumber=1"), b"x"), invalid("Invalid Argument"), "abnormal order");
    let range = invalid("Part number must be an integer between 1 and 10000");
    assert_eq!(row(&format!("PUT /k?partNumber=10001&uploadId={id}"), b"x"), range);
    let parts = |query: &str| row(&format!("GET /k?uploadId={id}&{query}"), b"");
    assert_eq!(parts("max-parts=1001"), invalid("Argument maxParts must be an integer between 0 and 1000"));
    assert_eq!(parts("max-parts=-1"), invalid("Argument maxParts must be an integer between 0 and 1000"));
    assert_eq!(parts("max-parts=x"), invalid("Provided maxParts not an integer or within integer range."));
    assert_eq!(parts("part-number-marker=x"), invalid("Provided part-number-marker not an integer"));
    let none = (400, "InvalidRequest".to_owned(), "You must specify at least one part".to_owned());
    assert_eq!(row(&format!("POST /k?uploadId={id}"), b""), none);
    assert_eq!(row(&format!("POST /k?uploadId={id}"), b"<CompleteMultipartUpload></CompleteMultipartUpload>"), none);
    assert_eq!(row(&format!("POST /k?uploadId={id}"), b"{}").1, "MalformedXML");
    let (first, second) = (WOS.part(&running, &id, 1, &vec![1; 5 << 20]), WOS.part(&running, &id, 2, b"end"));
    assert_eq!(WOS.complete(&running, &id, &[(2, &second), (1, &first)]).status, 200, "in any order");
    let elsewhere = Vendor { region: "cn-south-1", ..WOS_NEW }.send(&running, "GET /k", &[], b"");
    assert_eq!(refusal(&elsewhere), (400, "AuthorizationHeaderMalformed".into()));
    let third_way = Vendor { scheme: JD.scheme, ..WOS };
    assert_eq!(
        third_way.send(&running, "GET /?list-type=2", &[], b"").header("server"),
        Some("brigade"),
        "S3 in, S3 out"
    );
}

/// Sends `METHOD path` with a signature in the URL, which expires at a time.
fn presigned(running: &Running, vendor: Vendor, at: SystemTime, change: &dyn Fn(String) -> String) -> Answer {
    let Scheme::V2(scheme) = vendor.scheme else { panic!("the older schemes") };
    let expires = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
    let request = sigv2::Request {
        method: "GET",
        bucket: Some("bkt"),
        key: Some("k"),
        query: &[],
        headers: &[("host", vendor.host)],
    };
    let signature = request.signature(scheme, SECRET, &expires, Order::Sorted);
    let query = sigv2::Presigned::query(scheme, KEY, &expires, &signature);
    let query = change(uri::write_query(query.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    let mut connection = running.connect();
    connection.write(format!("GET /k?{query} HTTP/1.1\r\nhost: {}\r\n\r\n", vendor.host).as_bytes());
    connection.answer(false)
}

#[test]
fn older_urls_are_taken_until_they_expire() {
    let running = Running::start();
    JD.send(&running, "PUT /k", &[], b"hello");
    let aws = Vendor { scheme: Scheme::V2(&sigv2::AWS2), host: "bkt.localhost", ..JSS };
    let (later, before) = (clock::now() + Duration::from_secs(60), clock::now() - Duration::from_secs(60));
    let same = |query: String| query;
    // expired, a parameter is missing
    let rows = [
        (JSS, (400, "ExpiredToken"), (400, "InvalidURI")),
        (WOS, (403, "AccessDenied"), (403, "AccessDenied")),
        (aws, (403, "AccessDenied"), (403, "AccessDenied")),
    ];
    for (vendor, expired, missing) in rows {
        assert_eq!(presigned(&running, vendor, later, &same).body, b"hello", "{}", vendor.host);
        let told = |answer: &Answer| refusal(answer);
        let owned = |(status, code): (u16, &str)| (status, code.to_owned());
        assert_eq!(told(&presigned(&running, vendor, before, &same)), owned(expired), "{}", vendor.host);
        let wrong = |query: String| query.replace("Signature=", "Signature=A");
        assert_eq!(told(&presigned(&running, vendor, before, &wrong)), owned(expired), "expiry comes first");
        let mismatch = presigned(&running, vendor, later, &wrong);
        assert_eq!(told(&mismatch), (403, "SignatureDoesNotMatch".into()), "{}", vendor.host);
        let half = |query: String| {
            query.split('&').filter(|pair| !pair.starts_with("Signature")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(told(&presigned(&running, vendor, later, &half)), owned(missing), "{}", vendor.host);
        let hoisted = |query: String| format!("{query}&x-jss-meta-a=1&x-wos-meta-a=1&x-amz-meta-a=1");
        assert_ne!(presigned(&running, vendor, later, &hoisted).status, 200, "nothing unsigned stands for a header");
    }
    let by_both_names = |query: String| query.replace("WOSAccessKeyId", "AWSAccessKeyId");
    assert_eq!(presigned(&running, WOS, later, &by_both_names).body, b"hello");
    let two = JSS.ask("GET /k?AccessKey=a&Expires=1&Signature=b").signing("").send(&running);
    assert_eq!(refusal(&two), (400, "InvalidArgument".into()), "header and URL together");
}

#[test]
fn strangers_are_refused_in_the_dialect_of_the_host_or_of_the_listener() {
    let ask = |running: &Running, host: &str| {
        let mut connection = running.connect();
        connection.write(format!("GET /bkt/k HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
        connection.answer(false)
    };
    let running = Running::start();
    for vendor in ALL {
        let answer = ask(&running, vendor.host);
        assert_eq!(refusal(&answer), (403, "AccessDenied".into()), "{}", vendor.host);
    }
    assert_eq!(json(&ask(&running, "b.s.jcloud.com"))["code"], "AccessDenied");
    assert_eq!(ask(&running, "127.0.0.1").header("content-type"), Some("application/xml"));
    let listener = Running::open(Limits::default(), |mut options| {
        options.dialect = Dialect::Jss;
        options
    });
    assert_eq!(json(&ask(&listener, "127.0.0.1"))["code"], "AccessDenied");
}
