//! The shell on the in-memory store.

use super::*;
use crate::base::bytesize::MIB;
use crate::cache::blocks;
use crate::store::Condition;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use tempfile::TempDir;

async fn opened(store: &Arc<Memory>, bytes: &Bytes, memory: u64) -> Arc<Stream> {
    opened_with(store, bytes, memory, None).await
}

async fn opened_with(store: &Arc<Memory>, bytes: &Bytes, memory: u64, cache: Option<Arc<BlockCache>>) -> Arc<Stream> {
    let etag = store.put_object("k", bytes.clone().into(), &Headers::default(), &Condition::None).await.unwrap();
    let shared: Arc<dyn Store> = store.clone();
    let context = Context::new(shared, Pool::new(memory), Handle::current(), cache);
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

fn cache(dir: &TempDir) -> Arc<BlockCache> {
    let options = blocks::Options { limit_bytes: 1 << 30, waiting_max: 1 << 10, source: "memory".into() };
    BlockCache::open(dir.path(), options).unwrap()
}

async fn read_through(stream: &Arc<Stream>) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        let bytes = stream.begin(read.len() as u64, 128 << 10).bytes().await.unwrap();
        if bytes.is_empty() {
            return read;
        }
        read.extend_from_slice(&bytes);
    }
}

/// Returns when nothing is fetched any more, and what came was given to the cache.
async fn all_fetched(stream: &Stream) {
    while Arc::strong_count(&stream.context) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_through_is_read_again_without_a_request_also_in_another_way() {
    let (store, dir) = (Arc::new(Memory::new()), TempDir::new().unwrap());
    for len in [1, 4096, BLOCK_BYTES, 20 * MIB + 17] {
        let whole = pattern(len);
        let first = cache(&dir);
        let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&first))).await;
        assert_eq!(read_through(&stream).await, whole);
        all_fetched(&stream).await;
        first.end();
        let second = cache(&dir);
        let before = store.calls(Op::GetObject);
        let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&second))).await;
        assert_eq!(read_through(&stream).await, whole);
        for offset in [len / 2, len - 1, len / 3, 0, len / 4 * 3] {
            let bytes = stream.begin(offset, 100_000).bytes().await.unwrap();
            let from = usize::try_from(offset).unwrap();
            assert_eq!(bytes, whole[from..whole.len().min(from + 100_000)], "at {offset} of {len}");
        }
        assert_eq!(store.calls(Op::GetObject), before, "{len} bytes");
        second.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_reads_here_and_there_cost_what_they_read_and_the_second_one_a_block() {
    let (store, dir) = (Arc::new(Memory::new()), TempDir::new().unwrap());
    let whole = pattern(40 * MIB);
    let first = cache(&dir);
    let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&first))).await;
    let places = [30 * MIB, 10 * MIB, 35 * MIB, 20 * MIB];
    let read = |offset: u64| {
        let (stream, whole) = (Arc::clone(&stream), whole.clone());
        async move {
            let from = usize::try_from(offset).unwrap();
            assert_eq!(stream.begin(offset, 4096).bytes().await.unwrap(), whole[from..from + 4096]);
        }
    };
    for place in places {
        read(place + 8192).await;
    }
    let once = stream.context.pool.used_bytes();
    for place in places {
        read(place + 65536).await;
        // A block that is still arriving when the reader jumps away is not kept.
        all_fetched(&stream).await;
    }
    assert_eq!(store.calls(Op::GetObject), 8);
    assert!(once <= BLOCK_BYTES, "only what was asked for last is held: {once}");
    first.end();
    let second = cache(&dir);
    let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&second))).await;
    for place in places {
        let from = usize::try_from(place).unwrap();
        assert_eq!(stream.begin(place, BLOCK_BYTES).bytes().await.unwrap(), whole[from..from + (256 << 10)]);
    }
    assert_eq!(store.calls(Op::GetObject), 8);
    second.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_never_answered_with_old_blocks() {
    let (store, dir) = (Arc::new(Memory::new()), TempDir::new().unwrap());
    let cache = cache(&dir);
    for seed in 0..3_u8 {
        let whole: Bytes = pattern(MIB).iter().map(|byte| byte ^ seed).collect::<Vec<_>>().into();
        let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&cache))).await;
        assert_eq!(read_through(&stream).await, whole);
    }
    cache.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_in_what_is_there_are_filled_with_few_requests() {
    let (store, dir) = (Arc::new(Memory::new()), TempDir::new().unwrap());
    let whole = pattern(32 * MIB);
    let first = cache(&dir);
    let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&first))).await;
    // Every second block of the first half, all of the other.
    for at in (4 * MIB..16 * MIB).step_by(512 << 10) {
        let jumping = Stream::new(Arc::clone(&stream.context), stream.version.clone());
        jumping.begin(at + BLOCK_BYTES, BLOCK_BYTES).bytes().await.unwrap();
    }
    stream.begin(16 * MIB, 16 * MIB).bytes().await.unwrap();
    all_fetched(&stream).await;
    first.end();
    let (second, before) = (cache(&dir), store.calls(Op::GetObject));
    let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&second))).await;
    assert_eq!(read_through(&stream).await, whole);
    let requests = store.calls(Op::GetObject) - before;
    assert!((1..=12).contains(&requests), "{requests} requests");
    all_fetched(&stream).await;
    second.end();
    let (third, before) = (cache(&dir), store.calls(Op::GetObject));
    let stream = opened_with(&store, &whole, 64 * MIB, Some(Arc::clone(&third))).await;
    assert_eq!(read_through(&stream).await, whole);
    assert_eq!(store.calls(Op::GetObject), before, "they were kept");
    third.end();
}
