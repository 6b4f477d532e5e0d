//! How large each part is, so that a stream of unknown length stays within the number of parts. Pure.

use crate::store::Facts;
use crate::store::PartNumber;
use std::ops::Range;

/// Largest part of a copy whose bytes pass through this process, for stores that cannot copy parts themselves.
pub const CARRIED_BYTES_MAX: u64 = 64 << 20;

/// Part sizes for one upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    first_bytes: u64,
    held_bytes_max: u64,
    part_bytes_min: u64,
    part_bytes_max: u64,
    parts_max: u32,
    equal: bool,
    store_copies: bool,
}

impl Schedule {
    /// Parts begin with `first_bytes` and never grow beyond `held_bytes_max`, which is what memory allows for one part,
    /// nor beyond what the store's row prefers. Where all parts must have one size, it is the largest of these.
    #[must_use]
    pub fn new(facts: &Facts, first_bytes: u64, held_bytes_max: u64) -> Self {
        let first_bytes = first_bytes.clamp(facts.part_bytes_min, facts.part_bytes_max);
        let held_bytes_max =
            held_bytes_max.min(facts.part_bytes_preferred_max).clamp(first_bytes, facts.part_bytes_max);
        Self {
            first_bytes: if facts.equal_parts { held_bytes_max } else { first_bytes },
            held_bytes_max,
            part_bytes_min: facts.part_bytes_min,
            part_bytes_max: facts.part_bytes_max,
            parts_max: facts.parts_max,
            equal: facts.equal_parts,
            store_copies: facts.copy_part,
        }
    }

    /// Bytes of part `number`; `None` past the last part.
    ///
    /// Doubles after each tenth of the parts: small parts while a file is small, because a lost part is sent again and a
    /// writer waits for the last one; large ones once the number of parts is what runs out.
    #[must_use]
    pub fn part_bytes(&self, number: PartNumber) -> Option<u64> {
        if number.0 == 0 || number.0 > self.parts_max {
            return None;
        }
        let doublings = (number.0 - 1) / (self.parts_max / 10).max(1);
        let grown = self.first_bytes.checked_shl(doublings).unwrap_or(u64::MAX).max(self.first_bytes);
        Some(grown.min(self.held_bytes_max))
    }

    /// Smallest part that may be followed by another one, in bytes.
    #[must_use]
    pub fn part_bytes_min(&self) -> u64 {
        self.part_bytes_min
    }

    /// Whether a part may be smaller than was planned when memory is short.
    #[must_use]
    pub fn may_ship_early(&self) -> bool {
        !self.equal
    }

    /// How much of an object that is continued can be made into parts by copying, from its beginning. The rest is to be
    /// sent again, in front of what follows.
    #[must_use]
    pub fn copied_bytes(&self, base_bytes: u64) -> u64 {
        if self.equal {
            base_bytes - base_bytes % self.first_bytes
        } else if base_bytes >= self.part_bytes_min {
            base_bytes
        } else {
            0
        }
    }

    /// Cuts what [`copied_bytes`](Self::copied_bytes) says into parts.
    #[must_use]
    pub fn copies(&self, copied_bytes: u64) -> Vec<Range<u64>> {
        if self.equal {
            return equal_split(copied_bytes, self.first_bytes).collect();
        }
        even_split(copied_bytes, self.copy_bytes_max(copied_bytes)).collect()
    }

    /// Bytes of the largest part that is copied, in an object of `object_bytes`. Where the store cannot copy parts, their
    /// bytes pass through memory.
    #[must_use]
    pub fn copy_bytes_max(&self, object_bytes: u64) -> u64 {
        if self.store_copies {
            return self.part_bytes_max;
        }
        // Half of the parts are left for what follows.
        let enough = object_bytes.div_ceil(u64::from(self.parts_max / 2).max(1));
        // Twice the smallest, so that the halves of what is a little larger are not too small.
        let carried = self.held_bytes_max.min(CARRIED_BYTES_MAX).max(2 * self.part_bytes_min);
        carried.max(enough).min(self.part_bytes_max)
    }

    /// Whether all parts but the last must have one size, that of the first.
    #[must_use]
    pub fn equal_parts(&self) -> bool {
        self.equal
    }

    /// Bytes of the largest part.
    #[must_use]
    pub fn part_bytes_max(&self) -> u64 {
        self.part_bytes_max
    }

    /// The largest object whose length is known before it is sent, in bytes.
    #[must_use]
    pub fn object_bytes_max(&self) -> u64 {
        let part_bytes = if self.equal { self.first_bytes } else { self.part_bytes_max };
        part_bytes.saturating_mul(u64::from(self.parts_max))
    }

    /// Largest number of parts.
    #[must_use]
    pub fn parts_max(&self) -> u32 {
        self.parts_max
    }

    /// The largest object that a stream of unknown length can become, in bytes.
    #[must_use]
    pub fn reach_bytes(&self) -> u64 {
        (1..=self.parts_max).filter_map(|number| self.part_bytes(PartNumber(number))).sum()
    }
}

/// Cuts `0..bytes` into the fewest ranges of at most `max` bytes, all of nearly the same length.
pub fn even_split(bytes: u64, max: u64) -> impl Iterator<Item = Range<u64>> {
    let count = bytes.div_ceil(max);
    let (length, longer) = (bytes / count.max(1), bytes % count.max(1));
    (0..count).map(move |i| {
        let start = i * length + i.min(longer);
        start..start + length + u64::from(i < longer)
    })
}

