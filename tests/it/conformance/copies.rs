//! Copies inside of the store.

use super::Bench;
use super::checks;
use super::kind;
use super::metadata;
use super::pattern;
use brigade::store::CopySource;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::PartNumber;
use brigade::wire::etag::ETag;

checks![
    a_copy_is_the_same_object,
    a_copy_may_have_other_headers,
    a_copy_onto_itself_changes_headers_only,
    a_copy_may_ask_for_a_version,
    a_part_may_be_copied,
    a_move_leaves_nothing_behind,
];

fn source(bench: &Bench, name: &str, if_match: Option<ETag>) -> CopySource {
    CopySource { key: bench.key(name), if_match }
}

async fn a_copy_is_the_same_object(bench: Bench) {
    let headers = Headers { content_type: Some("text/x".into()), ..metadata(&[("mode", "1")]) };
    bench.put_with("a", pattern(100_000), &headers).await;
    bench.put("b", "old").await;
    let etag = bench.store.copy_object(&source(&bench, "a", None), &bench.key("b"), None).await.unwrap();
    assert_eq!(bench.get("b").await, pattern(100_000));
    let head = bench.store.head_object(&bench.key("b")).await.unwrap();
    assert_eq!((head.etag, head.headers.content_type), (etag, headers.content_type));
    assert_eq!(head.headers.metadata, headers.metadata);
    bench.store.delete_object(&bench.key("a")).await.unwrap();
    assert_eq!(bench.get("b").await, pattern(100_000), "a copy lives on without its source");
}

async fn a_copy_may_have_other_headers(bench: Bench) {
    bench.put_with("a", "bytes", &metadata(&[("old", "1"), ("both", "1")])).await;
    let headers = Headers { cache_control: Some("no-cache".into()), ..metadata(&[("both", "2"), ("new", "2")]) };
    bench.store.copy_object(&source(&bench, "a", None), &bench.key("b"), Some(&headers)).await.unwrap();
    let kept = bench.store.head_object(&bench.key("b")).await.unwrap().headers;
    assert_eq!((kept.metadata, kept.cache_control), (headers.metadata, headers.cache_control));
    assert_eq!(bench.store.head_object(&bench.key("a")).await.unwrap().headers.metadata.len(), 2);
}

async fn a_copy_onto_itself_changes_headers_only(bench: Bench) {
    let etag = bench.put_with("a", "bytes", &metadata(&[("old", "1")])).await;
    let onto = source(&bench, "a", Some(etag));
    bench.store.copy_object(&onto, &bench.key("a"), Some(&metadata(&[("new", "2")]))).await.unwrap();
    assert_eq!(bench.get("a").await, b"bytes");
    let kept = bench.store.head_object(&bench.key("a")).await.unwrap().headers.metadata;
    assert_eq!(kept, metadata(&[("new", "2")]).metadata);
    let unchanged = bench.store.copy_object(&source(&bench, "a", None), &bench.key("a"), None).await;
    assert_eq!(kind(unchanged), Kind::Invalid, "a copy that changes nothing is a mistake");
}

async fn a_copy_may_ask_for_a_version(bench: Bench) {
    let first = bench.put("a", "first").await;
    let second = bench.put("a", "second").await;
    let stale = bench.store.copy_object(&source(&bench, "a", Some(first)), &bench.key("b"), None).await;
    assert_eq!(kind(stale), Kind::PreconditionFailed);
    assert!(!bench.exists("b").await);
    bench.store.copy_object(&source(&bench, "a", Some(second)), &bench.key("b"), None).await.unwrap();
    let absent = bench.store.copy_object(&source(&bench, "absent", None), &bench.key("b"), None).await;
    assert_eq!(kind(absent), Kind::NotFound);
    assert_eq!(bench.get("b").await, b"second");
}

async fn a_part_may_be_copied(bench: Bench) {
    let min = bench.store.facts().part_bytes_min;
    let bytes = pattern(min + 1000);
    let etag = bench.put("a", bytes.clone()).await;
    let key = bench.key("b");
    let id = bench.store.create_upload(&key, &Headers::default()).await.unwrap();
    let from = source(&bench, "a", Some(etag));
    let first = bench.store.copy_part(&key, &id, PartNumber(1), &from, 500..500 + min).await.unwrap();
    let last = bench.store.copy_part(&key, &id, PartNumber(2), &from, 0..7).await.unwrap();
    assert_eq!((first.size, last.size), (min, 7));
    let stale = source(&bench, "a", Some(ETag::new("0123456789abcdef0123456789abcdef")));
    let result = bench.store.copy_part(&key, &id, PartNumber(3), &stale, 0..7).await;
    assert_eq!(kind(result), Kind::PreconditionFailed);
    let beyond = bench.store.copy_part(&key, &id, PartNumber(3), &from, 1000..min + 1001).await;
    assert!(matches!(kind(beyond), Kind::Invalid | Kind::InvalidRange), "a part is never shorter than it was asked");
    let absent = bench.store.copy_part(&key, &id, PartNumber(3), &source(&bench, "absent", None), 0..7).await;
    assert_eq!(kind(absent), Kind::NotFound);
    bench.store.complete_upload(&key, &id, &[first, last], &brigade::store::Condition::None).await.unwrap();
    let start = 500;
    let end = usize::try_from(500 + min).unwrap();
    assert_eq!(bench.get("b").await, [&bytes[start..end], &bytes[..7]].concat());
}

async fn a_move_leaves_nothing_behind(bench: Bench) {
    let headers = Headers { content_type: Some("text/x".into()), ..metadata(&[("mode", "1")]) };
    let etag = bench.put_with("a", pattern(1000), &headers).await;
    bench.put("b", "old").await;
    let from = source(&bench, "a", None);
    if !bench.store.facts().move_object {
        assert_eq!(kind(bench.store.move_object(&from, &bench.key("b")).await), Kind::NotImplemented);
        assert_eq!(bench.get("b").await, b"old");
        return;
    }
    let stale = source(&bench, "a", Some(ETag::new("0123456789abcdef0123456789abcdef")));
    assert_eq!(kind(bench.store.move_object(&stale, &bench.key("b")).await), Kind::PreconditionFailed);
    assert_eq!(kind(bench.store.move_object(&from, &bench.key("a")).await), Kind::Invalid, "onto itself");
    bench.store.move_object(&source(&bench, "a", Some(etag)), &bench.key("b")).await.unwrap();
    assert!(!bench.exists("a").await);
    assert_eq!(bench.get("b").await, pattern(1000));
    let kept = bench.store.head_object(&bench.key("b")).await.unwrap().headers;
    assert_eq!((kept.content_type, kept.metadata), (headers.content_type, headers.metadata));
    assert_eq!(kind(bench.store.move_object(&from, &bench.key("b")).await), Kind::NotFound);
    assert_eq!(bench.get("b").await, pattern(1000), "a move of nothing changes nothing");
}
