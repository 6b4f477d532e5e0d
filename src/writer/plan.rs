//! From the runs of a file to the parts of its commit: what the store copies, and what is sent. Pure.
//!
//! A part that is sent may hold bytes that have to be read from an object first: neighbours of a small change, so that
//! the part is as large as the store wants it.

use crate::store::PartNumber;
use crate::writer::overlay::Content;
use crate::writer::overlay::Overlay;
use crate::writer::schedule::Schedule;
use crate::writer::schedule::even_split;
use std::ops::Range;

/// How a file gets into the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// By one request that sends all of it.
    Whole,
    /// It is exactly this object.
    Copy(usize),
    /// In parts.
    Parts(Vec<Part>),
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Copied by the store from a range of an object.
    Copy {
        /// Which object.
        source: usize,
        /// Its range.
        from: Range<u64>,
    },
    /// Sent: this range of the file.
    Send(Range<u64>),
}

/// The parts of a file; `None` when it is larger than an object may be. A file that is exactly one object is copied as
/// such up to `copy_bytes_max`.
#[must_use]
pub fn plan(overlay: &Overlay, schedule: &Schedule, copy_bytes_max: u64) -> Option<Plan> {
    let runs: Vec<_> = overlay.runs().collect();
    let size = overlay.size();
    if let [(_, Content::Object { source, at: 0 })] = runs[..]
        && overlay.sources()[source].size == size
        && size <= copy_bytes_max
    {
        return Some(Plan::Copy(source));
    }
    let first_bytes = schedule.part_bytes(PartNumber(1)).expect("there is a first part");
    if size <= first_bytes {
        return Some(Plan::Whole);
    }
    let divided = Divided { runs: &runs, overlay, schedule, size };
    if schedule.equal_parts() {
        return divided.equally(first_bytes).map(Plan::Parts);
    }
    let mut least = schedule.part_bytes_min();
    while least <= schedule.part_bytes_max() {
        let parts = divided.by_runs(least, first_bytes.max(least));
        if parts.len() <= schedule.parts_max() as usize {
            return Some(Plan::Parts(parts));
        }
        least *= 2;
    }
    None
}

struct Divided<'a> {
    runs: &'a [(Range<u64>, Content)],
    overlay: &'a Overlay,
    schedule: &'a Schedule,
    size: u64,
}

impl Divided<'_> {
    /// Runs of objects of at least `least` bytes are copied; everything between them is sent.
    fn by_runs(&self, least: u64, send_bytes: u64) -> Vec<Part> {
        let min = self.schedule.part_bytes_min();
        let copy_bytes_max = self.schedule.copy_bytes_max(self.size);
        let (mut parts, mut sent_to) = (Vec::new(), 0);
        for (range, content) in self.runs {
            let Content::Object { source, at } = *content else { continue };
            // What is to be sent before it and is too small for a part takes some of its bytes.
            let waiting = range.start - sent_to;
            let borrowed = if waiting == 0 { 0 } else { min.saturating_sub(waiting).min(range.end - range.start) };
            let rest = range.start + borrowed..range.end;
            let bytes = rest.end - rest.start;
            let is_last = rest.end == self.size;
            if !self.may_be_copied(source) || bytes == 0 || (bytes < least && !is_last) {
                continue;
            }
            send(&mut parts, sent_to..rest.start, send_bytes, min);
            let from = at + borrowed;
            parts.extend(
                even_split(bytes, copy_bytes_max)
                    .map(|part| Part::Copy { source, from: from + part.start..from + part.end }),
            );
            sent_to = rest.end;
        }
        send(&mut parts, sent_to..self.size, send_bytes, min);
        parts
    }

    /// Parts of one size; those that are nothing but a range of one object are copied.
    fn equally(&self, part_bytes: u64) -> Option<Vec<Part>> {
        if self.size.div_ceil(part_bytes) > u64::from(self.schedule.parts_max()) {
            return None;
        }
        let mut runs = self.runs.iter().peekable();
        let mut parts = Vec::new();
        let mut start = 0;
        while start < self.size {
            let end = self.size.min(start + part_bytes);
            while runs.peek().is_some_and(|(range, _)| range.end <= start) {
                runs.next();
            }
            parts.push(match runs.peek() {
                Some((range, Content::Object { source, at })) if range.end >= end && self.may_be_copied(*source) => {
                    let from = at + (start - range.start);
                    Part::Copy { source: *source, from: from..from + (end - start) }
                }
                _ => Part::Send(start..end),
            });
            start = end;
        }
        Some(parts)
    }

    /// S3 copies ranges only of objects that are larger than the smallest part (API reference, `UploadPartCopy`).
    fn may_be_copied(&self, source: usize) -> bool {
        self.overlay.sources()[source].size > self.schedule.part_bytes_min()
    }
}

