//! Dates on the wire: RFC 1123 in headers, ISO 8601 in XML, and the compact form of signatures.
//!
//! Reading is lenient, as stores differ; writing is exact.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use std::fmt;
use std::time::SystemTime;

/// A date for a header: `Fri, 24 May 2013 00:00:00 GMT`. Times outside 1970..9999 become the nearest of these.
#[must_use]
pub fn http(time: SystemTime) -> String {
    httpdate::fmt_http_date(timestamp(time).into())
}

/// A date for XML: `2013-05-24T00:00:00.000Z`.
#[must_use]
pub fn iso8601(time: SystemTime) -> String {
    format!("{:.3}", timestamp(time))
}

/// Reads a date of either kind; ISO dates without a zone are taken as UTC.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.into());
    }
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(time) = text.parse::<DateTime>()
    {
        return time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().into());
    }
    parse_http(text)
}

/// Reads a date of a header: any of HTTP's three forms, also with doubled spaces.
#[must_use]
pub fn parse_http(text: &str) -> Option<SystemTime> {
    let mut single = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        single.push_str(if single.is_empty() { "" } else { " " });
        single.push_str(word);
    }
    if let Ok(time) = httpdate::parse_http_date(&single) {
        return Some(time);
    }
    rfc2822::DateTimeParser::new().parse_timestamp(&single).ok().map(Into::into)
}

/// As a timestamp of jiff; clamped, since a clock that is off must not take the process down.
fn timestamp(time: SystemTime) -> Timestamp {
    let epoch = Timestamp::UNIX_EPOCH;
    // The year 9999 ends after what jiff can count in every time zone; a day less is plenty.
    let last = Timestamp::MAX;
    match Timestamp::try_from(time) {
        Ok(stamp) => stamp.clamp(epoch, last),
        Err(_) if time < SystemTime::UNIX_EPOCH => epoch,
        Err(_) => last,
    }
}

/// The time of a signature, `20130524T000000Z`, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AmzDate(Timestamp);

impl AmzDate {
    /// The second that `time` lies in.
    #[must_use]
    pub fn new(time: SystemTime) -> Self {
        Self(Timestamp::from_second(timestamp(time).as_second()).expect("a second of a timestamp is one"))
    }

    /// Reads exactly the compact form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
        let small = |range: std::ops::Range<usize>| text.get(range)?.parse::<i8>().ok();
        let shape = text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
        if text.len() != 16 || !shape {
            return None;
        }
        let civil =
            DateTime::new(digits(0..4)?, small(4..6)?, small(6..8)?, small(9..11)?, small(11..13)?, small(13..15)?, 0);
        let zoned = civil.ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(Self(zoned.timestamp()))
    }

    /// The day, `20130524`, as credential scopes have it.
    #[must_use]
    pub fn day(&self) -> String {
        let date = self.0.to_zoned(TimeZone::UTC).date();
        format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
    }

    /// The time.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.0.into()
    }
}

impl fmt::Display for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0.to_zoned(TimeZone::UTC).datetime();
        let (year, month, day) = (t.year(), t.month(), t.day());
        write!(f, "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", t.hour(), t.minute(), t.second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_are_written_exactly() {
        let time = at(1_369_353_600) + Duration::from_millis(7);
        assert_eq!(http(time), "Fri, 24 May 2013 00:00:00 GMT");
        assert_eq!(iso8601(time), "2013-05-24T00:00:00.007Z");
        assert_eq!(iso8601(at(1_369_353_600)), "2013-05-24T00:00:00.000Z");
        assert_eq!(AmzDate::new(time).to_string(), "20130524T000000Z");
        assert_eq!(AmzDate::new(time).day(), "20130524");
    }

    #[test]
    fn times_that_no_date_can_hold_are_clamped() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(10);
        assert_eq!(http(before), "Thu, 01 Jan 1970 00:00:00 GMT");
        let _ = http(at(400_000_000_000));
        let _ = iso8601(at(u64::from(u32::MAX) << 30));
    }

    #[test]
    fn dates_are_read_leniently() {
        let rows: &[(&str, Option<u64>, &str)] = &[
            ("2024-01-02T03:04:05.000Z", Some(1_704_164_645), "XML"),
            ("2024-01-02T03:04:05Z", Some(1_704_164_645), "without a fraction"),
            ("2024-01-02T03:04:05", Some(1_704_164_645), "without a zone"),
            ("2024-01-02T04:04:05+01:00", Some(1_704_164_645), "another zone"),
            ("Tue, 02 Jan 2024 03:04:05 GMT", Some(1_704_164_645), "a header"),
            ("Tue,  02 Jan  2024 03:04:05 GMT", Some(1_704_164_645), "doubled spaces"),
            ("Tue, 2 Jan 2024 03:04:05 +0000", Some(1_704_164_645), "mail form"),
            ("yesterday", None, "no date"),
            ("", None, "nothing"),
        ];
        for (text, want, why) in rows {
            assert_eq!(parse(text), want.map(at), "{text:?}: {why}");
        }
    }

    #[test]
    fn the_time_of_a_signature_has_one_spelling() {
        assert_eq!(AmzDate::parse("20130524T000000Z").unwrap().time(), at(1_369_353_600));
        for bad in ["", "20130524", "20130524T000000", "2013-05-24T00:00:00Z", "20131324T000000Z", "20130524T0000+0Z"] {
            assert_eq!(AmzDate::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_form_reads_back(seconds in 0u64..253_000_000_000, millis in 0u64..1000) {
            let time = at(seconds) + Duration::from_millis(millis);
            prop_assert_eq!(parse(&iso8601(time)), Some(time));
            prop_assert_eq!(parse(&http(time)), Some(at(seconds)));
            prop_assert_eq!(AmzDate::parse(&AmzDate::new(time).to_string()).map(|d| d.time()), Some(at(seconds)));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (parse(&text), parse_http(&text), AmzDate::parse(&text));
        }
    }
}
