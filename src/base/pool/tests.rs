//! Who gets memory when there is little, and who waits.

use super::*;
use futures_util::FutureExt;

#[test]
fn segments_are_counted_and_returned() {
    let pool = Pool::with_segments(16, 8);
    let mut one = pool.try_take().unwrap();
    assert_eq!(one.fill(b"0123456789"), 8);
    let two = pool.try_take().unwrap();
    assert!(pool.try_take().is_none(), "the limit holds");
    let bytes = one.into_moving();
    let clone = bytes.clone();
    drop(bytes);
    assert_eq!(pool.used_bytes(), 16, "a clone keeps its memory");
    assert_eq!(&clone[..], b"01234567");
    drop(clone);
    drop(two);
    assert_eq!(pool.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_the_segment_that_comes_back() {
    let pool = Pool::with_segments(8, 8);
    let moving = pool.try_take().unwrap().into_moving();
    let client = pool.client();
    let mut waiter = Box::pin(pool.take(client.id()));
    assert!(waiter.as_mut().now_or_never().is_none(), "bytes are on their way out, so it waits");
    assert!(pool.try_take().is_none(), "nobody overtakes it");
    drop(moving);
    assert!(waiter.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_segments_that_cannot_come_back() {
    let pool = Pool::with_segments(8, 8);
    let _held = pool.try_take().unwrap();
    let client = pool.client();
    assert!(
        pool.take(client.id()).now_or_never().is_some(),
        "all memory sits in half-filled parts: progress before the bound"
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_goes_on_when_the_last_moving_segment_was_not_for_it() {
    let pool = Pool::with_segments(8, 8);
    let moving = pool.try_take().unwrap().into_moving();
    let clients = [pool.client(), pool.client()];
    let (mut first, mut second) = (Box::pin(pool.take(clients[0].id())), Box::pin(pool.take(clients[1].id())));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    drop(moving);
    let _held = first.as_mut().now_or_never().expect("what came back is for the first");
    assert!(
        second.as_mut().now_or_never().is_some(),
        "nothing moves any more, and it is the first to go beyond the limit"
    );
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_goes_beyond_the_limit() {
    let pool = Pool::with_segments(8, 8);
    let mut held = vec![pool.try_take().unwrap()];
    let clients = [pool.client(), pool.client(), pool.client()];
    held.push(pool.take(clients[0].id()).now_or_never().expect("nothing will come back"));
    held.push(pool.take(clients[0].id()).now_or_never().expect("it is its turn"));
    let (mut second, mut third) = (Box::pin(pool.take(clients[1].id())), Box::pin(pool.take(clients[2].id())));
    assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none(), "it is another's");
    clients[0].begin_anew();
    held.push(second.as_mut().now_or_never().expect("it is the turn of who asked first"));
    assert!(third.as_mut().now_or_never().is_none());
    drop(second);
    let [_, second, _] = clients;
    drop(second);
    held.push(third.now_or_never().expect("who is gone has no turn"));
    assert_eq!(pool.used_bytes(), 40);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_use_its_turn_keeps_nobody_waiting_for_long() {
    let pool = Pool::with_segments(8, 8);
    let mut held = vec![pool.try_take().unwrap()];
    let clients: Vec<_> = (0..5).map(|_| pool.client()).collect();
    held.push(pool.take(clients[0].id()).await);
    let begun = tokio::time::Instant::now();
    // All of them are filled by one program, which writes here and there in turn.
    for _ in 0..3 {
        for client in &clients {
            held.push(pool.take(client.id()).await);
        }
    }
    assert_eq!(held.len(), 17);
    assert_eq!(begun.elapsed().as_millis(), 4 * 100, "each once");
    // When there is memory again, one at a time is enough.
    held.clear();
    held.push(pool.try_take().unwrap());
    held.push(pool.take(clients[1].id()).now_or_never().unwrap());
    assert!(pool.take(clients[2].id()).now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn many_writers_hold_little_more_than_the_limit() {
    let pool = Pool::with_segments(64 * 8, 8);
    let most = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let writer = |pool: Arc<Pool>, most: Arc<std::sync::atomic::AtomicU64>| async move {
        // Each must have twenty to send them, and then waits for an answer.
        let (client, mut held) = (pool.client(), Vec::new());
        while held.len() < 20 {
            held.push(match pool.try_take() {
                Some(segment) => segment,
                None => pool.take(client.id()).await,
            });
            most.fetch_max(pool.used_bytes() / 8, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
        let moving: Vec<_> = held.into_iter().map(Segment::into_moving).collect();
        client.begin_anew();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        drop(moving);
    };
    let writers: Vec<_> = (0..100).map(|_| tokio::spawn(writer(Arc::clone(&pool), Arc::clone(&most)))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(pool.used_bytes(), 0);
    let most = most.load(std::sync::atomic::Ordering::Relaxed);
    assert!(most <= 64 + 20, "{most} segments");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_waits_while_memory_is_expected_back_and_no_longer() {
    let pool = Pool::with_segments(8, 8);
    let _held = pool.try_take().unwrap();
    let expected = pool.expect_back();
    let client = pool.client();
    let mut waiter = Box::pin(pool.take(client.id()));
    assert!(waiter.as_mut().now_or_never().is_none());
    drop(expected);
    assert!(waiter.now_or_never().is_some(), "it did not come");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_left_loses_nothing() {
    let pool = Pool::with_segments(8, 8);
    let moving = pool.try_take().unwrap().into_moving();
    {
        let client = pool.client();
        let mut left = Box::pin(pool.take(client.id()));
        assert!(left.as_mut().now_or_never().is_none());
    }
    drop(moving);
    assert_eq!(pool.used_bytes(), 0);
    assert!(pool.try_take().is_some());
}

/// As many full segments of eight bytes as there is memory for.
fn filled(pool: &Arc<Pool>, count: usize) -> Vec<Arc<Segment>> {
    let fill = |mut segment: Segment| {
        segment.fill(b"01234567");
        Arc::new(segment)
    };
    (0..count).map_while(|_| pool.try_take().map(fill)).collect()
}

#[test]
fn what_is_kept_goes_when_memory_is_needed_the_latest_first() {
    let pool = Pool::with_segments(32, 8);
    let (first, second) = (pool.keep(filled(&pool, 2)), pool.keep(filled(&pool, 2)));
    assert_eq!((first.segments().unwrap().len(), pool.used_bytes()), (2, 32));
    let one = pool.try_take().unwrap();
    assert!(first.is_there() && !second.is_there());
    assert!(second.segments().is_none() && second.claim().is_none());
    let claimed = first.claim().unwrap();
    let two = pool.try_take().unwrap();
    assert!(pool.try_take().is_none(), "what was claimed is kept no more");
    drop((one, two, claimed));
    assert_eq!(pool.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quarter_stays_kept_while_memory_is_on_its_way_back() {
    let pool = Pool::with_segments(32, 8);
    let kept = pool.keep(filled(&pool, 1));
    let moving: Vec<_> = filled(&pool, 3).iter().map(Segment::lend).collect();
    assert!(pool.try_take().is_none() && kept.is_there());
    let client = pool.client();
    let mut waiter = Box::pin(pool.take(client.id()));
    assert!(waiter.as_mut().now_or_never().is_none());
    drop(moving);
    assert!(waiter.now_or_never().is_some() && kept.is_there());
    let rest = filled(&pool, 4);
    assert_eq!((rest.len(), kept.is_there(), pool.used_bytes()), (4, false, 32), "nothing else comes back");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_what_is_kept_before_the_limit_gives_way() {
    let pool = Pool::with_segments(32, 8);
    let segments = filled(&pool, 4);
    let lent: Vec<_> = segments.iter().map(Segment::lend).collect();
    let (small, large) = (pool.keep(segments[..1].to_vec()), pool.keep(segments[1..].to_vec()));
    drop(segments);
    let clients: Vec<_> = (0..5).map(|_| pool.client()).collect();
    let mut waiters: Vec<_> = clients.iter().map(|client| Box::pin(pool.take(client.id()))).collect();
    assert!(waiters.iter_mut().all(|waiter| waiter.as_mut().now_or_never().is_none()), "all is being sent");
    assert!(small.is_there() && !large.is_there(), "more than a quarter is not kept from who waits");
    drop(lent);
    let came: Vec<_> = waiters.into_iter().map(|waiter| waiter.now_or_never().unwrap()).collect();
    assert!(!small.is_there());
    assert_eq!((came.len(), pool.used_bytes()), (5, 40), "one is beyond the limit, since nothing else will come back");
    drop(came);
    assert_eq!(pool.used_bytes(), 0);
}

#[test]
fn what_is_dropped_is_kept_no_more() {
    let pool = Pool::with_segments(32, 8);
    drop(pool.keep(filled(&pool, 4)));
    assert_eq!(pool.used_bytes(), 0);
}
