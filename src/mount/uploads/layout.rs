//! Which bytes of a file an upload's parts are, the ones there and the ones missing. Pure.

use crate::store::Facts;
use crate::store::Part;
use crate::store::PartNumber;
use std::ops::Range;

/// Bytes of a part where no part that is there says how large they are.
const PART_BYTES: u64 = 8 << 20;

/// A part of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub number: PartNumber,
    pub range: Range<u64>,
    /// The part there that may be it: of its number and size.
    pub there: Option<Part>,
}

/// Cuts a file of `size` bytes so that parts which are there can stay: all, if they were cut alike; else those before
/// the first gap. The rest is sent in parts as large as these.
pub(super) fn slices(there: &[Part], size: u64, facts: &Facts) -> Result<Vec<Slice>, String> {
    let largest = there.iter().map(|part| part.size).max().unwrap_or(0);
    let least = size.div_ceil(u64::from(facts.parts_max)).max(facts.part_bytes_min);
    let alike = |step: u64| there.iter().all(|part| part.size == range_of(part.number, step, size).map_or(0, length));
    let (kept, step) = if largest >= least && alike(largest) {
        (Vec::new(), largest)
    } else if facts.equal_parts {
        (Vec::new(), largest.max(least).max(PART_BYTES))
    } else {
        (before_the_gap(there, size, facts), largest.max(least).max(PART_BYTES))
    };
    if step > facts.part_bytes_max {
        return Err(format!("its {size} bytes do not fit into {} parts", facts.parts_max));
    }
    let mut out = kept;
    let mut at = out.last().map_or(0, |slice| slice.range.end);
    while at < size || out.is_empty() {
        let number = PartNumber(u32::try_from(out.len() + 1).map_err(|_| "it has too many parts".to_owned())?);
        if number.0 > facts.parts_max {
            return Err(format!("it would need more than {} parts; abort the upload and begin anew", facts.parts_max));
        }
        let range = at..size.min(at + step);
        at = range.end;
        let part = there.iter().find(|part| part.number == number && part.size == length(range.clone()));
        out.push(Slice { number, range, there: part.cloned() });
    }
    Ok(out)
}

fn length(range: Range<u64>) -> u64 {
    range.end - range.start
}

fn range_of(number: PartNumber, step: u64, size: u64) -> Option<Range<u64>> {
    let begin = u64::from(number.0.checked_sub(1)?).checked_mul(step)?;
    (begin < size).then(|| begin..size.min(begin.saturating_add(step)))
}

// Parts that may stay as they are: none but the file's last may be smaller than the store's least.
fn before_the_gap(there: &[Part], size: u64, facts: &Facts) -> Vec<Slice> {
    let mut out: Vec<Slice> = Vec::new();
    for (nth, part) in (1u32..).zip(there) {
        let begin = out.last().map_or(0, |slice| slice.range.end);
        let end = begin + part.size;
        if part.number.0 != nth || end > size || part.size == 0 || (part.size < facts.part_bytes_min && end < size) {
            break;
        }
        out.push(Slice { number: part.number, range: begin..end, there: Some(part.clone()) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;

    fn part(number: u32, size: u64) -> Part {
        Part { number: PartNumber(number), etag: ETag::new("e"), size, crc64nvme: None, crc32c: None }
    }

    #[test]
    fn what_is_there_stays_where_it_can() {
        const M: u64 = 1 << 20;
        let equal = Facts { equal_parts: true, ..Facts::S3 };
        let few = Facts { parts_max: 3, ..Facts::S3 };
        type Row<'a> = (&'a [(u32, u64)], u64, &'a Facts, &'a [u64], &'a [u32], &'a str);
        let rows: &[Row] = &[
            (&[], 20 * M, &Facts::S3, &[8 * M, 16 * M, 20 * M], &[], "nothing there"),
            (&[], 0, &Facts::S3, &[0], &[], "an empty file is one empty part"),
            (&[(2, 6 * M), (4, M)], 19 * M, &Facts::S3, &[6 * M, 12 * M, 18 * M, 19 * M], &[2, 4], "gaps, cut alike"),
            (
                &[(1, 5 * M), (2, 6 * M), (4, 6 * M)],
                20 * M,
                &Facts::S3,
                &[5 * M, 11 * M, 19 * M, 20 * M],
                &[1, 2],
                "not alike",
            ),
            (&[(1, 5 * M), (2, 6 * M)], 20 * M, &equal, &[8 * M, 16 * M, 20 * M], &[], "parts must be equal"),
            (&[(1, 9 * M)], 5 * M, &Facts::S3, &[5 * M], &[], "a file that is shorter than what is there"),
            (&[(1, 5 * M)], 27 * M, &few, &[5 * M, 14 * M, 23 * M], &[1], "does not fit"),
        ];
        for (there, size, facts, ends, kept, why) in rows {
            let there: Vec<_> = there.iter().map(|(number, size)| part(*number, *size)).collect();
            let Ok(found) = slices(&there, *size, facts) else {
                assert_eq!(*why, "does not fit");
                continue;
            };
            assert_eq!(found.iter().map(|slice| slice.range.end).collect::<Vec<_>>(), *ends, "{why}");
            let stays = found.iter().filter(|slice| slice.there.is_some()).map(|slice| slice.number.0);
            assert_eq!(stays.collect::<Vec<_>>(), *kept, "{why}");
        }
    }
}
