//! The documents, in every dialect's form.

use crate::allocator::bounded;
use crate::inputs::hostile;
use brigade::wire::dialect::Dialect;
use brigade::wire::document;
use brigade::wire::json;
use brigade::wire::xml;
use brigade::wire::xml::Document;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// Bytes for each byte of XML. The worst is `<a/>`: four bytes become an element of 72 with a name, in a list that holds
/// its old block while it grows.
const XML_FACTOR: usize = 64;
/// Bytes for each byte of JSON. The worst is `"",` in a list of texts.
const JSON_FACTOR: usize = 28;

const XML: &[&str] = &[
    r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p%2F</Prefix><StartAfter>a</StartAfter><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><Delimiter>%2F</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>dG9r</NextContinuationToken><Contents><Key>p%2Fa+b</Key><LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>18446744073709551615</Size><StorageClass>STANDARD</StorageClass><Owner><ID>1</ID><DisplayName>n</DisplayName></Owner><UserMetadata><mode>33188</mode></UserMetadata></Contents><CommonPrefixes><Prefix>p%2Fd%2F</Prefix></CommonPrefixes></ListBucketResult>"#,
    r#"<ListBucketResult><Name>b</Name><Prefix></Prefix><Marker>m</Marker><NextMarker>n</NextMarker><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>&lt;k&#x41;</Key><LastModified>Fri, 24 May 2013 00:00:00 GMT</LastModified><ETag>"a-1"</ETag><Size>0</Size></Contents></ListBucketResult>"#,
    r#"<ListAllMyBucketsResult><Owner><ID>1</ID><DisplayName>n</DisplayName></Owner><Buckets><Bucket><Name>b</Name><CreationDate>2013-05-24T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>"#,
    r#"<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>"#,
    r#"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"#,
    r#"<CopyObjectResult><ETag>"ab"</ETag><LastModified>2013-05-24T00:00:00.000Z</LastModified><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></CopyObjectResult>"#,
    r#"<CopyPartResult><ETag>"ab"</ETag><LastModified>2013-05-24T00:00:00.000Z</LastModified></CopyPartResult>"#,
    r#"<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>v</VersionId></Object></Delete>"#,
    r#"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code><Message>m</Message></Error></DeleteResult>"#,
    r#"<Error><Code>NoSuchKey</Code><Message>m</Message><Resource>/b/k</Resource><RequestId>1</RequestId><HostId>h</HostId><Region>r</Region><Key>k</Key></Error>"#,
    r#"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>"#,
    r#"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"ab"</ETag><ChecksumCRC32C>yZRlqg==</ChecksumCRC32C></Part><Part><PartNumber>10000</PartNumber><ETag>cd</ETag></Part></CompleteMultipartUpload>"#,
    r#"<CompleteMultipartUploadResult><Location>http://h/b/k</Location><Bucket>b</Bucket><Key>k</Key><ETag>"ab-2"</ETag><ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>"#,
    r#"<ListPartsResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1000</MaxParts><IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber><LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>"ab"</ETag><Size>5242880</Size></Part></ListPartsResult>"#,
    r#"<ListMultipartUploadsResult><Bucket>b</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker><EncodingType>url</EncodingType><MaxUploads>1000</MaxUploads><IsTruncated>true</IsTruncated><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2013-05-24T00:00:00.000Z</Initiated></Upload><CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes></ListMultipartUploadsResult>"#,
];

const JSON: &[&str] = &[
    r#"{"Name":"b","Prefix":"p/","Marker":null,"NextMarker":"n","Delimiter":"/","MaxKeys":1000,"HasNext":true,"HasCommonPrefix":true,"Contents":[{"Key":"p/a","LastModified":"Fri, 24 May 2013 00:00:00 GMT","ETag":"d41d8cd98f00b204e9800998ecf8427e","Size":18446744073709551615,"StorageClass":"STANDARD"}],"CommonPrefixes":["p/d","p/e"]}"#,
    r#"{"Buckets":[{"Name":"b","CreationDate":"Fri, 24 May 2013 00:00:00 GMT","Location":"cn-north-1"}]}"#,
    r#"{"LastModified":"Fri,  24 May  2013 00:00:00 GMT","Etag":"ab"}"#,
    r#"{"code":"NoSuchKey","message":"m","resource":"/b/k","requestId":"1"}"#,
    r#"{"Bucket":"b","Key":"k","UploadId":"u"}"#,
    r#"{"Part":[{"PartNumber":1,"ETag":"ab"},{"PartNumber":10000,"ETag":"\"cd\""}]}"#,
    r#"[{"partNumber":1,"eTag":"ab","Other":[{"a":{}}]}]"#,
    r#"{"Bucket":"b","Key":"k","ETag":"ab-2"}"#,
    r#"{"Bucket":"b","Key":"k","UploadId":"u","Part":[{"PartNumber":1,"LastModified":"Fri, 24 May 2013 00:00:00 GMT","ETag":"ab","Size":5242880}],"StorageClass":null,"PartNumberMarker":0,"NextPartNumberMarker":1,"MaxParts":1000,"HasNext":true}"#,
    r#"{"Bucket":"b","Prefix":"p","Delimiter":"/","Upload":[{"Key":"k","UploadId":"u","Initiated":"Fri, 24 May 2013 00:00:00 GMT","Enable-Encryption":"true","StorageClass":"STANDARD"}],"CommonPrefixes":["d"],"KeyMarker":"k","NextKeyMarker":"n","NextUploadIdMarker":"u"}"#,
];

type Outcome = Result<(), TestCaseError>;