/// Cuts `0..bytes` into ranges of exactly `size` bytes, and a last one of what is left.
pub fn equal_split(bytes: u64, size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..bytes.div_ceil(size)).map(move |i| i * size..bytes.min((i + 1) * size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytesize::GIB;
    use crate::base::bytesize::MIB;

    #[test]
    fn parts_grow_by_tenths_of_their_number() {
        let schedule = Schedule::new(&Facts::S3, 8 * MIB, 5 * GIB);
        let rows: &[(u32, Option<u64>, &str)] = &[
            (0, None, "numbers begin with one"),
            (1, Some(8 * MIB), "the first tenth"),
            (1000, Some(8 * MIB), "the first tenth"),
            (1001, Some(16 * MIB), "the second tenth"),
            (5001, Some(256 * MIB), "the sixth"),
            (10_000, Some(4 * GIB), "the last"),
            (10_001, None, "past the last part"),
        ];
        for (number, want, why) in rows {
            assert_eq!(schedule.part_bytes(PartNumber(*number)), *want, "{number}: {why}");
        }
    }

    #[test]
    fn a_stream_of_unknown_length_passes_the_old_walls() {
        let reach = |held| Schedule::new(&Facts::S3, 8 * MIB, held).reach_bytes() / GIB;
        assert_eq!(reach(5 * GIB), 7992, "parts of any size");
        assert_eq!(reach(32 * MIB), 273, "parts of 32 MiB at most");
    }

    #[test]
    fn impossible_wishes_are_clamped() {
        let small = Schedule::new(&Facts::S3, 1, 1);
        assert_eq!(small.part_bytes(PartNumber(1)), Some(5 * MIB), "never below the store's minimum");
        let large = Schedule::new(&Facts::S3, u64::MAX, u64::MAX);
        assert_eq!(large.part_bytes(PartNumber(1)), Some(5 * GIB), "never above the store's maximum");
    }

    #[test]
    fn where_parts_must_be_equal_they_are_as_large_as_memory_allows() {
        let facts = Facts { equal_parts: true, ..Facts::S3 };
        let schedule = Schedule::new(&facts, 8 * MIB, 32 * MIB);
        for number in [1, 2, 1001, 10_000] {
            assert_eq!(schedule.part_bytes(PartNumber(number)), Some(32 * MIB), "{number}");
        }
        assert_eq!(schedule.part_bytes(PartNumber(10_001)), None);
        assert_eq!(schedule.reach_bytes() / GIB, 312);
        assert!(!schedule.may_ship_early());
        let rows = [(0, 0), (32 * MIB - 1, 0), (32 * MIB, 32 * MIB), (100 * MIB, 96 * MIB)];
        for (base, want) in rows {
            assert_eq!(schedule.copied_bytes(base), want, "{base}");
            assert!(schedule.copies(want).iter().all(|range| range.end - range.start == 32 * MIB), "{base}");
        }
    }

    #[test]
    fn a_base_is_copied_in_few_parts_by_the_store_and_in_small_ones_by_us() {
        let by_store = Schedule::new(&Facts::S3, 8 * MIB, 32 * MIB);
        assert_eq!((by_store.copied_bytes(5 * MIB - 1), by_store.copied_bytes(5 * MIB)), (0, 5 * MIB));
        assert_eq!(by_store.copies(11 * GIB).len(), 3);
        let facts = Facts { copy_part: false, ..Facts::S3 };
        let largest = |schedule: &Schedule, bytes| {
            let copies = schedule.copies(bytes);
            assert!(copies.len() <= 5000, "{} parts leave too few", copies.len());
            copies.iter().map(|range| range.end - range.start).max().unwrap()
        };
        assert_eq!(largest(&Schedule::new(&facts, 8 * MIB, 32 * MIB), 11 * GIB), 32 * MIB);
        let small = Schedule::new(&facts, 5 * MIB, 5 * MIB).copies(6 * MIB);
        assert_eq!(small, [Range { start: 0, end: 6 * MIB }], "halves would be smaller than a part may be");
        assert_eq!(largest(&Schedule::new(&facts, 8 * MIB, GIB), 11 * GIB), 64 * MIB);
        assert_eq!(largest(&Schedule::new(&facts, 8 * MIB, 32 * MIB), 5000 * GIB), GIB, "or it would not fit at all");
    }

    #[test]
    fn parts_stay_below_what_a_store_prefers_unless_they_are_asked_for() {
        let facts = Facts { part_bytes_preferred_max: 64 * MIB, ..Facts::S3 };
        let last = |first| Schedule::new(&facts, first, GIB).part_bytes(PartNumber(10_000));
        assert_eq!(last(8 * MIB), Some(64 * MIB));
        assert_eq!(last(100 * MIB), Some(100 * MIB));
    }

    #[test]
    fn splits_cover_everything_once() {
        let even: &[(u64, u64, &[Range<u64>])] =
            &[(0, 5, &[]), (5, 5, &[0..5]), (6, 5, &[0..3, 3..6]), (11, 5, &[0..4, 4..8, 8..11])];
        for (bytes, max, want) in even {
            assert_eq!(even_split(*bytes, *max).collect::<Vec<_>>(), *want, "{bytes} by {max}");
        }
        let equal: &[(u64, u64, &[Range<u64>])] =
            &[(0, 5, &[]), (5, 5, &[0..5]), (6, 5, &[0..5, 5..6]), (11, 5, &[0..5, 5..10, 10..11])];
        for (bytes, size, want) in equal {
            assert_eq!(equal_split(*bytes, *size).collect::<Vec<_>>(), *want, "{bytes} by {size}");
        }
    }
}
