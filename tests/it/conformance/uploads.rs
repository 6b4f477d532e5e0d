//! Objects made of parts.

use super::Bench;
use super::checks;
use super::kind;
use super::metadata;
use super::pattern;
use brigade::store::Condition;
use brigade::store::Dialect;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::Part;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::Result;
use brigade::store::UploadId;
use brigade::wire::etag::ETag;
use bytes::Bytes;

checks![
    parts_become_an_object,
    one_part_may_be_small,
    nothing_is_visible_before_complete,
    a_part_sent_again_replaces_the_first,
    parts_may_be_left_out,
    a_wrong_list_of_parts_is_refused,
    part_numbers_have_limits,
    an_unknown_upload_is_known_as_such,
    an_aborted_upload_is_gone,
    uploads_of_one_key_do_not_mix,
    unfinished_uploads_are_listed,
    parts_are_listed,
];

async fn begin(bench: &Bench, name: &str) -> UploadId {
    bench.store.create_upload(&bench.key(name), &Headers::default()).await.unwrap()
}

async fn part(bench: &Bench, name: &str, id: &UploadId, number: u32, bytes: Bytes) -> Part {
    bench.store.put_part(&bench.key(name), id, PartNumber(number), Payload::from(bytes)).await.unwrap()
}

async fn complete(bench: &Bench, name: &str, id: &UploadId, parts: &[Part]) -> Result<ETag> {
    bench.store.complete_upload(&bench.key(name), id, parts, &Condition::None).await
}

fn min(bench: &Bench) -> u64 {
    bench.store.facts().part_bytes_min
}

async fn parts_become_an_object(bench: Bench) {
    let min = min(&bench);
    let headers = Headers { content_type: Some("video/x".into()), ..metadata(&[("mode", "33188")]) };
    let id = bench.store.create_upload(&bench.key("k"), &headers).await.unwrap();
    let bytes = [pattern(min + 3), pattern(min), pattern(5)];
    // Any order, at the same time.
    let (third, first, second) = tokio::join!(
        part(&bench, "k", &id, 30, bytes[2].clone()),
        part(&bench, "k", &id, 1, bytes[0].clone()),
        part(&bench, "k", &id, 2, bytes[1].clone()),
    );
    let md5s = [&first, &second, &third].map(|part| part.etag.md5().unwrap());
    let etag = complete(&bench, "k", &id, &[first, second, third]).await.unwrap();
    assert_eq!(etag, bench.store.facts().dialect.etag_of_parts(md5s));
    let whole = bytes.concat();
    assert!(bench.get("k").await == whole, "the parts in the order of their numbers");
    let head = bench.store.head_object(&bench.key("k")).await.unwrap();
    assert_eq!((head.size, head.etag), (whole.len() as u64, etag));
    assert_eq!((head.headers.content_type, head.headers.metadata), (headers.content_type, headers.metadata));
    let across = min..min + 9;
    let want = &whole[usize::try_from(across.start).unwrap()..usize::try_from(across.end).unwrap()];
    assert_eq!(bench.read("k", Some(across)).await.unwrap(), want, "a range across parts");
    assert_eq!(kind(bench.store.list_parts(&bench.key("k"), &id).await), Kind::NoSuchUpload);
}

async fn one_part_may_be_small(bench: Bench) {
    for bytes in [pattern(1), Bytes::new()] {
        let id = begin(&bench, "k").await;
        let only = part(&bench, "k", &id, 10_000, bytes.clone()).await;
        let want = bench.store.facts().dialect.etag_of_parts(only.etag.md5());
        assert_eq!(complete(&bench, "k", &id, &[only]).await.unwrap(), want);
        assert_eq!(bench.get("k").await, bytes);
    }
}

async fn nothing_is_visible_before_complete(bench: Bench) {
    bench.put("old", "old").await;
    for name in ["old", "new"] {
        let id = begin(&bench, name).await;
        let first = part(&bench, name, &id, 1, pattern(10)).await;
        match name {
            "old" => assert_eq!(bench.get("old").await, b"old"),
            _ => assert!(!bench.exists("new").await),
        }
        complete(&bench, name, &id, &[first]).await.unwrap();
        assert_eq!(bench.get(name).await, pattern(10));
    }
}

async fn a_part_sent_again_replaces_the_first(bench: Bench) {
    let id = begin(&bench, "k").await;
    let old = part(&bench, "k", &id, 1, pattern(10)).await;
    let new = part(&bench, "k", &id, 1, pattern(11)).await;
    assert_eq!(kind(complete(&bench, "k", &id, &[old]).await), Kind::InvalidPart);
    complete(&bench, "k", &id, &[new]).await.unwrap();
    assert_eq!(bench.get("k").await, pattern(11));
}

async fn parts_may_be_left_out(bench: Bench) {
    let id = begin(&bench, "k").await;
    part(&bench, "k", &id, 1, pattern(10)).await;
    let second = part(&bench, "k", &id, 2, pattern(11)).await;
    complete(&bench, "k", &id, &[second]).await.unwrap();
    assert_eq!(bench.get("k").await, pattern(11));
}

