//! Patches on the in-memory store: what they publish, what they cost, and what a loss leaves behind.

use super::*;
use crate::base::bytesize::MIB;
use crate::base::pool::Pool;
use crate::store::Headers;
use crate::store::Store;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::writer::disk::Disk;
use crate::writer::schedule::Schedule;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Handle;

struct Fixed;

impl Destination for Fixed {
    fn peek(&self) -> Option<(String, Headers)> {
        self.describe(Written::All)
    }

    fn describe(&self, _written: Written) -> Option<(String, Headers)> {
        Some(("k".into(), Headers::default()))
    }

    fn stage(&self) -> (String, Headers) {
        (format!("staged-{}", crate::base::random::hex::<4>()), Headers::default())
    }
}

fn context(store: &Arc<Memory>) -> Arc<Context> {
    context_over(store, None)
}

fn context_over(store: &Arc<Memory>, disk: Option<Disk>) -> Arc<Context> {
    let schedule = Schedule::new(store.facts(), 8 * MIB, 8 * MIB);
    let store: Arc<dyn Store> = store.clone();
    Arc::new(Context { store, pool: Pool::new(64 * MIB), runtime: Handle::current(), schedule, in_flight_max: 4, disk })
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
async fn an_upload_that_vanishes_is_begun_again_but_not_for_ever() {
    let rows = [
        (Op::CopyPart, 1, true),
        (Op::PutPart, 1, true),
        (Op::CompleteUpload, 1, true),
        (Op::CompleteUpload, 2, true),
        (Op::CompleteUpload, 3, false),
    ];
    for (op, times, stored) in rows {
        let store = Arc::new(Memory::new());
        let base = object(&store, "k", 40 * MIB).await;
        let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
        patch.write(Some(20 * MIB), b"x").unwrap();
        for nth in 1..=times {
            store.lose(op, nth, Lost::Refused(Kind::NoSuchUpload));
        }
        let done = patch.commit(Condition::Matches(base.etag)).await;
        assert_eq!(done.is_ok(), stored, "{op} {times}");
        assert_eq!(store.uploads_open(), 0, "{op} {times}");
    }
}

#[tokio::test]
async fn an_upload_that_a_file_has_become_too_small_for_is_aborted() {
    let store = Arc::new(Memory::new());
    let base = object(&store, "from", 100).await;
    for write in [&b""[..], b"x"] {
        let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
        patch.write(Some(50), write).unwrap();
        let (key, headers) = Fixed.peek().unwrap();
        let upload = store.create_upload(&key, &headers).await.unwrap();
        patch.lock().unfinished = Some(Unfinished { key, headers, upload });
        patch.commit(Condition::None).await.unwrap();
        assert_eq!(store.uploads_open(), 0, "{write:?}");
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

/// What stands in the bucket beside the file.
fn staged(store: &Memory) -> Vec<String> {
    store.keys().into_iter().filter(|key| key.starts_with("staged-")).collect()
}

#[tokio::test]
async fn what_memory_cannot_hold_goes_through_hidden_objects_or_a_disk() {
    let home = tempfile::TempDir::new().unwrap();
    let disks = [None, Some(Disk::new(home.path()))];
    for ((name, store), disk) in disks.iter().flat_map(|disk| stores().into_iter().map(move |store| (store, disk))) {
        let base = object(&store, "k", 30 * MIB).await;
        let context = context_over(&store, disk.clone());
        let patch = Patch::over(Arc::clone(&context), Arc::new(Fixed), base.clone());
        let mut whole = pattern(30 * MIB).to_vec();
        let piece = vec![7; 256 << 10];
        // Twice over all of it, so that what was spilled is replaced as well.
        for round in 0..2_u8 {
            for at in (0..40 * MIB).step_by(300 << 10) {
                let mut left = &piece[..];
                while !left.is_empty() {
                    let at = at + (piece.len() - left.len()) as u64;
                    let (_, taken) = patch.write(Some(at), left).unwrap();
                    replace(&mut whole, usize::try_from(at).unwrap(), &left[..taken]);
                    left = &left[taken..];
                    if !left.is_empty() {
                        patch.spill().await.unwrap();
                    }
                }
                assert!(context.pool.used_bytes() <= patch.memory_bytes_max(), "{name}: {round}");
            }
        }
        assert_eq!(staged(&store).len() > 2, disk.is_none(), "{name}: it has spilled");
        assert!(store.bytes("k").unwrap() == pattern(30 * MIB), "{name}: nothing is published before");
        patch.commit(Condition::Matches(base.etag)).await.unwrap();
        assert!(store.bytes("k").unwrap() == whole, "{name}");
        assert_eq!((staged(&store), store.uploads_open()), (Vec::new(), 0), "{name}");
        assert_eq!(context.pool.used_bytes(), 0, "{name}");
    }
}

#[tokio::test]
async fn what_is_on_the_disk_is_read_when_it_is_sent_and_not_before() {
    let home = tempfile::TempDir::new().unwrap();
    let store = Arc::new(Memory::new());
    let context = context_over(&store, Some(Disk::new(home.path())));
    let patch = Patch::new(Arc::clone(&context), Arc::new(Fixed), Overlay::new(Arc::clone(&context.pool)));
    let whole = pattern(100 * MIB);
    for at in (0..100 * MIB).step_by(4 << 20) {
        let from = usize::try_from(at).unwrap();
        assert_eq!(patch.write(Some(at), &whole[from..from + (4 << 20)]).unwrap().1, 4 << 20);
        patch.spill().await.unwrap();
    }
    assert_eq!((context.pool.used_bytes(), patch.unsent_bytes()), (0, 100 * MIB));
    let mut commit = std::pin::pin!(patch.commit(Condition::None));
    let mut most = 0;
    loop {
        tokio::select! {
            biased;
            committed = &mut commit => break drop(committed.unwrap()),
            () = tokio::task::yield_now() => most = most.max(context.pool.used_bytes()),
        }
    }
    assert!(store.bytes("k").unwrap() == whole);
    // Two parts of 8 MiB, or what is left after the last of these.
    assert!(most > 0 && most <= 2 * (8 + 5) * MIB, "{most} bytes in memory at once");
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_made_up_for_by_hidden_objects() {
    let home = tempfile::NamedTempFile::new().unwrap();
    let store = Arc::new(Memory::new());
    let context = context_over(&store, Some(Disk::new(home.path())));
    let patch = Patch::new(Arc::clone(&context), Arc::new(Fixed), Overlay::new(Arc::clone(&context.pool)));
    let whole = pattern(2 * MIB);
    patch.write(Some(0), &whole).unwrap();
    patch.spill().await.unwrap();
    assert_eq!((staged(&store).len(), context.pool.used_bytes()), (1, 0));
    patch.commit(Condition::None).await.unwrap();
    assert_eq!((store.bytes("k").unwrap(), store.keys()), (whole, vec!["k".to_owned()]));
}

#[tokio::test]
async fn a_spill_that_fails_loses_nothing() {
    for lost in [Lost::Request, Lost::Answer, Lost::Refused(Kind::AccessDenied)] {
        let store = Arc::new(Memory::new());
        let patch = Patch::new(context(&store), Arc::new(Fixed), Overlay::new(Pool::new(64 * MIB)));
        let whole = pattern(2 * MIB);
        patch.write(Some(0), &whole).unwrap();
        store.lose(Op::PutObject, 1, lost.clone());
        assert!(matches!(patch.spill().await, Err(WriteError::Failed(_))), "{lost:?}");
        patch.write(Some(1), b"x").unwrap();
        patch.spill().await.unwrap();
        patch.commit(Condition::None).await.unwrap();
        let got = store.bytes("k").unwrap();
        assert!(got[0] == whole[0] && got[1] == b'x' && got[2..] == whole[2..], "{lost:?}");
        assert_eq!(staged(&store), Vec::<String>::new(), "{lost:?}");
    }
}

#[tokio::test]
async fn memory_that_nobody_filled_is_given_back_by_a_spill() {
    let store = Arc::new(Memory::new());
    let patch = Patch::new(context(&store), Arc::new(Fixed), Overlay::new(Pool::new(64 * MIB)));
    // As many writers have waited for memory at the same time; the last one alone is filled.
    for _ in 0..patch.memory_bytes_max() / patch.context.pool.segment_bytes() as u64 {
        patch.add_segment(patch.context.pool.take(patch.client()).await);
    }
    let whole = pattern(1 << 20);
    let mut at = 0;
    while at < whole.len() {
        let (_, taken) = patch.write(Some(at as u64), &whole[at..]).unwrap();
        at += taken;
        if taken == 0 {
            patch.spill().await.unwrap();
            assert!(patch.lock().overlay.memory_bytes() <= patch.context.pool.segment_bytes() as u64);
        }
    }
    patch.commit(Condition::None).await.unwrap();
    assert!(store.bytes("k").unwrap() == whole);
}

#[tokio::test]
async fn what_was_spilled_here_and_there_is_fetched_by_one_request_for_each_part() {
    let store = Arc::new(Memory::new());
    let base = object(&store, "k", 40 * MIB).await;
    let patch = Patch::over(context(&store), Arc::new(Fixed), base.clone());
    let mut whole = pattern(40 * MIB).to_vec();
    for at in (0..40 * MIB).step_by(32 << 10) {
        patch.write(Some(at), &[1; 4096]).unwrap();
        replace(&mut whole, usize::try_from(at).unwrap(), &[1; 4096]);
    }
    patch.spill().await.unwrap();
    patch.commit(Condition::Matches(base.etag)).await.unwrap();
    assert!(store.bytes("k").unwrap() == whole);
    let (reads, parts) = (store.calls(Op::GetObject), store.calls(Op::PutPart));
    assert!(reads <= 2 * parts, "{reads} reads for {parts} parts of two objects");
}

#[tokio::test]
async fn what_is_given_up_leaves_no_hidden_objects() {
    let store = Arc::new(Memory::new());
    let patch = Patch::new(context(&store), Arc::new(Fixed), Overlay::new(Pool::new(64 * MIB)));
    patch.write(Some(0), &pattern(2 * MIB)).unwrap();
    patch.spill().await.unwrap();
    assert_eq!((staged(&store).len(), patch.has_begun()), (1, false), "it can still go anywhere");
    patch.abandon().await;
    patch.spill().await.unwrap();
    assert_eq!(store.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn long_holes_are_copied_not_sent() {
    let store = Arc::new(Memory::new());
    let patch = Patch::new(context(&store), Arc::new(Fixed), Overlay::new(Pool::new(64 * MIB)));
    patch.write(Some(300 * MIB), b"end").unwrap();
    patch.truncate(500 * MIB).unwrap();
    patch.commit(Condition::None).await.unwrap();
    let got = store.bytes("k").unwrap();
    assert_eq!(got.len() as u64, 500 * MIB);
    let at = usize::try_from(300 * MIB).unwrap();
    assert!(&got[at..at + 3] == b"end");
    assert!(got[..at].iter().chain(&got[at + 3..]).all(|byte| *byte == 0));
    assert!(store.calls(Op::CopyPart) > 10, "{} copies", store.calls(Op::CopyPart));
    assert!(store.calls(Op::PutPart) <= 4, "{} parts were sent", store.calls(Op::PutPart));
    assert_eq!(store.keys(), ["k"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_changes_and_spills_make_the_same_file(
        base in 0_u64..300,
        steps in vec((0_u64..400, 0_u64..60, 0_u8..8), 1..40),
        equal_parts in any::<bool>(),
        copy_part in any::<bool>(),
        disk in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let home = tempfile::TempDir::new().unwrap();
        runtime.block_on(async {
            let facts = Facts { part_bytes_min: 16, equal_parts, copy_part, ..Facts::S3 };
            let store = Arc::new(Memory::with_facts(facts));
            let schedule = Schedule::new(store.facts(), 16, 32);
            let (pool, shared): (_, Arc<dyn Store>) = (Pool::with_segments(160, 8), Arc::clone(&store) as _);
            let context = Arc::new(Context {
                store: shared,
                pool: Arc::clone(&pool),
                runtime: Handle::current(),
                schedule,
                in_flight_max: 2,
                disk: disk.then(|| Disk::new(home.path())),
            });
            let object = object(&store, "k", base).await;
            let patch = Patch::over(context, Arc::new(Fixed), object.clone());
            let mut whole = pattern(base).to_vec();
            for (i, (at, len, what)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        patch.truncate(at).unwrap();
                        whole.resize(usize::try_from(at).unwrap(), 0);
                    }
                    1 => {
                        patch.zero(at..at + len).unwrap();
                        if len > 0 {
                            replace(&mut whole, usize::try_from(at).unwrap(), &vec![0; usize::try_from(len).unwrap()]);
                        }
                    }
                    2 => patch.spill().await.unwrap(),
                    _ => {
                        let bytes = vec![u8::try_from(i).unwrap() + 100; usize::try_from(len).unwrap()];
                        let mut done = 0;
                        while done < bytes.len() {
                            let from = at + done as u64;
                            let (_, taken) = patch.write(Some(from), &bytes[done..]).unwrap();
                            if taken > 0 {
                                replace(&mut whole, usize::try_from(from).unwrap(), &bytes[done..done + taken]);
                            }
                            done += taken;
                            if done < bytes.len() {
                                patch.spill().await.unwrap();
                            }
                        }
                    }
                }
                prop_assert!(pool.used_bytes() <= pool.limit_bytes());
                prop_assert_eq!(patch.size(), whole.len() as u64);
                let mut seen = Vec::new();
                for piece in patch.read(0, u64::MAX).unwrap() {
                    match piece {
                        Piece::Bytes(bytes) => seen.extend_from_slice(&bytes),
                        Piece::Zeros(len) => seen.resize(seen.len() + usize::try_from(len).unwrap(), 0),
                        Piece::Disk(extent, range) => seen.extend_from_slice(&extent.read(range).await.unwrap()),
                        Piece::Object(base, range) => {
                            let bytes = store.bytes(&base.key).unwrap();
                            let at = |offset: u64| usize::try_from(offset).unwrap();
                            seen.extend_from_slice(&bytes[at(range.start)..at(range.end)]);
                        }
                    }
                }
                prop_assert!(seen == whole);
            }
            prop_assert!(!disk || store.keys() == ["k"]);
            patch.commit(Condition::Matches(object.etag)).await.unwrap();
            prop_assert!(store.bytes("k").unwrap() == whole);
            prop_assert_eq!(store.keys(), ["k"]);
            prop_assert_eq!(pool.used_bytes(), 0);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn what_no_object_can_be_is_refused_at_once() {
    let store = Arc::new(Memory::new());
    let patch = Patch::new(context(&store), Arc::new(Fixed), Overlay::new(Pool::new(MIB)));
    assert!(matches!(patch.truncate(1 << 60), Err(WriteError::TooLarge)));
    assert!(matches!(patch.write(Some(u64::MAX), b"x"), Err(WriteError::TooLarge)));
    assert_eq!(patch.size(), 0);
}

#[tokio::test]
async fn a_handler_that_breaks_costs_the_patch_and_not_the_object() {
    let store = Arc::new(Memory::new());
    let base = object(&store, "k", 1000).await;
    let patch = Patch::over(context(&store), Arc::new(Fixed), base);
    patch.write(Some(10), b"changed").unwrap();
    let broke = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _held = patch.lock();
        panic!("on purpose");
    }));
    assert!(broke.is_err());
    assert!(matches!(patch.write(Some(20), b"more"), Err(WriteError::Failed(_))));
    assert!(matches!(patch.commit(Condition::None).await, Err(WriteError::Failed(_))));
    assert_eq!(store.bytes("k").unwrap(), pattern(1000));
}
