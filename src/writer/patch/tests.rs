//! Patches on the in-memory store: what they publish, what they cost, and what a loss leaves behind.

use super::*;
use crate::base::bytesize::MIB;
use crate::base::pool::Pool;
use crate::store::Headers;
use crate::store::Store;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::writer::schedule::Schedule;
use bytes::Bytes;
use tokio::runtime::Handle;

struct Fixed;

impl Destination for Fixed {
    fn describe(&self, _written: Written) -> Option<(String, Headers)> {
        Some(("k".into(), Headers::default()))
    }
}

fn context(store: &Arc<Memory>) -> Arc<Context> {
    let schedule = Schedule::new(store.facts(), 8 * MIB, 8 * MIB);
    let store: Arc<dyn Store> = store.clone();
    Arc::new(Context { store, pool: Pool::new(64 * MIB), runtime: Handle::current(), schedule, in_flight_max: 4 })
}

fn pattern(len: u64) -> Bytes {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect::<Vec<_>>().into()
}

async fn object(store: &Memory, key: &str, size: u64) -> Base {
    let etag = store.put_object(key, pattern(size).into(), &Headers::default(), &Condition::None).await.unwrap();
    Base { key: key.into(), etag, size }
}

fn stores() -> Vec<(&'static str, Arc<Memory>)> {
    let facts = [
        ("all", Facts::S3),
        ("no conditions", Facts { conditional_writes: false, ..Facts::S3 }),
        ("no part copy", Facts { copy_part: false, ..Facts::S3 }),
        ("equal parts", Facts { equal_parts: true, ..Facts::S3 }),
    ];
    facts.into_iter().map(|(name, facts)| (name, Arc::new(Memory::with_facts(facts)))).collect()
}

fn replace(whole: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    whole.resize(whole.len().max(at + bytes.len()), 0);
    whole[at..at + bytes.len()].copy_from_slice(bytes);
}

#[tokio::test]
async fn what_is_changed_anywhere_is_published_in_any_store() {
    for (name, store) in stores() {
        for size in [0, 100, 9 * MIB, 30 * MIB] {
            let base = object(&store, "k", size).await;
            let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
            let mut whole = pattern(size).to_vec();
            let places = [size / 2, 3, size.saturating_sub(1), size + 1000];
            for at in places {
                assert_eq!(patch.write(Some(at), b"changed").unwrap(), (at, 7));
                replace(&mut whole, usize::try_from(at).unwrap(), b"changed");
            }
            patch.commit(Condition::Matches(base.etag)).await.unwrap();
            assert!(store.bytes("k").unwrap() == whole, "{name}: {size}");
            assert_eq!(store.uploads_open(), 0);
        }
    }
}

#[tokio::test]
async fn a_loss_at_any_step_publishes_nothing_or_all_and_leaves_no_litter() {
    let ops = [Op::CreateUpload, Op::CopyPart, Op::GetObject, Op::PutPart, Op::CompleteUpload];
    for op in ops {
        for lost in [Lost::Request, Lost::Answer, Lost::Refused(Kind::AccessDenied)] {
            let store = Arc::new(Memory::new());
            let base = object(&store, "k", 40 * MIB).await;
            let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
            patch.write(Some(20 * MIB), b"x").unwrap();
            store.lose(op, 1, lost.clone());
            assert!(
                patch.commit(Condition::Matches(base.etag)).await.is_err(),
                "{op} {lost:?}: whoever writes is told"
            );
            let mut changed = pattern(40 * MIB).to_vec();
            let old = store.bytes("k").unwrap() == changed;
            changed[20 << 20] = b'x';
            assert!(old || (op == Op::CompleteUpload && store.bytes("k").unwrap() == changed), "{op} {lost:?}");
            let unknown = op == Op::CreateUpload && lost == Lost::Answer;
            assert_eq!(store.uploads_open(), usize::from(unknown), "{op} {lost:?}");
        }
    }
}

#[tokio::test]
async fn an_object_that_was_replaced_meanwhile_stays() {
    for (name, store) in stores() {
        for size in [100, 40 * MIB] {
            let base = object(&store, "k", size).await;
            let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
            patch.write(Some(20), b"x").unwrap();
            let theirs = Bytes::from_static(b"theirs");
            store.put_object("k", theirs.clone().into(), &Headers::default(), &Condition::None).await.unwrap();
            let failed = patch.commit(Condition::Matches(base.etag)).await;
            assert!(
                matches!(failed, Err(WriteError::Failed(error)) if error.kind == Kind::PreconditionFailed),
                "{name}: {size}"
            );
            assert_eq!(store.bytes("k").unwrap(), theirs);
            assert_eq!(store.uploads_open(), 0);
        }
    }
}

#[tokio::test]
async fn a_byte_in_the_middle_of_a_large_object_moves_one_part() {
    let store = Arc::new(Memory::new());
    let base = object(&store, "k", 100 * MIB).await;
    let before = store.calls_in_all();
    let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
    patch.write(Some(50 * MIB), b"x").unwrap();
    patch.commit(Condition::Matches(base.etag)).await.unwrap();
    assert_eq!((store.calls(Op::GetObject), store.calls(Op::PutPart), store.calls(Op::CopyPart)), (1, 1, 2));
    assert_eq!(store.calls_in_all() - before, 6, "create, two copies, a read, a part, complete");
}

#[tokio::test]
async fn a_whole_object_is_copied_without_reading_it() {
    let store = Arc::new(Memory::new());
    for (size, condition, want) in [(9 * MIB, Condition::None, 1), (9 * MIB, Condition::Absent, 3)] {
        let source = object(&store, "source", size).await;
        let overlay = Overlay::over(Pool::new(MIB), source);
        store.delete_object("k").await.unwrap();
        let (before, reads) = (store.calls_in_all(), store.calls(Op::GetObject));
        Patch::new(context(&store), Arc::new(Fixed), overlay).commit(condition.clone()).await.unwrap();
        assert_eq!(store.calls_in_all() - before, want, "{condition:?}");
        assert_eq!(store.calls(Op::GetObject), reads);
        assert_eq!(store.bytes("k").unwrap(), pattern(size));
    }
}

#[tokio::test]
async fn what_can_be_read_back_is_what_was_written() {
    let store = Arc::new(Memory::new());
    let base = object(&store, "k", 100).await;
    let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
    patch.write(Some(10), b"new").unwrap();
    patch.truncate(50).unwrap();
    patch.zero(20..30).unwrap();
    let bytes = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
    let object = |range| Piece::Object(base.clone(), range);
    let want = vec![object(8..10), bytes("new"), object(13..20), Piece::Zeros(10), object(30..50)];
    assert_eq!(patch.read(8, 1000).unwrap(), want);
    patch.abandon().await;
    assert!(patch.read(8, 1000).is_none());
    assert!(matches!(patch.write(Some(0), b"x"), Err(WriteError::Ended)));
}

#[tokio::test]
async fn what_no_object_can_be_is_refused_at_once() {
    let store = Arc::new(Memory::new());
    let patch = Patch::new(context(&store), Arc::new(Fixed), Overlay::new(Pool::new(MIB)));
    assert!(matches!(patch.truncate(1 << 60), Err(WriteError::TooLarge)));
    assert!(matches!(patch.write(Some(u64::MAX), b"x"), Err(WriteError::TooLarge)));
    assert_eq!(patch.size(), 0);
}
