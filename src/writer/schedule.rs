//! How large each part is, so that a stream of unknown length stays within the number of parts. Pure.

use crate::store::Facts;
use crate::store::PartNumber;

/// Bytes of a part that the store cannot copy, so that it passes here and is held meanwhile.
const THROUGH_BYTES: u64 = 64 << 20;

/// Part sizes for one upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    first_bytes: u64,
    held_bytes_max: u64,
    part_bytes_min: u64,
    part_bytes_max: u64,
    copy_bytes_max: u64,
    parts_max: u32,
}

impl Schedule {
    /// Parts begin with `first_bytes` and never grow beyond `held_bytes_max`, which is what memory allows for one part.
    #[must_use]
    pub fn new(facts: &Facts, first_bytes: u64, held_bytes_max: u64) -> Self {
        let first_bytes = first_bytes.clamp(facts.part_bytes_min, facts.part_bytes_max);
        Self {
            first_bytes,
            held_bytes_max: held_bytes_max.clamp(first_bytes, facts.part_bytes_max),
            part_bytes_min: facts.part_bytes_min,
            part_bytes_max: facts.part_bytes_max,
            copy_bytes_max: if facts.copy_part {
                facts.part_bytes_max
            } else {
                THROUGH_BYTES.clamp(facts.part_bytes_min, facts.part_bytes_max)
            },
            parts_max: facts.parts_max,
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

    /// Largest piece that one part may copy from another object, in bytes.
    #[must_use]
    pub fn copy_bytes_max(&self) -> u64 {
        self.copy_bytes_max
    }

    /// The largest object that a stream of unknown length can become, in bytes.
    #[must_use]
    pub fn reach_bytes(&self) -> u64 {
        (1..=self.parts_max).filter_map(|number| self.part_bytes(PartNumber(number))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytesize::GIB;
    use crate::base::bytesize::MIB;

    #[test]
    fn what_passes_here_is_copied_in_small_pieces() {
        let copied = |copy_part| Schedule::new(&Facts { copy_part, ..Facts::S3 }, 8 * MIB, 5 * GIB).copy_bytes_max();
        assert_eq!((copied(true), copied(false)), (5 * GIB, 64 * MIB));
    }

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
}
