//! What stands in headers, in queries and in user metadata: signatures, ranges, tags, dates, copy sources, attributes.

use crate::allocator::bounded;
use crate::inputs::hostile_text;
use brigade::mount::control;
use brigade::mount::table;
use brigade::vfs::attr::PERMISSION_MASK;
use brigade::vfs::attr::Posix;
use brigade::wire::checksum::Algorithm;
use brigade::wire::checksum::Checksum;
use brigade::wire::copy_source::CopySource;
use brigade::wire::date;
use brigade::wire::date::AmzDate;
use brigade::wire::dialect::Dialect;
use brigade::wire::error_code::ErrorCode;
use brigade::wire::etag::ETag;
use brigade::wire::etag::ETagList;
use brigade::wire::range::ByteRange;
use brigade::wire::range::ContentRange;
use brigade::wire::range::parse_copy_range;
use brigade::wire::sigv2;
use brigade::wire::sigv4;
use brigade::wire::uri;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Bytes for each byte of a text that becomes a list: `a,` becomes a text of its own in a list that grows.
const LIST_FACTOR: usize = 60;
/// The same for a list of pairs: `a&`.
const PAIRS_FACTOR: usize = 110;

const SCHEMES_V2: [&sigv2::Scheme; 3] = [&sigv2::AWS2, &sigv2::JINGDONG, &sigv2::WOS2];
const SCHEMES_V4: [&sigv4::Scheme; 2] = [&sigv4::AWS4, &sigv4::WOS4];

fn presigned_v4() -> sigv4::Presigned {
    let time = AmzDate::parse("20130524T000000Z").unwrap();
    sigv4::Presigned {
        access_key_id: "AKID/EXAMPLE".into(),
        scope: sigv4::Scope::new(&time, "us-east-1"),
        time,
        expires_seconds: 86_400,
        signed_headers: vec!["host".into(), "x-amz-date".into()],
        security_token: Some("token".into()),
        signature: sigv4::EMPTY_SHA256.into(),
    }
}

fn authorizations() -> Vec<String> {
    let v4 = SCHEMES_V4.map(|scheme| {
        let sigv4::Presigned { access_key_id, scope, signed_headers, signature, .. } = presigned_v4();
        sigv4::Authorization { access_key_id, scope, signed_headers, signature }.header(scheme)
    });
    let v2 = SCHEMES_V2.map(|scheme| {
        sigv2::Authorization { access_key_id: "AKID".into(), signature: "c2lnbmF0dXJl".into() }.header(scheme)
    });
    v4.into_iter().chain(v2).collect()
}

