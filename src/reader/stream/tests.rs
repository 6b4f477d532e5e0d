//! The shell on the in-memory store.

use super::*;
use crate::base::bytesize::MIB;
use crate::store::Condition;
use crate::store::Headers;
use crate::store::memory::Lost;
use crate::store::memory::Memory;

async fn opened(store: &Arc<Memory>, bytes: &Bytes, memory: u64) -> Arc<Stream> {
    let etag = store.put_object("k", bytes.clone().into(), &Headers::default(), &Condition::None).await.unwrap();
    let shared: Arc<dyn Store> = store.clone();
    let context = Context::new(shared, Pool::new(memory), Handle::current());
    Stream::new(context, Version { key: "k".into(), etag, size: bytes.len() as u64 })
}

fn pattern(len: u64) -> Bytes {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn a_forward_reader_gets_every_byte_with_few_requests() {
    let store = Arc::new(Memory::new());
    let whole = pattern(40 * MIB + 17);
    let stream = opened(&store, &whole, 64 * MIB).await;
    let mut read = Vec::new();
    while read.len() < whole.len() {
        let bytes = stream.begin(read.len() as u64, 128 << 10).bytes().await.unwrap();
        assert!(!bytes.is_empty());
        read.extend_from_slice(&bytes);
    }
    assert_eq!(read, whole);
    assert!(store.calls(Op::GetObject) <= 20, "{} requests for 40 MiB", store.calls(Op::GetObject));
    assert!(stream.begin(whole.len() as u64, 10).bytes().await.unwrap().is_empty(), "the end");
}

#[tokio::test]
async fn jumps_and_the_end_are_read_right() {
    let store = Arc::new(Memory::new());
    let whole = pattern(9 * MIB);
    let stream = opened(&store, &whole, 16 * MIB).await;
    for offset in [8 * MIB, 5, 4 * MIB - 1, 9 * MIB - 3, 0, 2 * MIB] {
        let bytes = stream.begin(offset, 300_000).bytes().await.unwrap();
        let from = usize::try_from(offset).unwrap();
        assert_eq!(bytes, whole[from..whole.len().min(from + 300_000)], "at {offset}");
    }
}

#[tokio::test]
async fn another_version_is_an_error_and_never_a_mix() {
    let store = Arc::new(Memory::new());
    let stream = opened(&store, &pattern(4 * MIB), 16 * MIB).await;
    assert_eq!(stream.begin(0, 10).bytes().await.unwrap(), pattern(10));
    store.put_object("k", pattern(5).into(), &Headers::default(), &Condition::None).await.unwrap();
    let error = stream.begin(3 * MIB, 10).bytes().await.unwrap_err();
    assert_eq!(error.kind, Kind::PreconditionFailed);
    store.delete_object("k").await.unwrap();
    assert_eq!(stream.begin(3 * MIB, 10).bytes().await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn a_body_that_stays_away_is_an_error_and_the_next_read_asks_again() {
    let store = Arc::new(Memory::new());
    let stream = opened(&store, &pattern(1000), 16 * MIB).await;
    store.lose(Op::GetObject, 1, Lost::Rest);
    assert_eq!(stream.begin(0, 1000).bytes().await.unwrap_err().kind, Kind::Network);
    assert_eq!(stream.begin(0, 1000).bytes().await.unwrap(), pattern(1000));
    assert_eq!(store.calls(Op::GetObject), 2);
}

#[tokio::test]
async fn a_fetch_that_fails_for_good_is_tried_again_by_the_next_read() {
    let store = Arc::new(Memory::new());
    let stream = opened(&store, &pattern(1000), 16 * MIB).await;
    store.lose(Op::GetObject, 1, Lost::Refused(Kind::AccessDenied));
    assert_eq!(stream.begin(0, 10).bytes().await.unwrap_err().kind, Kind::AccessDenied);
    assert_eq!(stream.begin(0, 10).bytes().await.unwrap(), pattern(10));
}

#[tokio::test]
async fn the_memory_ahead_of_readers_is_bounded_and_comes_back() {
    let store = Arc::new(Memory::new());
    let whole = pattern(30 * MIB);
    let stream = opened(&store, &whole, 16 * MIB).await;
    let pool = Arc::clone(&stream.context.pool);
    for offset in (0..30 * MIB).step_by(1 << 20) {
        stream.begin(offset, MIB).bytes().await.unwrap();
        assert!(pool.used_bytes() <= 16 * MIB, "{} bytes held at {offset}", pool.used_bytes());
    }
    drop(stream);
    tokio::task::yield_now().await;
    assert_eq!(pool.used_bytes(), 0);
}
