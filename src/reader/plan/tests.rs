//! Plans for readers that go forward, jump, and end.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const ROOM: u64 = 32 * MIB;
const GRAIN: u64 = 256 << 10;

#[test]
fn a_first_read_at_the_start_runs_a_little_ahead() {
    let mut plan = Plan::new(100 * MIB);
    assert_eq!(plan.read(0, 128 << 10, ROOM).fetch, [0..MIB]);
    assert_eq!(plan.read(128 << 10, 512 << 10, ROOM).fetch, [MIB..2 * MIB, 2 * MIB..3 * MIB]);
}

#[test]
fn a_small_object_is_one_request() {
    let mut plan = Plan::new(5000);
    assert_eq!(plan.read(0, 4096, ROOM).fetch, [0..5000]);
    assert_eq!(plan.read(4096, 4096, ROOM), Step::default(), "all of it is held");
}

#[test]
fn a_jump_fetches_what_was_asked_and_forgets_the_rest() {
    let mut plan = Plan::new(100 * MIB);
    plan.read(0, MIB, ROOM);
    let step = plan.read(50 * MIB, 4096, ROOM);
    assert_eq!(step.fetch, [50 * MIB..50 * MIB + 4096]);
    assert_eq!(step.forget, [0..MIB, MIB..2 * MIB]);
}

#[test]
fn nothing_is_planned_past_the_end() {
    let mut plan = Plan::new(10);
    assert_eq!(plan.read(10, 5, ROOM), Step::default());
    assert_eq!(plan.read(u64::MAX, 5, ROOM), Step::default());
    assert_eq!(plan.read(8, u64::MAX, ROOM).fetch, [8..10]);
    assert_eq!(Plan::new(0).read(0, 5, ROOM), Step::default());
}

#[test]
fn a_lost_range_is_asked_for_again() {
    let mut plan = Plan::new(5000);
    plan.read(0, 100, ROOM);
    plan.lost(&(0..5000));
    assert_eq!(plan.read(0, 100, ROOM).fetch, [0..5000]);
}

#[test]
fn a_long_forward_read_is_few_large_requests() {
    let (size, mut plan, mut requests) = (1024 * MIB, Plan::new(1024 * MIB), 0);
    for offset in (0..size).step_by(128 << 10) {
        requests += plan.read(offset, 128 << 10, ROOM).fetch.len();
    }
    assert!((128..=150).contains(&requests), "{requests} requests for 1 GiB");
}

#[test]
fn a_forward_read_asks_for_whole_blocks() {
    let (size, mut plan) = (100 * MIB - 5, Plan::in_blocks(100 * MIB - 5, GRAIN));
    for offset in (0..size).step_by(130_000) {
        // A share of the memory that is no round number.
        for range in plan.read(offset, 130_000, ROOM / 3).fetch {
            assert_eq!(range.start % GRAIN, 0, "{range:?}");
            assert!(range.end % GRAIN == 0 || range.end == size, "{range:?}");
        }
    }
}

#[test]
fn a_jump_is_rounded_to_blocks_only_if_that_is_asked_for() {
    let at = 50 * MIB + 4096;
    let rows = [(Jump::Exact, at..at + 4096), (Jump::Blocks, 50 * MIB..50 * MIB + GRAIN)];
    for (jump, want) in rows {
        let mut plan = Plan::in_blocks(100 * MIB, GRAIN);
        assert!(plan.jumps(&(at..at + 4096)));
        assert_eq!(plan.read_with(at, 4096, ROOM, jump).fetch, [want]);
    }
}

#[test]
fn without_room_a_reader_still_gets_what_it_asks_for() {
    let mut plan = Plan::new(100 * MIB);
    let step = plan.read(0, 4096, 0);
    assert_eq!(step.fetch, [0..4096]);
}

proptest! {
    #[test]
    fn every_read_is_covered_exactly_once(
        size in 0..30 * MIB,
        grain in prop_oneof![Just(1), Just(GRAIN)],
        reads in vec((0..32 * MIB, 0..3 * MIB, 0..ROOM, any::<bool>(), any::<bool>()), 1..30),
    ) {
        let mut plan = Plan::in_blocks(size, grain);
        let mut held: Vec<Range<u64>> = Vec::new();
        let mut next = 0;
        for (offset, len, room, forward, exact) in reads {
            let offset = if forward { next } else { offset };
            next = offset + len;
            let jump = if exact { Jump::Exact } else { Jump::Blocks };
            let step = plan.read_with(offset, len, room, jump);
            for range in &step.forget {
                let at = held.iter().position(|held| held == range);
                prop_assert!(at.is_some(), "forgets {range:?}, which is not held");
                held.swap_remove(at.unwrap());
            }
            let end = (offset + len).min(size);
            let fetched: u64 = step.fetch.iter().map(|range| range.end.saturating_sub(range.start.max(end))).sum();
            prop_assert!(fetched <= room + CHUNK_BYTES.end() + grain, "{fetched} bytes ahead with room for {room}");
            for range in step.fetch {
                prop_assert!(range.start < range.end && range.end <= size, "fetches {range:?} of {size}");
                prop_assert!(held.iter().all(|h| range.end <= h.start || h.end <= range.start), "{range:?} twice");
                held.push(range);
            }
            let mut at = offset.min(size);
            while at < end {
                let covering = held.iter().find(|held| held.contains(&at));
                prop_assert!(covering.is_some(), "{at} is not covered");
                at = covering.unwrap().end;
            }
        }
    }
}
