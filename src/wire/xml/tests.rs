//! Round trips of every document, documents as stores really write them, and hostile input.

use super::*;
use crate::wire::etag::ETag;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;
use std::time::SystemTime;

/// Texts that XML can carry, with everything that must be escaped.
fn text() -> impl Strategy<Value = String> {
    "[ a-z/<>&\"'+%\t\n\r\u{e9}\u{76ee}\u{1f600}\u{85}\u{2028}]{0,12}"
}

/// Texts of keys: any characters at all.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![text(), ".{0,12}", any::<String>()]
}

/// Texts that documents leave out when they are empty.
fn filled() -> impl Strategy<Value = Option<String>> {
    option::of("[a-z<&]{1,8}")
}

fn time() -> impl Strategy<Value = SystemTime> {
    (0u64..4_000_000_000_000).prop_map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

fn etag() -> impl Strategy<Value = ETag> {
    "[0-9a-f]{32}(-[1-9][0-9]{0,3})?".prop_map(|text| ETag::new(&text))
}

fn checksums() -> impl Strategy<Value = Checksums> {
    btree_map("CRC32|CRC32C|CRC64NVME|SHA1|SHA256", "[A-Za-z0-9+/=]{1,12}", 0..3)
}

fn owner() -> impl Strategy<Value = Owner> {
    (text(), text()).prop_map(|(id, display_name)| Owner { id, display_name })
}

fn content() -> impl Strategy<Value = Content> {
    let metadata = option::of(btree_map("[a-z0-9][a-z0-9._-]{0,5}", text(), 0..3));
    (key(), time(), etag(), any::<u64>(), filled(), option::of(owner()), metadata).prop_map(
        |(key, last_modified, etag, size, storage_class, owner, user_metadata)| Content {
            key,
            last_modified,
            etag,
            size,
            storage_class,
            owner,
            user_metadata,
        },
    )
}

fn paging() -> impl Strategy<Value = Paging> {
    let next = option::of(".{1,9}");
    let v1 = (key(), next.clone()).prop_map(|(marker, next_marker)| Paging::V1 { marker, next_marker });
    let v2 = (filled(), filled(), next, any::<u32>()).prop_map(
        |(continuation_token, next_continuation_token, start_after, key_count)| Paging::V2 {
            continuation_token,
            next_continuation_token,
            start_after,
            key_count,
        },
    );
    prop_oneof![v1, v2]
}

fn list_objects() -> impl Strategy<Value = ListObjects> {
    let lists = (vec(content(), 0..4), vec(key(), 0..3));
    (text(), key(), option::of(".{1,3}"), any::<u32>(), any::<bool>(), paging(), lists).prop_map(
        |(name, prefix, delimiter, max_keys, is_truncated, paging, (contents, common_prefixes))| ListObjects {
            name,
            prefix,
            delimiter,
            max_keys,
            is_truncated,
            encoding: Encoding::Url,
            paging,
            contents,
            common_prefixes,
        },
    )
}

fn stored_part() -> impl Strategy<Value = StoredPart> {
    (any::<u32>(), option::of(time()), etag(), any::<u64>(), checksums()).prop_map(
        |(number, last_modified, etag, size, checksums)| StoredPart { number, last_modified, etag, size, checksums },
    )
}

proptest! {
    #[test]
    fn listings_read_back_whatever_the_keys(list in list_objects()) {
        prop_assert_eq!(ListObjects::parse(list.write().as_bytes()), Ok(list));
    }

    #[test]
    fn plain_listings_are_well_formed_whatever_the_keys(mut list in list_objects()) {
        list.encoding = Encoding::Plain;
        let read = ListObjects::parse(list.write().as_bytes()).unwrap();
        for (read, written) in read.contents.iter().zip(&list.contents) {
            prop_assert_eq!(read.key == written.key, can_carry(&written.key));
        }
        prop_assert_eq!(read.contents.len(), list.contents.len());
    }

    #[test]
    fn uploads_read_back(
        bucket in text(), prefix in key(), next in option::of((".{1,9}", "[a-f0-9]{1,9}")),
        uploads in vec((key(), text(), time(), filled(), option::of(owner())), 0..3), prefixes in vec(key(), 0..2),
    ) {
        let (next_key_marker, next_upload_id_marker) = next.unzip();
        let uploads = uploads.into_iter().map(|(key, upload_id, initiated, storage_class, owner)| {
            Upload { key, upload_id, initiated, storage_class, is_encrypted: None, owner }
        }).collect();
        let list = ListUploads {
            bucket, prefix, is_truncated: next_key_marker.is_some(), next_key_marker, next_upload_id_marker, uploads,
            key_marker: "a b".into(), upload_id_marker: "u".into(), delimiter: Some("/".into()), max_uploads: 7,
            encoding: Encoding::Url, common_prefixes: prefixes,
        };
        prop_assert_eq!(ListUploads::parse(list.write().as_bytes()), Ok(list));
    }

    #[test]
    fn parts_read_back(
        names in (text(), text(), text()), marker in any::<u32>(), next in option::of(any::<u32>()),
        words in (filled(), filled(), filled()), parts in vec(stored_part(), 0..4),
    ) {
        let list = ListParts {
            bucket: names.0, key: names.1, upload_id: names.2, part_number_marker: marker,
            next_part_number_marker: next, max_parts: 1000, is_truncated: next.is_some(), storage_class: words.0,
            checksum_algorithm: words.1, checksum_type: words.2, parts,
        };
        prop_assert_eq!(ListParts::parse(list.write().as_bytes()), Ok(list));
    }

    #[test]
    fn completes_read_back(parts in vec((any::<u32>(), etag(), checksums()), 0..4), words in (text(), text(), text())) {
        let parts = parts.into_iter().map(|(number, etag, checksums)| CompletePart { number, etag, checksums });
        let request = CompleteRequest { parts: parts.collect() };
        let read = CompleteRequest::parse(request.write().as_bytes()).unwrap();
        prop_assert_eq!(&read, &request);
        for part in request.parts {
            let result = CompleteResult {
                location: words.0.clone(), bucket: words.1.clone(), key: words.2.clone(), etag: part.etag,
                checksums: part.checksums, checksum_type: Some("FULL_OBJECT".into()),
            };
            prop_assert_eq!(CompleteResult::parse(result.write().as_bytes()), Ok(result));
        }
    }

    #[test]
    fn deletes_read_back(quiet in any::<bool>(), keys in vec(text(), 0..4)) {
        let request = Delete { quiet, keys: keys.clone(), names_versions: false };
        prop_assert_eq!(Delete::parse(request.write().as_bytes()), Ok(request));
        let error = |key| DeleteError { key, code: "AccessDenied".into(), message: "no".into() };
        let result = DeleteResult { deleted: keys.clone(), errors: keys.into_iter().map(error).collect() };
        prop_assert_eq!(DeleteResult::parse(result.write().as_bytes()), Ok(result));
    }

    #[test]
    fn small_documents_read_back(
        words in (text(), text(), "[a-z]{1,9}"), region in filled(), when in time(), etag in etag(), sums in checksums(),
    ) {
        let (a, b, id) = words;
        let initiate = InitiateResult { bucket: a.clone(), key: b.clone(), upload_id: id.clone() };
        prop_assert_eq!(InitiateResult::parse(initiate.write().as_bytes()), Ok(initiate));
        let copy = CopyObjectResult { etag: etag.clone(), last_modified: Some(when), checksums: sums.clone() };
        prop_assert_eq!(CopyObjectResult::parse(copy.write().as_bytes()), Ok(copy));
        let copy = CopyPartResult { etag, last_modified: None, checksums: sums };
        prop_assert_eq!(CopyPartResult::parse(copy.write().as_bytes()), Ok(copy));
        let bucket = Bucket { name: a.clone(), created: when };
        let list = ListBuckets { owner: Owner { id: a.clone(), display_name: b.clone() }, buckets: vec![bucket] };
        prop_assert_eq!(ListBuckets::parse(list.write().as_bytes()), Ok(list));
        let location = LocationConstraint { region: region.clone() };
        prop_assert_eq!(LocationConstraint::parse(location.write().as_bytes()), Ok(location));
        let create = CreateBucketConfiguration { region: region.clone() };
        prop_assert_eq!(CreateBucketConfiguration::parse(create.write().as_bytes()), Ok(create));
        let error = ErrorDocument {
            code: id, message: b.clone(), resource: Some(a.clone()), request_id: None, host_id: Some(String::new()),
            region, details: vec![("BucketName".into(), a)],
        };
        prop_assert_eq!(ErrorDocument::parse(error.write().as_bytes()), Ok(error));
    }

    #[test]
    fn no_input_panics(bytes in prop_oneof![vec(any::<u8>(), 0..60), "[<>/a!?\\[\\]&;#x \"'=-]{0,40}".prop_map(String::into_bytes)]) {
        read_all(&bytes);
    }

    #[test]
    fn no_damaged_document_panics(list in list_objects(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = list.write().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        read_all(&bytes);
        read_all(&bytes[..at]);
    }
}

fn read_all(bytes: &[u8]) {
    let _ = (root_name(bytes), ErrorDocument::parse(bytes), ListObjects::parse(bytes), ListBuckets::parse(bytes));
    let _ = (ListParts::parse(bytes), ListUploads::parse(bytes), CompleteRequest::parse(bytes), Delete::parse(bytes));
    let _ = (CompleteResult::parse(bytes), DeleteResult::parse(bytes), LocationConstraint::parse(bytes));
    let _ = (CopyObjectResult::parse(bytes), InitiateResult::parse(bytes), CreateBucketConfiguration::parse(bytes));
}

#[test]
fn a_listing_is_read_as_stores_write_it() {
    let document = br#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>mybucket</Name><Prefix>d/</Prefix><Delimiter>/</Delimiter><MaxKeys>2</MaxKeys>
  <KeyCount>2</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>ZC9i</NextContinuationToken>
  <Contents><Key>d/a b&amp;c.txt</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified>
    <ETag>&quot;5eb63bbbe01eeed093cb22bb8f5acdc3&quot;</ETag><Size>11</Size><StorageClass>STANDARD</StorageClass>
    <UserMetadata><X-Amz-Meta-Mode>33188</X-Amz-Meta-Mode><content-type>text/plain</content-type></UserMetadata></Contents>
  <CommonPrefixes><Prefix>d/sub/</Prefix></CommonPrefixes>
</ListBucketResult>"#;
    let list = ListObjects::parse(document).unwrap();
    assert_eq!((list.prefix.as_str(), list.delimiter.as_deref(), list.is_truncated), ("d/", Some("/"), true));
    assert_eq!(list.common_prefixes, ["d/sub/"]);
    let [object] = list.contents.try_into().unwrap();
    assert_eq!((object.key.as_str(), object.size), ("d/a b&c.txt", 11));
    assert_eq!(object.etag, ETag::new("5eb63bbbe01eeed093cb22bb8f5acdc3"));
    assert_eq!(object.last_modified, SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_164_645));
    let metadata = object.user_metadata.unwrap();
    assert_eq!(metadata.into_iter().collect::<Vec<_>>(), [("mode".to_owned(), "33188".to_owned())]);
    let Paging::V2 { next_continuation_token, .. } = list.paging else { panic!("version 2") };
    assert_eq!(next_continuation_token.as_deref(), Some("ZC9i"));
}

#[test]
fn a_plus_in_an_encoded_listing_is_a_space() {
    let document = b"<ListBucketResult><EncodingType>url</EncodingType><CommonPrefixes><Prefix>a+b%2Bc/</Prefix>\
                     </CommonPrefixes></ListBucketResult>";
    assert_eq!(ListObjects::parse(document).unwrap().common_prefixes, ["a b+c/"]);
}

#[test]
fn metadata_that_a_document_cannot_carry_is_left_out_as_a_whole() {
    for (name, value) in [("mo de", "1"), ("mode", "\u{1}"), ("\u{e9}", "1")] {
        let metadata = [("good".to_owned(), "1".to_owned()), (name.to_owned(), value.to_owned())];
        let content = Content {
            key: "k".into(),
            last_modified: SystemTime::UNIX_EPOCH,
            etag: ETag::new("e"),
            size: 1,
            storage_class: None,
            owner: None,
            user_metadata: Some(metadata.into()),
        };
        let list = ListObjects {
            name: "b".into(),
            prefix: String::new(),
            delimiter: None,
            max_keys: 1,
            is_truncated: false,
            encoding: Encoding::Plain,
            paging: Paging::V1 { marker: String::new(), next_marker: None },
            contents: vec![content],
            common_prefixes: vec![],
        };
        let read = ListObjects::parse(list.write().as_bytes()).unwrap();
        assert_eq!(read.contents[0].user_metadata, None, "{name:?} {value:?}");
    }
}

#[test]
fn namespaces_prefixes_order_and_leading_space_do_not_matter() {
    let document = b"  \n\t<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
        <w:CompleteMultipartUploadResult xmlns:w=\"https://www.wangsu.com/document\"><w:ETag>\
        16329fb6004d64a4fbc5bbb983fa0528-2</w:ETag><w:Bucket>b</w:Bucket></w:CompleteMultipartUploadResult>";
    let result = CompleteResult::parse(document).unwrap();
    assert_eq!(result.etag.as_str(), "16329fb6004d64a4fbc5bbb983fa0528-2");
    assert_eq!(root_name(document).unwrap(), "CompleteMultipartUploadResult");
}

#[test]
fn tags_of_a_complete_may_be_quoted_or_not() {
    for etag in ["\"abc\"", "abc", "&quot;abc&quot;", "&#34;abc&#x22;", "<![CDATA[\"abc\"]]>"] {
        let document = format!(
            "<CompleteMultipartUpload><Part><ETag>{etag}</ETag><PartNumber> 7 </PartNumber></Part></CompleteMultipartUpload>"
        );
        let request = CompleteRequest::parse(document.as_bytes()).unwrap();
        assert_eq!(request.parts[0].etag, ETag::new("abc"), "{etag}");
        assert_eq!(request.parts[0].number, 7);
    }
}

#[test]
fn a_delete_with_more_than_keys_is_known_as_such() {
    let document = b"<Delete><Object><Key> a </Key><VersionId></VersionId></Object></Delete>";
    let request = Delete::parse(document).unwrap();
    assert_eq!((request.keys, request.names_versions, request.quiet), (vec![" a ".to_owned()], false, false));
    let document = b"<Delete><Object><Key>a</Key><VersionId>1</VersionId></Object></Delete>";
    assert!(Delete::parse(document).unwrap().names_versions);
}

#[test]
fn hostile_documents_are_refused() {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let wide = format!("<Delete>{}</Delete>", "<a/>".repeat(200_001));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><Delete><Object><Key>&a;</Key></Object></Delete>";
    let rows: &[(&str, &str)] = &[
        ("", "nothing"),
        ("<Delete>", "cut off"),
        ("<Delete></Error>", "wrong end"),
        ("<Delete><Object></Delete>", "wrong nesting"),
        ("<Delete><Object/></Delete>", "no key"),
        ("<Delete><Object><Key>&b;</Key></Object></Delete>", "unknown entity"),
        ("<Delete><Object><Key>&#0;</Key></Object></Delete>", "not a character"),
        ("<Delete><Quiet>maybe</Quiet></Delete>", "no truth value"),
        ("text<Delete></Delete>", "text before"),
        ("{\"Delete\":1}", "JSON"),
        ("<!doctype html><html><body>Not here</body></html>", "HTML"),
        ("<Error><Code>x</Code></Error>", "another document"),
        (bomb, "a document type"),
        (&deep, "too deep"),
        (&wide, "too wide"),
    ];
    for (document, why) in rows {
        assert!(Delete::parse(document.as_bytes()).is_err(), "{why}");
    }
    assert_eq!(Delete::parse(deep.as_bytes()), Err(Error::TooLarge));
    assert_eq!(Delete::parse(b"<Delete>\xff</Delete>"), Err(Error::Malformed("the document is not UTF-8".into())));
}

#[test]
fn elements_that_could_not_be_written_again_are_passed_over() {
    let error = ErrorDocument::parse(b"<Error><Code>a</Code><Reso<a>b</Reso<a><Bucket>c</Bucket></Error>");
    if let Ok(error) = error {
        assert!(error.details.iter().all(|(name, _)| name == "Bucket"), "{error:?}");
        assert!(ErrorDocument::parse(error.write().as_bytes()).is_ok());
    }
    let copy =
        CopyObjectResult::parse(b"<CopyObjectResult><ETag>a</ETag><ChecksumA=1>b</ChecksumA=1></CopyObjectResult>");
    if let Ok(copy) = copy {
        assert!(CopyObjectResult::parse(copy.write().as_bytes()).is_ok(), "{copy:?}");
    }
}