async fn a_wrong_list_of_parts_is_refused(bench: Bench) {
    let id = begin(&bench, "k").await;
    let first = part(&bench, "k", &id, 1, pattern(10)).await;
    let second = part(&bench, "k", &id, 2, pattern(11)).await;
    let missing = Part { number: PartNumber(3), ..second.clone() };
    let wrong = Part { etag: ETag::new("0123456789abcdef0123456789abcdef"), ..second.clone() };
    let rows: &[(&[Part], Kind, &str)] = &[
        (&[], Kind::Invalid, "no parts"),
        (&[second.clone(), first.clone()], Kind::Invalid, "not ascending"),
        (&[second.clone(), second.clone()], Kind::Invalid, "the same twice"),
        (std::slice::from_ref(&missing), Kind::InvalidPart, "a part that was not sent"),
        (std::slice::from_ref(&wrong), Kind::InvalidPart, "another tag"),
        (&[first.clone(), second.clone()], Kind::Invalid, "a part too small that is not the last"),
    ];
    // JSS names no smallest part.
    let rows = if bench.store.facts().dialect == Dialect::Jss { &rows[..rows.len() - 1] } else { rows };
    for (parts, want, why) in rows {
        assert_eq!(kind(complete(&bench, "k", &id, parts).await), *want, "{why}");
    }
    assert!(!bench.exists("k").await);
    complete(&bench, "k", &id, &[second]).await.unwrap();
}

async fn part_numbers_have_limits(bench: Bench) {
    let id = begin(&bench, "k").await;
    for number in [0, bench.store.facts().parts_max + 1, u32::MAX] {
        let payload = Payload::from(pattern(1));
        let result = bench.store.put_part(&bench.key("k"), &id, PartNumber(number), payload).await;
        // JSS says of too large a number that there are too many parts.
        assert!(matches!(kind(result), Kind::Invalid | Kind::TooLarge), "{number}");
    }
}

async fn an_unknown_upload_is_known_as_such(bench: Bench) {
    let mine = begin(&bench, "k").await;
    let first = part(&bench, "k", &mine, 1, pattern(1)).await;
    let unknown = UploadId("0123456789abcdef0123456789abcdef".into());
    // An id belongs to a key.
    for (name, id) in [("k", &unknown), ("other", &mine)] {
        let key = bench.key(name);
        let sent = bench.store.put_part(&key, id, PartNumber(1), Payload::from(pattern(1))).await;
        assert_eq!(kind(sent), Kind::NoSuchUpload, "{name}");
        assert_eq!(kind(bench.store.list_parts(&key, id).await), Kind::NoSuchUpload, "{name}");
        let done = complete(&bench, name, id, std::slice::from_ref(&first)).await;
        assert_eq!(kind(done), Kind::NoSuchUpload, "{name}");
        bench.store.abort_upload(&key, id).await.unwrap();
    }
    complete(&bench, "k", &mine, &[first]).await.unwrap();
}

async fn an_aborted_upload_is_gone(bench: Bench) {
    bench.put("k", "old").await;
    let id = begin(&bench, "k").await;
    let first = part(&bench, "k", &id, 1, pattern(10)).await;
    for _ in 0..2 {
        bench.store.abort_upload(&bench.key("k"), &id).await.unwrap();
    }
    assert_eq!(kind(complete(&bench, "k", &id, &[first]).await), Kind::NoSuchUpload);
    assert!(bench.store.list_uploads(&bench.prefix).await.unwrap().is_empty());
    assert_eq!(bench.get("k").await, b"old");
}

async fn uploads_of_one_key_do_not_mix(bench: Bench) {
    let (one, two) = (begin(&bench, "k").await, begin(&bench, "k").await);
    assert_ne!(one, two);
    let of_one = part(&bench, "k", &one, 1, pattern(10)).await;
    let of_two = part(&bench, "k", &two, 1, pattern(11)).await;
    assert_eq!(kind(complete(&bench, "k", &one, std::slice::from_ref(&of_two)).await), Kind::InvalidPart);
    complete(&bench, "k", &two, &[of_two]).await.unwrap();
    complete(&bench, "k", &one, &[of_one]).await.unwrap();
    assert_eq!(bench.get("k").await, pattern(10), "the later complete wins");
}

async fn unfinished_uploads_are_listed(bench: Bench) {
    let mut want = Vec::new();
    for name in ["a", "a", "b c/+d", "\u{1}目", "e"] {
        want.push((bench.key(name), begin(&bench, name).await));
    }
    let done = begin(&bench, "done").await;
    let only = part(&bench, "done", &done, 1, pattern(1)).await;
    complete(&bench, "done", &done, &[only]).await.unwrap();
    let uploads = bench.store.list_uploads(&bench.prefix).await.unwrap();
    let mut listed: Vec<(String, UploadId)> = uploads.into_iter().map(|upload| (upload.key, upload.id)).collect();
    let mut keys: Vec<String> = listed.iter().map(|(key, _)| key.clone()).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    listed.sort();
    want.sort();
    assert_eq!(listed, want);
    keys.retain(|key| key.starts_with(&bench.key("a")));
    assert_eq!(bench.store.list_uploads(&bench.key("a")).await.unwrap().len(), keys.len());
}

async fn parts_are_listed(bench: Bench) {
    let id = begin(&bench, "k").await;
    assert_eq!(bench.store.list_parts(&bench.key("k"), &id).await.unwrap(), []);
    let mut want = Vec::new();
    for number in [3, 1, 2, 10_000] {
        want.push(part(&bench, "k", &id, number, pattern(u64::from(number) % 100)).await);
    }
    want.sort_by_key(|part| part.number);
    let listed = bench.store.list_parts(&bench.key("k"), &id).await.unwrap();
    assert_eq!(listed.len(), want.len());
    for (listed, want) in listed.iter().zip(&want) {
        assert_eq!((listed.number, &listed.etag, listed.size), (want.number, &want.etag, want.size));
        if let (Some(listed), Some(sent)) = (listed.crc64nvme, want.crc64nvme) {
            assert_eq!(listed, sent);
        }
    }
}
