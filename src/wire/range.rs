//! Byte ranges: `Range`, `Content-Range`, and the range of a part copy.

use std::fmt;
use std::ops::Range;

/// What a `Range` header asks for. S3 serves one range; others are ignored, as RFC 9110 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=a-b`, both included.
    Between(u64, u64),
    /// `bytes=a-`.
    From(u64),
    /// `bytes=-n`: the last `n`.
    Last(u64),
}

/// The object has none of the bytes asked for (416).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object has none of the bytes asked for")]
pub struct Unsatisfiable;

impl ByteRange {
    /// Reads a `Range` header; `None` if it is to be ignored (another unit, several ranges, not a range).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, set) = text.trim().split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes of an object of `size` bytes that are meant; never an empty range.
    ///
    /// # Errors
    /// [`Unsatisfiable`] when there are none, which is so for every range of an empty object.
    pub fn resolve(self, size: u64) -> Result<Range<u64>, Unsatisfiable> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        if range.start < range.end { Ok(range) } else { Err(Unsatisfiable) }
    }
}

/// A number of decimal digits only; more than 2^64 means "to the end" or "past it" alike, so it saturates.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// A `Range` header (or the range of a part copy) for bytes that are not none.
///
/// # Panics
/// When the range is empty: the header cannot say that.
#[must_use]
pub fn header(range: &Range<u64>) -> String {
    assert!(range.start < range.end, "an empty range cannot be asked for");
    format!("bytes={}-{}", range.start, range.end - 1)
}

/// Reads `x-amz-copy-source-range`, which must give both ends.
#[must_use]
pub fn parse_copy_range(text: &str) -> Option<Range<u64>> {
    match ByteRange::parse(text)? {
        ByteRange::Between(first, last) => Some(first..last.checked_add(1)?),
        ByteRange::From(_) | ByteRange::Last(_) => None,
    }
}

/// A `Content-Range` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes a-b/size`: these bytes of an object of so many (`None` for `*`).
    Bytes(Range<u64>, Option<u64>),
    /// `bytes */size`: what a 416 tells.
    Unsatisfied(u64),
}

impl ContentRange {
    /// Reads the header; a range that does not lie within the size is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("bytes")?.trim_start_matches([' ', '=']);
        let (range, size) = rest.split_once('/')?;
        let size = match size.trim() {
            "*" => None,
            size => Some(size.parse().ok()?),
        };
        if range.trim() == "*" {
            return size.map(Self::Unsatisfied);
        }
        let (first, last) = range.split_once('-')?;
        let range = first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?;
        (range.start < range.end && size.is_none_or(|size| range.end <= size)).then_some(Self::Bytes(range, size))
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(range, Some(size)) => write!(f, "bytes {}-{}/{size}", range.start, range.end - 1),
            Self::Bytes(range, None) => write!(f, "bytes {}-{}/*", range.start, range.end - 1),
            Self::Unsatisfied(size) => write!(f, "bytes */{size}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_and_resolved() {
        type Row = (&'static str, u64, Option<Result<Range<u64>, Unsatisfiable>>, &'static str);
        let rows: &[Row] = &[
            ("bytes=0-9", 100, Some(Ok(0..10)), "both ends"),
            ("bytes=90-999", 100, Some(Ok(90..100)), "cut at the end"),
            ("bytes=99-99", 100, Some(Ok(99..100)), "the last byte"),
            ("bytes=100-", 100, Some(Err(Unsatisfiable)), "begins at the end"),
            ("bytes=5-", 100, Some(Ok(5..100)), "to the end"),
            ("bytes=-5", 100, Some(Ok(95..100)), "the last five"),
            ("bytes=-500", 100, Some(Ok(0..100)), "more than there is"),
            ("bytes=-0", 100, Some(Err(Unsatisfiable)), "the last none"),
            ("bytes=0-0", 0, Some(Err(Unsatisfiable)), "an empty object"),
            ("bytes=-1", 0, Some(Err(Unsatisfiable)), "an empty object"),
            ("bytes=0-99999999999999999999", 10, Some(Ok(0..10)), "more than 64 bits"),
            (" Bytes = 1 - 2 ", 10, Some(Ok(1..3)), "spaces and case"),
            ("bytes=2-1", 10, None, "backwards"),
            ("bytes=0-1,3-4", 10, None, "several"),
            ("bytes=-", 10, None, "nothing"),
            ("bytes=+1-2", 10, None, "a sign"),
            ("bytes=a-b", 10, None, "no numbers"),
            ("lines=0-1", 10, None, "another unit"),
            ("0-1", 10, None, "no unit"),
        ];
        for (text, size, want, why) in rows {
            assert_eq!(&ByteRange::parse(text).map(|range| range.resolve(*size)), want, "{text:?}: {why}");
        }
    }

    #[test]
    fn content_ranges_are_checked() {
        let rows: &[(&str, Option<ContentRange>)] = &[
            ("bytes 0-9/100", Some(ContentRange::Bytes(0..10, Some(100)))),
            ("bytes 0-9/*", Some(ContentRange::Bytes(0..10, None))),
            ("bytes */100", Some(ContentRange::Unsatisfied(100))),
            ("bytes */*", None),
            ("bytes 9-0/100", None),
            ("bytes 0-100/100", None),
            ("bytes 0-18446744073709551615/*", None),
            ("0-9/100", None),
        ];
        for (text, want) in rows {
            assert_eq!(&ContentRange::parse(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_part_copy_names_both_ends() {
        assert_eq!(parse_copy_range("bytes=5-9"), Some(5..10));
        for bad in ["bytes=5-", "bytes=-5", "5-9", "bytes=9-5", "bytes=0-18446744073709551615"] {
            assert_eq!(parse_copy_range(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(start in 0u64..1 << 50, length in 1u64..1 << 50, rest in 0u64..1 << 50) {
            let range = start..start + length;
            prop_assert_eq!(parse_copy_range(&header(&range)), Some(range.clone()));
            let content = ContentRange::Bytes(range.clone(), Some(range.end + rest));
            prop_assert_eq!(ContentRange::parse(&content.to_string()), Some(content));
        }

        #[test]
        fn no_text_panics(text in "(bytes)?[ =0-9*/,-]{0,50}") {
            let _ = (ByteRange::parse(&text).map(|r| r.resolve(7)), ContentRange::parse(&text), parse_copy_range(&text));
        }
    }
}
