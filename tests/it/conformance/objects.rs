//! Writing and reading whole objects and ranges of them.

use super::Bench;
use super::checks;
use super::kind;
use super::metadata;
use super::pattern;
use brigade::base::clock;
use brigade::store::Condition;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::Payload;
use brigade::wire::etag::ETag;
use bytes::Bytes;
use std::time::Duration;

checks![
    the_bucket_is_there,
    what_is_put_is_what_is_got,
    headers_are_kept,
    nothing_is_an_object_too,
    ranges_give_what_was_asked,
    a_body_may_come_in_pieces,
    an_overwritten_object_is_another_version,
    a_pinned_read_never_mixes_versions,
    what_is_not_there_is_not_found,
    metadata_beyond_limits_is_refused,
    a_checksum_that_is_brought_along_is_taken,
];

async fn the_bucket_is_there(bench: Bench) {
    bench.store.head_bucket().await.unwrap();
}

async fn what_is_put_is_what_is_got(bench: Bench) {
    let bytes = pattern(300_000);
    let etag = bench.put("k", bytes.clone()).await;
    assert_eq!(bench.get("k").await, bytes);
    let object = bench.store.head_object(&bench.key("k")).await.unwrap();
    assert_eq!((object.size, &object.etag), (300_000, &etag));
    let age = clock::now().duration_since(object.last_modified).unwrap_or_default();
    assert!(age < Duration::from_secs(900), "written {age:?} ago");
    let got = bench.store.get_object(&bench.key("k"), None, Some(&etag)).await.unwrap();
    assert_eq!(got.object, object);
}

async fn headers_are_kept(bench: Bench) {
    let text = |text: &str| Some(text.to_owned());
    let headers = Headers {
        content_type: text("text/plain; charset=utf-8"),
        cache_control: text("max-age=60"),
        content_disposition: text("attachment; filename=\"a b.txt\""),
        content_encoding: text("gzip"),
        content_language: text("de"),
        expires: text("Thu, 01 Dec 2033 16:00:00 GMT"),
        storage_class: None,
        ..metadata(&[("mode", "33188"), ("mtime", "1700000000.000000001"), ("a.b_c-d", "x  y=\"z\""), ("empty", "")])
    };
    bench.put_with("k", "bytes", &headers).await;
    let mut kept = bench.store.head_object(&bench.key("k")).await.unwrap().headers;
    kept.storage_class = None;
    assert_eq!(kept, headers);
    assert_eq!(bench.get("k").await, b"bytes");
    bench.put("k", "bytes").await;
    let kept = bench.store.head_object(&bench.key("k")).await.unwrap().headers;
    assert!(kept.metadata.is_empty() && kept.cache_control.is_none(), "another put leaves nothing behind: {kept:?}");
}

async fn nothing_is_an_object_too(bench: Bench) {
    let etag = bench.put("k", Bytes::new()).await;
    assert_eq!(etag, ETag::new("d41d8cd98f00b204e9800998ecf8427e"));
    assert_eq!(bench.get("k").await, b"");
    assert_eq!(bench.store.head_object(&bench.key("k")).await.unwrap().size, 0);
    assert_eq!(kind(bench.read("k", Some(0..1)).await), Kind::InvalidRange);
}

async fn ranges_give_what_was_asked(bench: Bench) {
    let bytes = pattern(1000);
    bench.put("k", bytes.clone()).await;
    for (range, want) in [
        (0..1, 0..1),
        (0..1000, 0..1000),
        (999..1000, 999..1000),
        (10..20, 10..20),
        (990..2000, 990..1000),
        (0..u64::MAX, 0..1000),
    ] {
        assert_eq!(bench.read("k", Some(range.clone())).await.unwrap(), bytes[want], "{range:?}");
        let got = bench.store.get_object(&bench.key("k"), Some(range), None).await.unwrap();
        assert_eq!(got.object.size, 1000, "the size is that of the whole");
    }
    for range in [1000..1001, 5000..6000] {
        assert_eq!(kind(bench.read("k", Some(range.clone())).await), Kind::InvalidRange, "{range:?}");
    }
}

async fn a_body_may_come_in_pieces(bench: Bench) {
    let bytes = pattern(700_001);
    let pieces = vec![bytes.slice(..1), Bytes::new(), bytes.slice(1..300_000), bytes.slice(300_000..)];
    let payload = Payload { pieces, crc64nvme: None };
    bench.store.put_object(&bench.key("k"), payload, &Headers::default(), &Condition::None).await.unwrap();
    assert_eq!(bench.get("k").await, bytes);
}

async fn an_overwritten_object_is_another_version(bench: Bench) {
    let first = bench.put("k", "first").await;
    let second = bench.put("k", "second").await;
    assert_ne!(first, second);
    assert_eq!(bench.get("k").await, b"second");
    assert_eq!(bench.put("k", "first").await, first, "the same bytes have the same tag");
}

async fn a_pinned_read_never_mixes_versions(bench: Bench) {
    let (key, first) = (bench.key("k"), bench.put("k", "first").await);
    assert!(bench.store.get_object(&key, Some(0..2), Some(&first)).await.is_ok());
    bench.put("k", "second").await;
    assert_eq!(kind(bench.store.get_object(&key, Some(0..2), Some(&first)).await), Kind::PreconditionFailed);
    bench.store.delete_object(&key).await.unwrap();
    assert_eq!(kind(bench.store.get_object(&key, None, Some(&first)).await), Kind::NotFound);
}

async fn what_is_not_there_is_not_found(bench: Bench) {
    assert_eq!(kind(bench.store.head_object(&bench.key("k")).await), Kind::NotFound);
    assert_eq!(kind(bench.read("k", None).await), Kind::NotFound);
    assert_eq!(kind(bench.read("k", Some(0..1)).await), Kind::NotFound);
    bench.put("k/below", "1").await;
    assert!(!bench.exists("k").await && !bench.exists("k/").await, "a prefix is not an object");
}

async fn metadata_beyond_limits_is_refused(bench: Bench) {
    let limit = bench.store.facts().metadata_bytes_max;
    let value = "v".repeat(limit);
    let put = async |headers: Headers| {
        bench.store.put_object(&bench.key("k"), Payload::default(), &headers, &Condition::None).await
    };
    assert_eq!(kind(put(metadata(&[("n", &value)])).await), Kind::MetadataTooLarge);
    assert_eq!(kind(put(metadata(&[("n", "two\nlines")])).await), Kind::Invalid);
    assert!(!bench.exists("k").await);
    put(metadata(&[("n", &value[1..])])).await.unwrap();
    let kept = bench.store.head_object(&bench.key("k")).await.unwrap().headers.metadata;
    assert_eq!(kept["n"], value[1..]);
}

async fn a_checksum_that_is_brought_along_is_taken(bench: Bench) {
    let pieces = vec![Bytes::from_static(b"1234"), Bytes::from_static(b"56789")];
    let payload = Payload { pieces, crc64nvme: Some(0xae8b_1486_0a79_9888) };
    bench.store.put_object(&bench.key("k"), payload, &Headers::default(), &Condition::None).await.unwrap();
    assert_eq!(bench.get("k").await, b"123456789");
}