/// Cuts a range into parts of `bytes`. A rest too small for a part joins the last one.
fn send(parts: &mut Vec<Part>, mut range: Range<u64>, bytes: u64, min: u64) {
    while range.end - range.start >= bytes + min {
        parts.push(Part::Send(range.start..range.start + bytes));
        range.start += bytes;
    }
    if range.start < range.end {
        parts.push(Part::Send(range));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::bytesize::GIB;
    use crate::base::bytesize::MIB;
    use crate::base::pool::Pool;
    use crate::store::ETag;
    use crate::store::Facts;
    use crate::writer::stream::Base;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const MIN: u64 = 4;

    fn object(size: u64) -> Base {
        Base { key: "o".into(), etag: ETag::new("t"), size }
    }

    fn tiny(equal_parts: bool, copy_part: bool, parts_max: u32) -> Schedule {
        let facts =
            Facts { part_bytes_min: MIN, part_bytes_max: 1 << 12, parts_max, equal_parts, copy_part, ..Facts::S3 };
        Schedule::new(&facts, 6, 8)
    }

    /// Which byte of which place the file has at each offset: `None` for what only we have.
    fn origins(overlay: &Overlay) -> Vec<Option<u64>> {
        let mut origins = Vec::new();
        for (range, content) in overlay.runs() {
            origins.extend((0..range.end - range.start).map(|i| match content {
                Content::Object { at, .. } => Some(at + i),
                Content::Memory { .. } | Content::Zeros | Content::Disk { .. } => None,
            }));
        }
        origins
    }

    proptest! {
        #[test]
        fn parts_are_the_file_and_within_all_limits(
            base in 0u64..200,
            edits in vec((0u64..220, 1u64..6), 0..6),
            size in proptest::option::of(0u64..220),
            equal in any::<bool>(),
            copies in any::<bool>(),
            parts_max in prop_oneof![Just(12u32), Just(1000)],
        ) {
            let mut overlay = Overlay::over(Pool::with_segments(1 << 20, 8), object(base));
            for (at, len) in edits {
                overlay.write(at, &vec![1; usize::try_from(len).unwrap()], u64::MAX);
            }
            size.into_iter().for_each(|size| overlay.truncate(size));
            let schedule = tiny(equal, copies, parts_max);
            let first = schedule.part_bytes(PartNumber(1)).unwrap();
            let origins = origins(&overlay);
            let dirty = origins.iter().filter(|origin| origin.is_none()).count() as u64;
            match plan(&overlay, &schedule, u64::MAX) {
                Some(Plan::Whole) => prop_assert!(overlay.size() <= first),
                Some(Plan::Copy(source)) => prop_assert!(overlay.sources()[source].size == overlay.size() && dirty == 0),
                None => prop_assert!(equal && overlay.size() > first * u64::from(parts_max)),
                Some(Plan::Parts(parts)) => {
                    prop_assert!(parts.len() <= parts_max as usize);
                    let (mut at, mut sent) = (0, 0);
                    for (number, part) in parts.iter().enumerate() {
                        let len = match part {
                            Part::Send(range) => {
                                prop_assert_eq!(range.start, at);
                                sent += range.end - range.start;
                                range.end - range.start
                            }
                            Part::Copy { from, .. } => {
                                for (i, byte) in (from.start..from.end).enumerate() {
                                    prop_assert_eq!(origins[usize::try_from(at).unwrap() + i], Some(byte));
                                }
                                from.end - from.start
                            }
                        };
                        let last = number + 1 == parts.len();
                        prop_assert!(len > 0 && (last || len >= MIN), "{:?}", parts);
                        prop_assert!(!equal || len == first || (last && len < first), "{:?}", parts);
                        at += len;
                    }
                    prop_assert_eq!(at, overlay.size());
                    if !equal && parts_max == 1000 && base > MIN {
                        let islands = overlay.runs().filter(|(_, content)| !matches!(content, Content::Object { .. })).count();
                        prop_assert!(sent <= dirty + islands as u64 * 2 * MIN + MIN, "{sent} for {dirty}: {:?}", parts);
                    }
                }
            }
        }
    }

    #[test]
    fn a_byte_in_a_large_object_costs_one_small_part() {
        let schedule = Schedule::new(&Facts::S3, 8 * MIB, 32 * MIB);
        let changed = |at: u64| {
            let mut overlay = Overlay::over(Pool::new(MIB), object(GIB));
            overlay.write(at, b"x", MIB);
            plan(&overlay, &schedule, 0).unwrap()
        };
        let copy = |from| Part::Copy { source: 0, from };
        let middle = GIB / 2;
        let rows = [
            (0, vec![Part::Send(0..5 * MIB), copy(5 * MIB..GIB)]),
            (middle, vec![copy(0..middle), Part::Send(middle..middle + 5 * MIB), copy(middle + 5 * MIB..GIB)]),
            (GIB - 1, vec![copy(0..GIB - 1), Part::Send(GIB - 1..GIB)]),
            (GIB, vec![copy(0..GIB), Part::Send(GIB..GIB + 1)]),
        ];
        for (at, want) in rows {
            assert_eq!(changed(at), Plan::Parts(want), "{at}");
        }
    }
}
