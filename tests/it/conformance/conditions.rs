//! Writes that depend on what is there.

use super::Bench;
use super::checks;
use super::kind;
use super::metadata;
use super::pattern;
use brigade::store::Condition;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::Part;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::UploadId;
use brigade::wire::etag::ETag;
use futures_util::future::join_all;

checks![
    a_put_may_ask_for_absence,
    a_put_may_ask_for_a_version,
    a_complete_may_ask_for_either,
    of_many_creators_one_succeeds,
];

async fn a_put_may_ask_for_absence(bench: Bench) {
    if !bench.store.facts().conditional_writes {
        assert_eq!(kind(bench.put_if("k", b"1", &Condition::Absent).await), Kind::NotImplemented);
        return;
    }
    bench.put_if("k", b"1", &Condition::Absent).await.unwrap();
    assert_eq!(kind(bench.put_if("k", b"2", &Condition::Absent).await), Kind::PreconditionFailed);
    assert_eq!(bench.get("k").await, b"1");
    bench.store.delete_object(&bench.key("k")).await.unwrap();
    bench.put_if("k", b"3", &Condition::Absent).await.unwrap();
    assert_eq!(bench.get("k").await, b"3");
}

async fn a_put_may_ask_for_a_version(bench: Bench) {
    if !bench.store.facts().conditional_writes {
        return;
    }
    let first = bench.put("k", "1").await;
    let second = bench.put_if("k", b"2", &Condition::Matches(first.clone())).await.unwrap();
    assert_eq!(kind(bench.put_if("k", b"3", &Condition::Matches(first)).await), Kind::PreconditionFailed);
    assert_eq!(bench.get("k").await, b"2");
    assert_eq!(kind(bench.put_if("absent", b"3", &Condition::Matches(second)).await), Kind::PreconditionFailed);
    assert!(!bench.exists("absent").await);
}

async fn a_complete_may_ask_for_either(bench: Bench) {
    if !bench.store.facts().conditional_writes {
        return;
    }
    let key = bench.key("k");
    let complete = async |id: &UploadId, part: &Part, condition: &Condition| {
        bench.store.complete_upload(&key, id, std::slice::from_ref(part), condition).await
    };
    let begin = async || {
        let id = bench.store.create_upload(&key, &Headers::default()).await.unwrap();
        let part = bench.store.put_part(&key, &id, PartNumber(1), Payload::from(pattern(10))).await.unwrap();
        (id, part)
    };
    let (id, part) = begin().await;
    let absent = ETag::new("0123456789abcdef0123456789abcdef");
    assert_eq!(kind(complete(&id, &part, &Condition::Matches(absent)).await), Kind::PreconditionFailed);
    let first = complete(&id, &part, &Condition::Absent).await.unwrap();
    let (id, part) = begin().await;
    assert_eq!(kind(complete(&id, &part, &Condition::Absent).await), Kind::PreconditionFailed);
    complete(&id, &part, &Condition::Matches(first)).await.unwrap();
    assert_eq!(bench.get("k").await, pattern(10));
}

async fn of_many_creators_one_succeeds(bench: Bench) {
    if !bench.store.facts().conditional_writes {
        return;
    }
    let create = async |number: u32| {
        let headers = metadata(&[("creator", &number.to_string())]);
        let payload = Payload::from(pattern(10));
        bench.store.put_object(&bench.key("k"), payload, &headers, &Condition::Absent).await
    };
    let tries = join_all((0..8).map(create)).await;
    let (won, lost): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for result in lost {
        assert!(matches!(kind(result), Kind::PreconditionFailed | Kind::Conflict));
    }
}
