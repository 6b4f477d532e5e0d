//! The shell on the in-memory store.

use super::*;
use crate::base::bytesize::MIB;
use crate::store::Facts;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::writer::patch::Patch;
use proptest::collection::vec;
use proptest::prelude::*;
use std::panic::AssertUnwindSafe;
use tokio::task::JoinSet;

const PART: u64 = 5 * MIB;

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

fn context(store: &Arc<Memory>, memory: u64) -> Arc<Context> {
    let store: Arc<dyn Store> = store.clone();
    let schedule = Schedule::new(&Facts::S3, PART, PART);
    Arc::new(Context {
        store,
        pool: Pool::new(memory),
        runtime: Handle::current(),
        schedule,
        in_flight_max: 2,
        disk: None,
    })
}

fn pattern(len: u64) -> Bytes {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn a_small_file_is_one_put() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
    assert_eq!(stream.write(0, b"hello, ").unwrap(), 7);
    assert_eq!(stream.write(7, b"world").unwrap(), 5);
    assert_eq!(stream.read(5, 100).unwrap(), ", world");
    let etag = stream.commit(Condition::None).await.unwrap();
    assert_eq!(store.bytes("k").unwrap(), "hello, world");
    assert_eq!(store.head_object("k").await.unwrap().etag, etag);
    assert_eq!(store.calls(Op::PutObject), 1);
    assert!(matches!(stream.write(12, b"!"), Err(WriteError::Ended)), "what follows is another version");
}

#[tokio::test]
async fn a_large_file_goes_out_in_parts_while_it_is_written_and_memory_stays_bounded() {
    let store = Arc::new(Memory::new());
    let context = context(&store, 16 * MIB);
    let stream = Stream::new(Arc::clone(&context), Arc::new(Fixed));
    let whole = pattern(57 * MIB + 3);
    for (at, piece) in whole.chunks(1 << 20).enumerate() {
        stream.write_waiting(at as u64 * MIB, Bytes::copy_from_slice(piece)).await.unwrap();
        assert!(context.pool.used_bytes() <= 16 * MIB, "{} bytes held", context.pool.used_bytes());
    }
    assert!(stream.key().is_some() && stream.read(6 * MIB, 1).is_none(), "parts are on their way");
    assert!(store.bytes("k").is_none(), "nothing is visible before the commit");
    stream.commit(Condition::None).await.unwrap();
    assert_eq!(store.bytes("k").unwrap(), whole);
    assert_eq!((store.calls(Op::PutPart), store.calls(Op::PutObject)), (12, 0));
    assert_eq!((stream.unsent_bytes(), context.pool.used_bytes()), (0, 0));
}

