//! The shell on the in-memory store.

use super::*;
use crate::base::bytesize::MIB;
use crate::store::Facts;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::writer::patch::Patch;

const PART: u64 = 5 * MIB;

struct Fixed;

impl Destination for Fixed {
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
    assert!(stream.key().is_some() && stream.read(0, 1).is_none(), "parts are on their way");
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
    fn describe(&self, _written: Written) -> Option<(String, Headers)> {
        Some((self.0.clone(), Headers::default()))
    }

    fn stage(&self) -> (String, Headers) {
        (format!("staged-{}", crate::base::random::hex::<4>()), Headers::default())
    }
}

#[tokio::test]
async fn a_write_elsewhere_is_refused_and_changes_nothing() {
    let store = Arc::new(Memory::new());
    let stream = Stream::new(context(&store, 32 * MIB), Arc::new(Fixed));
    stream.write_waiting(0, pattern(6 * MIB)).await.unwrap();
    assert!(matches!(stream.write(0, b"x"), Err(WriteError::NotAtEnd)));
    assert!(stream.take_unsent().is_none(), "a part is on its way");
    stream.write(6 * MIB, b"x").unwrap();
    stream.commit(Condition::None).await.unwrap();
    assert_eq!(store.bytes("k").unwrap(), [&pattern(6 * MIB)[..], b"x"].concat());
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