/// Reads XML as a document; whatever was read can be written, and reads back.
fn one_xml<D: Document>(input: &[u8], read: &mut usize) -> Outcome {
    let parsed = bounded(D::ROOT, input.len(), XML_FACTOR, || D::parse(input))?;
    if let Ok(document) = parsed {
        *read += 1;
        // What cannot be carried by XML is replaced, so that it is another document then, but always one.
        let written = document.write();
        prop_assert!(D::parse(written.as_bytes()).is_ok(), "{written}");
    }
    Ok(())
}

fn all_xml(input: &[u8]) -> Result<usize, TestCaseError> {
    let mut read = 0;
    one_xml::<xml::ListObjects>(input, &mut read)?;
    one_xml::<xml::ListBuckets>(input, &mut read)?;
    one_xml::<xml::LocationConstraint>(input, &mut read)?;
    one_xml::<xml::CreateBucketConfiguration>(input, &mut read)?;
    one_xml::<xml::CopyObjectResult>(input, &mut read)?;
    one_xml::<xml::CopyPartResult>(input, &mut read)?;
    one_xml::<xml::Delete>(input, &mut read)?;
    one_xml::<xml::DeleteResult>(input, &mut read)?;
    one_xml::<xml::ErrorDocument>(input, &mut read)?;
    one_xml::<xml::InitiateResult>(input, &mut read)?;
    one_xml::<xml::CompleteRequest>(input, &mut read)?;
    one_xml::<xml::CompleteResult>(input, &mut read)?;
    one_xml::<xml::ListParts>(input, &mut read)?;
    one_xml::<xml::ListUploads>(input, &mut read)?;
    let _ = bounded("the root", input.len(), 4, || xml::root_name(input))?;
    Ok(read)
}

fn one_json<D: Document + json::Document>(input: &[u8], read: &mut usize) -> Outcome {
    let parsed = bounded(D::ROOT, input.len(), JSON_FACTOR, || document::read::<D>(Dialect::Jss, input))?;
    if let Ok(document) = parsed {
        *read += 1;
        let written = document::write(Dialect::Jss, &document);
        prop_assert!(document::read::<D>(Dialect::Jss, written.as_bytes()).is_ok(), "{written}");
    }
    Ok(())
}

fn all_json(input: &[u8]) -> Result<usize, TestCaseError> {
    let mut read = 0;
    one_json::<xml::ListObjects>(input, &mut read)?;
    one_json::<xml::ListBuckets>(input, &mut read)?;
    one_json::<xml::CopyObjectResult>(input, &mut read)?;
    one_json::<xml::ErrorDocument>(input, &mut read)?;
    one_json::<xml::InitiateResult>(input, &mut read)?;
    one_json::<xml::CompleteRequest>(input, &mut read)?;
    one_json::<xml::CompleteResult>(input, &mut read)?;
    one_json::<xml::ListParts>(input, &mut read)?;
    one_json::<xml::ListUploads>(input, &mut read)?;
    Ok(read)
}

fn bytes(samples: &[&str]) -> Vec<Vec<u8>> {
    samples.iter().map(|sample| sample.as_bytes().to_vec()).collect()
}

#[test]
fn the_samples_are_documents() {
    for sample in XML {
        assert!(all_xml(sample.as_bytes()).unwrap() > 0, "damage to it would show nothing: {sample}");
    }
    for sample in JSON {
        assert!(all_json(sample.as_bytes()).unwrap() > 0, "damage to it would show nothing: {sample}");
    }
}

#[test]
fn what_grows_most_stays_within_its_factor() {
    let part = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>";
    let xml = [
        "<a/>".repeat(10_000),
        "<a>".repeat(10_000),
        "<a></a>".repeat(10_000),
        format!("<ListBucketResult>{}", "<a/>".repeat(10_000)),
        format!("<ListBucketResult>{}</ListBucketResult>", "<CommonPrefixes><Prefix/></CommonPrefixes>".repeat(3000)),
        format!("<Delete>{}</Delete>", "<Object><Key>a</Key></Object>".repeat(3000)),
        format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", part.repeat(3000)),
        format!("<Error><Code>a</Code>{}</Error>", "<a/>".repeat(10_000)),
        format!("<Error><Code>{}</Code></Error>", "&amp;".repeat(10_000)),
        format!("<Error a='{}'><Code>a</Code></Error>", "b".repeat(40_000)),
        format!("<{}", "a".repeat(40_000)),
    ];
    for input in xml {
        all_xml(input.as_bytes()).unwrap();
    }
    let json = [
        "[".repeat(40_000),
        "{\"a\":".repeat(10_000),
        format!("[{}]", vec!["[]"; 8200].join(",")),
        format!("{{\"a\":[{}]}}", vec!["{}"; 8200].join(",")),
        format!("{{\"CommonPrefixes\":[{}]}}", vec!["\"\""; 8200].join(",")),
        format!("{{\"Delimiter\":\"{}\",\"CommonPrefixes\":[{}]}}", "d".repeat(20_000), vec!["\"\""; 5000].join(",")),
        format!("{{\"Delimiter\":\"{}\",\"CommonPrefixes\":[{}]}}", "d".repeat(40), vec!["\"\""; 5000].join(",")),
        format!("[{}]", vec!["{\"PartNumber\":1,\"ETag\":\"\"}"; 1500].join(",")),
        format!("{{\"code\":\"{}\"}}", "\\u00e9".repeat(7000)),
        format!("{{\"code\":\"a\",\"x\":1{}}}", "0".repeat(40_000)),
        format!("{{\"Etag\":\"a\",\"LastModified\":\"{}\"}}", "a ".repeat(20_000)),
    ];
    for input in json {
        all_json(input.as_bytes()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]
    #[test]
    fn no_xml_panics_or_takes_much(input in hostile(bytes(XML))) {
        all_xml(&input)?;
    }

    #[test]
    fn no_json_panics_or_takes_much(input in hostile(bytes(JSON))) {
        all_json(&input)?;
    }
}