#[tokio::test]
async fn many_writers_share_less_memory_than_their_parts_need() {
    let store = Arc::new(Memory::new());
    let context = context(&store, 12 * MIB);
    let mut tasks = JoinSet::new();
    for id in 0..8u64 {
        let stream = Stream::new(Arc::clone(&context), Arc::new(Named(format!("f{id}"))));
        tasks.spawn(async move {
            for at in 0..7 {
                stream.write_waiting(at * MIB, pattern(MIB)).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.commit(Condition::None).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(store.keys().len(), 8);
    assert_eq!(context.pool.used_bytes(), 0);
}

struct Named(String);

impl Destination for Named {
    fn peek(&self) -> Option<(String, Headers)> {
        self.describe(Written::All)
    }

    fn describe(&self, _written: Written) -> Option<(String, Headers)> {
        Some((self.0.clone(), Headers::default()))
    }

    fn stage(&self) -> (String, Headers) {
        (format!("staged-{}", crate::base::random::hex::<4>()), Headers::default())
    }
}

#[tokio::test]
async fn a_header_is_written_again_by_one_more_part_and_nothing_is_visible_before() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 64 * MIB), Arc::new(Fixed));
    let mut whole = pattern(100 * MIB).to_vec();
    for (at, piece) in whole.chunks(1 << 20).enumerate() {
        stream.write_waiting(at as u64 * MIB, Bytes::copy_from_slice(piece)).await.unwrap();
    }
    while stream.unsent_bytes() > 0 {
        tokio::task::yield_now().await;
    }
    for (at, header) in [(0, &b"the size of all that follows: 32"[..]), (40, b"again"), (whole.len() - 9, b"index at!")]
    {
        assert_eq!(stream.write_at(Some(at as u64), header).unwrap(), (at as u64, header.len()));
        whole[at..at + header.len()].copy_from_slice(header);
    }
    let (last, after) = (whole.len() as u64 - 2, b"over the end");
    assert_eq!(stream.write_at(Some(last), after).unwrap(), (last, after.len()));
    whole.truncate(whole.len() - 2);
    whole.extend(after);
    assert_eq!(stream.read(0, 100).unwrap(), whole[..100], "read back from memory");
    assert!(stream.unsent_bytes() >= PART);
    assert!(store.keys().is_empty(), "nothing is visible before the commit");
    stream.commit(Condition::None).await.unwrap();
    assert!(store.bytes("k").unwrap() == whole);
    let calls = [Op::CreateUpload, Op::PutPart, Op::CompleteUpload, Op::PutObject].map(|op| store.calls(op));
    assert_eq!(calls, [1, 20 + 1 + 1 + 1, 1, 0], "the first part, and the one at the end, go out once more");
    assert_eq!((stream.unsent_bytes(), stream.context.pool.used_bytes()), (0, 0));
}

#[tokio::test]
async fn a_write_elsewhere_is_refused_and_changes_nothing() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
    stream.write_waiting(0, pattern(17 * MIB)).await.unwrap();
    assert!(stream.holds(0) && !stream.holds(PART) && stream.holds(2 * PART) && stream.holds(16 * MIB));
    assert!(!stream.holds(17 * MIB), "the end is no change");
    assert!(matches!(stream.write_at(Some(PART), b"x"), Err(WriteError::NotAtEnd)));
    assert!(matches!(stream.write_at(Some(18 * MIB), b"x"), Err(WriteError::NotAtEnd)));
    assert!(matches!(stream.write(0, b"x"), Err(WriteError::NotAtEnd)));
    assert_eq!(stream.write_at(Some(PART - 1), b"\xf9x").unwrap(), (PART - 1, 1), "as far as it can be changed");
    assert!(stream.take_unsent().is_none(), "a part is on its way");
    stream.write(17 * MIB, b"x").unwrap();
    stream.commit(Condition::None).await.unwrap();
    let mut whole = [&pattern(17 * MIB)[..], b"x"].concat();
    whole[usize::try_from(PART).unwrap() - 1] = 0xf9;
    assert!(store.bytes("k").unwrap() == whole);
}

#[tokio::test]
async fn what_has_not_gone_out_is_cut_off() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
    stream.write_waiting(0, pattern(7 * MIB)).await.unwrap();
    assert!(stream.can_be_cut(PART) && !stream.can_be_cut(PART - 1));
    assert!(matches!(stream.resize(PART - 1).await, Err(WriteError::NotAtEnd)));
    stream.resize(6 * MIB).await.unwrap();
    stream.resize(6 * MIB + 10).await.unwrap();
    stream.write(6 * MIB + 10, b"x").unwrap();
    assert_eq!((stream.size(), store.keys().len()), (6 * MIB + 11, 0));
    stream.commit(Condition::None).await.unwrap();
    assert!(store.bytes("k").unwrap() == [&pattern(6 * MIB)[..], &[0; 10], b"x"].concat());
    assert_eq!(stream.unsent_bytes(), 0);
}

#[tokio::test]
async fn as_long_as_nothing_has_gone_out_a_patch_takes_changes() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
    stream.write(0, b"abc").unwrap();
    assert!(!stream.holds(1) && !stream.can_be_cut(1));
    assert!(matches!(stream.write_at(Some(1), b"x"), Err(WriteError::NotAtEnd)));
    assert!(matches!(stream.resize(1).await, Err(WriteError::NotAtEnd)));
    assert_eq!(stream.take_unsent().unwrap().size(), 3);
}

