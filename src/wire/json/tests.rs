//! Documents as the vendor's pages and clients write them, round trips, and hostile input.

use super::*;
use crate::wire::etag::ETag;
use crate::wire::xml::CompletePart;
use crate::wire::xml::CompleteRequest;
use crate::wire::xml::CompleteResult;
use crate::wire::xml::CopyObjectResult;
use crate::wire::xml::ErrorDocument;
use crate::wire::xml::InitiateResult;
use crate::wire::xml::ListBuckets;
use crate::wire::xml::ListObjects;
use crate::wire::xml::ListParts;
use crate::wire::xml::ListUploads;
use crate::wire::xml::Paging;
use proptest::prelude::*;
use std::time::Duration;

fn date(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Tue, 02 Jan 2024 03:04:05 GMT.
const JANUARY: u64 = 1_704_164_645;

#[test]
fn initiate_is_compact_and_has_exactly_three_members() {
    let text = r#"{"Bucket":"mybucket","Key":"big.bin","UploadId":"9E417328F6B89F0B"}"#;
    let read = InitiateResult::parse(text.as_bytes()).unwrap();
    assert_eq!(
        (read.bucket.as_str(), read.key.as_str(), read.upload_id.as_str()),
        ("mybucket", "big.bin", "9E417328F6B89F0B")
    );
    assert_eq!(read.write(), text);
    assert!(InitiateResult::parse(br#"{"UploadID":"X"}"#).is_ok(), "the vendor's table spells it so");
    assert_eq!(InitiateResult::parse(br#"{"Bucket":"b","Key":"k"}"#), Err(Error::Missing("UploadId")));
}

#[test]
fn complete_is_read_as_all_known_clients_send_it() {
    let documented = r#"{"Part":[{"PartNumber":1,"ETag":"79b281060d337b9b2b84ccf390adcf74"},{"PartNumber":2,"ETag":"bbe6402cdc9b7e2036fc97e9a91726cd"}]}"#;
    let read = CompleteRequest::parse(documented.as_bytes()).unwrap();
    assert_eq!(read.write(), documented);
    let others = [
        r#"{"Part":[{"PartNumber":1,"ETag":"\"79b281060d337b9b2b84ccf390adcf74\""},{"PartNumber":2,"ETag":"\"bbe6402cdc9b7e2036fc97e9a91726cd\""}]}"#,
        r#"[{"PartNumber":1,"ETag":"79b281060d337b9b2b84ccf390adcf74"},{"PartNumber":2,"ETag":"bbe6402cdc9b7e2036fc97e9a91726cd"}]"#,
        r#" {"Part" : [ {"ETag":"79B281060D337B9B2B84CCF390ADCF74","PartNumber":1,"Size":3}, {"PartNumber":2,"Etag":"bbe6402cdc9b7e2036fc97e9a91726cd"} ], "More": {"a":[1]}} "#,
    ];
    for text in others {
        assert_eq!(CompleteRequest::parse(text.as_bytes()), Ok(read.clone()), "{text}");
    }
    for bad in [
        "",
        "{}",
        "null",
        "[1]",
        r#"{"Part":[{"PartNumber":-1,"ETag":"a"}]}"#,
        r#"{"Part":[{"PartNumber":1}]}"#,
        "<Part/>",
    ] {
        assert!(matches!(CompleteRequest::parse(bad.as_bytes()), Err(Error::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_sentence_in_place_of_a_tag_is_a_failure() {
    let text = r#"{"Bucket":"mybucket","Key":"big.bin","ETag":"cfd2c35e44ba27d3c437a2866b025b6a"}"#;
    let read = CompleteResult::parse(text.as_bytes()).unwrap();
    assert_eq!((read.etag.as_str(), read.write().as_str()), ("cfd2c35e44ba27d3c437a2866b025b6a", text));
    let failed = br#"{"Bucket":"b","Key":"k","ETag":"We encountered an internal error. Please try again."}"#;
    assert_eq!(CompleteResult::parse(failed), Err(Error::Invalid("ETag")));
    assert_eq!(CompleteResult::parse(b"{}"), Err(Error::Missing("ETag")));
}

#[test]
fn a_copy_tells_a_failure_by_a_sentence_too() {
    let failed = br#"{"Etag":"We encountered an internal error. Please try again."}"#;
    assert_eq!(CopyObjectResult::parse(failed), Err(Error::Invalid("ETag")));
    assert!(CopyObjectResult::parse(br#"{"etag":"\"5EB63BBBE01EEED093CB22BB8F5ACDC3\""}"#).is_ok());
}

#[test]
fn a_prefix_that_ends_as_what_was_asked_for_lacks_its_delimiter() {
    for (asked, common, want) in
        [("c/", "c/", "c//"), ("c/", "c//", "c//"), ("c", "c", "c/"), ("", "c", "c/"), ("", "c/", "c/"), ("", "", "/")]
    {
        let text = format!(r#"{{"Prefix":"{asked}","Delimiter":"/","CommonPrefixes":["{common}"]}}"#);
        assert_eq!(ListObjects::parse(text.as_bytes()).unwrap().common_prefixes, [want], "{asked:?} {common:?}");
    }
}

#[test]
fn not_every_json_is_a_listing() {
    for other in [&br#"{"ok":true}"#[..], br#"{"code":"NoSuchBucket"}"#, b"{}"] {
        assert_eq!(ListObjects::parse(other), Err(Error::Missing("Contents")));
    }
    for empty in [&br#"{"Name":"b"}"#[..], br#"{"Contents":[]}"#] {
        assert!(ListObjects::parse(empty).unwrap().contents.is_empty());
    }
}

#[test]
fn what_breaks_off_is_told_from_what_is_something_else() {
    for (text, cut) in [
        (r#"{"Bucket":"b","ET"#, true),
        (" {", true),
        (r#"{"Part":[{"a":1}"#, true),
        (r#"{"ok":true}"#, false),
        (r#"{"a":}"#, false),
        ("<html>", false),
        ("[", false),
        ("", false),
    ] {
        assert_eq!(is_cut(text.as_bytes()), cut, "{text}");
    }
}

#[test]
fn common_prefixes_lose_and_regain_their_delimiter() {
    let text = r#"{"Name":"mybucket","Prefix":"d/","Marker":null,"NextMarker":null,"Delimiter":"/","MaxKeys":1000,"HasNext":false,"HasCommonPrefix":true,"Contents":[{"Key":"d/a.txt","LastModified":"Tue, 02 Jan 2024 03:04:05 GMT","ETag":"5eb63bbbe01eeed093cb22bb8f5acdc3","Size":11,"StorageClass":"STANDARD"}],"CommonPrefixes":["d/sub"]}"#;
    let read = ListObjects::parse(text.as_bytes()).unwrap();
    assert_eq!(
        (read.prefix.as_str(), read.is_truncated, read.common_prefixes.as_slice()),
        ("d/", false, ["d/sub/".to_owned()].as_slice())
    );
    assert_eq!((read.contents[0].last_modified, read.contents[0].size), (date(JANUARY), 11));
    assert_eq!(read.write(), text);
    let lenient =
        r#"{"Delimiter":"/","HasNext":true,"HasCommonPrefix":false,"CommonPrefixes":["a/b","c/"],"Contents":null}"#;
    let read = ListObjects::parse(lenient.as_bytes()).unwrap();
    assert_eq!(read.common_prefixes, ["a/b/", "c/"]);
    let nameless = ListObjects::parse(br#"{"Delimiter":"/","Prefix":"c/","CommonPrefixes":["c/","c/d"]}"#).unwrap();
    assert_eq!(nameless.common_prefixes, ["c//", "c/d/"], "a name without letters");
    assert_eq!((read.is_truncated, read.paging), (true, Paging::V1 { marker: String::new(), next_marker: None }));
    let doubled = br#"{"Contents":[{"Key":"k","LastModified":"Tue,  02 Jan  2024 03:04:05 GMT","ETag":"a","Size":1}]}"#;
    assert_eq!(ListObjects::parse(doubled).unwrap().contents[0].last_modified, date(JANUARY), "pages double spaces");
}

#[test]
fn parts_uploads_buckets_and_copies_read_as_documented() {
    let text = r#"{"Bucket":"mybucket","Key":"big.bin","UploadId":"9E417328F6B89F0B","Part":[{"PartNumber":1,"LastModified":"Tue, 02 Jan 2024 03:04:05 GMT","ETag":"5eb63bbbe01eeed093cb22bb8f5acdc3","Size":11}],"StorageClass":"STANDARD"}"#;
    let parts = ListParts::parse(text.as_bytes()).unwrap();
    assert_eq!((parts.parts[0].number, parts.parts[0].size, parts.is_truncated), (1, 11, false));
    assert_eq!(parts.write(), text, "a page without a limit tells no markers");
    let page = ListParts { max_parts: 1, is_truncated: true, next_part_number_marker: Some(1), ..parts };
    assert!(
        page.write().ends_with(r#""PartNumberMarker":0,"NextPartNumberMarker":1,"MaxParts":1,"HasNext":true}"#),
        "{}",
        page.write()
    );
    assert_eq!(ListParts::parse(page.write().as_bytes()), Ok(page));

    let text = r#"{"Bucket":"mybucket","Prefix":null,"Upload":[{"Key":"big.bin","UploadId":"9E417328F6B89F0B","Initiated":"Tue, 02 Jan 2024 03:04:05 GMT","Enable-Encryption":"true","Summary":null,"StorageClass":"STANDARD"}]}"#;
    let uploads = ListUploads::parse(text.as_bytes()).unwrap();
    assert_eq!((uploads.uploads[0].is_encrypted, uploads.uploads[0].initiated), (Some(true), date(JANUARY)));
    assert_eq!(uploads.write(), text);

    let buckets = br#"{"Buckets":[{"Name":"b","CreationDate":"Tue, 02 Jan 2024 03:04:05 GMT","Location":"cn-north-1","maxAge":1,"crrStatus":null}]}"#;
    let buckets = ListBuckets::parse(buckets).unwrap();
    assert_eq!((buckets.buckets[0].name.as_str(), buckets.buckets[0].created), ("b", date(JANUARY)));
    assert_eq!(ListBuckets::parse(buckets.write().as_bytes()), Ok(buckets));

    for name in ["Etag", "ETag", "etag", "eTag"] {
        let text = format!(r#"{{"{name}":"\"5eb63bbbe01eeed093cb22bb8f5acdc3\""}}"#);
        let copy = CopyObjectResult::parse(text.as_bytes()).unwrap();
        assert_eq!(copy.etag, ETag::new("5eb63bbbe01eeed093cb22bb8f5acdc3"), "{name}");
        assert_eq!(CopyObjectResult::parse(copy.write().as_bytes()), Ok(copy));
    }
}

#[test]
fn errors_are_read_in_either_case_and_written_in_lower() {
    let text = r#"{"code":"NoSuchUpload","message":"The specified upload does not exist.","resource":"/mybucket/big.bin","requestId":"9891344770AD7F37"}"#;
    let read = ErrorDocument::parse(text.as_bytes()).unwrap();
    assert_eq!((read.code.as_str(), read.request_id.as_deref()), ("NoSuchUpload", Some("9891344770AD7F37")));
    assert_eq!(read.write(), text);
    let upper = br#"{"Code":"NoSuchUpload","Message":"The specified upload does not exist.","Resource":"/mybucket/big.bin","RequestId":"9891344770AD7F37"}"#;
    assert_eq!(ErrorDocument::parse(upper), Ok(read));
    for bad in ["", "<html></html>", "{}", r#"{"message":"x"}"#, "[]", "\"NoSuchKey\""] {
        assert!(ErrorDocument::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn what_completes_an_upload_is_told_apart_by_its_form() {
    let parts = r#"[{"partNumber":1,"eTag":"ab","Other":{"a":[1]}}]"#;
    let want = CompleteRequest::parse(parts.as_bytes()).unwrap();
    assert_eq!(want.parts.len(), 1);
    let rows: &[(&str, bool, &str)] = &[
        (r#"{"Part":@}"#, true, "the member"),
        (r#"{"part":@}"#, true, "in lower case"),
        (r#"{"Other":[[{}]],"Part":@,"More":null}"#, true, "among others, which are passed over"),
        (r#"{"Part":@,"part":@}"#, false, "twice"),
        (r#"{"Parts":@}"#, false, "not at all"),
        (r#"{"Part":null}"#, false, "nothing"),
        (r#"{"Part":[{}]}"#, false, "a part without a number"),
        ("@ @", false, "something behind it"),
        ("1", false, "a number"),
    ];
    for (text, sound, why) in rows {
        let read = CompleteRequest::parse(text.replace('@', parts).as_bytes());
        assert_eq!(read.ok().as_ref(), sound.then_some(&want), "{why}");
    }
}

#[test]
fn a_long_delimiter_does_not_multiply() {
    let listing = |delimiter: usize, prefixes: usize| {
        let (delimiter, prefixes) = ("d".repeat(delimiter), vec!["\"\""; prefixes].join(","));
        let text = format!("{{\"Delimiter\":\"{delimiter}\",\"CommonPrefixes\":[{prefixes}]}}");
        ListObjects::parse(text.as_bytes())
    };
    assert_eq!(listing(1024, 1000).unwrap().common_prefixes.len(), 1000, "a page of the longest keys");
    assert_eq!(listing(30_000, 10_000), Err(Error::TooLarge));
}

proptest! {
    #[test]
    fn keys_of_any_characters_come_back(key in any::<String>(), prefix in "[a-z]{1,4}", number in any::<u32>()) {
        let initiate = InitiateResult { bucket: "b".into(), key: key.clone(), upload_id: "1".into() };
        prop_assert_eq!(InitiateResult::parse(initiate.write().as_bytes()), Ok(initiate));
        let part = CompletePart { number, etag: ETag::new("ab"), checksums: Default::default() };
        let complete = CompleteRequest { parts: vec![part] };
        prop_assert_eq!(CompleteRequest::parse(complete.write().as_bytes()), Ok(complete));
        let prefixes = format!("{{\"Delimiter\":\"/\",\"CommonPrefixes\":[{:?}]}}", prefix);
        prop_assert_eq!(ListObjects::parse(prefixes.as_bytes()).unwrap().common_prefixes, [format!("{prefix}/")]);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), nesting in 0usize..400) {
        let deep = [b"[".repeat(nesting), b"]".repeat(nesting)].concat();
        for bytes in [&bytes, &deep] {
            let _ = InitiateResult::parse(bytes);
            let _ = CompleteRequest::parse(bytes);
            let _ = CompleteResult::parse(bytes);
            let _ = ListObjects::parse(bytes);
            let _ = ListParts::parse(bytes);
            let _ = ListUploads::parse(bytes);
            let _ = ListBuckets::parse(bytes);
            let _ = CopyObjectResult::parse(bytes);
            let _ = ErrorDocument::parse(bytes);
        }
    }
}
