//! What is kept, what goes, and what it counts.

use super::*;
use crate::cache::blocks::layout::BLOCK_BYTES;
use crate::store::ETag;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SPAN_BYTES: u64 = SPAN_BLOCKS * BLOCK_BYTES;

fn id(n: u64) -> VersionId {
    VersionId::new("source", &n.to_string(), &ETag::new("tag"), n)
}

/// Puts a block as the shell does; what went for it.
fn put(index: &mut Index, n: u64, size: u64, block: u64) -> Vec<Eviction> {
    let gone = std::iter::from_fn(|| index.make_room(&id(n), size, block)).collect();
    if !index.lacks_room(&id(n), size, block) {
        index.stored(&id(n), size, block, 7);
    }
    gone
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let mut index = Index::new(3 * (BLOCK_BYTES + PAGE_BYTES), VERSIONS_MAX);
    for n in 1..=3 {
        assert_eq!(put(&mut index, n, BLOCK_BYTES, 0), []);
    }
    index.used(&id(1), 0);
    assert_eq!(put(&mut index, 4, BLOCK_BYTES, 0), [Eviction::Version(id(2))]);
    assert_eq!((index.sum(&id(2), 0), index.sum(&id(1), 0)), (None, Some(7)));
}

#[test]
fn an_object_larger_than_the_limit_keeps_its_latest_spans() {
    let size = 10 * SPAN_BYTES;
    let mut index = Index::new(3 * SPAN_BYTES + PAGE_BYTES + PAGE_BYTES, VERSIONS_MAX);
    let gone: Vec<_> = (0..layout::blocks(size)).flat_map(|block| put(&mut index, 1, size, block)).collect();
    assert_eq!(gone.first(), Some(&Eviction::Blocks(id(1), 0..SPAN_BLOCKS)));
    assert_eq!(gone.len(), 7);
    let held = (0..layout::blocks(size)).filter(|block| index.sum(&id(1), *block).is_some());
    assert_eq!(held.collect::<Vec<_>>(), (7 * SPAN_BLOCKS..10 * SPAN_BLOCKS).collect::<Vec<_>>());
}

#[test]
fn what_never_fits_is_not_kept() {
    let mut index = Index::new(BLOCK_BYTES, VERSIONS_MAX);
    assert_eq!(put(&mut index, 1, 10, 0), []);
    assert_eq!(put(&mut index, 2, BLOCK_BYTES, 0), [Eviction::Version(id(1))]);
    assert_eq!((index.used_bytes(), index.sum(&id(2), 0)), (0, None));
}

#[test]
fn there_are_never_too_many_files() {
    let mut index = Index::new(u64::MAX, 2);
    put(&mut index, 1, 1, 0);
    put(&mut index, 2, 1, 0);
    assert_eq!(put(&mut index, 2, 1, 0), [], "another block needs no other file");
    assert_eq!(put(&mut index, 3, 1, 0), [Eviction::Version(id(1))]);
}

#[test]
fn a_part_that_is_read_twice_is_worth_its_block() {
    let mut index = Index::new(u64::MAX, VERSIONS_MAX);
    assert!(!index.touch(&id(1), &[0, 5]));
    assert!(!index.touch(&id(2), &[5]), "another object's");
    assert!(index.touch(&id(1), &[5]));
    put(&mut index, 1, 9 * BLOCK_BYTES, 5);
    assert!(!index.touch(&id(1), &[5]), "it is there");
}

#[test]
fn runs_are_worth_a_stop_only_if_they_are_long_or_the_rest() {
    let mut index = Index::new(u64::MAX, VERSIONS_MAX);
    for block in [2, 5, 6, 7, 99, 100] {
        index.stored(&id(1), 101 * BLOCK_BYTES, block, 7);
    }
    let rows = [
        (0..50, 3, Some(5)),
        (0..50, 1, Some(2)),
        (0..50, 4, None),
        (6..8, 4, Some(6)),
        (95..101, 4, Some(99)),
        (95..100, 4, Some(99)),
        (3..3, 1, None),
    ];
    for (blocks, at_least, want) in rows {
        assert_eq!(index.next_run(&id(1), blocks.clone(), at_least), want, "{blocks:?} {at_least}");
    }
}

#[test]
fn what_is_found_late_is_older_than_what_is_in_use() {
    let found = |n| Found { id: id(n), size: BLOCK_BYTES, blocks: vec![(0, 7)] };
    let mut index = Index::new(3 * (BLOCK_BYTES + PAGE_BYTES), VERSIONS_MAX);
    assert!(!index.knows(&id(2)));
    index.found(&found(2));
    index.found_all(&[found(1), found(2), found(3)]);
    assert!(index.knows(&id(9)), "there is no more");
    let gone: Vec<_> = (4..7).flat_map(|n| put(&mut index, n, BLOCK_BYTES, 0)).collect();
    assert_eq!(gone, [1, 3, 2].map(|n| Eviction::Version(id(n))));
}

proptest! {
    #[test]
    fn the_bounds_hold_and_all_that_is_there_is_counted(
        limit in 0..8 * SPAN_BYTES,
        versions_max in 1..4_usize,
        steps in vec((1..6_u64, 0..4 * SPAN_BLOCKS, 0..6_u8), 1..120),
    ) {
        let mut index = Index::new(limit, versions_max);
        let size = |n: u64| n * SPAN_BYTES / 2 - n;
        let mut held: BTreeMap<(u64, u64), ()> = BTreeMap::new();
        for (n, block, what) in steps {
            let block = block % layout::blocks(size(n));
            match what {
                0 => {
                    index.forget(&id(n));
                    held.retain(|(of, _), ()| *of != n);
                }
                1 => index.used(&id(n), block),
                2 => {
                    index.lost(&id(n), block);
                    held.remove(&(n, block));
                }
                _ => {
                    for gone in put(&mut index, n, size(n), block) {
                        match gone {
                            Eviction::Version(of) => held.retain(|(n, _), ()| id(*n) != of),
                            Eviction::Blocks(of, blocks) => held.retain(|(n, at), ()| id(*n) != of || !blocks.contains(at)),
                        }
                    }
                    if index.sum(&id(n), block).is_some() {
                        held.insert((n, block), ());
                    }
                }
            }
            let there = |n: u64| (0..layout::blocks(size(n))).filter(|block| index.sum(&id(n), *block).is_some()).count();
            let mut cost = 0;
            let mut versions = 0;
            for n in 1..6 {
                let own: Vec<_> = held.keys().filter(|(of, _)| *of == n).collect();
                prop_assert_eq!(own.len(), there(n), "of {}", n);
                cost += own.iter().map(|(n, block)| block_cost(size(*n), *block)).sum::<u64>();
                if !own.is_empty() {
                    (cost, versions) = (cost + version_cost(size(n)), versions + 1);
                }
            }
            prop_assert_eq!(cost, index.used_bytes());
            prop_assert!(cost <= limit && versions <= versions_max);
        }
    }
}