#[tokio::test]
async fn many_writers_change_their_headers_in_less_memory_than_these_need() {
    let store = Arc::new(Memory::new());
    let context = context(&store, 16 * MIB);
    let mut tasks = JoinSet::new();
    for id in 0..8u64 {
        let stream = Stream::new(Arc::clone(&context), Arc::new(Named(format!("f{id}"))));
        tasks.spawn(async move {
            let mut changed = false;
            for at in 0..12 {
                stream.write_waiting(at * MIB, pattern(MIB)).await.unwrap();
                tokio::task::yield_now().await;
                changed |= stream.holds(0) && stream.write_at(Some(0), b"header").is_ok_and(|(_, taken)| taken == 6);
            }
            stream.commit(Condition::None).await.unwrap();
            changed
        });
    }
    let changed = tasks.join_all().await;
    let headers = store.keys().iter().filter(|key| store.bytes(key).unwrap().starts_with(b"header")).count();
    assert_eq!((store.keys().len(), headers), (8, changed.iter().filter(|changed| **changed).count()));
    assert_eq!(context.pool.used_bytes(), 0);
}

#[tokio::test]
async fn what_no_request_was_made_for_can_be_taken_over() {
    let store = Arc::new(Memory::new());
    for base in [0, 3, PART + 7] {
        let context = context(&store, 32 * MIB);
        let old = pattern(base);
        let etag = store.put_object("k", old.clone().into(), &Headers::default(), &Condition::None).await.unwrap();
        let base = Base { key: "k".into(), etag, size: base };
        let stream = Stream::after(Arc::clone(&context), Arc::new(Fixed), base.clone()).await.unwrap();
        stream.write_waiting(base.size, Bytes::from_static(b"more")).await.unwrap();
        let overlay = stream.take_unsent().unwrap();
        assert_eq!((overlay.size(), overlay.has_objects()), (base.size + 4, base.size > PART));
        assert!(matches!(stream.write(base.size + 4, b"x"), Err(WriteError::Ended)), "what follows goes elsewhere");
        assert!(matches!(stream.commit(Condition::None).await, Err(WriteError::Ended)));
        let patch = Patch::new(context, Arc::new(Fixed), overlay);
        patch.commit(Condition::None).await.unwrap();
        assert_eq!(store.bytes("k").unwrap(), [&old[..], b"more"].concat());
    }
}

