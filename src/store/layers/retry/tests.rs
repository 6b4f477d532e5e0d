//! Both kinds of loss on every call, on paused time.

use super::*;
use crate::store::Dialect;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use std::future::Future;
use tokio::time::Instant;

const SMALL: Facts = Facts { part_bytes_min: 4, move_object: true, ..Facts::S3 };

fn stack(policy: Policy) -> (Arc<Memory>, Retry) {
    let memory = Arc::new(Memory::with_facts(SMALL));
    let retry = Retry::new(memory.clone(), policy);
    (memory, retry)
}

fn payload(text: &'static str) -> Payload {
    Payload::from(Bytes::from_static(text.as_bytes()))
}

fn headers(mtime: &str) -> Headers {
    Headers { metadata: [("mtime".to_owned(), mtime.to_owned())].into(), ..Headers::default() }
}

/// Every call once, each of whose first attempts is lost in the same way; what came out of it.
async fn all_calls(lost: Lost) {
    let (memory, store) = stack(Policy::default());
    let each_loses = |op| memory.lose(op, 1, lost.clone());
    Op::ALL.into_iter().for_each(each_loses);
    store.head_bucket().await.unwrap();
    let etag = store.put_object("a", payload("12345"), &headers("1"), &Condition::Absent).await.unwrap();
    assert_eq!(store.head_object("a").await.unwrap().etag, etag);
    store.get_object("a", Some(1..2), Some(&etag)).await.unwrap();
    let source = CopySource { key: "a".into(), if_match: Some(etag) };
    store.copy_object(&source, "a", Some(&headers("2"))).await.unwrap();
    assert_eq!(store.list_objects(&ListObjects::default()).await.unwrap().objects.len(), 1);
    let upload = store.create_upload("b", &headers("3")).await.unwrap();
    let first = store.put_part("b", &upload, PartNumber(1), payload("6789")).await.unwrap();
    let second = store.copy_part("b", &upload, PartNumber(2), &source, 0..3).await.unwrap();
    assert_eq!(store.list_parts("b", &upload).await.unwrap(), [first.clone(), second.clone()]);
    store.complete_upload("b", &upload, &[first, second], &Condition::Absent).await.unwrap();
    assert_eq!(memory.bytes("b").unwrap(), "6789123");
    // A create whose answer was lost leaves an upload that nobody knows of.
    let leaked = store.list_uploads("").await.unwrap();
    assert_eq!(leaked.len(), usize::from(lost == Lost::Answer));
    store.abort_upload("b", &upload).await.unwrap();
    let moved = CopySource { key: "b".into(), if_match: None };
    store.move_object(&moved, "d").await.unwrap();
    assert_eq!((memory.bytes("b"), memory.bytes("d").unwrap()), (None, Bytes::from_static(b"6789123")));
    store.delete_object("a").await.unwrap();
    assert!(store.delete_objects(&["d".into(), "c".into()]).await.unwrap().is_empty());
    assert!(memory.keys().is_empty());
    for op in Op::ALL {
        assert!(memory.calls(op) >= 2, "{op} was not repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_made_again() {
    all_calls(Lost::Request).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_settled() {
    all_calls(Lost::Answer).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_now_is_met_again_later() {
    all_calls(Lost::Refused(Kind::Unavailable)).await;
    all_calls(Lost::Refused(Kind::Throttled(None))).await;
    all_calls(Lost::Refused(Kind::Conflict)).await;
}

#[tokio::test(start_paused = true)]
async fn a_put_that_someone_else_won_has_lost() {
    for theirs in [("other", "1"), ("12345", "2")] {
        let (memory, store) = stack(Policy::default());
        memory.put_object("k", payload(theirs.0), &headers(theirs.1), &Condition::None).await.unwrap();
        memory.lose(Op::PutObject, 1, Lost::Request);
        let error = store.put_object("k", payload("12345"), &headers("1"), &Condition::Absent).await.unwrap_err();
        assert_eq!(error.kind, Kind::PreconditionFailed, "{theirs:?}");
        assert_eq!(memory.bytes("k").unwrap(), theirs.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_refusal_is_believed_at_once() {
    let (memory, store) = stack(Policy::default());
    memory.put_object("k", payload("12345"), &headers("1"), &Condition::None).await.unwrap();
    let error = store.put_object("k", payload("12345"), &headers("1"), &Condition::Absent).await.unwrap_err();
    assert_eq!(error.kind, Kind::PreconditionFailed);
    assert_eq!(memory.calls(Op::HeadObject), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_was_aborted_meanwhile_is_not_taken_for_done() {
    let (memory, store) = stack(Policy::default());
    memory.put_object("k", payload("other"), &headers("1"), &Condition::None).await.unwrap();
    let upload = store.create_upload("k", &headers("1")).await.unwrap();
    let part = store.put_part("k", &upload, PartNumber(1), payload("12345")).await.unwrap();
    memory.lose(Op::CompleteUpload, 1, Lost::Request);
    memory.abort_upload("k", &upload).await.unwrap();
    let error = store.complete_upload("k", &upload, &[part], &Condition::None).await.unwrap_err();
    assert_eq!(error.kind, Kind::NoSuchUpload);
    assert_eq!(memory.bytes("k").unwrap(), "other");
}

#[tokio::test(start_paused = true)]
async fn a_move_is_settled_by_what_its_source_was() {
    let source = CopySource { key: "a".into(), if_match: None };
    // Someone else takes the source away after the request was lost: nothing was moved.
    let (memory, store) = stack(Policy::default());
    memory.put_object("a", payload("12345"), &headers("1"), &Condition::None).await.unwrap();
    memory.put_object("b", payload("other, and longer"), &headers("1"), &Condition::None).await.unwrap();
    memory.lose(Op::MoveObject, 1, Lost::Request);
    memory.lose(Op::MoveObject, 2, Lost::Refused(Kind::NotFound));
    let error = store.move_object(&source, "b").await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "the source is still there, so it was not moved");
    assert_eq!(memory.bytes("b").unwrap(), "other, and longer");

    let (memory, store) = stack(Policy::default());
    assert_eq!(store.move_object(&source, "b").await.unwrap_err().kind, Kind::NotFound);
    memory.put_object("b", payload("12345"), &headers("1"), &Condition::None).await.unwrap();
    assert_eq!(store.move_object(&source, "b").await.unwrap_err().kind, Kind::NotFound, "no answer was lost");
    assert_eq!(memory.calls(Op::MoveObject), 0, "what is not there is not moved");

    let stale = CopySource { key: "b".into(), if_match: Some(ETag::new("stale")) };
    assert_eq!(store.move_object(&stale, "c").await.unwrap_err().kind, Kind::PreconditionFailed);
    assert!(memory.bytes("b").is_some() && memory.bytes("c").is_none());
}

#[tokio::test(start_paused = true)]
async fn completes_are_settled_in_every_dialect() {
    for dialect in Dialect::ALL {
        let memory = Arc::new(Memory::with_facts(Facts { dialect, ..SMALL }));
        let store = Retry::new(memory.clone(), Policy::default());
        let upload = store.create_upload("k", &headers("1")).await.unwrap();
        let mut parts = Vec::new();
        for number in 1..=2 {
            parts.push(store.put_part("k", &upload, PartNumber(number), payload("12345")).await.unwrap());
        }
        memory.lose(Op::CompleteUpload, 1, Lost::Answer);
        let etag = store.complete_upload("k", &upload, &parts, &Condition::None).await.unwrap();
        let md5s = parts.iter().map(|part| part.etag.md5().unwrap());
        assert_eq!(etag, dialect.etag_of_parts(md5s), "{dialect}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_alike_is_not_taken_for_ones_own() {
    let (memory, store) = stack(Policy::default());
    let none = Headers::default();
    memory.put_object("lock", Payload::default(), &none, &Condition::None).await.unwrap();
    memory.lose(Op::PutObject, 1, Lost::Request);
    let error = store.put_object("lock", Payload::default(), &none, &Condition::Absent).await.unwrap_err();
    assert_eq!(error.kind, Kind::PreconditionFailed, "another host may hold the lock");

    let mut parts = Vec::new();
    for _ in 0..2 {
        let upload = store.create_upload("k", &none).await.unwrap();
        let part = store.put_part("k", &upload, PartNumber(1), payload("12345")).await.unwrap();
        parts.push((upload, part));
    }
    let [(ours, our_part), (theirs, their_part)] = parts.try_into().unwrap();
    memory.complete_upload("k", &theirs, &[their_part], &Condition::None).await.unwrap();
    memory.lose(Op::CompleteUpload, 1, Lost::Request);
    let error = store.complete_upload("k", &ours, &[our_part], &Condition::Absent).await.unwrap_err();
    assert_eq!(error.kind, Kind::PreconditionFailed, "the upload is still there, so it was not completed");
}

#[tokio::test(start_paused = true)]
async fn attempts_end_by_number_and_by_time() {
    let (memory, store) = stack(Policy { attempts_max: 3, ..Policy::default() });
    for nth in 1..=3 {
        memory.lose(Op::HeadObject, nth, Lost::Request);
    }
    assert_eq!(store.head_object("k").await.unwrap_err().kind, Kind::Network);
    assert_eq!(memory.calls(Op::HeadObject), 3);

    let policy = Policy { attempts_max: u32::MAX, ..Policy::default() };
    let (memory, store) = stack(policy.clone());
    for nth in 1..=1000 {
        memory.lose(Op::HeadObject, nth, Lost::Refused(Kind::Unavailable));
    }
    let begun = Instant::now();
    assert_eq!(store.head_object("k").await.unwrap_err().kind, Kind::Unavailable);
    let took = begun.elapsed();
    assert!(took <= policy.total && took > policy.total - 2 * policy.longest, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_get_better_is_not_repeated() {
    let (memory, store) = stack(Policy::default());
    for kind in [Kind::NotFound, Kind::AccessDenied, Kind::Protocol, Kind::Invalid, Kind::NotImplemented] {
        memory.lose(Op::HeadObject, 1, Lost::Refused(kind.clone()));
        assert_eq!(store.head_object("k").await.unwrap_err().kind, kind);
    }
    assert_eq!(memory.calls(Op::HeadObject), 5);
}

#[test]
fn pauses_double_spread_and_respect_the_store() {
    let policy = Policy::default();
    let error = |kind| Error::new(Op::HeadObject, "k", kind, "");
    let ms = Duration::from_millis;
    type Row = (Kind, u32, bool, f64, Option<Duration>, &'static str);
    let rows: &[Row] = &[
        (Kind::Network, 1, true, 0.0, Some(ms(50)), "half of the first at least"),
        (Kind::Network, 1, true, 1.0, Some(ms(100)), "the first at most"),
        (Kind::Network, 4, true, 1.0, Some(ms(800)), "doubled thrice"),
        (Kind::Network, 11, true, 1.0, Some(ms(8000)), "the longest"),
        (Kind::Network, 1, false, 1.0, Some(ms(8000)), "the burst is used up"),
        (Kind::Network, 12, true, 1.0, None, "enough attempts"),
        (Kind::Throttled(Some(ms(20_000))), 1, true, 1.0, Some(ms(20_000)), "as the store asks"),
        (Kind::Throttled(Some(ms(70_000))), 1, true, 1.0, None, "longer than there is time"),
        (Kind::NotFound, 1, true, 1.0, None, "for good"),
    ];
    for (kind, made, has_burst, fraction, want, why) in rows {
        let pause = policy.pause(&error(kind.clone()), *made, Duration::ZERO, *has_burst, *fraction);
        assert_eq!(pause, *want, "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_keys_that_may_go_later_are_deleted_again() {
    let (memory, store) = stack(Policy::default());
    memory.put_object("a", payload("1"), &headers("1"), &Condition::None).await.unwrap();
    let failed = store.delete_objects(&["a".into(), "..".into()]).await.unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].key.as_str(), &failed[0].kind), ("..", &Kind::InvalidKey));
    assert_eq!(memory.calls(Op::DeleteObjects), 1);
}

const MINUTE: Duration = Duration::from_secs(60);

/// Nothing reaches the store for this long, while `work` goes on.
async fn through_an_outage<T>(memory: &Memory, outage: Duration, work: impl Future<Output = T>) -> T {
    memory.lose_all_after(0);
    let heal = async {
        tokio::time::sleep(outage).await;
        memory.lose_nothing();
    };
    tokio::join!(work, heal).0
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_waits_for_a_store_that_is_gone() {
    let hard = Policy { outage: Outage::Wait, ..Policy::default() };
    let (memory, store) = stack(hard);
    let begun = Instant::now();
    let both = through_an_outage(&memory, 10 * MINUTE, async {
        tokio::join!(
            async {
                let stored = store.put_object("a", payload("12345"), &headers("1"), &Condition::None).await;
                (stored, begun.elapsed())
            },
            async { (store.head_object("a").await, begun.elapsed()) },
        )
    });
    let ((stored, after), (asked, ended)) = both.await;
    stored.unwrap();
    assert!(after > 10 * MINUTE && after < 11 * MINUTE, "it goes on by itself: {after:?}");
    assert_eq!(asked.unwrap_err().kind, Kind::Network);
    assert!(ended <= MINUTE, "who only asks is told: {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn no_time_is_too_short_to_notice_an_outage() {
    let hard = Policy { outage: Outage::Wait, total: Duration::from_secs(1), ..Policy::default() };
    let (memory, store) = stack(hard);
    let (plain, always) = (Headers::default(), Condition::None);
    through_an_outage(&memory, MINUTE, store.put_object("a", payload("12345"), &plain, &always)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_soft_store_fails_at_the_deadline_and_then_at_once() {
    let (memory, store) = stack(Policy::default());
    memory.lose_all_after(0);
    let (plain, always) = (Headers::default(), Condition::None);
    let put = || store.put_object("a", payload("12345"), &plain, &always);
    let begun = Instant::now();
    assert_eq!(put().await.unwrap_err().kind, Kind::Network);
    assert!(begun.elapsed() <= MINUTE, "{:?}", begun.elapsed());
    // The first ones may have to find out that it is still gone.
    for _ in 0..3 {
        put().await.unwrap_err();
    }
    let begun = Instant::now();
    assert_eq!(put().await.unwrap_err().kind, Kind::Network);
    assert_eq!(begun.elapsed(), Duration::ZERO, "what is known to be gone is not waited for");
    memory.lose_nothing();
    tokio::time::sleep(MINUTE).await;
    put().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_in_order_to_store_waits_too() {
    let (memory, store) = stack(Policy { outage: Outage::Wait, ..Policy::default() });
    store.put_object("a", payload("12345"), &Headers::default(), &Condition::None).await.unwrap();
    let storing = store.for_storing();
    through_an_outage(&memory, 10 * MINUTE, storing.head_object("a")).await.unwrap();
    let upload = store.create_upload("b", &Headers::default()).await.unwrap();
    let aborted = through_an_outage(&memory, 10 * MINUTE, storing.abort_upload("b", &upload)).await;
    assert_eq!(aborted.unwrap_err().kind, Kind::Network, "the next mount aborts it");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_others_is_not_gone() {
    let (memory, store) = stack(Policy { outage: Outage::Wait, ..Policy::default() });
    for nth in 1..=100 {
        memory.lose(Op::PutObject, nth, Lost::Refused(Kind::Unavailable));
    }
    let begun = Instant::now();
    let put = store.put_object("a", payload("12345"), &Headers::default(), &Condition::None).await;
    assert_eq!(put.unwrap_err().kind, Kind::Unavailable, "such as a disk that is full");
    assert!(begun.elapsed() <= MINUTE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_over_when_it_is_noticed_costs_nothing() {
    let policy = Policy { outage: Outage::Wait, ..Policy::default() };
    let attempts = u64::from(policy.attempts_max);
    for (lost, is_stored) in [(attempts, true), (2 * attempts - 1, true), (100, false)] {
        let (memory, store) = stack(policy.clone());
        (1..=lost).for_each(|nth| memory.lose(Op::PutObject, nth, Lost::Request));
        let put = store.put_object("a", payload("12345"), &Headers::default(), &Condition::None).await;
        assert_eq!(put.is_ok(), is_stored, "{lost} lost: {put:?}");
        assert_eq!(memory.calls(Op::PutObject), (lost + 1).min(2 * attempts));
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_settles_nothing() {
    let (memory, store) = stack(Policy { attempts_max: 3, ..Policy::default() });
    let upload = store.create_upload("b", &headers("1")).await.unwrap();
    let part = store.put_part("b", &upload, PartNumber(1), payload("12345")).await.unwrap();
    memory.lose(Op::CompleteUpload, 1, Lost::Answer);
    // The look at what became of it is lost as well, with all its repeats.
    for nth in 1..=3 {
        memory.lose(Op::HeadObject, nth, Lost::Request);
    }
    let parts = [part];
    store.complete_upload("b", &upload, &parts, &Condition::None).await.unwrap();
    assert_eq!(memory.bytes("b").unwrap(), "12345");
}

#[tokio::test(start_paused = true)]
async fn a_closed_line_ends_every_call() {
    let line = Arc::new(Line::default());
    let memory = Arc::new(Memory::new());
    let store = Retry::at(memory.clone(), Policy { outage: Outage::Wait, ..Policy::default() }, Arc::clone(&line));
    memory.lose_all_after(0);
    let begun = Instant::now();
    let (plain, always) = (Headers::default(), Condition::None);
    let (put, ()) = tokio::join!(store.put_object("a", payload("1"), &plain, &always), async {
        tokio::time::sleep(30 * MINUTE).await;
        line.close();
    });
    assert_eq!(put.unwrap_err().kind, Kind::Network);
    assert_eq!(begun.elapsed(), 30 * MINUTE);
    memory.lose_nothing();
    store.head_bucket().await.unwrap_err();
    assert_eq!(begun.elapsed(), 30 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_never_answered_is_cut_off() {
    let (_, soft) = stack(Policy::default());
    for (op, bytes, want) in [
        (Op::HeadObject, 0, MINUTE),
        (Op::PutPart, 64 << 20, MINUTE + Duration::from_secs(1024)),
        (Op::CompleteUpload, 0, MINUTE + Duration::from_secs(300)),
    ] {
        let begun = Instant::now();
        let mut attempts = Attempts::new(&soft, Call { bytes, ..Call::new(op, "a") });
        let error = attempts.attempt(std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((error.kind, begun.elapsed()), (Kind::Network, want), "{op}");
    }
}

async fn read(store: &Retry, range: Option<Range<u64>>) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = store.get_object("k", range, None).await?.body.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_gone_on_with() {
    let whole: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for asked in [None, Some(0..100_000), Some(777..70_001), Some(99_990..200_000)] {
        for breaks in 1..=8 {
            let (memory, store) = stack(Policy::default());
            memory.put_object("k", Bytes::from(whole.clone()).into(), &headers("1"), &Condition::None).await.unwrap();
            (1..=breaks).for_each(|nth| memory.lose(Op::GetObject, nth, Lost::Rest));
            let want = asked.clone().map_or(&whole[..], |range| {
                let end = usize::try_from(range.end).unwrap().min(whole.len());
                &whole[usize::try_from(range.start).unwrap()..end]
            });
            assert!(read(&store, asked.clone()).await.unwrap() == want, "{asked:?}, {breaks} breaks");
            // What is left is halved by each.
            let left = want.len() >> (breaks - 1);
            assert!(memory.calls(Op::GetObject) <= breaks + 1);
            assert!(left < 2 || memory.calls(Op::GetObject) == breaks + 1, "{asked:?}, {breaks} breaks");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_is_of_the_same_version_or_an_error() {
    let (memory, store) = stack(Policy::default());
    memory.put_object("k", payload("123456"), &headers("1"), &Condition::None).await.unwrap();
    memory.lose(Op::GetObject, 1, Lost::Rest);
    let mut body = store.get_object("k", None, None).await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "123");
    memory.put_object("k", payload("abcdef"), &headers("1"), &Condition::None).await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap_err().kind, Kind::PreconditionFailed);
    assert!(body.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_only_breaks_off_is_given_up() {
    let (memory, store) = stack(Policy::default());
    memory.put_object("k", Bytes::from(vec![7; 60_000]).into(), &headers("1"), &Condition::None).await.unwrap();
    (1..1000).for_each(|nth| memory.lose(Op::GetObject, nth, Lost::Rest));
    let begun = Instant::now();
    assert_eq!(read(&store, None).await.unwrap_err().kind, Kind::Network);
    assert_eq!(memory.calls(Op::GetObject), u64::from(Policy::default().attempts_max));
    assert!(begun.elapsed() <= Policy::default().total);
    // With progress between the breaks there is no such end.
    let (memory, store) = stack(Policy { attempts_max: 2, ..Policy::default() });
    let long: Vec<u8> = (0..=250).cycle().take(2 << 20).collect();
    memory.put_object("k", Bytes::from(long.clone()).into(), &headers("1"), &Condition::None).await.unwrap();
    (1..=5).for_each(|nth| memory.lose(Op::GetObject, nth, Lost::Rest));
    assert!(read(&store, None).await.unwrap() == long);
    assert_eq!(memory.calls(Op::GetObject), 6);
}
