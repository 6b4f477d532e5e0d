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

#[test]
fn a_waiter_gets_the_segment_that_comes_back() {
    let pool = Pool::with_segments(8, 8);
    let moving = pool.try_take().unwrap().into_moving();
    let mut waiter = Box::pin(pool.take());
    assert!(waiter.as_mut().now_or_never().is_none(), "bytes are on their way out, so it waits");
    assert!(pool.try_take().is_none(), "nobody overtakes it");
    drop(moving);
    assert!(waiter.now_or_never().is_some());
}

#[test]
fn nobody_waits_for_segments_that_cannot_come_back() {
    let pool = Pool::with_segments(8, 8);
    let _held = pool.try_take().unwrap();
    assert!(pool.take().now_or_never().is_some(), "all memory sits in half-filled parts: progress before the bound");
}

#[test]
fn a_waiter_goes_on_when_the_last_moving_segment_was_not_for_it() {
    let pool = Pool::with_segments(8, 8);
    let moving = pool.try_take().unwrap().into_moving();
    let first = pool.take();
    let second = pool.take();
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    drop(moving);
    assert!(first.as_mut().now_or_never().is_some());
    assert!(second.as_mut().now_or_never().is_some(), "nothing moves any more, so nobody may wait");
}

#[test]
fn a_waiter_waits_while_memory_is_expected_back_and_no_longer() {
    let pool = Pool::with_segments(8, 8);
    let _held = pool.try_take().unwrap();
    let expected = pool.expect_back();
    let mut waiter = Box::pin(pool.take());
    assert!(waiter.as_mut().now_or_never().is_none());
    drop(expected);
    assert!(waiter.now_or_never().is_some(), "it did not come");
}

#[test]
fn a_waiter_that_left_loses_nothing() {
    let pool = Pool::with_segments(8, 8);
    let moving = pool.try_take().unwrap().into_moving();
    {
        let mut left = Box::pin(pool.take());
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

#[test]
fn a_quarter_stays_kept_while_memory_is_on_its_way_back() {
    let pool = Pool::with_segments(32, 8);
    let kept = pool.keep(filled(&pool, 1));
    let moving: Vec<_> = filled(&pool, 3).iter().map(Segment::lend).collect();
    assert!(pool.try_take().is_none() && kept.is_there());
    let mut waiter = Box::pin(pool.take());
    assert!(waiter.as_mut().now_or_never().is_none());
    drop(moving);
    assert!(waiter.now_or_never().is_some() && kept.is_there());
    let rest = filled(&pool, 4);
    assert_eq!((rest.len(), kept.is_there(), pool.used_bytes()), (4, false, 32), "nothing else comes back");
}

#[test]
fn a_waiter_gets_what_is_kept_before_the_limit_gives_way() {
    let pool = Pool::with_segments(32, 8);
    let segments = filled(&pool, 4);
    let lent: Vec<_> = segments.iter().map(Segment::lend).collect();
    let (small, large) = (pool.keep(segments[..1].to_vec()), pool.keep(segments[1..].to_vec()));
    drop(segments);
    let mut waiters: Vec<_> = (0..5).map(|_| Box::pin(pool.take())).collect();
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