#[tokio::test]
async fn a_lost_part_loses_the_whole_object_and_leaves_no_litter() {
    for lost in [Lost::Request, Lost::Answer] {
        let store = Arc::new(Memory::new());
        let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
        store.lose(Op::PutPart, 2, lost);
        let written = stream.write_waiting(0, pattern(30 * MIB)).await;
        let committed = stream.commit(Condition::None).await;
        assert!(written.is_err() || committed.is_err());
        assert!(matches!(committed, Err(WriteError::Failed(_))), "close must tell");
        assert_eq!((store.keys().len(), store.uploads_open()), (0, 0));
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_an_object_ends() {
    for base in [0, 3, PART, 12 * MIB] {
        let store = Arc::new(Memory::new());
        let old = pattern(base);
        let etag = store.put_object("k", old.clone().into(), &Headers::default(), &Condition::None).await.unwrap();
        let base = Base { key: "k".into(), etag, size: base };
        let stream = Stream::after(context(&store, 32 * MIB), Arc::new(Fixed), base).await.unwrap();
        stream.write_waiting(stream.size(), Bytes::from_static(b"more")).await.unwrap();
        assert_eq!(store.bytes("k").unwrap(), old, "the old version stays until the commit");
        stream.commit(Condition::None).await.unwrap();
        assert_eq!(store.bytes("k").unwrap(), [&old[..], b"more"].concat());
    }
}

#[tokio::test]
async fn a_base_that_was_replaced_is_not_continued() {
    let store = Arc::new(Memory::new());
    for size in [3, PART] {
        store.put_object("k", pattern(size).into(), &Headers::default(), &Condition::None).await.unwrap();
        let base = Base { key: "k".into(), etag: ETag::new("another"), size };
        let failed = match Stream::after(context(&store, 32 * MIB), Arc::new(Fixed), base).await {
            Err(error) => error.kind,
            Ok(stream) => match stream.commit(Condition::None).await {
                Err(WriteError::Failed(error)) => error.kind.clone(),
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(failed, Kind::PreconditionFailed);
        assert_eq!(store.uploads_open(), 0);
    }
}

#[tokio::test]
async fn a_gap_is_filled_with_zeros() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 16 * MIB), Arc::new(Fixed));
    stream.write(0, b"a").unwrap();
    stream.pad_to(100_000).await.unwrap();
    stream.write_waiting(100_000, Bytes::from_static(b"b")).await.unwrap();
    stream.commit(Condition::None).await.unwrap();
    let bytes = store.bytes("k").unwrap();
    assert_eq!((bytes.len(), bytes[0], bytes[100_000]), (100_001, b'a', b'b'));
    assert!(bytes[1..100_000].iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn a_condition_that_does_not_hold_publishes_nothing() {
    let store = Arc::new(Memory::new());
    store.put_object("k", pattern(3).into(), &Headers::default(), &Condition::None).await.unwrap();
    for size in [1, 6 * MIB] {
        let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
        stream.write_waiting(0, pattern(size)).await.unwrap();
        let committed = stream.commit(Condition::Absent).await;
        assert!(matches!(committed, Err(WriteError::Failed(error)) if error.kind == Kind::PreconditionFailed));
        assert_eq!(store.bytes("k").unwrap(), pattern(3));
        assert_eq!(store.uploads_open(), 0);
    }
}

/// Writes like whoever holds a file does: what finds no memory waits for it. Says how many bytes could be taken.
async fn write_all(stream: &Arc<Stream>, offset: u64, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write_at(Some(offset + taken as u64), &bytes[taken..]) {
            Ok((_, more)) => taken += more,
            Err(WriteError::NotAtEnd) => return taken,
            Err(error) => panic!("{error}"),
        }
        if taken < bytes.len() {
            stream.wait_for_room().await;
        }
    }
    taken
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_changes_that_are_taken_are_in_the_object_and_nothing_is_visible_before(
        steps in vec((0_usize..2, 0_u64..300, 1_u64..60, 0_u8..8), 1..60),
        segments in 6_u64..40,
        equal_parts in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let facts = Facts { part_bytes_min: 16, equal_parts, ..Facts::S3 };
            let store = Arc::new(Memory::with_facts(facts));
            let schedule = Schedule::new(store.facts(), 16, 20);
            let (pool, shared): (_, Arc<dyn Store>) = (Pool::with_segments(segments * 8, 8), Arc::clone(&store) as _);
            let context = Arc::new(Context {
                store: shared,
                pool: Arc::clone(&pool),
                runtime: Handle::current(),
                schedule,
                in_flight_max: 2,
                disk: None,
            });
            let streams = ["a", "b"].map(|key| Stream::new(Arc::clone(&context), Arc::new(Named(key.into()))));
            let mut files = [Vec::new(), Vec::new()];
            for (turn, (which, at, len, what)) in steps.into_iter().enumerate() {
                let (stream, file) = (&streams[which], &mut files[which]);
                let bytes: Vec<u8> = (0..len).map(|i| u8::try_from((turn as u64 * 7 + i) % 251).unwrap()).collect();
                let size = file.len() as u64;
                let at = at.min(size);
                match what {
                    0..=2 => {
                        assert_eq!(write_all(stream, size, &bytes).await, bytes.len());
                        file.extend(&bytes);
                    }
                    3..=4 => {
                        let taken = write_all(stream, at, &bytes).await;
                        let (start, end) = (usize::try_from(at).unwrap(), usize::try_from(at).unwrap() + taken);
                        file.resize(file.len().max(end), 0);
                        file[start..end].copy_from_slice(&bytes[..taken]);
                    }
                    5 => match stream.resize(at).await {
                        Ok(()) => file.truncate(usize::try_from(at).unwrap()),
                        Err(WriteError::NotAtEnd) => {}
                        Err(error) => panic!("{error}"),
                    },
                    6 => if let Some(read) = stream.read(at, bytes.len()) {
                        let start = usize::try_from(at).unwrap();
                        assert_eq!(read, file[start..file.len().min(start + bytes.len())]);
                    },
                    _ => tokio::task::yield_now().await,
                }
                assert_eq!(stream.size(), file.len() as u64);
                assert!(store.keys().is_empty());
            }
            for (stream, file) in streams.iter().zip(files) {
                stream.commit(Condition::None).await.unwrap();
                assert_eq!(store.bytes(&stream.key().unwrap()).unwrap(), file);
                assert_eq!(stream.unsent_bytes(), 0);
            }
            drop(streams);
            assert_eq!((pool.used_bytes(), store.uploads_open()), (0, 0));
        });
    }
}

