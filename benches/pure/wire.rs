//! Signatures and listings, as both client and server make and read them.

use brigade::wire::date::AmzDate;
use brigade::wire::etag::ETag;
use brigade::wire::sigv4;
use brigade::wire::sigv4::AWS4;
use brigade::wire::sigv4::Scope;
use brigade::wire::sigv4::SigningKey;
use brigade::wire::xml::Content;
use brigade::wire::xml::Document;
use brigade::wire::xml::Encoding;
use brigade::wire::xml::ListObjects;
use brigade::wire::xml::Paging;
use criterion::Criterion;
use criterion::Throughput;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;
use std::time::SystemTime;

/// Objects of a full page.
const PAGE: u32 = 1000;

/// The signature of a part's request, and the key of a day.
pub fn signing(criterion: &mut Criterion) {
    let time = AmzDate::parse("20260102T030405Z").expect("it has the form");
    let scope = Scope::new(&time, "us-east-1");
    let key = SigningKey::derive(&AWS4, "a secret", &scope);
    let query = [("partNumber".to_owned(), "17".to_owned()), ("uploadId".to_owned(), "0123456789abcdef".repeat(4))];
    let headers = [
        ("host", "bucket.s3.us-east-1.amazonaws.com"),
        ("content-length", "8388608"),
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ("x-amz-content-sha256", sigv4::UNSIGNED_PAYLOAD),
        ("x-amz-date", "20260102T030405Z"),
    ];
    let request = sigv4::Request {
        method: "PUT",
        path: "/a/directory/and/a%20file",
        query: &query,
        headers: &headers,
        payload_hash: sigv4::UNSIGNED_PAYLOAD,
    };
    let mut group = criterion.benchmark_group("signing");
    group.bench_function("a part", |bencher| {
        bencher.iter(|| black_box(&request).signature(&AWS4, &key, &time, &scope, &request.header_names()));
    });
    group.bench_function("the key of a day", |bencher| {
        bencher.iter(|| SigningKey::derive(&AWS4, black_box("a secret"), &scope));
    });
    group.finish();
}

/// A full page of a listing with user metadata, read and written.
pub fn listing(criterion: &mut Criterion) {
    let page = page();
    let text = page.write();
    let mut group = criterion.benchmark_group("listing of 1,000");
    group.throughput(Throughput::Elements(PAGE.into()));
    group.bench_function("read", |bencher| {
        bencher.iter(|| ListObjects::parse(black_box(text.as_bytes())).expect("it was just written"));
    });
    group.bench_function("write", |bencher| bencher.iter(|| black_box(&page).write()));
    group.finish();
}

fn page() -> ListObjects {
    let metadata = [("mode", "33188"), ("uid", "1000"), ("gid", "1000"), ("mtime", "1767322800.5")];
    let metadata: BTreeMap<_, _> =
        metadata.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let content = |at: u32| Content {
        key: format!("a/directory/file number {at:05}"),
        last_modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_322_800 + u64::from(at)),
        etag: ETag::new("\"0123456789abcdef0123456789abcdef\""),
        size: u64::from(at) * 1000,
        storage_class: Some("STANDARD".to_owned()),
        owner: None,
        user_metadata: Some(metadata.clone()),
    };
    ListObjects {
        name: "bucket".to_owned(),
        prefix: "a/directory/".to_owned(),
        delimiter: Some("/".to_owned()),
        max_keys: PAGE,
        is_truncated: true,
        encoding: Encoding::Url,
        paging: Paging::V2 {
            continuation_token: None,
            next_continuation_token: Some("a token".to_owned()),
            start_after: None,
            key_count: PAGE,
        },
        contents: (0..PAGE).map(content).collect(),
        common_prefixes: Vec::new(),
    }
}