fn queries() -> Vec<String> {
    let write = |query: Vec<(String, String)>| uri::write_query(query.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let v4 = SCHEMES_V4.map(|scheme| write(presigned_v4().signed_query(scheme)));
    let v2 = SCHEMES_V2.map(|scheme| write(sigv2::Presigned::query(scheme, "AKID", "1369353600", "c2lnbmF0dXJl")));
    let plain = "list-type=2&prefix=a%2Fb&delimiter=%2F&continuation-token=YQ&max-keys=1000&uploads&x=%E7%9B%AE+1";
    v4.into_iter().chain(v2).chain([plain.to_owned()]).collect()
}

#[test]
fn the_samples_are_what_they_are_meant_to_be() {
    let (headers, queries) = (authorizations(), queries());
    for (at, scheme) in SCHEMES_V4.into_iter().enumerate() {
        assert!(sigv4::Authorization::parse(scheme, &headers[at]).is_ok());
        assert!(sigv4::Presigned::parse(scheme, &uri::parse_query(&queries[at]).unwrap()).is_ok());
    }
    for (at, scheme) in SCHEMES_V2.into_iter().enumerate() {
        assert!(sigv2::Authorization::parse(scheme, &headers[2 + at]).is_some());
        assert!(sigv2::Presigned::is_in(scheme, &uri::parse_query(&queries[2 + at]).unwrap()));
    }
}

/// What a server does with a signature that it could read: it makes the text that must have been signed.
fn canonical(scheme: &sigv4::Scheme, signed_headers: &[String], query: &[(String, String)], value: &str) -> String {
    let headers = [("host", value), ("x-amz-date", value), ("x-a", value)];
    let request = sigv4::Request { method: "GET", path: "/b/k", query, headers: &headers, payload_hash: "" };
    request.canonical(scheme, signed_headers)
}

#[test]
fn naming_a_header_many_times_takes_no_more_than_naming_it_once() {
    let value = "v".repeat(20_000);
    for scheme in SCHEMES_V4 {
        let mut presigned = presigned_v4();
        presigned.signed_headers = vec!["x-a".into(); 5000];
        let query = presigned.signed_query(scheme);
        let sent: usize = value.len() + query.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let signed = || {
            let read = sigv4::Presigned::parse(scheme, &query).ok();
            read.map(|read| canonical(scheme, &read.signed_headers, &query, &value))
        };
        bounded("a canonical request", sent, LIST_FACTOR, signed).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn no_authorization_panics_or_takes_much(text in hostile_text(authorizations())) {
        for scheme in SCHEMES_V4 {
            let read = || {
                let read = sigv4::Authorization::parse(scheme, &text).ok();
                read.map(|read| canonical(scheme, &read.signed_headers, &[], &text))
            };
            bounded("sigv4", text.len(), LIST_FACTOR, read)?;
        }
        for scheme in SCHEMES_V2 {
            bounded("sigv2", text.len(), 2, || sigv2::Authorization::parse(scheme, &text))?;
        }
    }

    #[test]
    fn no_query_panics_or_takes_much(text in hostile_text(queries())) {
        let Ok(query) = bounded("a query", text.len(), PAIRS_FACTOR, || uri::parse_query(&text))? else { return Ok(()) };
        let again = uri::write_query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        prop_assert_eq!(uri::parse_query(&again), Ok(query.clone()));
        for scheme in SCHEMES_V4 {
            let read = || {
                let read = sigv4::Presigned::parse(scheme, &query).ok();
                read.map(|read| canonical(scheme, &read.signed_headers, &query, &text))
            };
            let _ = sigv4::Presigned::is_in(scheme, &query);
            bounded("presigned v4", text.len(), PAIRS_FACTOR, read)?;
        }
        for scheme in SCHEMES_V2 {
            let request = sigv2::Request { method: "GET", bucket: Some("b"), key: Some("k"), query: &query, headers: &[] };
            let read = || {
                let read = sigv2::Presigned::parse(scheme, &query);
                let _ = sigv2::Presigned::is_in(scheme, &query);
                request.string_to_sign(scheme, read.expires.as_deref().unwrap_or(""), sigv2::Order::Sorted)
            };
            bounded("presigned v2", text.len(), PAIRS_FACTOR, read)?;
        }
    }

    #[test]
    fn no_uri_or_copy_source_panics_or_takes_much(
        text in hostile_text(["/bkt/a%20b/c?versionId=v%2F1", "bkt/k", "/bkt/%E7%9B%AE+x", "%2fbkt%2fk"]),
    ) {
        if let Ok(decoded) = bounded("decode", text.len(), 2, || uri::decode(&text))? {
            prop_assert_eq!(uri::decode(&uri::encode(&decoded)).unwrap(), decoded.clone());
            prop_assert_eq!(uri::decode(&uri::encode_path(&decoded)).unwrap(), decoded);
        }
        let _ = bounded("decode_form", text.len(), 2, || uri::decode_form(&text))?;
        if let Ok(source) = bounded("a copy source", text.len(), 4, || CopySource::parse(&text))? {
            prop_assert_eq!(CopySource::parse(&source.header()), Ok(source));
        }
    }

    #[test]
    fn no_range_panics_or_takes_much(
        text in hostile_text([
            "bytes=0-99", "bytes=5-", "bytes=-5", "bytes 0-9/10", "bytes */7", "bytes 0-9/*", "bytes=0-0,2-3",
            "bytes=18446744073709551614-18446744073709551615", "bytes 18446744073709551614-18446744073709551615/*",
        ]),
        size in prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()],
    ) {
        if let Some(range) = bounded("a range", text.len(), 1, || ByteRange::parse(&text))?
            && let Ok(bytes) = range.resolve(size)
        {
            prop_assert!(bytes.start < bytes.end && bytes.end <= size);
        }
        if let Some(range) = bounded("a copy's range", text.len(), 1, || parse_copy_range(&text))? {
            prop_assert!(range.start < range.end);
        }
        if let Some(range) = bounded("a content range", text.len(), 1, || ContentRange::parse(&text))? {
            prop_assert_eq!(ContentRange::parse(&range.to_string()), Some(range));
        }
    }

    #[test]
    fn no_tag_checksum_or_code_panics_or_takes_much(
        text in hostile_text([
            "\"a\", W/\"b\" , c", "*", "&quot;d41d8cd98f00b204e9800998ecf8427e&quot;", "\"a,b\"", "yZRlqg==",
            "1B2M2Y8AsgTpgAmY7PhCfg==", "d41d8cd98f00b204e9800998ecf8427e", "NoSuchKey", "x-amz-checksum-crc32c",
        ]),
    ) {
        let tag = bounded("a tag", text.len(), 2, || ETag::new(&text))?;
        let list = bounded("tags", text.len(), LIST_FACTOR, || ETagList::parse(&text))?;
        prop_assert!(!list.matches(None));
        let _ = (list.matches(Some(&tag)), tag.md5());
        for algorithm in Algorithm::ALL {
            if let Some(sum) = bounded("a checksum", text.len(), 2, || Checksum::parse(algorithm, &text))? {
                prop_assert_eq!(Checksum::parse(algorithm, &sum.base64()), Some(sum));
            }
        }
        for dialect in [Dialect::S3, Dialect::Jss, Dialect::Wos] {
            let _ = bounded("an MD5", text.len(), 2, || dialect.parse_content_md5(&text))?;
            let name = text.to_ascii_lowercase();
            bounded("a name", text.len(), 8, || dialect.s3_name(&dialect.own_name(&name)).into_owned())?;
        }
        let _ = (ErrorCode::parse(&text), Algorithm::from_header(&text), Algorithm::from_name(&text));
    }

    #[test]
    fn no_date_panics_or_takes_much(
        text in hostile_text([
            "2013-05-24T00:00:00.000Z", "2013-05-24T00:00:00+23:59", "2013-05-24 00:00:00", "20130524T000000Z",
            "Fri, 24 May 2013 00:00:00 GMT", "Friday, 24-May-13 00:00:00 GMT", "Fri May 24 00:00:00 2013",
            "Fri, 24 May 2013 00:00:00 -0800", "9999-12-31T23:59:59Z", "-009999-01-02T00:00:00Z",
        ]),
    ) {
        for time in [
            bounded("a date", text.len(), 4, || date::parse(&text))?,
            bounded("a date of HTTP", text.len(), 4, || date::parse_http(&text))?,
            bounded("a date of a signature", text.len(), 1, || AmzDate::parse(&text))?.map(|time| time.time()),
        ].into_iter().flatten() {
            // Whatever was read can be written in every form.
            let _ = (date::http(time), date::iso8601(time), AmzDate::new(time).to_string(), AmzDate::new(time).day());
        }
    }

    #[test]
    fn no_attributes_panic_or_take_much(
        values in prop::collection::vec(hostile_text([
            "33188", "100644", "1700000000.000000001", "-1.5", "0", "-9223372036854775808", "9223372036854775807.9", "true",
        ]), 10),
    ) {
        let names = [
            "mode", "uid", "gid", "mtime", "atime", "owner", "goog-reserved-posix-mode", "goog-reserved-file-mtime",
            "goog-reserved-file-is-symlink", "group",
        ];
        let metadata: BTreeMap<String, String> = names.map(str::to_owned).into_iter().zip(values).collect();
        let bytes = metadata.values().map(String::len).sum();
        let posix = bounded("attributes", bytes, 1, || Posix::parse(&metadata))?;
        let _ = posix.kind();
        // A file's mode is kept with its type, which tells the base that it is written in.
        let mode = posix.mode.map(|mode| posix.kind().type_bits() | mode & PERMISSION_MASK);
        let posix = Posix { mode, ..posix };
        let mut written = BTreeMap::new();
        posix.write(&mut written);
        let again = Posix::parse(&written);
        prop_assert_eq!((again.mode, again.uid, again.gid), (posix.mode, posix.uid, posix.gid));
        prop_assert_eq!((again.mtime, again.atime), (posix.mtime, posix.atime));
    }

    #[test]
    fn no_line_of_the_control_socket_or_the_table_of_mounts_panics_or_takes_much(
        text in hostile_text([
            r#"{"do":"umount","dir":"/mnt","force":false}"#, r#"{"pending":{"files":2,"bytes":1048576}}"#, "\"busy\"",
            r#"{"not_stored":"a: b"}"#,
            "36 35 0:52 / /mnt\\040a rw,noatime shared:1 - fuse.brigade s3:b/p rw,user_id=0,group_id=0,allow_other",
        ]),
    ) {
        let _ = bounded("a request", text.len(), LIST_FACTOR, || serde_json::from_str::<control::Request>(&text))?;
        let _ = bounded("a reply", text.len(), LIST_FACTOR, || serde_json::from_str::<control::Reply>(&text))?;
        let mounts = bounded("mounts", text.len(), LIST_FACTOR, || table::parse(text.as_bytes()))?;
        for mount in mounts {
            let _ = mount.is_brigade();
        }
    }
}