/// What a panic of a handler leaves: a lock that was held when it broke.
fn break_while_locked(stream: &Stream) {
    let broke = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _held = stream.lock();
        panic!("on purpose");
    }));
    assert!(broke.is_err());
}

#[tokio::test]
async fn a_handler_that_breaks_costs_the_file_and_no_other() {
    let store = Arc::new(Memory::new());
    let context = context(&store, 32 * MIB);
    let stream = Stream::new(Arc::clone(&context), Arc::new(Fixed));
    stream.write(0, b"half").unwrap();
    break_while_locked(&stream);
    assert!(matches!(stream.write(4, b"more"), Err(WriteError::Failed(_))));
    assert!(matches!(stream.commit(Condition::None).await, Err(WriteError::Failed(_))));
    assert_eq!(store.bytes("k"), None, "nobody knows what it would hold");
    let other = Stream::new(context, Arc::new(Fixed));
    other.write(0, b"whole").unwrap();
    other.commit(Condition::None).await.unwrap();
    assert_eq!(store.bytes("k").unwrap(), "whole");
}

#[tokio::test]
async fn another_process_goes_on_with_a_stream() {
    for (before, after) in [(0, 3), (7, MIB), (PART - 1, 2), (2 * PART + 5, PART), (11 * MIB, 0)] {
        let store = Arc::new(Memory::new());
        let whole = pattern(before + after);
        let first = Stream::new(context(&store, 64 * MIB), Arc::new(Fixed));
        first.write_waiting(0, whole.slice(..usize::try_from(before).unwrap())).await.unwrap();
        let handed = loop {
            match first.hand_over() {
                Some(handed) => break handed,
                None => tokio::task::yield_now().await,
            }
        };
        drop(first);
        let bytes = postcard::to_stdvec(&handed).unwrap();
        let next = Stream::handed(context(&store, 64 * MIB), Arc::new(Fixed), postcard::from_bytes(&bytes).unwrap());
        let next = next.await;
        assert_eq!((next.size(), next.has_begun()), (before, before >= PART), "{before}");
        next.write_waiting(before, whole.slice(usize::try_from(before).unwrap()..)).await.unwrap();
        next.commit(Condition::None).await.unwrap();
        assert_eq!(store.bytes("k").unwrap(), whole, "{before} and {after}");
        assert_eq!(store.list_uploads("").await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_stream_that_goes_on_from_an_object_is_handed_over_and_a_failed_one_is_not() {
    let store = Arc::new(Memory::new());
    let whole = pattern(6 * MIB);
    let etag = store.put_object("k", whole.clone().into(), &Headers::default(), &Condition::None).await.unwrap();
    let base = Base { key: "k".into(), etag, size: 6 * MIB };
    let first = Stream::after(context(&store, 64 * MIB), Arc::new(Fixed), base).await.unwrap();
    first.write(6 * MIB, b"more").unwrap();
    let next = Stream::handed(context(&store, 64 * MIB), Arc::new(Fixed), first.hand_over().unwrap()).await;
    next.commit(Condition::None).await.unwrap();
    assert_eq!(store.bytes("k").unwrap(), [&whole[..], b"more"].concat());
    assert!(next.hand_over().is_none(), "it has ended");
    first.abandon().await;
    assert!(first.has_failed() && first.hand_over().is_none());
}
